//! Numbers that are known when the plan is made, one a tick, with the expression they come from.

use std::collections::HashMap;

use crate::plan::Number;

/// A known number: a row of [`Scalars`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScalarId(u32);

/// How a known number is written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Form {
    /// The bits of a literal.
    Literal(u64),
    /// A name of the step, or what has no shorter form.
    Leaf(String),
    Negative(ScalarId),
    Sum(ScalarId, ScalarId),
    Difference(ScalarId, ScalarId),
    Product(ScalarId, ScalarId),
    Quotient(ScalarId, ScalarId),
    Call(&'static str, Vec<ScalarId>),
}

#[derive(Clone, Debug)]
struct Entry {
    form: Form,
    /// One for a literal, else one a tick.
    values: Vec<f64>,
    /// How many forms the whole expression has, so that texts stay short.
    size: u32,
    name: Option<String>,
}

/// All known numbers of a plan; equal expressions are one row.
#[derive(Debug)]
pub struct Scalars {
    ticks: usize,
    entries: Vec<Entry>,
    index: HashMap<Form, ScalarId>,
}

/// How tightly the outermost operator of a text binds.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Binding {
    Sum,
    Product,
    Atom,
}

/// Expressions with more forms than this are written by their name, if they have one.
const LONG: u32 = 15;
/// Expressions with more forms than this are never written out.
const LONGEST: u32 = 60;

impl Scalars {
    /// None yet, for a run of so many ticks.
    pub fn new(ticks: usize) -> Self {
        Self {
            ticks,
            entries: Vec::new(),
            index: HashMap::new(),
        }
    }

    fn intern(
        &mut self,
        form: Form,
        size: u32,
        values: impl FnOnce(&Self) -> Vec<f64>,
    ) -> ScalarId {
        if let Some(found) = self.index.get(&form) {
            return *found;
        }
        let values = values(self);
        let id = ScalarId(self.entries.len() as u32);
        self.entries.push(Entry {
            form: form.clone(),
            values,
            size,
            name: None,
        });
        self.index.insert(form, id);
        id
    }

    fn entry(&self, id: ScalarId) -> &Entry {
        // INVARIANT: ids are made by `intern` of the same table.
        &self.entries[id.0 as usize]
    }

    fn size(&self, id: ScalarId) -> u32 {
        self.entry(id).size
    }

    /// A literal.
    pub fn literal(&mut self, value: f64) -> ScalarId {
        let value = if value == 0.0 { 0.0 } else { value };
        self.intern(Form::Literal(value.to_bits()), 1, |_| vec![value])
    }

    /// A name of the step with its values, one a tick.
    pub fn leaf(&mut self, text: &str, values: &[f64]) -> ScalarId {
        self.intern(Form::Leaf(text.to_string()), 1, |_| values.to_vec())
    }

    /// The literal's value, if it is one.
    pub fn as_literal(&self, id: ScalarId) -> Option<f64> {
        match self.entry(id).form {
            Form::Literal(bits) => Some(f64::from_bits(bits)),
            _ => None,
        }
    }

    /// The value in a tick.
    pub fn at(&self, id: ScalarId, tick: usize) -> f64 {
        let values = &self.entry(id).values;
        // INVARIANT: one value, or one a tick.
        if values.len() == 1 {
            values[0]
        } else {
            values[tick]
        }
    }

    /// Remembers what the source calls it.
    pub fn name(&mut self, id: ScalarId, name: &str) {
        let entry = &mut self.entries[id.0 as usize];
        if entry.name.is_none() && !matches!(entry.form, Form::Literal(_) | Form::Leaf(_)) {
            entry.name = Some(name.to_string());
        }
    }

    fn zip(&self, a: ScalarId, b: ScalarId, f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
        (0..self.ticks)
            .map(|t| f(self.at(a, t), self.at(b, t)))
            .collect()
    }

    /// `-a`
    pub fn negative(&mut self, a: ScalarId) -> ScalarId {
        match self.entry(a).form.clone() {
            Form::Literal(bits) => self.literal(-f64::from_bits(bits)),
            Form::Negative(inner) => inner,
            Form::Difference(x, y) => self.difference(y, x),
            Form::Product(x, y) => match self.as_literal(x) {
                Some(factor) => {
                    let factor = self.literal(-factor);
                    self.product(factor, y)
                }
                None => self.negated(a),
            },
            _ => self.negated(a),
        }
    }

    fn negated(&mut self, a: ScalarId) -> ScalarId {
        let size = self.size(a) + 1;
        self.intern(Form::Negative(a), size, |s| {
            (0..s.ticks).map(|t| -s.at(a, t)).collect()
        })
    }

    /// `a + b`
    pub fn sum(&mut self, a: ScalarId, b: ScalarId) -> ScalarId {
        match (self.as_literal(a), self.as_literal(b)) {
            (Some(x), Some(y)) => return self.literal(x + y),
            (Some(0.0), None) => return b,
            (None, Some(0.0)) => return a,
            _ => {}
        }
        match self.entry(b).form {
            Form::Negative(inner) => return self.difference(a, inner),
            Form::Product(x, y) => {
                if let Some(factor) = self.as_literal(x).filter(|f| *f < 0.0) {
                    let factor = self.literal(-factor);
                    let taken = self.product(factor, y);
                    return self.difference(a, taken);
                }
            }
            _ => {}
        }
        let size = self.size(a) + self.size(b) + 1;
        self.intern(Form::Sum(a, b), size, |s| s.zip(a, b, |x, y| x + y))
    }

    /// `a - b`
    pub fn difference(&mut self, a: ScalarId, b: ScalarId) -> ScalarId {
        match (self.as_literal(a), self.as_literal(b)) {
            (Some(x), Some(y)) => return self.literal(x - y),
            (Some(0.0), None) => return self.negative(b),
            (None, Some(0.0)) => return a,
            _ if a == b => return self.literal(0.0),
            _ => {}
        }
        if let Form::Negative(inner) = self.entry(b).form {
            return self.sum(a, inner);
        }
        let size = self.size(a) + self.size(b) + 1;
        self.intern(Form::Difference(a, b), size, |s| s.zip(a, b, |x, y| x - y))
    }

    /// `a * b`
    pub fn product(&mut self, a: ScalarId, b: ScalarId) -> ScalarId {
        match (self.as_literal(a), self.as_literal(b)) {
            (Some(x), Some(y)) => return self.literal(x * y),
            (Some(1.0), None) => return b,
            (None, Some(1.0)) => return a,
            (Some(-1.0), None) => return self.negative(b),
            (None, Some(-1.0)) => return self.negative(a),
            (Some(0.0), None) | (None, Some(0.0)) => return self.literal(0.0),
            (None, Some(_)) => return self.product(b, a),
            (Some(x), None) => match self.entry(b).form {
                Form::Product(y, z) => {
                    if let Some(y) = self.as_literal(y) {
                        let factor = self.literal(x * y);
                        return self.product(factor, z);
                    }
                }
                Form::Quotient(y, z) => {
                    if let Some(y) = self.as_literal(y) {
                        let top = self.literal(x * y);
                        return self.quotient(top, z);
                    }
                }
                Form::Negative(inner) => {
                    let factor = self.literal(-x);
                    return self.product(factor, inner);
                }
                _ => {}
            },
            (None, None) => {
                // Signs and literals stand in front.
                for (part, other) in [(a, b), (b, a)] {
                    match self.entry(part).form {
                        Form::Negative(inner) => {
                            let product = if part == a {
                                (inner, other)
                            } else {
                                (other, inner)
                            };
                            let product = self.product(product.0, product.1);
                            return self.negative(product);
                        }
                        Form::Product(factor, rest) if self.as_literal(factor).is_some() => {
                            let product = if part == a {
                                (rest, other)
                            } else {
                                (other, rest)
                            };
                            let product = self.product(product.0, product.1);
                            return self.product(factor, product);
                        }
                        Form::Quotient(top, bottom) if self.as_literal(top) == Some(1.0) => {
                            return self.quotient(other, bottom);
                        }
                        _ => {}
                    }
                }
            }
        }
        let size = self.size(a) + self.size(b) + 1;
        self.intern(Form::Product(a, b), size, |s| s.zip(a, b, |x, y| x * y))
    }

    /// `a / b`, with `0/0 = 0`.
    pub fn quotient(&mut self, a: ScalarId, b: ScalarId) -> ScalarId {
        match (self.as_literal(a), self.as_literal(b)) {
            (Some(x), Some(y)) => return self.literal(super::fold::divide(x, y)),
            (None, Some(1.0)) => return a,
            (Some(0.0), None) => return self.literal(0.0),
            (Some(x), None) if x < 0.0 => {
                let top = self.literal(-x);
                let quotient = self.quotient(top, b);
                return self.negative(quotient);
            }
            _ => {}
        }
        if let Form::Negative(inner) = self.entry(a).form {
            let quotient = self.quotient(inner, b);
            return self.negative(quotient);
        }
        let size = self.size(a) + self.size(b) + 1;
        self.intern(Form::Quotient(a, b), size, |s| {
            s.zip(a, b, super::fold::divide)
        })
    }

    /// A function by name; of literals a literal.
    pub fn call(
        &mut self,
        name: &'static str,
        args: Vec<ScalarId>,
        f: impl Fn(&[f64]) -> f64,
    ) -> ScalarId {
        let literals: Option<Vec<f64>> = args.iter().map(|a| self.as_literal(*a)).collect();
        if let Some(values) = literals {
            return self.literal(f(&values));
        }
        if let ("pow", [base, exponent]) = (name, args.as_slice()) {
            match self.as_literal(*exponent) {
                Some(0.0) => return self.literal(1.0),
                Some(1.0) => return *base,
                _ => {}
            }
        }
        let size = args.iter().map(|a| self.size(*a)).sum::<u32>() + 1;
        self.intern(Form::Call(name, args.clone()), size, |s| {
            let row = |t: usize| args.iter().map(|a| s.at(*a, t)).collect::<Vec<f64>>();
            (0..s.ticks).map(|t| f(&row(t))).collect()
        })
    }

    /// The expression as text.
    pub fn text(&self, id: ScalarId) -> String {
        self.write(id).0
    }

    fn write(&self, id: ScalarId) -> (String, Binding) {
        let entry = self.entry(id);
        if entry.size > LONG
            && let Some(name) = &entry.name
        {
            return (name.clone(), Binding::Atom);
        }
        if entry.size > LONGEST {
            return (format!("s{}", id.0), Binding::Atom);
        }
        let within = |id: ScalarId, least: Binding| {
            let (text, binding) = self.write(id);
            if binding >= least {
                text
            } else {
                format!("({text})")
            }
        };
        match &entry.form {
            Form::Literal(bits) => literal_text(f64::from_bits(*bits)),
            Form::Leaf(text) => (text.clone(), Binding::Atom),
            Form::Negative(a) => (format!("-{}", within(*a, Binding::Product)), Binding::Sum),
            Form::Sum(a, b) => (
                format!(
                    "{} + {}",
                    within(*a, Binding::Sum),
                    within(*b, Binding::Product)
                ),
                Binding::Sum,
            ),
            Form::Difference(a, b) => (
                format!(
                    "{} - {}",
                    within(*a, Binding::Sum),
                    within(*b, Binding::Product)
                ),
                Binding::Sum,
            ),
            Form::Product(a, b) => {
                let first = match self.as_literal(*a) {
                    Some(value) => literal_text(value).0,
                    None => within(*a, Binding::Product),
                };
                let second = within(*b, Binding::Product);
                // A sign in front of a product stands for the whole of it.
                let binding = if first.starts_with('-') {
                    Binding::Sum
                } else {
                    Binding::Product
                };
                (format!("{first}*{second}"), binding)
            }
            Form::Quotient(a, b) => {
                let first = within(*a, Binding::Product);
                let binding = if first.starts_with('-') {
                    Binding::Sum
                } else {
                    Binding::Product
                };
                (format!("{first}/{}", within(*b, Binding::Atom)), binding)
            }
            Form::Call(name, args) => {
                let args: Vec<String> = args.iter().map(|a| self.text(*a)).collect();
                (format!("{name}({})", args.join(", ")), Binding::Atom)
            }
        }
    }

    /// The number for some ticks of a segment.
    pub fn number(&self, id: ScalarId, ticks: &[usize]) -> Number {
        let mut values: Vec<f64> = ticks.iter().map(|t| self.at(id, *t)).collect();
        let first = values.first().map_or(0, |v| v.to_bits());
        if values.iter().all(|v| v.to_bits() == first) {
            values.truncate(1);
        }
        Number {
            text: self.text(id),
            values,
        }
    }
}

fn literal_text(value: f64) -> (String, Binding) {
    let binding = if value < 0.0 {
        Binding::Sum
    } else {
        Binding::Atom
    };
    (crate::show::number(value), binding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_fold_and_texts_stay_readable() {
        let mut s = Scalars::new(3);
        let progress = s.leaf("progress", &[0.0, 0.25, 0.5]);
        let (two, scale, one) = (s.literal(2.0), s.literal(7.5), s.literal(1.0));
        let k = s.product(two, progress);
        let scaled = s.product(scale, k);
        assert_eq!(s.text(scaled), "15*progress");
        let rest = s.difference(one, scaled);
        assert_eq!(s.text(rest), "1 - 15*progress");
        assert_eq!(s.at(rest, 2), -6.5);
        let nothing = s.difference(scaled, scaled);
        assert_eq!(s.as_literal(nothing), Some(0.0));
        let back = s.negative(rest);
        assert_eq!(s.text(back), "15*progress - 1");
    }
}
