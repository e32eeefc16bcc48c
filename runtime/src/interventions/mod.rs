//! What may be changed inside a network while it predicts.
//!
//! A network consults [`Hook`]s at each layer and knows of no single one; an intervention knows nothing
//! of the language. [`build`] turns a plan's interventions into hooks for a network's layers.

mod bias_attention;
mod blur_attention;
mod borrow;
mod build;
mod identity_attention;
pub mod layers;
mod negative_attention;
mod push_apart;
mod regions;
mod scale_skips;
mod scores;
mod shuffle_tokens;
mod skip_layers;
mod sparse_attention;
mod steer_away;
mod watch;

use std::fmt;
use std::sync::Arc;

use candle_core::Tensor;

use crate::error::{ErrorKind, Result, RuntimeError};

pub use bias_attention::{Bias, BiasAttention};
pub use blur_attention::BlurAttention;
pub use borrow::{Borrowed, Keep, Kept, Lent, borrowed, row, stacked};
pub use build::{KNOWN, Operands, build};
pub use identity_attention::IdentityAttention;
pub use negative_attention::{NegativeAttention, TokenNorm};
pub use push_apart::PushApart;
pub use scale_skips::ScaleSkips;
pub use scores::Scores;
pub use shuffle_tokens::ShuffleTokens;
pub use skip_layers::SkipLayers;
pub use sparse_attention::SparseAttention;
pub use steer_away::SteerAway;
pub use watch::Watch;

/// Where an attention happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site<'a> {
    /// The layer's place in the network's list of layers.
    pub layer: usize,
    /// Height and width of the map that the queries come from.
    pub grid: (usize, usize),
    /// Which rows of the question the samples are, in order.
    pub rows: &'a [usize],
}

/// Where the way up meets what the way down has kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Joint {
    /// The level on the way up; 0 is the coarsest.
    pub level: usize,
    /// The channels of what comes up, in those of the finest level.
    pub widths: f64,
}

/// What an attention's own queries give for other states, `[1 or B, M, D]`: `[B, N, C]`.
pub type Attended<'a> = dyn Fn(&Tensor) -> Result<Tensor> + 'a;

/// What a layer asks before it works. Every answer has a default that changes nothing.
pub trait Hook: fmt::Debug + Send + Sync {
    /// Whether the layer is left out, so that its input is its output.
    fn skips(&self, layer: usize) -> bool {
        let _ = layer;
        false
    }

    /// What the attention gives instead of `softmax(q k^T) v`, before its output projection:
    /// `[B, N, C]`. `values` computes `v`, `[B, M, C]`.
    ///
    /// # Errors
    /// What the tensor library reports.
    fn mixed(&self, site: Site<'_>, values: &dyn Fn() -> Result<Tensor>) -> Result<Option<Tensor>> {
        let _ = (site, values);
        Ok(None)
    }

    /// The queries, `[B, N, C]`, as the attention shall see them.
    ///
    /// # Errors
    /// What the tensor library reports.
    fn queries(&self, site: Site<'_>, queries: Tensor) -> Result<Tensor> {
        let _ = site;
        Ok(queries)
    }

    /// The keys, `[B, M, C]`, as the attention shall see them.
    ///
    /// # Errors
    /// What the tensor library reports.
    fn keys(&self, site: Site<'_>, keys: Tensor) -> Result<Tensor> {
        let _ = site;
        Ok(keys)
    }

    /// Whether it is to be shown the residual branch of a resnet.
    fn sees_residual(&self, layer: usize) -> bool {
        let _ = layer;
        false
    }

    /// What a resnet adds to its input instead of `residual`, `[B, C, H, W]`.
    ///
    /// # Errors
    /// What the tensor library reports.
    fn residual(&self, layer: usize, residual: &Tensor) -> Result<Option<Tensor>> {
        let _ = (layer, residual);
        Ok(None)
    }

    /// What the attention gives, `[B, N, C]`, as its output projection shall see it. `attend` gives the
    /// same queries' answer for other states.
    ///
    /// # Errors
    /// What the tensor library reports.
    fn attended(&self, site: Site<'_>, given: Tensor, attend: &Attended<'_>) -> Result<Tensor> {
        let _ = (site, attend);
        Ok(given)
    }

    /// What is added to every head's scores for this many keys, `[B, N, M]`.
    ///
    /// # Errors
    /// What the tensor library reports.
    fn bias(&self, site: Site<'_>, keys: usize) -> Result<Option<Tensor>> {
        let _ = (site, keys);
        Ok(None)
    }

    /// Is shown what attends to what.
    ///
    /// # Errors
    /// What the tensor library reports.
    fn attends(&self, site: Site<'_>, scores: &Scores<'_>) -> Result<()> {
        let _ = (site, scores);
        Ok(())
    }

    /// What the attention gives, `[B, N, C]`, by its scores and its values, `[B, M, C]`.
    ///
    /// # Errors
    /// What the tensor library reports.
    fn weighed(
        &self,
        site: Site<'_>,
        scores: &Scores<'_>,
        values: &Tensor,
        given: Tensor,
    ) -> Result<Tensor> {
        let _ = (site, scores, values);
        Ok(given)
    }

    /// Whether [`Hook::output`] is asked about this layer.
    fn reads_output(&self, layer: usize) -> bool {
        let _ = layer;
        false
    }

    /// What an attention adds, `[B, N, C]`, after its output projection.
    ///
    /// # Errors
    /// What the tensor library reports.
    fn output(&self, site: Site<'_>, given: Tensor) -> Result<Tensor> {
        let _ = site;
        Ok(given)
    }

    /// The tokens, `[B, N, C]`, that enter a transformer block, of whose self-attention `site` is.
    ///
    /// # Errors
    /// What the tensor library reports.
    fn enter(&self, site: Site<'_>, tokens: Tensor) -> Result<Tensor> {
        let _ = site;
        Ok(tokens)
    }

    /// What comes up and what the way down has kept, each `[B, C, H, W]`, before they are put together.
    ///
    /// # Errors
    /// What the tensor library reports.
    fn joined(&self, joint: Joint, way: Tensor, kept: Tensor) -> Result<(Tensor, Tensor)> {
        let _ = joint;
        Ok((way, kept))
    }

    /// Whether samples see one another, so that all rows of a question go through together.
    fn couples(&self) -> bool {
        false
    }
}

/// The hooks of one prediction, in order. Empty for an ordinary one, at no cost.
#[derive(Clone, Debug, Default)]
pub struct Hooks {
    list: Vec<Arc<dyn Hook>>,
    rows: Vec<usize>,
}

impl Hooks {
    /// No change.
    pub const NONE: &'static Hooks = &Hooks {
        list: Vec::new(),
        rows: Vec::new(),
    };

    /// These hooks, in this order, for the first rows of a question.
    pub fn of(list: Vec<Arc<dyn Hook>>) -> Self {
        let rows = Vec::new();
        Self { list, rows }
    }

    /// The same for a pass of these rows of the question.
    pub fn for_rows(&self, rows: &[usize]) -> Self {
        match self.list.is_empty() {
            true => Self::default(),
            false => Self {
                list: self.list.clone(),
                rows: rows.to_vec(),
            },
        }
    }

    /// Where an attention happens.
    pub fn site(&self, layer: usize, grid: (usize, usize)) -> Site<'_> {
        Site {
            layer,
            grid,
            rows: &self.rows,
        }
    }

    /// These hooks, and one more after them.
    pub fn and(&self, hook: Arc<dyn Hook>) -> Self {
        let mut all = self.clone();
        all.list.push(hook);
        all
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether any hook leaves the layer out.
    pub fn skips(&self, layer: usize) -> bool {
        self.list.iter().any(|hook| hook.skips(layer))
    }

    /// The first replacement of what an attention gives.
    ///
    /// # Errors
    /// What the hook reports.
    pub fn mixed(
        &self,
        site: Site<'_>,
        values: &dyn Fn() -> Result<Tensor>,
    ) -> Result<Option<Tensor>> {
        for hook in &self.list {
            if let Some(mixed) = hook.mixed(site, values)? {
                return Ok(Some(mixed));
            }
        }
        Ok(None)
    }

    /// The queries after every hook, in order.
    ///
    /// # Errors
    /// What a hook reports.
    pub fn queries(&self, site: Site<'_>, queries: Tensor) -> Result<Tensor> {
        let mut hooks = self.list.iter();
        hooks.try_fold(queries, |queries, hook| hook.queries(site, queries))
    }

    /// The keys after every hook, in order.
    ///
    /// # Errors
    /// What a hook reports.
    pub fn keys(&self, site: Site<'_>, keys: Tensor) -> Result<Tensor> {
        let mut hooks = self.list.iter();
        hooks.try_fold(keys, |keys, hook| hook.keys(site, keys))
    }

    /// Whether any hook is to be shown the residual branch of a resnet.
    pub fn sees_residual(&self, layer: usize) -> bool {
        self.list.iter().any(|hook| hook.sees_residual(layer))
    }

    /// What a resnet adds to its input instead of its residual branch: the last word of a hook.
    ///
    /// # Errors
    /// What a hook reports.
    pub fn residual(&self, layer: usize, residual: &Tensor) -> Result<Option<Tensor>> {
        let mut instead = None;
        for hook in &self.list {
            instead = hook.residual(layer, residual)?.or(instead);
        }
        Ok(instead)
    }

    /// What an attention gives, after every hook in order.
    ///
    /// # Errors
    /// What a hook reports.
    pub fn attended(
        &self,
        site: Site<'_>,
        mut given: Tensor,
        attend: &Attended<'_>,
    ) -> Result<Tensor> {
        for hook in &self.list {
            given = hook.attended(site, given, attend)?;
        }
        Ok(given)
    }

    /// What all hooks together add to every head's scores.
    ///
    /// # Errors
    /// What a hook reports.
    pub fn bias(&self, site: Site<'_>, keys: usize) -> Result<Option<Tensor>> {
        self.list.iter().try_fold(None, |sum, hook| {
            Ok(match (sum, hook.bias(site, keys)?) {
                (Some(sum), Some(more)) => Some((sum + more)?),
                (sum, more) => sum.or(more),
            })
        })
    }

    /// Shows every hook what attends to what.
    ///
    /// # Errors
    /// What a hook reports.
    pub fn attends(&self, site: Site<'_>, scores: &Scores<'_>) -> Result<()> {
        let mut hooks = self.list.iter();
        hooks.try_for_each(|hook| hook.attends(site, scores))
    }

    /// What an attention gives by its scores and values, after every hook in order.
    ///
    /// # Errors
    /// What a hook reports.
    pub fn weighed(
        &self,
        site: Site<'_>,
        scores: &Scores<'_>,
        values: &Tensor,
        given: Tensor,
    ) -> Result<Tensor> {
        let mut hooks = self.list.iter();
        hooks.try_fold(given, |given, hook| {
            hook.weighed(site, scores, values, given)
        })
    }

    /// Whether any hook changes what this attention adds.
    pub fn reads_output(&self, layer: usize) -> bool {
        self.list.iter().any(|hook| hook.reads_output(layer))
    }

    /// What an attention adds, after every hook in order.
    ///
    /// # Errors
    /// What a hook reports.
    pub fn output(&self, site: Site<'_>, given: Tensor) -> Result<Tensor> {
        let mut hooks = self.list.iter();
        hooks.try_fold(given, |given, hook| hook.output(site, given))
    }

    /// The tokens that enter a transformer block, after every hook in order.
    ///
    /// # Errors
    /// What a hook reports.
    pub fn enter(&self, site: Site<'_>, tokens: Tensor) -> Result<Tensor> {
        let mut hooks = self.list.iter();
        hooks.try_fold(tokens, |tokens, hook| hook.enter(site, tokens))
    }

    /// What comes up and what was kept, after every hook in order.
    ///
    /// # Errors
    /// What a hook reports.
    pub fn joined(&self, joint: Joint, way: Tensor, kept: Tensor) -> Result<(Tensor, Tensor)> {
        let mut both = (way, kept);
        for hook in &self.list {
            both = hook.joined(joint, both.0, both.1)?;
        }
        Ok(both)
    }

    /// Whether samples see one another.
    pub fn couples(&self) -> bool {
        self.list.iter().any(|hook| hook.couples())
    }
}

/// That a text of this many tokens holds those that are meant.
fn seen_tokens(tokens: &[u32], count: usize) -> Result<()> {
    let Some(token) = tokens.iter().find(|token| **token as usize >= count) else {
        return Ok(());
    };
    let message = format!("the text has {count} tokens, and token {token} is looked at");
    Err(RuntimeError::new(ErrorKind::BadBinding, message)
        .help("count from 0, which is the start of the text"))
}
