//! NEON, and with it the dot products that later processors have.

use std::arch::aarch64::*;
use std::arch::asm;

use super::{Simd, Task};

/// Proof of NEON alone.
#[derive(Clone, Copy)]
pub(in super::super) struct Neon(());

/// Proof of NEON and its dot products.
#[derive(Clone, Copy)]
pub(in super::super) struct NeonDot(());

impl Neon {
    /// # Safety
    /// The processor has NEON.
    pub(in super::super) unsafe fn new() -> Self {
        Self(())
    }
}

impl NeonDot {
    /// # Safety
    /// The processor has NEON and dot products.
    pub(in super::super) unsafe fn new() -> Self {
        Self(())
    }

    pub(in super::super) fn is_detected() -> bool {
        std::arch::is_aarch64_feature_detected!("dotprod")
    }
}

#[target_feature(enable = "neon")]
fn run_neon<T: Task>(simd: Neon, task: T) -> T::Output {
    task.run(simd)
}

#[target_feature(enable = "neon,dotprod")]
fn run_neon_dot<T: Task>(simd: NeonDot, task: T) -> T::Output {
    task.run(simd)
}

/// The same for both but for the products.
macro_rules! implement {
    ($name:ident, $run:ident, $dot_int8:expr) => {
        impl Simd for $name {
            type Floats = float32x4_t;
            type Integers = int32x4_t;

            const LANES: usize = 4;
            const GROUP: usize = 6;
            const OFFSET: i32 = 0;

            #[inline(always)]
            fn run<T: Task>(self, task: T) -> T::Output {
                // SAFETY: the value proves that the processor has the instructions.
                unsafe { $run(self, task) }
            }

            #[inline(always)]
            unsafe fn load(self, from: *const f32) -> float32x4_t {
                // SAFETY: as above, and the caller promises that it can be read.
                unsafe { vld1q_f32(from) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut f32, x: float32x4_t) {
                // SAFETY: as above, and the caller promises that it can be written.
                unsafe { vst1q_f32(to, x) }
            }

            #[inline(always)]
            unsafe fn load_integers(self, from: *const i32) -> int32x4_t {
                // SAFETY: as above, and the caller promises that it can be read.
                unsafe { vld1q_s32(from) }
            }

            #[inline(always)]
            unsafe fn splat_group(self, from: *const u8) -> int32x4_t {
                // SAFETY: as above, and the caller promises that it can be read.
                unsafe { vdupq_n_s32(from.cast::<i32>().read_unaligned()) }
            }

            #[inline(always)]
            fn splat(self, x: f32) -> float32x4_t {
                // SAFETY: the value proves that the processor has the instructions.
                unsafe { vdupq_n_f32(x) }
            }

            #[inline(always)]
            fn zeros(self) -> int32x4_t {
                // SAFETY: as above.
                unsafe { vdupq_n_s32(0) }
            }

            #[inline(always)]
            fn add(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
                // SAFETY: as above.
                unsafe { vaddq_f32(a, b) }
            }

            #[inline(always)]
            fn mul(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
                // SAFETY: as above.
                unsafe { vmulq_f32(a, b) }
            }

            #[inline(always)]
            fn min(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
                // SAFETY: as above.
                unsafe { vminq_f32(a, b) }
            }

            #[inline(always)]
            fn max(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
                // SAFETY: as above.
                unsafe { vmaxq_f32(a, b) }
            }

            #[inline(always)]
            fn to_floats(self, x: int32x4_t) -> float32x4_t {
                // SAFETY: as above.
                unsafe { vcvtq_f32_s32(x) }
            }

            #[inline(always)]
            fn max_magnitude(self, most: int32x4_t, x: float32x4_t) -> int32x4_t {
                // SAFETY: as above.
                unsafe { vmaxq_s32(most, vreinterpretq_s32_f32(vabsq_f32(x))) }
            }

            #[inline(always)]
            fn largest(self, x: int32x4_t) -> i32 {
                // SAFETY: as above.
                unsafe { vmaxvq_s32(x) }
            }

            #[inline(always)]
            fn dot_int8(self, sum: int32x4_t, x: int32x4_t, w: int32x4_t) -> int32x4_t {
                // SAFETY: as above.
                unsafe { $dot_int8(sum, x, w) }
            }

            #[inline(always)]
            fn dot_wide(self, sum: int32x4_t, x: int32x4_t, w: int32x4_t) -> int32x4_t {
                // SAFETY: as above.
                unsafe {
                    let (x, w) = (vreinterpretq_s16_s32(x), vreinterpretq_s16_s32(w));
                    let low = vmull_s16(vget_low_s16(x), vget_low_s16(w));
                    vaddq_s32(sum, vpaddq_s32(low, vmull_high_s16(x, w)))
                }
            }

            #[inline(always)]
            unsafe fn store_int8(self, to: *mut u8, x: [float32x4_t; 4]) {
                // SAFETY: as above, and the caller promises that it can be written.
                unsafe {
                    let low = vcombine_s16(
                        vmovn_s32(vcvtnq_s32_f32(x[0])),
                        vmovn_s32(vcvtnq_s32_f32(x[1])),
                    );
                    let high = vcombine_s16(
                        vmovn_s32(vcvtnq_s32_f32(x[2])),
                        vmovn_s32(vcvtnq_s32_f32(x[3])),
                    );
                    vst1q_s8(to.cast(), vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
                }
            }

            #[inline(always)]
            unsafe fn store_words(self, to: *mut u8, x: [float32x4_t; 2]) {
                // SAFETY: as above, and the caller promises that it can be written.
                unsafe {
                    let words = vcombine_s16(
                        vmovn_s32(vcvtnq_s32_f32(x[0])),
                        vmovn_s32(vcvtnq_s32_f32(x[1])),
                    );
                    vst1q_s8(to.cast(), vreinterpretq_s8_s16(words));
                }
            }
        }
    };
}

implement!(Neon, run_neon, dot_by_multiplication);
implement!(NeonDot, run_neon_dot, dot_by_instruction);

/// Sums of two products fit 16 bits: 2 · 127 · 63 < 2^15.
///
/// # Safety
/// The processor has NEON.
#[inline(always)]
unsafe fn dot_by_multiplication(sum: int32x4_t, x: int32x4_t, w: int32x4_t) -> int32x4_t {
    // SAFETY: what the caller promises.
    unsafe {
        let (x, w) = (vreinterpretq_s8_s32(x), vreinterpretq_s8_s32(w));
        let low = vmull_s8(vget_low_s8(x), vget_low_s8(w));
        vpadalq_s16(sum, vpaddq_s16(low, vmull_high_s8(x, w)))
    }
}

/// # Safety
/// The processor has dot products. (The intrinsic is unstable.)
#[inline(always)]
unsafe fn dot_by_instruction(mut sum: int32x4_t, x: int32x4_t, w: int32x4_t) -> int32x4_t {
    // SAFETY: what the caller promises; the instruction has no other effects.
    unsafe {
        asm!(
            ".arch_extension dotprod",
            "sdot {sum:v}.4s, {w:v}.16b, {x:v}.16b",
            sum = inout(vreg) sum,
            w = in(vreg) w,
            x = in(vreg) x,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sum
}
