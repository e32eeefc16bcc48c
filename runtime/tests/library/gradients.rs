//! Gradients that plans compute, against differences of what is differentiated.

use guide_compiler::plan::{Plan, Space};
use guide_runtime::exec::Executor;
use guide_runtime::predictor::Predictor;
use libtest_mimic::Trial;

use crate::case::tensor;
use crate::field::{Engine, Field, LATENT, executor, latent, wide};
use crate::pipeline;
use crate::ticks::{Noise, timetable};
use crate::walk::trial;

/// What is differentiated by `x`: every operation that has a gradient, alone or in company.
const BY_X: &[&str] = &[
    "log_prob(judge, x, target)",
    "classify(judge, x)[2]",
    "2 * logits(judge, x)[0] - logsumexp(0.5 * logits(judge, x))",
    "log(classify(judge, x)[1]) * mean(raw(x))",
    "norm(logits(judge, x)) + std(logits(judge, x)) - mean(exp(0.1 * logits(judge, x)))",
    "norm(raw(x))",
    "std(raw(x))",
    "dot(raw(x), sin(raw(x)))",
    "logsumexp(raw(x))",
    "mean(exp(0.3 * raw(x)) - raw(x))",
    "mean(sigmoid(raw(x)) * cos(raw(x)))",
    "mean(log(1 + raw(x) * raw(x)))",
    "mean(sqrt(2 + sin(raw(x))))",
    "mean(acos(0.5 * sin(raw(x))))",
    "mean(raw(x) / (2 + cos(raw(x))))",
    "mean(pow(1 + abs(raw(x)), 1.5))",
    "pow(norm(raw(x)), mean(raw(x)))",
    "mean(clip(raw(x), -0.5, 0.7) * raw(x))",
    "mean(max(raw(x), raw(x) - 1) * raw(x) + min(sin(raw(x)), 2 + raw(x) * raw(x)))",
    "mean(unit(raw(x)) * exp(0.1 * raw(x)))",
    "norm(mean(raw(x), over: channels))",
    "sum(std(raw(x), over: space))",
    "mean(raw(x) * mean(raw(x), over: space) * norm(raw(x), over: channels))",
    "if mean(raw(x)) > 0 { norm(raw(x)) } else { mean(raw(x) * raw(x)) }",
    "mean(where(mean(raw(x), over: channels) > 0, raw(x), 2 * raw(x)) * raw(x))",
    "norm(x0(prediction(0.5 * sin(raw(x)))))",
    "norm(v(prediction(raw(x) * raw(x))))",
    "norm(x0(predict(cond)))",
    "log_prob(judge, x0(predict(cond)), target)",
    "value(close, decode(x0(predict(cond))))",
    "mean(raw(predict(cond)) * raw(eps(predict(uncond))) * raw(x))",
    "norm(x0(predict(cond, at: latent(sin(raw(x))))))",
    "norm(x0(predict(cond, at: latent(raw(x) + 0.5 * raw(predict(uncond))))))",
];

/// The same by a `let`, whose own network no gradient goes through.
const BY_NAME: &[&str] = &[
    "log_prob(judge, c, target)",
    "logits(judge, 0.5 * c)[3] * norm(c)",
    "norm(c - u)",
    "value(close, decode(0.5 * c)) * norm(c)",
];

/// Half of the widest difference, along a direction of length 1.
const STEP: f64 = 0.2;
/// What f32 loses of a number around 10, divided by the smaller difference.
const ROUNDING: f64 = 1e-4;

fn planned(body: &str) -> Plan {
    let text = format!("classifier judge\nloss close\n\nguide g() {{\n{body}\n}}\n");
    let table = timetable(Noise::Preserving, 2, 1);
    let facts = Field::new(Space::Eps).facts().clone();
    let ask = pipeline::Ask::new(facts, table);
    pipeline::ask("g", &text, ask).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The numbers that leave a tick, where `cond` answers `moved` more.
fn one_tick(executor: &mut Executor, x: &[f64], moved: Vec<f64>) -> Vec<f64> {
    let x: Vec<f32> = x.iter().map(|v| *v as f32).collect();
    let x = tensor(x, &[&[1], LATENT.as_slice()].concat());
    let mut field = Field::new(Space::Eps);
    field.moved = moved;
    let guided = executor.tick(0, &x, &mut field).expect("a tick");
    wide(&guided.denoise)
}

fn check(names: &str, by: &str, of: &str) {
    let gradient = planned(&format!("{names}\nprediction(raw(grad({of}, wrt: {by})))"));
    let value = planned(&format!("{names}\nprediction(raw(x) - raw(x) + {of})"));
    let numbers = |seed, tick| -> Vec<f64> {
        let all = latent(seed, tick).into_iter();
        all.map(f64::from).collect()
    };
    let x = numbers(5, 0);
    for engine in [Engine::Passes, Engine::TensorOperations] {
        let found = one_tick(&mut executor(&gradient, &[5], engine), &x, Vec::new());
        let size = found.iter().map(|v| v * v).sum::<f64>().sqrt();
        assert!(size > 0.0, "{of}: nothing but 0");
        for seed in [1, 2, 3] {
            let toward = numbers(seed, 1);
            let long = toward.iter().map(|v| v * v).sum::<f64>().sqrt();
            let by_step = |step: f64| -> Vec<f64> {
                let parts = toward.iter();
                parts.map(|part| step * part / long).collect()
            };
            let at = |step: f64| {
                let mut executor = executor(&value, &[5], engine);
                let all = match by {
                    "x" => {
                        let moved = by_step(step);
                        let x: Vec<f64> = x.iter().zip(&moved).map(|(x, d)| x + d).collect();
                        one_tick(&mut executor, &x, Vec::new())
                    }
                    _ => one_tick(&mut executor, &x, by_step(step)),
                };
                all[0]
            };
            let slope = |step: f64| (at(step) - at(-step)) / (2.0 * step);
            // Richardson: what is left is of the fourth order.
            let wanted = (4.0 * slope(STEP / 2.0) - slope(STEP)) / 3.0;
            let parts = found.iter().zip(by_step(1.0));
            let got: f64 = parts.map(|(gradient, part)| gradient * part).sum();
            let allowed = ROUNDING + 2e-3 * size;
            assert!(
                (got - wanted).abs() <= allowed,
                "{of}, {engine:?}: {got} is not {wanted} within {allowed}"
            );
        }
    }
}

/// What is no number by which the compiler could differentiate is said when the file is checked.
fn refused() {
    let table = || timetable(Noise::Preserving, 2, 1);
    let planned = |body: &str| {
        let text = format!("classifier judge\nguide g() {{\n{body}\n}}\n");
        let facts = Field::new(Space::Eps).facts().clone();
        pipeline::ask("g", &text, pipeline::Ask::new(facts, table()))
    };
    let cases = [
        (
            "let p = predict(cond)\np + direction(grad(norm(raw(x)), wrt: p))",
            "NoGradient",
        ),
        (
            "predict(cond) + eps(grad(quantile(raw(x), 0.5), wrt: x))",
            "NoGradient",
        ),
        (
            "predict(cond) + eps(grad(norm(gaussian_blur(raw(x), 1)), wrt: x))",
            "NoGradient",
        ),
        (
            "let p = predict(cond, with: blur_attention(mid, 1))\np + eps(grad(norm(x0(p)), wrt: x))",
            "NoGradient",
        ),
        (
            "let p = predict(cond, told: t + mean(raw(x)))\np + eps(grad(norm(x0(p)), wrt: x))",
            "NoGradient",
        ),
        (
            "let g = grad(norm(x0(predict(cond))), wrt: x)\npredict(cond) + eps(grad(norm(g), wrt: x))",
            "NoGradient",
        ),
    ];
    for (body, code) in cases {
        let said = planned(body).expect_err(body);
        assert!(said.contains(code), "{body}: {said}");
    }
}

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![trial("gradient::refused".to_owned(), refused)];
    for of in BY_X {
        trials.push(trial(format!("gradient::{of}"), move || check("", "x", of)));
    }
    let names = "let c = x0(predict(cond))\nlet u = x0(predict(uncond))";
    for of in BY_NAME {
        let name = format!("gradient::by_name::{of}");
        trials.push(trial(name, move || check(names, "c", of)));
    }
    trials
}
