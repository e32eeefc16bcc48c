//! Numbers and layers as people write them.

use crate::plan::{Number, Plan};

/// A number in its shortest form, with no more than 12 digits: `7.5`, `10`, `inf`, `1e-8`.
pub fn number(value: f64) -> String {
    digits(value, 12)
}

/// How many of something: `1 row`, `3 rows`.
pub fn counted(count: usize, what: &str) -> String {
    let many = if count == 1 { "" } else { "s" };
    format!("{count} {what}{many}")
}

/// A number with at most so many significant digits.
pub fn digits(value: f64, most: usize) -> String {
    if value.is_nan() {
        return "nan".to_string();
    }
    if value.is_infinite() {
        return if value > 0.0 {
            "inf".to_string()
        } else {
            "-inf".to_string()
        };
    }
    if value == 0.0 {
        return "0".to_string();
    }
    let rounded = format!("{value:.*e}", most.saturating_sub(1))
        .parse()
        .unwrap_or(value);
    let size = f64::abs(rounded);
    if (1e-5..1e15).contains(&size) {
        format!("{rounded}")
    } else {
        format!("{rounded:e}")
    }
}

/// Whether the text of a number is a sum, which a factor before it would have to bracket.
pub fn is_sum(text: &str) -> bool {
    let mut depth = 0;
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            ' ' if depth == 0 => {
                let rest = text.get(at..).unwrap_or("");
                if rest.starts_with(" + ") || rest.starts_with(" - ") {
                    return true;
                }
            }
            _ => {}
        }
    }
    false
}

/// The values of a number over the ticks of a segment: `0, 0.1 … 1.9`.
pub fn table(number: &Number) -> String {
    let short = |v: &f64| digits(*v, 6);
    match number.values.as_slice() {
        [] => String::new(),
        [a] => short(a),
        [a, b] => format!("{}, {}", short(a), short(b)),
        [a, b, c] => format!("{}, {}, {}", short(a), short(b), short(c)),
        [a, b, .., z] => format!("{}, {} … {}", short(a), short(b), short(z)),
    }
}

/// A number of bytes: `64 KiB`, `8 bytes`.
pub fn bytes(count: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    for (size, name) in UNITS {
        if count >= size {
            return format!("{} {name}", digits(count as f64 / size as f64, 4));
        }
    }
    if count == 1 {
        "1 byte".to_string()
    } else {
        format!("{count} bytes")
    }
}

/// What a tick is called: an objective takes turns.
pub fn step(plan: &Plan) -> &'static str {
    match plan.head.objective {
        Some(_) => "turn",
        None => "step",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let all = [
            7.5,
            10.0,
            0.1 + 0.2,
            1e-8,
            f64::INFINITY,
            -0.0,
            1.0 / 3.0,
            1e20,
        ];
        let texts: Vec<String> = all.iter().map(|v| number(*v)).collect();
        let expected = [
            "7.5",
            "10",
            "0.3",
            "1e-8",
            "inf",
            "0",
            "0.333333333333",
            "1e20",
        ];
        assert_eq!(texts, expected);
        assert_eq!(bytes(65536), "64 KiB");
        assert_eq!(bytes(8), "8 bytes");
    }
}
