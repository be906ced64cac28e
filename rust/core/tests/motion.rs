//! Compensation against a plain reading of the specification, sample by sample.

use proptest::prelude::*;
use ui2c_core::motion::{Field, Plane, Sample, Vector, compensate};

/// Rows 0 to 8 of the kernel; row 16 - k is row k reversed.
const KERNEL: [[i64; 4]; 9] = [
    [0, 128, 0, 0],
    [-5, 127, 7, -1],
    [-9, 124, 15, -2],
    [-12, 119, 24, -3],
    [-14, 113, 34, -5],
    [-14, 105, 44, -7],
    [-14, 96, 55, -9],
    [-13, 86, 65, -10],
    [-12, 76, 76, -12],
];

fn kernel(phase: i64, tap: usize) -> i64 {
    if phase <= 8 { KERNEL[phase as usize][tap] } else { KERNEL[16 - phase as usize][3 - tap] }
}

/// Cells before and after a sample, and the weight of the latter in 1/(2 · step).
fn lookup(at: usize, step: usize, cells: usize, chroma: bool) -> (usize, usize, i64) {
    let (at, step) = (at as i64, step as i64);
    let t = if chroma { 4 * at + 2 } else { 2 * at + 1 } - step;
    let i = t.div_euclid(2 * step);
    let cell = |i: i64| i.clamp(0, cells as i64 - 1) as usize;
    (cell(i), cell(i + 1), t.rem_euclid(2 * step))
}

fn naive<S: Sample>(
    plane: &Plane<S>,
    vectors: &[Vector],
    [rows, columns]: [usize; 2],
    step: usize,
    chroma: bool,
    bit_depth: u32,
) -> Vec<i64> {
    let total = 4 * (step * step) as i64;
    let sample = |x: i64, y: i64| -> i64 {
        let x = x.clamp(0, plane.width() as i64 - 1) as usize;
        let y = y.clamp(0, plane.height() as i64 - 1) as usize;
        plane.row(y)[x].into().into()
    };
    let mut out = Vec::new();
    for y in 0..plane.height() {
        let (top, bottom, e) = lookup(y, step, rows, chroma);
        for x in 0..plane.width() {
            let (left, right, f) = lookup(x, step, columns, chroma);
            let unit = 2 * step as i64;
            let position = |k: usize, at: usize| {
                let v = |r: usize, c: usize| i64::from(vectors[r * columns + c][k]);
                let sum = (unit - e) * ((unit - f) * v(top, left) + f * v(top, right))
                    + e * ((unit - f) * v(bottom, left) + f * v(bottom, right));
                let scaled = if chroma { 2 * sum } else { 4 * sum };
                16 * at as i64 + (2 * scaled + total).div_euclid(2 * total)
            };
            let (px, py) = (position(0, x), position(1, y));
            let mut sum = 0;
            for n in 0..4 {
                for m in 0..4 {
                    let value = sample((px >> 4) - 1 + m as i64, (py >> 4) - 1 + n as i64);
                    sum += kernel(py & 15, n) * kernel(px & 15, m) * value;
                }
            }
            out.push(((sum + 8192) >> 14).clamp(0, (1 << bit_depth) - 1));
        }
    }
    out
}

fn check<S: Sample>(
    size: [usize; 2],
    step: usize,
    frames: Vec<Vec<Vector>>,
    samples: &[u16],
    bit_depth: u32,
) -> Result<(), TestCaseError> {
    let [width, height] = size;
    let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
    let mask = (1u32 << bit_depth) - 1;
    let pick = |count: usize, start: usize| -> Vec<S> {
        let value = |k: usize| u32::from(samples[(start + k) % samples.len()]) & mask;
        (0..count).map(|k| S::from_i32(value(k) as i32)).collect()
    };
    let luma = pick(width * height, 0);
    let (u, v) = (pick(half_width * half_height, 7), pick(half_width * half_height, 91));
    let reference = [
        Plane::new(width, height, &luma).unwrap(),
        Plane::new(half_width, half_height, &u).unwrap(),
        Plane::new(half_width, half_height, &v).unwrap(),
    ];
    let grid = [height.div_ceil(step), width.div_ceil(step)];
    let field = Field::new(step, frames.len(), grid[0], grid[1], frames.concat()).unwrap();
    let predicted = compensate(reference, &field, bit_depth).unwrap();
    prop_assert_eq!(predicted.len(), frames.len());
    for (planes, vectors) in predicted.iter().zip(&frames) {
        for (k, plane) in planes.iter().enumerate() {
            let values: Vec<i64> = plane.iter().map(|&s| i64::from(s.into())).collect();
            let expected = naive(&reference[k], vectors, grid, step, k > 0, bit_depth);
            prop_assert_eq!(values, expected);
        }
    }
    Ok(())
}

#[derive(Debug)]
struct Case {
    size: [usize; 2],
    step: usize,
    frames: Vec<Vec<Vector>>,
    samples: Vec<u16>,
    bit_depth: u32,
}

fn cases() -> impl Strategy<Value = Case> {
    let size = [1usize..90, 1usize..70];
    let step = prop::sample::select(vec![16usize, 32, 64]);
    let reach = prop::sample::select(vec![0i16, 4, 200, 2047]);
    let depth = prop::sample::select(vec![8u32, 10, 12, 16]);
    (size, step, reach, depth, any::<bool>()).prop_flat_map(|(size, step, reach, depth, harsh)| {
        let cells = size[0].div_ceil(step) * size[1].div_ceil(step);
        let vectors = prop::collection::vec([-reach..=reach, -reach..=reach], cells);
        let frames = prop::collection::vec(vectors, 0..=2);
        // Only black and white: the sums go as far as they can.
        let sample = if harsh {
            prop::sample::select(vec![0, u16::MAX]).boxed()
        } else {
            any::<u16>().boxed()
        };
        (frames, prop::collection::vec(sample, 331)).prop_map(move |(frames, samples)| Case {
            size,
            step,
            frames,
            samples,
            bit_depth: depth,
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..Default::default() })]

    #[test]
    fn compensation_is_what_the_specification_says(case in cases()) {
        let Case { size, step, frames, samples, bit_depth } = case;
        if bit_depth == 8 {
            check::<u8>(size, step, frames, &samples, bit_depth)?;
        } else {
            check::<u16>(size, step, frames, &samples, bit_depth)?;
        }
    }
}

#[test]
fn large_pictures_are_predicted_in_bands_without_seams() {
    let (width, height, step) = (640, 420, 64);
    let luma: Vec<u8> = (0..width * height).map(|k| (k * k / 7 + k / 640 * 3) as u8).collect();
    let chroma = vec![128u8; width * height / 4];
    let plane = Plane::new(width, height, &luma).unwrap();
    let half = Plane::new(width / 2, height / 2, &chroma).unwrap();
    let vectors: Vec<Vector> = (0..70i16).map(|k| [k * 9 % 41 - 20, k * 5 % 23 - 11]).collect();
    let field = Field::new(step, 1, 7, 10, vectors.clone()).unwrap();
    let predicted = compensate([plane, half, half], &field, 8).unwrap();
    let values: Vec<i64> = predicted[0][0].iter().map(|&s| i64::from(s)).collect();
    assert!(values == naive(&plane, &vectors, [7, 10], step, false, 8));
}

#[test]
fn fields_that_do_not_fit_are_refused() {
    let samples = vec![0u8; 40 * 24];
    let luma = Plane::new(40, 24, &samples).unwrap();
    let chroma = Plane::new(20, 12, &samples[..240]).unwrap();
    let reference = [luma, chroma, chroma];
    assert!(Field::new(8, 1, 3, 5, vec![[0; 2]; 15]).is_err());
    assert!(Field::new(16, 1, 2, 3, vec![[0; 2]; 5]).is_err());
    assert!(Field::new(16, 1, 1, 1, vec![[2048, 0]]).is_err());
    assert!(Field::new(16, 1, 1, 1, vec![[0, i16::MIN]]).is_err());
    assert!(Field::new(0, 1, 1, 1, vec![[0; 2]]).is_err());
    let field = Field::new(16, 1, 2, 3, vec![[0; 2]; 6]).unwrap();
    assert!(compensate(reference, &field, 8).is_ok());
    assert!(compensate(reference, &field, 10).is_err());
    assert!(compensate([luma, luma, chroma], &field, 8).is_err());
    let other = Field::new(16, 1, 3, 3, vec![[0; 2]; 9]).unwrap();
    assert!(compensate(reference, &other, 8).is_err());
}
