//! Motion fields.

use numpy::{
    Element, IntoPyArray, PyArray1, PyArray4, PyArrayMethods, PyReadonlyArrayDyn,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use ui2c_core::motion::{self, Effort, Field, Gradients, Plane, Sample};

use crate::arrays::{NumpyPlanes, borrow, contiguous, plane};
use crate::errors::convert;
use crate::threads::run_shared;

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(search_motion, m)?)?;
    m.add_function(wrap_pyfunction!(search_halves, m)?)?;
    m.add_function(wrap_pyfunction!(search_related, m)?)?;
    m.add_function(wrap_pyfunction!(compensate, m)?)?;
    m.add_function(wrap_pyfunction!(compensate_adjoint, m)?)?;
    m.add_function(wrap_pyfunction!(motion_bits, m)?)
}

/// (frames, columns) of a motion field.
pub fn field_shape(vectors: &PyReadonlyArrayDyn<'_, i16>) -> PyResult<(usize, usize)> {
    match vectors.shape() {
        &[frames, _, columns, 2] => Ok((frames, columns)),
        shape => Err(PyValueError::new_err(format!(
            "vectors must be [frames, rows, columns, 2], not {shape:?}"
        ))),
    }
}

/// What the field costs in the stream, bits.
#[pyfunction]
fn motion_bits(vectors: &Bound<'_, PyAny>) -> PyResult<f64> {
    let vectors = contiguous::<i16>(vectors, "vectors")?;
    let (frames, columns) = field_shape(&vectors)?;
    let (vectors, _) = vectors.as_slice()?.as_chunks::<2>();
    motion::field::cost(frames, columns, vectors).map_err(convert)
}

#[pyfunction]
#[pyo3(signature = (
    reference, frames, *, bit_depth = 8, lagrangian, step = 0, shift = 0, effort = "default",
))]
fn search_motion<'py>(
    reference: &Bound<'py, PyAny>,
    frames: &Bound<'py, PyAny>,
    bit_depth: u32,
    lagrangian: f32,
    step: usize,
    shift: u32,
    effort: &str,
) -> PyResult<(usize, Bound<'py, PyArray4<i16>>)> {
    let effort = match effort {
        "fast" => Effort::Fast,
        "default" => Effort::Default,
        "slow" => Effort::Slow,
        _ => {
            let error = format!("effort must be fast, default or slow, not {effort:?}");
            return Err(PyValueError::new_err(error));
        }
    };
    if bit_depth == 8 {
        search_typed::<u8>(reference, frames, bit_depth, lagrangian, step, shift, effort)
    } else {
        search_typed::<u16>(reference, frames, bit_depth, lagrangian, step, shift, effort)
    }
}

fn search_typed<'py, S: Sample + Element>(
    reference: &Bound<'py, PyAny>,
    frames: &Bound<'py, PyAny>,
    bit_depth: u32,
    lagrangian: f32,
    step: usize,
    shift: u32,
    effort: Effort,
) -> PyResult<(usize, Bound<'py, PyArray4<i16>>)> {
    let py = reference.py();
    let reference = borrow::<S>(reference, "reference", &["height", "width"])?;
    let frames = borrow::<S>(frames, "frames", &["count", "height", "width"])?;
    let (reference, frames) = luma_planes(&reference, &frames)?;
    let search = || motion::search(reference, &frames, bit_depth, lagrangian, step, shift, effort);
    let field = run_shared(py, search).map_err(convert)?;
    Ok((field.step(), vectors_to_numpy(py, &field)?))
}

#[pyfunction]
#[pyo3(signature = (reference, frames, step, vectors, *, bit_depth = 8, lagrangian, shift = 0))]
fn search_halves<'py>(
    reference: &Bound<'py, PyAny>,
    frames: &Bound<'py, PyAny>,
    step: usize,
    vectors: &Bound<'py, PyAny>,
    bit_depth: u32,
    lagrangian: f32,
    shift: u32,
) -> PyResult<(usize, Bound<'py, PyArray4<i16>>)> {
    let start = field(step, vectors)?;
    if bit_depth == 8 {
        let search = motion::search_halves::<u8>;
        search_from(search, reference, frames, &start, bit_depth, lagrangian, shift)
    } else {
        let search = motion::search_halves::<u16>;
        search_from(search, reference, frames, &start, bit_depth, lagrangian, shift)
    }
}

#[pyfunction]
#[pyo3(signature = (reference, frames, step, vectors, *, bit_depth = 8, lagrangian, shift = 0))]
fn search_related<'py>(
    reference: &Bound<'py, PyAny>,
    frames: &Bound<'py, PyAny>,
    step: usize,
    vectors: &Bound<'py, PyAny>,
    bit_depth: u32,
    lagrangian: f32,
    shift: u32,
) -> PyResult<(usize, Bound<'py, PyArray4<i16>>)> {
    let start = field(step, vectors)?;
    if bit_depth == 8 {
        let search = motion::search_related::<u8>;
        search_from(search, reference, frames, &start, bit_depth, lagrangian, shift)
    } else {
        let search = motion::search_related::<u16>;
        search_from(search, reference, frames, &start, bit_depth, lagrangian, shift)
    }
}

/// A search of two frames' motion that begins with a field.
type SearchFrom<S> = fn(Plane<S>, [Plane<S>; 2], u32, f32, &Field, u32) -> ui2c_core::Result<Field>;

fn search_from<'py, S: Sample + Element>(
    search: SearchFrom<S>,
    reference: &Bound<'py, PyAny>,
    frames: &Bound<'py, PyAny>,
    start: &Field,
    bit_depth: u32,
    lagrangian: f32,
    shift: u32,
) -> PyResult<(usize, Bound<'py, PyArray4<i16>>)> {
    let py = reference.py();
    let reference = borrow::<S>(reference, "reference", &["height", "width"])?;
    let frames = borrow::<S>(frames, "frames", &["count", "height", "width"])?;
    let (reference, frames) = luma_planes(&reference, &frames)?;
    let frames: [_; 2] = frames.try_into().map_err(|frames: Vec<_>| {
        PyValueError::new_err(format!("frames must be two, not {}", frames.len()))
    })?;
    let search = || search(reference, frames, bit_depth, lagrangian, start, shift);
    let field = run_shared(py, search).map_err(convert)?;
    Ok((field.step(), vectors_to_numpy(py, &field)?))
}

/// The reference `[height, width]` and the frames `[count, height, width]` of the same size.
fn luma_planes<'a, S: Sample + Element>(
    reference: &'a PyReadonlyArrayDyn<S>,
    frames: &'a PyReadonlyArrayDyn<S>,
) -> PyResult<(Plane<'a, S>, Vec<Plane<'a, S>>)> {
    let reference = plane(reference, reference.shape())?;
    let size = (frames.shape()[1], frames.shape()[2]);
    if size != (reference.height(), reference.width()) {
        return Err(PyValueError::new_err(format!(
            "frames are {} x {}, reference is {} x {}",
            size.1,
            size.0,
            reference.width(),
            reference.height()
        )));
    }
    let frames = frames
        .as_slice()?
        .chunks_exact(size.0 * size.1)
        .map(|frame| Plane::new(size.1, size.0, frame).map_err(convert))
        .collect::<PyResult<Vec<_>>>()?;
    Ok((reference, frames))
}

#[pyfunction]
#[pyo3(signature = (reference, step, vectors, *, bit_depth = 8))]
fn compensate<'py>(
    py: Python<'py>,
    reference: [Bound<'py, PyAny>; 3],
    step: usize,
    vectors: &Bound<'py, PyAny>,
    bit_depth: u32,
) -> PyResult<Bound<'py, PyAny>> {
    let field = field(step, vectors)?;
    Ok(if bit_depth == 8 {
        compensate_typed::<u8>(py, &reference, &field, bit_depth)?.into_pyobject(py)?.into_any()
    } else {
        compensate_typed::<u16>(py, &reference, &field, bit_depth)?.into_pyobject(py)?.into_any()
    })
}

fn compensate_typed<'py, S: Sample + Element>(
    py: Python<'py>,
    reference: &[Bound<'py, PyAny>; 3],
    field: &Field,
    bit_depth: u32,
) -> PyResult<Vec<NumpyPlanes<'py, S>>> {
    let names = ["reference[0]", "reference[1]", "reference[2]"];
    let arrays = reference
        .iter()
        .zip(names)
        .map(|(array, name)| borrow::<S>(array, name, &["height", "width"]))
        .collect::<PyResult<Vec<_>>>()?;
    let shape = |k: usize| arrays[k].shape();
    let planes =
        [plane(&arrays[0], shape(0))?, plane(&arrays[1], shape(1))?, plane(&arrays[2], shape(2))?];
    let predictions =
        run_shared(py, || motion::compensate(planes, field, bit_depth)).map_err(convert)?;
    let to_numpy = |samples: Vec<S>, k: usize| {
        let shape = [planes[k].height(), planes[k].width()];
        PyArray1::from_vec(py, samples).reshape(shape)
    };
    predictions
        .into_iter()
        .map(|[y, u, v]| Ok((to_numpy(y, 0)?, to_numpy(u, 1)?, to_numpy(v, 2)?)))
        .collect()
}

#[pyfunction]
fn compensate_adjoint<'py>(
    py: Python<'py>,
    gradients: [Bound<'py, PyAny>; 3],
    step: usize,
    vectors: &Bound<'py, PyAny>,
) -> PyResult<NumpyPlanes<'py, f32>> {
    let field = field(step, vectors)?;
    let names = ["gradients[0]", "gradients[1]", "gradients[2]"];
    let arrays = gradients
        .iter()
        .zip(names)
        .map(|(array, name)| borrow::<f32>(array, name, &["frames", "height", "width"]))
        .collect::<PyResult<Vec<_>>>()?;
    let &[_, height, width] = arrays[0].shape() else { unreachable!("borrowed as three axes") };
    let half = [height.div_ceil(2), width.div_ceil(2)];
    let sizes = [[height, width], half, half];
    for ((array, name), [height, width]) in arrays.iter().zip(names).zip(sizes) {
        let expected = [field.frames(), height, width];
        if array.shape() != expected {
            let shape = array.shape();
            let error = format!("{name} must be {expected:?} like the rest, not {shape:?}");
            return Err(PyValueError::new_err(error));
        }
    }
    let planes = [arrays[0].as_slice()?, arrays[1].as_slice()?, arrays[2].as_slice()?];
    let gradients = Gradients { width, height, planes };
    let [y, u, v] =
        run_shared(py, || motion::compensate_adjoint(gradients, &field)).map_err(convert)?;
    let to_numpy = |sums: Vec<f32>, k: usize| PyArray1::from_vec(py, sums).reshape(sizes[k]);
    Ok((to_numpy(y, 0)?, to_numpy(u, 1)?, to_numpy(v, 2)?))
}

/// A field, `[frames, rows, columns, 2]`.
pub fn field(step: usize, vectors: &Bound<'_, PyAny>) -> PyResult<Field> {
    let vectors = borrow::<i16>(vectors, "vectors", &["frames", "rows", "columns", "2"])?;
    let &[frames, rows, columns, 2] = vectors.shape() else {
        return Err(PyValueError::new_err("vectors must have 2 components"));
    };
    let (pairs, _) = vectors.as_slice()?.as_chunks::<2>();
    Field::new(step, frames, rows, columns, pairs.to_vec()).map_err(convert)
}

fn vectors_to_numpy<'py>(py: Python<'py>, field: &Field) -> PyResult<Bound<'py, PyArray4<i16>>> {
    let components: Vec<i16> = field.vectors().iter().copied().flatten().collect();
    let shape = [field.frames(), field.rows(), field.columns(), 2];
    components.into_pyarray(py).reshape(shape)
}
