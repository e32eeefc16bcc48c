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

/// Where something stands on the white ground.
fn foreground(sandbox: &Sandbox, name: &str) -> Vec<bool> {
    let picture = image::open(sandbox.path(name))
        .expect("a picture")
        .to_rgb8();
    let stands = |pixel: &image::Rgb<u8>| pixel.0.iter().any(|level| *level < 200);
    picture.pixels().map(stands).collect()
}

/// The share of what two pictures cover that both do.
fn overlap(a: &[bool], b: &[bool]) -> f64 {
    let pairs = a.iter().zip(b);
    let both = pairs.clone().filter(|(a, b)| **a && **b).count();
    let either = pairs.filter(|(a, b)| **a || **b).count();
    both as f64 / either.max(1) as f64
}

/// How much greener than red the foreground is, in levels.
fn greener(sandbox: &Sandbox, name: &str) -> f64 {
    let picture = image::open(sandbox.path(name))
        .expect("a picture")
        .to_rgb8();
    let stands = foreground(sandbox, name);
    let pixels = picture.pixels().zip(&stands).filter(|(_, stands)| **stands);
    let levels: Vec<f64> = pixels
        .map(|(pixel, _)| f64::from(pixel.0[1]) - f64::from(pixel.0[0]))
        .collect();
    levels.iter().sum::<f64>() / levels.len().max(1) as f64
}

#[test]
fn another_picture_takes_the_place_of_the_source() {
    let sandbox = sandbox();
    inverted(&sandbox, "20", &["--out", "way.safetensors"]);
    let run = |rule: &str, out: &str| {
        let args = [
            "run",
            rule,
            "--source",
            "way.safetensors",
            "--prompt",
            "green apple",
            "--quiet",
            "--out",
            out,
        ];
        sandbox.run(&args).with(0);
    };
    run("std::rules::inject", "green.png");
    let source = foreground(&sandbox, "apple.png");
    let kept = overlap(&source, &foreground(&sandbox, "green.png"));
    assert!(kept > 0.8, "{kept}");
    assert!(greener(&sandbox, "apple.png") < -40.0);
    assert!(greener(&sandbox, "green.png") > 20.0);
}

#[test]
fn a_way_of_other_steps_or_another_size_is_refused() {
    let sandbox = sandbox();
    inverted(&sandbox, "4", &["--out", "way.safetensors"]);
    let refused = |more: &[&str], code: i32, text: &str| {
        let args = [
            &["run", "std::rules::inject", "--prompt", "green apple"],
            more,
        ]
        .concat();
        sandbox.run(&args).with(code).says(&[text]);
    };
    let way = ["--source", "way.safetensors"];
    refused(
        &[&way[..], &["--steps", "5"]].concat(),
        2,
        "--source has 4 steps",
    );
    refused(
        &[&way[..], &["--sampler", "euler"]].concat(),
        2,
        "leave out --sampler",
    );
    refused(&[&way[..], &["--size", "128x128"]].concat(), 1, "G0708");
    refused(
        &["--bind", "source=way.safetensors"],
        1,
        "run with `--steps 4`",
    );
    refused(&["--source", "apple.png"], 1, "is no safetensors file");
    refused(&[], 1, "source");
}
