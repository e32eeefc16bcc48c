//! `guidec invert`: from a picture to the noise that makes it, and back.

use crate::sandbox::Sandbox;

/// A picture that the embedded model made.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let made = [
        "run",
        "std::rules::cfg",
        "--set",
        "scale=2",
        "--prompt",
        "red apple",
        "--steps",
        "20",
        "--seed",
        "3",
        "--quiet",
        "--out",
        "apple.png",
    ];
    sandbox.run(&made).with(0);
    sandbox
}

fn inverted(sandbox: &Sandbox, steps: &str, more: &[&str]) -> serde_json::Value {
    let args = [
        "invert",
        "apple.png",
        "--prompt",
        "red apple",
        "--steps",
        steps,
        "--format",
        "json",
        "--quiet",
    ];
    let ended = sandbox.run(&[&args, more].concat()).with(0);
    serde_json::from_str(&ended.stdout).expect("an object")
}

fn number(report: &serde_json::Value, name: &str) -> f64 {
    report[name].as_f64().expect("a number")
}

#[test]
fn a_picture_comes_back_and_the_file_starts_a_run() {
    let sandbox = sandbox();
    let plain = inverted(
        &sandbox,
        "20",
        &["--out", "plain.safetensors", "--picture", "back.png"],
    );
    assert!(number(&plain, "latents") < 0.15, "{plain}");
    // More steps come nearer.
    let more = inverted(&sandbox, "60", &["--out", "more.safetensors"]);
    assert!(
        number(&more, "latents") < number(&plain, "latents"),
        "{more}"
    );
    let rule = |rule: &str, set: &str| {
        let file = format!("{}.safetensors", rule.replace("::", "-"));
        inverted(&sandbox, "20", &[rule, "--set", set, "--out", &file])
    };
    let guided = [
        ("std::rules::cfg", "scale=2"),
        ("std::rules::cfg_plus_plus", "lambda=0.2"),
    ];
    for (name, set) in guided {
        let found = rule(name, set);
        assert!(number(&found, "latents") < 0.15, "{found}");
    }
    // The file is where a run begins: it makes the picture of the round trip, to the byte.
    let again = [
        "run",
        "std::rules::cfg",
        "--set",
        "scale=1",
        "--prompt",
        "red apple",
        "--steps",
        "20",
        "--sampler",
        "ddim",
        "--init-latents",
        "plain.safetensors",
        "--quiet",
        "--out",
        "again.png",
    ];
    sandbox.run(&again).with(0);
    let pixels = |name: &str| {
        image::open(sandbox.path(name))
            .expect("a picture")
            .to_rgb8()
    };
    assert_eq!(pixels("back.png"), pixels("again.png"));
}

#[test]
fn what_cannot_be_walked_backwards_is_refused() {
    let sandbox = sandbox();
    let refused = |more: &[&str], code: i32, text: &str| {
        let args = [&["invert", "apple.png", "--out", "z.safetensors"], more].concat();
        sandbox.run(&args).with(code).says(&[text]);
        assert!(!sandbox.path("z.safetensors").exists());
    };
    refused(
        &["--sampler", "euler"],
        2,
        "only ddim can be walked backwards",
    );
    refused(&["--eta", "0.5"], 2, "--eta is not for an inversion");
    refused(
        &["--strength", "0.5"],
        2,
        "--strength is not for an inversion",
    );
    refused(&["--picture", "no/such/../../apple.png/x.png"], 3, "G0803");
    let missing = ["invert", "none.png", "--out", "z.safetensors"];
    sandbox.run(&missing).with(3).says(&["none.png"]);
}
