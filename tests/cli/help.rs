//! The help texts are the reference of the command line: each is a snapshot.

use crate::sandbox::Sandbox;
#[cfg(feature = "download")]
use crate::sandbox::project;

fn help(args: &[&str]) -> String {
    let args: Vec<&str> = args.iter().copied().chain(["--help"]).collect();
    let ended = Sandbox::new().run(&args).with(0);
    assert_eq!(ended.stderr, "", "help is data");
    ended.stdout
}

#[test]
#[cfg(feature = "run")]
fn overview() {
    insta::assert_snapshot!(help(&[]));
}

#[test]
#[cfg(feature = "run")]
fn run() {
    insta::assert_snapshot!(help(&["run"]));
}

#[test]
#[cfg(feature = "run")]
fn compare() {
    insta::assert_snapshot!(help(&["compare"]));
}

#[test]
#[cfg(feature = "run")]
fn sweep_and_merge() {
    insta::assert_snapshot!(help(&["sweep"]) + &help(&["merge"]));
}

#[test]
fn check() {
    insta::assert_snapshot!(help(&["check"]));
}

#[test]
#[cfg(feature = "run")]
fn plan() {
    insta::assert_snapshot!(help(&["plan"]));
}

#[test]
#[cfg(feature = "run")]
fn eval() {
    insta::assert_snapshot!(help(&["eval"]));
}

#[test]
#[cfg(feature = "run")]
fn fit() {
    insta::assert_snapshot!(help(&["fit"]));
}

#[test]
#[cfg(feature = "run")]
fn optimise() {
    insta::assert_snapshot!(help(&["optimise"]));
}

#[test]
fn fmt() {
    insta::assert_snapshot!(help(&["fmt"]));
}

#[test]
fn lsp() {
    insta::assert_snapshot!(help(&["lsp"]));
}

#[test]
fn test() {
    insta::assert_snapshot!(help(&["test"]));
}

#[test]
fn trace() {
    insta::assert_snapshot!(help(&["trace"]));
}

#[test]
fn init() {
    insta::assert_snapshot!(help(&["init"]));
}

#[test]
fn import() {
    insta::assert_snapshot!(help(&["import"]));
}

#[test]
fn explain_doc_models_completions() {
    let mut all = String::new();
    for command in ["explain", "doc", "completions", "man"] {
        all.push_str(&format!(
            "$ guidec {command} --help\n{}\n",
            help(&[command])
        ));
    }
    insta::assert_snapshot!(all);
}

/// What a line of the tree begins with selects layers.
#[test]
#[cfg(feature = "run")]
fn the_layers_of_a_model() {
    let sandbox = Sandbox::new();
    let tree = sandbox.run(&["models", "pocket", "--layers"]).with(0);
    insta::assert_snapshot!(tree.stdout);
    for line in tree.stdout.lines() {
        let name = line.split_whitespace().next().expect("a name");
        let guide = format!("guide s() {{ predict(cond, with: skip_layers(\"{name}\")) }}\n");
        let sandbox = Sandbox::new().with("s.guide", guide);
        sandbox.run(&["plan", "s.guide"]).with(0);
    }
    let known = sandbox.run(&["models", "sd15", "--layers"]).with(0);
    assert!(
        known
            .stdout
            .contains("  mid.attn.0                self, cross, ff\n")
    );
    let json = sandbox.run(&["models", "pocket", "--layers", "--format", "json"]);
    assert!(json.with(0).stdout.contains("\"mid.attn.0.self\""));
    let one = sandbox.run(&["models", "pocket"]).with(0).stdout;
    assert!(one.starts_with("pocket        predicts eps"), "{one}");
    sandbox
        .refused(&["models", "pockt", "--layers"], 3, "G0701")
        .says(&["pockt"]);
    sandbox.run(&["models", "--layers"]).with(2);
}

#[test]
#[cfg(feature = "run")]
fn models() {
    insta::assert_snapshot!(help(&["models"]));
}

#[test]
fn bad_usage_is_two_and_says_how() {
    let sandbox = Sandbox::new();
    sandbox.run(&[]).with(2).says(&["Usage: guidec"]);
    sandbox.run(&["chekc"]).with(2).says(&["check"]);
    sandbox.run(&["check"]).with(2).says(&["<FILE>"]);
    sandbox
        .run(&["check", "--fromat", "json", "a.guide"])
        .with(2)
        .says(&["--format"]);
    sandbox
        .run(&["plan", "a.guide", "--set", "scale"])
        .with(2)
        .says(&["NAME=VALUE"]);
    sandbox
        .run(&["plan", "a.guide", "--format", "png"])
        .with(2)
        .says(&["json"]);
}

#[test]
fn version_and_completions_are_data() {
    let sandbox = Sandbox::new();
    let version = sandbox.run(&["--version"]).with(0).stdout;
    assert_eq!(version, format!("guidec {}\n", env!("CARGO_PKG_VERSION")));
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = sandbox.run(&["completions", shell]).with(0).stdout;
        assert!(script.contains("guidec"), "{shell}");
    }
}

/// The reference of the command line is made from its options. `UPDATE=1 cargo test --test cli help` rewrites it.
#[test]
#[cfg(feature = "download")]
fn the_reference_is_what_the_program_says() {
    let sandbox = Sandbox::new();
    let page = project("src/reference/cli.md");
    let now = sandbox.run(&["man", "--format", "markdown"]).with(0).stdout;
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&page, &now).expect("a writable page");
    }
    let before = std::fs::read_to_string(&page).expect("the page");
    assert!(
        now == before,
        "src/reference/cli.md is another page than\n{now}"
    );
}

#[test]
fn pages_for_man() {
    let sandbox = Sandbox::new().with("file", "");
    let ended = sandbox.run(&["man", "--out", "share/man1"]).with(0);
    assert_eq!(ended.stdout, "");
    let overview = sandbox.run(&["--help"]).with(0).stdout;
    let listed = overview
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1);
    let listed = listed.take_while(|line| !line.is_empty());
    let names = listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let names = names.filter(|name| !name.is_empty() && *name != "help");
    let mut wanted: Vec<String> = names.map(|name| format!("guidec-{name}.1")).collect();
    wanted.push("guidec.1".to_owned());
    wanted.sort();
    assert_eq!(sandbox.names("share/man1"), wanted);
    let page = sandbox.read("share/man1/guidec-plan.1");
    for text in [
        ".TH guidec-plan 1",
        ".SH OPTIONS",
        "\n.SH EXAMPLES\n.nf\nguidec plan std::rules::apg\n",
    ] {
        assert!(page.contains(text), "{text} is missing in {page}");
    }
    assert_eq!(sandbox.run(&["man", "plan"]).with(0).stdout, page);
    let all = sandbox.run(&["man"]).with(0).stdout;
    assert!(all.contains(&page) && all.starts_with(&sandbox.read("share/man1/guidec.1")));
    sandbox
        .run(&["man", "plam"])
        .with(2)
        .says(&["similar command exists: 'plan'"]);
    sandbox.refused(&["man", "--out", "file/x"], 3, "G0803");
}
