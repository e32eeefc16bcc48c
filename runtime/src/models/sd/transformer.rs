//! Attention over the tokens of a map: to itself, to the text, then a feed-forward layer.

use candle_core::{Module, Tensor};

use crate::error::Result;
use crate::interventions::{Hooks, Scores, Site};
use crate::kernels::{self, Geglu, GroupNorm, LayerNorm, Linear};
use crate::models::nn;
use crate::weights::Part;

/// Epsilon of the group norm before a transformer.
const MAP_NORM_EPS: f64 = 1e-6;
/// Epsilon of the layer norms inside.
const TOKEN_NORM_EPS: f64 = 1e-5;

/// The shape of a transformer.
#[derive(Clone, Copy, Debug)]
pub struct TransformerShape {
    /// Channels of the map.
    pub channels: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width of the text states.
    pub text: usize,
    /// Groups of the first norm.
    pub groups: usize,
    /// Whether the projections round the blocks are linear.
    pub linear: bool,
    /// Whether scores are computed in f32 whatever the weights.
    pub upcast: bool,
}

/// The places of a transformer's layers in the network's list: for each block self, cross, ff.
pub type TransformerLayers = Vec<[usize; 3]>;

/// A transformer over the tokens of a map (`Transformer2DModel`).
#[derive(Debug)]
pub struct Transformer {
    norm: GroupNorm,
    proj_in: Linear,
    blocks: Vec<Block>,
    proj_out: Linear,
}

impl Transformer {
    /// Takes the tensors.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape.
    pub fn load(
        part: &Part<'_>,
        shape: TransformerShape,
        layers: TransformerLayers,
    ) -> Result<Self> {
        let channels = shape.channels;
        let projection = if shape.linear {
            nn::linear
        } else {
            nn::pointwise
        };
        let blocks = layers.into_iter().enumerate();
        Ok(Self {
            norm: nn::group_norm(&part.at("norm"), shape.groups, channels, MAP_NORM_EPS)?,
            proj_in: projection(&part.at("proj_in"), channels, channels)?,
            blocks: blocks
                .map(|(i, layers)| {
                    Block::load(&part.at(format!("transformer_blocks.{i}")), shape, layers)
                })
                .collect::<Result<_>>()?,
            proj_out: projection(&part.at("proj_out"), channels, channels)?,
        })
    }

    /// Whether the layer at this place of the network's list is one of its own.
    pub fn holds(&self, layer: usize) -> bool {
        self.blocks
            .iter()
            .any(|block| block.layers.contains(&layer))
    }

    /// `x: [B, C, H, W]`, `text: [B, L, D]`; gives `[B, C, H, W]`.
    ///
    /// # Errors
    /// What the tensor library or a hook reports.
    pub fn forward(&self, x: &Tensor, text: &Tensor, hooks: &Hooks) -> Result<Tensor> {
        // Where every layer is left out, so are the projections round them.
        if self
            .blocks
            .iter()
            .all(|block| block.layers.iter().all(|layer| hooks.skips(*layer)))
        {
            return Ok(x.clone());
        }
        let (_, _, height, width) = x.dims4()?;
        let mut h = self.proj_in.forward_map(&self.norm.forward(x)?)?;
        for block in &self.blocks {
            h = block.forward(h, text, (height, width), hooks)?;
        }
        Ok(kernels::add_tokens(x, &self.proj_out.forward(&h)?)?)
    }
}

#[derive(Debug)]
struct Block {
    layers: [usize; 3],
    norm1: LayerNorm,
    own: Attention,
    norm2: LayerNorm,
    cross: Attention,
    norm3: LayerNorm,
    feed: FeedForward,
}

impl Block {
    fn load(part: &Part<'_>, shape: TransformerShape, layers: [usize; 3]) -> Result<Self> {
        let TransformerShape { channels, text, .. } = shape;
        Ok(Self {
            layers,
            norm1: nn::layer_norm(&part.at("norm1"), channels, TOKEN_NORM_EPS)?,
            own: Attention::load(&part.at("attn1"), shape, channels)?,
            norm2: nn::layer_norm(&part.at("norm2"), channels, TOKEN_NORM_EPS)?,
            cross: Attention::load(&part.at("attn2"), shape, text)?,
            norm3: nn::layer_norm(&part.at("norm3"), channels, TOKEN_NORM_EPS)?,
            feed: FeedForward::load(&part.at("ff"), channels)?,
        })
    }

    fn forward(
        &self,
        mut h: Tensor,
        text: &Tensor,
        grid: (usize, usize),
        hooks: &Hooks,
    ) -> Result<Tensor> {
        let [own, cross, feed] = self.layers;
        h = hooks.enter(hooks.site(own, grid), h)?;
        if !hooks.skips(own) {
            let normed = self.norm1.forward(&h)?;
            let site = hooks.site(own, grid);
            h = self.own.forward(&normed, &normed, &h, site, hooks)?;
        }
        if !hooks.skips(cross) {
            let normed = self.norm2.forward(&h)?;
            let site = hooks.site(cross, grid);
            h = self.cross.forward(&normed, text, &h, site, hooks)?;
        }
        if !hooks.skips(feed) {
            h = self.feed.forward(&self.norm3.forward(&h)?, &h)?;
        }
        Ok(h)
    }
}

#[derive(Debug)]
struct Attention {
    heads: usize,
    upcast: bool,
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
}

impl Attention {
    fn load(part: &Part<'_>, shape: TransformerShape, from: usize) -> Result<Self> {
        let TransformerShape {
            channels,
            heads,
            upcast,
            ..
        } = shape;
        Ok(Self {
            heads,
            upcast,
            to_q: nn::linear_no_bias(&part.at("to_q"), channels, channels)?,
            to_k: nn::linear_no_bias(&part.at("to_k"), from, channels)?,
            to_v: nn::linear_no_bias(&part.at("to_v"), from, channels)?,
            to_out: nn::linear(&part.at("to_out.0"), channels, channels)?,
        })
    }

    /// `h: [B, N, C]` asks, `from: [B, M, D]` answers; the answer is added to `onto`.
    fn forward(
        &self,
        h: &Tensor,
        from: &Tensor,
        onto: &Tensor,
        site: Site<'_>,
        hooks: &Hooks,
    ) -> Result<Tensor> {
        let values = || Ok(self.to_v.forward(from)?);
        let queries = || hooks.queries(site, self.to_q.forward(h)?);
        let (mixed, asked) = match hooks.mixed(site, &values)? {
            Some(mixed) => (mixed, None),
            None => {
                let q = queries()?;
                let keys = hooks.keys(site, self.to_k.forward(from)?)?;
                let values = self.to_v.forward(from)?;
                let bias = hooks.bias(site, keys.dim(1)?)?;
                let scores = Scores {
                    queries: &q,
                    keys: &keys,
                    heads: self.heads,
                    bias: bias.as_ref(),
                };
                hooks.attends(site, &scores)?;
                let given = self.attend_by(&q, &keys, &values, bias.as_ref())?;
                (hooks.weighed(site, &scores, &values, given)?, Some(q))
            }
        };
        let attend = |other: &Tensor| match &asked {
            Some(q) => self.attend(q, other),
            None => self.attend(&queries()?, other),
        };
        let mixed = hooks.attended(site, mixed, &attend)?;
        if hooks.reads_output(site.layer) {
            let given = hooks.output(site, self.to_out.forward(&mixed)?)?;
            return Ok((given + onto)?);
        }
        Ok(self.to_out.forward_plus(&mixed, onto)?)
    }

    /// What the queries, `[B, N, C]`, are answered by `from: [1 or B, M, D]`.
    fn attend(&self, q: &Tensor, from: &Tensor) -> Result<Tensor> {
        self.attend_by(
            q,
            &self.to_k.forward(from)?,
            &self.to_v.forward(from)?,
            None,
        )
    }

    /// The same with keys and values, `[1 or B, M, C]`, and with what is added to the scores, `[B, N, M]`.
    fn attend_by(
        &self,
        q: &Tensor,
        keys: &Tensor,
        values: &Tensor,
        bias: Option<&Tensor>,
    ) -> Result<Tensor> {
        let rows = q.dim(0)?;
        let for_each = |tensor: &Tensor| -> Result<Tensor> {
            let (_, tokens, channels) = tensor.dims3()?;
            Ok(tensor.broadcast_as((rows, tokens, channels))?)
        };
        let (k, v) = (for_each(keys)?, for_each(values)?);
        let attend = |q: &Tensor, k: &Tensor, v: &Tensor, bias: Option<&Tensor>| {
            kernels::attention(q, k, v, self.heads, bias, self.upcast)
        };
        let Some(bias) = bias else {
            return Ok(attend(q, &k, &v, None)?);
        };
        // Each sample has scores of its own added.
        let one = |row: usize| -> Result<Tensor> {
            let of = |tensor: &Tensor| tensor.narrow(0, row, 1)?.contiguous();
            let bias = bias.get(row)?.to_dtype(q.dtype())?;
            Ok(attend(&of(q)?, &of(&k)?, &of(&v)?, Some(&bias))?)
        };
        let each: Vec<Tensor> = (0..rows).map(one).collect::<Result<_>>()?;
        Ok(Tensor::cat(&each, 0)?)
    }
}

/// A gated layer and one back.
#[derive(Debug)]
struct FeedForward {
    gated: Geglu,
    out: Linear,
}

impl FeedForward {
    fn load(part: &Part<'_>, channels: usize) -> Result<Self> {
        Ok(Self {
            gated: nn::geglu(&part.at("net.0.proj"), channels, channels * 4)?,
            out: nn::linear(&part.at("net.2"), channels * 4, channels)?,
        })
    }

    /// Of `h: [B, N, C]`, added to `onto`.
    fn forward(&self, h: &Tensor, onto: &Tensor) -> Result<Tensor> {
        Ok(self.out.forward_plus(&self.gated.forward(h)?, onto)?)
    }
}
