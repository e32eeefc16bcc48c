//! Operations as a line of the language.

use super::words;
use crate::plan::{
    Axes, Binary, Code, Compare, Decide, Filter, Guard, Operand, Plan, Reduce, ReduceOp, Segment,
    Shape, Term, Unary,
};

/// Names of everything that an operation of a segment may read.
pub struct Names<'a> {
    plan: &'a Plan,
    segment: &'a Segment,
}

impl<'a> Names<'a> {
    /// For a segment.
    pub fn new(plan: &'a Plan, segment: &'a Segment) -> Self {
        Self { plan, segment }
    }

    /// An operand by name.
    pub fn operand(&self, operand: &Operand) -> String {
        let input = |id: &crate::plan::InputId| {
            self.plan
                .inputs
                .get(id.index())
                .map_or("?".to_string(), |i| i.name.clone())
        };
        match operand {
            Operand::Value(id) => self
                .segment
                .values
                .get(id.index())
                .map_or("?".to_string(), |v| v.name.clone()),
            Operand::Prediction(id) => self
                .plan
                .predictions
                .get(id.index())
                // A label that reads like a quotient stands in brackets.
                .map_or("?".to_string(), |p| match p.label.contains('/') {
                    true => format!("[{}]", p.label),
                    false => p.label.clone(),
                }),
            Operand::Judgement(id) => self
                .plan
                .judgements
                .get(id.index())
                .map_or("?".to_string(), |j| j.label.clone()),
            Operand::State(id) => self
                .plan
                .states
                .get(id.index())
                .map_or("?'".to_string(), |s| format!("{}'", s.name)),
            Operand::Decision(id) => self
                .plan
                .decisions
                .get(id.index())
                .map_or("?".to_string(), |d| d.name.clone()),
            Operand::Latent => match self.plan.head.objective {
                Some(_) => "z".to_string(),
                None => "x".to_string(),
            },
            Operand::Input(id) => input(id),
            Operand::Entry(id, row, column) if column.values == [0.0] => {
                format!("{}[{}]", input(id), row.text)
            }
            Operand::Entry(id, row, column) => {
                format!("{}[{}][{}]", input(id), row.text, column.text)
            }
            Operand::Number(number) => number.text.clone(),
            Operand::Target => "target".to_string(),
        }
    }

    /// What a step's other evaluations take over: `close`, `decided = %2`.
    pub fn decided(&self, decide: &Decide) -> String {
        let name = self.operand(&Operand::Decision(decide.decision));
        let value = self.operand(&decide.value);
        if name == value {
            name
        } else {
            format!("{name} = {value}")
        }
    }

    /// A condition: `not converged'`, `a and b or c`.
    pub fn guard(&self, guard: &Guard) -> String {
        let way = |literals: &Vec<crate::plan::Literal>| {
            let all: Vec<String> = literals
                .iter()
                .map(|l| {
                    format!(
                        "{}{}",
                        if l.holds { "" } else { "not " },
                        self.operand(&l.of)
                    )
                })
                .collect();
            if all.is_empty() {
                "always".to_string()
            } else {
                all.join(" and ")
            }
        };
        let ways: Vec<String> = guard.any.iter().map(way).collect();
        if ways.is_empty() {
            "never".to_string()
        } else {
            ways.join(" or ")
        }
    }

    /// An operation's right side.
    pub fn code(&self, code: &Code) -> String {
        let of = |o: &Operand| self.operand(o);
        match code {
            Code::Linear(terms) => self.linear(terms),
            Code::Div(a, b) => format!("{} / {}", self.factor(a), self.factor(b)),
            Code::Unary(op, a) => format!("{}({})", unary(*op), of(a)),
            Code::Binary(Binary::Rem, a, b) => format!("{} % {}", self.factor(a), self.factor(b)),
            Code::Binary(op, a, b) => format!("{}({}, {})", binary(*op), of(a), of(b)),
            Code::Compare(op, a, b) => format!("{} {} {}", of(a), compare(*op), of(b)),
            Code::And(a, b) => format!("{} and {}", of(a), of(b)),
            Code::Or(a, b) => format!("{} or {}", of(a), of(b)),
            Code::Not(a) => format!("not {}", of(a)),
            Code::Select(c, a, b) => match self.shape(c) {
                Some(Shape::Map) => format!("where({}, {}, {})", of(c), of(a), of(b)),
                _ => format!("if {} {{ {} }} else {{ {} }}", of(c), of(a), of(b)),
            },
            Code::Clip(a, low, high) => format!("clip({}, {}, {})", of(a), of(low), of(high)),
            Code::Reduce(reduce) => self.reduce(reduce),
            Code::Filter(filter, a) => self.filter(filter, &of(a)),
            Code::Random { key, low, high } => {
                format!("random({}, {}, salt: \"{key}\")", of(low), of(high))
            }
            Code::Softmax(a) => format!("softmax({})", of(a)),
            Code::Pick(a, class) => format!("{}[{}]", of(a), of(class)),
            Code::Argmax(a, None) => format!("argmax({})", of(a)),
            Code::Argmax(a, Some(except)) => format!("argmax({}, except: {})", of(a), of(except)),
            Code::MeanWithin(a, regions) => format!("mean_within({}, {})", of(a), of(regions)),
            Code::OneHot(_, class) => format!("only({})", of(class)),
            Code::Gaussian { key } => format!("gaussian(salt: \"{key}\")"),
            Code::NoiseAt(part, t) => format!("{}({})", part.name(), of(t)),
            Code::Look { of: seen, look } => look.label(&of(seen)),
            Code::Fresh(state, init) => {
                format!("{} if kept, else {}", of(&Operand::State(*state)), of(init))
            }
        }
    }

    fn shape(&self, operand: &Operand) -> Option<Shape> {
        match operand {
            Operand::Value(id) => self.segment.values.get(id.index()).map(|v| v.shape),
            Operand::Input(_) => Some(Shape::Map),
            _ => None,
        }
    }

    /// An operand as part of a product.
    fn factor(&self, operand: &Operand) -> String {
        let text = self.operand(operand);
        if text.contains(' ') && matches!(operand, Operand::Number(_)) {
            format!("({text})")
        } else {
            text
        }
    }

    fn linear(&self, terms: &[Term]) -> String {
        let mut text = String::new();
        for (at, term) in terms.iter().enumerate() {
            let (negative, body) = self.term(term);
            match (at, negative) {
                (0, false) => {}
                (0, true) => text.push('-'),
                (_, false) => text.push_str(" + "),
                (_, true) => text.push_str(" - "),
            }
            text.push_str(&body);
        }
        if text.is_empty() {
            "0".to_string()
        } else {
            text
        }
    }

    /// Whether a term is taken away, and the rest of it.
    fn term(&self, term: &Term) -> (bool, String) {
        let operands: Vec<String> = term
            .by
            .iter()
            .chain(&term.of)
            .map(|o| self.factor(o))
            .collect();
        let product = operands.join("*");
        let text = term.factor.text.as_str();
        let is_sum = words::is_sum(text);
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) if !is_sum => (true, rest),
            _ => (false, text),
        };
        if product.is_empty() {
            return (negative, text.to_string());
        }
        if text == "1" {
            return (negative, product);
        }
        if let Some(divisor) = text.strip_prefix("1/").filter(|_| !is_sum) {
            return (negative, format!("{product}/{divisor}"));
        }
        let text = if is_sum {
            format!("({text})")
        } else {
            text.to_string()
        };
        (negative, format!("{text}*{product}"))
    }

    fn reduce(&self, reduce: &Reduce) -> String {
        let name = match reduce.op {
            ReduceOp::Dot => "dot",
            ReduceOp::Norm => "norm",
            ReduceOp::Mean => "mean",
            ReduceOp::Std => "std",
            ReduceOp::Sum => "sum",
            ReduceOp::Largest => "largest",
            ReduceOp::Smallest => "smallest",
            ReduceOp::Quantile => "quantile",
            ReduceOp::LogSumExp => "logsumexp",
            ReduceOp::Cosine => "cosine",
        };
        let mut args = vec![self.operand(&reduce.of)];
        args.extend(
            reduce
                .with
                .iter()
                .chain(&reduce.level)
                .map(|o| self.operand(o)),
        );
        match reduce.over {
            Axes::All => {}
            Axes::Channels => args.push("over: channels".to_string()),
            Axes::Space => args.push("over: space".to_string()),
        }
        format!("{name}({})", args.join(", "))
    }

    fn filter(&self, filter: &Filter, of: &str) -> String {
        match filter {
            Filter::GaussianBlur { sigma, taps } => {
                format!("gaussian_blur({of}, {}, taps: {taps})", sigma.text)
            }
            Filter::Band { level, of: levels } => {
                format!("band({of}, level: {level}, of: {levels})")
            }
            Filter::Resample { factor } => format!("resample({of}, {})", factor.text),
            Filter::FftDisk { radius } => format!("fft_disk({of}, {})", radius.text),
            Filter::FftBox { radius } => format!("fft_box({of}, {})", radius.text),
            Filter::DctHighpass { cutoff } => format!("dct_highpass({of}, {})", cutoff.text),
        }
    }
}

/// What an operation accumulates or assumes, where a reader would wonder.
pub fn remark(code: &Code) -> Option<&'static str> {
    matches!(code, Code::Reduce(_)).then_some("f64")
}

/// The name of a function in the language.
pub fn unary(op: Unary) -> &'static str {
    match op {
        Unary::Abs => "abs",
        Unary::Exp => "exp",
        Unary::Log => "log",
        Unary::Sqrt => "sqrt",
        Unary::Sin => "sin",
        Unary::Cos => "cos",
        Unary::Acos => "acos",
        Unary::Sign => "sign",
        Unary::Sigmoid => "sigmoid",
        Unary::Floor => "floor",
        Unary::InverseOrZero => "inverse",
    }
}

/// The name of a function in the language; `%` has one for plans only.
pub fn binary(op: Binary) -> &'static str {
    match op {
        Binary::Min => "min",
        Binary::Max => "max",
        Binary::Pow => "pow",
        Binary::Rem => "rem",
    }
}

fn compare(op: Compare) -> &'static str {
    match op {
        Compare::Eq => "==",
        Compare::Ne => "!=",
        Compare::Lt => "<",
        Compare::Le => "<=",
        Compare::Gt => ">",
        Compare::Ge => ">=",
    }
}
