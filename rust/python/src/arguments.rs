//! Checks of arguments, with messages that name them.

use numpy::{
    Element, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArrayMethods, dtype,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

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

/// `value` as a T.
///
/// # Errors
/// `ValueError` if it is out of range.
pub fn number<T: TryFrom<i64>>(value: i64, name: &str) -> PyResult<T> {
    T::try_from(value)
        .map_err(|_| PyValueError::new_err(format!("{name}: {value} is out of range")))
}

/// Both terms of a fraction.
///
/// # Errors
/// `ValueError` if one is out of range.
pub fn fraction(value: (i64, i64), name: &str) -> PyResult<(u32, u32)> {
    Ok((number(value.0, name)?, number(value.1, name)?))
}
