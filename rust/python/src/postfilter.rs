//! The post-filter.

use numpy::{Element, IntoPyArray, PyArray3, PyArray4, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use ui2c_core::motion::Sample;
use ui2c_core::postfilter::{self, CLASSES, Designer, TAPS};

use crate::arrays::{NumpyPlanes, borrow, borrow_planes, planes, to_numpy};
use crate::errors::convert;
use crate::threads::run_shared;

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<Filters>()?;
    m.add_class::<FilterDesigner>()?;
    m.add_function(wrap_pyfunction!(apply_filters, m)?)
}

/// The filters of Y, U and V of each class of blocks.
#[pyclass(module = "ui2c._core", frozen, eq, from_py_object)]
#[derive(Clone, Default, PartialEq)]
pub struct Filters(pub postfilter::Filters);

#[pymethods]
impl Filters {
    /// Of `coefficients`, int8 `[3, 30, 12]`, in 128ths; without, those that change nothing.
    #[new]
    #[pyo3(signature = (coefficients = None))]
    fn new(coefficients: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let mut filters = postfilter::Filters::default();
        if let Some(coefficients) = coefficients {
            let axes = ["planes", "classes", "coefficients"];
            let array = borrow::<i8>(coefficients, "coefficients", &axes)?;
            if array.shape() != [3, CLASSES, TAPS] {
                let shape = array.shape();
                let error = format!("coefficients must be [3, {CLASSES}, {TAPS}], not {shape:?}");
                return Err(PyValueError::new_err(error));
            }
            filters.0.as_flattened_mut().as_flattened_mut().copy_from_slice(array.as_slice()?);
        }
        Ok(Self(filters))
    }

    #[getter]
    fn coefficients<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray3<i8>>> {
        let values = self.0.0.as_flattened().as_flattened().to_vec();
        values.into_pyarray(py).reshape([3, CLASSES, TAPS])
    }
}

type NumpyMoments<'py> = (Bound<'py, PyArray4<f64>>, Bound<'py, PyArray3<f64>>);

/// What has been gathered of a sequence to fit filters to it.
#[pyclass(module = "ui2c._core", frozen)]
#[derive(Default)]
pub struct FilterDesigner(Designer);

#[pymethods]
impl FilterDesigner {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// The designer that has seen a unit more: planes (Y, U, V) of each frame, decoded and source.
    #[pyo3(signature = (decoded, sources, *, bit_depth = 8))]
    fn observe(
        &self,
        py: Python<'_>,
        decoded: Vec<[Bound<'_, PyAny>; 3]>,
        sources: Vec<[Bound<'_, PyAny>; 3]>,
        bit_depth: u32,
    ) -> PyResult<Self> {
        if decoded.len() != sources.len() {
            let (a, b) = (decoded.len(), sources.len());
            return Err(PyValueError::new_err(format!("{a} decoded frames, {b} sources")));
        }
        let mut designer = self.0.clone();
        if bit_depth == 8 {
            observe_typed::<u8>(py, &mut designer, &decoded, &sources, bit_depth)?;
        } else {
            observe_typed::<u16>(py, &mut designer, &decoded, &sources, bit_depth)?;
        }
        Ok(Self(designer))
    }

    /// What filters should follow `before` if a bit may cost so much squared error, in 8-bit codes.
    fn design(
        &self,
        py: Python<'_>,
        before: &Filters,
        defaults: Vec<Filters>,
        lagrangian: f64,
    ) -> PyResult<Filters> {
        let defaults = filter_sets(defaults);
        let design = || self.0.design(&before.0, &defaults, lagrangian);
        run_shared(py, design).map(Filters).map_err(convert)
    }

    /// How many units have been taken in.
    #[getter]
    fn units(&self) -> u64 {
        self.0.units()
    }

    /// What has been gathered: float64 `[3, 30, 12, 12]` and `[3, 30, 12]`.
    fn moments<'py>(&self, py: Python<'py>) -> PyResult<NumpyMoments<'py>> {
        let (mut products, mut with_error) = (Vec::new(), Vec::new());
        for (product, error) in self.0.moments() {
            products.extend_from_slice(product.as_flattened());
            with_error.extend_from_slice(error);
        }
        Ok((
            products.into_pyarray(py).reshape([3, CLASSES, TAPS, TAPS])?,
            with_error.into_pyarray(py).reshape([3, CLASSES, TAPS])?,
        ))
    }
}

pub fn filter_sets(sets: Vec<Filters>) -> Vec<postfilter::Filters> {
    sets.into_iter().map(|filters| filters.0).collect()
}

fn observe_typed<S: Sample + Element>(
    py: Python<'_>,
    designer: &mut Designer,
    decoded: &[[Bound<'_, PyAny>; 3]],
    sources: &[[Bound<'_, PyAny>; 3]],
    bit_depth: u32,
) -> PyResult<()> {
    let decoded = decoded.iter().map(borrow_planes::<S>).collect::<PyResult<Vec<_>>>()?;
    let sources = sources.iter().map(borrow_planes::<S>).collect::<PyResult<Vec<_>>>()?;
    let frames = decoded.iter().zip(&sources).map(|(a, b)| Ok((planes(a)?, planes(b)?)));
    let frames = frames.collect::<PyResult<Vec<_>>>()?;
    run_shared(py, || designer.observe(&frames, bit_depth)).map_err(convert)
}

/// Planes (Y, U, V), filtered.
#[pyfunction]
#[pyo3(signature = (planes, filters, *, bit_depth = 8))]
fn apply_filters<'py>(
    py: Python<'py>,
    planes: [Bound<'py, PyAny>; 3],
    filters: &Filters,
    bit_depth: u32,
) -> PyResult<Bound<'py, PyAny>> {
    Ok(if bit_depth == 8 {
        apply_typed::<u8>(py, &planes, &filters.0, bit_depth)?.into_pyobject(py)?.into_any()
    } else {
        apply_typed::<u16>(py, &planes, &filters.0, bit_depth)?.into_pyobject(py)?.into_any()
    })
}

fn apply_typed<'py, S: Sample + Element>(
    py: Python<'py>,
    arrays: &[Bound<'py, PyAny>; 3],
    filters: &postfilter::Filters,
    bit_depth: u32,
) -> PyResult<NumpyPlanes<'py, S>> {
    let arrays = borrow_planes::<S>(arrays)?;
    let planes = planes(&arrays)?;
    let applied =
        run_shared(py, || postfilter::apply(planes, filters, bit_depth)).map_err(convert)?;
    to_numpy(py, applied, planes.map(|plane| [plane.height(), plane.width()]))
}
