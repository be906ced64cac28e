//! The bitstream.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use ui2c_core::bitstream::{self, Content, Entry, Pair};

use crate::arguments::{fraction, number};
use crate::errors::convert;

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<Limits>()?;
    m.add_class::<SequenceHeader>()?;
    m.add_class::<Unit>()?;
    m.add_class::<Writer>()?;
    m.add_class::<Parser>()?;
    m.add_function(wrap_pyfunction!(crc32c, m)?)?;
    m.add_function(wrap_pyfunction!(index_at_end, m)?)
}

/// What a reader is ready to take from a stranger.
#[pyclass(module = "ui2c._core", frozen)]
struct Limits(bitstream::Limits);

#[pymethods]
impl Limits {
    #[new]
    #[pyo3(signature = (
        *,
        max_pixels = None,
        max_unit_bytes = None,
        max_frames = None,
        max_memory = None,
    ))]
    fn new(
        max_pixels: Option<i64>,
        max_unit_bytes: Option<i64>,
        max_frames: Option<i64>,
        max_memory: Option<i64>,
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
}

/// What holds for the whole sequence.
#[pyclass(module = "ui2c._core", frozen)]
struct SequenceHeader(bitstream::SequenceHeader);

#[pymethods]
impl SequenceHeader {
    #[new]
    #[pyo3(signature = (
        *,
        width,
        height,
        bit_depth = 8,
        color_primaries = 2,
        transfer = 2,
        matrix = 2,
        full_range = false,
        timebase = (1, 25),
        frame_ticks = 1,
        sample_aspect = (1, 1),
        frames_per_unit = 2,
        model_id,
    ))]
    #[expect(clippy::too_many_arguments, reason = "all are keywords in Python")]
    fn new(
        width: i64,
        height: i64,
        bit_depth: i64,
        color_primaries: i64,
        transfer: i64,
        matrix: i64,
        full_range: bool,
        timebase: (i64, i64),
        frame_ticks: i64,
        sample_aspect: (i64, i64),
        frames_per_unit: i64,
        model_id: &[u8],
    ) -> PyResult<Self> {
        let header = bitstream::SequenceHeader {
            width: number(width, "width")?,
            height: number(height, "height")?,
            bit_depth: number(bit_depth, "bit_depth")?,
            color_primaries: number(color_primaries, "color_primaries")?,
            transfer: number(transfer, "transfer")?,
            matrix: number(matrix, "matrix")?,
            full_range,
            timebase: fraction(timebase, "timebase")?,
            frame_ticks: number(frame_ticks, "frame_ticks")?,
            sample_aspect: fraction(sample_aspect, "sample_aspect")?,
            frames_per_unit: number(frames_per_unit, "frames_per_unit")?,
            model_id: model_id.try_into().map_err(|_| {
                let what = format!("model_id: {} bytes, want 8", model_id.len());
                convert(ui2c_core::Error::InvalidArgument { what })
            })?,
        };
        header.check().map_err(convert)?;
        Ok(Self(header))
    }

    #[getter]
    fn width(&self) -> u32 {
        self.0.width
    }

    #[getter]
    fn height(&self) -> u32 {
        self.0.height
    }

    #[getter]
    fn bit_depth(&self) -> u8 {
        self.0.bit_depth
    }

    #[getter]
    fn color_primaries(&self) -> u8 {
        self.0.color_primaries
    }

    #[getter]
    fn transfer(&self) -> u8 {
        self.0.transfer
    }

    #[getter]
    fn matrix(&self) -> u8 {
        self.0.matrix
    }

    #[getter]
    fn full_range(&self) -> bool {
        self.0.full_range
    }

    #[getter]
    fn timebase(&self) -> (u32, u32) {
        self.0.timebase
    }

    #[getter]
    fn frame_ticks(&self) -> u32 {
        self.0.frame_ticks
    }

    #[getter]
    fn sample_aspect(&self) -> (u32, u32) {
        self.0.sample_aspect
    }

    #[getter]
    fn frames_per_unit(&self) -> u8 {
        self.0.frames_per_unit
    }

    #[getter]
    fn model_id<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.model_id)
    }
}

/// One unit of the stream. Fields that a kind does not have are None.
#[pyclass(module = "ui2c._core", frozen, get_all)]
#[derive(Default)]
struct Unit {
    kind: &'static str,
    offset: u64,
    size: u64,
    frame: Option<u64>,
    header: Option<Py<SequenceHeader>>,
    qp: Option<u8>,
    cycle: Option<u8>,
    motion_step: Option<u8>,
    log2_lanes: Option<u8>,
    shown: Option<u8>,
    feature_hash: Option<u32>,
    ticks: Option<Py<PyTuple>>,
    stream: Option<Py<PyBytes>>,
    metadata: Option<(String, String)>,
    frames: Option<u64>,
    index: Option<Py<PyTuple>>,
}

impl Unit {
    fn new(py: Python<'_>, unit: bitstream::Unit) -> PyResult<Self> {
        let common =
            Self { offset: unit.offset, size: unit.size, frame: unit.frame, ..Self::default() };
        Ok(match unit.content {
            Content::Sequence(header) => Self {
                kind: "sequence",
                header: Some(Py::new(py, SequenceHeader(header))?),
                ..common
            },
            Content::Pair(pair) => Self {
                kind: if pair.intra { "intra" } else { "inter" },
                qp: Some(pair.qp),
                cycle: Some(pair.cycle),
                motion_step: Some(pair.motion_step),
                log2_lanes: Some(pair.log2_lanes),
                shown: Some(pair.shown),
                feature_hash: pair.feature_hash,
                ticks: pair
                    .ticks
                    .map(|ticks| PyTuple::new(py, ticks).map(Bound::unbind))
                    .transpose()?,
                stream: Some(PyBytes::new(py, &pair.stream).unbind()),
                ..common
            },
            Content::Metadata { key, value } => {
                Self { kind: "metadata", metadata: Some((key, value)), ..common }
            }
            Content::End(end) => Self {
                kind: "end",
                frames: Some(end.frames),
                feature_hash: end.feature_hash,
                ..common
            },
            Content::Index(entries) => {
                Self { kind: "index", index: Some(index(py, entries)?.unbind()), ..common }
            }
            Content::Unknown => Self { kind: "unknown", ..common },
        })
    }
}

fn index(py: Python<'_>, entries: Vec<Entry>) -> PyResult<Bound<'_, PyTuple>> {
    PyTuple::new(py, entries.into_iter().map(|entry| (entry.offset, entry.frame)))
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
        cycle,
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
        cycle: i64,
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
        let pair = Pair {
            intra,
            qp: number(qp, "qp")?,
            cycle: number(cycle, "cycle")?,
            motion_step: number(motion_step, "motion_step")?,
            log2_lanes: number(log2_lanes, "log2_lanes")?,
            shown: number(shown, "shown")?,
            feature_hash: hash(feature_hash)?,
            ticks,
            stream: stream.to_vec(),
        };
        let unit = py.detach(|| self.0.pair(&pair, repeat_header));
        bytes(py, unit)
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
    fn next_unit(&mut self, py: Python<'_>) -> PyResult<Option<Unit>> {
        let unit = py.detach(|| self.0.next_unit()).map_err(convert)?;
        unit.map(|unit| Unit::new(py, unit)).transpose()
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
fn index_at_end<'py>(
    py: Python<'py>,
    tail: &[u8],
    size: i64,
) -> PyResult<Option<Bound<'py, PyTuple>>> {
    let entries = bitstream::index_at_end(tail, number(size, "size")?).map_err(convert)?;
    entries.map(|entries| index(py, entries)).transpose()
}
