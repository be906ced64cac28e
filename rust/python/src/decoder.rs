//! Whole streams.

use std::sync::Arc;

use numpy::Element;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use ui2c_core::bitstream::{self, CodedUnit};
use ui2c_core::decoder::{self, Engines, Native, Options, UnitDecoder};
use ui2c_core::motion::Sample;
use ui2c_core::unit::{Geometry, Picture, Samples};
use ui2c_core::{Error, Result};

use crate::arrays::{borrow_planes, to_numpy};
use crate::errors::{convert, convert_shared, foreign};
use crate::network::Model;
use crate::stream::Limits;
use crate::units::SequenceHeader;

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<Decoder>()
}

/// Push decoder: feed bytes as they come, take frames as they complete.
#[pyclass(module = "ui2c._core")]
struct Decoder(decoder::Decoder<Finder>);

type Frame<'py> = (u64, i128, Bound<'py, PyAny>);

#[pymethods]
impl Decoder {
    /// `find` gives a stream's networks, given its header: a Model, or what decodes units elsewhere.
    #[new]
    #[pyo3(signature = (find, *, limits = None, verify = true, skip = false, threads = None))]
    fn new(
        find: Py<PyAny>,
        limits: Option<&Limits>,
        verify: bool,
        skip: bool,
        threads: Option<usize>,
    ) -> Self {
        let limits = limits.map_or_else(Default::default, |limits| limits.0);
        let options = Options { limits, verify, skip };
        Self(decoder::Decoder::new(Finder { find, threads }, options))
    }

    fn feed(&mut self, py: Python<'_>, data: &[u8]) -> PyResult<()> {
        py.detach(|| self.0.feed(data)).map_err(convert)
    }

    /// Says that no more bytes follow.
    fn close(&mut self) {
        self.0.close();
    }

    /// What is fed next comes from there, a random-access point.
    #[pyo3(signature = (offset, *, frame, last_pts))]
    fn seek(&mut self, offset: u64, frame: u64, last_pts: i128) -> PyResult<()> {
        self.0.seek(offset, frame, last_pts).map_err(convert)
    }

    /// Number, time and planes of the next frame; None when more bytes are needed, or after close()
    /// when all is decoded.
    fn next_frame<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Frame<'py>>> {
        let frame = py.detach(|| self.0.next_frame());
        let Some(frame) = frame.map_err(|error| convert_shared(&error))? else { return Ok(None) };
        let planes = match frame.picture {
            Samples::Bytes(picture) => picture_to_numpy(py, picture)?,
            Samples::Words(picture) => picture_to_numpy(py, picture)?,
        };
        Ok(Some((frame.number, frame.pts, planes)))
    }

    #[getter]
    fn closed(&self) -> bool {
        self.0.is_closed()
    }

    #[getter]
    fn header(&self) -> Option<SequenceHeader> {
        self.0.header().cloned().map(SequenceHeader)
    }

    #[getter]
    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let metadata = PyDict::new(py);
        for (key, value) in self.0.metadata() {
            metadata.set_item(key, value)?;
        }
        Ok(metadata)
    }

    #[getter]
    fn lost(&self) -> Vec<(u64, Option<u64>)> {
        self.0.lost().to_vec()
    }

    #[getter]
    fn damage(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let error = self.0.damage()?;
        Some(convert_shared(error).into_value(py).into_any())
    }
}

fn picture_to_numpy<S: Sample + Element>(
    py: Python<'_>,
    picture: Picture<S>,
) -> PyResult<Bound<'_, PyAny>> {
    let sizes = [0, 1, 2].map(|k| picture.size(k)).map(|(width, height)| [height, width]);
    Ok(to_numpy(py, picture.into_samples(), sizes)?.into_pyobject(py)?.into_any())
}

/// Asks Python for the networks of a stream.
struct Finder {
    find: Py<PyAny>,
    threads: Option<usize>,
}

impl Engines for Finder {
    type Engine = Engine;

    fn find(&mut self, header: &bitstream::SequenceHeader) -> Result<Engine> {
        Python::attach(|py| {
            let found = self.find.bind(py).call1((SequenceHeader(header.clone()),));
            let found = found.map_err(|error| foreign(py, error))?;
            Ok(match found.cast::<Model>() {
                Ok(model) => Engine::Native(Native::new(Arc::clone(&model.get().0), self.threads)),
                Err(_) => Engine::Foreign(found.unbind()),
            })
        })
    }
}

enum Engine {
    Native(Native),
    /// A Python object: see `ForeignUnits` of `_core.pyi`.
    Foreign(Py<PyAny>),
}

impl decoder::Engine for Engine {
    fn frames_per_unit(&self) -> Result<u8> {
        match self {
            Self::Native(native) => native.frames_per_unit(),
            Self::Foreign(units) => attribute(units, "frames_per_unit"),
        }
    }

    fn work_space(&self, geometry: &Geometry) -> Result<u64> {
        match self {
            Self::Native(native) => native.work_space(geometry),
            Self::Foreign(units) => attribute(units, "work_space"),
        }
    }

    fn open(&self, geometry: Geometry) -> Result<Box<dyn UnitDecoder>> {
        match self {
            Self::Native(native) => native.open(geometry),
            Self::Foreign(units) => {
                let units = Python::attach(|py| units.clone_ref(py));
                Ok(Box::new(ForeignUnits { units, geometry, digest: 0 }))
            }
        }
    }
}

fn attribute<T: TryFrom<u64>>(units: &Py<PyAny>, name: &str) -> Result<T> {
    Python::attach(|py| {
        let value = units.bind(py).getattr(name).and_then(|value| value.extract::<u64>());
        let value = value.map_err(|error| foreign(py, error))?;
        let what = || Error::InvalidArgument { what: format!("{name}: {value} is out of range") };
        T::try_from(value).map_err(|_| what())
    })
}

/// Units that are decoded in Python.
struct ForeignUnits {
    units: Py<PyAny>,
    geometry: Geometry,
    digest: u32,
}

impl UnitDecoder for ForeignUnits {
    fn decode(&mut self, unit: &CodedUnit) -> Result<Vec<Samples>> {
        Python::attach(|py| self.call(py, unit).map_err(|error| foreign(py, error)))
    }

    fn digest(&self) -> u32 {
        self.digest
    }
}

impl ForeignUnits {
    fn call(&mut self, py: Python<'_>, unit: &CodedUnit) -> PyResult<Vec<Samples>> {
        let options = PyDict::new(py);
        options.set_item("qp", unit.qp)?;
        options.set_item("intra", unit.intra)?;
        options.set_item("motion_step", unit.motion_step)?;
        options.set_item("log2_lanes", unit.log2_lanes)?;
        let stream = PyBytes::new(py, &unit.stream);
        let decoded = self.units.bind(py).call_method("decode", (stream,), Some(&options))?;
        let shown: Vec<[Bound<'_, PyAny>; 3]> = decoded.getattr("shown")?.extract()?;
        if shown.len() < usize::from(unit.shown) {
            let what = format!("{} frames in a unit of {}", unit.shown, shown.len());
            return Err(convert(Error::Corrupt { offset: 0, what }));
        }
        self.digest = decoded.getattr("feature_hash")?.extract()?;
        let shown = shown.iter().take(unit.shown.into());
        if self.geometry.bit_depth == 8 {
            shown.map(|planes| self.picture::<u8>(planes).map(Samples::Bytes)).collect()
        } else {
            shown.map(|planes| self.picture::<u16>(planes).map(Samples::Words)).collect()
        }
    }

    fn picture<S: Sample + Element>(&self, planes: &[Bound<'_, PyAny>; 3]) -> PyResult<Picture<S>> {
        let Geometry { width, height, .. } = self.geometry;
        let [y, u, v] = borrow_planes::<S>(planes)?;
        let samples = [y.as_slice()?.to_vec(), u.as_slice()?.to_vec(), v.as_slice()?.to_vec()];
        Picture::new(width, height, samples).map_err(convert)
    }
}
