//! Bytes of a text as the protocol's lines and columns, and back.

use gen_lsp_types::{Position, Range};
use guide_grammar::span::Span;

/// What a column counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Bytes.
    Utf8,
    /// Units of UTF-16, which every editor can do.
    Utf16,
}

/// Where the lines of a text begin.
#[derive(Clone, Debug)]
pub struct Lines {
    starts: Vec<u32>,
    encoding: Encoding,
}

impl Lines {
    /// Of a text. A line ends with `\n`, `\r\n` or a lone `\r`, as the protocol has it.
    pub fn new(text: &str, encoding: Encoding) -> Self {
        let bytes = text.as_bytes();
        let ends = bytes.iter().enumerate().filter(|(at, byte)| match byte {
            b'\n' => true,
            b'\r' => bytes.get(at + 1) != Some(&b'\n'),
            _ => false,
        });
        let starts = ends.map(|(at, _)| at as u32 + 1);
        Self {
            starts: std::iter::once(0).chain(starts).collect(),
            encoding,
        }
    }

    /// What its columns count.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The position of a byte; one past the end is the end.
    pub fn position(&self, text: &str, byte: u32) -> Position {
        let byte = byte.min(text.len() as u32);
        let line = self.starts.partition_point(|start| *start <= byte).max(1) - 1;
        let start = self.starts.get(line).copied().unwrap_or(0);
        let before = text.get(start as usize..floor(text, byte) as usize);
        Position {
            line: line as u32,
            character: self.width(before.unwrap_or("")),
        }
    }

    /// The range of a span.
    pub fn range(&self, text: &str, span: Span) -> Range {
        Range {
            start: self.position(text, span.start),
            end: self.position(text, span.end),
        }
    }

    /// The byte of a position. A column past the line's end is its end, one inside a character is the
    /// character's begin, a line past the last is the end of the text.
    pub fn byte(&self, text: &str, position: Position) -> u32 {
        let line = position.line as usize;
        let Some(start) = self.starts.get(line).copied() else {
            return text.len() as u32;
        };
        let end = self.starts.get(line + 1).copied();
        let end = end.unwrap_or(text.len() as u32);
        let line = text.get(start as usize..end as usize).unwrap_or("");
        let line = line.trim_end_matches(['\n', '\r']);
        let mut column = 0;
        for (at, c) in line.char_indices() {
            column += self.units(c);
            if column > position.character {
                return start + at as u32;
            }
        }
        start + line.len() as u32
    }

    /// How many columns a text takes.
    pub fn width(&self, text: &str) -> u32 {
        match self.encoding {
            Encoding::Utf8 => text.len() as u32,
            Encoding::Utf16 => text.chars().map(|c| self.units(c)).sum(),
        }
    }

    fn units(&self, c: char) -> u32 {
        match self.encoding {
            Encoding::Utf8 => c.len_utf8() as u32,
            Encoding::Utf16 => c.len_utf16() as u32,
        }
    }
}

/// The begin of the character that a byte lies in.
fn floor(text: &str, byte: u32) -> u32 {
    let mut byte = byte;
    while !text.is_char_boundary(byte as usize) {
        byte -= 1;
    }
    byte
}

#[cfg(test)]
mod tests {
    use super::{Encoding, Lines};
    use gen_lsp_types::Position;

    const TEXT: &str = "// σ = 𝜎\r\nlet a\n";

    fn at(line: u32, character: u32) -> Position {
        Position { line, character }
    }

    #[test]
    fn bytes_and_positions_are_inverse_in_both_encodings() {
        for encoding in [Encoding::Utf8, Encoding::Utf16] {
            let lines = Lines::new(TEXT, encoding);
            for (byte, c) in TEXT.char_indices() {
                if c != '\n' {
                    let position = lines.position(TEXT, byte as u32);
                    assert_eq!(
                        lines.byte(TEXT, position),
                        byte as u32,
                        "{encoding:?} {byte}"
                    );
                }
            }
        }
    }

    #[test]
    fn columns_are_bytes_or_units() {
        let end = TEXT.find('\r').map(|byte| byte as u32).unwrap_or(0);
        let bytes = Lines::new(TEXT, Encoding::Utf8);
        let units = Lines::new(TEXT, Encoding::Utf16);
        assert_eq!(bytes.position(TEXT, end), at(0, 12));
        assert_eq!(units.position(TEXT, end), at(0, 9));
    }

    #[test]
    fn what_lies_outside_is_brought_inside() {
        let units = Lines::new(TEXT, Encoding::Utf16);
        let whole = TEXT.len() as u32;
        assert_eq!(units.byte(TEXT, at(9, 9)), whole);
        assert_eq!(units.byte(TEXT, at(u32::MAX, u32::MAX)), whole);
        // Between the two halves of a surrogate pair.
        assert_eq!(units.byte(TEXT, at(0, 8)), 8);
        assert_eq!(units.byte(TEXT, at(0, 99)), 12);
        let bytes = Lines::new(TEXT, Encoding::Utf8);
        assert_eq!(bytes.byte(TEXT, at(0, 4)), 3, "inside the sigma");
        assert_eq!(bytes.position(TEXT, 4), at(0, 3), "inside the sigma");
        assert_eq!(bytes.position(TEXT, 9_999), at(2, 0));
    }
}
