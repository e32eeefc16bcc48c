//! Programs read from their syntax tree, tick by tick, in f64.

use std::cell::Cell;
use std::collections::BTreeMap;

use guide_compiler::plan::{Space, Tick};
use guide_compiler::primitives::Primitive;
use guide_grammar::ast::{
    ArmBody, BinaryOp, Block, Call, Else, Expr, ExprNode, File, Function, ItemKind, Pattern,
    UnaryOp,
};
use guide_grammar::parse;
use guide_grammar::span::{FileId, Span};

use super::arithmetic::{self, Value as Plain, divide};
use super::primitives;
use super::reference::{latent, network};
use super::value::{Guided, Place, Tensor, Value};

type Frame = BTreeMap<String, Value>;

/// What the guide of a text gives in each tick; nothing where it holds.
pub fn run(
    text: &str,
    ticks: &[Tick],
    steps: u32,
    native: Space,
    sample: usize,
    per_evaluation: bool,
    doubt: &Cell<bool>,
) -> Vec<Option<Guided>> {
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
    let (mut kept, mut keeps) = (BTreeMap::new(), BTreeMap::new());
    let mut decided = BTreeMap::new();
    let mut answers = Vec::new();
    for at in 0..ticks.len() {
        let first = ticks[at].substep == 0 || per_evaluation;
        if first {
            // What a step keeps is read from the next one on.
            kept.extend(std::mem::take(&mut keeps));
            decided.clear();
        }
        let mut reader = Reader {
            functions: &functions,
            place: Place {
                ticks,
                at,
                sample,
                doubt,
            },
            steps,
            native,
            first,
            kept: &kept,
            keeps: BTreeMap::new(),
            decided: &mut decided,
        };
        let result = reader.call(guide, &[], Vec::new(), "");
        answers.push(outcome(result));
        if first {
            keeps = reader.keeps;
        }
    }
    answers
}

/// A prediction is an outcome too.
fn outcome(value: Value) -> Option<Guided> {
    match value {
        Value::Outcome(guided) => guided.map(|guided| *guided),
        other => Some(Guided {
            denoise: other.tensor(),
            renoise: None,
            shift: None,
            moves: None,
        }),
    }
}

fn parsed(text: &str) -> File {
    let parsed = parse(FileId(0), text);
    assert_eq!(parsed.errors, []);
    parsed.file
}

struct Reader<'a> {
    functions: &'a [&'a Function],
    place: Place<'a>,
    steps: u32,
    native: Space,
    /// What earlier ticks kept, by path.
    kept: &'a BTreeMap<String, Value>,
    /// What this tick keeps.
    keeps: BTreeMap<String, Value>,
    /// Whether this is a step's first evaluation, which decides for its others.
    first: bool,
    /// The truth values that it found, by path and place in the text.
    decided: &'a mut BTreeMap<(String, Span), bool>,
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
                    for (name, value) in names.iter().zip(values) {
                        self.keeps
                            .insert(format!("{path}/{}", name.node), value.clone());
                        frame.insert(name.node.clone(), value);
                    }
                }
                (pattern, value) => panic!("{pattern:?} of {value:?}"),
            }
        }
        self.expr(&block.value, &mut frame, path)
    }

    fn expr(&mut self, expr: &Expr, frame: &mut Frame, path: &str) -> Value {
        let value = self.evaluated(expr, frame, path);
        let Value::Plain(Plain::Bool(found)) = value else {
            return value;
        };
        let place = (path.to_owned(), expr.span);
        if self.first {
            self.decided.insert(place, found);
            return value;
        }
        // The branches are those of the first evaluation, so it came by here.
        Value::of_bool(self.decided[&place])
    }

    fn evaluated(&mut self, expr: &Expr, frame: &mut Frame, path: &str) -> Value {
        match &expr.node {
            ExprNode::Number(text) => Value::of_number(text.parse().expect("a number")),
            ExprNode::Bool(value) => Value::of_bool(*value),
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
                Value::of_bool(!self.expr(value, frame, path).truth())
            }
            ExprNode::Unary(UnaryOp::Neg, value) => {
                let value = self.expr(value, frame, path);
                self.product(&Value::of_number(-1.0), &value)
            }
            ExprNode::Binary(a, op, b) => self.binary(a, op.node, b, frame, path),
            ExprNode::In(value, range) => {
                assert!(matches!(&value.node, ExprNode::Path(_)), "only windows");
                let n = f64::from(self.steps);
                let from = self.expr(&range.from, frame, path).number();
                let to = self.expr(&range.to, frame, path).number();
                let step = self.tick().step;
                Value::of_bool(((from * n) as u32..(to * n) as u32).contains(&step))
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

    fn tick(&self) -> &Tick {
        &self.place.ticks[self.place.at]
    }

    fn name(&self, name: &str, frame: &Frame) -> Value {
        let tick = self.tick();
        match (frame.get(name), name) {
            (Some(value), _) => value.clone(),
            (None, "progress") => Value::of_number(f64::from(tick.step) / f64::from(self.steps)),
            (None, "sigma") => Value::of_number(tick.sigma),
            (None, "alpha") => Value::of_number(tick.alpha),
            (None, "hold") => Value::Outcome(None),
            (None, other) => Value::Word(other.to_owned()),
        }
    }

    fn binary(&mut self, a: &Expr, op: BinaryOp, b: &Expr, frame: &mut Frame, path: &str) -> Value {
        let a = self.expr(a, frame, path);
        match op {
            BinaryOp::And if !a.truth() => return Value::of_bool(false),
            BinaryOp::Or if a.truth() => return Value::of_bool(true),
            _ => {}
        }
        let b = self.expr(b, frame, path);
        match op {
            BinaryOp::And | BinaryOp::Or => b,
            BinaryOp::Add => self.sum(&a, &b, 1.0),
            BinaryOp::Sub => self.sum(&a, &b, -1.0),
            BinaryOp::Mul => self.product(&a, &b),
            BinaryOp::Div => self.quotient(&a, &b),
            BinaryOp::Lt => primitives::compare(&a, &b, |a, b| a < b, self.place),
            BinaryOp::Ge => primitives::compare(&a, &b, |a, b| a >= b, self.place),
            BinaryOp::Eq => primitives::compare(&a, &b, |a, b| a == b, self.place),
            _ => panic!("{op:?} of {a:?} and {b:?} is not part of these tests"),
        }
    }

    fn product(&self, a: &Value, b: &Value) -> Value {
        match (a, b) {
            (Value::Plain(a), Value::Plain(b)) => Value::Plain(a.zip(b, |a, b| a * b)),
            (Value::Plain(by), Value::Tensor(of)) | (Value::Tensor(of), Value::Plain(by)) => {
                Value::Tensor(of.scaled(by))
            }
            _ => panic!("a product of {a:?} and {b:?} is not part of these tests"),
        }
    }

    fn quotient(&self, a: &Value, b: &Value) -> Value {
        let by = b.plain();
        by.elements().into_iter().for_each(|n| self.place.doubts(n));
        match a {
            Value::Tensor(of) => Value::Tensor(of.scaled(&by.map(|b| divide(1.0, b)))),
            other => Value::Plain(other.plain().zip(&by, divide)),
        }
    }

    fn sum(&self, a: &Value, b: &Value, sign: f64) -> Value {
        match (a, b) {
            (Value::Plain(a), Value::Plain(b)) => Value::Plain(a.zip(b, |a, b| a + sign * b)),
            (Value::Outcome(None), _) => Value::Outcome(None),
            (Value::Outcome(Some(guided)), _) => {
                let denoise = guided.denoise.plus(&b.tensor(), sign, self.place.at);
                let guided = (**guided).clone();
                Value::Outcome(Some(Box::new(Guided { denoise, ..guided })))
            }
            _ => Value::Tensor(a.tensor().plus(&b.tensor(), sign, self.place.at)),
        }
    }

    fn called(
        &mut self,
        call: &Call,
        piped: Option<Value>,
        frame: &mut Frame,
        path: &str,
    ) -> Value {
        let callee = call.callee.names.last().expect("a name").node.as_str();
        match callee {
            "prev" => return self.prev(call, frame, path),
            "predict" => return self.predict(call, frame, path),
            "where" => return self.by_condition(call, frame, path),
            _ => {}
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
        let primitive = Primitive::find(callee).expect("a callable");
        let mut args: Vec<Option<Value>> = positional.into_iter().map(Some).collect();
        args.resize(primitive.parameters().len(), None);
        for (name, value) in named {
            let is = |(param, _): &(&str, Option<&str>)| *param == name;
            let at = primitive.parameters().iter().position(is);
            args[at.expect("a parameter")] = Some(value);
        }
        primitives::apply(primitive, &args, self.place)
    }

    /// The value of the latest earlier tick in which the `let` was made, `init` before.
    fn prev(&mut self, call: &Call, frame: &mut Frame, path: &str) -> Value {
        let ExprNode::Path(name) = &call.args[0].value.node else {
            panic!("the `prev` of a name");
        };
        let value = match self.kept.get(&format!("{path}/{}", name.names[0].node)) {
            Some(value) => value.clone(),
            None => self.expr(&call.args[1].value, frame, path),
        };
        value.of_before()
    }

    /// `where(condition, a, b)`: lazily by a truth value, at each place by a map.
    fn by_condition(&mut self, call: &Call, frame: &mut Frame, path: &str) -> Value {
        let [condition, a, b] = &call.args[..] else {
            panic!("three arguments");
        };
        match self.expr(&condition.value, frame, path) {
            Value::Plain(Plain::Bool(true)) => self.expr(&a.value, frame, path),
            Value::Plain(Plain::Bool(false)) => self.expr(&b.value, frame, path),
            map => {
                let a = self.expr(&a.value, frame, path);
                let b = self.expr(&b.value, frame, path);
                match (&a, &b) {
                    (Value::Plain(a), Value::Plain(b)) => {
                        Value::Plain(arithmetic::select(&map.plain(), a, b))
                    }
                    _ => Value::Tensor(Tensor::by_map(&map.plain(), &a.tensor(), &b.tensor())),
                }
            }
        }
    }

    fn predict(&mut self, call: &Call, frame: &mut Frame, path: &str) -> Value {
        let mut label = match self.expr(&call.args[0].value, frame, path) {
            Value::Word(word) if word == "negative" => "uncond".to_owned(),
            condition => condition.word().to_owned(),
        };
        for arg in &call.args[1..] {
            assert_eq!(arg.name.as_ref().expect("a name").node, "with");
            label += &self.interventions(&arg.value, frame, path);
        }
        let tick = self.tick();
        let answer = network(&label, &latent(tick, self.place.sample), tick);
        let at = self.place.at;
        Value::Tensor(Tensor::new(answer.elements(), Some(self.native), 1.0, at))
    }

    /// As a label names them.
    fn interventions(&mut self, with: &Expr, frame: &mut Frame, path: &str) -> String {
        match &with.node {
            ExprNode::Path(_) => String::new(),
            ExprNode::Call(call) => {
                let args: Vec<String> = call
                    .args
                    .iter()
                    .map(|arg| match self.expr(&arg.value, frame, path) {
                        Value::Word(word) => word,
                        number => number.number().to_string(),
                    })
                    .collect();
                format!("~{}({})", call.callee.names[0].node, args.join(", "))
            }
            ExprNode::If(branches) => {
                let Else::Block(otherwise) = &branches.otherwise else {
                    panic!("two branches");
                };
                let taken = if self.expr(&branches.condition, frame, path).truth() {
                    &branches.then
                } else {
                    otherwise
                };
                self.interventions(&taken.value, frame, path)
            }
            other => panic!("{other:?} is not part of these tests"),
        }
    }
}
