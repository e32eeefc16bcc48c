//! Meeting, leaving, and what must not end the conversation.

use serde_json::{Value, json};

use crate::client::{Client, place, text_at};

const GUIDE: &str = "guide g() { predict(cond) }\n";

#[test]
fn it_says_what_it_can_and_leaves_with_zero() {
    let client = Client::new("meeting");
    let can = &client.met["capabilities"];
    for key in [
        "completionProvider",
        "hoverProvider",
        "signatureHelpProvider",
        "definitionProvider",
        "referencesProvider",
        "documentHighlightProvider",
        "documentSymbolProvider",
        "codeActionProvider",
        "codeLensProvider",
        "documentFormattingProvider",
        "renameProvider",
        "semanticTokensProvider",
        "inlayHintProvider",
    ] {
        assert!(!can[key].is_null(), "{key} in {can}");
    }
    assert_eq!(can["positionEncoding"], "utf-16");
    assert_eq!(client.met["serverInfo"]["name"], "guidec");
    assert_eq!(client.leave(), Some(0));
}

#[test]
fn leaving_without_shutdown_is_one() {
    let mut client = Client::new("rude");
    client.tell("exit", Value::Null);
    assert_eq!(client.end().0, Some(1));
    let mut early = Client::silent("early");
    early.tell("exit", Value::Null);
    assert_eq!(early.end().0, Some(1));
}

#[test]
fn an_editor_that_is_gone_and_one_that_speaks_no_json_end_it_with_a_reason() {
    let (code, said) = Client::new("gone").end();
    assert_eq!(code, Some(1));
    assert!(said.contains("without saying `exit`"), "{said}");
    let mut client = Client::new("garbage");
    client.send_text("{ this is no json");
    let (code, said) = client.end();
    assert_eq!(code, Some(3), "{said}");
    assert!(
        said.contains("the editor's message cannot be read"),
        "{said}"
    );
}

#[test]
fn requests_come_after_initialize_and_before_shutdown() {
    let mut client = Client::silent("order");
    let id = client.begin("textDocument/hover", place("file:///a", "^"));
    assert_eq!(client.answer(id)["error"]["code"], -32002);
    let id = client.begin("initialize", json!({ "capabilities": 3 }));
    assert_eq!(client.answer(id)["error"]["code"], -32602);
    client.ask(
        "initialize",
        json!({ "processId": null, "rootUri": null, "capabilities": {} }),
    );
    client.ask("shutdown", Value::Null);
    let id = client.begin("textDocument/hover", place("file:///a", "^"));
    assert_eq!(client.answer(id)["error"]["code"], -32600);
    client.tell("exit", Value::Null);
    assert_eq!(client.end().0, Some(0));
}

#[test]
fn what_is_not_known_or_not_open_is_answered() {
    let mut client = Client::new("unknown");
    let id = client.begin("textDocument/doWhatIMean", json!({}));
    assert_eq!(client.answer(id)["error"]["code"], -32601);
    let id = client.begin("textDocument/hover", json!({ "textDocument": 3 }));
    assert_eq!(client.answer(id)["error"]["code"], -32602);
    client.tell("textDocument/didChange", json!({ "nothing": true }));
    client.tell("$/setTrace", json!({ "value": "off" }));
    for uri in [
        "file:///nowhere.guide",
        "untitled:Untitled-9",
        "",
        "a b %zz",
    ] {
        for method in [
            "hover",
            "completion",
            "definition",
            "signatureHelp",
            "documentHighlight",
            "documentSymbol",
            "formatting",
            "codeLens",
            "semanticTokens/full",
            "prepareRename",
        ] {
            let mut params = place(uri, "^");
            params["options"] = json!({ "tabSize": 4, "insertSpaces": true });
            let answer = client.ask(&format!("textDocument/{method}"), params);
            assert_eq!(answer, Value::Null, "{method} of {uri}");
        }
    }
    assert_eq!(client.leave(), Some(0));
}

#[test]
fn a_cancelled_request_is_answered_as_such_or_done_already() {
    let mut client = Client::new("cancel");
    let rules = (0..200).map(|i| format!("guide g{i}() {{ predict(cond) }}\n"));
    let uri = client.open("many.guide", &rules.collect::<String>());
    let ids: Vec<i32> = (0..20)
        .map(|_| client.begin("textDocument/semanticTokens/full", place(&uri, "^")))
        .collect();
    for id in &ids {
        client.tell("$/cancelRequest", json!({ "id": id }));
    }
    client.tell("$/cancelRequest", json!({ "id": "nobody" }));
    let mut cancelled = 0;
    for id in ids {
        // An answer that came while another was waited for is among the notes.
        let noted = client.notes.iter().position(|note| note["id"] == json!(id));
        let answer = match noted {
            Some(at) => client.notes.remove(at),
            None => client.answer(id),
        };
        match answer["error"]["code"].as_i64() {
            Some(code) => {
                assert_eq!(code, -32800);
                cancelled += 1;
            }
            None => assert!(answer["result"]["data"].is_array()),
        }
    }
    assert!(
        cancelled > 0,
        "20 requests take longer than their cancelling"
    );
    assert_eq!(client.leave(), Some(0));
}

#[test]
fn no_text_and_no_position_ends_it() {
    let mut client = Client::new("texts");
    let nested = format!("guide g() {{ {}", "(".repeat(10_000));
    let huge = format!("{GUIDE}// {}\n", "x".repeat(1 << 20));
    let texts = [
        ("nested", nested.as_str()),
        ("huge", huge.as_str()),
        ("empty", ""),
        ("blank", "\n\n   \r\n\t"),
        ("nul", "guide g() { \u{0} }"),
        ("bom", "\u{feff}guide g() { predict(cond) }\n"),
        ("half", "guide g(σ: Scalar = 1) { let 𝜎 = \"unclosed\n"),
        ("carriage", "guide g() {\rpredict(cond)\r}\r"),
    ];
    for (name, text) in texts {
        let uri = client.open(&format!("{name}.guide"), text);
        client.diagnostics(&uri, Some(1));
        let places = [
            (0, 12),
            (0, 0),
            (0, 13),
            (3, 0),
            (0, u32::MAX),
            (u32::MAX, 7),
        ];
        // One place is enough of a text whose answers take long.
        let few = if text.len() > 5_000 { 1 } else { places.len() };
        for (line, character) in places.into_iter().take(few) {
            let position = json!({ "line": line, "character": character });
            for method in [
                "hover",
                "completion",
                "definition",
                "signatureHelp",
                "documentHighlight",
                "prepareRename",
            ] {
                let document = json!({ "uri": uri });
                let params = json!({ "textDocument": document, "position": position });
                client.ask(&format!("textDocument/{method}"), params);
            }
            let range = json!({ "start": position, "end": { "line": 0, "character": 1 } });
            let document = json!({ "uri": uri });
            let context = json!({ "diagnostics": [] });
            let params = json!({ "textDocument": document, "range": range, "context": context });
            for method in ["inlayHint", "codeAction", "semanticTokens/range"] {
                client.ask(&format!("textDocument/{method}"), params.clone());
            }
            client.change(&uri, 2, json!([{ "range": range, "text": "" }]));
        }
        for method in [
            "documentSymbol",
            "formatting",
            "codeLens",
            "semanticTokens/full",
        ] {
            let options = json!({ "tabSize": 4, "insertSpaces": true });
            let params = json!({ "textDocument": { "uri": uri }, "options": options });
            client.ask(&format!("textDocument/{method}"), params);
        }
    }
    assert_eq!(client.leave(), Some(0));
}

#[test]
fn columns_are_bytes_for_editors_that_can() {
    let general = json!({ "general": { "positionEncodings": ["utf-32", "utf-8"] } });
    let mut client = Client::with("bytes", general);
    assert_eq!(client.met["capabilities"]["positionEncoding"], "utf-8");
    let text = "guide g() { /* */ predict(cnod) } // 𝜎\n".replace("/* */ ", "");
    let uri = client.open("a.guide", &format!("// 𝜎\n{text}"));
    let found = client.diagnostics(&uri, Some(1));
    assert_eq!(
        found[0]["range"]["start"],
        json!({ "line": 1, "character": 20 })
    );
    // The same after a string of four bytes on its line.
    let text = "guide g(k: \"𝜎\" | \"b\" = \"b\") { predict(cnod) }\n";
    client.replace(&uri, 2, text);
    let found = client.diagnostics(&uri, Some(2));
    let column = text.find("cnod").expect("it is there");
    assert_eq!(
        found[0]["range"]["start"],
        json!({ "line": 0, "character": column })
    );
    assert_eq!(client.leave(), Some(0));
    let mut client = Client::new("units");
    let uri = client.open("a.guide", text);
    let found = client.diagnostics(&uri, Some(1));
    assert_eq!(text_at(text, &found[0]["range"]), "cnod");
    let column = found[0]["range"]["start"]["character"].as_u64();
    assert_eq!(column, text.find("cnod").map(|byte| byte as u64 - 2));
    assert_eq!(client.leave(), Some(0));
}
