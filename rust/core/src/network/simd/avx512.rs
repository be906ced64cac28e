//! AVX-512 with its VNNI.

use std::arch::x86_64::*;

use super::{Simd, Task};

/// Proof of AVX-512 F, BW and VNNI.
#[derive(Clone, Copy)]
pub(in super::super) struct Avx512(());

impl Avx512 {
    /// # Safety
    /// The processor has AVX-512 F, BW and VNNI.
    pub(in super::super) unsafe fn new() -> Self {
        Self(())
    }
}

#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vnni")]
fn run_avx512<T: Task>(simd: Avx512, task: T) -> T::Output {
    task.run(simd)
}

impl Simd for Avx512 {
    type Floats = __m512;
    type Integers = __m512i;

    const LANES: usize = 16;
    const GROUP: usize = 6;
    const OFFSET: i32 = 128;

    #[inline(always)]
    fn run<T: Task>(self, task: T) -> T::Output {
        // SAFETY: the value proves that the processor has the instructions.
        unsafe { run_avx512(self, task) }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m512 {
        // SAFETY: as above, and the caller promises that it can be read.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, x: __m512) {
        // SAFETY: as above, and the caller promises that it can be written.
        unsafe { _mm512_storeu_ps(to, x) }
    }

    #[inline(always)]
    unsafe fn load_integers(self, from: *const i32) -> __m512i {
        // SAFETY: as above, and the caller promises that it can be read.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn splat_group(self, from: *const u8) -> __m512i {
        // SAFETY: as above, and the caller promises that it can be read.
        unsafe { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        // SAFETY: the value proves that the processor has the instructions.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    fn zeros(self) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_min_ps(a, b) }
    }

    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    fn to_floats(self, x: __m512i) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_cvtepi32_ps(x) }
    }

    #[inline(always)]
    fn max_magnitude(self, most: __m512i, x: __m512) -> __m512i {
        // SAFETY: as above.
        unsafe {
            let magnitude = _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(i32::MAX));
            _mm512_max_epi32(most, magnitude)
        }
    }

    #[inline(always)]
    fn largest(self, x: __m512i) -> i32 {
        // SAFETY: as above.
        unsafe { _mm512_reduce_max_epi32(x) }
    }

    #[inline(always)]
    fn dot_int8(self, sum: __m512i, x: __m512i, w: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_dpbusd_epi32(sum, x, w) }
    }

    #[inline(always)]
    fn dot_wide(self, sum: __m512i, x: __m512i, w: __m512i) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_dpwssd_epi32(sum, x, w) }
    }

    #[inline(always)]
    unsafe fn store_int8(self, to: *mut u8, x: [__m512; 4]) {
        // SAFETY: as above, and the caller promises that it can be written.
        unsafe {
            for (k, x) in x.into_iter().enumerate() {
                let bytes = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x));
                let bytes = _mm_xor_si128(bytes, _mm_set1_epi8(i8::MIN));
                _mm_storeu_si128(to.add(16 * k).cast(), bytes);
            }
        }
    }

    #[inline(always)]
    unsafe fn store_words(self, to: *mut u8, x: [__m512; 2]) {
        // SAFETY: as above, and the caller promises that it can be written.
        unsafe {
            for (k, x) in x.into_iter().enumerate() {
                let words = _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(x));
                _mm256_storeu_si256(to.add(32 * k).cast(), words);
            }
        }
    }
}
