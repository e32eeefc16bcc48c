//! In which portions the pictures of a batch are made, where those that are finished are kept.

use std::ops::Range;

use guide_compiler::plan::Plan;

/// Numbers of the latents of pictures that are made together: what is finished is kept when a run is stopped.
const AT_ONCE: usize = 1 << 16;

/// How many pictures are made together; all where they see one another.
pub fn at_once(plan: &Plan, batch: u32) -> u32 {
    if plan.couples() {
        return batch.max(1);
    }
    let sides = plan.head.model.latent.iter();
    let each: usize = sides.map(|side| *side as usize).product();
    (AT_ONCE / each.max(1)).clamp(1, batch.max(1) as usize) as u32
}

/// Samples in a row, so many at most.
pub fn in_a_row(open: &[u32], most: u32) -> Vec<Range<u32>> {
    let mut rows: Vec<Range<u32>> = Vec::new();
    for sample in open {
        match rows.last_mut() {
            Some(row) if row.end == *sample && row.end - row.start < most => row.end += 1,
            _ => rows.push(*sample..sample + 1),
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::in_a_row;

    #[test]
    fn what_is_there_parts_what_is_open() {
        assert_eq!(in_a_row(&[0, 1, 2, 3, 4], 2), [0..2, 2..4, 4..5]);
        assert_eq!(in_a_row(&[1, 2, 5], 8), [1..3, 5..6]);
        assert!(in_a_row(&[], 8).is_empty());
    }
}
