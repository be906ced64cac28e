//! The inner loops of the coder, at every level of the processor.
//!
//! `scalar` is the plain one and defines what the others give. All loops work on rounds: as many
//! symbols as there are lanes, the first on lane 0.

#[cfg(target_arch = "x86_64")]
use super::dispatch::Fetch;
use super::dispatch::Loops;
use super::tables::{Lookup, MAX_TABLES, Row};
use super::{Level, States, TABLE_SIZE, WORD_BYTES};
use crate::cpu::Kind;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod shuffles;

/// Room that must be behind what `compact` and `keys` write.
pub(super) const SLACK: usize = 64;

/// Free words that `encode` needs besides those of a round.
pub(super) const WORD_SLACK: usize = 16;

/// The words of a stream, as far as they may reach at the moment.
pub(super) struct Words<'a> {
    pub(super) data: &'a [u8],
    /// Where the next word begins.
    pub(super) position: usize,
    /// Where the bypass bits begin.
    pub(super) limit: usize,
}

impl Words<'_> {
    /// Whether so many more are certainly there.
    #[inline(always)]
    fn hold(&self, count: usize) -> bool {
        self.position + count * WORD_BYTES <= self.limit
    }
}

type Decode =
    unsafe fn(&[[Lookup; TABLE_SIZE]], &mut States, &mut Words, &[u8], &mut [i16]) -> usize;

type Encode = unsafe fn(&[Row], &mut States, &[u16], &mut [u16], &mut usize) -> usize;

/// Decodes rounds on 2^`log2_lanes` lanes; returns the number of symbols.
///
/// Stops before a round for which `indexes` or the words might not suffice, and after a round with
/// an escape, which is left as `ESCAPE`.
#[cfg_attr(target_family = "wasm", expect(unreachable_code, unused_variables))]
pub(super) fn decode(
    loops: Loops,
    log2_lanes: u8,
    lookups: &[[Lookup; TABLE_SIZE]],
    states: &mut States,
    words: &mut Words,
    indexes: &[u8],
    symbols: &mut [i16],
) -> usize {
    assert!(!lookups.is_empty() && words.limit <= words.data.len());
    assert_eq!(indexes.len(), symbols.len());
    let run: Decode = match (loops.level.kind(), loops.fetch, log2_lanes) {
        #[cfg(target_arch = "x86_64")]
        (Kind::Avx2, Fetch::Gather, 4) => avx2::decode::<2, true>,
        #[cfg(target_arch = "x86_64")]
        (Kind::Avx2, Fetch::Gather, 5) => avx2::decode::<4, true>,
        #[cfg(target_arch = "x86_64")]
        (Kind::Avx2, Fetch::Gather, 6) => avx2::decode::<8, true>,
        #[cfg(target_arch = "x86_64")]
        (Kind::Avx2, Fetch::Load, 4) => avx2::decode::<2, false>,
        #[cfg(target_arch = "x86_64")]
        (Kind::Avx2, Fetch::Load, 5) => avx2::decode::<4, false>,
        #[cfg(target_arch = "x86_64")]
        (Kind::Avx2, Fetch::Load, 6) => avx2::decode::<8, false>,
        #[cfg(target_arch = "x86_64")]
        (Kind::Avx512, Fetch::Gather, 4) => avx512::decode::<1, true>,
        #[cfg(target_arch = "x86_64")]
        (Kind::Avx512, Fetch::Gather, 5) => avx512::decode::<2, true>,
        #[cfg(target_arch = "x86_64")]
        (Kind::Avx512, Fetch::Gather, 6) => avx512::decode::<4, true>,
        #[cfg(target_arch = "x86_64")]
        (Kind::Avx512, Fetch::Load, 4) => avx512::decode::<1, false>,
        #[cfg(target_arch = "x86_64")]
        (Kind::Avx512, Fetch::Load, 5) => avx512::decode::<2, false>,
        #[cfg(target_arch = "x86_64")]
        (Kind::Avx512, Fetch::Load, 6) => avx512::decode::<4, false>,
        #[cfg(target_arch = "aarch64")]
        (Kind::Neon, _, 4) => neon::decode::<2>,
        #[cfg(target_arch = "aarch64")]
        (Kind::Neon, _, 5) => neon::decode::<4>,
        #[cfg(target_arch = "aarch64")]
        (Kind::Neon, _, 6) => neon::decode::<8>,
        _ => return scalar::decode(log2_lanes, lookups, states, words, indexes, symbols),
    };
    // SAFETY: the level is one of this processor's; what else is needed was asserted.
    unsafe { run(lookups, states, words, indexes, symbols) }
}

/// Copies the indexes from `skip` on to the front of `out`; returns their number. `out` must be
/// `SLACK` longer than `indexes`.
pub(super) fn compact(level: Level, indexes: &[u8], skip: u8, out: &mut [u8]) -> usize {
    assert!(out.len() >= indexes.len() + SLACK);
    match level.kind() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is one of this processor's; the length of `out` was asserted.
        Kind::Avx2 => unsafe { avx2::compact(indexes, skip, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Kind::Avx512 => unsafe { avx512::compact(indexes, skip, out) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: as above.
        Kind::Neon => unsafe { neon::compact(indexes, skip, out) },
        #[cfg(target_feature = "simd128")]
        Kind::Simd128 => scalar::compact(indexes, skip, out),
        Kind::Scalar => scalar::compact(indexes, skip, out),
    }
}

/// Moves the first `count` symbols to where `indexes` is at least `skip`, and puts 0 elsewhere;
/// `count` is what `compact` returned.
pub(super) fn expand(level: Level, indexes: &[u8], skip: u8, count: usize, symbols: &mut [i16]) {
    assert_eq!(indexes.len(), symbols.len());
    assert!(count <= indexes.len());
    match level.kind() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is one of this processor's; what else is needed was asserted.
        Kind::Avx2 => unsafe { avx2::expand(indexes, skip, count, symbols) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Kind::Avx512 => unsafe { avx512::expand(indexes, skip, count, symbols) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: as above.
        Kind::Neon => unsafe { neon::expand(indexes, skip, count, symbols) },
        #[cfg(target_feature = "simd128")]
        Kind::Simd128 => scalar::expand(indexes, skip, count, symbols),
        Kind::Scalar => scalar::expand(indexes, skip, count, symbols),
    }
}

/// What `keys` has found.
pub(super) struct Keys {
    pub(super) count: usize,
    /// Whether one of the symbols lies beyond its table.
    pub(super) escapes: bool,
    /// Whether an element that is not coded is not 0.
    pub(super) wrong: bool,
}

/// The keys of all elements with an index from `skip` on, at the front of `out`, which must be
/// `SLACK` longer than `indexes`.
pub(super) fn keys(
    level: Level,
    largest: &[u8; MAX_TABLES],
    indexes: &[u8],
    symbols: &[i16],
    skip: u8,
    out: &mut [u16],
) -> Keys {
    assert_eq!(indexes.len(), symbols.len());
    assert!(out.len() >= indexes.len() + SLACK);
    match level.kind() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is one of this processor's; the lengths were asserted.
        Kind::Avx2 => unsafe { avx2::keys(largest, indexes, symbols, skip, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Kind::Avx512 => unsafe { avx512::keys(largest, indexes, symbols, skip, out) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: as above.
        Kind::Neon => unsafe { neon::keys(largest, indexes, symbols, skip, out) },
        #[cfg(target_feature = "simd128")]
        Kind::Simd128 => scalar::keys(largest, indexes, symbols, skip, out),
        Kind::Scalar => scalar::keys(largest, indexes, symbols, skip, out),
    }
}

/// Codes rounds on 2^`log2_lanes` lanes, last first, and puts words from `position` on, the last of
/// the stream first; returns how many keys are left. Stops where fewer words than a round's and
/// `WORD_SLACK` are free. `keys` must be whole rounds.
#[cfg_attr(target_family = "wasm", expect(unreachable_code, unused_variables))]
pub(super) fn encode(
    level: Level,
    log2_lanes: u8,
    rows: &[Row],
    states: &mut States,
    keys: &[u16],
    words: &mut [u16],
    position: &mut usize,
) -> usize {
    assert!(!rows.is_empty() && *position <= words.len());
    assert!(keys.len().is_multiple_of(1 << log2_lanes));
    let run: Encode = match (level.kind(), log2_lanes) {
        #[cfg(target_arch = "x86_64")]
        (Kind::Avx2, 4) => avx2::encode::<2>,
        #[cfg(target_arch = "x86_64")]
        (Kind::Avx2, 5) => avx2::encode::<4>,
        #[cfg(target_arch = "x86_64")]
        (Kind::Avx2, 6) => avx2::encode::<8>,
        #[cfg(target_arch = "x86_64")]
        (Kind::Avx512, 4) => avx512::encode::<1>,
        #[cfg(target_arch = "x86_64")]
        (Kind::Avx512, 5) => avx512::encode::<2>,
        #[cfg(target_arch = "x86_64")]
        (Kind::Avx512, 6) => avx512::encode::<4>,
        #[cfg(target_arch = "aarch64")]
        (Kind::Neon, 4) => neon::encode::<2>,
        #[cfg(target_arch = "aarch64")]
        (Kind::Neon, 5) => neon::encode::<4>,
        #[cfg(target_arch = "aarch64")]
        (Kind::Neon, 6) => neon::encode::<8>,
        _ => return scalar::encode(log2_lanes, rows, states, keys, words, position),
    };
    // SAFETY: the level is one of this processor's; what else is needed was asserted.
    unsafe { run(rows, states, keys, words, position) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rans::tables::key;
    use crate::rans::{LOWER_BOUND, MAX_LANES, Tables};

    /// Symbols on both sides of every limit, each in every place of a vector, among others that are
    /// held, that are not coded, or of both kinds.
    #[test]
    fn all_levels_find_the_same_keys() {
        let largest: [u8; MAX_TABLES] = std::array::from_fn(|table| (table * 37 % 128) as u8);
        for count in [64, 100, 192] {
            for skip in [0, 100, 200] {
                let others: [fn(usize) -> usize; 3] =
                    [|k| 200 + k % 56, |k| k % 100, |k| k * 101 % 256];
                for (tables, place) in
                    others.into_iter().flat_map(|f| (0..count).map(move |p| (f, p)))
                {
                    let mut indexes: Vec<u8> = (0..count).map(|k| tables(k) as u8).collect();
                    let mut symbols = vec![0; count];
                    let table = (place * 89 % 256) as u8;
                    indexes[place] = table;
                    let limit = i16::from(largest[usize::from(table)]);
                    let near = [0, 1, limit, limit + 1, 127, 128, 255, 256, 257, i16::MAX];
                    for symbol in near.into_iter().flat_map(|s| [s, -s]).chain([i16::MIN]) {
                        symbols[place] = symbol;
                        let find = |level| {
                            let mut out = vec![0; count + SLACK];
                            let found = keys(level, &largest, &indexes, &symbols, skip, &mut out);
                            out.truncate(found.count);
                            (out, found.escapes, found.wrong)
                        };
                        let plain = find(Level::SCALAR);
                        for &level in Level::available() {
                            assert_eq!(
                                find(level),
                                plain,
                                "{level}, {symbol} of {table} at {place}"
                            );
                        }
                    }
                }
            }
        }
    }

    /// Every frequency with states on both sides of where the quotient changes.
    #[test]
    fn all_levels_divide_exactly() {
        for frequency in 1..TABLE_SIZE as u16 {
            let tables = Tables::new(&[frequency, TABLE_SIZE as u16 - frequency], &[2], 0).unwrap();
            let divisor = u32::from(frequency);
            let shed_from = divisor << 20;
            let multiples = [0, 1, 2, 15, 1 << 10, (1 << 19) - 1, 1 << 19, (1 << 20) - 1];
            let near = |state: u32| [state.wrapping_sub(1), state, state.wrapping_add(1)];
            // As they are, and in the upper words, from which they come once the lower are shed.
            let near_multiples = multiples.iter().flat_map(|multiple| near(multiple * divisor));
            let states: Vec<u32> = near_multiples
                .flat_map(|state| [state, state << 16 | 0xffff])
                .chain([LOWER_BOUND, shed_from - 1, shed_from, u32::MAX])
                .filter(|&state| state >= LOWER_BOUND)
                .collect();
            for states in states.chunks(MAX_LANES) {
                let mut start = [LOWER_BOUND; MAX_LANES];
                start[..states.len()].copy_from_slice(states);
                let code = |level| {
                    let (mut states, mut words, mut position) = (start, [0; 100], 0);
                    let keys = [key(0, 0); MAX_LANES];
                    let rows = tables.rows();
                    let left =
                        encode(level, 6, rows, &mut states, &keys, &mut words, &mut position);
                    assert_eq!(left, 0);
                    (states, words[..position].to_vec())
                };
                let plain = code(Level::SCALAR);
                for &level in Level::available() {
                    assert!(code(level) == plain, "{level}, {frequency}");
                }
            }
        }
    }
}
