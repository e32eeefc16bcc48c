//! A turn of an objective: a time drawn for each sample, the noise there, and the latent with that noise
//! on it. Conversions in it have factors that only the run knows.

use guide_grammar::span::Span;

use super::affine::Builder;
use super::expr::{ExprId, Form};
use super::lower::Lowering;
use crate::graph::{Convert, NodeId, TickName};
use crate::plan::{DRAWN_NOISE, DRAWN_TIME, NoisePart, NoiseTable, Objective, Shape, Space, Unary};

/// A conversion's operands.
struct Change {
    value: ExprId,
    /// The latent of a prediction's point; none for a direction.
    x: Option<ExprId>,
    alpha: ExprId,
    sigma: ExprId,
    span: Span,
}

impl Lowering<'_> {
    /// What is drawn, where an objective is planned.
    pub(super) fn drawn(&self) -> Option<Objective> {
        self.target.objective.filter(|_| self.graph.objective)
    }

    /// `x`: the tick's latent; in an objective what is optimised with the drawn noise on it.
    pub(super) fn latent(&self, b: &mut Builder<'_>, span: Span) -> ExprId {
        let latent = b.exprs.intern(Form::Latent, Shape::Tensor, span);
        let Some(range) = self.drawn() else {
            return latent;
        };
        let alpha = self.noise_at(b, range, NoisePart::Alpha, span);
        let sigma = self.noise_at(b, range, NoisePart::Sigma, span);
        let noise = drawn_noise(b, span);
        let signal = b.product(alpha, latent, span);
        let noise = b.product(sigma, noise, span);
        let x = b.sum(signal, noise, 1.0, span);
        b.exprs.describe(x, Some("x"), "latent");
        x
    }

    /// The drawn time: one of the training timesteps, or of a flow model any time between.
    pub(super) fn drawn_time(&self, b: &mut Builder<'_>, range: Objective, span: Span) -> ExprId {
        let whole = matches!(self.target.timetable.noise, NoiseTable::Betas { .. });
        let above = if whole { range.to + 1.0 } else { range.to };
        let (low, high) = (b.literal(range.from), b.literal(above));
        let form = Form::Random(DRAWN_TIME.to_string(), low, high);
        let mut t = b.exprs.intern(form, Shape::Scalar, span);
        if whole {
            t = b
                .exprs
                .intern(Form::Unary(Unary::Floor, t), Shape::Scalar, span);
        }
        b.exprs.describe(t, Some("t"), "scalar");
        t
    }

    fn noise_at(
        &self,
        b: &mut Builder<'_>,
        range: Objective,
        part: NoisePart,
        span: Span,
    ) -> ExprId {
        let t = self.drawn_time(b, range, span);
        let at = b.exprs.intern(Form::NoiseAt(part, t), Shape::Scalar, span);
        b.exprs.describe(at, Some(part.name()), "scalar");
        at
    }

    /// A name of the noise in an objective's turn. Names of what comes next are refused before.
    pub(super) fn drawn_name(
        &self,
        b: &mut Builder<'_>,
        name: TickName,
        span: Span,
    ) -> Option<ExprId> {
        let range = self.drawn()?;
        let of = |b: &mut Builder<'_>, part| self.noise_at(b, range, part, span);
        let (alpha, sigma) = (of(b, NoisePart::Alpha), of(b, NoisePart::Sigma));
        let snr = |b: &mut Builder<'_>| {
            let (top, bottom) = (b.product(alpha, alpha, span), b.product(sigma, sigma, span));
            b.quotient(top, bottom, Shape::Scalar, span)
        };
        match name {
            TickName::T | TickName::T1000 => Some(self.drawn_time(b, range, span)),
            TickName::Alpha => Some(alpha),
            TickName::Sigma => Some(sigma),
            TickName::SigmaRatio => Some(b.quotient(sigma, alpha, Shape::Scalar, span)),
            TickName::Snr => Some(snr(b)),
            TickName::LogSnr => {
                let snr = snr(b);
                let form = Form::Unary(Unary::Log, snr);
                Some(b.exprs.intern(form, Shape::Scalar, span))
            }
            _ => None,
        }
    }

    /// A conversion at a point whose noise only the run knows; nothing where the plan knows it.
    pub(super) fn convert_drawn(
        &self,
        b: &mut Builder<'_>,
        convert: &Convert,
        span: Span,
    ) -> Option<ExprId> {
        let found = |b: &mut Builder<'_>, node: NodeId| {
            let value = self.value(b, node);
            b.exprs.as_scalar(value).is_none().then_some(value)
        };
        let change = Change {
            alpha: found(b, convert.alpha)?,
            sigma: found(b, convert.sigma)?,
            value: self.value(b, convert.value),
            x: convert.origin.map(|origin| self.value(b, origin)),
            span,
        };
        let (from, to) = (self.space(&convert.from), self.space(&convert.to));
        Some(self.changed(b, &change, from, to))
    }

    /// With `x = alpha*x0 + sigma*eps`; of a direction the same with `x = 0`.
    fn changed(&self, b: &mut Builder<'_>, change: &Change, from: Space, to: Space) -> ExprId {
        if from == to {
            return change.value;
        }
        let (alpha, sigma, span) = (change.alpha, change.sigma, change.span);
        match to {
            Space::Eps => self.eps_of(b, change, from),
            Space::X0 => self.clean_of(b, change, from),
            Space::V => {
                let (eps, clean) = (self.eps_of(b, change, from), self.clean_of(b, change, from));
                let (eps, clean) = (b.product(alpha, eps, span), b.product(sigma, clean, span));
                b.sum(eps, clean, -1.0, span)
            }
            Space::Flow => {
                let (eps, clean) = (self.eps_of(b, change, from), self.clean_of(b, change, from));
                b.sum(eps, clean, -1.0, span)
            }
            Space::Score => {
                let eps = self.eps_of(b, change, from);
                let score = b.quotient(eps, sigma, Shape::Tensor, span);
                negative(b, score, span)
            }
        }
    }

    fn eps_of(&self, b: &mut Builder<'_>, change: &Change, from: Space) -> ExprId {
        let (alpha, sigma, value) = (change.alpha, change.sigma, change.value);
        match from {
            Space::Eps => value,
            Space::X0 => {
                let top = mixed(b, change, None, alpha, -1.0);
                b.quotient(top, sigma, Shape::Tensor, change.span)
            }
            Space::V => {
                let top = mixed(b, change, Some(sigma), alpha, 1.0);
                self.over_power(b, change, top)
            }
            Space::Flow => {
                let top = mixed(b, change, None, alpha, 1.0);
                self.over_length(b, change, top)
            }
            Space::Score => {
                let product = b.product(sigma, value, change.span);
                negative(b, product, change.span)
            }
        }
    }

    fn clean_of(&self, b: &mut Builder<'_>, change: &Change, from: Space) -> ExprId {
        let (alpha, sigma, value) = (change.alpha, change.sigma, change.value);
        match from {
            Space::X0 => value,
            Space::Eps => {
                let top = mixed(b, change, None, sigma, -1.0);
                b.quotient(top, alpha, Shape::Tensor, change.span)
            }
            Space::V => {
                let top = mixed(b, change, Some(alpha), sigma, -1.0);
                self.over_power(b, change, top)
            }
            Space::Flow => {
                let top = mixed(b, change, None, sigma, -1.0);
                self.over_length(b, change, top)
            }
            Space::Score => {
                let square = b.product(sigma, sigma, change.span);
                let top = mixed(b, change, None, square, 1.0);
                b.quotient(top, alpha, Shape::Tensor, change.span)
            }
        }
    }

    /// Divided by `alpha^2 + sigma^2`, which is 1 where the noise preserves the variance.
    fn over_power(&self, b: &mut Builder<'_>, change: &Change, top: ExprId) -> ExprId {
        if matches!(self.target.timetable.noise, NoiseTable::Betas { .. }) {
            return top;
        }
        let span = change.span;
        let signal = b.product(change.alpha, change.alpha, span);
        let noise = b.product(change.sigma, change.sigma, span);
        let power = b.sum(signal, noise, 1.0, span);
        b.quotient(top, power, Shape::Tensor, span)
    }

    /// Divided by `alpha + sigma`, which is 1 for a flow model.
    fn over_length(&self, b: &mut Builder<'_>, change: &Change, top: ExprId) -> ExprId {
        if self.target.timetable.noise == NoiseTable::Flow {
            return top;
        }
        let length = b.sum(change.alpha, change.sigma, 1.0, change.span);
        b.quotient(top, length, Shape::Tensor, change.span)
    }
}

/// `share*x + sign*factor*value`
fn mixed(
    b: &mut Builder<'_>,
    change: &Change,
    share: Option<ExprId>,
    factor: ExprId,
    sign: f64,
) -> ExprId {
    let span = change.span;
    let value = b.product(factor, change.value, span);
    let x = match change.x {
        None => b.literal(0.0),
        Some(x) => share.map_or(x, |share| b.product(share, x, span)),
    };
    b.sum(x, value, sign, span)
}

fn negative(b: &mut Builder<'_>, value: ExprId, span: Span) -> ExprId {
    let minus = b.scalars.literal(-1.0);
    b.scaled(minus, value, span)
}

/// The noise in `x`.
pub fn drawn_noise(b: &mut Builder<'_>, span: Span) -> ExprId {
    let form = Form::Gaussian(DRAWN_NOISE.to_string());
    let noise = b.exprs.intern(form, Shape::Tensor, span);
    b.exprs.describe(noise, Some("noise"), "prediction in eps");
    noise
}
