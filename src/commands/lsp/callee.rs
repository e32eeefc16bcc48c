//! What the path of a call means when there is no tree: as the last analysis knows it, and the one
//! before it in which every item could be read.

use guide_compiler::primitives::{InterventionSignature, Primitive};
use guide_compiler::resolved::{ItemId, Namespace};

use super::documents::Document;
use super::library::{self, Signature};
use super::workspace::{Snapshot, Workspace};

/// How what a path names is called.
pub fn signature(
    workspace: &Workspace,
    document: &Document,
    path: &[String],
    is_intervention: bool,
) -> Option<Signature> {
    let name = path.last()?;
    if is_intervention && path.len() == 1 {
        return InterventionSignature::find(name).map(library::of_intervention);
    }
    let now = workspace.snapshot(document);
    let whole = document.last_whole.borrow().clone();
    for snapshot in [Some(now), whole].into_iter().flatten() {
        if let Some(id) = item_of(&snapshot, path) {
            return library::of_item(&snapshot.indexed, id);
        }
        if let Some(signature) = of_library(&snapshot, path) {
            return Some(signature);
        }
    }
    match Primitive::find(name) {
        Some(primitive) if path.len() == 1 => Some(library::of_primitive(primitive)),
        _ => (path.len() == 1 && name == "prev").then(library::of_prev),
    }
}

/// The item that a path names in the root's scope.
fn item_of(snapshot: &Snapshot, path: &[String]) -> Option<ItemId> {
    let indexed = &snapshot.indexed;
    let [first, rest @ ..] = path else {
        return None;
    };
    let [name] = rest else {
        return rest.is_empty().then(|| indexed.in_scope(first)).flatten();
    };
    match namespace(snapshot, first)? {
        Namespace::Library(_) => None,
        Namespace::Module(number) => {
            let module = indexed.program().modules.get(number)?;
            let named = |id: &&ItemId| indexed.item(**id).is_some_and(|i| i.name.node == *name);
            module.items.iter().find(named).copied()
        }
    }
}

/// What stands before `::` in the root.
pub fn namespace(snapshot: &Snapshot, name: &str) -> Option<Namespace> {
    if name == "std" {
        return Some(Namespace::Library(String::new()));
    }
    let module = snapshot.indexed.program().modules.first()?;
    let mut spaces = module.namespaces.iter();
    let found = spaces.find(|(known, _)| known == name);
    found.map(|(_, space)| space.clone())
}

/// An item of the library by its path, which may begin with what a `use` brings.
fn of_library(snapshot: &Snapshot, path: &[String]) -> Option<Signature> {
    let [first, middle @ .., name] = path else {
        return None;
    };
    let Namespace::Library(mut folder) = namespace(snapshot, first)? else {
        return None;
    };
    for part in middle {
        if !folder.is_empty() {
            folder.push('/');
        }
        folder.push_str(part);
    }
    let found = library::items()
        .iter()
        .find(|item| item.folder == folder && item.name == *name)?;
    Some(library::of_std(found))
}
