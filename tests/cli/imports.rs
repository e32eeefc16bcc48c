//! What a guide may use from disk.

use crate::sandbox::{CFG, Sandbox};

const USER: &str = "use \"part.guide\"::cfg\nguide mine() { cfg(scale: 2) }\n";

#[test]
fn a_file_beside_the_root_is_found_from_anywhere() {
    let sandbox = Sandbox::new()
        .with("rules/mine.guide", USER)
        .with("rules/part.guide", CFG);
    sandbox.run(&["check", "rules/mine.guide"]).with(0);
}

#[test]
fn a_missing_file_is_named() {
    let sandbox = Sandbox::new().with("mine.guide", USER);
    sandbox
        .run(&["check", "mine.guide"])
        .with(1)
        .says(&["G0202", "part.guide"]);
}

#[test]
fn nothing_outside_the_roots_folder_is_read() {
    let sandbox = Sandbox::new().with("part.guide", CFG).with(
        "rules/mine.guide",
        USER.replace("part.guide", "../part.guide"),
    );
    sandbox
        .run(&["check", "rules/mine.guide"])
        .with(1)
        .says(&["G0204", "part.guide"]);
    sandbox
        .run(&["check", "rules/mine.guide", "--allow-path", "."])
        .with(0);
    let absolute = USER.replace("part.guide", &sandbox.path("part.guide").to_string_lossy());
    let sandbox = sandbox.with("rules/mine.guide", absolute);
    sandbox
        .run(&["check", "rules/mine.guide"])
        .with(1)
        .says(&["G0204"]);
}

#[test]
fn what_lies_outside_is_not_even_looked_for() {
    let sandbox = Sandbox::new().with(
        "rules/mine.guide",
        USER.replace("part.guide", "../absent.guide"),
    );
    sandbox
        .run(&["check", "rules/mine.guide"])
        .with(1)
        .says(&["G0204"]);
}

#[test]
#[cfg(unix)]
fn a_link_out_of_the_folder_leads_nowhere() {
    let sandbox = Sandbox::new()
        .with("part.guide", CFG)
        .with("rules/mine.guide", USER);
    let link =
        std::os::unix::fs::symlink(sandbox.path("part.guide"), sandbox.path("rules/part.guide"));
    link.expect("a link");
    sandbox
        .run(&["check", "rules/mine.guide"])
        .with(1)
        .says(&["G0204"]);
    sandbox
        .run(&["check", "rules/mine.guide", "--allow-path", "."])
        .with(0);
}

#[test]
fn files_that_use_each_other_are_an_error() {
    let sandbox = Sandbox::new()
        .with("a.guide", "use \"b.guide\"::b\nguide a() { b() }\n")
        .with("b.guide", "use \"a.guide\"::a\nguide b() { a() }\n");
    sandbox.run(&["check", "a.guide"]).with(1).says(&["G0203"]);
}

#[test]
fn one_file_under_two_names_is_one_module() {
    let sandbox = Sandbox::new()
        .with(
            "a.guide",
            "use \"b.guide\"::b\nuse \"./x/../b.guide\" as also\nguide a() { b() }\n",
        )
        .with("b.guide", "guide b() { predict(cond) }\n");
    sandbox.run(&["check", "a.guide"]).with(0);
}
