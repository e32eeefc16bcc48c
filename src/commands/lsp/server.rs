//! The conversation: meeting, messages in their order, cancelling, leaving.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};

use gen_lsp_types::{
    CancelParams, DidChangeTextDocumentParams, DidCloseTextDocumentParams,
    DidOpenTextDocumentParams, Id, InitializeParams, InitializeResult, ServerInfo,
    WorkspaceFolders,
};
use lsp_server::{
    Connection, ErrorCode, Message, Notification, Request, RequestId, Response, ResponseError,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::capabilities;
use super::diagnostics::Said;
use super::requests;
use super::uri::path_of;
use super::workspace::Workspace;
use crate::exit::Exit;

/// Serves until the editor says `exit`; nothing where it is gone without.
pub fn serve(connection: &Connection, allowed: &[PathBuf]) -> Option<Exit> {
    let params = match meet(connection) {
        Met::Params(params) => params,
        Met::Exit => return Some(Exit::Wrong),
        Met::Gone => return None,
    };
    let folders = allowed.iter().cloned().chain(folders(&params)).collect();
    let workspace = Workspace::new(folders, capabilities::encoding(&params));
    let mut server = Server {
        connection,
        incoming: in_line(connection),
        workspace,
        said: Said::default(),
        waiting: VecDeque::new(),
        is_leaving: false,
    };
    if watches(&params) {
        server.ask_to_watch();
    }
    server.run()
}

/// How the meeting ended.
enum Met {
    Params(Box<InitializeParams>),
    Exit,
    Gone,
}

/// Answers the first request, which says what the editor can do.
fn meet(connection: &Connection) -> Met {
    for message in &connection.receiver {
        let request = match message {
            Message::Request(request) => request,
            Message::Notification(note) if note.method == "exit" => return Met::Exit,
            Message::Notification(_) | Message::Response(_) => continue,
        };
        if request.method != "initialize" {
            let message = format!("`{}` came before `initialize`", request.method);
            let code = ErrorCode::ServerNotInitialized as i32;
            let _ = connection
                .sender
                .send(Response::new_err(request.id, code, message).into());
            continue;
        }
        let params: InitializeParams = match serde_json::from_value(request.params) {
            Ok(params) => params,
            Err(error) => {
                let code = ErrorCode::InvalidParams as i32;
                let refused = Response::new_err(request.id, code, error.to_string());
                let _ = connection.sender.send(refused.into());
                continue;
            }
        };
        let result = InitializeResult {
            capabilities: capabilities::all(capabilities::encoding(&params)),
            server_info: Some(ServerInfo {
                name: "guidec".to_owned(),
                version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            }),
        };
        let answer = Response::new_ok(request.id, result);
        let _ = connection.sender.send(answer.into());
        return Met::Params(Box::new(params));
    }
    Met::Gone
}

/// The folders that the editor has open.
fn folders(params: &InitializeParams) -> Vec<PathBuf> {
    let initial = &params.workspace_folders_initialize_params;
    if let Some(WorkspaceFolders::WorkspaceFolderList(folders)) = &initial.workspace_folders {
        let paths = folders.iter().filter_map(|folder| path_of(&folder.uri.0));
        return paths.collect();
    }
    #[allow(deprecated, reason = "older editors say their folder so")]
    let root = params.root_uri.as_ref();
    root.and_then(|uri| path_of(&uri.0)).into_iter().collect()
}

/// Whether the editor watches files for those who ask.
fn watches(params: &InitializeParams) -> bool {
    let workspace = params.capabilities.workspace.as_ref();
    let watching = workspace.and_then(|w| w.did_change_watched_files.as_ref());
    watching.and_then(|w| w.dynamic_registration) == Some(true)
}

/// All messages as they come. The connection itself hands over one at a time, and what is behind it
/// could not be cancelled.
fn in_line(connection: &Connection) -> Receiver<Message> {
    let (sender, receiver) = channel();
    let from = connection.receiver.clone();
    std::thread::spawn(move || {
        from.into_iter()
            .try_for_each(|message| sender.send(message))
    });
    receiver
}

struct Server<'a> {
    connection: &'a Connection,
    incoming: Receiver<Message>,
    workspace: Workspace,
    said: Said,
    /// What has come and is not dealt with.
    waiting: VecDeque<Message>,
    is_leaving: bool,
}

impl Server<'_> {
    fn run(&mut self) -> Option<Exit> {
        loop {
            if self.waiting.is_empty() {
                // Before it waits, the editor hears what is wrong with the texts as they are now:
                // edits that came together are looked at once.
                self.publish();
                let message = self.incoming.recv().ok()?;
                self.take(message);
            }
            while let Ok(message) = self.incoming.try_recv() {
                self.take(message);
            }
            match self.waiting.pop_front() {
                Some(Message::Request(request)) => self.answer(request),
                Some(Message::Notification(note)) if note.method == "exit" => {
                    return Some(if self.is_leaving {
                        Exit::Done
                    } else {
                        Exit::Wrong
                    });
                }
                Some(Message::Notification(note)) => self.hear(note),
                Some(Message::Response(_)) | None => {}
            }
        }
    }

    /// Puts a message in line; one that cancels takes another out.
    fn take(&mut self, message: Message) {
        let cancelled = match &message {
            Message::Notification(note) if note.method == "$/cancelRequest" => {
                serde_json::from_value::<CancelParams>(note.params.clone()).ok()
            }
            _ => {
                self.waiting.push_back(message);
                return;
            }
        };
        let id = match cancelled.map(|params| params.id) {
            Some(Id::Int(id)) => RequestId::from(id),
            Some(Id::String(id)) => RequestId::from(id),
            None => return,
        };
        let is_it = |message: &Message| matches!(message, Message::Request(r) if r.id == id);
        if let Some(at) = self.waiting.iter().position(is_it) {
            self.waiting.remove(at);
            self.refuse(id, ErrorCode::RequestCanceled, "cancelled");
        }
    }

    fn answer(&mut self, request: Request) {
        if request.method == "shutdown" {
            self.is_leaving = true;
            return self.send(Response::new_ok(request.id, Value::Null).into());
        }
        if self.is_leaving || request.method == "initialize" {
            return self.refuse(request.id, ErrorCode::InvalidRequest, "not now");
        }
        let (id, method) = (request.id.clone(), request.method.clone());
        // A mistake of the server's costs one answer, not the session.
        let answered = catch_unwind(AssertUnwindSafe(|| {
            requests::answer(&self.workspace, &request.method, request.params)
        }));
        let response_result = answered.unwrap_or_else(|_| {
            Err(ResponseError {
                code: ErrorCode::InternalError as i32,
                message: format!("`{method}` failed inside guidec"),
                data: None,
            })
        });
        let response = Response {
            id,
            response_result,
        };
        self.send(response.into());
    }

    fn hear(&mut self, note: Notification) {
        match note.method.as_str() {
            "textDocument/didOpen" => {
                if let Some(DidOpenTextDocumentParams { text_document }) = read(note.params) {
                    let (uri, version) = (text_document.uri.0, text_document.version);
                    self.workspace.open(uri, version, &text_document.text);
                    self.workspace.files_changed();
                }
            }
            "textDocument/didChange" => {
                if let Some(params) = read::<DidChangeTextDocumentParams>(note.params) {
                    let uri = &params.text_document.text_document_identifier.uri.0;
                    if let Some(document) = self.workspace.documents.get_mut(uri) {
                        document.change(params.text_document.version, &params.content_changes);
                        self.workspace.files_changed();
                    }
                }
            }
            "textDocument/didClose" => {
                if let Some(DidCloseTextDocumentParams { text_document }) = read(note.params) {
                    self.workspace.documents.remove(&text_document.uri.0);
                    self.workspace.files_changed();
                }
            }
            "workspace/didChangeWatchedFiles" => self.workspace.files_changed(),
            // `initialized`, `didSave` and what only other servers care for.
            _ => {}
        }
    }

    fn publish(&mut self) {
        for params in self.said.news(&mut self.workspace) {
            let note = Notification::new("textDocument/publishDiagnostics".to_owned(), params);
            self.send(note.into());
        }
    }

    fn ask_to_watch(&self) {
        let watchers = json!({ "watchers": [{ "globPattern": "**/*.guide" }] });
        let registration = json!({
            "id": "guides",
            "method": "workspace/didChangeWatchedFiles",
            "registerOptions": watchers,
        });
        let params = json!({ "registrations": [registration] });
        let method = "client/registerCapability".to_owned();
        let id = RequestId::from("watch".to_owned());
        self.send(Request::new(id, method, params).into());
    }

    fn refuse(&self, id: RequestId, code: ErrorCode, why: &str) {
        self.send(Response::new_err(id, code as i32, why.to_owned()).into());
    }

    /// An editor that is gone misses it; the next `recv` says that it is gone.
    fn send(&self, message: Message) {
        let _ = self.connection.sender.send(message);
    }
}

/// What a notification says; one that cannot be read says nothing.
fn read<P: DeserializeOwned>(params: Value) -> Option<P> {
    serde_json::from_value(params).ok()
}
