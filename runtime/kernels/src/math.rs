//! Functions of a vector: exponential, logistic, error function.
//!
//! All give NaN for NaN.

use super::simd::Simd;

/// Beyond these powers of two every f32 is 0 or infinite.
const LEAST_POWER: f32 = -200.0;
const MOST_POWER: f32 = 200.0;

/// The series of `2^f`, `(ln 2)^k / k!`: for |f| <= 1/2 what is left out is below 1e-9.
const EXP2: [f32; 8] = [
    1.0,
    std::f32::consts::LN_2,
    0.240_226_5,
    0.055_504_11,
    0.009_618_129,
    0.001_333_355_8,
    1.540_353e-4,
    1.525_273_4e-5,
];

/// The series of `e^f`, `1 / k!`, as far as that of `2^f`.
const EXP: [f32; 8] = [
    1.0,
    1.0,
    0.5,
    0.166_666_67,
    0.041_666_668,
    0.008_333_334,
    0.001_388_888_9,
    1.984_127e-4,
];

/// `2^x`
#[inline(always)]
pub fn exp2<S: Simd>(simd: S, x: S::V) -> S::V {
    let x = simd.max(simd.splat(LEAST_POWER), x);
    let x = simd.min(simd.splat(MOST_POWER), x);
    let whole = simd.round(x);
    let f = simd.sub(x, whole);
    simd.scale(polynomial(simd, &EXP2, f), whole)
}

/// `e^x`, to about an ulp.
#[inline(always)]
pub fn exp<S: Simd>(simd: S, x: S::V) -> S::V {
    // ln 2 in two parts, the first with few enough digits that its multiples are exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = simd.max(simd.splat(LEAST_POWER * std::f32::consts::LN_2), x);
    let x = simd.min(simd.splat(MOST_POWER * std::f32::consts::LN_2), x);
    let whole = simd.round(simd.mul(x, simd.splat(std::f32::consts::LOG2_E)));
    let f = simd.fma(whole, simd.splat(-LN2_HIGH), x);
    let f = simd.fma(whole, simd.splat(-LN2_LOW), f);
    simd.scale(polynomial(simd, &EXP, f), whole)
}

/// `x / (1 + e^-x)`, the activation SiLU.
#[inline(always)]
pub fn silu<S: Simd>(simd: S, x: S::V) -> S::V {
    let e = exp(simd, simd.sub(simd.splat(0.0), x));
    simd.div(x, simd.add(simd.splat(1.0), e))
}

/// `x Φ(x)`, the activation GELU with the error function.
#[inline(always)]
pub fn gelu<S: Simd>(simd: S, x: S::V) -> S::V {
    let half = simd.mul(x, simd.splat(0.5));
    let erf = erf(
        simd,
        simd.mul(x, simd.splat(std::f32::consts::FRAC_1_SQRT_2)),
    );
    simd.fma(half, erf, half)
}

/// The slope of SiLU: `s (1 + x (1 - s))` with the logistic function `s`.
#[inline(always)]
pub fn silu_slope<S: Simd>(simd: S, x: S::V) -> S::V {
    let one = simd.splat(1.0);
    let e = exp(simd, simd.sub(simd.splat(0.0), x));
    let share = simd.div(one, simd.add(one, e));
    let rest = simd.sub(one, share);
    simd.mul(share, simd.fma(x, rest, one))
}

/// The slope of GELU with the error function: `Φ(x) + x φ(x)`.
#[inline(always)]
pub fn gelu_slope<S: Simd>(simd: S, x: S::V) -> S::V {
    const DENSITY: f32 = 0.398_942_3;
    let half = simd.splat(0.5);
    let erf = erf(
        simd,
        simd.mul(x, simd.splat(std::f32::consts::FRAC_1_SQRT_2)),
    );
    let below = simd.fma(half, erf, half);
    let density = exp(simd, simd.mul(simd.mul(x, x), simd.splat(-0.5)));
    simd.fma(simd.mul(x, density), simd.splat(DENSITY), below)
}

/// Where the f32 nearest to the error function is 1.
const ERF_END: f32 = 3.9;

/// A quotient of polynomials in `x^2`, fitted on 0..3.9 to a relative error of 5e-8; lowest power first.
#[allow(
    clippy::approx_constant,
    reason = "a fitted number, not the constant that it is near to"
)]
const ERF_ABOVE: [f32; 7] = [
    1.128_379_1,
    0.198_054_4,
    0.050_327_68,
    0.003_626_641_3,
    1.404_496_8e-4,
    -1.962_402_2e-6,
    2.014_745_5e-8,
];
const ERF_BELOW: [f32; 5] = [
    1.0,
    0.508_852_9,
    0.114_227_72,
    0.014_196_673,
    9.391_635_6e-4,
];

/// The error function, to 2e-7.
#[inline(always)]
pub fn erf<S: Simd>(simd: S, x: S::V) -> S::V {
    let clamp = |x: S::V, end: f32| simd.min(simd.splat(end), simd.max(simd.splat(-end), x));
    let x = clamp(x, ERF_END);
    let square = simd.mul(x, x);
    let above = polynomial(simd, &ERF_ABOVE, square);
    let below = polynomial(simd, &ERF_BELOW, square);
    let quotient = simd.div(simd.mul(x, above), below);
    clamp(quotient, 1.0)
}

/// `coefficients`, lowest power first, at `x`.
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(simd: S, coefficients: &[f32; N], x: S::V) -> S::V {
    let mut sum = simd.splat(coefficients[N - 1]);
    for coefficient in coefficients[..N - 1].iter().rev() {
        sum = simd.fma(sum, x, simd.splat(*coefficient));
    }
    sum
}
