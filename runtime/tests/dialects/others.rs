//! The web UI by AUTOMATIC1111 (`modules/sd_samplers_cfg_denoiser.py`, `CFG_Rescale_webui`) and
//! stable-diffusion.cpp (`src/runtime/guidance.cpp`).

use guide_compiler::plan::Space;

use crate::vectors::{dot, mix, rescaled, sub, times};
use crate::world::{STEPS, WEIGHTS, compare, only, set};

const SPACES: [Space; 3] = [Space::Eps, Space::V, Space::Flow];

#[test]
fn negative_prompts_are_left_out() {
    let mut skipped = 0;
    for (min_sigma, all_steps, skip_early) in [
        (0.0, false, 0.0),
        (2.5, false, 0.0),
        (2.5, true, 0.0),
        (1.0, false, 0.25),
        (0.0, true, 0.5),
    ] {
        let mut set = set([
            ("scale", 7.0),
            ("min_sigma", min_sigma),
            ("skip_early", skip_early),
        ]);
        set.push(("all_steps", all_steps.to_string()));
        compare("a1111/cfg", &set, Space::Eps, |seen| {
            let c = seen.native("cond");
            let early = skip_early != 0.0 && seen.step as f64 / STEPS as f64 <= skip_early;
            let late = (seen.step % 2 == 1 || all_steps)
                && min_sigma > 0.0
                && seen.noise_level() < min_sigma;
            if early || late {
                skipped += 1;
                return only(Space::Eps, c);
            }
            let u = seen.native("uncond");
            only(Space::Eps, mix(&[(1.0, &u), (7.0, &sub(&c, &u))]))
        });
    }
    assert!(skipped > 40, "{skipped} negative prompts are left out");
}

#[test]
fn prompts_joined_by_and() {
    for space in SPACES {
        compare("a1111/composed", &set([("scale", 6.0)]), space, |seen| {
            let u = seen.native("uncond");
            let mut denoised = u.clone();
            for (i, weight) in WEIGHTS.iter().enumerate() {
                let prompt = seen.native(&format!("prompts[{i}]"));
                denoised = mix(&[(1.0, &denoised), (weight * 6.0, &sub(&prompt, &u))]);
            }
            only(space, denoised)
        });
    }
}

#[test]
fn the_extension_cfg_rescale() {
    for space in SPACES {
        for (scale, phi) in [(7.0, 0.7), (4.0, 0.0), (5.0, 1.0)] {
            compare(
                "a1111/cfg_rescale",
                &set([("scale", scale), ("phi", phi)]),
                space,
                |seen| {
                    let (c, u) = (seen.x0("cond"), seen.x0("uncond"));
                    let g = mix(&[(1.0, &u), (scale, &sub(&c, &u))]);
                    only(Space::X0, rescaled(&g, &c, phi))
                },
            );
        }
    }
}

#[test]
fn adaptive_projected_guidance_of_stable_diffusion_cpp() {
    for space in SPACES {
        for (eta, radius, beta, smoothing) in [
            (1.0, 0.0, 0.0, 0.0),
            (0.0, 100.0, -0.5, 0.0),
            (0.3, 60.0, 0.4, 0.25),
            (0.0, 500.0, 0.0, 1.5),
        ] {
            let set = set([
                ("scale", 7.0),
                ("eta", eta),
                ("radius", radius),
                ("beta", beta),
                ("smoothing", smoothing),
            ]);
            let mut buffers = [None::<Vec<f64>>, None];
            compare("sd_cpp/apg", &set, space, |seen| {
                let (c, u) = (seen.native("cond"), seen.native("uncond"));
                let mut deltas = sub(&c, &u);
                if beta != 0.0 {
                    let buffer = &mut buffers[seen.sample];
                    if let Some(before) = buffer {
                        deltas = mix(&[(1.0, &deltas), (beta, before)]);
                    }
                    *buffer = Some(deltas.clone());
                }
                let resolution = f64::from(2 * 1024 / 8);
                let length =
                    dot(&deltas, &deltas).sqrt() * resolution / (deltas.len() as f64).sqrt();
                let mut factor = 1.0;
                if radius > 0.0 && length > 0.0 {
                    let x: f64 = radius / length;
                    factor = if smoothing <= 0.0 {
                        x.min(1.0)
                    } else {
                        x / (1.0 + x.powf(1.0 / smoothing)).powf(smoothing)
                    };
                }
                deltas = times(factor, &deltas);
                let share = dot(&c, &deltas) / dot(&c, &c);
                deltas = mix(&[(1.0, &deltas), ((eta - 1.0) * share, &c)]);
                only(space, mix(&[(1.0, &c), (6.0, &deltas)]))
            });
        }
    }
}

#[test]
fn skip_layer_guidance_of_stable_diffusion_cpp() {
    let mut inside = 0;
    for (start, stop) in [(0.01, 0.2), (0.0, 1.0), (0.3, 0.7)] {
        for for_uncond in [false, true] {
            for skip_scale in [2.5, 0.0] {
                let mut set = set([
                    ("scale", 7.0),
                    ("start", start),
                    ("stop", stop),
                    ("skip_scale", skip_scale),
                ]);
                set.push(("for_uncond", for_uncond.to_string()));
                set.push(("layers", "mid".to_owned()));
                compare("sd_cpp/slg", &set, Space::Flow, |seen| {
                    // The list of noise levels has one more than there are steps, and steps begin at 1.
                    let at = |share: f64| (share * (STEPS + 1) as f64) as usize;
                    let step = seen.step + 1;
                    let skips = at(start) < step && step < at(stop);
                    inside += usize::from(skips);
                    let uncond = if skips && for_uncond {
                        "uncond~skip_layers(mid)"
                    } else {
                        "uncond"
                    };
                    let (c, u) = (seen.native("cond"), seen.native(uncond));
                    let g = mix(&[(1.0, &u), (7.0, &sub(&c, &u))]);
                    if skips && skip_scale != 0.0 {
                        let worse = seen.native("cond~skip_layers(mid)");
                        return only(
                            Space::Flow,
                            mix(&[(1.0, &g), (skip_scale, &sub(&c, &worse))]),
                        );
                    }
                    only(Space::Flow, g)
                });
            }
        }
    }
    assert!(inside > 40, "{inside} steps lie in windows");
}
