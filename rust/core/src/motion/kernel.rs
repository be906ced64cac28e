//! The interpolation kernel.

/// log2 of the sum of each row of [`COEFFICIENTS`].
pub(crate) const KERNEL_BITS: u32 = 7;

/// The four taps (samples -1, 0, 1, 2) at each sixteenth of a sample: the Keys cubic with
/// a = -3/4 in 1/128, rounded by largest remainder (ties to the inner taps) so that every row sums
/// to 128.
pub(crate) const COEFFICIENTS: [[i16; 4]; 16] = [
    [0, 128, 0, 0],
    [-5, 127, 7, -1],
    [-9, 124, 15, -2],
    [-12, 119, 24, -3],
    [-14, 113, 34, -5],
    [-14, 105, 44, -7],
    [-14, 96, 55, -9],
    [-13, 86, 65, -10],
    [-12, 76, 76, -12],
    [-10, 65, 86, -13],
    [-9, 55, 96, -14],
    [-7, 44, 105, -14],
    [-5, 34, 113, -14],
    [-3, 24, 119, -12],
    [-2, 15, 124, -9],
    [-1, 7, 127, -5],
];
