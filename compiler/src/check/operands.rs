//! The operands of an operation, in order.

use crate::graph::{FilterOp, NodeId, Op, OverRun, Predict, WithArg};

/// What `op` reads in this tick ([`Op::Prev`] reads an earlier one).
pub(crate) fn operands(op: &Op) -> Vec<NodeId> {
    let mut list = Vec::new();
    // The clone is the price of having the shape of every operation written once.
    visit(&mut op.clone(), &mut |node| list.push(*node));
    list
}

/// Calls `f` on each operand.
pub(crate) fn visit(op: &mut Op, f: &mut dyn FnMut(&mut NodeId)) {
    match op {
        Op::Number(_) | Op::Bool(_) | Op::Parameter(_) | Op::Tick(_) | Op::Latent | Op::Target => {}
        Op::Input(_) | Op::Count(_) | Op::Gaussian(_) | Op::Prev(_) => {}
        Op::Predict(predict) => asked(predict, f),
        Op::PredictGradient(predict, by) => {
            asked(predict, f);
            f(by);
        }
        Op::Neg(a)
        | Op::Unary(_, a)
        | Op::Not(a)
        | Op::Declare(a)
        | Op::AlphaAt(a)
        | Op::SigmaAt(a)
        | Op::TimeOf(a)
        | Op::Look(a, _) => f(a),
        Op::Entry(_, a, b)
        | Op::Add(a, b)
        | Op::Sub(a, b)
        | Op::Mul(a, b)
        | Op::Div(a, b)
        | Op::Binary(_, a, b)
        | Op::Compare(_, a, b)
        | Op::And(a, b)
        | Op::Or(a, b)
        | Op::Random(_, a, b) => [a, b].into_iter().for_each(f),
        Op::Window {
            value, from, to, ..
        } => [value, from, to].into_iter().for_each(f),
        Op::If(a, b, c) | Op::Where(a, b, c) | Op::Clip(a, b, c) => {
            [a, b, c].into_iter().for_each(f)
        }
        Op::Convert(convert) => {
            f(&mut convert.value);
            convert.origin.iter_mut().for_each(&mut *f);
            f(&mut convert.alpha);
            f(&mut convert.sigma);
        }
        Op::Reduce {
            of, with, level, ..
        } => {
            f(of);
            with.iter_mut().for_each(&mut *f);
            level.iter_mut().for_each(f);
        }
        Op::Filter(filter, a) => {
            f(a);
            match filter {
                FilterOp::GaussianBlur { sigma, taps } => {
                    f(sigma);
                    taps.iter_mut().for_each(f);
                }
                FilterOp::Band { level, of } => [level, of].into_iter().for_each(f),
                FilterOp::Resample(by)
                | FilterOp::FftDisk(by)
                | FilterOp::FftBox(by)
                | FilterOp::DctHighpass(by) => f(by),
            }
        }
        Op::OverRun(over, a) => {
            f(a);
            if let OverRun::At(at) = over {
                f(at);
            }
        }
        Op::Judge(judge) => f(&mut judge.of),
        Op::JudgeGradient(judge, by) => {
            f(&mut judge.of);
            f(by);
        }
        Op::Decode(a) | Op::Softmax(a) => f(a),
        Op::Pick(a, b) | Op::OneHot(a, b) | Op::MeanWithin(a, b) => [a, b].into_iter().for_each(f),
        Op::Argmax(a, except) => {
            f(a);
            except.iter_mut().for_each(f);
        }
        Op::Unsupported(_, list) => list.iter_mut().for_each(f),
    }
}

/// Of a question to a network.
fn asked(predict: &mut Predict, f: &mut dyn FnMut(&mut NodeId)) {
    predict.class.iter_mut().for_each(&mut *f);
    predict.at.iter_mut().for_each(|(node, _)| f(node));
    predict.t.iter_mut().for_each(&mut *f);
    predict.told.iter_mut().for_each(|(node, _)| f(node));
    for with in &mut predict.with {
        with.when.iter_mut().for_each(|(node, _)| f(node));
        for (_, arg, _) in &mut with.args {
            if let WithArg::Number(node)
            | WithArg::Prediction(node)
            | WithArg::Map(node, _)
            | WithArg::Node(node) = arg
            {
                f(node);
            }
        }
    }
}
