//! What a tick gives the solver, in one space whatever the branch.

use super::affine::Builder;
use super::expr::{Change, ExprId, Form};
use super::lower::Lowering;
use crate::graph::{NodeId, Outcome};
use crate::plan::{Shape, Space};

/// What a tick gives the solver.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaving {
    /// The space of `denoise` and `renoise`.
    pub space: Space,
    /// See [`crate::plan::Outcome`]; `None` where every sample holds.
    pub denoise: Option<ExprId>,
    /// See [`crate::plan::Outcome`].
    pub renoise: Option<ExprId>,
    /// See [`crate::plan::Outcome`].
    pub shift: Option<ExprId>,
    /// See [`crate::plan::Outcome`].
    pub moves: Option<ExprId>,
    /// A truth value.
    pub hold: ExprId,
}

impl Lowering<'_> {
    /// What a tick gives the solver; branches that the run decides are joined.
    pub(super) fn outcome(&self, b: &mut Builder<'_>, outcome: &Outcome) -> Leaving {
        let space = self.common_space(outcome);
        match outcome {
            Outcome::Hold => {
                let hold = b.flag(true);
                Leaving {
                    space,
                    denoise: None,
                    renoise: None,
                    shift: None,
                    moves: None,
                    hold,
                }
            }
            Outcome::Guided {
                denoise,
                renoise,
                shift,
                moves,
            } => Leaving {
                space,
                denoise: Some(self.value(b, *denoise)),
                renoise: renoise.map(|r| self.leaving(b, r, space)),
                shift: shift.map(|s| self.value(b, s)),
                moves: moves.map(|m| self.value(b, m)),
                hold: b.flag(false),
            },
            Outcome::If(condition, then, otherwise) => {
                let c = self.value(b, *condition);
                match b.exprs.as_flag(c) {
                    Some(true) => return self.outcome(b, then),
                    Some(false) => return self.outcome(b, otherwise),
                    None => {}
                }
                let (x, y) = (self.outcome(b, then), self.outcome(b, otherwise));
                self.joined(b, c, space, x, y)
            }
        }
    }

    /// Both branches as one, chosen by a truth value of the run.
    fn joined(
        &self,
        b: &mut Builder<'_>,
        c: ExprId,
        space: Space,
        x: Leaving,
        y: Leaving,
    ) -> Leaving {
        let span = b.exprs.span(c);
        let mut into =
            |value: Option<ExprId>, from: Space| value.map(|v| self.to_space(b, v, from, space));
        let (xd, yd) = (into(x.denoise, x.space), into(y.denoise, y.space));
        let (xr, yr) = (into(x.renoise, x.space), into(y.renoise, y.space));
        let mut choose = |x: Option<ExprId>, y: Option<ExprId>| match (x, y) {
            (Some(x), Some(y)) => Some(b.select(c, x, y, Shape::Tensor, span)),
            (one, other) => one.or(other),
        };
        let denoise = choose(xd, yd);
        let renoise = if xr.is_some() || yr.is_some() {
            choose(xr.or(xd), yr.or(yd))
        } else {
            None
        };
        let (shift, moves) = {
            let nothing = b.literal(0.0);
            let mut choose = |x: Option<ExprId>, y: Option<ExprId>| {
                (x.is_some() || y.is_some()).then(|| {
                    b.select(
                        c,
                        x.unwrap_or(nothing),
                        y.unwrap_or(nothing),
                        Shape::Tensor,
                        span,
                    )
                })
            };
            (choose(x.shift, y.shift), choose(x.moves, y.moves))
        };
        let hold = b.select(c, x.hold, y.hold, Shape::Bool, span);
        Leaving {
            space,
            denoise,
            renoise,
            shift,
            moves,
            hold,
        }
    }

    fn node_space(&self, node: NodeId) -> Space {
        let space = self
            .graph
            .nodes
            .get(node.index())
            .and_then(|n| n.space.as_ref());
        space.map_or(self.target.facts.space, |s| self.space(s))
    }

    /// The space that both branches leave in: their own where it is one, else the model's.
    fn common_space(&self, outcome: &Outcome) -> Space {
        fn spaces(of: &Lowering<'_>, outcome: &Outcome, found: &mut Vec<Space>) {
            match outcome {
                Outcome::Hold => {}
                Outcome::Guided { denoise, .. } => found.push(of.node_space(*denoise)),
                Outcome::If(_, then, otherwise) => {
                    spaces(of, then, found);
                    spaces(of, otherwise, found);
                }
            }
        }
        let mut found = Vec::new();
        spaces(self, outcome, &mut found);
        match found.first() {
            Some(first) if found.iter().all(|s| s == first) => *first,
            _ => self.target.facts.space,
        }
    }

    fn leaving(&self, b: &mut Builder<'_>, node: NodeId, space: Space) -> ExprId {
        let value = self.value(b, node);
        self.to_space(b, value, self.node_space(node), space)
    }

    /// A prediction of this tick's point in another space.
    fn to_space(&self, b: &mut Builder<'_>, value: ExprId, from: Space, to: Space) -> ExprId {
        if from == to {
            return value;
        }
        let ticks = &self.target.timetable.ticks;
        let column = |f: fn(&crate::plan::Tick) -> f64| ticks.iter().map(f).collect::<Vec<f64>>();
        let alpha = b.scalars.leaf("alpha", &column(|t| t.alpha));
        let sigma = b.scalars.leaf("sigma", &column(|t| t.sigma));
        let span = b.exprs.span(value);
        let latent = b.exprs.intern(Form::Latent, Shape::Tensor, span);
        let change = Change {
            of: value,
            from,
            to,
            alpha,
            sigma,
        };
        b.convert(value, &change, Some(latent), span)
    }
}
