"""Models ready to code, run by the engine that suits the device."""

from __future__ import annotations

import os

from ui2c import _core
from ui2c.network.config import CodecConfig
from ui2c.network.model import (
    Model,
    check_format,
    find_model,
    json_table,
    metadata_of,
    shipped_models,
)
from ui2c.network.native_engine import NativeEngine
from ui2c.runtime import need_torch


def load_model(name_or_path: str | os.PathLike[str], device: str = "cpu") -> Model:
    """Loads a shipped model by name, or any model file by its path.

    The core runs it on a CPU, PyTorch on a GPU; PyTorch alone runs what is for experiments.

    Raises `FileNotFoundError` that says which models there are, `ui2c.CorruptError` for a file
    that is no model, `ui2c.UnsupportedError` for one of another format version or for which PyTorch
    is missing.
    """
    path = find_model(name_or_path)
    config = check_format(path)
    if device == "cpu" and config.motion and config.frames_per_unit == 2:
        try:
            return _native_model(_core.Model.load(path), config)
        except (_core.CorruptError, ValueError) as error:
            raise _core.CorruptError(f"{path} is not a whole model file: {error}") from error
    need_torch(f"running {path} on {device}")
    from ui2c.network.torch_model import load_torch_model

    return load_torch_model(path, device)


def _native_model(model: _core.Model, config: CodecConfig) -> Model:
    return Model(
        config,
        NativeEngine(model),
        model.tables,
        model.hyper_tables,
        model.id,
        model.profile,
        json_table(model.card),
        model.filters,
    )


def model_for_id(model_id: bytes, device: str = "cpu") -> Model:
    """The shipped model that a stream names; `ui2c.UnsupportedError` if it is not there."""
    for name in shipped_models():
        if metadata_of(find_model(name)).get("id") == model_id.hex():
            return load_model(name, device)
    known = ", ".join(shipped_models()) or "none"
    raise _core.UnsupportedError(
        f"the stream needs model {model_id.hex()}, which is not shipped here (models: {known})"
    )
