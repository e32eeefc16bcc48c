//! What helps while a guide is written: diagnostics, formatting, completion, signatures, mending.

use serde_json::{Value, json};

use crate::client::{Client, edited, labels, place, text_at, unmarked};

const RULE: &str = "\
use std::ops::momentum

/// Guides.
guide rule(
    /// How much.
    scale: Scalar = 7.5,
    shape: \"flat\" | \"steep\" = \"flat\",
) {
    let c = x0(predict(cond))
    let u = x0(predict(uncond))
    let d = momentum(c - u, 0.5)
    c + scale * d
}
";

fn codes(diagnostics: &[Value]) -> Vec<&str> {
    diagnostics
        .iter()
        .filter_map(|d| d["code"].as_str())
        .collect()
}

#[test]
fn diagnostics_follow_the_text() {
    let mut client = Client::new("diagnostics");
    let uri = client.open("a.guide", RULE);
    assert_eq!(codes(&client.diagnostics(&uri, Some(1))), [""; 0]);
    let range = json!({
        "start": { "line": 11, "character": 8 }, "end": { "line": 11, "character": 13 },
    });
    client.change(&uri, 2, json!([{ "range": range, "text": "sacle" }]));
    let found = client.diagnostics(&uri, Some(2));
    assert_eq!(codes(&found), ["G0201"]);
    let now = RULE.replace("c + scale", "c + sacle");
    assert_eq!(text_at(&now, &found[0]["range"]), "sacle");
    assert_eq!(found[0]["severity"], 1);
    assert_eq!(found[0]["source"], "guidec");
    let message = found[0]["message"].as_str().expect("a sentence");
    assert!(message.contains("help: write `scale`"), "{message}");
    // Two changes at once, the second in the text that the first made.
    let range = |line: u32, from: u32, to: u32| {
        json!({
            "start": { "line": line, "character": from }, "end": { "line": line, "character": to },
        })
    };
    let changes = json!([
        { "range": range(11, 8, 13), "text": "scale" },
        { "range": range(11, 4, 5), "text": "c + c" },
    ]);
    client.change(&uri, 3, changes);
    let found = client.diagnostics(&uri, Some(3));
    assert_eq!(codes(&found), ["G0401"]);
    assert!(found[0]["relatedInformation"].is_array() || found[0]["message"].is_string());
    client.tell(
        "textDocument/didClose",
        json!({ "textDocument": { "uri": uri } }),
    );
    assert_eq!(client.diagnostics(&uri, None), Vec::<Value>::new());
    assert_eq!(client.leave(), Some(0));
}

#[test]
fn an_error_in_one_item_keeps_the_others() {
    let mut client = Client::new("others");
    let text =
        format!("guide broken() {{ predict(cond }}\n\n{RULE}\nguide x() {{ predict(cnod) }}\n");
    let text = text.replace("use std::ops::momentum\n\n", "");
    let text = format!("use std::ops::momentum\n\n{text}");
    let uri = client.open("a.guide", &text);
    let found = client.diagnostics(&uri, Some(1));
    assert_eq!(codes(&found), ["G0102", "G0201"]);
    let outline = client.ask("textDocument/documentSymbol", place(&uri, "^"));
    let names: Vec<&str> = outline
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|s| s["name"].as_str())
        .collect();
    assert_eq!(names, ["rule", "x"]);
    assert_eq!(client.leave(), Some(0));
}

#[test]
fn open_texts_stand_for_files_on_the_disk() {
    let mut client = Client::new("unsaved");
    client.write("part.guide", "fn half(a: Scalar) -> Scalar { a / 2 }\n");
    let user = "use \"part.guide\"::half\nguide g() { predict(cond) * half(2) }\n";
    let uri = client.open("main.guide", user);
    assert_eq!(codes(&client.diagnostics(&uri, Some(1))), [""; 0]);
    // Another name in a text that was not saved.
    let part = client.open("part.guide", "fn third(a: Scalar) -> Scalar { a / 3 }\n");
    assert_eq!(codes(&client.diagnostics(&part, Some(1))), [""; 0]);
    let found = client.diagnostics(&uri, Some(1));
    assert_eq!(codes(&found), ["G0201"]);
    client.replace(&part, 2, "fn half(a: Scalar) -> Scalar { a / 2 }\n");
    assert_eq!(codes(&client.diagnostics(&uri, Some(1))), [""; 0]);
    // A file that is nowhere but in the editor.
    client.replace(
        &uri,
        2,
        "use \"new.guide\"::one\nguide g() { predict(cond) * one() }\n",
    );
    assert_eq!(codes(&client.diagnostics(&uri, Some(2))), ["G0202"]);
    client.open("new.guide", "fn one() -> Scalar { 1 }\n");
    assert_eq!(codes(&client.diagnostics(&uri, Some(2))), [""; 0]);
    // What is wrong in a file that is not open is said of that file.
    client.tell(
        "textDocument/didClose",
        json!({ "textDocument": { "uri": part } }),
    );
    client.write("part.guide", "fn half(a: Scalar) -> Scalar { b / 2 }\n");
    client.replace(&uri, 3, user);
    assert_eq!(codes(&client.diagnostics(&uri, Some(3))), [""; 0]);
    loop {
        let found = client.diagnostics(&part, None);
        if codes(&found) == ["G0201"] {
            break;
        }
        assert_eq!(codes(&found), [""; 0], "what was open is closed first");
    }
    client.write("part.guide", "fn half(a: Scalar) -> Scalar { a / 2 }\n");
    client.tell("workspace/didChangeWatchedFiles", json!({ "changes": [] }));
    assert_eq!(codes(&client.diagnostics(&part, None)), [""; 0]);
    assert_eq!(client.leave(), Some(0));
}

#[test]
fn a_text_without_a_file_is_checked_too() {
    let mut client = Client::new("untitled");
    let uri = client.open("untitled:Untitled-1", "guide g() { predict(cnod) }\n");
    assert_eq!(codes(&client.diagnostics(&uri, Some(1))), ["G0201"]);
    assert_eq!(client.leave(), Some(0));
}

#[test]
fn formatting_is_that_of_fmt() {
    let mut client = Client::new("format");
    let text = "guide g(){predict(cond)}\n// σ stays\nguide   h( ) {\n    predict(cond)\n}\n";
    let uri = client.open("a.guide", text);
    let options = json!({ "tabSize": 2, "insertSpaces": false });
    let params = json!({ "textDocument": { "uri": uri }, "options": options });
    let edits = client.ask("textDocument/formatting", params.clone());
    let formatted = edited(text, &edits);
    assert_eq!(
        formatted,
        guide_grammar::format(text).expect("it can be formatted")
    );
    client.replace(&uri, 2, &formatted);
    assert_eq!(
        client.ask("textDocument/formatting", params.clone()),
        json!([])
    );
    client.replace(&uri, 3, "guide g( {\n");
    assert_eq!(client.ask("textDocument/formatting", params), Value::Null);
    assert_eq!(client.leave(), Some(0));
}

#[test]
fn completion_knows_names_arguments_and_words() {
    let mut client = Client::new("complete");
    let marked = RULE.replace("c + scale * d", "c + sc^ale * d");
    let uri = client.open("a.guide", &unmarked(&marked));
    let items = client.ask_at("textDocument/completion", &uri, &marked);
    let found = labels(&items);
    for name in [
        "scale", "shape", "c", "u", "d", "momentum", "predict", "progress", "mid", "prev", "if",
    ] {
        assert!(found.contains(&name), "{name} in {found:?}");
    }
    // The whole word is not replaced, what stands before the cursor is.
    let scale = items
        .as_array()
        .and_then(|all| all.iter().find(|i| i["label"] == "scale"));
    let scale = scale.expect("a parameter is offered");
    assert_eq!(
        text_at(&unmarked(&marked), &scale["textEdit"]["range"]),
        "sc"
    );
    assert_eq!(scale["detail"], "scale: Scalar");
    assert_eq!(
        scale["filterText"], "scale",
        "else Neovim shows all items, whatever was typed"
    );
    // In an item that cannot be read.
    let cases = [
        ("    let e = momentum(^", &["beta:", "d:", "c"][..], &[][..]),
        (
            "    let e = momentum(c - u, beta: 1, ^",
            &["u"],
            &["beta:", "d:"],
        ),
        (
            "    let e = predict(cond, with: sk^",
            &["skip_layers", "none"],
            &["c", "momentum"],
        ),
        (
            "    let e = predict(cond, with: skip_layers(^",
            &["layers:", "mid"],
            &["skip_layers"],
        ),
        ("    let e = std::^", &["rules", "ops", "dialects"], &["c"]),
        ("    let e = std::rules::ap^", &["apg", "cfg"], &["c"]),
        ("    let e = tick::^", &["sigma", "alpha"], &["c"]),
        ("    let e: ^", &["Direction", "Scalar"], &["c"]),
        ("    let e: Direction<^", &["x0", "native"], &["Scalar"]),
    ];
    for (version, (line, wanted, not)) in cases.iter().enumerate() {
        let marked = RULE.replace("    c + scale * d\n", &format!("{line}\n"));
        client.replace(&uri, 2 + version as i32, &unmarked(&marked));
        let items = client.ask_at("textDocument/completion", &uri, &marked);
        let found = labels(&items);
        for name in *wanted {
            assert!(found.contains(name), "{line}: {name} in {found:?}");
        }
        for name in *not {
            assert!(!found.contains(name), "{line}: {name} in {found:?}");
        }
    }
    assert_eq!(client.leave(), Some(0));
}

#[test]
fn completion_brings_items_of_the_library_with_their_use() {
    let mut client = Client::new("import");
    for (marked, expected) in [
        (
            "//! Docs.\n\nuse std::ops::momentum\n\nguide g() { pro^ }\n",
            "//! Docs.\n\nuse std::ops::momentum\nuse std::ops::project\n\nguide g() { project }\n",
        ),
        (
            "//! Docs.\n\nguide g() { pro^ }\n",
            "//! Docs.\n\nuse std::ops::project\n\nguide g() { project }\n",
        ),
        (
            "guide g() { pro^ }\n",
            "use std::ops::project\n\nguide g() { project }\n",
        ),
    ] {
        let text = unmarked(marked);
        let uri = client.open("a.guide", &text);
        let items = client.ask_at("textDocument/completion", &uri, marked);
        let items = items.as_array().expect("a list");
        let item = items
            .iter()
            .find(|i| i["label"] == "project")
            .expect("it is offered");
        let mut edits = item["additionalTextEdits"]
            .as_array()
            .expect("an import")
            .clone();
        edits.push(item["textEdit"].clone());
        assert_eq!(edited(&text, &json!(edits)), expected);
    }
    // What is in use is offered without.
    let marked = "use std::ops::project\nguide g() { pro^ }\n";
    let uri = client.open("a.guide", &unmarked(marked));
    let items = client.ask_at("textDocument/completion", &uri, marked);
    let items = items.as_array().expect("a list");
    let found: Vec<&Value> = items.iter().filter(|i| i["label"] == "project").collect();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["additionalTextEdits"], Value::Null);
    assert_eq!(client.leave(), Some(0));
}

#[test]
fn completion_offers_the_words_of_a_choice() {
    let mut client = Client::new("choice");
    let marked = format!("{RULE}\nguide h() {{ rule(shape: ^ }}\n");
    let uri = client.open("a.guide", &unmarked(&marked));
    let items = client.ask_at("textDocument/completion", &uri, &marked);
    let found = labels(&items);
    assert!(
        found.contains(&"\"flat\"") && found.contains(&"\"steep\""),
        "{found:?}"
    );
    assert_eq!(client.leave(), Some(0));
}

#[test]
fn signatures_follow_the_arguments() {
    let mut client = Client::new("signature");
    let cases = [
        (
            "rule(^",
            "guide rule(scale: Scalar = 7.5, shape: \"flat\" | \"steep\" = \"flat\")",
            Some(0),
        ),
        (
            "rule(1, ^",
            "guide rule(scale: Scalar = 7.5, shape: \"flat\" | \"steep\" = \"flat\")",
            Some(1),
        ),
        (
            "rule(shape: \"steep\", scale: ^",
            "guide rule(scale: Scalar = 7.5, shape: \"flat\" | \"steep\" = \"flat\")",
            Some(0),
        ),
        ("x |> momentum(^", "fn momentum<S>", Some(1)),
        (
            "predict(cond, with: blur_attention(mid, ^",
            "blur_attention(layers, sigma)",
            Some(1),
        ),
        ("std::ops::project(^", "fn project", Some(0)),
        ("norm(x, over: all, ^", "norm(a, over = all)", None),
    ];
    let uri = client.open("a.guide", RULE);
    for (version, (call, label, parameter)) in cases.iter().enumerate() {
        let marked = format!("{RULE}\nguide h() {{\n    let e = {call}\n");
        client.replace(&uri, 2 + version as i32, &unmarked(&marked));
        let help = client.ask_at("textDocument/signatureHelp", &uri, &marked);
        let found = help["signatures"][0]["label"].as_str().unwrap_or("nothing");
        let start = label.split('<').next().expect("a part");
        assert!(found.starts_with(start), "{call}: {found}");
        assert_eq!(
            help["activeParameter"].as_u64(),
            *parameter,
            "{call}: {help}"
        );
    }
    let none = client.ask_at("textDocument/signatureHelp", &uri, "^");
    assert_eq!(none, Value::Null);
    assert_eq!(client.leave(), Some(0));
}

/// The text after the first action at `^` whose title begins so.
fn mended(client: &mut Client, marked: &str, title: &str) -> String {
    let text = unmarked(marked);
    let uri = client.open("mend.guide", &text);
    let position = place(&uri, marked)["position"].clone();
    let params = json!({
        "textDocument": { "uri": uri }, "range": { "start": position, "end": position },
        "context": { "diagnostics": [] },
    });
    let actions = client.ask("textDocument/codeAction", params);
    let all = actions.as_array().expect("a list");
    let found = all
        .iter()
        .find(|a| a["title"].as_str().is_some_and(|t| t.starts_with(title)));
    let action = found.unwrap_or_else(|| panic!("{title} in {actions}"));
    assert_eq!(action["kind"], "quickfix");
    assert!(action["diagnostics"][0]["code"].is_string());
    edited(&text, &action["edit"]["changes"][uri.as_str()])
}

#[test]
fn what_has_a_fix_is_mended_by_an_action() {
    let mut client = Client::new("mend");
    for (marked, title, expected) in [
        (
            "// 𝜎\nguide g() { predict(cn^od) }\n",
            "write `cond`",
            "// 𝜎\nguide g() { predict(cond) }\n",
        ),
        (
            "//! Docs.\n\nguide g() { proj^ect(1) }\n",
            "add `use std::ops::project`",
            "//! Docs.\n\nuse std::ops::project\n\nguide g() { project(1) }\n",
        ),
        (
            "guide g(a: Bool = true &^& false) { predict(cond) }\n",
            "write `and`",
            "guide g(a: Bool = true and false) { predict(cond) }\n",
        ),
        (
            "guide g() {\n    let c = predict(cond)\n    norm(^c) * c / norm(c)\n}\n",
            "write `x0(…)`",
            "guide g() {\n    let c = predict(cond)\n    norm(x0(c)) * c / norm(c)\n}\n",
        ),
        (
            "guide g(scale: Scalar) { predict(cond) }\nguide h() { g(scal^: 1) }\n",
            "write `scale`",
            "guide g(scale: Scalar) { predict(cond) }\nguide h() { g(scale: 1) }\n",
        ),
    ] {
        assert_eq!(mended(&mut client, marked, title), expected);
    }
    let uri = client.open("clean.guide", RULE);
    let params = json!({
        "textDocument": { "uri": uri }, "context": { "diagnostics": [] },
        "range": { "start": { "line": 0, "character": 0 }, "end": { "line": 99, "character": 0 } },
    });
    assert_eq!(client.ask("textDocument/codeAction", params), json!([]));
    assert_eq!(client.leave(), Some(0));
}
