//! Paths as `file:` URIs, and back.

use std::path::{Path, PathBuf};

/// The path of a `file:` URI; nothing for one of another scheme or on another machine.
pub fn path_of(uri: &str) -> Option<PathBuf> {
    let rest = uri.strip_prefix("file://")?;
    let rest = rest.strip_prefix("localhost").unwrap_or(rest);
    if !rest.starts_with('/') {
        return None;
    }
    let path = decoded(rest)?;
    let after = path.get(1..).unwrap_or("");
    let is_drive = after.as_bytes().get(1) == Some(&b':')
        && after.starts_with(|c: char| c.is_ascii_alphabetic());
    Some(PathBuf::from(if cfg!(windows) && is_drive {
        after
    } else {
        path.as_str()
    }))
}

/// The `file:` URI of a path.
pub fn uri_of(path: &Path) -> String {
    let text = path.to_string_lossy();
    let text = if cfg!(windows) {
        format!("/{}", text.replace('\\', "/"))
    } else {
        text.into_owned()
    };
    let mut uri = String::from("file://");
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                uri.push(char::from(byte));
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

/// A text without its `%41`s; nothing where what they spell is no text.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let byte = hex.and_then(|two| u8::from_str_radix(two, 16).ok());
        match (first, byte) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or(&[]);
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::{path_of, uri_of};
    use std::path::Path;

    #[test]
    #[cfg(unix)]
    fn paths_come_back() {
        for path in ["/a/b.guide", "/größe/σ %.guide", "/a b/#1?.guide"] {
            let uri = uri_of(Path::new(path));
            assert!(uri.is_ascii(), "{uri}");
            assert_eq!(path_of(&uri).as_deref(), Some(Path::new(path)));
        }
    }

    #[test]
    fn what_is_no_file_has_no_path() {
        for uri in [
            "untitled:Untitled-1",
            "",
            "file:",
            "file://host/a",
            "http://a/b",
            "file:///%FF",
        ] {
            assert_eq!(path_of(uri), None, "{uri}");
        }
    }
}
