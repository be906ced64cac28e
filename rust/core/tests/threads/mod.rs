//! Running on so many threads.

/// Where there are none, on the only one.
pub fn with_threads<T: Send>(threads: usize, run: impl FnOnce() -> T + Send) -> T {
    if cfg!(target_family = "wasm") {
        return run();
    }
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run)
}
