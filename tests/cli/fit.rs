//! `guidec fit`

use crate::sandbox::Sandbox;

const SMALL: [&str; 11] = [
    "fit", "--steps", "5", "--start", "0.2", "--past", "1", "--seeds", "1", "--prompt", "panda",
];

#[test]
fn a_fit_is_a_guide_that_runs() {
    let sandbox = Sandbox::new();
    let more = [
        "--prompt",
        "lemon",
        "--out",
        "made/mine.guide",
        "--format",
        "json",
    ];
    let args = [&SMALL[..], &more].concat();
    let said: serde_json::Value =
        serde_json::from_str(&sandbox.run(&args).with(0).stdout).expect("an object");
    let steps = said["estimated"].as_array().expect("a list");
    assert_eq!(steps.len(), 2);
    for (step, at) in steps.iter().zip([2, 4]) {
        assert_eq!(step["step"], at);
        assert_eq!(step["factors"].as_array().expect("factors").len(), 3);
        let number = |name: &str| step[name].as_f64().expect("a number");
        assert!(number("error") < number("error_of_cond"), "{step}");
    }
    assert_eq!(said["evaluations"]["plain"], 10);
    assert_eq!(said["evaluations"]["fitted"], 8);
    assert_eq!(said["runs"], 2);
    let far: Vec<f64> = serde_json::from_value(said["distances"]["fitted"].clone()).expect("two");
    assert!(
        far.len() == 2 && far.iter().all(|d| *d > 0.0 && *d < 1.0),
        "{far:?}"
    );

    sandbox.run(&["fmt", "--check", "made/mine.guide"]).with(0);
    sandbox.run(&["check", "made/mine.guide"]).with(0).says(&[]);
    let plan = |steps: &str| {
        let args = [
            "plan",
            "made/mine.guide",
            "--steps",
            steps,
            "--negative",
            "",
        ];
        sandbox.run(&args).with(0).stdout
    };
    assert!(plan("5").contains("cost  8 evaluations, exact"));
    assert!(plan("6").contains("cost  12 evaluations, exact"));
    let run = [
        "run",
        "made/mine.guide",
        "--steps",
        "5",
        "--prompt",
        "lemon",
        "--out",
        "a.png",
    ];
    sandbox.run(&run).with(0).says(&["8 evaluations"]);
}

#[test]
fn the_rule_alone_asks_for_its_table() {
    let sandbox = Sandbox::new();
    let run = [
        "run",
        "std::rules::linear_adaptive",
        "--prompt",
        "panda",
        "--steps",
        "5",
    ];
    sandbox
        .run(&run)
        .with(1)
        .says(&["--bind coefficients=FILE"]);
    let sandbox = sandbox.with("short.csv", "1,0,0,0,0,0,0\n");
    let run = [&run[..5], &["10", "--bind", "coefficients=short.csv"]].concat();
    sandbox
        .run(&run)
        .with(1)
        .says(&["G0708", "row 1 is asked for in step 8"]);
}

#[test]
fn what_cannot_be_fitted_is_bad_usage() {
    let sandbox = Sandbox::new();
    let refused = |more: &[&str], why: &str| {
        let args = [&["fit", "--out", "f.guide"], more].concat();
        sandbox.run(&args).with(2).says(&[why]);
    };
    refused(&["--start", "1"], "--start is 1");
    refused(&["--start", "-0.5"], "--start");
    refused(&["--scale", "1"], "--scale");
    refused(&["--scale", "0"], "--scale");
    refused(&["--scale", "nan"], "--scale");
    refused(&["--past", "0"], "--past");
    refused(
        &["--steps", "4", "--start", "0.75"],
        "none would be estimated",
    );
    refused(&["--steps", "3", "--past", "3"], "none would be estimated");
    sandbox.run(&["fit"]).with(2).says(&["--out"]);
    sandbox
        .run(&["fit", "--out", "f.guide", "--sampler", "x"])
        .with(1)
        .says(&["G0609"]);
    sandbox
        .run(&["fit", "--out", "f.guide", "--steps", "0"])
        .with(1)
        .says(&["G0608"]);
    sandbox
        .run(&["fit", "--out", "."])
        .with(3)
        .says(&["G0803", "it is a folder"]);
    assert!(sandbox.names(".").iter().all(|name| name != "f.guide"));
}
