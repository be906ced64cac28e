//! The plain loops; no `unsafe`.

use std::hint::select_unpredictable;

use super::{Keys, WORD_SLACK, Words};
use crate::rans::tables::{ESCAPE, Lookup, MAX_TABLES, Row, key};
use crate::rans::{LOWER_BOUND, States, TABLE_BITS, TABLE_SIZE, WORD_BYTES};

pub(super) fn decode(
    log2_lanes: u8,
    lookups: &[[Lookup; TABLE_SIZE]],
    states: &mut States,
    words: &mut Words,
    indexes: &[u8],
    symbols: &mut [i16],
) -> usize {
    // Steps are of at least 16 symbols, so that the checks before each cost little.
    match log2_lanes {
        0 => decode_on::<1, 16>(lookups, states, words, indexes, symbols),
        1 => decode_on::<2, 16>(lookups, states, words, indexes, symbols),
        2 => decode_on::<4, 16>(lookups, states, words, indexes, symbols),
        3 => decode_on::<8, 16>(lookups, states, words, indexes, symbols),
        4 => decode_on::<16, 16>(lookups, states, words, indexes, symbols),
        5 => decode_on::<32, 32>(lookups, states, words, indexes, symbols),
        _ => decode_on::<64, 64>(lookups, states, words, indexes, symbols),
    }
}

/// On `LANES` lanes, in steps of `STEP` symbols.
fn decode_on<const LANES: usize, const STEP: usize>(
    lookups: &[[Lookup; TABLE_SIZE]],
    states: &mut States,
    words: &mut Words,
    indexes: &[u8],
    symbols: &mut [i16],
) -> usize {
    let last = lookups.len() - 1;
    let mut done = 0;
    let (all_indexes, _) = indexes.as_chunks::<STEP>();
    let (all_symbols, _) = symbols.as_chunks_mut::<STEP>();
    for (indexes, symbols) in all_indexes.iter().zip(all_symbols) {
        if !words.hold(STEP) {
            break;
        }
        let (some, _) = words.data[words.position..].as_chunks::<WORD_BYTES>();
        let Some(some) = some.first_chunk::<STEP>() else {
            break;
        };
        let mut taken = 0;
        let mut lowest = 0;
        for k in 0..STEP {
            let state = &mut states[k % LANES];
            let found = lookups[usize::from(indexes[k]).min(last)][*state as usize % TABLE_SIZE];
            let next = found.frequency() * (*state >> TABLE_BITS) + found.distance();
            // There are at most k; the modulus only says so to the compiler.
            let word = u32::from(u16::from_le_bytes(some[taken % STEP]));
            let low = next < LOWER_BOUND;
            // Without a branch: which states are low is as random as the stream.
            *state = select_unpredictable(low, next << 16 | word, next);
            taken += usize::from(low);
            symbols[k] = found.stored();
            lowest = lowest.min(symbols[k]);
        }
        words.position += taken * WORD_BYTES;
        done += STEP;
        if lowest == ESCAPE {
            break;
        }
    }
    done
}

pub(super) fn compact(indexes: &[u8], skip: u8, out: &mut [u8]) -> usize {
    let mut count = 0;
    for &index in indexes {
        out[count] = index;
        count += usize::from(index >= skip);
    }
    count
}

pub(super) fn expand(indexes: &[u8], skip: u8, count: usize, symbols: &mut [i16]) {
    let mut left = count;
    for (i, &index) in indexes.iter().enumerate().rev() {
        let coded = index >= skip;
        left -= usize::from(coded);
        // left <= i, so what is overwritten is no longer needed.
        symbols[i] = symbols[left] & i16::from(coded).wrapping_neg();
    }
}

pub(super) fn keys(
    largest: &[u8; MAX_TABLES],
    indexes: &[u8],
    symbols: &[i16],
    skip: u8,
    out: &mut [u16],
) -> Keys {
    let (mut count, mut escapes, mut wrong) = (0, false, false);
    for (&index, &symbol) in indexes.iter().zip(symbols) {
        let coded = index >= skip;
        out[count] = key(index, symbol);
        count += usize::from(coded);
        escapes |= coded & (symbol.unsigned_abs() > largest[usize::from(index)].into());
        wrong |= !coded & (symbol != 0);
    }
    Keys { count, escapes, wrong }
}

pub(super) fn encode(
    log2_lanes: u8,
    rows: &[Row],
    states: &mut States,
    keys: &[u16],
    words: &mut [u16],
    position: &mut usize,
) -> usize {
    let lanes = 1 << log2_lanes;
    let rows = rows.as_flattened();
    let mut left = keys.len();
    for round in keys.rchunks_exact(lanes) {
        if words.len() - *position < lanes + WORD_SLACK {
            break;
        }
        for (state, &key) in states[..lanes].iter_mut().zip(round).rev() {
            let (next, high) = rows[usize::from(key)].push(*state);
            // What is not shed is overwritten by the next word.
            words[*position] = *state as u16;
            *position += usize::from(high);
            *state = next;
        }
        left -= lanes;
    }
    left
}
