//! Breaks sentences into lines of a width, never inside backticks: code stays fit to paste.

/// `text` in lines of at most `width` characters where a break is possible. Line breaks that are
/// there already stay.
pub(super) fn wrap(text: &str, width: usize) -> String {
    let lines: Vec<String> = text
        .split('\n')
        .map(|line| wrap_line(line, width))
        .collect();
    lines.join("\n")
}

fn wrap_line(line: &str, width: usize) -> String {
    let mut out = String::with_capacity(line.len() + 8);
    let mut used = 0;
    for word in words(line) {
        let length = word.chars().count();
        if used > 0 && used + length + 1 > width {
            out.push('\n');
            used = 0;
        } else if used > 0 {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += length;
    }
    out
}

/// The pieces between the spaces that stand outside backticks.
fn words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut quoted = false;
    let mut start = 0;
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            b'`' => quoted = !quoted,
            b' ' if !quoted => {
                words.push(&line[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    words.push(&line[start..]);
    words
}
