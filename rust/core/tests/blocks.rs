//! Blocks: what they do, and what the search makes of two frames.

use proptest::prelude::*;
use ui2c_core::motion::blocks::{Blend, Blocks, Cell, adjoint, apply, search};
use ui2c_core::motion::{Field, Gradients, Plane, Sample, compensate};

type Planes<S> = [Vec<S>; 3];

fn sizes(width: usize, height: usize) -> [(usize, usize); 3] {
    let half = (width.div_ceil(2), height.div_ceil(2));
    [(width, height), half, half]
}

fn borrow<S: Sample>(planes: &Planes<S>, width: usize, height: usize) -> [Plane<'_, S>; 3] {
    let sizes = sizes(width, height);
    [0, 1, 2].map(|k| Plane::new(sizes[k].0, sizes[k].1, &planes[k]).unwrap())
}

/// A picture that is smooth enough to be matched, moved by (dx, dy).
fn picture(width: usize, height: usize, dx: i32, dy: i32) -> Planes<u8> {
    sizes(width, height).map(|(w, h)| {
        let scale = if w == width { 1.0 } else { 2.0 };
        let sample = |i: usize| {
            let x = (i % w) as f64 * scale + f64::from(dx);
            let y = (i / w) as f64 * scale + f64::from(dy);
            (128.0 + 50.0 * (x / 5.0).sin() + 50.0 * (y / 7.0 + x / 31.0).cos()) as u8
        };
        (0..w * h).map(sample).collect()
    })
}

proptest! {
    /// A field of one vector everywhere is the same displacement as blocks of that vector.
    #[test]
    fn a_block_is_what_compensation_predicts(
        width in 1usize..70,
        height in 1usize..50,
        vector in [-300i16..=300, -300i16..=300],
        quarters in any::<bool>(),
        replace in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let mut state = seed;
        let mut random = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 56) as u8
        };
        let mut planes = || sizes(width, height).map(|(w, h)| (0..w * h).map(|_| random()).collect());
        let (decoded, last): (Planes<u8>, Planes<u8>) = (planes(), planes());
        let (rows, columns) = (height.div_ceil(16), width.div_ceil(16));
        let field = Field::new(16, 1, rows, columns, vec![vector; rows * columns]).unwrap();
        let predicted = compensate(borrow(&last, width, height), &field, 8).unwrap();
        let blend = if replace { Blend::Replace } else { Blend::Mean };
        let cell = match quarters {
            true => Cell::Quarters(blend, [vector; 4]),
            false => Cell::Whole(blend, vector),
        };
        let blocks = Blocks::new(rows, columns, vec![cell; rows * columns]).unwrap();
        let (a, b) = (borrow(&decoded, width, height), borrow(&last, width, height));
        let applied = apply(a, b, &blocks, 8).unwrap();
        for k in 0..3 {
            for (i, &sample) in applied[k].iter().enumerate() {
                let block = u16::from(predicted[0][k][i]);
                let mean = (u16::from(decoded[k][i]) + block + 1) >> 1;
                let expected = if replace { block } else { mean };
                prop_assert_eq!(u16::from(sample), expected, "plane {} sample {}", k, i);
            }
        }
    }

    /// Whatever is found makes parts of the frame better; not all of it, since it is judged by the bits
    /// of the residual: the same error costs less where it lies close together.
    #[test]
    fn what_is_found_helps(
        dx in -9i32..=9,
        dy in -9i32..=9,
        noise in 1i32..40,
        shift in 0u32..3,
        width in 33usize..80,
    ) {
        let height = 48;
        let source = picture(width, height, 0, 0);
        let last = picture(width, height, dx, dy);
        let mut decoded = source.clone();
        for (i, sample) in decoded[0].iter_mut().enumerate() {
            let sign = if (i * 7 + i / width * 5) % 3 == 0 { noise } else { -noise };
            *sample = (i32::from(*sample) + sign).clamp(0, 255) as u8;
        }
        let y = |planes: &Planes<u8>| planes[0].clone();
        let (s, d, l) = (y(&source), y(&decoded), y(&last));
        let plane = |samples| Plane::new(width, height, samples).unwrap();
        let guesses = vec![[0; 2]; width.div_ceil(16) * 3];
        let found = search(plane(&s), plane(&d), plane(&l), &guesses, 8, 20.0, shift, 1.0).unwrap();
        let Some(blocks) = found else { return Ok(()) };
        let multiple = |c: &i16| c & ((1 << shift) - 1) == 0;
        let all = blocks.cells().iter().all(|cell| match cell {
            Cell::Kept => true,
            Cell::Whole(_, v) => v.iter().all(multiple),
            Cell::Quarters(_, v) => v.iter().flatten().all(multiple),
        });
        prop_assert!(all);
        let (a, b) = (borrow(&decoded, width, height), borrow(&last, width, height));
        let applied = apply(a, b, &blocks, 8).unwrap();
        let square = |i: usize, samples: &[u8]| i64::from(s[i].abs_diff(samples[i])).pow(2);
        // Of quarters of cells.
        let mut gains = vec![0; width.div_ceil(8) * height / 8];
        for i in 0..s.len() {
            gains[i / width / 8 * width.div_ceil(8) + i % width / 8] +=
                square(i, &d) - square(i, &applied[0]);
        }
        prop_assert!(gains.iter().any(|&gain| gain > 0));
    }
}

proptest! {
    /// ⟨g, apply(base, other)⟩ = ⟨base part, base⟩ + ⟨other part, other⟩, far from clamping.
    #[test]
    fn the_adjoint_is_the_transpose(
        width in 1usize..60,
        height in 1usize..40,
        seed in any::<u64>(),
        far in prop_oneof![Just(40i16), Just(2000i16)],
    ) {
        let mut state = seed;
        let mut random = |range: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % range
        };
        let mut planes = || sizes(width, height)
            .map(|(w, h)| (0..w * h).map(|_| 20_000 + random(20_000) as u16).collect::<Vec<_>>());
        let (base, other) = (planes(), planes());
        let gradient = planes().map(|plane| -> Vec<f32> {
            plane.iter().map(|&s| f32::from(s) / 20_000.0 - 1.5).collect()
        });
        let (rows, columns) = (height.div_ceil(16), width.div_ceil(16));
        let mut vector = || [0; 2].map(|_| random(2 * far as u64 + 1) as i16 - far);
        let cells: Vec<Cell> = (0..rows * columns).map(|k| match k % 5 {
            0 => Cell::Whole(Blend::Mean, vector()),
            1 => Cell::Quarters(Blend::Replace, [(); 4].map(|()| vector())),
            2 => Cell::Kept,
            3 => Cell::Whole(Blend::Replace, vector()),
            _ => Cell::Quarters(Blend::Mean, [(); 4].map(|()| vector())),
        }).collect();
        let blocks = Blocks::new(rows, columns, cells).unwrap();
        let applied = apply(borrow(&base, width, height), borrow(&other, width, height), &blocks, 16)
            .unwrap();
        let [y, u, v] = &gradient;
        let [to_base, to_other] =
            adjoint(Gradients { width, height, planes: [y, u, v] }, &blocks).unwrap();
        for k in 0..3 {
            let product = |a: &[f32], b: &[u16]| -> f64 {
                a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
            };
            let forward = product(&gradient[k], &applied[k]);
            let backward = product(&to_base[k], &base[k]) + product(&to_other[k], &other[k]);
            // Each sample of the mended frame is rounded by up to one in all.
            let tolerance = 0.6 * gradient[k].len() as f64 + 1.0;
            prop_assert!((forward - backward).abs() < tolerance, "{forward} and {backward}");
        }
    }
}

#[test]
fn the_adjoint_refuses_other_sizes() {
    let blocks = Blocks::new(1, 2, vec![Cell::Kept; 2]).unwrap();
    let planes = [vec![0.0; 32 * 16], vec![0.0; 16 * 8], vec![0.0; 16 * 8]];
    let [y, u, v] = &planes;
    assert!(adjoint(Gradients { width: 32, height: 16, planes: [y, u, v] }, &blocks).is_ok());
    assert!(adjoint(Gradients { width: 16, height: 32, planes: [y, u, v] }, &blocks).is_err());
    assert!(
        adjoint(Gradients { width: 32, height: 16, planes: [y, u, &v[1..]] }, &blocks).is_err()
    );
}

#[test]
fn a_frame_as_good_as_can_be_keeps_all() {
    let source = picture(64, 48, 0, 0);
    let plane = || Plane::new(64, 48, &source[0]).unwrap();
    let found = search(plane(), plane(), plane(), &[[0; 2]; 12], 8, 20.0, 0, 1.0).unwrap();
    assert_eq!(found, None);
}

#[test]
fn a_moved_frame_is_found_again() {
    let source = picture(96, 64, 0, 0);
    let last = picture(96, 64, 5, -3);
    let decoded = vec![128; 96 * 64];
    let plane = |samples| Plane::new(96, 64, samples).unwrap();
    let guesses = [[0; 2]; 24];
    let found =
        search(plane(&source[0]), plane(&decoded), plane(&last[0]), &guesses, 8, 20.0, 0, 1.0);
    let blocks = found.unwrap().unwrap();
    let inner = blocks.cells()[8];
    assert!(!matches!(inner, Cell::Kept), "{:?}", blocks.cells());
}

#[test]
fn wide_samples_and_wrong_sizes() {
    let (width, height) = (32, 16);
    let decoded: Planes<u16> = sizes(width, height).map(|(w, h)| vec![1000; w * h]);
    let last: Planes<u16> = sizes(width, height).map(|(w, h)| vec![1001; w * h]);
    let cells = vec![Cell::Kept, Cell::Whole(Blend::Mean, [1000, -7])];
    let blocks = Blocks::new(1, 2, cells).unwrap();
    let (a, b) = (borrow(&decoded, width, height), borrow(&last, width, height));
    let applied = apply(a, b, &blocks, 10).unwrap();
    assert_eq!(applied[0][..16], [1000; 16]);
    assert_eq!(applied[0][16..32], [1001; 16]);
    assert_eq!(applied[2][4..8], [1000; 4]);
    assert_eq!(applied[2][8..16], [1001; 8]);
    assert!(apply(a, b, &blocks, 8).is_err());
    let other = Blocks::new(2, 1, vec![Cell::Kept; 2]).unwrap();
    assert!(apply(a, b, &other, 10).is_err());
    let small: Planes<u16> = sizes(16, 16).map(|(w, h)| vec![0; w * h]);
    assert!(apply(a, borrow(&small, 16, 16), &blocks, 10).is_err());
    let guesses = [[0; 2]; 2];
    assert!(search(a[0], b[0], b[1], &guesses, 10, 20.0, 0, 1.0).is_err());
    assert!(search(a[0], b[0], b[0], &guesses, 10, 0.0, 0, 1.0).is_err());
    assert!(search(a[0], b[0], b[0], &guesses, 10, 20.0, 3, 1.0).is_err());
    assert!(search(a[0], b[0], b[0], &guesses, 10, 20.0, 0, 0.0).is_err());
    assert!(search(a[0], b[0], b[0], &guesses, 10, 20.0, 0, f32::NAN).is_err());
}
