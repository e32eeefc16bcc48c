//! Convolutions over maps `[B, C, H, W]`, as products of the weights with patches.
#![allow(unsafe_code, reason = "tasks write tiles of one result, each its own")]

use std::sync::Arc;

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, DType, Device, Layout, Module, Result, Shape, Tensor,
};
use rayon::prelude::*;

use super::gemm::{Column, Product, stretch};
use super::memory::{Buffer, Output, Scratch, filled};
use super::patches::Gather;
use super::simd::{Isa, Op, Simd, dispatch_to};
use super::{Numbers, Weight, backward, otherwise, slice, widths};

pub use super::patches::Window;

/// A convolution with bias.
#[derive(Debug)]
pub struct Conv2d(Form);

#[derive(Debug)]
enum Form {
    Packed(Arc<Packed>),
    Plain(candle_nn::Conv2d, Window),
}

impl Conv2d {
    /// `weight: [output, input, kernel, kernel]`, `bias: [output]`.
    ///
    /// # Errors
    /// No room for the panels; what the tensor library reports.
    pub fn new(weight: Tensor, bias: Tensor, window: Window) -> Result<Self> {
        let (output, input, ..) = weight.dims4()?;
        Self::of(Weight::Tensor(weight), [output, input], bias, window)
    }

    /// The same with weights that lie somewhere.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// Where there are not as many numbers as `output`, `input` and the window ask for.
    pub fn of(
        weight: Weight<'_>,
        [output, input]: [usize; 2],
        bias: Tensor,
        window: Window,
    ) -> Result<Self> {
        let [height, width] = window.kernel;
        if let Some(weight) = weight.clone().into_plain(&[output, input, height, width])? {
            let config = candle_nn::Conv2dConfig {
                stride: window.stride,
                ..Default::default()
            };
            let conv = candle_nn::Conv2d::new(weight, Some(bias), config);
            return Ok(Self(Form::Plain(conv, window)));
        }
        let bias = bias.to_vec1()?;
        let isa = Isa::of_this_processor();
        let packed = weight
            .with_numbers(|numbers| Packed::pack(isa, numbers, bias, (input, output), window))?;
        Ok(Self(Form::Packed(Arc::new(packed))))
    }

    /// What its numbers are.
    pub fn dtype(&self) -> DType {
        match &self.0 {
            Form::Packed(_) => DType::F32,
            Form::Plain(conv, _) => conv.weight().dtype(),
        }
    }

    /// Where it computes.
    pub fn device(&self) -> &Device {
        match &self.0 {
            Form::Packed(_) => &Device::Cpu,
            Form::Plain(conv, _) => conv.weight().device(),
        }
    }

    /// The convolution, a number for each sample and channel, `[B, output]`, added to it.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn forward_shifted(&self, x: &Tensor, shift: &Tensor) -> Result<Tensor> {
        match &self.0 {
            Form::Packed(packed) => x
                .contiguous()?
                .apply_op2(&shift.contiguous()?, Apply(packed.clone(), Extra::Shift)),
            Form::Plain(..) => self
                .forward(x)?
                .broadcast_add(&shift.unsqueeze(2)?.unsqueeze(3)?),
        }
    }

    /// The convolution, a map of its result's shape added to it.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn forward_plus(&self, x: &Tensor, plus: &Tensor) -> Result<Tensor> {
        match &self.0 {
            Form::Packed(packed) => x
                .contiguous()?
                .apply_op2(&plus.contiguous()?, Apply(packed.clone(), Extra::Plus)),
            Form::Plain(..) => plus + self.forward(x)?,
        }
    }
}

impl Module for Conv2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match &self.0 {
            Form::Packed(packed) => x
                .contiguous()?
                .apply_op1(Apply(packed.clone(), Extra::None)),
            Form::Plain(conv, window) => conv.forward(&otherwise::pad(x, window.padding)?),
        }
    }
}

/// What a second tensor means.
#[derive(Clone, Copy, Debug)]
enum Extra {
    None,
    Shift,
    Plus,
}

struct Apply(Arc<Packed>, Extra);

impl Apply {
    fn run(&self, x: &[f32], layout: &Layout, extra: &[f32]) -> Result<(CpuStorage, Shape)> {
        let Apply(packed, kind) = self;
        let [batch, channels, height, width] = layout.dims()[..] else {
            candle_core::bail!("a map has four axes, not {:?}", layout.dims());
        };
        let size = packed.window.result([height, width]);
        let Some([rows, columns]) = size.filter(|_| channels == packed.input && height * width > 0)
        else {
            candle_core::bail!(
                "a convolution for {} channels was given a map {:?}",
                packed.input,
                layout.dims()
            );
        };
        let (shift, plus) = match *kind {
            Extra::None => (None, None),
            Extra::Shift => (Some(extra), None),
            Extra::Plus => (None, Some(extra)),
        };
        let fits = |extra: Option<&[f32]>, length| extra.is_none_or(|e| e.len() == length);
        let places = rows * columns;
        if !fits(shift, batch * packed.output) || !fits(plus, batch * packed.output * places) {
            candle_core::bail!("what is added to a convolution does not fit its result");
        }
        let numbers = apply(packed, x, batch, [height, width], shift, plus);
        let shape = Shape::from((batch, packed.output, rows, columns));
        Ok((CpuStorage::F32(numbers), shape))
    }
}

impl CustomOp1 for Apply {
    fn name(&self) -> &'static str {
        "convolution"
    }
    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        self.run(slice(x, layout)?, layout, &[])
    }
    fn bwd(&self, x: &Tensor, _: &Tensor, by_result: &Tensor) -> Result<Option<Tensor>> {
        backward::conv(&self.0, x, by_result).map(Some)
    }
}

impl CustomOp2 for Apply {
    fn name(&self) -> &'static str {
        "convolution-plus"
    }
    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        extra: &CpuStorage,
        extra_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.run(slice(x, layout)?, layout, slice(extra, extra_layout)?)
    }
    fn bwd(
        &self,
        x: &Tensor,
        _: &Tensor,
        _: &Tensor,
        by_result: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let by_extra = match self.1 {
            Extra::Shift => by_result.sum((2, 3))?,
            _ => by_result.clone(),
        };
        Ok((Some(backward::conv(&self.0, x, by_result)?), Some(by_extra)))
    }
}

/// A convolution's weights in bands of output channels, each for all of the input.
#[derive(Debug)]
pub struct Packed {
    isa: Isa,
    bands: Buffer,
    bias: Vec<f32>,
    pub(super) input: usize,
    pub(super) output: usize,
    pub(super) window: Window,
}

impl Packed {
    /// `weight: [output, input, kernel, kernel]`, row-major.
    ///
    /// # Errors
    /// No room for the bands.
    ///
    /// # Panics
    /// Where the lengths do not fit.
    pub fn pack(
        isa: Isa,
        weight: Numbers<'_>,
        bias: Vec<f32>,
        (input, output): (usize, usize),
        window: Window,
    ) -> Result<Self> {
        let depth = input * window.taps();
        assert_eq!(weight.len(), depth * output);
        assert_eq!(bias.len(), output);
        let (band, _) = widths(isa);
        let mut bands = Buffer::zeros(output.next_multiple_of(band) * depth)?;
        if depth > 0 {
            bands
                .as_mut_slice()
                .par_chunks_mut(band * depth)
                .enumerate()
                .for_each(|(i, to)| {
                    let count = band.min(output - i * band);
                    weight.pack(i * band, [count, depth], band, to);
                });
        }
        Ok(Self {
            isa,
            bands,
            bias,
            input,
            output,
            window,
        })
    }
}

impl Packed {
    /// The convolution that takes the gradient by this one's result for maps of a size, with `stride - 1`
    /// zeros between its places, to the gradient by the maps: kernels turned round, from results to maps.
    ///
    /// # Errors
    /// Where there is no memory for it.
    ///
    /// # Panics
    /// Where a side has more padding than the kernel reaches over, or the result does not fit the size.
    pub fn transposed(&self, size: [usize; 2], result: [usize; 2]) -> Result<Self> {
        let Self { input, output, .. } = *self;
        let (taps, depth) = (self.window.taps(), input * self.window.taps());
        let (band, _) = widths(self.isa);
        let bands = self.bands.as_slice();
        let mut weight = vec![0f32; depth * output];
        weight
            .par_chunks_mut((output * taps).max(1))
            .enumerate()
            .for_each(|(channel, to)| {
                let rows = to.chunks_exact_mut(taps.max(1));
                for (row, to) in rows.enumerate() {
                    let first = (row / band * depth + channel * taps) * band + row % band;
                    let from = bands[first..].iter().step_by(band);
                    to.iter_mut()
                        .rev()
                        .zip(from)
                        .for_each(|(to, from)| *to = *from);
                }
            });
        let [top, left, ..] = self.window.padding;
        let mut padding = [0; 4];
        for (axis, before) in [top, left].into_iter().enumerate() {
            let spread = (result[axis] - 1) * self.window.stride + 1;
            padding[axis] = self.window.kernel[axis] - 1 - before;
            padding[axis + 2] = size[axis] + before - spread;
        }
        let window = Window {
            stride: 1,
            padding,
            ..self.window
        };
        let bias = vec![0.0; input];
        Self::pack(
            self.isa,
            Numbers::F32(&weight),
            bias,
            (output, input),
            window,
        )
    }
}

/// Panels of places whose patches are gathered at once; a quarter of a thousand places.
const PLACES: usize = 256;

/// The convolution of `batch` maps of size `size`, with `shift` `[B, output]` and `plus` added.
///
/// # Panics
/// Where the lengths do not fit, or the kernel the map.
pub fn apply(
    packed: &Packed,
    x: &[f32],
    batch: usize,
    size: [usize; 2],
    shift: Option<&[f32]>,
    plus: Option<&[f32]>,
) -> Vec<f32> {
    let Packed { output, .. } = *packed;
    assert_eq!(x.len(), batch * packed.input * size[0] * size[1]);
    let result = packed.window.result(size);
    assert!(result.is_some(), "the kernel does not fit the map");
    let [rows, width] = result.unwrap_or_default();
    let places = rows * width;
    assert!(shift.is_none_or(|shift| shift.len() == batch * output));
    assert!(plus.is_none_or(|plus| plus.len() == batch * output * places));
    let bias: Vec<f32> = (0..batch * output)
        .map(|i| packed.bias[i % output] + shift.map_or(0.0, |shift| shift[i]))
        .collect();
    let (band, columns) = widths(packed.isa);
    // Panels of all samples are one row of panels, so that small maps of a batch share their weights.
    let of_one = places.div_ceil(columns);
    let panels = batch * of_one;
    let group = (PLACES / columns).max(1);
    let bands = output.div_ceil(band);
    let cut = bands_of_a_task(panels.div_ceil(group), bands);
    let fill = |out: &Output<'_>| {
        let tasks: Vec<_> = (0..panels)
            .step_by(group)
            .flat_map(|panel| (0..bands).step_by(cut).map(move |band| (panel, band)))
            .collect();
        tasks.into_par_iter().for_each(|(panel, first)| {
            let tile = Tile {
                packed,
                x,
                size,
                bias: &bias,
                plus,
                out,
                width,
                places,
                of_one,
                panel,
                panels: group.min(panels - panel),
                first: first * band,
                rows: (cut * band).min(output - first * band),
            };
            dispatch_to(packed.isa, tile);
        });
    };
    // SAFETY: the tasks' tiles cover all panels of all samples and all bands, so every number is written.
    unsafe { filled(batch * output * places, fill) }
}

/// Every cut of the bands gathers the same patches once more, so there are as few as keep all threads busy.
/// This changes no result.
fn bands_of_a_task(tiles: usize, bands: usize) -> usize {
    let threads = rayon::current_num_threads();
    if tiles >= 3 * threads {
        return bands.max(1);
    }
    let cuts = (4 * threads).div_ceil(tiles.max(1));
    bands.div_ceil(cuts).max(2)
}

/// Some panels of places and some rows, which are channels of the result.
struct Tile<'a> {
    packed: &'a Packed,
    x: &'a [f32],
    size: [usize; 2],
    bias: &'a [f32],
    plus: Option<&'a [f32]>,
    out: &'a Output<'a>,
    width: usize,
    places: usize,
    of_one: usize,
    panel: usize,
    panels: usize,
    first: usize,
    rows: usize,
}

impl Op for Tile<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Packed {
            input,
            output,
            window,
            ..
        } = *self.packed;
        let taps = window.taps();
        let depth = input * taps;
        let step = stretch(depth, taps);
        let plans: Vec<Gather> = (0..self.panels)
            .map(|i| {
                let (_, first, count) = self.place::<S>(i);
                Gather::plan(window, self.size, self.width, (first, count), S::COLUMNS)
            })
            .collect();
        let column = |i: usize| {
            let (sample, first, valid) = self.place::<S>(i);
            let at = (sample * output + self.first) * self.places + first;
            let length = (self.rows - 1) * self.places + valid;
            let bias = &self.bias[sample * output + self.first..][..self.rows];
            Column {
                row_bias: bias.as_ptr(),
                plus: self
                    .plus
                    .map_or(std::ptr::null(), |plus| plus[at..at + length].as_ptr()),
                ..Column::bare(self.out.at(at, length), valid)
            }
        };
        let mut scratch = Scratch::new(self.panels * step * S::COLUMNS);
        let scratch = scratch.numbers();
        let mut start = 0;
        loop {
            let run = step.min(depth - start);
            let patches = &mut scratch[..self.panels * run * S::COLUMNS];
            self.gather(simd, &plans, start / taps, run / taps, patches);
            let product = Product {
                a: &self.packed.bands.as_slice()[self.first * depth + start * S::ROWS..],
                a_step: depth * S::ROWS,
                rows: self.rows,
                b: patches,
                b_step: run * S::COLUMNS,
                panels: self.panels,
                column,
                stride: self.places,
                depth: run,
                onto: start > 0,
            };
            // SAFETY: tiles of tasks do not overlap, and `column` has asserted its places.
            unsafe { product.compute(simd) };
            start += run;
            if start >= depth {
                break;
            }
        }
    }
}

impl Tile<'_> {
    /// A panel's sample, its first place and how many there are.
    #[inline(always)]
    fn place<S: Simd>(&self, i: usize) -> (usize, usize, usize) {
        let panel = self.panel + i;
        let first = panel % self.of_one * S::COLUMNS;
        (
            panel / self.of_one,
            first,
            S::COLUMNS.min(self.places - first),
        )
    }

    /// The patches of `count` channels from `first` on, a panel behind the other.
    #[inline(always)]
    fn gather<S: Simd>(
        &self,
        simd: S,
        plans: &[Gather],
        first: usize,
        count: usize,
        to: &mut [f32],
    ) {
        if count == 0 {
            return;
        }
        let map = self.size[0] * self.size[1];
        let length = self.packed.window.taps() * S::COLUMNS;
        for (i, (plan, to)) in plans
            .iter()
            .zip(to.chunks_exact_mut(count * length))
            .enumerate()
        {
            let (sample, ..) = self.place::<S>(i);
            let from = &self.x[(sample * self.packed.input + first) * map..][..count * map];
            for (from, to) in from.chunks_exact(map).zip(to.chunks_exact_mut(length)) {
                plan.channel(simd, from, to);
            }
        }
    }
}
