//! Vectors of floats and integers, as little as the kernels need.

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
#[cfg(target_arch = "aarch64")]
pub(super) mod neon;
#[cfg(target_feature = "simd128")]
pub(super) mod wasm;

use super::kernels::product::{Finish, Product};
use super::kernels::quantise::Int8;

/// What a set of instructions can do. A value proves that this processor has them.
///
/// Everything is one operation of IEEE 754 on each lane, or exact.
pub(super) trait Simd: Copy {
    type Floats: Copy;
    type Integers: Copy;

    const LANES: usize;

    /// Most positions whose two sums stay in registers, beside two weights, an input and what else
    /// a product takes; at least as many as hide how long a sum takes. 6 at most.
    const GROUP: usize;

    /// Bytes that an input of 8 bits, and its weight, take in products: 1, or 2 where products of
    /// words are faster.
    const BYTES_INT8: usize = 1;

    /// What is added to quantised inputs of 8 bits: where these are multiplied as unsigned bytes.
    const OFFSET: i32;

    /// Whether they are [`ShortSums`].
    const SHORT_SUMS: bool = false;

    /// Runs the task with these instructions allowed.
    fn run<T: Task>(self, task: T) -> T::Output;

    /// # Safety
    /// As many floats as lanes can be read.
    unsafe fn load(self, from: *const f32) -> Self::Floats;
    /// # Safety
    /// As many floats as lanes can be written.
    unsafe fn store(self, to: *mut f32, x: Self::Floats);
    /// # Safety
    /// As many integers as lanes can be read.
    unsafe fn load_integers(self, from: *const i32) -> Self::Integers;
    /// The same four bytes on all lanes.
    ///
    /// # Safety
    /// They can be read.
    unsafe fn splat_group(self, from: *const u8) -> Self::Integers;

    fn splat(self, x: f32) -> Self::Floats;
    fn zeros(self) -> Self::Integers;
    fn add(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    fn mul(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// Neither is NaN, nor are both zero.
    fn min(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// Neither is NaN, nor are both zero.
    fn max(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// Nearest, even of two.
    fn to_floats(self, x: Self::Integers) -> Self::Floats;
    /// The larger of `most` and the bits of `|x|`.
    fn max_magnitude(self, most: Self::Integers, x: Self::Floats) -> Self::Integers;
    /// The largest of all lanes.
    fn largest(self, x: Self::Integers) -> i32;

    /// Adds to each lane its products of inputs of 8 bits, which have the offset, with weights of 7
    /// bits: as many as four bytes hold.
    fn dot_int8(self, sum: Self::Integers, x: Self::Integers, w: Self::Integers) -> Self::Integers;
    /// A whole product of inputs of 8 bits.
    #[inline(always)]
    fn multiply_int8<F: Finish>(self, product: Product<'_, Int8, F>) {
        product.by_groups(self);
    }

    /// Adds to each lane its two products of 16 bits, of 12 at most.
    fn dot_wide(self, sum: Self::Integers, x: Self::Integers, w: Self::Integers) -> Self::Integers;

    /// Rounds to nearest even, adds the offset, and stores as inputs of 8 bits, as many as fit; values
    /// are within ±127.
    ///
    /// # Safety
    /// Four times as many bytes as lanes can be written.
    unsafe fn store_int8(self, to: *mut u8, x: [Self::Floats; 4]);
    /// Rounds to nearest even and stores as 16 bits; values are within ±2047.
    ///
    /// # Safety
    /// Four times as many bytes as lanes can be written.
    unsafe fn store_words(self, to: *mut u8, x: [Self::Floats; 2]);
}

/// Instructions that multiply bytes to sums of two products in 16 bits.
pub(super) trait ShortSums: Simd {
    /// Sums of two products, `x` with the offset, `w` of 7 bits.
    fn mul_bytes(self, x: Self::Integers, w: Self::Integers) -> Self::Integers;
    /// Sums of 16 bits; they wrap.
    fn add_words(self, a: Self::Integers, b: Self::Integers) -> Self::Integers;
    /// Adds to each lane its two of 16 bits.
    fn add_pairs(self, sum: Self::Integers, words: Self::Integers) -> Self::Integers;
}

/// A loop that can be run with any instructions. All of `run` must be inlined.
pub(super) trait Task {
    type Output;

    fn run<S: Simd>(self, simd: S) -> Self::Output;
}
