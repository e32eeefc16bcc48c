//! How the call is written that the cursor stands in.

use gen_lsp_types::{
    Documentation, MarkupContent, MarkupKind, ParameterInformation, SignatureHelp,
    SignatureInformation,
};

use super::brackets::OpenCall;
use super::context::Context;
use super::documents::Document;
use super::library::Signature;
use super::words;
use super::workspace::Workspace;

/// The call's signature, with the parameter that the cursor is at.
pub fn help(workspace: &Workspace, document: &Document, byte: u32) -> Option<SignatureHelp> {
    let context = Context::of(&document.text, byte);
    let signature = context.signature_of_call(workspace, document)?;
    let call = context.call.as_ref()?;
    let parameters = signature.params.iter().map(|param| ParameterInformation {
        label: param.text().into(),
        documentation: (!param.docs.is_empty()).then(|| markdown(param.docs.join(" "))),
    });
    let information = SignatureInformation {
        label: signature.in_line(),
        documentation: Some(markdown(words::paragraphs(&signature.docs))),
        parameters: Some(parameters.collect()),
        active_parameter: None,
    };
    Some(SignatureHelp {
        signatures: vec![information],
        active_signature: Some(0),
        active_parameter: active(&signature, call).map(Into::into),
    })
}

fn active(signature: &Signature, call: &OpenCall) -> Option<u32> {
    let at = match &call.name {
        Some(name) => signature.params.iter().position(|p| p.name == *name)?,
        // After a named argument the next is one that was not given yet.
        None => {
            let open = signature.params.iter().enumerate().skip(call.position);
            let mut open = open.filter(|(_, param)| !call.given.contains(&param.name));
            open.next()?.0
        }
    };
    Some(at as u32)
}

fn markdown(value: String) -> Documentation {
    MarkupContent {
        kind: MarkupKind::Markdown,
        value,
    }
    .into()
}
