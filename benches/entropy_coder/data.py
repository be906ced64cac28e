"""Reading what the Rust example has written, and timing; for the peers' environments."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

RUNS = 3
NAMES = ("low", "uniform")
COUNT = 1_000_000
"""Elements that the peers code; they are too slow for all of them."""


class Data:
    """One data set: `indexes` of the tables, `symbols`, frequencies of each table, scales."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.indexes = np.fromfile(folder / f"{name}.indexes", np.uint8)[:COUNT]
        self.symbols = np.fromfile(folder / f"{name}.symbols", "<i2")[:COUNT].astype(np.int32)
        frequencies = np.fromfile(folder / f"{name}.frequencies", "<u2")
        lengths = np.fromfile(folder / f"{name}.lengths", "<u2")
        ends = np.cumsum(lengths)
        self.tables = [
            frequencies[end - length : end] for end, length in zip(ends, lengths, strict=True)
        ]
        self.scales = 0.11 * (16 / 0.11) ** (np.arange(len(lengths)) / (len(lengths) - 1))


def best(run: Callable[..., object], *arguments: object) -> float:
    """Shortest of some runs with those arguments, seconds of this thread on a processor."""
    times = []
    for _ in range(RUNS):
        start = time.thread_time()
        run(*arguments)
        times.append(time.thread_time() - start)
    return min(times)
