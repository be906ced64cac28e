//! The feature moved to where the frames of a unit are, along their motion field.

use super::map::Map;
use crate::motion::Field;

/// Luma samples per position of the feature.
const POSITION: usize = 8;

/// One axis: cells before and after a position, and the weight of the latter in 1 / 2g.
struct Between {
    low: usize,
    high: usize,
    weight: i32,
}

/// Of the samples right below (after) the middles of `positions`.
fn between(positions: usize, step: usize, cells: usize) -> Vec<Between> {
    let double = 2 * step as i32;
    let at = |position: usize| {
        let sample = (position * POSITION + POSITION / 2) as i32;
        let t = 2 * sample + 1 - step as i32;
        let index = t.div_euclid(double);
        let cell = |index: i32| index.clamp(0, cells as i32 - 1) as usize;
        Between { low: cell(index), high: cell(index + 1), weight: t - double * index }
    };
    (0..positions).map(at).collect()
}

/// Every position taken from where the field points, on the mean of its frames; bilinear, with the
/// edge's positions beyond the edges.
///
/// The field has a step, one frame or two, and a cell for each begun square of it.
pub(super) fn align(feature: &Map, field: &Field) -> Map {
    let (height, width, c) = (feature.height, feature.width, feature.channels);
    let step = field.step();
    let down = between(height, step, field.rows());
    let across = between(width, step, field.columns());
    Map::of_rows(height, width, c, |y, row| {
        for (x, to) in row.chunks_exact_mut(c).enumerate() {
            let [dx, dy] = displacement(field, &down[y], &across[x]);
            let (px, py) = (256 * x as i32 + dx, 256 * y as i32 + dy);
            let fraction = |p: i32| (p & 255) as f32 / 256.0;
            let (fx, fy) = (fraction(px), fraction(py));
            let at = |py: i32, px: i32| {
                let y = py.clamp(0, height as i32 - 1) as usize;
                let x = px.clamp(0, width as i32 - 1) as usize;
                &feature.row(y)[x * c..][..c]
            };
            let (x, y) = (px >> 8, py >> 8);
            let corners = [at(y, x), at(y, x + 1), at(y + 1, x), at(y + 1, x + 1)];
            for (k, to) in to.iter_mut().enumerate() {
                let [a, b, c, d] = corners.map(|corner| corner[k]);
                let upper = a * (1.0 - fx) + b * fx;
                let lower = c * (1.0 - fx) + d * fx;
                *to = upper * (1.0 - fy) + lower * fy;
            }
        }
    })
}

/// In 1/256 of a position: the sum of two frames' displacements in sixteenths of a sample.
fn displacement(field: &Field, down: &Between, across: &Between) -> [i32; 2] {
    let double = 2 * field.step() as i32;
    // Twice step each way, from quarters to sixteenths.
    let shift = 2 * double.ilog2() - 2;
    let of_frame = |frame: usize, k: usize| {
        let vectors = field.frame(frame);
        let column = |column: usize| {
            let cell = |row: usize| i32::from(vectors[row * field.columns() + column][k]);
            cell(down.low) * (double - down.weight) + cell(down.high) * down.weight
        };
        let total =
            column(across.low) * (double - across.weight) + column(across.high) * across.weight;
        (total + (1 << (shift - 1))) >> shift
    };
    let frames = field.frames();
    [0, 1].map(|k| (0..frames).map(|frame| of_frame(frame, k)).sum::<i32>() * (2 / frames) as i32)
}
