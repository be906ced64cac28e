//! What a vector of a field costs together with those that are predicted from it.

use crate::motion::Vector;
use crate::motion::field::{neighbours, price_beside};

/// A cell that the vector has a share in: its own and those predicted from it.
#[derive(Clone, Copy, Default)]
struct Share {
    neighbours: [Vector; 3],
    vector: Vector,
    /// Which of the neighbours are the vector.
    places: [bool; 3],
    first_row: bool,
}

/// The prices of all vectors that may be put at one cell, the rest of the field as it is.
#[derive(Default)]
pub(super) struct LocalPrices {
    own: Share,
    dependents: [Share; 4],
    count: usize,
    shift: u32,
}

impl LocalPrices {
    /// Vectors are coded in units of `2^shift`.
    pub fn new(
        field: &[Vector],
        [rows, columns]: [usize; 2],
        row: usize,
        column: usize,
        shift: u32,
    ) -> Self {
        let own = neighbours(field, columns, row, column);
        let mut out = Self {
            own: Share { neighbours: own, first_row: row == 0, ..Share::default() },
            shift,
            ..Self::default()
        };
        let mut add = |row: usize, column: usize, places: [bool; 3]| {
            out.dependents[out.count] = Share {
                neighbours: neighbours(field, columns, row, column),
                vector: field[row * columns + column],
                places,
                first_row: row == 0,
            };
            out.count += 1;
        };
        let last = column + 1 == columns;
        if !last {
            add(row, column + 1, if row == 0 { [true; 3] } else { [true, false, false] });
        }
        if row + 1 < rows {
            if column > 0 {
                add(row + 1, column - 1, [false, false, true]);
            }
            // Of the first column, what is above stands for what is to the left; if it is the last
            // one, too, for what is above to the right.
            add(row + 1, column, [column == 0, true, column == 0 && last]);
        }
        if row + 1 < rows && column + 2 == columns {
            // Of the last column, what is above to the left stands for what is above to the right.
            add(row + 1, column + 1, [false, false, true]);
        }
        out
    }

    /// Bits with this vector there, as far as they are below `most`; beyond, anything that is no
    /// less.
    #[inline]
    pub fn of(&self, vector: Vector, most: f32) -> f32 {
        let mut sum = price_beside(self.own.neighbours, vector, self.own.first_row, self.shift);
        for share in &self.dependents[..self.count] {
            if sum >= most {
                break;
            }
            let mut neighbours = share.neighbours;
            for (neighbour, is_here) in neighbours.iter_mut().zip(share.places) {
                *neighbour = if is_here { vector } else { *neighbour };
            }
            sum += price_beside(neighbours, share.vector, share.first_row, self.shift);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::motion::field::price;

    proptest! {
        /// Changes of the sum are those of the price of the whole field.
        #[test]
        fn local_prices_differ_as_those_of_the_field(
            rows in 1usize..4,
            columns in 1usize..5,
            seed in prop::collection::vec([-40i16..40, -40i16..40], 20),
            other in [-40i16..40, -40i16..40],
            shift in 0u32..3,
        ) {
            let coarse = |v: &Vector| v.map(|c| c << shift);
            let (other, mut field) =
                (coarse(&other), seed[..rows * columns].iter().map(coarse).collect::<Vec<_>>());
            let whole = |field: &[Vector]| -> f32 {
                (0..field.len()).map(|k| price(field, columns, k / columns, k % columns, shift)).sum()
            };
            for cell in 0..field.len() {
                let local = LocalPrices::new(
                    &field, [rows, columns], cell / columns, cell % columns, shift,
                );
                let own = field[cell];
                let before = whole(&field);
                field[cell] = other;
                let change = whole(&field) - before;
                field[cell] = own;
                let here = local.of(other, f32::INFINITY) - local.of(own, f32::INFINITY);
                prop_assert!((change - here).abs() < 0.01, "{} {} {}", cell, change, here);
                let part = local.of(own, 5.0);
                prop_assert!(part >= 5.0 || part == local.of(own, f32::INFINITY));
            }
        }
    }
}
