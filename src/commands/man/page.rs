//! A page for `man`: what clap_mangen makes, with examples as they stand.

use std::io;

use clap::Command;
use clap_mangen::Man;

/// The page of a command.
///
/// # Errors
/// None in practice: it is written into memory.
pub fn page(command: &Command) -> io::Result<String> {
    let man = Man::new(command.clone());
    let mut bytes = Vec::new();
    man.render_title(&mut bytes)?;
    man.render_name_section(&mut bytes)?;
    man.render_synopsis_section(&mut bytes)?;
    man.render_description_section(&mut bytes)?;
    man.render_options_section(&mut bytes)?;
    if command.get_subcommands().next().is_some() {
        man.render_subcommands_section(&mut bytes)?;
    }
    let mut page = String::from_utf8_lossy(&bytes).into_owned();
    // clap_mangen would fill their lines into paragraphs.
    let (notes, examples) = super::after(command);
    for (title, lines) in [("NOTES", notes), ("EXAMPLES", examples)] {
        if !lines.is_empty() {
            page.push_str(&format!(".SH {title}\n.nf\n"));
            for line in lines {
                page.push_str(&escaped(&line));
                page.push('\n');
            }
            page.push_str(".fi\n");
        }
    }
    Ok(page)
}

/// A line that roff takes for nothing but text.
fn escaped(line: &str) -> String {
    let text = line
        .replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('\'', "\\(aq");
    if text.starts_with('.') {
        return format!("\\&{text}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn text_is_no_request() {
        assert_eq!(escaped(".guide files"), "\\&.guide files");
        assert_eq!(escaped("a\\b --c"), "a\\eb \\-\\-c");
        assert_eq!(escaped("'x'"), "\\(aqx\\(aq");
    }
}
