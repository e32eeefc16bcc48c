//! Linear filters over space. Each is a sum of maps that work on rows and columns apart, so that one
//! routine runs them all; entries and sums are f64.

use std::cell::RefCell;

use guide_compiler::plan::Filter;

use super::matrix::Matrix;
use crate::error::{ErrorKind, Result, RuntimeError};

/// A filter for one size: `keep * d + sum of factor * (rows d cols^T)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Separable {
    keep: f64,
    terms: Vec<(f64, Matrix, Matrix)>,
    height: usize,
    width: usize,
}

/// A filter with its numbers as they are in one tick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kernel {
    /// See [`Filter::GaussianBlur`].
    GaussianBlur(f64, u32),
    /// See [`Filter::Band`].
    Band(u32, u32),
    /// See [`Filter::Resample`].
    Resample(f64),
    /// See [`Filter::FftDisk`].
    FftDisk(f64),
    /// See [`Filter::FftBox`].
    FftBox(f64),
    /// See [`Filter::DctHighpass`].
    DctHighpass(f64),
}

impl Kernel {
    /// The kernel of `filter` in tick `k` of its segment.
    pub fn at(filter: &Filter, k: usize) -> Self {
        match filter {
            Filter::GaussianBlur { sigma, taps } => Kernel::GaussianBlur(sigma.at(k), *taps),
            Filter::Band { level, of } => Kernel::Band(*level, *of),
            Filter::Resample { factor } => Kernel::Resample(factor.at(k)),
            Filter::FftDisk { radius } => Kernel::FftDisk(radius.at(k)),
            Filter::FftBox { radius } => Kernel::FftBox(radius.at(k)),
            Filter::DctHighpass { cutoff } => Kernel::DctHighpass(cutoff.at(k)),
        }
    }

    /// The maps for images of this size.
    ///
    /// # Errors
    /// A pyramid that the size has no room for; a number outside its range.
    pub fn prepare(self, height: usize, width: usize) -> Result<Separable> {
        let (keep, terms) = match self {
            Kernel::GaussianBlur(sigma, taps) => (
                0.0,
                vec![(
                    1.0,
                    gaussian(height, sigma, taps)?,
                    gaussian(width, sigma, taps)?,
                )],
            ),
            Kernel::Band(level, of) => band(height, width, level, of)?,
            Kernel::Resample(factor) => {
                let there_and_back = |side: usize| {
                    let small = ((share(factor, "factor")? * side as f64).floor() as usize).max(1);
                    Ok::<_, RuntimeError>(
                        Matrix::bilinear(small, side).after(&Matrix::bilinear(side, small)),
                    )
                };
                (
                    0.0,
                    vec![(1.0, there_and_back(height)?, there_and_back(width)?)],
                )
            }
            Kernel::FftBox(radius) => {
                let low = |side: usize| {
                    Ok::<_, RuntimeError>(Matrix::fourier_low(
                        side,
                        share(radius, "radius")? * side as f64 / 2.0,
                    ))
                };
                (0.0, vec![(1.0, low(height)?, low(width)?)])
            }
            Kernel::FftDisk(radius) => (0.0, disk(height, width, share(radius, "radius")?)),
            Kernel::DctHighpass(cutoff) => {
                let low = |side: usize| {
                    Ok::<_, RuntimeError>(Matrix::cosine_low(
                        side,
                        (share(cutoff, "cutoff")? * side as f64).floor() as usize,
                    ))
                };
                (1.0, vec![(-1.0, low(height)?, low(width)?)])
            }
        };
        Ok(Separable {
            keep,
            terms,
            height,
            width,
        })
    }
}

/// A number that must not be negative or NaN.
fn share(value: f64, name: &str) -> Result<f64> {
    if value >= 0.0 {
        return Ok(value);
    }
    Err(RuntimeError::new(
        ErrorKind::BadPlan,
        format!("the `{name}` of a filter is {value}"),
    )
    .help("use a number of 0 or more"))
}

/// Gaussian weights at the whole numbers around 0, adding up to 1; all the same for an infinite
/// deviation, only the middle for 0.
fn gaussian(side: usize, sigma: f64, taps: u32) -> Result<Matrix> {
    if taps.is_multiple_of(2) {
        return Err(RuntimeError::new(
            ErrorKind::BadPlan,
            format!("a blur of {taps} taps has no middle"),
        )
        .help("use an odd number of taps"));
    }
    if share(sigma, "sigma")? == 0.0 {
        return Ok(Matrix::identity(side));
    }
    let half = f64::from(taps / 2);
    let weights: Vec<f64> = (0..taps)
        .map(|k| (-0.5 * ((f64::from(k) - half) / sigma).powi(2)).exp())
        .collect();
    let total: f64 = weights.iter().sum();
    Ok(Matrix::convolution(
        side,
        &weights.iter().map(|w| w / total).collect::<Vec<_>>(),
    ))
}

type Terms = Vec<(f64, Matrix, Matrix)>;

/// Level `k` of a Laplacian pyramid at full size: what is left after going down `k` times and up
/// again, less the same for `k + 1`. The coarsest level has nothing taken off.
fn band(height: usize, width: usize, level: u32, of: u32) -> Result<(f64, Terms)> {
    let fits = |side: usize| {
        let halvings = of.saturating_sub(1);
        let blurred = side.checked_shr(halvings.saturating_sub(1)).unwrap_or(0);
        let whole = side.checked_shr(halvings).map(|coarse| coarse << halvings);
        level < of && whole == Some(side) && (halvings == 0 || blurred >= 3)
    };
    if !fits(height) || !fits(width) {
        return Err(RuntimeError::new(ErrorKind::BadSize, format!("level {level} of a pyramid of {of} levels does not fit a latent of {height}x{width}"))
            .help("use fewer levels: both sides must be divisible by `2^(levels-1)`, and the coarsest level that is blurred at least 3 wide"));
    }
    let mut terms = Vec::new();
    let mut keep = 0.0;
    match level {
        0 => keep = 1.0,
        _ => terms.push((1.0, round_trip(height, level), round_trip(width, level))),
    }
    if level + 1 < of {
        terms.push((
            -1.0,
            round_trip(height, level + 1),
            round_trip(width, level + 1),
        ));
    }
    Ok((keep, terms))
}

/// `times` levels down (blur, then halve), and up again (double, then blur).
fn round_trip(side: usize, times: u32) -> Matrix {
    let kernel = [1.0, 4.0, 6.0, 4.0, 1.0].map(|w| w / 16.0);
    let mut whole = Matrix::identity(side);
    for level in 0..times {
        let from = side >> level;
        whole = Matrix::bilinear(from, from / 2)
            .after(&Matrix::convolution(from, &kernel))
            .after(&whole);
    }
    for level in (0..times).rev() {
        let to = side >> level;
        whole = Matrix::convolution(to, &kernel)
            .after(&Matrix::bilinear(to / 2, to))
            .after(&whole);
    }
    whole
}

/// A disk in the Fourier plane, in shares of each axis' Nyquist frequency, as a stack of boxes: rows
/// of one frequency keep the columns' frequencies up to the disk's edge.
fn disk(height: usize, width: usize, radius: f64) -> Terms {
    let (half_h, half_w) = (height as f64 / 2.0, width as f64 / 2.0);
    let mut terms: Terms = Vec::new();
    let mut last: Option<f64> = None;
    // From the outermost frequency inward: the disk widens, and each wider box counts for all
    // frequencies up to this one, less what the narrower boxes already gave.
    for k in (0..=height / 2).rev() {
        let y = k as f64 / half_h;
        let rest = radius * radius - y * y;
        if rest < 0.0 {
            continue;
        }
        let most = (rest.sqrt() * half_w).floor().min((width / 2) as f64);
        if last == Some(most) {
            continue;
        }
        if let Some(narrow) = last {
            terms.push((
                -1.0,
                Matrix::fourier_low(height, k as f64),
                Matrix::fourier_low(width, narrow),
            ));
        }
        terms.push((
            1.0,
            Matrix::fourier_low(height, k as f64),
            Matrix::fourier_low(width, most),
        ));
        last = Some(most);
    }
    terms
}

impl Separable {
    /// Height and width of the images.
    pub fn size(&self) -> (usize, usize) {
        (self.height, self.width)
    }

    /// The share of the image that stays as it is.
    pub fn keep(&self) -> f64 {
        self.keep
    }

    /// Factor, map of the columns' axis (height), map of the rows' axis (width).
    pub fn terms(&self) -> &[(f64, Matrix, Matrix)] {
        &self.terms
    }

    /// Filters each `height * width` plane of `from` into `to`.
    ///
    /// Both axes are gone along in whole lines, the width on the turned plane, so that each step adds
    /// a multiple of one line to another.
    pub fn apply(&self, from: &[f32], to: &mut [f32]) {
        let area = self.height * self.width;
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.resize(4 * area, 0.0);
            let (turned, rest) = scratch.split_at_mut(area);
            let (across, rest) = rest.split_at_mut(area);
            let (between, sum) = rest.split_at_mut(area);
            for (plane, out) in from.chunks_exact(area).zip(to.chunks_exact_mut(area)) {
                for (value, source) in sum.iter_mut().zip(plane) {
                    *value = self.keep * f64::from(*source);
                }
                turn(plane, self.width, turned);
                for (factor, rows, cols) in &self.terms {
                    across.fill(0.0);
                    add_lines(cols, 1.0, turned, across);
                    turn(across, self.height, between);
                    add_lines(rows, *factor, between, sum);
                }
                for (value, source) in out.iter_mut().zip(&*sum) {
                    *value = *source as f32;
                }
            }
        });
    }
}

thread_local! {
    /// What a filter works in, kept from one tick to the next.
    static SCRATCH: RefCell<Vec<f64>> = const { RefCell::new(Vec::new()) };
}

/// Adds `factor * map * from` to `to`, both as lines of one length.
fn add_lines(map: &Matrix, factor: f64, from: &[f64], to: &mut [f64]) {
    let length = to.len() / map.rows().max(1);
    for (i, out) in to.chunks_exact_mut(length.max(1)).enumerate() {
        let (first, weights) = map.row(i);
        let lines = from[first * length..].chunks_exact(length.max(1));
        for (weight, line) in weights.iter().zip(lines) {
            let weight = factor * weight;
            for (value, source) in out.iter_mut().zip(line) {
                *value += weight * source;
            }
        }
    }
}

/// Rows to columns: lines of `width` become lines of what their number is.
fn turn<T: Copy + Into<f64>>(from: &[T], width: usize, to: &mut [f64]) {
    /// Squares of this side stay in the fastest memory.
    const BLOCK: usize = 16;
    let height = from.len() / width.max(1);
    for top in (0..height).step_by(BLOCK) {
        for left in (0..width).step_by(BLOCK) {
            for x in left..(left + BLOCK).min(width) {
                for y in top..(top + BLOCK).min(height) {
                    to[x * height + y] = from[y * width + x].into();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
