//! Weights: finding the files of a model, mapping them, checking them and handing out tensors.
//!
//! Takes a [`Source`] and the path of a part (`unet`); gives tensors by name, each with the shape that
//! the network expects; refuses pickles, damaged files and tensors that are missing or of another shape.

#[cfg(feature = "download")]
pub mod download;
mod file;
pub mod find;
mod mapped;
mod part;
pub mod published;
mod source;
#[cfg(feature = "download")]
mod wanted;

pub use file::WeightsFile;
pub use mapped::Bytes;
pub use part::{Part, Weights};
pub use source::{Embedded, Source};
