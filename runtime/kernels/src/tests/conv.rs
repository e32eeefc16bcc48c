//! Convolutions.

use super::{Terms, close, numbers};
use crate::Numbers;
use crate::conv::{Packed, apply};
use crate::patches::Window;
use crate::simd::Isa;
use candle_core::Result;

/// Channels in and out, height and width.
const SHAPES: [[usize; 4]; 8] = [
    [1, 1, 1, 1],
    [3, 5, 7, 13],
    [4, 32, 16, 16],
    [47, 29, 11, 5],
    [2, 3, 8, 64],
    [13, 3, 5, 33],
    [5, 1, 3, 100],
    [90, 13, 8, 8],
];

fn windows() -> Vec<Window> {
    let square = Window::square;
    vec![
        square(3, 1, 1),
        square(1, 1, 0),
        square(3, 2, 1),
        Window {
            padding: [0, 0, 1, 1],
            ..square(3, 2, 0)
        },
        square(5, 1, 2),
        Window {
            kernel: [1, 4],
            stride: 3,
            padding: [2, 3, 0, 1],
        },
    ]
}

fn by_hand(
    x: &[f32],
    weight: &[f32],
    window: Window,
    [input, output, height, width]: [usize; 4],
) -> Vec<Terms> {
    let [rows, columns] = window.result([height, width]).unwrap_or_default();
    let [top, left, ..] = window.padding.map(|p| p as i64);
    let [tall, wide] = window.kernel;
    let mut all = Vec::new();
    for sample in x.chunks(input * height * width) {
        for (o, y, x) in places(output, rows, columns) {
            let mut terms = Terms::default();
            for (c, ky, kx) in places(input, tall, wide) {
                let row = (y * window.stride + ky) as i64 - top;
                let column = (x * window.stride + kx) as i64 - left;
                let inside =
                    (0..height as i64).contains(&row) && (0..width as i64).contains(&column);
                if inside {
                    let at = (c * height + row as usize) * width + column as usize;
                    let tap = ((o * input + c) * tall + ky) * wide + kx;
                    terms.add(f64::from(sample[at]) * f64::from(weight[tap]));
                }
            }
            all.push(terms);
        }
    }
    all
}

fn places(a: usize, b: usize, c: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..a * b * c).map(move |i| (i / c / b, i / c % b, i % c))
}

#[test]
fn convolutions_are_what_loops_give() -> Result<()> {
    for isa in Isa::usable() {
        for window in windows() {
            for shape in SHAPES {
                let [input, output, height, width] = shape;
                let Some([rows, columns]) = window.result([height, width]) else {
                    continue;
                };
                let batch = 2;
                let x = numbers(batch * input * height * width, 1);
                let weight = numbers(input * output * window.taps(), 2);
                let bias = numbers(output, 3);
                let packed = Packed::pack(
                    isa,
                    Numbers::F32(&weight),
                    bias.clone(),
                    (input, output),
                    window,
                )?;
                let mut wanted = by_hand(&x, &weight, window, shape);
                let of_one = output * rows * columns;
                for (i, wanted) in wanted.iter_mut().enumerate() {
                    wanted.add(f64::from(bias[i % of_one / (rows * columns)]));
                }
                let found = apply(&packed, &x, batch, [height, width], None, None);
                close(isa, &found, &wanted, &format!("{window:?} {shape:?}"));

                let shift = numbers(batch * output, 4);
                let plus = numbers(batch * of_one, 5);
                let found = apply(
                    &packed,
                    &x,
                    batch,
                    [height, width],
                    Some(&shift),
                    Some(&plus),
                );
                for (i, wanted) in wanted.iter_mut().enumerate() {
                    wanted.add(f64::from(shift[i / (rows * columns)]));
                    wanted.add(f64::from(plus[i]));
                }
                close(
                    isa,
                    &found,
                    &wanted,
                    &format!("{window:?} {shape:?} shifted"),
                );
            }
        }
    }
    Ok(())
}

#[test]
fn a_nan_reaches_the_places_round_it_and_no_others() -> Result<()> {
    for isa in Isa::usable() {
        let (input, output, height, width) = (3, 17, 9, 10);
        let window = Window::square(3, 1, 1);
        let mut x = numbers(input * height * width, 6);
        x[(height + 4) * width + 9] = f32::NAN;
        let weight = numbers(input * output * 9, 7);
        let packed = Packed::pack(
            isa,
            Numbers::F32(&weight),
            vec![0.0; output],
            (input, output),
            window,
        )?;
        let found = apply(&packed, &x, 1, [height, width], None, None);
        for (i, x) in found.iter().enumerate() {
            let (row, column) = (i / width % height, i % width);
            assert_eq!(x.is_nan(), (3..=5).contains(&row) && column >= 8, "{isa:?}");
        }
    }
    Ok(())
}

#[test]
fn a_kernel_larger_than_the_map_has_no_result() {
    assert_eq!(Window::square(3, 1, 0).result([2, 5]), None);
    assert_eq!(Window::square(3, 2, 1).result([5, 6]), Some([3, 3]));
}
