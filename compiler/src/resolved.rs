//! The resolved tree: names are bound and imports are gone; the shape is still the user's.
//!
//! `resolve` makes it, `check` reads it. What could not be resolved is an [`ExprNode::Error`], which
//! silences followers.

use guide_grammar::ast::{BinaryOp, FunctionKind, ResourceKind, UnaryOp};
use guide_grammar::span::{FileId, Span, Spanned};

use crate::primitives::Primitive;

/// An item's place in [`Program::items`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ItemId(pub u32);

/// A local's place in its function's [`Function::locals`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LocalId(pub u32);

impl ItemId {
    /// The index into [`Program::items`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl LocalId {
    /// The index into [`Function::locals`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The root module and all that it uses.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// In order of use; the root first.
    pub modules: Vec<Module>,
    /// All items of all modules.
    pub items: Vec<Item>,
    /// Every place where a name was looked up, in the order of looking; those of definitions and of
    /// named arguments are not among them.
    pub names: Vec<NameUse>,
}

/// A place where a name stands, and what it means there.
#[derive(Clone, Debug, PartialEq)]
pub struct NameUse {
    /// The name alone: the last one of a path.
    pub span: Span,
    /// What it means.
    pub meaning: Meaning,
}

/// What a name means.
#[derive(Clone, Debug, PartialEq)]
pub enum Meaning {
    /// A name that a function binds.
    Local(ItemId, LocalId),
    /// An item, perhaps under another name.
    Item(ItemId),
    /// A file, by the index into [`Program::modules`].
    Module(usize),
    /// A built-in value or contextual word.
    Word(String),
    /// What the language brings.
    Primitive(Primitive),
    /// An intervention of that name.
    Intervention(String),
}

/// What may stand before `::`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// A folder of the standard library: `ops`, `dialects/diffusers`.
    Library(String),
    /// A file, by the index into [`Program::modules`].
    Module(usize),
}

/// A file.
#[derive(Clone, Debug)]
pub struct Module {
    /// The file.
    pub file: FileId,
    /// Its `//!` lines.
    pub docs: Vec<String>,
    /// Its own items in source order (`use` not among them).
    pub items: Vec<ItemId>,
    /// Its own items and those that `use` brings, by the names they have in it.
    pub scope: Vec<(String, ItemId)>,
    /// What may stand before `::` in it.
    pub namespaces: Vec<(String, Namespace)>,
}

/// An item.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its name.
    pub name: Spanned<String>,
    /// Its `///` lines.
    pub docs: Vec<String>,
    /// Which module holds it: the index into [`Program::modules`].
    pub module: usize,
    /// The whole item.
    pub span: Span,
    /// What it is.
    pub kind: ItemKind,
}

/// What an item is.
#[derive(Clone, Debug)]
pub enum ItemKind {
    /// `fn`, `guide`, `objective`
    Function(Box<Function>),
    /// `model`, `classifier`, `loss`. Several modules may declare one resource; each has its item,
    /// and equal names are one resource.
    Resource(Resource),
    /// `input`
    Input(Input),
}

/// `model weak`, `classifier judge(sees: noisy)`
#[derive(Clone, Debug)]
pub struct Resource {
    /// Which keyword.
    pub kind: ResourceKind,
    /// Its arguments; a range has two numbers.
    pub args: Vec<(Spanned<String>, ResourceValue)>,
}

/// The value of a resource's argument.
#[derive(Clone, Debug)]
pub enum ResourceValue {
    /// An expression.
    Expr(Expr),
    /// `a..b`
    Range(Expr, Expr),
}

/// `input region: Mask`
#[derive(Clone, Debug)]
pub struct Input {
    /// Its kind.
    pub kind: Kind,
    /// Its default.
    pub default: Option<Expr>,
}

/// A function, guide or objective.
#[derive(Clone, Debug)]
pub struct Function {
    /// Which keyword.
    pub kind: FunctionKind,
    /// `<S>`
    pub generics: Vec<Spanned<String>>,
    /// The parameters in order.
    pub params: Vec<Param>,
    /// The stated result.
    pub result: Option<Kind>,
    /// `per evaluation`
    pub per_evaluation: bool,
    /// The body.
    pub body: Block,
    /// Every parameter, `let` and `total` variable; those of a block before those of blocks in it.
    pub locals: Vec<Local>,
}

/// A parameter.
#[derive(Clone, Debug)]
pub struct Param {
    /// The local that holds it.
    pub local: LocalId,
    /// Its name.
    pub name: Spanned<String>,
    /// Its `///` lines.
    pub docs: Vec<String>,
    /// Its kind.
    pub kind: Kind,
    /// Its default, over earlier parameters.
    pub default: Option<Expr>,
}

/// A name that a function binds.
#[derive(Clone, Debug)]
pub struct Local {
    /// As written.
    pub name: String,
    /// Where it is bound.
    pub span: Span,
    /// What binds it.
    pub binder: Binder,
    /// Whether an ordinary use or a `prev` reads it.
    pub used: bool,
    /// An earlier `let` of the same block or an enclosing one, or a parameter, that this one hides.
    pub shadows: Option<LocalId>,
}

/// What binds a local.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binder {
    /// A parameter.
    Param,
    /// A `let`, or a part of one.
    Let,
    /// `total i in …`
    Total,
}

/// A kind, with its name checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Kind {
    /// What it is.
    pub node: KindNode,
    /// Its place.
    pub span: Span,
}

/// The kinds of the language.
#[derive(Clone, Debug, PartialEq)]
pub enum KindNode {
    /// `Scalar`
    Scalar,
    /// `Bool`
    Bool,
    /// `"a" | "b"`
    Choice(Vec<String>),
    /// `Prediction<S>`; without `<…>` it is native.
    Prediction(SpaceName),
    /// `Direction<S>`
    Direction(SpaceName),
    /// `Tensor<S>`
    Tensor(SpaceName),
    /// Any of `Latent Map Mask PerChannel Raw Class Probs Logits Layers Axes Prompt Image Table
    /// Trajectory Tokens Guide Outcome`.
    Plain(PlainKind),
    /// `Prompt[]`
    Prompts,
    /// `(A, B)`
    Tuple(Vec<Kind>),
    /// Not a kind; said already.
    Error,
}

/// Kinds without arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is the name in the language")]
pub enum PlainKind {
    Latent,
    Map,
    Mask,
    PerChannel,
    Raw,
    Class,
    Probs,
    Logits,
    Layers,
    Axes,
    Prompt,
    Image,
    Table,
    Trajectory,
    Tokens,
    Guide,
    Outcome,
}

/// What stands in `<…>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpaceName {
    /// A named space.
    Named(crate::plan::Space),
    /// `native`, or nothing.
    Native,
    /// `latent`
    Latent,
    /// A generic of the function.
    Generic(String),
}

/// `{ let … expr }`
#[derive(Clone, Debug)]
pub struct Block {
    /// In order.
    pub lets: Vec<Let>,
    /// The value.
    pub value: Expr,
    /// From `{` to `}`.
    pub span: Span,
}

/// `let …`
#[derive(Clone, Debug)]
pub struct Let {
    /// What is bound: one local, or one for each part of a tuple; `None` for `_`.
    pub targets: Vec<Option<LocalId>>,
    /// Whether the pattern is a tuple.
    pub tuple: bool,
    /// The stated kind.
    pub kind: Option<Kind>,
    /// The value.
    pub value: Expr,
    /// The whole `let`.
    pub span: Span,
}

/// An expression.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What it is.
    pub node: ExprNode,
    /// Its place.
    pub span: Span,
}

/// The forms of an expression. Pipes are calls by now, groups are gone.
#[derive(Clone, Debug)]
pub enum ExprNode {
    /// Said already.
    Error,
    /// The text of a number.
    Number(String),
    /// A string.
    String(String),
    /// `true`, `false`
    Bool(bool),
    /// A parameter, `let` or `total` variable.
    Local(LocalId),
    /// A guide, model, classifier, loss or input by name.
    Item(ItemId),
    /// A built-in value or contextual word: names of the step, `x`, `target`, `pi`, `inf`, `noise`,
    /// `cond`, `mid`, `all`, `none`, `image`, …; `check` gives it its meaning by what is expected.
    Word(String),
    /// A call.
    Call(Box<Call>),
    /// `prev(v, 2, init: e)`
    Prev(Box<Prev>),
    /// `(a, b)`
    Tuple(Vec<Expr>),
    /// `[7, 8, 9]`
    List(Vec<Expr>),
    /// `a[i]`
    Index(Box<Expr>, Box<Expr>),
    /// `-a`, `not a`
    Unary(UnaryOp, Box<Expr>),
    /// `a + b`; the span is the operator's.
    Binary(Box<Expr>, Spanned<BinaryOp>, Box<Expr>),
    /// `v in a..b`
    In(Box<Expr>, Box<Range>),
    /// `if`
    If(Box<Expr>, Box<Block>, Box<Block>),
    /// `match`
    Match(Box<Expr>, Vec<Arm>),
    /// `total i in a..b { … }`
    Total(LocalId, Box<Range>, Box<Block>),
}

/// `a..b`
#[derive(Clone, Debug)]
pub struct Range {
    /// First end.
    pub from: Expr,
    /// Second end.
    pub to: Expr,
    /// `..=`
    pub inclusive: bool,
    /// Its place.
    pub span: Span,
}

/// An arm of a `match`; its value as a block.
#[derive(Clone, Debug)]
pub struct Arm {
    /// What it matches.
    pub pattern: ArmPattern,
    /// Its value.
    pub body: Block,
    /// Its place.
    pub span: Span,
}

/// What an arm matches.
#[derive(Clone, Debug)]
pub enum ArmPattern {
    /// A range.
    Range(Range),
    /// A word of a choice.
    String(Spanned<String>),
    /// The rest.
    Else(Span),
}

/// A call with its callee found.
#[derive(Clone, Debug)]
pub struct Call {
    /// What is called.
    pub callee: Callee,
    /// As the user wrote the callee.
    pub name: Spanned<String>,
    /// A piped value is the first.
    pub args: Vec<Arg>,
}

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callee {
    /// A `fn`, `guide` or `objective`.
    Function(ItemId),
    /// A parameter of kind `Guide`.
    Local(LocalId),
    /// What the language brings.
    Primitive(Primitive),
    /// An intervention, inside `with:`; the name is [`Call::name`].
    Intervention,
    /// A word with arguments in an argument of a `classifier` or `loss`: `softplus(3)`; the name is
    /// [`Call::name`].
    Setting,
}

/// An argument.
#[derive(Clone, Debug)]
pub struct Arg {
    /// The name before the colon.
    pub name: Option<Spanned<String>>,
    /// The value.
    pub value: Expr,
}

/// `prev(…)`
#[derive(Clone, Debug)]
pub struct Prev {
    /// Of what.
    pub of: PrevOf,
    /// Where that is written.
    pub of_span: Span,
    /// How many active ticks back: an expression, 1 if absent.
    pub depth: Option<Expr>,
    /// What it starts with.
    pub init: Option<Expr>,
}

/// What `prev` may be asked of.
#[derive(Clone, Debug)]
pub enum PrevOf {
    /// A `let` of the same body, possibly a later one, or itself.
    Local(LocalId),
    /// `x` or a name of the step.
    Word(String),
    /// Something else; said already.
    Error,
}
