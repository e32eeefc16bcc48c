//! State: `prev`, the two passes that find its kind, and the cells it reads.
//!
//! A body with state is evaluated twice. In the first pass `prev(v)` agrees with everything, and its
//! weight is an unknown that the weight of `v` is then solved for; nothing is said. In the second
//! `prev(v)` has the kind, space and weight that the first found, and `v` must come out so again.
//! Inside another first pass only the first is made, so the cost does not grow with the nesting.

use guide_grammar::span::Span;

use crate::diagnostics::{Code, Diagnostic};
use crate::graph::{CellId, NodeId, Op, SpaceTerm, Stage};
use crate::resolved::{Expr, Let, LocalId, Prev, PrevOf};

use super::builder::Meta;
use super::engine::Engine;
use super::make::shape_of;
use super::scan::{annotation, turn_depth};
use super::value::{Data, Kind, Origin, Value, kind_text};
use super::weight::Weight;

/// Which state of a frame: a `let` in certain turns of the `total`s around it, or a built-in value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StateKey {
    Local(LocalId, Vec<u32>),
    Word(String),
}

/// A cell whose value may not be known yet.
#[derive(Clone, Debug)]
pub(crate) struct CellDraft {
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) value: Option<NodeId>,
    pub(crate) init: NodeId,
    pub(crate) region: Vec<(NodeId, bool)>,
    pub(crate) span: Span,
    /// The same state in other spaces.
    pub(crate) derived: Vec<(SpaceTerm, CellId)>,
    /// Whether anything was kept here; where the cell further back must know.
    pub(crate) flag: Option<CellId>,
}

impl<'p> Engine<'p> {
    /// The value of the current frame's body, in one pass or two.
    pub(crate) fn body(&mut self) -> Value {
        let Some(frame) = self.frames.last() else {
            return Value::Error;
        };
        let function = frame.function;
        if !frame.stateful.is_empty() {
            let locals = frame.locals.clone();
            self.first_passes += 1;
            let value = self.block(&function.body);
            let value = self.result(value);
            self.first_passes -= 1;
            if self.first_passes > 0 {
                return value;
            }
            if let Some(frame) = self.frames.last_mut() {
                frame.locals = locals;
                frame.ordinals.clear();
                frame.second_pass = true;
            }
        }
        let value = self.block(&function.body);
        self.result(value)
    }

    /// Binds a `let`, and settles the state that reads it.
    pub(crate) fn bind(&mut self, local: LocalId, value: Value, binding: &'p Let) {
        let Some(frame) = self.frames.last() else {
            return;
        };
        let Some(bound) = frame.function.locals.get(local.index()) else {
            return;
        };
        let name = bound.name.as_str();
        if let Value::Data(data) = &value {
            self.graph.name(data.node, name);
        }
        if self.first_passes == 0 && self.frames.len() == 1 {
            self.reveal(binding, &value);
        }
        self.observe(bound.span, &value);
        self.set_local(local, value.clone());
        let Some(frame) = self.frames.last() else {
            return;
        };
        if !frame.stateful.contains(&local) {
            return;
        }
        let depth = turn_depth(frame.function, local);
        let key = StateKey::Local(local, frame.turns.iter().take(depth).copied().collect());
        if frame.second_pass {
            self.settle(&key, name, value, &binding.value);
        } else {
            let found = self.solve(&key, value);
            self.set_local(local, found.clone());
            if let Some(frame) = self.frames.last_mut() {
                frame.types.insert(key, found);
            }
        }
    }

    /// What the first pass found, with the weight that stays the same from tick to tick.
    fn solve(&mut self, key: &StateKey, value: Value) -> Value {
        let Value::Data(mut data) = value else {
            return value;
        };
        let Some((unknown, init)) = self
            .frames
            .last()
            .and_then(|f| f.placeholders.get(key))
            .cloned()
        else {
            return Value::Data(data);
        };
        if data.kind == Kind::Tensor && data.weight.mentions(&|u| u == unknown) {
            data.weight = match data.weight.fixpoint(unknown) {
                Some(weight) => weight,
                None => init
                    .filter(Data::is_tensor)
                    .map_or_else(Weight::zero, |d| d.weight),
            };
            if data.weight.is_zero() {
                data.origin = Origin::Free;
            }
        }
        Value::Data(data)
    }

    /// The second pass: `v` comes out as the first pass found it, and goes into its cell.
    fn settle(&mut self, key: &StateKey, name: &str, value: Value, expr: &'p Expr) {
        let Some(frame) = self.frames.last() else {
            return;
        };
        let Value::Data(data) = value else { return };
        let found = frame.types.get(key).cloned();
        if let Some(Value::Data(found)) = found {
            let same_weight = data.kind != Kind::Tensor
                || data.weight.equals(&found.weight)
                || self.is_open_weight(&data.weight);
            let same =
                data.kind == found.kind && (data.kind != Kind::Tensor || data.space == found.space);
            if !same || !same_weight {
                let (was, is) = if same {
                    (
                        format!("weight `{}`", self.weight_text(&found.weight)),
                        format!("weight `{}`", self.weight_text(&data.weight)),
                    )
                } else {
                    (found.describe(), data.describe())
                };
                self.report(
                    Diagnostic::new(Code::StateKindOpen, format!("`{name}` does not stay the same from tick to tick: {was} becomes {is}"))
                        .at(expr.span, format!("with {was} before, this gives {is}"))
                        .help(format!("state its kind, as in `let {name}: Direction<x0> = …`, and let the factors of `prev({name})` fit it")),
                );
                return;
            }
        }
        let kept = (data.node, self.region.clone());
        if let Some(frame) = self.frames.last_mut() {
            frame.kept.insert(key.clone(), kept);
        }
        self.fill_cells(key);
    }

    /// Gives the cells of a state their values once both are there: `prev(v)` may stand before the
    /// `let` of `v` or after it.
    fn fill_cells(&mut self, key: &StateKey) {
        let Some(frame) = self.frames.last() else {
            return;
        };
        let cells = frame.states.get(key).cloned().unwrap_or_default();
        let Some((node, region)) = frame.kept.get(key).cloned() else {
            return;
        };
        let mut before = None;
        for cell in cells {
            let value = match before {
                None => Some(node),
                Some(before) => self.prev_node(before),
            };
            if let Some(value) = value {
                let kept_when = self.kept_when(before, &region);
                self.finish_cell(cell, value, &kept_when);
            }
            self.fill_flag(cell, before, &region);
            before = Some(cell);
        }
    }

    pub(crate) fn finish_cell(&mut self, cell: CellId, value: NodeId, region: &[(NodeId, bool)]) {
        let Some(draft) = self.cells.get_mut(cell.0 as usize) else {
            return;
        };
        draft.value = Some(value);
        draft.region = region.to_vec();
        for (space, derived) in draft.derived.clone() {
            let span = self.graph.node(value).span;
            let value = self.convert_node(value, &space, span);
            self.finish_cell(derived, value, region);
        }
    }

    pub(crate) fn prev_node(&self, cell: CellId) -> Option<NodeId> {
        let at = self
            .graph
            .nodes
            .iter()
            .position(|n| matches!(n.op, Op::Prev(c) if c == cell))?;
        Some(NodeId(at as u32))
    }

    /// `prev(v, depth, init: e)`
    pub(crate) fn prev(&mut self, prev: &'p Prev, span: Span) -> Value {
        let depth = match &prev.depth {
            None => 1,
            Some(expr) => {
                let value = self.expr(expr);
                let Some(data) = self.scalar(value, "the depth of `prev`", expr) else {
                    return Value::Error;
                };
                match self.whole(&data, "the depth of `prev`", expr.span) {
                    Some(depth @ 1..=64) => depth as usize,
                    Some(depth) => {
                        let diagnostic = Diagnostic::new(
                            Code::NotWhole,
                            format!("`prev` goes {depth} ticks back, and 1 to 64 are allowed"),
                        )
                        .at(expr.span, "out of range");
                        return self.fail(diagnostic);
                    }
                    None if self.graph.constant(data.node).is_none()
                        && self.graph.stage(data.node) == Stage::Const =>
                    {
                        1
                    }
                    None => return Value::Error,
                }
            }
        };
        let init = match &prev.init {
            Some(init) => self.expr(init),
            None => {
                let text = self.text_of_prev(prev);
                let diagnostic = Diagnostic::new(
                    Code::MissingArgument,
                    "`prev` needs `init`, the value before the first tick",
                )
                .at(span, "`init` is not given")
                .help(format!("write `prev({text}, init: 0)`"))
                .fix(span, format!("prev({text}, init: 0)"));
                return self.fail(diagnostic);
            }
        };
        let init_expr = prev.init.as_ref();
        match (&prev.of, init_expr) {
            (PrevOf::Local(local), Some(expr)) => {
                self.prev_of_local(*local, depth, init, expr, prev.of_span, span)
            }
            (PrevOf::Word(word), Some(expr)) => {
                self.prev_of_word(word, depth, init, expr, prev.of_span, span)
            }
            _ => Value::Error,
        }
    }

    fn text_of_prev(&self, prev: &Prev) -> String {
        match &prev.of {
            PrevOf::Local(local) => self
                .frame()
                .and_then(|f| f.function.locals.get(local.index()))
                .map_or("v", |l| l.name.as_str())
                .to_string(),
            PrevOf::Word(word) => word.clone(),
            PrevOf::Error => "v".to_string(),
        }
    }

    fn prev_of_local(
        &mut self,
        local: LocalId,
        depth: usize,
        init: Value,
        init_expr: &'p Expr,
        of: Span,
        span: Span,
    ) -> Value {
        let Some(frame) = self.frames.last() else {
            return Value::Error;
        };
        let function = frame.function;
        let name = function
            .locals
            .get(local.index())
            .map_or("v", |l| l.name.as_str());
        let key = StateKey::Local(
            local,
            frame
                .turns
                .iter()
                .take(turn_depth(function, local))
                .copied()
                .collect(),
        );
        let known = frame.types.get(&key).cloned();
        if !frame.second_pass {
            return match known {
                Some(value) => value,
                None => self.placeholder(local, &key, init),
            };
        }
        let data = match known {
            Some(Value::Data(data)) if is_kept(data.kind) => data,
            // Whatever is wrong with it is said where it is made; here it agrees with everything.
            Some(Value::Error) | None => return self.placeholder(local, &key, init),
            Some(other) => {
                let diagnostic = Diagnostic::new(
                    Code::PrevOfWhat,
                    format!("`{name}` is {}, which is no state", other.describe()),
                )
                .at(of, "`prev` is asked of this")
                .help("keep a number, a truth value, a tensor or a map");
                return self.fail(diagnostic);
            }
        };
        if data.kind == Kind::Open {
            let diagnostic = Diagnostic::new(
                Code::StateKindOpen,
                format!("nothing determines what `{name}` is"),
            )
            .at(of, "it is made from its own past alone")
            .help(format!(
                "state its kind, as in `let {name}: Direction<x0> = …`"
            ));
            return self.fail(diagnostic);
        }
        if data.is_unpinned() {
            self.not_pinned(&format!("what `prev({name})` keeps"), span, None);
        }
        self.read_state(key, name, data, depth, init, init_expr, span)
    }

    fn prev_of_word(
        &mut self,
        word: &str,
        depth: usize,
        init: Value,
        init_expr: &'p Expr,
        of: Span,
        span: Span,
    ) -> Value {
        let value = self.word(word, of);
        let Value::Data(data) = value else {
            let diagnostic = Diagnostic::new(Code::PrevOfWhat, format!("`{word}` is no state"))
                .at(of, "`prev` is asked of this")
                .help("ask it of a `let`, of `x` or of a name of the step");
            return self.fail(diagnostic);
        };
        if self
            .frames
            .last()
            .is_some_and(|f| !f.second_pass && !f.stateful.is_empty())
        {
            return Value::Data(data);
        }
        let key = StateKey::Word(word.to_string());
        let Some(frame) = self.frames.last_mut() else {
            return Value::Error;
        };
        // A name of the step stands in the region of the whole call.
        let region: Vec<_> = self.region.iter().take(frame.region).copied().collect();
        frame.kept.insert(key.clone(), (data.node, region));
        self.read_state(key, word, data, depth, init, init_expr, span)
    }

    /// What stands for a state in the first pass.
    fn placeholder(&mut self, local: LocalId, key: &StateKey, init: Value) -> Value {
        let Some(frame) = self.frames.last() else {
            return Value::Error;
        };
        let function = frame.function;
        let init = match init {
            Value::Data(data) => Some(data),
            _ => None,
        };
        let unknown = match frame.placeholders.get(key) {
            Some((unknown, _)) => *unknown,
            None => self.state_unknown(),
        };
        let span = function
            .locals
            .get(local.index())
            .map_or(function.body.span, |l| l.span);
        let meta = Meta {
            shape: shape_of(Kind::Open),
            space: None,
            kind: "open".into(),
        };
        let node = self
            .graph
            .add(Op::Parameter(format!("state {unknown}")), meta, span);
        if let Some(frame) = self.frames.last_mut() {
            frame.placeholders.insert(key.clone(), (unknown, init));
        }
        let open = Value::Data(Data {
            weight: Weight::unknown(unknown),
            ..Data::of(Kind::Open, node)
        });
        match annotation(&function.body, local) {
            Some((kind, expr)) => self.coerce(open, kind, expr),
            None => open,
        }
    }

    /// Reads a state `depth` active ticks back; the first read makes its cells.
    #[allow(
        clippy::too_many_arguments,
        reason = "a state is its name, its kind, its start and its place"
    )]
    fn read_state(
        &mut self,
        key: StateKey,
        name: &str,
        data: Data,
        depth: usize,
        init: Value,
        init_expr: &'p Expr,
        span: Span,
    ) -> Value {
        let Some(init) = self.fit_init(name, &data, init, init_expr, span) else {
            return Value::Error;
        };
        // Even of a const the first tick reads `init`, so what is read changes from step to step.
        let of = self.graph.stage(data.node).max(self.graph.stage(init.node));
        let stage = of.max(Stage::Step);
        let kind = kind_text(data.kind, &data.space, &data.weight);
        let space = data.is_tensor().then(|| data.space.clone());
        let meta = Meta {
            shape: shape_of(data.kind),
            space,
            kind,
        };
        let mut cells = self
            .frames
            .last()
            .and_then(|f| f.states.get(&key))
            .cloned()
            .unwrap_or_default();
        if let Some(first) = cells.first().and_then(|c| self.cells.get(c.0 as usize))
            && first.init != init.node
        {
            let diagnostic = Diagnostic::new(
                Code::StateInits,
                format!("`{name}` is one state with two initial values"),
            )
            .at(init_expr.span, "another value than before")
            .at(first.span, "the first `prev` of it")
            .help("give both the same `init`");
            return self.fail(diagnostic);
        }
        let base = self.state_path(&key, name);
        while cells.len() < depth {
            if let Some(last) = cells.last() {
                self.flag(*last);
            }
            let path = if cells.is_empty() {
                base.clone()
            } else {
                format!("{base}/{}", cells.len() + 1)
            };
            let draft = CellDraft {
                name: name.to_string(),
                path,
                value: None,
                init: init.node,
                region: Vec::new(),
                span,
                derived: Vec::new(),
                flag: None,
            };
            cells.push(self.new_cell(draft, meta.clone(), stage));
        }
        let Some(cell) = cells.get(depth - 1).copied() else {
            return Value::Error;
        };
        if let Some(frame) = self.frames.last_mut() {
            frame.states.insert(key.clone(), cells);
        }
        self.fill_cells(&key);
        let node = self.graph.prev(cell, meta, stage, span);
        let weight = if data.kind.is_factor() {
            self.node_weight(node, |_| format!("prev({name})"))
        } else {
            data.weight.clone()
        };
        Value::Data(Data {
            node,
            weight,
            plain: data.plain && !data.is_tensor(),
            ..data
        })
    }

    fn state_path(&self, key: &StateKey, name: &str) -> String {
        let Some(frame) = self.frames.last() else {
            return name.to_string();
        };
        let mut path = format!("{}/{name}", frame.path);
        if let StateKey::Local(local, turns) = key {
            // Another `let` of the same name, or another turn of a `total`, is another state.
            let same = frame
                .function
                .locals
                .iter()
                .take(local.index())
                .filter(|l| l.name == name)
                .count();
            if same > 0 {
                path.push_str(&format!("~{same}"));
            }
            turns
                .iter()
                .for_each(|turn| path.push_str(&format!("[{turn}]")));
        }
        path
    }
}

/// Whether a value of this kind can be state.
fn is_kept(kind: Kind) -> bool {
    !matches!(kind, Kind::Probs | Kind::Logits | Kind::Picture)
}
