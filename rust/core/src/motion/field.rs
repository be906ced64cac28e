//! How a motion field is coded: prediction from neighbours, context tables, one rANS segment.
//!
//! `docs/bitstream.md`, "Motion field", is the specification. One walk over the cells serves
//! encoder, decoder and cost: it predicts, picks the table, and hands the residual to a closure
//! that writes, reads or prices it.

use super::tables::{TABLES, bits, quick_bits};
use super::{MAX_COMPONENT, Vector};
use crate::error::{Error, Result};
use crate::rans::{Decoder, Encoder};

/// What a frame after the first is coded as a difference to: nothing, the first frame's vector of
/// the same cell, or twice that.
const MODES: u32 = 3;
const MODE_BITS: u32 = 2;

/// Tables per class of spread: dx, then dy after a residual of dx that was 0, small or large.
const KINDS: u8 = 4;

/// Class of the cells of the first row, which have at most one neighbour.
const FIRST_ROW: u8 = 7;

/// Largest magnitude of a difference between legal vectors and their base.
const MAX_DIFFERENCE: i32 = 3 * MAX_COMPONENT as i32;

/// Adds the vectors of `frames` frames, in the order frame, row, column, as one segment.
///
/// # Errors
/// `InvalidArgument` if the number of vectors is not `frames` times a whole number of rows of
/// `columns` cells, or a component exceeds [`MAX_COMPONENT`].
pub fn encode(
    encoder: &mut Encoder,
    frames: usize,
    columns: usize,
    vectors: &[Vector],
) -> Result<()> {
    check(frames, columns, vectors)?;
    encoder.begin_segment();
    for (index, frame) in split(frames, vectors).enumerate() {
        let mode = if index == 0 { 0 } else { best_mode(columns, frame, first(frames, vectors)) };
        if index > 0 {
            encoder.put_bits(mode, MODE_BITS)?;
        }
        let mut differences = difference(mode, frame, first(frames, vectors));
        walk(columns, &mut differences, |table, residual| {
            encoder.put(&TABLES, table, residual)?;
            Ok(residual)
        })?;
    }
    Ok(())
}

/// Reads what [`encode`] wrote: the vectors of `frames` frames of `rows` × `columns` cells.
///
/// # Errors
/// `Corrupt` for a vector beyond [`MAX_COMPONENT`] or an unknown mode; what the coder reports.
/// The caller has checked that the number of cells fits the picture.
pub fn decode(
    decoder: &mut Decoder<'_>,
    frames: usize,
    rows: usize,
    columns: usize,
) -> Result<Vec<Vector>> {
    let cells = rows * columns;
    let mut vectors: Vec<Vector> = Vec::with_capacity(frames * cells);
    decoder.begin_segment();
    if cells == 0 {
        // Nothing was written, not even the modes.
        return Ok(vectors);
    }
    for index in 0..frames {
        let mode = if index == 0 { 0 } else { decoder.get_bits(MODE_BITS)? };
        if mode >= MODES {
            return Err(Error::corrupt(0, "unknown prediction mode of a motion field"));
        }
        let mut differences = vec![[0; 2]; cells];
        walk(columns, &mut differences, |table, _| decoder.get(&TABLES, table))?;
        for (cell, difference) in differences.iter().enumerate() {
            let base = if index == 0 { [0; 2] } else { base(mode, vectors[cell]) };
            let mut vector = [0; 2];
            for c in 0..2 {
                let component = difference[c] + base[c];
                if component.abs() > i32::from(MAX_COMPONENT) {
                    return Err(Error::corrupt(0, format!("motion vector component {component}")));
                }
                vector[c] = component as i16;
            }
            vectors.push(vector);
        }
    }
    Ok(vectors)
}

/// What [`encode`] adds to the stream, bits.
///
/// # Errors
/// As [`encode`].
pub fn cost(frames: usize, columns: usize, vectors: &[Vector]) -> Result<f64> {
    check(frames, columns, vectors)?;
    let first = first(frames, vectors);
    let costs = split(frames, vectors).enumerate().map(|(index, frame)| match index {
        0 => frame_cost(columns, 0, frame, first),
        _ => {
            let mode = best_mode(columns, frame, first);
            frame_cost(columns, mode, frame, first) + f64::from(MODE_BITS)
        }
    });
    Ok(costs.sum())
}

fn check(frames: usize, columns: usize, vectors: &[Vector]) -> Result<()> {
    let whole = frames > 0 && columns > 0 && vectors.len().is_multiple_of(frames * columns);
    if !whole && !vectors.is_empty() {
        let count = vectors.len();
        return Err(Error::invalid(format!(
            "vectors: {count} are not {frames} frames of whole rows of {columns}"
        )));
    }
    match vectors.iter().flatten().find(|c| c.unsigned_abs() > MAX_COMPONENT as u16) {
        Some(component) => Err(Error::invalid(format!(
            "vectors: component {component} is beyond ±{MAX_COMPONENT} quarter samples"
        ))),
        None => Ok(()),
    }
}

fn split(frames: usize, vectors: &[Vector]) -> impl Iterator<Item = &[Vector]> {
    vectors.chunks(vectors.len().checked_div(frames).unwrap_or(0).max(1))
}

fn first(frames: usize, vectors: &[Vector]) -> &[Vector] {
    &vectors[..vectors.len().checked_div(frames).unwrap_or(0)]
}

fn base(mode: u32, first: Vector) -> [i32; 2] {
    first.map(|component| mode as i32 * i32::from(component))
}

fn difference(mode: u32, frame: &[Vector], first: &[Vector]) -> Vec<[i32; 2]> {
    let pairs = frame.iter().zip(first);
    pairs
        .map(|(&vector, &first)| {
            let base = base(mode, first);
            [i32::from(vector[0]) - base[0], i32::from(vector[1]) - base[1]]
        })
        .collect()
}

fn best_mode(columns: usize, frame: &[Vector], first: &[Vector]) -> u32 {
    let costs = (0..MODES).map(|mode| (frame_cost(columns, mode, frame, first), mode));
    costs.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(0, |(_, mode)| mode)
}

fn frame_cost(columns: usize, mode: u32, frame: &[Vector], first: &[Vector]) -> f64 {
    let mut total = 0.0;
    let mut differences = difference(mode, frame, first);
    walk(columns, &mut differences, |table, residual| {
        total += bits(table, residual);
        Ok(residual)
    })
    .expect("pricing does not fail");
    total
}

/// Visits the cells of a frame row by row. `code(table, residual)` returns the true residual; the
/// encoder knows it and passes it in, the decoder ignores what it is given and reads it.
fn walk(
    columns: usize,
    cells: &mut [[i32; 2]],
    mut code: impl FnMut(u8, i32) -> Result<i32>,
) -> Result<()> {
    for index in 0..cells.len() {
        let (row, column) = (index / columns, index % columns);
        let neighbours = neighbours(cells, columns, row, column);
        cells[index] = code_vector(neighbours, row == 0, cells[index], &mut code)?;
    }
    Ok(())
}

/// Codes one vector beside its neighbours, `code` as in `walk`, and returns it; `alone` if they say
/// little, as in the first row.
pub(super) fn code_vector(
    neighbours: [[i32; 2]; 3],
    alone: bool,
    mut vector: [i32; 2],
    mut code: impl FnMut(u8, i32) -> Result<i32>,
) -> Result<[i32; 2]> {
    let mut kind = 0;
    for (c, component) in vector.iter_mut().enumerate() {
        let (prediction, class) = predict(neighbours.map(|vector| vector[c]), alone, 0);
        let residual = code(class * KINDS + kind, component.wrapping_sub(prediction))?;
        // A damaged stream may say anything; out of range it is refused by the caller, here it
        // must only stay small enough to compute with.
        *component = (prediction + residual).clamp(-MAX_DIFFERENCE, MAX_DIFFERENCE);
        kind = 1 + residual_kind(residual);
    }
    Ok(vector)
}

/// What `code_vector` costs, bits.
pub(super) fn vector_price(neighbours: [[i32; 2]; 3], alone: bool, vector: [i32; 2]) -> f32 {
    let mut total = 0.0;
    let priced = code_vector(neighbours, alone, vector, |table, residual| {
        total += quick_bits(table, residual);
        Ok(residual)
    });
    priced.expect("pricing does not fail");
    total
}

/// The three vectors that predict a cell: left, above, above right; the above left one in the last
/// column, the upper two in the first, the left one alone in the first row.
#[inline]
pub(super) fn neighbours<T: Copy + Default>(
    cells: &[[T; 2]],
    columns: usize,
    row: usize,
    column: usize,
) -> [[T; 2]; 3] {
    if row == 0 {
        return [if column == 0 { [T::default(); 2] } else { cells[column - 1] }; 3];
    }
    let above = (row - 1) * columns + column;
    let right = if column + 1 < columns { cells[above + 1] } else { cells[above - column.min(1)] };
    let left = if column > 0 { cells[above + columns - 1] } else { cells[above] };
    [left, cells[above], right]
}

/// The median of a component's neighbours and the class of their spread in units of `2^shift`.
#[inline]
fn predict([a, b, c]: [i32; 3], first_row: bool, shift: u32) -> (i32, u8) {
    let (low, high) = (a.min(b).min(c), a.max(b).max(c));
    let class = if first_row { FIRST_ROW } else { spread_class((high - low) >> shift) };
    (a + b + c - low - high, class)
}

/// The median of the neighbours of a cell in a grid that is filled up to it.
pub(super) fn prediction(cells: &[Vector], columns: usize, row: usize, column: usize) -> Vector {
    let neighbours = neighbours(cells, columns, row, column);
    [0, 1].map(|c| predict(neighbours.map(|v| i32::from(v[c])), row == 0, 0).0 as i16)
}

/// What the vector at a cell costs in mode 0, bits, where all are coded in units of `2^shift`.
#[inline]
pub(super) fn price(
    cells: &[Vector],
    columns: usize,
    row: usize,
    column: usize,
    shift: u32,
) -> f32 {
    let neighbours = neighbours(cells, columns, row, column);
    price_beside(neighbours, cells[row * columns + column], row == 0, shift)
}

/// What a vector costs beside these `neighbours`, in units of `2^shift` like these.
#[inline(always)]
pub(super) fn price_beside(
    neighbours: [Vector; 3],
    vector: Vector,
    first_row: bool,
    shift: u32,
) -> f32 {
    let component = |c: usize, kind| {
        component_price(neighbours.map(|v| v[c]), vector[c], first_row, kind, shift)
    };
    let (horizontal, bits) = component(0, 0);
    bits + component(1, 1 + residual_kind(horizontal)).1
}

/// The residual of a component and its price.
#[inline(always)]
fn component_price(
    neighbours: [i16; 3],
    component: i16,
    first_row: bool,
    kind: u8,
    shift: u32,
) -> (i32, f32) {
    let (prediction, class) = predict(neighbours.map(i32::from), first_row, shift);
    let residual = (i32::from(component) - prediction) >> shift;
    (residual, quick_bits(class * KINDS + kind, residual))
}

#[inline]
fn spread_class(spread: i32) -> u8 {
    // 0, 1, 2 and 3, 4 to 7 … 16 to 31, more.
    (32 - spread.leading_zeros()).min(6) as u8
}

#[inline]
fn residual_kind(residual: i32) -> u8 {
    match residual.unsigned_abs() {
        0 => 0,
        1..=2 => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip(frames: usize, columns: usize, vectors: &[Vector]) -> (Vec<Vector>, usize) {
        let mut encoder = Encoder::new();
        encode(&mut encoder, frames, columns, vectors).unwrap();
        let (lanes, stream) = encoder.finish(None).unwrap();
        let mut decoder = Decoder::new(&stream[..], lanes).unwrap();
        let rows = vectors.len() / frames / columns;
        let decoded = decode(&mut decoder, frames, rows, columns).unwrap();
        decoder.finish().unwrap();
        (decoded, stream.len())
    }

    fn fields() -> impl Strategy<Value = (usize, usize, Vec<Vector>)> {
        (1..=2usize, 0..6usize, 1..7usize, 0..3u32).prop_flat_map(
            |(frames, rows, columns, size)| {
                let reach = [2i16, 60, MAX_COMPONENT][size as usize];
                let vector = [-reach..=reach, -reach..=reach];
                let vectors = prop::collection::vec(vector, frames * rows * columns);
                (Just(frames), Just(columns), vectors)
            },
        )
    }

    proptest! {
        #[test]
        fn decoding_gives_back_any_field((frames, columns, vectors) in fields()) {
            let (decoded, size) = round_trip(frames, columns, &vectors);
            prop_assert_eq!(decoded, vectors.clone());
            let expected = cost(frames, columns, &vectors).unwrap() / 8.0;
            // A lane's state and the rounding up to whole words and bytes.
            prop_assert!((size as f64 - expected).abs() < 8.0 + expected / 100.0);
        }

        #[test]
        fn any_bytes_decode_to_legal_vectors_or_an_error(
            bytes in prop::collection::vec(any::<u8>(), 4..200),
            rows in 1..8usize,
            columns in 1..8usize,
        ) {
            let Ok(mut decoder) = Decoder::new(&bytes[..], 0) else { return Ok(()) };
            if let Ok(vectors) = decode(&mut decoder, 2, rows, columns) {
                prop_assert_eq!(vectors.len(), 2 * rows * columns);
                prop_assert!(vectors.iter().flatten().all(|c| c.abs() <= MAX_COMPONENT));
            }
        }
    }

    #[test]
    fn a_uniform_pan_costs_little() {
        let vectors = [vec![[13i16, -5]; 200], vec![[26i16, -10]; 200]].concat();
        assert!(cost(2, 20, &vectors).unwrap() < 200.0);
    }

    #[test]
    fn illegal_fields_are_refused() {
        let mut encoder = Encoder::new();
        assert!(encode(&mut encoder, 2, 3, &[[0, 0]; 7]).is_err());
        assert!(encode(&mut encoder, 1, 1, &[[MAX_COMPONENT + 1, 0]]).is_err());
        assert!(cost(1, 1, &[[0, i16::MIN]]).is_err());
    }
}
