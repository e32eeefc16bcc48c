//! The syntax tree: plain data, close to the text. Each variant's doc is its syntax.
//!
//! Nothing here knows what a name means. Comments stand beside the tree (`comments`), docs in it.

use crate::span::{Span, Spanned};

/// A name as it was written, `[a-z_][a-z0-9_]*`.
pub type Name = Spanned<String>;

/// A whole file.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// `//!` lines before the first item, without the marker and one space.
    pub docs: Vec<Spanned<String>>,
    /// The items in source order. What did not parse is missing here and is in the error list.
    pub items: Vec<Item>,
    /// The whole text.
    pub span: Span,
}

/// An item with its `///` lines.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// `///` lines, without the marker and one space.
    pub docs: Vec<Spanned<String>>,
    /// What it is.
    pub kind: ItemKind,
    /// From the first keyword to the last token (docs not included).
    pub span: Span,
}

/// What an item is.
#[derive(Clone, Debug, PartialEq)]
pub enum ItemKind {
    /// `use std::ops::{momentum, project as split}`, `use "file.guide" as f`
    Use(Use),
    /// `model weak`, `classifier judge(sees: noisy, range: -1..1)`, `loss close(sees: image)`
    Resource(Resource),
    /// `input region: Mask = expr`
    Input(Input),
    /// `fn f<S>(d: Direction<S>) -> Direction<S> { … }`, `guide g(…) { … }`, `objective o(…) { … }`
    Function(Function),
}

/// `use …`
#[derive(Clone, Debug, PartialEq)]
pub struct Use {
    /// The first part.
    pub root: UseRoot,
    /// `::a::b` after the root, the last one included unless a list follows.
    pub path: Vec<Name>,
    /// What is brought in.
    pub names: UseNames,
}

/// The first part of a `use`.
#[derive(Clone, Debug, PartialEq)]
pub enum UseRoot {
    /// `std`, or a name that no module has.
    Name(Name),
    /// `"relative/path.guide"`
    File(Spanned<String>),
}

/// What a `use` brings in.
#[derive(Clone, Debug, PartialEq)]
pub enum UseNames {
    /// Nothing follows the path: the path's last name, or (of a file alone) its stem.
    Last,
    /// `as m`
    As(Name),
    /// `::{a, b as c}`
    List(Vec<UseName>),
}

/// `a` or `a as b` in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct UseName {
    /// The name in the module.
    pub name: Name,
    /// The name here, where it differs.
    pub alias: Option<Name>,
}

/// What kind of thing a resource item declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ResourceKind {
    /// `model weak`
    Model,
    /// `classifier judge(…)`
    Classifier,
    /// `loss close(…)`
    Loss,
}

/// `model NAME`, `classifier NAME(arg: value, …)`, `loss NAME(…)`
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// Which keyword.
    pub kind: ResourceKind,
    /// Its name.
    pub name: Name,
    /// The arguments, all named.
    pub args: Vec<ResourceArg>,
}

/// `range: -1..1`, `sees: noisy`
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceArg {
    /// The name before the colon.
    pub name: Name,
    /// The value.
    pub value: ResourceValue,
}

/// The value of a resource's argument.
#[derive(Clone, Debug, PartialEq)]
pub enum ResourceValue {
    /// An expression.
    Expr(Expr),
    /// A range.
    Range(Range),
}

/// `input NAME: KIND = default`
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// Its name.
    pub name: Name,
    /// Its kind.
    pub kind: Kind,
    /// Its default.
    pub default: Option<Expr>,
}

/// Which keyword began a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FunctionKind {
    /// `fn`
    Fn,
    /// `guide`
    Guide,
    /// `objective`
    Objective,
}

/// `fn NAME<S>(params) -> KIND per evaluation { block }`
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// Which keyword.
    pub kind: FunctionKind,
    /// Its name.
    pub name: Name,
    /// `<S, T>`: generic names, kind-cased or not is checked later.
    pub generics: Vec<Name>,
    /// The parameters.
    pub params: Vec<Param>,
    /// `-> KIND`
    pub result: Option<Kind>,
    /// `per evaluation`, and where.
    pub per_evaluation: Option<Span>,
    /// The body.
    pub body: Block,
}

/// `/// docs` `NAME: KIND = default`
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// `///` lines before it.
    pub docs: Vec<Spanned<String>>,
    /// Its name.
    pub name: Name,
    /// Its kind.
    pub kind: Kind,
    /// Its default.
    pub default: Option<Expr>,
    /// From the name to the end of the default.
    pub span: Span,
}

/// A kind as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Kind {
    /// What it is.
    pub node: KindNode,
    /// Its place.
    pub span: Span,
}

/// The forms of a kind.
#[derive(Clone, Debug, PartialEq)]
pub enum KindNode {
    /// `Scalar`, `Direction<S>`, `Prediction<eps>`
    Named(Spanned<String>, Option<Name>),
    /// `Prompt[]`
    List(Spanned<String>),
    /// `(Direction<S>, Direction<S>)`
    Tuple(Vec<Kind>),
    /// `"linear" | "cosine"`
    Choice(Vec<Spanned<String>>),
}

/// `{ let … let … expr }`
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// The `let`s in order.
    pub lets: Vec<Let>,
    /// The value.
    pub value: Box<Expr>,
    /// From `{` to `}`.
    pub span: Span,
}

/// `let PATTERN: KIND = expr`
#[derive(Clone, Debug, PartialEq)]
pub struct Let {
    /// What is bound.
    pub pattern: Pattern,
    /// The stated kind.
    pub kind: Option<Kind>,
    /// The value.
    pub value: Expr,
    /// From `let` to the end of the value.
    pub span: Span,
}

/// What a `let` binds.
#[derive(Clone, Debug, PartialEq)]
pub enum Pattern {
    /// `m`; `_` ignores.
    Name(Name),
    /// `(parallel, _)`
    Tuple(Vec<Name>, Span),
}

/// An expression with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub node: ExprNode,
    /// Its place, parentheses included.
    pub span: Span,
}

/// The forms of an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprNode {
    /// `0.5`: the text as written (it spells an exact rational).
    Number(String),
    /// `"linear"`, unescaped.
    String(String),
    /// `true`, `false`
    Bool(bool),
    /// `a`, `tick::sigma`, `std::rules::apg`
    Path(Path),
    /// `f(a, over: b)`
    Call(Call),
    /// `(a)`: kept, so that the formatter prints what was written.
    Group(Box<Expr>),
    /// `(a, b)`
    Tuple(Vec<Expr>),
    /// `[7, 8, 9]`
    List(Vec<Expr>),
    /// `a[i]`
    Index(Box<Expr>, Box<Expr>),
    /// `-a`, `not a`
    Unary(UnaryOp, Box<Expr>),
    /// `a + b`, with the place of the operator.
    Binary(Box<Expr>, Spanned<BinaryOp>, Box<Expr>),
    /// `v in a..b`
    In(Box<Expr>, Box<Range>),
    /// `a |> f(b)`
    Pipe(Box<Expr>, Call),
    /// `if c { a } else { b }`
    If(Box<If>),
    /// `match v { 0.0..0.5 => a, else => b }`
    Match(Box<Match>),
    /// `total i in 0..n { body }`
    Total(Box<Total>),
}

/// `a::b::c`
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    /// The names, at least one.
    pub names: Vec<Name>,
    /// Its place.
    pub span: Span,
}

/// `path(args)`
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// What is called.
    pub callee: Path,
    /// Positional ones first (checked), then named ones.
    pub args: Vec<Arg>,
    /// From the path to `)`.
    pub span: Span,
}

/// `expr` or `name: expr`
#[derive(Clone, Debug, PartialEq)]
pub struct Arg {
    /// The name before the colon.
    pub name: Option<Name>,
    /// The value.
    pub value: Expr,
}

/// Prefix operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// `-`
    Neg,
    /// `not`
    Not,
}

/// Infix operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Rem,
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `and`
    And,
    /// `or`
    Or,
}

/// `a..b`, `a..=b`
#[derive(Clone, Debug, PartialEq)]
pub struct Range {
    /// The first end.
    pub from: Expr,
    /// The second end.
    pub to: Expr,
    /// `..=`
    pub inclusive: bool,
    /// Its place.
    pub span: Span,
}

/// `if condition then else otherwise`
#[derive(Clone, Debug, PartialEq)]
pub struct If {
    /// The condition.
    pub condition: Expr,
    /// The first branch.
    pub then: Block,
    /// The second branch.
    pub otherwise: Else,
}

/// What follows `else`.
#[derive(Clone, Debug, PartialEq)]
pub enum Else {
    /// `else { … }`
    Block(Block),
    /// `else if …`: the expression is an [`ExprNode::If`].
    If(Box<Expr>),
}

/// `match subject { arms }`
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// What is matched.
    pub subject: Expr,
    /// The arms in order; `else` last and once (checked).
    pub arms: Vec<Arm>,
}

/// `pattern => body`
#[derive(Clone, Debug, PartialEq)]
pub struct Arm {
    /// What it matches.
    pub pattern: ArmPattern,
    /// Its value.
    pub body: ArmBody,
    /// Its place.
    pub span: Span,
}

/// What an arm matches.
#[derive(Clone, Debug, PartialEq)]
pub enum ArmPattern {
    /// `0.0..0.5`
    Range(Range),
    /// `"linear"`
    String(Spanned<String>),
    /// `else`
    Else(Span),
}

/// An arm's value.
#[derive(Clone, Debug, PartialEq)]
pub enum ArmBody {
    /// `=> expr`
    Expr(Expr),
    /// `=> { … }`
    Block(Block),
}

/// `total i in a..b { body }`
#[derive(Clone, Debug, PartialEq)]
pub struct Total {
    /// The turn's name.
    pub variable: Name,
    /// From where to where.
    pub range: Range,
    /// What is summed.
    pub body: Block,
}
