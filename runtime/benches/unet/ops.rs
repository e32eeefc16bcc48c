//! Single layers at the sizes that they have in Stable Diffusion 1.5.

use std::time::Duration;

use candle_core::{Module, Result, Tensor};
use guide_runtime::kernels::{
    self, Conv2d, Geglu, GroupNorm, LayerNorm, Linear, Window, attention,
};

use crate::noise;
use crate::turns::{Times, difference, ms, take};

/// How often both sides take turns, and how long a turn is at least.
const TURNS: usize = 5;
const TURN: Duration = Duration::from_millis(150);

/// A layer in both ways.
struct Case {
    name: String,
    /// Multiplications and additions, for the rate.
    operations: f64,
    theirs: Box<dyn Fn() -> Result<Tensor>>,
    ours: Box<dyn Fn() -> Result<Tensor>>,
}

/// Measures all and prints the table.
pub fn run() {
    println!("\n| layer | candle, ms | guidec, ms | of candle's | guidec, GFLOP/s |");
    println!("| --- | --- | --- | --- | --- |");
    let makers: [fn() -> Vec<Case>; 5] = [convolutions, linears, attentions, activations, norms];
    for case in makers.into_iter().flat_map(|make| make()) {
        let (off, largest) = difference(&(case.theirs)().unwrap(), &(case.ours)().unwrap());
        assert!(off <= 1e-3 * largest, "{}: {off} of {largest}", case.name);
        row(&case, take(TURNS, TURN, &case.theirs, &case.ours));
    }
}

fn row(case: &Case, times: Times) {
    let rate = case.operations / times.ours.as_secs_f64() / 1e9;
    let rate = if case.operations > 0.0 {
        format!("{rate:.0}")
    } else {
        String::new()
    };
    println!(
        "| {} | {:.2} | {:.2} | {:.2} | {rate} |",
        case.name,
        ms(times.theirs),
        ms(times.ours),
        times.ratio()
    );
}

fn convolutions() -> Vec<Case> {
    // Kernel, stride, channels in and out, height and width.
    let sizes = [
        [3, 1, 320, 320, 64],
        [3, 1, 960, 320, 64],
        [3, 1, 640, 640, 32],
        [3, 1, 1280, 1280, 16],
        [3, 1, 1280, 1280, 8],
        [3, 1, 256, 256, 256],
        [3, 1, 128, 128, 256],
        [3, 2, 320, 320, 64],
        [1, 1, 960, 320, 64],
    ];
    sizes.into_iter().map(convolution).collect()
}

fn convolution([kernel, stride, input, output, side]: [usize; 5]) -> Case {
    let weight = noise(&[output, input, kernel, kernel], 1);
    let weight = (weight / ((input * kernel * kernel) as f64).sqrt()).unwrap();
    let bias = noise(&[output], 2);
    let x = noise(&[1, input, side, side], 3);
    let padding = kernel / 2;
    let config = candle_nn::Conv2dConfig {
        padding,
        stride,
        ..Default::default()
    };
    let theirs = candle_nn::Conv2d::new(weight.clone(), Some(bias.clone()), config);
    let ours = Conv2d::new(weight, bias, Window::square(kernel, stride, padding)).unwrap();
    let places = side.div_ceil(stride).pow(2);
    let stride = if stride == 1 { "" } else { ", stride 2" };
    Case {
        name: format!("{kernel}x{kernel} convolution{stride}, {input} to {output}, {side}x{side}"),
        operations: (2 * kernel * kernel * input * output * places) as f64,
        theirs: Box::new({
            let x = x.clone();
            move || theirs.forward(&x)
        }),
        ours: Box::new(move || ours.forward(&x)),
    }
}

fn linears() -> Vec<Case> {
    let sizes = [
        [4096, 320, 320],
        [4096, 1280, 320],
        [1024, 640, 640],
        [256, 1280, 1280],
        [64, 1280, 1280],
        [77, 768, 1280],
    ];
    let mut cases: Vec<Case> = sizes.into_iter().map(linear).collect();
    cases.extend([[4096, 320, 1280], [1024, 640, 2560], [256, 1280, 5120]].map(geglu));
    cases
}

fn weight(input: usize, output: usize) -> Tensor {
    (noise(&[output, input], 1) / (input as f64).sqrt()).unwrap()
}

fn linear([rows, input, output]: [usize; 3]) -> Case {
    let (weight, bias) = (weight(input, output), noise(&[output], 2));
    let x = noise(&[1, rows, input], 3);
    let theirs = candle_nn::Linear::new(weight.clone(), Some(bias.clone()));
    let ours = Linear::new(weight, Some(bias)).unwrap();
    Case {
        name: format!("linear, {rows} rows, {input} to {output}"),
        operations: (2 * rows * input * output) as f64,
        theirs: Box::new({
            let x = x.clone();
            move || theirs.forward(&x)
        }),
        ours: Box::new(move || ours.forward(&x)),
    }
}

fn geglu([rows, input, output]: [usize; 3]) -> Case {
    let (weight, bias) = (weight(input, 2 * output), noise(&[2 * output], 2));
    let x = noise(&[1, rows, input], 3);
    let linear = candle_nn::Linear::new(weight.clone(), Some(bias.clone()));
    let ours = Geglu::new(weight, bias).unwrap();
    Case {
        name: format!("linear and GEGLU, {rows} rows, {input} to {output}"),
        operations: (4 * rows * input * output) as f64,
        theirs: Box::new({
            let x = x.clone();
            move || {
                let both = linear.forward(&x)?.chunk(2, 2)?;
                &both[0] * both[1].gelu_erf()?
            }
        }),
        ours: Box::new(move || ours.forward(&x)),
    }
}

fn attentions() -> Vec<Case> {
    // Queries, keys, heads, numbers of a head.
    let sizes = [
        [4096, 4096, 8, 40],
        [1024, 1024, 8, 80],
        [256, 256, 8, 160],
        [4096, 77, 8, 40],
        [4096, 4096, 1, 512],
    ];
    sizes.into_iter().map(attend).collect()
}

fn attend([queries, keys, heads, head]: [usize; 4]) -> Case {
    let q = noise(&[1, queries, heads * head], 1);
    let k = noise(&[1, keys, heads * head], 2);
    let v = noise(&[1, keys, heads * head], 3);
    let theirs = {
        let (q, k, v) = (q.clone(), k.clone(), v.clone());
        move || {
            let split = |x: &Tensor| {
                let x = x.reshape((1, (), heads, head))?;
                x.transpose(1, 2)?.contiguous()
            };
            let scores = split(&q)?.matmul(&split(&k)?.t()?)?;
            let scores = (scores * (head as f64).powf(-0.5))?;
            let weights = candle_nn::ops::softmax_last_dim(&scores)?;
            let mixed = weights.matmul(&split(&v)?)?;
            mixed.transpose(1, 2)?.reshape(q.shape())
        }
    };
    Case {
        name: format!("attention, {queries} queries, {keys} keys, {heads} heads of {head}"),
        operations: (4 * queries * keys * heads * head) as f64,
        theirs: Box::new(theirs),
        ours: Box::new(move || {
            attention(&q, &k, &v, heads, None, false).map_err(candle_core::Error::wrap)
        }),
    }
}

fn activations() -> Vec<Case> {
    let x = noise(&[1, 320, 64, 64], 1);
    let small = noise(&[1, 640, 32, 32], 2);
    let tokens = noise(&[1, 4096, 320], 3);
    let case = |name: &str, theirs, ours| Case {
        name: name.to_owned(),
        operations: 0.0,
        theirs,
        ours,
    };
    let (a, b, c, d) = (x.clone(), x.clone(), small.clone(), x.clone());
    let also = tokens.clone();
    vec![
        case(
            "SiLU, 320x64x64",
            Box::new(move || a.silu()),
            Box::new(move || kernels::silu(&b)),
        ),
        case(
            "to twice the size, 640x32x32",
            Box::new(move || c.upsample_nearest2d(64, 64)),
            Box::new(move || kernels::upsample(&small, 64, 64)),
        ),
        case(
            "tokens to a map, and the sum, 320x64x64",
            Box::new(move || &d + also.transpose(1, 2)?.reshape(d.shape())?.contiguous()?),
            Box::new(move || kernels::add_tokens(&x, &tokens)),
        ),
    ]
}

fn norms() -> Vec<Case> {
    let (weight, bias) = (noise(&[320], 1), noise(&[320], 2));
    let theirs = candle_nn::GroupNorm::new(weight.clone(), bias.clone(), 320, 32, 1e-5).unwrap();
    let ours = GroupNorm::new(weight.clone(), bias.clone(), 32, 1e-5).unwrap();
    let (map, tokens) = (noise(&[1, 320, 64, 64], 3), noise(&[1, 4096, 320], 4));
    let layer = candle_nn::LayerNorm::new(weight.clone(), bias.clone(), 1e-5);
    let our_layer = LayerNorm::new(weight, bias, 1e-5).unwrap();
    let (same_map, same_tokens) = (map.clone(), tokens.clone());
    vec![
        Case {
            name: "group norm and SiLU, 320x64x64".to_owned(),
            operations: 0.0,
            theirs: Box::new(move || theirs.forward(&map)?.silu()),
            ours: Box::new(move || ours.forward_silu(&same_map)),
        },
        Case {
            name: "layer norm, 4096 rows of 320".to_owned(),
            operations: 0.0,
            theirs: Box::new(move || layer.forward(&tokens)),
            ours: Box::new(move || our_layer.forward(&same_tokens)),
        },
    ]
}
