//! What decodes units.

use std::sync::Arc;

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::work_space::work_space;
use crate::bitstream::{CodedUnit, SequenceHeader};
use crate::model::Model;
use crate::motion::Sample;
use crate::network::FRAMES;
use crate::unit::{self, Geometry, Picture, Samples};
use crate::{Error, Result};

/// Where a stream's networks come from.
pub trait Engines {
    type Engine: Engine;

    /// That for a stream.
    ///
    /// # Errors
    /// `Unsupported` where there is none.
    fn find(&mut self, header: &SequenceHeader) -> Result<Self::Engine>;
}

/// The networks of one model.
pub trait Engine {
    /// Frames of a unit that is no still.
    ///
    /// # Errors
    /// Where it cannot be told.
    fn frames_per_unit(&self) -> Result<u8>;

    /// About how many bytes it takes to decode pictures of that size.
    ///
    /// # Errors
    /// Where it cannot be told.
    fn work_space(&self, geometry: &Geometry) -> Result<u64>;

    /// A decoder for one sequence.
    ///
    /// # Errors
    /// Where it cannot be made.
    fn open(&self, geometry: Geometry) -> Result<Box<dyn UnitDecoder>>;
}

/// Decodes the units of one sequence in order.
pub trait UnitDecoder: Send + Sync {
    /// The shown frames of a unit, each of the size that is shown.
    ///
    /// # Errors
    /// `Corrupt` if the unit is not one of such a sequence; offsets are those in its stream.
    fn decode(&mut self, unit: &CodedUnit) -> Result<Vec<Samples>>;

    /// CRC-32C of the feature after the last unit.
    fn digest(&self) -> u32;
}

/// This crate's own networks.
pub struct Native {
    model: Arc<Model>,
    threads: Option<usize>,
}

impl Native {
    /// On so many threads, or on all of the process.
    pub fn new(model: Arc<Model>, threads: Option<usize>) -> Self {
        Self { model, threads }
    }
}

impl Engine for Native {
    fn frames_per_unit(&self) -> Result<u8> {
        Ok(FRAMES as u8)
    }

    fn work_space(&self, geometry: &Geometry) -> Result<u64> {
        Ok(work_space(self.model.networks().config(), geometry))
    }

    fn open(&self, geometry: Geometry) -> Result<Box<dyn UnitDecoder>> {
        let model = Arc::clone(&self.model);
        let pool = self.threads.map_or(Ok(None), pool)?;
        Ok(if geometry.bit_depth == 8 {
            Box::new(Pooled { decoder: unit::UnitDecoder::<u8>::new(model, geometry)?, pool })
        } else {
            Box::new(Pooled { decoder: unit::UnitDecoder::<u16>::new(model, geometry)?, pool })
        })
    }
}

struct Pooled<S> {
    decoder: unit::UnitDecoder<S>,
    pool: Option<ThreadPool>,
}

impl<S: Sample> UnitDecoder for Pooled<S>
where
    Samples: From<Picture<S>>,
{
    fn decode(&mut self, unit: &CodedUnit) -> Result<Vec<Samples>> {
        let decoder = &mut self.decoder;
        let pictures = match &self.pool {
            Some(pool) => pool.install(|| decoder.decode(unit)),
            None => decoder.decode(unit),
        };
        Ok(pictures?.into_iter().map(Samples::from).collect())
    }

    fn digest(&self) -> u32 {
        self.decoder.digest()
    }
}

/// None where threads cannot be started: WebAssembly has those that were started for it, if any.
fn pool(threads: usize) -> Result<Option<ThreadPool>> {
    if cfg!(target_family = "wasm") {
        return Ok(None);
    }
    let pool = ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map(Some).map_err(|error| Error::Io(std::io::Error::other(error)))
}
