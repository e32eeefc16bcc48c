//! Models by name, fetched from a hub.

use std::path::Path;
use std::process::Command;

use crate::hub::{COMMIT, Fault, Hub};
use crate::sandbox::{CFG, Ended, Sandbox, ended, project};

const MODEL: &str = "tests/oracle/models/tiny-sd15";
const NAME: &str = "acme/tiny";
const UNET: &str = "unet/diffusion_pytorch_model.safetensors";

fn command(sandbox: &Sandbox, hub: &Hub, args: &[&str]) -> Command {
    let mut command = sandbox.command(args);
    command
        .env("HF_ENDPOINT", &hub.address)
        .env("HF_HOME", sandbox.path("home"))
        .env_remove("HF_HUB_OFFLINE")
        .env_remove("HF_TOKEN");
    command
}

fn run(sandbox: &Sandbox, hub: &Hub, model: &str) -> Ended {
    let args = [
        "run", "a.guide", "--model", model, "--steps", "1", "--out", "a.png",
    ];
    ended(command(sandbox, hub, &args), "")
}

fn snapshot() -> String {
    format!("home/hub/models--acme--tiny/snapshots/{COMMIT}")
}

fn sandbox() -> Sandbox {
    Sandbox::new().with("a.guide", CFG)
}

fn hub(faults: &[(&str, Fault)]) -> Hub {
    Hub::start(NAME, Path::new(&project(MODEL)), faults)
}

#[test]
fn a_model_is_fetched_once_and_is_the_folders_own() {
    let (sandbox, hub) = (sandbox(), hub(&[]));
    run(&sandbox, &hub, NAME)
        .with(0)
        .says(&["fetching `acme/tiny`", UNET]);
    let fetched = std::fs::read(sandbox.path("a.png")).expect("a picture");
    let count = hub.asked.lock().expect("whole").len();
    assert!(count > 8, "{count} files");
    // Reference numbers lie beside the model; nobody needs them.
    assert!(
        !sandbox
            .path(&snapshot())
            .join("expected.safetensors")
            .exists()
    );
    run(&sandbox, &hub, NAME).with(0);
    assert_eq!(
        hub.asked.lock().expect("whole").len(),
        count,
        "all is there"
    );
    let folder = project(MODEL);
    run(&sandbox, &hub, &folder).with(0);
    let pixels = |bytes: &[u8]| image::load_from_memory(bytes).expect("a picture").to_rgb8();
    let own = std::fs::read(sandbox.path("a.png")).expect("a picture");
    assert_eq!(pixels(&fetched), pixels(&own));
}

#[test]
fn a_fetch_that_breaks_off_goes_on_where_it_was() {
    let (sandbox, hub) = (sandbox(), hub(&[(UNET, Fault::BreaksOff)]));
    run(&sandbox, &hub, NAME).with(0);
    let asked = hub.asked.lock().expect("whole").clone();
    let from: Vec<usize> = asked
        .iter()
        .filter(|(name, _)| name == UNET)
        .map(|a| a.1)
        .collect();
    assert_eq!(from.len(), 2, "{from:?}");
    assert!(from[0] == 0 && from[1] > 0, "{from:?}");
}

#[test]
fn bytes_that_are_not_the_hubs_are_refused_and_fetched_anew() {
    let sandbox = sandbox();
    let broken = hub(&[(UNET, Fault::Flips)]);
    run(&sandbox, &broken, NAME).with(3).says(&[
        "G0703",
        "`unet/diffusion_pytorch_model.safetensors` of `acme/tiny`",
        "try again",
    ]);
    assert!(!sandbox.path(&snapshot()).join(UNET).exists());
    let sound = hub(&[]);
    run(&sandbox, &sound, NAME).with(0);
    let asked = sound.asked.lock().expect("whole").clone();
    let kept = |name: &str| asked.iter().all(|(asked, _)| asked != name);
    assert!(!kept(UNET) && kept("unet/config.json"), "{asked:?}");
}

/// A classifier is bound by its name as it is by its folder.
#[test]
fn a_classifier_is_fetched_once() {
    let sandbox = Sandbox::new();
    let clip = sandbox.clip();
    let hub = Hub::start("acme/clip", &clip, &[]);
    let picture = |judge: &str| {
        let judge = format!("judge={judge}");
        let args = [
            "run",
            "std::rules::gradient_free",
            "--steps",
            "2",
            "--out",
            "a.png",
            "--prompt",
            "fox",
            "--bind",
            &judge,
            "--bind",
            "judge.classes=a fox",
            "--bind",
            "judge.classes=an owl",
            "--target",
            "0",
        ];
        let ended = ended(command(&sandbox, &hub, &args), "").with(0);
        let pixels = image::open(sandbox.path("a.png"))
            .expect("a picture")
            .to_rgb8();
        (ended.stderr, pixels)
    };
    let (said, fetched) = picture("acme/clip");
    assert!(said.contains("fetching `acme/clip`"), "{said}");
    let count = hub.asked.lock().expect("whole").len();
    let (again, _) = picture("acme/clip");
    assert!(!again.contains("fetching"), "{again}");
    assert_eq!(
        hub.asked.lock().expect("whole").len(),
        count,
        "all is there"
    );
    let (_, own) = picture(&clip.to_string_lossy());
    assert_eq!(fetched, own);
}

#[test]
fn what_a_hub_does_not_give() {
    let (sandbox, hub) = (sandbox(), hub(&[]));
    run(&sandbox, &hub, "acme/other")
        .with(3)
        .says(&["G0701", "has no model `acme/other`"]);
    run(&sandbox, &hub, "acme/gated")
        .with(3)
        .says(&["G0701", "HF_TOKEN"]);
    assert!(hub.asked.lock().expect("whole").is_empty());
    let nobody = Hub {
        address: "http://127.0.0.1:9".to_owned(),
        asked: hub.asked,
    };
    run(&sandbox, &nobody, NAME)
        .with(3)
        .says(&["G0701", "check the connection"]);
}

#[test]
fn nothing_is_fetched_offline() {
    let (sandbox, hub) = (sandbox(), hub(&[]));
    let args = ["run", "a.guide", "--model", NAME, "--offline"];
    ended(command(&sandbox, &hub, &args), "")
        .with(3)
        .says(&["G0701", "leave out `--offline`"]);
    let mut by_variable = command(&sandbox, &hub, &args[..4]);
    by_variable.env("HF_HUB_OFFLINE", "1");
    ended(by_variable, "").with(3).says(&["G0701"]);
    assert!(hub.asked.lock().expect("whole").is_empty());
}
