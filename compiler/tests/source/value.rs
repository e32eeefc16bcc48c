//! Values as the reader of a text has them. A tensor remembers in which ticks its parts were made.

use std::cell::Cell;

use guide_compiler::plan::{Space, Tick};

use super::arithmetic::{SIZE, Value as Plain};
use super::reference::latent;

/// A value of one sample.
#[derive(Clone, Debug)]
pub enum Value {
    /// A number, a truth value, a map or a per-channel value.
    Plain(Plain),
    Tensor(Tensor),
    Tuple(Vec<Value>),
    Word(String),
    /// What a guide returns; nothing is a `hold`.
    Outcome(Option<Box<Guided>>),
}

/// What a solver is given.
#[derive(Clone, Debug)]
pub struct Guided {
    pub denoise: Tensor,
    pub renoise: Option<Tensor>,
    pub shift: Option<Tensor>,
    pub moves: Option<Tensor>,
}

/// A sum of parts, one for each tick that something in it was made in.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// Nothing where none is known, as of the literal 0.
    pub space: Option<Space>,
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
struct Part {
    elements: [f64; SIZE],
    /// How many predictions' worth each element is: 1 of a prediction, 0 of a direction.
    weight: [f64; SIZE],
    /// The tick it was made in.
    tick: usize,
    /// Whether it comes from state: then it keeps its tick.
    kept: bool,
}

/// Where the reader is in a run.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub ticks: &'a [Tick],
    pub at: usize,
    pub sample: usize,
    /// Set where rounding decides: by the direction of what is nearly 0, or between near numbers.
    pub doubt: &'a Cell<bool>,
}

/// Below this, a length or a difference is rounding's.
const NEARLY_0: f64 = 1e-9;

impl Place<'_> {
    /// Whether rounding decides about a number that is not exactly 0.
    pub fn doubts(&self, number: f64) {
        if number != 0.0 && number.abs() < NEARLY_0 {
            self.doubt.set(true);
        }
    }
}

impl Value {
    pub fn number(&self) -> f64 {
        match self {
            Value::Plain(plain) => plain.number(),
            other => panic!("{other:?} is not a number"),
        }
    }

    pub fn truth(&self) -> bool {
        match self {
            Value::Plain(Plain::Bool(value)) => *value,
            other => panic!("{other:?} is not a truth value"),
        }
    }

    pub fn word(&self) -> &str {
        match self {
            Value::Word(word) => word,
            other => panic!("{other:?} is not a word"),
        }
    }

    pub fn of_number(value: f64) -> Value {
        Value::Plain(Plain::Number(value))
    }

    pub fn of_bool(value: bool) -> Value {
        Value::Plain(Plain::Bool(value))
    }

    /// The numbers, whatever they stand for.
    pub fn plain(&self) -> Plain {
        match self {
            Value::Plain(plain) => plain.clone(),
            Value::Tensor(tensor) => Plain::Tensor(tensor.elements()),
            other => panic!("{other:?} has no numbers"),
        }
    }

    pub fn tensor(&self) -> Tensor {
        match self {
            Value::Tensor(tensor) => tensor.clone(),
            // The literal 0, and what was made of it, agrees with any direction; nothing else does.
            Value::Plain(plain) if plain.elements().iter().all(|v| *v == 0.0) => Tensor {
                space: None,
                parts: Vec::new(),
            },
            other => panic!("{other:?} is not a tensor"),
        }
    }

    /// As `prev` gives it.
    pub fn of_before(self) -> Value {
        match self {
            Value::Tensor(mut tensor) => {
                tensor.parts.iter_mut().for_each(|part| part.kept = true);
                Value::Tensor(tensor)
            }
            other => other,
        }
    }
}

impl Tensor {
    /// Made in this tick as a whole; `weight` is 1 for a prediction, 0 for a direction.
    pub fn new(elements: [f64; SIZE], space: Option<Space>, weight: f64, at: usize) -> Tensor {
        let part = Part {
            elements,
            weight: [weight; SIZE],
            tick: at,
            kept: false,
        };
        Tensor {
            space,
            parts: vec![part],
        }
    }

    fn total(&self, of: impl Fn(&Part) -> [f64; SIZE]) -> [f64; SIZE] {
        let mut sum = [0.0; SIZE];
        for part in &self.parts {
            sum.iter_mut().zip(of(part)).for_each(|(s, v)| *s += v);
        }
        sum
    }

    pub fn elements(&self) -> [f64; SIZE] {
        self.total(|part| part.elements)
    }

    fn weight(&self) -> [f64; SIZE] {
        self.total(|part| part.weight)
    }

    pub fn is_direction(&self) -> bool {
        self.weight().iter().all(|w| w.abs() < 1e-9)
    }

    /// Other elements computed from this tensor: they are made in this tick, and keep its weight.
    pub fn anew(&self, elements: [f64; SIZE], at: usize) -> Tensor {
        let weight = if self.is_direction() { 0.0 } else { 1.0 };
        Tensor::new(elements, self.space, weight, at)
    }

    /// Multiplied by a number, a map or a per-channel value.
    pub fn scaled(&self, by: &Plain) -> Tensor {
        let by = by.elements();
        let times = |v: [f64; SIZE]| std::array::from_fn(|i| v[i] * by[i]);
        let scaled = |part: &Part| Part {
            elements: times(part.elements),
            weight: times(part.weight),
            ..part.clone()
        };
        Tensor {
            space: self.space,
            parts: self.parts.iter().map(scaled).collect(),
        }
    }

    /// The first where a map is not 0, else the second.
    pub fn by_map(map: &Plain, a: &Tensor, b: &Tensor) -> Tensor {
        let (yes, no) = (
            map.map(|m| f64::from(u8::from(m != 0.0))),
            map.map(|m| f64::from(u8::from(m == 0.0))),
        );
        let (a, b) = (a.scaled(&yes), b.scaled(&no));
        let both = Tensor {
            space: a.common_space(&b),
            parts: a.parts.into_iter().chain(b.parts).collect(),
        };
        both.by_tick()
    }

    /// With one part for each tick, so that what adds up does not grow.
    fn by_tick(self) -> Tensor {
        let mut ticks: Vec<(usize, bool)> = self.parts.iter().map(|p| (p.tick, p.kept)).collect();
        ticks.sort_unstable();
        ticks.dedup();
        let part = |(tick, kept): (usize, bool)| {
            let here = |part: &&Part| (part.tick, part.kept) == (tick, kept);
            let of = Tensor {
                space: self.space,
                parts: self.parts.iter().filter(here).cloned().collect(),
            };
            Part {
                elements: of.elements(),
                weight: of.weight(),
                tick,
                kept,
            }
        };
        Tensor {
            space: self.space,
            parts: ticks.into_iter().map(part).collect(),
        }
    }

    /// A sum. One of something made in this tick and of something kept belongs to this tick.
    pub fn plus(&self, other: &Tensor, sign: f64, at: usize) -> Tensor {
        let space = self.common_space(other);
        let other = other.scaled(&Plain::Number(sign));
        let parts: Vec<Part> = self.parts.iter().chain(&other.parts).cloned().collect();
        let sum = Tensor { space, parts };
        let kept = sum.parts.iter().filter(|part| part.kept).count();
        if kept == 0 || kept == sum.parts.len() {
            return sum.by_tick();
        }
        let whole = Part {
            elements: sum.elements(),
            weight: sum.weight(),
            tick: at,
            kept: false,
        };
        Tensor {
            space,
            parts: vec![whole],
        }
    }

    fn common_space(&self, other: &Tensor) -> Option<Space> {
        if let (Some(one), Some(other)) = (self.space, other.space) {
            assert_eq!(one, other, "spaces are mixed");
        }
        self.space.or(other.space)
    }

    /// In another space, each part by `x = alpha*x0 + sigma*eps` of the tick it was made in.
    pub fn converted(&self, to: Space, place: Place<'_>) -> Tensor {
        let from = self.space.unwrap_or(to);
        let part = |part: &Part| Part {
            elements: part.converted(from, to, place),
            ..part.clone()
        };
        Tensor {
            space: Some(to),
            parts: self.parts.iter().map(part).collect(),
        }
    }

    /// What a solver gets in a space: a point of this tick, whatever it was made of.
    pub fn leaving(&self, to: Space, place: Place<'_>) -> [f64; SIZE] {
        let whole = Part {
            elements: self.elements(),
            weight: self.weight(),
            tick: place.at,
            kept: false,
        };
        whole.converted(self.space.unwrap_or(to), to, place)
    }
}

impl Part {
    /// A value of weight w is w points' worth, so w times `x` stands behind it.
    fn converted(&self, from: Space, to: Space, place: Place<'_>) -> [f64; SIZE] {
        if from == to {
            return self.elements;
        }
        let tick = &place.ticks[self.tick];
        let (a, s) = (tick.alpha, tick.sigma);
        let x = latent(tick, place.sample).elements();
        std::array::from_fn(|i| {
            let (x, v) = (self.weight[i] * x[i], self.elements[i]);
            let x0 = match from {
                Space::X0 => v,
                Space::Eps => (x - s * v) / a,
                Space::V => (a * x - s * v) / (a * a + s * s),
                other => panic!("{other:?} is not part of these tests"),
            };
            let eps = match from {
                Space::Eps => v,
                _ => (x - a * x0) / s,
            };
            match to {
                Space::X0 => x0,
                Space::Eps => eps,
                Space::V => a * eps - s * x0,
                other => panic!("{other:?} is not part of these tests"),
            }
        })
    }
}
