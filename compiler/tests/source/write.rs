//! Random programs that are well typed, as text.

mod state;
mod tensors;

use std::collections::BTreeSet;
use std::fmt::Write;

const SPACES: [&str; 3] = ["x0", "eps", "v"];

const HEAD: &str = "\
use std::ops::{momentum, limit_norm, during, blend, reject, project, rescale, match_std}
use std::ops::{highpass, clip_pixels, clip_quantile}

fn between<S>(a: Prediction<S>, b: Prediction<S>, share: Scalar) -> Prediction<S> {
    let mixed = share * a + (1 - share) * b
    mixed
}

fn sometimes<S>(d: Direction<S>, now: Bool) -> Direction<S> {
    if now {
        let kept = d - 0.25 * prev(kept, init: d)
        kept
    } else { 0 }
}

guide random(scale: Scalar = 1.5, share: Scalar = 0.3) {
";

/// What the networks are asked.
const QUESTIONS: [&str; 6] = [
    "cond",
    "uncond",
    "class(3)",
    "cond, with: identity_attention(mid)",
    "negative, with: if progress in 0.2..0.7 { blur_attention(mid, 2) } else { none }",
    "null, with: skip_layers(up)",
];

/// In which tick the predictions behind a tensor were made. A conversion takes the noise of that
/// tick, and of this one for a sum of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    /// In this tick, or it is a sum that belongs to this tick.
    Now,
    /// In an earlier one: it comes from state.
    Before,
    /// One or the other, as a branch says.
    Either,
}

impl Age {
    /// Of a sum. Whether one of what may have been made earlier and of what was is a mix of ticks
    /// cannot be told from the text, so such sums are not written.
    fn sum(self, other: Age) -> Option<Age> {
        match (self, other) {
            (Age::Now, _) | (_, Age::Now) => Some(Age::Now),
            (Age::Before, Age::Before) => Some(Age::Before),
            _ => None,
        }
    }

    /// Of one of two branches.
    fn branch(self, other: Age) -> Age {
        if self == other { self } else { Age::Either }
    }
}

/// A named tensor.
#[derive(Clone)]
struct Tensor {
    name: String,
    /// Nothing for the model's own.
    space: Option<&'static str>,
    age: Age,
}

struct Writer<'a> {
    choices: std::slice::Iter<'a, u16>,
    text: String,
    count: usize,
    predictions: Vec<Tensor>,
    directions: Vec<Tensor>,
    /// Scalars, maps and per-channel values that are not far from 1.
    scalars: Vec<String>,
    maps: Vec<String>,
    channels: Vec<String>,
    bools: Vec<String>,
    /// Names that `prev` reads: one state has one initial value.
    states: BTreeSet<String>,
}

/// A program made of random numbers, then zeros.
pub fn program(choices: &[u16]) -> String {
    let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
    let mut writer = Writer {
        choices: choices.iter(),
        text: HEAD.to_owned(),
        count: 0,
        predictions: Vec::new(),
        directions: Vec::new(),
        scalars: own(&[
            "scale", "share", "progress", "0.5", "2", "0", "1", "(-1)", "sigma",
        ]),
        maps: Vec::new(),
        channels: Vec::new(),
        bools: own(&["progress in 0.2..0.7", "true"]),
        states: BTreeSet::new(),
    };
    for question in QUESTIONS {
        let name = writer.bind(&format!("predict({question})"));
        writer.predict(&name, None, Age::Now);
        let name = writer.bind(&format!("x0({name})"));
        writer.predict(&name, Some("x0"), Age::Now);
    }
    writer.difference();
    for _ in 0..4 + writer.below(24) {
        writer.statement();
    }
    let result = writer.result();
    let _ = write!(writer.text, "    {result}\n}}\n");
    writer.text
}

impl Writer<'_> {
    fn below(&mut self, end: usize) -> usize {
        usize::from(self.choices.next().copied().unwrap_or(0)) % end.max(1)
    }

    fn bind(&mut self, expr: &str) -> String {
        self.count += 1;
        let name = format!("n{}", self.count);
        let _ = writeln!(self.text, "    let {name} = {expr}");
        name
    }

    /// The name that the next `let` gets.
    fn next_name(&self) -> String {
        format!("n{}", self.count + 1)
    }

    fn one_of(&mut self, list: fn(&Self) -> &Vec<String>) -> Option<String> {
        let at = self.below(list(self).len());
        list(self).get(at).cloned()
    }

    fn scalar(&mut self) -> String {
        self.one_of(|w| &w.scalars).expect("a scalar")
    }

    fn bool(&mut self) -> String {
        self.one_of(|w| &w.bools).expect("a truth value")
    }

    fn prediction(&mut self) -> Tensor {
        let at = self.below(self.predictions.len());
        self.predictions[at].clone()
    }

    /// One of the same space, the tensor itself if there is no other.
    fn prediction_like(&mut self, like: &Tensor) -> Tensor {
        let same = |t: &&Tensor| t.space == like.space;
        let fits: Vec<_> = self.predictions.iter().filter(same).cloned().collect();
        match fits.len() {
            0 => like.clone(),
            n => fits[self.below(n)].clone(),
        }
    }

    fn direction(&mut self) -> Tensor {
        let at = self.below(self.directions.len());
        self.directions[at].clone()
    }

    fn direction_like(&mut self, space: Option<&'static str>) -> Option<Tensor> {
        let same = |t: &&Tensor| t.space == space;
        let fits: Vec<_> = self.directions.iter().filter(same).cloned().collect();
        let at = self.below(fits.len());
        fits.get(at).cloned()
    }

    fn predict(&mut self, name: &str, space: Option<&'static str>, age: Age) {
        let name = name.to_owned();
        self.predictions.push(Tensor { name, space, age });
    }

    fn direct(&mut self, name: &str, space: Option<&'static str>, age: Age) {
        let name = name.to_owned();
        self.directions.push(Tensor { name, space, age });
    }

    fn difference(&mut self) {
        let a = self.prediction();
        let b = self.prediction_like(&a);
        if let Some(age) = a.age.sum(b.age) {
            let name = self.bind(&format!("{} - {}", a.name, b.name));
            self.direct(&name, a.space, age);
        }
    }

    fn statement(&mut self) {
        match self.below(20) {
            0 => self.difference(),
            1..=3 => self.new_prediction(),
            4..=7 => self.new_direction(),
            8 | 9 => self.new_scalar(),
            10 | 11 => self.new_map(),
            12 | 13 => self.new_bool(),
            14 | 15 => self.filtered(),
            16 => self.parted(),
            17 => self.kept(),
            _ => self.converted(),
        }
    }

    /// What the guide returns.
    fn result(&mut self) -> String {
        let p = self.predictions.last().cloned().expect("a prediction");
        let (q, r) = (self.prediction(), self.prediction_like(&p));
        let (c, d) = (self.bool(), self.bool());
        let shift = self.direction().name;
        let (pn, qn, rn) = (&p.name, &q.name, &r.name);
        match self.below(10) {
            0 => format!("guided(denoise: {pn}, renoise: {qn})"),
            1 => format!("if {c} {{ guided(denoise: {pn}, renoise: {qn}) }} else {{ {rn} }}"),
            2 => format!("if {c} {{ hold }} else {{ {pn} }}"),
            3 => format!("if {c} {{ {qn} }} else {{ if {d} {{ hold }} else {{ {pn} }} }}"),
            4 => format!("guided(denoise: {pn}, shift: {shift})"),
            5 => format!("if {c} {{ guided(denoise: {pn}, move: {shift}) }} else {{ hold }}"),
            6 => match self.direction_like(p.space) {
                Some(e) => format!(
                    "(if {c} {{ guided(denoise: {pn}, renoise: {qn}) }} else {{ if {d} {{ hold }} else {{ {rn} }} }}) + {}",
                    e.name
                ),
                None => p.name,
            },
            _ => p.name,
        }
    }
}
