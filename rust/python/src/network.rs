//! Models, and their networks at work.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use numpy::{Element, IntoPyArray, PyArray1, PyArray5, PyArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use ui2c_core::model;
use ui2c_core::motion::{Field, Plane, Sample};
use ui2c_core::network::{self, FRAMES, Loops};
use ui2c_core::postfilter::{CLASSES, DEFAULTS, TAPS};
use ui2c_core::threads::Threads;

use crate::arrays::{Arrays, borrow_planes, contiguous, planes, to_numpy};
use crate::coder::Tables;
use crate::errors::convert;
use crate::motion::field;
use crate::threads::run;

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<Model>()?;
    m.add_class::<Session>()?;
    m.add_class::<SessionState>()?;
    m.add_function(wrap_pyfunction!(network_loops, m)?)
}

/// The kernels that run networks: a level of instructions, and dot products where there are some.
#[pyfunction]
fn network_loops(py: Python<'_>) -> String {
    py.detach(|| Loops::chosen().to_string())
}

/// What is in a model file.
#[pyclass(module = "ui2c._core", frozen)]
pub struct Model(pub Arc<model::Model>);

#[pymethods]
impl Model {
    /// From the bytes of a model file.
    #[new]
    fn new(py: Python<'_>, data: &[u8]) -> PyResult<Self> {
        let model = py.detach(|| model::Model::new(data, Loops::chosen())).map_err(convert)?;
        Ok(Self(Arc::new(model)))
    }

    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let load = || model::Model::read(File::open(path)?, Loops::chosen());
        Ok(Self(Arc::new(py.detach(load).map_err(convert)?)))
    }

    #[getter]
    fn id<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.id())
    }

    #[getter]
    fn profile(&self) -> &str {
        self.0.profile()
    }

    #[getter]
    fn config(&self) -> &str {
        self.0.config()
    }

    #[getter]
    fn card(&self) -> &str {
        self.0.card()
    }

    #[getter]
    fn tables(&self) -> Tables {
        Tables(self.0.tables().clone())
    }

    #[getter]
    fn hyper_tables(&self) -> Tables {
        Tables(self.0.hyper_tables().clone())
    }

    #[getter]
    fn filters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray5<i8>>> {
        let sets = self.0.all_filters();
        let values = sets.iter().flatten().flat_map(|set| set.0.as_flattened().as_flattened());
        let values: Vec<i8> = values.copied().collect();
        values.into_pyarray(py).reshape([sets.len(), DEFAULTS, 3, CLASSES, TAPS])
    }
}

/// The networks at work on one sequence.
#[pyclass(module = "ui2c._core")]
pub struct Session {
    session: network::Session,
    size: [usize; 2],
    bit_depth: u32,
    threads: Threads,
}

/// The state between two units.
#[pyclass(module = "ui2c._core", frozen)]
pub struct SessionState(network::State);

#[pymethods]
impl Session {
    /// For pictures of that coded size, on so many threads or on all of the process.
    #[new]
    #[pyo3(signature = (model, *, width, height, bit_depth, threads = None))]
    fn new(
        model: &Model,
        width: usize,
        height: usize,
        bit_depth: u32,
        threads: Option<usize>,
    ) -> PyResult<Self> {
        let networks = Arc::clone(model.0.networks());
        let session = network::Session::new(networks, width, height, bit_depth).map_err(convert)?;
        Ok(Self { session, size: [height, width], bit_depth, threads: Threads::of(threads) })
    }

    #[pyo3(signature = (*, qp, intra, step, vectors, known))]
    fn begin(
        &mut self,
        py: Python<'_>,
        qp: usize,
        intra: bool,
        step: usize,
        vectors: Option<&Bound<'_, PyAny>>,
        known: Vec<[Bound<'_, PyAny>; 3]>,
    ) -> PyResult<()> {
        let field = match vectors {
            Some(vectors) if step > 0 => field(step, vectors)?,
            _ => Field::still(FRAMES),
        };
        if self.bit_depth == 8 {
            self.begin_typed::<u8>(py, qp, intra, &field, &known)
        } else {
            self.begin_typed::<u16>(py, qp, intra, &field, &known)
        }
    }

    fn hyper_scales<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<u8>>> {
        Ok(self.session.hyper_scales().map_err(convert)?.into_pyarray(py))
    }

    fn analyse<'py>(
        &mut self,
        py: Python<'py>,
        frames: Vec<[Bound<'py, PyAny>; 3]>,
        expected: Vec<[Bound<'py, PyAny>; 3]>,
    ) -> PyResult<Bound<'py, PyArray1<i16>>> {
        let symbols = if self.bit_depth == 8 {
            self.analyse_typed::<u8>(py, &frames, &expected)?
        } else {
            self.analyse_typed::<u16>(py, &frames, &expected)?
        };
        Ok(symbols.into_pyarray(py))
    }

    fn scales<'py>(
        &mut self,
        py: Python<'py>,
        z: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyArray1<u8>>> {
        let z = contiguous::<i16>(z, "z")?;
        let z = z.as_slice()?;
        let Self { session, threads, .. } = self;
        let scales = run(py, threads, || session.scales(z)).map_err(convert)?;
        Ok(scales.into_pyarray(py))
    }

    fn quantise<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<i16>>> {
        let Self { session, threads, .. } = self;
        let symbols = run(py, threads, || session.quantise()).map_err(convert)?;
        Ok(symbols.into_pyarray(py))
    }

    #[pyo3(signature = (y = None))]
    fn synthesise(&mut self, py: Python<'_>, y: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let y = y.map(|y| contiguous::<i16>(y, "y")).transpose()?;
        let y = y.as_ref().map(|y| y.as_slice()).transpose()?;
        let Self { session, threads, .. } = self;
        run(py, threads, || session.synthesise(y)).map_err(convert)
    }

    fn frame<'py>(
        &self,
        py: Python<'py>,
        index: usize,
        base: [Bound<'py, PyAny>; 3],
    ) -> PyResult<Bound<'py, PyAny>> {
        if self.bit_depth == 8 {
            self.frame_typed::<u8>(py, index, &base)
        } else {
            self.frame_typed::<u16>(py, index, &base)
        }
    }

    fn digest(&self, py: Python<'_>) -> u32 {
        py.detach(|| self.session.digest())
    }

    fn save(&self) -> SessionState {
        SessionState(self.session.save())
    }

    fn restore(&mut self, state: &SessionState) -> PyResult<()> {
        self.session.restore(state.0.clone()).map_err(convert)
    }
}

impl Session {
    fn begin_typed<S: Sample + Element>(
        &mut self,
        py: Python<'_>,
        qp: usize,
        intra: bool,
        field: &Field,
        known: &[[Bound<'_, PyAny>; 3]],
    ) -> PyResult<()> {
        let known = borrow_unit::<S>(known, "known")?;
        let known = unit_planes(&known)?;
        let Self { session, threads, .. } = self;
        run(py, threads, || session.begin(qp, intra, field, &known)).map_err(convert)
    }

    fn analyse_typed<S: Sample + Element>(
        &mut self,
        py: Python<'_>,
        frames: &[[Bound<'_, PyAny>; 3]],
        expected: &[[Bound<'_, PyAny>; 3]],
    ) -> PyResult<Vec<i16>> {
        let frames = borrow_unit::<S>(frames, "frames")?;
        let expected = borrow_unit::<S>(expected, "expected")?;
        let (frames, expected) = (unit_planes(&frames)?, unit_planes(&expected)?);
        let Self { session, threads, .. } = self;
        run(py, threads, || session.analyse(&frames, &expected)).map_err(convert)
    }

    fn frame_typed<'py, S: Sample + Element>(
        &self,
        py: Python<'py>,
        index: usize,
        base: &[Bound<'py, PyAny>; 3],
    ) -> PyResult<Bound<'py, PyAny>> {
        let base = borrow_planes::<S>(base)?;
        let base = planes(&base)?;
        let Self { session, threads, size, .. } = self;
        let frame = run(py, threads, || session.frame(index, &base));
        let half = size.map(|n| n / 2);
        let planes = to_numpy(py, frame.map_err(convert)?, [*size, half, half])?;
        Ok(planes.into_pyobject(py)?.into_any())
    }
}

fn borrow_unit<'py, S: Sample + Element>(
    frames: &[[Bound<'py, PyAny>; 3]],
    name: &str,
) -> PyResult<[Arrays<'py, S>; FRAMES]> {
    let [first, last] = frames else {
        let count = frames.len();
        return Err(PyValueError::new_err(format!("{name}: {count} frames, want {FRAMES}")));
    };
    Ok([borrow_planes(first)?, borrow_planes(last)?])
}

fn unit_planes<'a, S: Sample + Element>(
    [first, last]: &'a [Arrays<'_, S>; FRAMES],
) -> PyResult<[[Plane<'a, S>; 3]; FRAMES]> {
    Ok([planes(first)?, planes(last)?])
}
