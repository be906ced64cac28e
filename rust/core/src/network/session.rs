//! The networks at work on one sequence: integers in, integers out.

use std::sync::Arc;

use rayon::prelude::*;

use super::alignment::align;
use super::config::{FRAMES, QUALITIES, STAGES, frame_rows};
use super::float::{DefaultEnvironment, round};
use super::map::Map;
use super::model::{LARGEST_INDEX, Model};
use super::packing::{FRAME_CHANNELS, Planes, check, pack, unpack};
use super::stages::decided;
use crate::bitstream::crc32c;
use crate::motion::{Field, Sample};
use crate::{Error, Result};

/// Elements with a table below this are not coded: they are all but surely zero.
const SKIP: u8 = 2;

/// Largest magnitude of a symbol that an encoder makes.
const LARGEST_SYMBOL: f32 = 2047.0;

/// Holds the feature and the unit at hand, no more.
///
/// For every unit first [`begin`](Self::begin); then an encoder calls
/// [`analyse`](Self::analyse); then both sides call [`scales`](Self::scales), an encoder
/// [`quantise`](Self::quantise), both [`synthesise`](Self::synthesise), and
/// [`frame`](Self::frame) for the frames they want. Another order is an
/// [`Error::InvalidArgument`], as sizes are that do not fit. All planes are of the coded size.
pub struct Session {
    model: Arc<Model>,
    width: usize,
    height: usize,
    bit_depth: u32,
    state: State,
    unit: Option<Unit>,
}

/// What is kept between two units.
#[derive(Clone, Default)]
pub struct State(Start);

#[derive(Clone, Default)]
enum Start {
    #[default]
    Nothing,
    Feature(Arc<Map>),
    /// A packed frame that stands for it.
    Picture(Arc<Map>),
}

struct Unit {
    rows: [usize; FRAMES],
    intra: bool,
    /// Table of each channel of z.
    hyper_index: Vec<u8>,
    /// Until the unit is synthesised.
    known: Option<Known>,
    /// The latent that was analysed.
    analysed: Option<Map>,
    parameters: Option<Parameters>,
    /// The latent in steps.
    latent: Option<Map>,
    decoded: Option<Decoded>,
}

/// What the networks know of a unit before its latents.
struct Known {
    tap: Map,
    context: Map,
}

/// What the prior says of y, `[height/16, width/16, latent]` each.
struct Parameters {
    step: Map,
    index: Vec<u8>,
    /// Of the elements of the first stage.
    mean: Map,
    /// What all of it has to say to the later stages.
    said: Map,
}

/// What frames are made from, beside the feature.
struct Decoded {
    detail: Map,
    gates: Map,
}

impl Session {
    /// For pictures of that coded size, both sides multiples of 16.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for other sizes, or bit depths beyond 8 … 16.
    pub fn new(model: Arc<Model>, width: usize, height: usize, bit_depth: u32) -> Result<Self> {
        let fits = |size: usize| size.is_multiple_of(16) && (16..=65_535).contains(&size);
        if !fits(width) || !fits(height) || !(8..=16).contains(&bit_depth) {
            return Err(Error::invalid(format!(
                "no session is for {width} x {height} at {bit_depth} bits"
            )));
        }
        Ok(Self { model, width, height, bit_depth, state: State::default(), unit: None })
    }

    /// Begins a unit.
    ///
    /// `known` is what is known of each frame before the latents: the blank picture for nothing.
    pub fn begin<S: Sample>(
        &mut self,
        qp: usize,
        intra: bool,
        field: &Field,
        known: &[Planes<S>; FRAMES],
    ) -> Result<()> {
        if qp >= QUALITIES {
            return Err(Error::invalid(format!("a qp of {qp}")));
        }
        self.check_planes(known)?;
        // What was kept of the unit before takes as much room as this one.
        self.unit = None;
        let codec = &self.model.codec;
        let adapted = match &self.state.0 {
            _ if intra => {
                let grey = Map::zeros(self.height / 8, self.width / 8, FRAME_CHANNELS);
                grey.through_block(&codec.image_adaptor)
            }
            Start::Picture(picture) => Map::clone(picture).through_block(&codec.image_adaptor),
            Start::Feature(feature) if field.step() == 0 => feature.through(&codec.feature_adaptor),
            Start::Feature(feature) => {
                self.check_field(field)?;
                align(feature, field).through(&codec.feature_adaptor)
            }
            Start::Nothing => {
                return Err(Error::invalid("an inter unit needs the feature of one before it"));
            }
        };
        let rows = frame_rows(qp, intra);
        let tap = {
            let prediction = pack(known, None, self.bit_depth).through(&codec.prediction_in);
            adapted.plus(&prediction)
        };
        let tap = tap.through_blocks(&codec.extractor_1);
        let context = tap.clone().through_blocks(&codec.extractor_2);
        let tap = tap.scaled(&codec.feature_gains.shares(rows));
        self.unit = Some(Unit {
            rows,
            intra,
            hyper_index: self.model.hyper_index(qp, intra).to_vec(),
            known: Some(Known { tap, context }),
            analysed: None,
            parameters: None,
            latent: None,
            decoded: None,
        });
        Ok(())
    }

    /// Table of every element of z.
    pub fn hyper_scales(&self) -> Result<Vec<u8>> {
        let (height, width) = self.hyper_size();
        Ok(self.unit()?.hyper_index.repeat(height * width))
    }

    /// Symbols of z, of the unit's frames less what an encoder expects of them.
    pub fn analyse<S: Sample>(
        &mut self,
        frames: &[Planes<S>; FRAMES],
        expected: &[Planes<S>; FRAMES],
    ) -> Result<Vec<i16>> {
        self.check_planes(frames)?;
        self.check_planes(expected)?;
        let (codec, unit) = (&self.model.codec, self.unit()?);
        let residual = pack(frames, Some(expected), self.bit_depth);
        let linear = residual
            .unshuffled()
            .through(&codec.linear_in)
            .scaled(&codec.linear_in_gains.shares(unit.rows));
        let h = residual.through(&codec.encoder_in).beside(&unit.known()?.context);
        let h = h.through_blocks(&codec.encoder).scaled(&codec.encoder_gains.shares(unit.rows));
        let y = h.unshuffled().through(&codec.encoder_down).plus(&linear);
        let prior = &self.model.prior;
        let h = y.padded(4).through_block(&prior.hyper_encode_1).unshuffled();
        let h = h.through(&prior.hyper_down_1).through_block(&prior.hyper_encode_2);
        let z = h.unshuffled().through(&prior.hyper_down_2);
        let tables = unit.hyper_index.iter().cycle();
        let symbols = z.data.iter().zip(tables).map(|(&z, &table)| symbol(z, table)).collect();
        self.unit_mut()?.analysed = Some(y);
        Ok(symbols)
    }

    /// Table of every element of y, given z's symbols.
    pub fn scales(&mut self, z: &[i16]) -> Result<Vec<u8>> {
        let (height, width) = self.hyper_size();
        let channels = self.model.config.hyper;
        check_count("z", z, height * width * channels)?;
        let (prior, unit) = (&self.model.prior, self.unit()?);
        let z = Map { height, width, channels, data: z.iter().map(|&z| z.into()).collect() };
        let h = z.through(&prior.hyper_up_1).shuffled().through_block(&prior.hyper_decode_1);
        let h = h.through(&prior.hyper_up_2).shuffled().through_block(&prior.hyper_decode_2);
        let temporal = unit.known()?.tap.unshuffled().through(&prior.temporal_down);
        let temporal = temporal.through_block(&prior.temporal);
        let h = h.cropped(temporal.height, temporal.width).beside(&temporal);
        let raw = h.through_blocks(&prior.fusion).through(&prior.fusion_out);
        let parameters = Parameters::new(&raw, raw.through(&prior.spatial_parameters));
        let scales = parameters.index.clone();
        self.unit_mut()?.parameters = Some(parameters);
        Ok(scales)
    }

    /// Symbols of y, of the frames that were analysed.
    pub fn quantise(&mut self) -> Result<Vec<i16>> {
        let unit = self.unit()?;
        let (Some(y), Some(parameters)) = (&unit.analysed, &unit.parameters) else {
            return Err(Error::invalid("nothing was analysed, or its scales not asked for"));
        };
        let (step, index) = (&parameters.step.data, &parameters.index);
        let (symbols, latent) = self.decide(parameters, |element, mean| {
            symbol(y.data[element] / step[element] - mean, index[element])
        });
        self.unit_mut()?.latent = Some(latent);
        Ok(symbols)
    }

    /// Makes the unit's feature from y's symbols, unless given those just quantised.
    pub fn synthesise(&mut self, y: Option<&[i16]>) -> Result<()> {
        let unit = self.unit()?;
        let Some(parameters) = &unit.parameters else {
            return Err(Error::invalid("the scales of y were not asked for"));
        };
        let mut y = match (y, &unit.latent) {
            (Some(y), _) => {
                check_count("y", y, parameters.index.len())?;
                self.decide(parameters, |element, _| y[element]).1
            }
            (None, Some(latent)) => latent.clone(),
            (None, None) => return Err(Error::invalid("the symbols of y are missing")),
        };
        y.change_rows(|row, y| {
            y.iter_mut().zip(parameters.step.row(row)).for_each(|(y, step)| *y *= step);
        });
        let (rows, intra) = (unit.rows, unit.intra);

        // Nothing fails from here on; what is not needed any more makes room.
        let unit = self.unit_mut()?;
        let Known { context, .. } = unit.known.take().ok_or_else(synthesised)?;
        (unit.analysed, unit.parameters, unit.latent) = (None, None, None);
        self.state = State::default();
        let codec = &self.model.codec;
        let h = y.through(&codec.decoder_up).shuffled();
        let h = h.scaled(&codec.decoder_gains.shares(rows)).beside(&context);
        drop(context);
        let feature = h.through_blocks(&codec.decoder);
        let y = y.scaled(&codec.linear_out_gains.shares(rows));
        let detail = y.through(&codec.linear_out).shuffled();
        let mut gates = feature.through(&codec.gate);
        gates.change_rows(|_, gates| {
            for gate in gates {
                *gate = if intra { 1.0 } else { (*gate + 0.5).clamp(0.0, 1.0) };
            }
        });
        self.state = State(Start::Feature(Arc::new(feature)));
        self.unit_mut()?.decoded = Some(Decoded { detail, gates });
        Ok(())
    }

    /// The decoded frame of the unit whose prediction is `base`: Y, U and V.
    pub fn frame<S: Sample>(&self, index: usize, base: &Planes<S>) -> Result<[Vec<S>; 3]> {
        if index >= FRAMES {
            return Err(Error::invalid(format!("frame {index} of a unit")));
        }
        self.check_planes(std::slice::from_ref(base))?;
        let unit = self.unit()?;
        let (Some(decoded), Start::Feature(feature)) = (&unit.decoded, &self.state.0) else {
            return Err(Error::invalid("the unit was not synthesised"));
        };
        let codec = &self.model.codec;
        let h = Map::clone(feature).through_blocks(&codec.heads[index]);
        let h = h.scaled(codec.head_gains[index].row(unit.rows[index]));
        let mut frame = h.through(&codec.heads_out[index]);
        let base = pack(std::slice::from_ref(base), None, self.bit_depth);
        frame.change_rows(|y, frame| {
            let details = decoded.detail.row(y).chunks_exact(FRAMES * FRAME_CHANNELS);
            let gates = decoded.gates.row(y).chunks_exact(FRAMES);
            let positions = frame.chunks_exact_mut(FRAME_CHANNELS).zip(details).zip(gates);
            let bases = base.row(y).chunks_exact(FRAME_CHANNELS);
            for (((frame, detail), gates), base) in positions.zip(bases) {
                let detail = &detail[index * FRAME_CHANNELS..];
                for ((x, detail), base) in frame.iter_mut().zip(detail).zip(base) {
                    *x = (*x + detail) * gates[index] + base;
                }
            }
        });
        Ok(unpack(&frame, self.bit_depth))
    }

    /// CRC-32C of the feature: equal wherever the same stream was decoded. 0 if there is none.
    pub fn digest(&self) -> u32 {
        let Start::Feature(feature) = &self.state.0 else { return 0 };
        feature.data.chunks(1 << 12).fold(0, |crc, part| {
            // Zeros of both signs are the same number.
            let bytes: Vec<u8> = part.iter().flat_map(|x| (x + 0.0).to_le_bytes()).collect();
            crc32c(&bytes, crc)
        })
    }

    /// The state between two units; nothing changes it afterwards.
    pub fn save(&self) -> State {
        self.state.clone()
    }

    /// Goes on from such a state, of a session for as large pictures.
    pub fn restore(&mut self, state: State) -> Result<()> {
        if let Start::Feature(map) | Start::Picture(map) = &state.0
            && (8 * map.width, 8 * map.height) != (self.width, self.height)
        {
            return Err(Error::invalid("the state is one of pictures of another size"));
        }
        (self.state, self.unit) = (state, None);
        Ok(())
    }

    /// Goes on from a picture that stands for the feature.
    pub fn restore_picture<S: Sample>(&mut self, picture: &Planes<S>) -> Result<()> {
        self.check_planes(std::slice::from_ref(picture))?;
        let packed = pack(std::slice::from_ref(picture), None, self.bit_depth);
        (self.state, self.unit) = (State(Start::Picture(Arc::new(packed))), None);
        Ok(())
    }

    /// Symbols of all elements and the latent in steps, stage by stage.
    ///
    /// `symbol_of` gives that of an element, which has some mean.
    fn decide(
        &self,
        parameters: &Parameters,
        symbol_of: impl Fn(usize, f32) -> i16 + Sync,
    ) -> (Vec<i16>, Map) {
        let prior = &self.model.prior;
        let Map { height, width, channels, .. } = parameters.step;
        let mut symbols = vec![0; height * width * channels];
        let mut latent = Map::zeros(height, width, channels);
        let row = width * channels;
        for stage in 0..STAGES {
            let later;
            let mean = match stage.checked_sub(1) {
                None => &parameters.mean,
                Some(mark) => {
                    let mark = &prior.stage_marks[mark * channels..(mark + 1) * channels];
                    later = self.later_mean(latent.clone(), mark, &parameters.said);
                    &later
                }
            };
            let rows = symbols.par_chunks_mut(row).zip(latent.data.par_chunks_mut(row));
            rows.enumerate().for_each(|(y, (symbols, latent))| {
                let _environment = DefaultEnvironment::enter();
                for x in 0..width {
                    for channel in decided(stage, y, x, channels) {
                        let (here, element) =
                            (x * channels + channel, y * row + x * channels + channel);
                        let mean = mean.data[element];
                        let symbol = symbol_of(element, mean);
                        let place = usize::from(parameters.index[element]);
                        symbols[here] = symbol;
                        latent[here] = value(symbol, &prior.offsets[2 * place..]) + mean;
                    }
                }
            });
        }
        (symbols, latent)
    }

    /// Means in a stage after the first, given the latent as far as known, else zero.
    fn later_mean(&self, mut known: Map, mark: &[f32], said: &Map) -> Map {
        let prior = &self.model.prior;
        known.change_rows(|_, row| {
            for position in row.chunks_exact_mut(mark.len()) {
                position.iter_mut().zip(mark).for_each(|(known, mark)| *known += mark);
            }
        });
        let h = known.through(&prior.spatial_known).plus(said);
        h.through_blocks(&prior.spatial).through(&prior.spatial_out)
    }

    fn hyper_size(&self) -> (usize, usize) {
        (self.height.div_ceil(64), self.width.div_ceil(64))
    }

    fn unit(&self) -> Result<&Unit> {
        self.unit.as_ref().ok_or_else(|| Error::invalid("no unit was begun"))
    }

    fn unit_mut(&mut self) -> Result<&mut Unit> {
        self.unit.as_mut().ok_or_else(|| Error::invalid("no unit was begun"))
    }

    fn check_planes<S: Sample>(&self, frames: &[Planes<S>]) -> Result<()> {
        if !S::BIT_DEPTHS.contains(&self.bit_depth) {
            return Err(Error::invalid(format!("samples of this type at {} bits", self.bit_depth)));
        }
        frames.iter().try_for_each(|planes| check(planes, self.width, self.height))
    }

    fn check_field(&self, field: &Field) -> Result<()> {
        let cells = |size: usize| size.div_ceil(field.step());
        let size = (cells(self.height), cells(self.width));
        if (field.rows(), field.columns()) != size || !(1..=FRAMES).contains(&field.frames()) {
            return Err(Error::invalid("the motion field is not one of such a unit"));
        }
        Ok(())
    }
}

impl Unit {
    fn known(&self) -> Result<&Known> {
        self.known.as_ref().ok_or_else(synthesised)
    }
}

fn synthesised() -> Error {
    Error::invalid("the unit was synthesised already")
}

impl Parameters {
    /// `raw` is `[height, width, 3 · latent]`: quantiser steps, scale indexes and means.
    fn new(raw: &Map, said: Map) -> Self {
        let c = raw.channels / 3;
        let part = |k: usize, change: fn(f32) -> f32| {
            Map::of_rows(raw.height, raw.width, c, |y, row| {
                let positions = raw.row(y).chunks_exact(3 * c);
                for (to, from) in row.chunks_exact_mut(c).zip(positions) {
                    let from = &from[k * c..(k + 1) * c];
                    to.iter_mut().zip(from).for_each(|(to, from)| *to = change(*from));
                }
            })
        };
        let index = part(1, |x| round((x * 10.0 + 22.0).clamp(0.0, f32::from(LARGEST_INDEX))));
        Self {
            step: part(0, |x| (x + 1.0).clamp(0.5, 4.0)),
            index: index.data.into_iter().map(|index| index as u8).collect(),
            mean: part(2, |x| x),
            said,
        }
    }
}

/// The nearest symbol, if the element is coded.
fn symbol(x: f32, table: u8) -> i16 {
    if table < SKIP {
        return 0;
    }
    round(x.clamp(-LARGEST_SYMBOL, LARGEST_SYMBOL)) as i16
}

/// What a symbol stands for, before its mean: less than itself, by the offset of 1 or of others.
fn value(symbol: i16, offsets: &[f32]) -> f32 {
    let offset = if symbol.unsigned_abs() > 1 { offsets[1] } else { offsets[0] };
    f32::from(symbol) - f32::from(symbol.signum()) * offset
}

fn check_count(name: &str, symbols: &[i16], count: usize) -> Result<()> {
    if symbols.len() != count {
        return Err(Error::invalid(format!("{} symbols of {name}, not {count}", symbols.len())));
    }
    Ok(())
}
