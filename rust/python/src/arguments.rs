//! Checks of numbers, with messages that name the argument.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

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
