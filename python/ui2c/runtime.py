"""Where and with how many threads the network runs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


def check_device(name: str) -> str:
    """The name, if it is one that `resolve_device` knows; does not need PyTorch."""
    if not DEVICE.fullmatch(name):
        raise ValueError(f'device must be "auto", "cpu", "cuda" or "cuda:N", not {name!r}')
    return name


def resolve_device(name: str) -> torch.device:
    """The device of that name; "auto" is CUDA where there is one, otherwise the CPU."""
    import torch

    if check_device(name) == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device {name!r} is not there: PyTorch sees {torch.cuda.device_count()} CUDA devices"
        )
    return device


def check_threads(threads: int | None) -> int | None:
    if threads is not None and threads < 1:
        raise ValueError(
            f"threads must be at least 1, or None for PyTorch's own choice, not {threads}"
        )
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
