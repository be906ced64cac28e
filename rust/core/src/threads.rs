//! Threads for work that is done side by side.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::{Error, Result};

static SHARED: Pool = Pool::new(0);

/// So many threads of one's own, or those that all of the process shares.
///
/// They start when there is work. Rayon's own shared threads are not used: a process that was
/// forked has none of its parent's threads, and would wait for them for ever. Here it gets new ones.
pub struct Threads(Option<Pool>);

impl Threads {
    /// The shared threads unless a number is given.
    pub fn of(count: Option<usize>) -> Self {
        Self(count.map(Pool::new))
    }

    pub const fn shared() -> Self {
        Self(None)
    }

    /// Does the work on these threads.
    ///
    /// # Errors
    /// `Io` if they cannot be started.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        // WebAssembly starts none, and has no processes to tell apart.
        if cfg!(target_family = "wasm") {
            return Ok(work());
        }
        Ok(self.0.as_ref().unwrap_or(&SHARED).get()?.install(work))
    }
}

struct Pool {
    /// 0: as many as the environment or the number of cores says.
    count: usize,
    started: AtomicPtr<Started>,
}

struct Started {
    /// The process that has these threads.
    process: u32,
    pool: ThreadPool,
}

impl Pool {
    const fn new(count: usize) -> Self {
        Self { count, started: AtomicPtr::new(ptr::null_mut()) }
    }

    fn get(&self) -> Result<&ThreadPool> {
        let process = std::process::id();
        let found = self.started.load(Ordering::Acquire);
        // SAFETY: what `started` points to is never changed, and only dropped with `self`.
        if let Some(started) = unsafe { found.as_ref() }
            && started.process == process
        {
            return Ok(&started.pool);
        }
        let pool = ThreadPoolBuilder::new().num_threads(self.count).build();
        let pool = pool.map_err(|error| Error::Io(std::io::Error::other(error)))?;
        let fresh = Box::into_raw(Box::new(Started { process, pool }));
        let swapped =
            self.started.compare_exchange(found, fresh, Ordering::AcqRel, Ordering::Acquire);
        let current = match swapped {
            // What was found is the parent's, and left alone: to drop it would be to tell its
            // threads, which are not there.
            Ok(_) => fresh,
            Err(other) => {
                // SAFETY: another thread was first, so nobody else has seen this one.
                drop(unsafe { Box::from_raw(fresh) });
                other
            }
        };
        // SAFETY: not null, as nothing is ever replaced by null; else as above.
        Ok(unsafe { &(*current).pool })
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let started = *self.started.get_mut();
        // SAFETY: as in `get`.
        if unsafe { started.as_ref() }.is_some_and(|found| found.process == std::process::id()) {
            // SAFETY: nothing else points to it.
            drop(unsafe { Box::from_raw(started) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_on_as_many_threads() {
        for count in [1, 3] {
            let threads = Threads::of(Some(count));
            for _ in 0..2 {
                assert_eq!(threads.run(rayon::current_num_threads).unwrap(), count);
            }
        }
        let shared = Threads::shared().run(rayon::current_num_threads).unwrap();
        assert_eq!(Threads::of(None).run(rayon::current_num_threads).unwrap(), shared);
    }

    #[test]
    fn many_may_begin_at_once() {
        let threads = Threads::of(Some(2));
        let at_once = || assert_eq!(threads.run(|| rayon::join(|| 1, || 2)).unwrap(), (1, 2));
        std::thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(at_once))));
    }
}
