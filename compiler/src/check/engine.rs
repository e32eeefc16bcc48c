//! The engine's state: the graph so far, the call stack, and what was said.

use std::collections::{BTreeMap, BTreeSet};

use guide_grammar::span::Span;

use crate::diagnostics::{Bag, Code, Diagnostic};
use crate::graph::{NodeId, SpaceTerm, With};
use crate::plan;
use crate::resolved::{Expr, Function, ItemId, LocalId, Program};

use super::Inline;
use super::builder::{Builder, MAX_NODES};
use super::known::Known;
use super::space::{Affinity, Moment};
use super::state::{CellDraft, StateKey};
use super::text::Printer;
use super::value::{Data, Point, Value};
use super::weight::{Unknown, Weight};

/// A rule whose checking visits more expressions than this is refused.
pub const MAX_EXPRESSIONS: u64 = 4_000_000;

/// What the engine runs for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mode<'p> {
    /// Parameters are unknown.
    Check,
    /// Parameters have their values in force.
    Inline(&'p Inline),
}

/// The abstract interpreter.
pub(crate) struct Engine<'p> {
    pub(crate) program: &'p Program,
    pub(crate) mode: Mode<'p>,
    pub(crate) graph: Builder,
    pub(crate) cells: Vec<CellDraft>,
    pub(crate) inputs: Vec<plan::Input>,
    pub(crate) frames: Vec<Frame<'p>>,
    /// The conditions under which the current expression is evaluated.
    pub(crate) region: Vec<(NodeId, bool)>,
    /// How many first passes are under way: nothing is said in them.
    pub(crate) first_passes: u32,
    /// What replaces the defaults of `predict`, inside `inner(at:, t:, model:, with:)`.
    pub(crate) defaults: PredictDefaults,
    pub(crate) affinities: BTreeMap<NodeId, Affinity>,
    pub(crate) moments: BTreeMap<NodeId, Moment>,
    pub(crate) revealed: BTreeMap<Span, String>,
    /// What is known of each expression and name of the item itself, where somebody asks.
    pub(crate) known: Option<BTreeMap<Span, Known>>,
    pub(crate) bag: Bag,
    /// What was said inside callees, which have checks of their own.
    pub(crate) inside: Vec<(ItemId, Diagnostic)>,
    unknowns: Vec<(UnknownKey, String)>,
    unknown_index: BTreeMap<UnknownKey, Unknown>,
    expressions: u64,
    pub(crate) gave_up: bool,
}

/// What replaces the defaults of `predict`.
#[derive(Clone, Debug, Default)]
pub(crate) struct PredictDefaults {
    pub(crate) point: Point,
    pub(crate) model: Option<Option<String>>,
    /// What is changed inside the network before a prediction's own changes.
    pub(crate) with: Vec<With>,
}

/// What an unknown of a weight stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum UnknownKey {
    Parameter(String),
    Node(NodeId),
    /// The weight of a state that is not found yet.
    State(u32),
    /// A sum over turns that nobody counted.
    Turns(u32),
}

/// A function that is being evaluated.
pub(crate) struct Frame<'p> {
    pub(crate) item: ItemId,
    pub(crate) function: &'p Function,
    pub(crate) locals: Vec<Option<Value>>,
    pub(crate) generics: BTreeMap<String, (SpaceTerm, bool)>,
    /// The path of names to it, unique.
    pub(crate) path: String,
    /// Where it was called.
    pub(crate) call: Span,
    /// How often each name was called in it so far.
    pub(crate) ordinals: BTreeMap<String, u32>,
    /// The turns of the `total`s around the current expression.
    pub(crate) turns: Vec<u32>,
    /// The `let`s that some `prev` of it reads.
    pub(crate) stateful: BTreeSet<LocalId>,
    pub(crate) second_pass: bool,
    /// What the first pass found.
    pub(crate) types: BTreeMap<StateKey, Value>,
    /// The unknown that stood for a state's weight in the first pass.
    pub(crate) placeholders: BTreeMap<StateKey, (Unknown, Option<Data>)>,
    /// What each state keeps, and the region of its `let`, once that is evaluated.
    pub(crate) kept: BTreeMap<StateKey, (NodeId, Vec<(NodeId, bool)>)>,
    /// The cells of the second pass, outermost first for `prev(v, n)`.
    pub(crate) states: BTreeMap<StateKey, Vec<crate::graph::CellId>>,
    /// How long the region was at the call.
    pub(crate) region: usize,
}

impl<'p> Engine<'p> {
    pub(crate) fn new(program: &'p Program, mode: Mode<'p>) -> Self {
        Engine {
            program,
            mode,
            graph: Builder::default(),
            cells: Vec::new(),
            inputs: Vec::new(),
            frames: Vec::new(),
            region: Vec::new(),
            first_passes: 0,
            defaults: PredictDefaults::default(),
            affinities: BTreeMap::new(),
            moments: BTreeMap::new(),
            revealed: BTreeMap::new(),
            known: None,
            bag: Bag::default(),
            inside: Vec::new(),
            unknowns: Vec::new(),
            unknown_index: BTreeMap::new(),
            expressions: 0,
            gave_up: false,
        }
    }

    /// Says something, unless a first pass is under way.
    pub(crate) fn report(&mut self, diagnostic: Diagnostic) {
        if self.first_passes > 0 || self.gave_up {
            return;
        }
        match (&self.mode, self.frames.last()) {
            (Mode::Check, Some(frame)) if self.frames.len() > 1 => {
                self.inside.push((frame.item, diagnostic));
            }
            _ => self.bag.push(diagnostic),
        }
    }

    /// Says an error and gives the value that silences followers.
    pub(crate) fn fail(&mut self, diagnostic: Diagnostic) -> Value {
        self.report(diagnostic);
        Value::Error
    }

    /// Counts an expression; `false` once the rule is too large, which is said once.
    pub(crate) fn may_go_on(&mut self, span: Span) -> bool {
        self.expressions += 1;
        if self.gave_up {
            return false;
        }
        if self.graph.nodes.len() > MAX_NODES || self.expressions > MAX_EXPRESSIONS {
            self.first_passes = 0;
            self.bag.push(
                Diagnostic::new(
                    Code::TooManyNodes,
                    format!("this rule inlines into more than {MAX_NODES} operations"),
                )
                .at(span, "the limit is reached here")
                .help("make the `total` shorter, or split the rule"),
            );
            self.gave_up = true;
            return false;
        }
        true
    }

    pub(crate) fn frame(&self) -> Option<&Frame<'p>> {
        self.frames.last()
    }

    /// Whether parameters are unknown.
    pub(crate) fn is_check(&self) -> bool {
        matches!(self.mode, Mode::Check)
    }

    /// The unknown of a parameter.
    pub(crate) fn parameter_weight(&mut self, name: &str) -> Weight {
        let key = UnknownKey::Parameter(name.to_string());
        Weight::unknown(self.unknown(key, name.to_string()))
    }

    /// The unknown of a node, by its name or the text of the expression that made it.
    pub(crate) fn node_weight(
        &mut self,
        node: NodeId,
        text: impl FnOnce(&Self) -> String,
    ) -> Weight {
        let key = UnknownKey::Node(node);
        if let Some(found) = self.unknown_index.get(&key) {
            return Weight::unknown(*found);
        }
        let text = text(self);
        Weight::unknown(self.unknown(key, text))
    }

    /// The unknown weight of a state that is not found yet.
    pub(crate) fn state_unknown(&mut self) -> Unknown {
        let key = UnknownKey::State(self.unknowns.len() as u32);
        self.unknown(key, "(a state)".to_string())
    }

    /// The unknown of a sum over turns that nobody counted.
    pub(crate) fn turns_unknown(&mut self) -> Unknown {
        let key = UnknownKey::Turns(self.unknowns.len() as u32);
        self.unknown(key, "(a sum over turns)".to_string())
    }

    fn unknown(&mut self, key: UnknownKey, text: String) -> Unknown {
        if let Some(found) = self.unknown_index.get(&key) {
            return *found;
        }
        let id = self.unknowns.len() as Unknown;
        self.unknowns.push((key.clone(), text));
        self.unknown_index.insert(key, id);
        id
    }

    /// Whether it is that of a state that is not found yet.
    pub(crate) fn is_open_weight(&self, weight: &Weight) -> bool {
        let open = |unknown: Unknown| {
            matches!(
                self.unknowns.get(unknown as usize),
                Some((UnknownKey::State(_), _))
            )
        };
        weight.mentions(&open)
    }

    /// Calls the unknown of a node by the expression that made it, unless it has a better name.
    pub(crate) fn describe_unknown(&mut self, node: NodeId, expr: &Expr) {
        let Some(unknown) = self.unknown_index.get(&UnknownKey::Node(node)).copied() else {
            return;
        };
        let text = self.text(expr);
        if let Some((_, old)) = self.unknowns.get_mut(unknown as usize)
            && old.starts_with('(')
        {
            *old = text;
        }
    }

    /// A weight for people. An unknown made by a node that has a `let`'s name by now is called so.
    pub(crate) fn weight_text(&self, weight: &Weight) -> String {
        weight.text(&|unknown| match self.unknowns.get(unknown as usize) {
            Some((UnknownKey::Node(node), text)) => self
                .graph
                .node(*node)
                .name
                .clone()
                .unwrap_or_else(|| text.clone()),
            Some((_, text)) => text.clone(),
            None => "?".to_string(),
        })
    }

    /// The expression as text of the current function.
    pub(crate) fn text(&self, expr: &Expr) -> String {
        let function = self.frame().map(|frame| frame.function);
        Printer {
            program: self.program,
            function,
        }
        .expr(expr)
    }
}
