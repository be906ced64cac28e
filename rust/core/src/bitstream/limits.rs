/// What a reader is ready to take from a stranger; checked before anything is allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Samples of one coded luma plane.
    pub max_pixels: u64,
    /// Bytes of one unit's payload.
    pub max_unit_bytes: u64,
    /// Frames of the sequence.
    pub max_frames: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_pixels: 8192 * 8192, max_unit_bytes: 256 << 20, max_frames: 1 << 31 }
    }
}
