//! LoRA files in every naming, against weights that are merged slowly in f64.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use guide_runtime::error::{ErrorKind, Result, RuntimeError};
use guide_runtime::models::Pipeline;
use guide_runtime::weights::{Changes, Source};

use super::open;
use super::rewrite::{self, Tensors, folder, latent_unet, read, save};

/// A merged weight is rounded to f32 after a product of up to 32 terms.
const TOLERANCE: f64 = 2e-6;

/// A change of a layer.
struct Piece {
    part: &'static str,
    /// Our name of the layer.
    layer: &'static str,
    rank: usize,
    alpha: Option<f32>,
    /// Whether the kernel stands in a third tensor.
    core: bool,
}

const fn piece(part: &'static str, layer: &'static str, rank: usize) -> Piece {
    Piece {
        part,
        layer,
        rank,
        alpha: None,
        core: false,
    }
}

/// Of every kind of layer one: attention, feed-forward, projections, convolutions, text encoders.
const PIECES: [Piece; 9] = [
    Piece {
        alpha: Some(2.0),
        ..piece(
            "unet",
            "mid_block.attentions.0.transformer_blocks.0.attn1.to_q",
            4,
        )
    },
    piece(
        "unet",
        "mid_block.attentions.0.transformer_blocks.0.attn2.to_k",
        3,
    ),
    piece(
        "unet",
        "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_out.0",
        2,
    ),
    piece(
        "unet",
        "up_blocks.1.attentions.2.transformer_blocks.0.ff.net.0.proj",
        5,
    ),
    piece("unet", "down_blocks.1.attentions.1.proj_in", 2),
    Piece {
        alpha: Some(1.0),
        ..piece("unet", "up_blocks.0.resnets.1.conv1", 4)
    },
    Piece {
        core: true,
        alpha: Some(3.0),
        ..piece("unet", "down_blocks.0.downsamplers.0.conv", 3)
    },
    piece(
        "text_encoder",
        "text_model.encoder.layers.1.self_attn.q_proj",
        4,
    ),
    piece("text_encoder", "text_model.encoder.layers.2.mlp.fc1", 2),
];

const SECOND: Piece = piece(
    "text_encoder_2",
    "text_model.encoder.layers.0.self_attn.v_proj",
    3,
);

/// Numbers that are nobody's.
fn numbers(count: usize, salt: u32) -> Vec<f32> {
    let mut state = salt.wrapping_mul(747_796_405).wrapping_add(1);
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(next).collect()
}

/// A piece's tensors: `down`, `up` and perhaps `mid`.
fn tensors(piece: &Piece, shape: &[usize], salt: u32) -> BTreeMap<&'static str, Tensor> {
    let Piece { rank, core, .. } = *piece;
    let (output, input) = (shape[0], shape[1]);
    let kernel = shape.get(2).copied();
    let make = |sides: &[usize], salt| {
        let count = sides.iter().product();
        Tensor::from_vec(numbers(count, salt), sides, &Device::Cpu).unwrap()
    };
    let mut all = BTreeMap::new();
    let (down, up) = match kernel {
        None => (vec![rank, input], vec![output, rank]),
        Some(_) if core => (vec![rank, input, 1, 1], vec![output, rank, 1, 1]),
        Some(k) => (vec![rank, input, k, k], vec![output, rank, 1, 1]),
    };
    all.insert("down", make(&down, salt));
    all.insert("up", make(&up, salt + 1));
    if let Some(k) = kernel.filter(|_| core) {
        all.insert("mid", make(&[rank, rank, k, k], salt + 2));
    }
    all
}

/// `weight + strength * alpha / rank * up * [mid *] down`, number by number.
fn merged(
    weight: &[f64],
    shape: &[usize],
    piece: &Piece,
    of: &BTreeMap<&'static str, Tensor>,
    strength: f64,
    alpha: f64,
) -> Vec<f64> {
    let flat = |name: &str| -> Vec<f64> {
        let tensor = of[name].to_dtype(DType::F64).unwrap();
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    };
    let (down, up) = (flat("down"), flat("up"));
    let rank = piece.rank;
    let (output, input) = (shape[0], shape[1]);
    let area: usize = shape[2..].iter().product();
    let mut out = weight.to_vec();
    for o in 0..output {
        for i in 0..input {
            for place in 0..area {
                let mut sum = 0.0;
                for r in 0..rank {
                    if of.contains_key("mid") {
                        let mid = flat("mid");
                        for s in 0..rank {
                            sum += up[o * rank + r]
                                * mid[(r * rank + s) * area + place]
                                * down[s * input + i];
                        }
                    } else {
                        sum += up[o * rank + r] * down[(r * input + i) * area + place];
                    }
                }
                out[(o * input + i) * area + place] += strength * alpha / rank as f64 * sum;
            }
        }
    }
    out
}

/// How a file names a tensor of a piece; `None` for an alpha that is not stored.
type Name = fn(&str, &Piece, &str) -> Option<String>;

fn peft(_: &str, piece: &Piece, role: &str) -> Option<String> {
    let end = match role {
        "down" => "lora_A.weight",
        "up" => "lora_B.weight",
        "alpha" => return Some(format!("{}.{}.alpha", piece.part, piece.layer)),
        _ => return Some(format!("{}.{}.lora_mid.weight", piece.part, piece.layer)),
    };
    Some(format!("{}.{}.{end}", piece.part, piece.layer))
}

/// As diffusers wrote it before: processors in the UNet, layers of their own in the text encoder.
fn older(_: &str, piece: &Piece, role: &str) -> Option<String> {
    let layer = format!("{}.{}", piece.part, piece.layer);
    if role == "alpha" || role == "mid" {
        return peft("", piece, role);
    }
    if piece.part != "unet" {
        return Some(format!("{layer}.lora_linear_layer.{role}.weight"));
    }
    match layer.rsplit_once("attn1.").or(layer.rsplit_once("attn2.")) {
        Some((before, projection)) => {
            let attention = &layer[before.len()..before.len() + 5];
            let projection = projection.trim_end_matches(".0");
            Some(format!(
                "{before}{attention}.processor.{projection}_lora.{role}.weight"
            ))
        }
        None => Some(format!("{layer}.lora.{role}.weight")),
    }
}

fn kohya(model: &str, piece: &Piece, role: &str) -> Option<String> {
    let xl = model == "tiny-sdxl";
    let start = match (piece.part, xl) {
        ("unet", _) => "lora_unet",
        ("text_encoder", false) => "lora_te",
        ("text_encoder", true) => "lora_te1",
        _ => "lora_te2",
    };
    let layer = piece.layer.replace('.', "_");
    Some(match role {
        "alpha" => format!("{start}_{layer}.alpha"),
        role => format!("{start}_{layer}.lora_{role}.weight"),
    })
}

/// As kohya's scripts name the UNet of SDXL: by latent diffusion's names.
fn kohya_latent(model: &str, piece: &Piece, role: &str) -> Option<String> {
    if piece.part != "unet" {
        return kohya(model, piece, role);
    }
    // Which name a layer has there is read off the renamed weights: the tensor is the same.
    let ours = &read(model, rewrite::UNET)[&format!("{}.weight", piece.layer)];
    let bits = |tensor: &Tensor| {
        let flat = tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap();
        flat.to_vec1::<f32>().unwrap()
    };
    let wanted = bits(ours);
    let there = latent_unet(model).into_iter().find_map(|(name, tensor)| {
        (tensor.dims() == ours.dims() && bits(&tensor) == wanted).then_some(name)
    });
    let layer = there?.trim_end_matches(".weight").replace('.', "_");
    Some(match role {
        "alpha" => format!("lora_unet_{layer}.alpha"),
        role => format!("lora_unet_{layer}.lora_{role}.weight"),
    })
}

fn file_of(part: &str) -> &'static str {
    match part {
        "unet" => rewrite::UNET,
        "text_encoder" => "text_encoder/model.safetensors",
        _ => "text_encoder_2/model.safetensors",
    }
}

/// Writes a LoRA of these pieces; gives each piece's tensors.
fn written(
    model: &str,
    pieces: &[&Piece],
    name: Name,
    file: &Path,
    salt: u32,
) -> Vec<BTreeMap<&'static str, Tensor>> {
    let mut all = Tensors::new();
    let mut made = Vec::new();
    for (place, piece) in pieces.iter().enumerate() {
        let weights = read(model, file_of(piece.part));
        let shape = weights[&format!("{}.weight", piece.layer)].dims().to_vec();
        let tensors = tensors(piece, &shape, salt + 10 * place as u32);
        for (role, tensor) in &tensors {
            all.insert(name(model, piece, role).unwrap(), tensor.clone());
        }
        if let (Some(alpha), Some(name)) = (piece.alpha, name(model, piece, "alpha")) {
            all.insert(name, Tensor::new(alpha, &Device::Cpu).unwrap());
        }
        made.push(tensors);
    }
    save(&all, file);
    made
}

fn pieces(model: &str) -> Vec<&'static Piece> {
    let second = (model == "tiny-sdxl").then_some(&SECOND);
    let fits = |piece: &&Piece| {
        let name = format!("{}.weight", piece.layer);
        read(model, file_of(piece.part)).contains_key(&name)
    };
    PIECES.iter().filter(fits).chain(second).collect()
}

fn with(model: &str, loras: Vec<(PathBuf, f64)>) -> Result<Source> {
    Source::Folder(folder(model)).with(&Changes {
        loras,
        ..Changes::default()
    })
}

/// Loads every weight of a model with LoRA files, and compares it with the slow merge.
fn compare(model: &str, source: &Source, wanted: &BTreeMap<(&str, String), Vec<f64>>) {
    let mut changed = 0;
    for (part, stem) in [
        ("unet", "diffusion_pytorch_model"),
        ("text_encoder", "model"),
        ("text_encoder_2", "model"),
    ] {
        if !source.has(&format!("{part}/config.json")) {
            continue;
        }
        let weights = open(source, part, stem).unwrap();
        for (name, plain) in read(model, file_of(part)) {
            let got = weights.root().tensor(&name, plain.dims()).unwrap();
            let got: Vec<f32> = got.flatten_all().unwrap().to_vec1().unwrap();
            let plain = plain.to_dtype(DType::F32).unwrap().flatten_all().unwrap();
            let plain: Vec<f32> = plain.to_vec1().unwrap();
            match wanted.get(&(part, name.clone())) {
                None => assert!(got == plain, "{model}: `{part}.{name}` was changed"),
                Some(wanted) => {
                    changed += 1;
                    for (got, wanted) in got.iter().zip(wanted) {
                        let off = (f64::from(*got) - wanted).abs();
                        assert!(
                            off <= TOLERANCE * wanted.abs().max(1.0),
                            "`{name}`: off by {off:e}"
                        );
                    }
                    assert!(got != plain);
                }
            }
        }
    }
    assert_eq!(changed, wanted.len());
}

fn plain(model: &str, piece: &Piece) -> (Vec<f64>, Vec<usize>) {
    let name = format!("{}.weight", piece.layer);
    let tensor = read(model, file_of(piece.part))[&name]
        .to_dtype(DType::F64)
        .unwrap();
    let numbers = tensor.flatten_all().unwrap().to_vec1().unwrap();
    (numbers, tensor.dims().to_vec())
}

#[test]
fn every_naming_gives_the_merged_weights() -> Result<()> {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("lora.safetensors");
    for (model, count) in [("tiny-sd15", 9), ("tiny-sd21", 9), ("tiny-sdxl", 10)] {
        let pieces = pieces(model);
        assert_eq!(pieces.len(), count, "{model}");
        for (naming, name) in [
            ("peft", peft as Name),
            ("older", older),
            ("kohya", kohya),
            ("kohya, latent", kohya_latent),
        ] {
            let made = written(model, &pieces, name, &file, 7);
            let mut wanted = BTreeMap::new();
            for (piece, tensors) in pieces.iter().zip(&made) {
                let (weight, shape) = plain(model, piece);
                let alpha = piece.alpha.map_or(piece.rank as f64, f64::from);
                let merged = merged(&weight, &shape, piece, tensors, 0.75, alpha);
                wanted.insert((piece.part, format!("{}.weight", piece.layer)), merged);
            }
            let source = with(model, vec![(file.clone(), 0.75)])?;
            compare(model, &source, &wanted);
            let load = Pipeline::load(&source, model, DType::F32, &Device::Cpu);
            assert!(load.is_ok(), "{model}, {naming}: {load:?}");
        }
    }
    Ok(())
}

/// Several add up, in whatever order; one of weight 0 changes nothing.
#[test]
fn several_add_up() -> Result<()> {
    let home = tempfile::tempdir().unwrap();
    let model = "tiny-sd15";
    let file = |name: &str| home.path().join(name);
    let pieces = pieces(model);
    let first = written(model, &pieces, kohya, &file("a.safetensors"), 7);
    let second = written(model, &pieces[..3], peft, &file("b.safetensors"), 900);
    let mut wanted = BTreeMap::new();
    for (place, piece) in pieces.iter().enumerate() {
        let (mut weight, shape) = plain(model, piece);
        let alpha = piece.alpha.map_or(piece.rank as f64, f64::from);
        weight = merged(&weight, &shape, piece, &first[place], 1.0, alpha);
        if let Some(tensors) = second.get(place) {
            weight = merged(&weight, &shape, piece, tensors, -0.5, alpha);
        }
        wanted.insert((piece.part, format!("{}.weight", piece.layer)), weight);
    }
    let (a, b) = ((file("a.safetensors"), 1.0), (file("b.safetensors"), -0.5));
    for order in [vec![a.clone(), b.clone()], vec![b, a]] {
        compare(model, &with(model, order)?, &wanted);
    }
    Ok(())
}

/// diffusers keeps an adapter's alpha in the file's header.
#[test]
fn an_alpha_in_the_header() -> Result<()> {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("lora.safetensors");
    let (model, piece) = ("tiny-sd21", &PIECES[1]);
    let made = written(model, &[piece], peft, &file, 3);
    rewrite::say(
        &file,
        "lora_adapter_metadata",
        r#"{"unet.lora_alpha": 12, "unet.r": 3, "text_encoder.lora_alpha": 7}"#,
    );
    let (weight, shape) = plain(model, piece);
    let merged = merged(&weight, &shape, piece, &made[0], 1.0, 12.0);
    let wanted = BTreeMap::from([((piece.part, format!("{}.weight", piece.layer)), merged)]);
    compare(model, &with(model, vec![(file, 1.0)])?, &wanted);
    Ok(())
}

fn refused(model: &str, file: &Path) -> RuntimeError {
    let source = with(model, vec![(file.to_owned(), 1.0)]);
    let loaded = source.and_then(|source| Pipeline::load(&source, model, DType::F32, &Device::Cpu));
    loaded.expect_err("the LoRA should be refused")
}

#[test]
fn a_lora_of_another_model_is_refused_with_its_layers() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("lora.safetensors");
    // The second text encoder and the blocks of SDXL are not in 1.5.
    written("tiny-sdxl", &[&SECOND], kohya, &file, 1);
    let error = refused("tiny-sd15", &file);
    assert_eq!(error.kind, ErrorKind::BadBinding);
    assert!(
        error.message.ends_with(
            "which lacks 1 of its 1 layers: `lora_te2_text_model_encoder_layers_0_self_attn_v_proj`"
        ),
        "{}",
        error.message
    );
    // Widths differ where names agree.
    written("tiny-sd21", &[&PIECES[1]], kohya, &file, 1);
    let error = refused("tiny-sd15", &file);
    assert_eq!(error.kind, ErrorKind::BadBinding);
    for part in ["does not fit", "attn2_to_k`", "takes [3, 40] to"] {
        assert!(error.message.contains(part), "{}", error.message);
    }
}

#[test]
fn files_that_are_no_lora_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("lora.safetensors");
    let model = "tiny-sd15";
    let one = |name: &str| {
        let tensor = Tensor::zeros((2, 2), DType::F32, &Device::Cpu).unwrap();
        save(&Tensors::from([(name.to_owned(), tensor)]), &file);
    };
    let layer = "lora_unet_mid_block_attentions_0_proj_in";
    for (name, kind, part) in [
        (format!("{layer}.hada_w1_a"), ErrorKind::NotYet, "is a LoHa"),
        (format!("{layer}.lokr_w1"), ErrorKind::NotYet, "is a LoKr"),
        (
            format!("{layer}.dora_scale"),
            ErrorKind::NotYet,
            "is a DoRA",
        ),
        (
            "conv_in.bias".into(),
            ErrorKind::BadBinding,
            "and a LoRA is needed",
        ),
        (
            format!("{layer}.lora_up.weight"),
            ErrorKind::BadBinding,
            "lacks one of its two matrices",
        ),
    ] {
        one(&name);
        let error = refused(model, &file);
        assert_eq!(error.kind, kind, "{}", error.message);
        assert!(error.message.contains(part), "{}", error.message);
        assert!(error.help.is_some());
    }
    let pickle = home.path().join("lora.pt");
    std::fs::write(&pickle, b"x").unwrap();
    assert_eq!(refused(model, &pickle).kind, ErrorKind::Pickle);
    assert_eq!(
        refused(model, &home.path().join("none")).kind,
        ErrorKind::Unreadable
    );
    one(&format!("{layer}.lora_up.weight"));
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 3]).unwrap();
    let error = refused(model, &file);
    assert_eq!(error.kind, ErrorKind::WeightsDamaged);
    assert!(error.message.contains("is cut short"), "{}", error.message);
}
