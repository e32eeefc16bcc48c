//! Plan to pictures: the executor, networks, samplers, noise and recordings.

pub mod device;
pub mod error;
pub mod eval;
pub mod exec;
mod files;
pub mod fit;
pub mod image;
pub mod inputs;
pub mod interventions;
pub mod latents;
pub mod measures;
pub mod memo;
pub mod models;
pub mod noise;
pub mod ops;
pub mod optimise;
pub mod predictor;
pub mod probe;
pub mod prompt;
pub mod recording;
pub mod run;
pub mod samplers;
mod start;
pub mod tokenizer;
pub mod trajectory;
pub mod weights;

/// The layers of networks on a CPU.
pub use guide_kernels as kernels;
