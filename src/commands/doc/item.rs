//! The items of the standard library, with what their comments say.

use guide_grammar::ast::{Function, FunctionKind, ItemKind};
use guide_grammar::span::{FileId, Span, Spanned};

/// The folders of the standard library, with what they hold.
pub const FOLDERS: &[(&str, &str)] = &[
    ("rules", "Rules (std::rules)"),
    ("objectives", "Objectives (std::objectives)"),
    ("directions", "Directions (std::directions)"),
    ("ops", "Operators (std::ops)"),
    ("schedules", "Schedules (std::schedules)"),
    (
        "dialects/diffusers",
        "As diffusers does it (std::dialects::diffusers)",
    ),
    (
        "dialects/comfyui",
        "As ComfyUI does it (std::dialects::comfyui)",
    ),
    (
        "dialects/a1111",
        "As the web UI by AUTOMATIC1111 does it (std::dialects::a1111)",
    ),
    (
        "dialects/sd_cpp",
        "As stable-diffusion.cpp does it (std::dialects::sd_cpp)",
    ),
];

/// A function, guide or objective of the standard library.
pub struct StdItem {
    /// `rules`, `objectives`, `ops`, `directions`, `schedules`, `dialects/diffusers`
    pub folder: &'static str,
    /// Its name.
    pub name: String,
    /// Whether it is a guide.
    pub is_guide: bool,
    /// The file's text.
    pub source: &'static str,
    /// The file's `//!` lines.
    pub file_docs: Vec<String>,
    /// Its `///` lines.
    pub docs: Vec<String>,
    /// Its parameters.
    pub params: Vec<Param>,
    /// What it says that it returns.
    pub result: Option<String>,
}

/// A parameter, as texts.
pub struct Param {
    /// `scale`
    pub name: String,
    /// `Scalar`
    pub kind: String,
    /// `7.5`
    pub default: Option<String>,
    /// Its `///` lines.
    pub docs: Vec<String>,
}

impl StdItem {
    /// `std::rules::apg`
    pub fn path(&self) -> String {
        format!("std::{}::{}", self.folder.replace('/', "::"), self.name)
    }

    /// What it is, in a word.
    pub fn kind(&self) -> &'static str {
        match self.folder {
            _ if self.is_guide => "rule",
            "objectives" => "objective",
            "directions" => "direction",
            "schedules" => "schedule",
            _ => "operator",
        }
    }

    /// Its file: `stdlib/rules/apg.guide`.
    pub fn file(&self) -> String {
        format!("stdlib/{}/{}.guide", self.folder, self.name)
    }

    /// Whether it is another tool's variant.
    pub fn is_dialect(&self) -> bool {
        self.folder.starts_with("dialects/")
    }

    /// Whether a user means it by that name: the whole path, or its end. The name alone of a variant
    /// means it only where nothing else has it.
    pub fn is_called(&self, name: &str) -> bool {
        let whole = self.path();
        let is_end = whole
            .strip_suffix(name)
            .is_some_and(|before| before.ends_with("::"));
        whole == name || (is_end && !(self.is_dialect() && name == self.name))
    }
}

/// Every item, by folder and name.
pub fn all() -> Vec<StdItem> {
    let mut items = Vec::new();
    for (folder, _) in FOLDERS {
        for (path, text) in guide_stdlib::files() {
            if path.rsplit_once('/').map(|(own, _)| own) == Some(folder) {
                items.extend(of_file(folder, text));
            }
        }
    }
    items
}

fn of_file(folder: &'static str, source: &'static str) -> Vec<StdItem> {
    let parsed = guide_grammar::parse(FileId(0), source);
    let file_docs = lines(&parsed.file.docs);
    let functions = parsed
        .file
        .items
        .iter()
        .filter_map(|item| match &item.kind {
            ItemKind::Function(function) => Some((lines(&item.docs), function)),
            _ => None,
        });
    functions
        .map(|(docs, function)| StdItem {
            folder,
            name: function.name.node.clone(),
            is_guide: function.kind == FunctionKind::Guide,
            source,
            file_docs: file_docs.clone(),
            docs,
            params: params(function, source),
            result: function.result.as_ref().map(|kind| text(kind.span, source)),
        })
        .collect()
}

fn params(function: &Function, source: &str) -> Vec<Param> {
    let params = function.params.iter();
    params
        .map(|param| Param {
            name: param.name.node.clone(),
            kind: text(param.kind.span, source),
            default: param
                .default
                .as_ref()
                .map(|default| text(default.span, source)),
            docs: lines(&param.docs),
        })
        .collect()
}

fn lines(docs: &[Spanned<String>]) -> Vec<String> {
    docs.iter().map(|line| line.node.clone()).collect()
}

fn text(span: Span, source: &str) -> String {
    span.text(source).to_owned()
}
