//! What a residual costs: an estimate of the bits of its transform coefficients.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;

use super::cost::{Cost, log2};
use crate::cpu::{Kind, Level};
use crate::motion::geometry::Area;
use crate::motion::plane::Padded;

/// Edge of the squares that are transformed.
pub(crate) const TILE: usize = 8;
/// Samples of the two squares that are transformed side by side.
const LANES: usize = 2 * TILE;
type Terms = [[i16; LANES]; TILE];

/// What the residual of some tiles costs and how that would change.
#[derive(Clone, Default)]
pub(crate) struct Residual {
    /// Bits of each tile, row by row.
    pub bits: Vec<f32>,
    /// Bits per unit of squared error of each tile.
    pub slopes: Vec<f32>,
}

impl Residual {
    /// Adds tiles further down.
    pub fn append(&mut self, mut below: Self) {
        self.bits.append(&mut below.bits);
        self.slopes.append(&mut below.slopes);
    }

    /// Of the tiles of an area, whose prediction is given row by row.
    pub fn new(prediction: &[u8], frame: &Padded<u8>, area: &Area, cost: Cost) -> Self {
        let mut residual = Self::default();
        measure(Level::highest(), prediction, frame, area, cost, &mut residual);
        residual
    }
}

fn measure(
    level: Level,
    prediction: &[u8],
    frame: &Padded<u8>,
    area: &Area,
    cost: Cost,
    out: &mut Residual,
) {
    match level.kind() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is one of this processor's.
        Kind::Avx2 => unsafe { avx2::measure(prediction, frame, area, cost, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Kind::Avx512 => unsafe { avx512::measure(prediction, frame, area, cost, out) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: as above.
        Kind::Neon => unsafe { neon::measure(prediction, frame, area, cost, out) },
        #[cfg(target_feature = "simd128")]
        Kind::Simd128 => measure_with(prediction, frame, area, cost, out, transform),
        Kind::Scalar => measure_with(prediction, frame, area, cost, out, transform),
    }
}

/// As `measure`; `transform` is the function of that name or a faster one.
#[inline(always)]
fn measure_with(
    prediction: &[u8],
    frame: &Padded<u8>,
    area: &Area,
    cost: Cost,
    out: &mut Residual,
    transform: impl Fn(&mut Terms),
) {
    let columns = area.width().div_ceil(TILE);
    for top in (0..area.height()).step_by(TILE) {
        for left in (0..area.width()).step_by(LANES) {
            let mut terms = load(prediction, frame, area, [left, top]);
            transform(&mut terms);
            weigh(&terms, cost, (columns - left / TILE).min(2), out);
        }
    }
}

/// The differences of the tiles at (x, y) of the area; zeros outside.
#[inline(always)]
fn load(prediction: &[u8], frame: &Padded<u8>, area: &Area, [x, y]: [usize; 2]) -> Terms {
    let mut terms = [[0; LANES]; TILE];
    let (left, top) = (area.columns.start + x, area.rows.start + y);
    let (width, height) = (area.width() - x, area.height() - y);
    let (frame, stride) = frame.block(left as i32, top as i32);
    let prediction = &prediction[y * area.width() + x..];
    if width >= LANES && height >= TILE {
        // Checked once for all rows.
        let frame = &frame[..(TILE - 1) * stride + LANES];
        let prediction = &prediction[..(TILE - 1) * area.width() + LANES];
        for (k, terms) in terms.iter_mut().enumerate() {
            let a = frame[k * stride..].first_chunk::<LANES>();
            let b = prediction[k * area.width()..].first_chunk::<LANES>();
            if let (Some(a), Some(b)) = (a, b) {
                subtract(a, b, terms);
            }
        }
        return terms;
    }
    for (k, terms) in terms.iter_mut().enumerate().take(height) {
        let (a, b) = (&frame[k * stride..], &prediction[k * area.width()..]);
        subtract(&a[..width.min(LANES)], b, terms);
    }
    terms
}

#[inline(always)]
fn subtract(a: &[u8], b: &[u8], out: &mut [i16; LANES]) {
    for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
        *out = i16::from(a) - i16::from(b);
    }
}

/// Walsh-Hadamard transform of both tiles, without the factor 1/8: magnitudes up to 64 · 255. The
/// tiles come out with rows and columns swapped.
#[inline(always)]
fn transform(terms: &mut Terms) {
    butterflies(terms);
    let rows = *terms;
    for (k, row) in terms.iter_mut().enumerate() {
        for (lane, term) in row.iter_mut().enumerate() {
            *term = rows[lane % TILE][lane / TILE * TILE + k];
        }
    }
    butterflies(terms);
}

/// Sums and differences of rows.
#[inline(always)]
fn butterflies(terms: &mut Terms) {
    for stride in [1, 2, 4] {
        for k in (0..TILE).filter(|k| k & stride == 0) {
            let (a, b) = (terms[k], terms[k + stride]);
            for lane in 0..LANES {
                terms[k][lane] = a[lane] + b[lane];
                terms[k + stride][lane] = a[lane] - b[lane];
            }
        }
    }
}

/// Adds bits and slopes of the first `count` tiles.
#[inline(always)]
fn weigh(terms: &Terms, cost: Cost, count: usize, out: &mut Residual) {
    let scale = (1.0 / (cost.floor() * (TILE * TILE) as f32)).sqrt();
    let steepest = 0.5 * std::f32::consts::LOG2_E * cost.scale() / cost.floor();
    let mut bits = [0.0; LANES];
    // Of s, the squares, and of 1 / (1 + s).
    let mut squares = [0.0; LANES];
    let mut small = [0.0; LANES];
    for rows in terms.as_chunks::<4>().0 {
        let mut s = [[0.0; LANES]; 4];
        for (s, row) in s.iter_mut().zip(rows) {
            for k in 0..LANES {
                let term = f32::from(row[k]) * scale;
                s[k] = term * term;
            }
        }
        let [a, b, c, d] = s;
        for k in 0..LANES {
            squares[k] += (a[k] + b[k]) + (c[k] + d[k]);
            let p = (1.0 + a[k]) * (1.0 + b[k]);
            let q = (1.0 + c[k]) * (1.0 + d[k]);
            small[k] += ((2.0 + a[k] + b[k]) * q + (2.0 + c[k] + d[k]) * p) / (p * q);
            bits[k] += 0.5 * log2(p * q);
        }
    }
    for tile in 0..count {
        // In an order that suits vectors.
        let sum = |lanes: &[f32; LANES]| {
            let v = &lanes[tile * TILE..][..TILE];
            let [a, b, c, d] = [v[0] + v[4], v[1] + v[5], v[2] + v[6], v[3] + v[7]];
            (a + c) + (b + d)
        };
        out.bits.push(sum(&bits) * cost.scale());
        let squares = sum(&squares);
        let coded = (TILE * TILE) as f32 - sum(&small);
        // Of hardly anything, the slope is that of a small error.
        let share = if squares < 0.01 { 1.0 } else { coded / squares };
        out.slopes.push(share * steepest);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::motion::plane::Plane;

    proptest! {
        /// At every level of this processor and plainly, bit for bit.
        #[test]
        fn the_fast_measure_is_the_plain_one(
            size in [1usize..70, 1usize..40],
            corner in [0usize..70, 0usize..40],
            harsh: bool,
            samples in prop::collection::vec(any::<u8>(), 331),
        ) {
            let pick = |k: usize| {
                let sample = samples[k % samples.len()];
                if harsh { u8::MAX * (sample & 1) } else { sample }
            };
            let [width, height] = size;
            let frame: Vec<u8> = (0..width * height).map(pick).collect();
            let frame = Padded::new(&Plane::new(width, height, &frame).unwrap(), [64; 2], [64; 2]);
            let area = Area {
                columns: corner[0] % width / TILE * TILE..width,
                rows: corner[1] % height / TILE * TILE..height,
            };
            let prediction: Vec<u8> = (0..area.samples()).map(|k| pick(k + 97)).collect();
            let cost = Cost::new(50.0);
            let mut plain = Residual::default();
            measure_with(&prediction, &frame, &area, cost, &mut plain, transform);
            for &level in Level::available() {
                let mut fast = Residual::default();
                measure(level, &prediction, &frame, &area, cost, &mut fast);
                prop_assert_eq!(&fast.bits, &plain.bits);
                prop_assert_eq!(&fast.slopes, &plain.slopes);
            }
        }
    }
}
