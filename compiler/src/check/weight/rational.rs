//! Exact fractions: the coefficients of weights.

use std::fmt;

/// A fraction in lowest terms with a positive denominator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Rational {
    numerator: i128,
    denominator: i128,
}

impl Rational {
    pub(crate) const ZERO: Rational = Rational {
        numerator: 0,
        denominator: 1,
    };
    pub(crate) const ONE: Rational = Rational {
        numerator: 1,
        denominator: 1,
    };

    /// `numerator / denominator`; `None` if that is not a number or does not fit.
    pub(crate) fn new(numerator: i128, denominator: i128) -> Option<Rational> {
        if denominator == 0 {
            return None;
        }
        let divisor = gcd(numerator.checked_abs()?, denominator.checked_abs()?);
        let sign = if denominator < 0 { -1 } else { 1 };
        Some(Rational {
            numerator: (numerator / divisor).checked_mul(sign)?,
            denominator: (denominator / divisor).checked_mul(sign)?,
        })
    }

    pub(crate) fn whole(value: i128) -> Rational {
        Rational {
            numerator: value,
            denominator: 1,
        }
    }

    /// The number that a decimal literal spells, exactly; `None` if it does not fit.
    pub(crate) fn parse(text: &str) -> Option<Rational> {
        let (mantissa, exponent) = match text.find(['e', 'E']) {
            Some(at) => (text.get(..at)?, text.get(at + 1..)?.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let part = part.trim_end_matches('0');
        let digits: i128 = format!("{whole}{part}").parse().ok()?;
        let exponent = exponent.checked_sub(i32::try_from(part.len()).ok()?)?;
        let power = 10i128.checked_pow(exponent.unsigned_abs())?;
        if exponent < 0 {
            Rational::new(digits, power)
        } else {
            Some(Rational::whole(digits.checked_mul(power)?))
        }
    }

    pub(crate) fn is_zero(self) -> bool {
        self.numerator == 0
    }

    pub(crate) fn is_negative(self) -> bool {
        self.numerator < 0
    }

    pub(crate) fn add(self, other: Rational) -> Option<Rational> {
        let left = self.numerator.checked_mul(other.denominator)?;
        let right = other.numerator.checked_mul(self.denominator)?;
        Rational::new(
            left.checked_add(right)?,
            self.denominator.checked_mul(other.denominator)?,
        )
    }

    pub(crate) fn mul(self, other: Rational) -> Option<Rational> {
        Rational::new(
            self.numerator.checked_mul(other.numerator)?,
            self.denominator.checked_mul(other.denominator)?,
        )
    }

    pub(crate) fn neg(self) -> Rational {
        // INVARIANT: `new` refuses the one number whose opposite does not fit.
        Rational {
            numerator: -self.numerator,
            ..self
        }
    }

    /// `1 / self`; `None` of 0.
    pub(crate) fn inverse(self) -> Option<Rational> {
        Rational::new(self.denominator, self.numerator)
    }
}

impl fmt::Display for Rational {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.denominator == 1 {
            return write!(f, "{}", self.numerator);
        }
        let only = |mut n: i128, p: i128| {
            while n % p == 0 {
                n /= p;
            }
            n
        };
        // A fraction that a short decimal spells is written so, as the user wrote it.
        if only(only(self.denominator, 2), 5) == 1 && self.denominator <= 1_000_000 {
            return write!(f, "{}", self.numerator as f64 / self.denominator as f64);
        }
        write!(f, "{}/{}", self.numerator, self.denominator)
    }
}

fn gcd(mut a: i128, mut b: i128) -> i128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_exact() {
        assert_eq!(Rational::parse("0.1"), Rational::new(1, 10));
        assert_eq!(Rational::parse("7.50"), Rational::new(15, 2));
        assert_eq!(Rational::parse("1e-8"), Rational::new(1, 100_000_000));
        assert_eq!(Rational::parse("2.5E+2"), Some(Rational::whole(250)));
        assert_eq!(Rational::parse("1e60"), None);
    }

    #[test]
    fn they_print_as_written() {
        assert_eq!(
            Rational::new(-15, 2).map(|r| r.to_string()).as_deref(),
            Some("-7.5")
        );
        assert_eq!(
            Rational::new(1, 3).map(|r| r.to_string()).as_deref(),
            Some("1/3")
        );
    }
}
