//! The exception tree and the one converter from core errors.

use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyType;
use ui2c_core::{Error, Severity};

create_exception!(
    ui2c,
    UI2CError,
    PyException,
    "Base of every error that ui2c raises on bad data."
);
create_exception!(ui2c, CorruptError, UI2CError, "The bytes contradict the format or themselves.");
create_exception!(ui2c, TruncatedError, UI2CError, "The data ends before the format says it may.");
create_exception!(
    ui2c,
    UnsupportedError,
    UI2CError,
    "Well-formed, but this version cannot handle it."
);
create_exception!(ui2c, LimitError, UI2CError, "The caller's limits forbid going on.");
create_exception!(
    ui2c,
    MismatchError,
    UI2CError,
    "Decoding gives another state, or nothing, where the encoder saw something else."
);

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = m.py();
    m.add("Error", py.get_type::<UI2CError>())?;
    m.add("CorruptError", py.get_type::<CorruptError>())?;
    m.add("TruncatedError", py.get_type::<TruncatedError>())?;
    m.add("UnsupportedError", py.get_type::<UnsupportedError>())?;
    m.add("LimitError", py.get_type::<LimitError>())?;
    m.add("MismatchError", py.get_type::<MismatchError>())
}

/// Turns a core error into the Python exception of the same kind.
pub fn convert(error: Error) -> PyErr {
    match error {
        Error::Io(io) => io.into(),
        error => convert_shared(&error),
    }
}

/// As `convert`, of an error that others keep.
pub fn convert_shared(error: &Error) -> PyErr {
    let text = error.to_string();
    match error {
        Error::Corrupt { offset, what } => {
            let error = CorruptError::new_err(text);
            let place = (*offset, what.as_str());
            // What cannot be told stays in the text.
            Python::attach(|py| drop(error.value(py).setattr(PLACE, place)));
            error
        }
        Error::Truncated { .. } => TruncatedError::new_err(text),
        Error::Unsupported { .. } => UnsupportedError::new_err(text),
        Error::Limit { .. } => LimitError::new_err(text),
        Error::Mismatch { .. } | Error::Undecodable { .. } => MismatchError::new_err(text),
        Error::InvalidArgument { .. } => PyValueError::new_err(text),
        Error::Io(_) => PyOSError::new_err(text),
        Error::Foreign { error, .. } => match error.downcast_ref::<PyErr>() {
            Some(error) => Python::attach(|py| error.clone_ref(py)),
            None => UI2CError::new_err(text),
        },
        _ => UI2CError::new_err(text),
    }
}

/// The attribute of an error that says where in the data something is wrong, and what.
const PLACE: &str = "_place";

/// What Python code raised, on its way through the core.
pub fn foreign(py: Python<'_>, error: PyErr) -> Error {
    let is = |kind: Bound<'_, PyType>| error.is_instance(py, &kind);
    if is(py.get_type::<CorruptError>()) {
        let place = error.value(py).getattr(PLACE).and_then(|place| place.extract());
        let (offset, what) = place.unwrap_or_else(|_| (0, error.value(py).to_string()));
        return Error::Corrupt { offset, what };
    }
    let severity = if is(py.get_type::<UnsupportedError>()) || is(py.get_type::<MismatchError>()) {
        Severity::Final
    } else if is(py.get_type::<UI2CError>()) {
        Severity::Damage
    } else {
        Severity::Outside
    };
    Error::Foreign { error: Box::new(error), severity }
}
