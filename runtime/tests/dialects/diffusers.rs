//! diffusers: `src/diffusers/guiders`, the PAG pipelines, and `_threshold_sample` of its schedulers.

use guide_compiler::plan::Space;

use crate::pyramid::{Channel, collapsed, laplacian};
use crate::vectors::{along_leading, dot, mix, norm, quantile_of_abs, rescaled, split, sub, times};
use crate::world::{LATENT, PLACE, STEPS, Seen, Want, compare, only, set};

const SPACES: [Space; 3] = [Space::Eps, Space::V, Space::Flow];

/// What all guiders take.
#[derive(Clone, Copy)]
struct Common {
    scale: f64,
    phi: f64,
    original: bool,
    start: f64,
    stop: f64,
}

const COMMON: [Common; 5] = [
    Common {
        scale: 7.5,
        phi: 0.0,
        original: false,
        start: 0.0,
        stop: 1.0,
    },
    Common {
        scale: 5.0,
        phi: 0.6,
        original: false,
        start: 0.3,
        stop: 0.8,
    },
    Common {
        scale: 4.0,
        phi: 0.3,
        original: true,
        start: 0.0,
        stop: 0.5,
    },
    Common {
        scale: 1.0,
        phi: 0.0,
        original: false,
        start: 0.0,
        stop: 1.0,
    },
    Common {
        scale: 0.0,
        phi: 0.4,
        original: true,
        start: 0.1,
        stop: 1.0,
    },
];

impl Common {
    fn settings(&self, more: Vec<(&'static str, String)>) -> Vec<(&'static str, String)> {
        let numbers = [
            ("scale", self.scale),
            ("phi", self.phi),
            ("start", self.start),
            ("stop", self.stop),
        ];
        let mut all = set(numbers);
        all.push(("original", self.original.to_string()));
        all.extend(more);
        all
    }

    /// `_is_cfg_enabled`
    fn is_enabled(&self, seen: &Seen) -> bool {
        let off = if self.original { 0.0 } else { 1.0 };
        seen.in_window(self.start, self.stop) && (self.scale - off).abs() > 1e-9
    }

    fn base<'a>(&self, c: &'a [f64], u: &'a [f64]) -> &'a [f64] {
        if self.original { c } else { u }
    }

    fn finish(&self, g: &[f64], c: &[f64], space: Space) -> Want {
        let g = if self.phi > 0.0 {
            rescaled(g, c, self.phi)
        } else {
            g.to_vec()
        };
        only(space, g)
    }
}

/// Compares a guider whose `forward` gets the two predictions when it is enabled.
fn guider(
    path: &str,
    uncond: &str,
    more: &[Vec<(&'static str, String)>],
    forward: impl Fn(usize, &Common, &[f64], &[f64]) -> Vec<f64>,
) {
    for space in SPACES {
        for common in COMMON {
            for (variant, more) in more.iter().enumerate() {
                compare(path, &common.settings(more.clone()), space, |seen| {
                    let c = seen.native("cond");
                    if !common.is_enabled(seen) {
                        return common.finish(&c, &c, space);
                    }
                    let g = forward(variant, &common, &c, &seen.native(uncond));
                    common.finish(&g, &c, space)
                });
            }
        }
    }
}

#[test]
fn classifier_free_guidance() {
    guider("diffusers/cfg", "uncond", &[vec![]], |_, common, c, u| {
        mix(&[(1.0, common.base(c, u)), (common.scale, &sub(c, u))])
    });
}

#[test]
fn tangential_classifier_free_guidance() {
    guider(
        "diffusers/tangential",
        "uncond",
        &[vec![]],
        |_, common, c, u| {
            let u = along_leading(c, u);
            mix(&[(1.0, common.base(c, &u)), (common.scale, &sub(c, &u))])
        },
    );
}

#[test]
fn magnitude_aware_guidance() {
    let more = [8.0, 2.0].map(|alpha| set([("alpha", alpha)]));
    guider(
        "diffusers/magnitude_aware",
        "uncond",
        &more,
        |variant, common, c, u| {
            let alpha = [8.0, 2.0][variant];
            let d = sub(c, u);
            let kept = (-alpha * norm(&d) / norm(u)).exp();
            let scale = if common.original {
                common.scale * kept
            } else {
                1.0 + (common.scale - 1.0) * kept
            };
            mix(&[(1.0, common.base(c, u)), (scale, &d)])
        },
    );
}

#[test]
fn auto_guidance() {
    let more = [vec![("layers", "mid".to_owned())]];
    guider(
        "diffusers/autoguidance",
        "uncond~skip_layers(mid)",
        &more,
        |_, common, c, u| mix(&[(1.0, common.base(c, u)), (common.scale, &sub(c, u))]),
    );
}

#[test]
fn classifier_free_zero_star_guidance() {
    for space in SPACES {
        for common in COMMON {
            for zero in [0.0, 1.0, 3.0] {
                let set = common.settings(set([("zero_steps", zero)]));
                compare("diffusers/cfg_zero_star", &set, space, |seen| {
                    if (seen.step as f64) < zero {
                        return only(space, vec![0.0; seen.x.len()]);
                    }
                    let c = seen.native("cond");
                    if !common.is_enabled(seen) {
                        return common.finish(&c, &c, space);
                    }
                    let u = seen.native("uncond");
                    let fitted = times(dot(&c, &u) / (dot(&u, &u) + 1e-8), &u);
                    let shift = sub(&c, &fitted);
                    let g = mix(&[(1.0, common.base(&c, &fitted)), (common.scale, &shift)]);
                    common.finish(&g, &c, space)
                });
            }
        }
    }
}

/// `normalized_guidance` without its buffer.
fn projected(diff: &[f64], c: &[f64], radius: f64, eta: f64) -> Vec<f64> {
    let shrink = if radius > 0.0 {
        (radius / norm(diff)).min(1.0)
    } else {
        1.0
    };
    let (parallel, orthogonal) = split(&times(shrink, diff), c);
    mix(&[(1.0, &orthogonal), (eta, &parallel)])
}

#[test]
fn adaptive_projected_guidance() {
    for space in SPACES {
        for common in COMMON {
            for (eta, radius, beta) in [(1.0, 15.0, 0.0), (0.0, 3.0, -0.5), (0.4, 0.0, 0.7)] {
                let more = set([("eta", eta), ("radius", radius), ("beta", beta)]);
                let mut buffers = [None::<Vec<f64>>, None];
                compare("diffusers/apg", &common.settings(more), space, |seen| {
                    let c = seen.native("cond");
                    if !common.is_enabled(seen) {
                        return common.finish(&c, &c, space);
                    }
                    let u = seen.native("uncond");
                    let mut diff = sub(&c, &u);
                    let buffer = &mut buffers[seen.sample];
                    if let Some(before) = buffer {
                        diff = mix(&[(1.0, &diff), (beta, before)]);
                    }
                    *buffer = Some(diff.clone());
                    let update = projected(&diff, &c, radius, eta);
                    let g = mix(&[(1.0, common.base(&c, &u)), (common.scale, &update)]);
                    common.finish(&g, &c, space)
                });
            }
        }
    }
}

#[test]
fn adaptive_projected_mix_guidance() {
    for space in SPACES {
        for common in COMMON {
            for (apg_scale, beta, after) in [(10.0, -0.5, 5.0), (1.0, 0.4, 2.0), (6.0, 0.0, 0.0)] {
                let (eta, radius) = (0.2, 4.0);
                let more = set([
                    ("apg_scale", apg_scale),
                    ("beta", beta),
                    ("after", after),
                    ("eta", eta),
                    ("radius", radius),
                ]);
                let off = if common.original { 0.0 } else { 1.0 };
                let mut buffers = [None::<Vec<f64>>, None];
                compare("diffusers/apg_mix", &common.settings(more), space, |seen| {
                    let c = seen.native("cond");
                    if !common.is_enabled(seen) {
                        return common.finish(&c, &c, space);
                    }
                    let u = seen.native("uncond");
                    let shift = sub(&c, &u);
                    let buffer = &mut buffers[seen.sample];
                    let running = match buffer {
                        Some(before) => mix(&[(1.0, &shift), (beta, before)]),
                        None => shift.clone(),
                    };
                    *buffer = Some(running.clone());
                    let projects = seen.step as f64 > after && apg_scale != off;
                    let base = common.base(&c, &u);
                    let g = if projects {
                        mix(&[
                            (1.0, base),
                            (apg_scale, &projected(&running, &c, radius, eta)),
                        ])
                    } else {
                        mix(&[(1.0, base), (common.scale, &shift)])
                    };
                    common.finish(&g, &c, space)
                });
            }
        }
    }
}

/// `NormalizedAttentionCFGGuidance`: what happens inside shows in the label alone.
#[test]
fn normalized_attention_guidance() {
    let mut led = 0;
    for space in SPACES {
        for common in COMMON {
            for (scale, until) in [(5.0, 0.0), (7.0, 0.4), (1.0, 0.0)] {
                let own = set([("nag_scale", scale), ("until", until)]);
                let mut set = common.settings(own);
                set.push(("norm", "\"l2\"".to_owned()));
                compare("diffusers/negative_attention", &set, space, |seen| {
                    let is_on = seen.in_window(common.start, common.stop)
                        && seen.tick.t1000 >= until * 1000.0
                        && scale != 1.0;
                    led += usize::from(is_on);
                    let c = seen.native(match (is_on, scale == 5.0) {
                        (false, _) => "cond",
                        (true, true) => "cond~negative_attention(uncond, norm: l2)",
                        (true, false) => "cond~negative_attention(uncond, 7, norm: l2)",
                    });
                    if !common.is_enabled(seen) {
                        return common.finish(&c, &c, space);
                    }
                    let u = seen.native("uncond");
                    let terms = [(1.0, common.base(&c, &u)), (common.scale, &sub(&c, &u))];
                    common.finish(&mix(&terms), &c, space)
                });
            }
        }
    }
    assert!(led > 40, "{led} steps lead away");
}

/// `SkipLayerGuidance` and those that are like it.
fn skipping(path: &'static str, name: &'static str, worse: &str, more: &[(&'static str, &str)]) {
    let names: [&'static str; 3] = match name {
        "slg" => ["slg_scale", "slg_start", "slg_stop"],
        "pag" => ["pag_scale", "pag_start", "pag_stop"],
        _ => ["seg_scale", "seg_start", "seg_stop"],
    };
    for space in SPACES {
        for common in COMMON {
            for (scale, start, stop) in [
                (2.8, 0.01, 0.2),
                (3.0, 0.0, 1.0),
                (2.0, 0.25, 0.6),
                (0.0, 0.0, 1.0),
            ] {
                let own = set([(names[0], scale), (names[1], start), (names[2], stop)]);
                let text = more
                    .iter()
                    .map(|(name, value)| (*name, (*value).to_owned()));
                let set = common.settings(own.into_iter().chain(text).collect());
                compare(path, &set, space, |seen| {
                    let c = seen.native("cond");
                    let at = |share: f64| (share * STEPS as f64) as usize;
                    let skips = at(start) < seen.step && seen.step < at(stop) && scale != 0.0;
                    let g = match (common.is_enabled(seen), skips) {
                        (false, false) => c.clone(),
                        (false, true) => {
                            let worse = seen.native(worse);
                            mix(&[(1.0, common.base(&c, &worse)), (scale, &sub(&c, &worse))])
                        }
                        (true, skips) => {
                            let u = seen.native("uncond");
                            let g =
                                mix(&[(1.0, common.base(&c, &u)), (common.scale, &sub(&c, &u))]);
                            if skips {
                                mix(&[(1.0, &g), (scale, &sub(&c, &seen.native(worse)))])
                            } else {
                                g
                            }
                        }
                    };
                    common.finish(&g, &c, space)
                });
            }
        }
    }
}

#[test]
fn skip_layer_guidance() {
    skipping(
        "diffusers/slg",
        "slg",
        "cond~skip_layers(mid)",
        &[("layers", "mid")],
    );
}

#[test]
fn perturbed_attention_guidance() {
    skipping("diffusers/pag", "pag", "cond~identity_attention(mid)", &[]);
}

#[test]
fn smoothed_energy_guidance() {
    skipping("diffusers/seg", "seg", "cond~blur_attention(mid, inf)", &[]);
    skipping(
        "diffusers/seg",
        "seg",
        "cond~blur_attention(mid, 2)",
        &[("sigma", "2")],
    );
}

#[test]
fn perturbed_attention_guidance_of_the_pipelines() {
    for space in SPACES {
        for (scale, pag, adaptive, phi) in [
            (7.5, 3.0, 0.0, 0.0),
            (5.0, 3.0, 0.006, 0.5),
            (1.0, 2.0, 0.003, 0.5),
            (0.0, 3.0, 0.0, 0.0),
        ] {
            let set = set([
                ("scale", scale),
                ("pag_scale", pag),
                ("adaptive", adaptive),
                ("phi", phi),
            ]);
            compare("diffusers/pag_pipeline", &set, space, |seen| {
                let c = seen.native("cond");
                let strength = if adaptive > 0.0 {
                    (pag - adaptive * (1000.0 - seen.tick.t1000)).max(0.0)
                } else {
                    pag
                };
                if scale <= 1.0 {
                    let worse = if strength == 0.0 {
                        c.clone()
                    } else {
                        seen.native("cond~identity_attention(mid)")
                    };
                    return only(space, mix(&[(1.0, &c), (strength, &sub(&c, &worse))]));
                }
                let worse = seen.native("cond~identity_attention(mid)");
                let u = seen.native("uncond");
                let g = mix(&[
                    (1.0, &u),
                    (scale, &sub(&c, &u)),
                    (strength, &sub(&c, &worse)),
                ]);
                only(space, rescaled(&g, &c, phi))
            });
        }
    }
}

#[test]
fn dynamic_thresholding() {
    for space in SPACES {
        for (scale, percentile, largest, ddim) in [
            (7.5, 0.995, 1.0, true),
            (9.0, 0.9, 4.0, false),
            (3.0, 0.7, 100.0, true),
        ] {
            let mut set = set([
                ("scale", scale),
                ("percentile", percentile),
                ("largest", largest),
            ]);
            set.push(("ddim", ddim.to_string()));
            compare("diffusers/dynamic_threshold", &set, space, |seen| {
                let (c, u) = (seen.x0("cond"), seen.x0("uncond"));
                let g = mix(&[(1.0, &u), (scale, &sub(&c, &u))]);
                let bound = quantile_of_abs(&g, percentile).clamp(1.0, largest);
                let clipped = g.iter().map(|v| v.clamp(-bound, bound) / bound).collect();
                Want {
                    renoise: ddim.then_some(g),
                    ..only(Space::X0, clipped)
                }
            });
        }
    }
}

#[test]
fn frequency_decoupled_guidance() {
    let sets = [(5.0, 10.0, 2), (2.0, 8.0, 3)];
    let more = sets.map(|(low, high, levels)| {
        set([
            ("scale_low", low),
            ("scale_high", high),
            ("levels", levels as f64),
        ])
    });
    for space in SPACES {
        for common in COMMON {
            for (more, (low, high, levels)) in more.iter().zip(sets) {
                // These guiders have scales by level instead of one.
                let all = common.settings(more.clone());
                let all: Vec<_> = all
                    .into_iter()
                    .filter(|(name, _)| *name != "scale")
                    .collect();
                compare("diffusers/frequency_decoupled", &all, space, |seen| {
                    let c = seen.native("cond");
                    if !seen.in_window(common.start, common.stop) {
                        return common.finish(&c, &c, space);
                    }
                    let u = seen.native("uncond");
                    let mut g = Vec::new();
                    for (c, u) in c.chunks(PLACE).zip(u.chunks(PLACE)) {
                        let channel = |v: &[f64]| Channel {
                            height: LATENT[1],
                            width: LATENT[2],
                            values: v.to_vec(),
                        };
                        let (c, u) = (
                            laplacian(&channel(c), levels),
                            laplacian(&channel(u), levels),
                        );
                        let guided = c.iter().zip(&u).enumerate().map(|(level, (c, u))| {
                            let share = level as f64 / (levels - 1) as f64;
                            let scale = high + (low - high) * share;
                            if common.original {
                                c.mixed(1.0 + scale, u, -scale)
                            } else {
                                c.mixed(scale, u, 1.0 - scale)
                            }
                        });
                        g.extend(collapsed(guided.collect()).values);
                    }
                    common.finish(&g, &c, space)
                });
            }
        }
    }
}
