//! From a prompt to parts of the encoder's length.

use super::{Fragment, Reading, fragments};
use crate::error::{ErrorKind, Result, RuntimeError};
use crate::tokenizer::ClipTokenizer;

/// The most parts that a prompt is read in.
pub const MOST_PARTS: usize = 64;

/// How many tokens are moved to the next part so that it begins after a comma.
const BACK_TO_COMMA: usize = 20;

/// A part of a prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Start, tokens, end and padding: as many as the encoder takes.
    pub ids: Vec<u32>,
    /// How strong each is.
    pub weights: Vec<f32>,
}

/// The parts of a prompt, at least one.
///
/// A part that is full ends after its last comma, where that is no more than 20 tokens back.
///
/// # Errors
/// `BadTokenizer`; `BadBinding` for a weight that is not finite and for more than [`MOST_PARTS`] parts.
pub fn read(prompt: &str, reading: Reading, tokenizer: &ClipTokenizer) -> Result<Vec<Part>> {
    let mut cutter = Cutter {
        tokenizer,
        parts: Vec::new(),
        tokens: Vec::new(),
        comma: None,
    };
    let fragments = match reading {
        Reading::Literal => vec![Fragment::Text(prompt.to_owned(), 1.0)],
        Reading::Weighted => fragments(prompt),
    };
    for fragment in fragments {
        match fragment {
            Fragment::Break => cutter.close(),
            Fragment::Text(text, weight) => {
                let weight = finite(weight, &text)?;
                for token in tokenizer.tokens(&text)? {
                    cutter.push(token, weight);
                }
            }
        }
    }
    if !cutter.tokens.is_empty() || cutter.parts.is_empty() {
        cutter.close();
    }
    if cutter.parts.len() > MOST_PARTS {
        return Err(too_long(tokenizer.room()));
    }
    Ok(cutter.parts)
}

/// A part without text.
pub fn empty(tokenizer: &ClipTokenizer) -> Part {
    part(&[], tokenizer)
}

struct Cutter<'a> {
    tokenizer: &'a ClipTokenizer,
    parts: Vec<Part>,
    /// The part at hand.
    tokens: Vec<(u32, f32)>,
    /// Where its last comma stands.
    comma: Option<usize>,
}

impl Cutter<'_> {
    fn push(&mut self, token: u32, weight: f32) {
        let is_full = self.tokens.len() == self.tokenizer.room();
        if Some(token) == self.tokenizer.comma() {
            self.comma = Some(self.tokens.len());
        } else if is_full
            && let Some(comma) = self.comma
            && self.tokens.len() - comma <= BACK_TO_COMMA
        {
            let moved = self.tokens.split_off(comma + 1);
            self.close();
            self.tokens = moved;
        }
        if self.tokens.len() == self.tokenizer.room() {
            self.close();
        }
        self.tokens.push((token, weight));
    }

    fn close(&mut self) {
        self.parts.push(part(&self.tokens, self.tokenizer));
        self.tokens.clear();
        self.comma = None;
    }
}

fn part(tokens: &[(u32, f32)], tokenizer: &ClipTokenizer) -> Part {
    let ids: Vec<u32> = tokens.iter().map(|(id, _)| *id).collect();
    let ids = tokenizer.framed(&ids);
    let mut weights = vec![1.0];
    weights.extend(tokens.iter().map(|(_, weight)| *weight));
    weights.resize(ids.len(), 1.0);
    Part { ids, weights }
}

fn finite(weight: f64, text: &str) -> Result<f32> {
    let narrow = weight as f32;
    if narrow.is_finite() {
        return Ok(narrow);
    }
    let shown: String = text.chars().take(40).collect();
    Err(RuntimeError::new(
        ErrorKind::BadBinding,
        format!("the weight of `{shown}` in the prompt is not a finite number"),
    )
    .help("nest fewer brackets, or give a number as in `(word:1.3)`"))
}

fn too_long(room: usize) -> RuntimeError {
    RuntimeError::new(
        ErrorKind::BadBinding,
        format!(
            "the prompt has more than {} tokens, which is more than {MOST_PARTS} parts of {room}",
            MOST_PARTS * room
        ),
    )
    .help("give a shorter prompt")
}

#[cfg(test)]
mod tests {
    use super::{BACK_TO_COMMA, MOST_PARTS, Part, Reading, empty, read};
    use crate::error::{ErrorKind, Result};
    use crate::tokenizer::ClipTokenizer;
    use crate::weights::Source;

    fn tokenizer() -> Result<ClipTokenizer> {
        let model = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/oracle/models/tiny-sd15"
        );
        ClipTokenizer::read(&Source::Folder(model.into()), "tokenizer", 77)
    }

    /// What stands between start and end of each part, without padding, as often as there are weights.
    fn inner(parts: &[Part], tokenizer: &ClipTokenizer) -> Vec<Vec<u32>> {
        let blank = empty(tokenizer).ids;
        let own = |part: &Part| {
            assert_eq!(part.ids.len(), tokenizer.room() + 2);
            assert_eq!(part.weights.len(), part.ids.len());
            assert_eq!(part.ids[0], blank[0]);
            let end = part.ids[1..].iter().position(|id| *id == blank[1]);
            part.ids[1..1 + end.expect("an end")].to_vec()
        };
        parts.iter().map(own).collect()
    }

    fn words(word: &str, count: usize) -> String {
        vec![word; count].join(" ")
    }

    #[test]
    fn a_short_prompt_is_one_part_as_the_tokenizer_pads_it() -> Result<()> {
        let tokenizer = tokenizer()?;
        for text in ["", "apple", "red apple, pear"] {
            let parts = read(text, Reading::Literal, &tokenizer)?;
            assert_eq!(parts.len(), 1);
            assert_eq!(parts[0].ids, tokenizer.padded(text)?);
            assert!(parts[0].weights.iter().all(|weight| *weight == 1.0));
        }
        Ok(())
    }

    #[test]
    fn a_long_prompt_is_cut_where_a_part_is_full() -> Result<()> {
        let tokenizer = tokenizer()?;
        let long = words("apple", 2 * tokenizer.room() + 1);
        let all = tokenizer.tokens(&long)?;
        let parts = inner(&read(&long, Reading::Literal, &tokenizer)?, &tokenizer);
        let want: Vec<Vec<u32>> = all.chunks(tokenizer.room()).map(<[u32]>::to_vec).collect();
        assert!(want.len() > 2);
        assert_eq!(parts, want);
        Ok(())
    }

    /// The comma stays, what follows it moves on; a comma further back is no place to cut.
    #[test]
    fn a_full_part_ends_after_a_comma_that_is_near() -> Result<()> {
        let tokenizer = tokenizer()?;
        let one = tokenizer.tokens("apple")?.len();
        for (after, moves) in [(3, true), (BACK_TO_COMMA / one + 1, false)] {
            let before = (tokenizer.room() - 1) / one - after;
            let text = format!("{}, {}", words("apple", before), words("apple", after + 30));
            let all = tokenizer.tokens(&text)?;
            let parts = inner(&read(&text, Reading::Literal, &tokenizer)?, &tokenizer);
            assert_eq!(parts.concat(), all, "nothing is lost");
            let comma = before * one + 1;
            let length = if moves { comma } else { tokenizer.room() };
            assert_eq!(parts[0].len(), length, "{after} words after the comma");
        }
        Ok(())
    }

    #[test]
    fn weights_stand_at_their_tokens() -> Result<()> {
        let tokenizer = tokenizer()?;
        let text = "red (apple:1.5) BREAK [pear]";
        let parts = read(text, Reading::Weighted, &tokenizer)?;
        let red = tokenizer.tokens("red")?.len();
        let apple = tokenizer.tokens("apple")?.len();
        let pear = tokenizer.tokens("pear")?.len();
        let want = [
            [vec![1.0; 1 + red], vec![1.5; apple]].concat(),
            [vec![1.0], vec![(1.0f64 / 1.1) as f32; pear]].concat(),
        ];
        assert_eq!(parts.len(), 2);
        for (part, want) in parts.iter().zip(want) {
            assert_eq!(part.weights[..want.len()], want);
            assert!(part.weights[want.len()..].iter().all(|w| *w == 1.0));
        }
        // Read literally, the brackets are tokens like others.
        let literal = read(text, Reading::Literal, &tokenizer)?;
        assert_eq!(literal[0].ids, tokenizer.padded(text)?);
        Ok(())
    }

    #[test]
    fn what_no_encoder_should_be_asked_for() -> Result<()> {
        let tokenizer = tokenizer()?;
        let refused = |text: &str| {
            let refused = read(text, Reading::Weighted, &tokenizer);
            refused.expect_err("it is refused").kind
        };
        let deep = "(".repeat(10_000) + "apple";
        assert_eq!(refused(&deep), ErrorKind::BadBinding);
        let long = words("apple", (MOST_PARTS + 1) * tokenizer.room());
        assert_eq!(refused(&long), ErrorKind::BadBinding);
        Ok(())
    }
}
