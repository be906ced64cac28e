"""Where and with how many threads the network runs."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from ui2c._core import UnsupportedError

DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


def check_device(name: str) -> str:
    """The name, if it is one that `resolve_device` knows; does not need PyTorch."""
    if not DEVICE.fullmatch(name):
        raise ValueError(f'device must be "auto", "cpu", "cuda" or "cuda:N", not {name!r}')
    return name


def resolve_device(name: str) -> str:
    """The device of that name; "auto" is CUDA where PyTorch has it, otherwise the CPU."""
    if check_device(name) == "auto":
        return "cuda" if _has_cuda() else "cpu"
    if name.startswith("cuda"):
        need_torch(f"device {name!r}")
        import torch

        count = torch.cuda.device_count()
        if int(name.partition(":")[2] or 0) >= count:
            raise ValueError(f"device {name!r} is not there: PyTorch sees {count} CUDA devices")
    return name


def need_torch(what: str) -> None:
    """Raises `ui2c.UnsupportedError` where PyTorch is not installed."""
    if find_spec("torch") is None:
        raise UnsupportedError(f"{what} needs PyTorch: pip install 'ui2c[torch]'")


def _has_cuda() -> bool:
    # Importing PyTorch takes longer than decoding a small clip: not where there is no driver.
    driver = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        ctypes.CDLL(driver)
    except OSError:
        return False
    if find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


def check_threads(threads: int | None) -> int | None:
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1, or None for all cores, not {threads}")
    return threads


def limit_threads(threads: int | None) -> None:
    """Makes the native core use that many threads; it reads the variable when it first starts."""
    if threads is not None:
        os.environ["RAYON_NUM_THREADS"] = str(threads)


@contextmanager
def coding_threads(threads: int | None) -> Iterator[None]:
    """PyTorch on that many threads inside the block; None changes nothing."""
    if threads is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
