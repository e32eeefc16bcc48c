//! Filters against slow ones that work on images, not on matrices.

use super::Kernel;

type Image = Vec<Vec<f64>>;

fn image(height: usize, width: usize) -> Image {
    (0..height)
        .map(|i| {
            (0..width)
                .map(|j| ((3 * i * i + 7 * j + i * j) % 11) as f64 - 4.0 + (i as f64 * 0.3).sin())
                .collect()
        })
        .collect()
}

fn filtered(kernel: Kernel, image: &Image) -> Image {
    let (height, width) = (image.len(), image[0].len());
    let flat: Vec<f32> = image.concat().into_iter().map(|v| v as f32).collect();
    let mut out = vec![0f32; flat.len()];
    kernel
        .prepare(height, width)
        .expect("fits")
        .apply(&flat, &mut out);
    out.chunks(width)
        .map(|row| row.iter().map(|v| f64::from(*v)).collect())
        .collect()
}

fn assert_near(got: &Image, want: &Image, what: &str) {
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        for (j, (got, want)) in got.iter().zip(want).enumerate() {
            assert!(
                (got - want).abs() < 1e-5,
                "{what} at {i}, {j}: {got} is not {want}"
            );
        }
    }
}

/// `reflect` padding, one step at a time.
fn mirrored(values: &[f64], mut i: isize) -> f64 {
    let last = values.len() as isize - 1;
    while i < 0 || i > last {
        i = if i < 0 { -i } else { 2 * last - i };
    }
    values[i as usize]
}

fn transposed(image: &Image) -> Image {
    (0..image[0].len())
        .map(|j| image.iter().map(|row| row[j]).collect())
        .collect()
}

fn both_ways(image: &Image, f: impl Fn(&[f64]) -> Vec<f64>) -> Image {
    let across: Image = image.iter().map(|row| f(row)).collect();
    transposed(&transposed(&across).iter().map(|row| f(row)).collect())
}

fn convolved(image: &Image, kernel: &[f64]) -> Image {
    let half = (kernel.len() / 2) as isize;
    both_ways(image, |row| {
        let at = |i: usize, k: usize| kernel[k] * mirrored(row, i as isize + k as isize - half);
        (0..row.len())
            .map(|i| (0..kernel.len()).map(|k| at(i, k)).sum())
            .collect()
    })
}

fn halved(image: &Image) -> Image {
    both_ways(image, |row| {
        row.chunks(2)
            .map(|pair| (pair[0] + pair[1]) / 2.0)
            .collect()
    })
}

fn doubled(image: &Image) -> Image {
    both_ways(image, |row| {
        let at = |i: isize| row[i.clamp(0, row.len() as isize - 1) as usize];
        (0..row.len() as isize)
            .flat_map(|i| {
                [
                    0.75 * at(i) + 0.25 * at(i - 1),
                    0.75 * at(i) + 0.25 * at(i + 1),
                ]
            })
            .collect()
    })
}

fn less(a: &Image, b: &Image) -> Image {
    a.iter()
        .zip(b)
        .map(|(a, b)| a.iter().zip(b).map(|(a, b)| a - b).collect())
        .collect()
}

const BINOMIAL: [f64; 5] = [0.0625, 0.25, 0.375, 0.25, 0.0625];

#[test]
fn a_blur_is_a_convolution() {
    let weights: Vec<f64> = (-3..=3)
        .map(|k: i32| (-f64::from(k * k) / (2.0 * 1.3 * 1.3)).exp())
        .collect();
    let total: f64 = weights.iter().sum();
    let kernel: Vec<f64> = weights.iter().map(|w| w / total).collect();
    let image = image(9, 6);
    assert_near(
        &filtered(Kernel::GaussianBlur(1.3, 7), &image),
        &convolved(&image, &kernel),
        "blur",
    );
    assert_near(
        &filtered(Kernel::GaussianBlur(f64::INFINITY, 3), &image),
        &convolved(&image, &[1.0 / 3.0; 3]),
        "box",
    );
    assert_near(
        &filtered(Kernel::GaussianBlur(0.0, 3), &image),
        &image,
        "nothing",
    );
}

#[test]
fn bands_are_the_levels_of_a_pyramid() {
    let image = image(16, 12);
    let down = |image: &Image| halved(&convolved(image, &BINOMIAL));
    let up = |image: &Image| convolved(&doubled(image), &BINOMIAL);
    let (one, two) = (down(&image), down(&down(&image)));
    let levels = [
        less(&image, &up(&one)),
        up(&less(&one, &up(&two))),
        up(&up(&two)),
    ];
    for (level, want) in levels.iter().enumerate() {
        assert_near(
            &filtered(Kernel::Band(level as u32, 3), &image),
            want,
            "band",
        );
    }
    assert_near(
        &filtered(Kernel::Band(0, 1), &image),
        &image,
        "one level is all of it",
    );
}

#[test]
fn a_pyramid_needs_room() {
    for (level, of, height) in [(0, 3, 14), (0, 5, 16), (2, 2, 16), (0, 0, 16), (0, 40, 16)] {
        assert!(
            Kernel::Band(level, of).prepare(height, 16).is_err(),
            "level {level} of {of} at {height}"
        );
    }
    assert!(Kernel::Resample(f64::NAN).prepare(8, 8).is_err());
    assert!(Kernel::GaussianBlur(1.0, 4).prepare(8, 8).is_err());
}

#[test]
fn resampling_interpolates_between_centres() {
    let image = image(8, 10);
    let to = |row: &[f64], n: usize| -> Vec<f64> {
        let ratio = row.len() as f64 / n as f64;
        (0..n)
            .map(|i| {
                let place = ((i as f64 + 0.5) * ratio - 0.5).max(0.0);
                let low = place.floor().min((row.len() - 1) as f64);
                let next = (low + 1.0).min((row.len() - 1) as f64);
                row[low as usize] + (place - low) * (row[next as usize] - row[low as usize])
            })
            .collect()
    };
    for (factor, sides) in [
        (0.5, [(8, 4), (10, 5)]),
        (0.33, [(8, 2), (10, 3)]),
        (0.01, [(8, 1), (10, 1)]),
    ] {
        let small = |row: &[f64]| {
            sides
                .iter()
                .find(|(side, _)| *side == row.len())
                .map_or(1, |(_, small)| *small)
        };
        let want = both_ways(&image, |row| to(&to(row, small(row)), row.len()));
        assert_near(
            &filtered(Kernel::Resample(factor), &image),
            &want,
            "resample",
        );
    }
}

/// The whole transform, term by term, and back.
fn by_fourier(image: &Image, keeps: impl Fn(f64, f64) -> bool) -> Image {
    let (height, width) = (image.len(), image[0].len());
    let turn =
        |k: usize, i: usize, n: usize| std::f64::consts::TAU * ((k * i) % n) as f64 / n as f64;
    let share = |k: usize, n: usize| k.min(n - k) as f64 / (n as f64 / 2.0);
    let mut out = vec![vec![0.0; width]; height];
    for ky in 0..height {
        for kx in 0..width {
            if !keeps(share(ky, height), share(kx, width)) {
                continue;
            }
            let (mut re, mut im) = (0.0, 0.0);
            for (i, row) in image.iter().enumerate() {
                for (j, value) in row.iter().enumerate() {
                    let angle = turn(ky, i, height) + turn(kx, j, width);
                    re += value * angle.cos();
                    im -= value * angle.sin();
                }
            }
            for (i, row) in out.iter_mut().enumerate() {
                for (j, value) in row.iter_mut().enumerate() {
                    let angle = turn(ky, i, height) + turn(kx, j, width);
                    *value += (re * angle.cos() - im * angle.sin()) / (height * width) as f64;
                }
            }
        }
    }
    out
}

#[test]
fn low_passes_keep_fourier_coefficients() {
    for (height, width) in [(8, 10), (7, 9)] {
        let image = image(height, width);
        for radius in [0.0, 0.3, 0.61, 1.0, 1.5] {
            let disk = by_fourier(&image, |y, x| y * y + x * x <= radius * radius);
            assert_near(&filtered(Kernel::FftDisk(radius), &image), &disk, "disk");
            let in_box = by_fourier(&image, |y, x| y <= radius && x <= radius);
            assert_near(&filtered(Kernel::FftBox(radius), &image), &in_box, "box");
        }
    }
}

#[test]
fn the_high_pass_drops_cosine_coefficients() {
    let image = image(8, 6);
    let basis = |k: usize, i: usize, n: usize| {
        let scale = (if k == 0 { 1.0f64 } else { 2.0 } / n as f64).sqrt();
        scale * (std::f64::consts::PI * (2 * i + 1) as f64 * k as f64 / (2 * n) as f64).cos()
    };
    let mut want = image.clone();
    for u in 0..4 {
        for v in 0..3 {
            let at = |i: usize, j: usize| basis(u, i, 8) * basis(v, j, 6);
            let share: f64 = (0..8)
                .flat_map(|i| (0..6).map(move |j| (i, j)))
                .map(|(i, j)| image[i][j] * at(i, j))
                .sum();
            for (i, row) in want.iter_mut().enumerate() {
                for (j, value) in row.iter_mut().enumerate() {
                    *value -= share * at(i, j);
                }
            }
        }
    }
    assert_near(
        &filtered(Kernel::DctHighpass(0.5), &image),
        &want,
        "high-pass",
    );
}
