//! Rows to columns, in blocks of four by four.
#![allow(unsafe_code, reason = "blocks are read and written through pointers")]

/// `to[c * to_stride + r] = from[r * from_stride + c]`
///
/// # Panics
/// Where `rows` by `columns` numbers do not lie in both.
#[inline(always)]
pub fn transpose(
    from: &[f32],
    from_stride: usize,
    [rows, columns]: [usize; 2],
    to: &mut [f32],
    to_stride: usize,
) {
    if rows == 0 || columns == 0 {
        return;
    }
    assert!(from.len() >= (rows - 1) * from_stride + columns);
    assert!(to.len() >= (columns - 1) * to_stride + rows);
    // SAFETY: both hold all rows and columns, as asserted.
    unsafe {
        transpose_to(
            from.as_ptr(),
            from_stride,
            [rows, columns],
            to.as_mut_ptr(),
            to_stride,
        );
    }
}

/// The same through pointers, for a result that other tasks write between.
///
/// # Safety
/// `columns` numbers of each of `rows` rows are readable, and their places writable and nobody else's.
#[inline(always)]
pub unsafe fn transpose_to(
    from: *const f32,
    from_stride: usize,
    [rows, columns]: [usize; 2],
    to: *mut f32,
    to_stride: usize,
) {
    for column in (0..columns).step_by(4) {
        for row in (0..rows).step_by(4) {
            // SAFETY: every place below is of a row below `rows` and a column below `columns`.
            unsafe {
                let from = from.add(row * from_stride + column);
                let to = to.add(column * to_stride + row);
                if row + 4 <= rows && column + 4 <= columns {
                    four(from, from_stride, to, to_stride);
                } else {
                    for r in 0..4.min(rows - row) {
                        for c in 0..4.min(columns - column) {
                            *to.add(c * to_stride + r) = *from.add(r * from_stride + c);
                        }
                    }
                }
            }
        }
    }
}

/// A block of four by four.
///
/// # Safety
/// As for [`transpose_to`].
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn four(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
    use std::arch::x86_64::{_MM_TRANSPOSE4_PS, _mm_loadu_ps, _mm_storeu_ps};
    // SAFETY: the caller's promise; every x86-64 processor has these instructions.
    unsafe {
        let mut a = _mm_loadu_ps(from);
        let mut b = _mm_loadu_ps(from.add(from_stride));
        let mut c = _mm_loadu_ps(from.add(2 * from_stride));
        let mut d = _mm_loadu_ps(from.add(3 * from_stride));
        _MM_TRANSPOSE4_PS(&mut a, &mut b, &mut c, &mut d);
        _mm_storeu_ps(to, a);
        _mm_storeu_ps(to.add(to_stride), b);
        _mm_storeu_ps(to.add(2 * to_stride), c);
        _mm_storeu_ps(to.add(3 * to_stride), d);
    }
}

/// A block of four by four.
///
/// # Safety
/// As for [`transpose_to`].
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
unsafe fn four(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
    for r in 0..4 {
        for c in 0..4 {
            // SAFETY: the caller's promise.
            unsafe { *to.add(c * to_stride + r) = *from.add(r * from_stride + c) };
        }
    }
}
