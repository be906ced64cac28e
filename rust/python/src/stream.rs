//! Writing and reading the bitstream.

use numpy::PyArray2;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use ui2c_core::bitstream::{self, CodedUnit};

use crate::arguments::number;
use crate::errors::convert;
use crate::units::{SequenceHeader, Unit, index, typed};

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<Limits>()?;
    m.add_class::<Writer>()?;
    m.add_class::<Parser>()?;
    m.add_function(wrap_pyfunction!(crc32c, m)?)?;
    m.add_function(wrap_pyfunction!(index_at_end, m)?)
}

/// What a reader is ready to take from a stranger.
#[pyclass(module = "ui2c._core", frozen)]
pub struct Limits(pub bitstream::Limits);

#[pymethods]
impl Limits {
    #[new]
    #[pyo3(signature = (
        *,
        max_pixels = None,
        max_unit_bytes = None,
        max_frames = None,
        max_memory = None,
        max_work = None,
    ))]
    fn new(
        max_pixels: Option<i64>,
        max_unit_bytes: Option<i64>,
        max_frames: Option<i64>,
        max_memory: Option<i64>,
        max_work: Option<i64>,
    ) -> PyResult<Self> {
        let mut limits = bitstream::Limits::default();
        if let Some(value) = max_pixels {
            limits.max_pixels = number(value, "max_pixels")?;
        }
        if let Some(value) = max_unit_bytes {
            limits.max_unit_bytes = number(value, "max_unit_bytes")?;
        }
        if let Some(value) = max_frames {
            limits.max_frames = number(value, "max_frames")?;
        }
        if let Some(value) = max_memory {
            limits.max_memory = number(value, "max_memory")?;
        }
        if let Some(value) = max_work {
            limits.max_work = number(value, "max_work")?;
        }
        Ok(Self(limits))
    }

    #[getter]
    fn max_pixels(&self) -> u64 {
        self.0.max_pixels
    }

    #[getter]
    fn max_unit_bytes(&self) -> u64 {
        self.0.max_unit_bytes
    }

    #[getter]
    fn max_frames(&self) -> u64 {
        self.0.max_frames
    }

    #[getter]
    fn max_memory(&self) -> u64 {
        self.0.max_memory
    }

    #[getter]
    fn max_work(&self) -> u64 {
        self.0.max_work
    }
}

/// Turns units into bytes, to be written in the order of the calls; never seeks.
#[pyclass(module = "ui2c._core")]
struct Writer(bitstream::Writer);

#[pymethods]
impl Writer {
    #[new]
    fn new(header: &SequenceHeader) -> PyResult<Self> {
        bitstream::Writer::new(header.0.clone()).map(Self).map_err(convert)
    }

    fn start<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        bytes(py, self.0.start())
    }

    fn metadata<'py>(
        &mut self,
        py: Python<'py>,
        key: &str,
        value: &str,
    ) -> PyResult<Bound<'py, PyBytes>> {
        bytes(py, self.0.metadata(key, value))
    }

    /// An intra or inter unit; `repeat_header` puts the sequence header before an intra unit.
    #[pyo3(signature = (
        *,
        intra,
        qp,
        motion_step,
        log2_lanes,
        shown,
        stream,
        feature_hash = None,
        ticks = None,
        repeat_header = false,
    ))]
    #[expect(clippy::too_many_arguments, reason = "all are keywords in Python")]
    fn unit<'py>(
        &mut self,
        py: Python<'py>,
        intra: bool,
        qp: i64,
        motion_step: i64,
        log2_lanes: i64,
        shown: i64,
        stream: &[u8],
        feature_hash: Option<i64>,
        ticks: Option<Vec<i64>>,
        repeat_header: bool,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let ticks = ticks
            .map(|ticks| ticks.into_iter().map(|ticks| number(ticks, "ticks")).collect())
            .transpose()?;
        let unit = CodedUnit {
            intra,
            qp: number(qp, "qp")?,
            motion_step: number(motion_step, "motion_step")?,
            log2_lanes: number(log2_lanes, "log2_lanes")?,
            shown: number(shown, "shown")?,
            feature_hash: hash(feature_hash)?,
            ticks,
            stream: stream.to_vec(),
        };
        let written = py.detach(|| self.0.unit(&unit, repeat_header));
        bytes(py, written)
    }

    /// End unit and index.
    #[pyo3(signature = (feature_hash = None))]
    fn end<'py>(
        &mut self,
        py: Python<'py>,
        feature_hash: Option<i64>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        bytes(py, self.0.end(hash(feature_hash)?))
    }
}

fn hash(value: Option<i64>) -> PyResult<Option<u32>> {
    value.map(|value| number(value, "feature_hash")).transpose()
}

fn bytes(py: Python<'_>, written: ui2c_core::Result<Vec<u8>>) -> PyResult<Bound<'_, PyBytes>> {
    written.map(|written| PyBytes::new(py, &written)).map_err(convert)
}

/// Push parser: feed bytes as they come, take units as they complete.
#[pyclass(module = "ui2c._core")]
struct Parser(bitstream::Parser);

#[pymethods]
impl Parser {
    #[new]
    #[pyo3(signature = (limits = None))]
    fn new(limits: Option<&Limits>) -> Self {
        Self(bitstream::Parser::new(limits.map_or_else(Default::default, |limits| limits.0)))
    }

    fn feed(&mut self, py: Python<'_>, data: &[u8]) -> PyResult<()> {
        py.detach(|| self.0.feed(data)).map_err(convert)
    }

    /// Says that no more bytes follow: what is incomplete becomes an error in next_unit.
    fn close(&mut self) {
        self.0.close();
    }

    /// The next unit; None when more bytes are needed, or after close() when all is read.
    fn next_unit<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, Unit>>> {
        let unit = py.detach(|| self.0.next_unit()).map_err(convert)?;
        unit.map(|unit| typed(py, unit)).transpose()
    }

    /// After an error: skip to the next random-access unit; False if none is in what was fed.
    fn resync(&mut self, py: Python<'_>) -> bool {
        py.detach(|| self.0.resync())
    }

    /// Jumps: the bytes fed next come from `offset`, a random-access point.
    fn seek(&mut self, offset: i64) -> PyResult<()> {
        self.0.seek(number(offset, "offset")?).map_err(convert)
    }
}

/// CRC-32C of `data` after bytes whose checksum is `initial`.
#[pyfunction]
#[pyo3(signature = (data, initial = 0))]
fn crc32c(py: Python<'_>, data: &[u8], initial: i64) -> PyResult<u32> {
    let initial = number(initial, "initial")?;
    Ok(py.detach(|| bitstream::crc32c(data, initial)))
}

/// The index of a stream of `size` bytes that ends with `tail`; None if there is none, or if
/// `tail` is too short to hold it.
#[pyfunction]
#[pyo3(signature = (tail, size, limits = None))]
fn index_at_end<'py>(
    py: Python<'py>,
    tail: &[u8],
    size: i64,
    limits: Option<&Limits>,
) -> PyResult<Option<Bound<'py, PyArray2<u64>>>> {
    let (size, limits) = (number(size, "size")?, limits.map_or_else(Default::default, |l| l.0));
    let entries = py.detach(|| bitstream::index_at_end(tail, size, &limits)).map_err(convert)?;
    entries.map(|entries| index(py, &entries)).transpose()
}
