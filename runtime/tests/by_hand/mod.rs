//! Plans written by hand, and a predictor whose answers are made of a formula.

#![allow(dead_code, reason = "each test uses a part")]

pub mod compare;
pub mod segments;

use candle_core::{Device, Tensor};
use guide_compiler::plan::*;
use guide_runtime::error::Result;
use guide_runtime::predictor::{Predictor, Question};

/// The latents of these tests.
pub const LATENT: [usize; 3] = [4, 12, 10];
/// Elements of a latent.
pub const SIZE: usize = 480;

pub fn number(value: f64) -> Number {
    Number {
        text: format!("{value}"),
        values: vec![value],
    }
}

pub fn num(value: f64) -> Operand {
    Operand::Number(number(value))
}

pub fn p(id: u32) -> Operand {
    Operand::Prediction(PredictionId(id))
}

pub fn state(id: u32) -> Operand {
    Operand::State(StateId(id))
}

pub fn term(factor: f64, by: &[Operand], of: Operand) -> Term {
    Term {
        factor: number(factor),
        by: by.to_vec(),
        of: Some(of),
    }
}

/// A segment in the making.
#[derive(Default)]
pub struct Build {
    values: Vec<Value>,
    ops: Vec<Op>,
    waves: Vec<Wave>,
}

impl Build {
    pub fn op(&mut self, shape: Shape, code: Code) -> Operand {
        self.op_when(shape, code, None)
    }

    pub fn op_when(&mut self, shape: Shape, code: Code, when: Option<Guard>) -> Operand {
        let out = ValueId(self.values.len() as u32);
        self.values.push(Value {
            name: format!("%{}", out.0),
            kind: String::new(),
            shape,
            stored: true,
        });
        self.ops.push(Op { out, code, when });
        Operand::Value(out)
    }

    pub fn linear(&mut self, terms: Vec<Term>) -> Operand {
        self.op(Shape::Tensor, Code::Linear(terms))
    }

    pub fn reduce(&mut self, op: ReduceOp, of: Operand, with: Option<Operand>) -> Operand {
        self.reduce_over(op, Axes::All, of, with, None)
    }

    pub fn reduce_over(
        &mut self,
        op: ReduceOp,
        over: Axes,
        of: Operand,
        with: Option<Operand>,
        level: Option<f64>,
    ) -> Operand {
        let shape = match over {
            Axes::All => Shape::Scalar,
            Axes::Channels => Shape::Map,
            Axes::Space => Shape::PerChannel,
        };
        self.op(
            shape,
            Code::Reduce(Reduce {
                op,
                over,
                of,
                with,
                level: level.map(num),
            }),
        )
    }

    fn plan(
        self,
        name: &str,
        steps: u32,
        states: Vec<State>,
        keep: Vec<Keep>,
        denoise: Operand,
        guards: [Option<Guard>; 2],
    ) -> Plan {
        let prediction = |label: &str, condition| Prediction {
            label: label.into(),
            model: None,
            condition,
            interventions: Vec::new(),
            control: 1.0,
            gradient: false,
        };
        let uses = guards
            .into_iter()
            .enumerate()
            .map(|(i, when)| Use {
                when,
                ..segments::plainly(i as u32)
            })
            .collect();
        let groups = self
            .ops
            .into_iter()
            .map(|op| Group { ops: vec![op] })
            .collect();
        Plan {
            format: FORMAT.into(),
            head: Head {
                guide: name.into(),
                file: "by hand".into(),
                source: String::new(),
                settings: Vec::new(),
                steps,
                sampler: "recording".into(),
                objective: None,
                model: facts(),
                negative: true,
                per_evaluation: false,
                needs: Vec::new(),
            },
            predictions: vec![
                prediction("cond", Condition::Cond),
                prediction("uncond", Condition::Uncond),
            ],
            classifiers: vec![],
            judgements: vec![],
            inputs: Vec::new(),
            states,
            decisions: Vec::new(),
            timetable: Timetable::new(
                (0..steps).map(|i| tick(i, steps)).collect(),
                NoiseTable::Flow,
            ),
            segments: vec![Segment {
                steps: (0, steps),
                substep: 0,
                values: self.values,
                waves: vec![Wave {
                    evaluate: vec![Batch {
                        uses,
                        coupled: false,
                    }],
                    judge: Vec::new(),
                    compute: groups,
                }],
                keep,
                decide: Vec::new(),
                result: Outcome {
                    space: Space::Eps,
                    denoise: Some(denoise),
                    renoise: None,
                    shift: None,
                    moves: None,
                    hold: Hold::Never,
                },
            }],
            cost: Cost {
                least: 0,
                most: 0,
                by_prediction: vec![(0, 0); 2],
                by_judgement: Vec::new(),
                backward_bytes: None,
                peak_tensors: 0,
                state_bytes: 0,
            },
        }
    }
}

pub fn facts() -> ModelFacts {
    ModelFacts {
        name: "fake".into(),
        space: Space::Eps,
        latent: [4, 12, 10],
        layers: None,
    }
}

fn tick(i: u32, steps: u32) -> Tick {
    let sigma = 1.0 - f64::from(i) / f64::from(steps);
    Tick {
        step: i,
        substep: 0,
        t: 1000.0 * sigma,
        t1000: 1000.0 * sigma,
        alpha: 1.0 - sigma,
        sigma,
        t_next: 0.0,
        alpha_next: 1.0,
        sigma_next: 0.0,
        posterior_variance: 0.0,
    }
}

pub fn cfg(scale: f64, steps: u32) -> Plan {
    let mut b = Build::default();
    let g = b.linear(vec![term(scale, &[], p(0)), term(1.0 - scale, &[], p(1))]);
    b.plan("cfg", steps, Vec::new(), Vec::new(), g, [None, None])
}

pub fn cfg_rescale(scale: f64, phi: f64, steps: u32) -> Plan {
    let mut b = Build::default();
    let g = b.linear(vec![term(scale, &[], p(0)), term(1.0 - scale, &[], p(1))]);
    let of_c = b.reduce(ReduceOp::Std, p(0), None);
    let of_g = b.reduce(ReduceOp::Std, g.clone(), None);
    let ratio = b.op(Shape::Scalar, Code::Div(of_c, of_g));
    let out = b.linear(vec![
        term(phi, &[ratio], g.clone()),
        term(1.0 - phi, &[], g),
    ]);
    b.plan(
        "cfg_rescale",
        steps,
        Vec::new(),
        Vec::new(),
        out,
        [None, None],
    )
}

pub fn apg(scale: f64, eta: f64, radius: f64, beta: f64, steps: u32) -> Plan {
    let mut b = Build::default();
    let m = b.linear(vec![
        term(1.0, &[], p(0)),
        term(-1.0, &[], p(1)),
        term(beta, &[], state(0)),
    ]);
    let length = b.reduce(ReduceOp::Norm, m.clone(), None);
    let share = b.op(Shape::Scalar, Code::Div(num(radius), length));
    let share = b.op(Shape::Scalar, Code::Binary(Binary::Min, share, num(1.0)));
    let d = b.linear(vec![term(1.0, &[share], m.clone())]);
    let size = b.reduce(ReduceOp::Norm, p(0), None);
    let size = b.op(Shape::Scalar, Code::Unary(Unary::InverseOrZero, size));
    let axis = b.linear(vec![term(1.0, &[size], p(0))]);
    let along = b.reduce(ReduceOp::Dot, d.clone(), Some(axis.clone()));
    let out = b.linear(vec![
        term(1.0, &[], p(0)),
        term(scale - 1.0, &[], d),
        term((scale - 1.0) * (eta - 1.0), &[along], axis),
    ]);
    let states = vec![State {
        name: "m".into(),
        kind: "direction in eps".into(),
        shape: Shape::Tensor,
        init: Init::Number(0.0),
        bytes: 0,
    }];
    let keep = vec![Keep {
        state: StateId(0),
        value: m,
        when: None,
    }];
    b.plan("apg", steps, states, keep, out, [None, None])
}

/// `uncond` is asked until the cosine is reached in an earlier tick.
pub fn adaptive(scale: f64, threshold: f64, steps: u32) -> Plan {
    let open = || {
        Some(Guard {
            any: vec![vec![Literal {
                of: state(0),
                holds: false,
            }]],
        })
    };
    let mut b = Build::default();
    let cosine = Code::Reduce(Reduce {
        op: ReduceOp::Cosine,
        over: Axes::All,
        of: p(0),
        with: Some(p(1)),
        level: None,
    });
    let cosine = b.op_when(Shape::Scalar, cosine, open());
    let close = b.op_when(
        Shape::Bool,
        Code::Compare(Compare::Ge, cosine, num(threshold)),
        open(),
    );
    let done = b.op(Shape::Bool, Code::Or(state(0), close));
    let terms = vec![term(scale, &[], p(0)), term(1.0 - scale, &[], p(1))];
    let g = b.op_when(Shape::Tensor, Code::Linear(terms), open());
    let out = b.op(Shape::Tensor, Code::Select(state(0), p(0), g));
    let states = vec![State {
        name: "done".into(),
        kind: "bool".into(),
        shape: Shape::Bool,
        init: Init::Bool(false),
        bytes: 1,
    }];
    let keep = vec![Keep {
        state: StateId(0),
        value: done,
        when: None,
    }];
    b.plan("adaptive", steps, states, keep, out, [None, open()])
}

/// A plan in which every operation counts for the result, and the mask that it needs.
pub fn everything(steps: u32) -> (Plan, Tensor) {
    let mut b = Build::default();
    let mut parts: Vec<Term> = Vec::new();
    let region = Operand::Input(InputId(0));
    let d = b.linear(vec![
        term(1.0, &[], p(0)),
        term(-1.0, &[], p(1)),
        term(0.25, &[], state(0)),
    ]);
    let positive = b.op(Shape::Tensor, Code::Unary(Unary::Abs, p(0)));
    for unary in [
        Unary::Exp,
        Unary::Log,
        Unary::Sqrt,
        Unary::Sin,
        Unary::Cos,
        Unary::Sign,
        Unary::Sigmoid,
        Unary::Floor,
        Unary::InverseOrZero,
    ] {
        let value = b.op(Shape::Tensor, Code::Unary(unary, positive.clone()));
        let value = b.op(Shape::Tensor, Code::Clip(value, num(-3.0), num(3.0)));
        parts.push(term(0.1, &[], value));
    }
    let small = b.op(Shape::Tensor, Code::Clip(d.clone(), num(-0.9), num(0.9)));
    let angle = b.op(Shape::Tensor, Code::Unary(Unary::Acos, small.clone()));
    parts.push(term(0.1, &[], angle));
    for binary in [Binary::Min, Binary::Max, Binary::Pow, Binary::Rem] {
        let value = b.op(
            Shape::Tensor,
            Code::Binary(binary, positive.clone(), num(1.5)),
        );
        parts.push(term(0.1, std::slice::from_ref(&region), value));
    }
    let ratio = b.op(Shape::Tensor, Code::Div(p(0), positive.clone()));
    parts.push(term(0.1, &[], ratio));
    for op in [
        ReduceOp::Norm,
        ReduceOp::Mean,
        ReduceOp::Std,
        ReduceOp::Sum,
        ReduceOp::Largest,
        ReduceOp::Smallest,
        ReduceOp::Quantile,
        ReduceOp::LogSumExp,
        ReduceOp::Dot,
        ReduceOp::Cosine,
    ] {
        let second = matches!(op, ReduceOp::Dot | ReduceOp::Cosine).then(|| p(1));
        let level = (op == ReduceOp::Quantile).then_some(0.83);
        for over in [Axes::All, Axes::Channels, Axes::Space] {
            let value = b.reduce_over(op, over, d.clone(), second.clone(), level);
            parts.push(term(0.01, &[value], p(0)));
        }
    }
    for compare in [
        Compare::Eq,
        Compare::Ne,
        Compare::Lt,
        Compare::Le,
        Compare::Gt,
        Compare::Ge,
    ] {
        let map = b.op(Shape::Map, Code::Compare(compare, region.clone(), num(0.5)));
        let value = b.op(Shape::Tensor, Code::Select(map, p(0), p(1)));
        parts.push(term(0.1, &[], value));
    }
    for filter in [
        Filter::GaussianBlur {
            sigma: number(1.2),
            taps: 5,
        },
        Filter::Band { level: 0, of: 2 },
        Filter::Band { level: 1, of: 2 },
        Filter::Resample {
            factor: number(0.5),
        },
        Filter::FftDisk {
            radius: number(0.6),
        },
        Filter::FftBox {
            radius: number(0.6),
        },
        Filter::DctHighpass {
            cutoff: number(0.3),
        },
    ] {
        let value = b.op(Shape::Tensor, Code::Filter(filter, d.clone()));
        parts.push(term(0.3, &[], value));
    }
    let low = num(-1.0);
    let drawn = b.op(
        Shape::Scalar,
        Code::Random {
            key: "r".into(),
            low,
            high: num(1.0),
        },
    );
    let noise = b.op(Shape::Tensor, Code::Gaussian { key: "g".into() });
    parts.push(term(0.1, std::slice::from_ref(&drawn), noise));
    let heads = b.op(Shape::Bool, Code::Compare(Compare::Gt, drawn, num(0.0)));
    let tails = b.op(Shape::Bool, Code::Not(heads.clone()));
    let both = b.op(Shape::Bool, Code::And(heads.clone(), tails.clone()));
    let either = b.op(Shape::Bool, Code::Or(heads, tails.clone()));
    let either = b.op(Shape::Bool, Code::Select(both, tails.clone(), either));
    let when = Guard {
        any: vec![vec![
            Literal {
                of: either,
                holds: true,
            },
            Literal {
                of: tails.clone(),
                holds: true,
            },
        ]],
    };
    let lazy = b.op_when(
        Shape::Tensor,
        Code::Linear(vec![term(0.2, &[], p(1))]),
        Some(when),
    );
    let chosen = b.op(Shape::Tensor, Code::Select(tails, lazy, p(0)));
    parts.push(term(0.1, &[], chosen));
    let kept = b.op(Shape::Tensor, Code::Fresh(StateId(1), p(1)));
    parts.push(term(0.1, &[], kept));
    let out = b.linear(parts);
    let state_of = |name: &str, init| State {
        name: name.into(),
        kind: String::new(),
        shape: Shape::Tensor,
        init,
        bytes: 0,
    };
    let states = vec![
        state_of("d", Init::Number(0.0)),
        state_of("small", Init::Computed),
    ];
    let keep = vec![
        Keep {
            state: StateId(0),
            value: d,
            when: None,
        },
        Keep {
            state: StateId(1),
            value: small,
            when: None,
        },
    ];
    let mut plan = b.plan("everything", steps, states, keep, out, [None, None]);
    plan.inputs.push(Input {
        name: "region".into(),
        kind: "Mask".into(),
        count: None,
        default: None,
    });
    let mask: Vec<f32> = (0..120).map(|i| (i % 7) as f32 / 6.0).collect();
    (
        plan,
        Tensor::from_vec(mask, (1, 1, 12, 10), &Device::Cpu).unwrap(),
    )
}

/// Answers by a formula of tick, label, sample and element; remembers who asked.
pub struct Fake {
    facts: ModelFacts,
    latent: Vec<usize>,
    answers: Vec<[Vec<Vec<f32>>; 3]>,
    pub asked: Vec<(usize, String, Vec<usize>)>,
}

const LABELS: [&str; 3] = ["cond", "uncond", "x"];

impl Fake {
    pub fn new(ticks: usize, latent: &[usize], batch: usize) -> Self {
        let n: usize = latent.iter().product();
        let answers = (0..ticks)
            .map(|tick| {
                std::array::from_fn(|which| {
                    (0..batch)
                        .map(|b| {
                            let share = 0.15 * ((b * 7 + tick * 3) % 10) as f64;
                            let wave = |k: f64, i: usize| {
                                (k * (i as f64 + 1.3) + b as f64 + 0.1 * tick as f64).sin()
                            };
                            (0..n)
                                .map(|i| match which {
                                    0 => (1.5 * wave(0.7, i)) as f32,
                                    1 => (1.5 * share * wave(0.7, i) + wave(1.9, i)) as f32,
                                    _ => wave(2.7, i) as f32,
                                })
                                .collect()
                        })
                        .collect()
                })
            })
            .collect();
        Self {
            facts: facts(),
            latent: latent.to_vec(),
            answers,
            asked: Vec::new(),
        }
    }

    fn place(label: &str) -> usize {
        LABELS.iter().position(|known| *known == label).unwrap()
    }

    pub fn one(&self, tick: usize, label: &str, b: usize) -> Vec<f32> {
        self.answers[tick][Self::place(label)][b].clone()
    }

    pub fn all(&self, tick: usize, label: &str) -> Vec<f32> {
        self.answers[tick][Self::place(label)].concat()
    }

    pub fn set(&mut self, tick: usize, label: &str, b: usize, i: usize, value: f32) {
        self.answers[tick][Self::place(label)][b][i] = value;
    }

    /// Multiplies everything that sample `b` gets.
    pub fn spoil(&mut self, b: usize, factor: f32) {
        for tick in &mut self.answers {
            for which in tick {
                which[b].iter_mut().for_each(|v| *v *= factor);
            }
        }
    }

    fn rows(&self, tick: usize, label: &str, rows: &[usize]) -> Tensor {
        let rows_of = rows.iter().flat_map(|b| self.one(tick, label, *b));
        let data: Vec<f32> = rows_of.collect();
        Tensor::from_vec(
            data,
            [vec![rows.len()], self.latent.clone()].concat(),
            &Device::Cpu,
        )
        .unwrap()
    }

    pub fn x(&self, tick: usize) -> Tensor {
        let rows: Vec<usize> = (0..self.answers[tick][2].len()).collect();
        self.rows(tick, "x", &rows)
    }
}

impl Predictor for Fake {
    fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    fn predict(
        &mut self,
        tick: usize,
        _: &Tick,
        questions: &[Question<'_>],
    ) -> Result<Vec<Tensor>> {
        for question in questions {
            let label = question.prediction.label.clone();
            self.asked.push((tick, label, question.rows.to_vec()));
        }
        Ok(questions
            .iter()
            .map(|q| self.rows(tick, &q.prediction.label, q.rows))
            .collect())
    }
}
