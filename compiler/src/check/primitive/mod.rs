//! The primitives: what each takes and gives.

mod cast;
mod function;
mod judge;
mod later;
mod look;
mod predict;
mod reduce;
mod run;
mod tensor;

use guide_grammar::span::Span;

use crate::graph::{OverRun, SpaceTerm};
use crate::plan::{Binary, ReduceOp, Space, Unary};
use crate::primitives::Primitive;
use crate::resolved::{Arg, Call};

use super::engine::Engine;
use super::value::Value;

impl<'p> Engine<'p> {
    /// The arguments of a primitive in order of its parameters.
    pub(crate) fn primitive_args(
        &mut self,
        primitive: Primitive,
        call: &'p Call,
    ) -> Option<Vec<Option<&'p Arg>>> {
        let params: Vec<(&str, bool)> = primitive
            .parameters()
            .iter()
            .map(|(name, default)| (*name, default.is_some()))
            .collect();
        let bound = self.bind_args(call, &params);
        if bound.is_none() {
            for arg in &call.args {
                self.expr(&arg.value);
            }
        }
        bound
    }

    /// The value of a call of a primitive.
    pub(crate) fn primitive(&mut self, primitive: Primitive, call: &'p Call, span: Span) -> Value {
        use Primitive as P;
        match primitive {
            P::Guided => return self.guided(call),
            P::Denoise => return self.half(call, false, span),
            P::Renoise => return self.half(call, true, span),
            P::Count => return self.count(call, span),
            P::Prompt => return self.prompt(call),
            P::Class => return self.class(call),
            _ => {}
        }
        let Some(args) = self.primitive_args(primitive, call) else {
            return Value::Error;
        };
        match primitive {
            P::Predict => self.predict(&args, span),
            P::Eps => self.conversion(SpaceTerm::Named(Space::Eps), &args, span),
            P::X0 => self.conversion(SpaceTerm::Named(Space::X0), &args, span),
            P::V => self.conversion(SpaceTerm::Named(Space::V), &args, span),
            P::Flow => self.conversion(SpaceTerm::Named(Space::Flow), &args, span),
            P::Score => self.conversion(SpaceTerm::Named(Space::Score), &args, span),
            P::Native => self.conversion(SpaceTerm::Native, &args, span),
            P::Prediction => self.vouch(true, &args, span),
            P::Direction => self.vouch(false, &args, span),
            P::Raw => self.raw(&args),
            P::Latent => self.latent_of(&args, span),
            P::Noised => self.noised(&args, call, span),
            P::Min => self.two(Binary::Min, "min", &args, span),
            P::Max => self.two(Binary::Max, "max", &args, span),
            P::Pow => self.two(Binary::Pow, "pow", &args, span),
            P::Abs => self.one(Unary::Abs, "abs", &args, span),
            P::Exp => self.one(Unary::Exp, "exp", &args, span),
            P::Log => self.one(Unary::Log, "log", &args, span),
            P::Sqrt => self.one(Unary::Sqrt, "sqrt", &args, span),
            P::Sin => self.one(Unary::Sin, "sin", &args, span),
            P::Cos => self.one(Unary::Cos, "cos", &args, span),
            P::Acos => self.one(Unary::Acos, "acos", &args, span),
            P::Sign => self.one(Unary::Sign, "sign", &args, span),
            P::Sigmoid => self.one(Unary::Sigmoid, "sigmoid", &args, span),
            P::Floor => self.one(Unary::Floor, "floor", &args, span),
            P::Clamp => self.clamp(&args, span),
            P::Clip => self.clip(&args, span),
            P::Where => self.where_(&args, span),
            P::Dot => self.reduce(ReduceOp::Dot, primitive, &args, span),
            P::Norm => self.reduce(ReduceOp::Norm, primitive, &args, span),
            P::Mean => self.reduce(ReduceOp::Mean, primitive, &args, span),
            P::Std => self.reduce(ReduceOp::Std, primitive, &args, span),
            P::Sum => self.reduce(ReduceOp::Sum, primitive, &args, span),
            P::Largest => self.reduce(ReduceOp::Largest, primitive, &args, span),
            P::Smallest => self.reduce(ReduceOp::Smallest, primitive, &args, span),
            P::Quantile => self.reduce(ReduceOp::Quantile, primitive, &args, span),
            P::LogSumExp => self.reduce(ReduceOp::LogSumExp, primitive, &args, span),
            P::Cosine => self.reduce(ReduceOp::Cosine, primitive, &args, span),
            P::Unit => self.unit(&args, span),
            P::GaussianBlur | P::Band | P::Resample | P::FftDisk | P::FftBox | P::DctHighpass => {
                self.filter(primitive, &args, span)
            }
            P::Unrelated => self.unrelated(&args),
            P::Random => self.random(&args, span),
            P::Gaussian => self.gaussian(&args, span),
            P::TimeOf => self.time_of(&args, span),
            P::MeanOverRun => self.over_run(OverRun::Mean, &args, span),
            P::MaxOverRun => self.over_run(OverRun::Max, &args, span),
            P::CurveAt => self.curve_at(&args, span),
            P::Attention => self.attention(&args, span),
            P::Classify | P::Logits => self.classified(primitive, &args, span),
            P::LogProb => self.log_prob(&args, span),
            P::Argmax => self.argmax(&args, span),
            P::Decode => self.decode(&args, span),
            P::Grad => self.grad(&args, span),
            P::Value => self.value_of_loss(&args, span),
            P::Regions => self.regions(&args, span),
            P::Features => self.features(&args, span),
            P::MeanWithin => self.mean_within(&args, span),
            P::Softmax => self.later(primitive, &args, span),
            P::Guided | P::Denoise | P::Renoise | P::Count | P::Prompt | P::Class => Value::Error,
        }
    }
}
