//! Where the engine starts: every item on its own, or one guide with the settings in force.

use std::collections::{BTreeMap, BTreeSet};

use guide_grammar::ast::FunctionKind;
use guide_grammar::span::Span;

use crate::diagnostics::{Bag, Code, Diagnostic, Severity, suggest};
use crate::graph::{Graph, Op, SpaceTerm, Stage};
use crate::plan::{self, Shape};
use crate::resolved::{
    Function, Item, ItemId, ItemKind, KindNode, Let, Param, PlainKind, Program, SpaceName,
};

use super::Inline;
use super::builder::Meta;
use super::engine::{Engine, Frame, Mode, PredictDefaults};
use super::known::Known;
use super::make::shape_of;
use super::value::{
    Choice, Condition, Data, Guide, Kind, Origin, Outcome, PlainInput, Point, Source, Value,
    kind_text, space_text,
};
use super::weight::Weight;

/// Checks every item; what is said inside a callee counts only where the callee's own check was clean.
pub(crate) fn check_all(program: &Program) -> Bag {
    each_item(program, false).0
}

/// The same, with what is known of every expression and name.
pub(crate) fn check_and_observe(program: &Program) -> (Bag, BTreeMap<Span, Known>) {
    each_item(program, true)
}

fn each_item(program: &Program, observing: bool) -> (Bag, BTreeMap<Span, Known>) {
    let mut known = BTreeMap::new();
    let mut bag = Bag::default();
    let mut inside = Vec::new();
    let mut bad = BTreeSet::new();
    for (at, item) in program.items.iter().enumerate() {
        let id = ItemId(at as u32);
        let mut engine = Engine::new(program, Mode::Check);
        engine.known = observing.then(BTreeMap::new);
        engine.check_item(id, item);
        known.extend(engine.known.take().unwrap_or_default());
        if engine.bag.has_errors() {
            bad.insert(id);
        }
        bag.extend(engine.bag);
        inside.extend(engine.inside);
    }
    for (item, diagnostic) in inside {
        let place = diagnostic.labels.first().map(|l| l.span);
        let said = bag
            .iter()
            .any(|d| d.code == diagnostic.code && d.labels.first().map(|l| l.span) == place);
        if !said && !bad.contains(&item) && diagnostic.severity == Severity::Error {
            bag.push(diagnostic);
        }
    }
    (bag, known)
}

/// Inlines a guide or an objective.
pub(crate) fn inline_guide(program: &Program, guide: ItemId, request: &Inline) -> (Graph, Bag) {
    let mut engine = Engine::new(program, Mode::Inline(request));
    let (Some(function), Some(item)) = (
        super::function(program, guide),
        program.items.get(guide.index()),
    ) else {
        return (Graph::default(), engine.bag);
    };
    if function.kind == FunctionKind::Fn {
        engine.bag.push(
            Diagnostic::new(
                Code::WhichGuide,
                format!("`{}` is neither a guide nor an objective", item.name.node),
            )
            .at(item.name.span, "only those can be planned"),
        );
        return (Graph::default(), engine.bag);
    }
    engine.graph.objective = function.kind == FunctionKind::Objective;
    engine.frames.push(Frame::new(
        guide,
        function,
        item.name.node.clone(),
        item.name.span,
        0,
    ));
    let settings = engine.set_parameters(function, item, request);
    let result = if engine.bag.has_errors() {
        Value::Error
    } else {
        engine.body()
    };
    let mut graph = match result {
        Value::Outcome(outcome) if !engine.bag.has_errors() => {
            engine.finish(&outcome, request.negative)
        }
        Value::Data(direction) if engine.graph.objective && !engine.bag.has_errors() => {
            let leaving = Outcome::Guided {
                denoise: direction,
                renoise: None,
                shift: None,
                moves: None,
            };
            engine.finish(&leaving, request.negative)
        }
        _ => Graph::default(),
    };
    graph.settings = settings;
    graph.tables = request.tables.iter().cloned().collect();
    graph.per_evaluation = function.per_evaluation;
    graph.objective = engine.graph.objective;
    (graph, engine.bag)
}

/// The values of all `let`s of all functions.
pub(crate) fn reveal_all(program: &Program) -> Vec<(Span, String)> {
    let mut all = Vec::new();
    for (at, item) in program.items.iter().enumerate() {
        let mut engine = Engine::new(program, Mode::Check);
        engine.check_item(ItemId(at as u32), item);
        all.extend(engine.revealed);
    }
    all
}

impl<'p> Engine<'p> {
    fn check_item(&mut self, id: ItemId, item: &'p Item) {
        let function = match &item.kind {
            ItemKind::Function(function) => function.as_ref(),
            ItemKind::Resource(resource) => return self.check_resource(resource),
            ItemKind::Input(input) => return self.check_input(input),
        };
        self.graph.objective = function.kind == FunctionKind::Objective;
        self.frames.push(Frame::new(
            id,
            function,
            item.name.node.clone(),
            item.name.span,
            0,
        ));
        for generic in &function.generics {
            let term = (SpaceTerm::Generic(generic.node.clone()), true);
            if let Some(frame) = self.frames.last_mut() {
                frame.generics.insert(generic.node.clone(), term);
            }
        }
        for param in &function.params {
            if param.default.is_some() {
                self.default_of(param);
            }
            let value = self.unknown_parameter(param);
            self.observe(param.name.span, &value);
            self.set_local(param.local, value);
        }
        self.body();
        self.frames.pop();
    }

    /// A parameter that nothing was given for.
    fn unknown_parameter(&mut self, param: &'p Param) -> Value {
        let name = param.name.node.as_str();
        let span = param.name.span;
        match &param.kind.node {
            KindNode::Error | KindNode::Tuple(_) => Value::Error,
            KindNode::Scalar => {
                let node = self.graph.scalar(Op::Parameter(name.into()), span);
                let weight = self.parameter_weight(name);
                Value::Data(Data {
                    weight,
                    ..Data::of(Kind::Scalar, node)
                })
            }
            KindNode::Bool => Value::Data(Data::of(
                Kind::Bool,
                self.graph.bool(Op::Parameter(name.into()), span),
            )),
            KindNode::Choice(words) => Value::Choice(Choice::Open(name.into(), words.clone())),
            KindNode::Prediction(space) => self.unknown_tensor(name, space, Weight::one(), span),
            KindNode::Direction(space) => self.unknown_tensor(name, space, Weight::zero(), span),
            KindNode::Tensor(space) => {
                let weight = self.parameter_weight(&format!("the weight of {name}"));
                self.unknown_tensor(name, space, weight, span)
            }
            KindNode::Prompts => Value::Prompts(Source::Parameter(name.into())),
            KindNode::Plain(plain) => self.unknown_plain(name, *plain, span),
        }
    }

    fn unknown_tensor(
        &mut self,
        name: &str,
        space: &SpaceName,
        weight: Weight,
        span: Span,
    ) -> Value {
        let (space, pinned) = self.stated_space(space);
        let space = space.unwrap_or(SpaceTerm::Native);
        let meta = Meta {
            shape: Shape::Tensor,
            space: Some(space.clone()),
            kind: kind_text(Kind::Tensor, &space, &weight),
        };
        let node = self
            .graph
            .add_staged(Op::Parameter(name.into()), meta, Stage::Sample, span);
        let origin = if weight.is_zero() {
            Origin::Free
        } else {
            Origin::At(Point::default())
        };
        let data = Data {
            weight,
            space,
            pinned,
            origin,
            ..Data::of(Kind::Tensor, node)
        };
        self.remember_affinity(&data);
        Value::Data(data)
    }

    fn unknown_plain(&mut self, name: &str, plain: PlainKind, span: Span) -> Value {
        let source = Source::Parameter(name.to_string());
        let kind = match plain {
            PlainKind::Layers => return Value::Layers(None),
            PlainKind::Axes => return Value::Axes(None),
            PlainKind::Prompt => return Value::Condition(Condition::Open(name.into(), Vec::new())),
            PlainKind::Image => return Value::Plain(PlainInput::Image, source),
            PlainKind::Trajectory => return Value::Plain(PlainInput::Trajectory, source),
            PlainKind::Tokens => return Value::Plain(PlainInput::Tokens, source),
            PlainKind::Table => return Value::Table(source),
            PlainKind::Guide => return Value::Guide(Guide::Open(name.into())),
            PlainKind::Outcome => {
                return Value::Outcome(self.open_outcome(name, &PredictDefaults::default(), span));
            }
            PlainKind::Latent => Kind::Latent,
            PlainKind::Map | PlainKind::Mask => Kind::Map,
            PlainKind::PerChannel => Kind::PerChannel,
            PlainKind::Raw => Kind::Raw,
            PlainKind::Class => Kind::Class,
            PlainKind::Probs => Kind::Probs,
            PlainKind::Logits => Kind::Logits,
        };
        let meta = Meta {
            shape: shape_of(kind),
            space: None,
            kind: kind_text(kind, &SpaceTerm::Native, &Weight::zero()),
        };
        let node = self
            .graph
            .add_staged(Op::Parameter(name.into()), meta, Stage::Sample, span);
        let weight = if kind.is_factor() {
            self.parameter_weight(name)
        } else {
            Weight::zero()
        };
        Value::Data(Data {
            weight,
            ..Data::of(kind, node)
        })
    }

    /// The parameters of the root guide with the settings in force; gives them as text.
    fn set_parameters(
        &mut self,
        function: &'p Function,
        item: &Item,
        request: &'p Inline,
    ) -> Vec<(String, String)> {
        for (name, _) in &request.settings {
            if function.params.iter().all(|p| p.name.node != *name) {
                let names: Vec<&str> = function
                    .params
                    .iter()
                    .map(|p| p.name.node.as_str())
                    .collect();
                let mut diagnostic = Diagnostic::new(
                    Code::UnknownParameter,
                    format!("`{}` has no parameter `{name}`", item.name.node),
                );
                diagnostic = match suggest::nearest(name, names.iter().copied()) {
                    Some(near) => diagnostic.help(format!("write `--set {near}=…`")),
                    None if names.is_empty() => diagnostic.help("it has no parameters"),
                    None => diagnostic.help(format!(
                        "its parameters are {}",
                        names
                            .iter()
                            .map(|n| format!("`{n}`"))
                            .collect::<Vec<_>>()
                            .join(", ")
                    )),
                };
                self.bag.push(diagnostic);
            }
        }
        let mut settings = Vec::new();
        for param in &function.params {
            let set = request
                .settings
                .iter()
                .rev()
                .find(|(name, _)| *name == param.name.node);
            let value = match set {
                Some((_, text)) => self.setting(param, text),
                None if param.default.is_some() => self.default_of(param),
                None => {
                    self.bag.push(
                        Diagnostic::new(
                            Code::MissingArgument,
                            format!("`{}` needs `{}`", item.name.node, param.name.node),
                        )
                        .at(param.name.span, "has no default")
                        .help(format!("give it with `--set {}=…`", param.name.node)),
                    );
                    Value::Error
                }
            };
            let text = self.value_text(&value, param);
            settings.push((param.name.node.clone(), text));
            // A weight must be right for every value of a parameter, so it stays an unknown there.
            let value = match value {
                Value::Data(data) if data.kind == Kind::Scalar => {
                    let weight = self.parameter_weight(&param.name.node);
                    Value::Data(Data { weight, ..data })
                }
                value => value,
            };
            self.set_local(param.local, value);
        }
        settings
    }

    /// What a `let` binds, as text, for tests.
    pub(crate) fn reveal(&mut self, binding: &Let, value: &Value) {
        let Value::Data(data) = value else { return };
        let stage = match self.graph.stage(data.node) {
            Stage::Const => "const",
            Stage::Step => "step",
            Stage::Sample => "sample",
        };
        let text = if data.is_tensor() {
            let what = if data.weight.is_one() {
                "prediction"
            } else if data.weight.is_zero() {
                "direction"
            } else {
                "tensor"
            };
            format!(
                "{what} in {}, weight {}, {stage}",
                space_text(&data.space),
                self.weight_text(&data.weight)
            )
        } else {
            format!("{}, {stage}", data.kind_text())
        };
        self.revealed.insert(binding.span, text);
    }

    /// A setting as text in the language.
    fn value_text(&self, value: &Value, param: &Param) -> String {
        match value {
            Value::Data(data) => match (data.kind, self.graph.constant(data.node)) {
                (Kind::Bool, Some(value)) => (value != 0.0).to_string(),
                (_, Some(value)) => super::text::number(value),
                _ => self.default_text(param),
            },
            Value::Choice(Choice::Known(word, _)) => super::text::quoted(word),
            Value::Text(text) => super::text::quoted(text),
            Value::Layers(Some(layers)) => layers.to_string(),
            Value::Axes(Some(axes)) => match axes {
                plan::Axes::All => "all".into(),
                plan::Axes::Channels => "channels".into(),
                plan::Axes::Space => "space".into(),
            },
            _ => self.default_text(param),
        }
    }

    fn default_text(&self, param: &Param) -> String {
        param
            .default
            .as_ref()
            .map_or_else(String::new, |default| self.text(default))
    }
}
