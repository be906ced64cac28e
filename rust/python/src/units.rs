//! What the bitstream is made of: the sequence header, and a class for each kind of unit.

use numpy::{PyArray2, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use ui2c_core::bitstream::{self, Content, End, Entry};

use crate::arguments::{fraction, number};
use crate::errors::convert;

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<SequenceHeader>()?;
    m.add_class::<Unit>()?;
    m.add_class::<SequenceUnit>()?;
    m.add_class::<CodedUnit>()?;
    m.add_class::<MetadataUnit>()?;
    m.add_class::<EndUnit>()?;
    m.add_class::<IndexUnit>()?;
    m.add_class::<UnknownUnit>()
}

/// What holds for the whole sequence.
#[pyclass(module = "ui2c._core", frozen)]
pub struct SequenceHeader(pub bitstream::SequenceHeader);

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

/// One unit and where it was found; what it says is in the class of its kind.
#[pyclass(module = "ui2c._core", frozen, get_all, subclass)]
pub struct Unit {
    offset: u64,
    size: u64,
}

/// The sequence header, or its repetition.
#[pyclass(module = "ui2c._core", frozen, get_all, extends = Unit)]
struct SequenceUnit {
    header: Py<SequenceHeader>,
}

/// An intra or inter unit.
#[pyclass(module = "ui2c._core", frozen, get_all, extends = Unit)]
struct CodedUnit {
    intra: bool,
    frame: u64,
    qp: u8,
    motion_step: u8,
    log2_lanes: u8,
    shown: u8,
    feature_hash: Option<u32>,
    ticks: Option<Py<PyTuple>>,
    stream: Py<PyBytes>,
}

/// A note.
#[pyclass(module = "ui2c._core", frozen, get_all, extends = Unit)]
struct MetadataUnit {
    key: String,
    value: String,
}

/// The totals of the sequence.
#[pyclass(module = "ui2c._core", frozen, get_all, extends = Unit)]
struct EndUnit {
    frames: u64,
    units: u64,
    feature_hash: Option<u32>,
}

/// The random-access points.
#[pyclass(module = "ui2c._core", frozen, extends = Unit)]
struct IndexUnit(Vec<Entry>);

#[pymethods]
impl IndexUnit {
    #[getter]
    fn entries<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<u64>>> {
        index(py, &self.0)
    }
}

/// An ancillary unit that this version does not know.
#[pyclass(module = "ui2c._core", frozen, extends = Unit)]
struct UnknownUnit;

/// The unit as an object of the class of its kind.
pub fn typed(py: Python<'_>, unit: bitstream::Unit) -> PyResult<Bound<'_, Unit>> {
    let base = PyClassInitializer::from(Unit { offset: unit.offset, size: unit.size });
    Ok(match unit.content {
        Content::Sequence(header) => {
            let header = Py::new(py, SequenceHeader(header))?;
            Bound::new(py, base.add_subclass(SequenceUnit { header }))?.into_super()
        }
        Content::Coded { frame, unit } => {
            Bound::new(py, base.add_subclass(CodedUnit::new(py, frame, unit)?))?.into_super()
        }
        Content::Metadata { key, value } => {
            Bound::new(py, base.add_subclass(MetadataUnit { key, value }))?.into_super()
        }
        Content::End(End { frames, units, feature_hash }) => {
            let end = EndUnit { frames, units, feature_hash };
            Bound::new(py, base.add_subclass(end))?.into_super()
        }
        Content::Index(entries) => {
            Bound::new(py, base.add_subclass(IndexUnit(entries)))?.into_super()
        }
        Content::Unknown => Bound::new(py, base.add_subclass(UnknownUnit))?.into_super(),
    })
}

impl CodedUnit {
    fn new(py: Python<'_>, frame: u64, unit: bitstream::CodedUnit) -> PyResult<Self> {
        let ticks = unit.ticks.map(|ticks| PyTuple::new(py, ticks).map(Bound::unbind));
        Ok(Self {
            intra: unit.intra,
            frame,
            qp: unit.qp,
            motion_step: unit.motion_step,
            log2_lanes: unit.log2_lanes,
            shown: unit.shown,
            feature_hash: unit.feature_hash,
            ticks: ticks.transpose()?,
            stream: PyBytes::new(py, &unit.stream).unbind(),
        })
    }
}

/// Offset and number of the first frame of each entry, `[entries, 2]`.
pub fn index<'py>(py: Python<'py>, entries: &[Entry]) -> PyResult<Bound<'py, PyArray2<u64>>> {
    let array = PyArray2::zeros(py, [entries.len(), 2], false);
    let mut values = array.try_readwrite()?;
    let rows = values.as_slice_mut()?.chunks_exact_mut(2);
    rows.zip(entries).for_each(|(row, entry)| row.copy_from_slice(&[entry.offset, entry.frame]));
    drop(values);
    Ok(array)
}
