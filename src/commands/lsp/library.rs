//! How things are called: items of files, of the standard library, and what the language brings.

use std::sync::OnceLock;

use guide_compiler::index::Indexed;
use guide_compiler::primitives::{InterventionSignature, Parameter, Primitive};
use guide_compiler::resolved::{ItemId, ItemKind};
use guide_grammar::ast::{FunctionKind, ResourceKind};

use crate::commands::doc::item::{self, StdItem};

/// How a thing is called, as texts.
#[derive(Clone, Debug, Default)]
pub struct Signature {
    /// `fn`, `guide`, `model`, …; empty for what has none.
    pub keyword: &'static str,
    /// Its name.
    pub name: String,
    /// Its parameters; nothing for what is not called.
    pub params: Vec<Param>,
    /// Whether it is called at all.
    pub is_callable: bool,
    /// What it says that it returns, or of what kind it is.
    pub result: Option<String>,
    /// Its comments.
    pub docs: Vec<String>,
}

/// A parameter, as texts.
#[derive(Clone, Debug)]
pub struct Param {
    /// `scale`
    pub name: String,
    /// `Scalar`, where it is stated.
    pub kind: Option<String>,
    /// `7.5`; empty for one that may be left out.
    pub default: Option<String>,
    /// Its comments.
    pub docs: Vec<String>,
}

impl Param {
    /// `scale: Scalar = 7.5`
    pub fn text(&self) -> String {
        let kind = self.kind.iter().map(|kind| format!(": {kind}"));
        let default = self.default.iter().map(|default| match default.as_str() {
            "" => "?".to_owned(),
            default => format!(" = {default}"),
        });
        let parts = kind.chain(default);
        format!("{}{}", self.name, parts.collect::<String>())
    }
}

impl Signature {
    /// In one line.
    pub fn in_line(&self) -> String {
        let params: Vec<String> = self.params.iter().map(Param::text).collect();
        self.around(&params.join(", "))
    }

    /// One parameter a line where it is long.
    pub fn in_lines(&self) -> String {
        const WIDTH: usize = 80;
        let short = self.in_line();
        if short.chars().count() <= WIDTH {
            return short;
        }
        let lines = self.params.iter().map(|p| format!("    {},\n", p.text()));
        self.around(&format!("\n{}", lines.collect::<String>()))
    }

    fn around(&self, params: &str) -> String {
        let keyword = match self.keyword {
            "" => String::new(),
            keyword => format!("{keyword} "),
        };
        let name = &self.name;
        let result = self.result.as_deref();
        if !self.is_callable {
            let kind = result.map(|kind| format!(": {kind}")).unwrap_or_default();
            return format!("{keyword}{name}{kind}");
        }
        let result = result.map(|kind| format!(" -> {kind}")).unwrap_or_default();
        format!("{keyword}{name}({params}){result}")
    }
}

/// Of an item.
pub fn of_item(indexed: &Indexed, id: ItemId) -> Option<Signature> {
    let item = indexed.item(id)?;
    let text = |span| indexed.analysis.files.snippet(span).to_owned();
    let mut signature = Signature {
        name: item.name.node.clone(),
        docs: item.docs.clone(),
        ..Default::default()
    };
    match &item.kind {
        ItemKind::Resource(resource) => {
            signature.keyword = match resource.kind {
                ResourceKind::Model => "model",
                ResourceKind::Classifier => "classifier",
                ResourceKind::Loss => "loss",
            };
        }
        ItemKind::Input(input) => {
            signature.keyword = "input";
            signature.result = Some(text(input.kind.span));
        }
        ItemKind::Function(function) => {
            signature.keyword = match function.kind {
                FunctionKind::Fn => "fn",
                FunctionKind::Guide => "guide",
                FunctionKind::Objective => "objective",
            };
            signature.is_callable = true;
            signature.result = function.result.as_ref().map(|kind| text(kind.span));
            let params = function.params.iter().map(|param| Param {
                name: param.name.node.clone(),
                kind: Some(text(param.kind.span)),
                default: param.default.as_ref().map(|value| text(value.span)),
                docs: param.docs.clone(),
            });
            signature.params = params.collect();
        }
    }
    Some(signature)
}

/// Of an item of the library that may not be in use.
pub fn of_std(item: &StdItem) -> Signature {
    let params = item.params.iter().map(|param| Param {
        name: param.name.clone(),
        kind: Some(param.kind.clone()),
        default: param.default.clone(),
        docs: param.docs.clone(),
    });
    Signature {
        keyword: if item.is_guide { "guide" } else { "fn" },
        name: item.name.clone(),
        params: params.collect(),
        is_callable: true,
        result: item.result.clone(),
        docs: item.docs.clone(),
    }
}

/// Of a primitive.
pub fn of_primitive(primitive: Primitive) -> Signature {
    brought(primitive.name(), primitive.parameters(), primitive.doc())
}

/// Of an intervention.
pub fn of_intervention(intervention: &InterventionSignature) -> Signature {
    let params: Vec<Parameter> = intervention.parameters.iter().map(|(p, _)| *p).collect();
    brought(intervention.name, &params, intervention.doc)
}

/// Of `prev`, which is no primitive.
pub fn of_prev() -> Signature {
    let params = [("v", None), ("depth", Some("1")), ("init", None)];
    let doc = "The value of a `let`, of `x` or of a name of the step in the tick before.";
    brought("prev", &params, doc)
}

fn brought(name: &str, params: &[Parameter], doc: &str) -> Signature {
    let params = params.iter().map(|(name, default)| Param {
        name: (*name).to_owned(),
        kind: None,
        default: default.map(str::to_owned),
        docs: Vec::new(),
    });
    Signature {
        name: name.to_owned(),
        params: params.collect(),
        is_callable: true,
        docs: vec![doc.to_owned()],
        ..Default::default()
    }
}

/// Every item of the library, read once.
pub fn items() -> &'static [StdItem] {
    static ITEMS: OnceLock<Vec<StdItem>> = OnceLock::new();
    ITEMS.get_or_init(item::all)
}
