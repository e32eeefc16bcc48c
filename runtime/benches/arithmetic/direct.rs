//! Each rule as somebody would write it with candle's tensor operations, at the parameters at which it
//! is measured.

use candle_core::{D, Result, Tensor};

use super::given::{Given, Kept, STEPS};
use super::planes;

pub type Direct = fn(&Given<'_>, &mut Kept) -> Result<Tensor>;

/// A rule, what is set for it, and its program.
pub struct Case {
    pub name: &'static str,
    pub set: &'static [(&'static str, &'static str)],
    pub flow: bool,
    pub direct: Direct,
}

const fn case(name: &'static str, direct: Direct) -> Case {
    Case {
        name,
        set: &[],
        flow: false,
        direct,
    }
}

/// As [`case`], with parameters that make the rule do its work in every tick.
const fn with(
    name: &'static str,
    set: &'static [(&'static str, &'static str)],
    direct: Direct,
) -> Case {
    Case {
        set,
        ..case(name, direct)
    }
}

pub const CASES: &[Case] = &[
    with("adaptive", &[("threshold", "2")], adaptive),
    case("apg", apg),
    case("autoguidance", autoguidance),
    case("cfg", cfg),
    case("cfg_interval", cfg),
    case("cfg_pag", cfg_pag),
    case("cfg_plus_plus", cfg_plus_plus),
    case("cfg_rescale", cfg_rescale),
    with("cfg_scheduled", &[("shape", "cosine")], cfg_scheduled),
    with("cfg_zero_star", &[("zero_steps", "0")], cfg_zero_star),
    case("composed", composed),
    case("dynamic_threshold", dynamic_threshold),
    case("feedback", feedback),
    case("frequency_band", frequency_band),
    case("frequency_decoupled", frequency_decoupled),
    case("independent", independent),
    with(
        "limited_interval",
        &[("scale", "7.5"), ("sigma_lo", "0"), ("sigma_hi", "inf")],
        cfg,
    ),
    case("linear_adaptive", linear_adaptive),
    case("magnitude_aware", magnitude_aware),
    case("mimic", mimic),
    case("momentum_cfg", momentum_cfg),
    case("negative_attention", changed),
    case("pag", pag),
    case("perp_neg", perp_neg),
    Case {
        flow: true,
        ..case("rectified_cfg_pp", rectified_cfg_pp)
    },
    case("seg", seg),
    with("sine_edit", &[("from", "0")], sine_edit),
    with("slg", &[("start", "0"), ("stop", "1")], slg),
    case("push_apart", changed),
    case("steer_away", changed),
    case("tangential", tangential),
    case("time_step", time_step),
];

fn guided(c: &Tensor, u: &Tensor, scale: f64) -> Result<Tensor> {
    u + ((c - u)? * scale)?
}

/// A number for each sample, to broadcast.
fn each(t: Tensor) -> Result<Tensor> {
    t.reshape(((), 1, 1, 1))
}

fn dot(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    each((a * b)?.flatten_from(1)?.sum(1)?)
}

fn norm(t: &Tensor) -> Result<Tensor> {
    each(t.sqr()?.flatten_from(1)?.sum(1)?.sqrt()?)
}

fn std(t: &Tensor) -> Result<Tensor> {
    let n = t.elem_count() / t.dim(0)?;
    let t = t.flatten_from(1)?;
    let mean = t.mean_keepdim(1)?;
    each((t.broadcast_sub(&mean)?.sqr()?.sum(1)? / (n - 1) as f64)?.sqrt()?)
}

fn cfg(given: &Given<'_>, _: &mut Kept) -> Result<Tensor> {
    let (c, u) = given.pair();
    guided(&c, &u, 7.5)
}

fn autoguidance(given: &Given<'_>, _: &mut Kept) -> Result<Tensor> {
    guided(&given.answer("cond"), &given.answer("weak/cond"), 2.0)
}

fn cfg_plus_plus(given: &Given<'_>, _: &mut Kept) -> Result<Tensor> {
    let (c, u) = given.pair();
    guided(&c, &u, 0.6)
}

fn cfg_scheduled(given: &Given<'_>, _: &mut Kept) -> Result<Tensor> {
    let (c, u) = given.pair();
    let k = 1.0 - (std::f64::consts::PI * given.progress()).cos();
    guided(&c, &u, 7.5 * k)
}

fn cfg_pag(given: &Given<'_>, _: &mut Kept) -> Result<Tensor> {
    let (c, u) = given.pair();
    let away = ((&c - given.beginning("cond~"))? * 3.0)?;
    guided(&c, &u, 7.5)? + away
}

fn slg(given: &Given<'_>, _: &mut Kept) -> Result<Tensor> {
    let (c, u) = given.pair();
    let away = ((&c - given.beginning("cond~"))? * 2.8)?;
    guided(&c, &u, 7.5)? + away
}

fn pag(given: &Given<'_>, _: &mut Kept) -> Result<Tensor> {
    let c = given.answer("cond");
    &c + ((&c - given.beginning("cond~"))? * 3.0)?
}

/// All of it happens inside the network.
fn changed(given: &Given<'_>, _: &mut Kept) -> Result<Tensor> {
    Ok(given.beginning("cond~"))
}

fn seg(given: &Given<'_>, kept: &mut Kept) -> Result<Tensor> {
    pag(given, kept)
}

fn sine_edit(given: &Given<'_>, _: &mut Kept) -> Result<Tensor> {
    let (c, u) = given.pair();
    let edited = ((c * 0.4)? + (given.beginning("tuned/") * 0.6)?)?;
    guided(&edited, &u, 10.0)
}

fn time_step(given: &Given<'_>, _: &mut Kept) -> Result<Tensor> {
    guided(&given.answer("cond"), &given.beginning("cond!"), 3.0)
}

fn independent(given: &Given<'_>, _: &mut Kept) -> Result<Tensor> {
    guided(&given.answer("cond"), &given.beginning("unrelated("), 3.0)
}

fn composed(given: &Given<'_>, _: &mut Kept) -> Result<Tensor> {
    let u = given.answer("null");
    let first = ((given.answer("prompts[0]") - &u)? * super::WEIGHTS[0])?;
    let second = ((given.answer("prompts[1]") - &u)? * super::WEIGHTS[1])?;
    (&u + first)? + second
}

fn cfg_rescale(given: &Given<'_>, _: &mut Kept) -> Result<Tensor> {
    let (c, u) = given.pair();
    let g = guided(&c, &u, 7.5)?;
    let factor = (((std(&c)? / std(&g)?)? * 0.7)? + 0.3)?;
    g.broadcast_mul(&factor)
}

/// The last update, and this one with its share.
fn running(d: Tensor, kept: &mut Kept) -> Result<Tensor> {
    let m = match kept.tensors.first() {
        Some(before) => (d + (before * -0.5)?)?,
        None => d,
    };
    kept.tensors = vec![m.clone()];
    Ok(m)
}

fn apg(given: &Given<'_>, kept: &mut Kept) -> Result<Tensor> {
    let (c, u) = (given.x0("cond")?, given.x0("uncond")?);
    let m = running((&c - &u)?, kept)?;
    let share = (norm(&m)?.recip()? * 15.0)?.minimum(1.0)?;
    let d = m.broadcast_mul(&share)?;
    let axis = c.broadcast_div(&norm(&c)?)?;
    let along = dot(&d, &axis)?;
    let orthogonal = (&d - axis.broadcast_mul(&along)?)?;
    c + (orthogonal * 6.5)?
}

fn momentum_cfg(given: &Given<'_>, kept: &mut Kept) -> Result<Tensor> {
    let (c, u) = given.pair();
    let m = running((&c - &u)?, kept)?;
    c + (m * 6.5)?
}

fn cfg_zero_star(given: &Given<'_>, _: &mut Kept) -> Result<Tensor> {
    let (c, u) = given.pair();
    let a = (dot(&c, &u)? / (dot(&u, &u)? + 1e-8)?)?;
    let fitted = u.broadcast_mul(&a)?;
    guided(&c, &fitted, 7.5)
}

fn tangential(given: &Given<'_>, _: &mut Kept) -> Result<Tensor> {
    let (c, u) = given.pair();
    let (uu, uc, cc) = (dot(&u, &u)?, dot(&u, &c)?, dot(&c, &c)?);
    let root = ((&uu - &cc)?.sqr()? + (uc.sqr()? * 4.0)?)?.sqrt()?;
    let top = (((&uu + &cc)? + root)? * 0.5)?;
    let rest = (&top - &uu)?;
    let length = (uc.sqr()? + rest.sqr()?)?.sqrt()?;
    let (p, q) = ((&uc / &length)?, (&rest / &length)?);
    let mixed = (u.broadcast_mul(&p)? + c.broadcast_mul(&q)?)?;
    guided(&c, &mixed.broadcast_mul(&p)?, 7.5)
}

fn magnitude_aware(given: &Given<'_>, _: &mut Kept) -> Result<Tensor> {
    let (c, u) = given.pair();
    let d = (c - &u)?;
    let share = ((norm(&d)? / norm(&u)?)? * -8.0)?.exp()?;
    u + d.broadcast_mul(&((share * 9.0)? + 1.0)?)?
}

fn perp_neg(given: &Given<'_>, _: &mut Kept) -> Result<Tensor> {
    let u = given.answer("null");
    let d = (given.answer("cond") - &u)?;
    let away = (given.answer("uncond") - &u)?;
    let along = (dot(&away, &d)? / dot(&d, &d)?)?;
    let across = (away - d.broadcast_mul(&along)?)?;
    u + ((d - across)? * 7.5)?
}

fn rectified_cfg_pp(given: &Given<'_>, _: &mut Kept) -> Result<Tensor> {
    let c = given.answer("cond");
    // The point half a step on is what the network would be given.
    let half = (given.x + (&c * ((given.tick.sigma_next - given.tick.sigma) / 2.0))?)?;
    std::hint::black_box(half);
    c + ((given.answer("cond@half") - given.answer("uncond@half"))? * 0.5)?
}

fn adaptive(given: &Given<'_>, kept: &mut Kept) -> Result<Tensor> {
    let (c, u) = given.pair();
    let cosine = (dot(&c, &u)? / (norm(&c)? * norm(&u)?)?)?;
    kept.levels = cosine
        .flatten_all()?
        .to_vec1::<f32>()?
        .into_iter()
        .map(f64::from)
        .collect();
    assert!(kept.levels.iter().all(|cosine| *cosine < 2.0));
    guided(&c, &u, 7.5)
}

/// Between the two values around the place, of each row sorted.
fn quantile(rows: &Tensor, level: f64) -> Result<Tensor> {
    let (sorted, _) = rows.sort_last_dim(true)?;
    let last = rows.dim(D::Minus1)? - 1;
    let place = level * last as f64;
    let (low, share) = (place.floor() as usize, place.fract());
    let at = |i: usize| sorted.narrow(D::Minus1, i.min(last), 1);
    (at(low)? * (1.0 - share))? + (at(low + 1)? * share)?
}

fn dynamic_threshold(given: &Given<'_>, _: &mut Kept) -> Result<Tensor> {
    let g = guided(&given.x0("cond")?, &given.x0("uncond")?, 7.5)?;
    let bound = each(quantile(&g.abs()?.flatten_from(1)?, 0.995)?.maximum(1.0)?)?;
    let low = bound.neg()?;
    g.broadcast_maximum(&low)?
        .broadcast_minimum(&bound)?
        .broadcast_div(&bound)
}

fn mimic(given: &Given<'_>, _: &mut Kept) -> Result<Tensor> {
    let (c, u) = given.pair();
    let shape = c.dims().to_vec();
    let channels = |t: Tensor| t.flatten_from(2);
    let (strong, mild) = (guided(&c, &u, 20.0)?, guided(&c, &u, 7.5)?);
    let (strong, mild) = (channels(strong)?, channels(mild)?);
    let centre = strong.mean_keepdim(2)?;
    let g = strong.broadcast_sub(&centre)?;
    let m = mild.broadcast_sub(&mild.mean_keepdim(2)?)?;
    let reach = m.abs()?.max_keepdim(2)?;
    let bound = reach.maximum(&quantile(&g.abs()?, 0.995)?)?;
    let clipped = g
        .broadcast_maximum(&bound.neg()?)?
        .broadcast_minimum(&bound)?;
    let made = clipped
        .broadcast_mul(&(reach / &bound)?)?
        .broadcast_add(&centre)?;
    made.reshape(shape)
}

fn frequency_band(given: &Given<'_>, _: &mut Kept) -> Result<Tensor> {
    let (c, u) = given.pair();
    let d = (c - &u)?;
    let low = planes::doubled(&d.avg_pool2d(2)?)?;
    let fine = (&d - &low)?;
    (u + (low * 7.5)?)? + (fine * 35.0)?
}

fn frequency_decoupled(given: &Given<'_>, _: &mut Kept) -> Result<Tensor> {
    let (c, u) = given.pair();
    let level = |p: &Tensor| -> Result<(Tensor, Tensor)> {
        let half = planes::blurred(p)?.avg_pool2d(2)?;
        let fine = (p - planes::blurred(&planes::doubled(&half)?)?)?;
        Ok((fine, half))
    };
    let ((fine_c, half_c), (fine_u, half_u)) = (level(&c)?, level(&u)?);
    let half = guided(&half_c, &half_u, 5.0)?;
    let fine = guided(&fine_c, &fine_u, 10.0)?;
    planes::blurred(&planes::doubled(&half)?)? + fine
}

/// The coefficients of the one step that is estimated.
fn linear_adaptive(given: &Given<'_>, kept: &mut Kept) -> Result<Tensor> {
    let c = given.answer("cond");
    let u = if given.tick.step + 1 < STEPS {
        given.answer("uncond")
    } else {
        let mut sum = (&c * super::ROW[0])?;
        // Conditional predictions and null predictions in turn, the latest last.
        for (k, pair) in kept.tensors.rchunks(2).take(3).enumerate() {
            sum = (sum + (&pair[0] * super::ROW[1 + k])?)?;
        }
        for (k, pair) in kept.tensors.rchunks(2).take(3).enumerate() {
            sum = (sum + (&pair[1] * super::ROW[4 + k])?)?;
        }
        sum
    };
    kept.tensors.extend([c.clone(), u.clone()]);
    guided(&c, &u, 7.5)
}

fn feedback(given: &Given<'_>, kept: &mut Kept) -> Result<Tensor> {
    let (pi, t0, t1, most) = (0.85, 0.75, 0.5, 10.0f64);
    let steps = f64::from(STEPS);
    let (c, u) = (given.x0("cond")?, given.x0("uncond")?);
    let y = (given.x / given.tick.alpha)?;
    let s = given.tick.sigma / given.tick.alpha;
    let offset = ((1.0 - pi) * 3.0 / 2.0f64).ln() / ((1.0 - t0) * steps);
    let least = ((1.0 - pi) * most / (most - 1.0)).ln();
    let batch = c.dim(0)?;
    let before = match kept.tensors.as_slice() {
        [c, u, y] => Some((c, u, y)),
        _ => None,
    };
    let levels = match before {
        None => vec![0.0; batch],
        Some((c, u, before)) => {
            let s_before = kept.levels[batch];
            let keep = s * s / (s_before * s_before);
            let variance = (s_before * s_before - s * s) * keep;
            let (gap, sum) = ((u - c)?, (u + c)?);
            let far = (&y - (before * keep)?)?;
            let there = ((far * 2.0)? - (sum * (1.0 - keep))?)?;
            let excess = dot(&gap, &there)?.flatten_all()?.to_vec1::<f32>()?;
            let there = (1.0 - t1 * steps / (steps - 1.0)).clamp(0.0, 1.0);
            let heat = offset.abs() * 2.0 * super::curve(there) / 10.0;
            let moved = |(level, excess): (&f64, f32)| {
                let excess = (1.0 - keep) * f64::from(excess);
                (level - heat / (2.0 * variance) * excess + offset).clamp(least, 3.0)
            };
            kept.levels.iter().zip(excess).map(moved).collect()
        }
    };
    let scales: Vec<f32> = levels
        .iter()
        .map(|level| (level.exp() / (level.exp() - (1.0 - pi))) as f32)
        .collect();
    let scales = Tensor::from_vec(scales, (batch, 1, 1, 1), c.device())?;
    let made = (&u + (&c - &u)?.broadcast_mul(&scales)?)?;
    kept.levels = levels;
    kept.levels.push(s);
    kept.tensors = vec![c, u, y];
    Ok(made)
}
