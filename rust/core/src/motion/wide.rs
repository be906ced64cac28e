//! Functions compiled twice.

/// Defines a function that is also compiled for AVX2, which runs where the level allows it. On Arm
/// once is enough, as the compiler takes NEON for granted there.
///
/// The body is the same, so the results are, too; only the compiler's choice of registers differs.
macro_rules! wide {
    (
        $(#[$attribute:meta])*
        $visibility:vis fn $name:ident $(<$generic:ident: $bound:path>)? (
            $($argument:ident: $type:ty),* $(,)?
        ) $body:block
    ) => {
        $(#[$attribute])*
        $visibility fn $name $(<$generic: $bound>)? ($($argument: $type),*) {
            #[inline(always)]
            fn plain $(<$generic: $bound>)? ($($argument: $type),*) $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                unsafe fn avx2 $(<$generic: $bound>)? ($($argument: $type),*) {
                    plain($($argument),*);
                }
                if $crate::cpu::Level::highest().kind() >= $crate::cpu::Kind::Avx2 {
                    // SAFETY: the processor has AVX2.
                    return unsafe { avx2($($argument),*) };
                }
            }
            plain($($argument),*);
        }
    };
}

pub(crate) use wide;
