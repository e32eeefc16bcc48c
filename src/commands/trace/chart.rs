//! A chart: one group of quantities over the steps.

use std::fmt::Write;

use super::drawing::escaped;
use super::number::{Unit, mark_texts, marks, short, unit};
use super::quantity::{Form, Group, Point, Quantity, Tick};
use super::table::cut;

/// The width of a chart with its labels.
pub const WIDTH: f64 = 460.0;

/// What stands left of the axis: its marks and what they are of.
const LEFT: f64 = 68.0;
const PLOT: f64 = WIDTH - LEFT - 8.0;
const HEIGHT: f64 = 150.0;

/// A line of the legend, and about how wide a letter of it is.
const LEGEND: f64 = 17.0;
const LETTER: f64 = 6.2;

/// The longest name in the legend.
const MOST_LETTERS: usize = 48;

/// Curves of a trace with more ticks have no dots.
const MOST_DOTS: usize = 120;

/// Colours; those that follow have other strokes.
const COLOURS: usize = 6;
const DASHES: [&str; 3] = ["", "6 3", "2 3"];

/// Where a chart begins.
#[derive(Clone, Copy)]
pub struct Frame {
    pub left: f64,
    pub top: f64,
}

/// Draws a group; gives its lower edge.
pub fn draw(group: &Group, ticks: &[Tick], frame: Frame, out: &mut String) -> f64 {
    let drawn = scaled(group);
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "<text class=\"name\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
        frame.left,
        frame.top + 12.0,
        escaped(&group.title)
    );
    let mut top = frame.top + 24.0;
    if group.members.len() > 1 {
        top += legend(group, frame.left + LEFT, top, out);
    }
    let plot = Plot {
        left: frame.left + LEFT,
        top,
        range: drawn.range,
        ticks: ticks.len(),
    };
    plot.axes(ticks, &drawn.axis, out);
    match group.form {
        Form::Stack => plot.stack(group, ticks, out),
        Form::Lines | Form::Time => {
            for (index, member) in group.members.iter().enumerate() {
                plot.curve(member, index, ticks, drawn.unit, out);
            }
        }
    }
    top + HEIGHT + 34.0
}

/// How a group's values stand on the axis.
struct Scaled {
    axis: String,
    range: (f64, f64),
    unit: Unit,
}

fn scaled(group: &Group) -> Scaled {
    let ends = |of: fn(&Quantity) -> Option<f64>, pick: fn(f64, f64) -> f64| {
        let all = group.members.iter().filter_map(of);
        all.reduce(pick).unwrap_or(0.0)
    };
    let (least, most) = (
        ends(Quantity::least, f64::min),
        ends(Quantity::most, f64::max),
    );
    match group.form {
        Form::Lines => Scaled {
            axis: group.axis.to_owned(),
            range: roomy(least, most),
            unit: Unit("", 1.0),
        },
        Form::Time => {
            let unit = unit(most);
            Scaled {
                axis: unit.0.to_owned(),
                range: (0.0, filled(most * unit.1)),
                unit,
            }
        }
        Form::Stack => {
            let ticks = group
                .members
                .first()
                .map_or(0, |member| member.points.len());
            let height = |tick: usize| -> f64 {
                let at = |member: &Quantity| member.points.get(tick).copied().flatten();
                let here = group.members.iter().filter_map(at);
                here.map(|point| point.mean).sum()
            };
            let highest = (0..ticks).map(height).fold(0.0, f64::max);
            Scaled {
                axis: group.axis.to_owned(),
                range: (0.0, filled(highest)),
                unit: Unit("", 1.0),
            }
        }
    }
}

/// The end of an axis from 0.
fn filled(most: f64) -> f64 {
    if most > 0.0 { most * 1.05 } else { 1.0 }
}

/// A range with a little room around it; around what reads as one number, more.
fn roomy(least: f64, most: f64) -> (f64, f64) {
    let room = if short(least) == short(most) {
        (least.abs().max(most.abs()) * 0.1).max(1e-6)
    } else {
        (most - least) * 0.06
    };
    (least - room, most + room)
}

/// The colours' names, one under the other where they do not fit beside; gives the height.
fn legend(group: &Group, left: f64, top: f64, out: &mut String) -> f64 {
    let (mut x, mut y) = (left, top + 6.0);
    for (index, member) in group.members.iter().enumerate() {
        let name = cut(&member.short, MOST_LETTERS);
        let width = 30.0 + name.chars().count() as f64 * LETTER + 14.0;
        if x > left && x + width > left + PLOT {
            (x, y) = (left, y + LEGEND);
        }
        let colour = index % COLOURS;
        let _ = match group.form {
            Form::Stack => writeln!(
                out,
                "<rect class=\"f{colour}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"12\" height=\"9\"/>",
                y - 8.0
            ),
            Form::Lines | Form::Time => writeln!(
                out,
                "<path class=\"line c{colour}\"{} d=\"M{x:.1} {:.1}h22\"/>",
                dashes(index),
                y - 4.0
            ),
        };
        let indent = if group.form == Form::Stack {
            17.0
        } else {
            28.0
        };
        let _ = writeln!(
            out,
            "<text class=\"key\" x=\"{:.1}\" y=\"{y:.1}\">{}</text>",
            x + indent,
            escaped(&name)
        );
        x += width;
    }
    y - top + LEGEND - 6.0
}

fn dashes(index: usize) -> String {
    match DASHES.get(index / COLOURS % DASHES.len()) {
        Some(dashes) if !dashes.is_empty() => format!(" stroke-dasharray=\"{dashes}\""),
        _ => String::new(),
    }
}

/// The room of the curves.
struct Plot {
    left: f64,
    top: f64,
    range: (f64, f64),
    ticks: usize,
}

impl Plot {
    /// The middle of a tick.
    fn x(&self, tick: usize) -> f64 {
        self.left + (tick as f64 + 0.5) * self.slot()
    }

    fn slot(&self) -> f64 {
        PLOT / self.ticks.max(1) as f64
    }

    fn y(&self, value: f64) -> f64 {
        let (least, most) = self.range;
        self.top + HEIGHT * (1.0 - (value - least) / (most - least))
    }

    fn axes(&self, ticks: &[Tick], axis: &str, out: &mut String) {
        let (right, bottom) = (self.left + PLOT, self.top + HEIGHT);
        let values = marks(self.range.0, self.range.1, 5);
        for (value, text) in values.iter().zip(mark_texts(&values)) {
            let y = self.y(*value);
            let _ = writeln!(
                out,
                "<path class=\"grid\" d=\"M{:.1} {y:.1}H{right:.1}\"/>\
                 <text text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">{text}</text>",
                self.left,
                self.left - 6.0,
                y + 4.0
            );
        }
        let _ = writeln!(
            out,
            "<path class=\"axis\" d=\"M{:.1} {bottom:.1}H{right:.1}\"/>",
            self.left
        );
        for (at, step) in step_marks(ticks) {
            let x = self.x(at);
            let _ = writeln!(
                out,
                "<path class=\"axis\" d=\"M{x:.1} {bottom:.1}v4\"/>\
                 <text text-anchor=\"middle\" x=\"{x:.1}\" y=\"{:.1}\">{step}</text>",
                bottom + 16.0
            );
        }
        let _ = writeln!(
            out,
            "<text text-anchor=\"middle\" x=\"{:.1}\" y=\"{:.1}\">step</text>",
            self.left + PLOT / 2.0,
            bottom + 31.0
        );
        let (x, y) = (self.left - 57.0, self.top + HEIGHT / 2.0);
        let _ = writeln!(
            out,
            "<text text-anchor=\"middle\" transform=\"translate({x:.1} {y:.1})rotate(-90)\">{}</text>",
            escaped(axis)
        );
    }

    /// A line with a gap where there is nothing, and with several samples a band behind it.
    fn curve(&self, member: &Quantity, index: usize, ticks: &[Tick], unit: Unit, out: &mut String) {
        let colour = index % COLOURS;
        for run in runs(&member.points) {
            let is_wide = run
                .iter()
                .any(|(_, point)| short(point.least) != short(point.most));
            if is_wide {
                let there = run
                    .iter()
                    .map(|(at, p)| (self.x(*at), self.y(p.most * unit.1)));
                let back = run.iter().rev();
                let back = back.map(|(at, p)| (self.x(*at), self.y(p.least * unit.1)));
                let path = path(there.chain(back));
                let _ = writeln!(out, "<path class=\"band f{colour}\" d=\"{path}z\"/>");
            }
            let line = path(
                run.iter()
                    .map(|(at, p)| (self.x(*at), self.y(p.mean * unit.1))),
            );
            let _ = writeln!(
                out,
                "<path class=\"line c{colour}\"{} d=\"{line}\"/>",
                dashes(index)
            );
            for (at, point) in &run {
                if self.ticks > MOST_DOTS && run.len() > 1 {
                    break;
                }
                let (x, y) = (self.x(*at), self.y(point.mean * unit.1));
                let said = self.said(member, ticks.get(*at), point.mean * unit.1, unit);
                let _ = writeln!(
                    out,
                    "<circle class=\"f{colour}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2\"><title>{said}</title></circle>"
                );
            }
        }
    }

    /// A bar for each tick, a part for each member.
    fn stack(&self, group: &Group, ticks: &[Tick], out: &mut String) {
        let slot = self.slot();
        let width = if slot > 3.0 {
            slot - (slot * 0.2).min(4.0)
        } else {
            slot
        };
        for tick in 0..self.ticks {
            let mut below = 0.0;
            for (index, member) in group.members.iter().enumerate() {
                let Some(point) = member.points.get(tick).copied().flatten() else {
                    continue;
                };
                if point.mean <= 0.0 {
                    continue;
                }
                let (top, bottom) = (self.y(below + point.mean), self.y(below));
                below += point.mean;
                let said = self.said(member, ticks.get(tick), point.mean, Unit("", 1.0));
                let _ = writeln!(
                    out,
                    "<rect class=\"f{}\" x=\"{:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{:.1}\"><title>{said}</title></rect>",
                    index % COLOURS,
                    self.x(tick) - width / 2.0,
                    bottom - top
                );
            }
        }
    }

    /// What stands beside the pointer.
    fn said(&self, member: &Quantity, tick: Option<&Tick>, value: f64, unit: Unit) -> String {
        let step = match tick {
            Some(Tick {
                step, substep: 0, ..
            }) => format!("step {step}"),
            Some(Tick { step, substep, .. }) => format!("step {step}, evaluation {}", substep + 1),
            None => String::new(),
        };
        let value = short(value);
        let said = format!("{}, {step}: {value} {}", member.name, unit.0);
        escaped(said.trim_end())
    }
}

/// Stretches without a gap, each point with its tick.
fn runs(points: &[Option<Point>]) -> Vec<Vec<(usize, Point)>> {
    let mut found: Vec<Vec<(usize, Point)>> = Vec::new();
    let mut goes_on = false;
    for (at, point) in points.iter().enumerate() {
        match point {
            Some(point) if goes_on => found
                .last_mut()
                .into_iter()
                .for_each(|run| run.push((at, *point))),
            Some(point) => found.push(vec![(at, *point)]),
            None => {}
        }
        goes_on = point.is_some();
    }
    found
}

fn path(places: impl Iterator<Item = (f64, f64)>) -> String {
    let mut out = String::new();
    for (x, y) in places {
        let letter = if out.is_empty() { 'M' } else { 'L' };
        let _ = write!(out, "{letter}{x:.1} {y:.1}");
    }
    out
}

/// The ticks that have a mark below: the first of every so many steps.
fn step_marks(ticks: &[Tick]) -> Vec<(usize, u64)> {
    let (Some(first), Some(last)) = (ticks.first(), ticks.last()) else {
        return Vec::new();
    };
    let wanted: Vec<u64> = marks(first.step as f64, last.step as f64, 10)
        .into_iter()
        .filter(|mark| mark.fract() == 0.0)
        .map(|mark| mark as u64)
        .collect();
    let of = |step: u64| {
        let at = ticks.iter().position(|tick| tick.step == step)?;
        Some((at, step))
    };
    wanted.into_iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_part_a_curve() {
        let point = Some(Point {
            mean: 1.0,
            least: 1.0,
            most: 1.0,
        });
        let parts = runs(&[None, point, point, None, point]);
        let places: Vec<Vec<usize>> = parts
            .iter()
            .map(|run| run.iter().map(|(at, _)| *at).collect())
            .collect();
        assert_eq!(places, [vec![1, 2], vec![4]]);
    }

    #[test]
    fn steps_are_marked_where_they_begin() {
        let tick = |tick: u64| Tick {
            tick,
            step: tick / 2,
            substep: tick % 2,
        };
        let ticks: Vec<Tick> = (0..8).map(tick).collect();
        assert_eq!(step_marks(&ticks), [(0, 0), (2, 1), (4, 2), (6, 3)]);
    }
}
