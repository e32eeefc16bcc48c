//! Rules that are right, asked for what cannot be: by the model, by a parameter, by what is bound.
//! Each has one diagnostic, before anything is evaluated.

use crate::sandbox::{Ended, Sandbox, project};

/// Plans a rule of the library in a way that is refused with that code.
#[track_caller]
fn refused(rule: &str, args: &[&str], code: &str) -> Ended {
    let rule = format!("std::rules::{rule}");
    let sandbox = Sandbox::new()
        .with("one.csv", "1\n")
        .with("words.csv", "1\nmany\n");
    sandbox.refused(&[&["plan", &rule, "--steps", "4"], args].concat(), 1, code)
}

#[test]
fn a_flow_rule_on_a_model_that_predicts_the_noise() {
    let ended = refused("rectified_cfg_pp", &[], "G0611");
    ended.says(&["`pocket`", "x + (sigma_next - sigma) / 2 * c", "--model"]);
    // Without guidance nothing is asked elsewhere.
    let args = ["plan", "std::rules::rectified_cfg_pp", "--set", "lambda=0"];
    Sandbox::new().run(&args).with(0);
}

#[test]
fn a_quantile_outside_of_0_to_1() {
    for (rule, level) in [
        ("dynamic_threshold", "2"),
        ("dynamic_threshold", "-0.1"),
        ("mimic", "1.5"),
        ("mimic", "inf"),
    ] {
        let set = format!("percentile={level}");
        let ended = refused(rule, &["--set", &set], "G0610");
        ended.says(&[&format!("is {level}, outside 0..=1"), "0.995"]);
    }
    let text = "guide g() {\n    let g = x0(predict(cond))\n    prediction(clip(g, -1, quantile(g, 0.9 + progress)))\n}\n";
    let ended = Sandbox::new().with("g.guide", text).refused(
        &["plan", "g.guide", "--steps", "4"],
        1,
        "G0610",
    );
    ended.says(&["is 1.15 in step 1, outside 0..=1"]);
}

#[test]
fn more_levels_than_the_latent_has_room_for() {
    for levels in ["5", "9", "40"] {
        let set = format!("levels={levels}");
        let ended = refused("frequency_decoupled", &["--set", &set], "G0610");
        ended.says(&[&format!("{levels} levels"), "16x16", "use at most 4"]);
    }
    let args = [
        "plan",
        "std::rules::frequency_decoupled",
        "--set",
        "levels=4",
    ];
    Sandbox::new().run(&args).with(0);
    // The size of the pictures counts, not that of the model.
    let large = ["--size", "256x128", "--steps", "1"];
    let set = [
        "run",
        "std::rules::frequency_decoupled",
        "--set",
        "levels=5",
    ];
    let sandbox = Sandbox::new();
    sandbox.run(&[&set[..], &large].concat()).with(0);
    let small = ["--size", "32x32", "--steps", "1"];
    let set = [
        "run",
        "std::rules::frequency_decoupled",
        "--set",
        "levels=4",
    ];
    let ended = Sandbox::new().refused(&[&set[..], &small].concat(), 1, "G0610");
    ended.says(&["8x8", "use at most 3"]);
    refused("frequency_decoupled", &["--set", "levels=2.5"], "G0507").says(&["2.5"]);
}

#[test]
fn strengths_out_of_range() {
    for cutoff in ["3", "-1"] {
        let set = format!("cutoff={cutoff}");
        let ended = refused("frequency_band", &["--set", &set], "G0610");
        ended.says(&[&format!("the factor of `resample` is {cutoff}")]);
    }
    let ended = refused("seg", &["--set", "sigma=-1"], "G0610");
    ended.says(&["the `sigma` of `blur_attention` is -1"]);
}

/// A guide that returns one prediction with this change inside.
fn changed(with: &str) -> Sandbox {
    let text =
        format!("input style: Prompt\n\nguide c() {{\n    predict(cond, with: {with})\n}}\n");
    Sandbox::new().with("c.guide", text)
}

/// What is handed to a rule changes the network for all of its predictions, before their own changes.
#[test]
fn a_rule_on_a_changed_network() {
    let text = "use std::rules::cfg_pag\n\nfn free(inner: Guide) -> Outcome {\n    \
        inner(with: scale_skips(1.2))\n}\n\nguide g() {\n    free(cfg_pag(scale: 3))\n}\n";
    let sandbox = Sandbox::new().with("g.guide", text);
    let plan = sandbox.run(&["plan", "g.guide"]).with(0).stdout;
    for label in [
        "cond~scale_skips(1.2)",
        "uncond~scale_skips(1.2)",
        "cond~scale_skips(1.2)~identity_attention(mid)",
    ] {
        assert!(plan.contains(label), "{label}: {plan}");
    }
    assert!(!plan.contains("[cond]"), "{plan}");
    let sandbox = Sandbox::new().with("g.guide", text.replace("scale_skips(1.2)", "3"));
    let ended = sandbox.refused(&["check", "g.guide"], 1, "G0301");
    ended.says(&["an intervention is needed, and this is a scalar"]);
}

/// What changes over the run is one prediction, whose strengths the plan lists.
#[test]
fn a_strength_that_changes_over_the_run() {
    let sandbox = changed("steer_away(negative, 0.5 * progress)");
    let plan = sandbox.run(&["plan", "c.guide", "--steps", "4"]).with(0);
    let lines: Vec<&str> = plan.stdout.lines().map(str::trim).collect();
    assert!(lines.contains(&"steps 0..4"), "{lines:?}");
    let label = "[cond~steer_away(uncond, 0.5*progress)]";
    assert!(lines.contains(&label), "{lines:?}");
    assert!(
        lines.contains(&"0.5*progress  0, 0.125 … 0.375"),
        "{lines:?}"
    );
    let made = ["run", "c.guide", "--prompt", "apple", "--steps", "2"];
    sandbox.run(&made).with(0);
}

#[test]
fn interventions_that_cannot_be() {
    for (with, code, words) in [
        (
            "negative_attention(negative, tau: -1)",
            "G0610",
            "the `tau` of `negative_attention` is -1",
        ),
        (
            "negative_attention(negative, mix: 1.5)",
            "G0610",
            "the `mix` of `negative_attention` is 1.5",
        ),
        (
            "steer_away(null, inf)",
            "G0610",
            "the `scale` of `steer_away` is inf",
        ),
        (
            "blur_attention(mid, 0)",
            "G0610",
            "the `sigma` of `blur_attention` is 0",
        ),
        (
            "steer_away(null, layers: self)",
            "G0607",
            "the layers `self` hold no cross-attention, which `steer_away` works",
        ),
        (
            "identity_attention(mid - self)",
            "G0607",
            "name layers with one, such as `\"down.0.attn.0.self\"`",
        ),
        (
            "skip_layers(mid - mid)",
            "G0607",
            "the layers `mid - mid` are none",
        ),
        (
            "steer_away(unrelated(cond))",
            "G0502",
            "`from` must be a condition that all samples share",
        ),
        ("steer_away(\"fog\")", "G0301", "write `prompt(\"fog\")`"),
        (
            "negative_attention(null, norm: \"l3\")",
            "G0301",
            "`\"l3\"` is none of `\"l1\"`, `\"l2\"`",
        ),
        ("steer_away()", "G0209", "`steer_away` needs `from`"),
        (
            "steer_away(null, 2 / (progress - 0.5))",
            "G0610",
            "the `scale` of `steer_away` is inf in step 10",
        ),
        ("scale_features(1.2)", "G0201", "write `scale_skips`"),
        ("push_apart(image)", "G0301", "`from` must be a prediction"),
        (
            "mask_attention(\"\", alpha > 0)",
            "G0301",
            "no words are no tokens",
        ),
        (
            "bias_attention(\"fox\", 0.5)",
            "G0301",
            "`region` is a map, a number for each place",
        ),
        (
            "sparse_attention(alpha: 1)",
            "G0610",
            "the `alpha` of `sparse_attention` is 1",
        ),
        (
            "mask_attention(\"fox\", attention(predict(null), mid) > 1, layers: self)",
            "G0607",
            "the layers `self` hold no cross-attention, which `mask_attention`",
        ),
        (
            "identity_attention(\"up.1.atn\")",
            "G0607",
            "write `\"up.1.attn",
        ),
        (
            "skip_layers([7, 8])",
            "G0607",
            "name layers that it has: `down`, `mid`, `up`",
        ),
    ] {
        let ended = changed(with).refused(&["plan", "c.guide"], 1, code);
        ended.says(&[words]);
    }
    let sandbox = changed("[steer_away(style, 0.3), negative_attention(prompt(\"fog\"))]");
    let label = "cond~steer_away(style, 0.3)~negative_attention(\"fog\")";
    let plan = sandbox.run(&["plan", "c.guide"]).with(0).stdout;
    assert!(plan.contains(label), "{plan}");
    let args = ["run", "c.guide", "--prompt", "apple", "--steps", "1"];
    let ended = sandbox.refused(&args, 1, "G0707");
    ended.says(&["`style` (a `Prompt`)", "--bind style=TEXT"]);
    sandbox
        .run(&[&args[..], &["--bind", "style=leaf"]].concat())
        .with(0);
}

#[test]
fn a_list_without_prompts() {
    let ended = refused("composed", &["--bind", "weights=one.csv"], "G0707");
    ended.says(&["`prompts`", "--bind prompts=TEXT"]);
}

#[test]
fn a_table_with_too_few_rows() {
    let two = ["--bind", "prompts=red", "--bind", "prompts=round"];
    let args = [&two[..], &["--bind", "weights=one.csv"]].concat();
    let ended = refused("composed", &args, "G0708");
    ended.says(&["`weights` has 1 row, and row 1 is asked for"]);
}

#[test]
fn a_table_with_more_rows_than_prompts_is_warned_of() {
    let sandbox = Sandbox::new().with("three.csv", "1\n2\n0\n");
    let prompts = ["--bind", "prompts=red", "--bind", "prompts=round"];
    let plan = [
        "plan",
        "std::rules::composed",
        "--bind",
        "weights=three.csv",
    ];
    let ended = sandbox.run(&[&plan[..], &prompts].concat()).with(0);
    ended.says(&[
        "G0613",
        "`weights` has 3 rows, and only the first 2 are read",
    ]);
    let third = ["--bind", "prompts=old"];
    let ended = sandbox.run(&[&plan[..], &prompts, &third].concat()).with(0);
    assert_eq!(ended.stderr, "");
}

/// A scale for each step.
const PACE: &str = "\
input scales: Table

guide pace() {
    let u = predict(uncond)
    u + scales[step] * (predict(cond) - u)
}
";

#[test]
fn a_table_that_is_read_by_step() {
    let sandbox = Sandbox::new()
        .with("pace.guide", PACE)
        .with("three.csv", "1\n2\n0\n");
    let plan = |steps: &str, bind: &[&str]| {
        [&["plan", "pace.guide", "--steps", steps], bind]
            .concat()
            .iter()
            .map(|arg| (*arg).to_owned())
            .collect::<Vec<String>>()
    };
    let refused = |steps: &str, bind: &[&str], code: &str| {
        let args = plan(steps, bind);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        sandbox.refused(&args, 1, code)
    };
    let bound = ["--bind", "scales=three.csv"];
    refused("4", &bound, "G0708").says(&["3 rows, and row 3 is asked for in step 3", "4 steps"]);

    let args = plan("3", &bound);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let shown = sandbox.run(&args).with(0).stdout;
    assert!(shown.contains("scales[step]"), "{shown}");
    // Without the table the plan can be made, and stands for any of the right length.
    sandbox.run(&["plan", "pace.guide", "--steps", "4"]).with(0);
}

#[test]
fn weights_that_sum_to_nothing() {
    let mean = "guide mean(a: Scalar = 2, b: Scalar = 1) {\n    (a * predict(cond) + b * predict(uncond)) / (a + b)\n}\n";
    let shares = "guide shares(a: Scalar = 2, b: Scalar = 1) {\n    a / (a + b) * predict(cond) + b / (a + b) * predict(uncond)\n}\n";
    let sandbox = Sandbox::new()
        .with("mean.guide", mean)
        .with("shares.guide", shares);
    for file in ["mean.guide", "shares.guide"] {
        sandbox.run(&["check", file]).with(0);
        let ended = sandbox.refused(&["plan", file, "--set", "b=-2"], 1, "G0612");
        ended.says(&["in step 0", "choose weights whose sum is not 0"]);
    }
    // Where the sum is 0 whatever the parameters are, the file is wrong.
    let text = "guide d(w: Scalar = 2) { w * (predict(cond) - predict(uncond)) }\n";
    let sandbox = Sandbox::new().with("d.guide", text);
    sandbox
        .refused(&["check", "d.guide"], 1, "G0401")
        .says(&["add up to `0`"]);
}

#[test]
fn a_weak_model_that_is_nowhere() {
    let model = project("tests/oracle/models/tiny-sd15");
    let args = [
        "run",
        "std::rules::autoguidance",
        "--model",
        &model,
        "--prompt",
        "apple",
    ];
    let ended = Sandbox::new().refused(&args, 1, "G0707");
    ended.says(&["`weak`", "--bind weak=DIR"]);
}

#[test]
fn a_mask_that_is_not_there() {
    let text = "input region: Mask\nguide m() {\n    let u = predict(uncond)\n    u + 3 * region * (predict(cond) - u)\n}\n";
    let sandbox = Sandbox::new().with("m.guide", text);
    let ended = sandbox.refused(&["run", "m.guide", "--prompt", "apple"], 1, "G0707");
    ended.says(&["`region` (a `Mask`)", "--bind region=FILE"]);
}

#[test]
fn a_loss() {
    let text = "loss close(sees: image)\nguide c() {\n    let p = predict(uncond)\n    p + value(close, decode(x0(p))) * (p - predict(null))\n}\n";
    let sandbox = Sandbox::new().with("c.guide", text);
    sandbox.run(&["check", "c.guide"]).with(0);
    let plan = sandbox.run(&["plan", "c.guide"]).with(0).stdout;
    assert!(plan.contains("loss close"), "{plan}");
    let run = ["run", "c.guide", "--prompt", "apple", "--negative", "leaf"];
    let ended = sandbox.refused(&run, 1, "G0707");
    ended.says(&["`close`", "--bind close="]);
}

#[test]
fn a_recording_without_the_null_condition() {
    let recording = project("tests/oracle/rules/recordings/v_flow.safetensors");
    let args = [
        "eval",
        "std::rules::pag",
        "--recording",
        &recording,
        "--out",
        "out.safetensors",
    ];
    let ended = Sandbox::new().refused(&args, 1, "G0801");
    ended.says(&["`cond~identity_attention(mid)`"]);
}

#[test]
fn words_that_are_looked_at_stand_in_the_prompt() {
    let looking = "guide looking() {\n    let c = predict(cond)\n    let u = predict(uncond)\n    let seen = attention(c, up, of: cross, tokens: \"pear\")\n    u + where(seen > mean(seen), 7, 3) * (c - u)\n}\n";
    let sandbox = Sandbox::new().with("looking.guide", looking);
    let run = |prompt: &str| {
        sandbox.run(&[
            "run",
            "looking.guide",
            "--steps",
            "2",
            "--prompt",
            prompt,
            "--out",
            "a.png",
        ])
    };
    run("green pear").with(0);
    let ended = run("red apple").with(1);
    ended.says(&[
        "G0708",
        "`pear` is looked at, and the text `red apple` does not hold it",
    ]);
    // A network that answers without a text looks at no word of it.
    let nothing = looking.replace("attention(c,", "attention(u,");
    let sandbox = Sandbox::new().with("looking.guide", nothing);
    let args = ["run", "looking.guide", "--prompt", "pear", "--out", "a.png"];
    sandbox.refused(&args, 1, "G0708");
}
