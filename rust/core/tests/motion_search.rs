//! The search on motion that is known.

use proptest::prelude::*;
use ui2c_core::motion::{
    Effort, Field, Plane, STEPS, Sample, Vector, compensate, field, half, search, search_halves,
    search_related,
};

/// Detail at every scale, without repetition.
fn texture(width: usize, height: usize) -> Vec<u8> {
    let mut noise = 1u32;
    let mut blobs: Vec<[f32; 4]> = Vec::new();
    let mut random = || {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (noise >> 8) as f32 / (1 << 24) as f32
    };
    for _ in 0..width * height / 90 + 4 {
        let size = 2.0 + 14.0 * random() * random();
        let (x, y) = (random() * width as f32, random() * height as f32);
        blobs.push([x, y, size, 160.0 * (random() - 0.5)]);
    }
    let mut out = vec![128.0f32; width * height];
    for [x, y, size, height_of] in blobs {
        let reach = (3.0 * size) as i32;
        for py in (y as i32 - reach).max(0)..(y as i32 + reach).min(height as i32) {
            for px in (x as i32 - reach).max(0)..(x as i32 + reach).min(width as i32) {
                let d2 = (px as f32 - x).powi(2) + (py as f32 - y).powi(2);
                out[py as usize * width + px as usize] += height_of * (-d2 / (size * size)).exp();
            }
        }
    }
    out.into_iter().map(|v| v.round().clamp(0.0, 255.0) as u8).collect()
}

/// The reference moved by one vector, with the normative kernel.
fn moved<S: Sample>(reference: &Plane<S>, v: Vector, bit_depth: u32) -> Vec<S> {
    let (width, height) = (reference.width(), reference.height());
    let (rows, columns) = (height.div_ceil(64), width.div_ceil(64));
    let field = Field::new(64, 1, rows, columns, vec![v; rows * columns]).unwrap();
    let chroma = vec![S::default(); width.div_ceil(2) * height.div_ceil(2)];
    let half = Plane::new(width.div_ceil(2), height.div_ceil(2), &chroma).unwrap();
    let mut predicted = compensate([*reference, half, half], &field, bit_depth).unwrap();
    let [luma, ..] = predicted.remove(0);
    luma
}

fn found(
    width: usize,
    height: usize,
    first: Vector,
    second: Vector,
    step: usize,
    effort: Effort,
) -> Field {
    let samples = texture(width, height);
    let reference = Plane::new(width, height, &samples).unwrap();
    let frames = [first, second].map(|v| moved(&reference, v, 8));
    let frames = frames.each_ref().map(|f| Plane::new(width, height, f).unwrap());
    search(reference, &frames, 8, 50.0, step, 0, effort).unwrap()
}

/// Whether the components are that close, in quarter samples.
fn near(a: Vector, b: Vector, most: u16) -> bool {
    (0..2).all(|c| a[c].abs_diff(b[c]) <= most)
}

#[test]
fn pans_are_found() {
    let pans: [(Vector, Vector); 8] = [
        ([4, 0], [8, 0]),
        ([-5, 3], [-10, 6]),
        ([1, -1], [2, -2]),
        ([37, 22], [74, 44]),
        ([-90, 61], [-180, 122]),
        ([128, 0], [256, 0]),
        ([0, -127], [0, -254]),
        ([14, 9], [-3, 2]),
    ];
    for ((first, second), effort) in
        pans.into_iter().flat_map(|pan| [(pan, Effort::Default), (pan, Effort::Slow)])
    {
        let field = found(224, 176, first, second, 0, effort);
        assert_ne!(field.step(), 0, "{first:?}");
        for (frame, expected) in [first, second].into_iter().enumerate() {
            // Where most of a cell comes from outside the picture, a little less may do as well.
            let vectors = field.frame(frame);
            assert!(vectors.iter().all(|&v| near(v, expected, 1)), "{expected:?}: {field:?}");
            let exact = vectors.iter().filter(|&&v| v == expected).count();
            let most = vectors.len() / if effort == Effort::Slow { vectors.len() } else { 10 };
            assert!(exact + most >= vectors.len(), "{expected:?}: {field:?}");
        }
    }
}

#[test]
fn a_pan_is_found_with_any_step_and_at_odd_sizes() {
    for step in STEPS {
        for (width, height) in [(128, 128), (131, 97), (200, 33)] {
            // Less effort may miss the slivers of cells at the edges.
            let field = found(width, height, [9, -6], [18, -12], step, Effort::Slow);
            assert_eq!(field.step(), step);
            let extent = (field.frames(), field.rows(), field.columns());
            assert_eq!(extent, (2, height.div_ceil(step), width.div_ceil(step)));
            assert!(field.frame(0).iter().all(|&v| v == [9, -6]), "{width} {step} {field:?}");
            assert!(field.frame(1).iter().all(|&v| v == [18, -12]), "{width} {step} {field:?}");
        }
    }
}

#[test]
fn a_pan_is_found_at_ten_bits() {
    let (width, height) = (160, 112);
    let samples: Vec<u16> = texture(width, height).iter().map(|&s| u16::from(s) * 4 + 1).collect();
    let reference = Plane::new(width, height, &samples).unwrap();
    let frame = moved(&reference, [-7, 11], 10);
    let frames = [Plane::new(width, height, &frame).unwrap()];
    let field = search(reference, &frames, 10, 50.0, 0, 0, Effort::Default).unwrap();
    assert!(field.step() != 0 && field.vectors().iter().all(|&v| v == [-7, 11]), "{field:?}");
}

#[test]
fn without_motion_there_is_no_field() {
    for (width, height) in [(1, 1), (2, 7), (16, 16), (130, 67), (256, 144)] {
        let samples = texture(width, height);
        let plane = Plane::new(width, height, &samples).unwrap();
        let field = search(plane, &[plane, plane], 8, 50.0, 0, 0, Effort::Default).unwrap();
        assert_eq!(field, Field::still(2), "{width} x {height}");
    }
}

#[test]
fn noise_is_no_motion() {
    let (width, height) = (192, 128);
    let samples = texture(width, height);
    let mut noise = 7u32;
    let mut noisy = || -> Vec<u8> {
        let mut step = |&s: &u8| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            s.saturating_add((noise >> 30) as u8)
        };
        samples.iter().map(&mut step).collect()
    };
    let (reference, first, second) = (noisy(), noisy(), noisy());
    let plane = |s| Plane::new(width, height, s).unwrap();
    let field =
        search(plane(&reference), &[plane(&first), plane(&second)], 8, 50.0, 0, 0, Effort::Default)
            .unwrap();
    assert_eq!(field.step(), 0, "{field:?}");
}

#[test]
fn a_zoom_is_predicted_far_better_than_a_copy() {
    let (width, height) = (256, 192);
    let samples = texture(width, height);
    let reference = Plane::new(width, height, &samples).unwrap();
    // Vectors that grow from the centre, as a zoom makes them.
    let zoom = |r: i16, c: i16| [3 * (2 * c - 15), 3 * (2 * r - 11)];
    let vectors = (0..12).flat_map(|r| (0..16).map(move |c| zoom(r, c))).collect();
    let field = Field::new(16, 1, 12, 16, vectors).unwrap();
    let chroma = vec![0; width * height / 4];
    let half = Plane::new(width / 2, height / 2, &chroma).unwrap();
    let planes = [reference, half, half];
    let [frame, ..] = compensate(planes, &field, 8).unwrap().remove(0);
    let target = Plane::new(width, height, &frame).unwrap();
    let field = search(reference, &[target], 8, 20.0, 0, 0, Effort::Default).unwrap();
    let [predicted, ..] = compensate(planes, &field, 8).unwrap().remove(0);
    let error = |a: &[u8]| -> u64 {
        a.iter().zip(&frame).map(|(&a, &b)| u64::from(a.abs_diff(b)).pow(2)).sum()
    };
    let (with, without) = (error(&predicted), error(&samples));
    assert!(with * 50 < without, "{with} against {without}");
}

#[test]
fn every_effort_finds_a_pan_at_odd_sizes() {
    let pan = [-22, 13];
    for (width, height) in [(33, 31), (97, 66), (130, 201)] {
        let samples = texture(width, height);
        let reference = Plane::new(width, height, &samples).unwrap();
        let target = moved(&reference, pan, 8);
        let frames = [Plane::new(width, height, &target).unwrap()];
        for effort in [Effort::Fast, Effort::Default, Effort::Slow] {
            for step in STEPS {
                let field = search(reference, &frames, 8, 50.0, step, 0, effort).unwrap();
                assert_eq!(field.step(), step);
                let grid = (height.div_ceil(step), width.div_ceil(step));
                assert_eq!((field.rows(), field.columns()), grid);
                let near = |v: &Vector| (v[0] - pan[0]).abs() <= 1 && (v[1] - pan[1]).abs() <= 1;
                let found = field.frame(0).iter().filter(|v| near(v)).count();
                let what = format!("{width} x {height}, step {step}, {effort:?}: {field:?}");
                assert!(2 * found > field.frame(0).len(), "{what}");
            }
        }
    }
}

#[test]
fn a_small_fast_thing_is_found_before_a_still_background() {
    let (width, height, side) = (320, 192, 56);
    let background: Vec<u8> = texture(width, height).iter().map(|s| s / 4 + 160).collect();
    let thing: Vec<u8> = texture(side, side).iter().map(|s| s / 2).collect();
    let picture = |left: usize, top: usize| {
        let mut out = background.clone();
        for (row, line) in thing.chunks_exact(side).enumerate() {
            out[(top + row) * width + left..][..side].copy_from_slice(line);
        }
        out
    };
    // It covers whole cells of the grid in the frame.
    let (reference, frame) = (picture(165, 69), picture(124, 76));
    let plane = |s| Plane::new(width, height, s).unwrap();
    let field =
        search(plane(&reference), &[plane(&frame)], 8, 20.0, 16, 0, Effort::Default).unwrap();
    let (row, column) = (104 / 16, 152 / 16);
    let found = field.frame(0)[row * field.columns() + column];
    assert!(near(found, [4 * 41, -4 * 7], 2), "{field:?}");
    assert_eq!(field.frame(0)[0], [0, 0]);
}

#[test]
fn nonsense_is_refused() {
    let samples = vec![0u8; 64];
    let plane = Plane::new(8, 8, &samples).unwrap();
    let other = Plane::new(16, 4, &samples).unwrap();
    assert!(search(plane, &[plane], 8, 50.0, 0, 0, Effort::Default).is_ok());
    assert!(search(plane, &[plane], 8, 50.0, 8, 0, Effort::Default).is_err());
    assert!(search(plane, &[plane], 8, 50.0, 0, 3, Effort::Default).is_err());
    assert!(search(plane, &[plane], 8, f32::NAN, 0, 0, Effort::Default).is_err());
    assert!(search(plane, &[plane], 8, 0.0, 0, 0, Effort::Default).is_err());
    assert!(search(plane, &[plane], 9, 50.0, 0, 0, Effort::Default).is_err());
    assert!(search(plane, &[other], 8, 50.0, 0, 0, Effort::Default).is_err());
    assert_eq!(search(plane, &[], 8, 50.0, 0, 0, Effort::Default).unwrap().frames(), 0);
}

/// Coarse vectors are multiples of their unit, near what moves, whatever the effort.
#[test]
fn coarse_vectors_are_multiples() {
    let (width, height) = (200, 120);
    let samples = texture(width, height);
    let reference = Plane::new(width, height, &samples).unwrap();
    for (vector, shift) in [([13, -6], 1), ([-27, 9], 1), ([13, -6], 2), ([-2047, 2047], 2)] {
        let target = moved(&reference, vector, 8);
        let frame = Plane::new(width, height, &target).unwrap();
        for effort in [Effort::Fast, Effort::Default, Effort::Slow] {
            let field = search(reference, &[frame], 8, 20.0, 32, shift, effort).unwrap();
            let vectors = field.frame(0);
            assert!(vectors.iter().flatten().all(|c| c % (1 << shift) == 0), "{field:?}");
            assert!(vectors.iter().flatten().all(|c| c.abs() <= 2047), "{field:?}");
            if vector[0].abs() < 100 {
                let close = vectors.iter().filter(|&&v| near(v, vector, 1 << shift)).count();
                assert!(2 * close > vectors.len(), "{effort:?} {shift} {field:?}");
            }
        }
    }
}

/// Vectors that are off by up to `most`, this way and that.
fn shaken(v: Vector, most: i16, count: usize) -> Vec<Vector> {
    let off = |k: usize| (k * 7 % (2 * most as usize + 1)) as i16 - most;
    (0..count).map(|k| [v[0] + off(k), v[1] + off(k + 3)]).collect()
}

#[test]
fn one_field_is_found_for_a_steady_pan() {
    for (width, height, pan) in [(224, 176, [19, -12]), (131, 97, [-33, 7]), (96, 64, [5, 5])] {
        let samples = texture(width, height);
        let reference = Plane::new(width, height, &samples).unwrap();
        let frames = [half(pan), pan].map(|v| moved(&reference, v, 8));
        let frames = frames.each_ref().map(|f| Plane::new(width, height, f).unwrap());
        let (rows, columns) = (height.div_ceil(32), width.div_ceil(32));
        let start = Field::new(32, 1, rows, columns, shaken(pan, 2, rows * columns)).unwrap();
        let found = search_halves(reference, frames, 8, 50.0, &start, 0).unwrap();
        assert_eq!((found.step(), found.frames()), (32, 1), "nothing asks for more");
        assert!(found.vectors().iter().all(|&v| near(v, pan, 1)), "{pan:?}: {found:?}");
    }
}

/// Where the first frame goes half as far as the last, what is coarse for one is not for both.
#[test]
fn halves_may_be_finer_than_they_began() {
    let (width, height) = (256, 192);
    let samples = texture(width, height);
    let reference = Plane::new(width, height, &samples).unwrap();
    let zoom = |r: i16, c: i16| [3 * (2 * c - 15), 3 * (2 * r - 11)];
    let last: Vec<Vector> = (0..12).flat_map(|r| (0..16).map(move |c| zoom(r, c))).collect();
    let first = last.iter().copied().map(half).collect();
    let field = Field::new(16, 2, 12, 16, [first, last].concat()).unwrap();
    let chroma = vec![0; width * height / 4];
    let grey = Plane::new(width / 2, height / 2, &chroma).unwrap();
    let frames = compensate([reference, grey, grey], &field, 8).unwrap();
    let planes = [0, 1].map(|k| Plane::new(width, height, &frames[k][0]).unwrap());
    let start = Field::new(64, 1, 3, 4, vec![[0, 0]; 12]).unwrap();
    let found = search_halves(reference, planes, 8, 5.0, &start, 0).unwrap();
    assert!(found.step() < 64, "{found:?}");
}

#[test]
fn the_last_field_is_told_from_the_first() {
    let (width, height) = (224, 176);
    let samples = texture(width, height);
    let reference = Plane::new(width, height, &samples).unwrap();
    let cells = 7 * 6;
    for (first, last) in [([9, -6], [18, -12]), ([-14, 3], [-14, 3]), ([8, 8], [-3, 2])] {
        let frames = [first, last].map(|v| moved(&reference, v, 8));
        let frames = frames.each_ref().map(|f| Plane::new(width, height, f).unwrap());
        let vectors = [shaken(first, 1, cells), shaken(last, 2, cells)].concat();
        let start = Field::new(32, 2, 6, 7, vectors).unwrap();
        let found = search_related(reference, frames, 8, 50.0, &start, 0).unwrap();
        assert_eq!((found.step(), found.frames()), (32, 2));
        assert!(found.frame(1).iter().all(|&v| near(v, last, 1)), "{last:?}: {found:?}");
        let bits = |of: &Field| field::cost(2, 7, of.vectors()).unwrap();
        assert!(bits(&found) < 0.7 * bits(&start), "{found:?}");
    }
}

#[test]
fn a_joint_search_refuses_what_does_not_fit() {
    let samples = vec![0u8; 64 * 48];
    let plane = Plane::new(64, 48, &samples).unwrap();
    let other = Plane::new(48, 64, &samples).unwrap();
    let field = |step: usize, frames, rows, columns, v: Vector| {
        Field::new(step, frames, rows, columns, vec![v; frames * rows * columns]).unwrap()
    };
    let one = field(32, 1, 2, 2, [4, 2]);
    let two = field(32, 2, 2, 2, [4, 2]);
    assert!(search_halves(plane, [plane; 2], 8, 50.0, &one, 1).is_ok());
    assert!(search_related(plane, [plane; 2], 8, 50.0, &two, 1).is_ok());
    assert!(search_halves(plane, [plane; 2], 8, 50.0, &two, 0).is_err());
    assert!(search_related(plane, [plane; 2], 8, 50.0, &one, 0).is_err());
    assert!(search_halves(plane, [plane; 2], 8, 50.0, &one, 2).is_err());
    assert!(search_halves(plane, [plane; 2], 8, 50.0, &one, 3).is_err());
    assert!(search_halves(plane, [plane; 2], 8, f32::NAN, &one, 0).is_err());
    assert!(search_halves(plane, [plane; 2], 8, 50.0, &Field::still(1), 0).is_err());
    assert!(search_halves(plane, [plane; 2], 8, 50.0, &field(16, 1, 2, 2, [0, 0]), 0).is_err());
    assert!(search_halves(plane, [plane, other], 8, 50.0, &one, 0).is_err());
    assert!(search_related(plane, [other, plane], 8, 50.0, &two, 0).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..Default::default() })]

    /// Whatever the pictures and the start, the result is a field of the format.
    #[test]
    fn a_joint_search_finds_legal_fields(
        size in [1usize..70, 1usize..70],
        step in prop::sample::select(STEPS.to_vec()),
        shift in 0u32..3,
        samples in prop::collection::vec(any::<u8>(), 331),
        components in prop::collection::vec(-2047i16..=2047, 50),
    ) {
        let [width, height] = size;
        let picture = |start: usize| -> Vec<u8> {
            (0..width * height).map(|k| samples[(start + k) % samples.len()]).collect()
        };
        let pictures = [picture(0), picture(5), picture(90)];
        let [reference, first, last] =
            pictures.each_ref().map(|p| Plane::new(width, height, p).unwrap());
        let (rows, columns) = (height.div_ceil(step), width.div_ceil(step));
        let unit = 1i16 << shift;
        let clamped = |k: usize| components[k % components.len()] / unit * unit;
        let vectors =
            |frames: usize| (0..frames * rows * columns).map(|k| [clamped(k), clamped(3 * k + 1)]);
        let start =
            |frames| Field::new(step, frames, rows, columns, vectors(frames).collect()).unwrap();
        for found in [
            search_halves(reference, [first, last], 8, 20.0, &start(1), shift).unwrap(),
            search_related(reference, [first, last], 8, 20.0, &start(2), shift).unwrap(),
        ] {
            prop_assert!(found.step() <= step && STEPS.contains(&found.step()));
            prop_assert!(found.vectors().iter().flatten().all(|c| c % (1 << shift) == 0));
        }
    }
}
