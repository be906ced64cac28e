//! What vectors and residuals cost, in bits.

use crate::motion::Vector;

/// A transform gathers a residual in about one coefficient of so many.
const COMPACTION: f32 = 4.0;

/// Estimates bits.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    /// Mean squared error at which a residual begins to be coded: a uniform quantiser of that
    /// error trades rate for distortion at the Lagrangian's price.
    floor: f32,
    /// What a sample of a reduced picture stands for.
    scale: f32,
}

impl Cost {
    pub fn new(lagrangian: f32) -> Self {
        Self { floor: lagrangian.max(0.02) / (2.0 * std::f32::consts::LN_2), scale: 1.0 }
    }

    /// For a picture that is halved so many times.
    pub fn reduced(self, level: usize) -> Self {
        Self { scale: (1 << (2 * level)) as f32, ..self }
    }

    /// What a sample stands for.
    pub fn scale(&self) -> f32 {
        self.scale
    }

    pub fn floor(&self) -> f32 {
        self.floor
    }

    /// Bits of a residual of `count` samples with this sum of squares: its distortion divided by
    /// the Lagrangian when small, what coding it takes when large.
    #[inline]
    pub fn residual(&self, squares: f32, count: f32) -> f32 {
        let significant = count / COMPACTION;
        0.5 * significant * log2(1.0 + squares / (significant * self.floor))
    }

    /// Bits of a vector that was predicted as `predicted`, roughly.
    #[inline]
    pub fn vector(&self, vector: Vector, predicted: Vector) -> f32 {
        component(vector[0] - predicted[0]) + component(vector[1] - predicted[1])
    }
}

#[inline]
fn component(residual: i16) -> f32 {
    const LENGTH: usize = 256;
    const TABLE: [f32; LENGTH] = {
        let mut table = [0.5; LENGTH];
        let mut k = 1;
        while k < LENGTH {
            // 2 + 1.5 · log2(k), with log2 taken as linear between powers of two.
            let whole = (k as u32).ilog2();
            let fraction = k as f32 / (1 << whole) as f32 - 1.0;
            table[k] = 2.0 + 1.5 * (whole as f32 + fraction);
            k += 1;
        }
        table
    };
    let size = residual.unsigned_abs() as usize;
    if size < LENGTH { TABLE[size] } else { 2.0 + 1.5 * log2(size as f32) }
}

/// log2 of a positive, normal number, to about 0.01.
#[inline(always)]
pub(crate) fn log2(x: f32) -> f32 {
    let bits = x.to_bits();
    let exponent = (bits >> 23) as i32 - 127;
    let m = f32::from_bits(bits & 0x007f_ffff | 0x3f80_0000) - 1.0;
    exponent as f32 + m * (1.0 + (1.0 - m) * (0.424 - 0.160 * m))
}
