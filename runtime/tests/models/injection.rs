//! What one prediction takes from another one's evaluation, on the embedded model.

use candle_core::{Device, Tensor};
use guide_compiler::plan::{ModelFacts, Plan, Space};
use guide_compiler::timetable::{Sampler, SchedulerConfig, timetable};
use guide_runtime::error::Result;
use guide_runtime::exec::{Bindings, Executor};
use guide_runtime::models::{Conditions, Pipeline};
use guide_runtime::predictor::Predictor;

use crate::compiled::planned;
use crate::support;

/// Latents that differ from sample to sample: `[batch, 4, 16, 16]`.
fn latents(batch: usize) -> Result<Tensor> {
    let numbers: Vec<f32> = (0..batch * 1024)
        .map(|i| ((i as f32) * 0.7315).sin() * 1.5)
        .collect();
    Ok(Tensor::from_vec(numbers, (batch, 4, 16, 16), &Device::Cpu)?)
}

fn pipeline() -> Result<Pipeline> {
    let mut pipeline = support::pocket()?;
    pipeline.set_conditions(Conditions {
        prompt: "red apple".into(),
        ..Conditions::default()
    });
    Ok(pipeline)
}

fn plan(pipeline: &Pipeline, body: &str) -> Plan {
    let text = format!("guide g() {{\n{body}\n}}\n");
    let facts = ModelFacts::clone(pipeline.facts());
    let config = SchedulerConfig::stable_diffusion(Space::Eps);
    let table = timetable(&config, Sampler::Ddim, None, 4).expect("a timetable");
    planned("g", &text, Vec::new(), facts, table, Some(Sampler::Ddim)).expect("a plan")
}

/// What a guide returns in the second step at these latents.
fn guided(body: &str, x: &Tensor) -> Result<Tensor> {
    let mut pipeline = pipeline()?;
    let plan = plan(&pipeline, body);
    pipeline.prepare(&plan)?;
    let bindings = Bindings::default();
    let mut executor = Executor::new(&plan, x.dim(0)?, &[4, 16, 16], &Device::Cpu, &bindings)?;
    Ok(executor.tick(1, x, &mut pipeline)?.denoise)
}

const PLAIN: &str = "    predict(cond)";
const FROM_ITSELF: &str = r#"    let there = predict(cond)
    predict(cond, with: [inject(all, from: there), inject(all, from: there, what: "features")])"#;

fn from_another(site: &str, what: &str) -> String {
    format!(
        "    let there = predict(prompt(\"fox\"))\n    \
         predict(cond, with: inject({site}, from: there, what: \"{what}\"))"
    )
}

#[test]
fn what_it_had_itself_changes_nothing() -> Result<()> {
    let x = latents(2)?;
    let off = support::furthest(&guided(FROM_ITSELF, &x)?, &guided(PLAIN, &x)?);
    // A residual that is added apart is rounded once more.
    assert!(off < 1e-5, "{off}");
    Ok(())
}

#[test]
fn what_another_had_changes_the_answer_more_in_more_layers() -> Result<()> {
    let x = latents(1)?;
    let plain = guided(PLAIN, &x)?;
    let other = guided("    predict(prompt(\"fox\"))", &x)?;
    let whole = support::furthest(&other, &plain);
    for what in ["attention", "features"] {
        let all = guided(&from_another("all", what), &x)?;
        assert!(support::furthest(&all, &plain) > 0.02 * whole, "{what}");
    }
    // Before the first layer that sees the text both are the same, so that there is nothing to take over.
    let first = guided(&from_another("\"down.0.resnet.0\"", "features"), &x)?;
    assert!(support::furthest(&first, &plain) < 1e-5);
    Ok(())
}

#[test]
fn each_sample_takes_from_its_own() -> Result<()> {
    let x = latents(3)?;
    let bits = |tensor: &Tensor| -> Result<Vec<u32>> {
        let numbers = tensor.flatten_all()?.to_vec1::<f32>()?;
        Ok(numbers.into_iter().map(f32::to_bits).collect())
    };
    for what in ["attention", "features"] {
        let body = from_another("all", what);
        let together = guided(&body, &x)?;
        for sample in 0..3 {
            let alone = guided(&body, &x.narrow(0, sample, 1)?)?;
            assert!(
                bits(&together.narrow(0, sample, 1)?)? == bits(&alone)?,
                "{what}, sample {sample}"
            );
        }
    }
    Ok(())
}

#[test]
fn layers_that_have_nothing_to_give_are_refused() -> Result<()> {
    let mut pipeline = pipeline()?;
    let plan = plan(&pipeline, &from_another("\"up.0.resnet.0\"", "attention"));
    let error = pipeline.prepare(&plan).expect_err("no self-attention");
    assert_eq!(error.kind.code(), "G0607");
    assert_eq!(
        error.message,
        "the layers `\"up.0.resnet.0\"` hold no self-attention whose attention could be injected"
    );
    Ok(())
}

const APART: &str = "    let there = predict(prompt(\"fox\"))\n    \
    predict(cond, with: push_apart(there, threshold: -1))";

/// Of all that the reference adds the best match of a token is itself, where it is the same evaluation: nothing
/// moves.
#[test]
fn what_is_pushed_apart_from_itself_stays() -> Result<()> {
    let x = latents(2)?;
    let itself = "    let there = predict(cond)\n    predict(cond, with: push_apart(there))";
    let off = support::furthest(&guided(itself, &x)?, &guided(PLAIN, &x)?);
    assert!(off < 1e-5, "{off}");
    let apart = support::furthest(&guided(APART, &x)?, &guided(PLAIN, &x)?);
    assert!(apart > 0.02, "{apart}");
    Ok(())
}

/// From another evaluation each sample is pushed apart on its own, whatever stands beside it.
#[test]
fn each_sample_is_pushed_apart_from_its_own() -> Result<()> {
    let x = latents(2)?;
    let together = guided(APART, &x)?;
    for sample in 0..2 {
        let alone = guided(APART, &x.narrow(0, sample, 1)?)?;
        let off = support::furthest(&together.narrow(0, sample, 1)?, &alone);
        assert_eq!(off, 0.0, "sample {sample}");
    }
    Ok(())
}
