//! Whole runs against diffusers' pipelines: networks, schedule and solver together.
//!
//! The rule is a few tensor operations here, so that what is compared is everything but the language.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use candle_core::{D, DType, Device, Tensor};
use guide_compiler::plan::{Condition, Intervention, Prediction, PredictionId, Tick};
use guide_compiler::timetable::{Sampler, SchedulerConfig, timetable};
use guide_runtime::error::Result;
use guide_runtime::exec::{Evaluated, Guided};
use guide_runtime::models::{Conditions, Pipeline, embedded};
use guide_runtime::noise::Supplied;
use guide_runtime::predictor::{Predictor, Question};
use guide_runtime::samplers::solver;
use serde_json::Value;

use support::Expected;

/// The rule of a run.
#[derive(Clone, Copy)]
enum Rule {
    /// `c`
    Alone,
    /// `u + scale*(c - u)`
    Cfg(f64),
    /// The same, rescaled to the deviation of `c` (Lin et al. 2023, arXiv 2305.08891, section 3.4).
    Rescaled(f64, f64),
    /// With `pag*(c - perturbed)`, weakened by `adaptive` for each timestep that has passed.
    Pag { scale: f64, pag: f64, adaptive: f64 },
}

/// Asks one question of one sample.
fn ask(
    pipeline: &mut Pipeline,
    tick: &Tick,
    x: &Tensor,
    condition: Condition,
    interventions: Vec<Intervention>,
) -> Result<Tensor> {
    let prediction = Prediction {
        label: "p".into(),
        model: None,
        condition,
        interventions,
        control: 1.0,
    };
    let question = Question {
        id: PredictionId(0),
        prediction: &prediction,
        rows: &[0],
        x: x.clone(),
        t: tick.t,
        alpha: tick.alpha,
        sigma: tick.sigma,
        told: None,
        class: None,
    };
    Ok(pipeline.predict(0, tick, &[question])?.remove(0))
}

/// The standard deviation, dividing by n-1.
fn deviation(x: &Tensor) -> Result<f64> {
    Ok(f64::from(
        x.flatten_all()?
            .var(D::Minus1)?
            .to_dtype(DType::F32)?
            .to_scalar::<f32>()?,
    )
    .sqrt())
}

impl Rule {
    fn guide(self, pipeline: &mut Pipeline, tick: &Tick, x: &Tensor) -> Result<Tensor> {
        let c = ask(pipeline, tick, x, Condition::Cond, vec![])?;
        match self {
            Rule::Alone => Ok(c),
            Rule::Cfg(scale) => {
                let u = ask(pipeline, tick, x, Condition::Uncond, vec![])?;
                Ok((&u + ((&c - &u)? * scale)?)?)
            }
            Rule::Rescaled(scale, share) => {
                let guided = Rule::Cfg(scale).guide(pipeline, tick, x)?;
                let factor = deviation(&c)? / deviation(&guided)?;
                Ok((guided * (share * factor + 1.0 - share))?)
            }
            Rule::Pag {
                scale,
                pag,
                adaptive,
            } => {
                let perturb = support::intervention("identity_attention", &["mid"], None);
                let perturbed = ask(pipeline, tick, x, Condition::Cond, vec![perturb])?;
                let pag = (pag - adaptive * (1000.0 - tick.t)).max(0.0);
                let base = if scale == 1.0 {
                    c.clone()
                } else {
                    Rule::Cfg(scale).guide(pipeline, tick, x)?
                };
                Ok((base + ((c - perturbed)? * pag)?)?)
            }
        }
    }
}

/// Runs one sample from standard normal noise, `[1, C, H, W]`, to its final latents.
fn run(
    pipeline: &mut Pipeline,
    scheduler: &str,
    sampler: Sampler,
    steps: u32,
    rule: Rule,
    start: &Tensor,
    noise: Vec<Vec<f32>>,
) -> Result<Tensor> {
    let config = SchedulerConfig::parse(scheduler, None).unwrap();
    let table = timetable(&config, sampler, None, steps).unwrap();
    let space = pipeline.facts().space;
    let mut solver = solver(sampler.name(), &table, space)?;
    let mut noise = Supplied::new(noise);
    let mut x = (start * table.init_scale)?;
    for tick in &table.ticks {
        let guided = Guided {
            space,
            denoise: rule.guide(pipeline, tick, &x)?,
            renoise: None,
            shift: None,
            moves: None,
            hold: vec![false],
            evaluated: Evaluated::default(),
        };
        x = solver.step(tick, &x, &guided, &mut noise)?;
    }
    Ok(x)
}

/// Runs every sample of a reference run and compares the latents.
fn check(model: &str, sampler: &str, rule: Rule, tensor: &str) -> Result<()> {
    let expected = Expected::read(model);
    let mut pipeline = Pipeline::load(&expected.source(), model, DType::F32, &Device::Cpu)?;
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
        latents.push(run(
            &mut pipeline,
            &config.to_string(),
            which,
            steps,
            rule,
            &start,
            noise,
        )?);
    }
    expected.close(tensor, &Tensor::cat(&latents, 0)?);
    Ok(())
}

/// Both scales of a sampler, with both tiny models.
fn both(sampler: &str) -> Result<()> {
    for model in ["tiny-sd15", "tiny-sd21"] {
        check(
            model,
            sampler,
            Rule::Cfg(7.5),
            &format!("pipe.{sampler}.g7.5"),
        )?;
        check(model, sampler, Rule::Alone, &format!("pipe.{sampler}.g1.0"))?;
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
        check(
            model,
            "ddim",
            Rule::Rescaled(7.5, 0.7),
            "pipe.ddim.g7.5.rescale0.7",
        )?;
        check(
            model,
            "ddim",
            Rule::Cfg(7.5),
            "pipe.ddim.g7.5.empty_negative",
        )?;
    }
    Ok(())
}

#[test]
fn perturbed_attention_guidance() -> Result<()> {
    for (tensor, scale, adaptive) in [
        ("pipe.ddim.pag3_cfg5", 5.0, 0.0),
        ("pipe.ddim.pag3_nocfg", 1.0, 0.0),
        ("pipe.ddim.pag3_adaptive0.004_cfg5", 5.0, 0.004),
    ] {
        check(
            "tiny-sd15",
            "ddim",
            Rule::Pag {
                scale,
                pag: 3.0,
                adaptive,
            },
            tensor,
        )?;
    }
    Ok(())
}

#[test]
fn latents_that_are_not_square() -> Result<()> {
    let expected = Expected::read("tiny-sd21");
    let mut pipeline = Pipeline::load(&expected.source(), "tiny-sd21", DType::F32, &Device::Cpu)?;
    pipeline.set_conditions(Conditions {
        prompt: expected.texts("prompts").remove(0),
        negative: Some(expected.texts("negative_prompts").remove(0)),
        ..Conditions::default()
    });
    let scheduler = expected.source().text("scheduler/scheduler_config.json")?;
    let start = expected.tensor("nonsquare.latents.init");
    let latents = run(
        &mut pipeline,
        &scheduler,
        Sampler::Ddim,
        5,
        Rule::Cfg(7.5),
        &start,
        Vec::new(),
    )?;
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
    let mut pipeline = Pipeline::load(
        &embedded::source(),
        embedded::NAME,
        DType::F32,
        &Device::Cpu,
    )?;
    pipeline.set_conditions(Conditions {
        prompt: "strawberry".into(),
        negative: Some(String::new()),
        ..Conditions::default()
    });
    let scheduler = embedded::source().text("scheduler/scheduler_config.json")?;
    let start = expected["init"].reshape((1, 4, 16, 16))?;
    let latents = run(
        &mut pipeline,
        &scheduler,
        Sampler::Ddim,
        20,
        Rule::Cfg(7.5),
        &start,
        Vec::new(),
    )?;
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
    let mut pipeline = Pipeline::load(&main.source(), "main", DType::F32, &Device::Cpu)?;
    pipeline.bind_model("weak", &other.source())?;
    pipeline.set_conditions(conditions.clone());
    let mut alone = Pipeline::load(&other.source(), "other", DType::F32, &Device::Cpu)?;
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
    let mut pipeline = Pipeline::load(
        &embedded::source(),
        embedded::NAME,
        DType::F32,
        &Device::Cpu,
    )?;
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
