//! `guidec explain`

use guide_compiler::diagnostics::Code;

use crate::sandbox::Sandbox;

#[test]
fn a_page() {
    let page = Sandbox::new().run(&["explain", "G0401"]).with(0).stdout;
    assert!(
        page.contains("G0401") && page.contains("```guide"),
        "{page}"
    );
    assert_eq!(
        Sandbox::new().run(&["explain", "g0401"]).with(0).stdout,
        page
    );
}

#[test]
fn all_codes_in_a_list() {
    let list = Sandbox::new().run(&["explain"]).with(0).stdout;
    let codes = list.lines().filter(|line| line.starts_with("G0"));
    assert_eq!(codes.count(), Code::ALL.len());
    assert!(list.contains("time travel"));
}

#[test]
fn an_unknown_code_is_bad_usage() {
    Sandbox::new()
        .run(&["explain", "G9999"])
        .with(2)
        .says(&["G9999"]);
    Sandbox::new().run(&["explain", "weights"]).with(2);
}
