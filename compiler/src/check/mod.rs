//! Checks the resolved tree and inlines it: `resolved::Program` in, diagnostics and `graph::Graph` out.
//!
//! One abstract interpreter does both, so that the language's rules exist once. Its values carry a
//! kind, a space, a weight, a stage, an origin and a node of the graph. [`check`] runs it on every
//! item with its parameters unknown and drops the graph; [`inline`] runs it on one guide with the
//! settings in force and keeps it.
//!
//! ```text
//! expr     expressions and blocks           call       functions, guides, parameters
//! combine  + - * /; compare: == <           state      prev; init, scan
//! branch   if, match, total; join           primitive  what the language brings
//! space    conversions                      outcome    what a guide returns
//! coerce   a value where a kind is stated   finish     the graph that is kept
//! ```

mod branch;
mod builder;
mod call;
mod coerce;
mod combine;
mod compare;
mod condition;
mod engine;
mod expr;
mod filled;
mod finish;
mod gradient;
mod guide;
mod init;
mod input;
mod intervention;
mod join;
mod known;
mod lint;
mod make;
mod operands;
mod outcome;
mod primitive;
mod root;
mod scan;
mod setting;
mod space;
mod state;
mod text;
mod value;
mod weight;

pub use builder::MAX_NODES;
pub use call::MAX_CALLS;
pub use engine::MAX_EXPRESSIONS;
pub use known::Known;
pub(crate) use scan::is_whole;
pub use weight::{MAX_DEGREE as MAX_WEIGHT_DEGREE, MAX_TERMS as MAX_WEIGHT_TERMS};

use std::collections::BTreeMap;

use guide_grammar::span::Span;

use crate::diagnostics::Bag;
use crate::graph::Graph;
use crate::resolved::{Function, ItemId, ItemKind, Program};

/// What is known when a guide is inlined.
#[derive(Clone, Debug, Default)]
pub struct Inline {
    /// Parameters that were set, as texts of const expressions (`("scale", "3")`). The words of a
    /// choice may stand without quotes.
    pub settings: Vec<(String, String)>,
    /// How many prompts are bound to each `Prompt[]` input; of an input that is not listed, none.
    pub prompt_counts: Vec<(String, u32)>,
    /// The rows of tables that are bound already, so that what they lack is found now.
    pub tables: Vec<(String, Vec<Vec<f64>>)>,
    /// Whether a negative prompt is given, so that `uncond` is not the null condition.
    pub negative: bool,
    /// The number of sampling steps, where it is known; a `total` over `steps` needs it.
    pub steps: Option<u32>,
}

/// Checks every item of every module on its own: parameters and generics stay unknown, so the
/// answer holds for every `--set` and every call.
pub fn check(program: &Program) -> Bag {
    on_a_large_stack(|| root::check_all(program))
}

/// As [`check`], with what is known of every expression, parameter and `let`, by its place.
pub fn check_and_observe(program: &Program) -> (Bag, BTreeMap<Span, Known>) {
    on_a_large_stack(|| root::check_and_observe(program))
}

/// Makes the graph of one guide with everything it calls in it. The graph has no outcome if the bag
/// has errors. What `check` says of the guide may be said again.
pub fn inline(program: &Program, guide: ItemId, request: &Inline) -> (Graph, Bag) {
    on_a_large_stack(|| root::inline_guide(program, guide, request))
}

/// The values of all `let`s of all functions, as text by place: for tests of what is inferred.
pub fn reveal(program: &Program) -> Vec<(Span, String)> {
    on_a_large_stack(|| root::reveal_all(program))
}

fn function(program: &Program, item: ItemId) -> Option<&Function> {
    match &program.items.get(item.index())?.kind {
        ItemKind::Function(function) => Some(function),
        _ => None,
    }
}

/// The depth of the engine's recursion is bounded ([`MAX_CALLS`] calls, each as deep as the grammar
/// allows), but not by what a thread of the caller has.
fn on_a_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    const STACK: usize = 1 << 28;
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .stack_size(STACK)
            .spawn_scoped(scope, work);
        match thread.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            // INVARIANT: a machine that cannot start one thread cannot sample either.
            Err(error) => panic!("no thread could be started: {error}"),
        }
    })
}
