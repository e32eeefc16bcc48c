//! Stable Diffusion 1.x, 2.x and XL: text encoders, a UNet and an autoencoder.
//!
//! The networks know nothing of guidance. What may be changed inside the UNet goes through the hooks of
//! [`crate::interventions`].

mod back;
mod blocks;
mod clip;
mod config;
mod facts;
mod framing;
mod memory;
mod resnet;
mod span;
mod time;
mod transformer;
mod unet;
mod vae;

pub use clip::{States, TextEncoder};
pub use config::{AddedConfig, ClipActivation, ClipConfig, UNetConfig, VaeConfig};
pub use facts::facts;
pub(super) use facts::space;
pub use framing::Framing;
pub use span::{Begun, Span};
pub use time::sinusoids;
pub use unet::{Added, Conditioning, UNet, layer_names};
pub use vae::Vae;
