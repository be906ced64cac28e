/// What a reader is ready to take from a stranger; checked before anything is allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Samples of one coded luma plane.
    pub max_pixels: u64,
    /// Bytes of one unit's payload.
    pub max_unit_bytes: u64,
    /// Frames of the sequence.
    pub max_frames: u64,
    /// Bytes that reading and decoding may hold at once because of what the stream says. The
    /// parser counts the largest of its units and the pictures of a unit with their reference;
    /// who decodes adds the work space of the network.
    pub max_memory: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_pixels: 8192 * 8192,
            max_unit_bytes: 256 << 20,
            max_frames: 1 << 31,
            max_memory: 8 << 30,
        }
    }
}
