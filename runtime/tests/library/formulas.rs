//! Every rule of the library that combines predictions, written out from its paper: what it returns,
//! and how many predictions an evaluation that is as lazy as possible asks for.

use crate::algebra::{
    cosine, deviation, dot, guided, largest_size, mean, minus, mixed, norm, quantile_of_sizes,
    times,
};
use crate::case::{Formula, Made, Memory, Needs, Now};
use crate::judged::{
    ALONG, DOWN, EXPERTS, RIVAL, SHIFTED, STEPPED, calibrated_classifier, calibrated_edm,
    classifier_guidance, experts, gradient_free, gradient_free_auto, universal,
};
use crate::planes::{Plane, channels};
use crate::regions::{REGIONS, semantic};

const PAIR: Needs = Needs {
    labels: &["cond", "uncond"],
    judges: &[],
    weights: &[],
    sights: &[],
};
const THREE: Needs = Needs {
    labels: &["cond", "uncond", "null"],
    judges: &[],
    weights: &[],
    sights: &[],
};
const WEAK: Needs = Needs {
    labels: &["cond", "weak/cond"],
    judges: &[],
    weights: &[],
    sights: &[],
};
const HALF: Needs = Needs {
    labels: &["cond", "cond@half", "uncond@half"],
    judges: &[],
    weights: &[],
    sights: &[],
};
const LIST: Needs = Needs {
    labels: &["null", "prompts[0]", "prompts[1]", "prompts[2]"],
    judges: &[],
    weights: &[1.5, -0.75, 0.25],
    sights: &[],
};
const STRUCTURE: Needs = Needs {
    labels: &["cond", "uncond", IDENTITY],
    judges: &[],
    weights: &[],
    sights: &[],
};
const BLURRED: Needs = Needs {
    labels: &[
        "cond",
        "cond~blur_attention(mid, inf)",
        "cond~blur_attention(mid, 10)",
    ],
    judges: &[],
    weights: &[],
    sights: &[],
};
const SKIPPED: Needs = Needs {
    labels: &["cond", "uncond", SKIP],
    judges: &[],
    weights: &[],
    sights: &[],
};

const IDENTITY: &str = "cond~identity_attention(mid)";
const SKIP: &str = "cond~skip_layers([7, 8, 9])";

/// The rules by name.
const TUNED: Needs = Needs {
    labels: &["cond", "uncond", "tuned/source"],
    judges: &[],
    weights: &[],
    sights: &[],
};
const LED_AWAY: Needs = Needs {
    labels: &[
        "cond",
        "cond~negative_attention(uncond)",
        "cond~negative_attention(uncond, 3, mix: 0.5)",
    ],
    judges: &[],
    weights: &[],
    sights: &[],
};
const APART: Needs = Needs {
    labels: &[
        "cond",
        "cond~push_apart(batch)",
        "cond~push_apart(batch, 2, layers: up)",
    ],
    judges: &[],
    weights: &[],
    sights: &[],
};
const STEERED: Needs = Needs {
    labels: &[
        "cond",
        "cond~steer_away(uncond)",
        "cond~steer_away(uncond, 0.8)",
    ],
    judges: &[],
    weights: &[],
    sights: &[],
};
const UNRELATED: Needs = Needs {
    labels: &["cond", "unrelated(cond)"],
    judges: &[],
    weights: &[],
    sights: &[],
};
const MOVED: Needs = Needs {
    labels: &["cond", "cond!moved"],
    judges: &[],
    weights: &[],
    sights: &[],
};
const LOOKED_AT: Needs = Needs {
    labels: &["cond", "uncond", "uncond@degraded"],
    judges: &[],
    weights: &[],
    sights: &["attention/uncond/mid"],
};
pub const FORMULAS: &[(&str, Needs, Formula)] = &[
    ("adaptive", PAIR, adaptive),
    ("apg", PAIR, apg),
    ("autoguidance", WEAK, autoguidance),
    ("calibrated_classifier", SHIFTED, calibrated_classifier),
    ("calibrated_edm", STEPPED, calibrated_edm),
    ("cfg", PAIR, cfg),
    ("cfg_interval", PAIR, cfg_interval),
    ("cfg_pag", STRUCTURE, cfg_pag),
    ("cfg_plus_plus", PAIR, cfg_plus_plus),
    ("cfg_rescale", PAIR, cfg_rescale),
    ("cfg_scheduled", PAIR, cfg_scheduled),
    ("cfg_zero_star", PAIR, cfg_zero_star),
    ("classifier_guidance", ALONG, classifier_guidance),
    ("composed", LIST, composed),
    ("dynamic_threshold", PAIR, dynamic_threshold),
    ("experts", EXPERTS, experts),
    ("frequency_band", PAIR, frequency_band),
    ("frequency_decoupled", PAIR, frequency_decoupled),
    ("gradient_free", RIVAL, gradient_free),
    ("gradient_free_auto", RIVAL, gradient_free_auto),
    ("independent", UNRELATED, independent),
    ("limited_interval", PAIR, limited_interval),
    ("magnitude_aware", PAIR, magnitude_aware),
    ("mimic", PAIR, mimic),
    ("momentum_cfg", PAIR, momentum_cfg),
    ("negative_attention", LED_AWAY, negative_attention),
    ("pag", STRUCTURE, pag),
    ("perp_neg", THREE, perp_neg),
    ("push_apart", APART, push_apart),
    ("rectified_cfg_pp", HALF, rectified_cfg_pp),
    ("sag", LOOKED_AT, sag),
    ("seg", BLURRED, seg),
    ("semantic", REGIONS, semantic),
    ("slg", SKIPPED, slg),
    ("sine_edit", TUNED, sine_edit),
    ("steer_away", STEERED, steer_away),
    ("tangential", PAIR, tangential),
    ("time_step", MOVED, time_step),
    ("universal", DOWN, universal),
];

/// How many of these factors are not 0: predictions that a sum asks for.
fn asked(factors: &[f64]) -> usize {
    factors.iter().filter(|f| **f != 0.0).count()
}

fn plain(c: &[f64], u: &[f64], scale: f64) -> Made {
    Made::new(guided(c, u, scale), asked(&[scale, 1.0 - scale]))
}

fn cfg(now: &Now<'_>, _: &mut Memory) -> Made {
    plain(
        &now.native("cond"),
        &now.native("uncond"),
        now.num("scale", 7.5),
    )
}

fn autoguidance(now: &Now<'_>, _: &mut Memory) -> Made {
    plain(
        &now.native("cond"),
        &now.native("weak/cond"),
        now.num("scale", 2.0),
    )
}

fn time_step(now: &Now<'_>, _: &mut Memory) -> Made {
    plain(
        &now.native("cond"),
        &now.native(MOVED.labels[1]),
        now.num("scale", 3.0),
    )
}

fn independent(now: &Now<'_>, _: &mut Memory) -> Made {
    plain(
        &now.native("cond"),
        &now.native(UNRELATED.labels[1]),
        now.num("scale", 3.0),
    )
}

fn sine_edit(now: &Now<'_>, _: &mut Memory) -> Made {
    let own = if now.tick.t1000 >= now.num("from", 500.0) {
        now.num("pretrained", 0.4)
    } else {
        1.0
    };
    let scale = now.num("scale", 10.0);
    let [c, u, tuned] = [0, 1, 2].map(|i| now.native(TUNED.labels[i]));
    let factors = [scale * own, 1.0 - scale, scale * (1.0 - own)];
    let made = mixed(&[(factors[0], &c), (factors[1], &u), (factors[2], &tuned)]);
    Made::new(made, asked(&factors))
}

fn guided_where(now: &Now<'_>, inside: bool, scale: f64) -> Made {
    plain(
        &now.native("cond"),
        &now.native("uncond"),
        if inside { scale } else { 1.0 },
    )
}

fn cfg_interval(now: &Now<'_>, _: &mut Memory) -> Made {
    let inside = now.in_window(now.num("start", 0.0), now.num("stop", 1.0));
    guided_where(now, inside, now.num("scale", 7.5))
}

fn limited_interval(now: &Now<'_>, _: &mut Memory) -> Made {
    let noise = now.tick.sigma / now.tick.alpha;
    let inside = now.num("sigma_lo", 0.19) < noise && noise <= now.num("sigma_hi", 1.61);
    guided_where(now, inside, now.num("scale", 2.0))
}

fn cfg_scheduled(now: &Now<'_>, _: &mut Memory) -> Made {
    use std::f64::consts::PI;
    let p = f64::from(now.tick.step) / f64::from(now.steps);
    let power = now.num("power", 1.0);
    let k = match now.word("shape", "linear") {
        "constant" => 1.0,
        "linear" => 2.0 * p,
        "cosine" => 1.0 - (PI * p).cos(),
        "sine" => PI / 2.0 * (PI * p).sin(),
        "power" => (power + 1.0) * p.powf(power),
        other => panic!("no shape {other}"),
    };
    plain(
        &now.native("cond"),
        &now.native("uncond"),
        now.num("scale", 7.5) * k,
    )
}

fn cfg_rescale(now: &Now<'_>, _: &mut Memory) -> Made {
    let (c, u) = (now.native("cond"), now.native("uncond"));
    let (scale, phi) = (now.num("scale", 7.5), now.num("phi", 0.7));
    let g = guided(&c, &u, scale);
    let factor = phi * deviation(&c) / deviation(&g) + 1.0 - phi;
    let both = asked(&[if phi == 0.0 { scale } else { 1.0 }, 1.0 - scale]);
    Made::new(times(factor, &g), both)
}

/// `d + beta * m_before`, kept for the next tick.
fn running(d: &[f64], beta: f64, memory: &mut Memory) -> Vec<f64> {
    let m = match &memory.update {
        Some(before) => mixed(&[(1.0, d), (beta, before)]),
        None => d.to_vec(),
    };
    memory.update = Some(m.clone());
    m
}

fn apg(now: &Now<'_>, memory: &mut Memory) -> Made {
    let (c, u) = (now.x0("cond"), now.x0("uncond"));
    let (scale, eta) = (now.num("scale", 7.5), now.num("eta", 0.0));
    let (radius, beta) = (now.num("radius", 15.0), now.num("beta", -0.5));
    let mut m = running(&minus(&c, &u), beta, memory);
    if radius > 0.0 && norm(&m) > radius {
        m = times(radius / norm(&m), &m);
    }
    let parallel = times(dot(&m, &c) / dot(&c, &c), &c);
    let orthogonal = minus(&m, &parallel);
    let x0 = mixed(&[
        (1.0, &c),
        (scale - 1.0, &orthogonal),
        ((scale - 1.0) * eta, &parallel),
    ]);
    Made::new(now.output_of_x0(&x0), if scale == 1.0 { 1 } else { 2 })
}

fn momentum_cfg(now: &Now<'_>, memory: &mut Memory) -> Made {
    let (c, u) = (now.native("cond"), now.native("uncond"));
    let (scale, beta) = (now.num("scale", 7.5), now.num("beta", -0.5));
    let m = running(&minus(&c, &u), beta, memory);
    let needed = if scale == 1.0 {
        1
    } else if beta == 0.0 || now.is_last() {
        asked(&[scale, 1.0 - scale])
    } else {
        2
    };
    Made::new(mixed(&[(1.0, &c), (scale - 1.0, &m)]), needed)
}

fn cfg_zero_star(now: &Now<'_>, _: &mut Memory) -> Made {
    let (c, u) = (now.native("cond"), now.native("uncond"));
    if f64::from(now.tick.step) < now.num("zero_steps", 1.0) {
        return Made {
            hold: true,
            ..Made::new(vec![0.0; c.len()], 0)
        };
    }
    let scale = now.num("scale", 7.5);
    let fitted = times(dot(&c, &u) / (dot(&u, &u) + 1e-8), &u);
    Made::new(guided(&c, &fitted, scale), if scale == 1.0 { 1 } else { 2 })
}

/// By power iteration on the transposed matrix times itself, where the rule has a closed form.
fn tangential(now: &Now<'_>, _: &mut Memory) -> Made {
    let (c, u) = (now.native("cond"), now.native("uncond"));
    let scale = now.num("scale", 7.5);
    let mut v = mixed(&[(1.0, &c), (0.9, &u)]);
    for _ in 0..2000 {
        let next = mixed(&[(dot(&c, &v), &c), (dot(&u, &v), &u)]);
        v = times(1.0 / norm(&next), &next);
    }
    let damped = times(dot(&u, &v), &v);
    Made::new(guided(&c, &damped, scale), if scale == 1.0 { 1 } else { 2 })
}

fn magnitude_aware(now: &Now<'_>, _: &mut Memory) -> Made {
    let (c, u) = (now.native("cond"), now.native("uncond"));
    let (scale, alpha) = (now.num("scale", 10.0), now.num("alpha", 8.0));
    let share = (-alpha * norm(&minus(&c, &u)) / norm(&u)).exp();
    let needed = match (scale, alpha) {
        (1.0, _) => 1,
        (_, 0.0) => asked(&[scale, 1.0 - scale]),
        _ => 2,
    };
    Made::new(guided(&c, &u, 1.0 + (scale - 1.0) * share), needed)
}

/// Where two scales share the work: one prediction is enough if both ask for the same one.
fn by_two(low: f64, high: f64) -> usize {
    if low == high {
        asked(&[low, 1.0 - low])
    } else {
        2
    }
}

fn frequency_decoupled(now: &Now<'_>, _: &mut Memory) -> Made {
    let (c, u) = (now.native("cond"), now.native("uncond"));
    let (low, high) = (now.num("scale_low", 5.0), now.num("scale_high", 10.0));
    let levels = now.num("levels", 2.0) as usize;
    let made = channels(now.shape, &[&c, &u], |planes| {
        let (c, u) = (planes[0].pyramid(levels), planes[1].pyramid(levels));
        let level = |(k, (c, u)): (usize, (&Plane, &Plane))| {
            let scale = high + (low - high) * k as f64 / (levels - 1) as f64;
            u.plus(scale, &c.plus(-1.0, u))
        };
        let levels: Vec<Plane> = c.iter().zip(&u).enumerate().map(level).collect();
        Plane::collapsed(&levels)
    });
    Made::new(made, by_two(low, high))
}

fn frequency_band(now: &Now<'_>, _: &mut Memory) -> Made {
    let (c, u) = (now.native("cond"), now.native("uncond"));
    let (low, high) = (now.num("scale_low", 7.5), now.num("scale_high", 35.0));
    let cutoff = now.num("cutoff", 0.5);
    let d = minus(&c, &u);
    let coarse = channels(now.shape, &[&d], |planes| planes[0].low(cutoff));
    let fine = minus(&d, &coarse);
    let made = mixed(&[(1.0, &u), (low, &coarse), (high, &fine)]);
    Made::new(made, by_two(low, high))
}

fn dynamic_threshold(now: &Now<'_>, _: &mut Memory) -> Made {
    let (c, u) = (now.x0("cond"), now.x0("uncond"));
    let scale = now.num("scale", 7.5);
    let g = guided(&c, &u, scale);
    let bound = quantile_of_sizes(&g, now.num("percentile", 0.995)).max(1.0);
    let x0: Vec<f64> = g.iter().map(|v| v.clamp(-bound, bound) / bound).collect();
    Made::new(now.output_of_x0(&x0), asked(&[scale, 1.0 - scale]))
}

fn mimic(now: &Now<'_>, _: &mut Memory) -> Made {
    let (c, u) = (now.native("cond"), now.native("uncond"));
    let (scale, mild) = (now.num("scale", 20.0), now.num("mimic_scale", 7.5));
    let percentile = now.num("percentile", 0.995);
    let [count, height, width] = now.shape;
    let area = height * width;
    let channel = |k: usize| -> Vec<f64> {
        let here = k * area..(k + 1) * area;
        let g = guided(&c[here.clone()], &u[here.clone()], scale);
        let m = guided(&c[here.clone()], &u[here], mild);
        let (middle, centre) = (mean(&g), mean(&m));
        let g: Vec<f64> = g.iter().map(|v| v - middle).collect();
        let m: Vec<f64> = m.iter().map(|v| v - centre).collect();
        let reach = largest_size(&m);
        let bound = reach.max(quantile_of_sizes(&g, percentile));
        let one = |v: &f64| v.clamp(-bound, bound) * reach / bound + middle;
        g.iter().map(one).collect()
    };
    Made::new((0..count).flat_map(channel).collect(), by_two(scale, mild))
}

fn perp_neg(now: &Now<'_>, _: &mut Memory) -> Made {
    let (c, n, u) = (now.native("cond"), now.native("uncond"), now.native("null"));
    let (scale, weight) = (now.num("scale", 7.5), now.num("neg_scale", 1.0));
    let (d, away) = (minus(&c, &u), minus(&n, &u));
    let across = mixed(&[(1.0, &away), (-dot(&away, &d) / dot(&d, &d), &d)]);
    let made = mixed(&[(1.0, &u), (scale, &d), (-scale * weight, &across)]);
    let needed = match (scale, weight) {
        (0.0, _) => 1,
        (_, 0.0) => asked(&[scale, 1.0 - scale]),
        _ => 3,
    };
    Made::new(made, needed)
}

fn composed(now: &Now<'_>, _: &mut Memory) -> Made {
    let u = now.native("null");
    let scale = now.num("scale", 1.0);
    let mut made = u.clone();
    for (i, weight) in LIST.weights.iter().enumerate() {
        let d = minus(&now.native(LIST.labels[i + 1]), &u);
        made = mixed(&[(1.0, &made), (scale * weight, &d)]);
    }
    let all = 1 + LIST.weights.len();
    Made::new(made, if scale == 0.0 { 1 } else { all })
}

fn adaptive(now: &Now<'_>, memory: &mut Memory) -> Made {
    let (c, u) = (now.native("cond"), now.native("uncond"));
    let scale = now.num("scale", 7.5);
    if memory.done || scale == 1.0 {
        return Made::new(c, 1);
    }
    let agreement = match now.word("space", "native") {
        "native" => cosine(&c, &u),
        "eps" => cosine(&now.eps("cond"), &now.eps("uncond")),
        "x0" => cosine(&now.x0("cond"), &now.x0("uncond")),
        other => panic!("no space {other}"),
    };
    memory.done = agreement >= now.num("threshold", 0.991);
    let needed = if now.is_last() {
        asked(&[scale, 1.0 - scale])
    } else {
        2
    };
    Made::new(guided(&c, &u, scale), needed)
}

fn cfg_plus_plus(now: &Now<'_>, _: &mut Memory) -> Made {
    let (c, u) = (now.native("cond"), now.native("uncond"));
    let lambda = now.num("lambda", 0.6);
    Made {
        renoise: Some(u.clone()),
        ..Made::new(guided(&c, &u, lambda), if lambda == 0.0 { 1 } else { 2 })
    }
}

fn rectified_cfg_pp(now: &Now<'_>, _: &mut Memory) -> Made {
    let c = now.native("cond");
    let ahead = minus(&now.native("cond@half"), &now.native("uncond@half"));
    let weight = now.num("lambda", 0.5) * now.tick.alpha.powf(now.num("power", 0.0));
    let made = mixed(&[(1.0, &c), (weight, &ahead)]);
    Made::new(made, 1 + asked(&[weight, weight]))
}

fn away_from(now: &Now<'_>, twin: &str, scale: f64) -> Made {
    let (c, p) = (now.native("cond"), now.native(twin));
    let made = mixed(&[(1.0 + scale, &c), (-scale, &p)]);
    Made::new(made, asked(&[1.0 + scale, scale]))
}

/// What happens inside the network shows in the label alone.
fn one_of(now: &Now<'_>, needs: &Needs, place: usize) -> Made {
    Made::new(now.native(needs.labels[place]), 1)
}

fn negative_attention(now: &Now<'_>, _: &mut Memory) -> Made {
    let place = match (now.num("scale", 5.0), now.num("mix", 0.25)) {
        (1.0, _) | (_, 0.0) => 0,
        (5.0, 0.25) => 1,
        (3.0, 0.5) => 2,
        other => panic!("nothing is led away by {other:?} here"),
    };
    one_of(now, &LED_AWAY, place)
}

fn push_apart(now: &Now<'_>, _: &mut Memory) -> Made {
    let place = match (now.num("strength", 0.9), now.num("threshold", 0.65)) {
        (0.0, _) | (_, 1.0) => 0,
        (2.0, _) => 2,
        _ => 1,
    };
    one_of(now, &APART, place)
}

fn steer_away(now: &Now<'_>, _: &mut Memory) -> Made {
    let place = match now.num("scale", 0.2) {
        0.0 => 0,
        0.2 => 1,
        0.8 => 2,
        other => panic!("nothing is subtracted by {other} here"),
    };
    one_of(now, &STEERED, place)
}

fn pag(now: &Now<'_>, _: &mut Memory) -> Made {
    away_from(now, IDENTITY, now.num("scale", 3.0))
}

fn seg(now: &Now<'_>, _: &mut Memory) -> Made {
    let twin = match now.word("sigma", "inf") {
        "inf" => BLURRED.labels[1],
        "10" => BLURRED.labels[2],
        other => panic!("nothing is blurred by {other} here"),
    };
    away_from(now, twin, now.num("scale", 3.0))
}

fn sag(now: &Now<'_>, _: &mut Memory) -> Made {
    let (c, u, clean) = (now.eps("cond"), now.eps("uncond"), now.x0("uncond"));
    let [channels, height, width] = now.shape;
    let (sigma, threshold) = (now.num("sigma", 1.0), now.num("threshold", 1.0));
    let map = now.sight(LOOKED_AT.sights[0]);
    let blurred = clean.chunks(height * width).flat_map(|pixels| {
        let plane = Plane::new(height, width, pixels).gaussian(sigma);
        plane.pixels().to_vec()
    });
    let hot = map.iter().map(|seen| *seen > threshold).cycle();
    let worse = clean.iter().zip(blurred).zip(hot);
    let worse: Vec<f64> = worse
        .map(|((clean, blurred), hot)| if hot { blurred } else { *clean })
        .collect();
    assert_eq!(worse.len(), channels * height * width);
    let degraded = mixed(&[(now.tick.alpha, &worse), (now.tick.sigma, &u)]);
    let p = now.eps_at(LOOKED_AT.labels[2], &degraded);
    let (scale, strength) = (now.num("scale", 7.5), now.num("strength", 0.75));
    if now.tick.alpha == 0.0 || strength == 0.0 {
        return plain(&now.native("cond"), &now.native("uncond"), scale);
    }
    let factors = [scale, 1.0 - scale + strength, -strength];
    let made = mixed(&[(factors[0], &c), (factors[1], &u), (factors[2], &p)]);
    // The blurred picture needs the unconditional prediction, also where the sum does not.
    Made::new(now.output_of_eps(&made), asked(&[scale, 1.0, strength]))
}

/// Plain guidance and another direction from the conditional prediction.
fn with_twin(now: &Now<'_>, twin: &str, scale: f64, away: f64) -> Made {
    let (c, u, p) = (now.native("cond"), now.native("uncond"), now.native(twin));
    let factors = [scale + away, 1.0 - scale, -away];
    let made = mixed(&[(factors[0], &c), (factors[1], &u), (factors[2], &p)]);
    Made::new(made, asked(&factors))
}

fn cfg_pag(now: &Now<'_>, _: &mut Memory) -> Made {
    with_twin(
        now,
        IDENTITY,
        now.num("scale", 7.5),
        now.num("pag_scale", 3.0),
    )
}

fn slg(now: &Now<'_>, _: &mut Memory) -> Made {
    let inside = now.in_window(now.num("start", 0.01), now.num("stop", 0.2));
    let away = if inside {
        now.num("skip_scale", 2.8)
    } else {
        0.0
    };
    with_twin(now, SKIP, now.num("scale", 7.5), away)
}
