//! The post-filter: what filters do, and what the designer makes of two frames.

use proptest::prelude::*;
use ui2c_core::motion::{Plane, Sample};
use ui2c_core::postfilter::{CLASSES, Designer, Filters, TAPS, apply};

/// Rows below and columns right of the sample that is filtered.
const OFFSETS: [[i64; 2]; TAPS] = [
    [0, 1],
    [0, 2],
    [0, 3],
    [1, -2],
    [1, -1],
    [1, 0],
    [1, 1],
    [1, 2],
    [2, -1],
    [2, 0],
    [2, 1],
    [3, 0],
];

type Planes<S> = [Vec<S>; 3];

fn sizes(width: usize, height: usize) -> [(usize, usize); 3] {
    let half = (width.div_ceil(2), height.div_ceil(2));
    [(width, height), half, half]
}

fn borrow<S: Sample>(planes: &Planes<S>, width: usize, height: usize) -> [Plane<'_, S>; 3] {
    let sizes = sizes(width, height);
    [0, 1, 2].map(|k| Plane::new(sizes[k].0, sizes[k].1, &planes[k]).unwrap())
}

/// As docs/bitstream.md says, a sample at a time.
fn filtered(
    samples: &[i64],
    (width, height): (usize, usize),
    filters: &[[i8; TAPS]; CLASSES],
    depth: u32,
) -> Vec<i64> {
    let at = |y: i64, x: i64| {
        let (y, x) = (y.clamp(0, height as i64 - 1), x.clamp(0, width as i64 - 1));
        samples[y as usize * width + x as usize]
    };
    let second = |y: i64, x: i64, [dy, dx]: [i64; 2]| {
        (2 * at(y, x) - at(y - dy, x - dx) - at(y + dy, x + dx)).abs()
    };
    let mut out = Vec::new();
    for y in 0..height as i64 {
        for x in 0..width as i64 {
            let (top, left) = (y / 4 * 4, x / 4 * 4);
            let sum = |direction| -> i64 {
                let rows = top - 2..top + 6;
                let window = rows.flat_map(|y| (left - 2..left + 6).map(move |x| (y, x)));
                window.map(|(y, x)| second(y, x, direction)).sum()
            };
            let [v, h, f, r] = [[1, 0], [0, 1], [1, 1], [1, -1]].map(sum);
            let activity = (0..5).filter(|k| (v + h) >> (depth - 8) >= 32 << k).count();
            let slanted = f.max(r) * (v.min(h) + 1) >= v.max(h) * (f.min(r) + 1);
            let (most, least) = if slanted { (f.max(r), f.min(r)) } else { (v.max(h), v.min(h)) };
            let strength = [3, 6].iter().filter(|&&c| 2 * most >= c * (least + 1)).count();
            let direction = if strength == 0 { 0 } else { 2 * strength - 1 + usize::from(slanted) };
            let turn = match (strength, slanted) {
                (0, _) => 0,
                (_, true) => usize::from(f > r),
                (_, false) => 2 * usize::from(v > h),
            };
            let filter = &filters[6 * direction + activity];
            let mut sum = 64;
            for (k, &[dy, dx]) in OFFSETS.iter().enumerate() {
                let (dy, dx) = [(dy, dx), (dy, -dx), (dx, dy)][turn];
                let pair = at(y + dy, x + dx) + at(y - dy, x - dx);
                sum += i64::from(filter[k]) * (pair - 2 * at(y, x));
            }
            out.push((at(y, x) + (sum >> 7)).clamp(0, (1 << depth) - 1));
        }
    }
    out
}

struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % below
    }
}

/// Noise, stripes and slopes, so that all classes come up.
fn picture(width: usize, height: usize, depth: u32, random: &mut Random) -> Planes<u16> {
    let full = 1u64 << depth;
    sizes(width, height).map(|(w, h)| {
        let (kind, noise) = (random.next(5), 1 + random.next(full / 2) * random.next(2));
        (0..w * h)
            .map(|i| {
                let (x, y) = ((i % w) as u64, (i / w) as u64);
                let along = match kind {
                    0 => x,
                    1 => y,
                    2 => x + y,
                    3 => x + 100_000 - y,
                    _ => 0,
                };
                let base = along / 3 % 2 * (full / 3);
                ((base + random.next(noise)).min(full - 1)) as u16
            })
            .collect()
    })
}

fn filters(random: &mut Random, reach: u64) -> Filters {
    let mut coefficient = || (random.next(2 * reach + 1) as i64 - reach as i64) as i8;
    Filters([(); 3].map(|()| [(); CLASSES].map(|()| [(); TAPS].map(|()| coefficient()))))
}

proptest! {
    #[test]
    fn filtering_is_what_the_format_says(
        width in 1usize..70,
        height in 1usize..40,
        depth in prop_oneof![Just(8u32), Just(10), Just(16)],
        reach in prop_oneof![Just(12u64), Just(127)],
        seed in any::<u64>(),
    ) {
        let mut random = Random(seed);
        let filters = filters(&mut random, reach);
        let planes = picture(width, height, depth, &mut random);
        let applied: Planes<u16> = if depth == 8 {
            let bytes = planes.clone().map(|plane| plane.iter().map(|&s| s as u8).collect());
            let applied = apply(borrow::<u8>(&bytes, width, height), &filters, 8).unwrap();
            applied.map(|plane| plane.into_iter().map(u16::from).collect())
        } else {
            apply(borrow(&planes, width, height), &filters, depth).unwrap()
        };
        for k in 0..3 {
            let samples: Vec<i64> = planes[k].iter().map(|&s| s.into()).collect();
            let expected = filtered(&samples, sizes(width, height)[k], &filters.0[k], depth);
            let applied: Vec<i64> = applied[k].iter().map(|&s| s.into()).collect();
            prop_assert_eq!(applied, expected, "plane {}", k);
        }
    }

    /// What is blurred is sharpened again, whatever the size and the depth.
    #[test]
    fn what_is_designed_helps(
        width in 40usize..90,
        height in 40usize..90,
        depth in prop_oneof![Just(9u32), Just(12), Just(16)],
        kind in 0u64..4,
        seed in any::<u64>(),
    ) {
        let mut random = Random(seed);
        let full = 1i64 << depth;
        let source: Planes<u16> = sizes(width, height).map(|(w, h)| {
            let along = |x: i64, y: i64| [x, y, x + y, x - y][kind as usize].rem_euclid(7);
            (0..w * h)
                .map(|i| (full / 9 * (1 + along((i % w) as i64, (i / w) as i64))) as u16)
                .collect()
        });
        let mut blur = filters(&mut random, 0);
        // A weak mean of the neighbours across and down.
        blur.0.as_flattened_mut().iter_mut().for_each(|f| (f[0], f[5]) = (16, 16));
        let decoded = apply(borrow(&source, width, height), &blur, depth).unwrap();
        let (source, decoded) =
            (borrow(&source, width, height), borrow(&decoded, width, height));
        let error = |a: &Plane<u16>, b: &Plane<u16>| -> f64 {
            let pairs = a.samples().iter().zip(b.samples());
            pairs.map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
        };
        let mut designer = Designer::default();
        let none = [(); 3].map(|()| Filters::default());
        let nothing = designer.design(&Filters::default(), &none, 1.0).unwrap();
        prop_assert_eq!(nothing, Filters::default());
        designer.observe(&[(decoded, source), (decoded, source)], depth).unwrap();
        let designed = designer.design(&Filters::default(), &none, 1.0).unwrap();
        let shown = apply(decoded, &designed, depth).unwrap();
        let shown = borrow(&shown, width, height);
        prop_assert!(error(&shown[0], &source[0]) < 0.7 * error(&decoded[0], &source[0]));
        // Bits that cost more than there is to gain are not spent.
        let dear = designer.design(&Filters::default(), &none, 1e12).unwrap();
        prop_assert_eq!(dear, Filters::default());
        // What has the filters already needs no change.
        let sets = [Filters::default(), designed.clone(), Filters::default()];
        let taken = designer.design(&Filters::default(), &sets, 1e3).unwrap();
        let again = apply(decoded, &taken, depth).unwrap();
        let again = borrow(&again, width, height);
        prop_assert!(error(&again[0], &source[0]) < 0.75 * error(&decoded[0], &source[0]));
    }
}

#[test]
fn zero_filters_change_nothing() {
    let planes = picture(37, 21, 8, &mut Random(3));
    let applied = apply(borrow(&planes, 37, 21), &Filters::default(), 10).unwrap();
    assert_eq!(applied, planes);
}

#[test]
fn what_does_not_fit_is_refused() {
    let planes = picture(16, 16, 10, &mut Random(1));
    let other = picture(20, 16, 10, &mut Random(2));
    let (a, b) = (borrow(&planes, 16, 16), borrow(&other, 20, 16));
    assert!(apply(a, &Filters::default(), 8).is_err());
    assert!(Designer::default().observe(&[(a, b)], 10).is_err());
    assert!(Designer::default().observe(&[(a, a)], 8).is_err());
    let sets = [Filters::default(), Filters::default()];
    assert!(Designer::default().design(&Filters::default(), &sets, 1.0).is_err());
}
