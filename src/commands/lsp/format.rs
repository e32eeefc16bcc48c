//! Formatting: what `guidec fmt` does, as the smallest edit of whole lines.

use gen_lsp_types::TextEdit;
use guide_grammar::span::Span;

use super::documents::Document;
use super::workspace::ROOT;

/// The edit; none where the text is formatted, or has errors, which are said already.
pub fn format(document: &Document) -> Option<Vec<TextEdit>> {
    let before: &str = &document.text;
    let after = guide_grammar::format(before).ok()?;
    Some(
        edit(before, &after).map_or_else(Vec::new, |(span, new_text)| {
            vec![TextEdit {
                range: document.lines.range(before, span),
                new_text,
            }]
        }),
    )
}

/// What must be replaced, so that cursors elsewhere stay where they are.
fn edit(before: &str, after: &str) -> Option<(Span, String)> {
    if before == after {
        return None;
    }
    let same = before
        .split_inclusive('\n')
        .zip(after.split_inclusive('\n'));
    let start: usize = same
        .take_while(|(a, b)| a == b)
        .map(|(line, _)| line.len())
        .sum();
    let (old, new) = (before.get(start..)?, after.get(start..)?);
    let same = old
        .split_inclusive('\n')
        .rev()
        .zip(new.split_inclusive('\n').rev());
    let tail: usize = same
        .take_while(|(a, b)| a == b)
        .map(|(line, _)| line.len())
        .sum();
    let replaced = Span::new(ROOT, start, before.len() - tail);
    Some((replaced, new.get(..new.len() - tail)?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::edit;

    #[test]
    fn the_edit_makes_the_one_text_from_the_other() {
        let texts = [
            "",
            "a\n",
            "a\nb\n",
            "b\n",
            "a\nx\nb\n",
            "a\nb",
            "a\na\n",
            "σ\r\nb\n",
        ];
        for before in texts {
            for after in texts {
                let mut text = before.to_owned();
                if let Some((span, new)) = edit(before, after) {
                    text.replace_range(span.range(), &new);
                }
                assert_eq!(text, after, "from {before:?}");
            }
        }
    }

    #[test]
    fn lines_that_stay_are_not_in_it() {
        let (span, new) = edit("a\nx\nb\n", "a\ny\nb\n").expect("they differ");
        assert_eq!((span.range(), new.as_str()), (2..4, "y\n"));
    }
}
