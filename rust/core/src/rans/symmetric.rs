//! Constant tables that give both signs of a magnitude the same frequency.

use super::Tables;

/// Of each table: the escape's frequency, then those of the magnitudes 0, 1, 2 …; a magnitude above
/// 0 counts for both signs.
pub(crate) type Half = [u16];

/// The tables as the coder takes them.
pub(crate) fn tables<'a>(halves: impl IntoIterator<Item = &'a Half>) -> Tables {
    let mut frequencies = Vec::new();
    let mut lengths = Vec::new();
    for half in halves {
        let (escape, magnitudes) = half.split_first().expect("a table has an escape");
        frequencies.extend(magnitudes.iter().skip(1).rev());
        frequencies.extend(magnitudes);
        frequencies.push(*escape);
        lengths.push(2 * magnitudes.len() as u16);
    }
    Tables::new(&frequencies, &lengths, 0).expect("the constants are tables")
}

/// Bits that a symbol costs.
pub(crate) fn bits(half: &Half, symbol: i32) -> f64 {
    let cost = |frequency: u16| 12.0 - f64::from(frequency).log2();
    match half.get(symbol.unsigned_abs() as usize + 1) {
        Some(&frequency) => cost(frequency),
        None => {
            // The escape codes `beyond` - 1: a prefix, a one, as many bits again, and the sign.
            let beyond = symbol.unsigned_abs() as usize + 2 - half.len();
            cost(half[0]) + f64::from(2 * beyond.ilog2() + 2)
        }
    }
}
