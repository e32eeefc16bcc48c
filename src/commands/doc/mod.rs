//! `guidec doc`: pages made from the standard library's comments and the compiler's tables.

pub mod cost;
pub mod item;
mod markdown;
pub mod page;

use std::path::Path;

use guide_compiler::diagnostics::suggest;
use guide_compiler::primitives::{INTERVENTIONS, Primitive};

use crate::exit::{Exit, Failure, Result};
use crate::ui::Ui;
use item::StdItem;

/// Prints the page of a name, or a line for everything that has one; or writes the whole library as
/// Markdown into a folder.
pub fn doc(name: Option<&str>, out: Option<&Path>, ui: Ui) -> Result<Exit> {
    let items = item::all();
    if let Some(folder) = out {
        let pages = markdown::write(folder, &items, |item| twins(item, &items))?;
        ui.say(&format!("{pages} pages in {}", folder.display()));
        return Ok(Exit::Done);
    }
    let Some(name) = name else {
        ui.data(&list(&items))?;
        return Ok(Exit::Done);
    };
    let page = |item: &StdItem| page::of_item(item, cost::of(item).as_ref(), &twins(item, &items));
    let called = items.iter().filter(|item| item.is_called(name));
    let mut pages: Vec<String> = called.map(page).collect();
    pages.extend(
        INTERVENTIONS
            .iter()
            .filter(|i| i.name == name)
            .map(page::of_intervention),
    );
    pages.extend(Primitive::find(name).map(page::of_primitive));
    if pages.is_empty() {
        pages = items
            .iter()
            .filter(|item| item.name == name)
            .map(page)
            .collect();
    }
    if pages.is_empty() {
        return Err(unknown(name, &items));
    }
    ui.data(&pages.join("\n"))?;
    Ok(Exit::Done)
}

/// The paths of what is called like an item in other folders: for a rule the variants, for a variant
/// the rule and the other variants.
fn twins(item: &StdItem, items: &[StdItem]) -> Vec<String> {
    let other = items
        .iter()
        .filter(|other| other.name == item.name && other.folder != item.folder);
    let relevant = other.filter(|other| other.is_dialect() || item.is_dialect());
    relevant.map(StdItem::path).collect()
}

fn unknown(name: &str, items: &[StdItem]) -> Failure {
    let short = name.rsplit("::").next().unwrap_or(name);
    let known = items
        .iter()
        .map(|item| item.name.as_str())
        .chain(INTERVENTIONS.iter().map(|i| i.name))
        .chain(Primitive::ALL.iter().map(|p| p.name()));
    let tip = match suggest::nearest(short, known) {
        Some(near) => format!("\n\n  tip: a similar name exists: '{near}'"),
        None => String::new(),
    };
    Failure::Usage(format!(
        "nothing is called '{name}'; guidec doc lists everything{tip}"
    ))
}

fn list(items: &[StdItem]) -> String {
    let mut out = String::new();
    for (folder, title) in item::FOLDERS {
        let lines = items.iter().filter(|item| item.folder == *folder);
        let lines = lines.map(|item| {
            (
                item.name.clone(),
                page::first_sentence(&item.docs.join(" ")),
            )
        });
        section(&mut out, title, lines);
    }
    let supported = INTERVENTIONS.iter().filter(|i| i.supported);
    let lines = supported.map(|i| (i.name.to_owned(), i.doc.to_owned()));
    section(&mut out, "Interventions, after `with:`", lines);
    let lines = Primitive::ALL
        .iter()
        .map(|p| (p.name().to_owned(), p.doc().to_owned()));
    section(&mut out, "Primitives", lines);
    out.push_str("guidec doc NAME prints the page of one of them.\n");
    out
}

fn section(out: &mut String, title: &str, lines: impl Iterator<Item = (String, String)>) {
    out.push_str(title);
    out.push('\n');
    for (name, sentence) in lines {
        let text = page::wrapped(&sentence, page::WIDTH - 24);
        let mut rows = text.lines();
        out.push_str(format!("  {name:<20}  {}", rows.next().unwrap_or("")).trim_end());
        out.push('\n');
        for row in rows {
            out.push_str(&format!("{:24}{row}\n", ""));
        }
    }
    out.push('\n');
}
