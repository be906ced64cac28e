//! The loops with AVX2: 8 lanes to a vector, shuffles by tables instead of compression.

use std::arch::x86_64::*;

use super::shuffles::{GATHER, GATHER_BYTES, GATHER_REVERSED, SCATTER};
use super::{Keys, WORD_SLACK, Words, scalar};
use crate::rans::tables::{COLUMNS, ESCAPE, Lookup, MAX_SYMBOL, MAX_TABLES, Row};
use crate::rans::{MAX_LANES, States, TABLE_SIZE};

/// Lanes of a vector.
const WIDTH: usize = 8;

#[inline]
#[target_feature(enable = "avx2")]
fn shuffle(table: &[[u8; 16]; 256], mask: u8) -> __m128i {
    // SAFETY: 16 bytes are read from an array of 16.
    unsafe { _mm_loadu_si128(table[usize::from(mask)].as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn mask_of(lanes: __m256i) -> u8 {
    _mm256_movemask_ps(_mm256_castsi256_ps(lanes)) as u8
}

/// Which of the eight bytes at the front are at least `least`.
#[inline]
#[target_feature(enable = "avx2")]
fn at_least(bytes: __m128i, least: __m128i) -> u8 {
    _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_max_epu8(bytes, least), bytes)) as u8
}

/// Entries of the tables that lie one behind the other from `lookups` on, loaded one by one.
///
/// # Safety
/// The processor has AVX2, and `lookups` has an entry for every slot.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) unsafe fn load_entries(lookups: *const i32, slots: __m256i) -> __m256i {
    let mut places = [0u32; WIDTH];
    // SAFETY: there is room for a vector.
    unsafe { _mm256_storeu_si256(places.as_mut_ptr().cast(), slots) };
    // SAFETY: there is an entry for every slot.
    let entry = |k: usize| unsafe { *lookups.add(places[k] as usize) };
    _mm256_set_epi32(entry(7), entry(6), entry(5), entry(4), entry(3), entry(2), entry(1), entry(0))
}

/// `V` vectors of lanes, table entries gathered or loaded one by one.
///
/// # Safety
/// The processor has the features, `lookups` is not empty, `words.limit` is within `words.data`,
/// `indexes` and `symbols` are of equal length.
#[target_feature(enable = "avx2,popcnt")]
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
    let twelve_bits = _mm256_set1_epi32(0xfff);
    let escape = _mm_set1_epi16(ESCAPE);
    // SAFETY: `states` has room for V vectors.
    let mut x: [__m256i; V] = std::array::from_fn(|v| unsafe {
        _mm256_loadu_si256(states.as_ptr().add(v * WIDTH).cast())
    });
    let mut done = 0;
    while done + lanes <= indexes.len() && words.hold(lanes) {
        let mut lowest = _mm_setzero_si128();
        for (v, x) in x.iter_mut().enumerate() {
            let at = done + v * WIDTH;
            // SAFETY: at + WIDTH <= done + lanes, which is within `indexes`.
            let tables = unsafe { _mm_loadl_epi64(indexes.as_ptr().add(at).cast()) };
            let tables = _mm256_cvtepu8_epi32(_mm_min_epu8(tables, last));
            let slots = _mm256_and_si256(*x, twelve_bits);
            let slots = _mm256_or_si256(_mm256_slli_epi32::<12>(tables), slots);
            let entries = lookups.as_ptr().cast();
            let found = if GATHERS {
                // SAFETY: no table is beyond the last, no slot beyond a table.
                unsafe { _mm256_i32gather_epi32::<4>(entries, slots) }
            } else {
                // SAFETY: as above.
                unsafe { load_entries(entries, slots) }
            };
            let frequency = _mm256_and_si256(found, twelve_bits);
            let distance = _mm256_and_si256(_mm256_srli_epi32::<12>(found), twelve_bits);
            let high = _mm256_srli_epi32::<12>(*x);
            let next = _mm256_add_epi32(_mm256_mullo_epi32(frequency, high), distance);
            let low = _mm256_cmpeq_epi32(_mm256_srli_epi32::<16>(next), _mm256_setzero_si256());
            let mask = mask_of(low);
            // SAFETY: the words of all lanes are there, and those before took one each at most.
            let some = unsafe { _mm_loadu_si128(words.data.as_ptr().add(words.position).cast()) };
            let some = _mm256_cvtepu16_epi32(_mm_shuffle_epi8(some, shuffle(&SCATTER, mask)));
            let renewed = _mm256_or_si256(_mm256_slli_epi32::<16>(next), some);
            *x = _mm256_blendv_epi8(next, renewed, low);
            words.position += 2 * mask.count_ones() as usize;
            let values = _mm256_srai_epi32::<24>(found);
            let values = _mm_packs_epi32(
                _mm256_castsi256_si128(values),
                _mm256_extracti128_si256::<1>(values),
            );
            lowest = _mm_min_epi16(lowest, values);
            // SAFETY: `symbols` is as long as `indexes`.
            unsafe { _mm_storeu_si128(symbols.as_mut_ptr().add(at).cast(), values) };
        }
        done += lanes;
        if _mm_movemask_epi8(_mm_cmpeq_epi16(lowest, escape)) != 0 {
            break;
        }
    }
    for (v, x) in x.into_iter().enumerate() {
        // SAFETY: `states` has room for V vectors.
        unsafe { _mm256_storeu_si256(states.as_mut_ptr().add(v * WIDTH).cast(), x) };
    }
    done
}

/// # Safety
/// The processor has the features, `out` is 8 longer than `indexes`.
#[target_feature(enable = "avx2,popcnt")]
pub(super) unsafe fn compact(indexes: &[u8], skip: u8, out: &mut [u8]) -> usize {
    let least = _mm_set1_epi8(skip as i8);
    let mut count = 0;
    let chunks = indexes.chunks_exact(8);
    let rest = chunks.remainder();
    for chunk in chunks {
        // SAFETY: the chunk has 8 bytes.
        let chunk = unsafe { _mm_loadl_epi64(chunk.as_ptr().cast()) };
        let coded = at_least(chunk, least);
        // SAFETY: the table's entries have 8 bytes.
        let order = unsafe { _mm_loadl_epi64(GATHER_BYTES[usize::from(coded)].as_ptr().cast()) };
        // SAFETY: count is at most the elements before, so 8 more are within `out`.
        unsafe {
            let front = _mm_shuffle_epi8(chunk, order);
            _mm_storel_epi64(out.as_mut_ptr().add(count).cast(), front);
        }
        count += coded.count_ones() as usize;
    }
    count + scalar::compact(rest, skip, &mut out[count..])
}

/// # Safety
/// The processor has the features, `indexes` and `symbols` are of equal length.
#[target_feature(enable = "avx2,popcnt")]
pub(super) unsafe fn expand(indexes: &[u8], skip: u8, count: usize, symbols: &mut [i16]) {
    let least = _mm_set1_epi8(skip as i8);
    let mut left = count;
    let mut end = indexes.len();
    while end >= 8 {
        end -= 8;
        // SAFETY: end + 8 <= indexes.len().
        let chunk = unsafe { _mm_loadl_epi64(indexes.as_ptr().add(end).cast()) };
        let coded = at_least(chunk, least);
        left -= coded.count_ones() as usize;
        assert!(left <= end, "count is not that of the coded elements");
        // SAFETY: left <= end, and end + 8 <= symbols.len(). What is taken lies before what has
        // been written.
        let some = unsafe { _mm_loadu_si128(symbols.as_ptr().add(left).cast()) };
        let some = _mm_shuffle_epi8(some, shuffle(&SCATTER, coded));
        // SAFETY: end + 8 <= symbols.len().
        unsafe { _mm_storeu_si128(symbols.as_mut_ptr().add(end).cast(), some) };
    }
    scalar::expand(&indexes[..end], skip, left, &mut symbols[..end]);
}

/// # Safety
/// The processor has the features, `symbols` is as long as `indexes`, `out` 8 longer.
#[target_feature(enable = "avx2,popcnt")]
pub(super) unsafe fn keys(
    largest: &[u8; MAX_TABLES],
    indexes: &[u8],
    symbols: &[i16],
    skip: u8,
    out: &mut [u16],
) -> Keys {
    let least = _mm_set1_epi8(skip as i8);
    let middle = _mm_set1_epi16(COLUMNS as i16 / 2);
    let zero = _mm_setzero_si128();
    let (mut count, mut escapes, mut wrong) = (0, 0, 0);
    let (some_indexes, rest_indexes) = indexes.as_chunks::<8>();
    let (some_symbols, rest_symbols) = symbols.as_chunks::<8>();
    for (indexes, symbols) in some_indexes.iter().zip(some_symbols) {
        let limits = indexes.map(|index| largest[usize::from(index)]);
        // SAFETY: there are 8 of each.
        let (indexes, symbols, limits) = unsafe {
            (
                _mm_loadl_epi64(indexes.as_ptr().cast()),
                _mm_loadu_si128(symbols.as_ptr().cast()),
                _mm_loadl_epi64(limits.as_ptr().cast()),
            )
        };
        let coded = at_least(indexes, least);
        let zeros = _mm_movemask_epi8(_mm_packs_epi16(_mm_cmpeq_epi16(symbols, zero), zero));
        wrong |= !coded & !(zeros as u8);
        let size = _mm_abs_epi16(symbols);
        let within = |limit| _mm_cmpeq_epi16(_mm_min_epu16(size, limit), size);
        let beyond = !_mm_movemask_epi8(_mm_packs_epi16(within(_mm_cvtepu8_epi16(limits)), zero));
        escapes |= coded & beyond as u8;
        let held = within(_mm_set1_epi16(MAX_SYMBOL));
        let columns = _mm_and_si128(held, _mm_add_epi16(symbols, middle));
        let rows = _mm_slli_epi16::<8>(_mm_cvtepu8_epi16(indexes));
        let front = _mm_shuffle_epi8(_mm_or_si128(rows, columns), shuffle(&GATHER, coded));
        // SAFETY: count is at most the elements before, so 8 more are within `out`.
        unsafe { _mm_storeu_si128(out.as_mut_ptr().add(count).cast(), front) };
        count += coded.count_ones() as usize;
    }
    let rest = scalar::keys(largest, rest_indexes, rest_symbols, skip, &mut out[count..]);
    Keys {
        count: count + rest.count,
        escapes: rest.escapes || escapes != 0,
        wrong: rest.wrong || wrong != 0,
    }
}

/// The low word of each lane, in order.
#[inline]
#[target_feature(enable = "avx2")]
fn low_words(lanes: __m256i) -> __m128i {
    let low = _mm256_and_si256(lanes, _mm256_set1_epi32(0xffff));
    _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256::<1>(low))
}

/// `V` vectors of lanes.
///
/// The quotient comes from a float product that is never too large, and too small by one at most:
/// the quotient is below 2^20, and the product's relative error lies between -9.4 / 2^24 and
/// -0.8 / 2^24 (three roundings of 1 / 2^24 each and one Newton step, less the bias of 4 / 2^24).
///
/// # Safety
/// The processor has the features, `rows` is not empty, `keys` are whole rounds, `position` is
/// within `words`.
#[target_feature(enable = "avx2,fma,popcnt")]
pub(super) unsafe fn encode<const V: usize>(
    rows: &[Row],
    states: &mut States,
    keys: &[u16],
    words: &mut [u16],
    position: &mut usize,
) -> usize {
    const { assert!(V * WIDTH <= MAX_LANES && WORD_SLACK >= WIDTH) };
    let lanes = V * WIDTH;
    let below_one = _mm256_set1_ps(1.0 - 4.0 / (1 << 24) as f32);
    let table_size = _mm256_set1_epi32(TABLE_SIZE as i32);
    let sixteen_bits = _mm256_set1_epi32(0xffff);
    // SAFETY: `states` has room for V vectors.
    let mut x: [__m256i; V] = std::array::from_fn(|v| unsafe {
        _mm256_loadu_si256(states.as_ptr().add(v * WIDTH).cast())
    });
    let last = _mm_set1_epi16((rows.len() * COLUMNS - 1).min(0xffff) as i16);
    let mut left = keys.len();
    while left > 0 && words.len() - *position >= lanes + WORD_SLACK {
        left -= lanes;
        for (v, x) in x.iter_mut().enumerate().rev() {
            // SAFETY: the round from `left` on is within `keys`.
            let some = unsafe { _mm_loadu_si128(keys.as_ptr().add(left + v * WIDTH).cast()) };
            let some = _mm256_cvtepu16_epi32(_mm_min_epu16(some, last));
            // SAFETY: no key is beyond the last of the rows.
            let interval = unsafe { _mm256_i32gather_epi32::<4>(rows.as_ptr().cast(), some) };
            let frequency = _mm256_srli_epi32::<16>(interval);
            let start = _mm256_and_si256(interval, sixteen_bits);
            let divisor = _mm256_cvtepi32_ps(frequency);
            let rough = _mm256_rcp_ps(divisor);
            let error = _mm256_fnmadd_ps(divisor, rough, below_one);
            let reciprocal = _mm256_fmadd_ps(rough, error, rough);

            let low = _mm256_cmpgt_epi32(frequency, _mm256_srli_epi32::<20>(*x));
            let high = !mask_of(low);
            let some = _mm_shuffle_epi8(low_words(*x), shuffle(&GATHER_REVERSED, high));
            // SAFETY: a word for every lane and WIDTH more were free before the round; what is
            // written behind the words is overwritten by those that follow.
            unsafe { _mm_storeu_si128(words.as_mut_ptr().add(*position).cast(), some) };
            *position += high.count_ones() as usize;
            let upper = _mm256_srli_epi32::<16>(*x);
            let y = _mm256_blendv_epi8(upper, *x, low);

            // There is no conversion of unsigned numbers; in two halves it is exact up to the one
            // rounding of the sum.
            let float = _mm256_fmadd_ps(
                _mm256_cvtepi32_ps(_mm256_srli_epi32::<16>(y)),
                _mm256_set1_ps(65536.0),
                _mm256_cvtepi32_ps(_mm256_and_si256(y, sixteen_bits)),
            );
            let quotient = _mm256_cvttps_epi32(_mm256_mul_ps(float, reciprocal));
            let rest = _mm256_sub_epi32(y, _mm256_mullo_epi32(quotient, frequency));
            let next = _mm256_add_epi32(_mm256_slli_epi32::<12>(quotient), rest);
            let next = _mm256_add_epi32(next, start);
            let right = _mm256_cmpgt_epi32(frequency, rest);
            let one_more = _mm256_andnot_si256(right, _mm256_sub_epi32(table_size, frequency));
            *x = _mm256_add_epi32(next, one_more);
        }
    }
    for (v, x) in x.into_iter().enumerate() {
        // SAFETY: `states` has room for V vectors.
        unsafe { _mm256_storeu_si256(states.as_mut_ptr().add(v * WIDTH).cast(), x) };
    }
    left
}
