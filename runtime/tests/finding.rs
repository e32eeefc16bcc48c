//! Where a model is looked for, in which order, and what is said where it is not.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use guide_runtime::error::ErrorKind;
use guide_runtime::weights::Source;
use guide_runtime::weights::find::{Places, find, list};
use tempfile::TempDir;

struct Home {
    root: TempDir,
    places: Places,
}

impl Home {
    /// A home with the folders that the environment would name, empty.
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let (models, hub) = (root.path().join("models"), root.path().join("hub"));
        fs::create_dir_all(&models).unwrap();
        fs::create_dir_all(&hub).unwrap();
        Self {
            places: Places {
                models: Some(models),
                hub: Some(hub),
            },
            root,
        }
    }

    /// A folder with the configs that facts are read from.
    fn model(&self, folder: &str) -> PathBuf {
        let folder = self.root.path().join(folder);
        for file in ["unet/config.json", "scheduler/scheduler_config.json"] {
            let target = folder.join(file);
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::copy(
                support::oracle().join("models/tiny-sd21").join(file),
                target,
            )
            .unwrap();
        }
        folder
    }

    fn refs(&self, repository: &str, revision: &str) {
        let refs = self.root.path().join("hub").join(repository).join("refs");
        fs::create_dir_all(&refs).unwrap();
        fs::write(refs.join("main"), format!("{revision}\n")).unwrap();
    }

    fn found(&self, name: &str) -> PathBuf {
        match find(name, &self.places).unwrap().source {
            Source::Folder(folder) => folder,
            Source::Single(file) => file.path().to_owned(),
            Source::Embedded { .. } => PathBuf::from("embedded"),
            Source::Changed(_) => panic!("nothing was changed"),
        }
    }
}

const SD15: &str = "models--stable-diffusion-v1-5--stable-diffusion-v1-5";

#[test]
fn a_path_comes_first_then_the_folder_of_models_then_the_cache() {
    let home = Home::new();
    let cached = home.model(&format!("hub/{SD15}/snapshots/abc123"));
    home.model(&format!("hub/{SD15}/snapshots/def456"));
    home.refs(SD15, "abc123");
    assert_eq!(home.found("sd15"), cached);
    assert_eq!(
        home.found("stable-diffusion-v1-5/stable-diffusion-v1-5"),
        cached
    );
    let named = home.model("models/sd15");
    assert_eq!(home.found("sd15"), named);
    let elsewhere = home.model("elsewhere");
    assert_eq!(home.found(&elsewhere.display().to_string()), elsewhere);
    assert_eq!(home.found("pocket"), Path::new("embedded"));
}

#[test]
fn without_refs_the_only_snapshot_is_taken() {
    let home = Home::new();
    let cached = home.model("hub/models--org--name/snapshots/abc");
    assert_eq!(home.found("org/name"), cached);
}

#[test]
fn what_is_not_found_says_where_it_was_looked_for_and_how_to_get_it() {
    let home = Home::new();
    let error = find("sd15", &home.places).unwrap_err();
    assert_eq!(error.kind, ErrorKind::ModelNotFound);
    for place in [
        home.root.path().join("models/sd15"),
        home.root.path().join("hub").join(SD15),
    ] {
        assert!(
            error.message.contains(&place.display().to_string()),
            "{}",
            error.message
        );
    }
    let help = error.help.unwrap();
    assert!(
        help.contains("hf download stable-diffusion-v1-5/stable-diffusion-v1-5"),
        "{help}"
    );
    let help = find("poket", &home.places).unwrap_err().help.unwrap();
    assert_eq!(help, "write `--model pocket`");
    // A name does not lead out of the folders.
    for name in ["../models", "", "a/../b", "/nowhere/at/all"] {
        assert_eq!(
            find(name, &home.places).unwrap_err().kind,
            ErrorKind::ModelNotFound,
            "{name}"
        );
    }
    home.refs("models--org--name", "../../../elsewhere");
    assert_eq!(
        find("org/name", &home.places).unwrap_err().kind,
        ErrorKind::ModelNotFound
    );
}

/// A file with the names of a model of 1.x and nothing else.
fn single(path: &Path) {
    let names = [
        "model.diffusion_model.out.2.bias",
        "cond_stage_model.transformer.x",
    ];
    let header: serde_json::Map<String, serde_json::Value> = names
        .iter()
        .map(|name| {
            let entry = serde_json::json!({"dtype": "F32", "shape": [0], "data_offsets": [0, 0]});
            ((*name).to_owned(), entry)
        })
        .collect();
    let header = serde_json::Value::Object(header).to_string();
    let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat();
    fs::write(path, bytes).unwrap();
}

#[test]
fn single_files_are_found_by_path_and_by_name() {
    let home = Home::new();
    let file = home.root.path().join("models/mine.safetensors");
    single(&file);
    for name in ["mine", "mine.safetensors", &file.display().to_string()] {
        assert_eq!(home.found(name), file, "{name}");
    }
    let found = find(&file.display().to_string(), &home.places).unwrap();
    assert_eq!(found.name, "mine");
    let listed = list(&home.places);
    assert_eq!(listed[1].name, "mine");
    assert_eq!(listed[1].facts.as_ref().unwrap().latent, [4, 64, 64]);
}

#[test]
fn files_that_cannot_be_opened_are_refused() {
    let home = Home::new();
    for (file, kind) in [
        ("a.safetensors", ErrorKind::WeightsDamaged),
        ("a.ckpt", ErrorKind::Pickle),
    ] {
        let path = home.root.path().join(file);
        fs::write(&path, b"x").unwrap();
        assert_eq!(
            find(&path.display().to_string(), &home.places)
                .unwrap_err()
                .kind,
            kind
        );
    }
}

#[test]
fn the_list_holds_every_model_once_with_its_facts() {
    let home = Home::new();
    home.model(&format!("hub/{SD15}/snapshots/abc123"));
    home.model("models/mine");
    let broken = home.model("models/broken");
    fs::write(broken.join("unet/config.json"), "{").unwrap();
    let listed = list(&home.places);
    let names: Vec<&str> = listed.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["pocket", "broken", "mine", "sd15"]);
    let facts = |i: usize| listed[i].facts.as_ref().unwrap();
    assert_eq!(facts(0).latent, [4, 16, 16]);
    assert_eq!(facts(2).space, guide_compiler::plan::Space::V);
    assert_eq!(
        listed[1].facts.as_ref().unwrap_err().kind,
        ErrorKind::BadConfig
    );
    let layers = facts(0).layers.as_ref().unwrap();
    assert_eq!(
        layers[..5],
        [
            "down.0.resnet.0",
            "down.0.attn.0.self",
            "down.0.attn.0.cross",
            "down.0.attn.0.ff",
            "down.1.resnet.0"
        ]
    );
    assert!(
        layers.contains(&"mid.resnet.1".to_owned()) && layers.last().unwrap() == "up.2.attn.1.ff"
    );
}

#[test]
fn places_come_from_the_environment_that_is_passed_in() {
    let of = |set: &[(&str, &str)]| {
        Places::of(|name| {
            set.iter()
                .find(|(one, _)| *one == name)
                .map(|(_, value)| (*value).to_owned())
        })
    };
    let hub = |set: &[(&str, &str)]| of(set).hub.map(|hub| hub.display().to_string());
    assert_eq!(of(&[]), Places::default());
    assert_eq!(
        hub(&[("HOME", "/h")]).as_deref(),
        Some("/h/.cache/huggingface/hub")
    );
    assert_eq!(
        hub(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/c")]).as_deref(),
        Some("/c/huggingface/hub")
    );
    assert_eq!(
        hub(&[("HOME", "/h"), ("HF_HOME", "/f")]).as_deref(),
        Some("/f/hub")
    );
    assert_eq!(
        hub(&[("HF_HOME", "/f"), ("HF_HUB_CACHE", "/x")]).as_deref(),
        Some("/x")
    );
    assert_eq!(
        of(&[("GUIDEC_MODELS", "/m")]).models,
        Some(PathBuf::from("/m"))
    );
    assert_eq!(of(&[("GUIDEC_MODELS", "")]).models, None);
}
