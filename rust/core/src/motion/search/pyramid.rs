//! Luma at full size, half, quarter …

use crate::motion::plane::{Padded, Plane};

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
        let mut samples = plane.samples().to_vec();
        while width.min(height) >= SMALLEST_SIDE && levels.len() < MOST_LEVELS {
            samples = halve(&samples, width, height);
            (width, height) = (width / 2, height / 2);
            let plane = Plane::new(width, height, &samples).expect("a half is a plane");
            levels.push(Padded::new(&plane, BORDER, BORDER));
        }
        Self { levels }
    }
}

/// Means of 2 × 2 samples; an odd last row or column is dropped.
fn halve(samples: &[u8], width: usize, height: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity((width / 2) * (height / 2));
    for rows in samples.chunks_exact(2 * width).take(height / 2) {
        let (above, below) = rows.split_at(width);
        out.extend(above.chunks_exact(2).zip(below.chunks_exact(2)).map(|(a, b)| {
            ((a[0] as u16 + a[1] as u16 + b[0] as u16 + b[1] as u16 + 2) >> 2) as u8
        }));
    }
    out
}
