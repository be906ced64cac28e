//! Sums of products of gradients and errors between cell centres, for the model.

use crate::motion::geometry::{Lattice, Span};
use crate::motion::plane::Padded;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;

use super::residual::TILE;
use crate::cpu::{Kind, Level};

/// Pairs of columns that are summed up at a time.
pub(super) const LANES: usize = 8;
/// Columns of those.
pub(super) const GROUP: usize = 2 * LANES;
/// Rows over which sums are exact integers before they are weighted; divides `TILE`.
const STRIP: usize = 4;

/// Sums over some rows of each pair of columns, in whole differences of samples: of the products
/// xx, xy and yy of the gradients, and of the gradients x and y with the error.
pub(super) type StripSums = [[i32; LANES]; 5];

/// Pictures laid out for sums over groups of columns.
pub(super) struct Layout<'a> {
    /// The prediction with a repeated sample all around, and enough at the end of its rows for
    /// whole groups.
    prediction: Vec<u8>,
    stride: usize,
    frame: &'a Padded<u8>,
}

/// Where the sums over some rows of a group begin: one above and one to the left in the prediction.
pub(super) struct Strip<'a> {
    prediction: &'a [u8],
    stride: usize,
    frame: &'a [u8],
    frame_stride: usize,
    rows: usize,
}

impl<'a> Layout<'a> {
    pub fn new(prediction: &[u8], frame: &'a Padded<u8>) -> Self {
        let (width, height) = (frame.width(), frame.height());
        let stride = width + GROUP + 2;
        let mut framed = Vec::with_capacity((height + 2) * stride);
        for y in 0..height + 2 {
            let row = &prediction[y.saturating_sub(1).min(height - 1) * width..][..width];
            framed.push(row[0]);
            framed.extend_from_slice(row);
            framed.resize((y + 1) * stride, row[width - 1]);
        }
        Self { prediction: framed, stride, frame }
    }

    /// So many rows of the group at (x, y).
    #[inline(always)]
    fn strip(&self, x: usize, y: usize, rows: usize) -> Strip<'_> {
        let prediction = &self.prediction[y * self.stride + x..];
        let (frame, frame_stride) = self.frame.block(x as i32, y as i32);
        assert!(rows > 0 && prediction.len() >= (rows + 1) * self.stride + GROUP + 2);
        assert!(frame.len() >= (rows - 1) * frame_stride + GROUP);
        Strip { prediction, stride: self.stride, frame, frame_stride, rows }
    }
}

/// The sums over a strip.
#[inline(always)]
fn sum_strip(strip: &Strip) -> StripSums {
    let mut sums = [[0; LANES]; 5];
    for y in 0..strip.rows {
        let row = |k: usize| &strip.prediction[(y + k) * strip.stride..][..GROUP + 2];
        let (above, here, below) = (row(0), row(1), row(2));
        let frame = &strip.frame[y * strip.frame_stride..][..GROUP];
        for k in 0..GROUP {
            let gx = i32::from(here[k + 2]) - i32::from(here[k]);
            let gy = i32::from(below[k + 1]) - i32::from(above[k + 1]);
            let e = i32::from(frame[k]) - i32::from(here[k + 1]);
            for (sums, product) in sums.iter_mut().zip([gx * gx, gx * gy, gy * gy, gx * e, gy * e])
            {
                sums[k / 2] += product;
            }
        }
    }
    sums
}

/// Sums of one group of lanes over rows: three gradient products times 1, b, b², and two products
/// of gradient and error times 1, b.
#[derive(Clone, Default)]
struct LaneSums {
    products: [[[f32; LANES]; 3]; 3],
    errors: [[[f32; LANES]; 2]; 2],
}

/// Sums over the samples between four cell centres, by powers of the weights across and down.
#[derive(Clone, Default)]
pub(super) struct Moments {
    /// `[product][down][across]`.
    pub products: [[[f32; 3]; 3]; 3],
    pub errors: [[[f32; 2]; 2]; 2],
}

impl Moments {
    /// Adds lanes at which the weight across is `a`.
    fn add(&mut self, sums: &LaneSums, a: &[f32; LANES]) {
        let times_a = |lanes: &[f32; LANES]| std::array::from_fn(|k| lanes[k] * a[k]);
        let inputs = sums.products.iter().flatten();
        for (out, lanes) in self.products.iter_mut().flatten().zip(inputs) {
            let once = times_a(lanes);
            out[0] += total(lanes);
            out[1] += total(&once);
            out[2] += total(&times_a(&once));
        }
        for (out, lanes) in self.errors.iter_mut().flatten().zip(sums.errors.iter().flatten()) {
            out[0] += total(lanes);
            out[1] += total(&times_a(lanes));
        }
    }
}

/// In an order that suits vectors.
#[inline(always)]
fn total(v: &[f32; LANES]) -> f32 {
    let [a, b, c, d] = [v[0] + v[4], v[1] + v[5], v[2] + v[6], v[3] + v[7]];
    (a + c) + (b + d)
}

/// The moments of all spans across at one span down. `weights` are bits per squared error of each
/// tile, `columns` to a row.
pub(super) fn sum_spans(
    layout: &Layout,
    weights: &[f32],
    columns: usize,
    lattice: &Lattice,
    v: &Span,
) -> Vec<Moments> {
    sum_spans_at(Level::highest(), layout, weights, columns, lattice, v)
}

/// The same with the instructions of a level.
fn sum_spans_at(
    level: Level,
    layout: &Layout,
    weights: &[f32],
    columns: usize,
    lattice: &Lattice,
    v: &Span,
) -> Vec<Moments> {
    match level.kind() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is one of this processor's.
        Kind::Avx2 => unsafe { avx2::sum_spans(layout, weights, columns, lattice, v) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Kind::Avx512 => unsafe { avx512::sum_spans(layout, weights, columns, lattice, v) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: as above.
        Kind::Neon => unsafe { neon::sum_spans(layout, weights, columns, lattice, v) },
        #[cfg(target_feature = "simd128")]
        Kind::Simd128 => sum_spans_with(layout, weights, columns, lattice, v, add_column),
        Kind::Scalar => sum_spans_with(layout, weights, columns, lattice, v, add_column),
    }
}

/// As `sum_spans`; `add_column` is the function of that name or a faster one.
#[inline(always)]
fn sum_spans_with(
    layout: &Layout,
    weights: &[f32],
    columns: usize,
    lattice: &Lattice,
    v: &Span,
    add_column: impl Fn(&Column, &mut Moments),
) -> Vec<Moments> {
    let unit = 1.0 / (2 * lattice.step()) as f32;
    let mut out = Vec::with_capacity(lattice.horizontal.spans.len());
    for h in &lattice.horizontal.spans {
        let mut moments = Moments::default();
        for x in (h.start..h.end).step_by(GROUP) {
            let mut a = [0.0; LANES];
            let mut counts = [0.0; LANES];
            for k in 0..LANES {
                let at = x + 2 * k;
                // Between the two columns, whose weights are two apart.
                a[k] = (h.weight + 2 * (at - h.start) as i32 + 1) as f32 * unit;
                counts[k] = if at < h.end { 1.0 } else { 0.0 };
            }
            let tile = x / TILE;
            let tiles = [tile, (tile + 1).min(columns - 1)];
            let column = Column { layout, weights, columns, x, tiles, v, unit, a, counts };
            add_column(&column, &mut moments);
        }
        out.push(moments);
    }
    out
}

/// Adds the samples between the rows of the span.
fn add_column(column: &Column, moments: &mut Moments) {
    let mut sums = LaneSums::default();
    for (strip, weights, b) in column.strips() {
        sums.add(&sum_strip(&strip), &weights, b, &column.counts);
    }
    moments.add(&sums, &column.a);
}

/// A group of columns at one span down.
struct Column<'a> {
    layout: &'a Layout<'a>,
    weights: &'a [f32],
    /// Tiles to a row.
    columns: usize,
    x: usize,
    /// Those of the two halves.
    tiles: [usize; 2],
    v: &'a Span,
    /// 1/(2 · step).
    unit: f32,
    /// The weights across of its lanes, and how often they count.
    a: [f32; LANES],
    counts: [f32; LANES],
}

impl Column<'_> {
    /// Strips with the weights of their halves' tiles and the weight down.
    #[inline(always)]
    fn strips(&self) -> impl Iterator<Item = (Strip<'_>, [f32; 2], f32)> {
        let v = self.v;
        (v.start..v.end).step_by(STRIP).map(move |y| {
            let count = STRIP.min(v.end - y);
            let middle = (y - v.start) as f32 + 0.5 * (count - 1) as f32;
            let b = (v.weight as f32 + 2.0 * middle) * self.unit;
            let row = y / TILE * self.columns;
            let weights = self.tiles.map(|tile| self.weights[row + tile]);
            (self.layout.strip(self.x, y, count), weights, b)
        })
    }
}

impl LaneSums {
    /// Adds a strip at which the weight down is `b`, its left and right half with these weights;
    /// lanes count as often as `counts` says.
    #[inline(always)]
    fn add(&mut self, strip: &StripSums, weights: &[f32; 2], b: f32, counts: &[f32; LANES]) {
        let mut half = [0.0; LANES];
        for (k, half) in half.iter_mut().enumerate() {
            // The gradients are half the differences.
            *half = 0.5 * weights[k / (LANES / 2)] * counts[k];
        }
        for (sums, strip) in self.products.iter_mut().zip(strip) {
            for k in 0..LANES {
                let product = 0.5 * half[k] * strip[k] as f32;
                let times_b = product * b;
                sums[0][k] += product;
                sums[1][k] += times_b;
                sums[2][k] += times_b * b;
            }
        }
        for (sums, strip) in self.errors.iter_mut().zip(&strip[3..]) {
            for k in 0..LANES {
                let product = half[k] * strip[k] as f32;
                sums[0][k] += product;
                sums[1][k] += product * b;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::motion::geometry;
    use crate::motion::plane::Plane;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..Default::default() })]

        /// At every level of this processor and plainly, bit for bit.
        #[test]
        fn the_fast_sums_are_the_plain_ones(
            size in [1usize..70, 1usize..50],
            step in prop::sample::select(vec![4usize, 8, 16, 32]),
            harsh: bool,
            samples in prop::collection::vec(any::<u8>(), 331),
        ) {
            let [width, height] = size;
            let pick = |k: usize| {
                let sample = samples[k % samples.len()];
                if harsh { u8::MAX * (sample & 1) } else { sample }
            };
            let picture = |start: usize| -> Vec<u8> {
                (0..width * height).map(|k| pick(start + k)).collect()
            };
            let (prediction, frame) = (picture(0), picture(97));
            let frame = Padded::new(&Plane::new(width, height, &frame).unwrap(), [64; 2], [64; 2]);
            let layout = Layout::new(&prediction, &frame);
            let cells = [height.div_ceil(step), width.div_ceil(step)];
            let lattice = Lattice::new(size, cells, step, geometry::Kind::Luma);
            let columns = width.div_ceil(TILE);
            let weights: Vec<f32> =
                (0..columns * height.div_ceil(TILE)).map(|k| f32::from(pick(k)) + 0.1).collect();
            for v in &lattice.vertical.spans {
                let plain = sum_spans_with(&layout, &weights, columns, &lattice, v, add_column);
                for &level in Level::available() {
                    let fast = sum_spans_at(level, &layout, &weights, columns, &lattice, v);
                    prop_assert_eq!(fast.len(), plain.len());
                    for (fast, plain) in fast.iter().zip(&plain) {
                        prop_assert_eq!(fast.products, plain.products);
                        prop_assert_eq!(fast.errors, plain.errors);
                    }
                }
            }
        }
    }
}
