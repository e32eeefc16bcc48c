//! How many characters a picture takes.

/// A terminal's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// Characters across.
    pub columns: usize,
    /// Lines.
    pub lines: usize,
    /// Pixels of a character, across and down.
    pub cell: (usize, usize),
}

/// Pixels of a character where the terminal does not say.
const CELL: (usize, usize) = (10, 20);

/// Lines that stay free for the bar and what stood before.
const FREE: usize = 3;

/// The most lines that a picture takes.
const MOST_LINES: usize = 24;

/// What a picture covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cells {
    /// Characters across.
    pub columns: usize,
    /// Lines.
    pub lines: usize,
}

impl Terminal {
    /// The terminal of stderr; nothing where there is none, or one too small for a picture.
    pub fn of_stderr() -> Option<Self> {
        let (columns, lines) = terminal_size::terminal_size_of(std::io::stderr())?;
        let terminal = Self {
            columns: usize::from(columns.0),
            lines: usize::from(lines.0),
            cell: cell_of_stderr().unwrap_or(CELL),
        };
        (terminal.lines > 2 * FREE - 1 && terminal.columns > 1).then_some(terminal)
    }

    /// What a picture of this many pixels covers: as large as there is room, its sides in their ratio.
    pub fn fit(&self, width: usize, height: usize) -> Cells {
        let (across, down) = self.cell;
        let columns_of = |lines: usize| {
            let columns = (lines * down * width.max(1)) as f64 / (across * height.max(1)) as f64;
            (columns.round() as usize).max(1)
        };
        let mut lines = self.lines.saturating_sub(FREE).clamp(1, MOST_LINES);
        // The last column stays free: some terminals begin a new line after it.
        let most = self.columns.saturating_sub(1).max(1);
        while lines > 1 && columns_of(lines) > most {
            lines -= 1;
        }
        Cells {
            columns: columns_of(lines).min(most),
            lines,
        }
    }
}

/// Pixels of a character, of terminals that know them.
#[cfg(unix)]
fn cell_of_stderr() -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok()?;
    let side = |pixels: u16, characters: u16| {
        let side = usize::from(pixels).checked_div(usize::from(characters))?;
        (side > 0).then_some(side)
    };
    side(size.ws_xpixel, size.ws_col).zip(side(size.ws_ypixel, size.ws_row))
}

#[cfg(not(unix))]
fn cell_of_stderr() -> Option<(usize, usize)> {
    None
}

#[cfg(test)]
mod tests {
    use super::{CELL, Cells, Terminal};

    #[test]
    fn pictures_keep_their_ratio_and_leave_room() {
        let terminal = Terminal {
            columns: 80,
            lines: 24,
            cell: CELL,
        };
        let square = terminal.fit(64, 64);
        assert_eq!((square.columns, square.lines), (42, 21));
        let four = terminal.fit(256, 64);
        assert_eq!((four.columns, four.lines), (72, 9));
        let narrow = Terminal {
            columns: 5,
            ..terminal
        };
        assert_eq!(
            narrow.fit(1000, 10),
            Cells {
                columns: 4,
                lines: 1
            }
        );
    }
}
