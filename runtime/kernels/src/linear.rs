//! Linear layers over rows, their weights in panels from the start.
#![allow(unsafe_code, reason = "tasks write tiles of one result, each its own")]

use std::sync::Arc;

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, DType, Device, Layout, Module, Result, Shape, Tensor,
};
use rayon::prelude::*;

use super::gemm::{Column, Product, pack_columns, pack_rows, put, stretch};
use super::memory::{Buffer, Output, Scratch, filled};
use super::simd::{Isa, Op, Simd, dispatch_to};
use super::{Numbers, Weight, backward, cut, math, otherwise, slice, widths};

/// `y = x w^T + b`
#[derive(Debug)]
pub struct Linear(Form);

#[derive(Debug)]
enum Form {
    Packed(Arc<Packed>),
    Plain(candle_nn::Linear),
}

impl Linear {
    /// `weight: [output, input]`, `bias: [output]`.
    ///
    /// # Errors
    /// No room for the panels.
    pub fn new(weight: Tensor, bias: Option<Tensor>) -> Result<Self> {
        let (output, input) = weight.dims2()?;
        Self::of(Weight::Tensor(weight), [output, input], bias)
    }

    /// The same with weights that lie somewhere.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// Where there are not `output` times `input` numbers.
    pub fn of(weight: Weight<'_>, shape: [usize; 2], bias: Option<Tensor>) -> Result<Self> {
        if let Some(weight) = weight.clone().into_plain(&shape)? {
            return Ok(Self(Form::Plain(candle_nn::Linear::new(weight, bias))));
        }
        let packed = weight.with_numbers(|numbers| Packed::of(numbers, shape, bias.as_ref()))?;
        Ok(Self(Form::Packed(Arc::new(packed))))
    }

    /// What its numbers are.
    pub fn dtype(&self) -> DType {
        match &self.0 {
            Form::Packed(_) => DType::F32,
            Form::Plain(linear) => linear.weight().dtype(),
        }
    }

    /// Where it computes.
    pub fn device(&self) -> &Device {
        match &self.0 {
            Form::Packed(_) => &Device::Cpu,
            Form::Plain(linear) => linear.weight().device(),
        }
    }

    /// `x w^T + b + plus`, `plus` of the result's shape.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn forward_plus(&self, x: &Tensor, plus: &Tensor) -> Result<Tensor> {
        match &self.0 {
            Form::Packed(packed) => x
                .contiguous()?
                .apply_op2(&plus.contiguous()?, Apply::rows(packed)),
            Form::Plain(linear) => linear.forward(x)? + plus,
        }
    }

    /// The same for the places of a map: `x: [B, input, H, W]` to tokens, `[B, H*W, output]`.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn forward_map(&self, x: &Tensor) -> Result<Tensor> {
        match &self.0 {
            Form::Packed(packed) => x.contiguous()?.apply_op1(Apply {
                map: true,
                ..Apply::rows(packed)
            }),
            Form::Plain(linear) => linear.forward(&otherwise::to_tokens(x)?),
        }
    }
}

impl Module for Linear {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match &self.0 {
            Form::Packed(packed) => x.contiguous()?.apply_op1(Apply::rows(packed)),
            Form::Plain(linear) => linear.forward(x),
        }
    }
}

/// `a * gelu(b)` for the two halves `a`, `b` of `x w^T + bias`, with the error function's GELU (GEGLU, Shazeer
/// 2020, arXiv 2002.05202).
#[derive(Debug)]
pub struct Geglu(Gated);

#[derive(Debug)]
enum Gated {
    Packed {
        value: Arc<Packed>,
        gate: Arc<Packed>,
    },
    Plain(candle_nn::Linear),
}

impl Geglu {
    /// `weight: [2*width, input]`, `bias: [2*width]`; the second half is the gate.
    ///
    /// # Errors
    /// No room for the panels; what the tensor library reports.
    pub fn new(weight: Tensor, bias: Tensor) -> Result<Self> {
        let (output, input) = weight.dims2()?;
        Self::of(Weight::Tensor(weight), [output, input], bias)
    }

    /// The same with weights that lie somewhere.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// Where there are not `output` times `input` numbers.
    pub fn of(weight: Weight<'_>, shape: [usize; 2], bias: Tensor) -> Result<Self> {
        if let Some(weight) = weight.clone().into_plain(&shape)? {
            let linear = candle_nn::Linear::new(weight, Some(bias));
            return Ok(Self(Gated::Plain(linear)));
        }
        let [output, input] = shape;
        let width = output / 2;
        weight.with_numbers(|numbers| {
            let half = |second: bool| {
                let bias = bias.narrow(0, if second { width } else { 0 }, width)?;
                Packed::of(numbers.half(second), [width, input], Some(&bias)).map(Arc::new)
            };
            Ok(Self(Gated::Packed {
                value: half(false)?,
                gate: half(true)?,
            }))
        })
    }
}

impl Module for Geglu {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match &self.0 {
            Gated::Packed { value, gate } => x.contiguous()?.apply_op1(Apply {
                gate: Some(gate.clone()),
                ..Apply::rows(value)
            }),
            Gated::Plain(linear) => otherwise::geglu(&linear.forward(x)?),
        }
    }
}

/// A linear layer's weights in panels, one behind the other, each for all of the input.
#[derive(Debug)]
pub struct Packed {
    pub(super) isa: Isa,
    pub(super) panels: Buffer,
    bias: Option<Vec<f32>>,
    pub(super) input: usize,
    pub(super) output: usize,
}

impl Packed {
    fn of(weight: Numbers<'_>, [output, input]: [usize; 2], bias: Option<&Tensor>) -> Result<Self> {
        let bias = bias.map(|bias| bias.to_vec1()).transpose()?;
        Self::pack(Isa::of_this_processor(), weight, bias, input, output)
    }

    /// `weight: [output, input]`, row-major.
    ///
    /// # Errors
    /// No room for the panels.
    ///
    /// # Panics
    /// Where the lengths do not fit.
    pub fn pack(
        isa: Isa,
        weight: Numbers<'_>,
        bias: Option<Vec<f32>>,
        input: usize,
        output: usize,
    ) -> Result<Self> {
        assert_eq!(weight.len(), input * output);
        assert!(bias.as_ref().is_none_or(|bias| bias.len() == output));
        let (_, columns) = widths(isa);
        let mut panels = Buffer::zeros(output.next_multiple_of(columns) * input)?;
        if input > 0 {
            panels
                .as_mut_slice()
                .par_chunks_mut(columns * input)
                .enumerate()
                .for_each(|(panel, to)| {
                    let first = panel * columns;
                    let count = columns.min(output - first);
                    weight.pack(first, [count, input], columns, to);
                });
        }
        Ok(Self {
            isa,
            panels,
            bias,
            input,
            output,
        })
    }
}

/// A linear layer for the rows of a tensor.
struct Apply {
    packed: Arc<Packed>,
    gate: Option<Arc<Packed>>,
    map: bool,
}

impl Apply {
    fn rows(packed: &Arc<Packed>) -> Self {
        Self {
            packed: packed.clone(),
            gate: None,
            map: false,
        }
    }

    fn run(&self, x: &[f32], layout: &Layout, plus: Option<&[f32]>) -> Result<(CpuStorage, Shape)> {
        let mut dims = layout.dims().to_vec();
        let from = if self.map {
            let [_, input, height, width] = dims[..] else {
                candle_core::bail!("a map has four axes, not {dims:?}");
            };
            dims = vec![dims[0], height * width, input];
            From::Map {
                places: height * width,
            }
        } else {
            From::Rows
        };
        let last = dims.last_mut();
        let Some(last) = last.filter(|last| **last == self.packed.input) else {
            candle_core::bail!(
                "a linear layer for {} numbers was given {:?}",
                self.packed.input,
                layout.dims()
            );
        };
        *last = self.packed.output;
        let rows = dims[..dims.len() - 1].iter().product();
        let numbers = apply(&self.packed, self.gate.as_deref(), x, rows, from, plus);
        Ok((CpuStorage::F32(numbers), Shape::from(dims)))
    }
}

impl Apply {
    /// The gradient by `x`.
    fn back(&self, x: &Tensor, by_result: &Tensor) -> Result<Tensor> {
        match &self.gate {
            Some(gate) => backward::geglu(&self.packed, gate, x, by_result),
            None if self.map => backward::linear_of_map(&self.packed, x, by_result),
            None => backward::linear(&self.packed, x, by_result),
        }
    }
}

impl CustomOp1 for Apply {
    fn name(&self) -> &'static str {
        "linear"
    }
    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        self.run(slice(x, layout)?, layout, None)
    }
    fn bwd(&self, x: &Tensor, _: &Tensor, by_result: &Tensor) -> Result<Option<Tensor>> {
        self.back(x, by_result).map(Some)
    }
}

impl CustomOp2 for Apply {
    fn name(&self) -> &'static str {
        "linear-plus"
    }
    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        plus: &CpuStorage,
        plus_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.run(slice(x, layout)?, layout, Some(slice(plus, plus_layout)?))
    }
    fn bwd(
        &self,
        x: &Tensor,
        _: &Tensor,
        _: &Tensor,
        by_result: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((Some(self.back(x, by_result)?), Some(by_result.clone())))
    }
}

/// How rows lie.
#[derive(Clone, Copy, Debug)]
pub enum From {
    /// One after the other.
    Rows,
    /// As the places of maps, `[B, input, places]`.
    Map {
        /// Places of a map.
        places: usize,
    },
}

/// The layer's result for `rows` rows, row-major; multiplied with the GELU of what `gate` makes of them.
/// `plus` is added, one number for each of the result.
///
/// # Panics
/// Where the lengths do not fit.
pub fn apply(
    packed: &Packed,
    gate: Option<&Packed>,
    x: &[f32],
    rows: usize,
    from: From,
    plus: Option<&[f32]>,
) -> Vec<f32> {
    let output = packed.output;
    assert_eq!(x.len(), rows * packed.input, "rows of the input");
    assert!(plus.is_none_or(|plus| plus.len() == rows * output));
    assert!(gate.is_none_or(|gate| {
        (gate.isa, gate.input, gate.output) == (packed.isa, packed.input, packed.output)
    }));
    // Tiles never cross from one map to the next.
    let group = match from {
        From::Rows => rows,
        From::Map { places } => places,
    };
    assert!(group == 0 || rows.is_multiple_of(group));
    let (band, columns) = widths(packed.isa);
    let cut = cut(group, band, output.div_ceil(columns), rows / group.max(1));
    let fill = |out: &Output<'_>| {
        let tasks = cut.tasks(rows / group.max(1));
        tasks.into_par_iter().for_each(|(sample, row, panel)| {
            let tile = Tile {
                packed,
                gate,
                x,
                from,
                plus,
                out,
                first: sample * group + row,
                rows: cut.rows.min(group - row),
                panel,
                panels: cut.panels.min(output.div_ceil(columns) - panel),
            };
            dispatch_to(packed.isa, tile);
        });
    };
    // SAFETY: the tasks' tiles cover all rows and all panels, so every number is written.
    unsafe { filled(rows * output, fill) }
}

/// Some rows and some panels of a result.
struct Tile<'a> {
    packed: &'a Packed,
    gate: Option<&'a Packed>,
    x: &'a [f32],
    from: From,
    plus: Option<&'a [f32]>,
    out: &'a Output<'a>,
    first: usize,
    rows: usize,
    panel: usize,
    panels: usize,
}

impl Op for Tile<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        if self.rows == 0 || self.panels == 0 {
            return;
        }
        match self.gate {
            None => self.product(simd),
            Some(gate) => self.gated(simd, gate),
        }
    }
}

/// So many numbers of B stay in the second cache while the bands of A pass.
const NEAR: usize = 120 << 10;

impl Tile<'_> {
    /// Lays the numbers `start..start + depth` of the tile's rows out in bands.
    #[inline(always)]
    fn pack<S: Simd>(&self, start: usize, depth: usize, to: &mut [f32]) {
        let input = self.packed.input;
        for (band, to) in to.chunks_exact_mut(depth * S::ROWS).enumerate() {
            let row = self.first + band * S::ROWS;
            let count = S::ROWS.min(self.rows - band * S::ROWS);
            match self.from {
                From::Rows => {
                    let from = &self.x[row * input + start..];
                    pack_rows(from, input, count, depth, S::ROWS, to);
                }
                From::Map { places } => {
                    let (sample, place) = (row / places, row % places);
                    let from = &self.x[(sample * input + start) * places + place..];
                    pack_columns(from, places, count, depth, S::ROWS, to);
                }
            }
        }
    }

    #[inline(always)]
    fn product<S: Simd>(&self, simd: S) {
        let Packed { input, output, .. } = *self.packed;
        let step = stretch(input, 1);
        let bands = self.rows.div_ceil(S::ROWS);
        let column = |panel: usize| {
            let first = panel * S::COLUMNS;
            let valid = S::COLUMNS.min(output - first);
            let at = self.first * output + first;
            let bias = self.packed.bias.as_ref();
            let length = (self.rows - 1) * output + valid;
            Column {
                column_bias: bias.map_or(std::ptr::null(), |bias| bias[first..].as_ptr()),
                plus: self
                    .plus
                    .map_or(std::ptr::null(), |plus| plus[at..at + length].as_ptr()),
                ..Column::bare(self.out.at(at, length), valid)
            }
        };
        let mut scratch = Scratch::new(bands * S::ROWS * step);
        let scratch = scratch.numbers();
        let mut start = 0;
        loop {
            let depth = step.min(input - start);
            let a = &mut scratch[..bands * S::ROWS * depth];
            if depth > 0 {
                self.pack::<S>(start, depth, a);
            }
            let near = (NEAR / (depth * S::COLUMNS).max(1)).max(1);
            for panel in (self.panel..self.panel + self.panels).step_by(near) {
                let product = Product {
                    a,
                    a_step: depth * S::ROWS,
                    rows: self.rows,
                    b: &self.packed.panels.as_slice()[(panel * input + start) * S::COLUMNS..],
                    b_step: input * S::COLUMNS,
                    panels: near.min(self.panel + self.panels - panel),
                    column: |i| column(panel + i),
                    stride: output,
                    depth,
                    onto: start > 0,
                };
                // SAFETY: tiles of tasks do not overlap, and `column` has asserted its places.
                unsafe { product.compute(simd) };
            }
            start += depth;
            if start >= input {
                break;
            }
        }
    }

    #[inline(always)]
    fn gated<S: Simd>(&self, simd: S, gate: &Packed) {
        /// Panels of both halves at once.
        const PANELS: usize = 4;
        let Packed { input, output, .. } = *self.packed;
        let step = stretch(input, 1);
        let bands = self.rows.div_ceil(S::ROWS);
        let width = PANELS * S::COLUMNS;
        let length = bands * S::ROWS * input;
        let aligned = length.next_multiple_of(16);
        let mut scratch = Scratch::new(aligned + 2 * self.rows * width);
        let scratch = scratch.numbers();
        let (a, halves) = scratch.split_at_mut(aligned);
        for start in (0..input).step_by(step) {
            let depth = step.min(input - start);
            let at = start * bands * S::ROWS;
            self.pack::<S>(start, depth, &mut a[at..at + bands * S::ROWS * depth]);
        }
        let (values, gates) = halves.split_at_mut(self.rows * width);
        for panel in (self.panel..self.panel + self.panels).step_by(PANELS) {
            let panels = PANELS.min(self.panel + self.panels - panel);
            self.half(simd, self.packed, &a[..length], (panel, panels), values);
            self.half(simd, gate, &a[..length], (panel, panels), gates);
            let first = panel * S::COLUMNS;
            let count = (panels * S::COLUMNS).min(output - first);
            for row in 0..self.rows {
                let to = self.out.at((self.first + row) * output + first, count);
                let from = row * width..row * width + count;
                // SAFETY: `to` has `count` places of this task's own.
                unsafe { gate_row(simd, &values[from.clone()], &gates[from], to) };
            }
        }
    }

    /// The columns of `panels` panels from `panel` on, for all rows, to `to`.
    #[inline(always)]
    fn half<S: Simd>(
        &self,
        simd: S,
        packed: &Packed,
        a: &[f32],
        (panel, panels): (usize, usize),
        to: &mut [f32],
    ) {
        let Packed { input, output, .. } = *packed;
        let step = stretch(input, 1);
        let bands = self.rows.div_ceil(S::ROWS);
        let width = to.len() / self.rows;
        let to = Output::over(to);
        let column = |i: usize| {
            let first = (panel + i) * S::COLUMNS;
            let bias = packed.bias.as_ref();
            let valid = S::COLUMNS.min(output - first);
            let length = (self.rows - 1) * width + valid;
            Column {
                column_bias: bias.map_or(std::ptr::null(), |bias| bias[first..].as_ptr()),
                ..Column::bare(to.at(i * S::COLUMNS, length), valid)
            }
        };
        for start in (0..input).step_by(step) {
            let depth = step.min(input - start);
            let product = Product {
                a: &a[start * bands * S::ROWS..],
                a_step: depth * S::ROWS,
                rows: self.rows,
                b: &packed.panels.as_slice()[(panel * input + start) * S::COLUMNS..],
                b_step: input * S::COLUMNS,
                panels,
                column,
                stride: width,
                depth,
                onto: start > 0,
            };
            // SAFETY: `to` is this task's own, and `column` has asserted its places.
            unsafe { product.compute(simd) };
        }
    }
}

/// `to = value * gelu(gate)`
///
/// # Safety
/// As many places as `values` has are writable at `to`.
#[inline(always)]
unsafe fn gate_row<S: Simd>(simd: S, values: &[f32], gates: &[f32], to: *mut f32) {
    assert_eq!(values.len(), gates.len());
    for at in (0..values.len()).step_by(S::LANES) {
        let count = S::LANES.min(values.len() - at);
        // SAFETY: `count` numbers are left of all three.
        unsafe {
            let value = super::gemm::get(simd, values.as_ptr().add(at), count);
            let gate = super::gemm::get(simd, gates.as_ptr().add(at), count);
            put(
                simd,
                to.add(at),
                count,
                simd.mul(value, math::gelu(simd, gate)),
            );
        }
    }
}
