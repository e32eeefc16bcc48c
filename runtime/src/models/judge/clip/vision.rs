//! CLIP's picture tower (`CLIPVisionModelWithProjection`), by the tensor library's own operations, so that
//! gradients go through it.

use candle_core::{D, Tensor};

use super::VisionConfig;
use crate::error::Result;
use crate::models::judge::layers::Dense;
use crate::models::sd::ClipActivation;
use crate::weights::Part;

/// The tower.
#[derive(Debug)]
pub struct Vision {
    config: VisionConfig,
    /// Of the token that stands for the whole picture, `[1, 1, D]`.
    whole: Tensor,
    /// `[3 p p, D]`
    patches: Tensor,
    /// `[1, N, D]`
    positions: Tensor,
    before: Norm,
    layers: Vec<Layer>,
    after: Norm,
    /// `[D, P]`
    projection: Tensor,
}

impl Vision {
    /// Takes its tensors, below `vision_model` and `visual_projection`.
    ///
    /// # Errors
    /// What [`Part::tensor`] refuses.
    pub fn load(root: &Part<'_>, config: &VisionConfig) -> Result<Self> {
        let part = root.at("vision_model");
        let (width, patch) = (config.width, config.patch);
        let embeddings = part.at("embeddings");
        let tokens = config.side() * config.side() + 1;
        let patches = embeddings.tensor("patch_embedding.weight", &[width, 3, patch, patch])?;
        let projection = root.tensor("visual_projection.weight", &[config.projection, width])?;
        let layer = |at| Layer::load(&part.at("encoder.layers").at(at), config);
        Ok(Self {
            whole: embeddings
                .tensor("class_embedding", &[width])?
                .reshape((1, 1, width))?,
            patches: patches.reshape((width, ()))?.t()?.contiguous()?,
            positions: embeddings
                .tensor("position_embedding.weight", &[tokens, width])?
                .unsqueeze(0)?,
            // The name is the library's.
            before: Norm::load(&part.at("pre_layrnorm"), config)?,
            layers: (0..config.layers).map(layer).collect::<Result<_>>()?,
            after: Norm::load(&part.at("post_layernorm"), config)?,
            projection: projection.t()?.contiguous()?,
            config: config.clone(),
        })
    }

    /// What pictures become beside texts, `[B, 3, S, S]` to `[B, P]`.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn embedded(&self, shown: &Tensor) -> Result<Tensor> {
        let states = self.states(shown, self.layers.len())?;
        let whole = self.after.forward(&states.narrow(1, 0, 1)?.squeeze(1)?)?;
        Ok(whole.matmul(&self.projection)?)
    }

    /// The states after so many layers, `[B, N, D]`; the first is the whole picture's.
    ///
    /// # Errors
    /// What the tensor library reports.
    pub fn states(&self, shown: &Tensor, layers: usize) -> Result<Tensor> {
        let mut h = self.before.forward(&self.tokens(shown)?)?;
        for layer in self.layers.iter().take(layers) {
            h = layer.forward(&h, &self.config)?;
        }
        Ok(h)
    }

    /// The whole picture's token and those of the patches, with their places.
    fn tokens(&self, shown: &Tensor) -> Result<Tensor> {
        let (batch, channels, _, _) = shown.dims4()?;
        let (side, patch, width) = (self.config.side(), self.config.patch, self.config.width);
        let seen = shown
            .narrow(2, 0, side * patch)?
            .narrow(3, 0, side * patch)?
            .contiguous()?;
        let cut = seen
            .reshape(vec![batch, channels, side, patch, side, patch])?
            .permute(vec![0, 2, 4, 1, 3, 5])?
            .reshape((batch * side * side, channels * patch * patch))?;
        let patches = cut
            .matmul(&self.patches)?
            .reshape((batch, side * side, width))?;
        let whole = self.whole.broadcast_as((batch, 1, width))?.contiguous()?;
        Ok(Tensor::cat(&[&whole, &patches], 1)?.broadcast_add(&self.positions)?)
    }
}

#[derive(Debug)]
struct Layer {
    norm1: Norm,
    /// Queries, keys, values, and what leaves the attention.
    attention: [Dense; 4],
    norm2: Norm,
    fc1: Dense,
    fc2: Dense,
    activation: ClipActivation,
}

impl Layer {
    fn load(part: &Part<'_>, config: &VisionConfig) -> Result<Self> {
        let (width, inner) = (config.width, config.inner);
        let own = part.at("self_attn");
        let dense = |name: &str| Dense::load(&own.at(name), width, width);
        Ok(Self {
            norm1: Norm::load(&part.at("layer_norm1"), config)?,
            attention: [
                dense("q_proj")?,
                dense("k_proj")?,
                dense("v_proj")?,
                dense("out_proj")?,
            ],
            norm2: Norm::load(&part.at("layer_norm2"), config)?,
            fc1: Dense::load(&part.at("mlp.fc1"), width, inner)?,
            fc2: Dense::load(&part.at("mlp.fc2"), inner, width)?,
            activation: config.activation,
        })
    }

    fn forward(&self, h: &Tensor, config: &VisionConfig) -> Result<Tensor> {
        let h = (self.attend(&self.norm1.forward(h)?, config)? + h)?;
        let (batch, tokens, width) = h.dims3()?;
        let rows = self.norm2.forward(&h)?.reshape((batch * tokens, width))?;
        let inner = self.activation.apply(&self.fc1.forward(&rows)?)?;
        let given = self.fc2.forward(&inner)?.reshape((batch, tokens, width))?;
        Ok((given + h)?)
    }

    fn attend(&self, normed: &Tensor, config: &VisionConfig) -> Result<Tensor> {
        let (batch, tokens, width) = normed.dims3()?;
        let (heads, each) = (config.heads, width / config.heads);
        let rows = normed.reshape((batch * tokens, width))?;
        let [q, k, v, out] = &self.attention;
        let split = |layer: &Dense| -> Result<Tensor> {
            let split = layer
                .forward(&rows)?
                .reshape((batch, tokens, heads, each))?;
            Ok(split.transpose(1, 2)?.contiguous()?)
        };
        let (q, k, v) = (split(q)?, split(k)?, split(v)?);
        let scores = (q.matmul(&k.t()?.contiguous()?)? / (each as f64).sqrt())?;
        let given = softmax(&scores)?.matmul(&v)?;
        let given = given.transpose(1, 2)?.reshape((batch * tokens, width))?;
        Ok(out.forward(&given)?.reshape((batch, tokens, width))?)
    }
}

/// Over the last axis. The largest has no part in the gradient: it cancels.
fn softmax(scores: &Tensor) -> Result<Tensor> {
    let largest = scores.max_keepdim(D::Minus1)?.detach();
    let shares = scores.broadcast_sub(&largest)?.exp()?;
    Ok(shares.broadcast_div(&shares.sum_keepdim(D::Minus1)?)?)
}

/// A norm over the last axis.
#[derive(Debug)]
struct Norm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl Norm {
    fn load(part: &Part<'_>, config: &VisionConfig) -> Result<Self> {
        Ok(Self {
            weight: part.tensor("weight", &[config.width])?,
            bias: part.tensor("bias", &[config.width])?,
            eps: config.norm_eps,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let apart = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = apart.sqr()?.mean_keepdim(D::Minus1)?;
        let normed = apart.broadcast_div(&(variance + self.eps)?.sqrt()?)?;
        Ok(normed
            .broadcast_mul(&self.weight)?
            .broadcast_add(&self.bias)?)
    }
}
