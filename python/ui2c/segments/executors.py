"""Where work is done: processes of this machine, or a cluster."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any, TypeVar

T = TypeVar("T")


class Processes(Executor):
    """Fresh processes on this machine; forking one that runs PyTorch would not be safe.

    A process that dies, for want of memory say, takes the jobs in flight with it, not the rest.
    All end at once when this one does, however it ends, and with `stop`.
    """

    def __init__(self, cores: int) -> None:
        self._cores = cores
        # Nothing is ever sent: the processes wait for this end to be closed, which the system does
        # when this process dies.
        self._life, self._ours = multiprocessing.Pipe(duplex=False)
        self._pool = self._fresh()

    def submit(self, work: Callable[..., T], /, *arguments: Any, **options: Any) -> Future[T]:
        try:
            return self._pool.submit(work, *arguments, **options)
        except BrokenProcessPool:
            self._pool = self._fresh()
            return self._pool.submit(work, *arguments, **options)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._pool.shutdown(wait, cancel_futures=cancel_futures)

    def stop(self) -> None:
        """Ends the processes, whatever they are at."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._ours.close()
        self._pool.shutdown(wait=True)
        self._life.close()

    def _fresh(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(
            self._cores, mp_context=context, initializer=_begin, initargs=(self._life,)
        )


@contextmanager
def workers(cluster: str | None = None, count: int | None = None) -> Iterator[tuple[Executor, int]]:
    """An executor and how many to keep busy in it: `count`, or as many as there are cores.

    Of this machine, or of the Dask cluster at an address, which must see the files too.
    """
    if cluster is None:
        count = count or os.cpu_count() or 1
        processes = Processes(count)
        try:
            yield processes, count
        finally:
            # Who has taken all results wants no more, and who has not will not.
            processes.stop()
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise ImportError("--cluster needs Dask: pip install 'ui2c[cluster]'") from error
    with Client(cluster) as client:
        # Dask would take equal calls for one; a job that is asked for again is to be done again.
        yield client.get_executor(pure=False), count or sum(client.nthreads().values())


def _begin(life: Connection) -> None:
    """What a process does first."""
    # Ctrl-C reaches every process of a terminal; the one that has the work will tell of it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=(life,), daemon=True).start()


def _end_with(life: Connection) -> None:
    """Ends this process when the other end is closed."""
    with suppress(EOFError, OSError):
        life.recv_bytes()
    os._exit(1)
