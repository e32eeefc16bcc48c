//! Models of several families, as a user runs them.

use crate::sandbox::{CFG, Ended, Sandbox, project};

const SDXL: &str = "tests/oracle/models/tiny-sdxl";

fn sandbox() -> Sandbox {
    Sandbox::new().with("a.guide", CFG)
}

fn run(sandbox: &Sandbox, model: &str, more: &[&str]) -> Ended {
    let model = project(model);
    let args = ["run", "a.guide", "--model", &model, "--steps", "1"];
    sandbox.run(&[&args[..], more].concat())
}

#[test]
fn sdxl_takes_a_second_prompt_and_the_size_and_cut_of_the_picture() {
    let sandbox = sandbox();
    let picture = |out: &str, more: &[&str]| {
        let args = [&["--prompt", "a robot", "--out", out][..], more].concat();
        run(&sandbox, SDXL, &args).with(0);
        std::fs::read(sandbox.path(out)).expect("a picture")
    };
    let plain = picture("plain.png", &[]);
    // What goes without saying changes nothing but what the picture says of itself.
    let said = [
        &["--prompt-2", "a robot", "--original-size", "128x128"][..],
        &["--crop", "0,0", "--target-size", "128x128"],
    ];
    let pixels = |name: &str| {
        image::open(sandbox.path(name))
            .expect("a picture")
            .to_rgb8()
    };
    picture("said.png", &said.concat());
    assert_eq!(pixels("said.png"), pixels("plain.png"));
    let record = guide_runtime::image::read_record(&sandbox.path("said.png")).expect("a picture");
    let record: serde_json::Value = serde_json::from_str(&record.expect("a record")).expect("JSON");
    assert_eq!(record["prompt_2"], "a robot");
    assert_eq!(record["crop"], serde_json::json!([0, 0]));
    for more in [
        &["--prompt-2", "mountains"][..],
        &["--original-size", "64x32"],
        &["--crop", "40,8"],
        &["--target-size", "256x64"],
    ] {
        assert_ne!(picture("other.png", more), plain, "{more:?}");
    }
}

#[test]
fn what_is_for_sdxl_is_refused_elsewhere() {
    let sandbox = sandbox();
    for more in [["--prompt-2", "b"], ["--crop", "1,2"]] {
        run(&sandbox, "tests/oracle/models/tiny-sd15", &more)
            .with(1)
            .says(&["G0708", "the model takes none", "SDXL"]);
    }
    run(&sandbox, SDXL, &["--crop", "1x2"])
        .with(2)
        .says(&["X,Y"]);
    run(&sandbox, SDXL, &["--negative-2", "b"]).with(2);
}
