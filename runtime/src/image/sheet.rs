//! Contact sheets: pictures in a grid, with labels above the columns and before the rows.

use super::{Picture, font};

/// Space between pictures and round the sheet, in pixels.
const MARGIN: usize = 8;
const PAPER: [u8; 3] = [255, 255, 255];
const INK: [u8; 3] = [32, 32, 32];

/// What goes on a sheet.
#[derive(Clone, Debug, Default)]
pub struct Grid {
    /// Rows of pictures; a short row leaves its last places empty.
    pub rows: Vec<Vec<Picture>>,
    /// Labels above the columns; none or one each.
    pub columns: Vec<String>,
    /// Labels before the rows; none or one each.
    pub names: Vec<String>,
}

/// Draws the sheet. A label wider than its column is cut short.
pub fn contact_sheet(grid: &Grid) -> Picture {
    let pictures = || grid.rows.iter().flatten();
    let cell = (
        pictures().map(|p| p.width).max().unwrap_or(0),
        pictures().map(|p| p.height).max().unwrap_or(0),
    );
    // Letters grow with the pictures, so that labels can be read on sheets of any size.
    let scale = (cell.0 / 128).clamp(1, 4);
    let columns = grid.rows.iter().map(Vec::len).max().unwrap_or(0);
    let left = grid
        .names
        .iter()
        .map(|n| font::width(n, scale) + MARGIN)
        .max()
        .unwrap_or(0);
    let top = if grid.columns.is_empty() {
        0
    } else {
        font::height(scale) + MARGIN
    };
    let place = |row: usize, column: usize| {
        (
            MARGIN + left + column * (cell.0 + MARGIN),
            MARGIN + top + row * (cell.1 + MARGIN),
        )
    };
    let (width, height) = place(grid.rows.len(), columns);
    let mut sheet = Picture::filled(width, height, PAPER);
    for (column, label) in grid.columns.iter().enumerate() {
        font::draw(
            &mut sheet,
            label,
            (place(0, column).0, MARGIN),
            cell.0,
            scale,
            INK,
        );
    }
    for (row, label) in grid.names.iter().enumerate() {
        let middle = cell.1.saturating_sub(font::height(scale)) / 2;
        font::draw(
            &mut sheet,
            label,
            (MARGIN, place(row, 0).1 + middle),
            left,
            scale,
            INK,
        );
    }
    for (row, pictures) in grid.rows.iter().enumerate() {
        for (column, picture) in pictures.iter().enumerate() {
            let (x, y) = place(row, column);
            sheet.paste(picture, x, y);
        }
    }
    sheet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_stand_in_their_places() {
        let red = Picture::filled(10, 6, [255, 0, 0]);
        let blue = Picture::filled(10, 6, [0, 0, 255]);
        let grid = Grid {
            rows: vec![vec![red, blue]],
            columns: vec!["a".into()],
            names: Vec::new(),
        };
        let sheet = contact_sheet(&grid);
        let top = MARGIN + font::height(1) + MARGIN;
        assert_eq!(
            (sheet.width, sheet.height),
            (2 * 10 + 3 * MARGIN, top + 6 + MARGIN)
        );
        let pixel = |x: usize, y: usize| &sheet.rgb[3 * (y * sheet.width + x)..][..3];
        assert_eq!(pixel(MARGIN, top), [255, 0, 0]);
        assert_eq!(pixel(2 * MARGIN + 10, top + 5), [0, 0, 255]);
        assert_eq!(pixel(MARGIN + 10, top), PAPER);
        let inked = sheet.rgb.chunks_exact(3).filter(|p| *p == INK).count();
        assert!(inked > 5, "the label is drawn");
    }

    #[test]
    fn an_empty_grid_is_a_margin() {
        let sheet = contact_sheet(&Grid::default());
        assert_eq!((sheet.width, sheet.height), (MARGIN, MARGIN));
    }
}
