//! Losses on what a network sees in a picture: a text that it shall show, a picture whose style it shall have.

use std::path::Path;

use candle_core::{DType, Device, Tensor};

use super::bad;
use crate::error::{ErrorKind, Result, RuntimeError};
use crate::image::read_picture;
use crate::models::judge::clip::{Towers, Vision, unit};
use crate::models::judge::{Judge, JudgeConfig, NetworkConfig, Showing, shown};
use crate::weights::Source;

/// What CLIP makes of a picture and of a text, which shall lie in one direction.
#[derive(Debug)]
pub struct Text {
    vision: Vision,
    showing: Showing,
    /// Of length 1, `[1, P]`.
    wanted: Tensor,
}

impl Text {
    /// The text, and the CLIP model that reads it.
    ///
    /// # Errors
    /// `NotBound` without a model, `BadBinding` for a network of another kind; what loading refuses.
    pub fn read(text: &str, network: Option<&Source>, device: &Device) -> Result<Self> {
        let Some(source) = network else {
            let message = "the loss `clip_text` needs a CLIP model";
            return Err(RuntimeError::new(ErrorKind::NotBound, message).help(
                "add `--bind NAME.network=DIR`, NAME being the loss and DIR a folder with CLIP's \
                 `config.json`, `model.safetensors`, `vocab.json` and `merges.txt`",
            ));
        };
        let config = JudgeConfig::read(source, &[])?;
        let NetworkConfig::Clip(towers) = &config.network else {
            let message = format!("`{}` reads no texts", source.show(""));
            return Err(bad(message).help("bind the folder of a CLIP model"));
        };
        let towers = Towers::load(source, towers, device)?;
        Ok(Self {
            wanted: towers.texts(&[text.to_owned()])?,
            vision: towers.vision,
            showing: config.shown(Default::default()),
        })
    }

    /// The squared distance of the two directions, f32: 2 less twice their cosine.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn distance(&self, picture: &Tensor) -> Result<Tensor> {
        let seen = shown(picture, &self.showing)?;
        let found = unit(&self.vision.embedded(&seen)?)?;
        Ok(found.broadcast_sub(&self.wanted)?.sqr()?.sum_all()?)
    }
}

/// The style of a picture: how strongly what a network sees occurs together, wherever it is (Gatys et al.
/// 2015, arXiv 1508.06576).
#[derive(Debug)]
pub struct Style {
    network: Judge,
    /// Of every map, `[C, C]`, f64.
    wanted: Vec<Tensor>,
}

impl Style {
    /// The style of a picture, brought to that height and width, as a network sees it.
    ///
    /// # Errors
    /// `Unreadable` for the file; `BadBinding` for a network that sees no pictures; what loading refuses.
    pub fn read(
        file: &str,
        (height, width): (usize, usize),
        network: &Source,
        device: &Device,
    ) -> Result<Self> {
        let network = Judge::load(network, &[], device)?;
        if !network.sees_picture() {
            let message = format!("`{}` sees no pictures", network.shown());
            return Err(bad(message).help("bind a network that does: a classifier, or CLIP"));
        }
        let picture = read_picture(Path::new(file), height, width)?.to_device(device)?;
        let wanted = grams(&network, &picture)?;
        Ok(Self { network, wanted })
    }

    /// The squared distance of the styles, each map's as a share of what is wanted; the mean over the maps,
    /// f64.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn distance(&self, picture: &Tensor) -> Result<Tensor> {
        let mut sum = Tensor::zeros((), DType::F64, picture.device())?;
        for (found, wanted) in grams(&self.network, picture)?.iter().zip(&self.wanted) {
            let all = wanted.sqr()?.sum_all()?;
            sum = (sum + ((found - wanted)?.sqr()?.sum_all()? / all)?)?;
        }
        Ok((sum / self.wanted.len().max(1) as f64)?)
    }
}

/// Of every map the mean over places of the products of its channels.
fn grams(network: &Judge, picture: &Tensor) -> Result<Vec<Tensor>> {
    let maps = network.features(picture)?;
    let gram = |map: &Tensor| -> Result<Tensor> {
        let map = map.to_dtype(DType::F64)?;
        let places = map.dim(1)? as f64;
        Ok((map.matmul(&map.t()?.contiguous()?)? / places)?)
    };
    maps.iter().map(gram).collect()
}
