//! The weights in a prompt, in AUTOMATIC1111's notation: `(a)` is 1.1 times as strong, `[a]` 1.1 times
//! weaker, `(a:1.3)` 1.3 times as strong; they may be nested. `\(` is a bracket that means itself. A
//! bracket that is never closed reaches to the end; one that was never opened means itself.

/// What a bracket without a number is worth.
const STEP: f64 = 1.1;

/// A word that begins a new part.
const BREAK: &str = "BREAK";

/// A piece of a prompt.
#[derive(Clone, Debug, PartialEq)]
pub enum Fragment {
    /// Text, and how strong it is.
    Text(String, f64),
    /// What follows begins a new part.
    Break,
}

/// The pieces of a prompt, neighbours of one weight together.
pub fn fragments(prompt: &str) -> Vec<Fragment> {
    let mut reader = Reader {
        rest: prompt,
        found: Vec::new(),
        round: Vec::new(),
        square: Vec::new(),
    };
    while reader.next() {}
    let Reader {
        mut found,
        round,
        square,
        ..
    } = reader;
    for from in round {
        strengthen(&mut found, from, STEP);
    }
    for from in square {
        strengthen(&mut found, from, 1.0 / STEP);
    }
    merged(found)
}

struct Reader<'a> {
    rest: &'a str,
    found: Vec<Fragment>,
    /// Where the open brackets of each kind began.
    round: Vec<usize>,
    square: Vec<usize>,
}

impl<'a> Reader<'a> {
    /// Reads one bracket, weight, escape or run of text.
    fn next(&mut self) -> bool {
        let Some(first) = self.rest.chars().next() else {
            return false;
        };
        match first {
            '\\' => self.escape(),
            '(' => {
                self.round.push(self.found.len());
                self.skip(1);
            }
            '[' => {
                self.square.push(self.found.len());
                self.skip(1);
            }
            ':' => self.weight(),
            ')' => self.close(STEP, true),
            ']' => self.close(1.0 / STEP, false),
            _ => {
                let special = |c: char| matches!(c, '\\' | '(' | ')' | '[' | ']' | ':');
                let end = self.rest.find(special).unwrap_or(self.rest.len());
                let run = self.skip(end);
                self.text(run);
            }
        }
        true
    }

    fn skip(&mut self, bytes: usize) -> &'a str {
        let (skipped, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        skipped
    }

    /// `\(` is `(`; a backslash before anything else is left out.
    fn escape(&mut self) {
        self.skip(1);
        let next = self.rest.chars().next();
        if next.is_some_and(|c| matches!(c, '(' | ')' | '[' | ']' | '\\')) {
            let literal = self.skip(1);
            self.found.push(Fragment::Text(literal.to_owned(), 1.0));
        }
    }

    /// `:1.3)` after an open `(`; else a colon.
    fn weight(&mut self) {
        let stated = stated(&self.rest[1..]).filter(|_| !self.round.is_empty());
        match (stated, self.round.last().copied()) {
            (Some((weight, length)), Some(from)) => {
                self.round.pop();
                self.skip(1 + length);
                strengthen(&mut self.found, from, weight);
            }
            _ => {
                let colon = self.skip(1);
                self.text(colon);
            }
        }
    }

    fn close(&mut self, by: f64, is_round: bool) {
        let open = if is_round {
            self.round.pop()
        } else {
            self.square.pop()
        };
        let bracket = self.skip(1);
        match open {
            Some(from) => strengthen(&mut self.found, from, by),
            None => self.text(bracket),
        }
    }

    /// Text of weight 1, parted where a `BREAK` stands alone between spaces.
    fn text(&mut self, run: &str) {
        let mut rest = run;
        while let Some((before, after)) = parted(rest) {
            self.found.push(Fragment::Text(before.to_owned(), 1.0));
            self.found.push(Fragment::Break);
            rest = after;
        }
        self.found.push(Fragment::Text(rest.to_owned(), 1.0));
    }
}

/// What stands before and after the first `BREAK` that is a word of its own.
fn parted(run: &str) -> Option<(&str, &str)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    run.match_indices(BREAK).find_map(|(at, _)| {
        let (before, after) = (&run[..at], &run[at + BREAK.len()..]);
        let alone = !before.ends_with(is_word) && !after.starts_with(is_word);
        alone.then(|| (before.trim_end(), after.trim_start()))
    })
}

/// A number and the bracket that ends it, and how long both are: `1.3)`, ` 0.5 )`.
fn stated(text: &str) -> Option<(f64, usize)> {
    let (number, _) = text.split_once(')')?;
    let digits = number.trim();
    let is_number = digits
        .chars()
        .enumerate()
        .all(|(at, c)| c.is_ascii_digit() || c == '.' || (at == 0 && (c == '+' || c == '-')));
    let weight: f64 = digits.parse().ok().filter(|_| is_number)?;
    Some((weight, number.len() + 1))
}

fn strengthen(found: &mut [Fragment], from: usize, by: f64) {
    for fragment in found.iter_mut().skip(from) {
        if let Fragment::Text(_, weight) = fragment {
            *weight *= by;
        }
    }
}

/// Neighbours of one weight as one, without empty ones.
fn merged(found: Vec<Fragment>) -> Vec<Fragment> {
    let mut merged: Vec<Fragment> = Vec::new();
    for fragment in found {
        match (merged.last_mut(), &fragment) {
            (_, Fragment::Text(text, _)) if text.is_empty() => {}
            (Some(Fragment::Text(before, a)), Fragment::Text(text, b)) if *a == *b => {
                before.push_str(text);
            }
            _ => merged.push(fragment),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::{Fragment, fragments};

    /// Text and weights, `BREAK` as a text of weight -1.
    fn read(prompt: &str) -> Vec<(String, f64)> {
        let pair = |fragment| match fragment {
            Fragment::Text(text, weight) => (text, weight),
            Fragment::Break => ("BREAK".to_owned(), -1.0),
        };
        fragments(prompt).into_iter().map(pair).collect()
    }

    #[track_caller]
    fn reads(prompt: &str, want: &[(&str, f64)]) {
        let got = read(prompt);
        let texts: Vec<&str> = got.iter().map(|(text, _)| text.as_str()).collect();
        let wanted: Vec<&str> = want.iter().map(|(text, _)| *text).collect();
        assert_eq!(texts, wanted, "{prompt}");
        for ((text, got), (_, want)) in got.iter().zip(want) {
            assert!(
                (got - want).abs() < 1e-12,
                "{prompt}, {text}: {got}, not {want}"
            );
        }
    }

    /// The cases by which AUTOMATIC1111 documents its own reader.
    #[test]
    fn the_documented_cases() {
        reads("normal text", &[("normal text", 1.0)]);
        reads(
            "an (important) word",
            &[("an ", 1.0), ("important", 1.1), (" word", 1.0)],
        );
        reads("(unbalanced", &[("unbalanced", 1.1)]);
        reads("\\(literal\\]", &[("(literal]", 1.0)]);
        reads("(unnecessary)(parens)", &[("unnecessaryparens", 1.1)]);
        reads(
            "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
            &[
                ("a ", 1.0),
                ("house", 1.573),
                (" ", 1.1),
                ("on", 1.0),
                (" a ", 1.1),
                ("hill", 0.55),
                (", sun, ", 1.1),
                ("sky", 1.4641),
                (".", 1.1),
            ],
        );
    }

    #[test]
    fn brackets_that_are_none_mean_themselves() {
        reads("a) b]", &[("a) b]", 1.0)]);
        reads("ratio 16:9", &[("ratio 16:9", 1.0)]);
        reads("a:1.3) b", &[("a:1.3) b", 1.0)]);
        reads("(a:1.2.3)", &[("a:1.2.3", 1.1)]);
        reads("(a:)", &[("a:", 1.1)]);
        reads("a \\b", &[("a b", 1.0)]);
        reads("", &[]);
        reads("()", &[]);
    }

    #[test]
    fn a_weight_may_be_0_or_negative_or_stand_apart() {
        reads("(a: 0.5 ) b", &[("a", 0.5), (" b", 1.0)]);
        reads("(a:-1)", &[("a", -1.0)]);
        reads("(a:0)", &[("a", 0.0)]);
    }

    #[test]
    fn a_break_is_a_word_of_its_own() {
        reads(
            "red BREAK blue",
            &[("red", 1.0), ("BREAK", -1.0), ("blue", 1.0)],
        );
        reads("BREAKFAST", &[("BREAKFAST", 1.0)]);
        reads("(a BREAK b:2)", &[("a", 2.0), ("BREAK", -1.0), ("b", 2.0)]);
    }

    #[test]
    fn ten_thousand_brackets() {
        let deep = "(".repeat(10_000) + "a" + &")".repeat(10_000);
        let got = read(&deep);
        assert_eq!(got.len(), 1);
        assert!(got[0].1.is_infinite());
    }
}
