//! Frequencies with which filters are coded: normative constants.
//!
//! Gathered from filters that were fitted to training clips, never to be changed within a major
//! version of the format.

use std::sync::LazyLock;

use super::{OFFSETS, TAPS};
use crate::rans::{Tables, symmetric};

/// Sets of frequencies of modes: for filters that are new, and for those that change.
pub(super) const MODE_SETS: u8 = 2;

/// How widely the differences of coefficients are spread.
pub(super) const SPREADS: u8 = 4;

/// Of each set, the modes −2 … 2 and the escape; −2 and the escape are errors.
const MODE_FREQUENCIES: [[u16; 6]; MODE_SETS as usize] =
    [[1, 848, 1251, 1835, 160, 1], [1, 249, 3763, 62, 20, 1]];

/// Steps between a pair's samples and the one between: one, two or three.
const DISTANCES: usize = 3;

/// Of each spread and distance: the escape's frequency, then those of the magnitudes 0, 1, 2 …
const DELTA_FREQUENCIES: [[u16; 25]; SPREADS as usize * DISTANCES] = [
    [2, 3004, 196, 108, 49, 43, 26, 33, 20, 14, 11, 10, 6, 5, 7, 2, 2, 2, 2, 1, 2, 1, 1, 1, 3],
    [10, 2880, 218, 84, 53, 19, 17, 46, 33, 24, 18, 18, 13, 9, 11, 6, 7, 4, 6, 3, 2, 2, 3, 1, 6],
    [18, 2734, 203, 72, 28, 38, 24, 69, 45, 34, 30, 24, 18, 17, 16, 9, 8, 9, 5, 6, 4, 3, 2, 2, 6],
    [1, 1263, 421, 387, 278, 132, 79, 42, 26, 15, 9, 8, 4, 3, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1],
    [1, 1267, 681, 350, 195, 79, 40, 26, 15, 7, 4, 3, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
    [1, 1757, 753, 228, 75, 43, 15, 24, 10, 4, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
    [
        17, 909, 234, 267, 268, 161, 136, 101, 87, 66, 53, 42, 37, 31, 26, 18, 14, 12, 9, 6, 6, 4,
        3, 2, 2,
    ],
    [2, 734, 357, 353, 277, 201, 156, 93, 66, 49, 33, 26, 21, 13, 9, 7, 5, 4, 3, 2, 1, 1, 1, 1, 1],
    [1, 1119, 622, 406, 186, 98, 65, 44, 23, 14, 9, 5, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
    [
        329, 701, 118, 108, 234, 104, 75, 94, 96, 83, 73, 67, 69, 65, 50, 48, 43, 37, 36, 30, 28,
        21, 22, 17, 15,
    ],
    [
        124, 496, 141, 240, 164, 191, 146, 132, 115, 100, 80, 72, 65, 51, 38, 38, 32, 27, 24, 21,
        16, 15, 12, 10, 8,
    ],
    [
        21, 519, 368, 299, 304, 188, 145, 108, 83, 67, 49, 37, 29, 22, 18, 16, 11, 7, 7, 5, 4, 4,
        2, 3, 2,
    ],
];

pub(super) static MODES: LazyLock<Tables> = LazyLock::new(|| {
    let lengths = [6; MODE_SETS as usize];
    Tables::new(MODE_FREQUENCIES.as_flattened(), &lengths, 0).expect("the constants are tables")
});

pub(super) static DELTAS: LazyLock<Tables> =
    LazyLock::new(|| symmetric::tables(DELTA_FREQUENCIES.iter().map(|half| &half[..])));

/// Bits of a mode's symbol.
pub(super) fn mode_bits(set: u8, symbol: i32) -> f64 {
    12.0 - f64::from(MODE_FREQUENCIES[usize::from(set)][(symbol + 2) as usize]).log2()
}

/// The table of the differences of coefficient `tap`.
pub(super) fn delta_table(spread: u8, tap: usize) -> u8 {
    let distance = OFFSETS[tap].iter().map(|steps| steps.unsigned_abs()).sum::<usize>();
    (usize::from(spread) * DISTANCES + distance - 1) as u8
}

/// Bits of the difference of coefficient `tap`.
pub(super) fn delta_bits(spread: u8, tap: usize, delta: i32) -> f64 {
    /// Of every tap's differences -256 … 255, which is all there are.
    static PRICES: LazyLock<Vec<[[f64; 512]; TAPS]>> = LazyLock::new(|| {
        let price = |spread, tap, delta| {
            let half = &DELTA_FREQUENCIES[usize::from(delta_table(spread, tap))];
            symmetric::bits(half, delta)
        };
        let row = |spread, tap| std::array::from_fn(|k| price(spread, tap, k as i32 - 256));
        (0..SPREADS).map(|spread| std::array::from_fn(|tap| row(spread, tap))).collect()
    });
    PRICES[usize::from(spread)][tap][(delta + 256) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_sums_to_4096() {
        for row in MODE_FREQUENCIES {
            assert_eq!(row.iter().sum::<u16>(), 4096);
        }
        for half in DELTA_FREQUENCIES {
            let twice = 2 * half.iter().sum::<u16>();
            assert_eq!(twice - half[0] - half[1], 4096);
        }
        assert_eq!((MODES.len(), DELTAS.len()), (2, 12));
    }
}
