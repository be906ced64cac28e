//! Numbers without a pattern.

/// A generator of numbers, where proptest's own would take too long.
pub struct Noise(pub u64);

impl Noise {
    pub fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u32
    }

    /// From -1 to 1.
    pub fn float(&mut self) -> f32 {
        (self.next() as i32) as f32 / (1u32 << 31) as f32
    }

    pub fn floats(&mut self, count: usize, factor: f32) -> Vec<f32> {
        (0..count).map(|_| self.float() * factor).collect()
    }

    pub fn positive(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| (self.float() * 3.0).exp2()).collect()
    }

    /// Weights up to the limit, or the limits alone.
    pub fn weight(&mut self, limit: i32, saturating: bool) -> i32 {
        let w = (self.next() % (2 * limit as u32 + 1)) as i32 - limit;
        if !saturating {
            w
        } else if self.next().is_multiple_of(16) {
            -limit
        } else {
            limit
        }
    }
}
