//! Products of bytes for instructions that sum two of them in 16 bits.
//!
//! To add these sums in 32 bits takes two instructions. So a few groups' sums, a *run*, are added in
//! 16 bits first, as many as are sure to fit. Inputs have an offset, so that the sums in 16 bits wrap;
//! what the offset adds is taken away while they are still such, and the rest fits if the weights of
//! each sum are at most [`LARGEST_SUM`] together.

use super::super::simd::ShortSums;
use super::TILE;
use super::product::{Finish, Panel, Product, dequantise_two, load_two};
use super::quantise::{Int8, stride};

/// Of the magnitudes of weights: inputs are 127 at most.
const LARGEST_SUM: u32 = i16::MAX as u32 / 127;

/// Most groups of a run: as many as have their weights in registers.
const LONGEST: usize = 4;

/// How the groups of each panel are divided.
#[derive(Default)]
pub(super) struct Runs {
    /// Groups of each run.
    lengths: Vec<u8>,
    /// Runs of each panel.
    counts: Vec<usize>,
    /// What makes up for the offset of inputs: `[runs][2][lanes]`, two of 16 bits each.
    centres: Vec<i32>,
}

impl Runs {
    /// Of `weights`, `[panels][groups][2 · lanes]`, four bytes each.
    pub(super) fn new(weights: &[i32], groups: usize, panel: usize, offset: i32) -> Self {
        let mut runs = Self::default();
        for weights in weights.chunks_exact(groups * panel) {
            let before = runs.lengths.len();
            let mut rest = weights;
            while !rest.is_empty() {
                let length = longest_run(rest, panel);
                let (run, others) = rest.split_at(length * panel);
                runs.lengths.push(length as u8);
                runs.centres.extend(centres(run, panel, offset));
                rest = others;
            }
            runs.counts.push(runs.lengths.len() - before);
        }
        runs
    }
}

/// How many of the first groups can be one run.
fn longest_run(weights: &[i32], panel: usize) -> usize {
    let mut sums = vec![[0; 2]; panel];
    let fits = |group: &&[i32]| {
        sums.iter_mut().zip(*group).all(|(sums, four)| {
            let four = four.to_le_bytes().map(|w| u32::from((w as i8).unsigned_abs()));
            *sums = [sums[0] + four[0] + four[1], sums[1] + four[2] + four[3]];
            sums.iter().all(|&sum| sum <= LARGEST_SUM)
        })
    };
    // Two weights of 7 bits always fit.
    weights.chunks_exact(panel).take(LONGEST).take_while(fits).count()
}

fn centres(run: &[i32], panel: usize, offset: i32) -> Vec<i32> {
    let of_output = |n: usize| {
        let sums = run[n..].iter().step_by(panel).fold([0; 2], |sums, four| {
            let four = four.to_le_bytes().map(|w| i32::from(w as i8));
            [sums[0] + four[0] + four[1], sums[1] + four[2] + four[3]]
        });
        let [low, high] = sums.map(|sum| -offset * sum);
        // They wrap.
        high << 16 | low & 0xffff
    };
    (0..panel).map(of_output).collect()
}

impl<F: Finish> Product<'_, Int8, F> {
    /// Run by run.
    #[inline(always)]
    pub(in super::super) fn by_runs<S: ShortSums>(self, s: S) {
        let Self { layer, quantised, steps, finish, .. } = self;
        let stride = stride(layer.inputs);
        assert!(steps.len() <= TILE && quantised.len() >= steps.len() * stride);
        let mut sums = [[s.zeros(); 2]; TILE];
        let sums = &mut sums[..steps.len()];
        let mut lengths = layer.runs.lengths.iter();
        let mut centres = layer.runs.centres.chunks_exact(2 * S::LANES);
        for (number, &count) in layer.runs.counts.iter().enumerate() {
            let panel = Panel::new::<S>(layer, number);
            sums.fill([s.zeros(); 2]);
            let mut group = 0;
            for (&length, centre) in lengths.by_ref().zip(centres.by_ref()).take(count) {
                let run = Run {
                    weights: &panel.weights[2 * S::LANES * group..],
                    centre,
                    inputs: &quantised[4 * group..],
                    stride,
                };
                group += usize::from(length);
                // SAFETY: the groups are the layer's, and the rows are as many as the sums.
                unsafe {
                    match length {
                        1 => run.add_to::<S, 1>(s, sums),
                        2 => run.add_to::<S, 2>(s, sums),
                        3 => run.add_to::<S, 3>(s, sums),
                        _ => run.add_to::<S, LONGEST>(s, sums),
                    }
                }
            }
            // SAFETY: scales and biases are of a panel; the rest is what the product's constructor
            // was promised.
            unsafe {
                let scale = load_two(s, panel.scale.as_ptr());
                let bias = load_two(s, panel.bias.as_ptr());
                for (position, (&sums, &step)) in sums.iter().zip(steps).enumerate() {
                    let y = dequantise_two(s, sums, s.splat(step), scale, bias);
                    finish.finish(s, position, number, y);
                }
            }
        }
    }
}

struct Run<'a> {
    /// From the first group on: `[groups][2][lanes]`
    weights: &'a [i32],
    /// `[2][lanes]`
    centre: &'a [i32],
    /// From the first group on.
    inputs: &'a [u8],
    stride: usize,
}

impl Run<'_> {
    /// # Safety
    /// There are weights of `K` groups, and inputs of as many positions as there are sums.
    #[inline(always)]
    unsafe fn add_to<S: ShortSums, const K: usize>(&self, s: S, sums: &mut [[S::Integers; 2]]) {
        // SAFETY: what the caller promises.
        unsafe {
            let load =
                |from: *const i32| [s.load_integers(from), s.load_integers(from.add(S::LANES))];
            let centre = load(self.centre.as_ptr());
            let weights: [_; K] =
                std::array::from_fn(|k| load(self.weights.as_ptr().add(2 * S::LANES * k)));
            let mut inputs = self.inputs.as_ptr();
            for sums in sums {
                let mut short = centre;
                for (k, w) in weights.iter().enumerate() {
                    let x = s.splat_group(inputs.add(4 * k));
                    short[0] = s.add_words(short[0], s.mul_bytes(x, w[0]));
                    short[1] = s.add_words(short[1], s.mul_bytes(x, w[1]));
                }
                sums[0] = s.add_pairs(sums[0], short[0]);
                sums[1] = s.add_pairs(sums[1], short[1]);
                // Never read beyond the last position.
                inputs = inputs.wrapping_add(self.stride);
            }
        }
    }
}
