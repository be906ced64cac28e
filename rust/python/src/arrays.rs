//! NumPy arrays as arguments and results, with messages that name the argument.

use numpy::{
    Element, PyArray2, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArrayMethods, dtype,
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
