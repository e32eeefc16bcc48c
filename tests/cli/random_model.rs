//! `examples/random_model`: what it writes at full size, without writing it, and what it writes in small.

#[path = "../../examples/random_model/model.rs"]
mod model;
#[path = "../../examples/random_model/shapes.rs"]
mod shapes;
#[path = "../../examples/random_model/write.rs"]
mod write;

use std::path::Path;

use crate::sandbox::{CFG, Sandbox};
use model::Model;
use shapes::Shape;
use write::{Dtype, Request};

const NAMES: [&str; 3] = ["sd15", "sd21", "sdxl"];

fn written(name: &str, folder: &Path, dtype: Dtype, seed: u64) {
    let request = Request {
        model: Model::named(name).expect("a model").tiny(),
        folder: folder.to_owned(),
        dtype,
        seed,
    };
    write::write(&request, &mut |_, _, _| {}).expect("a folder");
}

/// The published networks have so many parameters.
#[test]
fn a_network_of_full_size_has_as_many_numbers_as_the_published_one() {
    let count = |shapes: Vec<Shape>| shapes.iter().map(Shape::count).sum::<usize>();
    for (name, unet, text, second) in [
        ("sd15", 859_520_964, 123_060_480, None),
        ("sd21", 865_910_724, 340_387_840, None),
        ("sdxl", 2_567_463_684, 123_060_480, Some(694_659_840)),
    ] {
        let configs = Model::named(name).expect("a model").configs;
        assert_eq!(count(shapes::unet(&configs["unet/config.json"])), unet);
        assert_eq!(count(shapes::vae(&configs["vae/config.json"])), 83_653_863);
        let encoder = |path: &str| Some(count(shapes::text_encoder(configs.get(path)?)));
        assert_eq!(encoder("text_encoder/config.json"), Some(text));
        assert_eq!(encoder("text_encoder_2/config.json"), second);
    }
}

#[test]
fn every_family_runs_in_small() {
    for (name, dtype) in NAMES.into_iter().zip([Dtype::F32, Dtype::F16, Dtype::F16]) {
        let sandbox = Sandbox::new().with("a.guide", CFG);
        written(name, &sandbox.path(name), dtype, 1);
        let args = ["run", "a.guide", "--model", name, "--steps", "1"];
        let args = [
            &args[..],
            &["--prompt", "a photo of a cat", "--out", "a.png"],
        ]
        .concat();
        sandbox.run(&args).with(0);
        let picture = image::open(sandbox.path("a.png"))
            .expect("a picture")
            .to_rgb8();
        assert_eq!(picture.dimensions(), (64, 64));
        let pixels: std::collections::BTreeSet<[u8; 3]> = picture.pixels().map(|p| p.0).collect();
        assert!(pixels.len() > 100, "{name}: {} colours", pixels.len());
    }
}

#[test]
fn a_seed_gives_the_same_bytes_and_another_seed_others() {
    let sandbox = Sandbox::new();
    let weights = |folder: &str, seed| {
        written("sd15", &sandbox.path(folder), Dtype::F16, seed);
        let file = format!("{folder}/unet/diffusion_pytorch_model.safetensors");
        std::fs::read(sandbox.path(&file)).expect("weights")
    };
    let first = weights("a", 7);
    assert_eq!(weights("b", 7), first);
    assert_ne!(weights("c", 8), first);
    // A folder that is there is not written to.
    let request = Request {
        model: Model::named("sd15").expect("a model").tiny(),
        folder: sandbox.path("a"),
        dtype: Dtype::F16,
        seed: 7,
    };
    let error = write::write(&request, &mut |_, _, _| {}).expect_err("a taken place");
    assert!(error.contains("is there already"), "{error}");
    assert_eq!(sandbox.names("."), ["a", "b", "c"]);
}

#[test]
fn other_names_are_no_models() {
    assert!(Model::named("sd3").is_none());
}
