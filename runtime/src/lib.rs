//! Plan to pictures: the executor, networks, samplers, noise and recordings.

pub mod error;
pub mod exec;
pub mod noise;
pub mod ops;
pub mod predictor;
pub mod samplers;
