//! Plan to pictures: the executor, networks, samplers, noise and recordings.

pub mod error;
pub mod predictor;
