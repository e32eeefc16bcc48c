//! The arithmetic of operations that are more than one elementwise pass: whole-sample reductions,
//! filters, and randomness.

pub mod axes;
pub mod filter;
pub mod matrix;
pub mod random;
pub mod rank;
pub mod regions;
pub mod scalar;
