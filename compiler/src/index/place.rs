//! Every place of every name: definitions, uses, and the names of arguments.

use guide_grammar::span::{FileId, Span};

use crate::resolved::{ItemId, ItemKind, LocalId, Meaning, Program};

use super::arguments;

/// A place of a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Namesake {
    /// The name alone.
    pub span: Span,
    /// What it means.
    pub meaning: Meaning,
    /// Whether it is defined here.
    pub defines: bool,
}

/// Where something is defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// By a name.
    Name(Span),
    /// As a whole file.
    File(FileId),
}

/// All of a program, in order of file and place.
pub(super) fn all(program: &Program) -> Vec<Namesake> {
    let uses = program.names.iter().map(|one| Namesake {
        span: one.span,
        meaning: one.meaning.clone(),
        defines: false,
    });
    let mut names: Vec<Namesake> = uses.collect();
    for (at, item) in program.items.iter().enumerate() {
        let id = ItemId(at as u32);
        names.push(Namesake {
            span: item.name.span,
            meaning: Meaning::Item(id),
            defines: true,
        });
        let ItemKind::Function(function) = &item.kind else {
            continue;
        };
        for (at, local) in function.locals.iter().enumerate() {
            names.push(Namesake {
                span: local.span,
                meaning: Meaning::Local(id, LocalId(at as u32)),
                defines: true,
            });
        }
    }
    arguments::add_all(program, &mut names);
    names.sort_by_key(|name| (name.span, !name.defines));
    names.dedup_by_key(|name| name.span);
    names
}
