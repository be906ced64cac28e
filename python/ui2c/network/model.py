"""Model files: weights, integer tables and a card, in one safetensors file."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ui2c import _core
from ui2c.network.config import KNOTS, CodecConfig, base_row
from ui2c.network.native_engine import NativeEngine

if TYPE_CHECKING:
    from ui2c.network.engine import Engine, Session

FORMAT = "ui2c-model 1"

PROFILE = "int8 1"
"""How the networks are computed; the only numeric profile there is."""

LARGEST_HEADER = 1 << 24
"""Bytes of the names and shapes in a model file."""

FILTER_SETS = 3
"""Default sets of the post-filter at each knot."""


def no_filters() -> NDArray[np.int8]:
    """Default sets of the post-filter that change nothing."""
    return np.zeros((len(KNOTS), FILTER_SETS, 3, 30, 12), np.int8)


@dataclass(frozen=True, eq=False)
class Model:
    """A model ready for coding: what runs its networks, its tables, and the id in streams."""

    config: CodecConfig
    engine: Engine
    tables: _core.Tables
    """Of the symbols of y."""
    hyper_tables: _core.Tables
    """Of those of z."""
    model_id: bytes
    profile: str = PROFILE
    """How the networks are computed; part of the id, since other numbers mean other streams."""
    card: dict[str, Any] = field(default_factory=dict)
    filters: NDArray[np.int8] = field(default_factory=no_filters, repr=False)
    """Default sets of the post-filter at the knots' rows, `[9, 3, 3, 30, 12]`."""

    @property
    def native(self) -> _core.Model | None:
        """What the core needs of it, where that runs the networks."""
        return self.engine.model if isinstance(self.engine, NativeEngine) else None

    @property
    def on_processor(self) -> bool:
        """Whether the networks run on a CPU."""
        return self.engine.on_processor

    def session(self, *, width: int, height: int, bit_depth: int) -> Session:
        """The networks, ready for one sequence of pictures of that coded size."""
        return self.engine.session(width=width, height=height, bit_depth=bit_depth)

    def default_filters(self, qp: int, intra: bool) -> list[_core.Filters]:
        """The default sets of the post-filter at the knot nearest to a unit's base row."""
        row = base_row(qp, intra)
        nearest = min(range(len(KNOTS)), key=lambda k: abs(KNOTS[k] - row))
        return [_core.Filters(np.ascontiguousarray(set_)) for set_ in self.filters[nearest]]


def model_folder() -> Path:
    """Where the shipped models lie."""
    return Path(str(resources.files("ui2c"))) / "models"


def shipped_models() -> list[str]:
    """Names of the models inside the package."""
    return sorted(path.stem for path in model_folder().glob("*.safetensors"))


def find_model(name_or_path: str | os.PathLike[str]) -> Path:
    """A model's file, by name or path; `FileNotFoundError` says which models are shipped."""
    path = Path(name_or_path)
    if path.suffix != ".safetensors":
        path = model_folder() / f"{name_or_path}.safetensors"
    if not path.is_file():
        known = ", ".join(shipped_models()) or "none"
        raise FileNotFoundError(f"no model {str(name_or_path)!r}; shipped models: {known}")
    return path


def check_format(path: Path) -> CodecConfig:
    """The configuration in a model file that this version can read.

    Raises `ui2c.CorruptError` for a file that is no model, `ui2c.UnsupportedError` for one of
    another format version or numeric profile.
    """
    metadata = metadata_of(path)
    if metadata.get("format") != FORMAT:
        raise _core.UnsupportedError(
            f"{path} has format {metadata.get('format')!r}, this version reads {FORMAT!r}"
        )
    if metadata.get("profile") != PROFILE:
        raise _core.UnsupportedError(
            f"{path} has the numeric profile {metadata.get('profile')!r}, "
            f"this version computes {PROFILE}"
        )
    try:
        return CodecConfig.from_dict(json_table(metadata["config"]))
    except (KeyError, TypeError, ValueError) as error:
        raise _core.CorruptError(f"{path} is not a whole model file: {error}") from error


def metadata_of(path: Path) -> dict[str, str]:
    """What a safetensors file tells of itself, without its tensors."""
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if size > LARGEST_HEADER:
                raise ValueError(f"a header of {size} bytes")
            values = json_table(file.read(size)).get("__metadata__", {})
    except ValueError as error:
        raise _core.CorruptError(f"{path} is not a model file: {error}") from error
    if not isinstance(values, dict):
        raise _core.CorruptError(f"{path} is not a model file: its metadata are no table")
    return values


def json_table(text: str | bytes) -> dict[str, Any]:
    """A JSON object; raises ValueError for what is none, or has one name twice."""
    try:
        table = json.loads(text, object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(table, dict):
        raise ValueError("it is no table")
    return table


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{max(names, key=names.count)} is there twice")
    return table
