//! Networks: loading a model from its files, and answering a plan's questions with it.
//!
//! [`Pipeline`] takes a [`crate::weights::Source`] and is a [`crate::predictor::Predictor`]. A network
//! knows nothing of guidance; what may be changed inside it goes through [`crate::interventions`].

mod answer;
mod autoencoder;
mod conditions;
pub(crate) mod convert;
mod decoder;
pub mod embedded;
mod fields;
mod gradient;
pub mod judge;
mod judges;
mod loss;
mod network;
mod nn;
mod passes;
mod pipeline;
pub mod sd;
mod sharing;
mod text;
mod tiles;
mod unrelated;

pub use autoencoder::{Tiling, WHOLE_PIXELS};
pub use conditions::{AskedFraming, Conditions, SecondTexts};
pub use decoder::Decoder;
pub use judges::own_folder;
pub use pipeline::{MAX_SIDE, Pipeline};
