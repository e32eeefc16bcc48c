//! Items: `use`, resources, inputs, functions with their parameters and kinds.

use pest::iterators::Pair;

use super::Builder;
use crate::ast::{
    Function, FunctionKind, Input, Item, ItemKind, Kind, KindNode, Name, Param, Resource,
    ResourceArg, ResourceKind, ResourceValue, Use, UseName, UseNames, UseRoot,
};
use crate::pest_grammar::Rule;

impl Builder<'_> {
    /// An item, with the doc lines that stand after byte `from`.
    pub(super) fn item(&self, pair: Pair<'_, Rule>, from: usize) -> Option<Item> {
        let span = self.span(&pair);
        let docs = self.docs_between(from, span.start as usize);
        let kind = match pair.as_rule() {
            Rule::use_item => ItemKind::Use(self.use_item(pair)?),
            Rule::resource => ItemKind::Resource(self.resource(pair)?),
            Rule::input => ItemKind::Input(self.input(pair)?),
            Rule::function => ItemKind::Function(self.function(pair)?),
            _ => return None,
        };
        Some(Item { docs, kind, span })
    }

    fn use_item(&self, pair: Pair<'_, Rule>) -> Option<Use> {
        let mut root = None;
        let mut path = Vec::new();
        let mut names = UseNames::Last;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::string => root = Some(UseRoot::File(self.string(&part))),
                Rule::name if root.is_none() => root = Some(UseRoot::Name(self.name(&part))),
                Rule::name => path.push(self.name(&part)),
                Rule::use_as => names = UseNames::As(self.names(part).pop()?),
                Rule::use_list => {
                    let list = part.into_inner().filter(|p| p.as_rule() == Rule::use_name);
                    names = UseNames::List(list.map(|p| self.use_name(p)).collect::<Option<_>>()?);
                }
                _ => {}
            }
        }
        Some(Use {
            root: root?,
            path,
            names,
        })
    }

    fn use_name(&self, pair: Pair<'_, Rule>) -> Option<UseName> {
        let mut names = self.names(pair).into_iter();
        Some(UseName {
            name: names.next()?,
            alias: names.next(),
        })
    }

    /// The names that stand directly in a pair.
    pub(super) fn names(&self, pair: Pair<'_, Rule>) -> Vec<Name> {
        let inner = pair
            .into_inner()
            .filter(|part| part.as_rule() == Rule::name);
        inner.map(|part| self.name(&part)).collect()
    }

    fn resource(&self, pair: Pair<'_, Rule>) -> Option<Resource> {
        let mut kind = None;
        let mut name = None;
        let mut args = Vec::new();
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::resource_kind => {
                    kind = match part.into_inner().next()?.as_rule() {
                        Rule::kw_model => Some(ResourceKind::Model),
                        Rule::kw_classifier => Some(ResourceKind::Classifier),
                        Rule::kw_loss => Some(ResourceKind::Loss),
                        _ => None,
                    };
                }
                Rule::name => name = Some(self.name(&part)),
                Rule::resource_args => {
                    for arg in part.into_inner() {
                        match arg.as_rule() {
                            Rule::resource_open => name = self.names(arg).pop(),
                            Rule::resource_arg => args.push(self.resource_arg(arg)?),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        Some(Resource {
            kind: kind?,
            name: name?,
            args,
        })
    }

    fn resource_arg(&self, pair: Pair<'_, Rule>) -> Option<ResourceArg> {
        let mut name = None;
        let mut value = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::name => name = Some(self.name(&part)),
                Rule::range => value = Some(ResourceValue::Range(self.range(part)?.node)),
                Rule::expr => value = Some(ResourceValue::Expr(self.expr(part)?.node)),
                _ => {}
            }
        }
        Some(ResourceArg {
            name: name?,
            value: value?,
        })
    }

    fn input(&self, pair: Pair<'_, Rule>) -> Option<Input> {
        let param = self.param(pair, None)?;
        Some(Input {
            name: param.name,
            kind: param.kind,
            default: param.default,
        })
    }

    fn function(&self, pair: Pair<'_, Rule>) -> Option<Function> {
        let mut kind = None;
        let mut name = None;
        let mut generics = Vec::new();
        let mut params = Vec::new();
        let mut result = None;
        let mut per_evaluation = None;
        let mut body = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::function_kind => {
                    kind = match part.into_inner().next()?.as_rule() {
                        Rule::kw_fn => Some(FunctionKind::Fn),
                        Rule::kw_guide => Some(FunctionKind::Guide),
                        Rule::kw_objective => Some(FunctionKind::Objective),
                        _ => None,
                    };
                }
                Rule::name => name = Some(self.name(&part)),
                Rule::generics => {
                    let args = part
                        .into_inner()
                        .filter(|arg| arg.as_rule() == Rule::kind_arg);
                    generics = args.map(|arg| self.kind_arg(arg)).collect::<Option<_>>()?;
                }
                Rule::params => {
                    let mut from = self.span(&part).start as usize;
                    for param in part.into_inner().filter(|p| p.as_rule() == Rule::param) {
                        let param = self.param(param, Some(from))?;
                        from = param.span.end as usize;
                        params.push(param);
                    }
                }
                Rule::result => {
                    let kind = part.into_inner().find(|p| p.as_rule() == Rule::kind)?;
                    result = Some(self.kind(kind)?);
                }
                Rule::per_evaluation => per_evaluation = Some(self.span(&part)),
                Rule::block => body = Some(self.block(part)?.node),
                _ => {}
            }
        }
        Some(Function {
            kind: kind?,
            name: name?,
            generics,
            params,
            result,
            per_evaluation,
            body: body?,
        })
    }

    /// `NAME: KIND = default`, with the doc lines after byte `from` if it can have any.
    fn param(&self, pair: Pair<'_, Rule>, from: Option<usize>) -> Option<Param> {
        let span = self.span(&pair);
        let docs = from.map(|from| self.docs_between(from, span.start as usize));
        let mut name = None;
        let mut kind = None;
        let mut default = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::name => name = Some(self.name(&part)),
                Rule::kind => kind = Some(self.kind(part)?),
                Rule::expr => default = Some(self.expr(part)?.node),
                _ => {}
            }
        }
        Some(Param {
            docs: docs.unwrap_or_default(),
            name: name?,
            kind: kind?,
            default,
            span,
        })
    }

    fn kind_arg(&self, pair: Pair<'_, Rule>) -> Option<Name> {
        pair.into_inner().next().map(|part| self.name(&part))
    }

    /// A kind.
    pub(super) fn kind(&self, pair: Pair<'_, Rule>) -> Option<Kind> {
        let span = self.span(&pair);
        let form = pair.into_inner().next()?;
        let node = match form.as_rule() {
            Rule::kind_tuple => {
                let parts = form
                    .into_inner()
                    .filter(|part| part.as_rule() == Rule::kind);
                KindNode::Tuple(parts.map(|part| self.kind(part)).collect::<Option<_>>()?)
            }
            Rule::kind_choice => {
                let parts = form
                    .into_inner()
                    .filter(|part| part.as_rule() == Rule::string);
                KindNode::Choice(parts.map(|part| self.string(&part)).collect())
            }
            Rule::kind_named => {
                let mut name = None;
                let mut arg = None;
                let mut list = false;
                for part in form.into_inner() {
                    match part.as_rule() {
                        Rule::kind_name => name = Some(self.name(&part)),
                        Rule::kind_arg => arg = self.kind_arg(part),
                        Rule::list_mark => list = true,
                        _ => {}
                    }
                }
                if list {
                    KindNode::List(name?)
                } else {
                    KindNode::Named(name?, arg)
                }
            }
            _ => return None,
        };
        Some(Kind { node, span })
    }
}
