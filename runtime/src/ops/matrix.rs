//! Linear maps of one axis, as banded matrices: what separable filters are made of.

/// A square or oblong matrix, rows first, with the columns of each row that are not 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    rows: usize,
    cols: usize,
    data: Vec<f64>,
    bands: Vec<(usize, usize)>,
}

impl Matrix {
    /// From a function of row and column.
    pub fn new(rows: usize, cols: usize, mut entry: impl FnMut(usize, usize) -> f64) -> Self {
        let data = (0..rows)
            .flat_map(|i| (0..cols).map(move |j| (i, j)))
            .map(|(i, j)| entry(i, j))
            .collect();
        Self::banded(rows, cols, data)
    }

    /// From a list of entries that are added up.
    fn sparse(
        rows: usize,
        cols: usize,
        entries: impl Iterator<Item = (usize, usize, f64)>,
    ) -> Self {
        let mut data = vec![0.0; rows * cols];
        for (i, j, value) in entries {
            data[i * cols + j] += value;
        }
        Self::banded(rows, cols, data)
    }

    fn banded(rows: usize, cols: usize, data: Vec<f64>) -> Self {
        let bands = (0..rows)
            .map(|i| {
                let row = &data[i * cols..(i + 1) * cols];
                let first = row.iter().position(|v| *v != 0.0).unwrap_or(0);
                let end = row
                    .iter()
                    .rposition(|v| *v != 0.0)
                    .map_or(first, |last| last + 1);
                (first, end)
            })
            .collect();
        Self {
            rows,
            cols,
            data,
            bands,
        }
    }

    /// The map that changes nothing.
    pub fn identity(n: usize) -> Self {
        Self::sparse(n, n, (0..n).map(|i| (i, i, 1.0)))
    }

    /// Length of what comes out.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// First column of row `i` that counts, and the entries from there on.
    pub fn row(&self, i: usize) -> (usize, &[f64]) {
        let (first, end) = self.bands[i];
        (
            first,
            &self.data[i * self.cols + first..i * self.cols + end],
        )
    }

    /// First `before`, then this.
    pub fn after(&self, before: &Matrix) -> Matrix {
        let mut data = vec![0.0; self.rows * before.cols];
        for i in 0..self.rows {
            let (first, row) = self.row(i);
            for (k, left) in row.iter().enumerate() {
                let (start, other) = before.row(first + k);
                for (j, right) in other.iter().enumerate() {
                    data[i * before.cols + start + j] += left * right;
                }
            }
        }
        Self::banded(self.rows, before.cols, data)
    }

    /// A correlation with an odd kernel; beyond the border the signal is mirrored at its last
    /// element (`reflect`), as often as the kernel needs.
    pub fn convolution(n: usize, kernel: &[f64]) -> Self {
        let half = (kernel.len() / 2) as isize;
        Self::sparse(
            n,
            n,
            (0..n).flat_map(|i| {
                kernel.iter().enumerate().map(move |(k, weight)| {
                    (i, reflect(i as isize + k as isize - half, n), *weight)
                })
            }),
        )
    }

    /// Bilinear resampling from `from` to `to` elements, pixel centres at halves (`align_corners`
    /// off), without antialiasing; beyond the border the last element counts.
    pub fn bilinear(from: usize, to: usize) -> Self {
        let ratio = from as f64 / to as f64;
        Self::sparse(
            to,
            from,
            (0..to).flat_map(move |i| {
                let place = ((i as f64 + 0.5) * ratio - 0.5).clamp(0.0, (from - 1) as f64);
                let below = place.floor() as usize;
                let share = place - below as f64;
                [
                    (i, below, 1.0 - share),
                    (i, (below + 1).min(from - 1), share),
                ]
            }),
        )
    }

    /// Keeps the Fourier coefficients whose frequency, in cycles an axis, is at most `most`.
    pub fn fourier_low(n: usize, most: f64) -> Self {
        let step = std::f64::consts::TAU / n as f64;
        let kept: Vec<usize> = (0..n).filter(|k| (*k).min(n - *k) as f64 <= most).collect();
        // The kept set is symmetric, so that only cosines remain; the kernel depends on `i - j` alone.
        let kernel: Vec<f64> = (0..n)
            .map(|d| {
                kept.iter()
                    .map(|k| (step * ((k * d) % n) as f64).cos())
                    .sum::<f64>()
                    / n as f64
            })
            .collect();
        Self::new(n, n, |i, j| kernel[(i + n - j) % n])
    }

    /// Keeps the orthonormal DCT-II coefficients `0..most`.
    pub fn cosine_low(n: usize, most: usize) -> Self {
        let basis = |k: usize, i: usize| {
            let scale = if k == 0 { 1.0 } else { 2.0f64 } / n as f64;
            scale.sqrt() * (std::f64::consts::PI * (i as f64 + 0.5) * k as f64 / n as f64).cos()
        };
        Self::new(n, n, |i, j| {
            (0..most.min(n)).map(|k| basis(k, i) * basis(k, j)).sum()
        })
    }
}

/// The place inside `0..n` that a mirrored signal shows at `i`.
fn reflect(i: isize, n: usize) -> usize {
    if n == 1 {
        return 0;
    }
    let period = 2 * (n as isize - 1);
    let inside = i.rem_euclid(period);
    inside.min(period - inside) as usize
}
