//! NumPy arrays as arguments and results, with messages that name the argument.

use numpy::{
    Element, PyArray1, PyArray2, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn,
    PyUntypedArrayMethods, dtype,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use ui2c_core::motion::{Plane, Sample};

use crate::errors::convert;

pub type NumpyPlane<'py, S> = Bound<'py, PyArray2<S>>;
pub type NumpyPlanes<'py, S> = (NumpyPlane<'py, S>, NumpyPlane<'py, S>, NumpyPlane<'py, S>);

/// `argument` as an array of T whose elements lie side by side in C order; any shape.
///
/// # Errors
/// `ValueError` if it is anything else.
pub fn contiguous<'py, T: Element>(
    argument: &Bound<'py, PyAny>,
    name: &str,
) -> PyResult<PyReadonlyArrayDyn<'py, T>> {
    let wrong = || {
        let element = dtype::<T>(argument.py());
        PyValueError::new_err(format!("{name}: want a contiguous array of {element}"))
    };
    let array: PyReadonlyArrayDyn<'py, T> = argument.extract().map_err(|_| wrong())?;
    if !array.is_c_contiguous() || array.as_slice().is_err() {
        return Err(wrong());
    }
    Ok(array)
}

/// `argument` as an array of T of this shape that can be written to, its elements side by side in C
/// order.
///
/// # Errors
/// `ValueError` if it is anything else, or borrowed at the moment.
pub fn writable<'py, T: Element>(
    argument: &Bound<'py, PyAny>,
    name: &str,
    shape: &[usize],
) -> PyResult<Bound<'py, PyArrayDyn<T>>> {
    let wrong = || {
        let element = dtype::<T>(argument.py());
        PyValueError::new_err(format!(
            "{name}: want a writable contiguous array of {element} of shape {shape:?}"
        ))
    };
    let array = argument.cast::<PyArrayDyn<T>>().map_err(|_| wrong())?;
    let fits = array.is_c_contiguous() && array.shape() == shape;
    if !fits || !array.try_readwrite().is_ok_and(|mut a| a.as_slice_mut().is_ok()) {
        return Err(wrong());
    }
    Ok(array.clone())
}

/// The array as C-contiguous elements of type `T`, or a ValueError that names the argument.
pub fn borrow<'py, T: Element>(
    array: &Bound<'py, PyAny>,
    name: &str,
    dimensions: &[&str],
) -> PyResult<PyReadonlyArrayDyn<'py, T>> {
    let error = |what: String| PyValueError::new_err(format!("{name} must be {what}"));
    let dtype = T::get_dtype(array.py());
    let array =
        array.cast::<PyArrayDyn<T>>().map_err(|_| error(format!("a NumPy array of {dtype}")))?;
    if array.ndim() != dimensions.len() {
        return Err(error(format!("[{}], not {:?}", dimensions.join(", "), array.shape())));
    }
    if !array.is_c_contiguous() {
        return Err(error("C-contiguous".into()));
    }
    array.try_readonly().map_err(|_| error("free to read".into()))
}

/// The array, of that shape, as a plane.
pub fn plane<'a, S: Sample + Element>(
    array: &'a PyReadonlyArrayDyn<S>,
    shape: &[usize],
) -> PyResult<Plane<'a, S>> {
    Plane::new(shape[1], shape[0], array.as_slice()?).map_err(convert)
}

/// Y, U and V of a picture.
pub type Arrays<'py, S> = [PyReadonlyArrayDyn<'py, S>; 3];

pub fn borrow_planes<'py, S: Sample + Element>(
    planes: &[Bound<'py, PyAny>; 3],
) -> PyResult<Arrays<'py, S>> {
    let [y, u, v] = planes;
    let one = |array, name| borrow::<S>(array, name, &["height", "width"]);
    Ok([one(y, "Y")?, one(u, "U")?, one(v, "V")?])
}

pub fn planes<'a, S: Sample + Element>(arrays: &'a Arrays<'_, S>) -> PyResult<[Plane<'a, S>; 3]> {
    let at = |k: usize| plane(&arrays[k], arrays[k].shape());
    Ok([at(0)?, at(1)?, at(2)?])
}

/// Samples of Y, U and V as arrays of these rows and columns.
pub fn to_numpy<'py, S: Sample + Element>(
    py: Python<'py>,
    samples: [Vec<S>; 3],
    sizes: [[usize; 2]; 3],
) -> PyResult<NumpyPlanes<'py, S>> {
    let [y, u, v] = samples;
    let plane = |samples, size: [usize; 2]| PyArray1::from_vec(py, samples).reshape(size);
    Ok((plane(y, sizes[0])?, plane(u, sizes[1])?, plane(v, sizes[2])?))
}
