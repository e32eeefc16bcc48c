//! What made the pictures and what it cost: the text chunk of a picture, the lines at the end of a
//! run, and the object for programs.

use std::path::PathBuf;
use std::time::Duration;

use guide_compiler::plan::Plan;
use guide_runtime::device::peak_memory;
use guide_runtime::run::Finished;
use serde_json::{Map, Value, json};

use crate::args::{Run, VaeTiling};

/// What made pictures, as each of them says it.
#[derive(Clone)]
pub struct About {
    made: Map<String, Value>,
    seed: u64,
}

/// The facts of a run.
pub struct Summary {
    about: About,
    /// The samples that were drawn, from the first of the batch.
    samples: Vec<u32>,
    evaluations: Vec<u64>,
    network: Duration,
    arithmetic: Duration,
    total: Duration,
}

impl About {
    /// What a run is about to do.
    pub fn new(args: &Run, plan: &Plan) -> Self {
        let settings = plan.head.settings.iter();
        let settings = settings.map(|s| (s.name.clone(), Value::from(s.value.clone())));
        let bind = args
            .target
            .bind
            .iter()
            .map(|(name, value)| json!([name, value]));
        let [_, height, width] = plan.head.model.latent;
        let made = [
            ("guide", json!(plan.head.guide)),
            ("file", json!(plan.head.file)),
            ("source", json!(plan.head.source)),
            ("settings", Value::Object(settings.collect())),
            ("bind", bind.collect()),
            ("prompt", json!(args.prompt.text)),
            (
                "negative",
                json!(args.target.negative.as_deref().unwrap_or("")),
            ),
            (
                "steps",
                json!(plan.head.steps.saturating_add(plan.timetable.skipped)),
            ),
            ("sampler", json!(plan.head.sampler)),
            ("model", json!(plan.head.model.name)),
            ("latent", json!([width, height])),
            ("version", json!(env!("CARGO_PKG_VERSION"))),
            ("plan", json!(plan.fingerprint())),
        ];
        let path = |file: &Option<PathBuf>| file.as_ref().map(|file| json!(file));
        let named = |text: &str| Some(json!(text.to_lowercase()));
        let sdxl = &args.sdxl;
        let parts = &args.target.parts;
        let loras = parts.loras.iter();
        let loras: Vec<Value> = loras.map(|(file, weight)| json!([file, weight])).collect();
        let asked = [
            ("loras", Some(json!(loras)).filter(|_| !loras.is_empty())),
            ("vae", parts.vae.as_ref().map(|path| json!(path))),
            ("prompt_2", sdxl.prompt_2.as_ref().map(|text| json!(text))),
            (
                "negative_2",
                sdxl.negative_2.as_ref().map(|text| json!(text)),
            ),
            ("original_size", sdxl.original_size.map(|size| json!(size))),
            ("crop", sdxl.crop.map(|place| json!(place))),
            ("target_size", sdxl.target_size.map(|size| json!(size))),
            (
                "init_image",
                args.init_image.as_ref().map(|file| json!(file)),
            ),
            (
                "skipped_steps",
                args.init_image
                    .as_ref()
                    .map(|_| json!(plan.timetable.skipped)),
            ),
            ("target", args.aim.as_ref().map(|class| json!(class))),
            ("init_latents", path(&args.init_latents)),
            ("along", path(&args.way)),
            ("tokenizer", path(&parts.tokenizer)),
            ("config", path(&parts.config)),
            (
                "device",
                named(&args.machine.device).filter(|_| args.machine.device != "cpu"),
            ),
            (
                "dtype",
                args.machine
                    .dtype
                    .and_then(|dtype| named(&format!("{dtype:?}"))),
            ),
            (
                "vae_tiling",
                named(&format!("{:?}", args.vae_tiling))
                    .filter(|_| args.vae_tiling != VaeTiling::Auto),
            ),
            ("prompt_weights", args.prompt.weights.then_some(json!(true))),
        ];
        let asked = asked
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        Self {
            made: made
                .into_iter()
                .chain(asked)
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            seed: args.seed,
        }
    }

    /// Of a sample.
    pub fn value(&self, sample: usize) -> Value {
        let mut made = self.made.clone();
        made.insert("seed".to_owned(), json!(self.seed_of(sample as u64)));
        Value::Object(made)
    }

    /// Of a sample, as text.
    pub fn text(&self, sample: usize) -> String {
        self.value(sample).to_string()
    }

    /// Of a sample after so many steps, as text.
    pub fn after(&self, sample: usize, step: u32) -> String {
        let mut made = self.made.clone();
        made.insert("seed".to_owned(), json!(self.seed_of(sample as u64)));
        made.insert("step".to_owned(), json!(step));
        Value::Object(made).to_string()
    }

    fn seed_of(&self, sample: u64) -> u64 {
        self.seed.wrapping_add(sample)
    }
}

impl Summary {
    /// Of a run that is over.
    pub fn new(about: About, finished: &Finished, total: Duration) -> Self {
        let evaluations = finished.evaluations.clone();
        // INVARIANT: a batch has at most 4096 samples.
        let samples = (0..evaluations.len() as u32).collect();
        let took = (finished.network, finished.arithmetic);
        Self::of_some(about, samples, evaluations, took, total)
    }

    /// Of some samples of a batch, with what the networks and the arithmetic took.
    pub fn of_some(
        about: About,
        samples: Vec<u32>,
        evaluations: Vec<u64>,
        (network, arithmetic): (Duration, Duration),
        total: Duration,
    ) -> Self {
        Self {
            about,
            samples,
            evaluations,
            network,
            arithmetic,
            total,
        }
    }

    /// Says more of what made the pictures.
    pub fn add(&mut self, name: &str, value: Value) {
        self.about.made.insert(name.to_owned(), value);
    }

    /// What made the pictures.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// For people.
    pub fn text(&self, files: &[PathBuf]) -> String {
        let sum: u64 = self.evaluations.iter().sum();
        let pictures = self.evaluations.len();
        let each = match (self.evaluations.iter().min(), self.evaluations.iter().max()) {
            (Some(least), Some(most)) if pictures > 1 && least == most => {
                format!(", {least} a picture")
            }
            (Some(least), Some(most)) if pictures > 1 => format!(", {least} to {most} a picture"),
            _ => String::new(),
        };
        let [network, arithmetic, total] =
            [self.network, self.arithmetic, self.total].map(|t| t.as_secs_f64());
        let memory = peak_memory().map(|bytes| format!("; peak memory {} MiB", bytes >> 20));
        let memory = memory.unwrap_or_default();
        let mut out = format!(
            "{sum} evaluations{each}; {total:.1} s, of which network {network:.1} s, arithmetic {arithmetic:.2} s{memory}"
        );
        for file in files {
            out.push_str(&format!("\nwrote {}", file.display()));
        }
        out
    }

    /// For programs.
    pub fn json(&self, files: &[PathBuf]) -> String {
        let mut all = self.about.made.clone();
        let samples = self.samples.iter();
        let seeds = samples.map(|sample| self.about.seed_of(u64::from(*sample)));
        let files = files.iter().map(|file| file.display().to_string());
        all.insert("seeds".to_owned(), seeds.collect());
        all.insert("evaluations".to_owned(), json!(self.evaluations));
        let seconds = json!({
            "network": self.network.as_secs_f64(),
            "arithmetic": self.arithmetic.as_secs_f64(),
            "total": self.total.as_secs_f64(),
        });
        all.insert("seconds".to_owned(), seconds);
        all.insert("peak_memory_bytes".to_owned(), json!(peak_memory()));
        all.insert("files".to_owned(), files.collect());
        format!("{:#}\n", Value::Object(all))
    }
}
