//! Frequencies of the modes of blocks: normative constants.
//!
//! Gathered from blocks that the search found on training clips, never to be changed within a major
//! version of the format.

use std::sync::LazyLock;

use crate::rans::Tables;

/// Sets of frequencies to choose from.
pub(super) const CLASSES: u8 = 4;

/// Of each class, by the number of neighbours that have blocks: the frequencies of the modes −2 … 2
/// and the escape, which is an error.
const FREQUENCIES: [[[u16; 6]; 3]; CLASSES as usize] = [
    [[2, 10, 4033, 41, 9, 1], [12, 208, 2327, 1320, 228, 1], [18, 93, 322, 2589, 1073, 1]],
    [[5, 94, 3959, 28, 9, 1], [89, 1116, 2377, 446, 67, 1], [235, 1874, 929, 950, 107, 1]],
    [[11, 76, 3927, 48, 33, 1], [235, 720, 2205, 609, 326, 1], [698, 955, 775, 947, 720, 1]],
    [[3, 56, 3714, 301, 21, 1], [27, 365, 1854, 1751, 98, 1], [41, 539, 589, 2791, 135, 1]],
];

pub(super) static MODES: LazyLock<Tables> = LazyLock::new(|| {
    let frequencies: Vec<u16> = FREQUENCIES.iter().flatten().flatten().copied().collect();
    let lengths = vec![6; frequencies.len() / 6];
    Tables::new(&frequencies, &lengths, 0).expect("the constants are tables")
});

pub(super) fn mode_table(class: u8, context: usize) -> u8 {
    3 * class + context as u8
}

/// Bits of a mode's symbol in a table.
pub(super) fn mode_bits(table: u8, symbol: i32) -> f32 {
    let row = FREQUENCIES[usize::from(table / 3)][usize::from(table % 3)];
    12.0 - f32::from(row[(symbol + 2) as usize]).log2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_sums_to_4096() {
        assert_eq!(MODES.len(), FREQUENCIES.len() * 3);
        for row in FREQUENCIES.iter().flatten() {
            assert_eq!(row.iter().sum::<u16>(), 4096);
        }
    }
}
