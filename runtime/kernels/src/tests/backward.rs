//! Gradients against central differences of plain loops in f64; and the same bits for any number of threads
//! and whatever else is in a batch.

use candle_core::{Device, Module, Result, Tensor, Var};

use super::elementwise::erf;
use super::numbers;
use crate::{
    Conv2d, Geglu, GroupNorm, LayerNorm, Linear, Window, add_tokens, attention, silu, upsample,
};

/// Half of the step of a difference: its own error is of the order of the square, 1e-8, of the third
/// derivative.
const STEP: f64 = 1e-4;
/// Rounding in f32 of sums of up to some hundred terms, as a share of the largest gradient.
const ROUNDING: f64 = 2e-5;

fn tensor(numbers: Vec<f32>, dims: &[usize]) -> Result<Tensor> {
    Tensor::from_vec(numbers, dims, &Device::Cpu)
}

fn wide(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().copied().map(f64::from).collect()
}

/// The gradient of the sum of a layer's results, weighted by `by`.
fn back(layer: &dyn Fn(&Tensor) -> Result<Tensor>, x: &Tensor, by: u32) -> Result<Vec<f32>> {
    let var = Var::from_tensor(x)?;
    let result = layer(var.as_tensor())?;
    let samples = result.dim(0)?;
    // Each sample has the same weights.
    let weights = tensor(
        numbers(result.elem_count() / samples, by).repeat(samples),
        result.dims(),
    )?;
    let gradients = (result * weights)?.sum_all()?.backward()?;
    let gradient = gradients.get(&var).expect("it depends on `x`");
    gradient.flatten_all()?.to_vec1()
}

/// Holds a layer's gradient to differences of `slow`, of one sample.
#[track_caller]
fn holds(
    what: &str,
    layer: &dyn Fn(&Tensor) -> Result<Tensor>,
    slow: &dyn Fn(&[f64]) -> Vec<f64>,
    dims: &[usize],
) -> Result<()> {
    let count: usize = dims.iter().product();
    let x = tensor(numbers(count, 77).iter().map(|x| 2.0 * x).collect(), dims)?;
    let found = back(layer, &x, 5)?;
    let mut at = wide(&x.flatten_all()?.to_vec1::<f32>()?);
    let weights = wide(&numbers(slow(&at).len(), 5));
    let value = |at: &[f64]| -> f64 {
        let result = slow(at);
        result.iter().zip(&weights).map(|(y, by)| y * by).sum()
    };
    let mut wanted = Vec::new();
    for i in 0..count {
        let here = at[i];
        at[i] = here + STEP;
        let above = value(&at);
        at[i] = here - STEP;
        let below = value(&at);
        at[i] = here;
        wanted.push((above - below) / (2.0 * STEP));
    }
    let largest = wanted.iter().fold(0f64, |most, by| most.max(by.abs()));
    assert!(largest > 0.0, "{what} has a gradient");
    for (i, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
        let off = (f64::from(*found) - wanted).abs();
        assert!(
            off <= ROUNDING * largest,
            "{what}: by number {i} it is {found}, and a difference gives {wanted}"
        );
    }
    Ok(())
}

fn dot(weight: &[f32], x: &[f64]) -> f64 {
    weight.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum()
}

#[test]
fn linears() -> Result<()> {
    let (rows, input, output) = (5, 37, 21);
    let (weight, bias) = (numbers(output * input, 1), numbers(output, 2));
    let layer = Linear::new(
        tensor(weight.clone(), &[output, input])?,
        Some(tensor(bias, &[output])?),
    )?;
    let slow = |x: &[f64]| {
        let rows = x.chunks(input);
        rows.flat_map(|row| weight.chunks(input).map(move |w| dot(w, row)))
            .collect()
    };
    holds("linear", &|x| layer.forward(x), &slow, &[1, rows, input])?;
    // What is added is the same thing again, so that both gradients arrive.
    let square = Linear::new(tensor(weight[..21 * 21].to_vec(), &[21, 21])?, None)?;
    let slow = |x: &[f64]| {
        let of_row = |row: &[f64]| -> Vec<f64> {
            let products = weight[..21 * 21].chunks(21).map(|w| dot(w, row));
            products.zip(row).map(|(y, x)| y + x).collect()
        };
        x.chunks(21).flat_map(of_row).collect()
    };
    holds("plus", &|x| square.forward_plus(x, x), &slow, &[1, 3, 21])?;
    let slow = |x: &[f64]| {
        let row = |place: usize| (0..input).map(|c| x[c * 6 + place]).collect::<Vec<_>>();
        let of_row = |row: Vec<f64>| weight.chunks(input).map(move |w| dot(w, &row)).collect();
        (0..6)
            .flat_map(|place| -> Vec<f64> { of_row(row(place)) })
            .collect()
    };
    holds("map", &|x| layer.forward_map(x), &slow, &[1, input, 2, 3])
}

#[test]
fn geglu() -> Result<()> {
    let (rows, input, half) = (3, 11, 19);
    let (weight, bias) = (numbers(2 * half * input, 3), numbers(2 * half, 4));
    let layer = Geglu::new(
        tensor(weight.clone(), &[2 * half, input])?,
        tensor(bias.clone(), &[2 * half])?,
    )?;
    let slow = |x: &[f64]| {
        let number = |row: &[f64], o: usize| {
            dot(&weight[o * input..(o + 1) * input], row) + f64::from(bias[o])
        };
        let one = |row: &[f64], o: usize| {
            let gate = number(row, half + o);
            number(row, o) * 0.5 * gate * (1.0 + erf(gate * 0.5f64.sqrt()))
        };
        let rows = x.chunks(input);
        rows.flat_map(|row| (0..half).map(move |o| one(row, o)))
            .collect()
    };
    holds("geglu", &|x| layer.forward(x), &slow, &[1, rows, input])
}

/// A convolution by loops.
fn conv_by_hand(
    weight: &[f32],
    x: &[f64],
    [input, output]: [usize; 2],
    [height, width]: [usize; 2],
    window: Window,
) -> Vec<f64> {
    let [rows, columns] = window.result([height, width]).expect("it fits");
    let [tall, wide] = window.kernel;
    let [top, left, ..] = window.padding;
    let mut all = Vec::new();
    for o in 0..output {
        for place in 0..rows * columns {
            let (row, column) = (place / columns, place % columns);
            let mut sum = 0.0;
            for c in 0..input {
                for tap in 0..tall * wide {
                    let y = (row * window.stride + tap / wide).wrapping_sub(top);
                    let x_at = (column * window.stride + tap % wide).wrapping_sub(left);
                    if y < height && x_at < width {
                        let w = weight[(o * input + c) * tall * wide + tap];
                        sum += f64::from(w) * x[(c * height + y) * width + x_at];
                    }
                }
            }
            all.push(sum);
        }
    }
    all
}

#[test]
fn convolutions() -> Result<()> {
    let (input, output) = (5, 7);
    let mut uneven = Window::square(3, 2, 0);
    uneven.padding = [0, 0, 1, 1];
    let windows = [
        (Window::square(3, 1, 1), [6, 5]),
        (Window::square(1, 1, 0), [4, 3]),
        (Window::square(3, 2, 1), [7, 6]),
        (uneven, [8, 5]),
        (Window::square(4, 3, 2), [9, 7]),
    ];
    for (window, size) in windows {
        let [tall, wide] = window.kernel;
        let weight = numbers(output * input * tall * wide, 6);
        let layer = Conv2d::new(
            tensor(weight.clone(), &[output, input, tall, wide])?,
            tensor(numbers(output, 7), &[output])?,
            window,
        )?;
        let slow = |x: &[f64]| conv_by_hand(&weight, x, [input, output], size, window);
        let what = format!("convolution {window:?}");
        let dims = [1, input, size[0], size[1]];
        holds(&what, &|x| layer.forward(x), &slow, &dims)?;
    }
    Ok(())
}

#[test]
fn what_is_added_to_a_convolution_has_its_gradient() -> Result<()> {
    let window = Window::square(3, 1, 1);
    let weight = numbers(4 * 4 * 9, 8);
    let layer = Conv2d::new(
        tensor(weight.clone(), &[4, 4, 3, 3])?,
        tensor(numbers(4, 9), &[4])?,
        window,
    )?;
    let by_hand = |x: &[f64]| conv_by_hand(&weight, x, [4, 4], [3, 5], window);
    let slow = |x: &[f64]| by_hand(x).iter().zip(x).map(|(y, x)| y + x).collect();
    holds("plus", &|x| layer.forward_plus(x, x), &slow, &[1, 4, 3, 5])?;
    // The shift is the mean of each channel.
    let shifted = |x: &Tensor| layer.forward_shifted(x, &x.mean((2, 3))?);
    let slow = |x: &[f64]| {
        let mean = |c: usize| x[c * 15..(c + 1) * 15].iter().sum::<f64>() / 15.0;
        let all = by_hand(x);
        all.iter()
            .enumerate()
            .map(|(i, y)| y + mean(i / 15))
            .collect()
    };
    holds("shift", &shifted, &slow, &[1, 4, 3, 5])
}

/// Numbers less their mean, over their deviation.
fn normed(x: &[f64], eps: f64) -> Vec<f64> {
    let count = x.len() as f64;
    let mean = x.iter().sum::<f64>() / count;
    let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
    x.iter()
        .map(|x| (x - mean) / (variance + eps).sqrt())
        .collect()
}

fn silu_by_hand(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

#[test]
fn norms_and_activations() -> Result<()> {
    let (channels, places, eps) = (6, 10, 1e-5);
    let (weight, bias) = (numbers(channels, 10), numbers(channels, 11));
    let of = |numbers: &[f32]| tensor(numbers.to_vec(), &[channels]);
    let layer = GroupNorm::new(of(&weight)?, of(&bias)?, 3, eps)?;
    let slow = |x: &[f64]| -> Vec<f64> {
        let groups = x.chunks(2 * places).flat_map(|group| normed(group, eps));
        let scaled = groups.enumerate().map(|(i, n)| {
            let channel = i / places;
            f64::from(weight[channel]) * n + f64::from(bias[channel])
        });
        scaled.collect()
    };
    let dims = [1, channels, 2, 5];
    holds("group norm", &|x| layer.forward(x), &slow, &dims)?;
    let with_silu = |x: &[f64]| slow(x).into_iter().map(silu_by_hand).collect();
    holds(
        "norm and silu",
        &|x| layer.forward_silu(x),
        &with_silu,
        &dims,
    )?;
    let layer = LayerNorm::new(of(&weight)?, of(&bias)?, eps)?;
    let slow = |x: &[f64]| {
        let rows = x.chunks(channels).flat_map(|row| normed(row, eps));
        let scaled = rows.enumerate().map(|(i, n)| {
            let at = i % channels;
            f64::from(weight[at]) * n + f64::from(bias[at])
        });
        scaled.collect()
    };
    holds(
        "layer norm",
        &|x| layer.forward(x),
        &slow,
        &[1, 7, channels],
    )?;
    let slow = |x: &[f64]| x.iter().copied().map(silu_by_hand).collect();
    holds("silu", &silu, &slow, &[1, 33])
}

/// Of one sample: queries, keys and values are `x`, `x` and what `x` ends with.
fn attention_by_hand(x: &[f64], width: usize, heads: usize) -> Vec<f64> {
    let (rows, head) = (x.len() / width, width / heads);
    let mut all = vec![0.0; x.len()];
    for row in 0..rows {
        for h in 0..heads {
            let part = |row: usize| &x[row * width + h * head..][..head];
            let score = |key: usize| -> f64 {
                let products = part(row).iter().zip(part(key)).map(|(q, k)| q * k);
                products.sum::<f64>() / (head as f64).sqrt()
            };
            let powers: Vec<f64> = (0..rows).map(|key| score(key).exp()).collect();
            let total: f64 = powers.iter().sum();
            for (key, power) in powers.iter().enumerate() {
                for (i, value) in part(key).iter().enumerate() {
                    all[row * width + h * head + i] += power / total * value;
                }
            }
        }
    }
    all
}

#[test]
fn attentions() -> Result<()> {
    let (width, heads) = (6, 2);
    let of_itself = |x: &Tensor| attention(x, x, x, heads, None, false);
    let slow = |x: &[f64]| attention_by_hand(x, width, heads);
    holds("attention", &of_itself, &slow, &[1, 9, width])?;
    // More queries than a block has.
    holds("long attention", &of_itself, &slow, &[1, 141, width])
}

#[test]
fn layouts() -> Result<()> {
    let tokens = |x: &Tensor| add_tokens(x, &x.flatten_from(2)?.transpose(1, 2)?.contiguous()?);
    let slow = |x: &[f64]| x.iter().map(|x| 2.0 * x).collect();
    holds("tokens", &tokens, &slow, &[1, 3, 2, 5])?;
    for (height, width) in [(4, 6), (5, 7), (3, 3)] {
        let slow = |x: &[f64]| {
            let mut all = Vec::new();
            for map in x.chunks(6) {
                for place in 0..height * width {
                    let (row, column) = (place / width, place % width);
                    all.push(map[row * 2 / height * 3 + column * 3 / width]);
                }
            }
            all
        };
        let larger = |x: &Tensor| upsample(x, height, width);
        holds("upsample", &larger, &slow, &[1, 2, 2, 3])?;
    }
    Ok(())
}

#[test]
fn threads_and_batches_change_no_bit() -> Result<()> {
    let (channels, side) = (10, 9);
    let square = |seed| tensor(numbers(channels * channels, seed), &[channels, channels]);
    let row = |seed| tensor(numbers(channels, seed), &[channels]);
    let conv = Conv2d::new(
        tensor(
            numbers(channels * channels * 9, 1),
            &[channels, channels, 3, 3],
        )?,
        row(2)?,
        Window::square(3, 2, 1),
    )?;
    let (first, last) = (
        GroupNorm::new(row(3)?, row(4)?, 5, 1e-5)?,
        LayerNorm::new(row(5)?, row(6)?, 1e-5)?,
    );
    let into = Linear::new(square(7)?, Some(row(8)?))?;
    let gated = Geglu::new(
        tensor(
            numbers(2 * channels * channels, 9),
            &[2 * channels, channels],
        )?,
        tensor(numbers(2 * channels, 10), &[2 * channels])?,
    )?;
    let all = |x: &Tensor| {
        let x = upsample(&conv.forward(&first.forward_silu(x)?)?, side, side)?;
        let tokens = last.forward(&into.forward_map(&x)?)?;
        let tokens = attention(&tokens, &tokens, &tokens, 5, None, false)?;
        add_tokens(&x, &into.forward_plus(&gated.forward(&tokens)?, &tokens)?)
    };
    let length = channels * side * side;
    let x = numbers(3 * length, 11);
    let of = |batch: usize| -> Result<Vec<u32>> {
        let x = tensor(x[..batch * length].to_vec(), &[batch, channels, side, side])?;
        Ok(back(&all, &x, 12)?.into_iter().map(f32::to_bits).collect())
    };
    let wanted = of(3)?;
    for threads in [1, 2, 7] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.expect("a pool of threads");
        for batch in [1, 2, 3] {
            let found = pool.install(|| of(batch))?;
            assert!(
                found == wanted[..batch * length],
                "{threads} threads, batch {batch}"
            );
        }
    }
    Ok(())
}
