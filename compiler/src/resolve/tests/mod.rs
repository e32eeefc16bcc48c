//! Names, modules and cycles, on programs in memory. What is said of wrong programs stands in
//! `tests/language/check`; here is what comes out, and that nothing ends badly.

mod random;

use crate::diagnostics::render::{Style, human};
use crate::diagnostics::{Code, Diagnostic};
use crate::memory::Memory;
use crate::primitives::Primitive;
use crate::resolve::resolve;
use crate::resolved::{Callee, ExprNode, Function, ItemKind, PrevOf, Program};
use crate::sources::{Loaded, SourceMap};

fn library() -> Memory {
    Memory::with_library(guide_stdlib::files().iter().copied())
}

#[test]
fn the_standard_library_resolves() {
    let mut said = String::new();
    for (path, text) in guide_stdlib::files() {
        let mut files = SourceMap::default();
        let root = Loaded {
            path: format!("stdlib/{path}"),
            text: (*text).to_owned(),
        };
        let (program, bag) = resolve(root, &library(), &mut files);
        assert!(!program.items.is_empty(), "{path} defines something");
        said += &human(&bag.into_sorted(), &files, Style::default());
    }
    assert_eq!(said, "");
}

fn resolved(root: &str, sources: &Memory) -> (Program, Vec<Diagnostic>) {
    let mut files = SourceMap::default();
    let root = Loaded {
        path: "root.guide".to_owned(),
        text: root.to_owned(),
    };
    let (program, bag) = resolve(root, sources, &mut files);
    (program, bag.into_sorted())
}

fn function<'p>(program: &'p Program, name: &str) -> &'p Function {
    let item = program
        .items
        .iter()
        .find(|item| item.name.node == name)
        .expect("the item");
    let ItemKind::Function(function) = &item.kind else {
        panic!("{name} is a function")
    };
    function
}

#[test]
fn a_pipe_becomes_a_call_and_a_group_its_content() {
    let text = "guide g() {\n    (predict(cond)) |> clip(-1, 1)\n}\n";
    let (program, said) = resolved(text, &library());
    assert_eq!(said, []);
    let ExprNode::Call(call) = &function(&program, "g").body.value.node else {
        panic!("a call")
    };
    assert_eq!(call.callee, Callee::Primitive(Primitive::Clip));
    assert_eq!(call.args.len(), 3);
    let ExprNode::Call(first) = &call.args[0].value.node else {
        panic!("piped first")
    };
    assert_eq!(first.callee, Callee::Primitive(Primitive::Predict));
}

#[test]
fn a_hidden_let_is_recorded_and_uses_see_the_nearest() {
    let text = "guide g(k: Scalar = 1) {\n    let k = k + 1\n    let k = { let k = k * 2\n k }\n    k\n}\n";
    let text = text.replace(
        "{ let k = k * 2\n k }",
        "if k > 0 {\n let k = k * 2\n k\n } else { k }",
    );
    let (program, said) = resolved(&text, &library());
    assert_eq!(said, []);
    let function = function(&program, "g");
    let shadows: Vec<_> = function
        .locals
        .iter()
        .map(|l| l.shadows.map(|id| id.0))
        .collect();
    // The parameter, the two outer `let`s, the inner one.
    assert_eq!(shadows, [None, Some(0), Some(1), Some(1)]);
    assert!(matches!(function.body.value.node, ExprNode::Local(id) if id.0 == 2));
}

#[test]
fn prev_takes_a_let_over_a_name_of_the_step_and_tick_the_other_way() {
    let text = "guide g() {\n    let sigma = 2 * tick::sigma\n    prev(sigma, init: 0) * prev(tick::sigma, init: 0)\n}\n";
    let (program, said) = resolved(text, &library());
    assert_eq!(said, []);
    let ExprNode::Binary(left, _, right) = &function(&program, "g").body.value.node else {
        panic!("a product")
    };
    let (ExprNode::Prev(left), ExprNode::Prev(right)) = (&left.node, &right.node) else {
        panic!("two prevs")
    };
    assert!(matches!(left.of, PrevOf::Local(id) if id.0 == 0));
    assert!(matches!(&right.of, PrevOf::Word(word) if word == "sigma"));
}

#[test]
fn items_of_used_modules_follow_those_of_the_root() {
    let text = "use std::ops\nuse std::rules::apg\nguide g() { apg() }\n";
    let (program, said) = resolved(text, &library());
    assert_eq!(said, []);
    assert_eq!(program.items[0].name.node, "g");
    for (number, module) in program.modules.iter().enumerate() {
        for id in &module.items {
            assert_eq!(program.items[id.index()].module, number);
        }
    }
    let names: Vec<_> = program
        .items
        .iter()
        .map(|item| item.name.node.as_str())
        .collect();
    assert!(
        names.contains(&"apg") && names.contains(&"momentum"),
        "{names:?}"
    );
    assert!(
        !names.contains(&"blend"),
        "a folder in scope brings nothing that is not used"
    );
}

#[test]
fn recursion_is_cut_so_that_inlining_ends() {
    let text = "fn f(a: Scalar) -> Scalar { 1 + h(a) }\nfn h(a: Scalar) -> Scalar { f(a) }\n";
    let (program, said) = resolved(text, &library());
    assert_eq!(
        said.iter().map(|d| d.code).collect::<Vec<_>>(),
        [Code::Recursion]
    );
    assert_eq!(said[0].labels.len(), 2);
    assert!(matches!(
        function(&program, "h").body.value.node,
        ExprNode::Error
    ));
}

#[test]
fn a_broken_item_does_not_make_its_users_wrong() {
    let text = "fn f(a: Scalar) -> Scalar { 1 + }\nguide g() { f(1) * predict(cond) }\n";
    let (_, said) = resolved(text, &library());
    let stages: Vec<_> = said.iter().map(|d| &d.code.number()[..3]).collect();
    assert_eq!(stages, ["G01"]);
}

#[test]
fn a_long_chain_of_files_and_many_errors_are_no_trouble() {
    let mut sources = Memory::default();
    for n in 0..2000 {
        let next = format!(
            "use \"f{}.guide\" as next\nfn f() -> Scalar {{ next::f() }}\n",
            n + 1
        );
        sources = sources.file(&format!("f{n}.guide"), &next);
    }
    sources = sources.file("f2000.guide", "fn f() -> Scalar { 1 }\n");
    let mut text = "use \"f0.guide\" as next\nguide g() {\n".to_owned();
    for n in 0..2000 {
        text += &format!("    let a{n} = unknown_{n}\n");
    }
    text += "    next::f()\n}\n";
    let (program, said) = resolved(&text, &sources);
    assert_eq!(program.modules.len(), 2002);
    assert_eq!(said.len(), 2000);
}
