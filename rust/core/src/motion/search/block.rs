//! Whole-sample block search.

use super::cost::Cost;
use super::pyramid::Pyramid;
use crate::motion::field::prediction;
use crate::motion::plane::Padded;
use crate::motion::{STEPS, Vector};

/// Block edge at the reduced levels.
const SMALL: usize = 8;
/// Range of the exhaustive search at the smallest level, in full-size samples.
const RANGE: i32 = 80;
/// What a vector's bits count for: more than once, as vectors are interpolated, so that one that
/// differs from its neighbours spoils their cells, too.
const SMOOTHNESS: f32 = 2.0;
/// Steps of the walk to the next local minimum.
const WALK: usize = 16;
/// Largest whole-sample component; leaves room for a fraction.
const LARGEST: i16 = 510;

/// A grid of whole-sample vectors at one level of the pyramid.
struct Grid {
    columns: usize,
    rows: usize,
    vectors: Vec<Vector>,
}

pub(crate) struct Blocks;

impl Blocks {
    /// Vectors in quarters of the samples of a level (whole samples, in fact) for each of the steps.
    ///
    /// `before` has the fields of the frame before, whose motion goes on as a guess.
    pub fn search(
        reference: &Pyramid,
        frame: &Pyramid,
        cost: Cost,
        level: usize,
        before: Option<&[Vec<Vector>; 3]>,
    ) -> [Vec<Vector>; 3] {
        let mut grid: Option<Grid> = None;
        for smaller in (level + 1..frame.levels.len()).rev() {
            let matcher = Matcher::new(reference, frame, smaller, SMALL, cost);
            grid = Some(match grid {
                None => matcher.exhaustive(),
                Some(parent) => matcher.descend(&parent),
            });
        }
        let fine = Matcher::new(reference, frame, level, STEPS[0] >> level, cost);
        let guesses = before.map(|b| b[0].as_slice());
        let search = |parent: &Grid, near: fn(&Grid, usize, usize) -> [Vector; 5]| {
            fine.search(|r, c, guess| {
                near(parent, r, c).into_iter().for_each(&mut *guess);
                continue_motion(guesses, r * fine.columns + c, guess);
            })
        };
        let fine = match (grid, level) {
            (None, _) => fine.exhaustive(),
            // Blocks of half the size at half the size: the cells are the same.
            (Some(parent), 0) => search(&parent.doubled(), Grid::beside),
            (Some(parent), 1) => search(&parent.doubled(), Grid::around),
            (Some(parent), _) => {
                let matcher = Matcher::new(reference, frame, level, SMALL, cost);
                search(&matcher.descend(&parent), Grid::around)
            }
        };
        let mut grids = vec![fine];
        for k in 1..STEPS.len() {
            let matcher = Matcher::new(reference, frame, level, STEPS[k] >> level, cost);
            let finer = &grids[k - 1];
            let guesses = before.map(|b| b[k].as_slice());
            let coarser = matcher.search(|r, c, guess| {
                for v in finer.inside(r, c) {
                    guess(v);
                }
                continue_motion(guesses, r * matcher.columns + c, guess);
            });
            grids.push(coarser);
        }
        let mut grids = grids.into_iter();
        std::array::from_fn(|_| {
            let grid = grids.next().expect("one grid per step");
            grid.vectors.iter().map(|v| v.map(|c| 4 * c)).collect()
        })
    }
}

/// Whole-sample vectors of all blocks of `SMALL` × `SMALL` at full size, in rows of
/// `⌈width / SMALL⌉`.
pub(crate) fn small_blocks(reference: &Pyramid, frame: &Pyramid, cost: Cost) -> Vec<Vector> {
    let mut grid: Option<Grid> = None;
    for level in (0..frame.levels.len()).rev() {
        let matcher = Matcher::new(reference, frame, level, SMALL, cost);
        grid = Some(match grid {
            None => matcher.exhaustive(),
            Some(parent) => matcher.descend(&parent),
        });
    }
    grid.expect("a pyramid has a level").vectors
}

fn double(v: Vector) -> Vector {
    v.map(|c| 2 * c)
}

/// Guesses the motion of the frame before and, as the reference is one frame further away, twice
/// that.
fn continue_motion(before: Option<&[Vector]>, cell: usize, guess: &mut dyn FnMut(Vector)) {
    if let Some(before) = before {
        guess(before[cell].map(|c| (c + 2) >> 2));
        guess(before[cell].map(|c| (c + 1) >> 1));
    }
}

impl Grid {
    /// The same cells at twice the size.
    fn doubled(mut self) -> Self {
        self.vectors.iter_mut().for_each(|v| *v = double(*v));
        self
    }

    /// The vectors of the same cell and those beside it.
    fn beside(&self, row: usize, column: usize) -> [Vector; 5] {
        let (last_row, last_column) = (self.rows - 1, self.columns - 1);
        let at =
            |r: usize, c: usize| self.vectors[r.min(last_row) * self.columns + c.min(last_column)];
        [
            at(row, column),
            at(row.saturating_sub(1), column),
            at(row, column.saturating_sub(1)),
            at(row, column + 1),
            at(row + 1, column),
        ]
    }

    /// The vectors of the cells of a grid of half as many cells that lie around a cell.
    fn around(&self, row: usize, column: usize) -> [Vector; 5] {
        let near = |i: usize, count: usize| {
            let own = (i / 2).min(count - 1);
            let other =
                if i.is_multiple_of(2) { own.saturating_sub(1) } else { (own + 1).min(count - 1) };
            [own, other]
        };
        let (rows, columns) = (near(row, self.rows), near(column, self.columns));
        let at = |r: usize, c: usize| self.vectors[rows[r] * self.columns + columns[c]];
        [at(0, 0), at(0, 0), at(0, 1), at(1, 0), at(1, 1)]
    }

    /// The vectors of the cells of a grid of twice as many cells that lie in a cell.
    fn inside(&self, row: usize, column: usize) -> impl Iterator<Item = Vector> {
        let rows = 2 * row..(2 * row + 2).min(self.rows);
        let columns = 2 * column..(2 * column + 2).min(self.columns);
        rows.flat_map(move |r| columns.clone().map(move |c| self.vectors[r * self.columns + c]))
    }
}

/// Matches the blocks of one level.
struct Matcher<'a> {
    reference: &'a Padded<u8>,
    frame: &'a Padded<u8>,
    block: usize,
    rows: usize,
    columns: usize,
    /// log2 of the size of this level's samples.
    level: usize,
    cost: Cost,
}

impl<'a> Matcher<'a> {
    fn new(
        reference: &'a Pyramid,
        frame: &'a Pyramid,
        level: usize,
        block: usize,
        cost: Cost,
    ) -> Self {
        let (reference, frame) = (&reference.levels[level], &frame.levels[level]);
        let (rows, columns) = (frame.height().div_ceil(block), frame.width().div_ceil(block));
        Self { reference, frame, block, rows, columns, level, cost }
    }

    /// Tries every vector in range; for the smallest level.
    fn exhaustive(&self) -> Grid {
        let range = RANGE >> self.level;
        self.search(|_, _, guess| {
            for dy in -range..=range {
                for dx in -range..=range {
                    guess([dx as i16, dy as i16]);
                }
            }
        })
    }

    fn descend(&self, parent: &Grid) -> Grid {
        self.search(|r, c, guess| parent.around(r, c).into_iter().for_each(|v| guess(double(v))))
    }

    /// For each cell the best of zero, the neighbours, what `guesses` proposes, and the walk
    /// from there to a local minimum.
    fn search(&self, guesses: impl Fn(usize, usize, &mut dyn FnMut(Vector))) -> Grid {
        let mut vectors: Vec<Vector> = Vec::with_capacity(self.rows * self.columns);
        for row in 0..self.rows {
            for column in 0..self.columns {
                let predicted = prediction(&vectors, self.columns, row, column);
                let mut best = Best::none(predicted);
                let mut guess = |v: Vector| self.try_vector(row, column, v, predicted, &mut best);
                guess(predicted);
                guess([0, 0]);
                if column > 0 {
                    guess(vectors[row * self.columns + column - 1]);
                }
                if row > 0 {
                    guess(vectors[(row - 1) * self.columns + column]);
                }
                guesses(row, column, &mut guess);
                self.walk(row, column, predicted, &mut best);
                vectors.push(best.vector);
            }
        }
        Grid { columns: self.columns, rows: self.rows, vectors }
    }

    fn walk(&self, row: usize, column: usize, predicted: Vector, best: &mut Best) {
        for _ in 0..WALK {
            let [x, y] = best.vector;
            for (dx, dy) in [(0, -1), (-1, 0), (1, 0), (0, 1)] {
                self.try_vector(row, column, [x + dx, y + dy], predicted, best);
            }
            if best.vector == [x, y] {
                break;
            }
        }
    }

    #[inline]
    fn try_vector(&self, row: usize, column: usize, v: Vector, predicted: Vector, best: &mut Best) {
        let largest = LARGEST >> self.level;
        let v = v.map(|c| c.clamp(-largest, largest));
        if best.last == Some(v) || (best.vector == v && best.bits.is_finite()) {
            return;
        }
        best.last = Some(v);
        let size = |v: Vector| v.map(|c| c << (self.level + 2));
        let vector_bits = SMOOTHNESS * self.cost.vector(size(v), size(predicted));
        if vector_bits >= best.bits {
            return;
        }
        let (x, y) = (column * self.block, row * self.block);
        let width = self.block.min(self.frame.width() - x);
        let height = self.block.min(self.frame.height() - y);
        let sum = self.difference(x, y, width, height, v);
        if sum >= best.sum && vector_bits >= best.vector_bits {
            return;
        }
        let count = (width * height) as f32;
        // A Laplacian residual has about this sum of squares.
        let squares = 2.0 * (sum as f32) * (sum as f32) / count;
        let scale = (1 << (2 * self.level)) as f32;
        let bits = scale * self.cost.residual(squares, count) + vector_bits;
        if bits < best.bits {
            *best = Best { vector: v, bits, sum, vector_bits, last: best.last };
        }
    }

    /// Sum of absolute differences.
    fn difference(&self, x: usize, y: usize, width: usize, height: usize, v: Vector) -> u32 {
        let [border, _] = self.reference.before().map(|b| b as i32);
        let clamp = |p: usize, d: i16, block: usize, length: usize| {
            (p as i32 + d as i32).clamp(-border, (length + border as usize - block) as i32)
        };
        let from_x = clamp(x, v[0], width, self.reference.width());
        let from_y = clamp(y, v[1], height, self.reference.height());
        let (a, a_stride) = self.frame.block(x as i32, y as i32);
        let (b, b_stride) = self.reference.block(from_x, from_y);
        match width {
            4 => plain_difference::<4>(a, b, [a_stride, b_stride], height),
            8 => difference::<8>(a, b, [a_stride, b_stride], height),
            16 => difference::<16>(a, b, [a_stride, b_stride], height),
            32 => difference::<32>(a, b, [a_stride, b_stride], height),
            64 => difference::<64>(a, b, [a_stride, b_stride], height),
            _ => {
                let rows = a.chunks(a_stride).zip(b.chunks(b_stride)).take(height);
                rows.map(|(a, b)| sum_differences(&a[..width], &b[..width])).sum()
            }
        }
    }
}

struct Best {
    vector: Vector,
    bits: f32,
    /// Its sum of absolute differences and its bits, which make up `bits`.
    sum: u32,
    vector_bits: f32,
    /// What was tried last.
    last: Option<Vector>,
}

impl Best {
    fn none(vector: Vector) -> Self {
        let most = f32::INFINITY;
        Self { vector, bits: most, sum: u32::MAX, vector_bits: most, last: None }
    }
}

/// Sum of absolute differences of two blocks `N` samples wide.
#[inline(always)]
fn plain_difference<const N: usize>(
    a: &[u8],
    b: &[u8],
    [a_stride, b_stride]: [usize; 2],
    height: usize,
) -> u32 {
    let rows = a.chunks(a_stride).zip(b.chunks(b_stride)).take(height);
    rows.map(|(a, b)| sum_differences(&a[..N], &b[..N])).sum()
}

/// As `plain_difference`, for multiples of eight samples.
#[inline(always)]
fn difference<const N: usize>(a: &[u8], b: &[u8], strides: [usize; 2], height: usize) -> u32 {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: SSE2 is part of this architecture.
        unsafe { sse2_difference::<N>(a, b, strides, height) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    plain_difference::<N>(a, b, strides, height)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
#[inline]
fn sse2_difference<const N: usize>(
    a: &[u8],
    b: &[u8],
    [a_stride, b_stride]: [usize; 2],
    height: usize,
) -> u32 {
    use std::arch::x86_64::*;
    const { assert!(N.is_multiple_of(8)) };
    assert!(height > 0 && a.len() >= (height - 1) * a_stride + N);
    assert!(b.len() >= (height - 1) * b_stride + N);
    let mut sums = _mm_setzero_si128();
    for row in 0..height {
        for x in (0..N).step_by(if N < 16 { 8 } else { 16 }) {
            // SAFETY: N samples of each row are there.
            let differences = unsafe {
                let a = a.as_ptr().add(row * a_stride + x).cast();
                let b = b.as_ptr().add(row * b_stride + x).cast();
                if N < 16 {
                    _mm_sad_epu8(_mm_loadl_epi64(a), _mm_loadl_epi64(b))
                } else {
                    _mm_sad_epu8(_mm_loadu_si128(a), _mm_loadu_si128(b))
                }
            };
            sums = _mm_add_epi32(sums, differences);
        }
    }
    let sums = _mm_add_epi32(sums, _mm_unpackhi_epi64(sums, sums));
    _mm_cvtsi128_si32(sums) as u32
}

#[inline(always)]
fn sum_differences(a: &[u8], b: &[u8]) -> u32 {
    a.iter().zip(b).map(|(&a, &b)| u32::from(a.abs_diff(b))).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_fast_difference_is_the_plain_one(
            samples in prop::collection::vec(any::<u8>(), 1400),
            height in 1usize..9,
            strides in [64usize..80, 64usize..80],
        ) {
            let (a, b) = samples.split_at(700);
            let (a, b) = (&a[..(height - 1) * strides[0] + 64], &b[..(height - 1) * strides[1] + 64]);
            macro_rules! check {
                ($($n:literal)*) => {$(
                    let plain = plain_difference::<$n>(a, b, strides, height);
                    prop_assert_eq!(difference::<$n>(a, b, strides, height), plain);
                )*};
            }
            check!(8 16 32 64);
        }
    }
}
