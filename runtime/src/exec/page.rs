//! A part of a tick's result while it is written: room that nobody clears before.
//!
//! Clearing takes as long as the arithmetic of a simple rule. So each sample's share is written from
//! its start on, it is known how far, and only what was written can be read.

use std::mem::MaybeUninit;

use super::kernels;

/// How far a sample's share is written.
#[derive(Clone, Copy, Debug)]
struct Mark {
    written: usize,
    /// Whether all that was written is finite.
    finite: bool,
}

/// A part of a result, for all samples.
#[derive(Debug)]
pub(super) struct Page {
    /// INVARIANT: empty, with room for all samples; the first `written` elements of sample `b`'s
    /// share, which begins at `b * share`, hold numbers.
    room: Vec<f32>,
    share: usize,
    marks: Vec<Mark>,
}

/// A sample's share of a page.
#[derive(Debug)]
pub(super) struct Sheet<'a> {
    /// INVARIANT: its first `mark.written` elements hold numbers.
    room: &'a mut [MaybeUninit<f32>],
    mark: &'a mut Mark,
}

impl Page {
    /// Room for `samples` times `share` numbers.
    pub fn new(samples: usize, share: usize) -> Self {
        let mark = Mark {
            written: 0,
            finite: true,
        };
        Self {
            room: Vec::with_capacity(samples * share),
            share,
            marks: vec![mark; samples],
        }
    }

    /// Each sample's share.
    pub fn sheets(&mut self) -> impl Iterator<Item = Sheet<'_>> {
        let rooms = self.room.spare_capacity_mut().chunks_mut(self.share.max(1));
        rooms
            .zip(&mut self.marks)
            .map(|(room, mark)| Sheet { room, mark })
    }

    /// What was written of a sample.
    #[allow(unsafe_code, reason = "reads what is known to be written")]
    pub fn written(&self, sample: usize) -> &[f32] {
        let Some(mark) = self.marks.get(sample) else {
            return &[];
        };
        // SAFETY: the share lies within the room, and its first `written` elements hold numbers.
        unsafe {
            let share = self.room.as_ptr().add(sample * self.share);
            std::slice::from_raw_parts(share, mark.written)
        }
    }

    /// All numbers; what was not written is 0.
    #[allow(unsafe_code, reason = "takes over what is known to be written")]
    pub fn into_numbers(mut self) -> Vec<f32> {
        let share = self.share;
        for mut sheet in self.sheets() {
            sheet.clear_until(share);
        }
        let length = self.marks.len() * share;
        // SAFETY: the room is for so many, and every share has just been written to its end.
        unsafe { self.room.set_len(length) };
        self.room
    }
}

impl Sheet<'_> {
    /// How many numbers it has room for.
    pub fn len(&self) -> usize {
        self.room.len()
    }

    /// Whether all that was written is finite.
    pub fn is_finite(&self) -> bool {
        self.mark.finite
    }

    /// What was written.
    #[allow(unsafe_code, reason = "reads what is known to be written")]
    pub fn written(&self) -> &[f32] {
        let room: *const [MaybeUninit<f32>] = &self.room[..self.mark.written];
        // SAFETY: these elements hold numbers, and `MaybeUninit<f32>` is laid out as `f32`.
        unsafe { &*(room as *const [f32]) }
    }

    /// Writes numbers from place `from` on; what lies between is 0.
    pub fn write(&mut self, from: usize, numbers: &[f32]) {
        self.clear_until(from);
        self.room[from..from + numbers.len()].write_copy_of_slice(numbers);
        self.mark.written = self.mark.written.max(from + numbers.len());
        self.mark.finite &= kernels::finite(numbers);
    }

    /// Writes one number everywhere, over what was written.
    pub fn fill(&mut self, number: f32) {
        self.room.fill(MaybeUninit::new(number));
        self.mark.written = self.room.len();
        self.mark.finite = number.is_finite();
    }

    fn clear_until(&mut self, end: usize) {
        if let Some(gap) = self.room.get_mut(self.mark.written..end) {
            gap.fill(MaybeUninit::new(0.0));
            self.mark.written = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_written_is_read_and_the_rest_is_0() {
        let mut page = Page::new(2, 3);
        let mut sheets = page.sheets();
        let (mut first, mut second) = (sheets.next().expect("one"), sheets.next().expect("two"));
        assert_eq!((first.len(), first.written()), (3, [].as_slice()));
        first.write(1, &[5.0]);
        assert_eq!(first.written(), [0.0, 5.0]);
        first.write(0, &[4.0]);
        assert_eq!(first.written(), [4.0, 5.0]);
        assert!(first.is_finite());
        second.write(0, &[f32::NAN, 1.0, 2.0]);
        assert!(!second.is_finite());
        second.fill(7.0);
        assert!(second.is_finite());
        drop(sheets);
        assert_eq!(page.written(0), [4.0, 5.0]);
        assert_eq!(page.written(1), [7.0, 7.0, 7.0]);
        assert_eq!(page.into_numbers(), [4.0, 5.0, 0.0, 7.0, 7.0, 7.0]);
    }

    #[test]
    fn no_room_is_no_sheet() {
        assert!(Page::new(0, 4).into_numbers().is_empty());
        assert!(Page::new(3, 0).into_numbers().is_empty());
        assert!(Page::new(1, 2).written(1).is_empty());
    }
}
