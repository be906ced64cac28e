//! The product of a tile's positions with a layer's weights, and what is done with its sums.

use std::marker::PhantomData;

use super::super::simd::{Simd, Task};
use super::TILE;
use super::pack::Panels;
use super::quantise::{Int8, Kind, stride};
use super::with_group;

/// What becomes of the outputs of a product.
pub(in super::super) trait Finish: Copy {
    /// Takes the two vectors of a panel at a position.
    ///
    /// # Safety
    /// The position is below as many as the constructor was told of.
    unsafe fn finish<S: Simd>(self, s: S, position: usize, panel: usize, y: [S::Floats; 2]);
}

/// The product of quantised inputs, rows of [`stride`] bytes.
pub(in super::super) struct Product<'a, K, F> {
    pub(super) layer: &'a Panels,
    pub(super) quantised: &'a [u8],
    pub(super) steps: &'a [f32],
    pub(super) finish: F,
    kind: PhantomData<K>,
}

impl<'a, K: Kind, F: Finish> Product<'a, K, F> {
    /// Of as many positions as there are steps.
    ///
    /// # Safety
    /// `finish` takes that many positions, and all outputs of the layer.
    pub(super) unsafe fn new(
        layer: &'a Panels,
        quantised: &'a [u8],
        steps: &'a [f32],
        finish: F,
    ) -> Self {
        Self { layer, quantised, steps, finish, kind: PhantomData }
    }
}

impl<K: Kind, F: Finish> Task for Product<'_, K, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        K::multiply(s, self);
    }
}

impl<K: Kind, F: Finish> Product<'_, K, F> {
    /// Group by group.
    #[inline(always)]
    pub(in super::super) fn by_groups<S: Simd>(self, s: S) {
        let positions = self.steps.len();
        let stride = stride(self.layer.inputs);
        assert!(self.quantised.len() >= positions * stride);
        for panel in 0..self.layer.panels::<S>() {
            let panel = Panel::new::<S>(self.layer, panel);
            let mut first = 0;
            while first < positions {
                let group = (positions - first).min(S::GROUP);
                let quantised = &self.quantised[first * stride..(first + group) * stride];
                let steps = &self.steps[first..first + group];
                // SAFETY: the rows and steps are of as many positions as the group's; the rest is
                // what the constructor was promised.
                with_group!(group, P => unsafe {
                    multiply::<S, K, F, P>(s, &panel, quantised, stride, steps, self.finish, first)
                });
                first += group;
            }
        }
    }
}

pub(super) struct Panel<'a> {
    number: usize,
    /// `[groups][2][lanes]`
    pub(super) weights: &'a [i32],
    /// `[2][lanes]`, as the following
    start: &'a [i32],
    pub(super) scale: &'a [f32],
    pub(super) bias: &'a [f32],
}

impl<'a> Panel<'a> {
    #[inline(always)]
    pub(super) fn new<S: Simd>(layer: &'a Panels, number: usize) -> Self {
        let outputs = number * 2 * S::LANES..(number + 1) * 2 * S::LANES;
        let weights = outputs.start * layer.groups..outputs.end * layer.groups;
        Self {
            number,
            weights: &layer.weights[weights],
            start: &layer.start[outputs.clone()],
            scale: &layer.scale[outputs.clone()],
            bias: &layer.bias[outputs],
        }
    }
}

/// # Safety
/// There are `P` rows, each as long as the weights say, and steps; `finish` takes the positions.
#[inline(always)]
unsafe fn multiply<S: Simd, K: Kind, F: Finish, const P: usize>(
    s: S,
    panel: &Panel,
    quantised: &[u8],
    stride: usize,
    steps: &[f32],
    finish: F,
    first: usize,
) {
    // SAFETY: what the caller promises.
    unsafe {
        let sums = sums::<S, K, P>(s, panel.weights, panel.start, quantised, stride);
        let scale = load_two(s, panel.scale.as_ptr());
        let bias = load_two(s, panel.bias.as_ptr());
        for p in 0..P {
            let y = dequantise_two(s, sums[p], s.splat(steps[p]), scale, bias);
            finish.finish(s, first + p, panel.number, y);
        }
    }
}

/// # Safety
/// Two vectors can be read.
#[inline(always)]
pub(super) unsafe fn load_two<S: Simd>(s: S, from: *const f32) -> [S::Floats; 2] {
    // SAFETY: what the caller promises.
    unsafe { [s.load(from), s.load(from.add(S::LANES))] }
}

#[inline(always)]
pub(super) fn dequantise_two<S: Simd>(
    s: S,
    sums: [S::Integers; 2],
    step: S::Floats,
    scale: [S::Floats; 2],
    bias: [S::Floats; 2],
) -> [S::Floats; 2] {
    let dequantise = |k: usize| s.add(s.mul(s.mul(s.to_floats(sums[k]), step), scale[k]), bias[k]);
    [dequantise(0), dequantise(1)]
}

/// # Safety
/// There are `P` rows, each as long as the weights say.
#[inline(always)]
unsafe fn sums<S: Simd, K: Kind, const P: usize>(
    s: S,
    weights: &[i32],
    start: &[i32],
    quantised: &[u8],
    stride: usize,
) -> [[S::Integers; 2]; P] {
    let groups = weights.len() / (2 * S::LANES);
    // SAFETY: weights and starts are of two vectors; the rest is what the caller promises.
    unsafe {
        let start = start.as_ptr();
        let mut sums = [[s.load_integers(start), s.load_integers(start.add(S::LANES))]; P];
        let mut weights = weights.as_ptr();
        let mut inputs = quantised.as_ptr();
        for _ in 0..groups {
            let w = [s.load_integers(weights), s.load_integers(weights.add(S::LANES))];
            for (p, sums) in sums.iter_mut().enumerate() {
                let x = s.splat_group(inputs.add(p * stride));
                sums[0] = K::dot(s, sums[0], x, w[0]);
                sums[1] = K::dot(s, sums[1], x, w[1]);
            }
            weights = weights.add(2 * S::LANES);
            inputs = inputs.add(4);
        }
        sums
    }
}

/// `x · clamp(x + 0.5, 0, 1)`.
#[inline(always)]
fn activate<S: Simd>(s: S, x: S::Floats) -> S::Floats {
    s.mul(x, s.min(s.max(s.add(x, s.splat(0.5)), s.splat(0.0)), s.splat(1.0)))
}

/// Rows of outputs, `channels` apart.
#[derive(Clone, Copy)]
struct Rows {
    to: *mut f32,
    channels: usize,
}

impl Rows {
    fn new(to: &mut [f32], channels: usize, positions: usize) -> Self {
        assert!(to.len() >= positions * channels);
        Self { to: to.as_mut_ptr(), channels }
    }

    /// # Safety
    /// The position is one of as many as there are rows; there are whole vectors of channels.
    #[inline(always)]
    unsafe fn put<S: Simd>(self, s: S, position: usize, channel: usize, y: S::Floats) {
        if channel < self.channels {
            // SAFETY: what the caller promises; it was asserted that the rows are there.
            unsafe { s.store(self.to.add(position * self.channels + channel), y) };
        }
    }
}

/// Stores the outputs, of any number.
#[derive(Clone, Copy)]
pub(super) struct Store(Rows);

impl Store {
    pub(super) fn new(to: &mut [f32], channels: usize, positions: usize) -> Self {
        Self(Rows::new(to, channels, positions))
    }
}

impl Finish for Store {
    #[inline(always)]
    unsafe fn finish<S: Simd>(self, s: S, position: usize, panel: usize, y: [S::Floats; 2]) {
        for (k, y) in y.into_iter().enumerate() {
            let channel = (2 * panel + k) * S::LANES;
            if channel + S::LANES <= self.0.channels {
                // SAFETY: what the caller promises.
                unsafe { self.0.put(s, position, channel, y) };
            } else if channel < self.0.channels {
                let mut lanes = [0.0; 16];
                // SAFETY: no vector has more lanes, and as many are copied as the row has left.
                unsafe {
                    s.store(lanes.as_mut_ptr(), y);
                    let to = self.0.to.add(position * self.0.channels + channel);
                    lanes.as_ptr().copy_to_nonoverlapping(to, self.0.channels - channel);
                }
            }
        }
    }
}

/// Stores the activated outputs.
#[derive(Clone, Copy)]
pub(super) struct Activate(Rows);

impl Activate {
    /// `channels` must be whole vectors.
    pub(super) fn new(to: &mut [f32], channels: usize, positions: usize) -> Self {
        Self(Rows::new(to, channels, positions))
    }
}

impl Finish for Activate {
    #[inline(always)]
    unsafe fn finish<S: Simd>(self, s: S, position: usize, panel: usize, y: [S::Floats; 2]) {
        for (k, y) in y.into_iter().enumerate() {
            // SAFETY: what the caller promises.
            unsafe { self.0.put(s, position, (2 * panel + k) * S::LANES, activate(s, y)) };
        }
    }
}

/// Adds the activated halves of the outputs, of panels in folded order, and stores the sum.
#[derive(Clone, Copy)]
pub(super) struct Fold(Rows);

impl Fold {
    /// `channels`, half the layer's outputs, must be whole vectors.
    pub(super) fn new(to: &mut [f32], channels: usize, positions: usize) -> Self {
        Self(Rows::new(to, channels, positions))
    }
}

impl Finish for Fold {
    #[inline(always)]
    unsafe fn finish<S: Simd>(self, s: S, position: usize, panel: usize, y: [S::Floats; 2]) {
        let sum = s.add(activate(s, y[0]), activate(s, y[1]));
        // SAFETY: what the caller promises.
        unsafe { self.0.put(s, position, panel * S::LANES, sum) };
    }
}

/// Adds the outputs to other rows and stores the sum.
#[derive(Clone, Copy)]
pub(super) struct Add {
    from: *const f32,
    to: Rows,
}

impl Add {
    /// `channels` must be whole vectors.
    pub(super) fn new(from: &[f32], to: &mut [f32], channels: usize, positions: usize) -> Self {
        assert!(from.len() >= positions * channels);
        Self { from: from.as_ptr(), to: Rows::new(to, channels, positions) }
    }
}

impl Finish for Add {
    #[inline(always)]
    unsafe fn finish<S: Simd>(self, s: S, position: usize, panel: usize, y: [S::Floats; 2]) {
        for (k, y) in y.into_iter().enumerate() {
            let channel = (2 * panel + k) * S::LANES;
            if channel < self.to.channels {
                // SAFETY: what the caller promises; it was asserted that the rows are there.
                unsafe {
                    let x = s.load(self.from.add(position * self.to.channels + channel));
                    self.to.put(s, position, channel, s.add(x, y));
                }
            }
        }
    }
}

/// Products of all panels with the positions of a tile, `times` over, without what is done before
/// and after; gives the number of positions.
pub(in super::super) struct Bare<'a> {
    pub(in super::super) layer: &'a Panels,
    pub(in super::super) times: usize,
}

impl Task for Bare<'_> {
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> usize {
        let Self { layer, times } = self;
        let quantised = vec![1; TILE * stride(layer.inputs)];
        let mut y = vec![0.0; TILE * layer.outputs];
        for _ in 0..times {
            let finish = Store::new(&mut y, layer.outputs, TILE);
            // SAFETY: `finish` was told of these positions and outputs.
            s.run(unsafe { Product::<Int8, _>::new(layer, &quantised, &[1.0; TILE], finish) });
            std::hint::black_box(&mut y);
        }
        times * TILE
    }
}
