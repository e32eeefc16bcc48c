//! What a first rule is called.

use std::fs;
use std::path::Path;

use super::rule;
use crate::commands::test;
use crate::exit::{Failure, Result};

/// What a rule is called whose folder's name is none for a guide.
const OTHERWISE: &str = "my_rule";

/// The name that was asked for, else one like the folder's.
///
/// # Errors
/// The name that was asked for is none for a guide.
pub fn of(asked: Option<&str>, folder: &Path, stage: &Path) -> Result<String> {
    if let Some(name) = asked {
        if is_usable(name, stage) {
            return Ok(name.to_owned());
        }
        return Err(Failure::Usage(format!(
            "'{name}' cannot name a guide: write small letters, digits and `_`, and no word of the \
             language"
        )));
    }
    let own = folder.file_name().map(|name| name.to_owned());
    let own = own.or_else(|| Some(fs::canonicalize(folder).ok()?.file_name()?.to_owned()));
    let like = like(&own.unwrap_or_default().to_string_lossy());
    match is_usable(&like, stage) {
        true => Ok(like),
        false => Ok(OTHERWISE.to_owned()),
    }
}

/// A folder's name in the letters of guides.
fn like(name: &str) -> String {
    let letters = name.chars().map(|c| match c.to_ascii_lowercase() {
        c if c.is_ascii_lowercase() || c.is_ascii_digit() => c,
        _ => '_',
    });
    letters.collect::<String>().trim_matches('_').to_owned()
}

/// Whether the rule is sound under that name.
fn is_usable(name: &str, stage: &Path) -> bool {
    let is_of_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || !name.chars().all(is_of_name) {
        return false;
    }
    let place = stage.join(format!("{name}.guide"));
    let is_sound = fs::write(&place, rule(name)).is_ok() && test::of_file(&place).said.is_silent();
    // The folder is not there yet for anybody else.
    let _ = fs::remove_file(&place);
    is_sound
}

#[cfg(test)]
mod tests {
    use super::like;

    #[test]
    fn folders_have_names_of_other_letters() {
        assert_eq!(like("My-Rules"), "my_rules");
        assert_eq!(like(".rules 2"), "rules_2");
        assert_eq!(like("Äpfel"), "pfel");
        assert_eq!(like("…"), "");
    }
}
