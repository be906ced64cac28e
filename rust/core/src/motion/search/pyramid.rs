//! Luma at full size, half, quarter …

use crate::motion::plane::{Padded, Plane};
use crate::motion::wide::wide;

/// Largest block edge; also the border, so that a block pushed out of the picture still lies on
/// repeated samples. More than predictions need.
const BORDER: [usize; 2] = [64; 2];
/// Levels are added while both sides are at least this long.
const SMALLEST_SIDE: usize = 32;
const MOST_LEVELS: usize = 4;

pub(crate) struct Pyramid {
    pub levels: Vec<Padded<u8>>,
}

impl Pyramid {
    pub fn new(plane: &Plane<u8>) -> Self {
        let mut levels = vec![Padded::new(plane, BORDER, BORDER)];
        let (mut width, mut height) = (plane.width(), plane.height());
        while width.min(height) >= SMALLEST_SIDE && levels.len() < MOST_LEVELS {
            let mut samples = vec![0; (width / 2) * (height / 2)];
            halve(&levels[levels.len() - 1], &mut samples);
            (width, height) = (width / 2, height / 2);
            let plane = Plane::new(width, height, &samples).expect("a half is a plane");
            levels.push(Padded::new(&plane, BORDER, BORDER));
        }
        Self { levels }
    }
}

wide! {
    /// Means of 2 × 2 samples; an odd last row or column is dropped.
    fn halve(plane: &Padded<u8>, out: &mut [u8]) {
        for (y, out) in out.chunks_exact_mut(plane.width() / 2).enumerate() {
            let (above, below) = (plane.row(2 * y), plane.row(2 * y + 1));
            let pairs = above.as_chunks::<2>().0.iter().zip(below.as_chunks::<2>().0);
            for (out, (a, b)) in out.iter_mut().zip(pairs) {
                let sum = u16::from(a[0]) + u16::from(a[1]) + u16::from(b[0]) + u16::from(b[1]);
                *out = ((sum + 2) >> 2) as u8;
            }
        }
    }
}
