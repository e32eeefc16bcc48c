//! What stands at a place of a file: for editors, which ask for names and values by their places.
//!
//! [`read`] does what [`crate::pipeline::read`] does and keeps beside it every place of every name and
//! what the check knows of every expression.

mod arguments;
mod place;
pub mod words;

use std::collections::BTreeMap;

use guide_grammar::span::{FileId, Span};

use crate::check::{self, Known};
use crate::pipeline::Analysis;
use crate::resolve::resolve;
use crate::resolved::{Function, Item, ItemId, ItemKind, Local, LocalId, Meaning, Program};
use crate::sources::{Loaded, SourceMap, Sources};

pub use place::{Namesake, Place};

/// An analysis, with what stands where.
#[derive(Clone, Debug)]
pub struct Indexed {
    /// The file and all that it uses.
    pub analysis: Analysis,
    /// Every place of every name, in order of file and place.
    names: Vec<Namesake>,
    /// What is known of expressions, parameters and `let`s.
    known: BTreeMap<Span, Known>,
}

/// Reads and checks a file.
pub fn read(root: Loaded, sources: &dyn Sources) -> Indexed {
    let path = root.path.clone();
    let mut files = SourceMap::default();
    let (program, mut diagnostics) = resolve(root, sources, &mut files);
    let (said, known) = check::check_and_observe(&program);
    diagnostics.extend(said);
    let names = place::all(&program);
    Indexed {
        analysis: Analysis {
            path,
            program,
            files,
            diagnostics,
        },
        names,
        known,
    }
}

impl Indexed {
    /// The program.
    pub fn program(&self) -> &Program {
        &self.analysis.program
    }

    /// Every place of every name, in order of file and place.
    pub fn names(&self) -> &[Namesake] {
        &self.names
    }

    /// The name at a byte, or that ends there.
    pub fn name_at(&self, file: FileId, byte: u32) -> Option<&Namesake> {
        let after = self
            .names
            .partition_point(|name| (name.span.file, name.span.start) <= (file, byte));
        let before = self.names.get(..after)?;
        let near = before.iter().rev().take(2);
        let mut near = near.filter(|name| name.span.file == file && byte <= name.span.end);
        near.next()
    }

    /// What is known of the smallest expression that holds a byte, and its place.
    pub fn known_at(&self, file: FileId, byte: u32) -> Option<(Span, &Known)> {
        let first = Span {
            file,
            start: 0,
            end: 0,
        };
        let last = Span {
            file,
            start: byte,
            end: u32::MAX,
        };
        let holding = self.known.range(first..=last);
        holding
            .filter(|(span, _)| byte < span.end)
            .min_by_key(|(span, _)| span.end - span.start)
            .map(|(span, known)| (*span, known))
    }

    /// What is known of the expression, parameter or `let` of exactly this place.
    pub fn known(&self, span: Span) -> Option<&Known> {
        self.known.get(&span)
    }

    /// An item.
    pub fn item(&self, id: ItemId) -> Option<&Item> {
        self.program().items.get(id.index())
    }

    /// A `fn`, `guide` or `objective`.
    pub fn function(&self, id: ItemId) -> Option<&Function> {
        match &self.item(id)?.kind {
            ItemKind::Function(function) => Some(function),
            _ => None,
        }
    }

    /// A name that a function binds.
    pub fn local(&self, item: ItemId, local: LocalId) -> Option<&Local> {
        self.function(item)?.locals.get(local.index())
    }

    /// Where a meaning is defined: a name, or of a module its whole file.
    pub fn definition(&self, meaning: &Meaning) -> Option<Place> {
        match meaning {
            Meaning::Local(item, local) => Some(Place::Name(self.local(*item, *local)?.span)),
            Meaning::Item(id) => Some(Place::Name(self.item(*id)?.name.span)),
            Meaning::Module(number) => Some(Place::File(self.program().modules.get(*number)?.file)),
            Meaning::Word(_) | Meaning::Primitive(_) | Meaning::Intervention(_) => None,
        }
    }

    /// What a name means that stands by itself in the root's scope.
    pub fn in_scope(&self, name: &str) -> Option<ItemId> {
        let scope = &self.program().modules.first()?.scope;
        let found = scope.iter().find(|(known, _)| known == name);
        found.map(|(_, id)| *id)
    }

    /// Whether everything that an item names is known: what could not be read may hold the rest.
    pub fn is_whole(&self, id: ItemId) -> bool {
        self.function(id).is_none_or(check::is_whole)
    }

    /// The item of the root that holds a byte.
    pub fn item_around(&self, byte: u32) -> Option<ItemId> {
        let root = self.program().modules.first()?;
        let holds = |id: &&ItemId| {
            let span = self.item(**id).map(|item| item.span);
            span.is_some_and(|span| span.start <= byte && byte <= span.end)
        };
        root.items.iter().find(holds).copied()
    }
}
