//! Classifiers: loading one from its files, its logits, and gradients of them.

pub(super) mod clip;
mod config;
mod layers;
mod networks;
mod picture;

use candle_core::{Device, Tensor};
use guide_compiler::plan::{Seen, Shown};

pub use config::{JudgeConfig, NetworkConfig, PlainConfig, ResNetConfig, Showing};
use layers::Activation;
use networks::Network;
pub(super) use picture::shown;

use crate::error::{ErrorKind, Result, RuntimeError};
use crate::models::gradient;
use crate::weights::Source;

/// A classifier, loaded. It computes in f32.
#[derive(Debug)]
pub struct Judge {
    config: JudgeConfig,
    network: Network,
    shown: String,
}

/// What a classifier is shown.
#[derive(Clone, Copy, Debug)]
pub enum Sight<'a> {
    /// A latent as it is, `[1, C, h, w]`.
    Latent(&'a Tensor),
    /// A picture, `[1, 3, H, W]` in 0..1.
    Picture(&'a Tensor),
}

impl Judge {
    /// Loads `config.json` and the weights of a source. `classes` are texts for a CLIP model to tell apart.
    ///
    /// # Errors
    /// `ModelIncomplete`, `BadConfig`, and what weights refuse: a tensor for another number of classes than
    /// the config names is `TensorShape`.
    pub fn load(source: &Source, classes: &[String], device: &Device) -> Result<Self> {
        let config = JudgeConfig::read(source, classes)?;
        let network = Network::load(source, &config, device)?;
        Ok(Self {
            config,
            network,
            shown: source.show(""),
        })
    }

    /// What it is.
    pub fn config(&self) -> &JudgeConfig {
        &self.config
    }

    /// Where it came from, for messages.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Whether it is shown a picture where a rule shows it this.
    pub fn sees_picture(&self) -> bool {
        self.config.sees == Seen::Image
    }

    /// Its logits of one sample at a time.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn logits(&self, sight: Sight<'_>, time: f64, showing: &Showing) -> Result<Vec<f64>> {
        let logits: Vec<f32> = self.forward(sight, time, showing)?.squeeze(0)?.to_vec1()?;
        Ok(logits.into_iter().map(f64::from).collect())
    }

    /// The gradient of the sum of its logits, weighted by `by`, by what it is shown.
    ///
    /// # Errors
    /// `TensorShape` for another number of weights than classes; what the tensor library reports.
    pub fn gradient(
        &self,
        sight: Sight<'_>,
        time: f64,
        showing: &Showing,
        by: &[f64],
    ) -> Result<Tensor> {
        let classes = self.config.labels.len();
        if by.len() != classes {
            return Err(RuntimeError::new(
                ErrorKind::TensorShape,
                format!("{} weights are given for {classes} classes", by.len()),
            ));
        }
        let by: Vec<f32> = by.iter().map(|weight| *weight as f32).collect();
        let (Sight::Latent(shown) | Sight::Picture(shown)) = sight;
        let by = Tensor::from_vec(by, (1, classes), shown.device())?;
        let logits = |shown: &Tensor| {
            let sight = match sight {
                Sight::Latent(_) => Sight::Latent(shown),
                Sight::Picture(_) => Sight::Picture(shown),
            };
            self.forward(sight, time, showing)
        };
        gradient::of(&logits, shown.clone(), by)
    }

    /// What it sees in a picture on the way, `[1, 3, H, W]` in 0..1: each a tensor `[C, places]`.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn features(&self, picture: &Tensor) -> Result<Vec<Tensor>> {
        let showing = self.config.shown(Shown::default());
        self.network.features(&picture::shown(picture, &showing)?)
    }

    fn forward(&self, sight: Sight<'_>, time: f64, showing: &Showing) -> Result<Tensor> {
        let act = showing
            .softplus
            .map_or(Activation::Relu, Activation::Softplus);
        match sight {
            Sight::Latent(latent) => self.network.forward(latent, time, act),
            Sight::Picture(picture) => {
                let picture = picture::shown(picture, showing)?;
                self.network.forward(&picture, time, act)
            }
        }
    }
}
