//! Every timetable against the grids that diffusers computes.

use guide_compiler::timetable::{Levels, Sampler, SchedulerConfig, Shift, Spacing, timetable};
use serde_json::Value;

const REFERENCE: &str = include_str!("../../tests/oracle/models/schedulers/schedulers.json");

/// Largest relative difference of times and noise levels: the reference works in f32.
const TOLERANCE: f64 = 1e-5;

fn config(scheduler: &Value) -> SchedulerConfig {
    let mut fields = scheduler["config"].as_object().expect("a config").clone();
    fields.insert("_class_name".into(), scheduler["class"].clone());
    SchedulerConfig::parse(&Value::Object(fields).to_string(), None)
        .expect("a config that is offered")
}

/// What differs between a grid of the reference and ours; empty if nothing does.
fn compare(
    grid: &Value,
    config: &SchedulerConfig,
    sampler: Sampler,
    spacing: Option<Spacing>,
    steps: u32,
) -> Vec<String> {
    let table = match timetable(config, sampler, spacing, steps) {
        Ok(table) => table,
        Err(error) => return vec![error.message],
    };
    let mut wrong = Vec::new();
    let near = |a: f64, b: f64| (a - b).abs() <= TOLERANCE * b.abs();
    let times = grid["timesteps"].as_array().expect("timesteps");
    if times.len() != table.ticks.len() {
        return vec![format!("{} ticks, not {}", table.ticks.len(), times.len())];
    }
    for (i, (tick, expected)) in table.ticks.iter().zip(times).enumerate() {
        let exact = expected.is_i64();
        let expected = expected.as_f64().expect("a time");
        let same = if exact {
            tick.t == expected
        } else {
            (tick.t - expected).abs() <= 1e-5 * expected.max(1.0)
        };
        if !same {
            wrong.push(format!("tick {i}: t {} is not {expected}", tick.t));
        }
    }
    let flow = config.space == guide_compiler::plan::Space::Flow;
    let level = |alpha: f64, sigma: f64| if flow { sigma } else { sigma / alpha };
    if let Some(sigmas) = grid["sigmas"].as_array() {
        for (i, tick) in table.ticks.iter().enumerate() {
            let (here, expected) = (
                level(tick.alpha, tick.sigma),
                sigmas[i].as_f64().expect("a level"),
            );
            if !near(here, expected) {
                wrong.push(format!("tick {i}: sigma {here} is not {expected}"));
            }
        }
        let end = table
            .ticks
            .last()
            .map(|t| level(t.alpha_next, t.sigma_next))
            .expect("a tick");
        let expected = sigmas.last().and_then(Value::as_f64).expect("a level");
        if !near(end, expected) {
            wrong.push(format!("end: sigma {end} is not {expected}"));
        }
    }
    // The reference keeps the state of the k-diffusion solvers divided by alpha.
    let divided = !flow
        && matches!(
            sampler,
            Sampler::Euler | Sampler::EulerAncestral | Sampler::Heun | Sampler::Lms
        );
    let factor = if divided { table.ticks[0].alpha } else { 1.0 };
    let expected = grid["init_noise_sigma"].as_f64().expect("a factor") * factor;
    if !near(table.init_scale, expected) {
        wrong.push(format!("init_scale {} is not {expected}", table.init_scale));
    }
    wrong
}

#[test]
fn grids_are_those_of_the_reference() {
    let reference: Value = serde_json::from_str(REFERENCE).expect("JSON");
    let grids = reference["grids"].as_object().expect("grids");
    let mut wrong = Vec::new();
    for (id, grid) in grids {
        let mut parts = id.split('/');
        let mut part = || parts.next().expect("name/spacing/steps");
        let (name, spacing, steps) = (part(), part(), part());
        let spacing = Spacing::parse(spacing).ok();
        let config = config(&reference["schedulers"][name]);
        let sampler = config.sampler.expect("a class of ours");
        let steps = steps.parse().expect("a count");
        let found = compare(grid, &config, sampler, spacing, steps);
        wrong.extend(found.into_iter().map(|w| format!("{id}: {w}")));
    }
    assert!(grids.len() > 120, "{} grids", grids.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn options_of_schedulers_are_honoured() {
    let reference: Value = serde_json::from_str(REFERENCE).expect("JSON");
    let extras = reference["extras"].as_object().expect("extras");
    let mut wrong = Vec::new();
    for (id, extra) in extras {
        let mut config = config(extra);
        let given = &extra["set_timesteps"];
        match (config.shift, given["sigmas"].is_array()) {
            (Shift::Dynamic { exponential, .. }, true) => {
                let mu = given["mu"].as_f64().expect("a shift");
                config.shift = Shift::Dynamic { mu, exponential };
            }
            (Shift::Fixed(mu), true) => {
                let exponential = false;
                config.shift = Shift::Dynamic { mu, exponential };
            }
            // Runge-Kutta steps are not offered, and the config's reader says so.
            (_, false) if id == "extra/pndm_prk/10" => {
                let warnings = config.warnings(Sampler::Pndm);
                assert!(warnings[0].message.contains("`skip_prk_steps`"));
                continue;
            }
            _ => {}
        }
        let sampler = config.sampler.expect("a class of ours");
        let found = compare(extra, &config, sampler, None, 10);
        wrong.extend(found.into_iter().map(|w| format!("{id}: {w}")));
    }
    assert!(extras.len() > 40);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_silent_config_is_that_of_stable_diffusion() {
    let text = r#"{"_class_name": "PNDMScheduler", "beta_start": 0.00085, "beta_end": 0.012,
        "beta_schedule": "scaled_linear", "num_train_timesteps": 1000, "skip_prk_steps": true}"#;
    let mut config = SchedulerConfig::parse(text, None).expect("a config");
    assert_eq!(config.sampler.take(), Some(Sampler::Pndm));
    assert_eq!(
        config,
        SchedulerConfig::stable_diffusion(guide_compiler::plan::Space::Eps)
    );
    let ticks = timetable(&config, Sampler::Ddim, None, 4)
        .expect("a timetable")
        .ticks;
    assert_eq!(
        ticks.iter().map(|t| t.t).collect::<Vec<_>>(),
        [751.0, 501.0, 251.0, 1.0]
    );
}

#[test]
fn steps_that_are_not_possible_are_refused() {
    let config = SchedulerConfig::stable_diffusion(guide_compiler::plan::Space::Eps);
    for sampler in Sampler::ALL {
        for spacing in Spacing::ALL {
            let leaves_one_out = matches!(
                sampler,
                Sampler::Dpmpp2m | Sampler::Dpmpp2mSde | Sampler::UniPc
            );
            let most = match sampler {
                Sampler::Lcm => 50,
                _ if leaves_one_out && spacing == Spacing::Leading => 999,
                _ => 1000,
            };
            for steps in [1, 2, 3, 30, 500, 998, most].map(|n| n.min(most)) {
                let table = timetable(&config, sampler, Some(spacing), steps).expect("a timetable");
                assert_eq!(
                    table.ticks.len() as u32,
                    sampler.evaluations(steps),
                    "{sampler} {spacing:?} {steps}"
                );
                for tick in &table.ticks {
                    let numbers = [
                        tick.t,
                        tick.alpha,
                        tick.sigma,
                        tick.alpha_next,
                        tick.sigma_next,
                    ];
                    assert!(
                        numbers.iter().all(|n| n.is_finite()),
                        "{sampler} {spacing:?} {steps}: {tick:?}"
                    );
                    assert!((tick.alpha.powi(2) + tick.sigma.powi(2) - 1.0).abs() < 1e-12);
                    assert!((0.0..=999.0).contains(&tick.t));
                }
            }
            for steps in [0, most + 1, u32::MAX] {
                let error = timetable(&config, sampler, Some(spacing), steps).expect_err("refused");
                assert_eq!(error.code.number(), "G0608");
            }
        }
    }
}

#[test]
fn names_are_found_and_misspelt_ones_corrected() {
    for sampler in Sampler::ALL {
        assert_eq!(Sampler::parse(sampler.name()), Ok((sampler, None)));
        for levels in Levels::ALL {
            let named = sampler.takes_levels() && levels != Levels::Timesteps;
            let expected = (sampler, named.then_some(levels));
            assert_eq!(Sampler::parse(&sampler.called(levels)), Ok(expected));
        }
    }
    assert_eq!(
        Sampler::parse("DPMSolverMultistepScheduler"),
        Ok((Sampler::Dpmpp2m, None))
    );
    for (wrong, right) in [
        ("eular", "euler"),
        ("unipc_karas", "unipc_karras"),
        ("heun_expnential", "heun_exponential"),
        ("DPM++_2M", "dpmpp_2m"),
    ] {
        let error = Sampler::parse(wrong).expect_err("unknown");
        assert_eq!(error.message, format!("there is no sampler `{wrong}`"));
        assert_eq!(error.help, Some(format!("write `{right}`")));
    }
    let error = Sampler::parse("ddim_karras").expect_err("no levels");
    assert_eq!(error.message, "the noise levels of `ddim` cannot be chosen");
    let error = Spacing::parse("none").expect_err("unknown");
    assert_eq!(
        error.help.as_deref(),
        Some("choose one of `leading`, `trailing`, `linspace`")
    );
}

#[test]
fn configs_that_ask_for_more_are_refused() {
    for text in [
        r#"{"trained_betas": [0.1, 0.2]}"#,
        r#"{"beta_schedule": "sigmoid"}"#,
        r#"{"clip_sample": true, "clip_sample_range": -1.0}"#,
        r#"{"thresholding": true, "sample_max_value": 0.5}"#,
        r#"{"beta_start": 0.5, "beta_end": 0.1}"#,
        r#"{"num_train_timesteps": 0}"#,
        r#"{"prediction_type": "noise"}"#,
        r#"{"steps_offset": "one"}"#,
        "[",
    ] {
        let error = SchedulerConfig::parse(text, None).expect_err(text);
        assert_eq!(error.code.number(), "G0709", "{text}");
    }
}

#[test]
fn what_is_not_honoured_is_said_to_those_to_whom_it_matters() {
    let text = r#"{"_class_name": "DEISMultistepScheduler", "clip_sample": true, "sigma_max": 80.0,
        "skip_prk_steps": false, "disable_corrector": [0], "variance_type": "learned_range",
        "interpolation_type": "log_linear", "timestep_type": "continuous",
        "lambda_min_clipped": -5.1}"#;
    let config = SchedulerConfig::parse(text, None).expect("a config");
    assert_eq!(config.sampler, None);
    let said = |sampler: Sampler| -> Vec<String> {
        let warnings = config.warnings(sampler).into_iter();
        warnings
            .map(|w| w.message.split('`').nth(3).unwrap_or_default().to_owned())
            .collect()
    };
    let all = [
        "_class_name",
        "interpolation_type",
        "timestep_type",
        "sigma_max",
        "lambda_min_clipped",
    ];
    assert_eq!(said(Sampler::Ddim), all);
    assert_eq!(said(Sampler::Euler)[5..], ["clip_sample"]);
    assert_eq!(said(Sampler::Ddpm)[1], "variance_type");
    assert_eq!(said(Sampler::Pndm)[1], "skip_prk_steps");
    assert_eq!(said(Sampler::UniPc)[1], "disable_corrector");
    let usual = r#"{"_class_name": "PNDMScheduler", "skip_prk_steps": true, "lambda_min_clipped": "-inf",
        "clip_sample": false, "sigma_min": null}"#;
    let config = SchedulerConfig::parse(usual, None).expect("a config");
    for sampler in Sampler::ALL {
        assert_eq!(config.warnings(sampler), []);
    }
}
