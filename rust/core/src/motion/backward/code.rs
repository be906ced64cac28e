//! How backward blocks are coded.

use super::tables::{CLASSES, MODES, mode_bits, mode_table};
use super::{Backward, Cell, derived, limit};
use crate::error::{Error, Result};
use crate::motion::field::{code_vector, vector_price};
use crate::motion::tables::TABLES;
use crate::motion::{Field, Vector};
use crate::rans::{Decoder, Encoder};

const CLASS_BITS: u32 = 2;

/// Adds the blocks, or that there are none, as one segment; vectors in units of `2^shift` quarter
/// samples.
///
/// # Errors
/// `InvalidArgument` if a vector is no multiple of the unit or `shift` is above 2.
pub fn encode(
    encoder: &mut Encoder,
    blocks: Option<&Backward>,
    field: &Field,
    shift: u32,
) -> Result<()> {
    check_shift(shift)?;
    encoder.begin_segment();
    encoder.put_bits(u32::from(blocks.is_some()), 1)?;
    let Some(blocks) = blocks else { return Ok(()) };
    let mask = (1 << shift) - 1;
    if blocks.cells.iter().flat_map(|cell| cell.vectors()).flatten().any(|c| c & mask != 0) {
        return Err(Error::invalid(format!(
            "a backward vector that is no multiple of {}",
            mask + 1
        )));
    }
    let class = best_class(blocks);
    encoder.put_bits(u32::from(class), CLASS_BITS)?;
    let mut walk = Walk::new(blocks.rows, blocks.columns, field, shift);
    for (index, &cell) in blocks.cells.iter().enumerate() {
        encoder.put(&MODES, mode_table(class, walk.context(index)), mode(&cell))?;
        for (part, vector) in cell.vectors().iter().enumerate() {
            let beside = walk.beside(index, part, &cell);
            let units = vector.map(|c| i32::from(c) >> shift);
            beside.code(units, |table, residual| {
                encoder.put(&TABLES, table, residual)?;
                Ok(residual)
            })?;
            walk.set(index, part, &cell, units);
        }
        walk.done(index, &cell);
    }
    Ok(())
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
    field: &Field,
    shift: u32,
) -> Result<Option<Backward>> {
    check_shift(shift)?;
    decoder.begin_segment();
    if decoder.get_bits(1)? == 0 {
        return Ok(None);
    }
    let class = decoder.get_bits(CLASS_BITS)? as u8;
    let mut walk = Walk::new(rows, columns, field, shift);
    let mut cells = Vec::with_capacity(rows * columns);
    for index in 0..rows * columns {
        let mut cell = match decoder.get(&MODES, mode_table(class, walk.context(index)))? {
            0 => Cell::Kept,
            1 => Cell::Whole([0; 2]),
            -1 => Cell::Quarters([[0; 2]; 4]),
            other => return Err(Error::corrupt(0, format!("backward block of mode {other}"))),
        };
        for part in 0..cell.vectors().len() {
            let beside = walk.beside(index, part, &cell);
            let units = beside.code([0; 2], |table, _| decoder.get(&TABLES, table))?;
            if let Some(c) = units.iter().find(|c| c.abs() > limit(shift)) {
                return Err(Error::corrupt(0, format!("backward vector component {c}")));
            }
            let vector = units.map(|c| (c << shift) as i16);
            match &mut cell {
                Cell::Kept => {}
                Cell::Whole(whole) => *whole = vector,
                Cell::Quarters(vectors) => vectors[part] = vector,
            }
            walk.set(index, part, &cell, units);
        }
        walk.done(index, &cell);
        cells.push(cell);
    }
    Ok(Some(Backward { rows, columns, cells }))
}

fn check_shift(shift: u32) -> Result<()> {
    if shift > 2 {
        return Err(Error::invalid(format!("motion shift must be 0, 1 or 2, not {shift}")));
    }
    Ok(())
}

/// The symbol of a cell's mode.
pub(super) fn mode(cell: &Cell) -> i32 {
    match cell {
        Cell::Kept => 0,
        Cell::Whole(_) => 1,
        Cell::Quarters(_) => -1,
    }
}

/// The class of frequencies that codes the modes in the fewest bits.
pub(super) fn best_class(blocks: &Backward) -> u8 {
    let mut counts = [[0u32; 3]; 3];
    let active = |index: usize| usize::from(!blocks.cells[index].is_kept());
    for (index, cell) in blocks.cells.iter().enumerate() {
        let left = if index % blocks.columns > 0 { active(index - 1) } else { 0 };
        let above = if index >= blocks.columns { active(index - blocks.columns) } else { 0 };
        counts[left + above][(mode(cell) + 1) as usize] += 1;
    }
    let total = |class: u8| -> f32 {
        let all = counts.iter().enumerate().flat_map(|(context, modes)| {
            modes.iter().enumerate().map(move |(k, &count)| {
                count as f32 * mode_bits(mode_table(class, context), k as i32 - 1)
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
    derived: Vec<[i32; 2]>,
}

impl Walk {
    pub fn new(rows: usize, columns: usize, field: &Field, shift: u32) -> Self {
        Self {
            columns,
            vectors: vec![None; 4 * rows * columns],
            active: vec![false; rows * columns],
            derived: derived(field, rows, columns, shift),
        }
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
            (Cell::Quarters(_), 0) => [(x - 1, y), (x, y - 1), (x + 1, y - 1)],
            (Cell::Quarters(_), 1) => [(x, y), (x + 1, y - 1), (x + 2, y - 1)],
            (Cell::Quarters(_), 2) => [(x - 1, y + 1), (x, y), (x + 1, y)],
            (Cell::Quarters(_), _) => [(x, y + 1), (x + 1, y), (x, y)],
            _ => [(x - 1, y), (x, y - 1), (x + 2, y - 1)],
        };
        let known = places.map(|(x, y)| {
            let inside = x >= 0 && y >= 0 && x < 2 * self.columns as isize;
            if inside { self.vectors[y as usize * 2 * self.columns + x as usize] } else { None }
        });
        Beside {
            vectors: known.map(|vector| vector.unwrap_or(self.derived[index])),
            alone: known.iter().all(Option::is_none),
        }
    }

    pub fn set(&mut self, index: usize, part: usize, cell: &Cell, units: [i32; 2]) {
        let stride = 2 * self.columns;
        let corner = 2 * (index / self.columns) * stride + 2 * (index % self.columns);
        match cell {
            Cell::Quarters(_) => {
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

    pub fn derived(&self, index: usize) -> [i32; 2] {
        self.derived[index]
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
        let cell = prop_oneof![
            3 => Just(Cell::Kept),
            2 => vector.clone().prop_map(Cell::Whole),
            1 => [vector.clone(), vector.clone(), vector.clone(), vector].prop_map(Cell::Quarters),
        ];
        prop::collection::vec(cell, count)
    }

    fn blocks() -> impl Strategy<Value = (Backward, Field, u32)> {
        (1..7usize, 1..7usize, 0..3u32, any::<bool>()).prop_flat_map(
            |(rows, columns, shift, moves)| {
                let field = [-600i16..=600, -600i16..=600];
                let vectors =
                    prop::collection::vec(field, 2 * rows.div_ceil(2) * columns.div_ceil(2));
                (cells(rows * columns, shift), vectors).prop_map(move |(cells, vectors)| {
                    let field = match moves {
                        true => Field::new(32, 2, rows.div_ceil(2), columns.div_ceil(2), vectors),
                        false => Ok(Field::still(2)),
                    };
                    (Backward::new(rows, columns, cells).unwrap(), field.unwrap(), shift)
                })
            },
        )
    }

    proptest! {
        #[test]
        fn decoding_gives_back_any_blocks((blocks, field, shift) in blocks()) {
            let mut encoder = Encoder::new();
            encode(&mut encoder, Some(&blocks), &field, shift).unwrap();
            encode(&mut encoder, None, &field, shift).unwrap();
            let (lanes, stream) = encoder.finish(None).unwrap();
            let mut decoder = Decoder::new(&stream[..], lanes).unwrap();
            let (rows, columns) = (blocks.rows(), blocks.columns());
            let decoded = decode(&mut decoder, rows, columns, &field, shift).unwrap();
            prop_assert_eq!(decoded, Some(blocks));
            prop_assert_eq!(decode(&mut decoder, rows, columns, &field, shift).unwrap(), None);
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
            let field = Field::still(2);
            if let Ok(Some(blocks)) = decode(&mut decoder, rows, columns, &field, shift) {
                prop_assert!(Backward::new(rows, columns, blocks.cells.clone()).is_ok());
            }
        }
    }

    #[test]
    fn no_blocks_cost_a_bit() {
        let mut encoder = Encoder::new();
        encode(&mut encoder, None, &Field::still(2), 0).unwrap();
        let (_, stream) = encoder.finish(None).unwrap();
        assert_eq!(stream.len(), 5);
    }

    #[test]
    fn vectors_that_the_unit_cannot_say_are_refused() {
        let blocks = Backward::new(1, 1, vec![Cell::Whole([3, 0])]).unwrap();
        let mut encoder = Encoder::new();
        assert!(encode(&mut encoder, Some(&blocks), &Field::still(2), 1).is_err());
        assert!(encode(&mut encoder, None, &Field::still(2), 3).is_err());
        assert!(Backward::new(1, 2, vec![Cell::Kept]).is_err());
        assert!(Backward::new(1, 1, vec![Cell::Whole([0, MAX_COMPONENT + 1])]).is_err());
    }
}
