//! What the words around the cursor say, when there is no tree: an item that is being written can
//! seldom be read, and that is when completion is asked for.
//!
//! The tokens from the item's begin to the cursor are walked once, with the brackets that are open.

use guide_compiler::primitives::{InterventionSignature, Primitive};
use guide_compiler::resolved::{ItemId, Namespace};
use guide_grammar::span::Span;
use guide_grammar::{Token, TokenKind};

use super::documents::Document;
use super::library::{self, Signature};
use super::workspace::{ROOT, Snapshot, Workspace};

/// The words that begin an item.
pub const ITEM_WORDS: &[&str] = &[
    "use",
    "model",
    "classifier",
    "loss",
    "input",
    "fn",
    "guide",
    "objective",
];

/// A name that is bound above the cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The name.
    pub name: String,
    /// `Scalar`, as far as it is stated.
    pub kind: String,
    /// Whether it is a parameter.
    pub is_param: bool,
}

impl Bound {
    /// `let m`, `scale: Scalar = 3`
    pub fn text(&self) -> String {
        match (self.is_param, self.kind.is_empty()) {
            (true, _) => format!("{}: {}", self.name, self.kind),
            (false, true) => format!("let {}", self.name),
            (false, false) => format!("let {}: {}", self.name, self.kind),
        }
    }
}

/// A call whose bracket is open.
#[derive(Clone, Debug, Default)]
pub struct OpenCall {
    /// `["std", "rules", "apg"]`
    pub path: Vec<String>,
    /// How many positional arguments stand before the current one, a piped value among them.
    pub position: usize,
    /// The name of the current argument, if it has one.
    pub name: Option<String>,
    /// The names that were given.
    pub given: Vec<String>,
    /// Whether it is looked up among interventions.
    pub is_intervention: bool,
}

/// Where the cursor stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spot {
    /// In a comment or string: nothing is offered.
    Silent,
    /// Where an item begins.
    Item,
    /// Inside `use`, after these names.
    Use(Vec<String>),
    /// Where a kind stands.
    Kind,
    /// In `<…>`.
    Space,
    /// A new name is being given.
    Naming,
    /// After `a::b::`.
    Path(Vec<String>),
    /// Inside `with:`.
    Interventions,
    /// Anything else in a body or default.
    Value,
}

/// What the words say.
#[derive(Clone, Debug)]
pub struct Context {
    /// Where the cursor stands.
    pub spot: Spot,
    /// What of the word under the cursor stands before it.
    pub prefix: Span,
    /// The word under the cursor, whole.
    word: Option<Span>,
    /// What is bound above.
    pub locals: Vec<Bound>,
    /// The innermost call that is open.
    pub call: Option<OpenCall>,
}

/// An open bracket.
#[derive(Default)]
struct Open {
    mark: String,
    call: Option<OpenCall>,
    is_params: bool,
    locals: Vec<Bound>,
}

impl Context {
    /// At a byte of a text.
    pub fn of(text: &str, byte: u32) -> Context {
        let lexed = guide_grammar::lex(ROOT, text);
        let at = byte as usize;
        let is_word = |kind| {
            use TokenKind::{BadWord, KindName, Name, Reserved};
            matches!(kind, Name | KindName | Reserved | BadWord)
        };
        let touched = |t: &&Token| is_word(t.kind) && t.start <= at && at <= t.end;
        let word = lexed.tokens.iter().find(touched);
        let start = word.map_or(at, |token| token.start);
        let before = lexed.tokens.partition_point(|token| token.end <= start);
        let before = lexed.tokens.get(..before).unwrap_or(&[]);
        let mut context = Context {
            spot: Spot::Value,
            prefix: Span::new(ROOT, start, at),
            word: word.map(|token| token.span(ROOT)),
            locals: Vec::new(),
            call: None,
        };
        let in_string = |t: &Token| {
            let open = matches!(t.kind, TokenKind::OpenString) && at == t.end;
            t.start < at && (at < t.end || open)
        };
        let is_string = |t: &&Token| {
            use TokenKind::{BadString, OpenString, String};
            matches!(t.kind, String | OpenString | BadString) && in_string(t)
        };
        let in_comment = |span: &Span| (span.start as usize) < at && at <= span.end as usize;
        if lexed.comments.iter().any(in_comment) || lexed.tokens.iter().any(|t| is_string(&t)) {
            context.spot = Spot::Silent;
            return context;
        }
        context.walk(text, before);
        context
    }

    /// The word under the cursor.
    pub fn word(&self, text: &str) -> Option<(Span, String)> {
        let span = self.word?;
        Some((span, span.text(text).to_owned()))
    }

    fn walk(&mut self, text: &str, before: &[Token]) {
        let begins = |t: &Token| t.at_margin && ITEM_WORDS.contains(&t.text(text));
        let Some(first) = before.iter().rposition(begins) else {
            self.spot = Spot::Item;
            return;
        };
        let tokens = before.get(first..).unwrap_or(&[]);
        let words: Vec<&str> = tokens.iter().map(|t| t.text(text)).collect();
        let stack = open_brackets(text, tokens, &words);
        let outside = stack.is_empty();
        self.locals = stack.iter().flat_map(|open| open.locals.clone()).collect();
        let innermost = stack.iter().rev().find_map(|open| open.call.as_ref());
        self.call = innermost.cloned();
        let last = words.last().copied().unwrap_or("");
        let spot = match words.first().copied() {
            Some("use") => Spot::Use(path_before(&words, stack.iter().any(|o| o.mark == "{"))),
            _ if last == "::" => Spot::Path(path_before(&words, false)),
            _ => spot_of(&words, &stack),
        };
        let closed = outside && matches!(last, "}" | ")") && words.len() > 1;
        self.spot = if closed && spot == Spot::Value {
            Spot::Item
        } else {
            spot
        };
    }

    /// How the thing of a name is called, in the place of the cursor.
    pub fn signature_of(
        &self,
        workspace: &Workspace,
        document: &Document,
        name: &str,
    ) -> Option<Signature> {
        let is_intervention = self.spot == Spot::Interventions;
        signature(workspace, document, &[name.to_owned()], is_intervention)
    }

    /// How what the innermost open call names is called.
    pub fn signature_of_call(
        &self,
        workspace: &Workspace,
        document: &Document,
    ) -> Option<Signature> {
        let call = self.call.as_ref()?;
        signature(workspace, document, &call.path, call.is_intervention)
    }
}

/// The brackets that are open at the end of an item's tokens, with what each binds and calls.
fn open_brackets(text: &str, tokens: &[Token], words: &[&str]) -> Vec<Open> {
    let mut stack: Vec<Open> = Vec::new();
    let mut turns: Vec<Bound> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let word = words.get(at).copied().unwrap_or("");
        match word {
            "(" | "[" | "{" => {
                let mut open = Open {
                    mark: word.to_owned(),
                    ..Open::default()
                };
                let touches = at > 0 && tokens.get(at - 1).is_some_and(|t| t.end == token.start);
                let named = at > 0
                    && tokens
                        .get(at - 1)
                        .is_some_and(|t| t.kind == TokenKind::Name);
                let is_head = stack.is_empty() && is_function(words);
                if word == "(" && is_head {
                    open.is_params = true;
                } else if word == "(" && touches && named {
                    open.call = Some(call(words.get(..at).unwrap_or(&[]), &stack));
                } else if word == "{" {
                    open.locals = std::mem::take(&mut turns);
                }
                stack.push(open);
            }
            ")" | "]" | "}" => {
                let closed = stack.pop();
                // What the head binds is seen in the body.
                if let Some(params) = closed.filter(|open| open.is_params) {
                    turns.extend(params.locals);
                }
            }
            "," => {
                if let Some(call) = stack.last_mut().and_then(|open| open.call.as_mut()) {
                    match call.name.take() {
                        Some(_) => {}
                        None => call.position += 1,
                    }
                }
            }
            "let" => {
                if let Some(open) = stack.last_mut() {
                    open.locals.extend(bound_by_let(text, tokens, at));
                }
            }
            "total" => {
                let name = words.get(at + 1).copied().unwrap_or("");
                if tokens
                    .get(at + 1)
                    .is_some_and(|t| t.kind == TokenKind::Name)
                {
                    turns.push(Bound {
                        name: name.to_owned(),
                        kind: "Scalar".to_owned(),
                        is_param: false,
                    });
                }
            }
            ":" if at > 0 => {
                let name = words.get(at - 1).copied().unwrap_or("").to_owned();
                let Some(open) = stack.last_mut() else {
                    continue;
                };
                if let Some(call) = &mut open.call {
                    call.given.push(name.clone());
                    call.name = Some(name);
                } else if open.is_params {
                    let kind = stated(text, tokens, at + 1);
                    open.locals.push(Bound {
                        name,
                        kind,
                        is_param: true,
                    });
                }
            }
            _ => {}
        }
    }
    stack
}

fn is_function(words: &[&str]) -> bool {
    matches!(words.first(), Some(&("fn" | "guide" | "objective")))
}

/// The call whose bracket follows these words.
fn call(before: &[&str], around: &[Open]) -> OpenCall {
    let mut path = Vec::new();
    let mut at = before.len();
    while at > 0 {
        path.insert(0, before.get(at - 1).copied().unwrap_or("").to_owned());
        at -= 1;
        if at < 2 || before.get(at - 1) != Some(&"::") {
            break;
        }
        at -= 1;
    }
    let is_piped = at > 0 && before.get(at - 1) == Some(&"|>");
    OpenCall {
        path,
        position: usize::from(is_piped),
        is_intervention: is_in_with(around),
        ..OpenCall::default()
    }
}

/// Whether names are looked up among interventions: in `with:`, and in lists and branches in it.
fn is_in_with(stack: &[Open]) -> bool {
    let call = stack.iter().rev().find_map(|open| open.call.as_ref());
    call.is_some_and(|call| {
        let is_predict = call.path.last().is_some_and(|name| name == "predict");
        let fourth = is_predict && call.name.is_none() && call.position == 3;
        !call.is_intervention && (call.name.as_deref() == Some("with") || fourth)
    })
}

fn spot_of(words: &[&str], stack: &[Open]) -> Spot {
    let last = words.last().copied().unwrap_or("");
    let before = words
        .len()
        .checked_sub(2)
        .and_then(|at| words.get(at))
        .copied();
    let second_before = words
        .len()
        .checked_sub(3)
        .and_then(|at| words.get(at))
        .copied();
    let in_params = stack.last().is_some_and(|open| open.is_params);
    let is_kind = |word: Option<&str>| word.is_some_and(|w| w.starts_with(char::is_uppercase));
    let is_let = second_before == Some("let") || second_before == Some("input");
    match last {
        "->" => Spot::Kind,
        ":" if in_params || is_let => Spot::Kind,
        "<" if is_kind(before) => Spot::Space,
        "let" | "total" => Spot::Naming,
        word if ITEM_WORDS.contains(&word) && words.len() == 1 => Spot::Naming,
        "(" | "," if in_params => Spot::Naming,
        _ if is_in_with(stack) => Spot::Interventions,
        _ => Spot::Value,
    }
}

/// `["std", "rules"]` of `… std::rules::`; inside the braces of a `use`, what stands before them.
fn path_before(words: &[&str], in_list: bool) -> Vec<String> {
    let end = if in_list {
        words
            .iter()
            .position(|word| *word == "{")
            .unwrap_or(words.len())
    } else {
        words.len()
    };
    let mut path = Vec::new();
    let mut at = end;
    while at >= 2 && words.get(at - 1) == Some(&"::") {
        path.insert(0, words.get(at - 2).copied().unwrap_or("").to_owned());
        at -= 2;
    }
    path
}

/// What a `let` binds.
fn bound_by_let(text: &str, tokens: &[Token], at: usize) -> Vec<Bound> {
    let mut bound = Vec::new();
    let mut kind = String::new();
    for (next, token) in tokens.iter().enumerate().skip(at + 1) {
        match token.text(text) {
            ":" => {
                kind = stated(text, tokens, next + 1);
                break;
            }
            "(" | "," => {}
            name if token.kind == TokenKind::Name && name != "_" => bound.push(Bound {
                name: name.to_owned(),
                kind: String::new(),
                is_param: false,
            }),
            "_" => {}
            _ => break,
        }
    }
    if let [only] = bound.as_mut_slice() {
        only.kind = kind;
    }
    bound
}

/// The kind that begins at a token, as text.
fn stated(text: &str, tokens: &[Token], from: usize) -> String {
    let mut depth = 0;
    let rest = tokens.get(from..).unwrap_or(&[]);
    let taken = rest.iter().take_while(|token| {
        match token.text(text) {
            "(" => depth += 1,
            ")" => depth -= 1,
            "," if depth == 0 => return false,
            "=" | "{" => return false,
            _ => {}
        }
        depth >= 0
    });
    let taken: Vec<&Token> = taken.collect();
    match (taken.first(), taken.last()) {
        (Some(first), Some(last)) => text.get(first.start..last.end).unwrap_or("").to_owned(),
        _ => String::new(),
    }
}

/// How what a path names is called.
fn signature(
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

#[cfg(test)]
mod tests {
    use super::{Context, Spot};

    /// The context at `^`.
    fn at(text: &str) -> Context {
        let byte = text.find('^').expect("a cursor");
        Context::of(&text.replacen('^', "", 1), byte as u32)
    }

    fn names(context: &Context) -> Vec<&str> {
        context.locals.iter().map(|l| l.name.as_str()).collect()
    }

    #[test]
    fn what_is_bound_above_is_seen_and_what_a_closed_block_bound_is_not() {
        let text = "guide g(scale: Scalar = f(2), k: \"a\" | \"b\") {\n    let (a, _) = p\n    \
                    let m: Scalar = if x { let inner = 1\n inner } else { 2 }\n    sc^";
        let context = at(text);
        assert_eq!(names(&context), ["scale", "k", "a", "m"]);
        assert_eq!(context.locals[1].kind, "\"a\" | \"b\"");
        assert_eq!(context.locals[3].text(), "let m: Scalar");
        assert_eq!(context.spot, Spot::Value);
        let turn = at("guide g() { total i in 0..3 { w[^");
        assert_eq!(names(&turn), ["i"]);
    }

    #[test]
    fn a_call_knows_its_argument() {
        let text = "guide g() { d |> std::ops::project(a, over: x, ^";
        let call = at(text).call.expect("a call is open");
        assert_eq!(call.path, ["std", "ops", "project"]);
        assert_eq!((call.position, call.name), (2, None));
        assert_eq!(call.given, ["over"]);
        let call = at("guide g() { f(1, (2, 3), k: ^").call.expect("open");
        assert_eq!((call.position, call.name.as_deref()), (2, Some("k")));
    }

    #[test]
    fn interventions_are_inside_with_and_not_in_their_arguments() {
        let spot = |text| at(text).spot;
        assert_eq!(
            spot("guide g() { predict(cond, with: ^"),
            Spot::Interventions
        );
        assert_eq!(
            spot("guide g() { predict(cond, with: [a(mid), ^"),
            Spot::Interventions
        );
        assert_eq!(
            spot("guide g() { predict(cond, x, main, ^"),
            Spot::Interventions
        );
        assert_eq!(
            spot("guide g() { predict(cond, with: skip_layers(^"),
            Spot::Value
        );
        assert_eq!(spot("guide g() { predict(^"), Spot::Value);
    }

    #[test]
    fn kinds_spaces_names_items_and_uses() {
        let spot = |text| at(text).spot;
        assert_eq!(spot("^"), Spot::Item);
        assert_eq!(spot("guide g() { x }\n^"), Spot::Item);
        assert_eq!(spot("guide ^"), Spot::Naming);
        assert_eq!(spot("fn f(a: ^"), Spot::Kind);
        assert_eq!(spot("fn f(a: Direction<^"), Spot::Space);
        assert_eq!(spot("fn f(a: Scalar) -> ^"), Spot::Kind);
        assert_eq!(spot("fn f(a: Scalar, ^"), Spot::Naming);
        assert_eq!(spot("input m: ^"), Spot::Kind);
        assert_eq!(spot("guide g() { let ^"), Spot::Naming);
        assert_eq!(
            spot("use std::rules::^"),
            Spot::Use(vec!["std".into(), "rules".into()])
        );
        assert_eq!(
            spot("use std::ops::{a, ^"),
            Spot::Use(vec!["std".into(), "ops".into()])
        );
        assert_eq!(spot("guide g() { ops::^"), Spot::Path(vec!["ops".into()]));
        assert_eq!(spot("guide g() { x // co^\n}"), Spot::Silent);
        assert_eq!(spot("guide g() { \"te^xt\" }"), Spot::Silent);
    }

    #[test]
    fn no_text_makes_it_fail() {
        let text = "use a::{b\nguide σ(a: (b<, \"x\n{[( let total in : :: |> ) } ] let (a,";
        for byte in 0..=text.len() as u32 + 3 {
            Context::of(text, byte);
        }
        Context::of(&"(".repeat(10_000), 10_000);
    }
}
