//! Compensation against a plain reading of the specification, sample by sample.

use proptest::prelude::*;
use ui2c_core::motion::{
    Field, Gradients, Plane, Sample, Vector, compensate, compensate_adjoint, field,
};
use ui2c_core::rans::Decoder;

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

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..Default::default() })]

    /// Whatever a damaged stream says: samples outside the picture are edge samples.
    #[test]
    fn fields_from_any_bytes_predict_from_within_the_picture(
        bytes in prop::collection::vec(any::<u8>(), 4..120),
        size in [1usize..40, 1usize..40],
        step in prop::sample::select(vec![16usize, 32, 64]),
        samples in prop::collection::vec(any::<u16>(), 331),
    ) {
        let grid = [size[1].div_ceil(step), size[0].div_ceil(step)];
        let Ok(mut decoder) = Decoder::new(&bytes[..], 0) else { return Ok(()) };
        let Ok(vectors) = field::decode(&mut decoder, 2, grid[0], grid[1]) else { return Ok(()) };
        let frames: Vec<_> = vectors.chunks(grid[0] * grid[1]).map(<[_]>::to_vec).collect();
        check::<u8>(size, step, frames, &samples, 8)?;
    }

    /// The largest vectors in the smallest pictures.
    #[test]
    fn vectors_far_beyond_small_pictures_see_their_edges(
        size in [1usize..6, 1usize..6],
        step in prop::sample::select(vec![16usize, 32, 64]),
        vector in prop::sample::select(vec![[-2047, -2047], [2047, 2047], [-2047, 2047], [2047, 3]]),
        samples in prop::collection::vec(any::<u16>(), 331),
    ) {
        check::<u8>(size, step, vec![vec![vector]], &samples, 8)?;
        check::<u16>(size, step, vec![vec![vector]], &samples, 10)?;
    }
}

#[test]
fn the_adjoint_is_the_transpose_of_compensation() {
    let (width, height, step) = (37usize, 21usize, 16usize);
    let half = [width.div_ceil(2), height.div_ceil(2)];
    let grid = [height.div_ceil(step), width.div_ceil(step)];
    let vectors: Vec<Vector> = (0..12i16).map(|k| [k * 90 % 41 - 20, k * 50 % 230 - 110]).collect();
    let field = Field::new(step, 2, grid[0], grid[1], vectors).unwrap();
    let sizes = [[width, height], half, half];
    let number = |k: usize, salt: usize| ((k * 7919 + salt * 104_729) % 20_011) as f32;
    let gradients = sizes.map(|[w, h]| -> Vec<f32> {
        (0..2 * w * h).map(|k| number(k, 3) / 20_011.0 - 0.5).collect()
    });
    // Far from where compensation clamps.
    let planes = sizes
        .map(|[w, h]| -> Vec<u16> { (0..w * h).map(|k| number(k, 5) as u16 + 20_000).collect() });
    let plane = |k: usize| Plane::new(sizes[k][0], sizes[k][1], &planes[k]).unwrap();
    let predicted = compensate([plane(0), plane(1), plane(2)], &field, 16).unwrap();
    let [y, u, v] = &gradients;
    let gradients = Gradients { width, height, planes: [y, u, v] };
    let adjoint = compensate_adjoint(gradients, &field).unwrap();
    for k in 0..3 {
        let product = |a: &[f32], b: &mut dyn Iterator<Item = u16>| -> f64 {
            a.iter().zip(b).map(|(&a, b)| f64::from(a) * f64::from(b)).sum()
        };
        let forward: f64 = (0..2)
            .map(|frame| {
                let gradient = gradients.planes[k].chunks(planes[k].len()).nth(frame).unwrap();
                product(gradient, &mut predicted[frame][k].iter().copied())
            })
            .sum();
        let backward = product(&adjoint[k], &mut planes[k].iter().copied());
        // Each predicted sample is rounded by up to a half.
        let tolerance = 0.1 * planes[k].len() as f64;
        assert!((forward - backward).abs() < tolerance, "{forward} and {backward}");
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
