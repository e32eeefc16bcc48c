//! Vectors of f32 as the processor has them: AVX-512, AVX2 with FMA, NEON, or eight numbers in a row.
//!
//! A kernel is written once, over [`Simd`], and [`dispatch_to`] runs it compiled for what the processor can
//! do. A value of a type that implements [`Simd`] is the proof that its instructions may be used; only
//! `dispatch_to` makes one, after asking the processor.
#![allow(
    unsafe_code,
    reason = "vector instructions and loads through pointers have no safe interface"
)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod plain;

use std::sync::OnceLock;

/// Something to compute with vectors. `run` must be `#[inline(always)]`, and so must all that it calls
/// with `simd`, or it is compiled without the processor's instructions.
pub trait Op {
    /// What comes out.
    type Out;
    /// Computes it.
    fn run<S: Simd>(self, simd: S) -> Self::Out;
}

/// The vector instructions of a processor.
///
/// A method that rounds does so to nearest, once; only the plain `fma` rounds twice.
pub trait Simd: Copy + Send + Sync {
    /// A vector.
    type V: Copy;
    /// Numbers in a vector.
    const LANES: usize;
    /// Rows of the product that one call of the innermost kernel computes.
    const ROWS: usize;
    /// Vectors of each of these rows.
    const VECTORS: usize;
    /// Columns of the product that one call of the innermost kernel computes.
    const COLUMNS: usize = Self::LANES * Self::VECTORS;

    /// Runs `op` in a function of its own, compiled for these instructions.
    fn vectorize<O: Op>(self, op: O) -> O::Out;

    /// `x` in every lane.
    fn splat(self, x: f32) -> Self::V;
    /// `a + b`
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a b`
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a / b`
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a b + c`
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The larger one; NaN where `b` is NaN.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// The smaller one; NaN where `b` is NaN.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// To the nearest whole number, ties to even.
    fn round(self, a: Self::V) -> Self::V;
    /// `a 2^n` for a whole `n` in -200..=200.
    fn scale(self, a: Self::V, n: Self::V) -> Self::V;
    /// The sum of all lanes, in a fixed order.
    fn sum(self, a: Self::V) -> f32;

    /// # Safety
    /// `LANES` numbers are readable at `from`.
    unsafe fn load(self, from: *const f32) -> Self::V;
    /// # Safety
    /// `LANES` numbers are writable at `to`.
    unsafe fn store(self, to: *mut f32, value: Self::V);
    /// The first `count < LANES` lanes; the others are zero.
    ///
    /// # Safety
    /// `count` numbers are readable at `from`.
    unsafe fn load_first(self, from: *const f32, count: usize) -> Self::V;
    /// Stores the first `count < LANES` lanes.
    ///
    /// # Safety
    /// `count` numbers are writable at `to`.
    unsafe fn store_first(self, to: *mut f32, count: usize, value: Self::V);
}

/// The instruction sets that there are kernels for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// AVX-512F, 16 lanes.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX2 and FMA, 8 lanes.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// NEON, 4 lanes.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// What the compiler makes of plain loops.
    Plain,
}

impl Isa {
    /// The best one that this processor has, asked once. `GUIDEC_ISA` (`avx2`, `plain`) asks for a
    /// lesser one, so that all can be tried on one machine.
    pub fn of_this_processor() -> Self {
        static FOUND: OnceLock<Isa> = OnceLock::new();
        *FOUND.get_or_init(|| {
            let asked = std::env::var("GUIDEC_ISA").unwrap_or_default();
            Isa::usable()
                .into_iter()
                .find(|isa| isa.name() == asked)
                .unwrap_or(Isa::usable()[0])
        })
    }

    /// All that this processor has, best first.
    pub fn usable() -> Vec<Self> {
        let mut found = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if avx2 && is_x86_feature_detected!("avx512f") {
                found.push(Isa::Avx512);
            }
            if avx2 {
                found.push(Isa::Avx2);
            }
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            found.push(Isa::Neon);
        }
        found.push(Isa::Plain);
        found
    }

    /// Its name in `GUIDEC_ISA` and in benches.
    pub fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => "avx2",
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => "neon",
            Isa::Plain => "plain",
        }
    }
}

/// Runs `op` with the instructions of `isa`; with plain loops where this processor lacks them.
pub fn dispatch_to<O: Op>(isa: Isa, op: O) -> O::Out {
    if !usable().contains(&isa) {
        return plain::Plain.vectorize(op);
    }
    match isa {
        // SAFETY: `usable` has asked the processor for these instructions.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { avx512::Avx512::assume() }.vectorize(op),
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { avx2::Avx2::assume() }.vectorize(op),
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => unsafe { neon::Neon::assume() }.vectorize(op),
        Isa::Plain => plain::Plain.vectorize(op),
    }
}

fn usable() -> &'static [Isa] {
    static USABLE: OnceLock<Vec<Isa>> = OnceLock::new();
    USABLE.get_or_init(Isa::usable)
}
