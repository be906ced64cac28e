//! AVX2, and with it the dot products of AVX-VNNI.

use std::arch::x86_64::*;

use super::super::kernels::product::{Finish, Product};
use super::super::kernels::quantise::Int8;
use super::{ShortSums, Simd, Task};

/// Proof of AVX2 alone.
#[derive(Clone, Copy)]
pub(in super::super) struct Avx2(());

/// Proof of AVX2 and AVX-VNNI.
#[derive(Clone, Copy)]
pub(in super::super) struct AvxVnni(());

impl Avx2 {
    /// # Safety
    /// The processor has AVX2.
    pub(in super::super) unsafe fn new() -> Self {
        Self(())
    }
}

impl AvxVnni {
    /// # Safety
    /// The processor has AVX2 and AVX-VNNI.
    pub(in super::super) unsafe fn new() -> Self {
        Self(())
    }

    pub(in super::super) fn is_detected() -> bool {
        std::arch::is_x86_feature_detected!("avxvnni")
    }
}

#[target_feature(enable = "avx2")]
fn run_avx2<T: Task>(simd: Avx2, task: T) -> T::Output {
    task.run(simd)
}

#[target_feature(enable = "avx2,avxvnni")]
fn run_avx_vnni<T: Task>(simd: AvxVnni, task: T) -> T::Output {
    task.run(simd)
}

/// The same for both but for the products.
macro_rules! implement {
    ($name:ident, $run:ident, $group:literal, $dot_int8:expr, $dot_wide:expr, { $($more:tt)* }) => {
        impl Simd for $name {
            type Floats = __m256;
            type Integers = __m256i;

            const LANES: usize = 8;
            const GROUP: usize = $group;
            const OFFSET: i32 = 128;
            $($more)*

            #[inline(always)]
            fn run<T: Task>(self, task: T) -> T::Output {
                // SAFETY: the value proves that the processor has the instructions.
                unsafe { $run(self, task) }
            }

            #[inline(always)]
            unsafe fn load(self, from: *const f32) -> __m256 {
                // SAFETY: as above, and the caller promises that it can be read.
                unsafe { _mm256_loadu_ps(from) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut f32, x: __m256) {
                // SAFETY: as above, and the caller promises that it can be written.
                unsafe { _mm256_storeu_ps(to, x) }
            }

            #[inline(always)]
            unsafe fn load_integers(self, from: *const i32) -> __m256i {
                // SAFETY: as above, and the caller promises that it can be read.
                unsafe { _mm256_loadu_si256(from.cast()) }
            }

            #[inline(always)]
            unsafe fn splat_group(self, from: *const u8) -> __m256i {
                // SAFETY: as above, and the caller promises that it can be read.
                unsafe { _mm256_set1_epi32(from.cast::<i32>().read_unaligned()) }
            }

            #[inline(always)]
            fn splat(self, x: f32) -> __m256 {
                // SAFETY: the value proves that the processor has the instructions.
                unsafe { _mm256_set1_ps(x) }
            }

            #[inline(always)]
            fn zeros(self) -> __m256i {
                // SAFETY: as above.
                unsafe { _mm256_setzero_si256() }
            }

            #[inline(always)]
            fn add(self, a: __m256, b: __m256) -> __m256 {
                // SAFETY: as above.
                unsafe { _mm256_add_ps(a, b) }
            }

            #[inline(always)]
            fn mul(self, a: __m256, b: __m256) -> __m256 {
                // SAFETY: as above.
                unsafe { _mm256_mul_ps(a, b) }
            }

            #[inline(always)]
            fn min(self, a: __m256, b: __m256) -> __m256 {
                // SAFETY: as above.
                unsafe { _mm256_min_ps(a, b) }
            }

            #[inline(always)]
            fn max(self, a: __m256, b: __m256) -> __m256 {
                // SAFETY: as above.
                unsafe { _mm256_max_ps(a, b) }
            }

            #[inline(always)]
            fn to_floats(self, x: __m256i) -> __m256 {
                // SAFETY: as above.
                unsafe { _mm256_cvtepi32_ps(x) }
            }

            #[inline(always)]
            fn max_magnitude(self, most: __m256i, x: __m256) -> __m256i {
                // SAFETY: as above.
                unsafe {
                    let magnitude = _mm256_castps_si256(_mm256_and_ps(
                        x,
                        _mm256_castsi256_ps(_mm256_set1_epi32(i32::MAX)),
                    ));
                    _mm256_max_epi32(most, magnitude)
                }
            }

            #[inline(always)]
            fn largest(self, x: __m256i) -> i32 {
                // SAFETY: as above.
                unsafe {
                    let x =
                        _mm_max_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
                    let x = _mm_max_epi32(x, _mm_shuffle_epi32(x, 0b01_00_11_10));
                    let x = _mm_max_epi32(x, _mm_shuffle_epi32(x, 0b10_11_00_01));
                    _mm_cvtsi128_si32(x)
                }
            }

            #[inline(always)]
            fn dot_int8(self, sum: __m256i, x: __m256i, w: __m256i) -> __m256i {
                // SAFETY: as above.
                unsafe { $dot_int8(sum, x, w) }
            }

            #[inline(always)]
            fn dot_wide(self, sum: __m256i, x: __m256i, w: __m256i) -> __m256i {
                // SAFETY: as above.
                unsafe { $dot_wide(sum, x, w) }
            }

            #[inline(always)]
            unsafe fn store_int8(self, to: *mut u8, x: [__m256; 4]) {
                // SAFETY: as above, and the caller promises that it can be written.
                unsafe {
                    let low =
                        _mm256_packs_epi32(_mm256_cvtps_epi32(x[0]), _mm256_cvtps_epi32(x[1]));
                    let high =
                        _mm256_packs_epi32(_mm256_cvtps_epi32(x[2]), _mm256_cvtps_epi32(x[3]));
                    // Packing works within halves of a vector.
                    let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
                    let bytes = _mm256_packs_epi16(low, high);
                    let bytes = _mm256_permutevar8x32_epi32(bytes, order);
                    let bytes = _mm256_xor_si256(bytes, _mm256_set1_epi8(i8::MIN));
                    _mm256_storeu_si256(to.cast(), bytes);
                }
            }

            #[inline(always)]
            unsafe fn store_words(self, to: *mut u8, x: [__m256; 2]) {
                // SAFETY: as above, and the caller promises that it can be written.
                unsafe {
                    let words =
                        _mm256_packs_epi32(_mm256_cvtps_epi32(x[0]), _mm256_cvtps_epi32(x[1]));
                    // Packing works within halves of a vector.
                    let words = _mm256_permute4x64_epi64(words, 0b11_01_10_00);
                    _mm256_storeu_si256(to.cast(), words);
                }
            }
        }
    };
}

implement!(Avx2, run_avx2, 4, dot_int8, dot_wide, {
    const SHORT_SUMS: bool = true;

    #[inline(always)]
    fn multiply_int8<F: Finish>(self, product: Product<'_, Int8, F>) {
        product.by_runs(self);
    }
});
implement!(AvxVnni, run_avx_vnni, 6, _mm256_dpbusd_avx_epi32, _mm256_dpwssd_avx_epi32, {});

impl ShortSums for Avx2 {
    #[inline(always)]
    fn mul_bytes(self, x: __m256i, w: __m256i) -> __m256i {
        // SAFETY: the value proves that the processor has the instructions.
        unsafe { _mm256_maddubs_epi16(x, w) }
    }

    #[inline(always)]
    fn add_words(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_add_epi16(a, b) }
    }

    #[inline(always)]
    fn add_pairs(self, sum: __m256i, words: __m256i) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_add_epi32(sum, _mm256_madd_epi16(words, _mm256_set1_epi16(1))) }
    }
}

/// Sums of two products do not saturate: 2 · 255 · 63 < 2^15.
///
/// # Safety
/// The processor has AVX2.
#[inline(always)]
unsafe fn dot_int8(sum: __m256i, x: __m256i, w: __m256i) -> __m256i {
    // SAFETY: what the caller promises.
    unsafe {
        let pairs = _mm256_madd_epi16(_mm256_maddubs_epi16(x, w), _mm256_set1_epi16(1));
        _mm256_add_epi32(sum, pairs)
    }
}

/// # Safety
/// The processor has AVX2.
#[inline(always)]
unsafe fn dot_wide(sum: __m256i, x: __m256i, w: __m256i) -> __m256i {
    // SAFETY: what the caller promises.
    unsafe { _mm256_add_epi32(sum, _mm256_madd_epi16(x, w)) }
}
