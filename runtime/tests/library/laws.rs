//! What holds for every rule of the library, whatever it computes.

use guide_compiler::plan::{Plan, Space};
use libtest_mimic::Trial;

use crate::algebra::guided as extrapolated;
use crate::field::{
    Engine, Field, LATENT, STEPS, bits, executor, home, latents, parts, plan, run, some_plan, wide,
};
use crate::spaces::{converted, x0_of};
use crate::ticks::Noise;
use crate::walk::{Rule, rules, trial};

const SEEDS: [u64; 3] = [1, 2, 3];
const ENGINES: [Engine; 2] = [Engine::Passes, Engine::TensorOperations];

/// Rules whose documentation names no parameters without guidance, and why.
const NEVER_NEUTRAL: &[(&str, &str)] = &[
    (
        "cfg_plus_plus",
        "`lambda` 1 still re-noises with the unconditional prediction",
    ),
    ("calibrated_classifier", "without guidance it still clips"),
    (
        "calibrated_edm",
        "it moves the sample by a least share whatever the scale",
    ),
    ("composed", "its guidance stands in the table of weights"),
    ("dynamic_threshold", "without guidance it still clips"),
    (
        "feedback",
        "the scale is never 1 but for an estimate that never ends",
    ),
    (
        "cfg_scheduled",
        "its scale changes over the run, with `scale` as the mean",
    ),
    (
        "classifier_guidance",
        "it guides the unconditional prediction",
    ),
    ("experts", "they guide the unconditional prediction"),
    (
        "semantic",
        "each region's scale is a multiple of the rule's",
    ),
];

/// Rules that have no plain guidance in them, and why.
const NEVER_PLAIN: &[(&str, &str)] = &[
    ("adaptive", "guidance ends where the predictions agree"),
    ("autoguidance", "guides from a weaker model"),
    (
        "cfg_plus_plus",
        "`lambda` is a share, and it re-noises with another prediction",
    ),
    (
        "cfg_scheduled",
        "the scale changes over the run; `constant` is a word",
    ),
    (
        "calibrated_classifier",
        "shifts along the gradient of a classifier",
    ),
    (
        "calibrated_edm",
        "moves the sample along the gradient of a classifier",
    ),
    ("cfg_zero_star", "the unconditional prediction is fitted"),
    (
        "classifier_guidance",
        "guides along the gradient of a classifier",
    ),
    ("composed", "its scales stand in a table"),
    ("dynamic_threshold", "clips whatever the scale"),
    ("experts", "guide along the gradients of classifiers"),
    ("feedback", "the scale is an estimate"),
    (
        "gradient_free",
        "guides from a class that a classifier finds",
    ),
    (
        "gradient_free_auto",
        "guides from a class that a classifier finds",
    ),
    ("independent", "guides from a random condition"),
    ("limited_interval", "its interval ends before the run does"),
    (
        "negative_attention",
        "guides inside the network, with one evaluation",
    ),
    ("pag", "asks for no unconditional prediction"),
    (
        "push_apart",
        "guides inside the network, with one evaluation",
    ),
    ("rectified_cfg_pp", "guides half a step ahead"),
    ("seg", "asks for no unconditional prediction"),
    ("semantic", "each region has a scale of its own"),
    (
        "steer_away",
        "guides inside the network, with one evaluation",
    ),
    ("tangential", "the unconditional prediction is damped"),
    (
        "time_step",
        "guides from a prediction that is told another time",
    ),
    ("universal", "guides along the gradient of a loss"),
];

/// Rules whose second evaluation of a step is not what a first one at its place would be, and why. What
/// a step decided holds in its second evaluation; `heun` tests that.
const HELD: &[(&str, &str)] = &[
    ("adaptive", "decides by the predictions' cosine"),
    ("experts", "decide by `t1000`"),
    (
        "feedback",
        "its heat comes from the noise of another step's first evaluation",
    ),
    ("limited_interval", "decides by `sigma_ratio`"),
    ("sine_edit", "decides by `t1000`"),
];

fn listed(list: &[(&str, &str)], rule: &Rule) -> bool {
    list.iter().any(|(name, _)| *name == rule.name)
}

type Settings = Vec<(String, String)>;

/// Parameters with which the documentation promises no guidance.
fn neutral(rule: &Rule) -> Settings {
    let value = |p: &crate::walk::Param| {
        let value = p
            .value_that("is no guidance")
            .or_else(|| p.value_that("is none"))?;
        Some((p.name.clone(), value.to_owned()))
    };
    rule.params.iter().filter_map(value).collect()
}

/// The prediction itself, in one evaluation a tick.
fn without_guidance(rule: &Rule) {
    let set = neutral(rule);
    assert!(
        !set.is_empty(),
        "no parameter says which value is no guidance"
    );
    for space in [Space::Eps, Space::V, Space::X0, Space::Flow] {
        let (_, noise) = some_plan(rule, &set, 1);
        let Ok(plan) = plan(rule, &set, space, noise, 1) else {
            continue;
        };
        let field = Field::new(space);
        let all = run(&plan, &SEEDS, Engine::Passes).expect("a run");
        for (i, (guided, tick)) in all.iter().zip(&plan.timetable.ticks).enumerate() {
            assert_eq!(guided.evaluated.counts, [1; 3], "{set:?}: tick {i}");
            for (b, seed) in SEEDS.iter().enumerate() {
                let x = wide(&latents(&[*seed], i));
                let c = field.x0("cond", &x, tick.t, 0);
                let row = wide(&guided.denoise.get(b).expect("a row"));
                let got = x0_of(guided.space, &row, &x, tick.alpha, tick.sigma);
                // An answer in eps is rounded to f32, and x0 is `1/alpha` times as far off.
                assert_near(
                    &got,
                    &c,
                    1e-5 / tick.alpha.min(1.0),
                    &format!("{set:?}, {space:?}: tick {i}"),
                );
            }
        }
    }
}

fn assert_near(got: &[f64], want: &[f64], allowed: f64, place: &str) {
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let is_near = (got - want).abs() <= allowed;
        assert!(
            is_near,
            "{place}, element {i}: {got} is not {want} within {allowed:e}"
        );
    }
}

/// Every scale 3 and everything else without effect: classifier-free guidance with the scale 3.
fn plain(rule: &Rule) {
    let set: Settings = rule
        .params
        .iter()
        .filter_map(|p| match p.plain() {
            Some(value) => Some((p.name.clone(), value.to_owned())),
            None if p.name.contains("scale") => Some((p.name.clone(), "3".to_owned())),
            None => None,
        })
        .collect();
    let plan = plan(rule, &set, Space::Eps, Noise::Preserving, 1).expect("a plan");
    let mut field = Field::new(Space::Eps);
    field.nothing_negative = true;
    let mut executor = executor(&plan, &SEEDS, Engine::Passes);
    for (i, tick) in plan.timetable.ticks.iter().enumerate() {
        let guided = executor
            .tick(i, &latents(&SEEDS, i), &mut field)
            .expect("a tick");
        for (b, seed) in SEEDS.iter().enumerate() {
            let x = wide(&latents(&[*seed], i));
            let c = field.x0("cond", &x, tick.t, 0);
            let u = field.x0("uncond", &x, tick.t, 0);
            let row = wide(&guided.denoise.get(b).expect("a row"));
            let got = x0_of(guided.space, &row, &x, tick.alpha, tick.sigma);
            let allowed = 5e-5 / tick.alpha.min(1.0);
            assert_near(
                &got,
                &extrapolated(&c, &u, 3.0),
                allowed,
                &format!("{set:?}: tick {i}"),
            );
        }
    }
}

/// What a sample gets is the same alone, and beside others in any order.
fn independent(rule: &Rule) {
    let (plan, _) = some_plan(rule, &[], 2);
    for engine in ENGINES {
        let together = run(&plan, &SEEDS, engine).expect("a run");
        let turned = run(&plan, &[SEEDS[2], SEEDS[0], SEEDS[1]], engine).expect("a run");
        for (b, seed) in SEEDS.iter().enumerate() {
            let alone = run(&plan, &[*seed], engine).expect("a run");
            for (i, all) in together.iter().enumerate() {
                let place = format!("{engine:?}: sample {b}, tick {i}");
                let here = bits(&parts(all, b));
                assert!(here == bits(&parts(&alone[i], 0)), "{place} alone");
                assert!(
                    here == bits(&parts(&turned[i], (b + 1) % 3)),
                    "{place} turned"
                );
                assert_eq!(
                    all.evaluated.counts[b], alone[i].evaluated.counts[0],
                    "{place}"
                );
                assert_eq!(all.hold[b], alone[i].hold[0], "{place}");
            }
        }
    }
}

/// The arithmetic for a CPU and that for other devices agree, with a negative prompt and without one.
fn engines(rule: &Rule) {
    for negative in [true, false] {
        let rule = Rule {
            negative,
            ..rule.clone()
        };
        engines_agree(&some_plan(&rule, &[], 2).0);
    }
}

fn engines_agree(plan: &Plan) {
    let [one, other] = ENGINES.map(|engine| run(plan, &SEEDS, engine).expect("a run"));
    for (i, (one, other)) in one.iter().zip(&other).enumerate() {
        for b in 0..SEEDS.len() {
            let of = |g| parts(g, b).into_iter().map(f64::from).collect::<Vec<f64>>();
            let (got, want) = (of(other), of(one));
            let most = want.iter().fold(1.0, |most: f64, v| most.max(v.abs()));
            let noise = plan.timetable.ticks[i].alpha.min(1.0);
            assert_near(
                &got,
                &want,
                1e-5 * most / noise,
                &format!("tick {i}, sample {b}"),
            );
        }
        assert_eq!(one.evaluated, other.evaluated, "tick {i}");
    }
}

/// Models that say the same in different spaces are guided the same, but for rules that work in the model's
/// own space and say so.
fn spaces(rule: &Rule) {
    if rule.native {
        let docs = rule
            .text
            .lines()
            .filter(|line| line.trim_start().starts_with("///"));
        let docs: Vec<&str> = docs.collect();
        if docs.join(" ").contains("own space") {
            return;
        }
    }
    let (_, noise) = some_plan(rule, &[], 1);
    let run_in = |space| {
        let plan = plan(rule, &[], space, noise, 1).expect("a plan");
        (run(&plan, &SEEDS, Engine::Passes).expect("a run"), plan)
    };
    let (wanted, home_plan) = run_in(home(noise));
    for space in [Space::Eps, Space::V, Space::X0, Space::Flow] {
        let (got, plan) = run_in(space);
        assert_eq!(plan.cost.least, home_plan.cost.least, "{space:?}");
        for (i, tick) in plan.timetable.ticks.iter().enumerate() {
            for (b, seed) in SEEDS.iter().enumerate() {
                let x = wide(&latents(&[*seed], i));
                let clean = |g: &guide_runtime::exec::Guided| {
                    let row = wide(&g.denoise.get(b).expect("a row"));
                    // A step goes from where the sample was moved.
                    let mut x = x.clone();
                    if let Some(moves) = &g.moves {
                        let by = wide(&moves.get(b).expect("a row"));
                        x.iter_mut().zip(by).for_each(|(x, by)| *x += by);
                    }
                    x0_of(g.space, &row, &x, tick.alpha, tick.sigma)
                };
                let (got, want) = (clean(&got[i]), clean(&wanted[i]));
                let most = want.iter().fold(1.0, |most: f64, v| most.max(v.abs()));
                // Answers are rounded to f32 in spaces of their own; a scale and `1/alpha` enlarge that.
                let allowed = 2e-5 * most / tick.alpha.min(1.0);
                assert_near(
                    &got,
                    &want,
                    allowed,
                    &format!("{space:?}: tick {i}, sample {b}"),
                );
            }
            assert_eq!(
                got[i].evaluated.counts, wanted[i].evaluated.counts,
                "{space:?}: tick {i}"
            );
        }
    }
}

/// Settings that are likely to fold something away: the defaults, no guidance, and each number at 0
/// and at 1.
fn varied(rule: &Rule) -> Vec<Settings> {
    let mut all = vec![Vec::new(), neutral(rule)];
    for param in rule.params.iter().filter(|p| p.kind == "Scalar") {
        for value in ["0", "1"] {
            all.push(vec![(param.name.clone(), value.to_owned())]);
        }
    }
    all
}

/// A plan states what the run then asks for, in all and by prediction.
fn counts(rule: &Rule) {
    let mut tried = 0;
    for set in varied(rule) {
        for substeps in [1, 2] {
            for noise in [Noise::Preserving, Noise::Flow] {
                // A value that the rule cannot have is refused, here or by the run.
                let Ok(plan) = plan(rule, &set, home(noise), noise, substeps) else {
                    continue;
                };
                let Ok(all) = run(&plan, &SEEDS, Engine::Passes) else {
                    continue;
                };
                tried += 1;
                for b in 0..SEEDS.len() {
                    let total: u64 = all.iter().map(|g| u64::from(g.evaluated.counts[b])).sum();
                    let stated = plan.cost.least..=plan.cost.most;
                    assert!(
                        stated.contains(&total),
                        "{set:?}: {total} is not in {stated:?}"
                    );
                    for (id, (least, most)) in plan.cost.by_prediction.iter().enumerate() {
                        let asked = |g: &&guide_runtime::exec::Guided| {
                            let mut by = g.evaluated.by_prediction.iter();
                            by.any(|(p, rows)| p.index() == id && rows.contains(&b))
                        };
                        let count = all.iter().filter(asked).count() as u64;
                        let label = &plan.predictions[id].label;
                        assert!(
                            (*least..=*most).contains(&count),
                            "{set:?}: `{label}` {count} times, stated {least} to {most}"
                        );
                    }
                    for (id, (least, most)) in plan.cost.by_judgement.iter().enumerate() {
                        let asked = |g: &&guide_runtime::exec::Guided| {
                            let mut by = g.evaluated.by_judgement.iter();
                            by.any(|(j, rows)| j.index() == id && rows.contains(&b))
                        };
                        let count = all.iter().filter(asked).count() as u64;
                        let label = &plan.judgements[id].label;
                        assert!(
                            (*least..=*most).contains(&count),
                            "{set:?}: `{label}` {count} times, stated {least} to {most}"
                        );
                    }
                }
            }
        }
    }
    assert!(tried > 0, "nothing could be tried");
}

/// State begins anew with each image.
fn anew(rule: &Rule) {
    let (plan, _) = some_plan(rule, &[], 1);
    for engine in ENGINES {
        let fresh = run(&plan, &SEEDS, engine).expect("a run");
        let mut used = executor(&plan, &SEEDS, engine);
        let mut field = Field::new(plan.head.model.space);
        let other = [7, 8, 9];
        for i in 0..fresh.len() {
            used.tick(i, &latents(&other, i), &mut field)
                .expect("a tick");
        }
        used.reset().expect("a new image");
        for (i, fresh) in fresh.iter().enumerate() {
            let again = used
                .tick(i, &latents(&SEEDS, i), &mut field)
                .expect("a tick");
            for b in 0..SEEDS.len() {
                let same = bits(&parts(&again, b)) == bits(&parts(fresh, b));
                assert!(same, "{engine:?}: tick {i}, sample {b}");
            }
        }
    }
}

/// State advances once a step: what a step's first evaluation gives does not depend on there being a
/// second one, and the second reads what the first read.
fn once_a_step(rule: &Rule) {
    let (twice, noise) = some_plan(rule, &[], 2);
    let once = plan(rule, &[], home(noise), noise, 1).expect("a plan");
    let ticks = &twice.timetable.ticks;
    let mut field = Field::new(home(noise));
    let mut of_two = executor(&twice, &SEEDS, Engine::Passes);
    let mut of_one = executor(&once, &SEEDS, Engine::Passes);
    for (i, tick) in ticks.iter().enumerate() {
        let x = latents(&SEEDS, i);
        let got = of_two.tick(i, &x, &mut field).expect("a tick");
        let want = if tick.substep == 0 {
            of_one
                .tick(tick.step as usize, &x, &mut field)
                .expect("a tick")
        } else if listed(HELD, rule) {
            continue;
        } else {
            second_as_first(rule, ticks, i, noise)
        };
        for b in 0..SEEDS.len() {
            let of = |g| parts(g, b).into_iter().map(f64::from).collect::<Vec<f64>>();
            let most = of(&want).iter().fold(1.0, |most: f64, v| most.max(v.abs()));
            let place = format!("step {}, substep {}, sample {b}", tick.step, tick.substep);
            // Plans of different segments may add in another order.
            assert_near(
                &of(&got),
                &of(&want),
                1e-5 * most / tick.alpha.min(1.0),
                &place,
            );
        }
    }
}

/// The tick `at` as if it were the first evaluation of its step, after the steps before it.
fn second_as_first(
    rule: &Rule,
    ticks: &[guide_compiler::plan::Tick],
    at: usize,
    noise: Noise,
) -> guide_runtime::exec::Guided {
    let mut table = crate::ticks::timetable(noise, STEPS, 1);
    let step = ticks[at].step;
    let firsts = ticks.iter().enumerate().filter(|(_, t)| t.substep == 0);
    let mut places: Vec<usize> = firsts.map(|(i, _)| i).collect();
    places[step as usize] = at;
    table.ticks = places
        .iter()
        .map(|i| guide_compiler::plan::Tick {
            substep: 0,
            ..ticks[*i]
        })
        .collect();
    let plan = crate::field::planned(rule, &[], home(noise), table).expect("a plan");
    let mut executor = executor(&plan, &SEEDS, Engine::Passes);
    let mut field = Field::new(home(noise));
    let mut last = None;
    for (k, i) in places.iter().enumerate().take(step as usize + 1) {
        last = Some(
            executor
                .tick(k, &latents(&SEEDS, *i), &mut field)
                .expect("a tick"),
        );
    }
    last.expect("a tick")
}

/// A converter that does not know where it came from would show nothing; this one is tried first.
fn conversions_come_back() {
    let (p, x) = ([0.3, -1.25], [0.7, 0.1]);
    for from in [Space::Eps, Space::V, Space::X0, Space::Flow] {
        for to in [Space::Eps, Space::V, Space::X0, Space::Flow] {
            let there = converted((from, to), &p, &x, 0.6, 0.8);
            let back = converted((to, from), &there, &x, 0.6, 0.8);
            assert_near(&back, &p, 1e-12, "there and back");
        }
    }
    // v = alpha*eps - sigma*x0 of x0 = 2, eps = 1 at x = 0.6*2 + 0.8.
    let v = converted((Space::X0, Space::V), &[2.0], &[2.0], 0.6, 0.8);
    assert_near(&v, &[0.6 - 1.6], 1e-12, "v");
}

type Law = (
    &'static str,
    fn(&Rule),
    &'static [(&'static str, &'static str)],
);

const LAWS: &[Law] = &[
    ("without_guidance", without_guidance, NEVER_NEUTRAL),
    ("plain", plain, NEVER_PLAIN),
    ("independent", independent, &[]),
    ("engines", engines, &[]),
    ("spaces", spaces, &[]),
    ("counts", counts, &[]),
    ("anew", anew, &[]),
    ("once_a_step", once_a_step, &[]),
];

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![trial(
        "conversions_come_back".to_owned(),
        conversions_come_back,
    )];
    for (law, test, exceptions) in LAWS {
        for rule in rules() {
            if !listed(exceptions, &rule) {
                let name = format!("{law}::{}", rule.name);
                trials.push(trial(name, move || test(&rule)));
            }
        }
        for (name, _) in *exceptions {
            let known = rules().iter().any(|rule| rule.name == *name);
            assert!(known, "{law} excepts `{name}`, which is no rule");
        }
    }
    assert_eq!(LATENT.iter().product::<usize>(), crate::field::SIZE);
    trials
}
