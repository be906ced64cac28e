"""Coded segments on disk, so that an interrupted run need not begin again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from ui2c.files import write_whole
from ui2c.picture.metrics import Psnr
from ui2c.statistics import Statistics, UnitStatistics

SUFFIX = ".segment"


class SegmentStore:
    """A folder of streams with their statistics; without a folder, keeps nothing.

    A file is the SHA-256 of what follows, a line of JSON with the statistics, and the stream.
    """

    def __init__(self, folder: str | os.PathLike[str] | None) -> None:
        self._folder = None if folder is None else Path(folder)
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)

    def path(self, key: Callable[[], str]) -> Path | None:
        """Where a segment of that key is kept; an empty key means that it is not."""
        name = key() if self._folder is not None else ""
        return self._folder / f"{name}{SUFFIX}" if self._folder is not None and name else None

    def find(self, path: Path | None) -> tuple[bytes, Statistics] | None:
        """None where there is none, or a damaged one."""
        if path is None:
            return None
        try:
            digest, data = path.read_bytes().split(b"\n", 1)
        except (OSError, ValueError):
            return None
        if hashlib.sha256(data).hexdigest().encode() != digest:
            return None
        text, stream = data.split(b"\n", 1)
        values = json.loads(text)
        values["units"] = [
            UnitStatistics(**unit | {"psnr": tuple(Psnr(**frame) for frame in unit["psnr"])})
            for unit in values["units"]
        ]
        return stream, Statistics(**values)

    def keep(self, path: Path | None, coded: tuple[bytes, Statistics]) -> None:
        if path is None:
            return
        stream, statistics = coded
        data = json.dumps(asdict(statistics)).encode() + b"\n" + stream
        write_whole(path, hashlib.sha256(data).hexdigest().encode() + b"\n" + data)

    def remove(self) -> None:
        """Removes what was kept; the folder too, if nothing else is in it."""
        if self._folder is None:
            return
        for path in self._folder.glob(f"*{SUFFIX}"):
            path.unlink(missing_ok=True)
        with suppress(OSError):
            self._folder.rmdir()
