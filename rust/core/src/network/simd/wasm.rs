//! The vectors of WebAssembly.

use std::arch::wasm32::*;

use super::{Simd, Task};

/// What is compiled for them can only run where they are.
#[derive(Clone, Copy)]
pub(in super::super) struct Simd128;

/// What makes a float of a small magnitude an integer in its last bits, rounded to nearest even.
const SPACING_ONE: f32 = (3 << 22) as f32;

impl Simd for Simd128 {
    type Floats = v128;
    type Integers = v128;

    const LANES: usize = 4;
    const GROUP: usize = 4;
    const OFFSET: i32 = 0;
    // There are no products of bytes that are worth having.
    const BYTES_INT8: usize = 2;

    #[inline(always)]
    fn run<T: Task>(self, task: T) -> T::Output {
        task.run(self)
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> v128 {
        // SAFETY: the caller promises that it can be read.
        unsafe { v128_load(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, x: v128) {
        // SAFETY: the caller promises that it can be written.
        unsafe { v128_store(to.cast(), x) }
    }

    #[inline(always)]
    unsafe fn load_integers(self, from: *const i32) -> v128 {
        // SAFETY: the caller promises that it can be read.
        unsafe { v128_load(from.cast()) }
    }

    #[inline(always)]
    unsafe fn splat_group(self, from: *const u8) -> v128 {
        // SAFETY: the caller promises that it can be read.
        unsafe { v128_load32_splat(from.cast()) }
    }

    #[inline(always)]
    fn splat(self, x: f32) -> v128 {
        f32x4_splat(x)
    }

    #[inline(always)]
    fn zeros(self) -> v128 {
        i32x4_splat(0)
    }

    #[inline(always)]
    fn add(self, a: v128, b: v128) -> v128 {
        f32x4_add(a, b)
    }

    #[inline(always)]
    fn mul(self, a: v128, b: v128) -> v128 {
        f32x4_mul(a, b)
    }

    // The forms that say nothing of NaN and signs of zeros are one instruction on most processors.

    #[inline(always)]
    fn min(self, a: v128, b: v128) -> v128 {
        f32x4_pmin(a, b)
    }

    #[inline(always)]
    fn max(self, a: v128, b: v128) -> v128 {
        f32x4_pmax(a, b)
    }

    #[inline(always)]
    fn to_floats(self, x: v128) -> v128 {
        f32x4_convert_i32x4(x)
    }

    #[inline(always)]
    fn max_magnitude(self, most: v128, x: v128) -> v128 {
        i32x4_max(most, f32x4_abs(x))
    }

    #[inline(always)]
    fn largest(self, x: v128) -> i32 {
        let x = i32x4_max(x, i32x4_shuffle::<2, 3, 0, 1>(x, x));
        i32x4_extract_lane::<0>(x).max(i32x4_extract_lane::<1>(x))
    }

    #[inline(always)]
    fn dot_int8(self, sum: v128, x: v128, w: v128) -> v128 {
        self.dot_wide(sum, x, w)
    }

    #[inline(always)]
    fn dot_wide(self, sum: v128, x: v128, w: v128) -> v128 {
        i32x4_add(sum, i32x4_dot_i16x8(x, w))
    }

    #[inline(always)]
    unsafe fn store_int8(self, to: *mut u8, x: [v128; 4]) {
        // SAFETY: the caller promises that it can be written.
        unsafe { self.store_words(to, [x[0], x[1]]) }
    }

    #[inline(always)]
    unsafe fn store_words(self, to: *mut u8, x: [v128; 2]) {
        let spacing_one = f32x4_splat(SPACING_ONE);
        let [low, high] = x.map(|x| i32x4_sub(f32x4_add(x, spacing_one), spacing_one));
        // SAFETY: the caller promises that it can be written.
        unsafe { v128_store(to.cast(), i16x8_narrow_i32x4(low, high)) }
    }
}
