//! Parameters of layers as a model file has them, checked.

use crate::{Error, Result};

/// Every float of a model is finite and at most this large in magnitude, and factors of inputs are
/// at least its inverse. With the range of inputs that a pointwise layer takes for other than zero,
/// no value in a network can then become infinite.
pub const LARGEST: f32 = (1 << 20) as f32;

/// Of a layer's outputs.
pub(super) const SMALLEST_SCALE: f32 = f32::from_bits((127 - 40) << 23);

/// Channels come in multiples of this at the input of every layer.
pub const CHANNEL_UNIT: usize = 16;

/// Weights of a pointwise layer, `[outputs][inputs]`.
#[derive(Clone, Debug)]
pub enum Weights {
    /// Inputs of 8 bits, weights of 7: `-63 ..= 63`.
    Int8(Vec<i8>),
    /// Inputs and weights of 12 bits: `-2047 ..= 2047`.
    Wide(Vec<i16>),
}

impl Weights {
    /// Most inputs: sums of 8 bits stay below 2^24, which floats hold; others below 2^31.
    fn most_inputs(&self) -> usize {
        match self {
            Self::Int8(_) => 2096,
            Self::Wide(_) => 512,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Int8(weights) => weights.len(),
            Self::Wide(weights) => weights.len(),
        }
    }

    fn largest(&self) -> (u16, u16) {
        match self {
            Self::Int8(weights) => {
                (weights.iter().map(|w| w.unsigned_abs().into()).max().unwrap_or(0), 63)
            }
            Self::Wide(weights) => {
                (weights.iter().map(|w| w.unsigned_abs()).max().unwrap_or(0), 2047)
            }
        }
    }
}

/// A 1×1 convolution on quantised inputs.
#[derive(Clone, Debug)]
pub struct Pointwise {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) weights: Weights,
    pub(super) scale: Vec<f32>,
    pub(super) bias: Vec<f32>,
    pub(super) equalisation: Vec<f32>,
}

impl Pointwise {
    /// Args: `scale` and `bias` of each output, `equalisation` of each input.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if lengths or values are not those of such a layer.
    pub fn new(
        weights: Weights,
        scale: Vec<f32>,
        bias: Vec<f32>,
        equalisation: Vec<f32>,
    ) -> Result<Self> {
        let (inputs, outputs) = (equalisation.len(), scale.len());
        let most = weights.most_inputs();
        if inputs == 0 || !inputs.is_multiple_of(CHANNEL_UNIT) || inputs > most {
            return Err(Error::invalid(format!(
                "{inputs} inputs; they must be a multiple of {CHANNEL_UNIT} up to {most}"
            )));
        }
        if outputs == 0
            || bias.len() != outputs
            || Some(weights.len()) != inputs.checked_mul(outputs)
        {
            return Err(Error::invalid(format!(
                "{} weights and {} biases for {inputs} inputs and {outputs} outputs",
                weights.len(),
                bias.len()
            )));
        }
        let (largest, limit) = weights.largest();
        if largest > limit {
            return Err(Error::invalid(format!("a weight of {largest}; {limit} is the largest")));
        }
        check_range("scale", &scale, SMALLEST_SCALE)?;
        check_range("equalisation", &equalisation, 1.0 / LARGEST)?;
        check_range("bias", &bias, -LARGEST)?;
        Ok(Self { inputs, outputs, weights, scale, bias, equalisation })
    }

    pub fn inputs(&self) -> usize {
        self.inputs
    }

    pub fn outputs(&self) -> usize {
        self.outputs
    }
}

/// A 3×3 convolution of each channel by itself, zeros outside the picture.
#[derive(Clone, Debug)]
pub struct Depthwise {
    /// `[channels][9]`, rows of the kernel one after the other.
    pub(super) weights: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

impl Depthwise {
    /// # Errors
    /// [`Error::InvalidArgument`] if lengths or values are not those of such a layer.
    pub fn new(weights: Vec<f32>, bias: Vec<f32>) -> Result<Self> {
        if Some(weights.len()) != bias.len().checked_mul(9) {
            return Err(Error::invalid(format!(
                "{} weights of 3×3 for {} channels",
                weights.len(),
                bias.len()
            )));
        }
        check_range("weight", &weights, -LARGEST)?;
        check_range("bias", &bias, -LARGEST)?;
        Ok(Self { weights, bias })
    }

    pub fn channels(&self) -> usize {
        self.bias.len()
    }
}

/// Two residual branches, spatial then channel-wise; an adaptor in front where widths differ.
#[derive(Clone, Debug)]
pub struct Block {
    pub(super) adaptor: Option<Pointwise>,
    pub(super) spatial_in: Pointwise,
    pub(super) spatial: Depthwise,
    pub(super) spatial_out: Pointwise,
    pub(super) mix_in: Pointwise,
    pub(super) mix_out: Pointwise,
}

impl Block {
    /// # Errors
    /// [`Error::InvalidArgument`] if the layers do not fit together, or one inside the branches is
    /// wide.
    pub fn new(
        adaptor: Option<Pointwise>,
        spatial_in: Pointwise,
        spatial: Depthwise,
        spatial_out: Pointwise,
        mix_in: Pointwise,
        mix_out: Pointwise,
    ) -> Result<Self> {
        let c = spatial.channels();
        let layers = [
            ("spatial_in", &spatial_in, c, c),
            ("spatial_out", &spatial_out, c, c),
            ("mix_in", &mix_in, c, 4 * c),
            ("mix_out", &mix_out, 2 * c, c),
        ];
        for (name, layer, inputs, outputs) in layers {
            if (layer.inputs, layer.outputs) != (inputs, outputs) {
                return Err(Error::invalid(format!(
                    "{name} of a block of width {c} takes {} to {} channels",
                    layer.inputs, layer.outputs
                )));
            }
            if matches!(layer.weights, Weights::Wide(_)) {
                return Err(Error::invalid(format!("{name} of a block is wide")));
            }
        }
        if let Some(adaptor) = &adaptor
            && adaptor.outputs != c
        {
            return Err(Error::invalid(format!(
                "the adaptor of a block of width {c} gives {} channels",
                adaptor.outputs
            )));
        }
        Ok(Self { adaptor, spatial_in, spatial, spatial_out, mix_in, mix_out })
    }

    /// Channels of its input.
    pub fn inputs(&self) -> usize {
        self.adaptor.as_ref().map_or(self.channels(), Pointwise::inputs)
    }

    /// Channels of its output.
    pub fn channels(&self) -> usize {
        self.spatial.channels()
    }
}

/// All values from `least` to [`LARGEST`].
pub(super) fn check_range(name: &str, values: &[f32], least: f32) -> Result<()> {
    match values.iter().find(|&value| !(least..=LARGEST).contains(value)) {
        None => Ok(()),
        Some(value) => Err(Error::invalid(format!("{name}: {value} is out of range"))),
    }
}
