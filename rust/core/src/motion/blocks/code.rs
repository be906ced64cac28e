//! How blocks are coded.

use super::tables::{CLASSES, MODES, mode_bits, mode_table};
use super::{Blend, Blocks, Cell, check_shift, in_units, limit};
use crate::error::{Error, Result};
use crate::motion::Vector;
use crate::motion::field::{code_vector, vector_price};
use crate::motion::tables::{TABLES, bits};
use crate::rans::{Decoder, Encoder};

const CLASS_BITS: u32 = 2;

/// Adds the blocks, or that there are none, as one segment; vectors in units of `2^shift` quarter
/// samples. Returns the bits that takes.
///
/// # Errors
/// `InvalidArgument` if a vector is no multiple of the unit or `shift` is above 2.
pub fn encode(
    encoder: &mut Encoder,
    blocks: Option<&Blocks>,
    guesses: &[Vector],
    shift: u32,
) -> Result<f64> {
    check_shift(shift)?;
    encoder.begin_segment();
    encoder.put_bits(u32::from(blocks.is_some()), 1)?;
    let Some(blocks) = blocks else { return Ok(1.0) };
    let mask = (1 << shift) - 1;
    if blocks.cells.iter().flat_map(|cell| cell.vectors()).flatten().any(|c| c & mask != 0) {
        return Err(Error::invalid(format!("a block vector that is no multiple of {}", mask + 1)));
    }
    let class = best_class(blocks);
    encoder.put_bits(u32::from(class), CLASS_BITS)?;
    let mut walk = Walk::new(blocks.columns, in_units(guesses, blocks.cells.len(), shift)?);
    let mut total = f64::from(1 + CLASS_BITS);
    for (index, &cell) in blocks.cells.iter().enumerate() {
        let table = mode_table(class, walk.context(index));
        encoder.put(&MODES, table, mode(&cell))?;
        total += f64::from(mode_bits(table, mode(&cell)));
        for (part, vector) in cell.vectors().iter().enumerate() {
            let beside = walk.beside(index, part, &cell);
            let units = vector.map(|c| i32::from(c) >> shift);
            beside.code(units, |table, residual| {
                encoder.put(&TABLES, table, residual)?;
                total += bits(table, residual);
                Ok(residual)
            })?;
            walk.set(index, part, &cell, units);
        }
        walk.done(index, &cell);
    }
    Ok(total)
}

/// Reads what [`encode`] wrote for `rows` × `columns` cells.
///
/// # Errors
/// `Corrupt` for an unknown mode or a vector out of range; what the coder reports. The caller has
/// checked that the number of cells fits the picture.
pub fn decode(
    decoder: &mut Decoder<'_>,
    rows: usize,
    columns: usize,
    guesses: &[Vector],
    shift: u32,
) -> Result<Option<Blocks>> {
    check_shift(shift)?;
    decoder.begin_segment();
    if decoder.get_bits(1)? == 0 {
        return Ok(None);
    }
    let class = decoder.get_bits(CLASS_BITS)? as u8;
    let mut walk = Walk::new(columns, in_units(guesses, rows * columns, shift)?);
    let mut cells = Vec::with_capacity(rows * columns);
    for index in 0..rows * columns {
        let mut cell = match decoder.get(&MODES, mode_table(class, walk.context(index)))? {
            0 => Cell::Kept,
            1 => Cell::Whole(Blend::Mean, [0; 2]),
            -1 => Cell::Quarters(Blend::Mean, [[0; 2]; 4]),
            2 => Cell::Whole(Blend::Replace, [0; 2]),
            -2 => Cell::Quarters(Blend::Replace, [[0; 2]; 4]),
            other => return Err(Error::corrupt(0, format!("a cell of block mode {other}"))),
        };
        for part in 0..cell.vectors().len() {
            let beside = walk.beside(index, part, &cell);
            let units = beside.code([0; 2], |table, _| decoder.get(&TABLES, table))?;
            if let Some(c) = units.iter().find(|c| c.abs() > limit(shift)) {
                return Err(Error::corrupt(0, format!("block vector component {c}")));
            }
            let vector = units.map(|c| (c << shift) as i16);
            match &mut cell {
                Cell::Kept => {}
                Cell::Whole(_, whole) => *whole = vector,
                Cell::Quarters(_, vectors) => vectors[part] = vector,
            }
            walk.set(index, part, &cell, units);
        }
        walk.done(index, &cell);
        cells.push(cell);
    }
    Ok(Some(Blocks { rows, columns, cells }))
}

/// The symbol of a cell's mode.
pub(super) fn mode(cell: &Cell) -> i32 {
    match cell {
        Cell::Kept => 0,
        Cell::Whole(Blend::Mean, _) => 1,
        Cell::Quarters(Blend::Mean, _) => -1,
        Cell::Whole(Blend::Replace, _) => 2,
        Cell::Quarters(Blend::Replace, _) => -2,
    }
}

/// The class of frequencies that codes the modes in the fewest bits.
pub(super) fn best_class(blocks: &Blocks) -> u8 {
    let mut counts = [[0u32; 5]; 3];
    let active = |index: usize| usize::from(!blocks.cells[index].is_kept());
    for (index, cell) in blocks.cells.iter().enumerate() {
        let left = if index % blocks.columns > 0 { active(index - 1) } else { 0 };
        let above = if index >= blocks.columns { active(index - blocks.columns) } else { 0 };
        counts[left + above][(mode(cell) + 2) as usize] += 1;
    }
    let total = |class: u8| -> f32 {
        let all = counts.iter().enumerate().flat_map(|(context, modes)| {
            modes.iter().enumerate().map(move |(k, &count)| {
                count as f32 * mode_bits(mode_table(class, context), k as i32 - 2)
            })
        });
        all.sum()
    };
    let better = |a: &u8, b: &u8| total(*a).total_cmp(&total(*b));
    (0..CLASSES).min_by(better).expect("there are classes")
}

/// What has been coded so far, seen from the cell to come.
pub(super) struct Walk {
    columns: usize,
    /// Of each quarter of a cell, in units.
    vectors: Vec<Option<[i32; 2]>>,
    active: Vec<bool>,
    guesses: Vec<[i32; 2]>,
}

impl Walk {
    /// `guesses` in units, one for each cell.
    pub fn new(columns: usize, guesses: Vec<[i32; 2]>) -> Self {
        let cells = guesses.len();
        Self { columns, vectors: vec![None; 4 * cells], active: vec![false; cells], guesses }
    }

    /// How many of the cells to the left and above have blocks.
    pub fn context(&self, index: usize) -> usize {
        let left = !index.is_multiple_of(self.columns) && self.active[index - 1];
        let above = index >= self.columns && self.active[index - self.columns];
        usize::from(left) + usize::from(above)
    }

    /// What predicts the vector of a part of a cell.
    pub fn beside(&self, index: usize, part: usize, cell: &Cell) -> Beside {
        let (x, y) = (2 * (index % self.columns) as isize, 2 * (index / self.columns) as isize);
        let places = match (cell, part) {
            (Cell::Quarters(..), 0) => [(x - 1, y), (x, y - 1), (x + 1, y - 1)],
            (Cell::Quarters(..), 1) => [(x, y), (x + 1, y - 1), (x + 2, y - 1)],
            (Cell::Quarters(..), 2) => [(x - 1, y + 1), (x, y), (x + 1, y)],
            (Cell::Quarters(..), _) => [(x, y + 1), (x + 1, y), (x, y)],
            _ => [(x - 1, y), (x, y - 1), (x + 2, y - 1)],
        };
        let known = places.map(|(x, y)| {
            let inside = x >= 0 && y >= 0 && x < 2 * self.columns as isize;
            if inside { self.vectors[y as usize * 2 * self.columns + x as usize] } else { None }
        });
        Beside {
            vectors: known.map(|vector| vector.unwrap_or(self.guesses[index])),
            alone: known.iter().all(Option::is_none),
        }
    }

    pub fn set(&mut self, index: usize, part: usize, cell: &Cell, units: [i32; 2]) {
        let stride = 2 * self.columns;
        let corner = 2 * (index / self.columns) * stride + 2 * (index % self.columns);
        match cell {
            Cell::Quarters(..) => {
                self.vectors[corner + part / 2 * stride + part % 2] = Some(units);
            }
            _ => {
                for place in [corner, corner + 1, corner + stride, corner + stride + 1] {
                    self.vectors[place] = Some(units);
                }
            }
        }
    }

    /// Forgets what was set in a cell.
    pub fn clear(&mut self, index: usize) {
        let stride = 2 * self.columns;
        let corner = 2 * (index / self.columns) * stride + 2 * (index % self.columns);
        for place in [corner, corner + 1, corner + stride, corner + stride + 1] {
            self.vectors[place] = None;
        }
    }

    pub fn done(&mut self, index: usize, cell: &Cell) {
        self.active[index] = !cell.is_kept();
    }

    pub fn guess(&self, index: usize) -> [i32; 2] {
        self.guesses[index]
    }
}

/// The neighbours that predict a vector.
pub(super) struct Beside {
    vectors: [[i32; 2]; 3],
    /// Whether none of them has a vector of its own.
    alone: bool,
}

impl Beside {
    fn code(&self, units: [i32; 2], code: impl FnMut(u8, i32) -> Result<i32>) -> Result<[i32; 2]> {
        code_vector(self.vectors, self.alone, units, code)
    }

    /// Bits of a vector, in units.
    pub fn price(&self, units: [i32; 2]) -> f32 {
        vector_price(self.vectors, self.alone, units)
    }

    pub fn vectors(&self) -> [[i32; 2]; 3] {
        self.vectors
    }
}

/// A vector as it is coded.
pub(super) fn units(vector: Vector, shift: u32) -> [i32; 2] {
    vector.map(|c| i32::from(c) >> shift)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::motion::MAX_COMPONENT;

    fn cells(count: usize, shift: u32) -> impl Strategy<Value = Vec<Cell>> {
        let reach = MAX_COMPONENT >> shift;
        let component = prop_oneof![-3i16..=3, -reach..=reach].prop_map(move |c| c << shift);
        let vector = [component.clone(), component];
        let blend = prop_oneof![Just(Blend::Mean), Just(Blend::Replace)];
        let cell = prop_oneof![
            3 => Just(Cell::Kept),
            2 => (blend.clone(), vector.clone()).prop_map(|(b, v)| Cell::Whole(b, v)),
            1 => (blend, [vector.clone(), vector.clone(), vector.clone(), vector])
                .prop_map(|(b, v)| Cell::Quarters(b, v)),
        ];
        prop::collection::vec(cell, count)
    }

    fn blocks() -> impl Strategy<Value = (Blocks, Vec<Vector>, u32)> {
        (1..7usize, 1..7usize, 0..3u32).prop_flat_map(|(rows, columns, shift)| {
            let guess = [-4094i16..=4094, -600i16..=600];
            let guesses = prop::collection::vec(guess, rows * columns);
            (cells(rows * columns, shift), guesses).prop_map(move |(cells, guesses)| {
                (Blocks::new(rows, columns, cells).unwrap(), guesses, shift)
            })
        })
    }

    proptest! {
        #[test]
        fn decoding_gives_back_any_blocks((blocks, guesses, shift) in blocks()) {
            let mut encoder = Encoder::new();
            let mut bits = encode(&mut encoder, Some(&blocks), &guesses, shift).unwrap();
            bits += encode(&mut encoder, None, &guesses, shift).unwrap();
            let (lanes, stream) = encoder.finish(None).unwrap();
            // A lane's state and the rounding up to whole words and bytes.
            prop_assert!((stream.len() as f64 - bits / 8.0).abs() < 8.0 + bits / 800.0);
            let mut decoder = Decoder::new(&stream[..], lanes).unwrap();
            let (rows, columns) = (blocks.rows(), blocks.columns());
            let decoded = decode(&mut decoder, rows, columns, &guesses, shift).unwrap();
            prop_assert_eq!(decoded, Some(blocks));
            prop_assert_eq!(decode(&mut decoder, rows, columns, &guesses, shift).unwrap(), None);
            decoder.finish().unwrap();
        }

        #[test]
        fn any_bytes_decode_to_legal_blocks_or_an_error(
            bytes in prop::collection::vec(any::<u8>(), 4..200),
            rows in 1..8usize,
            columns in 1..8usize,
            shift in 0..3u32,
        ) {
            let Ok(mut decoder) = Decoder::new(&bytes[..], 0) else { return Ok(()) };
            let guesses = vec![[0; 2]; rows * columns];
            if let Ok(Some(blocks)) = decode(&mut decoder, rows, columns, &guesses, shift) {
                prop_assert!(Blocks::new(rows, columns, blocks.cells.clone()).is_ok());
            }
        }
    }

    #[test]
    fn no_blocks_cost_a_bit() {
        let mut encoder = Encoder::new();
        encode(&mut encoder, None, &[], 0).unwrap();
        let (_, stream) = encoder.finish(None).unwrap();
        assert_eq!(stream.len(), 5);
    }

    #[test]
    fn vectors_that_the_unit_cannot_say_are_refused() {
        let blocks = Blocks::new(1, 1, vec![Cell::Whole(Blend::Mean, [3, 0])]).unwrap();
        let mut encoder = Encoder::new();
        assert!(encode(&mut encoder, Some(&blocks), &[[0; 2]], 1).is_err());
        assert!(encode(&mut encoder, None, &[], 3).is_err());
        assert!(Blocks::new(1, 2, vec![Cell::Kept]).is_err());
        assert!(Blocks::new(1, 1, vec![Cell::Whole(Blend::Mean, [0, MAX_COMPONENT + 1])]).is_err());
    }
}
