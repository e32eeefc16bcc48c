//! Whole networks.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};
use candle_transformers::models::stable_diffusion::{unet_2d, vae};
use guide_runtime::device::{held_memory, peak_memory};
use guide_runtime::interventions::Hooks;
use guide_runtime::models::Pipeline;
use guide_runtime::models::sd::{UNet, UNetConfig, Vae, VaeConfig};
use guide_runtime::weights::published::Family;
use guide_runtime::weights::{Bytes, Source, Weights, WeightsFile};

use crate::noise;
use crate::turns::{Times, difference, middle, ms, take};

/// The word that asks for one decoding in a process of its own.
pub const DECODE: &str = "decode-once";

/// Latents of a picture of 512x512.
const LATENTS: [usize; 4] = [1, 4, 64, 64];
/// Tokens of a text and numbers of each.
const TEXT: [usize; 3] = [1, 77, 768];
/// Turns of both sides: of the UNet, and of the autoencoder, which takes longer.
const TURNS: usize = 3;
const LONG_TURNS: usize = 1;

fn source() -> Source {
    Source::Embedded {
        name: "sd15",
        files: Family::Sd1.files(),
        below: String::new(),
    }
}

fn weights(path: &Path) -> Weights {
    let file = WeightsFile::open("random weights", Bytes::map(path).unwrap()).unwrap();
    Weights::of(file, DType::F32, &Device::Cpu)
}

fn batch(shape: &[usize], count: usize, seed: u64) -> Tensor {
    let one = noise(shape, seed);
    Tensor::cat(&vec![one; count], 0).unwrap()
}

/// One forward pass of the UNet.
pub fn unet() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("unet.safetensors");
    let map = VarMap::new();
    let theirs = unet_2d::UNet2DConditionModel::new(
        VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu),
        4,
        4,
        false,
        unet_2d::UNet2DConditionModelConfig {
            blocks: [(320, true), (640, true), (1280, true), (1280, false)]
                .map(|(out_channels, attends)| unet_2d::BlockConfig {
                    out_channels,
                    use_cross_attn: attends.then_some(1),
                    attention_head_dim: 8,
                })
                .to_vec(),
            cross_attention_dim: 768,
            ..unet_2d::UNet2DConditionModelConfig::default()
        },
    )
    .unwrap();
    map.save(&path).unwrap();
    drop(map);
    let start = Instant::now();
    let config = UNetConfig::read(&source(), "unet").unwrap();
    let ours = UNet::load(&weights(&path), config).unwrap();
    println!("ours is loaded in {:.1} s", start.elapsed().as_secs_f64());

    let of_ours = |count: usize| {
        let (x, text) = (batch(&LATENTS, count, 1), batch(&TEXT, count, 2));
        let times = vec![501.0; count];
        ours.forward(&x, &times, &text, Hooks::NONE)
            .map_err(candle_core::Error::wrap)
    };
    let of_theirs = || theirs.forward(&batch(&LATENTS, 1, 1), 501.0, &batch(&TEXT, 1, 2));
    let (off, largest) = difference(&of_theirs().unwrap(), &of_ours(1).unwrap());
    println!("largest difference {off:.1e} of {largest:.2}; theirs has the other GELU");

    let one = take(TURNS, Duration::ZERO, &of_theirs, &|| of_ours(1));
    let two = take(TURNS, Duration::ZERO, &|| of_ours(1), &|| of_ours(2));
    println!("\n| UNet of SD 1.5, 64x64 latents | s | of candle's |\n| --- | --- | --- |");
    row("candle-transformers", one.theirs, None);
    row("guidec", one.ours, Some(one));
    println!(
        "| guidec, a batch of 2 | {:.2} | {:.2} of a batch of 1 |",
        two.ours.as_secs_f64(),
        two.ratio()
    );
}

fn row(what: &str, time: Duration, of: Option<Times>) {
    let of = of.map_or(String::new(), |times| format!("{:.3}", times.ratio()));
    println!("| {what} | {:.2} | {of} |", time.as_secs_f64());
}

/// Latents to a picture.
pub fn vae() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vae.safetensors");
    let map = VarMap::new();
    let theirs = vae::AutoEncoderKL::new(
        VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu),
        3,
        3,
        vae::AutoEncoderKLConfig {
            block_out_channels: vec![128, 256, 512, 512],
            layers_per_block: 2,
            latent_channels: 4,
            norm_num_groups: 32,
            use_quant_conv: true,
            use_post_quant_conv: true,
        },
    )
    .unwrap();
    map.save(&path).unwrap();
    let ours = load_vae(&path);
    let z = noise(&LATENTS, 3);
    let of_theirs = || theirs.decode(&z);
    let of_ours = || ours.decode(&z).map_err(candle_core::Error::wrap);
    let (off, largest) = difference(&of_theirs().unwrap(), &of_ours().unwrap());
    println!("largest difference {off:.1e} of {largest:.2}");
    let times = take(LONG_TURNS, Duration::ZERO, &of_theirs, &of_ours);
    println!("\n| autoencoder of SD 1.5, to 512x512 | s | of candle's |\n| --- | --- | --- |");
    row("candle-transformers", times.theirs, None);
    row("guidec", times.ours, Some(times));

    let output = Command::new(std::env::current_exe().unwrap())
        .args([DECODE, path.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    print!("{}", String::from_utf8_lossy(&output.stdout));
}

fn load_vae(path: &Path) -> Vae {
    Vae::load(&weights(path), VaeConfig::read(&source(), "vae").unwrap()).unwrap()
}

/// Decodes in a process of its own, and says how much memory that took at most.
pub fn decode_once(path: &str) {
    let ours = load_vae(Path::new(path));
    let before = held_memory().unwrap_or(0);
    let times = (0..3).map(|seed| {
        let start = Instant::now();
        ours.decode(&noise(&LATENTS, seed)).unwrap();
        start.elapsed()
    });
    let time = middle(times.collect());
    println!(
        "in a process of its own: {:.0} ms, {} MB at most, {} MB of them once the weights are loaded",
        ms(time),
        peak_memory().unwrap_or(0) >> 20,
        before >> 20
    );
}

/// How long a model's folder takes to open, its autoencoder included.
pub fn open(folder: &str) {
    let source = Source::Folder(folder.into());
    for turn in ["first", "again", "again"] {
        let start = Instant::now();
        let opened = Pipeline::load(&source, "model", DType::F32, &Device::Cpu).unwrap();
        println!("{turn}: opened in {:.2} s", start.elapsed().as_secs_f64());
        drop(opened);
    }
}
