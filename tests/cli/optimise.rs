//! `guidec optimise`: down the gradient of an objective.

use guide_compiler::plan::Shown;
use guide_runtime::device::Device;
use guide_runtime::image::read_picture;
use guide_runtime::models::embedded;
use guide_runtime::models::judge::{Judge, Sight};

use crate::sandbox::Sandbox;

const OBJECTIVE: &str = "objective pull(scale: Scalar = 7.5) {\n    let u = predict(uncond)\n    \
    let g = u + scale * (predict(cond) - u)\n    (1 - alpha * alpha) * (eps(g) - noise)\n}\n";

fn sandbox() -> Sandbox {
    Sandbox::new()
        .with("pull.guide", OBJECTIVE)
        .with("plain.guide", "guide plain() { predict(cond) }\n")
}

/// A run of a few turns, with more words.
fn short<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let args = ["optimise", "pull.guide", "--prompt", "fox", "--steps", "6"];
    [&args, more].concat()
}

#[test]
fn a_run_tells_what_it_made() {
    let sandbox = sandbox();
    let more = [
        "--every", "4", "--batch", "2", "--format", "json", "--quiet",
    ];
    let ended = sandbox.run(&short(&more)).with(0);
    let said: serde_json::Value = serde_json::from_str(&ended.stdout).expect("an object");
    assert_eq!(said["guide"], "pull");
    assert_eq!(said["target"], "latent");
    assert_eq!(said["rate"], 0.1);
    assert_eq!(said["times"], serde_json::json!([20.0, 980.0]));
    assert_eq!(said["steps"], 6);
    assert_eq!(said["sampler"], "adam");
    assert_eq!(said["evaluations"], serde_json::json!([12, 12]));
    let folder = "pull-fox-seeds0-1";
    assert_eq!(
        sandbox.names("."),
        [
            "plain.guide",
            folder,
            "pull-fox-seeds0-1-turn4.png",
            "pull.guide"
        ]
    );
    assert_eq!(
        sandbox.names(folder),
        ["contact.png", "seed0.png", "seed1.png"]
    );
    // A sample is the same alone.
    sandbox
        .run(&short(&["--seed", "1", "--quiet", "--out", "one.png"]))
        .with(0);
    let same = |a: &str, b: &str| {
        let pixels = |name: &str| {
            image::open(sandbox.path(name))
                .expect("a picture")
                .to_rgb8()
        };
        assert_eq!(pixels(a), pixels(b), "{a} and {b}");
    };
    same("one.png", &format!("{folder}/seed1.png"));
}

/// Killed in the middle and started again, it ends as if it had never stopped; for pixels too.
#[test]
fn a_killed_run_goes_on() {
    for target in ["latent", "image"] {
        let sandbox = sandbox();
        let ways = |state: &'static str, out: &'static str| {
            let more = [
                "--steps", "24", "--target", target, "--every", "1", "--resume", state,
            ];
            let args = ["optimise", "pull.guide", "--prompt", "fox", "--quiet"];
            [
                &args[..],
                &more,
                &["--save-latents", out, "--out", "end.png"],
            ]
            .concat()
        };
        let mut child = sandbox
            .command(&ways("state.safetensors", "again.safetensors"))
            .spawn()
            .expect("the binary starts");
        for _ in 0..600 {
            if sandbox.path("end-turn3.png").exists() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        child.kill().expect("a signal");
        child.wait().expect("it ends");
        assert!(sandbox.path("state.safetensors").is_file());
        assert!(
            !sandbox.path("again.safetensors").exists(),
            "it was killed too late"
        );
        sandbox
            .run(&ways("state.safetensors", "again.safetensors"))
            .with(0);
        sandbox
            .run(&ways("other.safetensors", "whole.safetensors"))
            .with(0);
        let bytes = |name: &str| std::fs::read(sandbox.path(name)).expect("a file");
        let same = bytes("again.safetensors") == bytes("whole.safetensors");
        assert!(same, "{target}");
    }
}

#[test]
#[cfg(unix)]
fn an_interrupted_run_keeps_its_state() {
    let sandbox = sandbox();
    let more = [
        "--steps",
        "5000",
        "--resume",
        "state.safetensors",
        "--every",
        "3",
    ];
    let args = ["optimise", "pull.guide", "--prompt", "fox"];
    let child = sandbox
        .command(&[&args[..], &more].concat())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the binary starts");
    for _ in 0..600 {
        if sandbox.path("state.safetensors").exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let kill = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(kill.expect("a signal").success());
    let output = child.wait_with_output().expect("the binary ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(
        said.contains("turns are kept in state.safetensors"),
        "{said}"
    );
}

#[test]
fn a_plan_shows_the_turn() {
    let sandbox = sandbox();
    let ended = sandbox
        .run(&["plan", "pull.guide", "--times", "0.1..0.5"])
        .with(0);
    for line in [
        "adam, 300 turns",
        "turns 0..300",
        "random(100, 501",
        "x = alpha*z + sigma*noise",
    ] {
        assert!(ended.stdout.contains(line), "{line}: {}", ended.stdout);
    }
    let json = sandbox
        .run(&["plan", "pull.guide", "--format", "json"])
        .with(0)
        .stdout;
    let sandbox = sandbox.with("plan.json", json);
    sandbox
        .refused(&["run", "plan.json", "--prompt", "fox"], 1, "G0807")
        .says(&["the plan of an objective", "guidec optimise"]);
    let wrong = sandbox
        .run(&["plan", "plain.guide", "--times", "0.1..0.5"])
        .with(2);
    assert!(
        wrong.stderr.contains("--times is for objectives"),
        "{}",
        wrong.stderr
    );
}

#[test]
fn what_is_refused() {
    let sandbox = sandbox();
    let refused = |args: &[&str], exit, code| sandbox.refused(args, exit, code);
    refused(&["run", "pull.guide"], 1, "G0213").says(&[
        "holds no guide, but the objective `pull`",
        "guidec optimise pull.guide",
    ]);
    refused(&["run", "pull.guide", "--guide", "pull"], 1, "G0213").says(&["`pull` is no guide"]);
    refused(&["optimise", "plain.guide"], 1, "G0213").says(&[
        "holds no objective, but the guide `plain`",
        "guidec run plain.guide",
    ]);
    for steps in ["0", "10001"] {
        let args = ["optimise", "pull.guide", "--steps", steps];
        refused(&args, 1, "G0608").says(&[&format!("{steps} turns"), "1 to 10000"]);
    }
    refused(&short(&["--out", "pull.guide/in"]), 3, "G0803");
    refused(&short(&["--resume", "pull.guide/in"]), 3, "G0803");
    refused(&short(&["--init-image", "absent.png"]), 3, "G0214");
    let usage = |more: &[&str], what: &str| {
        let ended = sandbox.run(&short(more)).with(2);
        assert!(ended.stderr.contains(what), "{}", ended.stderr);
    };
    usage(&["--sampler", "euler"], "--sampler is for samplers");
    usage(&["--strength", "0.5"], "--strength is for samplers");
    usage(&["--times", "0.9..0.1"], "write LO..HI");
    usage(&["--rate", "0"], "above 0");
    usage(&["--every", "0"], "--every");
    // A state of something else.
    sandbox
        .run(&short(&["--resume", "s.safetensors", "--quiet"]))
        .with(0);
    refused(
        &short(&["--resume", "s.safetensors", "--seed", "4"]),
        1,
        "G0708",
    )
    .says(&["its seed is `0`, and here it is `4`"]);
    refused(
        &short(&["--resume", "s.safetensors", "--set", "scale=3"]),
        1,
        "G0708",
    )
    .says(&["its parameters is"]);
    let other = [
        "optimise",
        "std::objectives::csd",
        "--prompt",
        "fox",
        "--steps",
        "6",
        "--resume",
        "s.safetensors",
    ];
    refused(&other, 1, "G0708").says(&["its objective is `pull`, and here it is `csd`"]);
    sandbox
        .run(&short(&["--save-latents", "l.safetensors", "--quiet"]))
        .with(0);
    refused(&short(&["--resume", "l.safetensors"]), 1, "G0708")
        .says(&["no state of an optimisation"]);
    // A gradient that is not finite.
    let text = OBJECTIVE.replace("(1 - alpha * alpha)", "(1 / (alpha - alpha))");
    let sandbox = sandbox.with("lost.guide", text);
    sandbox
        .refused(&["optimise", "lost.guide", "--prompt", "fox"], 1, "G0802")
        .says(&["the gradient is not finite in tick 0, sample 0"]);
}

/// What comes out is a picture of the prompt: the embedded model's own judge of pictures names it.
#[test]
fn objectives_end_in_pictures_of_the_prompt() {
    let judge = Judge::load(&embedded::source().below("judge/clean"), &[], &Device::Cpu);
    let judge = judge.expect("the judge");
    let sandbox = Sandbox::new();
    let ways = [
        ("std::objectives::sds", "scale=7.5"),
        ("std::objectives::csd", "scale=1"),
        ("std::objectives::domain_score", "guidance=7.5"),
    ];
    for (at, (objective, set)) in ways.into_iter().enumerate() {
        let out = format!("{at}.png");
        let args = [
            "optimise",
            objective,
            "--set",
            set,
            "--prompt",
            "strawberry",
        ];
        let more = ["--steps", "40", "--quiet", "--out", &out];
        sandbox.run(&[&args[..], &more].concat()).with(0);
        let picture = read_picture(&sandbox.path(&out), 64, 64).expect("a picture");
        let showing = judge.config().shown(Shown::default());
        let logits = judge
            .logits(Sight::Picture(&picture), 0.0, &showing)
            .expect("logits");
        let best = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b]));
        let named = best.map(|class| judge.config().labels[class].as_str());
        assert_eq!(named, Some("strawberry"), "{objective}");
    }
}
