//! Runs that start from a picture, and how large pictures are made.

use crate::sandbox::{CFG, Sandbox};

const RUN: &[&str] = &["run", "a.guide", "--prompt", "strawberry", "--steps", "4"];

fn run<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [RUN, more].concat()
}

/// A picture that no model made: blue, with a yellow corner.
fn drawn(width: u32, height: u32) -> image::RgbImage {
    image::RgbImage::from_fn(width, height, |x, y| {
        if 2 * x < width && 2 * y < height {
            image::Rgb([230, 220, 40])
        } else {
            image::Rgb([30, 60, 200])
        }
    })
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new().with("a.guide", CFG);
    for (name, sides) in [("drawn.png", (64, 64)), ("wide.jpg", (200, 90))] {
        let picture = drawn(sides.0, sides.1);
        picture.save(sandbox.path(name)).expect("a picture");
    }
    sandbox
}

fn pixels(sandbox: &Sandbox, name: &str) -> Vec<f64> {
    let picture = image::open(sandbox.path(name)).expect("a picture");
    picture.to_rgb8().iter().map(|v| f64::from(*v)).collect()
}

fn mean_difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f64>() / a.len() as f64
}

/// The fewer of the last steps are taken, the nearer the picture stays.
#[test]
fn a_picture_to_start_from() {
    let sandbox = sandbox();
    let start = pixels(&sandbox, "drawn.png");
    let mut differences = Vec::new();
    for (strength, evaluations) in [("0.25", 2), ("0.5", 4), ("1", 8)] {
        let args = [
            "--init-image",
            "drawn.png",
            "--strength",
            strength,
            "--out",
            "b.png",
        ];
        let ended = sandbox.run(&run(&args)).with(0);
        ended.says(&[&format!("{evaluations} evaluations")]);
        differences.push(mean_difference(&start, &pixels(&sandbox, "b.png")));
    }
    assert!(differences.is_sorted(), "{differences:?}");
    assert!(differences[0] < 30.0, "{differences:?}");
    assert!(differences[2] > 2.0 * differences[0], "{differences:?}");
    let record = guide_runtime::image::read_record(&sandbox.path("b.png")).expect("a picture");
    let record: serde_json::Value = serde_json::from_str(&record.expect("a record")).expect("JSON");
    assert_eq!(record["init_image"], "drawn.png");
    assert_eq!(
        (&record["steps"], &record["skipped_steps"]),
        (&4.into(), &0.into())
    );

    // Another size and format, in a batch: each picture from its own seed.
    let args = ["--init-image", "wide.jpg", "--batch", "2", "--out", "two"];
    sandbox.run(&run(&args)).with(0).says(&["12 evaluations"]);
    let (a, b) = (
        pixels(&sandbox, "two/cfg-strawberry-seeds0-1/seed0.png"),
        pixels(&sandbox, "two/cfg-strawberry-seeds0-1/seed1.png"),
    );
    assert!(mean_difference(&a, &b) > 0.5);
    let args = [
        "--init-image",
        "wide.jpg",
        "--seed",
        "1",
        "--out",
        "one.png",
    ];
    sandbox.run(&run(&args)).with(0);
    assert_eq!(pixels(&sandbox, "one.png"), b);
}

#[test]
fn the_plan_says_which_steps_are_taken() {
    let sandbox = sandbox();
    let plan = |more: &[&str]| sandbox.run(&[&["plan", "a.guide", "--steps", "20"], more].concat());
    let text = plan(&["--strength", "0.8"]).with(0).stdout;
    assert!(
        text.starts_with("plan cfg (a.guide) for pocket, ddim, the last 16 of 20 steps\n"),
        "{text}"
    );
    assert!(text.contains("\ncost  32 evaluations, exact;"), "{text}");
    let saved = plan(&["--strength", "0.5", "--negative", "", "--format", "json"])
        .with(0)
        .stdout;
    let sandbox = sandbox.with("plan.json", saved);
    let args = [
        "run",
        "plan.json",
        "--prompt",
        "strawberry",
        "--out",
        "c.png",
    ];
    sandbox.refused(&args, 1, "G0807").says(&["--init-image"]);
    let with = [&args[..], &["--init-image", "drawn.png"]].concat();
    sandbox.run(&with).with(0).says(&["20 evaluations"]);
    let again = [&with[..], &["--strength", "0.4"]].concat();
    sandbox.run(&again).with(2).says(&["--strength"]);
}

#[test]
fn starts_that_are_not_possible() {
    let sandbox = sandbox();
    let image = |more: &[&'static str]| run(&[&["--init-image", "drawn.png"], more].concat());
    sandbox
        .refused(&image(&["--strength", "0.2"]), 1, "G0608")
        .says(&["a strength of 0.2 leaves none of 4 steps", "--strength"]);
    for strength in ["-0.1", "1.5", "NaN", "much"] {
        let more = ["--init-image", "drawn.png", "--strength", strength];
        sandbox.run(&run(&more)).with(2);
    }
    sandbox
        .run(&run(&["--strength", "0.5"]))
        .with(2)
        .says(&["--init-image"]);
    sandbox
        .run(&image(&["--init-latents", "drawn.png"]))
        .with(2);
    let missing = run(&["--init-image", "nothing.png"]);
    sandbox.refused(&missing, 3, "G0214").says(&["nothing.png"]);
    let text = run(&["--init-image", "a.guide"]);
    sandbox.refused(&text, 1, "G0708").says(&["PNG or JPEG"]);
}

#[test]
fn tiles_make_the_same_picture_of_small_latents() {
    let sandbox = sandbox();
    for tiling in ["auto", "on", "off"] {
        let name = format!("{tiling}.png");
        sandbox
            .run(&run(&["--vae-tiling", tiling, "--out", &name]))
            .with(0);
        assert_eq!(pixels(&sandbox, &name), pixels(&sandbox, "auto.png"));
    }
    sandbox.run(&run(&["--vae-tiling", "maybe"])).with(2);
}

/// A CPU computes in f32, whatever is asked for.
#[test]
fn sixteen_bits_on_a_cpu() {
    let sandbox = sandbox();
    for dtype in ["f32", "f16", "bf16"] {
        let name = format!("{dtype}.png");
        sandbox
            .run(&run(&["--dtype", dtype, "--out", &name]))
            .with(0);
        assert_eq!(pixels(&sandbox, &name), pixels(&sandbox, "f32.png"));
    }
}

#[test]
fn sizes_that_are_too_small_too_large_or_do_not_divide() {
    let sandbox = sandbox();
    for (size, said) in [
        ("8x64", "no side may be shorter than 16"),
        ("64x8196", "no side may be longer than 8192"),
        ("66x64", "each side must be a multiple of 4"),
    ] {
        sandbox
            .refused(&run(&["--size", size]), 1, "G0711")
            .says(&[said, "--size"]);
    }
}
