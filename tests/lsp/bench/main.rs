//! How long `guidec lsp` takes on a file of 1,000 lines, over the pipes of the real binary.
//!
//! The baseline is `check`: the compiler alone on the same text, without a server. A request after an
//! edit needs that once, so `edit to diagnostics` is what is compared with it; every other request is
//! asked of a text that is known.

#![allow(missing_docs, reason = "criterion's macros make items of their own")]

#[allow(dead_code, reason = "the tests' editor, of which a bench needs a part")]
#[path = "../client.rs"]
mod client;

use std::fmt::Write;
use std::time::{Duration, Instant};

use client::{Client, place, unmarked};
use criterion::Criterion;
use guide_compiler::analyse;
use guide_compiler::memory::Memory;
use guide_compiler::sources::Loaded;
use serde_json::{Value, json};

/// 1,000 lines: guides that are much alike, each with a `use`d operator, a state and a branch.
fn text() -> String {
    let mut text = String::from("use std::ops::{momentum, project, limit_norm}\n\n");
    for at in 0..71 {
        let _ = write!(
            text,
            "/// The rule number {at}.\n\
             guide rule_{at}(\n    \
                 /// How much.\n    \
                 scale: Scalar = 7.5,\n    \
                 beta: Scalar = -0.5,\n\
             ) {{\n    \
                 let c = x0(predict(cond))\n    \
                 let u = x0(predict(uncond))\n    \
                 let update = momentum(c - u, beta) |> limit_norm(15)\n    \
                 let (along, across) = project(update, onto: c)\n    \
                 let gain = if progress in 0.2..0.8 {{ scale }} else {{ 1 }}\n    \
                 c + (gain - 1) * (across + 0.5 * along)\n\
             }}\n\n"
        );
    }
    while text.lines().count() < 1_000 {
        text.push_str("// The last lines.\n");
    }
    text
}

/// The text with a cursor behind the last place of a piece.
fn at(text: &str, piece: &str) -> String {
    let end = text.rfind(piece).map_or(0, |start| start + piece.len());
    format!("{}^{}", &text[..end], &text[end..])
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let text = text();
    assert_eq!(text.lines().count(), 1_000);
    let library = Memory::with_library(guide_stdlib::files().iter().copied());
    criterion.bench_function("check (baseline)", |bench| {
        bench.iter(|| {
            let root = Loaded {
                path: "rules.guide".to_owned(),
                text: text.clone(),
            };
            analyse(root, &library)
        });
    });
    let mut client = Client::new("bench");
    let uri = client.open("rules.guide", &text);
    assert_eq!(client.diagnostics(&uri, Some(1)), Vec::<Value>::new());
    let mut version = 1;
    criterion.bench_function("edit to diagnostics", |bench| {
        bench.iter(|| {
            version += 1;
            let here = json!({ "line": 999, "character": 0 });
            let range = json!({ "start": here, "end": here });
            client.change(&uri, version, json!([{ "range": range, "text": "" }]));
            client.diagnostics(&uri, Some(version))
        });
    });
    let all = json!({
        "start": { "line": 0, "character": 0 }, "end": { "line": 1_000, "character": 0 },
    });
    let whole = |uri: &str| {
        json!({
            "textDocument": { "uri": uri }, "range": all, "context": { "diagnostics": [] },
            "options": { "tabSize": 4, "insertSpaces": true },
        })
    };
    let mut places = vec![
        ("hover", place(&uri, &at(&text, "upda"))),
        (
            "hover of a guide, with its cost",
            place(&uri, &at(&text, "guide rule_7")),
        ),
        ("completion", place(&uri, &at(&text, "gain - 1) * (acr"))),
        ("signatureHelp", place(&uri, &at(&text, "project("))),
        ("definition into std", place(&uri, &at(&text, "= proj"))),
        ("references", place(&uri, &at(&text, "= proj"))),
        ("documentHighlight", place(&uri, &at(&text, "= proj"))),
        ("rename", place(&uri, &at(&text, "let upd"))),
        ("documentSymbol", whole(&uri)),
        ("formatting", whole(&uri)),
        ("inlayHint", whole(&uri)),
        ("semanticTokens/full", whole(&uri)),
        ("codeAction", whole(&uri)),
        ("codeLens", whole(&uri)),
    ];
    for (name, params) in &mut places {
        if *name == "references" {
            params["context"] = json!({ "includeDeclaration": true });
        }
        params["newName"] = json!("other");
        let method = name.split([' ', ',']).next().unwrap_or(name);
        let method = format!("textDocument/{method}");
        criterion.bench_function(name, |bench| {
            bench.iter(|| client.ask(&method, params.clone()));
        });
    }
    // A lens is filled when it comes into view; after an edit no cost is known any more.
    let lenses = client.ask("textDocument/codeLens", whole(&uri));
    let lenses = lenses.as_array().cloned().unwrap_or_default();
    criterion.bench_function("codeLens/resolve after an edit", |bench| {
        bench.iter_custom(|turns| {
            let mut spent = Duration::ZERO;
            for turn in 0..turns {
                version += 1;
                client.replace(&uri, version, &text);
                client.diagnostics(&uri, Some(version));
                let lens = lenses[turn as usize % lenses.len()].clone();
                let start = Instant::now();
                client.ask("codeLens/resolve", lens);
                spent += start.elapsed();
            }
            spent
        });
    });
    // In a guide that is being written and cannot be read.
    let broken = at(&text, "gain - 1) * (acr").replace("^oss + 0.5 * along)\n}", "^\n}");
    version += 1;
    client.replace(&uri, version, &unmarked(&broken));
    criterion.bench_function("completion in a broken guide", |bench| {
        bench.iter(|| client.ask("textDocument/completion", place(&uri, &broken)));
    });
    criterion.final_summary();
    client.leave();
}
