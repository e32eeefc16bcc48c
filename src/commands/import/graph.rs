//! A workflow of ComfyUI as a graph of nodes, and how its links are followed.

use std::collections::BTreeMap;

use guide_compiler::diagnostics::Diagnostic;
use serde_json::Value;

use super::fields::{self, missing, number, shown};
use super::{Object, refused};

/// Nodes that do nothing but hold a value, with the input that holds it.
const HOLDERS: &[(&str, &str)] = &[
    ("PrimitiveFloat", "value"),
    ("PrimitiveInt", "value"),
    ("PrimitiveString", "value"),
    ("PrimitiveStringMultiline", "value"),
    ("FloatConstant", "value"),
    ("INTConstant", "value"),
    ("Reroute", ""),
];

/// The most nodes of a workflow; chains are followed by looking at what was passed.
const MOST_NODES: usize = 5000;

/// The most nodes of a circle that a message names.
const MOST_NAMED: usize = 8;

/// A node.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    /// Its number in the file.
    pub id: &'a str,
    /// Its class.
    pub class: &'a str,
    inputs: &'a Object,
}

/// All nodes of a workflow.
pub struct Graph<'a> {
    nodes: BTreeMap<&'a str, Node<'a>>,
}

impl<'a> Graph<'a> {
    /// Reads all nodes.
    ///
    /// # Errors
    /// A node without a class or inputs; too many nodes.
    pub fn of(object: &'a Object) -> Result<Self, Diagnostic> {
        if object.len() > MOST_NODES {
            let count = object.len();
            let message =
                format!("a workflow has at most {MOST_NODES} nodes, and this one {count}");
            return Err(refused(message));
        }
        let mut nodes = BTreeMap::new();
        for (id, node) in object {
            let place = format!("the node `{}`", shown(id));
            let class = node
                .get("class_type")
                .ok_or_else(|| missing(&place, "class_type"))?;
            let class = fields::text("class_type", class)?;
            let inputs = node
                .get("inputs")
                .ok_or_else(|| missing(&place, "inputs"))?
                .as_object()
                .ok_or_else(|| refused(format!("`inputs` of {place} is no object")))?;
            nodes.insert(id.as_str(), Node { id, class, inputs });
        }
        Ok(Self { nodes })
    }

    /// All nodes in order of their numbers as text.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'a>> {
        self.nodes.values().copied()
    }

    /// The node of that number.
    pub fn node(&self, id: &str) -> Option<Node<'a>> {
        self.nodes.get(id).copied()
    }

    /// The node that feeds an input; nothing where the input is missing or a plain value.
    ///
    /// # Errors
    /// A link to a node that is not there.
    pub fn feeding(&self, node: Node<'a>, input: &str) -> Result<Option<Node<'a>>, Diagnostic> {
        let Some(id) = node.inputs.get(input).and_then(linked) else {
            return Ok(None);
        };
        match self.node(id) {
            Some(found) => Ok(Some(found)),
            None => Err(refused(format!(
                "`{input}` of {} is linked to a node `{}` that is not there",
                node.shown(),
                shown(id)
            ))),
        }
    }

    /// From a node against the links of one input to where they begin: the nodes in the order in which
    /// they are passed.
    ///
    /// # Errors
    /// A link that leads nowhere; nodes that feed each other.
    pub fn chain(&self, from: Node<'a>, inputs: &[&str]) -> Result<Vec<Node<'a>>, Diagnostic> {
        let mut passed: Vec<Node<'a>> = Vec::new();
        let mut at = from;
        loop {
            let mut next = None;
            for input in inputs {
                next = next.or(self.feeding(at, input)?);
            }
            let Some(node) = next else {
                return Ok(passed);
            };
            let before = passed.iter().position(|known| known.id == node.id);
            if before.is_some() || node.id == from.id {
                let circle = &passed[before.unwrap_or(0)..];
                let ids: Vec<String> = circle.iter().map(|node| shown(node.id)).collect();
                return Err(circular(ids));
            }
            passed.push(node);
            at = node;
        }
    }

    /// The value of an input: its own, or that of the node which only holds it. Nothing where another
    /// node computes it.
    ///
    /// # Errors
    /// An input that is missing; a link that leads nowhere; nodes that feed each other.
    pub fn value(&self, node: Node<'a>, input: &str) -> Result<Option<&'a Value>, Diagnostic> {
        let Some(mut value) = node.inputs.get(input) else {
            return Err(missing(&node.shown(), input));
        };
        let mut passed = Vec::new();
        let mut holder = node;
        while let Some(id) = linked(value) {
            let Some(next) = self.node(id) else {
                return self.feeding(holder, input).map(|_| None);
            };
            if passed.contains(&next.id) {
                return Err(circular(passed.into_iter().map(shown).collect()));
            }
            passed.push(next.id);
            let Some((_, field)) = HOLDERS.iter().find(|(class, _)| *class == next.class) else {
                return Ok(None);
            };
            let inside = next
                .inputs
                .get(*field)
                .or_else(|| next.inputs.values().next());
            let Some(inside) = inside else {
                return Ok(None);
            };
            value = inside;
            holder = next;
        }
        Ok(Some(value))
    }

    /// A number that an input must have; nothing where another node computes it.
    ///
    /// # Errors
    /// As [`Graph::value`], or that it is no number.
    pub fn number(&self, node: Node<'a>, input: &str) -> Result<Option<f64>, Diagnostic> {
        let name = format!("{input}` of node `{}", shown(node.id));
        match self.value(node, input)? {
            Some(value) => number(&name, value).map(Some),
            None => Ok(None),
        }
    }
}

fn circular(ids: Vec<String>) -> Diagnostic {
    let named = &ids[..ids.len().min(MOST_NAMED)];
    let more = if named.len() < ids.len() { " …" } else { "" };
    refused(match ids.as_slice() {
        [one] => format!("the node `{one}` feeds itself"),
        _ => format!("the nodes `{}`{more} feed each other", named.join("`, `")),
    })
}

/// The node that a link names: `["4", 0]`.
fn linked(value: &Value) -> Option<&str> {
    match value.as_array()?.as_slice() {
        [Value::String(id), slot] if slot.is_u64() => Some(id),
        _ => None,
    }
}

impl<'a> Node<'a> {
    /// How messages call it.
    pub fn shown(&self) -> String {
        format!("the node `{}` (`{}`)", shown(self.id), shown(self.class))
    }

    /// A text that stands in it.
    pub fn text(&self, input: &str) -> Option<&'a str> {
        self.inputs.get(input)?.as_str()
    }

    /// Whether it has that input.
    pub fn has(&self, input: &str) -> bool {
        self.inputs.contains_key(input)
    }
}
