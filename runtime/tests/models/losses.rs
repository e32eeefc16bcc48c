//! Gradients of losses, through what they ask, the decoder, the conversion and the network: each against the
//! slope of the loss itself.

use candle_core::{Device, Tensor};
use guide_compiler::plan::Plan;
use guide_compiler::timetable::Sampler;
use guide_runtime::error::ErrorKind;
use guide_runtime::exec::{Bindings, Executor};
use guide_runtime::memo::{Memo, Memory};
use guide_runtime::models::{Conditions, Pipeline, embedded};
use guide_runtime::predictor::Predictor;
use guide_runtime::weights::Source;

use super::{Rule, scheduler, support};

/// Half of the step of a difference along a gradient, and how near it comes: a loss is about 1, and what
/// f32 loses of it over the network and the decoder is a few millionths.
const STEP: f64 = 0.02;
const SLOPE: f64 = 2e-2;

fn pipeline() -> Pipeline {
    let mut pipeline = support::pocket().unwrap();
    pipeline.set_conditions(Conditions {
        prompt: "fox".to_owned(),
        ..Conditions::default()
    });
    pipeline
}

/// A picture of the library's pages.
fn picture() -> String {
    let root = env!("CARGO_MANIFEST_DIR");
    format!("{root}/../stdlib/reference/pictures/rules/autoguidance.png")
}

/// The plan of a rule.
fn plan(pipeline: &mut Pipeline, body: &str, x: &Tensor) -> Plan {
    let text = format!("loss close(sees: image)\nguide g() {{ prediction(raw({body})) }}\n");
    let rule = Rule {
        name: "g",
        text: Some(&text),
        set: &[],
    };
    let source = embedded::source();
    let config = scheduler(&source.text("scheduler/scheduler_config.json").unwrap());
    let plan = rule.plan(pipeline, x, &config, Sampler::Ddim, 3);
    pipeline.prepare(&plan).unwrap();
    plan
}

/// What a plan gives in its second tick at `x`.
fn second_tick(plan: &Plan, predictor: &mut dyn Predictor, x: &Tensor) -> Tensor {
    let bindings = Bindings::default();
    let mut executor = Executor::new(plan, 1, &[4, 16, 16], &Device::Cpu, &bindings).unwrap();
    let ticks = (0..2).map(|at| executor.tick(at, x, predictor).unwrap());
    ticks.last().unwrap().denoise
}

/// What a rule gives in its second tick at `x`.
fn tick(pipeline: &mut Pipeline, body: &str, x: &Tensor) -> Tensor {
    let plan = plan(pipeline, body, x);
    second_tick(&plan, pipeline, x)
}

fn latents() -> Tensor {
    let numbers = guide_runtime::noise::Generator::new(8).normals(4 * 16 * 16);
    Tensor::from_vec(numbers, (1, 4, 16, 16), &Device::Cpu).unwrap()
}

#[track_caller]
fn has_its_slope(loss: &str, network: Option<&Source>) {
    let mut pipeline = pipeline();
    pipeline
        .bind_loss("close", loss, network, (64, 64))
        .unwrap();
    let x = latents();
    let of_x = "value(close, decode(x0(predict(cond))))";
    let gradient = tick(&mut pipeline, &format!("grad({of_x}, wrt: x)"), &x);
    let mut value = |x: &Tensor| -> f64 {
        let everywhere = tick(&mut pipeline, &format!("raw(x) - raw(x) + {of_x}"), x);
        f64::from(everywhere.flatten_all().unwrap().to_vec1::<f32>().unwrap()[0])
    };
    let square = gradient.sqr().unwrap().sum_all().unwrap();
    let length = f64::from(square.to_scalar::<f32>().unwrap()).sqrt();
    let step = (&gradient * (STEP / length)).unwrap();
    let (above, below) = (value(&(&x + &step).unwrap()), value(&(&x - &step).unwrap()));
    let slope = (above - below) / (2.0 * STEP);
    assert!(
        length > 1e-3 && (slope - length).abs() < SLOPE * length,
        "{loss}: the slope is {slope}, and the gradient's length {length}"
    );
}

#[test]
fn of_a_color() {
    has_its_slope("color:#2040ff", None);
}

/// Without a network of its own by what the model's judge of pictures sees.
#[test]
fn of_a_style() {
    has_its_slope(&format!("style:{}", picture()), None);
    let clip = Source::Folder(support::tiny_clip());
    has_its_slope(&format!("style:{}", picture()), Some(&clip));
}

#[test]
fn of_a_text() {
    let clip = Source::Folder(support::tiny_clip());
    has_its_slope("clip_text:red apple", Some(&clip));
}

/// Runs that share their answers ask for the prediction once, and for every gradient of it: gradients of one
/// prediction at one point differ by what they are weighted with, which is no part of the question.
#[test]
fn no_gradient_is_answered_from_memory() {
    let mut pipeline = pipeline();
    pipeline
        .bind_loss("close", "color:#2040ff", None, (64, 64))
        .unwrap();
    let x = latents();
    let mut memory = Memory::new(1 << 20);
    for (scale, remembered) in [(1, 0), (3, 2)] {
        let value = "value(close, decode(x0(predict(cond))))";
        let body = format!("grad({scale} * {value}, wrt: x)");
        let plan = plan(&mut pipeline, &body, &x);
        let wanted = second_tick(&plan, &mut pipeline, &x);
        let mut memo = Memo::new(&mut pipeline, &mut memory, &plan);
        let got = second_tick(&plan, &mut memo, &x);
        assert_eq!(
            memo.remembered(),
            remembered,
            "the prediction of both ticks"
        );
        let off = support::furthest(&got, &wanted);
        assert_eq!(off, 0.0, "{scale} times the loss");
    }
}

#[test]
fn what_cannot_be_bound() {
    let mut pipeline = pipeline();
    let clip = Source::Folder(support::tiny_clip());
    let judge = embedded::source().below("judge/clean");
    let noisy = embedded::source().below("judge/noisy");
    let style = format!("style:{}", picture());
    let cases = [
        (
            "clip_text:fox",
            None,
            ErrorKind::NotBound,
            "needs a CLIP model",
        ),
        (
            "clip_text:fox",
            Some(&judge),
            ErrorKind::BadBinding,
            "reads no texts",
        ),
        (
            &style,
            Some(&noisy),
            ErrorKind::BadBinding,
            "sees no pictures",
        ),
        (
            "color:#2040ff",
            Some(&clip),
            ErrorKind::BadBinding,
            "asks no network",
        ),
        ("sharp:very", None, ErrorKind::BadBinding, "is no loss"),
        (
            "style:no/such.png",
            None,
            ErrorKind::Unreadable,
            "no/such.png",
        ),
    ];
    for (loss, network, kind, said) in cases {
        let bound = pipeline.bind_loss("close", loss, network, (64, 64));
        let error = bound.expect_err(loss);
        assert_eq!(error.kind, kind, "{loss}: {error}");
        assert!(error.message.contains(said), "{loss}: {error}");
        assert!(
            loss.starts_with("style:no") || error.help.is_some(),
            "{loss}"
        );
    }
}
