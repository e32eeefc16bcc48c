//! What helps to read a guide: hover, definitions, uses, renaming, hints, colours, costs.

use std::fs;

use serde_json::{Value, json};

use crate::client::{Client, edited, place, text_at, unmarked};

const RULE: &str = "\
use std::ops::project
use std::rules::apg as base

/// Guides twice.
guide rule(
    /// How much.
    scale: Scalar = 7.5,
) {
    let c = x0(predict(cond))
    let u = x0(predict(uncond))
    let (along, across) = project(c - u, onto: c)
    let gain = 1 + progress
    c + (scale - 1) * gain * (across + along)
}

guide outer() { rule(scale: 3) }

fn count() -> Scalar {
    let bound = prev(bound, init: 0) + 1
    bound
}
";

/// The text of a hover at `^`.
fn hover(client: &mut Client, uri: &str, marked: &str) -> String {
    let hover = client.ask_at("textDocument/hover", uri, marked);
    hover["contents"]["value"]
        .as_str()
        .unwrap_or("nothing")
        .to_owned()
}

/// RULE with a cursor before the last part of a piece of it.
fn at(piece: &str) -> String {
    let whole = piece.replacen('^', "", 1);
    assert!(RULE.contains(&whole), "{whole}");
    RULE.replacen(&whole, piece, 1)
}

#[test]
fn hover_tells_kind_space_weight_stage_docs_and_cost() {
    let mut client = Client::new("hover");
    let uri = client.open("a.guide", RULE);
    let cases: &[(&str, &[&str])] = &[
        (
            "let c^ =",
            &[
                "let c: Prediction<x0>",
                "a prediction in x0",
                "weight `1`",
                "`sample`",
            ],
        ),
        ("project(^c - u", &["let c: Prediction<x0>"]),
        ("c ^- u", &["Direction<x0>", "weight `0`"]),
        ("let (al^ong", &["let along: Direction<x0>"]),
        ("let (along, acr^oss", &["let across: Direction<x0>"]),
        ("let ga^in", &["let gain: Scalar", "`step`"]),
        (
            "(sca^le - 1)",
            &["scale: Scalar = 7.5", "How much.", "`const`"],
        ),
        (
            "pro^gress",
            &["the share of the run that is done", "`step`"],
        ),
        (
            "x0(pre^dict(cond))",
            &["    condition,\n    at = x,", "Asks a network"],
        ),
        ("predict(co^nd)", &["The condition"]),
        ("std::ops::pro^ject", &["fn project(", "onto", "parallel"]),
        (
            "guide ru^le",
            &[
                "guide rule(",
                "Guides twice.",
                "- `scale`: How much.",
                "40 evaluations in 20 steps",
            ],
        ),
        ("{ rule(sc^ale: 3)", &["scale: Scalar = 7.5"]),
        ("scale: Sca^lar", &["A number"]),
        (
            "bound = pr^ev(bound",
            &["prev(v, depth = 1, init)", "in the tick before"],
        ),
        ("apg as base^", &["guide apg("]),
    ];
    for (piece, wanted) in cases {
        let text = hover(&mut client, &uri, &at(piece));
        for part in *wanted {
            assert!(text.contains(part), "{piece}: {part} in\n{text}");
        }
    }
    // In an item that cannot be read names are known all the same.
    let broken = RULE.replacen("let gain = 1 + progress", "let gain = 1 + (pro^gress", 1);
    client.replace(&uri, 2, &unmarked(&broken));
    let text = hover(&mut client, &uri, &broken);
    assert!(text.contains("the share of the run"), "{text}");
    let broken = RULE.replacen("let gain = 1 + progress", "let gain = 1 + (sca^le", 1);
    client.replace(&uri, 3, &unmarked(&broken));
    let text = hover(&mut client, &uri, &broken);
    assert!(text.contains("scale: Scalar"), "{text}");
    let broken = RULE.replacen("let gain = 1 + progress", "let gain = proj^ect(((", 1);
    client.replace(&uri, 4, &unmarked(&broken));
    let text = hover(&mut client, &uri, &broken);
    assert!(text.contains("fn project("), "{text}");
    assert_eq!(client.leave(), Some(0));
}

#[test]
fn definitions_lead_to_names_files_and_into_the_library() {
    let mut client = Client::new("define");
    let part = "// σ\nfn half(a: Scalar) -> Scalar { a / 2 }\n";
    client.write("part.guide", part);
    let text =
        format!("use \"part.guide\"::half\n{RULE}\nguide h() {{ predict(cond) * half(2) }}\n");
    let uri = client.open("a.guide", &text);
    let mut go = |piece: &str| {
        let marked = text.replacen(&piece.replacen('^', "", 1), piece, 1);
        client.ask_at("textDocument/definition", &uri, &marked)
    };
    let own = go("{ ru^le(");
    assert_eq!(own["uri"], json!(uri));
    assert_eq!(text_at(&text, &own["range"]), "rule");
    assert_eq!(text_at(&text, &go("project(^c - u")["range"]), "c");
    assert_eq!(text_at(&text, &go("rule(sc^ale: 3)")["range"]), "scale");
    let half = go("* ha^lf(");
    assert!(
        half["uri"]
            .as_str()
            .is_some_and(|uri| uri.ends_with("/part.guide")),
        "{half}"
    );
    assert_eq!(text_at(part, &half["range"]), "half");
    assert_eq!(go("\"part.gu^ide\"")["uri"], half["uri"]);
    assert_eq!(go("pre^dict(cond)"), Value::Null);
    // Into the library: a file that any editor can open, and in which it goes on.
    let project = go("= proj^ect(");
    let place = project["uri"]
        .as_str()
        .and_then(|uri| uri.strip_prefix("file://"));
    let place = place.expect("a file").to_owned();
    let source = fs::read_to_string(&place).expect("it was written");
    assert_eq!(text_at(&source, &project["range"]), "project");
    assert!(fs::metadata(&place).is_ok_and(|about| about.permissions().readonly()));
    let apg = go("std::rules::ap^g");
    let place = apg["uri"]
        .as_str()
        .and_then(|uri| uri.strip_prefix("file://"));
    let source = fs::read_to_string(place.expect("a file")).expect("it was written");
    let library = client.open(apg["uri"].as_str().expect("a file"), &source);
    assert_eq!(client.diagnostics(&library, Some(1)), Vec::<Value>::new());
    let marked = source.replacen("momentum(", "mome^ntum(", 1);
    let momentum = client.ask_at("textDocument/definition", &library, &marked);
    assert!(
        momentum["uri"]
            .as_str()
            .is_some_and(|u| u.ends_with("ops/momentum.guide")),
        "{momentum}"
    );
    assert_eq!(client.leave(), Some(0));
}

#[test]
fn uses_are_found_in_open_and_closed_files() {
    let mut client = Client::new("uses");
    let part =
        "fn half(a: Scalar) -> Scalar { a / 2 }\nfn quarter() -> Scalar { half(a: half(1)) }\n";
    client.write("part.guide", part);
    client.write(
        "closed.guide",
        "use \"part.guide\" as p\nguide c() { predict(cond) * p::half(2) }\n",
    );
    client.write(
        "sub/other.guide",
        "fn half() -> Scalar { 1 }\nguide o() { predict(cond) * half() }\n",
    );
    client.write("broken.guide", "guide ( half\n");
    let text = "use \"part.guide\"::{half as h}\nguide g() { predict(cond) * h(2) }\n";
    client.open("open.guide", text);
    let uri = client.open("part.guide", part);
    let mut params = place(&uri, "fn ha^lf");
    params["context"] = json!({ "includeDeclaration": true });
    let found = client.ask("textDocument/references", params.clone());
    let mut names: Vec<String> = Vec::new();
    for one in found.as_array().expect("a list") {
        let file = one["uri"].as_str().and_then(|uri| uri.rsplit('/').next());
        names.push(file.expect("a file").to_owned());
    }
    let count = |file: &str| names.iter().filter(|name| *name == file).count();
    assert_eq!(count("part.guide"), 3, "{names:?}");
    assert_eq!(count("closed.guide"), 1, "{names:?}");
    assert_eq!(count("open.guide"), 3, "{names:?}");
    assert_eq!(count("other.guide"), 0, "{names:?}");
    params["context"] = json!({ "includeDeclaration": false });
    let fewer = client.ask("textDocument/references", params);
    assert_eq!(fewer.as_array().map(Vec::len), Some(names.len() - 1));
    let here = client.ask_at("textDocument/documentHighlight", &uri, "fn ha^lf");
    assert_eq!(here.as_array().map(Vec::len), Some(3));
    assert_eq!(client.leave(), Some(0));
}

#[test]
fn renaming_changes_every_file_or_nothing() {
    let mut client = Client::new("rename");
    let part = "// σ𝜎\nfn half(a: Scalar) -> Scalar { a / 2 }\nfn q() -> Scalar { half(a: 1) }\n";
    let user =
        "use \"part.guide\"::{half}\nguide g(b: Scalar = 1) { predict(cond) * half(a: b) }\n";
    let alias = "use \"part.guide\"::{half as h}\nguide g() { predict(cond) * h(2) }\n";
    client.write("part.guide", part);
    client.write("user.guide", user);
    let other = client.open("alias.guide", alias);
    let uri = client.open("part.guide", part);
    let rename = |client: &mut Client, uri: &str, marked: &str, name: &str| {
        let mut params = place(uri, marked);
        params["newName"] = json!(name);
        let id = client.begin("textDocument/rename", params);
        client.answer(id)
    };
    let marked = part.replacen("fn half", "fn ha^lf", 1);
    let answer = rename(&mut client, &uri, &marked, "part_of");
    let changes = answer["result"]["changes"]
        .as_object()
        .expect("changes")
        .clone();
    assert_eq!(changes.len(), 3);
    let after = |text: &str, file: &str| {
        let found = changes
            .iter()
            .find(|(uri, _)| uri.ends_with(file))
            .expect("a file");
        edited(text, found.1)
    };
    assert_eq!(after(part, "/part.guide"), part.replace("half", "part_of"));
    assert_eq!(after(user, "/user.guide"), user.replace("half", "part_of"));
    assert_eq!(
        after(alias, "/alias.guide"),
        alias.replace("half", "part_of")
    );
    // A parameter, with the arguments that name it.
    let marked = part.replacen("(a:", "(^a:", 1);
    let answer = rename(&mut client, &uri, &marked, "whole");
    let changes = answer["result"]["changes"]
        .as_object()
        .expect("changes")
        .clone();
    assert_eq!(changes.len(), 2, "{answer}");
    // What would change the meaning, is no name, or is not ours.
    let refused = |answer: Value| {
        answer["error"]["message"]
            .as_str()
            .unwrap_or("done")
            .to_owned()
    };
    let marked = part.replacen("fn half", "fn ha^lf", 1);
    assert!(refused(rename(&mut client, &uri, &marked, "q")).contains("means something else"));
    for name in ["let", "A", "", "a b", "x\ny", "σ", "_", "a // b"] {
        let said = refused(rename(&mut client, &uri, &marked, name));
        assert!(said.contains("is no name"), "{name:?}: {said}");
    }
    assert!(refused(rename(&mut client, &uri, &marked, "cond")).contains("means something else"));
    let alias_use = alias.replacen("* h(", "* ^h(", 1);
    assert!(refused(rename(&mut client, &other, &alias_use, "k")).contains("another name"));
    let library = client.open("lib.guide", RULE);
    for piece in [
        "= pro^ject(",
        "std::rules::ap^g",
        "pre^dict(cond)",
        "pro^gress",
    ] {
        let said = refused(rename(&mut client, &library, &at(piece), "k"));
        assert!(said.contains("belongs to"), "{piece}: {said}");
        let prepared = client.ask_at("textDocument/prepareRename", &library, &at(piece));
        assert_eq!(prepared, Value::Null);
    }
    let prepared = client.ask_at("textDocument/prepareRename", &library, &at("(sca^le - 1)"));
    assert_eq!(prepared["placeholder"], "scale");
    assert_eq!(text_at(RULE, &prepared["range"]), "scale");
    assert_eq!(client.leave(), Some(0));
}

#[test]
fn hints_say_kind_space_and_stage() {
    let mut client = Client::new("hints");
    let uri = client.open("a.guide", RULE);
    let range = json!({
        "start": { "line": 0, "character": 0 }, "end": { "line": 99, "character": 0 },
    });
    let params = json!({ "textDocument": { "uri": uri }, "range": range });
    let hints = client.ask("textDocument/inlayHint", params);
    let hints = hints.as_array().expect("a list");
    let labels: Vec<&str> = hints
        .iter()
        .filter_map(|hint| hint["label"].as_str())
        .collect();
    assert_eq!(
        labels,
        [
            ": Prediction<x0> sample",
            ": Prediction<x0> sample",
            ": Direction<x0> sample",
            ": Direction<x0> sample",
            ": Scalar step",
            ": Scalar step",
        ]
    );
    assert_eq!(hints[0]["position"], json!({ "line": 8, "character": 9 }));
    let range = json!({
        "start": { "line": 11, "character": 0 }, "end": { "line": 12, "character": 0 },
    });
    let params = json!({ "textDocument": { "uri": uri }, "range": range });
    let some = client.ask("textDocument/inlayHint", params);
    assert_eq!(some.as_array().map(Vec::len), Some(1));
    assert_eq!(client.leave(), Some(0));
}

#[test]
fn the_outline_has_items_and_their_parameters() {
    let mut client = Client::new("outline");
    let text = format!("model weak\ninput m: Mask\n{RULE}");
    let uri = client.open("a.guide", &text);
    let outline = client.ask("textDocument/documentSymbol", place(&uri, "^"));
    let all = outline.as_array().expect("a list");
    let names: Vec<&str> = all.iter().filter_map(|s| s["name"].as_str()).collect();
    assert_eq!(names, ["weak", "m", "rule", "outer", "count"]);
    assert_eq!(all[2]["detail"], "guide");
    assert_eq!(all[2]["children"][0]["name"], "scale");
    assert_eq!(text_at(&text, &all[2]["selectionRange"]), "rule");
    assert!(text_at(&text, &all[2]["range"]).starts_with("guide rule("));
    assert_eq!(client.leave(), Some(0));
}

#[test]
fn colours_are_by_meaning() {
    let mut client = Client::new("colours");
    let text = "// 𝜎\nuse std::ops::project\nguide g(k: Scalar = 1) {\n    let d = predict(cond)\n    k * d\n}\n";
    let uri = client.open("a.guide", text);
    let legend =
        client.met["capabilities"]["semanticTokensProvider"]["legend"]["tokenTypes"].clone();
    let tokens = client.ask("textDocument/semanticTokens/full", place(&uri, "^"));
    let data: Vec<u32> = serde_json::from_value(tokens["data"].clone()).expect("numbers");
    let (mut line, mut column) = (0, 0);
    let mut found = Vec::new();
    for token in data.chunks(5) {
        let [lines, columns, length, kind, _] = token else {
            panic!("five numbers a token")
        };
        column = if *lines > 0 {
            *columns
        } else {
            column + columns
        };
        line += lines;
        let range = json!({
            "start": { "line": line, "character": column },
            "end": { "line": line, "character": column + length },
        });
        let kind = legend[*kind as usize].as_str().expect("a type");
        found.push(format!("{} {kind}", text_at(text, &range)));
    }
    assert_eq!(
        found,
        [
            "// 𝜎 comment",
            "use keyword",
            "std namespace",
            "ops namespace",
            "project function",
            "guide keyword",
            "g function",
            "k parameter",
            "Scalar type",
            "= operator",
            "1 number",
            "let keyword",
            "d variable",
            "= operator",
            "predict function",
            "cond enumMember",
            "k parameter",
            "* operator",
            "d variable",
        ]
    );
    let range = json!({
        "start": { "line": 4, "character": 0 }, "end": { "line": 5, "character": 0 },
    });
    let params = json!({ "textDocument": { "uri": uri }, "range": range });
    let some = client.ask("textDocument/semanticTokens/range", params);
    assert_eq!(some["data"].as_array().map(Vec::len), Some(15));
    assert_eq!(client.leave(), Some(0));
}

#[test]
fn each_guide_says_what_it_costs() {
    let mut client = Client::new("lens");
    let text = format!("{RULE}\nguide open(k: Scalar) {{ predict(cond) * k / k }}\n");
    let uri = client.open("a.guide", &text);
    let lenses = client.ask("textDocument/codeLens", place(&uri, "^"));
    let mut said = Vec::new();
    for lens in lenses.as_array().expect("a list") {
        let name = text_at(&text, &lens["range"]).to_owned();
        let lens = client.ask("codeLens/resolve", lens.clone());
        let title = lens["command"]["title"]
            .as_str()
            .expect("a title")
            .to_owned();
        said.push((name, title));
    }
    assert_eq!(said[0].0, "rule");
    assert_eq!(said[0].1, "40 evaluations in 20 steps, 2.00 a step");
    assert_eq!(said[1].1, "40 evaluations in 20 steps, 2.00 a step");
    assert!(
        said[2]
            .1
            .starts_with("no plan for the embedded model: `open` needs `k`"),
        "{said:?}"
    );
    // An error in one guide leaves the others' costs known, and those that call it have none.
    let mut said = |version, text: &str| {
        client.replace(&uri, version, text);
        let lenses = client.ask("textDocument/codeLens", place(&uri, "^"));
        let lenses = lenses.as_array().expect("a list").iter();
        let title = |lens: &Value| {
            let lens = client.ask("codeLens/resolve", lens.clone());
            let title = lens["command"]["title"].as_str();
            title.expect("a title").to_owned()
        };
        lenses.map(title).collect::<Vec<_>>()
    };
    let broken = "no plan while the file has errors";
    let known = "40 evaluations in 20 steps, 2.00 a step";
    let in_open = text.replace("predict(cond) * k", "predict(cnod) * k");
    assert_eq!(said(2, &in_open), [known, known, broken]);
    let in_rule = text.replace("let gain = 1 + progress", "let gain = 1 + c");
    let open = &said(3, &in_rule)[2];
    assert!(open.starts_with("no plan for the embedded model"), "{open}");
    assert_eq!(said(4, &in_rule)[..2], [broken, broken]);
    // What cannot be read keeps those who need it.
    let half = "\nfn half() -> Scalar {\n    1 +\n}\n";
    let unread = format!("{text}{half}");
    assert_eq!(said(5, &unread)[..2], [known, known]);
    let needed = unread.replace("let gain = 1 + progress", "let gain = 1 + half()");
    assert_eq!(said(6, &needed)[..2], [broken, broken]);
    assert_eq!(&said(7, &needed)[2], open);
    assert_eq!(client.leave(), Some(0));
}
