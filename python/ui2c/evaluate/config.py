"""The file that says what is compared.

title = "…"
anchor = "x265-medium-ld"        # the name of a codec; what BD-rates are relative to
metrics = ["psnr", "ms-ssim", "rgb"]
frames = 96                      # of each sequence, unless it says its own
pictures = [48]                  # frames for the viewer
published = ["bd-rate-yuv"]      # published figures to stand beside

[[sequences]]
name = "foreman"
class = "CIF"
file = "foreman_352x288.yuv"     # also: width, height, bit_depth, fps of raw files; skip, frames
# or parts = [{file = …, frames = …}, …], joined with a cut between
# or use = "hevc-b", a shipped set of sequences

[[codecs]]
use = "x265-medium-ld"           # a shipped codec; any of its keys can be given anew
# or name, kind, points and what that kind wants
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import Any

from ui2c.evaluate.codecs import Codec, read_codec
from ui2c.evaluate.codecs.base import check_name
from ui2c.evaluate.errors import ConfigError
from ui2c.evaluate.job import Job
from ui2c.evaluate.measure import METRICS
from ui2c.evaluate.sequence import Sequence
from ui2c.evaluate.table import Table
from ui2c.video import Part


@dataclass(frozen=True)
class Config:
    """What an evaluation is made of."""

    name: str
    title: str
    sequences: tuple[Sequence, ...]
    codecs: tuple[Codec, ...]
    metrics: frozenset[str]
    pictures: tuple[int, ...]
    anchor: str | None
    published: tuple[str, ...]
    ffmpeg: str

    def jobs(self) -> list[Job]:
        """All of them, a codec after the other, so that a codec's curve is soon whole."""
        return [
            Job(sequence, codec, point, self.metrics, self.pictures, self.ffmpeg)
            for codec in self.codecs
            for sequence in self.sequences
            for point in codec.common.points
        ]


def experiments_folder() -> Path:
    """Where the shipped configurations lie."""
    return Path(str(resources.files("ui2c"))) / "evaluate" / "experiments"


def shipped_experiments() -> list[str]:
    others = {"codecs", "published"}
    return sorted(p.stem for p in experiments_folder().glob("*.toml") if p.stem not in others)


def load_config(
    name: str,
    *,
    data: Path | None = None,
    frames: int | None = None,
    points: int | None = None,
    metrics: list[str] | None = None,
) -> Config:
    """A shipped configuration by name, or a file.

    `data` is the folder of the sequences, by default that of the file (of a shipped one, the
    working directory). `frames` and `points` cut down what the file asks for: each sequence to its
    first frames, each codec to so many points spread over its own. `metrics` stand for the file's.
    ConfigError names the mistake.
    """
    path = Path(name)
    if path.suffix != ".toml":
        path = experiments_folder() / f"{name}.toml"
        if not path.is_file():
            raise ConfigError(
                f"no experiment {name!r}; shipped are {', '.join(shipped_experiments())}; "
                f"a file must end in .toml"
            )
        data = data or Path.cwd()
    table = Table(read_toml(path), path.name)
    reader = _Sequences((data or path.parent).absolute(), table.integer("frames", 1, None), frames)
    sequences = tuple(reader.read(table.items("sequences", dict), path))
    _unique([sequence.name for sequence in sequences], f"{path.name}: sequences")
    codecs = tuple(_codecs(table.items("codecs", dict), path, points))
    names = [codec.common.name for codec in codecs]
    _unique(names, f"{path.name}: codecs")
    anchor = table.get("anchor", str, None)
    if anchor is not None and anchor not in names:
        raise ConfigError(f"{path.name}: anchor must be one of {', '.join(names)}, not {anchor!r}")
    own = table.items("metrics", str, ["psnr", "ms-ssim", "rgb"])
    config = Config(
        name=check_name(path.stem, str(path)),
        title=table.get("title", str, path.stem),
        sequences=sequences,
        codecs=codecs,
        metrics=frozenset(_known(f"{path.name}: metrics", own if metrics is None else metrics)),
        pictures=tuple(table.items("pictures", int, [])),
        anchor=anchor,
        published=tuple(table.items("published", str, [])),
        ffmpeg=table.get("ffmpeg", str, "ffmpeg"),
    )
    table.done()
    return config


def select(config: Config, names: list[str]) -> Config:
    """Only these codecs, or sequences, or both; ConfigError for a name that is neither."""
    sequences = tuple(s for s in config.sequences if s.name in names)
    codecs = tuple(c for c in config.codecs if c.common.name in names)
    for name in names:
        if name not in {s.name for s in sequences} | {c.common.name for c in codecs}:
            raise ConfigError(f"{config.name} has no codec or sequence {name!r}")
    return replace(config, sequences=sequences or config.sequences, codecs=codecs or config.codecs)


def read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name} is not TOML: {error}") from None


class _Sequences:
    def __init__(self, data: Path, default: int | None, limit: int | None) -> None:
        self._data = data
        self._default = default
        self._limit = limit

    def read(self, tables: list[dict[str, Any]], path: Path) -> Iterator[Sequence]:
        for index, values in enumerate(tables, 1):
            table = Table(values, f"{path.name}: sequence {index}")
            used = table.get("use", str, None)
            if used is None:
                yield self._sequence(table)
                continue
            table.done()
            inner = experiments_folder() / "sequences" / f"{used}.toml"
            if used.endswith(".toml"):
                inner = path.parent / used
            if not inner.is_file():
                raise ConfigError(f"{table.where}: no set of sequences {used!r}")
            yield from self.read(
                Table(read_toml(inner), inner.name).items("sequences", dict), inner
            )

    def _sequence(self, table: Table) -> Sequence:
        name = check_name(table.get("name", str), table.where)
        group = table.get("class", str, "all")
        parts = table.items("parts", dict, None)
        if parts is None:
            found = [self._part(table)]
        else:
            found = [self._part(Table(p, f"{table.where}: part {i}")) for i, p in enumerate(parts)]
            if not found:
                raise ConfigError(f"{table.where}: parts must hold at least one")
            table.done()
        return Sequence(name, group, tuple(found))

    def _part(self, table: Table) -> Part:
        frames = table.integer("frames", 1, self._default)
        if self._limit is not None:
            frames = self._limit if frames is None else min(frames, self._limit)
        fps = table.get("fps", object, None)
        options = {
            "width": table.integer("width", 1, None),
            "height": table.integer("height", 1, None),
            "bit_depth": table.integer("bit_depth", 8, None),
            "fps": None if fps is None else _rate(fps, table.where),
        }
        path = self._data / Path(table.get("file", str)).expanduser()
        part = Part(str(path), options, table.integer("skip", 0, 0), frames)
        table.done()
        return part


def _codecs(tables: list[dict[str, Any]], path: Path, points: int | None) -> Iterator[Codec]:
    shipped = read_toml(experiments_folder() / "codecs.toml")
    for index, values in enumerate(tables, 1):
        where = f"{path.name}: codec {index}"
        used = values.get("use")
        if used is not None:
            if used not in shipped:
                raise ConfigError(f"{where}: no codec {used!r}; shipped are {', '.join(shipped)}")
            own = {key: value for key, value in values.items() if key != "use"}
            values = {"name": used, **shipped[used], **own}
        if points is not None and isinstance(values.get("points"), list):
            values = {**values, "points": _spread(values["points"], points)}
        yield read_codec(Table(values, where))


def _spread(points: list[Any], count: int) -> list[Any]:
    """So many of them, the ends first."""
    if count >= len(points):
        return points
    if count == 1:
        return [points[len(points) // 2]]
    step = (len(points) - 1) / (count - 1)
    return [points[round(index * step)] for index in range(count)]


def _rate(value: object, where: str) -> Fraction:
    try:
        rate = Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if rate <= 0:
        raise ConfigError(f'{where}: fps must be a rate such as 25 or "30000/1001", not {value!r}')
    return rate


def _known(where: str, metrics: list[str]) -> list[str]:
    for metric in metrics:
        if metric not in METRICS:
            raise ConfigError(f"{where} must be of {', '.join(METRICS)}, not {metric!r}")
    return metrics


def _unique(names: list[str], where: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{where}: two are called {name}")
    if not names:
        raise ConfigError(f"{where}: there is none")
