//! The same loops for the widest vectors that the machine has; they give the same numbers on all.

/// Makes a function that runs an `#[inline(always)]` function, compiled once for each width of
/// vectors, in the widest form that the machine has.
macro_rules! widest {
    ($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $kind:ty),* $(,)?) $(-> $result:ty)? = $loops:path;) => {
        $(#[$doc])*
        #[allow(
            unsafe_code,
            reason = "the one call that the compiler cannot see to be guarded"
        )]
        $vis fn $name($($arg: $kind),*) $(-> $result)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            #[inline(never)]
            fn avx2($($arg: $kind),*) $(-> $result)? {
                $loops($($arg),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f")]
            #[inline(never)]
            fn avx512($($arg: $kind),*) $(-> $result)? {
                $loops($($arg),*)
            }

            #[cfg(target_arch = "x86_64")]
            {
                if std::arch::is_x86_feature_detected!("avx512f") {
                    // SAFETY: the machine has the instructions, as just asked; the function is
                    // otherwise safe.
                    return unsafe { avx512($($arg),*) };
                }
                if std::arch::is_x86_feature_detected!("avx2") {
                    // SAFETY: as above.
                    return unsafe { avx2($($arg),*) };
                }
            }
            $loops($($arg),*)
        }
    };
}
pub(super) use widest;
