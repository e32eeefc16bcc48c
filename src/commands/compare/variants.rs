//! What is compared: rules with settings, or one rule with the values of its parameters.

use crate::args::{Compare, Source, Sweep};
use crate::exit::{Failure, Result};

/// One of the things that are compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// What it is called.
    pub label: String,
    /// Which guide.
    pub file: String,
    pub guide: Option<String>,
    /// What is set beside what is set for all.
    pub set: Vec<(String, String)>,
    /// Its place in a grid: column and row. Where there is one row, seeds make the rows.
    pub place: (usize, usize),
}

/// All of them, and how they lie.
#[derive(Clone, Debug, PartialEq)]
pub struct Variants {
    pub list: Vec<Variant>,
    /// Above the columns.
    pub columns: Vec<String>,
    /// Before the rows; empty where seeds make the rows.
    pub rows: Vec<String>,
}

/// The rules of `compare`.
pub fn of_rules(args: &Compare) -> Result<Variants> {
    let mut list: Vec<Variant> = Vec::new();
    for (column, text) in args.rules.iter().enumerate() {
        let (file, set) = rule(text)?;
        let name = named(&file);
        let settings: String = set
            .iter()
            .map(|(name, value)| format!(" {name}={value}"))
            .collect();
        let label = unique(&list, &format!("{name}{settings}"));
        list.push(Variant {
            label,
            file,
            guide: None,
            set,
            place: (column, 0),
        });
    }
    Ok(Variants {
        columns: list.iter().map(|v| v.label.clone()).collect(),
        list,
        rows: Vec::new(),
    })
}

/// The values of `sweep`.
pub fn of_values(args: &Sweep) -> Result<Variants> {
    let params = args.params.iter().map(|text| param(text));
    let params: Vec<Param> = params.collect::<Result<_>>()?;
    let Source { file, guide, .. } = &args.source;
    let variant = |set: Vec<(String, String)>, place| {
        let words: Vec<String> = set
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        Variant {
            label: words.join(" "),
            file: file.clone(),
            guide: guide.clone(),
            set,
            place,
        }
    };
    match params.as_slice() {
        [(name, values)] => Ok(Variants {
            list: values
                .iter()
                .enumerate()
                .map(|(at, value)| variant(vec![(name.clone(), value.clone())], (at, 0)))
                .collect(),
            columns: values
                .iter()
                .map(|value| format!("{name}={value}"))
                .collect(),
            rows: Vec::new(),
        }),
        [(first, across), (second, down)] if first != second => {
            let mut list = Vec::new();
            for (row, below) in down.iter().enumerate() {
                for (column, beside) in across.iter().enumerate() {
                    let set = [(first, beside), (second, below)];
                    let set = set.map(|(name, value)| (name.clone(), value.clone()));
                    list.push(variant(set.to_vec(), (column, row)));
                }
            }
            Ok(Variants {
                list,
                columns: across
                    .iter()
                    .map(|value| format!("{first}={value}"))
                    .collect(),
                rows: down
                    .iter()
                    .map(|value| format!("{second}={value}"))
                    .collect(),
            })
        }
        [_, _] => Err(Failure::Usage(
            "--param names the same parameter twice".to_owned(),
        )),
        _ => Err(Failure::Usage("--param is given once or twice".to_owned())),
    }
}

/// `FILE`, or `FILE,NAME=EXPR,…`. A comma belongs to an expression unless a new setting begins after it.
fn rule(text: &str) -> Result<(String, Vec<(String, String)>)> {
    let mut parts = text.split(',');
    let file = parts.next().unwrap_or_default().to_owned();
    let mut set: Vec<(String, String)> = Vec::new();
    for part in parts {
        let is_name = |name: &str| {
            let mut letters = name.trim().chars();
            letters
                .next()
                .is_some_and(|c| c.is_alphabetic() || c == '_')
                && letters.all(|c| c.is_alphanumeric() || c == '_')
        };
        match (part.split_once('='), set.last_mut()) {
            (Some((name, value)), _) if is_name(name) && !value.starts_with('=') => {
                set.push((name.trim().to_owned(), value.trim().to_owned()));
            }
            (_, Some((_, value))) => value.push_str(&format!(",{part}")),
            (_, None) => {
                let sentence = format!("'{text}': write settings as FILE,NAME=VALUE");
                return Err(Failure::Usage(sentence));
            }
        }
    }
    if file.is_empty() {
        return Err(Failure::Usage(format!("'{text}' names no file")));
    }
    Ok((file, set))
}

/// What a file is called in a report.
fn named(file: &str) -> String {
    let last = file.rsplit(['/', ':']).next().unwrap_or(file);
    last.strip_suffix(".guide").unwrap_or(last).to_owned()
}

fn unique(list: &[Variant], label: &str) -> String {
    let free = |label: &str| list.iter().all(|variant| variant.label != label);
    let numbered = (2u32..).map(|n| format!("{label} #{n}"));
    let mut labels = std::iter::once(label.to_owned()).chain(numbered);
    labels.find(|label| free(label)).unwrap_or_default()
}

/// A parameter and its values.
type Param = (String, Vec<String>);

/// The most values of a parameter: more pictures than anybody looks at.
const MOST_VALUES: usize = 256;

fn param(text: &str) -> Result<Param> {
    let wrong = |why: &str| Failure::Usage(format!("--param {text}: {why}"));
    let (name, values) = text
        .split_once('=')
        .filter(|(name, values)| !name.trim().is_empty() && !values.trim().is_empty())
        .ok_or_else(|| wrong("write NAME=FROM:TO:COUNT or NAME=VALUE,VALUE,…"))?;
    let name = name.trim().to_owned();
    let parts: Vec<&str> = values.split(':').map(str::trim).collect();
    let values = match parts.as_slice() {
        [list] => list
            .split(',')
            .map(|value| value.trim().to_owned())
            .collect(),
        [from, to, count] => {
            let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
            let both = number(from).zip(number(to));
            let (from, to) = both.ok_or_else(|| wrong("FROM and TO are numbers"))?;
            let count = count
                .parse::<usize>()
                .ok()
                .filter(|n| (2..=MOST_VALUES).contains(n));
            let count = count.ok_or_else(|| wrong("COUNT is a whole number from 2 to 256"))?;
            let at = |i: usize| from + (to - from) * i as f64 / (count - 1) as f64;
            // As many digits as a person would write.
            let rounded = |value: f64| (value * 1e6).round() / 1e6;
            (0..count).map(|i| rounded(at(i)).to_string()).collect()
        }
        _ => return Err(wrong("write NAME=FROM:TO:COUNT, as in scale=1:15:8")),
    };
    let values: Vec<String> = values;
    if values.iter().any(String::is_empty) || values.len() > MOST_VALUES {
        return Err(wrong("a list has from 1 to 256 values, and none is empty"));
    }
    if let Some(twice) = values
        .iter()
        .enumerate()
        .find(|(at, v)| values[..*at].contains(v))
    {
        return Err(wrong(&format!("the value {} stands twice", twice.1)));
    }
    Ok((name, values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_evenly_spread_or_listed() {
        let values = |text: &str| param(text).map(|(_, values)| values).ok();
        let all = |list: &[&str]| Some(list.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>());
        assert_eq!(
            values("scale=1:15:8"),
            all(&["1", "3", "5", "7", "9", "11", "13", "15"])
        );
        assert_eq!(
            values("eta=0:1:4"),
            all(&["0", "0.333333", "0.666667", "1"])
        );
        assert_eq!(values("scale=3:-1:2"), all(&["3", "-1"]));
        assert_eq!(values("shape=linear, cosine"), all(&["linear", "cosine"]));
        for wrong in [
            "scale",
            "scale=",
            "scale=1:2",
            "scale=1:2:1",
            "scale=a:2:3",
            "scale=1,,2",
            "scale=1,1",
            "s=1:2:999",
        ] {
            assert_eq!(values(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn settings_follow_a_rule() {
        let (file, set) = rule("std::rules::apg,scale=max(1, 2),eta=1").expect("a rule");
        assert_eq!(file, "std::rules::apg");
        let wanted = [("scale", "max(1, 2)"), ("eta", "1")];
        assert_eq!(set, wanted.map(|(n, v)| (n.to_owned(), v.to_owned())));
        assert!(rule("cfg.guide,scale").is_err() && rule(",scale=1").is_err());
        assert_eq!(named("std::rules::apg"), "apg");
        assert_eq!(named("rules/my.guide"), "my");
    }
}
