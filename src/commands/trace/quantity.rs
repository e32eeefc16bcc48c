//! What a trace says, quantity by quantity, each over the ticks.

use std::collections::{BTreeMap, BTreeSet};

use super::file::{Line, Numbers, Trace};

/// All of a trace that can be drawn.
pub struct Quantities {
    /// The ticks, in order.
    pub ticks: Vec<Tick>,
    /// What belongs together in a chart.
    pub groups: Vec<Group>,
}

/// An evaluation of the rule.
pub struct Tick {
    pub tick: u64,
    pub step: u64,
    pub substep: u64,
}

/// Quantities of one kind.
pub struct Group {
    pub title: String,
    /// What its axis shows.
    pub axis: &'static str,
    pub form: Form,
    pub members: Vec<Quantity>,
}

/// How a group is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A line for each member.
    Lines,
    /// As lines, in units of time.
    Time,
    /// Members on top of each other, from 0.
    Stack,
}

/// One quantity.
pub struct Quantity {
    /// As programs call it, after the trace's own fields.
    pub key: String,
    /// As the table calls it.
    pub name: String,
    /// As the legend of its group calls it.
    pub short: String,
    /// What it was in each tick, where it was anything.
    pub points: Vec<Option<Point>>,
}

/// A quantity in a tick, over the samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub mean: f64,
    pub least: f64,
    pub most: f64,
}

impl Point {
    fn of(numbers: &[f64]) -> Option<Self> {
        if numbers.is_empty() {
            return None;
        }
        Some(Self {
            mean: numbers.iter().sum::<f64>() / numbers.len() as f64,
            least: numbers.iter().copied().fold(f64::INFINITY, f64::min),
            most: numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        })
    }
}

impl Quantity {
    /// The least value of any sample in any tick.
    pub fn least(&self) -> Option<f64> {
        let all = self.points.iter().flatten().map(|point| point.least);
        all.min_by(f64::total_cmp)
    }

    /// The most of any sample in any tick.
    pub fn most(&self) -> Option<f64> {
        let all = self.points.iter().flatten().map(|point| point.most);
        all.max_by(f64::total_cmp)
    }

    /// The mean in the last tick that has one.
    pub fn last(&self) -> Option<f64> {
        let last = self.points.iter().flatten().next_back();
        last.map(|point| point.mean)
    }
}

/// A part of the time: its field, its name, and the seconds of a line.
type Part<'a> = (&'a str, &'a str, fn(&Line) -> f64);

/// Lines by their tick.
type Ticks<'a> = BTreeMap<u64, Vec<&'a Line>>;

/// What a trace says about all samples, or about one.
pub fn quantities(trace: &Trace, only: Option<usize>) -> Quantities {
    let mut ticks: Ticks<'_> = BTreeMap::new();
    let meant = |line: &&Line| only.is_none_or(|sample| line.samples().contains(&sample));
    for line in trace.lines.iter().filter(meant) {
        ticks.entry(line.tick).or_default().push(line);
    }
    let reader = Reader {
        ticks: &ticks,
        only,
    };
    let mut groups = vec![
        reader.lone("scale", "scale in force", "scale", |line| {
            line.scale.as_ref()
        }),
        reader.lone("cosine", "cosine of cond and uncond", "cosine", |line| {
            line.cosine.as_ref()
        }),
        reader.lengths(),
        reader.lone("apart", "length of cond - uncond", "length", |line| {
            line.apart.as_ref()
        }),
        reader.lone("update", "length of the update", "length", |line| {
            Some(&line.update)
        }),
        reader.asked("evaluated", "evaluations", |line| &line.evaluated),
        reader.asked("judged", "classifiers asked", |line| &line.judged),
        reader.held(),
        reader.time(
            "networks",
            &[("network", "networks", |line| line.seconds.network)],
        ),
        reader.time(
            "arithmetic",
            &[
                ("rule", "rule", |line| line.seconds.rule),
                ("solver", "solver", |line| line.seconds.solver),
            ],
        ),
    ];
    // What no tick has is not there.
    for group in &mut groups {
        let has_some = |quantity: &Quantity| quantity.points.iter().any(Option::is_some);
        group.members.retain(has_some);
    }
    groups.retain(|group| !group.members.is_empty());
    let tick = |(tick, lines): (&u64, &Vec<&Line>)| {
        let first = lines.first()?;
        Some(Tick {
            tick: *tick,
            step: first.step,
            substep: first.substep,
        })
    };
    Quantities {
        ticks: ticks.iter().filter_map(tick).collect(),
        groups,
    }
}

/// Takes quantities out of lines.
struct Reader<'a> {
    ticks: &'a Ticks<'a>,
    only: Option<usize>,
}

impl Reader<'_> {
    fn is_meant(&self, sample: usize) -> bool {
        self.only.is_none_or(|only| only == sample)
    }

    /// A point for each tick, of the numbers that its lines give.
    fn points(&self, numbers: impl Fn(&Line) -> Vec<f64>) -> Vec<Option<Point>> {
        let of = |lines: &Vec<&Line>| {
            let all: Vec<f64> = lines.iter().flat_map(|line| numbers(line)).collect();
            Point::of(&all)
        };
        self.ticks.values().map(of).collect()
    }

    /// The numbers that stand in a list for these samples.
    fn chosen(&self, list: &Numbers, samples: impl Iterator<Item = usize>) -> Vec<f64> {
        let both = list.iter().zip(samples);
        let meant = both.filter(|(_, sample)| self.is_meant(*sample));
        meant.filter_map(|(number, _)| *number).collect()
    }

    /// A quantity that has a chart of its own.
    fn lone(
        &self,
        key: &str,
        name: &str,
        axis: &'static str,
        list: impl Fn(&Line) -> Option<&Numbers>,
    ) -> Group {
        let points = self.points(|line| match list(line) {
            Some(list) => self.chosen(list, line.samples()),
            None => Vec::new(),
        });
        group(
            name,
            axis,
            Form::Lines,
            vec![quantity(key, name, name, points)],
        )
    }

    fn lengths(&self) -> Group {
        let guided = self.points(|line| self.chosen(&line.norm, line.samples()));
        let mut members = vec![quantity("norm", "length of guided", "guided", guided)];
        for label in self.labels(|line| line.norms.keys()) {
            let points = self.points(|line| {
                let asked = line.evaluated.get(&label);
                match (line.norms.get(&label), asked) {
                    (Some(list), Some(asked)) => self.chosen(list, asked.iter().copied()),
                    _ => Vec::new(),
                }
            });
            let shown = plain(&label);
            let name = format!("length of {shown}");
            members.push(quantity(&format!("norms/{shown}"), &name, &shown, points));
        }
        group("lengths of predictions", "length", Form::Lines, members)
    }

    /// How often each of some labels was asked, for a sample.
    fn asked(
        &self,
        key: &str,
        title: &str,
        list: impl Fn(&Line) -> &BTreeMap<String, Vec<usize>>,
    ) -> Group {
        let mut members = Vec::new();
        for label in self.labels(|line| list(line).keys()) {
            let points = self.points(|line| {
                let asked = list(line).get(&label).map_or(&[][..], Vec::as_slice);
                let of = |sample| f64::from(u8::from(asked.contains(&sample)));
                line.samples()
                    .filter(|s| self.is_meant(*s))
                    .map(of)
                    .collect()
            });
            let shown = plain(&label);
            let name = format!("asked {shown}");
            members.push(quantity(&format!("{key}/{shown}"), &name, &shown, points));
        }
        group(title, "asked by a sample", Form::Stack, members)
    }

    /// The share of samples that stay where they are; of one sample no line says it.
    fn held(&self) -> Group {
        let any = self.ticks.values().flatten().any(|line| line.held > 0);
        let mut members = Vec::new();
        if any && self.only.is_none() {
            let points = self.points(|line| {
                let held = |at| f64::from(u8::from(at < line.held));
                (0..line.samples().len()).map(held).collect()
            });
            members.push(quantity("held", "samples held", "held", points));
        }
        group("samples held", "share", Form::Stack, members)
    }

    /// Seconds, of all samples of a tick together.
    fn time(&self, title: &str, parts: &[Part<'_>]) -> Group {
        let members = parts.iter().map(|(key, name, seconds)| {
            let of = |lines: &Vec<&Line>| {
                let all: f64 = lines.iter().map(|line| seconds(line)).sum();
                Point::of(&[all])
            };
            let points = self.ticks.values().map(of).collect();
            let long = format!("time of the {name}");
            let long = if *key == "network" {
                "time of networks".to_owned()
            } else {
                long
            };
            quantity(&format!("seconds/{key}"), &long, name, points)
        });
        group(
            &format!("time of {title}"),
            "time",
            Form::Time,
            members.collect(),
        )
    }

    fn labels<'b, I>(&'b self, of: impl Fn(&'b Line) -> I) -> BTreeSet<String>
    where
        I: Iterator<Item = &'b String>,
    {
        let lines = self.ticks.values().flatten();
        lines.flat_map(|line| of(line)).cloned().collect()
    }
}

fn group(title: &str, axis: &'static str, form: Form, members: Vec<Quantity>) -> Group {
    Group {
        title: title.to_owned(),
        axis,
        form,
        members,
    }
}

fn quantity(key: &str, name: &str, short: &str, points: Vec<Option<Point>>) -> Quantity {
    Quantity {
        key: key.to_owned(),
        name: name.to_owned(),
        short: short.to_owned(),
        points,
    }
}

/// A text of the file without what moves a terminal's cursor or cannot stand in XML.
pub fn plain(text: &str) -> String {
    let is_bad =
        |c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}' | '\u{2028}' | '\u{2029}');
    text.chars()
        .map(|c| if is_bad(c) { '\u{fffd}' } else { c })
        .collect()
}
