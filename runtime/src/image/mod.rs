//! Pictures: PNG files with a record of how they were made, contact sheets, masks.

mod font;
mod mask;
mod png;
mod sheet;

pub use mask::{area_resize, read_mask};
pub use png::{KEY, read_record, write_beside, write_png};
pub use sheet::{Grid, contact_sheet};

/// A picture of 8-bit RGB, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// `3 * width * height` bytes.
    pub rgb: Vec<u8>,
}

impl Picture {
    /// A picture of one colour.
    pub fn filled(width: usize, height: usize, colour: [u8; 3]) -> Self {
        Self {
            width,
            height,
            rgb: colour.repeat(width * height),
        }
    }

    /// Copies `other` with its corner at `(left, top)`; what does not fit is left out.
    pub fn paste(&mut self, other: &Picture, left: usize, top: usize) {
        let columns = other.width.min(self.width.saturating_sub(left));
        for y in 0..other.height.min(self.height.saturating_sub(top)) {
            let from = 3 * y * other.width;
            let to = 3 * ((top + y) * self.width + left);
            self.rgb[to..to + 3 * columns].copy_from_slice(&other.rgb[from..from + 3 * columns]);
        }
    }
}
