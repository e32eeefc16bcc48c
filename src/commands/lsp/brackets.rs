//! The brackets that are open at a place, with what is bound and called in each: from the tokens of an
//! item, walked once.

use guide_grammar::{Token, TokenKind};

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

/// An open bracket.
#[derive(Default)]
pub struct Open {
    /// The bracket itself.
    pub mark: String,
    /// What is called with it.
    pub call: Option<OpenCall>,
    /// Whether it holds the parameters of a function.
    pub is_params: bool,
    /// What is bound in it.
    pub locals: Vec<Bound>,
}

/// The brackets that are open at the end of an item's tokens, with what each binds and calls.
pub fn open_brackets(text: &str, tokens: &[Token], words: &[&str]) -> Vec<Open> {
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
pub fn is_in_with(stack: &[Open]) -> bool {
    let call = stack.iter().rev().find_map(|open| open.call.as_ref());
    call.is_some_and(|call| {
        let is_predict = call.path.last().is_some_and(|name| name == "predict");
        let fourth = is_predict && call.name.is_none() && call.position == 3;
        !call.is_intervention && (call.name.as_deref() == Some("with") || fourth)
    })
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
