//! Each request by its method.

use gen_lsp_types::{
    CodeActionParams, CodeLens, CodeLensParams, Command, CompletionParams, DefinitionParams,
    DocumentFormattingParams, DocumentHighlightParams, DocumentSymbolParams, HoverParams,
    InlayHintParams, Position, PrepareRenameParams, ReferenceParams, RenameParams, SemanticTokens,
    SemanticTokensParams, SemanticTokensRangeParams, SignatureHelpParams,
    TextDocumentPositionParams,
};
use guide_compiler::resolved::ItemKind;
use guide_grammar::ast::FunctionKind;
use guide_grammar::span::Span;
use lsp_server::{ErrorCode, ResponseError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::actions;
use super::complete;
use super::define;
use super::documents::Document;
use super::format;
use super::hints;
use super::hover;
use super::rename;
use super::semantic;
use super::signature;
use super::symbols;
use super::workspace::{ROOT, Workspace};

type Answer = Result<Value, ResponseError>;

/// The answer to a request. A document that is not open has none, and that is no error.
pub fn answer(workspace: &Workspace, method: &str, params: Value) -> Answer {
    match method {
        "textDocument/hover" => {
            let params: HoverParams = read(params)?;
            at(
                workspace,
                &params.text_document_position_params,
                hover::hover,
            )
        }
        "textDocument/completion" => {
            let params: CompletionParams = read(params)?;
            let place = params.text_document_position_params;
            at(workspace, &place, |w, d, b| {
                Some(complete::complete(w, d, b))
            })
        }
        "textDocument/signatureHelp" => {
            let params: SignatureHelpParams = read(params)?;
            at(
                workspace,
                &params.text_document_position_params,
                signature::help,
            )
        }
        "textDocument/definition" => {
            let params: DefinitionParams = read(params)?;
            at(
                workspace,
                &params.text_document_position_params,
                define::definition,
            )
        }
        "textDocument/references" => {
            let params: ReferenceParams = read(params)?;
            let all = params.context.include_declaration;
            let place = params.text_document_position_params;
            at(workspace, &place, |w, d, b| {
                define::references(w, d, b, all)
            })
        }
        "textDocument/documentHighlight" => {
            let params: DocumentHighlightParams = read(params)?;
            at(
                workspace,
                &params.text_document_position_params,
                define::highlights,
            )
        }
        "textDocument/prepareRename" => {
            let params: PrepareRenameParams = read(params)?;
            let place = params.text_document_position_params;
            at(workspace, &place, |w, d, b| rename::prepare(w, d, b).ok())
        }
        "textDocument/rename" => {
            let params: RenameParams = read(params)?;
            let place = params.text_document_position_params;
            let uri = &place.text_document.uri.0;
            match workspace.at(uri, place.position) {
                None => Ok(Value::Null),
                Some((document, byte)) => {
                    rename::rename(workspace, document, byte, &params.new_name)
                        .map_err(refused)
                        .and_then(written)
                }
            }
        }
        "textDocument/documentSymbol" => {
            let params: DocumentSymbolParams = read(params)?;
            of(workspace, &params.text_document.uri.0, symbols::outline)
        }
        "textDocument/formatting" => {
            let params: DocumentFormattingParams = read(params)?;
            of(workspace, &params.text_document.uri.0, format::format)
        }
        "textDocument/inlayHint" => {
            let params: InlayHintParams = read(params)?;
            of(workspace, &params.text_document.uri.0, |document| {
                hints::hints(workspace, document, params.range)
            })
        }
        "textDocument/semanticTokens/full" => {
            let params: SemanticTokensParams = read(params)?;
            of(workspace, &params.text_document.uri.0, |document| {
                coloured(workspace, document, 0, u32::MAX)
            })
        }
        "textDocument/semanticTokens/range" => {
            let params: SemanticTokensRangeParams = read(params)?;
            of(workspace, &params.text_document.uri.0, |document| {
                let byte = |position: Position| document.lines.byte(&document.text, position);
                let (start, end) = (byte(params.range.start), byte(params.range.end));
                coloured(workspace, document, start, end)
            })
        }
        "textDocument/codeAction" => {
            let params: CodeActionParams = read(params)?;
            of(workspace, &params.text_document.uri.0, |document| {
                actions::actions(workspace, document, params.range)
            })
        }
        "textDocument/codeLens" => {
            let params: CodeLensParams = read(params)?;
            of(workspace, &params.text_document.uri.0, |document| {
                lenses(workspace, document)
            })
        }
        "codeLens/resolve" => written(resolved(workspace, read(params)?)),
        _ => Err(ResponseError {
            code: ErrorCode::MethodNotFound as i32,
            message: format!("guidec does not know `{method}`"),
            data: None,
        }),
    }
}

fn read<P: DeserializeOwned>(params: Value) -> Result<P, ResponseError> {
    serde_json::from_value(params).map_err(|error| ResponseError {
        code: ErrorCode::InvalidParams as i32,
        message: error.to_string(),
        data: None,
    })
}

fn written(result: impl Serialize) -> Answer {
    serde_json::to_value(result).map_err(|error| ResponseError {
        code: ErrorCode::InternalError as i32,
        message: error.to_string(),
        data: None,
    })
}

fn refused(why: String) -> ResponseError {
    ResponseError {
        code: ErrorCode::RequestFailed as i32,
        message: why,
        data: None,
    }
}

/// What a function finds at a place of a document.
fn at<T: Serialize>(
    workspace: &Workspace,
    place: &TextDocumentPositionParams,
    find: impl FnOnce(&Workspace, &Document, u32) -> Option<T>,
) -> Answer {
    let found = workspace.at(&place.text_document.uri.0, place.position);
    written(found.and_then(|(document, byte)| find(workspace, document, byte)))
}

/// What a function makes of a document.
fn of<T: Serialize>(workspace: &Workspace, uri: &str, make: impl FnOnce(&Document) -> T) -> Answer {
    written(workspace.documents.get(uri).map(make))
}

fn coloured(workspace: &Workspace, document: &Document, start: u32, end: u32) -> SemanticTokens {
    let within = Span {
        file: ROOT,
        start,
        end,
    };
    SemanticTokens {
        result_id: None,
        data: semantic::tokens(workspace, document, within),
    }
}

/// A lens above each guide; what it says is found when it comes into view.
fn lenses(workspace: &Workspace, document: &Document) -> Vec<CodeLens> {
    let snapshot = workspace.snapshot(document);
    let indexed = &snapshot.indexed;
    let root = indexed.program().modules.first();
    let items = root.into_iter().flat_map(|module| &module.items);
    let items = items.filter_map(|id| indexed.item(*id));
    let is_guide =
        |kind: &ItemKind| matches!(kind, ItemKind::Function(f) if f.kind == FunctionKind::Guide);
    let guides = items.filter(|item| is_guide(&item.kind));
    let lenses = guides.map(|guide| CodeLens {
        range: document.lines.range(&document.text, guide.name.span),
        command: None,
        data: Some(json!({ "uri": document.uri, "guide": guide.name.node })),
    });
    lenses.collect()
}

/// The lens with the evaluations of its guide.
fn resolved(workspace: &Workspace, mut lens: CodeLens) -> CodeLens {
    let said = |key: &str| Some(lens.data.as_ref()?.get(key)?.as_str()?.to_owned());
    let document = said("uri").and_then(|uri| workspace.documents.get(&uri));
    let cost = document.zip(said("guide")).and_then(|(document, guide)| {
        let snapshot = workspace.snapshot(document);
        snapshot.costs.of(&snapshot.indexed, &guide)
    });
    lens.command = Some(Command {
        title: cost.unwrap_or_else(|| "no plan while the file has errors".to_owned()),
        // A lens that says something and does nothing.
        command: String::new(),
        ..Default::default()
    });
    lens
}
