//! The loops with AVX-512: 16 lanes to a vector.

use std::arch::x86_64::*;

use super::{Keys, WORD_SLACK, Words, avx2, scalar};
use crate::rans::tables::{COLUMNS, ESCAPE, Lookup, MAX_SYMBOL, MAX_TABLES, Row};
use crate::rans::{MAX_LANES, States, TABLE_SIZE};

/// Lanes of a vector.
const WIDTH: usize = 16;

/// The low word of each lane.
const LOW_WORDS: u32 = 0x5555_5555;

/// 0 to 15.
#[inline]
#[target_feature(enable = "avx512f")]
fn counting() -> __m512i {
    _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
}

/// `V` vectors of lanes, table entries gathered or loaded one by one.
///
/// # Safety
/// The processor has the features, `lookups` is not empty, `words.limit` is within `words.data`,
/// `indexes` and `symbols` are of equal length.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi2,popcnt,bmi2")]
pub(super) unsafe fn decode<const V: usize, const GATHERS: bool>(
    lookups: &[[Lookup; TABLE_SIZE]],
    states: &mut States,
    words: &mut Words,
    indexes: &[u8],
    symbols: &mut [i16],
) -> usize {
    const { assert!(V * WIDTH <= MAX_LANES) };
    let lanes = V * WIDTH;
    let last = _mm_set1_epi8((lookups.len() - 1).min(255) as i8);
    let twelve_bits = _mm512_set1_epi32(0xfff);
    let escape = _mm256_set1_epi16(ESCAPE);
    // SAFETY: `states` has room for V vectors.
    let mut x: [__m512i; V] = std::array::from_fn(|v| unsafe {
        _mm512_loadu_epi32(states.as_ptr().add(v * WIDTH).cast())
    });
    let mut done = 0;
    while done + lanes <= indexes.len() && words.hold(lanes) {
        let mut lowest = _mm256_setzero_si256();
        for (v, x) in x.iter_mut().enumerate() {
            let at = done + v * WIDTH;
            // SAFETY: at + WIDTH <= done + lanes, which is within `indexes`.
            let tables = unsafe { _mm_loadu_si128(indexes.as_ptr().add(at).cast()) };
            let tables = _mm512_cvtepu8_epi32(_mm_min_epu8(tables, last));
            let slots = _mm512_and_si512(*x, twelve_bits);
            let slots = _mm512_or_si512(_mm512_slli_epi32::<12>(tables), slots);
            let entries = lookups.as_ptr().cast();
            let found = if GATHERS {
                // SAFETY: no table is beyond the last, no slot beyond a table.
                unsafe { _mm512_i32gather_epi32::<4>(slots, entries) }
            } else {
                let (front, back) =
                    (_mm512_castsi512_si256(slots), _mm512_extracti64x4_epi64::<1>(slots));
                // SAFETY: as above.
                let front = unsafe { avx2::load_entries(entries, front) };
                // SAFETY: as above.
                let back = unsafe { avx2::load_entries(entries, back) };
                _mm512_inserti64x4::<1>(_mm512_castsi256_si512(front), back)
            };
            let frequency = _mm512_and_si512(found, twelve_bits);
            let distance = _mm512_and_si512(_mm512_srli_epi32::<12>(found), twelve_bits);
            let high = _mm512_srli_epi32::<12>(*x);
            let next = _mm512_add_epi32(_mm512_mullo_epi32(frequency, high), distance);
            let low = _mm512_cmplt_epu32_mask(next, _mm512_set1_epi32(1 << 16));
            // SAFETY: the words of all lanes are there, and those before took one each at most.
            let some =
                unsafe { _mm256_loadu_si256(words.data.as_ptr().add(words.position).cast()) };
            let some = _mm512_maskz_expand_epi32(low, _mm512_cvtepu16_epi32(some));
            *x = _mm512_or_si512(_mm512_mask_slli_epi32::<16>(next, low, next), some);
            words.position += 2 * low.count_ones() as usize;
            let values = _mm512_cvtepi32_epi16(_mm512_srai_epi32::<24>(found));
            lowest = _mm256_min_epi16(lowest, values);
            // SAFETY: `symbols` is as long as `indexes`.
            unsafe { _mm256_storeu_si256(symbols.as_mut_ptr().add(at).cast(), values) };
        }
        done += lanes;
        if _mm256_cmpeq_epi16_mask(lowest, escape) != 0 {
            break;
        }
    }
    for (v, x) in x.into_iter().enumerate() {
        // SAFETY: `states` has room for V vectors.
        unsafe { _mm512_storeu_epi32(states.as_mut_ptr().add(v * WIDTH).cast(), x) };
    }
    done
}

/// # Safety
/// The processor has the features, `out` is 64 longer than `indexes`.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt,bmi2")]
pub(super) unsafe fn compact(indexes: &[u8], skip: u8, out: &mut [u8]) -> usize {
    let skip = _mm512_set1_epi8(skip as i8);
    let mut count = 0;
    for chunk in indexes.chunks(64) {
        let there = u64::MAX >> (64 - chunk.len());
        // SAFETY: only what is there is read.
        let chunk = unsafe { _mm512_maskz_loadu_epi8(there, chunk.as_ptr().cast()) };
        let coded = _mm512_mask_cmpge_epu8_mask(there, chunk, skip);
        let front = _mm512_maskz_compress_epi8(coded, chunk);
        // SAFETY: count is at most the elements before, so 64 more are within `out`.
        unsafe { _mm512_storeu_epi8(out.as_mut_ptr().add(count).cast(), front) };
        count += coded.count_ones() as usize;
    }
    count
}

/// # Safety
/// The processor has the features, `indexes` and `symbols` are of equal length.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,popcnt,bmi2")]
pub(super) unsafe fn expand(indexes: &[u8], skip: u8, count: usize, symbols: &mut [i16]) {
    let least = _mm256_set1_epi8(skip as i8);
    let mut left = count;
    let mut end = indexes.len();
    while end >= 32 {
        end -= 32;
        // SAFETY: end + 32 <= indexes.len().
        let chunk = unsafe { _mm256_loadu_si256(indexes.as_ptr().add(end).cast()) };
        let coded = _mm256_cmpge_epu8_mask(chunk, least);
        left -= coded.count_ones() as usize;
        assert!(left <= end, "count is not that of the coded elements");
        // SAFETY: left <= end, and end + 32 <= symbols.len(). What is taken lies before what has
        // been written.
        let some = unsafe { _mm512_loadu_epi16(symbols.as_ptr().add(left)) };
        let some = _mm512_maskz_expand_epi16(coded, some);
        // SAFETY: end + 32 <= symbols.len().
        unsafe { _mm512_storeu_epi16(symbols.as_mut_ptr().add(end), some) };
    }
    scalar::expand(&indexes[..end], skip, left, &mut symbols[..end]);
}

/// # Safety
/// The processor has the features, `symbols` is as long as `indexes`, `out` 64 longer.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,popcnt,bmi2")]
pub(super) unsafe fn keys(
    largest: &[u8; MAX_TABLES],
    indexes: &[u8],
    symbols: &[i16],
    skip: u8,
    out: &mut [u16],
) -> Keys {
    let skip = _mm512_set1_epi8(skip as i8);
    // SAFETY: there are four times 64 bytes.
    let largest: [__m512i; 4] =
        std::array::from_fn(|i| unsafe { _mm512_loadu_epi8(largest.as_ptr().add(64 * i).cast()) });
    let (mut count, mut escapes, mut wrong) = (0, 0, 0);
    for (indexes, symbols) in indexes.chunks(64).zip(symbols.chunks(64)) {
        let there = u64::MAX >> (64 - indexes.len());
        // SAFETY: only what is there is read.
        let tables = unsafe { _mm512_maskz_loadu_epi8(there, indexes.as_ptr().cast()) };
        let coded = _mm512_mask_cmpge_epu8_mask(there, tables, skip);
        if coded == 0 {
            for half in 0..2 {
                let there = (there >> (32 * half)) as u32;
                let start = symbols.as_ptr().wrapping_add(32 * half);
                // SAFETY: only what is there is read; the chunks are of equal length.
                let symbols = unsafe { _mm512_maskz_loadu_epi16(there, start) };
                wrong |= _mm512_test_epi16_mask(symbols, symbols);
            }
            continue;
        }
        if coded == u64::MAX {
            let start = symbols.as_ptr();
            // SAFETY: 64 elements are there, and the chunks are of equal length.
            let symbols = unsafe { [_mm512_loadu_epi16(start), _mm512_loadu_epi16(start.add(32))] };
            if let Some(keys) = keys_of_held(&largest, tables, symbols) {
                for (half, keys) in keys.into_iter().enumerate() {
                    let start = out.as_mut_ptr().wrapping_add(count + 32 * half);
                    // SAFETY: count is at most the elements before, so 64 more are within `out`.
                    unsafe { _mm512_storeu_epi16(start.cast(), keys) };
                }
                count += 64;
                continue;
            }
        }
        let largest = largest_of(&largest, tables);
        let tables = [_mm512_castsi512_si256(tables), _mm512_extracti64x4_epi64::<1>(tables)];
        let largest = [_mm512_castsi512_si256(largest), _mm512_extracti64x4_epi64::<1>(largest)];
        for half in 0..2 {
            let coded = (coded >> (32 * half)) as u32;
            let there = (there >> (32 * half)) as u32;
            let start = symbols.as_ptr().wrapping_add(32 * half);
            // SAFETY: only what is there is read; the chunks are of equal length.
            let symbols = unsafe { _mm512_maskz_loadu_epi16(there, start) };
            let sizes = _mm512_abs_epi16(symbols);
            let limits = _mm512_cvtepu8_epi16(largest[half]);
            let beyond = _mm512_mask_cmpgt_epu16_mask(coded, sizes, limits);
            escapes |= beyond;
            let rows = _mm512_slli_epi16::<8>(_mm512_cvtepu8_epi16(tables[half]));
            let columns = _mm512_add_epi16(symbols, _mm512_set1_epi16(COLUMNS as i16 / 2));
            let front = if coded == u32::MAX && beyond == 0 {
                _mm512_or_si512(rows, columns)
            } else {
                wrong |= !coded & _mm512_test_epi16_mask(symbols, symbols);
                let held = _mm512_cmple_epu16_mask(sizes, _mm512_set1_epi16(MAX_SYMBOL));
                let columns = _mm512_maskz_mov_epi16(held, columns);
                _mm512_maskz_compress_epi16(coded, _mm512_or_si512(rows, columns))
            };
            // SAFETY: count is at most the elements before, so 32 more are within `out`.
            unsafe { _mm512_storeu_epi16(out.as_mut_ptr().add(count).cast(), front) };
            count += coded.count_ones() as usize;
        }
    }
    Keys { count, escapes: escapes != 0, wrong: wrong != 0 }
}

/// The largest symbols of 64 tables.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
#[inline]
fn largest_of(largest: &[__m512i; 4], tables: __m512i) -> __m512i {
    let lower = _mm512_permutex2var_epi8(largest[0], tables, largest[1]);
    let above = _mm512_movepi8_mask(tables);
    if above == 0 {
        return lower;
    }
    let upper = _mm512_permutex2var_epi8(largest[2], tables, largest[3]);
    _mm512_mask_blend_epi8(above, lower, upper)
}

/// The keys of 64 elements, if their tables hold all symbols.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
#[inline]
fn keys_of_held(
    largest: &[__m512i; 4],
    tables: __m512i,
    symbols: [__m512i; 2],
) -> Option<[__m512i; 2]> {
    // Packing takes 8 elements of one half and 8 of the other in turn; so do the tables.
    let in_turn = _mm512_set_epi64(7, 3, 6, 2, 5, 1, 4, 0);
    let tables = _mm512_permutexvar_epi64(in_turn, tables);
    // `abs` would leave -32768 as it is, which packs to 0.
    let zero = _mm512_setzero_si512();
    let sizes = symbols.map(|half| _mm512_max_epi16(half, _mm512_subs_epi16(zero, half)));
    let sizes = _mm512_packus_epi16(sizes[0], sizes[1]);
    if _mm512_cmpgt_epu8_mask(sizes, largest_of(largest, tables)) != 0 {
        return None;
    }
    // No table has symbols beyond ±127, so the sum does not leave its row.
    let middle = _mm512_set1_epi8((COLUMNS / 2) as i8);
    let rows = [_mm512_unpacklo_epi8(middle, tables), _mm512_unpackhi_epi8(middle, tables)];
    Some([_mm512_add_epi16(rows[0], symbols[0]), _mm512_add_epi16(rows[1], symbols[1])])
}

/// States after a symbol each; `high` are those that have shed a word.
///
/// The quotient comes from a float product that is never too large, and too small by one at most:
/// the quotient is below 2^20, and the product's relative error lies between -7.2 / 2^24 and
/// -0.8 / 2^24 (three roundings of 1 / 2^24 each and one Newton step, less the bias of 4 / 2^24).
#[target_feature(enable = "avx512f,avx512dq")]
#[inline]
fn push(x: __m512i, interval: __m512i, high: __mmask16) -> __m512i {
    let frequency = _mm512_srli_epi32::<16>(interval);
    let start = _mm512_and_si512(interval, _mm512_set1_epi32(0xffff));
    let divisor = _mm512_cvtepi32_ps(frequency);
    let rough = _mm512_rcp14_ps(divisor);
    let below_one = _mm512_set1_ps(1.0 - 4.0 / (1 << 24) as f32);
    let error = _mm512_fnmadd_ps(divisor, rough, below_one);
    let reciprocal = _mm512_fmadd_ps(rough, error, rough);
    let y = _mm512_mask_srli_epi32::<16>(x, high, x);
    let quotient = _mm512_cvttps_epu32(_mm512_mul_ps(_mm512_cvtepu32_ps(y), reciprocal));
    let rest = _mm512_sub_epi32(y, _mm512_mullo_epi32(quotient, frequency));
    let short = _mm512_cmpge_epu32_mask(rest, frequency);
    let next = _mm512_add_epi32(_mm512_slli_epi32::<12>(quotient), rest);
    let next = _mm512_add_epi32(next, start);
    let table_size = _mm512_set1_epi32(TABLE_SIZE as i32);
    _mm512_mask_add_epi32(next, short, next, _mm512_sub_epi32(table_size, frequency))
}

/// `V` vectors of lanes.
///
/// # Safety
/// The processor has the features, `rows` is not empty, `keys` are whole rounds, `position` is
/// within `words`.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi2,popcnt,bmi2")]
pub(super) unsafe fn encode<const V: usize>(
    rows: &[Row],
    states: &mut States,
    keys: &[u16],
    words: &mut [u16],
    position: &mut usize,
) -> usize {
    const { assert!(V * WIDTH <= MAX_LANES) };
    let lanes = V * WIDTH;
    // The low words of a vector, then those of another.
    let low_words: [i16; 2 * WIDTH] = std::array::from_fn(|k| 2 * k as i16);
    // SAFETY: the array is of 64 bytes.
    let low_words = unsafe { _mm512_loadu_epi16(low_words.as_ptr()) };
    // The last lane comes first in a vector, as its word comes first in the buffer.
    let reversed = _mm512_sub_epi32(_mm512_set1_epi32(WIDTH as i32 - 1), counting());
    // SAFETY: `states` has room for V vectors.
    let mut x: [__m512i; V] = std::array::from_fn(|v| unsafe {
        let x = _mm512_loadu_epi32(states.as_ptr().add(v * WIDTH).cast());
        _mm512_permutexvar_epi32(reversed, x)
    });
    let last = _mm256_set1_epi16((rows.len() * COLUMNS - 1).min(0xffff) as i16);
    let mut left = keys.len();
    while left > 0 && words.len() - *position >= lanes + WORD_SLACK {
        left -= lanes;
        let mut v = V;
        while v > 0 {
            // Two vectors shed their words together; the later lanes come first.
            let count = if v > 1 { 2 } else { 1 };
            v -= count;
            let mut intervals = [_mm512_setzero_si512(); 2];
            let mut high = [0; 2];
            for (k, interval) in intervals.iter_mut().enumerate().take(count) {
                let start = left + (v + k) * WIDTH;
                // SAFETY: the round from `left` on is within `keys`.
                let some = unsafe { _mm256_loadu_si256(keys.as_ptr().add(start).cast()) };
                let some = _mm512_castsi256_si512(_mm256_min_epu16(some, last));
                let some = _mm512_maskz_permutexvar_epi16(LOW_WORDS, reversed, some);
                // SAFETY: no key is beyond the last of the rows.
                *interval = unsafe { _mm512_i32gather_epi32::<4>(some, rows.as_ptr().cast()) };
                let least = _mm512_srli_epi32::<16>(*interval);
                high[k] = _mm512_cmpge_epu32_mask(_mm512_srli_epi32::<20>(x[v + k]), least);
            }
            let taken = if count > 1 {
                let both = _mm512_permutex2var_epi16(x[v + 1], low_words, x[v]);
                let taken = u32::from(high[1]) | u32::from(high[0]) << WIDTH;
                let some = _mm512_maskz_compress_epi16(taken, both);
                // SAFETY: as many words as there are lanes left and WIDTH more are free; what is
                // written behind the words is overwritten by those that follow.
                unsafe { _mm512_storeu_epi16(words.as_mut_ptr().add(*position).cast(), some) };
                taken
            } else {
                let some = _mm512_cvtepi32_epi16(_mm512_maskz_compress_epi32(high[0], x[v]));
                // SAFETY: as above.
                unsafe { _mm256_storeu_si256(words.as_mut_ptr().add(*position).cast(), some) };
                high[0].into()
            };
            *position += taken.count_ones() as usize;
            for k in 0..count {
                x[v + k] = push(x[v + k], intervals[k], high[k]);
            }
        }
    }
    for (v, x) in x.into_iter().enumerate() {
        // SAFETY: `states` has room for V vectors.
        unsafe {
            let x = _mm512_permutexvar_epi32(reversed, x);
            _mm512_storeu_epi32(states.as_mut_ptr().add(v * WIDTH).cast(), x);
        }
    }
    left
}
