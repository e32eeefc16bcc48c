//! Stable Diffusion 1.x and 2.x: a text encoder, a UNet and an autoencoder.
//!
//! The networks know nothing of guidance. What may be changed inside the UNet goes through the hooks of
//! [`crate::interventions`].

mod blocks;
mod clip;
mod config;
mod facts;
mod resnet;
mod time;
mod transformer;
mod unet;
mod vae;

pub use clip::TextEncoder;
pub use config::{ClipActivation, ClipConfig, UNetConfig, VaeConfig};
pub use facts::facts;
pub(super) use facts::space;
pub use time::sinusoids;
pub use unet::{UNet, layer_names};
pub use vae::Vae;
