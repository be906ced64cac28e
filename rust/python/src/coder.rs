//! The entropy coder.

use numpy::{
    IntoPyArray, PyArray4, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArrayMethods,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use ui2c_core::cpu::Level;
use ui2c_core::motion::{blocks, field};
use ui2c_core::{postfilter, rans};

use crate::arguments::number;
use crate::arrays::{contiguous, writable};
use crate::blocks::{Blocks, guesses};
use crate::errors::convert;
use crate::motion::field_shape;
use crate::postfilter::{Filters, filter_sets};

/// More cells than the largest picture of the format has at the finest step.
const MAX_CELLS: usize = 4096 * 4096;

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<Tables>()?;
    m.add_class::<RansEncoder>()?;
    m.add_class::<RansDecoder>()?;
    m.add_function(wrap_pyfunction!(cpu_level, m)?)
}

/// The highest level of instructions that is used: "scalar", "avx2", "avx512" or "neon".
#[pyfunction]
fn cpu_level() -> String {
    Level::highest().to_string()
}

/// Integer frequency tables, 12 bits each.
#[pyclass(module = "ui2c._core", frozen)]
pub struct Tables(pub rans::Tables);

#[pymethods]
impl Tables {
    #[new]
    #[pyo3(signature = (frequencies, lengths, skip = 0))]
    fn new(frequencies: &Bound<'_, PyAny>, lengths: &Bound<'_, PyAny>, skip: u8) -> PyResult<Self> {
        let frequencies = contiguous::<u16>(frequencies, "frequencies")?;
        let lengths = contiguous::<u16>(lengths, "lengths")?;
        rans::Tables::new(frequencies.as_slice()?, lengths.as_slice()?, skip)
            .map(Self)
            .map_err(convert)
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }
}

/// Collects segments in decoding order and codes them all into one stream.
#[pyclass(module = "ui2c._core")]
pub struct RansEncoder(rans::Encoder);

#[pymethods]
impl RansEncoder {
    #[new]
    fn new() -> Self {
        Self(rans::Encoder::new())
    }

    /// Adds a segment; `indexes` and `symbols` are of equal size.
    fn put(
        &mut self,
        py: Python<'_>,
        tables: &Tables,
        indexes: &Bound<'_, PyAny>,
        symbols: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let indexes = contiguous::<u8>(indexes, "indexes")?;
        let symbols = contiguous::<i16>(symbols, "symbols")?;
        let (indexes, symbols) = (indexes.as_slice()?, symbols.as_slice()?);
        py.detach(|| self.0.put_slice(&tables.0, indexes, symbols)).map_err(convert)
    }

    /// Adds `count` bits, at most 32, as a segment of their own.
    fn put_bits(&mut self, value: u32, count: u32) -> PyResult<()> {
        self.0.begin_segment();
        self.0.put_bits(value, count).map_err(convert)
    }

    /// Adds a field, int16 `[frames, rows, columns, 2]`: (dx, dy) in quarter samples.
    fn put_motion(&mut self, vectors: &Bound<'_, PyAny>) -> PyResult<()> {
        let vectors = contiguous::<i16>(vectors, "vectors")?;
        let (frames, columns) = field_shape(&vectors)?;
        let (vectors, _) = vectors.as_slice()?.as_chunks::<2>();
        field::encode(&mut self.0, frames, columns, vectors).map_err(convert)
    }

    /// Adds blocks or that there are none; `guesses`, int16 `[rows, columns, 2]`, predict their
    /// vectors, which are in units of `2^shift` quarter samples. Returns the bits that takes.
    fn put_blocks(
        &mut self,
        blocks: Option<&Blocks>,
        guesses: &Bound<'_, PyAny>,
        shift: u32,
    ) -> PyResult<f64> {
        let guesses = self::guesses(guesses)?;
        blocks::encode(&mut self.0, blocks.map(|b| &b.0), &guesses, shift).map_err(convert)
    }

    /// Adds what changes filters from `before`, or one of the `defaults`, to `after`. Returns the bits
    /// that takes.
    fn put_filters(
        &mut self,
        before: &Filters,
        defaults: Vec<Filters>,
        after: &Filters,
    ) -> PyResult<f64> {
        let defaults = filter_sets(defaults);
        postfilter::encode(&mut self.0, &before.0, &defaults, &after.0).map_err(convert)
    }

    /// (log2 of the number of lanes, the stream); lanes by size unless given. Empties self.
    #[pyo3(signature = (log2_lanes = None))]
    fn finish<'py>(
        &mut self,
        py: Python<'py>,
        log2_lanes: Option<i64>,
    ) -> PyResult<(u8, Bound<'py, PyBytes>)> {
        let log2_lanes = log2_lanes.map(|lanes| number(lanes, "log2_lanes")).transpose()?;
        let encoder = std::mem::take(&mut self.0);
        let (log2_lanes, stream) = py.detach(|| encoder.finish(log2_lanes)).map_err(convert)?;
        Ok((log2_lanes, PyBytes::new(py, &stream)))
    }
}

/// Decodes one stream; the calls must mirror the encoder's.
#[pyclass(module = "ui2c._core")]
pub struct RansDecoder(rans::Decoder<'static>);

#[pymethods]
impl RansDecoder {
    #[new]
    fn new(data: &[u8], log2_lanes: i64) -> PyResult<Self> {
        let log2_lanes = number(log2_lanes, "log2_lanes")?;
        rans::Decoder::new(data.to_vec(), log2_lanes).map(Self).map_err(convert)
    }

    /// A segment, int16 in the shape of `indexes`; in `out`, if it is given.
    #[pyo3(signature = (tables, indexes, out = None))]
    fn get<'py>(
        &mut self,
        py: Python<'py>,
        tables: &Tables,
        indexes: &Bound<'py, PyAny>,
        out: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyArrayDyn<i16>>> {
        let indexes = contiguous::<u8>(indexes, "indexes")?;
        let symbols = match out {
            Some(out) => writable::<i16>(out, "out", indexes.shape())?,
            None => PyArrayDyn::<i16>::zeros(py, indexes.shape(), false),
        };
        let mut output = symbols.readwrite();
        let (indexes, output) = (indexes.as_slice()?, output.as_slice_mut()?);
        py.detach(|| self.0.get_slice(&tables.0, indexes, output)).map_err(convert)?;
        Ok(symbols)
    }

    /// A segment of `count` bits, at most 32.
    fn get_bits(&mut self, count: u32) -> PyResult<u32> {
        self.0.begin_segment();
        self.0.get_bits(count).map_err(convert)
    }

    /// A field, int16 `[frames, rows, columns, 2]`.
    fn get_motion<'py>(
        &mut self,
        py: Python<'py>,
        frames: usize,
        rows: usize,
        columns: usize,
    ) -> PyResult<Bound<'py, PyArray4<i16>>> {
        let cells = rows.checked_mul(columns).filter(|&cells| cells <= MAX_CELLS);
        if cells.is_none() || frames > 2 {
            return Err(PyValueError::new_err("frames, rows, columns: too many motion vectors"));
        }
        let vectors = field::decode(&mut self.0, frames, rows, columns).map_err(convert)?;
        let components: Vec<i16> = vectors.into_iter().flatten().collect();
        components.into_pyarray(py).reshape([frames, rows, columns, 2])
    }

    /// Blocks, or None; the rest as in `put_blocks`.
    fn get_blocks(&mut self, guesses: &Bound<'_, PyAny>, shift: u32) -> PyResult<Option<Blocks>> {
        let cells = self::guesses(guesses)?;
        let &[rows, columns, _] = guesses.extract::<PyReadonlyArrayDyn<'_, i16>>()?.shape() else {
            unreachable!("three axes")
        };
        let blocks = blocks::decode(&mut self.0, rows, columns, &cells, shift);
        Ok(blocks.map_err(convert)?.map(Blocks))
    }

    /// The filters that follow `before`.
    fn get_filters(&mut self, before: &Filters, defaults: Vec<Filters>) -> PyResult<Filters> {
        let filters = postfilter::decode(&mut self.0, &before.0, &filter_sets(defaults));
        filters.map(Filters).map_err(convert)
    }

    /// Raises CorruptError unless everything was consumed and all lanes are at their end.
    fn finish(&self) -> PyResult<()> {
        self.0.finish().map_err(convert)
    }
}
