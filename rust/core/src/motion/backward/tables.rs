//! Frequencies of the modes of backward blocks: normative constants.
//!
//! Gathered from blocks that the search found on training clips, never to be changed within a major
//! version of the format.

use std::sync::LazyLock;

use crate::rans::Tables;

/// Sets of frequencies to choose from: the more blocks there are, the higher the class.
pub(super) const CLASSES: u8 = 4;

/// Of each class, by the number of neighbours that have blocks: the frequencies of quarters (−1),
/// kept (0), whole (1) and the escape, which is an error.
const FREQUENCIES: [[[u16; 4]; 3]; CLASSES as usize] = [
    [[4, 4041, 50, 1], [138, 2542, 1415, 1], [238, 894, 2963, 1]],
    [[16, 3953, 126, 1], [406, 2521, 1168, 1], [832, 1257, 2006, 1]],
    [[55, 3676, 364, 1], [410, 2138, 1547, 1], [971, 910, 2214, 1]],
    [[116, 3268, 711, 1], [245, 1667, 2183, 1], [310, 468, 3317, 1]],
];

pub(super) static MODES: LazyLock<Tables> = LazyLock::new(|| {
    let frequencies: Vec<u16> = FREQUENCIES.iter().flatten().flatten().copied().collect();
    let lengths = vec![4; frequencies.len() / 4];
    Tables::new(&frequencies, &lengths, 0).expect("the constants are tables")
});

pub(super) fn mode_table(class: u8, context: usize) -> u8 {
    3 * class + context as u8
}

/// Bits of a mode's symbol in a table.
pub(super) fn mode_bits(table: u8, symbol: i32) -> f32 {
    let row = FREQUENCIES[usize::from(table / 3)][usize::from(table % 3)];
    12.0 - f32::from(row[(symbol + 1) as usize]).log2()
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
