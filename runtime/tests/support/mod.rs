//! Reference data of the tiny pipelines, and comparisons within the tolerances that they state.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor, safetensors};
use guide_compiler::plan::{ArgValue, Condition, Intervention, InterventionArg, LayerTerm, Layers};
use guide_runtime::error::Result;
use guide_runtime::interventions::{self, Hooks, Operands};
use guide_runtime::models::sd::{Added, Conditioning, Framing};
use guide_runtime::models::{Pipeline, embedded};
use guide_runtime::weights::Source;
use serde_json::Value;

/// The folder of reference data.
pub fn oracle() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/oracle")
}

/// The model that comes with the program.
pub fn pocket() -> Result<Pipeline> {
    load(&embedded::source(), embedded::NAME)
}

fn load(source: &Source, name: &str) -> Result<Pipeline> {
    Pipeline::load(source, name, DType::F32, &Device::Cpu)
}

/// What the reference computed with one tiny pipeline.
pub struct Expected {
    folder: PathBuf,
    facts: Value,
    tensors: std::collections::HashMap<String, Tensor>,
}

impl Expected {
    /// Reads the folder of `model`.
    pub fn read(model: &str) -> Self {
        let folder = oracle().join("models").join(model);
        let facts =
            serde_json::from_str(&std::fs::read_to_string(folder.join("expected.json")).unwrap())
                .unwrap();
        let tensors = safetensors::load(folder.join("expected.safetensors"), &Device::Cpu).unwrap();
        Self {
            folder,
            facts,
            tensors,
        }
    }

    /// The pipeline's files.
    pub fn source(&self) -> Source {
        Source::Folder(self.folder.clone())
    }

    /// The pipeline itself, named like its folder.
    pub fn pipeline(&self) -> Result<Pipeline> {
        let name = self.folder.file_name().and_then(|name| name.to_str());
        load(&self.source(), name.unwrap())
    }

    /// A fact about the run.
    pub fn fact(&self, name: &str) -> &Value {
        &self.facts[name]
    }

    /// A list among the facts.
    pub fn list(&self, name: &str) -> Vec<Value> {
        self.facts[name].as_array().unwrap().clone()
    }

    /// A text among the facts.
    pub fn text(&self, name: &str) -> String {
        self.facts[name].as_str().unwrap().to_owned()
    }

    /// A list of texts among the facts.
    pub fn texts(&self, name: &str) -> Vec<String> {
        self.list(name)
            .iter()
            .map(|text| text.as_str().unwrap().to_owned())
            .collect()
    }

    /// A reference tensor.
    pub fn tensor(&self, name: &str) -> Tensor {
        self.tensors
            .get(name)
            .unwrap_or_else(|| panic!("the reference has no `{name}`"))
            .clone()
    }

    /// The names of its tensors that begin with `start`, sorted.
    pub fn names(&self, start: &str) -> Vec<String> {
        let names = self.tensors.keys().filter(|name| name.starts_with(start));
        let mut names: Vec<String> = names.cloned().collect();
        names.sort();
        names
    }

    /// What the reference network was conditioned on: `cond` or `uncond`.
    pub fn told(&self, condition: &str) -> Told {
        let tensor = |name: &str| self.tensor(&name.replace('*', condition));
        if !self.tensors.contains_key("add_time_ids") {
            return Told {
                states: tensor("text.*.last_hidden_state"),
                added: None,
            };
        }
        let both = ["text.*.penultimate", "text_2.*.penultimate"].map(tensor);
        let rows = self.tensor("add_time_ids").to_vec2::<f32>().unwrap();
        let framing = rows.iter().map(|row| {
            let n = |i: usize| row[i] as usize;
            Framing {
                original: (n(0), n(1)),
                crop: (n(2), n(3)),
                target: (n(4), n(5)),
            }
        });
        Told {
            states: Tensor::cat(&both, 2).unwrap(),
            added: Some((tensor("text_2.*.text_embeds"), framing.collect())),
        }
    }

    /// The tolerance that the reference states for a tensor.
    pub fn tolerance(&self, name: &str) -> f64 {
        self.facts["tensors"][name]["tol"].as_f64().unwrap()
    }

    /// Fails where `got` is further from the reference than it states.
    #[track_caller]
    pub fn close(&self, name: &str, got: &Tensor) {
        self.within(name, got, self.tolerance(name));
    }

    /// Fails where `got` is further from the reference than `tolerance`.
    #[track_caller]
    pub fn within(&self, name: &str, got: &Tensor, tolerance: f64) {
        let wanted = self.tensor(name).to_dtype(DType::F64).unwrap();
        assert_eq!(got.dims(), wanted.dims(), "{name}");
        let furthest = furthest(&got.to_dtype(DType::F64).unwrap(), &wanted);
        assert!(
            furthest <= tolerance,
            "{name}: off by {furthest:e}, at most {tolerance:e} is allowed"
        );
    }
}

/// What a network is conditioned on.
pub struct Told {
    /// Text states.
    pub states: Tensor,
    /// The pooled text and the sizes of SDXL.
    pub added: Option<(Tensor, Vec<Framing>)>,
}

impl Told {
    /// That of one sample alone.
    pub fn of(&self, sample: usize) -> Self {
        let one = |tensor: &Tensor| tensor.narrow(0, sample, 1).unwrap();
        let added = self.added.as_ref();
        Self {
            states: one(&self.states),
            added: added.map(|(pooled, framing)| (one(pooled), vec![framing[sample]])),
        }
    }
}

impl<'a> From<&'a Told> for Conditioning<'a> {
    fn from(told: &'a Told) -> Self {
        let added = told.added.as_ref();
        Conditioning {
            states: &told.states,
            added: added.map(|(pooled, framing)| Added { pooled, framing }),
        }
    }
}

/// The largest difference between two tensors; NaN counts as infinite.
pub fn furthest(one: &Tensor, other: &Tensor) -> f64 {
    let numbers = (one - other)
        .unwrap()
        .abs()
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_dtype(DType::F64)
        .unwrap();
    numbers
        .to_vec1::<f64>()
        .unwrap()
        .into_iter()
        .fold(0.0, |most, x| {
            if x.is_nan() {
                f64::INFINITY
            } else {
                f64::max(most, x)
            }
        })
}

/// A selector of layers from words: `mid`, `self`, …, or names of layers.
pub fn layers(words: &[&str]) -> Layers {
    let term = |word: &&str| match *word {
        "mid" => LayerTerm::Mid,
        "down" => LayerTerm::Down,
        "up" => LayerTerm::Up,
        "all" => LayerTerm::All,
        name => LayerTerm::Named(name.to_owned()),
    };
    Layers {
        terms: words.iter().map(|word| (true, term(word))).collect(),
    }
}

/// An intervention as a plan holds it.
pub fn intervention(name: &str, words: &[&str], sigma: Option<f64>) -> Intervention {
    let mut args = vec![InterventionArg {
        name: "layers".into(),
        value: ArgValue::Layers(layers(words)),
    }];
    args.extend(sigma.map(|sigma| InterventionArg {
        name: "sigma".into(),
        value: ArgValue::Number(sigma),
    }));
    Intervention {
        name: name.into(),
        args,
    }
}

/// The hooks of one intervention.
pub fn hooks(name: &str, words: &[&str], sigma: Option<f64>, names: &[String]) -> Result<Hooks> {
    built(&[intervention(name, words, sigma)], names)
}

/// The hooks of interventions that have no operands.
pub fn built(list: &[Intervention], names: &[String]) -> Result<Hooks> {
    let states = |condition: &Condition| panic!("{condition:?} is not asked for");
    let operands = Operands {
        tick: 0,
        step: 0,
        seeds: &[],
        states: &states,
        places: &|tokens| panic!("{tokens} are not looked for"),
        maps: &[],
    };
    interventions::build(list, names, operands)
}

/// A small random CLIP (`tests/oracle/models/tiny-clip`) with the embedded model's tokenizer, as CLIP models are
/// laid out.
pub fn tiny_clip() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("tiny_clip");
    std::fs::create_dir_all(&folder).unwrap();
    let oracle = root.join("../tests/oracle/models/tiny-clip");
    for file in [
        "config.json",
        "preprocessor_config.json",
        "model.safetensors",
    ] {
        copy(&oracle.join(file), &folder.join(file));
    }
    let tokenizer = root.join("models/pocket/tokenizer");
    for file in [
        "vocab.json",
        "merges.txt",
        "tokenizer_config.json",
        "special_tokens_map.json",
    ] {
        copy(&tokenizer.join(file), &folder.join(file));
    }
    folder
}

/// Tests run side by side: each file is written aside and moved to its place.
fn copy(from: &Path, to: &Path) {
    let aside = to.with_extension(format!("{:?}", std::thread::current().id()));
    std::fs::copy(from, &aside).unwrap();
    std::fs::rename(&aside, to).unwrap();
}
