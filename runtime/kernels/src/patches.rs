//! What a convolution multiplies its weights with: for each place of the result, the numbers under the
//! kernel. Copied in runs of a row, a panel of places at a time, so that no whole matrix of them exists.

use super::gemm::{get, put};
use super::simd::Simd;

/// A convolution's kernel and how it goes over a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// From one place to the next.
    pub stride: usize,
    /// Zeros round the map: above, at the left, below, at the right.
    pub padding: [usize; 4],
}

impl Window {
    /// A square kernel with the same padding at each side.
    pub fn square(kernel: usize, stride: usize, padding: usize) -> Self {
        Self {
            kernel: [kernel; 2],
            stride,
            padding: [padding; 4],
        }
    }

    /// Height and width of the result; `None` where the kernel does not fit.
    pub fn result(&self, [height, width]: [usize; 2]) -> Option<[usize; 2]> {
        let [top, left, bottom, right] = self.padding;
        let along = |size: usize, kernel: usize| {
            let room = size.checked_sub(kernel)?;
            Some(room / self.stride.max(1) + 1)
        };
        Some([
            along(height + top + bottom, self.kernel[0])?,
            along(width + left + right, self.kernel[1])?,
        ])
    }

    /// Numbers under the kernel, of one channel.
    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }
}

/// Numbers that lie in a row of a map, `stride` apart, and where they go.
struct Run {
    from: usize,
    to: usize,
    count: usize,
}

/// How a panel of a result's places is gathered from one channel of a map; the same for every channel.
pub struct Gather {
    runs: Vec<Run>,
    zeros: Vec<(usize, usize)>,
    stride: usize,
    length: usize,
    /// One past the last number that is read of a channel.
    end: usize,
}

impl Gather {
    /// For the places `first..first + count` of a result of width `width`, from a map of size `size`, to
    /// panels of `columns`.
    pub fn plan(
        window: Window,
        size: [usize; 2],
        width: usize,
        (first, count): (usize, usize),
        columns: usize,
    ) -> Self {
        let mut plan = Self {
            runs: Vec::new(),
            zeros: Vec::new(),
            stride: window.stride,
            length: window.taps() * columns,
            end: 0,
        };
        for tap in 0..window.taps() {
            let (ky, kx) = (tap / window.kernel[1], tap % window.kernel[1]);
            let mut done = 0;
            while done < count {
                let (y, x) = ((first + done) / width, (first + done) % width);
                let row = (width - x).min(count - done);
                plan.row(window, size, [y, x], [ky, kx], row, tap * columns + done);
                done += row;
            }
            plan.zero(tap * columns + count, columns - count);
        }
        plan
    }

    /// The places `x..x + count` of row `y`, under the kernel's place `(ky, kx)`.
    fn row(
        &mut self,
        window: Window,
        [height, width]: [usize; 2],
        [y, x]: [usize; 2],
        [ky, kx]: [usize; 2],
        count: usize,
        to: usize,
    ) {
        let [top, left, ..] = window.padding;
        let row = (y * window.stride + ky)
            .checked_sub(top)
            .filter(|row| *row < height);
        let Some(row) = row else {
            return self.zero(to, count);
        };
        // The first place whose number lies right of the left edge, and of the right one.
        let right_of = |edge: usize| edge.saturating_sub(kx).div_ceil(window.stride);
        let start = right_of(left).clamp(x, x + count);
        let end = right_of(left + width).clamp(start, x + count);
        self.zero(to, start - x);
        if end > start {
            let from = row * width + start * window.stride + kx - left;
            self.end = self.end.max(from + (end - start - 1) * window.stride + 1);
            self.runs.push(Run {
                from,
                to: to + start - x,
                count: end - start,
            });
        }
        self.zero(to + end - x, x + count - end);
    }

    fn zero(&mut self, to: usize, count: usize) {
        if count > 0 {
            self.zeros.push((to, count));
        }
    }

    /// Gathers from one channel's map; `to` is the panel's part for this channel.
    #[inline(always)]
    pub fn channel<S: Simd>(&self, simd: S, map: &[f32], to: &mut [f32]) {
        assert!(map.len() >= self.end && to.len() >= self.length);
        for run in &self.runs {
            if self.stride == 1 {
                copy(
                    simd,
                    &map[run.from..][..run.count],
                    &mut to[run.to..][..run.count],
                );
            } else {
                let from = map[run.from..].iter().step_by(self.stride);
                to[run.to..][..run.count]
                    .iter_mut()
                    .zip(from)
                    .for_each(|(to, from)| *to = *from);
            }
        }
        for (at, count) in &self.zeros {
            to[*at..][..*count].fill(0.0);
        }
    }
}

/// Copies a short run; a call of `memcpy` takes longer than the copy.
#[inline(always)]
#[allow(unsafe_code, reason = "vectors are loaded through pointers")]
fn copy<S: Simd>(simd: S, from: &[f32], to: &mut [f32]) {
    assert_eq!(from.len(), to.len());
    for at in (0..from.len()).step_by(S::LANES) {
        let count = S::LANES.min(from.len() - at);
        // SAFETY: `count` numbers are left of both.
        unsafe {
            let value = get(simd, from.as_ptr().add(at), count);
            put(simd, to.as_mut_ptr().add(at), count, value);
        }
    }
}
