//! The functions of one and two numbers, the same for scalars (f64) and elements (f32).
//!
//! `a/0` is infinite with a's sign and `0/0` is 0; `1/0` of [`Unary::InverseOrZero`] is 0; a NaN goes
//! through every function.

use guide_compiler::plan::{Binary, Compare, Unary};

macro_rules! functions {
    ($name:ident, $float:ty) => {
        /// The functions on this width.
        pub mod $name {
            use super::{Binary, Compare, Unary};

            /// `a / b`.
            #[inline(always)]
            pub fn div(a: $float, b: $float) -> $float {
                let by_zero = if a == 0.0 {
                    0.0
                } else {
                    a * <$float>::INFINITY
                };
                if b == 0.0 { by_zero } else { a / b }
            }

            /// The smaller; a NaN wins.
            #[inline(always)]
            pub fn min(a: $float, b: $float) -> $float {
                if a < b || a.is_nan() { a } else { b }
            }

            /// The larger; a NaN wins.
            #[inline(always)]
            pub fn max(a: $float, b: $float) -> $float {
                if a > b || a.is_nan() { a } else { b }
            }

            /// `a - b*floor(a/b)`, with the division of [`div`].
            #[inline(always)]
            pub fn rem(a: $float, b: $float) -> $float {
                a - b * div(a, b).floor()
            }

            /// -1, 0 or 1.
            #[inline(always)]
            pub fn sign(a: $float) -> $float {
                if a > 0.0 {
                    1.0
                } else if a < 0.0 {
                    -1.0
                } else {
                    // Also the NaN.
                    a * 0.0
                }
            }

            /// `1/(1 + exp(-a))`.
            #[inline(always)]
            pub fn sigmoid(a: $float) -> $float {
                1.0 / (1.0 + (-a).exp())
            }

            /// `1/a`, with `1/0 = 0`.
            #[inline(always)]
            pub fn inverse_or_zero(a: $float) -> $float {
                if a == 0.0 { 0.0 } else { 1.0 / a }
            }

            /// A function of one number.
            #[inline(always)]
            pub fn unary(op: Unary, a: $float) -> $float {
                match op {
                    Unary::Abs => a.abs(),
                    Unary::Exp => a.exp(),
                    Unary::Log => a.ln(),
                    Unary::Sqrt => a.sqrt(),
                    Unary::Sin => a.sin(),
                    Unary::Cos => a.cos(),
                    Unary::Acos => a.acos(),
                    Unary::Sign => sign(a),
                    Unary::Sigmoid => sigmoid(a),
                    Unary::Floor => a.floor(),
                    Unary::InverseOrZero => inverse_or_zero(a),
                }
            }

            /// A function of two numbers.
            #[inline(always)]
            pub fn binary(op: Binary, a: $float, b: $float) -> $float {
                match op {
                    Binary::Min => min(a, b),
                    Binary::Max => max(a, b),
                    Binary::Pow => a.powf(b),
                    Binary::Rem => rem(a, b),
                }
            }

            /// A comparison.
            #[inline(always)]
            pub fn compare(op: Compare, a: $float, b: $float) -> bool {
                match op {
                    Compare::Eq => a == b,
                    Compare::Ne => a != b,
                    Compare::Lt => a < b,
                    Compare::Le => a <= b,
                    Compare::Gt => a > b,
                    Compare::Ge => a >= b,
                }
            }
        }
    };
}

functions!(narrow, f32);
functions!(wide, f64);

#[cfg(test)]
mod tests {
    use super::{narrow, wide};
    use guide_compiler::plan::{Binary, Unary};

    #[test]
    fn division_by_zero() {
        assert_eq!(wide::div(3.0, 0.0), f64::INFINITY);
        assert_eq!(wide::div(-3.0, 0.0), f64::NEG_INFINITY);
        assert_eq!(wide::div(-3.0, -0.0), f64::NEG_INFINITY);
        assert_eq!(wide::div(0.0, 0.0), 0.0);
        assert!(wide::div(f64::NAN, 0.0).is_nan());
        assert_eq!(narrow::div(-2.0, 0.0), f32::NEG_INFINITY);
        assert_eq!(narrow::div(3.0, 2.0), 1.5);
        assert_eq!(wide::unary(Unary::InverseOrZero, 0.0), 0.0);
    }

    #[test]
    fn remainder_follows_the_floor() {
        assert_eq!(wide::binary(Binary::Rem, 5.5, 2.0), 1.5);
        assert_eq!(wide::binary(Binary::Rem, -0.5, 2.0), 1.5);
        assert_eq!(wide::binary(Binary::Rem, 5.0, -3.0), -1.0);
    }

    #[test]
    fn a_nan_goes_through() {
        for op in [Binary::Min, Binary::Max] {
            assert!(wide::binary(op, f64::NAN, 1.0).is_nan());
            assert!(wide::binary(op, 1.0, f64::NAN).is_nan());
        }
        assert!(wide::unary(Unary::Sign, f64::NAN).is_nan());
        assert_eq!(wide::unary(Unary::Sign, -0.5), -1.0);
        assert_eq!(wide::unary(Unary::Sign, 0.0), 0.0);
    }
}
