//! The classes of blocks. Normative.

use super::{ACTIVITIES, BLOCK, REACH};
use crate::motion::plane::{Padded, Plane, Sample};
use crate::motion::wide::wide;

/// Samples on each side of a block that belong to its window.
const MARGIN: usize = 2;
const WINDOW: usize = BLOCK + 2 * MARGIN;

/// What a block's samples say of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Class {
    pub class: u8,
    /// Index into `TURNS`.
    pub turn: u8,
}

/// A plane with all the samples around it that classes and filters ask for.
pub(super) fn pad<S: Sample>(plane: &Plane<S>) -> Padded<S> {
    let beyond = [plane.width(), plane.height()].map(|n| n.next_multiple_of(BLOCK) - n + REACH);
    Padded::new(plane, [REACH; 2], beyond)
}

/// Second differences along each direction, summed over the rows of a band of windows; a column
/// each, from `MARGIN` columns left of the plane on.
#[derive(Default)]
pub(super) struct Sums {
    down: Vec<u32>,
    across: Vec<u32>,
    /// From top left to bottom right.
    falling: Vec<u32>,
    rising: Vec<u32>,
}

/// Classes of the `columns` blocks whose first row of samples is `y`.
pub(super) fn classify<S: Sample>(
    plane: &Padded<S>,
    y: usize,
    columns: usize,
    bit_depth: u32,
    sums: &mut Sums,
    out: &mut Vec<Class>,
) {
    let width = columns * BLOCK + 2 * MARGIN;
    for sum in [&mut sums.down, &mut sums.across, &mut sums.falling, &mut sums.rising] {
        sum.clear();
        sum.resize(width, 0);
    }
    let first = y as i32 - MARGIN as i32;
    for row in first..first + WINDOW as i32 {
        let [above, here, below] =
            [row - 1, row, row + 1].map(|row| &plane.from(-(REACH as i32), row)[..width + 2]);
        add_row(above, here, below, sums);
    }
    out.clear();
    out.extend((0..columns).map(|column| {
        let window = |sums: &[u32]| sums[column * BLOCK..][..WINDOW].iter().sum();
        let [down, across] = [window(&sums.down), window(&sums.across)];
        class([down, across, window(&sums.falling), window(&sums.rising)], bit_depth)
    }));
}

wide! {
    fn add_row<S: Sample>(above: &[S], here: &[S], below: &[S], sums: &mut Sums) {
        let width = here.len() - 2;
        let (above, below) = (&above[..width + 2], &below[..width + 2]);
        let [down, across] = [&mut sums.down[..width], &mut sums.across[..width]];
        for x in 0..width {
            let twice = 2 * here[x + 1].into();
            down[x] += (twice - above[x + 1].into() - below[x + 1].into()).unsigned_abs();
            across[x] += (twice - here[x].into() - here[x + 2].into()).unsigned_abs();
        }
        let [falling, rising] = [&mut sums.falling[..width], &mut sums.rising[..width]];
        for x in 0..width {
            let twice = 2 * here[x + 1].into();
            falling[x] += (twice - above[x].into() - below[x + 2].into()).unsigned_abs();
            rising[x] += (twice - above[x + 2].into() - below[x].into()).unsigned_abs();
        }
    }
}

/// The class of a window from its sums down, across, falling and rising.
fn class([down, across, falling, rising]: [u32; 4], bit_depth: u32) -> Class {
    let sum = u64::from(down + across) >> (bit_depth - 8);
    let activity = (0..ACTIVITIES as u32 - 1).filter(|&k| sum >= 32 << k).count() as u8;
    let ratio = |a: u32, b: u32| (u64::from(a.max(b)), u64::from(a.min(b)) + 1);
    let (straight, slanted) = (ratio(down, across), ratio(falling, rising));
    let is_slanted = slanted.0 * straight.1 >= straight.0 * slanted.1;
    let (most, least) = if is_slanted { slanted } else { straight };
    let strength = u8::from(2 * most >= 3 * least) + u8::from(most >= 3 * least);
    if strength == 0 {
        return Class { class: activity, turn: 0 };
    }
    let direction = 2 * strength - 1 + u8::from(is_slanted);
    let turn = match is_slanted {
        true => u8::from(falling > rising),
        false => 2 * u8::from(down > across),
    };
    Class { class: direction * ACTIVITIES as u8 + activity, turn }
}
