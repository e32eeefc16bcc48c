//! A sample's prediction depends on nothing that stands beside it, and on no number of threads: to the bit.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::process::Command;

use candle_core::{DType, Device, Tensor};
use guide_compiler::plan::{
    ArgValue, Condition, Intervention, InterventionArg, LayerTerm, Layers, Look, Prediction,
    PredictionId, Sees, Tick, Tokens,
};
use guide_runtime::error::Result;
use guide_runtime::models::{Conditions, Pipeline};
use guide_runtime::predictor::{Predictor, Question, Sight};

fn pipeline() -> Result<Pipeline> {
    let mut pipeline = support::pocket()?;
    pipeline.set_conditions(Conditions {
        prompt: "red apple, glossy".into(),
        ..Conditions::default()
    });
    Ok(pipeline)
}

fn prediction(condition: Condition, interventions: Vec<Intervention>) -> Prediction {
    Prediction {
        label: "p".into(),
        model: None,
        condition,
        interventions,
        control: 1.0,
        gradient: false,
    }
}

fn tick() -> Tick {
    Tick {
        step: 0,
        substep: 0,
        t: 501.0,
        t1000: 501.0,
        alpha: 0.5,
        sigma: 0.75f64.sqrt(),
        t_next: 451.0,
        alpha_next: 0.6,
        sigma_next: 0.8,
        posterior_variance: 0.1,
    }
}

/// Latents that differ from sample to sample, without a generator: `[batch, 4, 16, 16]`.
fn latents(batch: usize) -> Result<Tensor> {
    let numbers: Vec<f32> = (0..batch * 4 * 256)
        .map(|i| ((i as f32) * 0.7315).sin() * 1.5)
        .collect();
    Ok(Tensor::from_vec(numbers, (batch, 4, 16, 16), &Device::Cpu)?)
}

/// What is looked at besides the answers.
fn looks() -> [Look; 4] {
    let all = || Layers::of(LayerTerm::All);
    let look = |of, tokens, spread| Look {
        layers: all(),
        of,
        tokens,
        spread,
    };
    [
        look(Sees::Own, Tokens::default(), 0),
        look(Sees::Cross, Tokens::Words("fox".into()), 0),
        look(Sees::Regions, Tokens::default(), 4),
        look(Sees::Features, Tokens::default(), 0),
    ]
}

/// Interventions that write the scores out, one by a region of each sample's own.
fn by_scores() -> [Intervention; 2] {
    let arg = |name: &str, value| InterventionArg {
        name: name.into(),
        value,
    };
    let layers = || arg("layers", ArgValue::Layers(Layers::of(LayerTerm::Cross)));
    let region = ArgValue::Map {
        name: "region".into(),
        at: 0,
    };
    let masked = Intervention {
        name: "mask_attention".into(),
        args: vec![
            arg("tokens", ArgValue::Tokens(Tokens::Places(vec![1]))),
            arg("region", region),
            layers(),
        ],
    };
    let sparse = Intervention {
        name: "sparse_attention".into(),
        args: vec![
            layers(),
            arg("scale", ArgValue::Number(2.0)),
            arg("alpha", ArgValue::Number(1.5)),
        ],
    };
    [masked, sparse]
}

/// The answers for a batch, as bits: for each sample, those to `cond`, `uncond` and a perturbed `cond`, and
/// to one that is looked into, with what was seen.
fn answers(pipeline: &mut Pipeline, batch: usize) -> Result<Vec<Vec<u32>>> {
    let predictions = [
        prediction(Condition::Cond, vec![]),
        prediction(Condition::Uncond, vec![]),
        prediction(
            Condition::Cond,
            [support::intervention(
                "blur_attention",
                &["mid", "up"],
                Some(1.0),
            )]
            .into_iter()
            .chain(by_scores())
            .collect(),
        ),
        prediction(Condition::Text("fox".into()), vec![]),
    ];
    let rows: Vec<usize> = (0..batch).collect();
    let (tick, looks) = (tick(), looks());
    let mut bits = vec![Vec::new(); batch];
    let questions: Vec<Question<'_>> = predictions
        .iter()
        .enumerate()
        .map(|(id, prediction)| {
            Ok(Question {
                id: PredictionId(id as u32),
                prediction,
                rows: &rows,
                x: latents(batch)?,
                t: tick.t,
                alpha: tick.alpha,
                sigma: tick.sigma,
                told: None,
                class: None,
                maps: match prediction.maps() {
                    0 => Vec::new(),
                    _ => vec![
                        latents(batch)?
                            .narrow(1, 0, 1)?
                            .gt(0.0)?
                            .to_dtype(DType::F32)?,
                    ],
                },
                by: None,
                seeds: vec![0; rows.len()],
                drawn: None,
                sights: match &prediction.condition {
                    Condition::Text(_) => looks.iter().map(Sight::new).collect(),
                    _ => Vec::new(),
                },
            })
        })
        .collect::<Result<_>>()?;
    let answers = pipeline.predict(0, &tick, &questions)?;
    let seen = questions.iter().flat_map(|question| &question.sights);
    let seen = seen.map(|sight| sight.seen().expect("it was looked at").clone());
    for (at, answer) in answers.into_iter().chain(seen).enumerate() {
        let channels = if at < predictions.len() { 4 } else { 1 };
        assert_eq!(answer.dims(), [batch, channels, 16, 16]);
        for (i, bits) in bits.iter_mut().enumerate() {
            bits.extend(
                answer
                    .get(i)?
                    .flatten_all()?
                    .to_vec1::<f32>()?
                    .into_iter()
                    .map(f32::to_bits),
            );
        }
    }
    Ok(bits)
}

#[test]
fn batches_of_1_3_and_16_are_equal_to_the_bit() -> Result<()> {
    let mut pipeline = pipeline()?;
    let of_16 = answers(&mut pipeline, 16)?;
    for batch in [1, 3] {
        let fewer = answers(&mut pipeline, batch)?;
        assert!(fewer == of_16[..batch], "a batch of {batch} differs");
    }
    assert_ne!(of_16[0], of_16[1]);
    Ok(())
}

/// Prints a digest of the answers; [`one_thread_and_four_are_equal_to_the_bit`] runs it in processes of its own.
#[test]
#[allow(clippy::print_stdout, reason = "the parent process reads it")]
fn digest() -> Result<()> {
    let bits = answers(&mut pipeline()?, 3)?;
    let digest = bits
        .iter()
        .flatten()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, word| {
            (hash ^ u64::from(*word)).wrapping_mul(0x0100_0000_01b3)
        });
    println!("digest {digest:016x}");
    Ok(())
}

#[test]
fn what_goes_through_together_changes_nothing_to_the_bit() -> Result<()> {
    let mut pipeline = pipeline()?;
    let alone = answers(&mut pipeline, 5)?;
    for most in [1, 2, 3, 64] {
        pipeline.set_max_batch(Some(most));
        assert_eq!(answers(&mut pipeline, 5)?, alone, "{most} together");
        let passes = pipeline.passes();
        assert_eq!(passes.iter().sum::<usize>(), 20);
        assert_eq!(passes.iter().max(), Some(&most.min(10)), "{passes:?}");
    }
    Ok(())
}

#[test]
fn one_thread_and_four_are_equal_to_the_bit() {
    let with = |threads: &str| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "digest", "--nocapture"])
            .env("RAYON_NUM_THREADS", threads)
            .env("CANDLE_NUM_THREADS", threads)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines()
            .find_map(|line| line.split("digest ").nth(1))
            .map(str::to_owned)
            .unwrap_or_else(|| panic!("{text}"))
    };
    assert_eq!(with("1"), with("4"));
}
