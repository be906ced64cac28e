//! How filters are coded.

use super::tables::{DELTAS, MODE_SETS, MODES, SPREADS, delta_bits, delta_table, mode_bits};
use super::{ACTIVITIES, CLASSES, Filter, Filters, TAPS, starts};
use crate::error::{Error, Result};
use crate::rans::{Decoder, Encoder};

const START_BITS: u32 = 2;
const SPREAD_BITS: u32 = 2;
const SET_BITS: u32 = 1;
/// What the choices of a plane take.
pub(super) const HEADER_BITS: u32 = START_BITS + SPREAD_BITS + SET_BITS;

/// What is chosen for a plane: which filters it starts from, and which tables code it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    pub start: usize,
    pub spread: u8,
    pub set: u8,
}

/// Where a class's filter is told from: its own until now or a neighbour's, and whether differences
/// follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mode {
    pub neighbour: bool,
    pub differs: bool,
}

impl Mode {
    pub const ALL: [Self; 4] = [
        Self { neighbour: false, differs: false },
        Self { neighbour: true, differs: false },
        Self { neighbour: false, differs: true },
        Self { neighbour: true, differs: true },
    ];

    pub fn symbol(self) -> i32 {
        match (self.neighbour, self.differs) {
            (false, false) => 0,
            (true, false) => 1,
            (false, true) => -1,
            (true, true) => 2,
        }
    }
}

/// Adds what changes the filters from `before`, or from one of `defaults`, to `after`, as one
/// segment. Returns the bits that takes.
///
/// # Errors
/// `InvalidArgument` unless there are [`DEFAULTS`](super::DEFAULTS) sets; what the coder reports.
pub fn encode(
    encoder: &mut Encoder,
    before: &Filters,
    defaults: &[Filters],
    after: &Filters,
) -> Result<f64> {
    let starts = starts(before, defaults)?;
    encoder.begin_segment();
    let mut total = 0.0;
    for (starts, after) in starts.iter().zip(&after.0) {
        encoder.put_bits(u32::from(starts[0] != after), 1)?;
        total += 1.0;
        if starts[0] == after {
            continue;
        }
        let choices = choices(starts.len());
        let price = |choice: &Choice| -> f64 {
            let modes = modes(starts[choice.start], after, *choice);
            modes.map(|(mode, base, filter)| class_bits(*choice, mode, base, filter)).sum()
        };
        let cheaper = |a: &Choice, b: &Choice| price(a).total_cmp(&price(b));
        let choice = choices.min_by(cheaper).expect("there are choices");
        encoder.put_bits(choice.start as u32, START_BITS)?;
        encoder.put_bits(u32::from(choice.spread), SPREAD_BITS)?;
        encoder.put_bits(u32::from(choice.set), SET_BITS)?;
        total += f64::from(HEADER_BITS) + price(&choice);
        for (mode, base, filter) in modes(starts[choice.start], after, choice) {
            encoder.put(&MODES, choice.set, mode.symbol())?;
            for k in (0..TAPS).filter(|_| mode.differs) {
                let delta = i32::from(filter[k]) - i32::from(base[k]);
                encoder.put(&DELTAS, delta_table(choice.spread, k), delta)?;
            }
        }
    }
    Ok(total)
}

/// Reads what [`encode`] wrote: the filters that follow `before`.
///
/// # Errors
/// `Corrupt` for a coefficient out of range; what the coder reports; `InvalidArgument` unless there
/// are [`DEFAULTS`](super::DEFAULTS) sets.
pub fn decode(
    decoder: &mut Decoder<'_>,
    before: &Filters,
    defaults: &[Filters],
) -> Result<Filters> {
    let starts = starts(before, defaults)?;
    decoder.begin_segment();
    let mut all = before.clone();
    for (filters, starts) in all.0.iter_mut().zip(starts) {
        if decoder.get_bits(1)? == 0 {
            continue;
        }
        *filters = *starts[decoder.get_bits(START_BITS)? as usize];
        let spread = decoder.get_bits(SPREAD_BITS)? as u8;
        let set = decoder.get_bits(SET_BITS)? as u8;
        for class in 0..CLASSES {
            let symbol = decoder.get(&MODES, set)?;
            let mode = Mode::ALL.into_iter().find(|mode| mode.symbol() == symbol);
            let mode = mode.ok_or_else(|| Error::corrupt(0, format!("filter mode {symbol}")))?;
            let mut filter =
                if mode.neighbour { neighbour(filters, class) } else { filters[class] };
            for (k, coefficient) in filter.iter_mut().enumerate().filter(|_| mode.differs) {
                let delta = decoder.get(&DELTAS, delta_table(spread, k))?;
                let value = i32::from(*coefficient).saturating_add(delta);
                *coefficient = i8::try_from(value)
                    .map_err(|_| Error::corrupt(0, format!("filter coefficient {value}")))?;
            }
            filters[class] = filter;
        }
    }
    Ok(all)
}

/// All choices of tables for so many starts.
pub(super) fn choices(starts: usize) -> impl Iterator<Item = Choice> {
    (0..starts).flat_map(|start| {
        let tables = (0..SPREADS).flat_map(|spread| (0..MODE_SETS).map(move |set| (spread, set)));
        tables.map(move |(spread, set)| Choice { start, spread, set })
    })
}

/// The filter coded before that is likeliest to resemble that of `class`: of the next lower
/// activity, or of the direction before.
pub(super) fn neighbour(filters: &[Filter; CLASSES], class: usize) -> Filter {
    match class {
        0 => [0; TAPS],
        _ if class.is_multiple_of(ACTIVITIES) => filters[class - ACTIVITIES],
        _ => filters[class - 1],
    }
}

/// Of each class the cheapest mode, the filter it starts from, and the one it makes.
fn modes<'a>(
    before: &'a [Filter; CLASSES],
    after: &'a [Filter; CLASSES],
    choice: Choice,
) -> impl Iterator<Item = (Mode, Filter, Filter)> + 'a {
    (0..CLASSES).map(move |class| {
        let filter = after[class];
        let base = |mode: Mode| {
            if mode.neighbour { neighbour(after, class) } else { before[class] }
        };
        let price = |mode: Mode| class_bits(choice, mode, base(mode), filter);
        let able = Mode::ALL.into_iter().filter(|&mode| mode.differs || base(mode) == filter);
        let mode = able.min_by(|&a, &b| price(a).total_cmp(&price(b))).expect("two can do all");
        (mode, base(mode), filter)
    })
}

/// Bits of a class's filter.
pub(super) fn class_bits(choice: Choice, mode: Mode, base: Filter, filter: Filter) -> f64 {
    let deltas = (0..TAPS).filter(|_| mode.differs).map(|k| {
        let delta = i32::from(filter[k]) - i32::from(base[k]);
        delta_bits(choice.spread, k, delta)
    });
    mode_bits(choice.set, mode.symbol()) + deltas.sum::<f64>()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filters() -> impl Strategy<Value = Filters> {
        let coefficient = prop_oneof![8 => Just(0), 4 => -9i8..=9, 1 => any::<i8>()];
        prop::collection::vec(coefficient, 3 * CLASSES * TAPS).prop_map(|values| {
            let mut values = values.into_iter();
            let mut next = || values.next().unwrap();
            Filters([(); 3].map(|()| [(); CLASSES].map(|()| [(); TAPS].map(|()| next()))))
        })
    }

    fn defaults() -> [Filters; 3] {
        [(); 3].map(|()| Filters::default())
    }

    proptest! {
        #[test]
        fn decoding_gives_back_any_change(
            before in filters(),
            after in filters(),
            mut defaults in [filters(), filters(), filters()],
            same in 0..4usize,
        ) {
            let mut after = after;
            if same < 3 {
                after.0[same] = before.0[same];
                after.0[(same + 1) % 3][3..9].copy_from_slice(&before.0[(same + 1) % 3][3..9]);
            }
            defaults[1].0[(same + 2) % 3] = after.0[(same + 2) % 3];
            let mut encoder = Encoder::new();
            let bits = encode(&mut encoder, &before, &defaults, &after).unwrap();
            let (lanes, stream) = encoder.finish(None).unwrap();
            prop_assert!((stream.len() as f64 - bits / 8.0).abs() < 8.0 + bits / 800.0);
            let mut decoder = Decoder::new(&stream[..], lanes).unwrap();
            prop_assert_eq!(decode(&mut decoder, &before, &defaults).unwrap(), after);
            decoder.finish().unwrap();
        }

        #[test]
        fn any_bytes_decode_or_fail(bytes in prop::collection::vec(any::<u8>(), 4..200)) {
            if let Ok(mut decoder) = Decoder::new(&bytes[..], 0) {
                let _ = decode(&mut decoder, &Filters::default(), &defaults());
            }
        }
    }

    #[test]
    fn no_change_costs_three_bits() {
        let mut encoder = Encoder::new();
        let filters = Filters::default();
        assert_eq!(encode(&mut encoder, &filters, &defaults(), &filters).unwrap(), 3.0);
        assert_eq!(encoder.finish(None).unwrap().1.len(), 5);
    }
}
