"""What the harness wants of a codec."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ui2c.evaluate.errors import CodecError, ConfigError
from ui2c.evaluate.process import Run
from ui2c.evaluate.sequence import Clip
from ui2c.evaluate.table import Table

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
"""Names become names of folders."""
WHOLE = "the whole program: start, reading or writing raw video, coding"
"""What the seconds of a program contain."""
IVF_MAGIC = b"DKIF"
IVF_HEADER, IVF_FRAME_HEADER = 32, 12


def check_name(name: str, where: str) -> str:
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"{where}: a name is letters, digits and . _ + - only, and begins with one of the "
            f"first two, not {name!r}"
        )
    return name


@dataclass(frozen=True)
class Common:
    """What every codec of a configuration has."""

    name: str
    kind: str
    points: tuple[float, ...]
    """Values of the option that sets the rate."""
    threads: int
    """What one job is given, and what it counts for in the budget of cores."""
    label: str
    """The name in tables and plots."""

    @classmethod
    def read(cls, table: Table, kind: str) -> Common:
        name = check_name(table.get("name", str), table.where)
        points = tuple(table.items("points", float))
        if not points or len(set(points)) < len(points):
            raise ConfigError(f"{table.where}: points must be one or more different numbers")
        threads = table.integer("threads", 1, 1)
        return cls(name, kind, points, threads, table.get("label", str, name))


@dataclass(frozen=True)
class Effort:
    """What one direction took."""

    command: str
    seconds: float
    peak_bytes: int | None

    @classmethod
    def of(cls, run: Run, seconds: float | None = None) -> Effort:
        return cls(run.command, run.seconds if seconds is None else seconds, run.peak_bytes)


@dataclass(frozen=True)
class Coded:
    """A clip coded and decoded again at one point."""

    bits: int
    """Of everything that `counted` names."""
    counted: str
    decoded: Path
    """Raw, of the clip's size and bit depth."""
    encode: Effort
    decode: Effort | None
    """None where the pictures are the encoder's own reconstruction."""
    timed: str
    """What the seconds contain."""
    versions: dict[str, str]
    frame_bits: list[int] | None = None
    """In the order of display; they need not add up to `bits`, which has headers besides."""
    extra: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Codec(Protocol):
    """A codec with its options; objects travel to other processes."""

    @property
    def common(self) -> Common: ...

    def definition(self) -> dict[str, Any]:
        """What decides about the result besides clip and point; may look at files."""

    def code(self, clip: Clip, point: float, folder: Path) -> Coded:
        """Codes a clip with files in an empty folder; CodecError where it cannot."""


def number(value: float) -> str:
    """A point as it is written in a command and a file name: 22, not 22.0."""
    return f"{value:g}"


def file_bits(path: Path) -> int:
    """Of a stream that an encoder wrote; headers of IVF, which belong to no codec, not counted."""
    if not path.is_file() or path.stat().st_size == 0:
        raise CodecError(f"the encoder wrote no {path.name}")
    size = path.stat().st_size
    headers = 0
    with path.open("rb") as file:
        if file.read(len(IVF_MAGIC)) == IVF_MAGIC:
            position = headers = IVF_HEADER
            while position < size:
                file.seek(position)
                position += IVF_FRAME_HEADER + int.from_bytes(file.read(4), "little")
                headers += IVF_FRAME_HEADER
            if position != size:
                raise CodecError(f"{path.name} is not a whole IVF file")
    return 8 * (size - headers)
