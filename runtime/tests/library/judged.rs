//! Rules that ask classifiers, written out from their papers.

use crate::algebra::{guided, mixed};
use crate::case::{Made, Memory, Needs, Now};

pub const RIVAL: Needs = Needs {
    labels: &["cond", "class(rival)", "weak/class(rival)"],
    judges: &["judge"],
    weights: &[],
    sights: &[],
};
pub const ALONG: Needs = Needs {
    labels: &["uncond", "grad/judge(x)"],
    judges: &["judge"],
    weights: &[],
    sights: &[],
};
pub const EXPERTS: Needs = Needs {
    labels: &[
        "uncond", "grad/e1", "grad/e2", "grad/e3", "grad/e4", "grad/e5",
    ],
    judges: &["e1", "e2", "e3", "e4", "e5"],
    weights: &[],
    sights: &[],
};
pub const DOWN: Needs = Needs {
    labels: &["cond", "grad/close(image)", "grad/cond"],
    judges: &[],
    weights: &[],
    sights: &[],
};
pub const STEPPED: Needs = Needs {
    labels: &["cond@latent(own + m)", "grad/judge(seen)"],
    judges: &["judge"],
    weights: &[],
    sights: &[],
};
pub const SHIFTED: Needs = Needs {
    labels: &["cond", "grad/judge(c)"],
    judges: &["judge"],
    weights: &[],
    sights: &[],
};
/// The probability of a class, by the definition.
fn probability(logits: &[f64], class: usize) -> f64 {
    let shares = logits.iter().map(|logit| (logit - logits[class]).exp());
    1.0 / shares.sum::<f64>()
}

pub fn gradient_free(now: &Now<'_>, _: &mut Memory) -> Made {
    let (c, r) = (now.native("cond"), now.native("class(rival)"));
    let (low, high) = (now.num("low", 1.0), now.num("high", 3.0));
    let share = 1.0 - probability(&now.logits("judge"), now.target);
    let is_plain = low == 1.0 && high == 1.0;
    Made {
        judged: i64::from(!is_plain),
        ..Made::new(
            guided(&c, &r, low + (high - low) * share),
            if is_plain { 1 } else { 2 },
        )
    }
}

pub fn gradient_free_auto(now: &Now<'_>, _: &mut Memory) -> Made {
    let (c, r) = (now.native("cond"), now.native("weak/class(rival)"));
    let scale = now.num("scale", 2.0);
    let is_plain = scale == 1.0;
    Made {
        judged: i64::from(!is_plain),
        ..Made::new(guided(&c, &r, scale), if is_plain { 1 } else { 2 })
    }
}

fn up_the_gradient(now: &Now<'_>, gradient: &str, scale: f64) -> Made {
    let score = now.along(&now.native(gradient));
    Made {
        // Logits, and the gradient.
        judged: if scale == 0.0 { 0 } else { 2 },
        ..Made::new(mixed(&[(1.0, &now.native("uncond")), (scale, &score)]), 1)
    }
}

pub fn classifier_guidance(now: &Now<'_>, _: &mut Memory) -> Made {
    up_the_gradient(now, "grad/judge(x)", now.num("scale", 1.0))
}

pub fn experts(now: &Now<'_>, _: &mut Memory) -> Made {
    // A border belongs to the expert of less noise.
    let expert = match now.tick.t1000 {
        t if t <= 200.0 => "grad/e1",
        t if t <= 400.0 => "grad/e2",
        t if t <= 600.0 => "grad/e3",
        t if t <= 800.0 => "grad/e4",
        _ => "grad/e5",
    };
    up_the_gradient(now, expert, now.num("scale", 7.5))
}

/// Down a loss of the clean sample: its gradient comes to `x` through the network and beside it.
pub fn universal(now: &Now<'_>, _: &mut Memory) -> Made {
    let scale = now.num("scale", 1.0);
    let c = now.native("cond");
    if scale == 0.0 {
        return Made::new(c, 1);
    }
    let beside = now.share_of_x();
    let by_picture = now.native("grad/close(image)");
    let through = now.native("grad/cond");
    let score = mixed(&[(beside, &by_picture), (1.0, &through)]);
    let score = now.along(&score);
    Made {
        judged: 1,
        ..Made::new(mixed(&[(1.0, &c), (-scale, &score)]), 1)
    }
}

pub fn calibrated_classifier(now: &Now<'_>, memory: &mut Memory) -> Made {
    let (scale, gamma) = (now.num("scale", 1.0), now.num("gamma", 0.3));
    let clean = now.x0("cond");
    let clean: Vec<f64> = clean.iter().map(|v| v.clamp(-1.0, 1.0)).collect();
    // By Bayes' rule, of what comes next given `x` and the clean sample (Ho et al. 2020, equation 7).
    let kept = now.tick.alpha / now.tick.alpha_next;
    let (before, after) = (now.tick.sigma, now.tick.sigma_next);
    let added = before * before - kept * kept * after * after;
    let v = (after * after * added / (before * before)).max(0.0);
    let most = memory.update.as_ref().map_or(0.0, |most| most[0]).max(v);
    memory.update = Some(vec![most]);
    let angle = std::f64::consts::PI * now.tick.t1000 / 1000.0;
    let strength = scale * (v + gamma * angle.sin() * most);
    let shift = mixed(&[(strength, &now.native("grad/judge(c)"))]);
    Made {
        // Nothing is asked where nothing comes of it.
        judged: if strength == 0.0 { 0 } else { 2 },
        shift: Some(shift),
        ..Made::new(now.output_of_x0(&clean), 1)
    }
}

/// The root of the mean square.
fn size(values: &[f64]) -> f64 {
    let squares = values.iter().map(|v| v * v);
    (squares.sum::<f64>() / values.len() as f64).sqrt()
}

/// Algorithm 2: the sample moves along the gradient by a share of its own size.
pub fn calibrated_edm(now: &Now<'_>, _: &mut Memory) -> Made {
    let (scale, gamma) = (now.num("scale", 0.001), now.num("gamma", 0.0));
    let (step, steps) = (f64::from(now.tick.step), f64::from(now.steps));
    let falling = (scale / (steps + 1.0) * (steps + 1.0 - step)).max(1e-5);
    let share = falling + (step / steps * std::f64::consts::PI).sin() * scale * gamma;
    let gradient = now.native("grad/judge(seen)");
    let by = share * size(&now.x) / size(&gradient);
    Made {
        judged: 2,
        moves: Some(mixed(&[(by, &gradient)])),
        ..Made::new(now.native("cond@latent(own + m)"), 1)
    }
}
