//! How the encoder finds backward blocks. Not normative: any are legal.
//!
//! Nothing follows from them, so each is judged by what it does: squared error saved against bits.

use super::apply::{Samples, displaced};
use super::code::{Beside, Walk, best_class, mode, units};
use super::tables::{mode_bits, mode_table};
use super::{Backward, CELL, Cell};
use crate::error::{Error, Result};
use crate::motion::compensate::check_depth;
use crate::motion::plane::{Plane, Sample};
use crate::motion::search::block::small_blocks;
use crate::motion::search::cost::Cost;
use crate::motion::search::pyramid::Pyramid;
use crate::motion::search::to_8_bits;
use crate::motion::wide::wide;
use crate::motion::{Field, Vector};

/// Cells whose whole error is worth fewer bits than this are not tried.
const FEWEST_BITS: f32 = 8.0;
/// Frequencies by which modes are priced before it is known which fit best.
const FIRST_CLASS: u8 = 1;
/// Steps of a walk by whole samples.
const WALK: usize = 4;
/// Largest component, in quarter samples; beyond it a match is by chance.
const REACH: i32 = 1023;

/// The blocks that make `decoded`, the first frame, most like `source` by taking from `last`; none
/// if they are not worth their bits.
///
/// All are luma planes of one size. `lagrangian` is the price of a bit in squared 8-bit code
/// values. Vectors are multiples of `2^shift` quarter samples, shift 0, 1 or 2. The field is the
/// unit's.
///
/// # Errors
/// `InvalidArgument` for planes of several sizes or an argument out of range.
pub fn search<S: Sample>(
    source: Plane<S>,
    decoded: Plane<S>,
    last: Plane<S>,
    field: &Field,
    bit_depth: u32,
    lagrangian: f32,
    shift: u32,
) -> Result<Option<Backward>> {
    check_depth::<S>(bit_depth)?;
    if !(lagrangian.is_finite() && lagrangian > 0.0) {
        return Err(Error::invalid(format!("lagrangian must be positive, not {lagrangian}")));
    }
    if shift > 2 {
        return Err(Error::invalid(format!("motion shift must be 0, 1 or 2, not {shift}")));
    }
    let (width, height) = (source.width(), source.height());
    if [decoded, last].iter().any(|p| (p.width(), p.height()) != (width, height)) {
        return Err(Error::invalid(format!("planes must all be {width} x {height}")));
    }
    let planes = [source, decoded, last].map(|plane| to_8_bits(&plane, bit_depth).into_owned());
    let [source, decoded, last] = [0, 1, 2].map(|k| Plane::new(width, height, &planes[k]));
    let search = Search::new(source?, decoded?, last?, lagrangian, shift);
    Ok(search.run(field))
}

struct Search<'a> {
    source: Plane<'a, u8>,
    decoded: Plane<'a, u8>,
    last: Plane<'a, u8>,
    lagrangian: f32,
    shift: u32,
    rows: usize,
    columns: usize,
}

/// What was found for a cell.
struct Found {
    index: usize,
    /// Squared error of the cell as it is.
    kept: f32,
    whole: (Vector, f32),
    /// With their common error.
    quarters: ([Vector; 4], f32),
}

/// Twice the source less the decoded samples: their mean with a block is as far from the source as
/// half the block's distance from this.
struct Target {
    samples: Samples,
    edge: usize,
}

impl<'a> Search<'a> {
    fn new(
        source: Plane<'a, u8>,
        decoded: Plane<'a, u8>,
        last: Plane<'a, u8>,
        lagrangian: f32,
        shift: u32,
    ) -> Self {
        let (rows, columns) = (source.height().div_ceil(CELL), source.width().div_ceil(CELL));
        Self { source, decoded, last, lagrangian, shift, rows, columns }
    }

    fn run(&self, field: &Field) -> Option<Backward> {
        let kept: Vec<f32> = (0..self.rows * self.columns).map(|i| self.error(i)).collect();
        let least = FEWEST_BITS * self.lagrangian;
        if kept.iter().all(|&error| error < least) {
            return None;
        }
        let cost = Cost::new(self.lagrangian);
        let matches = small_blocks(&Pyramid::new(&self.last), &Pyramid::new(&self.source), cost);
        let mut walk = Walk::new(self.rows, self.columns, field, self.shift);
        let mut found = Vec::new();
        let mut cells = vec![Cell::Kept; kept.len()];
        for (index, &error) in kept.iter().enumerate() {
            if error >= least {
                let tried = self.find(index, error, &matches, &mut walk);
                cells[index] = self.choose(&tried, &mut walk, FIRST_CLASS);
                found.push(tried);
            }
        }
        // Again with the frequencies that will code them.
        let class = best_class(&Backward { rows: self.rows, columns: self.columns, cells });
        let mut walk = Walk::new(self.rows, self.columns, field, self.shift);
        let mut cells = vec![Cell::Kept; kept.len()];
        for tried in &found {
            cells[tried.index] = self.choose(tried, &mut walk, class);
        }
        let some = cells.iter().any(|cell| !cell.is_kept());
        some.then_some(Backward { rows: self.rows, columns: self.columns, cells })
    }

    /// Squared error of a cell as it is.
    fn error(&self, index: usize) -> f32 {
        let (x, y) = (index % self.columns * CELL, index / self.columns * CELL);
        let end = (x + CELL).min(self.source.width());
        let mut sum = 0;
        for row in y..(y + CELL).min(self.source.height()) {
            let pairs = self.source.row(row)[x..end].iter().zip(&self.decoded.row(row)[x..end]);
            sum += pairs.map(|(&a, &b)| i32::from(a.abs_diff(b)).pow(2)).sum::<i32>();
        }
        sum as f32
    }

    /// Bits of a mode where blocks are few, and of the vectors.
    fn choose(&self, found: &Found, walk: &mut Walk, class: u8) -> Cell {
        let index = found.index;
        let table = mode_table(class, walk.context(index));
        let price = |cell: &Cell, error: f32, vectors: f32| {
            error + self.lagrangian * (mode_bits(table, mode(cell)) + vectors)
        };
        let whole = Cell::Whole(found.whole.0);
        let quarters = Cell::Quarters(found.quarters.0);
        let candidates =
            [(Cell::Kept, found.kept), (whole, found.whole.1), (quarters, found.quarters.1)];
        let mut best = (Cell::Kept, f32::INFINITY);
        for (cell, error) in candidates {
            let mut bits = 0.0;
            for (part, vector) in cell.vectors().iter().enumerate() {
                let units = units(*vector, self.shift);
                bits += walk.beside(index, part, &cell).price(units);
                walk.set(index, part, &cell, units);
            }
            walk.clear(index);
            let price = price(&cell, error, bits);
            if price < best.1 {
                best = (cell, price);
            }
        }
        for (part, vector) in best.0.vectors().iter().enumerate() {
            walk.set(index, part, &best.0, units(*vector, self.shift));
        }
        walk.done(index, &best.0);
        best.0
    }

    /// The best vectors of a cell, of one block and of four.
    fn find(&self, index: usize, kept: f32, matches: &[Vector], walk: &mut Walk) -> Found {
        let (row, column) = (index / self.columns, index % self.columns);
        let stride = self.source.width().div_ceil(CELL / 2);
        let rows = matches.len() / stride;
        let at = |part: usize| {
            let (r, c) = (2 * row + part / 2, 2 * column + part % 2);
            matches[r.min(rows - 1) * stride + c.min(stride - 1)].map(|c| 4 * c)
        };
        let corner = [column * CELL, row * CELL];
        let beside = walk.beside(index, 0, &Cell::Whole([0; 2]));
        let mut guesses: Vec<Vector> = (0..4).map(at).collect();
        guesses.extend(beside.vectors().map(|v| self.vector(v)));
        guesses.push(self.vector(walk.derived(index)));
        guesses.push([0; 2]);
        let whole = self.best(corner, CELL, &beside, &guesses);
        let template = Cell::Quarters([[0; 2]; 4]);
        let mut quarters = ([[0; 2]; 4], 0.0);
        for part in 0..4 {
            let beside = walk.beside(index, part, &template);
            let mut guesses = vec![whole.0, at(part)];
            guesses.extend(beside.vectors().map(|v| self.vector(v)));
            let corner = [corner[0] + part % 2 * CELL / 2, corner[1] + part / 2 * CELL / 2];
            let (vector, error) = self.best(corner, CELL / 2, &beside, &guesses);
            quarters.0[part] = vector;
            quarters.1 += error;
            walk.set(index, part, &template, units(vector, self.shift));
        }
        walk.clear(index);
        Found { index, kept, whole, quarters }
    }

    /// From units to quarter samples, within reach.
    fn vector(&self, units: [i32; 2]) -> Vector {
        units.map(|c| (c << self.shift).clamp(-REACH, REACH) as i16 >> self.shift << self.shift)
    }

    /// The best of the guesses, refined: by whole samples, then by halves and quarters.
    fn best(
        &self,
        corner: [usize; 2],
        edge: usize,
        beside: &Beside,
        guesses: &[Vector],
    ) -> (Vector, f32) {
        let target = self.target(corner, edge);
        let mut best = ([0; 2], f32::INFINITY, f32::INFINITY);
        let attempt = |vector: Vector, best: &mut (Vector, f32, f32)| {
            if vector.iter().any(|&c| i32::from(c).abs() > REACH) {
                return;
            }
            let bits = beside.price(units(vector, self.shift));
            if self.lagrangian * bits >= best.1 {
                return;
            }
            let error = self.distance(corner, &target, vector);
            let price = error + self.lagrangian * bits;
            if price < best.1 {
                *best = (vector, price, error);
            }
        };
        for (k, &guess) in guesses.iter().enumerate() {
            if !guesses[..k].contains(&guess) {
                attempt(guess, &mut best);
            }
        }
        for step in [4i16, 2, 1] {
            if step < 1 << self.shift {
                break;
            }
            for _ in 0..if step == 4 { WALK } else { 1 } {
                let centre = best.0;
                for (dx, dy) in
                    [(0, -1), (-1, 0), (1, 0), (0, 1), (-1, -1), (1, -1), (-1, 1), (1, 1)]
                {
                    attempt([centre[0] + dx * step, centre[1] + dy * step], &mut best);
                }
                if best.0 == centre {
                    break;
                }
            }
        }
        (best.0, best.2)
    }

    fn target(&self, corner: [usize; 2], edge: usize) -> Target {
        let mut samples = [0; CELL * CELL];
        for (y, out) in samples.chunks_exact_mut(CELL).take(edge).enumerate() {
            // Beyond the picture edge samples stand for what is not there.
            let row = (corner[1] + y).min(self.source.height() - 1);
            let (source, decoded) = (self.source.row(row), self.decoded.row(row));
            for (x, out) in out.iter_mut().take(edge).enumerate() {
                let column = (corner[0] + x).min(self.source.width() - 1);
                *out = 2 * i32::from(source[column]) - i32::from(decoded[column]);
            }
        }
        Target { samples, edge }
    }

    /// Squared error of the mean with the displaced block.
    fn distance(&self, corner: [usize; 2], target: &Target, vector: Vector) -> f32 {
        let mut block = [0; CELL * CELL];
        displaced(&self.last, corner, target.edge, vector, false, 255, &mut block);
        let mut sum = 0;
        squares(&target.samples, &block, target.edge, &mut sum);
        sum as f32 / 4.0
    }
}

wide! {
    fn squares(a: &Samples, b: &Samples, edge: usize, sum: &mut i32) {
        for (a, b) in a.chunks_exact(CELL).zip(b.chunks_exact(CELL)).take(edge) {
            *sum += a[..edge].iter().zip(&b[..edge]).map(|(a, b)| (a - b) * (a - b)).sum::<i32>();
        }
    }
}
