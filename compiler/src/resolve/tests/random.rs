//! Random well-formed programs: whatever they mean, resolving ends and counts right.

use proptest::prelude::*;

use super::{library, resolved};
use crate::resolved::ItemKind;

/// Few names, so that they meet.
fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "a", "b", "f", "g", "sigma", "x", "cond", "momentum", "prev", "norm", "weak", "inner",
        "std",
    ])
}

fn expr() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        name().prop_map(str::to_owned),
        Just("1.5".to_owned()),
        name().prop_map(|n| format!("tick::{n}")),
        (name(), name()).prop_map(|(a, b)| format!("{a}::{b}")),
        Just("std::ops::momentum".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (name(), inner.clone(), inner.clone())
                .prop_map(|(f, a, b)| format!("{f}({a}, init: {b})")),
            (name(), inner.clone()).prop_map(|(f, a)| format!("{f}({a})")),
            inner
                .clone()
                .prop_map(|a| format!("predict(cond, with: {a})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} + {b})")),
            (inner.clone(), name()).prop_map(|(a, f)| format!("({a} |> {f}(1))")),
            (name(), inner.clone(), inner.clone())
                .prop_map(|(n, a, b)| format!("(total {n} in 0..2 {{\n let {n} = {a}\n {b}\n }})")),
            (name(), inner.clone(), inner.clone()).prop_map(|(n, a, b)| {
                format!("(if {a} > 0 {{\n let {n} = {b}\n {n}\n }} else {{ {b} }})")
            }),
        ]
    })
}

fn body() -> impl Strategy<Value = String> {
    (prop::collection::vec((name(), expr()), 0..4), expr()).prop_map(|(lets, value)| {
        let lets: String = lets
            .iter()
            .map(|(n, e)| format!("    let {n} = {e}\n"))
            .collect();
        format!("{{\n{lets}    {value}\n}}\n")
    })
}

fn item() -> impl Strategy<Value = String> {
    prop_oneof![
        (name(), name(), body())
            .prop_map(|(f, p, body)| format!("fn {f}({p}: Guide, a: Scalar) -> Scalar {body}")),
        (name(), expr(), body())
            .prop_map(|(g, default, body)| format!("guide {g}(a: Scalar = {default}) {body}")),
        name().prop_map(|n| format!("model {n}\n")),
        name().prop_map(|n| format!("use \"{n}.guide\"\n")),
        (name(), name()).prop_map(|(a, b)| format!("use std::ops::{{{a}, {b} as {a}}}\n")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Every label lies in its file, and every item that parsed comes out, in order.
    #[test]
    fn resolving_never_panics(
        root in prop::collection::vec(item(), 1..6),
        other in prop::collection::vec(item(), 0..4),
    ) {
        let (root, other) = (root.concat(), other.concat());
        let sources = library().file("a.guide", &other).file("b.guide", &root);
        let (program, said) = resolved(&root, &sources);
        for module in &program.modules {
            for id in &module.items {
                prop_assert!(program.items.get(id.index()).is_some());
            }
        }
        for diagnostic in &said {
            prop_assert!(!diagnostic.labels.is_empty(), "{:?}", diagnostic);
            prop_assert!(!diagnostic.message.is_empty());
        }
        for item in &program.items {
            if let ItemKind::Function(function) = &item.kind {
                let hidden = function.locals.iter().filter_map(|local| local.shadows);
                prop_assert!(hidden.into_iter().all(|id| id.index() < function.locals.len()));
            }
        }
    }
}
