//! Checks of arguments, with messages that name them.

use numpy::{Element, PyReadonlyArrayDyn, PyUntypedArrayMethods, dtype};
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
