//! `guidec import`: a guide from another tool's saved guidance.

mod attention;
mod command;
mod fields;
mod graph;
mod guider;
mod guider_classes;
mod imported;
mod node_classes;
mod nodes;
mod workflow;

use guide_compiler::diagnostics::{Code, Diagnostic};
use serde_json::{Map, Value};

use crate::args::Import;
use crate::exit::{Exit, Failure, Result};
use crate::files::{at_most, write_whole};
use crate::ui::Ui;
use imported::Imported;

/// A workflow may hold long texts; nothing of guidance needs more than this.
const MOST_BYTES: u64 = 16 << 20;

/// The most that is said of what is not taken over.
const MOST_SAID: usize = 100;

/// An object of the file.
type Object = Map<String, Value>;

/// Writes the guide, and says what it could not take over.
pub fn import(args: &Import, ui: Ui) -> Result<Exit> {
    let text = read(&args.file)?;
    let mut imported = taken_over(&args.file, &text, args.node.as_deref())?;
    let unsaid = imported.left_out.len().saturating_sub(MOST_SAID);
    if unsaid > 0 {
        imported.left_out.truncate(MOST_SAID);
        imported.left_out.push(format!("{unsaid} more"));
    }
    let place = args.out.as_ref().map(|out| out.to_string_lossy());
    let guide = imported.written(place.as_deref().unwrap_or("FILE"));
    for left in &imported.left_out {
        ui.say(&format!("not taken over: {left}"));
    }
    match &args.out {
        None => ui.data(&guide)?,
        Some(out) => {
            write_whole(out, guide.as_bytes()).map_err(|error| Failure::unwritable(out, error))?
        }
    }
    Ok(Exit::Done)
}

fn taken_over(
    file: &str,
    text: &str,
    node: Option<&str>,
) -> std::result::Result<Imported, Diagnostic> {
    let value: Value = serde_json::from_str(text)
        .map_err(|error| refused(format!("`{file}` is no JSON that can be read: {error}")))?;
    let Value::Object(object) = &value else {
        return Err(neither(file));
    };
    if object.contains_key("_class_name") {
        return guider::imported(file, object);
    }
    // As it is posted to ComfyUI's server.
    let nodes = match object.get("prompt") {
        Some(Value::Object(inside)) if !inside.contains_key("class_type") => inside,
        _ => object,
    };
    if is_workflow(nodes) {
        return workflow::imported(file, nodes, node);
    }
    if object.get("nodes").is_some_and(Value::is_array) {
        let message =
            format!("`{file}` is a workflow as ComfyUI's editor saves it, without names of inputs");
        return Err(refused(message).help("export it: Workflow > Export (API)"));
    }
    Err(neither(file))
}

fn is_workflow(nodes: &Object) -> bool {
    nodes
        .values()
        .any(|node| node.get("class_type").is_some_and(Value::is_string))
}

fn neither(file: &str) -> Diagnostic {
    refused(format!(
        "`{file}` is neither a guider's configuration nor a workflow"
    ))
    .help(
        "give diffusers' `guider_config.json`, which has `_class_name`, or a workflow of ComfyUI in API \
         format, in which each node has `class_type`",
    )
}

/// What cannot be imported.
fn refused(message: impl Into<String>) -> Diagnostic {
    Diagnostic::new(Code::BadImport, message)
}

/// The text of a file, or of the standard input.
fn read(file: &str) -> std::result::Result<String, Diagnostic> {
    let bytes = at_most(MOST_BYTES, file)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(refused(format!(
            "`{file}` has more than {MOST_BYTES} bytes, which is too much for a configuration"
        )));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        refused(format!("`{file}` is no text: byte {at} is not UTF-8"))
    })
}
