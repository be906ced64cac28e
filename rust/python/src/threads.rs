//! Work that is done side by side, without Python's lock.

use pyo3::prelude::*;
use ui2c_core::Result;
use ui2c_core::threads::Threads;

/// Does the work on these threads.
///
/// # Errors
/// Those of the work, and `Io` if the threads cannot be started.
pub fn run<T: Send>(
    py: Python<'_>,
    threads: &Threads,
    work: impl FnOnce() -> Result<T> + Send,
) -> Result<T> {
    py.detach(|| threads.run(work).flatten())
}

/// Does the work on the threads that all of the process shares.
///
/// # Errors
/// As of `run`.
pub fn run_shared<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    run(py, &Threads::shared(), work)
}
