//! Checks of array arguments, with messages that name the argument.

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
