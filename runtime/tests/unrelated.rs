//! A condition drawn at random, through a network.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use candle_core::Tensor;
use guide_compiler::plan::{Condition, Prediction, PredictionId, Tick};
use guide_runtime::error::Result;
use guide_runtime::models::{Conditions, Pipeline};
use guide_runtime::noise::{NoiseSource, Seeded};
use guide_runtime::ops::random::Stream;
use guide_runtime::predictor::{Predictor, Question};

fn answers(
    pipeline: &mut Pipeline,
    condition: &Condition,
    x: &Tensor,
    drawn: Option<Vec<Stream>>,
) -> Result<Vec<Vec<f32>>> {
    let tick: Tick = serde_json::from_value(serde_json::json!({
        "step": 0, "substep": 0, "t": 500.0, "t1000": 500.0, "alpha": 0.6, "sigma": 0.8,
        "t_next": 400.0, "alpha_next": 0.7, "sigma_next": 0.7, "posterior_variance": 0.0,
    }))
    .unwrap();
    let prediction = Prediction {
        label: String::new(),
        model: None,
        condition: condition.clone(),
        interventions: Vec::new(),
        control: 1.0,
        gradient: false,
    };
    let rows: Vec<usize> = (0..x.dim(0)?).collect();
    let question = Question {
        id: PredictionId(0),
        prediction: &prediction,
        rows: &rows,
        x: x.clone(),
        t: tick.t,
        alpha: tick.alpha,
        sigma: tick.sigma,
        told: None,
        class: None,
        maps: Vec::new(),
        by: None,
        seeds: vec![0; rows.len()],
        drawn,
        sights: Vec::new(),
    };
    let answer = pipeline.predict(0, &tick, &[question])?.remove(0);
    Ok(answer.flatten_from(1)?.to_vec2()?)
}

#[test]
fn a_sample_s_condition_is_its_own_whatever_stands_beside_it() -> Result<()> {
    let mut pipeline = support::pocket()?;
    pipeline.set_conditions(Conditions {
        prompt: "panda".to_owned(),
        ..Conditions::default()
    });
    let latent = pipeline.facts().latent.map(|side| side as usize);
    let numbers = Seeded::new(3, 1).draw(latent.iter().product())?;
    let shape = [&[1], latent.as_slice()].concat();
    let x = Tensor::from_vec(numbers, shape, &candle_core::Device::Cpu)?;
    let both = Tensor::cat(&[&x, &x], 0)?;
    let unrelated = Condition::Unrelated {
        to: Box::new(Condition::Cond),
        key: "k".to_owned(),
    };
    let streams = vec![Stream::new(1, 0, "k"), Stream::new(2, 0, "k")];
    let together = answers(&mut pipeline, &unrelated, &both, Some(streams.clone()))?;
    let alone = answers(&mut pipeline, &unrelated, &x, Some(vec![streams[1]]))?;
    assert!(
        together[1] == alone[0],
        "the second row depends on the first"
    );
    assert!(together[0] != together[1], "both rows share a condition");
    let cond = answers(&mut pipeline, &Condition::Cond, &x, None)?;
    let off = |row: &[f32]| {
        let pairs = row.iter().zip(&cond[0]);
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    assert!(off(&together[0]) > 1e-3 && off(&together[1]) > 1e-3);
    Ok(())
}
