//! The TextMate grammar of the VS Code extension, held to the lexer and to the language's own tables.
//!
//! The grammar has no rule that spans lines, so the little tokenizer here does what an editor's does:
//! in each line the rule that matches first, of equals the one that stands first.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use fancy_regex::{Captures, Regex};
use guide_compiler::primitives::{CONDITIONS, CONTEXT_WORDS, INTERVENTIONS, Primitive, VALUES};
use guide_grammar::TokenKind;
use guide_grammar::span::FileId;
use serde_json::Value;

struct Rule {
    name: Option<String>,
    regex: Regex,
    captures: Vec<(usize, String)>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn extension(file: &str) -> Value {
    let path = root().join("grammar/editors/vscode").join(file);
    let text = fs::read_to_string(path).expect("a file of the extension");
    serde_json::from_str(&text).expect("it is JSON")
}

fn grammar() -> Value {
    extension("syntaxes/guide.tmLanguage.json")
}

/// All rules in the order of the grammar's includes.
fn rules(grammar: &Value) -> Vec<Rule> {
    let includes = grammar["patterns"].as_array().expect("patterns");
    let mut rules = Vec::new();
    for include in includes {
        let name = include["include"]
            .as_str()
            .and_then(|name| name.strip_prefix('#'));
        let group = &grammar["repository"][name.expect("an include of a group")];
        for rule in group["patterns"].as_array().expect("patterns of a group") {
            let source = rule["match"].as_str().expect("a rule of one line");
            let captures = rule["captures"].as_object().into_iter().flatten();
            rules.push(Rule {
                name: rule["name"].as_str().map(str::to_owned),
                regex: Regex::new(source).unwrap_or_else(|error| panic!("{source}: {error}")),
                captures: captures
                    .map(|(at, scope)| {
                        let scope = scope["name"].as_str().expect("a scope");
                        (at.parse().expect("a number"), scope.to_owned())
                    })
                    .collect(),
            });
        }
    }
    rules
}

/// The innermost scope of each byte of a line; empty where none is.
fn scopes(rules: &[Rule], line: &str) -> Vec<String> {
    let mut scopes = vec![String::new(); line.len()];
    let search = |rule: &Rule, at| rule.regex.captures_from_pos(line, at).expect("it ends");
    let start = |found: &Captures<str>| found.get(0).map_or(0, |whole| whole.start());
    // What each rule matches next; looked for again only where another rule has passed it.
    let mut next: Vec<Option<Captures<str>>> = rules.iter().map(|rule| search(rule, 0)).collect();
    let mut at = 0;
    loop {
        for (rule, found) in rules.iter().zip(&mut next) {
            if found.as_ref().is_some_and(|found| start(found) < at) {
                *found = search(rule, at);
            }
        }
        // Of equals the first.
        let found = rules.iter().zip(&next);
        let found = found.filter_map(|(rule, found)| Some((rule, found.as_ref()?)));
        let Some((rule, found)) = found.min_by_key(|(_, found)| start(found)) else {
            return scopes;
        };
        let whole = found.get(0).expect("the whole match").range();
        assert!(!whole.is_empty(), "a rule matches nothing in {line}");
        if let Some(name) = &rule.name {
            scopes[whole.clone()].fill(name.clone());
        }
        for (number, name) in &rule.captures {
            let range = found.get(*number).expect("a capture").range();
            scopes[range].fill(name.clone());
        }
        at = whole.end;
    }
}

/// The guides of a folder and those below it.
fn guides(folder: PathBuf, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            guides(path, found);
        } else if path.extension().is_some_and(|ending| ending == "guide") {
            found.push(path);
        }
    }
}

/// What the scope of a token may begin with.
fn expected(kind: TokenKind) -> &'static [&'static str] {
    match kind {
        TokenKind::Name => &[
            "storage.",
            "keyword.control.import",
            "entity.name.",
            "variable.",
            "support.",
            "constant.language.",
        ],
        TokenKind::KindName => &["entity.name.type."],
        TokenKind::Reserved => &[
            "keyword.",
            "storage.type.let.",
            "constant.language.boolean.",
        ],
        TokenKind::Number => &["constant.numeric."],
        TokenKind::String => &["string."],
        TokenKind::Mark => &["keyword.operator.", "punctuation."],
        _ => &[],
    }
}

#[test]
fn every_token_of_every_guide_has_its_scope() {
    let rules = rules(&grammar());
    let mut paths = Vec::new();
    guides(root().join("stdlib"), &mut paths);
    let library = paths.len();
    guides(root().join("examples"), &mut paths);
    assert!(library >= 100 && paths.len() > library, "guides are found");
    let mut seen = BTreeSet::new();
    for path in paths {
        let text = fs::read_to_string(&path).expect("a guide");
        let lines: Vec<String> = text
            .split_inclusive('\n')
            .flat_map(|line| {
                let mut line_scopes = scopes(&rules, line.trim_end_matches('\n'));
                line_scopes.resize(line.len(), String::new());
                line_scopes
            })
            .collect();
        let lexed = guide_grammar::lex(FileId(0), &text);
        for token in &lexed.tokens {
            let words = token.text(&text);
            let first = &lines[token.start];
            let fits = expected(token.kind)
                .iter()
                .any(|scope| first.starts_with(scope));
            assert!(fits, "{}: {words} is {first:?}", path.display());
            let whole = lines[token.start..token.end]
                .iter()
                .all(|scope| scope == first);
            assert!(whole, "{}: {words} has two scopes", path.display());
            seen.insert(first.clone());
        }
        for comment in lexed.comments {
            let words = comment.text(&text);
            let is_doc = words.starts_with("//!") || words.starts_with("///");
            let scope = if is_doc {
                "comment.line.documentation"
            } else {
                "comment.line.double"
            };
            let all = lines[comment.range()]
                .iter()
                .all(|found| found.starts_with(scope));
            assert!(all, "{}: {words}", path.display());
        }
    }
    // The guides use so much of the language that a rule which nothing meets is a mistake.
    assert!(seen.len() >= 20, "{seen:?}");
}

#[test]
fn what_is_no_guide_is_marked_and_words_end_where_they_end() {
    let rules = rules(&grammar());
    let scope = |line: &str, part: &str| {
        let at = line.find(part).expect("a part of the line");
        scopes(&rules, line)[at].clone()
    };
    assert_eq!(
        scope("let a = \"open", "open"),
        "invalid.illegal.unclosed-string.guide"
    );
    assert_eq!(
        scope("\"a \\\" // b\" + c", "//"),
        "string.quoted.double.guide"
    );
    assert_eq!(scope("a + lets", "lets"), "variable.other.guide");
    assert_eq!(
        scope("format(a)", "format"),
        "entity.name.function.call.guide"
    );
    assert_eq!(scope("predict(cond)", "predict"), "support.function.guide");
    assert_eq!(scope("predict + 1", "predict"), "variable.other.guide");
    assert_eq!(
        scope("//// rule", "rule"),
        "comment.line.double-slash.guide"
    );
    assert_eq!(scope("0.5..1.0", "1.0"), "constant.numeric.guide");
    assert_eq!(scope("0.5..1.0", ".."), "keyword.operator.guide");
    assert_eq!(
        scope("a: Direction<x0>", "x0"),
        "entity.name.type.space.guide"
    );
    assert_eq!(
        scope("    guide(a)", "guide"),
        "entity.name.function.call.guide"
    );
}

/// The words of the rule of a scope.
fn words_of(grammar: &Value, scope: &str) -> Vec<String> {
    let groups = grammar["repository"].as_object().expect("groups").values();
    let mut rules = groups.flat_map(|group| group["patterns"].as_array().into_iter().flatten());
    let rule = rules
        .find(|rule| rule["name"] == scope)
        .expect("a rule of that scope");
    let source = rule["match"].as_str().expect("a match");
    let list = source
        .split_once("(?:")
        .and_then(|(_, rest)| rest.split_once(')'));
    let (list, _) = list.expect("a list of words");
    list.split('|').map(str::to_owned).collect()
}

#[test]
fn its_words_are_those_of_the_language() {
    let grammar = grammar();
    let of = |scope: &str| words_of(&grammar, scope);
    let primitives = Primitive::ALL.iter().map(|primitive| primitive.name());
    let primitives: Vec<&str> = ["prev"].into_iter().chain(primitives).collect();
    assert_eq!(of("support.function.guide"), primitives);
    let interventions: Vec<&str> = INTERVENTIONS.iter().map(|one| one.name).collect();
    assert_eq!(of("support.function.intervention.guide"), interventions);
    assert_eq!(of("variable.language.guide"), VALUES);
    assert_eq!(of("constant.language.condition.guide"), CONDITIONS);
    assert_eq!(of("support.constant.guide"), CONTEXT_WORDS);
}

#[test]
fn what_the_extension_names_is_there() {
    let package = extension("package.json");
    let folder = root().join("grammar/editors/vscode");
    let named = [
        &package["main"],
        &package["contributes"]["languages"][0]["configuration"],
        &package["contributes"]["grammars"][0]["path"],
    ];
    for file in named {
        let file = file.as_str().expect("a path");
        assert!(folder.join(file).is_file(), "{file}");
    }
    assert_eq!(package["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        package["contributes"]["grammars"][0]["scopeName"],
        grammar()["scopeName"]
    );
    for rule in ["increaseIndentPattern", "decreaseIndentPattern"] {
        let configuration = extension("language-configuration.json");
        let source = configuration["indentationRules"][rule]
            .as_str()
            .expect("a pattern");
        let regex = Regex::new(source).expect("a pattern that can be read");
        let is_end = rule.starts_with("decrease");
        assert_eq!(regex.is_match("guide g() {").expect("it ends"), !is_end);
        assert_eq!(regex.is_match("    }").expect("it ends"), is_end);
    }
}
