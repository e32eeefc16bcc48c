//! PNG files with a text chunk.

use std::path::Path;

use super::Picture;
use crate::error::{ErrorKind, Result, RuntimeError};
use crate::files::write_whole;

/// The key of the text chunk that says how a picture was made.
pub const KEY: &str = "guidec";

/// Writes a picture with `record` (JSON) in its text chunk.
///
/// # Errors
/// A place that cannot be written to.
pub fn write_png(path: &Path, picture: &Picture, record: Option<&str>) -> Result<()> {
    let bytes = encode(picture, record).map_err(|error| unwritable(path, &error))?;
    write_whole(path, &bytes)
}

/// The bytes of a PNG file with `record` (JSON) in its text chunk.
///
/// # Errors
/// A picture without pixels.
pub fn encode_png(picture: &Picture, record: &str) -> Result<Vec<u8>> {
    encode(picture, Some(record)).map_err(|error| unwritable(Path::new("picture.png"), &error))
}

fn encode(
    picture: &Picture,
    record: Option<&str>,
) -> std::result::Result<Vec<u8>, ::png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut bytes, picture.width as u32, picture.height as u32);
    encoder.set_color(::png::ColorType::Rgb);
    encoder.set_depth(::png::BitDepth::Eight);
    if let Some(record) = record {
        // International text: a prompt may hold any letter.
        encoder.add_itxt_chunk(KEY.into(), record.into())?;
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&picture.rgb)?;
    writer.finish()?;
    Ok(bytes)
}

/// The record in a picture's text chunk.
///
/// # Errors
/// A file that cannot be read or is no PNG.
pub fn read_record(path: &Path) -> Result<Option<String>> {
    let unreadable = |error: &dyn std::fmt::Display| {
        RuntimeError::new(
            ErrorKind::Unreadable,
            format!("`{}` cannot be read: {error}", path.display()),
        )
    };
    let file = std::fs::File::open(path).map_err(|error| unreadable(&error))?;
    let mut reader = ::png::Decoder::new(std::io::BufReader::new(file))
        .read_info()
        .map_err(|error| unreadable(&error))?;
    reader.finish().map_err(|error| unreadable(&error))?;
    let found = reader
        .info()
        .utf8_text
        .iter()
        .find(|chunk| chunk.keyword == KEY);
    found
        .map(|chunk| chunk.get_text().map_err(|error| unreadable(&error)))
        .transpose()
}

fn unwritable(path: &Path, error: &dyn std::fmt::Display) -> RuntimeError {
    RuntimeError::new(
        ErrorKind::OutputUnwritable,
        format!("`{}` cannot be written: {error}", path.display()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_and_its_record_come_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.png");
        let picture = Picture {
            width: 2,
            height: 1,
            rgb: vec![1, 2, 3, 250, 251, 252],
        };
        let record = r#"{"prompt": "größer, 猫"}"#;
        write_png(&path, &picture, Some(record)).expect("written");
        assert_eq!(read_record(&path).expect("read").as_deref(), Some(record));
        let back = ::image::open(&path).expect("a picture").to_rgb8();
        assert_eq!(
            (back.dimensions(), back.into_raw()),
            ((2, 1), picture.rgb.clone())
        );
        write_png(&path, &picture, None).expect("written over");
        assert_eq!(read_record(&path).expect("read"), None);
        assert_eq!(
            std::fs::read_dir(folder.path()).expect("a folder").count(),
            1
        );
    }
}
