//! Memory for numbers: aligned, in huge pages where it is large, and shared between tasks that write
//! places of their own.
#![allow(
    unsafe_code,
    reason = "aligned and unwritten memory, and disjoint writes from several threads, have no safe interface"
)]

use std::cell::Cell;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

use memmap2::MmapMut;

use candle_core::Result;

/// A cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// Buffers from this many bytes on are mapped, in huge pages where the system has them.
const MAPPED_FROM: usize = 1 << 20;

/// Numbers that begin on a cache line.
pub struct Buffer {
    memory: Memory,
    len: usize,
}

enum Memory {
    Lines(Vec<Line>),
    Mapped(MmapMut),
}

impl Buffer {
    /// `len` zeros.
    ///
    /// # Errors
    /// Where the system has no room for them; the message says "out of memory".
    pub fn zeros(len: usize) -> Result<Self> {
        let bytes = len * size_of::<f32>();
        let memory = if bytes < MAPPED_FROM {
            Memory::Lines(vec![Line([0.0; 16]); len.div_ceil(16)])
        } else {
            let map = MmapMut::map_anon(bytes).map_err(|error| no_room(bytes, &error))?;
            // Fewer faults and fewer misses of the translation; a system without is only slower.
            #[cfg(target_os = "linux")]
            let _ = map.advise(memmap2::Advice::HugePage);
            Memory::Mapped(map)
        };
        Ok(Self { memory, len })
    }

    /// The numbers.
    pub fn as_slice(&self) -> &[f32] {
        let start = match &self.memory {
            Memory::Lines(lines) => lines.as_ptr().cast::<f32>(),
            Memory::Mapped(map) => map.as_ptr().cast::<f32>(),
        };
        // SAFETY: both hold at least `len` numbers, written (zeros at first), and begin on a cache line.
        unsafe { std::slice::from_raw_parts(start, self.len) }
    }

    /// The numbers, to be written.
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        let start = match &mut self.memory {
            Memory::Lines(lines) => lines.as_mut_ptr().cast::<f32>(),
            Memory::Mapped(map) => map.as_mut_ptr().cast::<f32>(),
        };
        // SAFETY: as in `as_slice`; the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(start, self.len) }
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({} numbers)", self.len)
    }
}

fn no_room(bytes: usize, error: &std::io::Error) -> candle_core::Error {
    let megabytes = bytes >> 20;
    candle_core::Error::msg(format!(
        "out of memory for {megabytes} MB of weights: {error}"
    ))
}

thread_local! {
    /// What a thread has used it keeps for its next task.
    static KEPT: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
}

/// Room for a task's intermediate numbers, on a cache line. A value rather than a function that is given the
/// task's work: a closure is compiled without the processor's instructions wherever the compiler does not
/// inline it, and each of its vector operations is then a call.
pub struct Scratch {
    lines: Vec<Line>,
    len: usize,
}

impl Scratch {
    /// `len` numbers of any value.
    pub fn new(len: usize) -> Self {
        let mut lines = KEPT.take();
        let needed = len.div_ceil(16);
        if lines.len() < needed {
            lines.resize(needed, Line([0.0; 16]));
        }
        Self { lines, len }
    }

    /// The numbers.
    pub fn numbers(&mut self) -> &mut [f32] {
        // SAFETY: the lines hold at least `len` numbers, all written, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        KEPT.set(std::mem::take(&mut self.lines));
    }
}

/// A result's numbers while tasks write them, each its own places.
pub struct Output<'a> {
    start: *mut f32,
    len: usize,
    numbers: PhantomData<&'a mut [f32]>,
}

// SAFETY: `Output` hands out pointers only to `unsafe` code, which promises that no two tasks write or
// read the same place.
unsafe impl Send for Output<'_> {}
// SAFETY: as above.
unsafe impl Sync for Output<'_> {}

impl<'a> Output<'a> {
    /// Over numbers that exist.
    pub fn over(numbers: &'a mut [f32]) -> Self {
        Self {
            start: numbers.as_mut_ptr(),
            len: numbers.len(),
            numbers: PhantomData,
        }
    }

    /// Where the `len` numbers from `at` on lie.
    ///
    /// # Panics
    /// Where they do not lie inside.
    pub fn at(&self, at: usize, len: usize) -> *mut f32 {
        assert!(
            at <= self.len && len <= self.len - at,
            "outside of the result"
        );
        // SAFETY: inside of the same numbers, as asserted.
        unsafe { self.start.add(at) }
    }

    /// The numbers `at..at + len`.
    ///
    /// # Safety
    /// No other task reads or writes these places while the slice lives.
    ///
    /// # Panics
    /// Where they do not lie inside.
    #[allow(clippy::mut_from_ref, reason = "the places are this task's own")]
    pub unsafe fn slice(&self, at: usize, len: usize) -> &mut [f32] {
        // SAFETY: inside, as `at` asserts, and nobody else's.
        unsafe { std::slice::from_raw_parts_mut(self.at(at, len), len) }
    }
}

/// A vector of `len` numbers that `fill` writes, without zeroing them first.
///
/// # Safety
/// `fill` writes every number.
pub unsafe fn filled(len: usize, fill: impl FnOnce(&Output<'_>)) -> Vec<f32> {
    let mut numbers: Vec<MaybeUninit<f32>> = Vec::with_capacity(len);
    let output = Output {
        start: numbers.as_mut_ptr().cast(),
        len,
        numbers: PhantomData,
    };
    fill(&output);
    let mut numbers = std::mem::ManuallyDrop::new(numbers);
    // SAFETY: the allocation is of `len` or more numbers, of which `fill` has written the first `len`; a
    // `MaybeUninit<f32>` has the layout of an `f32`.
    unsafe { Vec::from_raw_parts(numbers.as_mut_ptr().cast(), len, numbers.capacity()) }
}
