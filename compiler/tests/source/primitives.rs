//! What the language brings, for one sample in f64.

use guide_compiler::plan::{Axes, ReduceOp, Space};
use guide_compiler::primitives::Primitive;

use super::arithmetic::{self, Value as Plain, divide};
use super::value::{Guided, Place, Tensor, Value};

/// A primitive with its arguments in order of its parameters.
pub fn apply(primitive: Primitive, args: &[Option<Value>], place: Place<'_>) -> Value {
    let arg = |at: usize| args[at].as_ref().expect("an argument");
    let number = |f: fn(f64) -> f64| elementwise(arg(0), f, place);
    let reduce = |op| reduced(op, args);
    let convert = |to| Value::Tensor(arg(0).tensor().converted(to, place));
    let filter = |numbers: &[f64]| filtered(primitive.name(), numbers, arg(0), place);
    match primitive {
        Primitive::Class => Value::Word(format!("class({})", arg(0).number())),
        Primitive::Eps => convert(Space::Eps),
        Primitive::X0 => convert(Space::X0),
        Primitive::V => convert(Space::V),
        Primitive::Prediction => Value::Tensor(vouched(arg(0), 1.0, place)),
        Primitive::Direction => Value::Tensor(vouched(arg(0), 0.0, place)),
        Primitive::Abs => number(f64::abs),
        Primitive::Sin => number(f64::sin),
        Primitive::Sigmoid => number(|v| 1.0 / (1.0 + (-v).exp())),
        Primitive::Min => Value::Plain(arg(0).plain().zip(&arg(1).plain(), f64::min)),
        Primitive::Max => Value::Plain(arg(0).plain().zip(&arg(1).plain(), f64::max)),
        Primitive::Clip => {
            let clipped = arithmetic::clip(&arg(0).plain(), &arg(1).plain(), &arg(2).plain());
            like(arg(0), clipped, place)
        }
        Primitive::Norm => reduce(ReduceOp::Norm),
        Primitive::Dot => reduce(ReduceOp::Dot),
        Primitive::Mean => reduce(ReduceOp::Mean),
        Primitive::Std => reduce(ReduceOp::Std),
        Primitive::Sum => reduce(ReduceOp::Sum),
        Primitive::Largest => reduce(ReduceOp::Largest),
        Primitive::Smallest => reduce(ReduceOp::Smallest),
        Primitive::Quantile => reduce(ReduceOp::Quantile),
        Primitive::Cosine => reduce(ReduceOp::Cosine),
        Primitive::Unit => unit(arg(0), axes(args.last()), place),
        Primitive::GaussianBlur => {
            let taps = args[2].as_ref().map_or(9.0, Value::number);
            filter(&[arg(1).number(), taps])
        }
        Primitive::Band => filter(&[arg(1).number(), arg(2).number()]),
        Primitive::Resample | Primitive::FftDisk | Primitive::FftBox | Primitive::DctHighpass => {
            filter(&[arg(1).number()])
        }
        Primitive::Guided => {
            let half = |at: usize| args[at].as_ref().map(Value::tensor);
            Value::Outcome(Some(Box::new(Guided {
                denoise: arg(0).tensor(),
                renoise: half(1),
                shift: half(2),
                moves: half(3),
            })))
        }
        other => panic!("`{}` is not part of these tests", other.name()),
    }
}

/// A comparison: of numbers a truth value, of maps a map.
pub fn compare(a: &Value, b: &Value, holds: fn(f64, f64) -> bool, place: Place<'_>) -> Value {
    for difference in a.plain().zip(&b.plain(), |a, b| a - b).elements() {
        place.doubts(difference);
    }
    match (a.plain(), b.plain()) {
        (Plain::Number(a), Plain::Number(b)) => Value::of_bool(holds(a, b)),
        (a, b) => Value::Plain(a.zip(&b, |a, b| f64::from(u8::from(holds(a, b))))),
    }
}

/// What was computed from a tensor is a tensor of this tick; from plain numbers it is plain.
fn like(of: &Value, computed: Plain, place: Place<'_>) -> Value {
    match of {
        Value::Tensor(tensor) => Value::Tensor(tensor.anew(computed.elements(), place.at)),
        _ => Value::Plain(computed),
    }
}

fn elementwise(of: &Value, f: fn(f64) -> f64, place: Place<'_>) -> Value {
    like(of, of.plain().map(f), place)
}

fn filtered(name: &str, numbers: &[f64], of: &Value, place: Place<'_>) -> Value {
    like(of, arithmetic::filter(name, numbers, &of.plain()), place)
}

fn vouched(of: &Value, weight: f64, place: Place<'_>) -> Tensor {
    let tensor = of.tensor();
    Tensor::new(tensor.elements(), tensor.space, weight, place.at)
}

fn axes(over: Option<&Option<Value>>) -> Axes {
    match over.and_then(Option::as_ref).map(Value::word) {
        None | Some("all") => Axes::All,
        Some("channels") => Axes::Channels,
        Some("space") => Axes::Space,
        Some(other) => panic!("{other} are no axes"),
    }
}

fn reduced(op: ReduceOp, args: &[Option<Value>]) -> Value {
    let of = args[0].as_ref().expect("an operand").plain();
    let second = args[1].as_ref();
    let with = matches!(op, ReduceOp::Dot | ReduceOp::Cosine).then(|| second.expect("one").plain());
    let level = match op {
        ReduceOp::Quantile => second.expect("a level").number(),
        _ => 0.0,
    };
    let over = axes(args.last());
    Value::Plain(arithmetic::reduce(op, over, &of, with.as_ref(), level))
}

/// Of a direction a multiple of it; of anything else a direction that is made in this tick.
fn unit(of: &Value, over: Axes, place: Place<'_>) -> Value {
    let tensor = of.tensor();
    let length = arithmetic::reduce(ReduceOp::Norm, over, &of.plain(), None, 0.0);
    length.elements().into_iter().for_each(|n| place.doubts(n));
    let scaled = tensor.scaled(&length.map(|n| divide(f64::from(u8::from(n != 0.0)), n)));
    if tensor.is_direction() {
        return Value::Tensor(scaled);
    }
    Value::Tensor(Tensor::new(scaled.elements(), tensor.space, 0.0, place.at))
}
