//! `guidec trace`: what `guidec run --trace` wrote, as a table with curves or as charts.

mod chart;
mod drawing;
mod file;
mod number;
mod quantity;
mod table;

use std::fs;

use guide_compiler::diagnostics::{Code, Diagnostic};

use crate::args::{self, Format};
use crate::exit::{Exit, Failure, Result};
use crate::files::{at_most, folder_of, write_whole};
use crate::ui::Ui;
use file::Trace;

/// A trace of a thousand steps of a thousand samples has less.
const MOST_BYTES: u64 = 256 << 20;

/// Prints or draws the trace.
pub fn trace(args: &args::Trace, ui: Ui) -> Result<Exit> {
    let trace = Trace::read(&args.file, read(&args.file)?)?;
    let samples = trace.samples();
    if let Some(sample) = args.sample.filter(|sample| *sample >= samples) {
        let last = samples.saturating_sub(1);
        let message = format!("there is no sample {sample}; the trace has 0 to {last}");
        return Err(Failure::Usage(message));
    }
    let all = quantity::quantities(&trace, args.sample);
    let Some(out) = &args.out else {
        let text = match args.format {
            Format::Human => table::text(&trace, &all, args.sample, ui),
            Format::Json => table::json(&trace, &all, args.sample),
        };
        ui.data(&text)?;
        return Ok(Exit::Done);
    };
    let folder = folder_of(out);
    fs::create_dir_all(&folder).map_err(|error| Failure::unwritable(&folder, error))?;
    let drawn = drawing::svg(&trace, &all, args.sample);
    write_whole(out, drawn.as_bytes()).map_err(|error| Failure::unwritable(out, error))?;
    ui.say(&out.display().to_string());
    Ok(Exit::Done)
}

/// The text of a file, or of the standard input.
fn read(file: &str) -> std::result::Result<String, Diagnostic> {
    let bytes = at_most(MOST_BYTES, file)?;
    if bytes.len() as u64 > MOST_BYTES {
        let message = format!("`{file}` has more than {MOST_BYTES} bytes, too many for a trace");
        return Err(Diagnostic::new(Code::BadTrace, message));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let message = format!("`{file}` is no trace: byte {at} is not UTF-8");
        Diagnostic::new(Code::BadTrace, message)
            .help("write one with `guidec run FILE --trace run.jsonl`")
    })
}
