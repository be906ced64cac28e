//! The loops with NEON: 8 lanes to two vectors, shuffles by tables instead of compression, and
//! numbers from tables one by one, as there are no gathers.

use std::arch::aarch64::*;

use super::shuffles::{GATHER, GATHER_BYTES, GATHER_REVERSED, SCATTER};
use super::{Keys, WORD_SLACK, Words, scalar};
use crate::rans::tables::{COLUMNS, ESCAPE, Lookup, MAX_SYMBOL, MAX_TABLES, Row};
use crate::rans::{LOWER_BOUND, MAX_LANES, States, TABLE_SIZE};

/// Lanes of two vectors.
const WIDTH: usize = 8;

type Lanes = [uint32x4_t; 2];

#[inline]
#[target_feature(enable = "neon")]
fn shuffle(words: uint16x8_t, table: &[[u8; 16]; 256], mask: u8) -> uint16x8_t {
    // SAFETY: 16 bytes are read from an array of 16.
    let order = unsafe { vld1q_u8(table[usize::from(mask)].as_ptr()) };
    vreinterpretq_u16_u8(vqtbl1q_u8(vreinterpretq_u8_u16(words), order))
}

/// Which words are set, and how many: they are all ones or all zeros.
#[inline]
#[target_feature(enable = "neon")]
fn set(words: uint16x8_t) -> (u8, usize) {
    // One sum for both: the numbers of the lanes below, a count above.
    const BITS: [u16; WIDTH] = [0x101, 0x102, 0x104, 0x108, 0x110, 0x120, 0x140, 0x180];
    // SAFETY: the array is of 16 bytes.
    let bits = unsafe { vld1q_u16(BITS.as_ptr()) };
    let sum = vaddvq_u16(vandq_u16(words, bits));
    (sum as u8, usize::from(sum >> 8))
}

/// Bytes that are all ones or all zeros as such words.
#[inline]
#[target_feature(enable = "neon")]
fn as_words(bytes: uint8x8_t) -> uint16x8_t {
    vreinterpretq_u16_s16(vmovl_s8(vreinterpret_s8_u8(bytes)))
}

/// The low word of each lane, in order.
#[inline]
#[target_feature(enable = "neon")]
fn low_words([a, b]: Lanes) -> uint16x8_t {
    vuzp1q_u16(vreinterpretq_u16_u32(a), vreinterpretq_u16_u32(b))
}

/// A word to each lane, in order.
#[inline]
#[target_feature(enable = "neon")]
fn lanes(words: uint16x8_t) -> Lanes {
    [vmovl_u16(vget_low_u16(words)), vmovl_high_u16(words)]
}

/// The numbers of a table at four places.
///
/// # Safety
/// The table goes on beyond all of them.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn gather(table: *const u32, places: uint32x4_t) -> uint32x4_t {
    // Two places at a time leave the vector.
    let pairs = vreinterpretq_u64_u32(places);
    let (first, second) = (vgetq_lane_u64::<0>(pairs), vgetq_lane_u64::<1>(pairs));
    let (low, high) = (|pair: u64| pair as u32 as usize, |pair: u64| (pair >> 32) as usize);
    // SAFETY: the caller knows that they are in the table.
    unsafe {
        let found = vld1q_dup_u32(table.add(low(first)));
        let found = vld1q_lane_u32::<1>(table.add(high(first)), found);
        let found = vld1q_lane_u32::<2>(table.add(low(second)), found);
        vld1q_lane_u32::<3>(table.add(high(second)), found)
    }
}

/// # Safety
/// `V` pairs of vectors are at most all states.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn load<const V: usize>(states: &States) -> [Lanes; V] {
    let mut x = [[vdupq_n_u32(0); 2]; V];
    for (v, x) in x.as_flattened_mut().iter_mut().enumerate() {
        // SAFETY: there are as many states.
        *x = unsafe { vld1q_u32(states.as_ptr().add(v * WIDTH / 2)) };
    }
    x
}

/// # Safety
/// `V` pairs of vectors are at most all states.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn store<const V: usize>(x: &[Lanes; V], states: &mut States) {
    for (v, &x) in x.as_flattened().iter().enumerate() {
        // SAFETY: there are as many states.
        unsafe { vst1q_u32(states.as_mut_ptr().add(v * WIDTH / 2), x) };
    }
}

/// `V` pairs of vectors of lanes.
///
/// # Safety
/// The processor has the features, `lookups` is not empty, `words.limit` is within `words.data`,
/// `indexes` and `symbols` are of equal length.
#[target_feature(enable = "neon")]
pub(super) unsafe fn decode<const V: usize>(
    lookups: &[[Lookup; TABLE_SIZE]],
    states: &mut States,
    words: &mut Words,
    indexes: &[u8],
    symbols: &mut [i16],
) -> usize {
    const { assert!(V * WIDTH <= MAX_LANES) };
    let round = V * WIDTH;
    let last = vdup_n_u8((lookups.len() - 1).min(255) as u8);
    let twelve_bits = vdupq_n_u32(0xfff);
    let bound = vdupq_n_u32(LOWER_BOUND);
    // SAFETY: `states` has room for V pairs.
    let mut x = unsafe { load::<V>(states) };
    let mut done = 0;
    while done + round <= indexes.len() && words.hold(round) {
        let mut lowest = vdupq_n_s16(0);
        for (v, x) in x.iter_mut().enumerate() {
            let at = done + v * WIDTH;
            // SAFETY: at + WIDTH <= done + round, which is within `indexes`.
            let tables = unsafe { vld1_u8(indexes.as_ptr().add(at)) };
            let tables = lanes(vmovl_u8(vmin_u8(tables, last)));
            let (mut found, mut next, mut low) = (*x, *x, *x);
            for k in 0..2 {
                // The number of the table above the lowest bits of the state.
                let slots = vsliq_n_u32::<12>(x[k], tables[k]);
                // SAFETY: no table is beyond the last, no slot beyond a table.
                found[k] = unsafe { gather(lookups.as_ptr().cast(), slots) };
                let frequency = vandq_u32(found[k], twelve_bits);
                let distance = vandq_u32(vshrq_n_u32::<12>(found[k]), twelve_bits);
                next[k] = vmlaq_u32(distance, frequency, vshrq_n_u32::<12>(x[k]));
                low[k] = vcltq_u32(next[k], bound);
            }
            let (mask, count) = set(low_words(low));
            // SAFETY: the words of all lanes are there, and those before took one each at most.
            let some = unsafe { vld1q_u8(words.data.as_ptr().add(words.position)) };
            let some = lanes(shuffle(vreinterpretq_u16_u8(some), &SCATTER, mask));
            for k in 0..2 {
                let renewed = vsliq_n_u32::<16>(some[k], next[k]);
                x[k] = vbslq_u32(low[k], renewed, next[k]);
            }
            words.position += 2 * count;
            let [a, b] = found.map(|found| vreinterpretq_s16_u32(found));
            let values = vshrq_n_s16::<8>(vuzp2q_s16(a, b));
            lowest = vminq_s16(lowest, values);
            // SAFETY: `symbols` is as long as `indexes`.
            unsafe { vst1q_s16(symbols.as_mut_ptr().add(at), values) };
        }
        done += round;
        if vminvq_s16(lowest) == ESCAPE {
            break;
        }
    }
    // SAFETY: `states` has room for V pairs.
    unsafe { store(&x, states) };
    done
}

/// # Safety
/// The processor has the features, `out` is 8 longer than `indexes`.
#[target_feature(enable = "neon")]
pub(super) unsafe fn compact(indexes: &[u8], skip: u8, out: &mut [u8]) -> usize {
    let least = vdup_n_u8(skip);
    let mut count = 0;
    let (chunks, rest) = indexes.as_chunks::<8>();
    for chunk in chunks {
        // SAFETY: the chunk has 8 bytes.
        let chunk = unsafe { vld1_u8(chunk.as_ptr()) };
        let (mask, coded) = set(as_words(vcge_u8(chunk, least)));
        // SAFETY: the table's entries have 8 bytes.
        let order = unsafe { vld1_u8(GATHER_BYTES[usize::from(mask)].as_ptr()) };
        // SAFETY: count is at most the elements before, so 8 more are within `out`.
        unsafe { vst1_u8(out.as_mut_ptr().add(count), vtbl1_u8(chunk, order)) };
        count += coded;
    }
    count + scalar::compact(rest, skip, &mut out[count..])
}

/// # Safety
/// The processor has the features, `indexes` and `symbols` are of equal length.
#[target_feature(enable = "neon")]
pub(super) unsafe fn expand(indexes: &[u8], skip: u8, count: usize, symbols: &mut [i16]) {
    let least = vdup_n_u8(skip);
    let mut left = count;
    let mut end = indexes.len();
    while end >= 8 {
        end -= 8;
        // SAFETY: end + 8 <= indexes.len().
        let chunk = unsafe { vld1_u8(indexes.as_ptr().add(end)) };
        let (mask, coded) = set(as_words(vcge_u8(chunk, least)));
        left -= coded;
        assert!(left <= end, "count is not that of the coded elements");
        // SAFETY: left <= end, and end + 8 <= symbols.len(). What is taken lies before what has
        // been written.
        let some = unsafe { vld1q_u16(symbols.as_ptr().add(left).cast()) };
        let some = shuffle(some, &SCATTER, mask);
        // SAFETY: end + 8 <= symbols.len().
        unsafe { vst1q_u16(symbols.as_mut_ptr().add(end).cast(), some) };
    }
    scalar::expand(&indexes[..end], skip, left, &mut symbols[..end]);
}

/// The largest symbols of all tables, in registers.
struct Largest([uint8x16x4_t; 4]);

impl Largest {
    #[inline]
    #[target_feature(enable = "neon")]
    fn new(largest: &[u8; MAX_TABLES]) -> Self {
        let at = |quarter: usize| {
            // SAFETY: there are four times 64 bytes.
            unsafe { vld1q_u8_x4(largest[64 * quarter..][..64].as_ptr()) }
        };
        Self([at(0), at(1), at(2), at(3)])
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn of(&self, tables: uint8x16_t) -> uint8x16_t {
        // For numbers outside of a quarter, before it or after it, what was found stays.
        let further = vdupq_n_u8(64);
        let found = vqtbl4q_u8(self.0[0], tables);
        let tables = vsubq_u8(tables, further);
        let found = vqtbx4q_u8(found, self.0[1], tables);
        let tables = vsubq_u8(tables, further);
        let found = vqtbx4q_u8(found, self.0[2], tables);
        vqtbx4q_u8(found, self.0[3], vsubq_u8(tables, further))
    }
}

/// # Safety
/// The processor has the features, `symbols` is as long as `indexes`, `out` 8 longer.
#[target_feature(enable = "neon")]
pub(super) unsafe fn keys(
    largest: &[u8; MAX_TABLES],
    indexes: &[u8],
    symbols: &[i16],
    skip: u8,
    out: &mut [u16],
) -> Keys {
    let all_largest = Largest::new(largest);
    let least = vdupq_n_u8(skip);
    let middle = vdupq_n_s16(COLUMNS as i16 / 2);
    let most = vdupq_n_u16(MAX_SYMBOL as u16);
    let mut count = 0;
    let (mut escapes, mut wrong) = (vdupq_n_u16(0), vdupq_n_u16(0));
    let (some_indexes, rest_indexes) = indexes.as_chunks::<16>();
    let (some_symbols, rest_symbols) = symbols.as_chunks::<16>();
    for (indexes, symbols) in some_indexes.iter().zip(some_symbols) {
        // SAFETY: there are 16.
        let tables = unsafe { vld1q_u8(indexes.as_ptr()) };
        let limits = all_largest.of(tables);
        let coded = vcgeq_u8(tables, least);
        let halves = [
            [vget_low_u8(tables), vget_low_u8(limits), vget_low_u8(coded)],
            [vget_high_u8(tables), vget_high_u8(limits), vget_high_u8(coded)],
        ];
        for ([tables, limits, coded], symbols) in halves.into_iter().zip(symbols.as_chunks::<8>().0)
        {
            // SAFETY: there are 8.
            let symbols = unsafe { vld1q_s16(symbols.as_ptr()) };
            let coded = as_words(coded);
            let size = vreinterpretq_u16_s16(vabsq_s16(symbols));
            wrong = vorrq_u16(wrong, vbicq_u16(size, coded));
            let beyond = vcgtq_u16(size, vmovl_u8(limits));
            escapes = vorrq_u16(escapes, vandq_u16(beyond, coded));
            let columns = vreinterpretq_u16_s16(vaddq_s16(symbols, middle));
            let columns = vandq_u16(columns, vcleq_u16(size, most));
            let all = vorrq_u16(vshll_n_u8::<8>(tables), columns);
            let (mask, more) = set(coded);
            let front = shuffle(all, &GATHER, mask);
            // SAFETY: count is at most the elements before, so 8 more are within `out`.
            unsafe { vst1q_u16(out.as_mut_ptr().add(count), front) };
            count += more;
        }
    }
    let rest = scalar::keys(largest, rest_indexes, rest_symbols, skip, &mut out[count..]);
    Keys {
        count: count + rest.count,
        escapes: rest.escapes || vmaxvq_u16(escapes) != 0,
        wrong: rest.wrong || vmaxvq_u16(wrong) != 0,
    }
}

/// States after a symbol each, and those that have shed a word.
///
/// The quotient comes from a float product less a half that is never too large, and too small by one
/// at most: the quotient is below 2^20, so the errors are below 3 / 2^4 (the number, the reciprocal's
/// last step and its product, 1 / 2^24 of the quotient each), 1 / 2^5 (the last sum) and, after two
/// steps from an estimate of 8 bits, 1 / 2^11 (the reciprocal otherwise): a quarter together.
#[inline]
#[target_feature(enable = "neon")]
fn push(x: uint32x4_t, interval: uint32x4_t) -> [uint32x4_t; 2] {
    let frequency = vshrq_n_u32::<16>(interval);
    let start = vandq_u32(interval, vdupq_n_u32(0xffff));
    let divisor = vcvtq_f32_u32(frequency);
    let rough = vrecpeq_f32(divisor);
    let rough = vmulq_f32(rough, vrecpsq_f32(divisor, rough));
    let reciprocal = vmulq_f32(rough, vrecpsq_f32(divisor, rough));

    let high = vcgeq_u32(vshrq_n_u32::<20>(x), frequency);
    let y = vbslq_u32(high, vshrq_n_u32::<16>(x), x);
    let quotient = vfmaq_f32(vdupq_n_f32(-0.5), vcvtq_f32_u32(y), reciprocal);
    let quotient = vcvtq_u32_f32(quotient);
    let rest = vmlsq_u32(y, quotient, frequency);
    // One more where the rest is too large: all ones are -1.
    let quotient = vsubq_u32(quotient, vcgeq_u32(rest, frequency));
    let others = vsubq_u32(vdupq_n_u32(TABLE_SIZE as u32), frequency);
    [vmlaq_u32(vaddq_u32(y, start), quotient, others), high]
}

/// `V` pairs of vectors of lanes.
///
/// # Safety
/// The processor has the features, `rows` is not empty, `keys` are whole rounds, `position` is
/// within `words`.
#[target_feature(enable = "neon")]
pub(super) unsafe fn encode<const V: usize>(
    rows: &[Row],
    states: &mut States,
    keys: &[u16],
    words: &mut [u16],
    position: &mut usize,
) -> usize {
    const { assert!(V * WIDTH <= MAX_LANES && WORD_SLACK >= WIDTH) };
    let round = V * WIDTH;
    let last = vdupq_n_u16((rows.len() * COLUMNS - 1).min(0xffff) as u16);
    // SAFETY: `states` has room for V pairs.
    let mut x = unsafe { load::<V>(states) };
    let mut left = keys.len();
    while left > 0 && words.len() - *position >= round + WORD_SLACK {
        left -= round;
        for (v, x) in x.iter_mut().enumerate().rev() {
            // SAFETY: the round from `left` on is within `keys`.
            let some = unsafe { vld1q_u16(keys.as_ptr().add(left + v * WIDTH)) };
            let places = lanes(vminq_u16(some, last));
            let shed = low_words(*x);
            let mut high = *x;
            for k in 0..2 {
                // SAFETY: no key is beyond the last of the rows.
                let interval = unsafe { gather(rows.as_ptr().cast(), places[k]) };
                [x[k], high[k]] = push(x[k], interval);
            }
            let (mask, count) = set(low_words(high));
            let some = shuffle(shed, &GATHER_REVERSED, mask);
            // SAFETY: a word for every lane and WIDTH more were free before the round; what is
            // written behind the words is overwritten by those that follow.
            unsafe { vst1q_u16(words.as_mut_ptr().add(*position), some) };
            *position += count;
        }
    }
    // SAFETY: `states` has room for V pairs.
    unsafe { store(&x, states) };
    left
}
