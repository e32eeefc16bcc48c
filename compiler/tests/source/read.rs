//! Programs read from their syntax tree, tick by tick, in f64.

use std::collections::BTreeMap;

use guide_compiler::plan::{Space, Tick};
use guide_grammar::ast::{
    ArmBody, BinaryOp, Block, Call, Else, Expr, ExprNode, File, Function, ItemKind, Pattern,
    UnaryOp,
};
use guide_grammar::parse;
use guide_grammar::span::FileId;

use super::reference::{SIZE, divide, latent, network};

/// A value of one sample.
#[derive(Clone, Debug)]
enum Value {
    Number(f64),
    Bool(bool),
    Tensor(Tensor),
    Tuple(Vec<Value>),
    Word(String),
}

#[derive(Clone, Debug)]
struct Tensor {
    elements: [f64; SIZE],
    /// Nothing where none is known, as of a unit vector.
    space: Option<Space>,
    /// How many predictions' worth it is: 1 for a prediction, 0 for a direction.
    weight: f64,
    /// The tick it was made in.
    tick: usize,
}

impl Value {
    fn number(&self) -> f64 {
        match self {
            Value::Number(v) => *v,
            other => panic!("{other:?} is not a number"),
        }
    }

    fn truth(&self) -> bool {
        match self {
            Value::Bool(v) => *v,
            other => panic!("{other:?} is not a truth value"),
        }
    }
}

type Frame = BTreeMap<String, Value>;

/// What the guide of a text gives in each tick, in the space that `wanted` names for it.
pub fn run(
    text: &str,
    ticks: &[Tick],
    steps: u32,
    native: Space,
    sample: usize,
    wanted: impl Fn(u32) -> Space,
) -> Vec<[f64; SIZE]> {
    let mut files = vec![parsed(text)];
    let operators = guide_stdlib::files()
        .iter()
        .filter(|(path, _)| path.starts_with("ops/"));
    files.extend(operators.map(|(_, text)| parsed(text)));
    let functions: Vec<&Function> = files
        .iter()
        .flat_map(|file| &file.items)
        .filter_map(|item| match &item.kind {
            ItemKind::Function(function) => Some(function),
            _ => None,
        })
        .collect();
    let own = files[0]
        .items
        .iter()
        .filter(|i| matches!(i.kind, ItemKind::Function(_)));
    let guide = functions[own.count() - 1];
    let mut kept = BTreeMap::new();
    let mut answers = Vec::new();
    for (at, tick) in ticks.iter().enumerate() {
        let mut reader = Reader {
            functions: &functions,
            ticks,
            at,
            steps,
            native,
            sample,
            kept: &kept,
            keeps: BTreeMap::new(),
        };
        let result = reader.call(guide, &[], Vec::new(), "");
        answers.push(reader.converted(&result, wanted(tick.step)).elements);
        let keeps = reader.keeps;
        kept.extend(keeps);
    }
    answers
}

fn parsed(text: &str) -> File {
    let parsed = parse(FileId(0), text);
    assert_eq!(parsed.errors, []);
    parsed.file
}

struct Reader<'a> {
    functions: &'a [&'a Function],
    ticks: &'a [Tick],
    at: usize,
    steps: u32,
    native: Space,
    sample: usize,
    /// What earlier ticks kept, by path.
    kept: &'a BTreeMap<String, Value>,
    /// What this tick keeps.
    keeps: BTreeMap<String, Value>,
}

impl Reader<'_> {
    /// Calls a function with positional and named arguments; `path` tells its state apart.
    fn call(
        &mut self,
        function: &Function,
        positional: &[Value],
        named: Vec<(String, Value)>,
        path: &str,
    ) -> Value {
        let mut frame = Frame::new();
        for (at, param) in function.params.iter().enumerate() {
            let name = &param.name.node;
            let given = named
                .iter()
                .find(|(n, _)| n == name)
                .map(|(_, v)| v.clone());
            let value = given
                .or_else(|| positional.get(at).cloned())
                .unwrap_or_else(|| {
                    let default = param.default.as_ref().expect("a default");
                    self.expr(default, &mut frame, path)
                });
            frame.insert(name.clone(), value);
        }
        self.block(&function.body, &mut frame, path)
    }

    fn block(&mut self, block: &Block, outer: &mut Frame, path: &str) -> Value {
        let mut frame = outer.clone();
        for binding in &block.lets {
            let value = self.expr(&binding.value, &mut frame, path);
            match (&binding.pattern, value) {
                (Pattern::Name(name), value) => {
                    self.keeps
                        .insert(format!("{path}/{}", name.node), value.clone());
                    frame.insert(name.node.clone(), value);
                }
                (Pattern::Tuple(names, _), Value::Tuple(values)) => {
                    let parts = names.iter().map(|n| n.node.clone()).zip(values);
                    frame.extend(parts);
                }
                (pattern, value) => panic!("{pattern:?} of {value:?}"),
            }
        }
        self.expr(&block.value, &mut frame, path)
    }

    fn expr(&mut self, expr: &Expr, frame: &mut Frame, path: &str) -> Value {
        match &expr.node {
            ExprNode::Number(text) => Value::Number(text.parse().expect("a number")),
            ExprNode::Bool(value) => Value::Bool(*value),
            ExprNode::Group(inner) => self.expr(inner, frame, path),
            ExprNode::Tuple(parts) => {
                Value::Tuple(parts.iter().map(|p| self.expr(p, frame, path)).collect())
            }
            ExprNode::Path(name) => self.name(&name.names[0].node, frame),
            ExprNode::Call(call) => self.called(call, None, frame, path),
            ExprNode::Pipe(value, call) => {
                let value = self.expr(value, frame, path);
                self.called(call, Some(value), frame, path)
            }
            ExprNode::Unary(UnaryOp::Not, value) => {
                Value::Bool(!self.expr(value, frame, path).truth())
            }
            ExprNode::Unary(UnaryOp::Neg, value) => {
                let value = self.expr(value, frame, path);
                self.scaled(&value, -1.0)
            }
            ExprNode::Binary(a, op, b) => self.binary(a, op.node, b, frame, path),
            ExprNode::In(value, range) => {
                assert!(matches!(&value.node, ExprNode::Path(_)), "only windows");
                let n = f64::from(self.steps);
                let from = self.expr(&range.from, frame, path).number();
                let to = self.expr(&range.to, frame, path).number();
                let step = self.ticks[self.at].step;
                Value::Bool(((from * n) as u32..(to * n) as u32).contains(&step))
            }
            ExprNode::If(branches) => {
                if self.expr(&branches.condition, frame, path).truth() {
                    return self.block(&branches.then, frame, path);
                }
                match &branches.otherwise {
                    Else::Block(block) => self.block(block, frame, path),
                    Else::If(chain) => self.expr(chain, frame, path),
                }
            }
            ExprNode::Match(cases) => match &cases.arms[0].body {
                ArmBody::Expr(value) => self.expr(value, frame, path),
                ArmBody::Block(block) => self.block(block, frame, path),
            },
            other => panic!("{other:?} is not part of these tests"),
        }
    }

    fn name(&self, name: &str, frame: &Frame) -> Value {
        let tick = &self.ticks[self.at];
        match (frame.get(name), name) {
            (Some(value), _) => value.clone(),
            (None, "progress") => Value::Number(f64::from(tick.step) / f64::from(self.steps)),
            (None, "sigma") => Value::Number(tick.sigma),
            (None, "alpha") => Value::Number(tick.alpha),
            (None, other) => Value::Word(other.to_owned()),
        }
    }

    fn binary(&mut self, a: &Expr, op: BinaryOp, b: &Expr, frame: &mut Frame, path: &str) -> Value {
        let a = self.expr(a, frame, path);
        match op {
            BinaryOp::And if !a.truth() => return Value::Bool(false),
            BinaryOp::Or if a.truth() => return Value::Bool(true),
            _ => {}
        }
        let b = self.expr(b, frame, path);
        match (op, &a, &b) {
            (BinaryOp::And | BinaryOp::Or, _, _) => b,
            (BinaryOp::Add, _, _) => self.sum(&a, &b, 1.0),
            (BinaryOp::Sub, _, _) => self.sum(&a, &b, -1.0),
            (BinaryOp::Mul, Value::Number(s), v) | (BinaryOp::Mul, v, Value::Number(s)) => {
                self.scaled(v, *s)
            }
            (BinaryOp::Div, Value::Number(x), Value::Number(y)) => Value::Number(divide(*x, *y)),
            (BinaryOp::Div, v, Value::Number(y)) => self.scaled(v, divide(1.0, *y)),
            (BinaryOp::Lt, Value::Number(x), Value::Number(y)) => Value::Bool(x < y),
            (BinaryOp::Ge, Value::Number(x), Value::Number(y)) => Value::Bool(x >= y),
            (BinaryOp::Eq, Value::Number(x), Value::Number(y)) => Value::Bool(x == y),
            _ => panic!("{op:?} of {a:?} and {b:?} is not part of these tests"),
        }
    }

    fn tensor(&self, value: &Value) -> Tensor {
        match value {
            Value::Tensor(tensor) => tensor.clone(),
            Value::Number(v) => Tensor {
                elements: [*v; SIZE],
                space: None,
                weight: 0.0,
                tick: self.at,
            },
            other => panic!("{other:?} is not a tensor"),
        }
    }

    fn scaled(&self, value: &Value, by: f64) -> Value {
        match value {
            Value::Number(v) => Value::Number(v * by),
            other => {
                let t = self.tensor(other);
                Value::Tensor(Tensor {
                    elements: t.elements.map(|v| v * by),
                    weight: t.weight * by,
                    ..t
                })
            }
        }
    }

    fn sum(&self, a: &Value, b: &Value, sign: f64) -> Value {
        if let (Value::Number(x), Value::Number(y)) = (a, b) {
            return Value::Number(x + sign * y);
        }
        let (a, b) = (self.tensor(a), self.tensor(b));
        if let (Some(one), Some(other)) = (a.space, b.space) {
            assert_eq!(one, other, "spaces are mixed");
        }
        Value::Tensor(Tensor {
            elements: std::array::from_fn(|i| a.elements[i] + sign * b.elements[i]),
            space: a.space.or(b.space),
            weight: a.weight + sign * b.weight,
            tick: self.at,
        })
    }

    fn called(
        &mut self,
        call: &Call,
        piped: Option<Value>,
        frame: &mut Frame,
        path: &str,
    ) -> Value {
        let callee = call.callee.names.last().expect("a name").node.as_str();
        if callee == "prev" {
            return self.prev(call, frame, path);
        }
        let mut positional: Vec<Value> = piped.into_iter().collect();
        let mut named = Vec::new();
        for arg in &call.args {
            let value = self.expr(&arg.value, frame, path);
            match &arg.name {
                Some(name) => named.push((name.node.clone(), value)),
                None => positional.push(value),
            }
        }
        let functions = self.functions;
        if let Some(function) = functions.iter().find(|f| f.name.node == callee) {
            let inner = format!("{path}/{callee}@{}", call.span.start);
            return self.call(function, &positional, named, &inner);
        }
        self.primitive(callee, &positional)
    }

    /// The value of the latest earlier tick in which the `let` was made, `init` before.
    fn prev(&mut self, call: &Call, frame: &mut Frame, path: &str) -> Value {
        let ExprNode::Path(name) = &call.args[0].value.node else {
            panic!("the `prev` of a name");
        };
        match self.kept.get(&format!("{path}/{}", name.names[0].node)) {
            Some(value) => value.clone(),
            None => self.expr(&call.args[1].value, frame, path),
        }
    }

    fn primitive(&self, name: &str, args: &[Value]) -> Value {
        let first = &args[0];
        let norm = |t: &Tensor| t.elements.iter().map(|v| v * v).sum::<f64>().sqrt();
        let number = |f: fn(f64) -> f64| Value::Number(f(first.number()));
        match name {
            "predict" => self.predict(first),
            "class" => Value::Word(format!("class({})", first.number())),
            "eps" => Value::Tensor(self.converted(first, Space::Eps)),
            "x0" => Value::Tensor(self.converted(first, Space::X0)),
            "v" => Value::Tensor(self.converted(first, Space::V)),
            "abs" => number(f64::abs),
            "sin" => number(f64::sin),
            "sigmoid" => number(|v| 1.0 / (1.0 + (-v).exp())),
            "min" => Value::Number(first.number().min(args[1].number())),
            "max" => Value::Number(first.number().max(args[1].number())),
            "norm" => Value::Number(norm(&self.tensor(first))),
            "dot" => {
                let (a, b) = (self.tensor(first), self.tensor(&args[1]));
                Value::Number(a.elements.iter().zip(b.elements).map(|(a, b)| a * b).sum())
            }
            "unit" => {
                let t = self.tensor(first);
                let length = norm(&t);
                Value::Tensor(Tensor {
                    elements: t.elements.map(|v| divide(v, length)),
                    weight: 0.0,
                    ..t
                })
            }
            other => panic!("`{other}` is not part of these tests"),
        }
    }

    fn predict(&self, condition: &Value) -> Value {
        let Value::Word(label) = condition else {
            panic!("{condition:?} is not a condition");
        };
        let tick = &self.ticks[self.at];
        let answer = network(label, &latent(tick, self.sample), tick);
        Value::Tensor(Tensor {
            elements: answer.elements(),
            space: Some(self.native),
            weight: 1.0,
            tick: self.at,
        })
    }

    /// In another space, by `x = alpha*x0 + sigma*eps` of the tick it was made in. A value of
    /// weight w is w points' worth, so w times `x` stands behind it.
    fn converted(&self, value: &Value, to: Space) -> Tensor {
        let t = self.tensor(value);
        let from = t.space.unwrap_or(to);
        let tick = &self.ticks[t.tick];
        let (a, s) = (tick.alpha, tick.sigma);
        let x = latent(tick, self.sample).elements();
        let elements = std::array::from_fn(|i| {
            let (x, v) = (t.weight * x[i], t.elements[i]);
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
        });
        Tensor {
            elements,
            space: Some(to),
            ..t
        }
    }
}
