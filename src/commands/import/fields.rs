//! Values of a file, as the language spells them.

use guide_compiler::diagnostics::Diagnostic;
use serde_json::Value;

use super::refused;

/// The most layers that a list may name.
const MOST_LAYERS: usize = 100;

/// The most characters of a foreign text that a comment or message shows.
const MOST_SHOWN: usize = 160;

/// A number, as the language spells it.
pub fn spelled(number: f64) -> String {
    if number == f64::INFINITY {
        return "inf".to_owned();
    }
    if number.fract() == 0.0 && number.abs() < 1e15 {
        return format!("{number:.0}");
    }
    format!("{number:?}")
}

/// What stands in `value`, called `name` in messages, if it is a number.
///
/// # Errors
/// That it is something else.
pub fn number(name: &str, value: &Value) -> Result<f64, Diagnostic> {
    value
        .as_f64()
        .filter(|number| number.is_finite())
        .ok_or_else(|| unfit(name, "a number", value))
}

/// As [`number`], for `true` and `false`.
///
/// # Errors
/// That it is something else.
pub fn truth(name: &str, value: &Value) -> Result<bool, Diagnostic> {
    value
        .as_bool()
        .ok_or_else(|| unfit(name, "true or false", value))
}

/// As [`number`], for a text.
///
/// # Errors
/// That it is something else.
pub fn text<'a>(name: &str, value: &'a Value) -> Result<&'a str, Diagnostic> {
    value.as_str().ok_or_else(|| unfit(name, "a text", value))
}

/// A value of the wrong kind.
pub fn unfit(name: &str, wanted: &str, value: &Value) -> Diagnostic {
    let found = shown(&value.to_string());
    refused(format!("`{name}` must be {wanted}, and it is `{found}`"))
}

/// A field that is not there.
pub fn missing(place: &str, name: &str) -> Diagnostic {
    refused(format!("{place} has no `{name}`"))
}

/// Layers by number: one whole number or a list of them.
///
/// # Errors
/// That it is something else, empty or too long.
pub fn layers(name: &str, value: &Value) -> Result<Vec<u64>, Diagnostic> {
    let wanted = "one or several numbers of layers";
    let all = match value {
        Value::Array(all) => all.as_slice(),
        one => std::slice::from_ref(one),
    };
    let numbers: Option<Vec<u64>> = all.iter().map(Value::as_u64).collect();
    let mut numbers = numbers.ok_or_else(|| unfit(name, wanted, value))?;
    numbers.sort_unstable();
    numbers.dedup();
    if numbers.is_empty() || numbers.len() > MOST_LAYERS || numbers.iter().any(|n| *n > 9999) {
        return Err(unfit(name, wanted, value));
    }
    Ok(numbers)
}

/// Layers as the language spells them.
pub fn spelled_layers(numbers: &[u64]) -> String {
    let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
    format!("[{}]", numbers.join(", "))
}

/// A foreign text for one line: without characters that break it, and not too long.
pub fn shown(text: &str) -> String {
    let plain = |c: char| {
        let breaks = c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
        if breaks { ' ' } else { c }
    };
    let mut line: String = text.chars().take(MOST_SHOWN).map(plain).collect();
    if text.chars().nth(MOST_SHOWN).is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spelled_as_the_language_reads_them() {
        let spelled: Vec<String> = [7.0, 7.5, -0.5, 1e-7, 1e300, f64::INFINITY, 9_999_999.0]
            .map(spelled)
            .into();
        let wanted = ["7", "7.5", "-0.5", "1e-7", "1e300", "inf", "9999999"];
        assert_eq!(spelled, wanted);
    }

    #[test]
    fn foreign_texts_stay_on_one_line() {
        assert_eq!(shown("a\nb\r\u{2028}c"), "a b  c");
        assert_eq!(shown(&"x".repeat(1000)).chars().count(), MOST_SHOWN + 1);
    }

    #[test]
    fn layers_are_whole_numbers_once_each() {
        let of = |text: &str| layers("l", &serde_json::from_str(text).expect("JSON"));
        assert_eq!(of("7").ok(), Some(vec![7]));
        assert_eq!(of("[9, 7, 9]").ok(), Some(vec![7, 9]));
        for wrong in ["[]", "-1", "1.5", "\"7\"", "[7, null]", "10000"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
