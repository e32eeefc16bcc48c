//! The same bits for any number of threads and whatever else is in a batch.

use super::numbers;
use crate::Numbers;
use crate::attention::{self, Sizes};
use crate::conv;
use crate::linear::{self, From};
use crate::norm::{Affine, group_norm};
use crate::patches::Window;
use crate::simd::Isa;
use candle_core::Result;

/// The results of all kernels for a batch, sample by sample.
fn everything(isa: Isa, batch: usize) -> Result<Vec<Vec<u32>>> {
    let mut samples = vec![Vec::new(); batch];
    let mut keep = |numbers: Vec<f32>| {
        let length = numbers.len() / batch;
        for (sample, numbers) in samples.iter_mut().zip(numbers.chunks(length)) {
            sample.extend(numbers.iter().map(|x| x.to_bits()));
        }
    };
    let (input, output, side) = (50, 70, 9);
    let x = numbers(3 * input * side * side, 1);
    let x = &x[..batch * input * side * side];
    let weight = numbers(input * output * 9, 2);
    let window = Window::square(3, 1, 1);
    let convolution = conv::Packed::pack(
        isa,
        Numbers::F32(&weight),
        numbers(output, 3),
        (input, output),
        window,
    )?;
    keep(conv::apply(
        &convolution,
        x,
        batch,
        [side, side],
        None,
        None,
    ));

    let layer = linear::Packed::pack(
        isa,
        Numbers::F32(&weight[..input * output]),
        None,
        input,
        output,
    )?;
    let rows = batch * side * side;
    keep(linear::apply(&layer, None, x, rows, From::Rows, None));
    keep(linear::apply(
        &layer,
        Some(&layer),
        x,
        rows,
        From::Rows,
        None,
    ));
    let places = side * side;
    keep(linear::apply(
        &layer,
        None,
        x,
        rows,
        From::Map { places },
        None,
    ));

    let sizes = Sizes {
        batch,
        queries: 81,
        keys: 81,
        heads: 5,
        width: input,
    };
    keep(attention::apply(isa, sizes, x, x, x));

    let affine = Affine {
        weight: &weight[..input],
        bias: &weight[..input],
        eps: 1e-5,
    };
    keep(group_norm(isa, x, places, 10, affine, true));
    Ok(samples)
}

#[test]
fn threads_and_batches_change_no_bit() -> Result<()> {
    for isa in Isa::usable() {
        let wanted = everything(isa, 3)?;
        for threads in [1, 2, 7] {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .expect("a pool of threads");
            for batch in [1, 2, 3] {
                let found = pool.install(|| everything(isa, batch))?;
                assert!(
                    found == wanted[..batch],
                    "{isa:?}, {threads} threads, batch {batch}"
                );
            }
        }
    }
    Ok(())
}
