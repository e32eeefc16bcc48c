//! The report: one HTML file that holds everything and asks for nothing from elsewhere.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use guide_compiler::diagnostics::{Code, Diagnostic};
use serde_json::{Value, json};

use super::results::{Found, Results};
use super::table::{self, Row};
use crate::exit::Result;

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// The page.
pub fn page(results: &Results, rows: &[Row], folder: &Path) -> Result<String> {
    let variants = results.variants.iter().zip(rows);
    let variants = variants.map(|(found, row)| variant(found, folder, table::value(row)));
    let variants: Vec<Value> = variants.collect::<Result<_>>()?;
    let data = json!({
        "asked": results.asked,
        "columns": results.columns,
        "rows": results.rows,
        "reference": results.reference,
        "seeds": results.seeds().iter().map(u64::to_string).collect::<Vec<_>>(),
        "variants": variants,
    });
    Ok(PAGE
        .replace("/* STYLE */", STYLE)
        .replace("/* SCRIPT */", SCRIPT)
        .replace("\"DATA\"", &within_script(&data)))
}

fn variant(found: &Found, folder: &Path, measured: Value) -> Result<Value> {
    let mut pictures = serde_json::Map::new();
    for (seed, made) in &found.pictures {
        let place = found.file(folder, *seed);
        let bytes = fs::read(&place).map_err(|error| {
            let message = format!("`{}` cannot be read: {error}", place.display());
            Diagnostic::new(Code::Unreadable, message)
                .help("run the comparison again with --resume")
        })?;
        let picture = json!({
            "source": format!("data:image/png;base64,{}", STANDARD.encode(bytes)),
            "evaluations": made.evaluations,
            "right": made.right,
            "curve": made.curve,
        });
        pictures.insert(seed.to_string(), picture);
    }
    Ok(json!({
        "label": found.label,
        "place": found.place,
        "plan": found.plan,
        "planned": found.planned,
        "measured": measured,
        "pictures": pictures,
    }))
}

/// JSON that stands inside of a script: a prompt cannot end it.
fn within_script(data: &Value) -> String {
    data.to_string().replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::within_script;

    #[test]
    fn a_prompt_cannot_end_the_script() {
        let text = within_script(&json!({"prompt": "</script><b>"}));
        assert!(!text.contains('<'));
        let back: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(back["prompt"], "</script><b>");
    }
}
