//! Linear layers and GEGLU.

use super::{Terms, close, numbers};
use crate::Numbers;
use crate::linear::{From, Packed, apply};
use crate::simd::Isa;
use candle_core::Result;

const SHAPES: [(usize, usize, usize); 8] = [
    (1, 1, 1),
    (1, 320, 7),
    (13, 77, 31),
    (193, 385, 65),
    (5, 769, 33),
    (25, 3, 97),
    (400, 40, 40),
    (2, 1283, 64),
];

fn by_hand(x: &[f32], weight: &[f32], bias: Option<&[f32]>, input: usize) -> Vec<Terms> {
    let output = weight.len() / input;
    let mut all = Vec::new();
    for row in x.chunks(input) {
        for o in 0..output {
            let mut terms = Terms::default();
            for (x, w) in row.iter().zip(&weight[o * input..]) {
                terms.add(f64::from(*x) * f64::from(*w));
            }
            terms.add(bias.map_or(0.0, |bias| f64::from(bias[o])));
            all.push(terms);
        }
    }
    all
}

#[test]
fn linears_are_what_loops_give() -> Result<()> {
    for isa in Isa::usable() {
        for (rows, input, output) in SHAPES {
            let (x, weight) = (numbers(rows * input, 1), numbers(output * input, 2));
            let (bias, plus) = (numbers(output, 3), numbers(rows * output, 4));
            let packed = Packed::pack(
                isa,
                Numbers::F32(&weight),
                Some(bias.clone()),
                input,
                output,
            )?;
            let mut wanted = by_hand(&x, &weight, Some(&bias), input);
            let found = apply(&packed, None, &x, rows, From::Rows, None);
            close(isa, &found, &wanted, &format!("{rows}x{input}x{output}"));

            let bare = Packed::pack(isa, Numbers::F32(&weight), None, input, output)?;
            let found = apply(&bare, None, &x, rows, From::Rows, None);
            let without = by_hand(&x, &weight, None, input);
            close(isa, &found, &without, "without bias");

            wanted
                .iter_mut()
                .zip(&plus)
                .for_each(|(wanted, plus)| wanted.add(f64::from(*plus)));
            let found = apply(&packed, None, &x, rows, From::Rows, Some(&plus));
            close(isa, &found, &wanted, "plus");
        }
    }
    Ok(())
}

#[test]
fn the_places_of_a_map_are_its_rows() -> Result<()> {
    for isa in Isa::usable() {
        let (batch, input, places, output) = (3, 50, 67, 37);
        let map = numbers(batch * input * places, 5);
        let weight = numbers(output * input, 6);
        let rows: Vec<f32> = (0..batch * places * input)
            .map(|i| {
                let (sample, place, c) = (i / input / places, i / input % places, i % input);
                map[(sample * input + c) * places + place]
            })
            .collect();
        let packed = Packed::pack(isa, Numbers::F32(&weight), None, input, output)?;
        let found = apply(
            &packed,
            None,
            &map,
            batch * places,
            From::Map { places },
            None,
        );
        let wanted = by_hand(&rows, &weight, None, input);
        close(isa, &found, &wanted, "map");
    }
    Ok(())
}

#[test]
fn geglu_is_the_value_times_gelu_of_the_gate() -> Result<()> {
    for isa in Isa::usable() {
        for (rows, input, output) in SHAPES {
            let x: Vec<f32> = numbers(rows * input, 7).iter().map(|x| 3.0 * x).collect();
            let (values, gates) = (numbers(output * input, 8), numbers(output * input, 9));
            let (bias, gate_bias) = (numbers(output, 10), numbers(output, 11));
            let value = Packed::pack(
                isa,
                Numbers::F32(&values),
                Some(bias.clone()),
                input,
                output,
            )?;
            let gate = Packed::pack(
                isa,
                Numbers::F32(&gates),
                Some(gate_bias.clone()),
                input,
                output,
            )?;
            let found = apply(&value, Some(&gate), &x, rows, From::Rows, None);
            let values = by_hand(&x, &values, Some(&bias), input);
            let gates = by_hand(&x, &gates, Some(&gate_bias), input);
            for ((found, value), gate) in found.iter().zip(values).zip(gates) {
                let gelu =
                    gate.sum * 0.5 * (1.0 + super::elementwise::erf(gate.sum * 0.5f64.sqrt()));
                // The derivative of GELU is at most 1.13; its own error is 2e-7 of the gate.
                let room =
                    value.sum.abs() * (1.2e-6 * gate.size + 3e-7) + 1e-6 * value.size * gelu.abs();
                let off = (f64::from(*found) - value.sum * gelu).abs();
                assert!(
                    off <= room + 1e-30,
                    "{isa:?}: {found}, {}",
                    value.sum * gelu
                );
            }
        }
    }
    Ok(())
}

#[test]
fn a_nan_reaches_its_row_and_no_other() -> Result<()> {
    for isa in Isa::usable() {
        let (rows, input, output) = (29, 50, 41);
        let mut x = numbers(rows * input, 12);
        x[7 * input + 49] = f32::NAN;
        let weight = numbers(output * input, 13);
        let packed = Packed::pack(isa, Numbers::F32(&weight), None, input, output)?;
        let found = apply(&packed, None, &x, rows, From::Rows, None);
        for (row, numbers) in found.chunks(output).enumerate() {
            assert!(numbers.iter().all(|x| x.is_nan() == (row == 7)), "{isa:?}");
        }
        let gated = apply(&packed, Some(&packed), &x, rows, From::Rows, None);
        assert!(gated[7 * output..8 * output].iter().all(|x| x.is_nan()));
        assert!(gated[8 * output..].iter().all(|x| x.is_finite()));
    }
    Ok(())
}

#[test]
fn huge_and_tiny_numbers_keep_their_digits() -> Result<()> {
    for isa in Isa::usable() {
        for size in [1e-18f32, 1e17] {
            let x: Vec<f32> = numbers(17 * 400, 14).iter().map(|x| x * size).collect();
            let weight: Vec<f32> = numbers(9 * 400, 15).iter().map(|x| x * size).collect();
            let packed = Packed::pack(isa, Numbers::F32(&weight), None, 400, 9)?;
            let found = apply(&packed, None, &x, 17, From::Rows, None);
            close(isa, &found, &by_hand(&x, &weight, None, 400), "sizes");
        }
    }
    Ok(())
}
