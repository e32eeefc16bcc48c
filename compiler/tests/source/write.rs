//! Random programs that are well typed, as text.

use std::collections::BTreeSet;
use std::fmt::Write;

const SPACES: [&str; 3] = ["x0", "eps", "v"];

const HEAD: &str = "\
use std::ops::{momentum, limit_norm, during, blend, reject}

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

/// A named tensor.
#[derive(Clone)]
struct Tensor {
    name: String,
    /// Nothing for the model's own.
    space: Option<&'static str>,
    /// Whether all of it was made in this tick, so that it may be converted.
    fresh: bool,
    /// Whether some of it was: then it is a point of this tick, and may be the result.
    ends: bool,
}

struct Writer<'a> {
    choices: std::slice::Iter<'a, u16>,
    text: String,
    count: usize,
    predictions: Vec<Tensor>,
    directions: Vec<Tensor>,
    scalars: Vec<String>,
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
        bools: own(&["progress in 0.2..0.7", "true"]),
        states: BTreeSet::new(),
    };
    for condition in ["cond", "uncond", "class(3)"] {
        let name = writer.bind(&format!("predict({condition})"));
        writer.predictions.push(Tensor {
            name: name.clone(),
            space: None,
            fresh: true,
            ends: true,
        });
        let name = writer.bind(&format!("x0({name})"));
        writer.predictions.push(Tensor {
            name,
            space: Some("x0"),
            fresh: true,
            ends: true,
        });
    }
    writer.difference();
    for _ in 0..4 + writer.below(24) {
        writer.statement();
    }
    let ends = |t: &&Tensor| t.ends;
    let last = writer.predictions.iter().rev().find(ends);
    let last = last.map_or("p", |t| t.name.as_str()).to_owned();
    let _ = write!(writer.text, "    {last}\n}}\n");
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

    fn scalar(&mut self) -> String {
        let at = self.below(self.scalars.len());
        self.scalars[at].clone()
    }

    fn bool(&mut self) -> String {
        let at = self.below(self.bools.len());
        self.bools[at].clone()
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

    fn difference(&mut self) {
        let a = self.prediction();
        let b = self.prediction_like(&a);
        let name = self.bind(&format!("{} - {}", a.name, b.name));
        self.directions.push(Tensor {
            name,
            space: a.space,
            fresh: a.fresh && b.fresh,
            ends: false,
        });
    }

    fn statement(&mut self) {
        match self.below(14) {
            0 => self.difference(),
            1..=3 => self.new_prediction(),
            4..=7 => self.new_direction(),
            8..=10 => self.new_scalar(),
            11 | 12 => self.new_bool(),
            _ => self.converted(),
        }
    }

    /// A conversion of what was made in this tick, or of the whole that was kept of another.
    fn converted(&mut self) {
        let to = SPACES[self.below(SPACES.len())];
        if self.below(2) == 0 {
            let d = self.direction();
            if d.fresh {
                let name = self.bind(&format!("{to}({})", d.name));
                self.directions.push(Tensor {
                    name,
                    space: Some(to),
                    fresh: true,
                    ends: false,
                });
            }
            return;
        }
        let p = self.prediction();
        if !p.fresh {
            return;
        }
        let q = self.prediction_like(&p);
        let kept = q.fresh && self.below(3) == 0 && self.states.insert(p.name.clone());
        let expr = if kept {
            format!("{to}(prev({}, init: {}))", p.name, q.name)
        } else {
            format!("{to}({})", p.name)
        };
        let name = self.bind(&expr);
        self.predictions.push(Tensor {
            name,
            space: Some(to),
            fresh: !kept,
            ends: !kept,
        });
    }

    fn new_prediction(&mut self) {
        let a = self.prediction();
        let b = self.prediction_like(&a);
        let (w, c) = (self.scalar(), self.bool());
        let (p, q) = (a.name.clone(), b.name.clone());
        let fresh = a.fresh && b.fresh;
        let ends = a.ends || b.ends;
        let (expr, fresh, ends) = match self.below(6) {
            0 => (format!("{w} * {p} + (1 - {w}) * {q}"), fresh, ends),
            1 => (format!("blend({p}, {q}, {w})"), fresh, ends),
            2 => (format!("between({q}, {p}, share: {w})"), fresh, ends),
            3 if fresh => (format!("if {c} {{ {p} }} else {{ {q} }}"), true, true),
            4 if a.space.is_some() && a.fresh => {
                let own = self.next_name();
                self.states.insert(own.clone());
                let expr = format!("0.5 * {p} + 0.5 * prev({own}, init: {q})");
                (expr, false, true)
            }
            _ => match self.direction_like(a.space) {
                Some(d) if a.ends => {
                    let sign = ["+", "-"][self.below(2)];
                    let expr = format!("{p} {sign} {w} * {}", d.name);
                    (expr, a.fresh && d.fresh, true)
                }
                _ => return,
            },
        };
        let name = self.bind(&expr);
        self.predictions.push(Tensor {
            name,
            space: a.space,
            fresh,
            ends,
        });
    }

    fn new_direction(&mut self) {
        let a = self.direction();
        let Some(b) = self.direction_like(a.space) else {
            return;
        };
        let (w, c) = (self.scalar(), self.bool());
        let (d, e) = (a.name.clone(), b.name.clone());
        let both = a.fresh && b.fresh;
        let pinned = a.space.is_some();
        let (expr, fresh) = match self.below(11) {
            0 => (format!("{d} + {w} * {e}"), both),
            1 => (format!("{d} - {e} / 2"), both),
            2 => (format!("-{d} * {w}"), a.fresh),
            3 => (format!("if {c} {{ {d} }} else {{ 0 }}"), a.fresh),
            4 => (format!("if {c} {{ {d} }} else {{ {e} }}"), both),
            5 => (format!("during({d}, 0.2, 0.7)"), a.fresh),
            6 if pinned => (format!("{d} |> momentum({w}) |> limit_norm(2)"), false),
            7 if pinned => (format!("sometimes({d}, now: {c})"), false),
            8 if pinned => {
                let inner = format!("if {c} {{ momentum({d}, 0.5) }} else {{ {e} }}");
                (inner, false)
            }
            9 if pinned => (format!("limit_norm({d}, radius: 1)"), a.fresh),
            10 if pinned => (format!("reject({d}, from: {e})"), both),
            _ => return,
        };
        let name = self.bind(&expr);
        self.directions.push(Tensor {
            name,
            space: a.space,
            fresh,
            ends: false,
        });
    }

    fn new_scalar(&mut self) {
        let (a, b) = (self.scalar(), self.scalar());
        let (c, d) = (self.bool(), self.direction());
        let own = self.next_name();
        let expr = match self.below(10) {
            0 => format!("{a} + {b}"),
            1 => format!("{a} - {b} * 0.5"),
            2 => format!("min({a}, {b})"),
            3 => format!("sin({a})"),
            4 => format!("abs({a}) / (1 + abs({b}))"),
            5 => format!("if {c} {{ {a} }} else {{ {b} }}"),
            6 => format!("0.5 * {a} + 0.5 * prev({own}, init: {b})"),
            7 => format!("sigmoid(max({a}, {b}))"),
            8 if d.space.is_some() => {
                let e = self
                    .direction_like(d.space)
                    .map_or(d.name.clone(), |e| e.name);
                format!("sin(dot({}, {e}))", d.name)
            }
            9 if d.space.is_some() => format!("1 / (1 + norm({}))", d.name),
            _ => return,
        };
        let name = self.bind(&expr);
        self.scalars.push(name);
    }

    fn new_bool(&mut self) {
        let (a, b) = (self.scalar(), self.scalar());
        let (c, d) = (self.bool(), self.bool());
        let own = self.next_name();
        let expr = match self.below(7) {
            0 => format!("{a} < {b}"),
            1 => format!("{a} >= {b}"),
            2 => format!("({c}) and ({d})"),
            3 => format!("({c}) or ({d})"),
            4 => format!("not ({c})"),
            5 => format!("prev({own}, init: false) or ({c})"),
            _ => "progress in 0.4..0.9".to_owned(),
        };
        let name = self.bind(&expr);
        self.bools.push(name);
    }
}
