//! The plain loops; no `unsafe`.

use super::{WORD_SLACK, Words};
use crate::rans::tables::{ESCAPE, Interval, Lookup, Row, key};
use crate::rans::{LOWER_BOUND, States, TABLE_BITS, TABLE_SIZE, WORD_BYTES};

/// Symbols of one step on few lanes, so that the checks before it cost little.
const LEAST: usize = 16;

pub(super) fn decode(
    log2_lanes: u8,
    lookups: &[[Lookup; TABLE_SIZE]],
    states: &mut States,
    words: &mut Words,
    indexes: &[u8],
    symbols: &mut [i16],
) -> usize {
    let mask = (1 << log2_lanes) - 1;
    let step = LEAST.max(1 << log2_lanes);
    let last = lookups.len() - 1;
    let mut done = 0;
    for (indexes, symbols) in indexes.chunks_exact(step).zip(symbols.chunks_exact_mut(step)) {
        if !words.hold(step) {
            break;
        }
        let some = &words.data[words.position..][..step * WORD_BYTES];
        let mut taken = 0;
        let mut lowest = 0;
        for (k, (&index, symbol)) in indexes.iter().zip(symbols).enumerate() {
            let state = &mut states[k & mask];
            let found = lookups[usize::from(index).min(last)][*state as usize % TABLE_SIZE];
            let next = found.frequency() * (*state >> TABLE_BITS) + found.distance();
            let word = u32::from(u16::from_le_bytes([some[taken], some[taken + 1]]));
            let low = next < LOWER_BOUND;
            *state = if low { next << 16 | word } else { next };
            taken += usize::from(low) * WORD_BYTES;
            *symbol = found.stored();
            lowest = lowest.min(*symbol);
        }
        words.position += taken;
        done += step;
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
        // Of the symbols to come none is at or behind i, so what is there is no longer needed.
        symbols[i] = if coded { symbols[left] } else { 0 };
    }
}

pub(super) fn keys(indexes: &[u8], symbols: &[i16], skip: u8, out: &mut [u16]) -> Option<usize> {
    let mut count = 0;
    let mut wrong = 0;
    for (&index, &symbol) in indexes.iter().zip(symbols) {
        let coded = index >= skip;
        out[count] = key(index, symbol);
        count += usize::from(coded);
        wrong |= if coded { 0 } else { symbol };
    }
    (wrong == 0).then_some(count)
}

pub(super) fn intervals(rows: &[Row], keys: &[u16], count: usize, out: &mut [u32]) -> bool {
    let rows = rows.as_flattened();
    let mut all = 0;
    for (&key, out) in keys[..count].iter().zip(out) {
        let interval = rows[usize::from(key).min(rows.len() - 1)];
        all |= interval.0;
        *out = interval.plain().0;
    }
    Interval(all).is_escape()
}

pub(super) fn encode(
    log2_lanes: u8,
    states: &mut States,
    intervals: &[u32],
    words: &mut [u16],
    position: &mut usize,
) -> usize {
    let lanes = 1 << log2_lanes;
    let mut left = intervals.len();
    for round in intervals.rchunks_exact(lanes) {
        if *position < lanes + WORD_SLACK {
            break;
        }
        for (state, &interval) in states[..lanes].iter_mut().zip(round).rev() {
            let (next, word) = Interval(interval).push(*state);
            *state = next;
            if let Some(word) = word {
                *position -= 1;
                words[*position] = word;
            }
        }
        left -= lanes;
    }
    left
}
