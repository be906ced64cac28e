//! How the encoder finds blocks. Not normative: any are legal.

use super::apply::{Samples, displaced};
use super::code::{Beside, Walk, best_class, mode, units};
use super::tables::{mode_bits, mode_table};
use super::{Blend, Blocks, CELL, Cell, check_shift, in_units};
use crate::error::{Error, Result};
use crate::motion::Vector;
use crate::motion::compensate::check_depth;
use crate::motion::plane::{Plane, Sample};
use crate::motion::search::block::small_blocks;
use crate::motion::search::cost::Cost;
use crate::motion::search::input::to_8_bits;
use crate::motion::search::pyramid::Pyramid;
use crate::motion::wide::wide;

/// Cells whose whole error is worth fewer bits than this are not tried: nearly all of them remain.
const FEWEST_BITS: f32 = 50.0;
/// Frequencies by which modes are priced before it is known which fit best.
const FIRST_CLASS: u8 = 1;
/// Steps of a walk by whole samples.
const WALK: usize = 4;
const AROUND: [(i16, i16); 8] =
    [(0, -1), (-1, 0), (1, 0), (0, 1), (-1, -1), (1, -1), (-1, 1), (1, 1)];
/// Largest component, in quarter samples; beyond it a match is by chance.
const REACH: i32 = 1023;

/// The blocks from `other` that make `base` most like `source`; none if they are not worth their
/// bits.
///
/// All are luma planes of one size. `lagrangian` is the price of a bit in squared 8-bit code
/// values. Vectors are multiples of `2^shift` quarter samples, shift 0, 1 or 2. `guesses`, in quarter
/// samples, one for each cell, predict vectors where no neighbour does. The result predicts: an error
/// is worth `trust` times the bits that its coding may take.
///
/// # Errors
/// `InvalidArgument` for planes of several sizes or an argument out of range.
#[expect(clippy::too_many_arguments, reason = "all of them are needed")]
pub fn search<S: Sample>(
    source: Plane<S>,
    base: Plane<S>,
    other: Plane<S>,
    guesses: &[Vector],
    bit_depth: u32,
    lagrangian: f32,
    shift: u32,
    trust: f32,
) -> Result<Option<Blocks>> {
    check_depth::<S>(bit_depth)?;
    if !(lagrangian.is_finite() && lagrangian > 0.0) {
        return Err(Error::invalid(format!("lagrangian must be positive, not {lagrangian}")));
    }
    if !(trust.is_finite() && trust > 0.0) {
        return Err(Error::invalid(format!("trust must be positive, not {trust}")));
    }
    check_shift(shift)?;
    let (width, height) = (source.width(), source.height());
    if [base, other].iter().any(|p| (p.width(), p.height()) != (width, height)) {
        return Err(Error::invalid(format!("planes must all be {width} x {height}")));
    }
    let planes = [source, base, other].map(|plane| to_8_bits(&plane, bit_depth).into_owned());
    let [source, base, other] = [0, 1, 2].map(|k| Plane::new(width, height, &planes[k]));
    let (rows, columns) = (height.div_ceil(CELL), width.div_ceil(CELL));
    let guesses = in_units(guesses, rows * columns, shift)?;
    let (source, base, other) = (source?, base?, other?);
    let search = Search { source, base, other, lagrangian, shift, trust, rows, columns };
    Ok(search.run(&guesses))
}

struct Search<'a> {
    source: Plane<'a, u8>,
    base: Plane<'a, u8>,
    other: Plane<'a, u8>,
    lagrangian: f32,
    shift: u32,
    trust: f32,
    rows: usize,
    columns: usize,
}

/// What was found for a cell.
struct Found {
    index: usize,
    /// What can become of it, and what the error is then worth.
    candidates: [(Cell, f32); 5],
}

/// What a block should be like. For a mean, twice the source less the base: the mean is half as far
/// from the source as the block from this.
struct Target {
    samples: Samples,
    edge: usize,
    blend: Blend,
}

impl Search<'_> {
    fn run(&self, guesses: &[[i32; 2]]) -> Option<Blocks> {
        let kept: Vec<f32> = (0..self.rows * self.columns).map(|i| self.error(i)).collect();
        let least = self.least();
        if kept.iter().all(|&error| error < least) {
            return None;
        }
        let cost = Cost::new(self.lagrangian);
        let matches = small_blocks(&Pyramid::new(&self.other), &Pyramid::new(&self.source), cost);
        let mut walk = Walk::new(self.columns, guesses.to_vec());
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
        let class = best_class(&Blocks { rows: self.rows, columns: self.columns, cells });
        let mut walk = Walk::new(self.columns, guesses.to_vec());
        let mut cells = vec![Cell::Kept; kept.len()];
        for tried in &found {
            cells[tried.index] = self.choose(tried, &mut walk, class);
        }
        let some = cells.iter().any(|cell| !cell.is_kept());
        some.then_some(Blocks { rows: self.rows, columns: self.columns, cells })
    }

    /// Worth of an error that is too small to be looked at.
    fn least(&self) -> f32 {
        self.lagrangian * (self.trust * FEWEST_BITS)
    }

    /// What the error of a cell is worth as it is.
    fn error(&self, index: usize) -> f32 {
        let (x, y) = (index % self.columns * CELL, index / self.columns * CELL);
        let end = (x + CELL).min(self.source.width());
        let mut sum = 0;
        for row in y..(y + CELL).min(self.source.height()) {
            let pairs = self.source.row(row)[x..end].iter().zip(&self.base.row(row)[x..end]);
            sum += pairs.map(|(&a, &b)| i32::from(a.abs_diff(b)).pow(2)).sum::<i32>();
        }
        self.worth(sum as f32, (CELL * CELL) as f32)
    }

    /// What becomes of a cell beside those that have been chosen, modes priced by their class.
    fn choose(&self, found: &Found, walk: &mut Walk, class: u8) -> Cell {
        let index = found.index;
        let table = mode_table(class, walk.context(index));
        let price = |cell: &Cell, error: f32, vectors: f32| {
            error + self.lagrangian * (mode_bits(table, mode(cell)) + vectors)
        };
        let mut best = (Cell::Kept, f32::INFINITY);
        for (cell, error) in found.candidates {
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

    /// The best vectors of a cell, of one block and of four, for a mean and alone.
    fn find(&self, index: usize, kept: f32, matches: &[Vector], walk: &mut Walk) -> Found {
        let (row, column) = (index / self.columns, index % self.columns);
        let stride = self.source.width().div_ceil(CELL / 2);
        let rows = matches.len() / stride;
        let at = |part: usize| {
            let (r, c) = (2 * row + part / 2, 2 * column + part % 2);
            matches[r.min(rows - 1) * stride + c.min(stride - 1)].map(|c| 4 * c)
        };
        let corner = [column * CELL, row * CELL];
        let mut candidates = [(Cell::Kept, kept); 5];
        for (k, blend) in [Blend::Mean, Blend::Replace].into_iter().enumerate() {
            let beside = walk.beside(index, 0, &Cell::Whole(blend, [0; 2]));
            let mut guesses: Vec<Vector> = (0..4).map(at).collect();
            guesses.extend(beside.vectors().map(|v| self.vector(v)));
            guesses.push(self.vector(walk.guess(index)));
            guesses.push([0; 2]);
            let (whole, error) = self.best(corner, CELL, blend, &beside, &guesses);
            candidates[1 + 2 * k] = (Cell::Whole(blend, whole), error);
            if error.min(kept) < 0.5 * self.least() {
                continue;
            }
            let template = Cell::Quarters(blend, [[0; 2]; 4]);
            let (mut quarters, mut total) = ([[0; 2]; 4], 0.0);
            for (part, quarter) in quarters.iter_mut().enumerate() {
                let beside = walk.beside(index, part, &template);
                let mut guesses = vec![whole, at(part)];
                guesses.extend(beside.vectors().map(|v| self.vector(v)));
                let corner = [corner[0] + part % 2 * CELL / 2, corner[1] + part / 2 * CELL / 2];
                let (vector, error) = self.best(corner, CELL / 2, blend, &beside, &guesses);
                *quarter = vector;
                total += error;
                walk.set(index, part, &template, units(vector, self.shift));
            }
            walk.clear(index);
            candidates[2 + 2 * k] = (Cell::Quarters(blend, quarters), total);
        }
        Found { index, candidates }
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
        blend: Blend,
        beside: &Beside,
        guesses: &[Vector],
    ) -> (Vector, f32) {
        let target = self.target(corner, edge, blend);
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
        for (step, places, times) in [(4i16, 4, WALK), (2, 8, 1), (1, 8, 1)] {
            if step < 1 << self.shift {
                break;
            }
            for _ in 0..times {
                let centre = best.0;
                for &(dx, dy) in &AROUND[..places] {
                    attempt([centre[0] + dx * step, centre[1] + dy * step], &mut best);
                }
                if best.0 == centre {
                    break;
                }
            }
        }
        (best.0, best.2)
    }

    fn target(&self, corner: [usize; 2], edge: usize, blend: Blend) -> Target {
        let mut samples = [0; CELL * CELL];
        for (y, out) in samples.chunks_exact_mut(CELL).take(edge).enumerate() {
            // Beyond the picture edge samples stand for what is not there.
            let row = (corner[1] + y).min(self.source.height() - 1);
            let (source, base) = (self.source.row(row), self.base.row(row));
            for (x, out) in out.iter_mut().take(edge).enumerate() {
                let column = (corner[0] + x).min(self.source.width() - 1);
                let sample = i32::from(source[column]);
                *out = match blend {
                    Blend::Mean => 2 * sample - i32::from(base[column]),
                    Blend::Replace => sample,
                };
            }
        }
        Target { samples, edge, blend }
    }

    /// What the error with the displaced block is worth.
    fn distance(&self, corner: [usize; 2], target: &Target, vector: Vector) -> f32 {
        let mut block = [0; CELL * CELL];
        displaced(&self.other, corner, target.edge, vector, false, 255, &mut block);
        let mut sum = 0;
        squares(&target.samples, &block, target.edge, &mut sum);
        let share = if target.blend == Blend::Mean { 0.25 } else { 1.0 };
        self.worth(share * sum as f32, (target.edge * target.edge) as f32)
    }

    /// In squared code values, of so many samples.
    fn worth(&self, squares: f32, count: f32) -> f32 {
        self.trust * self.lagrangian * Cost::new(self.lagrangian).residual(squares, count)
    }
}

wide! {
    fn squares(a: &Samples, b: &Samples, edge: usize, sum: &mut i32) {
        for (a, b) in a.chunks_exact(CELL).zip(b.chunks_exact(CELL)).take(edge) {
            *sum += a[..edge].iter().zip(&b[..edge]).map(|(a, b)| (a - b) * (a - b)).sum::<i32>();
        }
    }
}
