//! Calls: arguments bound to parameters, functions inlined, guides closed over their arguments.

use std::collections::BTreeMap;

use guide_grammar::ast::FunctionKind;
use guide_grammar::span::{Span, Spanned};

use crate::diagnostics::{Code, Diagnostic, suggest};
use crate::graph::{SpaceTerm, Stage};
use crate::resolved::{Arg, Call, Callee, Expr, Function, ItemId, KindNode, PlainKind};

use super::engine::{Engine, Frame};
use super::scan::states_of;
use super::value::{Guide, Value};

/// How many calls may be under way at one place.
pub const MAX_CALLS: usize = 100;

/// Arguments by parameter, in order.
pub(crate) type Bound<'p> = Vec<Option<&'p Arg>>;

impl<'p> Engine<'p> {
    /// The value of a call.
    pub(crate) fn call(&mut self, call: &'p Call, span: Span) -> Value {
        match call.callee {
            Callee::Function(item) => self.call_function(item, call, span),
            Callee::Local(local) => {
                let value = self
                    .frame()
                    .and_then(|f| f.locals.get(local.index()).cloned().flatten());
                match value {
                    Some(Value::Guide(guide)) => self.call_guide(guide, call, span),
                    Some(Value::Error) | None => Value::Error,
                    Some(other) => {
                        let diagnostic = Diagnostic::new(
                            Code::NotCallable,
                            format!("`{}` is {}, not a guide", call.name.node, other.describe()),
                        )
                        .at(call.name.span, "called here");
                        self.fail(diagnostic)
                    }
                }
            }
            Callee::Primitive(primitive) => self.primitive(primitive, call, span),
            Callee::Intervention => self.intervention(call, span),
            // Settings stand in declarations, which have no values.
            Callee::Setting => Value::Error,
        }
    }

    /// The arguments in order of the parameters (`(name, may be left out)`); says what does not fit.
    pub(crate) fn bind_args(
        &mut self,
        call: &'p Call,
        params: &[(&str, bool)],
    ) -> Option<Bound<'p>> {
        let mut bound: Bound<'p> = vec![None; params.len()];
        let mut good = true;
        for (place, arg) in call.args.iter().enumerate() {
            let at = match &arg.name {
                None => Some(place),
                Some(name) => params.iter().position(|(p, _)| *p == name.node),
            };
            let Some(slot) = at.and_then(|at| bound.get_mut(at)) else {
                good = false;
                self.say_unfit(call, arg, params);
                continue;
            };
            if let Some(before) = slot {
                good = false;
                if arg.name.is_some() && before.name.is_some() {
                    // Said where names are found.
                    continue;
                }
                let name = params.get(at.unwrap_or(0)).map_or("", |p| p.0);
                self.report(
                    Diagnostic::new(Code::ArgumentTwice, format!("`{name}` is given twice"))
                        .at(arg.value.span, "given again here")
                        .at(before.value.span, "given first here")
                        .help("take one of them away"),
                );
            } else {
                *slot = Some(arg);
            }
        }
        for ((name, optional), slot) in params.iter().zip(&bound) {
            if slot.is_none() && !optional && good {
                self.report(
                    Diagnostic::new(
                        Code::MissingArgument,
                        format!("`{}` needs `{name}`", call.name.node),
                    )
                    .at(call.name.span, format!("`{name}` is not given"))
                    .help(format!("add `{name}: …`")),
                );
                good = false;
            }
        }
        good.then_some(bound)
    }

    fn say_unfit(&mut self, call: &Call, arg: &Arg, params: &[(&str, bool)]) {
        let callee = &call.name.node;
        let diagnostic = match &arg.name {
            Some(name) => {
                let text = format!("`{callee}` has no parameter `{}`", name.node);
                let diagnostic =
                    Diagnostic::new(Code::UnknownArgument, text).at(name.span, "no such parameter");
                match suggest::nearest(&name.node, params.iter().map(|p| p.0)) {
                    Some(near) => diagnostic
                        .help(format!("write `{near}: …`"))
                        .fix(name.span, near),
                    None if params.is_empty() => diagnostic.help("take it away"),
                    None => {
                        let names: Vec<String> =
                            params.iter().map(|p| format!("`{}`", p.0)).collect();
                        diagnostic.help(format!("its parameters are {}", names.join(", ")))
                    }
                }
            }
            None => Diagnostic::new(
                Code::ArgumentTwice,
                format!(
                    "`{callee}` takes {}, and more are given",
                    count(params.len(), "argument")
                ),
            )
            .at(arg.value.span, "one too many"),
        };
        self.report(diagnostic);
    }

    fn call_function(&mut self, item: ItemId, call: &'p Call, span: Span) -> Value {
        let Some(function) = super::function(self.program, item) else {
            return Value::Error;
        };
        let Some(args) = self.arguments(function, call) else {
            return Value::Error;
        };
        self.run_function(item, args, &call.name, span)
    }

    /// The arguments of a call by parameter: their values, and the expressions they come from.
    fn arguments(
        &mut self,
        function: &'p Function,
        call: &'p Call,
    ) -> Option<Vec<Option<(Value, &'p Expr)>>> {
        let params: Vec<(&str, bool)> = function
            .params
            .iter()
            .map(|p| (p.name.node.as_str(), p.default.is_some()))
            .collect();
        let bound = self.bind_args(call, &params);
        // What does not fit is looked at all the same, for its own errors.
        let Some(bound) = bound else {
            for arg in &call.args {
                self.expr(&arg.value);
            }
            return None;
        };
        let mut values = Vec::new();
        for (slot, param) in bound.into_iter().zip(&function.params) {
            values.push(slot.map(|arg| {
                let wants_guide = matches!(param.kind.node, KindNode::Plain(PlainKind::Guide));
                let value = if wants_guide {
                    self.guide_argument(&arg.value)
                } else {
                    self.expr(&arg.value)
                };
                (value, &arg.value)
            }));
        }
        Some(values)
    }

    /// Inlines a function.
    pub(crate) fn run_function(
        &mut self,
        item: ItemId,
        args: Vec<Option<(Value, &'p Expr)>>,
        name: &Spanned<String>,
        span: Span,
    ) -> Value {
        let Some(function) = super::function(self.program, item) else {
            return Value::Error;
        };
        if self.frames.len() >= MAX_CALLS {
            let diagnostic = Diagnostic::new(
                Code::TooManyNodes,
                format!("calls are nested more than {MAX_CALLS} deep"),
            )
            .at(span, "the limit is reached here")
            .help("write fewer functions that only call another");
            return self.fail(diagnostic);
        }
        let path = self.call_path(&name.node);
        let caller = self.frames.len();
        self.frames
            .push(Frame::new(item, function, path, span, self.region.len()));
        let mut good = true;
        // A named space among the arguments decides for a generic before the model's own does.
        let mut order: Vec<usize> = (0..function.params.len()).collect();
        order.sort_by_key(|at| match args.get(*at) {
            Some(Some((Value::Data(data), _))) if data.is_tensor() => {
                u8::from(data.space == SpaceTerm::Native)
            }
            _ => 2,
        });
        for at in order {
            let (Some(param), Some(Some((value, expr)))) = (function.params.get(at), args.get(at))
            else {
                continue;
            };
            let value = self.coerce_argument(value.clone(), param, expr, caller);
            good &= !value.is_error();
            self.set_local(param.local, value);
        }
        for (at, param) in function.params.iter().enumerate() {
            if !matches!(args.get(at), Some(Some(_))) {
                let value = self.default_of(param);
                good &= !value.is_error();
                self.set_local(param.local, value);
            }
        }
        let result = if good { self.body() } else { Value::Error };
        self.lint_state_in_branch(&name.node, span);
        self.frames.pop();
        result
    }

    /// An argument is judged in the callee, where generics are, but said in the caller.
    fn coerce_argument(
        &mut self,
        value: Value,
        param: &'p crate::resolved::Param,
        expr: &'p Expr,
        caller: usize,
    ) -> Value {
        let before = self.inside.len();
        let value = self.coerce(value, &param.kind, expr);
        let caller_item = caller
            .checked_sub(1)
            .and_then(|at| self.frames.get(at))
            .map(|f| f.item);
        if let Some(item) = caller_item {
            for (place, diagnostic) in self.inside.split_off(before) {
                let _ = place;
                if caller == 1 {
                    self.bag.push(diagnostic)
                } else {
                    self.inside.push((item, diagnostic))
                }
            }
        }
        value
    }

    /// A parameter's default, over the parameters before it.
    pub(crate) fn default_of(&mut self, param: &'p crate::resolved::Param) -> Value {
        let Some(default) = &param.default else {
            return Value::Error;
        };
        let guide = matches!(param.kind.node, KindNode::Plain(PlainKind::Guide));
        let value = if guide {
            self.guide_argument(default)
        } else {
            self.expr(default)
        };
        let value = self.coerce(value, &param.kind, default);
        if let Value::Data(data) = &value
            && self.graph.stage(data.node) > Stage::Const
        {
            let data = data.clone();
            self.needs_const(
                &format!("the default of `{}`", param.name.node),
                &data,
                default.span,
            );
            return Value::Error;
        }
        value
    }

    pub(crate) fn set_local(&mut self, local: crate::resolved::LocalId, value: Value) {
        if let Some(slot) = self
            .frames
            .last_mut()
            .and_then(|f| f.locals.get_mut(local.index()))
        {
            *slot = Some(value);
        }
    }

    /// The path of a call in the current frame, with its ordinal.
    pub(crate) fn call_path(&mut self, name: &str) -> String {
        let Some(frame) = self.frames.last_mut() else {
            return name.to_string();
        };
        let ordinal = frame.ordinals.entry(name.to_string()).or_default();
        let path = format!("{}/{name}#{ordinal}", frame.path);
        *ordinal += 1;
        path
    }

    /// The result of the current frame, as its signature states it.
    pub(crate) fn result(&mut self, value: Value) -> Value {
        let Some(frame) = self.frames.last() else {
            return Value::Error;
        };
        let function = frame.function;
        let expr = &function.body.value;
        let value = match &function.result {
            Some(kind) if function.kind == FunctionKind::Fn => self.coerce(value, kind, expr),
            _ => value,
        };
        match function.kind {
            FunctionKind::Fn => value,
            FunctionKind::Guide => {
                if let (Some(kind), Value::Data(_)) = (&function.result, &value)
                    && !matches!(kind.node, KindNode::Plain(PlainKind::Outcome))
                {
                    let value = self.coerce(value, kind, expr);
                    return self
                        .outcome(value, expr)
                        .map_or(Value::Error, Value::Outcome);
                }
                self.outcome(value, expr)
                    .map_or(Value::Error, Value::Outcome)
            }
            FunctionKind::Objective => self.objective_result(value, expr),
        }
    }

    fn objective_result(&mut self, value: Value, expr: &Expr) -> Value {
        match value {
            Value::Error => Value::Error,
            Value::Data(data)
                if data.is_tensor()
                    && (data.weight.is_zero() || self.is_open_weight(&data.weight)) =>
            {
                if data.space == SpaceTerm::Native && !data.pinned {
                    self.not_pinned("the gradient", expr.span, Some(expr));
                }
                Value::Data(data)
            }
            Value::Data(data) if data.is_tensor() => {
                self.wrong_weight(&data, &super::weight::Weight::zero(), None, expr)
            }
            other => {
                let diagnostic = Diagnostic::new(
                    Code::WrongKind,
                    format!(
                        "an objective returns a direction, and this is {}",
                        other.describe()
                    ),
                )
                .at(expr.span, format!("this is {}", other.describe()));
                self.fail(diagnostic)
            }
        }
    }

    /// A `Guide` argument: a guide by name, a guide with its arguments, or a parameter handed on.
    pub(crate) fn guide_argument(&mut self, expr: &'p Expr) -> Value {
        match &expr.node {
            crate::resolved::ExprNode::Call(call) => match call.callee {
                Callee::Function(item)
                    if super::function(self.program, item)
                        .is_some_and(|f| f.kind == FunctionKind::Guide) =>
                {
                    self.closure(item, std::slice::from_ref(call.as_ref()), expr.span)
                }
                _ => self.expr(expr),
            },
            _ => self.expr(expr),
        }
    }

    /// A guide and the arguments of a call that is not made yet.
    pub(crate) fn closure(&mut self, item: ItemId, calls: &'p [Call], span: Span) -> Value {
        let Some(function) = super::function(self.program, item) else {
            return Value::Error;
        };
        if function.kind != FunctionKind::Guide {
            let name = self
                .program
                .items
                .get(item.index())
                .map_or("", |i| i.name.node.as_str())
                .to_string();
            let diagnostic = Diagnostic::new(
                Code::WrongKind,
                format!("`{name}` is a function, not a value"),
            )
            .at(span, "used as a value")
            .help(format!("call it: `{name}(…)`"));
            return self.fail(diagnostic);
        }
        let args = match calls.first() {
            Some(call) => match self.arguments(function, call) {
                Some(args) => args,
                None => return Value::Error,
            },
            None => vec![None; function.params.len()],
        };
        for (param, slot) in function.params.iter().zip(&args) {
            if slot.is_none() && param.default.is_none() {
                let name = self
                    .program
                    .items
                    .get(item.index())
                    .map_or("", |i| i.name.node.as_str())
                    .to_string();
                let diagnostic = Diagnostic::new(
                    Code::MissingArgument,
                    format!("`{name}` needs `{}`", param.name.node),
                )
                .at(span, format!("`{}` is not given", param.name.node))
                .help(format!("write `{name}({}: …)`", param.name.node));
                return self.fail(diagnostic);
            }
        }
        Value::Guide(Guide::Closure {
            item,
            args: args.into_iter().map(|a| a.map(|(v, _)| v)).collect(),
        })
    }
}

impl<'p> Frame<'p> {
    pub(crate) fn new(
        item: ItemId,
        function: &'p Function,
        path: String,
        call: Span,
        region: usize,
    ) -> Self {
        Frame {
            item,
            function,
            locals: vec![None; function.locals.len()],
            generics: BTreeMap::new(),
            path,
            call,
            ordinals: BTreeMap::new(),
            turns: Vec::new(),
            stateful: states_of(function),
            second_pass: false,
            types: BTreeMap::new(),
            placeholders: BTreeMap::new(),
            kept: BTreeMap::new(),
            states: BTreeMap::new(),
            region,
        }
    }
}

/// `1 argument`, `2 arguments`
fn count(n: usize, what: &str) -> String {
    if n == 1 {
        format!("1 {what}")
    } else {
        format!("{n} {what}s")
    }
}
