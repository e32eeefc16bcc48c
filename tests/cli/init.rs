//! `guidec init`

use std::fs;

use crate::sandbox::Sandbox;

#[test]
fn everything_is_green_at_once() {
    let sandbox = Sandbox::new();
    let begun = sandbox.run(&["init", "my_rules"]).with(0);
    assert_eq!(begun.stdout, "");
    insta::assert_snapshot!(begun.stderr);
    let names = [
        ".github",
        ".gitignore",
        "README.md",
        "my_rules.guide",
        "my_rules.large.plan",
        "my_rules.plan",
    ];
    assert_eq!(sandbox.names("my_rules"), names);
    sandbox.run(&["test", "my_rules"]).with(0).says(&["2 same"]);
    let guide = "my_rules/my_rules.guide";
    sandbox.run(&["fmt", "--check", guide]).with(0);
    let checked = sandbox.run(&["check", guide]).with(0);
    checked.says(&["nothing to complain of"]);
    let workflow = sandbox.read("my_rules/.github/workflows/guides.yml");
    let version = env!("CARGO_PKG_VERSION");
    assert!(
        workflow.contains(&format!("guidec --version {version} --locked")),
        "{workflow}"
    );
    for command in ["guidec fmt --check", "guidec check", "guidec test"] {
        assert!(workflow.contains(command), "{command}");
    }
    for file in [
        "my_rules/README.md",
        guide,
        "my_rules/.github/workflows/guides.yml",
    ] {
        let text = sandbox.read(file);
        assert!(
            !text.contains("NAME") && !text.contains("VERSION"),
            "{file}:\n{text}"
        );
    }
}

#[test]
fn the_rule_is_named_like_the_folder_or_as_asked() {
    let named = |args: &[&str], wanted: &str| {
        let sandbox = Sandbox::new();
        sandbox.run(args).with(0);
        assert!(sandbox.path(wanted).is_file(), "{wanted}");
        sandbox.run(&["test"]).with(0);
    };
    named(&["init", "My Rules"], "My Rules/my_rules.guide");
    named(&["init", "deep/er/rules"], "deep/er/rules/rules.guide");
    named(&["init", "match"], "match/my_rule.guide");
    named(&["init", "a", "--name", "late"], "a/late.guide");
}

#[test]
fn nothing_is_made_where_it_cannot_be_whole() {
    let refused = |sandbox: &Sandbox, args: &[&str], code: i32, texts: &[&str]| {
        let before = sandbox.names(".");
        sandbox.run(args).with(code).says(texts);
        assert_eq!(sandbox.names("."), before);
    };
    let sandbox = Sandbox::new().with("full/notes.txt", "").with("file", "");
    refused(&sandbox, &["init", "full"], 2, &["'notes.txt'"]);
    assert_eq!(sandbox.names("full"), ["notes.txt"]);
    refused(&sandbox, &["init", "file"], 3, &["G0803"]);
    refused(
        &sandbox,
        &["init", "a", "--name", "../b"],
        2,
        &["cannot name"],
    );
    refused(
        &sandbox,
        &["init", "a", "--name", "if"],
        2,
        &["cannot name"],
    );
    refused(&sandbox, &["init"], 2, &["<DIR>"]);
}

#[test]
fn a_repository_that_has_just_begun_is_filled() {
    let sandbox = Sandbox::new().with(".git/HEAD", "ref: refs/heads/main\n");
    fs::create_dir(sandbox.path("empty")).expect("a folder");
    sandbox.run(&["init", "empty"]).with(0);
    assert!(sandbox.path("empty/empty.guide").is_file());
    fs::remove_dir_all(sandbox.path("empty")).expect("it was there");
    sandbox.run(&["init", ".", "--name", "first"]).with(0);
    assert_eq!(
        sandbox.names("."),
        [
            ".git",
            ".github",
            ".gitignore",
            "README.md",
            "first.guide",
            "first.large.plan",
            "first.plan"
        ]
    );
}
