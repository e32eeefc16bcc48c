//! A trace as a table in the terminal, a curve in each line, or as an object for programs.

use serde_json::{Value, json};

use super::file::Trace;
use super::number::{short, time};
use super::quantity::{Form, Point, Quantities, Quantity, plain};
use crate::ui::{Tone, Ui};

/// The marks of a curve, from low to high.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The most marks of a curve: a line of the table stays within 80 columns.
const MOST_MARKS: usize = 30;

/// The longest name of a quantity.
const MOST_LETTERS: usize = 25;

/// For people.
pub fn text(trace: &Trace, all: &Quantities, only: Option<usize>, ui: Ui) -> String {
    let ticks = all.ticks.len();
    let together = ticks.div_ceil(MOST_MARKS).max(1);
    let over = over(all, together);
    let curve = over.chars().count().max(ticks.div_ceil(together));
    let members = || all.groups.iter().flat_map(|group| &group.members);
    let names = members().map(|quantity| quantity.name.chars().count());
    let longest = names.max().unwrap_or(0).min(MOST_LETTERS);
    let mut out = format!("{}\n", about(trace, only));
    if let Some(settings) = settings(trace) {
        out.push_str(&format!("{settings}\n"));
    }
    out.push_str(&format!(
        "\n{:longest$}  {over:curve$}  {:>8}  {:>8}  {:>8}\n",
        "", "least", "most", "last"
    ));
    for group in &all.groups {
        let spelled = match group.form {
            Form::Time => time,
            Form::Lines | Form::Stack => short,
        };
        for quantity in &group.members {
            let number = |value: Option<f64>| value.map(spelled).unwrap_or_default();
            let name = cut(&quantity.name, MOST_LETTERS);
            let drawn = marks(quantity, together, spelled);
            // Colours have no width, and so are added after the spaces.
            let room = " ".repeat(curve.saturating_sub(drawn.chars().count()));
            out.push_str(&format!(
                "{name:longest$}  {}{room}  {:>8}  {:>8}  {:>8}\n",
                ui.toned_data(Tone::Place, &drawn),
                number(quantity.least()),
                number(quantity.most()),
                number(quantity.last()),
            ));
        }
    }
    out
}

/// What was run, in a line.
pub fn about(trace: &Trace, only: Option<usize>) -> String {
    let head = &trace.head;
    let samples = match (only, trace.samples()) {
        (Some(sample), all) => format!("sample {sample} of {all}"),
        (None, 1) => "1 sample".to_owned(),
        (None, all) => format!("{all} samples"),
    };
    format!(
        "{} on {}, {}, {} steps, {samples}; {} evaluations, {} in networks, {} in arithmetic",
        plain(&head.guide),
        plain(&head.model),
        plain(&head.sampler),
        head.steps,
        trace.total.evaluations,
        time(trace.total.seconds.network),
        time(trace.total.seconds.arithmetic),
    )
}

/// The settings in a line, where there are any.
pub fn settings(trace: &Trace) -> Option<String> {
    let settings = trace.head.settings.iter();
    let each = settings.map(|(name, value)| format!("{}={}", plain(name), plain(value)));
    let line = each.collect::<Vec<_>>().join(" ");
    (!line.is_empty()).then_some(line)
}

/// What the marks of a curve stand for.
fn over(all: &Quantities, together: usize) -> String {
    let (Some(first), Some(last)) = (all.ticks.first(), all.ticks.last()) else {
        return String::new();
    };
    let mut text = match first.step == last.step {
        true => format!("step {}", first.step),
        false => format!("steps {} to {}", first.step, last.step),
    };
    if together > 1 {
        text.push_str(&format!(", {together} a mark"));
    } else if all.ticks.iter().any(|tick| tick.substep > 0) {
        text.push_str(", each evaluation");
    }
    text
}

/// A mark for so many ticks together. What reads the same is drawn the same.
fn marks(quantity: &Quantity, together: usize, spelled: fn(f64) -> String) -> String {
    let mean = |points: &[Option<Point>]| {
        let known: Vec<f64> = points.iter().flatten().map(|point| point.mean).collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    };
    let means: Vec<Option<f64>> = quantity.points.chunks(together).map(mean).collect();
    let known = || means.iter().flatten().copied();
    let least = known().fold(f64::INFINITY, f64::min);
    let most = known().fold(f64::NEG_INFINITY, f64::max);
    let is_flat = spelled(least) == spelled(most);
    let mark = |value: f64| {
        if is_flat {
            return BLOCKS[3];
        }
        let place = (value - least) / (most - least) * (BLOCKS.len() - 1) as f64;
        BLOCKS.get(place.round() as usize).copied().unwrap_or('█')
    };
    let drawn: String = means.iter().map(|mean| mean.map_or(' ', mark)).collect();
    drawn.trim_end().to_owned()
}

/// A text with at most so many letters.
pub fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// For programs.
pub fn json(trace: &Trace, all: &Quantities, only: Option<usize>) -> String {
    let point = |point: &Option<Point>| match point {
        Some(Point { mean, least, most }) => json!({"mean": mean, "least": least, "most": most}),
        None => Value::Null,
    };
    let quantity = |quantity: &Quantity| {
        json!({
            "name": quantity.key,
            "least": quantity.least(),
            "most": quantity.most(),
            "last": quantity.last(),
            "points": quantity.points.iter().map(point).collect::<Vec<_>>(),
        })
    };
    let members = all.groups.iter().flat_map(|group| &group.members);
    let ticks = all.ticks.iter();
    let ticks = ticks.map(|at| json!({"tick": at.tick, "step": at.step, "substep": at.substep}));
    let object = json!({
        "guide": trace.head.guide,
        "model": trace.head.model,
        "sampler": trace.head.sampler,
        "steps": trace.head.steps,
        "settings": trace.head.settings,
        "samples": trace.samples(),
        "sample": only,
        "evaluations": trace.total.evaluations,
        "seconds": {
            "network": trace.total.seconds.network,
            "arithmetic": trace.total.seconds.arithmetic,
        },
        "ticks": ticks.collect::<Vec<_>>(),
        "quantities": members.map(quantity).collect::<Vec<_>>(),
    });
    format!("{object:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(means: &[Option<f64>], together: usize) -> String {
        let point = |mean: &Option<f64>| {
            mean.map(|mean| Point {
                mean,
                least: mean,
                most: mean,
            })
        };
        let quantity = Quantity {
            key: String::new(),
            name: String::new(),
            short: String::new(),
            points: means.iter().map(point).collect(),
        };
        marks(&quantity, together, short)
    }

    #[test]
    fn a_curve_goes_from_its_least_to_its_most() {
        let rising: Vec<Option<f64>> = (0..8).map(|at| Some(f64::from(at) - 3.0)).collect();
        assert_eq!(curve(&rising, 1), "▁▂▃▄▅▆▇█");
        assert_eq!(curve(&rising, 2), "▁▃▆█");
        assert_eq!(curve(&[Some(1.0), None, Some(2.0), None], 1), "▁ █");
        assert_eq!(curve(&[Some(7.5), Some(7.500_001)], 1), "▄▄");
        assert_eq!(curve(&[None], 1), "");
    }
}
