//! Every timetable against the grids that diffusers computes.

use guide_compiler::timetable::{Sampler, SchedulerConfig, Shift, Spacing, timetable};
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

fn sampler(name: &str) -> Option<Sampler> {
    Some(match name {
        "ddim_eta0" => Sampler::Ddim,
        "euler" | "flow_euler_shift1" | "flow_euler_shift3" => Sampler::Euler,
        "euler_ancestral" => Sampler::EulerAncestral,
        "dpmpp_2m" => Sampler::Dpmpp2m,
        "dpmpp_2m_karras" => Sampler::Dpmpp2mKarras,
        "heun" => Sampler::Heun,
        _ => return None,
    })
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
        && !matches!(
            sampler,
            Sampler::Ddim | Sampler::Dpmpp2m | Sampler::Dpmpp2mKarras
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
    let (mut seen, mut wrong) = (0, Vec::new());
    for (id, grid) in reference["grids"].as_object().expect("grids") {
        let mut parts = id.split('/');
        let mut part = || parts.next().expect("name/spacing/steps");
        let (name, spacing, steps) = (part(), part(), part());
        let Some(sampler) = sampler(name) else {
            continue;
        };
        let spacing = Spacing::parse(spacing).ok();
        let config = config(&reference["schedulers"][name]);
        let found = compare(
            grid,
            &config,
            sampler,
            spacing,
            steps.parse().expect("a count"),
        );
        wrong.extend(found.into_iter().map(|w| format!("{id}: {w}")));
        seen += 1;
    }
    assert_eq!(seen, 60);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn options_of_schedulers_are_honoured() {
    let reference: Value = serde_json::from_str(REFERENCE).expect("JSON");
    let cases = [
        ("euler_karras", Sampler::EulerKarras, Spacing::Linspace),
        ("heun_karras", Sampler::HeunKarras, Spacing::Linspace),
        ("euler_karras", Sampler::Euler, Spacing::Linspace),
        ("euler_sigma_min", Sampler::Euler, Spacing::Linspace),
        ("euler_zsnr_v", Sampler::Euler, Spacing::Trailing),
        (
            "euler_ancestral_zsnr_v",
            Sampler::EulerAncestral,
            Spacing::Trailing,
        ),
        ("dpmpp_2m_sigma_min", Sampler::Dpmpp2m, Spacing::Linspace),
        ("ddim_alpha_one", Sampler::Ddim, Spacing::Leading),
        ("ddim_zsnr_v", Sampler::Ddim, Spacing::Trailing),
        ("ddim_linear_betas", Sampler::Ddim, Spacing::Leading),
        ("ddim_cosine_betas", Sampler::Ddim, Spacing::Leading),
    ];
    let mut wrong = Vec::new();
    for (name, sampler, spacing) in cases {
        let extra = &reference["extras"][format!("extra/{name}/10")];
        let found = compare(extra, &config(extra), sampler, Some(spacing), 10);
        wrong.extend(found.into_iter().map(|w| format!("{name}: {w}")));
    }
    for (name, mu, exponential) in [
        ("dynamic_mu0.5", 0.5, true),
        ("dynamic_mu1.15", 1.15, true),
        ("dynamic_linear_mu0.8", 0.8, false),
    ] {
        let extra = &reference["extras"][format!("extra/flow_{name}/10")];
        let mut config = config(extra);
        config.shift = Shift::Dynamic { mu, exponential };
        let found = compare(extra, &config, Sampler::Euler, None, 10);
        wrong.extend(found.into_iter().map(|w| format!("{name}: {w}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_silent_config_is_that_of_stable_diffusion() {
    let text = r#"{"_class_name": "PNDMScheduler", "beta_start": 0.00085, "beta_end": 0.012,
        "beta_schedule": "scaled_linear", "num_train_timesteps": 1000, "skip_prk_steps": true}"#;
    let config = SchedulerConfig::parse(text, None).expect("a config");
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
            let most = if sampler.name().starts_with("dpm") && spacing == Spacing::Leading {
                999
            } else {
                1000
            };
            for steps in [1, 2, 3, 30, 500, 998, most] {
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
        assert_eq!(Sampler::parse(sampler.name()), Ok(sampler));
    }
    assert_eq!(
        Sampler::parse("DPMSolverMultistepScheduler"),
        Ok(Sampler::Dpmpp2m)
    );
    let error = Sampler::parse("eular").expect_err("unknown");
    assert_eq!(error.message, "there is no sampler `eular`");
    assert_eq!(error.help.as_deref(), Some("write `euler`"));
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
        r#"{"use_beta_sigmas": true}"#,
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
