//! Networks from a model file.

use std::io::{Cursor, Read, Seek};

use safetensors::Dtype;

use super::config::{Config, FRAMES, QUALITIES, STAGES, base_row, corrupt};
use super::dispatch::Loops;
use super::layers::{BlockLayer, PointwiseLayer};
use super::packing::FRAME_CHANNELS;
use super::parameters::{
    Block, Depthwise, LARGEST, Pointwise, SMALLEST_SCALE, Weights, check_range,
};
use super::tensors::Tensors;
use crate::{Error, Result};

const FORMAT: &str = "ui2c-model 1";
const PROFILE: &str = "int8 1";

/// Largest scale index.
pub(super) const LARGEST_INDEX: u8 = 63;

/// The networks of a codec.
pub struct Model {
    pub(super) config: Config,
    pub(super) codec: Codec,
    pub(super) prior: Prior,
    /// Table of each channel of z: `[2][64][hyper]`, of units that follow another, then of others.
    pub(super) hyper_index: Vec<u8>,
}

pub(super) struct Codec {
    pub(super) image_adaptor: BlockLayer,
    pub(super) feature_adaptor: PointwiseLayer,
    pub(super) prediction_in: PointwiseLayer,
    pub(super) extractor_1: Vec<BlockLayer>,
    pub(super) extractor_2: Vec<BlockLayer>,
    pub(super) encoder_in: PointwiseLayer,
    pub(super) encoder: Vec<BlockLayer>,
    pub(super) encoder_down: PointwiseLayer,
    pub(super) decoder_up: PointwiseLayer,
    pub(super) decoder: Vec<BlockLayer>,
    pub(super) heads: Vec<Vec<BlockLayer>>,
    pub(super) heads_out: Vec<PointwiseLayer>,
    pub(super) linear_in: PointwiseLayer,
    pub(super) linear_out: PointwiseLayer,
    pub(super) gate: PointwiseLayer,
    pub(super) encoder_gains: Bank,
    pub(super) decoder_gains: Bank,
    pub(super) linear_in_gains: Bank,
    pub(super) linear_out_gains: Bank,
    pub(super) feature_gains: Bank,
    pub(super) head_gains: Vec<Bank>,
}

pub(super) struct Prior {
    pub(super) hyper_encode_1: BlockLayer,
    pub(super) hyper_down_1: PointwiseLayer,
    pub(super) hyper_encode_2: BlockLayer,
    pub(super) hyper_down_2: PointwiseLayer,
    pub(super) hyper_up_1: PointwiseLayer,
    pub(super) hyper_decode_1: BlockLayer,
    pub(super) hyper_up_2: PointwiseLayer,
    pub(super) hyper_decode_2: BlockLayer,
    pub(super) temporal_down: PointwiseLayer,
    pub(super) temporal: BlockLayer,
    pub(super) fusion: Vec<BlockLayer>,
    pub(super) fusion_out: PointwiseLayer,
    pub(super) spatial_known: PointwiseLayer,
    pub(super) spatial_parameters: PointwiseLayer,
    pub(super) spatial: Vec<BlockLayer>,
    pub(super) spatial_out: PointwiseLayer,
    /// `[stages - 1][latent]`
    pub(super) stage_marks: Vec<f32>,
    /// By how much symbols of 1, and others, stand for less: `[64][2]`, by scale index.
    pub(super) offsets: Vec<f32>,
}

/// One vector per quality row, `[64][channels]`.
pub(super) struct Bank {
    values: Vec<f32>,
    channels: usize,
}

impl Bank {
    pub(super) fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.channels..][..self.channels]
    }

    /// Each frame's row rules its own share of the channels.
    pub(super) fn shares(&self, rows: [usize; FRAMES]) -> Vec<f32> {
        let share = self.channels / FRAMES;
        let part = |(k, row): (usize, usize)| &self.row(row)[k * share..(k + 1) * share];
        rows.into_iter().enumerate().flat_map(part).copied().collect()
    }
}

impl Model {
    /// Reads the bytes of a model file, for the fastest kernels or certain ones.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for what is no model, whole and in range, [`Error::Unsupported`] for
    /// another format version, numeric profile or kind of network.
    pub fn new(bytes: &[u8], loops: Loops) -> Result<Self> {
        Self::read(&mut Tensors::open(Cursor::new(bytes))?, loops)
    }

    /// The networks in a model file; errors as of [`Self::new`].
    pub(crate) fn read<R: Read + Seek>(tensors: &mut Tensors<R>, loops: Loops) -> Result<Self> {
        for (key, known) in [("format", FORMAT), ("profile", PROFILE)] {
            let found = tensors.entry(key)?;
            if found != known {
                let what = format!("model file of {key} {found:?}; this version reads {known:?}");
                return Err(Error::Unsupported { what });
            }
        }
        let config: Config = serde_json::from_str(tensors.entry("config")?).map_err(corrupt)?;
        config.check()?;
        let mut reader = Reader { tensors, loops };
        let codec = Codec::read(&mut reader, &config)?;
        let prior = Prior::read(&mut reader, &config)?;
        tensors.check_all_used(NETWORKS)?;
        let shape = [2, QUALITIES, config.hyper];
        let hyper_index = tensors.bytes(HYPER_INDEX, Dtype::U8, &shape)?;
        match hyper_index.iter().find(|&&index| index > LARGEST_INDEX) {
            Some(index) => Err(corrupt(format!("{HYPER_INDEX}: no table of z is {index}"))),
            None => Ok(Self { config, codec, prior, hyper_index }),
        }
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Table of each channel of z, in units of a qp below [`QUALITIES`].
    pub fn hyper_index(&self, qp: usize, intra: bool) -> &[u8] {
        let channels = self.config.hyper;
        let from = (usize::from(intra) * QUALITIES + base_row(qp, intra)) * channels;
        &self.hyper_index[from..from + channels]
    }
}

impl Codec {
    fn read<R: Read + Seek>(reader: &mut Reader<'_, R>, config: &Config) -> Result<Self> {
        let (d, y) = (config.trunk, config.latent);
        let frames = FRAMES * FRAME_CHANNELS;
        let mut heads = Vec::new();
        let mut heads_out = Vec::new();
        let mut head_gains = Vec::new();
        for k in 0..FRAMES {
            let depth = config.head_depth;
            heads.push(reader.blocks(&format!("heads.{k}"), d, config.head, depth)?);
            let name = format!("heads_out.{k}");
            heads_out.push(reader.pointwise(&name, config.head, FRAME_CHANNELS)?);
            head_gains.push(reader.bank(&format!("head_gains.{k}"), config.head)?);
        }
        let [first, second] = config.extractor_depths;
        Ok(Self {
            image_adaptor: reader.block("image_adaptor", FRAME_CHANNELS, d)?,
            feature_adaptor: reader.pointwise("feature_adaptor", d, d)?,
            prediction_in: reader.pointwise("prediction_in", frames, d)?,
            extractor_1: reader.blocks("extractor_1", d, d, first)?,
            extractor_2: reader.blocks("extractor_2", d, d, second)?,
            encoder_in: reader.pointwise("encoder_in", frames, d)?,
            encoder: reader.blocks("encoder", 2 * d, d, config.encoder_depth)?,
            encoder_down: reader.pointwise("encoder_down", 4 * d, y)?,
            decoder_up: reader.pointwise("decoder_up", y, 4 * d)?,
            decoder: reader.blocks("decoder", 2 * d, d, config.decoder_depth)?,
            heads,
            heads_out,
            linear_in: reader.pointwise("linear_in", 4 * frames, y)?,
            linear_out: reader.pointwise("linear_out", y, 4 * frames)?,
            gate: reader.pointwise("gate", d, FRAMES)?,
            encoder_gains: reader.bank("encoder_gains", d)?,
            decoder_gains: reader.bank("decoder_gains", d)?,
            linear_in_gains: reader.bank("linear_in_gains", y)?,
            linear_out_gains: reader.bank("linear_out_gains", y)?,
            feature_gains: reader.bank("feature_gains", d)?,
            head_gains,
        })
    }
}

impl Prior {
    fn read<R: Read + Seek>(reader: &mut Reader<'_, R>, config: &Config) -> Result<Self> {
        let (y, z, p) = (config.latent, config.hyper, config.prior);
        let (width, inner) = (config.entropy, 2 * config.entropy);
        Ok(Self {
            hyper_encode_1: reader.block("prior.hyper_encode_1", y, width)?,
            hyper_down_1: reader.pointwise("prior.hyper_down_1", 4 * width, z)?,
            hyper_encode_2: reader.block("prior.hyper_encode_2", z, z)?,
            hyper_down_2: reader.pointwise("prior.hyper_down_2", 4 * z, z)?,
            hyper_up_1: reader.pointwise("prior.hyper_up_1", z, 4 * z)?,
            hyper_decode_1: reader.block("prior.hyper_decode_1", z, z)?,
            hyper_up_2: reader.pointwise("prior.hyper_up_2", z, 4 * width)?,
            hyper_decode_2: reader.block("prior.hyper_decode_2", width, width)?,
            temporal_down: reader.pointwise("prior.temporal_down", 4 * config.trunk, p)?,
            temporal: reader.block("prior.temporal", p, p)?,
            fusion: reader.blocks("prior.fusion", width + p, inner, config.fusion_depth)?,
            fusion_out: reader.pointwise("prior.fusion_out", inner, 3 * y)?,
            spatial_known: reader.pointwise("prior.spatial_known", y, inner)?,
            spatial_parameters: reader.pointwise("prior.spatial_parameters", 3 * y, inner)?,
            spatial: reader.blocks("prior.spatial", inner, inner, config.spatial_depth)?,
            spatial_out: reader.pointwise("prior.spatial_out", inner, y)?,
            stage_marks: reader.floats("prior.stage_marks", &[STAGES - 1, y], -LARGEST)?,
            offsets: reader.floats(
                "prior.offsets",
                &[usize::from(LARGEST_INDEX) + 1, 2],
                -LARGEST,
            )?,
        })
    }
}

/// Reads layers.
struct Reader<'a, R> {
    tensors: &'a mut Tensors<R>,
    loops: Loops,
}

/// What the names of all tensors of the networks begin with.
const NETWORKS: &str = "codec.";

const HYPER_INDEX: &str = "tables.hyper_index";

impl<R: Read + Seek> Reader<'_, R> {
    fn floats(&mut self, name: &str, shape: &[usize], least: f32) -> Result<Vec<f32>> {
        let name = format!("{NETWORKS}{name}");
        let bytes = self.tensors.bytes(&name, Dtype::F32, shape)?;
        let (values, _) = bytes.as_chunks();
        let values: Vec<f32> = values.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        check_range(&name, &values, least).map_err(corrupt)?;
        Ok(values)
    }

    fn bank(&mut self, name: &str, channels: usize) -> Result<Bank> {
        let values = self.floats(&format!("{name}.values"), &[QUALITIES, channels], -LARGEST)?;
        Ok(Bank { values, channels })
    }

    fn parameters(&mut self, name: &str, inputs: usize, outputs: usize) -> Result<Pointwise> {
        let weight = format!("{NETWORKS}{name}.weight");
        let shape = [outputs, inputs];
        let weights = if self.tensors.info(&weight)?.dtype == Dtype::I16 {
            let bytes = self.tensors.bytes(&weight, Dtype::I16, &shape)?;
            let (values, _) = bytes.as_chunks();
            Weights::Wide(values.iter().map(|&bytes| i16::from_le_bytes(bytes)).collect())
        } else {
            let bytes = self.tensors.bytes(&weight, Dtype::I8, &shape)?;
            Weights::Int8(bytes.into_iter().map(|byte| byte as i8).collect())
        };
        let scale = self.floats(&format!("{name}.scale"), &[outputs], SMALLEST_SCALE)?;
        let bias = self.floats(&format!("{name}.bias"), &[outputs], -LARGEST)?;
        let least = 1.0 / LARGEST;
        let equalisation = self.floats(&format!("{name}.equalisation"), &[inputs], least)?;
        let layer = Pointwise::new(weights, scale, bias, equalisation);
        layer.map_err(|error| corrupt(format!("{weight}: {error}")))
    }

    fn pointwise(&mut self, name: &str, inputs: usize, outputs: usize) -> Result<PointwiseLayer> {
        Ok(PointwiseLayer::new(self.parameters(name, inputs, outputs)?, self.loops))
    }

    fn block(&mut self, name: &str, inputs: usize, c: usize) -> Result<BlockLayer> {
        let mut layer = |part: &str, inputs, outputs| {
            self.parameters(&format!("{name}.{part}"), inputs, outputs)
        };
        let adaptor = if inputs == c { None } else { Some(layer("adaptor", inputs, c)?) };
        let spatial_in = layer("spatial_in", c, c)?;
        let spatial_out = layer("spatial_out", c, c)?;
        let mix_in = layer("mix_in", c, 4 * c)?;
        let mix_out = layer("mix_out", 2 * c, c)?;
        let weights = self.floats(&format!("{name}.spatial.weight"), &[c, 1, 3, 3], -LARGEST)?;
        let bias = self.floats(&format!("{name}.spatial.bias"), &[c], -LARGEST)?;
        let block = Depthwise::new(weights, bias).and_then(|spatial| {
            Block::new(adaptor, spatial_in, spatial, spatial_out, mix_in, mix_out)
        });
        let block = block.map_err(|error| corrupt(format!("{NETWORKS}{name}: {error}")))?;
        Ok(BlockLayer::new(block, self.loops))
    }

    /// The first takes `inputs` channels.
    fn blocks(
        &mut self,
        name: &str,
        inputs: usize,
        c: usize,
        depth: usize,
    ) -> Result<Vec<BlockLayer>> {
        let inputs_of = |k| if k == 0 { inputs } else { c };
        (0..depth).map(|k| self.block(&format!("{name}.{k}"), inputs_of(k), c)).collect()
    }
}
