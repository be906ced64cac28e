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
    /// parser counts a unit as it came and as it was read, an index with its entries, and the
    /// pictures of a unit with their reference; who decodes adds the work space of the network and
    /// the metadata.
    pub max_memory: u64,
    /// Samples of all coded luma planes that are decoded: what the networks have to do. A unit
    /// counts with as many planes as units have frames, whether it can be decoded or not.
    pub max_work: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_pixels: 8192 * 8192,
            max_unit_bytes: 256 << 20,
            max_frames: 1 << 31,
            // The largest pictures fit, with the network size `small`.
            max_memory: 10 << 30,
            // A still video needs few bytes a frame, of any size and for any time, so bytes are no
            // measure; these are more than 2^31 frames of 1920x1080 have.
            max_work: 1 << 53,
        }
    }
}
