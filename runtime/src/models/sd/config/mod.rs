//! The configs of Stable Diffusion's three networks: every field that 1.x, 2.x and XL use; any value that
//! would change a network in a way this runtime does not know is refused.

mod clip;
mod unet;
mod vae;

pub use clip::{ClipActivation, ClipConfig};
pub use unet::{AddedConfig, PICTURE_NUMBERS, UNetConfig};
pub use vae::VaeConfig;
