//! `guidec fmt`

use crate::sandbox::{CFG, Sandbox};

const UGLY: &str = "guide   cfg( scale:Scalar=7.5 ){\n  // The two.\n  let c=predict(cond)
  let u = predict( uncond )\n  u+scale*(c-u)\n}";

#[test]
fn formats_in_place_and_keeps_comments() {
    let sandbox = Sandbox::new().with("a.guide", UGLY);
    let ended = sandbox.run(&["fmt", "a.guide"]).with(0);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""));
    let text = sandbox.read("a.guide");
    assert_eq!(text.replace("    // The two.\n", ""), CFG);
    assert!(text.contains("// The two."));
    assert_eq!(sandbox.names("."), ["a.guide"], "nothing is left beside it");
}

#[test]
fn is_at_rest_after_one_turn() {
    let sandbox = Sandbox::new().with("a.guide", UGLY);
    sandbox.run(&["fmt", "a.guide"]).with(0);
    let once = sandbox.read("a.guide");
    sandbox.run(&["fmt", "--check", "a.guide"]).with(0);
    sandbox.run(&["fmt", "a.guide"]).with(0);
    assert_eq!(sandbox.read("a.guide"), once);
}

#[test]
fn check_writes_nothing_and_lists_files() {
    let sandbox = Sandbox::new().with("a.guide", UGLY).with("b.guide", CFG);
    let ended = sandbox
        .run(&["fmt", "--check", "a.guide", "b.guide"])
        .with(1);
    assert_eq!(ended.stdout, "a.guide\n");
    assert_eq!(sandbox.read("a.guide"), UGLY);
}

#[test]
fn formats_the_standard_input() {
    let ended = Sandbox::new().run_with_input(&["fmt", "-"], UGLY).with(0);
    assert!(
        ended
            .stdout
            .starts_with("guide cfg(scale: Scalar = 7.5) {\n")
    );
}

#[test]
fn one_bad_file_keeps_the_others_from_nothing() {
    let sandbox = Sandbox::new()
        .with("a.guide", "guide a( {")
        .with("b.guide", UGLY);
    sandbox
        .run(&["fmt", "a.guide", "b.guide"])
        .with(1)
        .says(&["a.guide"]);
    assert_eq!(sandbox.read("a.guide"), "guide a( {");
    assert_ne!(sandbox.read("b.guide"), UGLY);
}

#[test]
fn a_file_that_is_not_there_is_the_machines_fault() {
    Sandbox::new()
        .run(&["fmt", "absent.guide"])
        .with(3)
        .says(&["G0214", "`absent.guide`"]);
}

#[test]
fn the_standard_library_cannot_be_written() {
    Sandbox::new().run(&["fmt", "std::rules::cfg"]).with(2);
}

#[test]
#[cfg(unix)]
fn permissions_and_links_are_kept() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let sandbox = Sandbox::new().with("real.guide", UGLY);
    let mode = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(sandbox.path("real.guide"), mode).expect("the mode is set");
    symlink(sandbox.path("real.guide"), sandbox.path("link.guide")).expect("a link");
    sandbox.run(&["fmt", "link.guide"]).with(0);
    let about = std::fs::symlink_metadata(sandbox.path("link.guide")).expect("the link");
    assert!(about.is_symlink());
    let about = std::fs::metadata(sandbox.path("real.guide")).expect("the file");
    assert_eq!(about.permissions().mode() & 0o777, 0o640);
    assert_ne!(sandbox.read("real.guide"), UGLY);
}
