//! Syntax tree to resolved tree: finds the files that the root uses, and what each name means.
//!
//! Takes the text of the root and the door to other texts; gives a program in which imports are
//! gone, pipes are calls and every name is bound. Refuses unknown and doubly defined names, import
//! cycles, recursion and values that depend on themselves. It goes on after errors and leaves an
//! `Error` node, which silences followers.

mod body;
mod call;
mod cycles;
mod imports;
mod kinds;
mod lookup;
mod modules;
mod needs;
mod prev;
mod recursion;
mod scope;
mod unknown;

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use kinds::names as kind_names;

use guide_grammar::ast;

use crate::diagnostics::Bag;
use crate::resolved::{Input, Item, ItemKind, Module, Program, Resource, ResourceValue};
use crate::sources::{Loaded, SourceMap, Sources};
use body::Body;
use modules::World;

/// Reads the root and all that it uses, and binds every name. The root's items come first; every
/// file that was read stands in `files`.
pub fn resolve(root: Loaded, sources: &dyn Sources, files: &mut SourceMap) -> (Program, Bag) {
    let mut world = World::new(sources, files);
    world.add_module(root);
    let mut modules = Vec::new();
    // INVARIANT: modules are numbered in order of reading and so are their items, so that bodies
    // resolved module by module come out in the order of their `ItemId`s.
    let mut items = Vec::new();
    // A path in an expression may bring in a module while bodies are resolved.
    while modules.len() < world.modules.len() {
        world.import_pending();
        modules.push(module(&mut world, modules.len(), &mut items));
    }
    for (module, loaded) in modules.iter_mut().zip(&world.modules) {
        let scope = loaded.scope.iter();
        module.scope = scope.map(|(name, (id, _))| (name.clone(), *id)).collect();
        let spaces = loaded.namespaces.iter();
        module.namespaces = spaces
            .map(|(name, (space, _))| (name.clone(), space.clone()))
            .collect();
    }
    let mut program = Program {
        modules,
        items,
        names: std::mem::take(&mut world.names),
    };
    world.report_import_cycles();
    needs::report_conflicts(&program, world.files, &mut world.bag);
    recursion::report_and_cut(&mut program, &world.calls, &mut world.bag);
    (program, world.bag)
}

/// Resolves the items of one module.
fn module(world: &mut World, number: usize, items: &mut Vec<Item>) -> Module {
    let loaded = &world.modules[number];
    let (file, tree, ids) = (loaded.file, loaded.tree.clone(), loaded.items.clone());
    let docs = texts(&tree.docs);
    let defined = tree
        .items
        .iter()
        .filter_map(|item| Some((item, modules::defines(item)?)));
    for ((item, name), id) in defined.zip(&ids) {
        let mut body = Body::new(world, number, *id);
        let kind = match &item.kind {
            ast::ItemKind::Function(f) => ItemKind::Function(Box::new(body.function(f))),
            ast::ItemKind::Resource(r) => ItemKind::Resource(resource(&mut body, r)),
            ast::ItemKind::Input(input) => ItemKind::Input(Input {
                kind: body.kind(&input.kind),
                default: input.default.as_ref().map(|e| body.value(e)),
            }),
            ast::ItemKind::Use(_) => continue,
        };
        items.push(Item {
            name: name.clone(),
            docs: texts(&item.docs),
            module: number,
            span: item.span,
            kind,
        });
    }
    Module {
        file,
        docs,
        items: ids,
        scope: Vec::new(),
        namespaces: Vec::new(),
    }
}

fn resource(body: &mut Body, resource: &ast::Resource) -> Resource {
    body.check_settings(resource);
    let args = resource.args.iter().map(|arg| {
        let value = match &arg.value {
            ast::ResourceValue::Expr(e) => ResourceValue::Expr(body.setting(e)),
            ast::ResourceValue::Range(r) => {
                ResourceValue::Range(body.value(&r.from), body.value(&r.to))
            }
        };
        (arg.name.clone(), value)
    });
    Resource {
        kind: resource.kind,
        args: args.collect(),
    }
}

fn texts(docs: &[guide_grammar::span::Spanned<String>]) -> Vec<String> {
    docs.iter().map(|line| line.node.clone()).collect()
}
