//! Words of a line as a shell parts them, each with its place.

use std::ops::Range;

/// A word and the bytes of the line that it was made from.
#[derive(Clone, Debug, PartialEq)]
pub struct Word {
    /// The word, without its quotes.
    pub text: String,
    /// Where it stands.
    pub range: Range<usize>,
}

/// The words of a line: parted by blanks, with `"…"` and `'…'` around what holds blanks.
///
/// # Errors
/// Where a quote opens that nothing closes.
pub fn words(line: &str) -> Result<Vec<Word>, usize> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut quote: Option<(char, usize)> = None;
    for (at, c) in line.char_indices() {
        let is_outside = quote.is_none();
        if is_outside && c.is_whitespace() {
            words.extend(word.take());
            continue;
        }
        let current = word.get_or_insert_with(|| Word {
            text: String::new(),
            range: at..at,
        });
        current.range.end = at + c.len_utf8();
        match quote {
            Some((open, _)) if open == c => quote = None,
            None if c == '"' || c == '\'' => quote = Some((c, at)),
            _ => current.text.push(c),
        }
    }
    words.extend(word);
    match quote {
        Some((_, at)) => Err(at),
        None => Ok(words),
    }
}

#[cfg(test)]
mod tests {
    use super::words;

    fn texts(line: &str) -> Vec<String> {
        let words = words(line).expect("closed quotes");
        words.into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn quotes_hold_blanks_together() {
        assert_eq!(texts("--steps 4"), ["--steps", "4"]);
        assert_eq!(texts(" --negative \"\"  "), ["--negative", ""]);
        assert_eq!(texts("--set a='b c' \"d e\"f"), ["--set", "a=b c", "d ef"]);
        assert_eq!(texts("\"it's\""), ["it's"]);
        assert!(texts("").is_empty());
    }

    #[test]
    fn words_know_their_places() {
        let line = "--set \"a b\" ü x";
        let found = words(line).expect("closed quotes");
        let places: Vec<&str> = found.iter().map(|w| &line[w.range.clone()]).collect();
        assert_eq!(places, ["--set", "\"a b\"", "ü", "x"]);
    }

    #[test]
    fn an_open_quote_is_found() {
        assert_eq!(words("a \"b c"), Err(2));
        assert_eq!(words("it's"), Err(2));
    }
}
