//! ComfyUI: `comfy_extras/nodes_*.py`, its samplers of CFG++, and sd-dynamic-thresholding. Its nodes see
//! predictions of x0, and a latent whose noise has the standard deviation `sigma`.

use guide_compiler::plan::Space;

use crate::vectors::{
    along_leading, dot, largest_of_abs, mean, mix, norm, quantile_of_abs, rescaled, split, std,
    sub, times,
};
use crate::world::{PLACE, Seen, Want, compare, only, set};

/// What ComfyUI turns into its own units as for Stable Diffusion.
const DISCRETE: [Space; 2] = [Space::Eps, Space::V];

fn cfg(c: &[f64], u: &[f64], scale: f64) -> Vec<f64> {
    mix(&[(1.0, u), (scale, &sub(c, u))])
}

#[test]
fn rescale_cfg() {
    for space in DISCRETE {
        for (scale, phi) in [(8.0, 0.7), (5.0, 1.0), (2.0, 0.3), (6.0, 0.0)] {
            compare(
                "comfyui/rescale_cfg",
                &set([("scale", scale), ("phi", phi)]),
                space,
                |seen| {
                    let (x_orig, sigma) = (seen.x_exploding(), seen.noise_level());
                    let root = (sigma * sigma + 1.0).sqrt();
                    let x = times(1.0 / (sigma * sigma + 1.0), &x_orig);
                    let v = |label: &str| {
                        // `args["cond"]` is what is left when the prediction is taken away.
                        let cond = sub(&x_orig, &seen.x0(label));
                        times(root / sigma, &sub(&x, &sub(&x_orig, &cond)))
                    };
                    let (c, u) = (v("cond"), v("uncond"));
                    let last = rescaled(&cfg(&c, &u, scale), &c, phi);
                    let denoised = mix(&[(1.0, &x), (-sigma / root, &last)]);
                    // In v, which is what the dialect returns.
                    let (alpha, sigma) = (seen.tick.alpha, seen.tick.sigma);
                    let back = mix(&[(alpha / sigma, &seen.x), (-1.0 / sigma, &denoised)]);
                    only(Space::V, back)
                },
            );
        }
    }
}

#[test]
fn apg() {
    for space in [Space::Eps, Space::V, Space::Flow] {
        for (scale, eta, radius, beta) in [
            (8.0, 1.0, 5.0, 0.0),
            (4.0, 0.0, 20.0, 0.6),
            (6.0, -0.5, 0.0, 0.3),
            (5.0, 0.5, 9.0, -0.5),
        ] {
            let set = set([
                ("scale", scale),
                ("eta", eta),
                ("radius", radius),
                ("beta", beta),
            ]);
            let mut averages = [None::<Vec<f64>>, None];
            compare("comfyui/apg", &set, space, |seen| {
                let (c, u) = (seen.x0("cond"), seen.x0("uncond"));
                let mut guidance = sub(&c, &u);
                if beta > 0.0 {
                    let average = &mut averages[seen.sample];
                    if let Some(before) = average {
                        guidance = mix(&[(beta, before), (1.0, &guidance)]);
                    }
                    *average = Some(guidance.clone());
                }
                if radius > 0.0 {
                    guidance = times((radius / norm(&guidance)).min(1.0), &guidance);
                }
                let (parallel, orthogonal) = split(&guidance, &c);
                let modified = mix(&[(1.0, &orthogonal), (eta, &parallel)]);
                let cond = mix(&[(1.0, &u), (1.0, &modified), (1.0 / scale, &sub(&c, &u))]);
                only(Space::X0, cfg(&cond, &u, scale))
            });
        }
    }
}

#[test]
fn perp_neg() {
    for space in DISCRETE {
        for (scale, neg_scale) in [(8.0, 1.0), (5.0, 2.5), (3.0, 0.0)] {
            let set = set([("scale", scale), ("neg_scale", neg_scale)]);
            compare("comfyui/perp_neg", &set, space, |seen| {
                let part = |label: &str| sub(&seen.x0(label), &seen.x0("null"));
                let positive = part("cond");
                let perpendicular = if neg_scale == 0.0 {
                    times(0.0, &positive)
                } else {
                    let negative = part("uncond");
                    let share = dot(&negative, &positive) / norm(&positive).powi(2);
                    mix(&[(1.0, &negative), (-share, &positive)])
                };
                let pushed = mix(&[(1.0, &positive), (-neg_scale, &perpendicular)]);
                let denoised = mix(&[(1.0, &seen.x0("null")), (scale, &pushed)]);
                only(space, of_x0(seen, space, &denoised))
            });
        }
    }
}

/// The network's output that means a clean picture.
fn of_x0(seen: &Seen, space: Space, x0: &[f64]) -> Vec<f64> {
    let (alpha, sigma) = (seen.tick.alpha, seen.tick.sigma);
    match space {
        Space::Eps => mix(&[(1.0 / sigma, &seen.x), (-alpha / sigma, x0)]),
        Space::V => mix(&[(alpha / sigma, &seen.x), (-1.0 / sigma, x0)]),
        other => panic!("{other:?}"),
    }
}

/// The latent as the nodes get it.
fn input(seen: &Seen, space: Space) -> Vec<f64> {
    if space == Space::Flow {
        seen.x.clone()
    } else {
        seen.x_exploding()
    }
}

fn named(space: Space) -> (&'static str, String) {
    (
        "space",
        (if space == Space::Flow { "flow" } else { "eps" }).to_owned(),
    )
}

#[test]
fn cfg_zero_star() {
    for space in [Space::Eps, Space::V, Space::Flow] {
        for scale in [8.0, 1.0, 3.0] {
            let mut set = set([("scale", scale)]);
            set.push(named(space));
            compare("comfyui/cfg_zero_star", &set, space, |seen| {
                let (c, x) = (seen.x0("cond"), input(seen, space));
                if scale == 1.0 {
                    return only(Space::X0, c);
                }
                let u = seen.x0("uncond");
                let out = cfg(&c, &u, scale);
                let (positive, negative) = (sub(&x, &c), sub(&x, &u));
                let alpha = dot(&positive, &negative) / (dot(&negative, &negative) + 1e-8);
                only(
                    Space::X0,
                    mix(&[(1.0, &out), (alpha - 1.0, &u), (scale * (1.0 - alpha), &u)]),
                )
            });
        }
    }
}

#[test]
fn tangential() {
    for space in [Space::Eps, Space::V, Space::Flow] {
        let mut set = set([("scale", 6.0)]);
        set.push(named(space));
        compare("comfyui/tangential", &set, space, |seen| {
            let (c, u, x) = (seen.x0("cond"), seen.x0("uncond"), input(seen, space));
            let damped = along_leading(&sub(&x, &c), &sub(&x, &u));
            only(Space::X0, cfg(&c, &sub(&x, &damped), 6.0))
        });
    }
}

#[test]
fn mahiro() {
    for space in [Space::Eps, Space::V, Space::Flow] {
        for scale in [8.0, 2.0] {
            compare("comfyui/mahiro", &set([("scale", scale)]), space, |seen| {
                let (c, u) = (seen.x0("cond"), seen.x0("uncond"));
                let leap = times(scale, &c);
                let plain = cfg(&c, &u, scale);
                let rooted = |v: Vec<f64>| -> Vec<f64> {
                    v.iter().map(|v| v.abs().sqrt() * v.signum()).collect()
                };
                let a = rooted(times(scale, &u));
                let b = rooted(mix(&[(0.5, &leap), (0.5, &plain)]));
                // `cosine_similarity` goes over the channels.
                let at = |v: &[f64], place: usize| -> Vec<f64> {
                    v.iter().skip(place).step_by(PLACE).copied().collect()
                };
                let cosines: Vec<f64> = (0..PLACE)
                    .map(|place| {
                        let (a, b) = (at(&a, place), at(&b, place));
                        dot(&a, &b) / (norm(&a) * norm(&b))
                    })
                    .collect();
                let share = 2.0 * (mean(&cosines) + 1.0);
                only(
                    Space::X0,
                    mix(&[(share / 4.0, &plain), ((4.0 - share) / 4.0, &leap)]),
                )
            });
        }
    }
}

/// `percent_to_sigma` of a model with 1000 timesteps: its noise levels, between which it interpolates in
/// their logarithms.
fn percent_to_sigma(percent: f64) -> f64 {
    if percent <= 0.0 {
        return 999_999_999.9;
    }
    if percent >= 1.0 {
        return 0.0;
    }
    let (low, high) = (0.00085f64.sqrt(), 0.012f64.sqrt());
    let mut kept = 1.0;
    let levels: Vec<f64> = (0..1000)
        .map(|i| {
            let beta = (low + (high - low) * f64::from(i) / 999.0).powi(2);
            kept *= 1.0 - beta;
            ((1.0 - kept) / kept).sqrt()
        })
        .collect();
    let place = (1.0 - percent) * 999.0;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    let share = place.fract();
    ((1.0 - share) * levels[below].ln() + share * levels[above].ln()).exp()
}

/// `percent_to_sigma` of a flow model.
fn flow_percent_to_sigma(percent: f64, shift: f64) -> f64 {
    let t = 1.0 - percent;
    match percent {
        p if p <= 0.0 => 1.0,
        p if p >= 1.0 => 0.0,
        _ => shift * t / (1.0 + (shift - 1.0) * t),
    }
}

fn in_window(seen: &Seen, start: f64, stop: f64, shift: f64) -> bool {
    if shift > 0.0 {
        let sigma = seen.tick.t1000 / 1000.0;
        return sigma >= flow_percent_to_sigma(stop, shift)
            && sigma <= flow_percent_to_sigma(start, shift);
    }
    let sigma = seen.noise_level();
    sigma >= percent_to_sigma(stop) && sigma <= percent_to_sigma(start)
}

const WINDOWS: [(f64, f64, f64); 4] = [
    (0.01, 0.15, 0.0),
    (0.0, 1.0, 0.0),
    (0.2, 0.6, 0.0),
    (0.1, 0.5, 3.0),
];

#[test]
fn skip_layer_guidance() {
    let mut inside = 0;
    for (start, stop, shift) in WINDOWS {
        let space = if shift > 0.0 { Space::Flow } else { Space::Eps };
        for (skip_scale, phi) in [(3.0, 0.0), (2.0, 0.7), (0.0, 0.5)] {
            let mut set = set([
                ("scale", 5.0),
                ("skip_scale", skip_scale),
                ("start", start),
                ("stop", stop),
                ("shift", shift),
                ("phi", phi),
            ]);
            set.push(("layers", "mid".to_owned()));
            compare("comfyui/slg", &set, space, |seen| {
                let (c, u) = (seen.x0("cond"), seen.x0("uncond"));
                let mut result = cfg(&c, &u, 5.0);
                if skip_scale > 0.0 && in_window(seen, start, stop, shift) {
                    inside += 1;
                    let skipped = seen.x0("cond~skip_layers(mid)");
                    result = mix(&[(1.0, &result), (skip_scale, &sub(&c, &skipped))]);
                    if phi != 0.0 {
                        let factor = phi * std(&c) / std(&result) + 1.0 - phi;
                        result = times(factor, &result);
                    }
                }
                only(Space::X0, result)
            });
        }
    }
    assert!(inside > 40, "{inside} steps lie in windows");
}

/// The nodes of ComfyUI-NAG: what happens inside shows in the label alone.
#[test]
fn normalized_attention_guidance() {
    let mut led = 0;
    for (sigma_end, shift) in [(0.0, 0.0), (3.0, 0.0), (0.4, 2.0)] {
        let space = if shift > 0.0 { Space::Flow } else { Space::V };
        for (scale, nag_scale, minus) in [(4.0, 6.0, "negative"), (1.0, 5.0, "null")] {
            let mut set = set([
                ("scale", scale),
                ("nag_scale", nag_scale),
                ("mix", 0.5),
                ("sigma_end", sigma_end),
                ("shift", shift),
            ]);
            set.push(("minus", format!("\"{minus}\"")));
            compare("comfyui/negative_attention", &set, space, |seen| {
                let level = match shift > 0.0 {
                    true => seen.tick.t1000 / 1000.0,
                    false => seen.noise_level(),
                };
                let is_on = level >= sigma_end;
                led += usize::from(is_on);
                let c = seen.native(match (is_on, minus) {
                    (false, _) => "cond",
                    (true, "negative") => "cond~negative_attention(uncond, 6, mix: 0.5)",
                    (true, _) => "cond~negative_attention(null, mix: 0.5)",
                });
                match scale == 1.0 {
                    true => only(space, c),
                    false => only(space, cfg(&c, &seen.native("uncond"), scale)),
                }
            });
        }
    }
    assert!((40..140).contains(&led), "{led} steps lead away");
}

#[test]
fn skip_layer_guidance_of_the_negative_prompt() {
    for (start, stop, shift) in WINDOWS {
        let space = if shift > 0.0 { Space::Flow } else { Space::V };
        let mut set = set([
            ("scale", 5.0),
            ("start", start),
            ("stop", stop),
            ("shift", shift),
        ]);
        set.push(("layers", "mid".to_owned()));
        compare("comfyui/slg_simple", &set, space, |seen| {
            let uncond = if in_window(seen, start, stop, shift) {
                "uncond~skip_layers(mid)"
            } else {
                "uncond"
            };
            only(space, cfg(&seen.native("cond"), &seen.native(uncond), 5.0))
        });
    }
}

#[test]
fn dual_cfg() {
    for style in ["regular", "nested"] {
        for (scale, middle_scale) in [(8.0, 6.0), (3.0, 5.0)] {
            let mut set = set([("scale", scale), ("middle_scale", middle_scale)]);
            set.push(("style", style.to_owned()));
            compare("comfyui/dual_cfg", &set, Space::Eps, |seen| {
                let (c, m, u) = (
                    seen.native("cond"),
                    seen.native("middle"),
                    seen.native("uncond"),
                );
                only(
                    Space::Eps,
                    if style == "nested" {
                        cfg(&cfg(&c, &m, scale), &u, middle_scale)
                    } else {
                        mix(&[(1.0, &cfg(&m, &u, middle_scale)), (scale, &sub(&c, &m))])
                    },
                )
            });
        }
    }
}

#[test]
fn cfg_norm() {
    for space in [Space::Eps, Space::V, Space::Flow] {
        for (scale, strength) in [(8.0, 1.0), (3.0, 0.8)] {
            compare(
                "comfyui/cfg_norm",
                &set([("scale", scale), ("strength", strength)]),
                space,
                |seen| {
                    let c = seen.x0("cond");
                    let mut g = cfg(&c, &seen.x0("uncond"), scale);
                    for place in 0..PLACE {
                        let at = |v: &[f64]| -> Vec<f64> {
                            v.iter().skip(place).step_by(PLACE).copied().collect()
                        };
                        let share = (norm(&at(&c)) / (norm(&at(&g)) + 1e-8)).clamp(0.0, 1.0);
                        g.iter_mut()
                            .skip(place)
                            .step_by(PLACE)
                            .for_each(|v| *v *= share * strength);
                    }
                    only(Space::X0, g)
                },
            );
        }
    }
}

#[test]
fn euler_cfg_pp() {
    for scale in [1.0, 0.6, 1.8] {
        for version in ["regular", "alternative"] {
            let mut set = set([("scale", scale)]);
            set.push(("version", version.to_owned()));
            compare("comfyui/euler_cfg_pp", &set, Space::Eps, |seen| {
                let (c, x, sigma) = (seen.x0("cond"), seen.x_exploding(), seen.noise_level());
                let u = seen.x0("uncond");
                let denoised = cfg(&c, &u, scale);
                if version == "regular" {
                    return Want {
                        renoise: Some(seen.native("uncond")),
                        ..only(Space::Eps, of_x0(seen, Space::Eps, &denoised))
                    };
                }
                // Its step as it is written, and the prediction that makes plain Euler do the same step.
                let next = 0.6 * sigma;
                let first = mix(&[(1.0, &x), (-1.0, &denoised), (1.0, &u)]);
                let d = times(1.0 / sigma, &sub(&first, &denoised));
                let after = mix(&[(1.0, &x), (next - sigma, &d)]);
                let slope = times(1.0 / (next - sigma), &sub(&after, &x));
                let euler = mix(&[(1.0, &x), (-sigma, &slope)]);
                only(Space::Eps, of_x0(seen, Space::Eps, &euler))
            });
        }
    }
}

struct Thresholding {
    mimic_scale: f64,
    percentile: f64,
    apart: bool,
    startpoint: &'static str,
    variability: &'static str,
    phi: f64,
}

impl Thresholding {
    fn result(&self, c: &[f64], u: &[f64], scale: f64) -> Vec<f64> {
        let (target, mimicked) = (cfg(c, u, scale), cfg(c, u, self.mimic_scale));
        let centred = |v: &[f64]| -> Vec<f64> {
            v.chunks(PLACE)
                .flat_map(|v| v.iter().map(|e| e - mean(v)).collect::<Vec<f64>>())
                .collect()
        };
        let (g, m) = (centred(&target), centred(&mimicked));
        let references = |from: usize, to: usize| match self.variability {
            "std" => (std(&m[from..to]), std(&g[from..to])),
            _ => (
                largest_of_abs(&m[from..to]),
                quantile_of_abs(&g[from..to], self.percentile),
            ),
        };
        let mut result = Vec::new();
        for (at, channel) in target.chunks(PLACE).enumerate() {
            let (from, to) = (at * PLACE, (at + 1) * PLACE);
            let (reach, spread) = if self.apart {
                references(from, to)
            } else {
                references(0, g.len())
            };
            let centre = mean(channel);
            for (i, value) in channel.iter().enumerate() {
                let g = g[from + i];
                result.push(match (self.startpoint, self.variability) {
                    ("zero", _) => value * reach / spread,
                    (_, "std") => g / spread * reach + centre,
                    _ => {
                        let bound = reach.max(spread);
                        g.clamp(-bound, bound) / bound * reach + centre
                    }
                });
            }
        }
        mix(&[(self.phi, &result), (1.0 - self.phi, &target)])
    }
}

#[test]
fn dynamic_thresholding() {
    for space in [Space::Eps, Space::Flow] {
        for (startpoint, variability) in [
            ("mean", "ad"),
            ("mean", "std"),
            ("zero", "ad"),
            ("zero", "std"),
        ] {
            for (apart, percentile, phi) in [(true, 1.0, 1.0), (false, 0.9, 0.6), (true, 0.95, 0.3)]
            {
                let how = Thresholding {
                    mimic_scale: 5.0,
                    percentile,
                    apart,
                    startpoint,
                    variability,
                    phi,
                };
                let mut set = set([
                    ("scale", 9.0),
                    ("mimic_scale", 5.0),
                    ("percentile", percentile),
                    ("phi", phi),
                ]);
                set.push(("apart", apart.to_string()));
                set.push(("startpoint", startpoint.to_owned()));
                set.push(("variability", variability.to_owned()));
                compare("comfyui/dynamic_thresholding", &set, space, |seen| {
                    only(
                        Space::X0,
                        how.result(&seen.x0("cond"), &seen.x0("uncond"), 9.0),
                    )
                });
            }
        }
    }
}
