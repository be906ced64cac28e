//! Inputs of a product from floats.

use super::super::scalar::{LARGEST_MAGNITUDE, LEAST_MAGNITUDE, LEVELS_INT8, LEVELS_WIDE};
use super::super::simd::Simd;
use super::pack::Panels;
use super::product::{Finish, Product};

/// Inputs of a product: of 8 bits or of 12.
pub(in super::super) trait Kind: Copy {
    /// Largest magnitude.
    const LEVELS: f32;

    fn bytes<S: Simd>() -> usize;

    /// Vectors of floats that are stored at once.
    fn vectors<S: Simd>() -> usize {
        4 / Self::bytes::<S>()
    }

    fn zero<S: Simd>() -> u8;

    fn dot<S: Simd>(s: S, sum: S::Integers, x: S::Integers, w: S::Integers) -> S::Integers;

    /// All of a product.
    fn multiply<S: Simd, F: Finish>(s: S, product: Product<'_, Self, F>);

    /// Stores the first [`Self::vectors`], rounded.
    ///
    /// # Safety
    /// Four times as many bytes as lanes can be written.
    unsafe fn store<S: Simd>(s: S, to: *mut u8, x: [S::Floats; 4]);
}

#[derive(Clone, Copy)]
pub(in super::super) struct Int8;

#[derive(Clone, Copy)]
pub(super) struct Wide;

impl Kind for Int8 {
    const LEVELS: f32 = LEVELS_INT8;

    fn bytes<S: Simd>() -> usize {
        S::BYTES_INT8
    }

    fn zero<S: Simd>() -> u8 {
        S::OFFSET as u8
    }

    #[inline(always)]
    fn dot<S: Simd>(s: S, sum: S::Integers, x: S::Integers, w: S::Integers) -> S::Integers {
        s.dot_int8(sum, x, w)
    }

    #[inline(always)]
    fn multiply<S: Simd, F: Finish>(s: S, product: Product<'_, Self, F>) {
        s.multiply_int8(product);
    }

    #[inline(always)]
    unsafe fn store<S: Simd>(s: S, to: *mut u8, x: [S::Floats; 4]) {
        // SAFETY: what the caller promises.
        unsafe { s.store_int8(to, x) }
    }
}

impl Kind for Wide {
    const LEVELS: f32 = LEVELS_WIDE;

    fn bytes<S: Simd>() -> usize {
        2
    }

    fn zero<S: Simd>() -> u8 {
        0
    }

    #[inline(always)]
    fn dot<S: Simd>(s: S, sum: S::Integers, x: S::Integers, w: S::Integers) -> S::Integers {
        s.dot_wide(sum, x, w)
    }

    #[inline(always)]
    fn multiply<S: Simd, F: Finish>(s: S, product: Product<'_, Self, F>) {
        product.by_groups(s);
    }

    #[inline(always)]
    unsafe fn store<S: Simd>(s: S, to: *mut u8, x: [S::Floats; 4]) {
        // SAFETY: what the caller promises.
        unsafe { s.store_words(to, [x[0], x[1]]) }
    }
}

/// Bytes from one position's quantised inputs to the next one's: whole vectors of all
/// instructions.
pub(super) fn stride(inputs: usize) -> usize {
    (2 * inputs).next_multiple_of(64)
}

/// Quantises the inputs of consecutive positions; puts rows of [`stride`] bytes and steps.
#[inline(always)]
pub(super) fn quantise<S: Simd, K: Kind>(
    s: S,
    layer: &Panels,
    x: &[f32],
    quantised: &mut [u8],
    steps: &mut [f32],
) {
    let rows = quantised.chunks_exact_mut(stride(layer.inputs));
    for ((x, row), step) in x.chunks_exact(layer.inputs).zip(rows).zip(steps) {
        *step = quantise_position::<S, K>(s, &layer.equalisation, x, row);
    }
}

/// Returns the step.
#[inline(always)]
fn quantise_position<S: Simd, K: Kind>(s: S, r: &[f32], x: &[f32], row: &mut [u8]) -> f32 {
    let inputs = r.len();
    assert!(x.len() == inputs && inputs.is_multiple_of(S::LANES));
    assert!(row.len() >= (K::bytes::<S>() * inputs).next_multiple_of(4 * S::LANES));
    let scaled = Scaled { x: x.as_ptr(), r: r.as_ptr() };
    let mut most = [s.zeros(); 2];
    let mut c = 0;
    // SAFETY: there are as many inputs and factors, whole vectors.
    unsafe {
        while c + 2 * S::LANES <= inputs {
            most[0] = s.max_magnitude(most[0], scaled.at(s, c));
            most[1] = s.max_magnitude(most[1], scaled.at(s, c + S::LANES));
            c += 2 * S::LANES;
        }
        if c < inputs {
            most[0] = s.max_magnitude(most[0], scaled.at(s, c));
        }
    }
    let largest = f32::from_bits(s.largest(most[0]).max(s.largest(most[1])) as u32);
    if !(LEAST_MAGNITUDE..=LARGEST_MAGNITUDE).contains(&largest) {
        row.fill(K::zero::<S>());
        return 0.0;
    }
    let factor = s.splat(K::LEVELS / largest);
    let to = row.as_mut_ptr();
    let mut c = 0;
    // SAFETY: as above, and the row is long enough, as was asserted.
    unsafe {
        while c + K::vectors::<S>() * S::LANES <= inputs {
            let mut vectors = [factor; 4];
            for (k, vector) in vectors[..K::vectors::<S>()].iter_mut().enumerate() {
                *vector = s.mul(scaled.at(s, c + k * S::LANES), factor);
            }
            K::store(s, to.add(K::bytes::<S>() * c), vectors);
            c += K::vectors::<S>() * S::LANES;
        }
        if c < inputs {
            let mut vectors = [s.splat(0.0); 4];
            for (k, vector) in vectors[..K::vectors::<S>()].iter_mut().enumerate() {
                if c + k * S::LANES < inputs {
                    *vector = s.mul(scaled.at(s, c + k * S::LANES), factor);
                }
            }
            K::store(s, to.add(K::bytes::<S>() * c), vectors);
        }
    }
    largest / K::LEVELS
}

/// Inputs by their equalisation.
#[derive(Clone, Copy)]
struct Scaled {
    x: *const f32,
    r: *const f32,
}

impl Scaled {
    /// # Safety
    /// A vector can be read of both.
    #[inline(always)]
    unsafe fn at<S: Simd>(self, s: S, c: usize) -> S::Floats {
        // SAFETY: what the caller promises.
        unsafe { s.mul(s.load(self.x.add(c)), s.load(self.r.add(c))) }
    }
}
