//! What the words around the cursor say, when there is no tree: an item that is being written can
//! seldom be read, and that is when completion is asked for.
//!
//! The tokens from the item's begin to the cursor are walked once, with the brackets that are open.

use guide_grammar::span::Span;
use guide_grammar::{Token, TokenKind};

use super::brackets::{Bound, Open, OpenCall, is_in_with, open_brackets};
use super::callee::signature;
use super::documents::Document;
use super::library::Signature;
use super::workspace::{ROOT, Workspace};

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
