//! Time of the processor.

use std::time::Duration;

/// What this thread has had of a processor; unlike the time of day it says nothing of what else
/// the machine is doing.
#[cfg(not(target_os = "wasi"))]
pub fn processor_time() -> Duration {
    #[repr(C)]
    struct Time {
        seconds: i64,
        nanoseconds: i64,
    }
    unsafe extern "C" {
        fn clock_gettime(clock: i32, time: *mut Time) -> i32;
    }
    const THREAD: i32 = 3;
    let mut time = Time { seconds: 0, nanoseconds: 0 };
    // SAFETY: the structure is that of 64-bit Linux, for which the example is.
    let result = unsafe { clock_gettime(THREAD, &mut time) };
    assert_eq!(result, 0);
    Duration::new(time.seconds as u64, time.nanoseconds as u32)
}

#[cfg(target_os = "wasi")]
pub fn processor_time() -> Duration {
    #[link(wasm_import_module = "wasi_snapshot_preview1")]
    unsafe extern "C" {
        fn clock_time_get(clock: u32, precision: u64, nanoseconds: *mut u64) -> u32;
    }
    const THREAD: u32 = 3;
    let mut nanoseconds = 0;
    // SAFETY: the declaration is that of WASI.
    let result = unsafe { clock_time_get(THREAD, 1, &mut nanoseconds) };
    assert_eq!(result, 0);
    Duration::from_nanos(nanoseconds)
}
