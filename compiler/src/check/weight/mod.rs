//! Weights: how many predictions' worth a tensor is, as a quotient of two polynomials.
//!
//! Scalars, maps and per-channel values carry their own value in the same form, so that a tensor's
//! weight is multiplied by them. Two weights are equal when their cross products are the same
//! polynomial. A weight over the limits, or whose coefficients do not fit, equals nothing.

mod polynomial;
mod rational;

pub use polynomial::{MAX_DEGREE, MAX_TERMS};
pub(crate) use polynomial::{Polynomial, Unknown};
pub(crate) use rational::Rational;

/// A quotient of polynomials, or what is too large to be one.
#[derive(Clone, Debug)]
pub(crate) enum Weight {
    /// `numerator / denominator`; the denominator is not the zero polynomial.
    Of(Polynomial, Polynomial),
    /// Over the limits.
    TooLarge,
}

impl Weight {
    pub(crate) fn zero() -> Weight {
        Weight::number(Rational::ZERO)
    }

    pub(crate) fn one() -> Weight {
        Weight::number(Rational::ONE)
    }

    pub(crate) fn number(value: Rational) -> Weight {
        Weight::Of(
            Polynomial::constant(value),
            Polynomial::constant(Rational::ONE),
        )
    }

    pub(crate) fn unknown(of: Unknown) -> Weight {
        Weight::Of(Polynomial::unknown(of), Polynomial::constant(Rational::ONE))
    }

    pub(crate) fn is_zero(&self) -> bool {
        matches!(self, Weight::Of(n, _) if n.is_zero())
    }

    pub(crate) fn is_one(&self) -> bool {
        matches!(self, Weight::Of(n, d) if n == d)
    }

    pub(crate) fn is_too_large(&self) -> bool {
        matches!(self, Weight::TooLarge)
    }

    /// Whether any of its unknowns is one of those.
    pub(crate) fn mentions(&self, those: &dyn Fn(Unknown) -> bool) -> bool {
        matches!(self, Weight::Of(n, d) if n.mentions(those) || d.mentions(those))
    }

    /// Whether the cross products are the same polynomial.
    pub(crate) fn equals(&self, other: &Weight) -> bool {
        let (Weight::Of(a, b), Weight::Of(c, d)) = (self, other) else {
            return false;
        };
        match (a.mul(d), c.mul(b)) {
            (Some(left), Some(right)) => left == right,
            _ => a == c && b == d,
        }
    }

    pub(crate) fn add(&self, other: &Weight) -> Weight {
        let (Weight::Of(a, b), Weight::Of(c, d)) = (self, other) else {
            return Weight::TooLarge;
        };
        let sum = if b == d {
            a.add(c).map(|n| (n, b.clone()))
        } else {
            (|| Some((a.mul(d)?.add(&c.mul(b)?)?, b.mul(d)?)))()
        };
        simplify(sum)
    }

    pub(crate) fn neg(&self) -> Weight {
        match self {
            Weight::Of(n, d) => Weight::Of(n.neg(), d.clone()),
            Weight::TooLarge => Weight::TooLarge,
        }
    }

    pub(crate) fn sub(&self, other: &Weight) -> Weight {
        self.add(&other.neg())
    }

    pub(crate) fn mul(&self, other: &Weight) -> Weight {
        if self.is_zero() || other.is_zero() {
            return Weight::zero();
        }
        let (Weight::Of(a, b), Weight::Of(c, d)) = (self, other) else {
            return Weight::TooLarge;
        };
        let product = if a == d {
            Some((c.clone(), b.clone()))
        } else if c == b {
            Some((a.clone(), d.clone()))
        } else {
            (|| Some((a.mul(c)?, b.mul(d)?)))()
        };
        simplify(product)
    }

    /// `self / other`, as if `other` were never 0; a quotient by exactly 0 equals nothing.
    pub(crate) fn div(&self, other: &Weight) -> Weight {
        match other {
            Weight::Of(n, d) if !n.is_zero() => self.mul(&Weight::Of(d.clone(), n.clone())),
            _ if self.is_zero() => Weight::zero(),
            _ => Weight::TooLarge,
        }
    }

    /// The weight `w` with `w = self(w)`, where `self` is linear in `of`: what a state settles on.
    /// `None` if every weight does, or none.
    pub(crate) fn fixpoint(&self, of: Unknown) -> Option<Weight> {
        let Weight::Of(n, d) = self else { return None };
        // (a + b w) / (c) = w, with c free of w: w = a / (c - b).
        let (a, b) = n.linear_in(of)?;
        let (c, e) = d.linear_in(of)?;
        if !e.is_zero() {
            return None;
        }
        let below = c.add(&b.neg())?;
        if below.is_zero() {
            return None;
        }
        Some(simplify(Some((a, below))))
    }

    /// As text, for messages.
    pub(crate) fn text(&self, name: &dyn Fn(Unknown) -> String) -> String {
        let Weight::Of(n, d) = self else {
            return "too large to compare".to_string();
        };
        let wrapped = |p: &Polynomial| {
            if p.len() > 1 {
                format!("({})", p.text(name))
            } else {
                p.text(name)
            }
        };
        if *d == Polynomial::constant(Rational::ONE) {
            n.text(name)
        } else {
            format!("{}/{}", wrapped(n), wrapped(d))
        }
    }
}

/// Numbers in the denominator go to the numerator; proportional polynomials are a number.
fn simplify(parts: Option<(Polynomial, Polynomial)>) -> Weight {
    let Some((n, d)) = parts else {
        return Weight::TooLarge;
    };
    if n.is_zero() {
        return Weight::zero();
    }
    if let Some(ratio) = n.ratio(&d) {
        return Weight::number(ratio);
    }
    match d
        .as_constant()
        .and_then(Rational::inverse)
        .and_then(|k| n.scale(k))
    {
        Some(whole) => Weight::Of(whole, Polynomial::constant(Rational::ONE)),
        None => Weight::Of(n, d),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(text: &str) -> Weight {
        Rational::parse(text).map_or(Weight::TooLarge, Weight::number)
    }

    #[test]
    fn affine_mixes_have_weight_one() {
        let w = Weight::unknown(0);
        assert!(w.add(&Weight::one().sub(&w)).equals(&Weight::one()));
        assert!(number("0.1").add(&number("0.2")).equals(&number("0.3")));
        assert!(!Weight::one().add(&w).equals(&Weight::one()));
    }

    #[test]
    fn quotients_compare_by_cross_products() {
        let (a, b) = (Weight::unknown(0), Weight::unknown(1));
        let sum = a.add(&b);
        assert!(a.div(&sum).add(&b.div(&sum)).equals(&Weight::one()));
        assert!(a.mul(&a).div(&a).equals(&a));
    }

    #[test]
    fn too_large_equals_nothing() {
        let w = Weight::unknown(0);
        let high = (0..9).fold(Weight::one(), |p, _| p.mul(&w));
        assert!(high.is_too_large());
        assert!(!high.equals(&high));
        let many = (0..65).fold(Weight::zero(), |s, u| s.add(&Weight::unknown(u)));
        assert!(many.is_too_large());
    }

    #[test]
    fn states_settle() {
        // m = 0.5*c + 0.5*prev(m) has weight 1; m = d + beta*prev(m) has weight 0.
        let (w, beta) = (Weight::unknown(7), Weight::unknown(1));
        let half = number("0.5");
        let mixed = half.add(&half.mul(&w));
        assert!(mixed.fixpoint(7).is_some_and(|f| f.equals(&Weight::one())));
        assert!(beta.mul(&w).fixpoint(7).is_some_and(|f| f.is_zero()));
        assert!(w.fixpoint(7).is_none());
    }

    #[test]
    fn text_names_the_unknowns() {
        let name = |u: Unknown| ["w", "k"][u as usize].to_string();
        let w = Weight::unknown(0);
        assert_eq!(Weight::one().add(&w).text(&name), "1 + w");
        assert_eq!(
            w.sub(&number("2.5").mul(&Weight::unknown(1))).text(&name),
            "w - 2.5*k"
        );
        assert_eq!(
            w.div(&Weight::one().add(&Weight::unknown(1))).text(&name),
            "w/(1 + k)"
        );
    }

    fn any_weight() -> impl Strategy<Value = Weight> {
        let leaf = prop_oneof![
            (-9i128..10).prop_map(|n| Weight::number(Rational::whole(n))),
            (0u32..3).prop_map(Weight::unknown),
        ];
        leaf.prop_recursive(2, 6, 2, |inner| {
            (inner.clone(), inner, 0..3).prop_map(|(a, b, op)| match op {
                0 => a.add(&b),
                1 => a.mul(&b),
                _ => a.sub(&b),
            })
        })
    }

    proptest! {
        #[test]
        fn weights_form_a_ring(a in any_weight(), b in any_weight(), c in any_weight()) {
            prop_assert!(a.add(&b).equals(&b.add(&a)));
            prop_assert!(a.mul(&b).equals(&b.mul(&a)) || a.mul(&b).is_too_large());
            prop_assert!(a.sub(&a).is_zero());
            prop_assert!(a.add(&b).add(&c).equals(&a.add(&b.add(&c))));
            let left = a.mul(&b.add(&c));
            let right = a.mul(&b).add(&a.mul(&c));
            prop_assert!(left.is_too_large() || right.is_too_large() || left.equals(&right));
            prop_assert!(a.mul(&Weight::one()).equals(&a));
            if !b.is_zero() {
                prop_assert!(a.div(&b).mul(&b).equals(&a) || a.div(&b).is_too_large());
            }
        }
    }
}
