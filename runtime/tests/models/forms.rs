//! One model in every form that its files come in: all answer to the bit as its folder does.

use std::fs;
use std::path::Path;

use candle_core::{D, DType, Device, Tensor};
use guide_compiler::plan::Space;
use guide_runtime::error::{ErrorKind, Result, RuntimeError};
use guide_runtime::interventions::Hooks;
use guide_runtime::models::sd::{Added, Conditioning, Framing, Vae, VaeConfig, facts};
use guide_runtime::tokenizer::ClipTokenizer;
use guide_runtime::weights::find::{Places, find};
use guide_runtime::weights::{Changes, Predicts, SingleFile, Source};
use serde_json::{Value, json};

use super::rewrite::{self, Tensors, UNET, VAE, copy, folder, read, save};
use super::{MODELS, encoder, open, unet};

/// What a model's networks answer to fixed questions: the text encoders, the UNet, the autoencoder.
fn answers(source: &Source) -> Result<Vec<Vec<f32>>> {
    let ids: Vec<u32> = (0..77).map(|i| (i * 37 + 5) % 500).collect();
    let first = encoder(source, "")?;
    let mut states = first.states(&ids)?;
    let mut all = vec![states.last.clone(), states.penultimate.clone()];
    let mut pooled = None;
    if source.has("text_encoder_2/config.json") {
        let second = encoder(source, "_2")?;
        let two = second.states(&ids)?;
        pooled = Some(second.pooled(&ids, &two.last)?);
        states.last = Tensor::cat(&[&states.penultimate, &two.penultimate], D::Minus1)?;
    }
    let framing = [Framing::whole((128, 96))];
    let conditioning = Conditioning {
        states: &states.last,
        added: pooled.as_ref().map(|pooled| Added {
            pooled,
            framing: &framing,
        }),
    };
    let latents: Vec<f32> = (0..4 * 64).map(|i| (i as f32 * 0.7).sin()).collect();
    let latents = Tensor::from_vec(latents, (1, 4, 8, 8), &Device::Cpu)?;
    all.push(unet(source)?.forward(&latents, &[433.0], conditioning, Hooks::NONE)?);
    all.extend(pooled);
    let vae = Vae::load(
        &open(source, "vae", "diffusion_pytorch_model")?,
        VaeConfig::read(source, "vae")?,
    )?;
    let picture = vae.decode(&latents)?;
    all.push(vae.moments(&picture)?);
    all.push(picture);
    let bits = |tensor: Tensor| Ok(tensor.flatten_all()?.to_vec1::<f32>()?);
    all.into_iter().map(bits).collect()
}

#[track_caller]
fn same(model: &str, form: &str, source: &Source) -> Result<()> {
    let folder = answers(&Source::Folder(folder(model)))?;
    let other = answers(source)?;
    assert_eq!(folder.len(), other.len(), "{model}: {form}");
    for (answer, (one, two)) in folder.iter().zip(&other).enumerate() {
        assert!(one.iter().all(|x| x.is_finite()));
        assert!(one == two, "{model}: {form}: answer {answer} is another");
    }
    Ok(())
}

fn found(path: &Path) -> Result<Source> {
    Ok(find(&path.display().to_string(), &Places::default())?.source)
}

fn like(model: &str) -> Changes {
    Changes {
        config: Some(folder(model)),
        ..Changes::default()
    }
}

#[test]
fn single_files_of_every_family() -> Result<()> {
    let home = tempfile::tempdir().unwrap();
    for model in MODELS {
        for bare in [false, true] {
            let file = home.path().join(format!("{model}-{bare}.safetensors"));
            save(&rewrite::single(model, bare), &file);
            let source = found(&file)?.with(&like(model))?;
            same(model, &format!("single file, bare: {bare}"), &source)?;
            // The tokenizers and the scheduler are those of the folder with the configs.
            let wanted = facts(&Source::Folder(folder(model)), "one")?;
            assert_eq!(facts(&source, "one")?, wanted);
            assert!(ClipTokenizer::read(&source, "tokenizer", 77).is_ok());
        }
    }
    Ok(())
}

/// The code that SDXL was trained with names the text encoder of 2.x another way.
#[test]
fn a_single_file_of_the_second_code() -> Result<()> {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("one.safetensors");
    let tensors = rewrite::single("tiny-sd21", false).into_iter();
    let renamed = tensors.map(|(name, tensor)| {
        let name = name.replace("cond_stage_model.model.", "conditioner.embedders.0.model.");
        (name, tensor)
    });
    save(&renamed.collect(), &file);
    let source = found(&file)?.with(&like("tiny-sd21"))?;
    same("tiny-sd21", "the second code", &source)
}

/// Without configs a single file has the published ones of its family: the tiny networks do not fit them.
#[test]
fn single_files_have_the_published_configs() -> Result<()> {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("one.safetensors");
    save(&rewrite::single("tiny-sd15", false), &file);
    let source = found(&file)?;
    let facts = facts(&source, "one")?;
    assert_eq!((facts.space, facts.latent), (Space::Eps, [4, 64, 64]));
    let error = unet(&source).unwrap_err();
    assert_eq!(error.kind, ErrorKind::TensorShape);
    assert!(
        error
            .message
            .contains("`model.diffusion_model.input_blocks.1.0.in_layers.0.weight`"),
        "{}",
        error.message
    );
    assert!(error.help.unwrap().contains("--config DIR"));
    // The vocabulary is CLIP's, whose ids for these words are well known.
    let tokenizer = ClipTokenizer::read(&source, "tokenizer", 77)?;
    let ids = tokenizer.padded("A photo of a cat")?;
    assert_eq!(ids[..7], [49406, 320, 1125, 539, 320, 2368, 49407]);
    assert_eq!(ids[76], 49407);
    Ok(())
}

/// A file with these names and nothing in them.
fn named(names: &[&str]) -> Tensors {
    let zeros = |name: &&str| {
        let sides = if name.ends_with("input_blocks.0.0.weight") {
            vec![4, 9, 3, 3]
        } else {
            vec![4]
        };
        let zeros = Tensor::zeros(sides, DType::F32, &Device::Cpu).unwrap();
        ((*name).to_owned(), zeros)
    };
    names.iter().map(zeros).collect()
}

const XL: &str = "conditioner.embedders.1.model.ln_final.bias";
const TWO: &str = "cond_stage_model.model.ln_final.bias";
const ONE: &str = "cond_stage_model.transformer.text_model.final_layer_norm.bias";
const OUT: &str = "model.diffusion_model.out.2.bias";
const LABELS: &str = "model.diffusion_model.label_emb.0.0.bias";
const LAST_NORM: &str = "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias";

#[test]
fn what_a_single_file_predicts() -> Result<()> {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("one.safetensors");
    let told = |said: Option<(&str, &str)>| -> Result<(Space, u32)> {
        if let Some((key, value)) = said {
            rewrite::say(&file, key, value);
        }
        let facts = facts(&found(&file)?, "one")?;
        Ok((facts.space, facts.latent[1]))
    };
    save(&named(&[OUT, ONE]), &file);
    assert_eq!(told(None)?, (Space::Eps, 64));
    assert_eq!(
        told(Some(("modelspec.prediction_type", "v")))?,
        (Space::V, 64)
    );
    assert_eq!(
        told(Some(("modelspec.prediction_type", "epsilon")))?,
        (Space::Eps, 64)
    );
    save(&named(&[OUT, XL]), &file);
    assert_eq!(told(None)?, (Space::Eps, 128));
    save(&named(&[OUT, XL, "v_pred", "ztsnr"]), &file);
    assert_eq!(told(None)?, (Space::V, 128));
    assert!(
        found(&file)?
            .text("scheduler/scheduler_config.json")?
            .contains("\"rescale_betas_zero_snr\":true")
    );
    // Files of 2.x mostly say nothing; a norm of theirs tells them apart.
    for (spread, wanted) in [(0.05, (Space::Eps, 64)), (0.2, (Space::V, 96))] {
        let mut tensors = named(&[OUT, TWO]);
        let biases = Tensor::new(&[-spread, spread, -spread, spread], &Device::Cpu)?;
        tensors.insert(LAST_NORM.to_owned(), biases.to_dtype(DType::F32)?);
        save(&tensors, &file);
        assert_eq!(told(None)?, wanted);
        // An option knows better.
        for (predicts, space) in [(Predicts::V, Space::V), (Predicts::Eps, Space::Eps)] {
            let changes = Changes {
                predicts: Some(predicts),
                ..Changes::default()
            };
            assert_eq!(facts(&found(&file)?.with(&changes)?, "one")?.space, space);
        }
    }
    assert_eq!(
        told(Some((
            "modelspec.architecture",
            "stable-diffusion-v2-768-v"
        )))?,
        (Space::V, 96)
    );
    Ok(())
}

#[test]
fn files_that_are_no_model_are_told_by_what_they_hold() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("one.safetensors");
    let refused = |names: &[&str]| -> RuntimeError {
        save(&named(names), &file);
        let source = found(&file).and_then(|source| facts(&source, "one"));
        source.expect_err("no model")
    };
    let inpainting = "model.diffusion_model.input_blocks.0.0.weight";
    for (names, kind, part) in [
        (
            &["model.diffusion_model.joint_blocks.0.x"][..],
            ErrorKind::NotYet,
            "is a model of Stable Diffusion 3",
        ),
        (
            &[OUT, LABELS, "conditioner.embedders.0.model.ln_final.bias"],
            ErrorKind::NotYet,
            "is the refiner of SDXL",
        ),
        (
            &[OUT, LABELS, TWO],
            ErrorKind::NotYet,
            "conditioned on more than text",
        ),
        (&[OUT, XL, "edm_mean"], ErrorKind::NotYet, "EDM"),
        (&[inpainting, ONE], ErrorKind::NotYet, "an inpainting model"),
        (&[OUT], ErrorKind::ModelIncomplete, "holds no text encoder"),
        (
            &["lora_unet_mid_block_attentions_0_proj_in.alpha"],
            ErrorKind::ModelIncomplete,
            "seems to be a LoRA, and a model is needed",
        ),
        (
            &["decoder.up.0.block.0.norm1.bias"],
            ErrorKind::ModelIncomplete,
            "seems to be an autoencoder",
        ),
        (
            &["x"],
            ErrorKind::ModelIncomplete,
            "seems to be something else",
        ),
    ] {
        let error = refused(names);
        assert_eq!(error.kind, kind, "{}", error.message);
        assert!(error.message.contains(part), "{}", error.message);
        assert!(error.help.is_some());
    }
}

#[test]
fn a_single_file_without_an_autoencoder_says_how_to_add_one() -> Result<()> {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("one.safetensors");
    let mut tensors = rewrite::single("tiny-sd15", false);
    tensors.retain(|name, _| !name.starts_with("first_stage_model."));
    save(&tensors, &file);
    let source = found(&file)?.with(&like("tiny-sd15"))?;
    let error = answers(&source).unwrap_err();
    assert_eq!(error.kind, ErrorKind::ModelIncomplete);
    assert!(
        error.message.ends_with("holds no autoencoder"),
        "{}",
        error.message
    );
    assert!(error.help.unwrap().contains("--vae"));
    let vae = Changes {
        vae: Some(folder("tiny-sd15")),
        ..like("tiny-sd15")
    };
    same(
        "tiny-sd15",
        "with an autoencoder",
        &found(&file)?.with(&vae)?,
    )
}

#[test]
fn clip_without_text_model_and_older_names_of_attention() -> Result<()> {
    let home = copy("tiny-sd21");
    let clip = read("tiny-sd21", "text_encoder/model.safetensors").into_iter();
    let bare = clip.map(|(name, tensor)| {
        let name = name.strip_prefix("text_model.").unwrap().to_owned();
        (name, tensor)
    });
    save(
        &bare.collect(),
        &home.path().join("text_encoder/model.safetensors"),
    );
    let vae = read("tiny-sd21", VAE).into_iter();
    let older = vae.map(|(mut name, tensor)| {
        for (from, to) in [
            ("to_q.", "query."),
            ("to_k.", "key."),
            ("to_v.", "value."),
            ("to_out.0.", "proj_attn."),
        ] {
            name = name.replace(from, to);
        }
        (name, tensor)
    });
    save(&older.collect(), &home.path().join(VAE));
    same(
        "tiny-sd21",
        "older names",
        &Source::Folder(home.path().into()),
    )
}

/// Splits a part's weights in two files with an index.
fn shard(home: &Path, part: &str, stem: &str, names: [&str; 2], index: &str) {
    let whole = home.join(part).join(format!("{stem}.safetensors"));
    let all = candle_core::safetensors::load(&whole, &Device::Cpu).unwrap();
    let mut sorted: Vec<_> = all.into_iter().collect();
    sorted.sort_by(|one, two| one.0.cmp(&two.0));
    let rest = sorted.split_off(sorted.len() / 2);
    let mut map = serde_json::Map::new();
    for (tensors, name) in [sorted, rest].into_iter().zip(names) {
        for (tensor, _) in &tensors {
            map.insert(tensor.clone(), json!(name));
        }
        save(&tensors.into_iter().collect(), &home.join(part).join(name));
    }
    let text = json!({"metadata": {}, "weight_map": map}).to_string();
    fs::write(home.join(part).join(index), text).unwrap();
    fs::remove_file(whole).unwrap();
}

#[test]
fn shards_and_variants() -> Result<()> {
    let model = "tiny-sdxl";
    let stem = "diffusion_pytorch_model";
    for (form, names, index) in [
        (
            "shards",
            [
                "a-00001-of-00002.safetensors",
                "a-00002-of-00002.safetensors",
            ],
            "diffusion_pytorch_model.safetensors.index.json",
        ),
        (
            "shards of a variant",
            [
                "a.fp16-00001-of-00002.safetensors",
                "a.fp16-00002-of-00002.safetensors",
            ],
            "diffusion_pytorch_model.safetensors.index.fp16.json",
        ),
    ] {
        let home = copy(model);
        shard(home.path(), "unet", stem, names, index);
        same(model, form, &Source::Folder(home.path().into()))?;
        // A shard that has not come yet is missed by its name.
        fs::remove_file(home.path().join("unet").join(names[1])).unwrap();
        let error = unet(&Source::Folder(home.path().into())).unwrap_err();
        assert_eq!(error.kind, ErrorKind::ModelIncomplete);
        assert!(error.message.contains(names[1]), "{}", error.message);
    }
    for variant in ["fp16", "bf16", "ema"] {
        let home = copy(model);
        for (part, stem) in [
            ("unet", stem),
            ("vae", stem),
            ("text_encoder", "model"),
            ("text_encoder_2", "model"),
        ] {
            let part = home.path().join(part);
            let file = |name: String| part.join(name);
            fs::rename(
                file(format!("{stem}.safetensors")),
                file(format!("{stem}.{variant}.safetensors")),
            )
            .unwrap();
        }
        same(model, variant, &Source::Folder(home.path().into()))?;
    }
    Ok(())
}

#[test]
fn a_tokenizer_in_one_file() -> Result<()> {
    for model in MODELS {
        let home = copy(model);
        let tokenizer = home.path().join("tokenizer");
        let slow = ClipTokenizer::read(&Source::Folder(folder(model)), "tokenizer", 77)?;
        let text = |file: &str| fs::read_to_string(tokenizer.join(file)).unwrap();
        let vocab: Value = serde_json::from_str(&text("vocab.json")).unwrap();
        let merges: Vec<String> = text("merges.txt")
            .lines()
            .skip(1)
            .map(str::to_owned)
            .collect();
        let pairs: Vec<Vec<&str>> = merges.iter().map(|m| m.split(' ').collect()).collect();
        fs::remove_file(tokenizer.join("vocab.json")).unwrap();
        fs::remove_file(tokenizer.join("merges.txt")).unwrap();
        let source = Source::Folder(home.path().into());
        for merges in [json!(merges), json!(pairs)] {
            let whole = json!({"version": "1.0", "model": {"type": "BPE", "vocab": vocab, "merges": merges}});
            fs::write(tokenizer.join("tokenizer.json"), whole.to_string()).unwrap();
            let fast = ClipTokenizer::read(&source, "tokenizer", 77)?;
            for text in [
                "a small robot!",
                "Portrait of an OLD sailor",
                "",
                "it's 42 😀",
            ] {
                assert_eq!(fast.padded(text)?, slow.padded(text)?, "{model}: `{text}`");
            }
        }
        for (broken, part) in [
            (
                json!({"model": {"type": "Unigram"}}),
                "of the kind `Unigram`",
            ),
            (
                json!({"model": "x"}),
                "lacks `model.vocab` or `model.merges`",
            ),
            (json!({}), "lacks `model.vocab` or `model.merges`"),
        ] {
            fs::write(tokenizer.join("tokenizer.json"), broken.to_string()).unwrap();
            let error = ClipTokenizer::read(&source, "tokenizer", 77).unwrap_err();
            assert_eq!(error.kind, ErrorKind::BadTokenizer);
            assert!(error.message.contains(part), "{}", error.message);
        }
    }
    Ok(())
}

#[test]
fn a_tokenizer_from_elsewhere() -> Result<()> {
    let model = "tiny-sdxl";
    let home = copy(model);
    for part in ["tokenizer", "tokenizer_2"] {
        fs::remove_file(home.path().join(part).join("vocab.json")).unwrap();
    }
    let ids = |source: &Source, part: &str| -> Result<Vec<u32>> {
        ClipTokenizer::read(source, part, 77)?.padded("a robot!")
    };
    let broken = || Source::Folder(home.path().into());
    let error = ids(&broken(), "tokenizer").unwrap_err();
    assert_eq!(error.kind, ErrorKind::ModelIncomplete);
    // The folder of a model, or of one tokenizer; what pads is the model's own word.
    for from in [folder(model), folder(model).join("tokenizer")] {
        let changes = Changes {
            tokenizer: Some(from),
            ..Changes::default()
        };
        let source = broken().with(&changes)?;
        for part in ["tokenizer", "tokenizer_2"] {
            assert_eq!(
                ids(&source, part)?,
                ids(&Source::Folder(folder(model)), part)?
            );
        }
    }
    let nothing = Changes {
        tokenizer: Some(home.path().join("unet")),
        ..Changes::default()
    };
    let error = broken().with(&nothing).unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadTokenizer);
    assert!(
        error.message.contains("holds no tokenizer"),
        "{}",
        error.message
    );
    Ok(())
}

#[test]
fn an_autoencoder_from_elsewhere() -> Result<()> {
    // The two tiny models' autoencoders have one shape; the answers are the other's.
    let (model, other) = ("tiny-sd21", "tiny-sd15");
    let home = tempfile::tempdir().unwrap();
    let file = |name: &str, prefix: &str, tensors: Tensors| {
        let path = home.path().join(name);
        let tensors = tensors.into_iter();
        let named = tensors.map(|(name, tensor)| (format!("{prefix}{name}"), tensor));
        save(&named.collect(), &path);
        path
    };
    let latent = || rewrite::latent_vae(other);
    let picture = |source: &Source| -> Result<Vec<f32>> { Ok(answers(source)?.pop().unwrap()) };
    let wanted = picture(&Source::Folder(folder(other)))?;
    let own = picture(&Source::Folder(folder(model)))?;
    assert_ne!(wanted.len(), 0);
    for from in [
        folder(other),
        folder(other).join("vae"),
        folder(other).join(VAE),
        file("latent.safetensors", "", latent()),
        file("whole.safetensors", "first_stage_model.", latent()),
    ] {
        let changes = Changes {
            vae: Some(from.clone()),
            ..Changes::default()
        };
        let got = picture(&Source::Folder(folder(model)).with(&changes)?)?;
        assert!(got == wanted && got != own, "{}", from.display());
    }
    let pickle = home.path().join("vae.pt");
    fs::write(&pickle, b"x").unwrap();
    for (from, kind, part) in [
        (pickle, ErrorKind::Pickle, "is a pickle"),
        (
            folder(other).join(UNET),
            ErrorKind::ModelIncomplete,
            "seems to be a UNet",
        ),
        (
            folder(other).join("tokenizer"),
            ErrorKind::ModelIncomplete,
            "has neither",
        ),
        (
            home.path().join("none"),
            ErrorKind::Unreadable,
            "cannot be read",
        ),
    ] {
        let changes = Changes {
            vae: Some(from),
            ..Changes::default()
        };
        let error = Source::Folder(folder(model)).with(&changes).unwrap_err();
        assert_eq!(error.kind, kind, "{}", error.message);
        assert!(error.message.contains(part), "{}", error.message);
    }
    Ok(())
}

/// Configs are for single files; a folder has its own.
#[test]
fn configs_of_another_folder() {
    let folder = Source::Folder(folder("tiny-sd15"));
    let error = folder.with(&like("tiny-sd21")).unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadBinding);
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("one.safetensors");
    save(&named(&[OUT, ONE]), &file);
    let nowhere = Changes {
        config: Some(home.path().into()),
        ..Changes::default()
    };
    let error = found(&file).unwrap().with(&nowhere).unwrap_err();
    assert_eq!(error.kind, ErrorKind::ModelIncomplete);
    assert!(SingleFile::open(&home.path().join("none")).is_err());
}
