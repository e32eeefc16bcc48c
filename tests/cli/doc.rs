//! `guidec doc`

use crate::sandbox::Sandbox;

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
