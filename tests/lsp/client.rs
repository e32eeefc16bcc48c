//! An editor without a screen: it starts the real server and speaks with it over its pipes.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// A running server, with a folder of its own.
pub struct Client {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    folder: PathBuf,
    next: i32,
    /// What the server said without being asked, oldest first.
    pub notes: Vec<Value>,
    /// What it answered to `initialize`.
    pub met: Value,
}

impl Client {
    /// Meets a server in a folder of this name, as an editor that counts in units of UTF-16.
    pub fn new(name: &str) -> Self {
        Self::with(name, json!({}))
    }

    /// Meets it with these capabilities.
    pub fn with(name: &str, capabilities: Value) -> Self {
        let mut client = Self::silent(name);
        let folder = json!([{ "uri": client.uri(""), "name": "tests" }]);
        let params = json!({
            "processId": null, "rootUri": null,
            "capabilities": capabilities, "workspaceFolders": folder,
        });
        client.met = client.ask("initialize", params);
        client.tell("initialized", json!({}));
        client
    }

    /// Starts a server and says nothing.
    pub fn silent(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join("lsp")
            .join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("cache")).expect("a folder for the test");
        let mut child = Command::new(env!("CARGO_BIN_EXE_guidec"))
            .args(["lsp", "--stdio"])
            .current_dir(&folder)
            .env("XDG_CACHE_HOME", folder.join("cache"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let from = BufReader::new(child.stdout.take().expect("a pipe"));
        Self {
            to: child.stdin.take(),
            from,
            child,
            folder,
            next: 0,
            notes: Vec::new(),
            met: Value::Null,
        }
    }

    /// The URI of a file in the folder.
    pub fn uri(&self, file: &str) -> String {
        let folder = self.folder.to_string_lossy().into_owned();
        format!("file://{folder}/{file}")
    }

    /// Writes a file.
    pub fn write(&self, file: &str, text: &str) {
        let path = self.folder.join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder can be made");
        fs::write(path, text).expect("a file can be written");
    }

    /// Sends anything.
    pub fn send(&mut self, message: &Value) {
        self.send_text(&message.to_string());
    }

    /// Sends any text with the header that it needs.
    pub fn send_text(&mut self, text: &str) {
        let to = self.to.as_mut().expect("the pipe is open");
        let header = format!("Content-Length: {}\r\n\r\n", text.len());
        to.write_all((header + text).as_bytes())
            .expect("the server reads");
        to.flush().expect("the server reads");
    }

    /// A notification.
    pub fn tell(&mut self, method: &str, params: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    /// A request without waiting for its answer; gives its number.
    pub fn begin(&mut self, method: &str, params: Value) -> i32 {
        self.next += 1;
        let id = self.next;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        id
    }

    /// The whole answer to a request, an error perhaps.
    pub fn answer(&mut self, id: i32) -> Value {
        loop {
            let message = self.read().expect("the server answers");
            if message["id"] == json!(id) && message.get("method").is_none() {
                return message;
            }
            self.notes.push(message);
        }
    }

    /// The result of a request, which must be no error.
    pub fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.begin(method, params);
        let answer = self.answer(id);
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// The next message; nothing where the server has closed its end.
    pub fn read(&mut self) -> Option<Value> {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if self
                .from
                .read_line(&mut line)
                .expect("the server writes text")
                == 0
            {
                return None;
            }
            match line.trim_end() {
                "" => break,
                line => {
                    if let Some(number) = line.strip_prefix("Content-Length: ") {
                        length = number.parse().expect("a number");
                    }
                }
            }
        }
        let mut body = vec![0; length];
        self.from.read_exact(&mut body).expect("a whole message");
        Some(serde_json::from_slice(&body).expect("the server writes JSON"))
    }

    /// Opens a document with a text, which need not be on the disk; gives its URI.
    pub fn open(&mut self, file: &str, text: &str) -> String {
        let uri = if file.contains(':') {
            file.to_owned()
        } else {
            self.uri(file)
        };
        let document = json!({ "uri": uri, "languageId": "guide", "version": 1, "text": text });
        self.tell("textDocument/didOpen", json!({ "textDocument": document }));
        uri
    }

    /// Replaces the whole text.
    pub fn replace(&mut self, uri: &str, version: i32, text: &str) {
        self.change(uri, version, json!([{ "text": text }]));
    }

    /// Any changes.
    pub fn change(&mut self, uri: &str, version: i32, changes: Value) {
        let document = json!({ "uri": uri, "version": version });
        let params = json!({ "textDocument": document, "contentChanges": changes });
        self.tell("textDocument/didChange", params);
    }

    /// What the server says is wrong with a document at a version (none for a file that is not open).
    pub fn diagnostics(&mut self, uri: &str, version: Option<i32>) -> Vec<Value> {
        let is_it = |note: &Value| {
            let (params, method) = (&note["params"], &note["method"]);
            method == "textDocument/publishDiagnostics"
                && params["uri"] == uri
                && params["version"].as_i64() == version.map(i64::from)
        };
        loop {
            if let Some(at) = self.notes.iter().position(is_it) {
                let note = self.notes.remove(at);
                let list = note["params"]["diagnostics"].as_array().cloned();
                return list.expect("a list");
            }
            let message = self.read().expect("the server speaks");
            self.notes.push(message);
        }
    }

    /// A request at the place of `^` in a text (which the document has without it).
    pub fn ask_at(&mut self, method: &str, uri: &str, marked: &str) -> Value {
        let params = place(uri, marked);
        self.ask(method, params)
    }

    /// Says good-bye; gives the exit code.
    pub fn leave(mut self) -> Option<i32> {
        assert_eq!(self.ask("shutdown", Value::Null), Value::Null);
        self.tell("exit", Value::Null);
        self.end().0
    }

    /// Closes stdin and waits; gives the exit code and what stands on stderr.
    pub fn end(mut self) -> (Option<i32>, String) {
        drop(self.to.take());
        let mut said = String::new();
        let mut stderr = self.child.stderr.take().expect("a pipe");
        while self.read().is_some() {}
        stderr.read_to_string(&mut said).expect("stderr is text");
        let status = self.child.wait().expect("the server ends");
        (status.code(), said)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // A test that failed leaves its server running.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The parameters of a request at the place of `^`, in units of UTF-16.
pub fn place(uri: &str, marked: &str) -> Value {
    let before = marked.split('^').next().expect("a text");
    assert_ne!(before, marked, "a cursor stands in the text");
    let line = before.matches('\n').count();
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or("")
        .encode_utf16()
        .count();
    json!({ "textDocument": { "uri": uri }, "position": { "line": line, "character": column } })
}

/// The text without its `^`.
pub fn unmarked(marked: &str) -> String {
    marked.replacen('^', "", 1)
}

/// A text after edits, as an editor that counts in units of UTF-16 makes them.
pub fn edited(text: &str, edits: &Value) -> String {
    let mut edits: Vec<Value> = edits.as_array().expect("a list of edits").clone();
    edits.sort_by_key(|edit| std::cmp::Reverse(byte(text, &edit["range"]["start"])));
    let mut text = text.to_owned();
    for edit in edits {
        let start = byte(&text, &edit["range"]["start"]);
        let end = byte(&text, &edit["range"]["end"]);
        text.replace_range(start..end, edit["newText"].as_str().expect("a text"));
    }
    text
}

fn byte(text: &str, position: &Value) -> usize {
    let line = position["line"].as_u64().expect("a line") as usize;
    let column = position["character"].as_u64().expect("a column") as usize;
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let mut units = 0;
    let rest = text.get(start..).unwrap_or("");
    let at = rest.char_indices().find(|(_, c)| {
        let here = units >= column;
        units += c.len_utf16();
        here
    });
    start + at.map_or(rest.len(), |(at, _)| at)
}

/// The text that a range of a document holds.
pub fn text_at<'t>(text: &'t str, range: &Value) -> &'t str {
    text.get(byte(text, &range["start"])..byte(text, &range["end"]))
        .expect("a range of the text")
}

/// The labels of completion items.
pub fn labels(items: &Value) -> Vec<&str> {
    let items = items.as_array().expect("a list of items");
    items
        .iter()
        .filter_map(|item| item["label"].as_str())
        .collect()
}
