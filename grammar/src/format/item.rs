//! The layout of files, items, parameters and kinds.

use super::doc::Doc;
use super::{Layout, NAMES, PARENS};
use crate::ast::{
    File, Function, FunctionKind, Input, Item, ItemKind, Kind, KindNode, Param, Resource,
    ResourceKind, ResourceValue, Use, UseNames, UseRoot,
};
use crate::span::Span;

impl Layout<'_> {
    /// A whole file.
    pub(super) fn file(&mut self, file: &File) -> Doc {
        let mut docs = self.docs(&file.docs);
        let mut before: Option<&Item> = None;
        for item in &file.items {
            docs.push(Doc::hard_line());
            // A function has an empty line on both sides, as has what follows the file's docs.
            let apart = match before {
                Some(before) => [before, item].iter().any(|i| is_function(i)),
                None => !file.docs.is_empty(),
            };
            if apart {
                docs.push(Doc::blank());
            }
            let start = item
                .docs
                .first()
                .map_or(item.span.start, |doc| doc.span.start);
            docs.extend(self.comments_before(start));
            docs.extend(self.docs(&item.docs));
            docs.extend(self.comments_before(item.span.start));
            if self.blank_before(item.span.start) {
                docs.push(Doc::blank());
            }
            docs.push(self.item(item));
            docs.extend(self.comments_after(item.span.end));
            before = Some(item);
        }
        docs.push(Doc::hard_line());
        docs.extend(self.comments_before(u32::MAX));
        Doc::row(docs)
    }

    fn item(&mut self, item: &Item) -> Doc {
        match &item.kind {
            ItemKind::Use(node) => self.use_item(node, item.span),
            ItemKind::Resource(node) => self.resource(node, item.span),
            ItemKind::Input(node) => self.input(node),
            ItemKind::Function(node) => self.function(node),
        }
    }

    fn use_item(&mut self, node: &Use, whole: Span) -> Doc {
        let mut docs = vec![Doc::text("use ")];
        docs.push(match &node.root {
            UseRoot::Name(name) | UseRoot::File(name) => self.source(name.span),
        });
        let mut end = match &node.root {
            UseRoot::Name(name) | UseRoot::File(name) => name.span,
        };
        for part in &node.path {
            docs.push(Doc::text("::"));
            docs.push(self.source(part.span));
            end = part.span;
        }
        match &node.names {
            UseNames::Last => {}
            UseNames::As(name) => {
                docs.push(Doc::text(" as "));
                docs.push(self.source(name.span));
            }
            UseNames::List(list) => {
                docs.push(Doc::text("::"));
                let colons = self
                    .token_from(end.end)
                    .map_or(end.end, |token| token.end as u32);
                let brace = self
                    .token_from(colons)
                    .map_or(colons, |token| token.start as u32);
                docs.extend(self.comments_before(brace));
                let inside = Span {
                    start: brace,
                    ..whole
                };
                let place = |entry: &crate::ast::UseName| {
                    (
                        entry.name.span.start,
                        entry.alias.as_ref().unwrap_or(&entry.name).span.end,
                    )
                };
                docs.push(self.list(NAMES, inside, list, place, |layout, entry| {
                    let name = layout.source(entry.name.span);
                    match &entry.alias {
                        None => name,
                        Some(alias) => {
                            Doc::row(vec![name, Doc::text(" as "), layout.source(alias.span)])
                        }
                    }
                }));
            }
        }
        Doc::row(docs)
    }

    fn resource(&mut self, node: &Resource, whole: Span) -> Doc {
        let keyword = match node.kind {
            ResourceKind::Model => "model ",
            ResourceKind::Classifier => "classifier ",
            ResourceKind::Loss => "loss ",
        };
        let mut docs = vec![Doc::text(keyword), self.source(node.name.span)];
        if !node.args.is_empty() {
            let inside = Span {
                start: node.name.span.end,
                ..whole
            };
            let place = |arg: &crate::ast::ResourceArg| {
                let value = match &arg.value {
                    ResourceValue::Expr(expr) => expr.span,
                    ResourceValue::Range(range) => range.span,
                };
                (arg.name.span.start, value.end)
            };
            docs.push(self.list(PARENS, inside, &node.args, place, |layout, arg| {
                let name = layout.source(arg.name.span);
                let value = match &arg.value {
                    ResourceValue::Expr(expr) => layout.expr(expr),
                    ResourceValue::Range(range) => layout.range(range),
                };
                Doc::row(vec![name, Doc::text(": "), value])
            }));
        }
        Doc::row(docs)
    }

    fn input(&mut self, node: &Input) -> Doc {
        let mut docs = vec![
            Doc::text("input "),
            self.source(node.name.span),
            Doc::text(": "),
        ];
        docs.push(self.kind(&node.kind));
        if let Some(default) = &node.default {
            docs.push(Doc::text(" ="));
            docs.push(self.value(default));
        }
        Doc::row(docs)
    }

    fn function(&mut self, node: &Function) -> Doc {
        let keyword = match node.kind {
            FunctionKind::Fn => "fn ",
            FunctionKind::Guide => "guide ",
            FunctionKind::Objective => "objective ",
        };
        let mut docs = vec![Doc::text(keyword), self.source(node.name.span)];
        let mut end = node.name.span.end;
        for (number, name) in node.generics.iter().enumerate() {
            docs.push(Doc::text(if number == 0 { "<" } else { ", " }));
            docs.push(self.source(name.span));
            end = name.span.end;
        }
        if !node.generics.is_empty() {
            docs.push(Doc::text(">"));
            end = self
                .token_from(end)
                .map_or(end, |greater| greater.end as u32);
        }
        let open = self.token_from(end).map_or(end, |paren| paren.start as u32);
        let after = node
            .result
            .as_ref()
            .map_or(node.body.span.start, |kind| kind.span.start);
        let close = self.closing(node.params.last().map_or(open + 1, |p| p.span.end));
        let inside = Span {
            start: open,
            end: close.min(after),
            ..node.body.span
        };
        docs.extend(self.comments_before(open));
        if node.params.is_empty() {
            docs.push(Doc::text("("));
            docs.extend(self.comments_before(inside.end.saturating_sub(1)));
            docs.push(Doc::text(")"));
        } else {
            let place = |param: &Param| {
                let docs = param.docs.first().map_or(param.span, |doc| doc.span);
                (docs.start, param.span.end)
            };
            docs.push(self.list(PARENS, inside, &node.params, place, Self::param));
        }
        if let Some(kind) = &node.result {
            docs.push(Doc::text(" -> "));
            docs.push(self.kind(kind));
        }
        if let Some(span) = node.per_evaluation {
            docs.push(Doc::text(" "));
            docs.push(self.word(span, "per evaluation"));
        }
        docs.push(Doc::text(" "));
        docs.push(self.block(&node.body));
        Doc::row(docs)
    }

    /// The byte after the closing bracket that follows byte `from`, behind a comma if there is one.
    fn closing(&self, from: u32) -> u32 {
        let first = self.token_from(from);
        let comma = first.filter(|token| token.text(self.text) == ",");
        let closer = comma.map_or(first, |comma| self.token_from(comma.end as u32));
        closer.map_or(from, |closer| closer.end as u32)
    }

    fn param(&mut self, param: &Param) -> Doc {
        let mut docs = self.docs(&param.docs);
        docs.push(self.source(param.name.span));
        docs.push(Doc::text(": "));
        docs.push(self.kind(&param.kind));
        if let Some(default) = &param.default {
            docs.push(Doc::text(" ="));
            docs.push(self.value(default));
        }
        Doc::row(docs)
    }

    /// A kind.
    pub(super) fn kind(&mut self, kind: &Kind) -> Doc {
        match &kind.node {
            KindNode::Named(name, None) => self.source(name.span),
            KindNode::Named(name, Some(arg)) => {
                let name = self.source(name.span);
                Doc::row(vec![
                    name,
                    Doc::text("<"),
                    self.source(arg.span),
                    Doc::text(">"),
                ])
            }
            KindNode::List(name) => Doc::row(vec![self.source(name.span), Doc::text("[]")]),
            KindNode::Tuple(kinds) => {
                let place = |kind: &Kind| (kind.span.start, kind.span.end);
                let before = self.comments_before(kind.span.start);
                let list = self.list(PARENS, kind.span, kinds, place, |l, k| l.kind(k));
                Doc::row(before.into_iter().chain([list]).collect())
            }
            KindNode::Choice(strings) => {
                let mut rest = Vec::new();
                let mut first = Doc::row(Vec::new());
                for (number, string) in strings.iter().enumerate() {
                    let text = self.source(string.span);
                    if number == 0 {
                        first = text;
                    } else {
                        rest.extend([Doc::text(" |"), Doc::line(), text]);
                    }
                }
                Doc::group(Doc::row(vec![first, Doc::indent(Doc::row(rest))]))
            }
        }
    }
}

fn is_function(item: &Item) -> bool {
    matches!(item.kind, ItemKind::Function(_))
}
