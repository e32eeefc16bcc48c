//! `guidec doc`

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::sandbox::{Sandbox, project};

#[test]
fn a_rule() {
    insta::assert_snapshot!(Sandbox::new().run(&["doc", "apg"]).with(0).stdout);
}

#[test]
fn an_operator_an_intervention_and_a_primitive() {
    let sandbox = Sandbox::new();
    let page = |name| sandbox.run(&["doc", name]).with(0).stdout;
    let pages = [page("project"), page("blur_attention"), page("quantile")];
    insta::assert_snapshot!(pages.join("\n"));
}

#[test]
fn everything_in_a_list() {
    insta::assert_snapshot!(Sandbox::new().run(&["doc"]).with(0).stdout);
}

#[test]
fn another_tools_variant() {
    let sandbox = Sandbox::new();
    let page = sandbox
        .run(&["doc", "std::dialects::diffusers::apg"])
        .with(0)
        .stdout;
    insta::assert_snapshot!(page);
    for end in ["dialects::diffusers::apg", "diffusers::apg"] {
        assert_eq!(sandbox.run(&["doc", end]).with(0).stdout, page, "{end}");
    }
    // The name alone is the rule's, and the rule's page names the variants.
    let rule = sandbox.run(&["doc", "apg"]).with(0).stdout;
    assert!(rule.starts_with("std::rules::apg "), "{rule}");
    let twins =
        ["diffusers", "comfyui", "sd_cpp"].map(|tool| format!("std::dialects::{tool}::apg"));
    assert!(
        twins.iter().all(|twin| rule.contains(twin.as_str())),
        "{rule}"
    );
    // What only another tool has is found by its name.
    let mahiro = sandbox.run(&["doc", "mahiro"]).with(0).stdout;
    assert!(
        mahiro.starts_with("std::dialects::comfyui::mahiro "),
        "{mahiro}"
    );
}

#[test]
fn a_rule_by_its_path() {
    let sandbox = Sandbox::new();
    let short = sandbox.run(&["doc", "momentum"]).with(0).stdout;
    assert_eq!(
        sandbox.run(&["doc", "std::ops::momentum"]).with(0).stdout,
        short
    );
}

#[test]
fn a_misspelt_name_gets_a_suggestion() {
    Sandbox::new()
        .run(&["doc", "momentun"])
        .with(2)
        .says(&["'momentum'"]);
    Sandbox::new()
        .run(&["doc", "quux"])
        .with(2)
        .says(&["guidec doc lists"]);
}

#[test]
fn every_item_of_the_standard_library_has_a_page() {
    let sandbox = Sandbox::new();
    for (path, _) in guide_stdlib::files() {
        let name = path.trim_end_matches(".guide").replace('/', "::");
        let page = sandbox
            .run(&["doc", &format!("std::{name}")])
            .with(0)
            .stdout;
        assert!(page.contains(&format!("stdlib/{path}")), "{path}");
    }
}

/// `stdlib/reference` is what `guidec doc --out` writes there; `UPDATE=1` writes it again.
#[test]
fn the_reference_is_up_to_date() {
    let reference = PathBuf::from(project("stdlib/reference"));
    let sandbox = Sandbox::new();
    copy_pictures(&reference.join("pictures"), &sandbox.path("out/pictures"));
    sandbox.run(&["doc", "--out", "out"]).with(0);
    for (path, text) in pages(&sandbox.path("out")) {
        let kept = reference.join(&path);
        if std::env::var_os("UPDATE").is_some() {
            fs::create_dir_all(kept.parent().expect("a folder")).expect("a folder");
            fs::write(&kept, &text).expect("a page written");
        }
        let kept = fs::read_to_string(&kept).unwrap_or_default();
        assert!(
            kept == text,
            "{} is old: run this test with UPDATE=1",
            path.display()
        );
    }
    let (made, kept) = (pages(&sandbox.path("out")).len(), pages(&reference).len());
    assert_eq!(made, kept, "a page in stdlib/reference is of nothing");
}

/// What needs no more than the embedded model and its layers has a picture of it.
#[test]
fn every_rule_that_runs_as_it_is_has_a_picture() {
    let rules = PathBuf::from(project("stdlib/reference/rules"));
    for (path, text) in pages(&rules) {
        let needs = text.split("**Needs**: ").nth(1).expect("what it needs");
        let needs = needs.lines().next().expect("a line");
        let bare = ["nothing", "null condition", "layers"];
        if bare.iter().any(|what| needs.starts_with(what)) && !needs.contains(", ") {
            assert!(
                text.contains("!["),
                "{} has no picture; run stdlib/reference/make.sh",
                path.display()
            );
        }
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_said() {
    let sandbox = Sandbox::new().with("taken", "a file");
    sandbox
        .run(&["doc", "--out", "taken"])
        .with(3)
        .says(&["taken", "cannot be written"]);
    sandbox.run(&["doc", "apg", "--out", "pages"]).with(2);
}

/// All Markdown below a folder, by its path there.
fn pages(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for entry in walk(folder) {
        if entry.extension().is_some_and(|kind| kind == "md") {
            let path = entry.strip_prefix(folder).expect("a path below").to_owned();
            found.insert(path, fs::read_to_string(&entry).expect("a page"));
        }
    }
    found
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let below = paths.map(|path| {
        if path.is_dir() {
            walk(&path)
        } else {
            vec![path]
        }
    });
    below.flatten().collect()
}

fn copy_pictures(from: &Path, to: &Path) {
    for file in walk(from) {
        let place = to.join(file.strip_prefix(from).expect("a path below"));
        fs::create_dir_all(place.parent().expect("a folder")).expect("a folder");
        fs::copy(&file, &place).expect("a copy");
    }
}
