//! Weights: finding the files of a model, mapping them, checking them and handing out tensors.
//!
//! Takes a [`Source`] and the path of a part (`unet`); gives tensors by name, each with the shape that
//! the network expects; refuses pickles, damaged files and tensors that are missing or of another shape.

#[cfg(feature = "download")]
pub mod download;
mod file;
pub mod find;
mod lora;
mod mapped;
mod mounted;
mod naming;
mod part;
pub mod published;
mod single;
mod source;
#[cfg(feature = "download")]
mod wanted;

pub use file::WeightsFile;
pub use lora::Lora;
pub use mapped::Bytes;
pub use mounted::{Changes, Predicts};
pub use naming::{Naming, Stored, Taken};
pub use part::{Part, Weights};
pub use single::SingleFile;
pub use source::{Embedded, Source};
