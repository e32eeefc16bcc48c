//! A tree as text: a line a node, with what it covers in the source.

use guide_grammar::ast::{
    Arg, ArmBody, ArmPattern, Block, Call, Else, Expr, ExprNode, File, ItemKind, Kind, KindNode,
    Name, Param, Pattern, Range, ResourceValue, UseNames, UseRoot,
};
use guide_grammar::span::{Span, Spanned};

/// The whole tree of `text`.
pub fn dump(text: &str, file: &File) -> String {
    let mut dump = Dump {
        text,
        out: String::new(),
        depth: 0,
    };
    dump.docs("file docs", &file.docs);
    for item in &file.items {
        dump.item(item);
    }
    dump.out
}

struct Dump<'t> {
    text: &'t str,
    out: String,
    depth: usize,
}

impl Dump<'_> {
    fn line(&mut self, label: &str, span: Span) {
        let covered = span.text(self.text);
        let shown = match covered.split_once('\n') {
            Some((first, _)) => format!("{first} …"),
            None => covered.to_owned(),
        };
        let indent = "  ".repeat(self.depth);
        self.out.push_str(&format!("{indent}{label}  «{shown}»\n"));
    }

    fn inside(&mut self, walk: impl FnOnce(&mut Self)) {
        self.depth += 1;
        walk(self);
        self.depth -= 1;
    }

    fn docs(&mut self, label: &str, docs: &[Spanned<String>]) {
        for doc in docs {
            self.line(&format!("{label} {:?}", doc.node), doc.span);
        }
    }

    fn names(&mut self, label: &str, names: &[Name]) {
        for name in names {
            assert_eq!(name.span.text(self.text), name.node);
            self.line(label, name.span);
        }
    }

    fn item(&mut self, item: &guide_grammar::ast::Item) {
        self.docs("docs", &item.docs);
        self.line("item", item.span);
        self.inside(|dump| match &item.kind {
            ItemKind::Use(item) => {
                match &item.root {
                    UseRoot::Name(name) => dump.names("root", std::slice::from_ref(name)),
                    UseRoot::File(file) => dump.line(&format!("file {:?}", file.node), file.span),
                }
                dump.names("part", &item.path);
                match &item.names {
                    UseNames::Last => {}
                    UseNames::As(name) => dump.names("as", std::slice::from_ref(name)),
                    UseNames::List(list) => {
                        for entry in list {
                            dump.names("name", std::slice::from_ref(&entry.name));
                            dump.names("  as", entry.alias.as_slice());
                        }
                    }
                }
            }
            ItemKind::Resource(item) => {
                dump.line(&format!("{:?}", item.kind), item.name.span);
                for arg in &item.args {
                    dump.names("argument", std::slice::from_ref(&arg.name));
                    dump.inside(|dump| match &arg.value {
                        ResourceValue::Expr(expr) => dump.expr(expr),
                        ResourceValue::Range(range) => dump.range(range),
                    });
                }
            }
            ItemKind::Input(item) => {
                dump.names("input", std::slice::from_ref(&item.name));
                dump.kind(&item.kind);
                item.default.iter().for_each(|default| dump.expr(default));
            }
            ItemKind::Function(item) => {
                dump.line(&format!("{:?}", item.kind), item.name.span);
                dump.names("generic", &item.generics);
                item.params.iter().for_each(|param| dump.param(param));
                item.result.iter().for_each(|kind| dump.kind(kind));
                item.per_evaluation
                    .iter()
                    .for_each(|span| dump.line("per evaluation", *span));
                dump.block(&item.body);
            }
        });
    }

    fn param(&mut self, param: &Param) {
        self.docs("docs", &param.docs);
        self.line("parameter", param.span);
        self.inside(|dump| {
            dump.names("name", std::slice::from_ref(&param.name));
            dump.kind(&param.kind);
            param.default.iter().for_each(|default| dump.expr(default));
        });
    }

    fn kind(&mut self, kind: &Kind) {
        match &kind.node {
            KindNode::Named(_, None) => self.line("kind", kind.span),
            KindNode::Named(name, Some(arg)) => {
                self.line("kind", kind.span);
                self.inside(|dump| {
                    dump.names("name", std::slice::from_ref(name));
                    dump.names("space", std::slice::from_ref(arg));
                });
            }
            KindNode::List(name) => {
                self.line("list of kind", kind.span);
                self.inside(|dump| dump.names("name", std::slice::from_ref(name)));
            }
            KindNode::Tuple(kinds) => {
                self.line("kinds", kind.span);
                self.inside(|dump| kinds.iter().for_each(|kind| dump.kind(kind)));
            }
            KindNode::Choice(strings) => {
                self.line("choice", kind.span);
                self.inside(|dump| strings.iter().for_each(|s| dump.line(&s.node, s.span)));
            }
        }
    }

    fn block(&mut self, block: &Block) {
        self.line("block", block.span);
        self.inside(|dump| {
            for binding in &block.lets {
                dump.line("let", binding.span);
                dump.inside(|dump| {
                    match &binding.pattern {
                        Pattern::Name(name) => dump.names("name", std::slice::from_ref(name)),
                        Pattern::Tuple(names, span) => {
                            dump.line("names", *span);
                            dump.names("  name", names);
                        }
                    }
                    binding.kind.iter().for_each(|kind| dump.kind(kind));
                    dump.expr(&binding.value);
                });
            }
            dump.expr(&block.value);
        });
    }

    fn range(&mut self, range: &Range) {
        self.line(
            if range.inclusive {
                "range, inclusive"
            } else {
                "range"
            },
            range.span,
        );
        self.inside(|dump| {
            [&range.from, &range.to]
                .into_iter()
                .for_each(|end| dump.expr(end))
        });
    }

    fn call(&mut self, call: &Call) {
        self.line("call", call.span);
        self.inside(|dump| {
            dump.names("callee", &call.callee.names);
            for Arg { name, value } in &call.args {
                match name {
                    Some(name) => {
                        dump.names("named", std::slice::from_ref(name));
                        dump.inside(|dump| dump.expr(value));
                    }
                    None => dump.expr(value),
                }
            }
        });
    }

    fn expr(&mut self, expr: &Expr) {
        let span = expr.span;
        let all = |dump: &mut Self, label: &str, parts: &[&Expr]| {
            dump.line(label, span);
            dump.inside(|dump| parts.iter().for_each(|part| dump.expr(part)));
        };
        match &expr.node {
            ExprNode::Number(text) => self.line(&format!("number {text}"), span),
            ExprNode::String(text) => self.line(&format!("string {text:?}"), span),
            ExprNode::Bool(value) => self.line(&format!("{value}"), span),
            ExprNode::Path(path) if path.names.len() == 1 => self.line("name", path.span),
            ExprNode::Path(path) => {
                self.line("path", path.span);
                self.inside(|dump| dump.names("part", &path.names));
            }
            ExprNode::Call(call) => self.call(call),
            ExprNode::Group(inner) => all(self, "group", &[inner]),
            ExprNode::Tuple(parts) => all(self, "tuple", &parts.iter().collect::<Vec<_>>()),
            ExprNode::List(parts) => all(self, "list", &parts.iter().collect::<Vec<_>>()),
            ExprNode::Index(base, index) => all(self, "index", &[base, index]),
            ExprNode::Unary(op, value) => all(self, &format!("{op:?}"), &[value]),
            ExprNode::Binary(left, op, right) => {
                let label = format!("{:?} `{}`", op.node, op.span.text(self.text));
                all(self, &label, &[left, right]);
            }
            ExprNode::In(value, range) => {
                self.line("in", span);
                self.inside(|dump| {
                    dump.expr(value);
                    dump.range(range);
                });
            }
            ExprNode::Pipe(value, call) => {
                self.line("pipe", span);
                self.inside(|dump| {
                    dump.expr(value);
                    dump.call(call);
                });
            }
            ExprNode::If(node) => {
                self.line("if", span);
                self.inside(|dump| {
                    dump.expr(&node.condition);
                    dump.block(&node.then);
                    match &node.otherwise {
                        Else::Block(block) => dump.block(block),
                        Else::If(expr) => dump.expr(expr),
                    }
                });
            }
            ExprNode::Match(node) => {
                self.line("match", span);
                self.inside(|dump| {
                    dump.expr(&node.subject);
                    for arm in &node.arms {
                        dump.line("arm", arm.span);
                        dump.inside(|dump| {
                            match &arm.pattern {
                                ArmPattern::Range(range) => dump.range(range),
                                ArmPattern::String(text) => dump.line(&text.node, text.span),
                                ArmPattern::Else(span) => dump.line("else", *span),
                            }
                            match &arm.body {
                                ArmBody::Expr(expr) => dump.expr(expr),
                                ArmBody::Block(block) => dump.block(block),
                            }
                        });
                    }
                });
            }
            ExprNode::Total(node) => {
                self.line("total", span);
                self.inside(|dump| {
                    dump.names("variable", std::slice::from_ref(&node.variable));
                    dump.range(&node.range);
                    dump.block(&node.body);
                });
            }
        }
    }
}
