//! Whole runs against diffusers' pipelines: rule, plan, executor, networks, schedule and solver together.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "pipeline/mod.rs"]
mod compiled;
#[path = "models/injection.rs"]
mod injection;
#[path = "models/losses.rs"]
mod losses;
mod support;

use std::sync::atomic::AtomicBool;

use candle_core::{Device, Tensor};
use guide_compiler::plan::{Condition, Plan, Prediction, PredictionId, Tick};
use guide_compiler::timetable::{Sampler, SchedulerConfig, timetable};
use guide_runtime::error::{ErrorKind, Result};
use guide_runtime::exec::Bindings;
use guide_runtime::models::{AskedFraming, Conditions, Pipeline, SecondTexts, embedded};
use guide_runtime::noise::Supplied;
use guide_runtime::predictor::{Predictor, Question};
use guide_runtime::run::{Observer, Progress, Request, Start, run_with_noise};
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
        config: &SchedulerConfig,
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
        let table = timetable(config, sampler, None, steps).unwrap();
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

fn scheduler(text: &str) -> SchedulerConfig {
    SchedulerConfig::parse(text, None).unwrap()
}

/// Runs one sample from standard normal noise, `[1, C, H, W]`, to its final latents.
fn run(
    pipeline: &mut Pipeline,
    plan: &Plan,
    start: &Tensor,
    noise: Vec<Vec<f32>>,
) -> Result<Tensor> {
    observed(pipeline, plan, start, noise, &mut ())
}

/// The same, watched.
fn observed(
    pipeline: &mut Pipeline,
    plan: &Plan,
    start: &Tensor,
    noise: Vec<Vec<f32>>,
    observer: &mut dyn Observer,
) -> Result<Tensor> {
    let stop = AtomicBool::new(false);
    let request = Request {
        plan,
        batch: 1,
        latent: &start.dims()[1..],
        device: &Device::Cpu,
        bindings: Bindings::default(),
        seed: 0,
        start: Start::Given(start.clone()),
        stop: &stop,
    };
    let mut noise = Supplied::new(noise);
    Ok(run_with_noise(&request, &mut noise, pipeline, observer)?.latents)
}

/// The latents after every tick, as the reference keeps them.
struct Trajectory {
    /// Whether the reference keeps `x0 + sigma*eps` rather than `alpha*x0 + sigma*eps`.
    unscaled: bool,
    latents: Vec<Tensor>,
}

impl Observer for Trajectory {
    fn tick(&mut self, progress: &Progress<'_>) -> Result<()> {
        let scale = match self.unscaled {
            true => 1.0 / progress.tick.alpha_next,
            false => 1.0,
        };
        self.latents.push((progress.after * scale)?);
        Ok(())
    }
}

/// What a reference run of sample `i` was conditioned on, by the end of its name.
fn conditions(expected: &Expected, tensor: &str, i: usize) -> Conditions {
    let (prompts, negatives) = (
        expected.texts("prompts"),
        expected.texts("negative_prompts"),
    );
    let kind = tensor.rsplit('.').next().unwrap();
    let without = ["empty_negative", "no_negative"].contains(&kind);
    let mut all = Conditions {
        prompt: prompts[i].clone(),
        negative: (!without).then(|| negatives[i].clone()),
        ..Conditions::default()
    };
    if kind == "prompt2" {
        all.second = SecondTexts {
            prompt: Some(prompts[prompts.len() - 1 - i].clone()),
            negative: None,
        };
    }
    if kind == "micro" {
        let told = &expected.fact("variants")[tensor];
        let pair = |field: &str| {
            let side = |at: usize| told[field][at].as_u64().unwrap() as usize;
            Some((side(0), side(1)))
        };
        all.framing = AskedFraming {
            original: pair("original_size"),
            crop: pair("crops_coords_top_left"),
            target: pair("target_size"),
        };
    }
    all
}

/// Runs every sample of a reference run and compares the latents; those after every tick where `tensor`
/// is a trajectory.
fn check(model: &str, sampler: &str, rule: Rule<'_>, tensor: &str) -> Result<()> {
    let expected = Expected::read(model);
    let mut pipeline = expected.pipeline()?;
    let facts = &expected.fact("samplers")[sampler];
    let mut config = facts["config"].clone();
    config["_class_name"] = facts["class"].clone();
    let mut config = scheduler(&config.to_string());
    config.eta = facts["eta"].as_f64().unwrap_or(0.0);
    let which = config.sampler.unwrap();
    let steps = expected.fact("num_inference_steps").as_u64().unwrap() as u32;
    let bank = expected.tensor("noise.steps");
    let (mut latents, mut trajectories) = (Vec::new(), Vec::new());
    for i in 0..expected.texts("prompts").len() {
        pipeline.set_conditions(conditions(&expected, tensor, i));
        let start = expected.tensor("latents.init").narrow(0, i, 1)?;
        let noise = (0..bank.dim(0)?)
            .map(|step| Ok(bank.get(step)?.get(i)?.flatten_all()?.to_vec1()?))
            .collect::<Result<_>>()?;
        let plan = rule.plan(&pipeline, &start, &config, which, steps);
        let mut trajectory = Trajectory {
            unscaled: sampler.starts_with("euler"),
            latents: Vec::new(),
        };
        latents.push(observed(
            &mut pipeline,
            &plan,
            &start,
            noise,
            &mut trajectory,
        )?);
        trajectories.push(Tensor::stack(&trajectory.latents, 0)?);
    }
    if tensor.starts_with("traj.") {
        expected.close(tensor, &Tensor::cat(&trajectories, 1)?);
    } else {
        expected.close(tensor, &Tensor::cat(&latents, 0)?);
    }
    Ok(())
}

/// The tiny models with reference runs.
const MODELS: [&str; 3] = ["tiny-sd15", "tiny-sd21", "tiny-sdxl"];

/// Plain guidance of this scale.
const CFG: [(&str, f64); 1] = [("scale", 7.5)];

/// Both scales of a sampler, with every tiny model.
fn both(sampler: &str) -> Result<()> {
    for model in MODELS {
        for (tensor, scale) in [("g7.5", 7.5), ("g1.0", 1.0)] {
            let set = [("scale", scale)];
            let tensor = format!("pipe.{sampler}.{tensor}");
            check(model, sampler, Rule::standard("cfg", &set), &tensor)?;
        }
    }
    Ok(())
}

/// A run of each model, guided or not: the numbers of the solver itself stand in `samplers.rs`.
fn each(sampler: &str) -> Result<()> {
    for (model, tensor, scale) in [
        ("tiny-sd15", "g7.5", 7.5),
        ("tiny-sd21", "g1.0", 1.0),
        ("tiny-sdxl", "g7.5", 7.5),
    ] {
        let set = [("scale", scale)];
        let tensor = format!("pipe.{sampler}.{tensor}");
        check(model, sampler, Rule::standard("cfg", &set), &tensor)?;
    }
    Ok(())
}

/// One test for each sampler of the reference.
macro_rules! samplers {
    ($($how:ident: $($name:ident)*;)*) => {
        $($(#[test]
        fn $name() -> Result<()> {
            $how(stringify!($name))
        })*)*

        #[test]
        fn every_sampler_of_the_reference_is_tried() {
            let tried = [$($(stringify!($name)),*),*];
            for model in MODELS {
                let expected = Expected::read(model);
                let known = expected.fact("samplers").as_object().unwrap();
                assert!(known.keys().all(|name| tried.contains(&name.as_str())));
            }
        }
    };
}

samplers! {
    both: ddim euler;
    each: ddim_eta1 ddpm pndm euler_ancestral heun lms dpmpp_2m dpmpp_2m_karras dpmpp_2m_sde dpmpp_single
        unipc_bh2 lcm;
}

#[test]
fn trajectories() -> Result<()> {
    for (model, sampler) in [
        ("tiny-sd15", "euler"),
        ("tiny-sd21", "ddim"),
        ("tiny-sdxl", "euler"),
    ] {
        let rule = Rule::standard("cfg", &CFG);
        check(model, sampler, rule, &format!("traj.{sampler}.g7.5"))?;
    }
    Ok(())
}

/// SDXL: nothing in place of the negative prompt is zeros; another size and cut; another text for the
/// second encoder.
#[test]
fn what_sdxl_alone_is_told() -> Result<()> {
    for kind in ["no_negative", "micro", "prompt2"] {
        let rule = Rule::standard("cfg", &CFG);
        check(
            "tiny-sdxl",
            "euler",
            rule,
            &format!("pipe.euler.g7.5.{kind}"),
        )?;
    }
    Ok(())
}

/// Other models refuse these, rather than make a picture without them.
#[test]
fn what_only_sdxl_can_be_told_is_refused_by_others() -> Result<()> {
    let mut pipeline = Expected::read("tiny-sd15").pipeline()?;
    let start = Expected::read("tiny-sd15")
        .tensor("latents.init")
        .narrow(0, 0, 1)?;
    let text = Expected::read("tiny-sd15")
        .source()
        .text("scheduler/scheduler_config.json")?;
    let config = scheduler(&text);
    let plan = Rule::standard("cfg", &CFG).plan(&pipeline, &start, &config, Sampler::Ddim, 5);
    let second = Conditions {
        second: SecondTexts {
            prompt: Some("b".into()),
            negative: None,
        },
        ..Conditions::default()
    };
    let framing = Conditions {
        framing: AskedFraming {
            crop: Some((0, 8)),
            ..AskedFraming::default()
        },
        ..Conditions::default()
    };
    for (conditions, part) in [
        (second, "a prompt for a second text encoder"),
        (framing, "the size and cut of the picture"),
    ] {
        pipeline.set_conditions(conditions);
        let error = pipeline.prepare(&plan).unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadBinding);
        assert!(error.message.contains(part), "{}", error.message);
    }
    Ok(())
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

/// What several predictions change, and from which layer on.
const CHANGED: &str = "guide changed() {\n    let c = predict(cond)\n    \
    let late = predict(cond, with: [blur_attention(up, 2), shuffle_tokens(\"up.3\")])\n    \
    let early = predict(cond, with: skip_layers(\"down.1.attn.1.ff\"))\n    \
    let all = predict(cond, with: identity_attention(all - \"down.0\" - mid))\n    \
    let other = predict(uncond, with: steer_away(cond, layers: mid))\n    \
    c + 2 * (c - late) + 0.5 * (c - early) + (c - all) + 0.1 * (predict(uncond) - other)\n}\n";

/// What predictions have in common goes through the network once, and that shows in nothing: neither
/// with each sample alone, nor with several in a pass.
#[test]
fn what_predictions_share_is_computed_once() -> Result<()> {
    let expected = Expected::read("tiny-sd15");
    let start = expected.tensor("latents.init").narrow(0, 0, 1)?;
    let text = expected.source().text("scheduler/scheduler_config.json")?;
    let mut pipeline = expected.pipeline()?;
    pipeline.set_conditions(conditions(&expected, "pipe.ddim.g7.5", 0));

    let rules = [
        Rule::standard("cfg_pag", &[]),
        Rule {
            name: "changed",
            text: Some(CHANGED),
            set: &[],
        },
    ];
    for (rule, wanted) in rules.into_iter().zip([
        vec!["mid.attn.0.self"],
        vec![
            "up.1.attn.0.self",
            "down.1.attn.1.ff",
            "down.1.attn.0.self",
            "mid.attn.0.cross",
        ],
    ]) {
        let config = scheduler(&text);
        let plan = rule.plan(&pipeline, &start, &config, Sampler::Ddim, 3);
        let uses = || plan.segments.iter().flat_map(|s| s.uses());
        let shared = uses().filter_map(|one| one.shares.as_ref());
        let shared: Vec<&str> = shared.map(|shared| shared.until.as_str()).collect();
        assert_eq!(shared, wanted);
        let mut apart = plan.clone();
        let waves = apart.segments.iter_mut().flat_map(|s| &mut s.waves);
        for batch in waves.flat_map(|wave| &mut wave.evaluate) {
            batch.uses.iter_mut().for_each(|one| one.shares = None);
        }
        let mut latents = Vec::new();
        for most in [None, Some(4)] {
            pipeline.set_max_batch(most);
            for (plan, times) in [(&plan, wanted.len()), (&apart, 0)] {
                let before = pipeline.shared();
                pipeline.prepare(plan)?;
                latents.push(run(&mut pipeline, plan, &start, Vec::new())?);
                assert_eq!(pipeline.shared() - before, 3 * times);
            }
        }
        for other in &latents[1..] {
            assert_eq!(support::furthest(&latents[0], other), 0.0);
        }
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
    let config = scheduler(&expected.source().text("scheduler/scheduler_config.json")?);
    let start = expected.tensor("nonsquare.latents.init");
    let plan = Rule::standard("cfg", &CFG).plan(&pipeline, &start, &config, Sampler::Ddim, 5);
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
    let config = scheduler(&embedded::source().text("scheduler/scheduler_config.json")?);
    let start = expected["init"].reshape((1, 4, 16, 16))?;
    let plan = Rule::standard("cfg", &CFG).plan(&pipeline, &start, &config, Sampler::Ddim, 20);
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
        gradient: false,
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
            maps: Vec::new(),
            by: None,
            seeds: vec![0],
            drawn: None,
            sights: Vec::new(),
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
