//! Numbers as people read them.

/// About four digits, without zeros that say nothing.
pub fn short(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        return "0".to_owned();
    }
    if !(1e-4..1e6).contains(&size) {
        return format!("{value:.2e}");
    }
    let digits = size.log10().floor() as i32;
    let decimals = (3 - digits).clamp(0, 7) as usize;
    trimmed(format!("{value:.decimals$}"))
}

/// Zeros after the point are left out.
fn trimmed(number: String) -> String {
    if !number.contains('.') {
        return number;
    }
    let number = number.trim_end_matches('0').trim_end_matches('.');
    match number {
        "-0" => "0".to_owned(),
        _ => number.to_owned(),
    }
}

/// A unit of time: its name, and how many of it a second has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unit(pub &'static str, pub f64);

/// The unit in which a time of that many seconds is read.
pub fn unit(seconds: f64) -> Unit {
    match seconds.abs() {
        size if size >= 1.0 => Unit("s", 1.0),
        size if size >= 1e-3 => Unit("ms", 1e3),
        _ => Unit("µs", 1e6),
    }
}

/// A time with its unit.
pub fn time(seconds: f64) -> String {
    let Unit(name, a_second) = unit(seconds);
    format!("{} {name}", short(seconds * a_second))
}

/// The marks of an axis from `least` to `most`: round numbers, at most about `count`.
pub fn marks(least: f64, most: f64, count: usize) -> Vec<f64> {
    let rough = (most - least) / count.max(1) as f64;
    if rough <= 0.0 || !rough.is_finite() {
        return vec![least];
    }
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|factor| factor * power)
        .into_iter()
        .find(|step| *step >= rough * (1.0 - 1e-9))
        .unwrap_or(10.0 * power);
    let (first, last) = ((least / step - 1e-6).ceil(), (most / step + 1e-6).floor());
    let turns = (last - first).max(0.0) as usize;
    (0..=turns)
        .map(|turn| (first + turn as f64) * step)
        .collect()
}

/// Marks with as many decimals as tell them apart.
pub fn mark_texts(marks: &[f64]) -> Vec<String> {
    let step = marks.windows(2).map(|pair| pair[1] - pair[0]).next();
    let Some(step) = step.filter(|step| *step > 0.0) else {
        return marks.iter().map(|mark| short(*mark)).collect();
    };
    let largest = marks
        .iter()
        .fold(0.0, |most: f64, mark| most.max(mark.abs()));
    if !(1e-4..1e6).contains(&largest) {
        return marks.iter().map(|mark| short(*mark)).collect();
    }
    let decimals = (-step.log10() - 1e-9).ceil().clamp(0.0, 9.0) as usize;
    let text = |mark: &f64| {
        let text = format!("{mark:.decimals$}");
        if text
            .trim_start_matches('-')
            .chars()
            .all(|c| matches!(c, '0' | '.'))
        {
            return text.trim_start_matches('-').to_owned();
        }
        text
    };
    marks.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_about_four_digits() {
        let wanted = [
            (0.0, "0"),
            (7.5, "7.5"),
            (31.916, "31.92"),
            (0.99917, "0.9992"),
            (-0.5, "-0.5"),
            (123_456.7, "123457"),
            (1e9, "1.00e9"),
            (0.000_012, "1.20e-5"),
            (100.0, "100"),
        ];
        for (value, text) in wanted {
            assert_eq!(short(value), text);
        }
        assert_eq!(time(0.0719), "71.9 ms");
        assert_eq!(time(0.000_058), "58 µs");
        assert_eq!(time(0.0), "0 µs");
    }

    #[test]
    fn marks_are_round_and_inside() {
        assert_eq!(marks(0.0, 10.0, 5), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(mark_texts(&marks(0.991, 1.0, 4)), ["0.995", "1.000"]);
        assert_eq!(
            mark_texts(&marks(-1.0, 1.0, 4)),
            ["-1.0", "-0.5", "0.0", "0.5", "1.0"]
        );
        assert_eq!(mark_texts(&marks(5.0, 5.0, 4)), ["5"]);
    }
}
