//! The library as Markdown: a page for each item, and one that lists them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::cost::{self, Cost};
use super::item::{self, StdItem};
use super::page;
use crate::exit::{Failure, Result};
use crate::files::write_whole;

/// The page that lists the others.
const INDEX: &str = "README.md";
/// Where pictures of rules lie, beside the pages.
const PICTURES: &str = "pictures";

/// Writes all pages into a folder and returns how many there are. A rule whose picture lies in
/// `pictures/` there shows it.
///
/// # Errors
/// `OutputUnwritable`
pub fn write(
    folder: &Path,
    items: &[StdItem],
    twins: impl Fn(&StdItem) -> Vec<String>,
) -> Result<usize> {
    for item in items {
        let picture = picture_of(item);
        let picture = folder.join(&picture).is_file().then_some(picture);
        let text = of_item(
            item,
            cost::of(item).as_ref(),
            &twins(item),
            picture.as_deref(),
        );
        put(&folder.join(path_of(item)), &text)?;
    }
    put(&folder.join(INDEX), &index(items))?;
    Ok(items.len() + 1)
}

fn put(path: &Path, text: &str) -> Result<()> {
    let written = || -> io::Result<()> {
        fs::create_dir_all(crate::files::folder_of(path))?;
        write_whole(path, text.as_bytes())
    };
    written().map_err(|error| Failure::unwritable(path, error))
}

/// `rules/apg.md`
fn path_of(item: &StdItem) -> PathBuf {
    format!("{}/{}.md", item.folder, item.name).into()
}

/// `pictures/rules/apg.png`
fn picture_of(item: &StdItem) -> PathBuf {
    format!("{PICTURES}/{}/{}.png", item.folder, item.name).into()
}

/// From a page up to the folder of all pages.
fn up(item: &StdItem) -> String {
    "../".repeat(item.folder.split('/').count())
}

fn of_item(
    item: &StdItem,
    cost: Option<&Cost>,
    twins: &[String],
    picture: Option<&Path>,
) -> String {
    let mut out = format!("# {}\n\n", item.name);
    out.push_str(&format!(
        "`{}`, {} of the library.\n\n",
        item.path(),
        with_article(item.kind())
    ));
    out.push_str(&paragraphs(&item.docs));
    out.push_str(&paragraphs(&item.file_docs));
    if let Some(picture) = picture {
        let (name, picture) = (&item.name, picture.display());
        if item.kind() == "objective" {
            out.push_str(&format!(
                "![What {name} ends in]({}{picture})\n\n",
                up(item)
            ));
            out.push_str(
                "What latents of the embedded model become; `stdlib/reference/make.sh` says how.\n\n",
            );
        } else {
            out.push_str(&versus(name, &format!("{}{picture}", up(item))));
        }
    }
    out.push_str(&format!(
        "```text\n{}```\n\n",
        undented(&page::signature_of(item))
    ));
    for param in &item.params {
        out.push_str(&format!(
            "- `{}`: {}\n",
            page::head_of(param),
            param.docs.join(" ")
        ));
    }
    if !item.params.is_empty() {
        out.push('\n');
    }
    if let Some(cost) = cost {
        out.push_str(&format!(
            "**Cost**: {}. **Needs**: {}.\n\n",
            cost.evaluations, cost.needs
        ));
    }
    if !twins.is_empty() {
        out.push_str(&format!("**Also**: `{}`.\n\n", twins.join("`, `")));
    }
    out.push_str(&format!("```guide\n{}```\n", item.source));
    out
}

/// A rule's picture, beside none.
fn versus(name: &str, picture: &str) -> String {
    format!(
        "![Without guidance above, with {name} below]({picture})\n\n\
         The embedded model without guidance, and under `{name}` with its defaults.\n\n"
    )
}

fn index(items: &[StdItem]) -> String {
    let mut out = "# The standard library\n".to_owned();
    out.push_str("\nMade by `guidec doc --out DIR` from the comments of the `.guide` files.\n");
    for (folder, title) in item::FOLDERS {
        out.push_str(&format!("\n## {title}\n\n"));
        for item in items.iter().filter(|item| item.folder == *folder) {
            let sentence = page::first_sentence(&item.docs.join(" "));
            let path = path_of(item);
            out.push_str(&format!(
                "- [`{}`]({}): {sentence}\n",
                item.name,
                path.display()
            ));
        }
    }
    out
}

fn with_article(kind: &str) -> String {
    let article = if kind.starts_with('o') { "an" } else { "a" };
    format!("{article} {kind}")
}

/// Doc lines as they stand: they are Markdown already.
fn paragraphs(docs: &[String]) -> String {
    match docs.join("\n").trim() {
        "" => String::new(),
        text => format!("{text}\n\n"),
    }
}

fn undented(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| line.strip_prefix("    ").unwrap_or(line));
    lines.map(|line| format!("{line}\n")).collect()
}
