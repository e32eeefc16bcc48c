//! Weights that are packed from where they lie.

use candle_core::{DType, Result};
use half::{bf16, f16};

use super::numbers;
use crate::Numbers;
use crate::linear::{From, Packed, apply};
use crate::simd::Isa;

/// More than is widened at once, and no multiple of any tile.
const INPUT: usize = 1100;
const OUTPUT: usize = 45;

fn layer(isa: Isa, weight: Numbers<'_>) -> Result<Vec<f32>> {
    let packed = Packed::pack(isa, weight, None, INPUT, OUTPUT)?;
    let x = numbers(3 * INPUT, 2);
    Ok(apply(&packed, None, &x, 3, From::Rows, None))
}

#[test]
fn halves_are_packed_as_the_numbers_that_they_are() -> Result<()> {
    let weight = numbers(INPUT * OUTPUT, 1);
    let half: Vec<f16> = weight.iter().map(|x| f16::from_f32(*x)).collect();
    let brain: Vec<bf16> = weight.iter().map(|x| bf16::from_f32(*x)).collect();
    for isa in Isa::usable() {
        let wide: Vec<f32> = half.iter().map(|x| x.to_f32()).collect();
        assert_eq!(
            layer(isa, Numbers::F16(&half))?,
            layer(isa, Numbers::F32(&wide))?
        );
        let wide: Vec<f32> = brain.iter().map(|x| x.to_f32()).collect();
        assert_eq!(
            layer(isa, Numbers::Bf16(&brain))?,
            layer(isa, Numbers::F32(&wide))?
        );
    }
    Ok(())
}

#[test]
fn bytes_are_read_in_place_only_where_they_can_be() {
    // Eight bytes at any place hold a place that a number of four may begin at, and one that it may not.
    let bytes: Vec<u8> = (0..16).collect();
    let odd = bytes.as_ptr().align_offset(4) + 1;
    let even = bytes.as_ptr().align_offset(4);
    assert!(Numbers::of(DType::F32, &bytes[odd..odd + 4]).is_none());
    assert!(Numbers::of(DType::F16, &bytes[odd..odd + 4]).is_none());
    assert!(Numbers::of(DType::F64, &bytes[even..even + 8]).is_none());
    let Some(Numbers::F32(read)) = Numbers::of(DType::F32, &bytes[even..even + 8]) else {
        panic!("aligned numbers are read in place");
    };
    let words = bytes[even..even + 8].as_chunks::<4>().0;
    let wanted: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
    assert_eq!(read, wanted);
    // What does not end with a number has none.
    assert!(Numbers::of(DType::F32, &bytes[even..even + 7]).is_none());
}

#[test]
fn a_matrix_has_two_halves() {
    let all = numbers(6, 3);
    let (Numbers::F32(first), Numbers::F32(second)) = (
        Numbers::F32(&all).half(false),
        Numbers::F32(&all).half(true),
    ) else {
        panic!("halves of numbers are numbers of the same type");
    };
    assert_eq!((first, second), (&all[..3], &all[3..]));
}
