//! The run loop with a formula in the network's place.

use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::{Device, Tensor};
use guide_compiler::plan::{ModelFacts, Plan, Space, Tick};
use guide_compiler::timetable::{Sampler, SchedulerConfig, timetable};
use guide_runtime::error::{ErrorKind, Result};
use guide_runtime::exec::Bindings;
use guide_runtime::noise::{Generator, Seeded};
use guide_runtime::predictor::{Predictor, Question};
use guide_runtime::run::{Distribution, Observer, Progress, Request, Start, run, run_with_noise};
use serde_json::json;

/// Answers `x / 2`.
struct Half(ModelFacts);

impl Predictor for Half {
    fn facts(&self) -> &ModelFacts {
        &self.0
    }

    fn predict(&mut self, _: usize, _: &Tick, questions: &[Question<'_>]) -> Result<Vec<Tensor>> {
        questions.iter().map(|q| Ok((&q.x * 0.5)?)).collect()
    }
}

/// One prediction, returned as it is.
fn plan(sampler: Sampler, steps: u32) -> Plan {
    let table = timetable(
        &SchedulerConfig::stable_diffusion(Space::Eps),
        sampler,
        None,
        steps,
    )
    .expect("a timetable");
    let plan = json!({
        "format": "guide-plan/1",
        "head": {
            "guide": "plain", "file": "plain.guide", "source": "", "settings": [], "steps": steps,
            "sampler": sampler.name(), "negative": true, "per_evaluation": false, "needs": [],
            "model": {"name": "half", "space": "eps", "latent": [4, 8, 8], "layers": null},
        },
        "predictions": [{"label": "cond", "model": null, "condition": "cond", "interventions": [], "control": 1.0}],
        "inputs": [], "states": [], "decisions": [], "timetable": table,
        "segments": [{
            "steps": [0, steps], "substep": 0, "values": [], "keep": [], "decide": [],
            "waves": [{
                "evaluate": [{"coupled": false, "uses": [
                    {"prediction": 0, "at": null, "t": null, "told": null, "class": null, "when": null}]}],
                "compute": [],
            }],
            "result": {"space": "eps", "denoise": {"prediction": 0}, "renoise": null, "shift": null,
                "move": null, "hold": "never"},
        }],
        "cost": {"least": steps, "most": steps, "by_prediction": [[steps, steps]], "peak_tensors": 2, "state_bytes": 0},
    });
    serde_json::from_value(plan).expect("a plan")
}

fn request<'a>(
    plan: &'a Plan,
    latent: &'a [usize],
    batch: usize,
    seed: u64,
    stop: &'a AtomicBool,
) -> Request<'a> {
    Request {
        plan,
        batch,
        latent,
        device: &Device::Cpu,
        bindings: Bindings::default(),
        seed,
        start: Start::Noise,
        stop,
    }
}

fn half(plan: &Plan) -> Half {
    Half(plan.head.model.clone())
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    let numbers: Vec<f32> = tensor
        .flatten_all()
        .and_then(|t| t.to_vec1())
        .expect("numbers");
    numbers.into_iter().map(f32::to_bits).collect()
}

#[test]
fn a_sample_has_the_same_bytes_in_any_batch() {
    let stop = AtomicBool::new(false);
    for sampler in [Sampler::Ddim, Sampler::EulerAncestral, Sampler::Dpmpp2m] {
        let plan = plan(sampler, 4);
        // 64 samples run together at most, so that 70 run as two lots.
        let many = run(
            &request(&plan, &[4, 8, 8], 70, 3, &stop),
            &mut half(&plan),
            &mut (),
        )
        .expect("a run");
        assert_eq!(many.evaluations, vec![4; 70]);
        assert_eq!(many.latents.dims(), [70, 4, 8, 8]);
        for at in [0, 1, 63, 64, 69] {
            let one = run(
                &request(&plan, &[4, 8, 8], 1, 3 + at, &stop),
                &mut half(&plan),
                &mut (),
            )
            .expect("a run");
            let row = many.latents.narrow(0, at as usize, 1).expect("a row");
            assert_eq!(bits(&row), bits(&one.latents), "{sampler}: sample {at}");
        }
    }
}

fn zeros(batch: usize) -> Tensor {
    Tensor::zeros((batch, 4, 8, 8), candle_core::DType::F32, &Device::Cpu).expect("a tensor")
}

/// A sample first draws its picture's latents and then the noise, from its own seed.
#[test]
fn a_picture_is_drawn_and_noised_as_diffusers_does() {
    let stop = AtomicBool::new(false);
    let mut plan = plan(Sampler::Ddim, 3);
    plan.timetable.skipped = 2;
    let mut asked = request(&plan, &[4, 8, 8], 2, 11, &stop);
    let refused = run(&asked, &mut half(&plan), &mut ()).expect_err("no picture");
    assert_eq!(refused.kind, ErrorKind::BadBinding);

    let mean: Vec<f32> = (0..256).map(|i| (i as f32 / 9.0).sin()).collect();
    let mean = Tensor::from_vec(mean, (1, 4, 8, 8), &Device::Cpu).expect("a tensor");
    let deviation = (mean.abs().and_then(|m| m * 0.25)).expect("a tensor");
    asked.start = Start::Picture(Distribution {
        mean: mean.clone(),
        deviation: deviation.clone(),
    });
    let found = run(&asked, &mut half(&plan), &mut ()).expect("a run");

    let numbers = |t: &Tensor| {
        t.flatten_all()
            .and_then(|t| t.to_vec1::<f32>())
            .expect("numbers")
    };
    let (mean, deviation) = (numbers(&mean), numbers(&deviation));
    let first = plan.timetable.ticks[0];
    let starts = [11, 12].map(|seed| {
        let mut generator = Generator::new(seed);
        let (drawn, noise) = (generator.normals(256), generator.normals(256));
        let one = |i: usize| {
            let x0 = f64::from(mean[i]) + f64::from(deviation[i]) * f64::from(drawn[i]);
            first.alpha * x0 + first.sigma * f64::from(noise[i])
        };
        (0..256).map(one).collect::<Vec<f64>>()
    });
    // The same start, as if it had been noise, leads to the same end.
    let given: Vec<f32> = starts.concat().iter().map(|x| *x as f32).collect();
    let mut same = plan.clone();
    same.timetable.skipped = 0;
    let mut asked = request(&same, &[4, 8, 8], 2, 0, &stop);
    asked.start =
        Start::Given(Tensor::from_vec(given, (2, 4, 8, 8), &Device::Cpu).expect("a tensor"));
    let wanted = run(&asked, &mut half(&same), &mut ()).expect("a run");
    assert_eq!(bits(&found.latents), bits(&wanted.latents));
}

#[test]
fn given_latents_and_given_noise_are_used() {
    let stop = AtomicBool::new(false);
    let plan = plan(Sampler::Ddim, 3);
    let mut asked = request(&plan, &[4, 8, 8], 2, 11, &stop);
    let drawn = run(&asked, &mut half(&plan), &mut ()).expect("a run");
    let mut noise = Seeded::new(11, 2);
    let given = run_with_noise(&asked, &mut noise, &mut half(&plan), &mut ()).expect("a run");
    assert_eq!(bits(&drawn.latents), bits(&given.latents));
    asked.start = Start::Given(zeros(2));
    let zero = run(&asked, &mut half(&plan), &mut ()).expect("a run");
    assert!(bits(&zero.latents).iter().all(|b| *b << 1 == 0));
    asked.start = Start::Given(zeros(1));
    assert_eq!(
        run(&asked, &mut half(&plan), &mut ())
            .expect_err("refused")
            .kind,
        ErrorKind::BadBinding
    );
}

/// Stops the run after some ticks.
struct Stopper<'a> {
    seen: Vec<(usize, usize, u64)>,
    after: usize,
    stop: &'a AtomicBool,
}

impl Observer for Stopper<'_> {
    fn tick(&mut self, progress: &Progress<'_>) -> Result<()> {
        self.seen
            .push((progress.done, progress.total, progress.evaluations));
        if progress.done == self.after {
            self.stop.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

#[test]
fn progress_is_told_and_a_stop_obeyed() {
    let stop = AtomicBool::new(false);
    let plan = plan(Sampler::Ddim, 3);
    let mut watch = Stopper {
        seen: Vec::new(),
        after: usize::MAX,
        stop: &stop,
    };
    run(
        &request(&plan, &[4, 8, 8], 2, 0, &stop),
        &mut half(&plan),
        &mut watch,
    )
    .expect("a run");
    assert_eq!(watch.seen, [(1, 3, 2), (2, 3, 4), (3, 3, 6)]);
    let mut watch = Stopper {
        seen: Vec::new(),
        after: 2,
        stop: &stop,
    };
    let error = run(
        &request(&plan, &[4, 8, 8], 2, 0, &stop),
        &mut half(&plan),
        &mut watch,
    )
    .expect_err("stopped");
    assert_eq!(error.kind, ErrorKind::Interrupted);
    assert_eq!(watch.seen.len(), 2);
}
