//! The place of the preview on the terminal: above the bar, over what stood there before.

use guide_runtime::image::Picture;

use super::cells::{Cells, Terminal};
use super::encode::{self, Colours};
use super::way::{Lookup, Way};
use crate::ui::Ui;

/// Where pictures are drawn.
pub struct Screen {
    terminal: Terminal,
    way: Way,
    colours: Colours,
    /// What the last picture covered.
    drawn: Option<Cells>,
}

impl Screen {
    /// The terminal that a person watches.
    ///
    /// # Errors
    /// Why there is nothing to draw on, in words.
    pub fn open(way: Way, ui: Ui) -> Result<Self, &'static str> {
        let terminal = ui.is_watched().then(Terminal::of_stderr).flatten();
        let terminal = terminal.ok_or("stderr is not a terminal of six lines or more")?;
        let screen = Self::of(terminal, way, &|name| std::env::var(name).ok());
        if screen.way == Way::Blocks && !ui.has_colour() {
            return Err("NO_COLOR is set, and this terminal shows pictures by colours only");
        }
        Ok(screen)
    }

    fn of(terminal: Terminal, way: Way, env: Lookup<'_>) -> Self {
        let way = way.of_terminal(env);
        Self {
            terminal,
            way,
            colours: colours(env),
            drawn: None,
        }
    }

    /// What draws a picture, with the cursor at the first column of the line below the last picture
    /// before it and of the line below this picture after it.
    pub fn draw(&mut self, picture: &Picture) -> String {
        let cells = self.terminal.fit(picture.width, picture.height);
        let Some(body) = self.body(picture, cells) else {
            return String::new();
        };
        let lines = cells.lines;
        // At the end of the screen new lines move the rest up.
        let room = format!("{}\x1b[{lines}A\r", "\n".repeat(lines));
        let up = match self.drawn.replace(cells) {
            Some(last) if last == cells => format!("\x1b[{lines}A\r"),
            Some(last) => format!("\x1b[{}A\r\x1b[J{room}", last.lines),
            None => room,
        };
        if self.way == Way::Blocks {
            return up + &body;
        }
        // Wherever a picture leaves the cursor, it goes back first.
        format!("{up}\x1b7{body}\x1b8\x1b[{lines}B\r")
    }

    fn body(&self, picture: &Picture, cells: Cells) -> Option<String> {
        match self.way {
            Way::Kitty => encode::kitty(picture, cells, std::process::id()),
            Way::Iterm2 => encode::iterm2(picture, cells),
            Way::Sixel => encode::sixel(picture, cells, &self.terminal),
            Way::Blocks | Way::Auto => encode::blocks(picture, cells, self.colours),
        }
    }
}

/// All colours where the terminal says that it has them, or is not old enough to lack them.
fn colours(env: Lookup<'_>) -> Colours {
    let value = |name: &str| env(name).unwrap_or_default();
    let says_so = matches!(value("COLORTERM").as_str(), "truecolor" | "24bit");
    let term = value("TERM");
    let known = term.ends_with("-direct") || !value("WT_SESSION").is_empty();
    if says_so || known {
        Colours::True
    } else {
        Colours::Of256
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RED: [u8; 3] = [200, 0, 0];
    const BLUE: [u8; 3] = [0, 0, 200];

    /// A terminal of ten lines whose colours are true, for squares of fourteen by seven characters.
    fn screen(way: Way) -> Screen {
        let terminal = Terminal {
            columns: 40,
            lines: 10,
            cell: (10, 20),
        };
        Screen::of(terminal, way, &|name| {
            (name == "COLORTERM").then(|| "truecolor".to_owned())
        })
    }

    fn terminal() -> vt100::Parser {
        let size = |side| std::num::NonZero::new(side).expect("a side");
        vt100::Parser::new(size(10), size(40), 0)
    }

    fn colour([red, green, blue]: [u8; 3]) -> vt100::Color {
        vt100::Color::Rgb(red, green, blue)
    }

    /// The lines that are all of one colour, of a terminal that shows a picture.
    fn lines_of(shown: &vt100::Screen, rgb: [u8; 3], columns: u16) -> Vec<u16> {
        let is = |line: u16, column: u16| {
            shown
                .cell(line, column)
                .is_some_and(|cell| cell.fgcolor() == colour(rgb) && cell.bgcolor() == colour(rgb))
        };
        let (lines, _) = shown.size();
        (0..lines.get())
            .filter(|line| (0..columns).all(|column| is(*line, column)))
            .collect()
    }

    #[test]
    fn a_picture_takes_the_place_of_the_last() {
        let mut screen = screen(Way::Blocks);
        let mut terminal = terminal();
        terminal.process(b"before\r\n");
        terminal.process(screen.draw(&Picture::filled(8, 8, RED)).as_bytes());
        assert_eq!(lines_of(terminal.screen(), RED, 14), [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(terminal.screen().cursor_position(), (8, 0));
        terminal.process(screen.draw(&Picture::filled(8, 8, BLUE)).as_bytes());
        assert_eq!(lines_of(terminal.screen(), BLUE, 14), [1, 2, 3, 4, 5, 6, 7]);
        assert!(lines_of(terminal.screen(), RED, 1).is_empty());
        assert_eq!(terminal.screen().cursor_position(), (8, 0));
        assert!(terminal.screen().contents().starts_with("before"));
    }

    #[test]
    fn a_picture_at_the_end_of_the_screen_moves_the_rest_up() {
        let mut screen = screen(Way::Blocks);
        let mut terminal = terminal();
        terminal.process("line\r\n".repeat(9).as_bytes());
        for rgb in [RED, BLUE] {
            terminal.process(screen.draw(&Picture::filled(8, 8, rgb)).as_bytes());
            assert_eq!(lines_of(terminal.screen(), rgb, 14), [2, 3, 4, 5, 6, 7, 8]);
        }
        assert_eq!(terminal.screen().cursor_position(), (9, 0));
    }

    /// The last portion of a batch may hold fewer pictures.
    #[test]
    fn nothing_is_left_of_a_wider_picture() {
        let mut screen = screen(Way::Blocks);
        let mut terminal = terminal();
        terminal.process(screen.draw(&Picture::filled(16, 8, RED)).as_bytes());
        assert_eq!(lines_of(terminal.screen(), RED, 28).len(), 7);
        terminal.process(screen.draw(&Picture::filled(8, 8, BLUE)).as_bytes());
        assert_eq!(lines_of(terminal.screen(), BLUE, 14).len(), 7);
        let right = terminal.screen().cell(3, 20).expect("a cell");
        assert_eq!(right.bgcolor(), vt100::Color::Default);
    }

    /// Whatever a terminal does with the picture, the bar goes on below it.
    #[test]
    fn the_cursor_ends_below_every_kind_of_picture() {
        for way in [Way::Kitty, Way::Iterm2, Way::Sixel, Way::Blocks] {
            let mut screen = screen(way);
            let mut terminal = terminal();
            for rgb in [RED, BLUE] {
                terminal.process(screen.draw(&Picture::filled(8, 8, rgb)).as_bytes());
                assert_eq!(terminal.screen().cursor_position(), (7, 0), "{way:?}");
            }
        }
    }
}
