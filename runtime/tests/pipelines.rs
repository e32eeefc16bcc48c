//! Whole runs against diffusers' pipelines: rule, plan, executor, networks, schedule and solver together.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "pipeline/mod.rs"]
mod compiled;
mod support;

use std::sync::atomic::AtomicBool;

use candle_core::{Device, Tensor};
use guide_compiler::plan::{Condition, Plan, Prediction, PredictionId, Tick};
use guide_compiler::timetable::{Sampler, SchedulerConfig, timetable};
use guide_runtime::error::Result;
use guide_runtime::exec::Bindings;
use guide_runtime::models::{Conditions, Pipeline, embedded};
use guide_runtime::noise::Supplied;
use guide_runtime::predictor::{Predictor, Question};
use guide_runtime::run::{Request, run_with_noise};
use serde_json::Value;

use support::Expected;

/// A guide and its settings.
#[derive(Clone, Copy)]
struct Rule<'a> {
    name: &'a str,
    /// A rule of the standard library where this is `None`.
    text: Option<&'a str>,
    set: &'a [(&'a str, f64)],
}

impl<'a> Rule<'a> {
    fn standard(name: &'a str, set: &'a [(&'a str, f64)]) -> Self {
        let text = None;
        Self { name, text, set }
    }

    fn plan(
        self,
        pipeline: &Pipeline,
        start: &Tensor,
        scheduler: &str,
        sampler: Sampler,
        steps: u32,
    ) -> Plan {
        let text = self.text.or_else(|| compiled::rule(self.name)).unwrap();
        let set = self.set.iter();
        let settings = set.map(|(name, value)| (name.to_string(), value.to_string()));
        let mut facts = pipeline.facts().clone();
        for (side, size) in facts.latent.iter_mut().zip(&start.dims()[1..]) {
            *side = *size as u32;
        }
        let config = SchedulerConfig::parse(scheduler, None).unwrap();
        let table = timetable(&config, sampler, None, steps).unwrap();
        compiled::planned(
            self.name,
            text,
            settings.collect(),
            facts,
            table,
            Some(sampler),
        )
        .unwrap()
    }
}

/// Runs one sample from standard normal noise, `[1, C, H, W]`, to its final latents.
fn run(
    pipeline: &mut Pipeline,
    plan: &Plan,
    start: &Tensor,
    noise: Vec<Vec<f32>>,
) -> Result<Tensor> {
    let stop = AtomicBool::new(false);
    let request = Request {
        plan,
        batch: 1,
        latent: &start.dims()[1..],
        device: &Device::Cpu,
        bindings: Bindings::default(),
        seed: 0,
        start: Some(start.clone()),
        stop: &stop,
    };
    let mut noise = Supplied::new(noise);
    Ok(run_with_noise(&request, &mut noise, pipeline, &mut ())?.latents)
}

/// Runs every sample of a reference run and compares the latents.
fn check(model: &str, sampler: &str, rule: Rule<'_>, tensor: &str) -> Result<()> {
    let expected = Expected::read(model);
    let mut pipeline = expected.pipeline()?;
    let facts = &expected.fact("samplers")[sampler];
    let mut config = facts["config"].clone();
    config["_class_name"] = facts["class"].clone();
    let which = Sampler::parse(facts["class"].as_str().unwrap()).unwrap();
    let steps = expected.fact("num_inference_steps").as_u64().unwrap() as u32;
    let negatives = expected.texts("negative_prompts");
    let bank = expected.tensor("noise.steps");
    let mut latents = Vec::new();
    for (i, prompt) in expected.texts("prompts").into_iter().enumerate() {
        let negative = (!tensor.ends_with("empty_negative")).then(|| negatives[i].clone());
        pipeline.set_conditions(Conditions {
            prompt,
            negative,
            ..Conditions::default()
        });
        let start = expected.tensor("latents.init").narrow(0, i, 1)?;
        let noise = (0..bank.dim(0)?)
            .map(|step| Ok(bank.get(step)?.get(i)?.flatten_all()?.to_vec1()?))
            .collect::<Result<_>>()?;
        let plan = rule.plan(&pipeline, &start, &config.to_string(), which, steps);
        latents.push(run(&mut pipeline, &plan, &start, noise)?);
    }
    expected.close(tensor, &Tensor::cat(&latents, 0)?);
    Ok(())
}

/// Plain guidance of this scale.
const CFG: [(&str, f64); 1] = [("scale", 7.5)];

/// Both scales of a sampler, with both tiny models.
fn both(sampler: &str) -> Result<()> {
    for model in ["tiny-sd15", "tiny-sd21"] {
        for (tensor, scale) in [("g7.5", 7.5), ("g1.0", 1.0)] {
            let set = [("scale", scale)];
            let tensor = format!("pipe.{sampler}.{tensor}");
            check(model, sampler, Rule::standard("cfg", &set), &tensor)?;
        }
    }
    Ok(())
}

#[test]
fn ddim() -> Result<()> {
    both("ddim")
}

#[test]
fn euler() -> Result<()> {
    both("euler")
}

#[test]
fn euler_ancestral() -> Result<()> {
    both("euler_ancestral")
}

#[test]
fn dpmpp_2m() -> Result<()> {
    both("dpmpp_2m")
}

#[test]
fn heun() -> Result<()> {
    both("heun")
}

#[test]
fn rescaled_guidance_and_an_empty_negative() -> Result<()> {
    for model in ["tiny-sd15", "tiny-sd21"] {
        let rescaled = Rule::standard("cfg_rescale", &[("scale", 7.5), ("phi", 0.7)]);
        check(model, "ddim", rescaled, "pipe.ddim.g7.5.rescale0.7")?;
        let plain = Rule::standard("cfg", &CFG);
        check(model, "ddim", plain, "pipe.ddim.g7.5.empty_negative")?;
    }
    Ok(())
}

/// diffusers weakens perturbed-attention guidance by `fade` for each timestep that has passed.
const FADING: &str = "use std::rules::cfg_pag\n\n\
    guide fading(scale: Scalar = 5, strength: Scalar = 3, fade: Scalar = 0.004) {\n    \
    cfg_pag(scale: scale, pag_scale: max(strength - fade * (1000 - t), 0))\n}\n";

#[test]
fn perturbed_attention_guidance() -> Result<()> {
    let with = |scale: f64| [("scale", scale), ("pag_scale", 3.0)];
    let (guided, alone) = (with(5.0), with(1.0));
    let fading = Rule {
        name: "fading",
        text: Some(FADING),
        set: &[],
    };
    for (tensor, rule) in [
        ("pag3_cfg5", Rule::standard("cfg_pag", &guided)),
        ("pag3_nocfg", Rule::standard("cfg_pag", &alone)),
        ("pag3_adaptive0.004_cfg5", fading),
    ] {
        check("tiny-sd15", "ddim", rule, &format!("pipe.ddim.{tensor}"))?;
    }
    Ok(())
}

#[test]
fn latents_that_are_not_square() -> Result<()> {
    let expected = Expected::read("tiny-sd21");
    let mut pipeline = expected.pipeline()?;
    pipeline.set_conditions(Conditions {
        prompt: expected.texts("prompts").remove(0),
        negative: Some(expected.texts("negative_prompts").remove(0)),
        ..Conditions::default()
    });
    let scheduler = expected.source().text("scheduler/scheduler_config.json")?;
    let start = expected.tensor("nonsquare.latents.init");
    let plan = Rule::standard("cfg", &CFG).plan(&pipeline, &start, &scheduler, Sampler::Ddim, 5);
    let latents = run(&mut pipeline, &plan, &start, Vec::new())?;
    expected.close("nonsquare.pipe.default.g7.5", &latents);
    Ok(())
}

/// The floor that the reference states for whole runs.
const POCKET_TOLERANCE: f64 = 5e-4;

#[test]
fn a_strawberry_of_the_embedded_model() -> Result<()> {
    let file =
        support::oracle().join("models/pocket/expected_strawberry_seed3_ddim20_cfg7.5.safetensors");
    let expected = candle_core::safetensors::load(file, &Device::Cpu)?;
    let mut pipeline = support::pocket()?;
    pipeline.set_conditions(Conditions {
        prompt: "strawberry".into(),
        negative: Some(String::new()),
        ..Conditions::default()
    });
    let scheduler = embedded::source().text("scheduler/scheduler_config.json")?;
    let start = expected["init"].reshape((1, 4, 16, 16))?;
    let plan = Rule::standard("cfg", &CFG).plan(&pipeline, &start, &scheduler, Sampler::Ddim, 20);
    let latents = run(&mut pipeline, &plan, &start, Vec::new())?;
    let off = support::furthest(&latents, &expected["latents"].reshape((1, 4, 16, 16))?);
    assert!(off <= POCKET_TOLERANCE, "off by {off:e}");

    let picture = pipeline.decode(&latents)?;
    assert_eq!(picture.dims(), [1, 3, 64, 64]);
    Ok(())
}

/// A second model answers in its own space; what arrives is in the main model's.
#[test]
fn a_second_model_is_told_in_the_main_models_space() -> Result<()> {
    let (main, other) = (Expected::read("tiny-sd15"), Expected::read("tiny-sd21"));
    let conditions = Conditions {
        prompt: "a castle".into(),
        ..Conditions::default()
    };
    let mut pipeline = main.pipeline()?;
    pipeline.bind_model("weak", &other.source())?;
    pipeline.set_conditions(conditions.clone());
    let mut alone = other.pipeline()?;
    alone.set_conditions(conditions);

    let x = main.tensor("latents.init").narrow(0, 0, 1)?;
    let (alpha, sigma) = (0.6, 0.8);
    let prediction = |model: Option<&str>| Prediction {
        label: "p".into(),
        model: model.map(str::to_owned),
        condition: Condition::Cond,
        interventions: vec![],
        control: 1.0,
    };
    let tick: Tick = serde_json::from_value(serde_json::json!({
        "step": 0, "substep": 0, "t": 500.0, "t1000": 500.0, "alpha": alpha, "sigma": sigma,
        "t_next": 400.0, "alpha_next": 0.7, "sigma_next": 0.7, "posterior_variance": 0.0,
    }))
    .unwrap();
    let told = |pipeline: &mut Pipeline, model: Option<&str>| -> Result<Tensor> {
        let prediction = prediction(model);
        let question = Question {
            id: PredictionId(0),
            prediction: &prediction,
            rows: &[0],
            x: x.clone(),
            t: 500.0,
            alpha,
            sigma,
            told: None,
            class: None,
            drawn: None,
        };
        Ok(pipeline.predict(0, &tick, &[question])?.remove(0))
    };
    let eps = told(&mut pipeline, Some("weak"))?;
    let v = told(&mut alone, None)?;
    // Salimans and Ho 2022: eps = alpha*v + sigma*x.
    let wanted = ((v * alpha)? + (&x * sigma)?)?;
    assert!(support::furthest(&eps, &wanted) < 1e-5);
    let missing = told(&mut pipeline, Some("strong")).unwrap_err();
    assert_eq!(missing.message, "no model is bound as `strong`");
    Ok(())
}

/// The embedded model brings its weaker twin, which needs no binding.
#[test]
fn the_embedded_model_brings_a_weak_twin() -> Result<()> {
    let mut pipeline = support::pocket()?;
    let config: Value =
        serde_json::from_str(&embedded::source().text("weak/unet/config.json")?).unwrap();
    assert_eq!(config["cross_attention_dim"], 96);
    pipeline.bind_model("weak", &embedded::source().below("weak"))?;
    let error = pipeline
        .bind_model("odd", &Expected::read("tiny-sd15").source().below("vae"))
        .unwrap_err();
    assert!(
        error.message.contains("has no `unet/config.json`"),
        "{}",
        error.message
    );
    Ok(())
}
