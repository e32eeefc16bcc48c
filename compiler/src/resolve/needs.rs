//! What all modules together need bound: models, classifiers, losses and inputs, by bare name.

use std::collections::BTreeMap;

use guide_grammar::ast::ResourceKind;
use guide_grammar::span::Span;

use crate::diagnostics::{Bag, Code, Diagnostic};
use crate::resolved::{Item, ItemKind, KindNode, Program};
use crate::sources::SourceMap;

/// Refuses one name that two modules need as two kinds of thing, or with two defaults.
pub(super) fn report_conflicts(program: &Program, files: &SourceMap, bag: &mut Bag) {
    let mut known: BTreeMap<&str, (&Item, String)> = BTreeMap::new();
    let mut defaults: BTreeMap<&str, (&Item, Span)> = BTreeMap::new();
    for item in &program.items {
        let Some(what) = need(item) else { continue };
        let name = item.name.node.as_str();
        match known.get(name) {
            None => {
                known.insert(name, (item, what));
            }
            // Twice in one module is said already.
            Some((first, before)) if *before != what && first.module != item.module => {
                let shown = |span: Span, what: &str| (span, format!("{what} here"));
                let (span, text) = shown(item.name.span, &what);
                let (first_span, first_text) = shown(first.name.span, before);
                bag.push(
                    Diagnostic::new(
                        Code::ResourceConflict,
                        format!("`{name}` is needed as {before} and as {what}"),
                    )
                    .at(first_span, first_text)
                    .at(span, text)
                    .help(format!(
                        "rename one of them: `--bind {name}=…` can give only one thing"
                    )),
                );
            }
            Some(_) => {}
        }
        let Some(default) = default(item) else {
            continue;
        };
        let (first, before) = *defaults.entry(name).or_insert((item, default));
        if first.module != item.module && files.snippet(before) != files.snippet(default) {
            let message = format!("the input `{name}` has two defaults");
            bag.push(
                Diagnostic::new(Code::ResourceConflict, message)
                    .at(before, "one default")
                    .at(default, "another")
                    .help("leave one of them out, or rename one of the inputs"),
            );
        }
    }
}

fn default(item: &Item) -> Option<Span> {
    match &item.kind {
        ItemKind::Input(input) => input.default.as_ref().map(|expr| expr.span),
        _ => None,
    }
}

/// What an item asks to have bound.
fn need(item: &Item) -> Option<String> {
    match &item.kind {
        ItemKind::Function(_) => None,
        ItemKind::Resource(resource) => Some(
            match resource.kind {
                ResourceKind::Model => "a model",
                ResourceKind::Classifier => "a classifier",
                ResourceKind::Loss => "a loss",
            }
            .to_owned(),
        ),
        ItemKind::Input(input) => Some(match &input.kind.node {
            KindNode::Plain(kind) => format!("an input `{kind:?}`"),
            KindNode::Prompts => "an input `Prompt[]`".to_owned(),
            KindNode::Scalar => "an input `Scalar`".to_owned(),
            KindNode::Bool => "an input `Bool`".to_owned(),
            KindNode::Error => return None,
            KindNode::Choice(_)
            | KindNode::Prediction(_)
            | KindNode::Direction(_)
            | KindNode::Tensor(_)
            | KindNode::Tuple(_) => "an input".to_owned(),
        }),
    }
}
