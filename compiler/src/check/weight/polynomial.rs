//! Polynomials in several unknowns with exact coefficients, of bounded size.

use std::collections::BTreeMap;

use super::rational::Rational;

/// A weight of more terms than this equals nothing.
pub const MAX_TERMS: usize = 64;
/// A weight of a higher degree than this equals nothing.
pub const MAX_DEGREE: u32 = 8;

/// An unknown, by its number in the engine's table.
pub(crate) type Unknown = u32;

/// A product of unknowns: each with its power, in order.
type Monomial = Vec<(Unknown, u32)>;

/// A sum of monomials with nonzero coefficients.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Polynomial {
    terms: BTreeMap<Monomial, Rational>,
}

impl Polynomial {
    pub(crate) fn constant(value: Rational) -> Polynomial {
        let mut terms = BTreeMap::new();
        if !value.is_zero() {
            terms.insert(Vec::new(), value);
        }
        Polynomial { terms }
    }

    pub(crate) fn unknown(of: Unknown) -> Polynomial {
        Polynomial {
            terms: BTreeMap::from([(vec![(of, 1)], Rational::ONE)]),
        }
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.terms.is_empty()
    }

    /// The value, if no unknown occurs.
    pub(crate) fn as_constant(&self) -> Option<Rational> {
        match self.terms.iter().next() {
            None => Some(Rational::ZERO),
            Some((monomial, value)) if monomial.is_empty() && self.terms.len() == 1 => Some(*value),
            Some(_) => None,
        }
    }

    /// `self + other`; `None` over the limits.
    pub(crate) fn add(&self, other: &Polynomial) -> Option<Polynomial> {
        let mut terms = self.terms.clone();
        for (monomial, value) in &other.terms {
            add_term(&mut terms, monomial.clone(), *value)?;
        }
        (terms.len() <= MAX_TERMS).then_some(Polynomial { terms })
    }

    /// `self * other`; `None` over the limits.
    pub(crate) fn mul(&self, other: &Polynomial) -> Option<Polynomial> {
        let mut terms = BTreeMap::new();
        for (left, a) in &self.terms {
            for (right, b) in &other.terms {
                let product = times(left, right);
                if product.iter().map(|(_, power)| power).sum::<u32>() > MAX_DEGREE {
                    return None;
                }
                add_term(&mut terms, product, a.mul(*b)?)?;
            }
        }
        (terms.len() <= MAX_TERMS).then_some(Polynomial { terms })
    }

    pub(crate) fn scale(&self, by: Rational) -> Option<Polynomial> {
        self.mul(&Polynomial::constant(by))
    }

    pub(crate) fn neg(&self) -> Polynomial {
        let terms = self
            .terms
            .iter()
            .map(|(m, v)| (m.clone(), v.neg()))
            .collect();
        Polynomial { terms }
    }

    /// The number `k` with `self = k * other`, if there is one.
    pub(crate) fn ratio(&self, other: &Polynomial) -> Option<Rational> {
        let (monomial, below) = other.terms.iter().next()?;
        let ratio = self.terms.get(monomial)?.mul(below.inverse()?)?;
        (other.scale(ratio)? == *self).then_some(ratio)
    }

    /// `(a, b)` with `self = a + b*of`, where `of` occurs in neither; `None` if it is not of that form.
    pub(crate) fn linear_in(&self, of: Unknown) -> Option<(Polynomial, Polynomial)> {
        let (mut free, mut bound) = (Polynomial::default(), Polynomial::default());
        for (monomial, value) in &self.terms {
            match monomial.iter().position(|(u, _)| *u == of) {
                None => add_term(&mut free.terms, monomial.clone(), *value)?,
                Some(at) => {
                    let mut rest = monomial.clone();
                    if rest.remove(at).1 != 1 {
                        return None;
                    }
                    add_term(&mut bound.terms, rest, *value)?;
                }
            }
        }
        Some((free, bound))
    }

    /// Whether any of its unknowns is one of those.
    pub(crate) fn mentions(&self, those: &dyn Fn(Unknown) -> bool) -> bool {
        self.terms
            .keys()
            .flatten()
            .any(|(unknown, _)| those(*unknown))
    }

    /// How many terms.
    pub(crate) fn len(&self) -> usize {
        self.terms.len()
    }

    /// As text, what is added first, with the unknowns' names.
    pub(crate) fn text(&self, name: &dyn Fn(Unknown) -> String) -> String {
        let mut out = String::new();
        // A sum reads better when it does not begin with a minus.
        let signs = [false, true].into_iter();
        let ordered = signs.flat_map(|negative| {
            self.terms
                .iter()
                .filter(move |(_, v)| v.is_negative() == negative)
        });
        for (monomial, value) in ordered {
            let size = if value.is_negative() {
                value.neg()
            } else {
                *value
            };
            out.push_str(match (out.is_empty(), value.is_negative()) {
                (true, true) => "-",
                (true, false) => "",
                (false, true) => " - ",
                (false, false) => " + ",
            });
            let mut factors: Vec<String> = Vec::new();
            if monomial.is_empty() || size != Rational::ONE {
                factors.push(size.to_string());
            }
            for (unknown, power) in monomial {
                factors.extend((0..*power).map(|_| name(*unknown)));
            }
            out.push_str(&factors.join("*"));
        }
        if out.is_empty() { "0".to_string() } else { out }
    }
}

fn add_term(
    terms: &mut BTreeMap<Monomial, Rational>,
    monomial: Monomial,
    value: Rational,
) -> Option<()> {
    let sum = terms
        .get(&monomial)
        .copied()
        .unwrap_or(Rational::ZERO)
        .add(value)?;
    if sum.is_zero() {
        terms.remove(&monomial);
    } else {
        terms.insert(monomial, sum);
    }
    Some(())
}

fn times(left: &Monomial, right: &Monomial) -> Monomial {
    let mut powers: BTreeMap<Unknown, u32> = left.iter().copied().collect();
    for (unknown, power) in right {
        *powers.entry(*unknown).or_default() += power;
    }
    powers.into_iter().collect()
}
