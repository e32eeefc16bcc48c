//! Commands that the manual shows, with what they say: a page's files and commands in one folder, in their order.
//! `UPDATE=1 cargo test --test cli manual` rewrites what they say.

use std::fs;

use crate::pages::words_of;
use crate::sandbox::{Sandbox, project};

/// The pages whose commands are run.
const PAGES: [&str; 1] = ["compiler/reference/testing.md"];

/// A piece of a page: as it stands, or a fenced block with its first line.
enum Piece<'a> {
    Text(&'a str),
    Block(&'a str, &'a str),
}

fn pieces(page: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let mut rest = page;
    while let Some((text, opened)) = rest.split_once("\n```") {
        let (tag, block) = opened.split_once('\n').expect("a block has lines");
        let (block, after) = block.split_once("\n```\n").expect("a block is closed");
        found.extend([Piece::Text(text), Piece::Block(tag, block)]);
        rest = after;
    }
    found.push(Piece::Text(rest));
    found
}

/// The commands of a block, each followed by what it says.
fn played(sandbox: &Sandbox, block: &str) -> String {
    let mut out = String::new();
    for line in block.lines() {
        let Some(command) = line.strip_prefix("$ guidec ") else {
            continue;
        };
        let words = words_of(command);
        let args: Vec<&str> = words.iter().map(String::as_str).collect();
        let ended = sandbox.run(&args);
        out.push_str(&format!("{line}\n{}{}", ended.stdout, ended.stderr));
    }
    out.trim_end().to_owned()
}

#[test]
fn the_manual_shows_what_its_commands_say() {
    let update = std::env::var_os("UPDATE").is_some();
    for name in PAGES {
        let page = fs::read_to_string(project(name)).expect("a page");
        let mut sandbox = Sandbox::new();
        let mut now = String::new();
        let mut commands = 0;
        for piece in pieces(&page) {
            match piece {
                Piece::Text(text) => now.push_str(text),
                Piece::Block(tag, block) => {
                    if let Some(file) = tag.strip_prefix("guide file ") {
                        sandbox = sandbox.with(file, format!("{block}\n"));
                    }
                    let played = match tag {
                        "console" => played(&sandbox, block),
                        _ => block.to_owned(),
                    };
                    commands += usize::from(tag == "console");
                    now.push_str(&format!("\n```{tag}\n{played}\n```\n"));
                }
            }
        }
        assert!(commands > 0, "{name} shows commands");
        if update {
            fs::write(project(name), now).expect("a writable page");
        } else {
            assert_eq!(now, page, "{name}");
        }
    }
}
