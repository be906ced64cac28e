"""Model files as PyTorch has them: written, run by it, taken up again for training."""

from __future__ import annotations

import copy
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ui2c import _core
from ui2c.files import write_whole
from ui2c.network.blocks import Bank
from ui2c.network.codec import Codec
from ui2c.network.config import KNOTS, QUALITIES, CodecConfig, config_for
from ui2c.network.integer import (
    LARGEST_WEIGHT,
    SMALLEST_SCALE,
    WIDE_WEIGHT,
    coding_codec,
    training_codec,
)
from ui2c.network.model import FORMAT, PROFILE, Model, check_format, find_model, no_filters
from ui2c.network.prior import SCALES, SKIP
from ui2c.network.tables import ScaleTables, gaussian_tables
from ui2c.network.torch_engine import TorchEngine

NETWORKS, HYPER_SCALES = "codec.", "prior.hyper_scales."

LARGEST_VALUE = 2.0**20
"""Of all float32 in a file: so no product of the networks can overflow."""


def save_model(
    codec: Codec,
    path: Path,
    card: dict[str, Any] | None = None,
    filters: NDArray[np.int8] | None = None,
    tables: tuple[ScaleTables, ScaleTables] | None = None,
) -> None:
    """Writes trained networks as a model file, whole or not at all: what codes is integers.

    `filters`, `[9, 3, 3, 30, 12]`, are the default sets of the post-filter; without, they change
    nothing. `tables` are those of y and of z; without, both are Gaussian.
    """
    y, z = tables or (gaussian_tables(), gaussian_tables())
    tensors = {
        "tables.hyper_index": hyper_indexes(codec),
        "filters": torch.from_numpy(no_filters() if filters is None else filters),
        **_table_tensors("", y),
        **_table_tensors("hyper_", z),
    }
    coding = copy.deepcopy(codec).cpu()
    coding_codec(coding)
    for name, tensor in network_tensors(coding).items():
        tensors[f"{NETWORKS}{name}"] = tensor.contiguous().clone()
    metadata = {
        "format": FORMAT,
        "profile": PROFILE,
        "config": json.dumps(codec.config.to_dict(), sort_keys=True),
        "card": json.dumps(card or {}, sort_keys=True),
    }
    metadata["id"] = _identity(metadata, tensors).hex()
    write_whole(path, save(tensors, metadata))


def network_tensors(codec: Codec) -> dict[str, Tensor]:
    """What the networks of a model file hold, by name; the scales of z stand in a table."""
    return {
        name: tensor
        for name, tensor in codec.state_dict().items()
        if not name.startswith(HYPER_SCALES)
    }


def _identity(metadata: dict[str, str], tensors: dict[str, Tensor]) -> bytes:
    """What streams name a model by: 8 bytes of a hash of all that decides what they decode to."""
    digest = hashlib.sha256((metadata["profile"] + metadata["config"]).encode())
    for key in sorted(tensors):
        digest.update(key.encode() + tensors[key].contiguous().numpy().tobytes())
    return digest.digest()[:8]


def _table_tensors(kind: str, tables: ScaleTables) -> dict[str, Tensor]:
    return {
        f"tables.{kind}{name}": torch.from_numpy(array.astype(np.int16))
        for name, array in tables._asdict().items()
    }


def hyper_indexes(codec: Codec) -> Tensor:
    """Rounded scale indices of z for every row, uint8 `[2, 64, hyper]`."""
    rows = torch.arange(QUALITIES, device=next(codec.parameters()).device)
    with torch.no_grad():
        parts = [
            codec.prior.hyper_index(rows, torch.full_like(rows, kind, dtype=torch.bool))
            for kind in (0, 1)
        ]
    return torch.stack(parts)[:, :, 0, 0].round().to(torch.uint8).cpu()


def load_torch_model(path: str | os.PathLike[str], device: str = "cpu") -> Model:
    """Loads a model file of any configuration; PyTorch runs it.

    Raises `ui2c.CorruptError` for what is no whole model file.
    """
    path = Path(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        return _build(metadata, tensors, torch.device(device))
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise _core.CorruptError(f"{path} is not a whole model file: {error}") from error


def _build(metadata: dict[str, str], tensors: dict[str, Tensor], device: torch.device) -> Model:
    config = CodecConfig.from_dict(json.loads(metadata["config"]))
    identity = _identity(metadata, tensors)
    if metadata["id"] != identity.hex():
        raise ValueError(f"it says that it is {metadata['id']}, but holds {identity.hex()}")
    networks = {
        key.removeprefix(NETWORKS): value
        for key, value in tensors.items()
        if key.startswith(NETWORKS)
    }
    index = tensors["tables.hyper_index"]
    check_networks(config, networks)
    check_tensor("tables.hyper_index", index, (2, QUALITIES, config.hyper), torch.uint8, SCALES - 1)
    filters = tensors["filters"]
    check_tensor("filters", filters, no_filters().shape, torch.int8, 128)
    with torch.device("meta"):
        codec = Codec(config)
        coding_codec(codec)
    codec.load_state_dict(networks, strict=False, assign=True)
    del codec.prior.hyper_scales

    def tables(kind: str) -> _core.Tables:
        frequencies, lengths = (
            tensors[f"tables.{kind}{field}"].numpy().astype(np.uint16)
            for field in ScaleTables._fields
        )
        return _core.Tables(frequencies, lengths, SKIP)

    return Model(
        config,
        TorchEngine(codec.to(device), index.numpy()),
        tables(""),
        tables("hyper_"),
        identity,
        metadata["profile"],
        json.loads(metadata.get("card", "{}")),
        filters.numpy(),
    )


def check_networks(config: CodecConfig, tensors: dict[str, Tensor]) -> None:
    """Raises ValueError unless the tensors are those of such networks, in type, shape and range.

    Nothing is allocated for it.
    """
    with torch.device("meta"):
        codec = Codec(config)
        coding_codec(codec)
    expected = network_tensors(codec)
    if missing := sorted(expected.keys() ^ tensors.keys()):
        raise ValueError(f"{missing[0]} is missing, or not part of such networks")
    for name, like in expected.items():
        wide = like.dtype == torch.int16
        largest = LARGEST_VALUE
        if not like.is_floating_point():
            largest = WIDE_WEIGHT if wide else LARGEST_WEIGHT
        least = 1 / largest if name.endswith("equalisation") else None
        if name.endswith("scale"):
            least = SMALLEST_SCALE
        check_tensor(name, tensors[name], tuple(like.shape), like.dtype, largest, least)


def check_tensor(
    name: str,
    tensor: Tensor,
    shape: tuple[int, ...],
    dtype: torch.dtype,
    largest: float,
    least: float | None = None,
) -> None:
    """Raises ValueError for another shape or type, or values beyond ±`largest` or below `least`."""
    if tuple(tensor.shape) != shape or tensor.dtype != dtype:
        raise ValueError(
            f"{name} must be {dtype} {list(shape)}, not {tensor.dtype} {list(tensor.shape)}"
        )
    low, high = (float(x) for x in tensor.aminmax())
    # So written, NaN is out of range, too.
    if not (-largest <= low and high <= largest and (least is None or low >= least)):
        raise ValueError(f"{name} holds {low} … {high}, beyond what it may")


def load_codec(name_or_path: str | os.PathLike[str]) -> Codec:
    """The networks of a model for training, with their quality rows back at the knots.

    Raises what `load_model` raises.
    """
    path = find_model(name_or_path)
    check_format(path)
    engine = load_torch_model(path).engine
    assert isinstance(engine, TorchEngine)
    codec = engine.codec
    codec.prior.hyper_scales = torch.nn.ModuleList(
        Bank(torch.from_numpy(index[list(KNOTS)]).float() / 10) for index in engine.hyper_index
    )
    training_codec(codec)
    return codec


def random_model(name: str, seed: int = 0) -> Model:
    """An untrained model of a size, for tests: every seed another one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        codec = Codec(config_for(name))
    index = hyper_indexes(codec).numpy()
    coding_codec(codec)
    digest = hashlib.sha256(f"{name} {seed} {PROFILE}".encode()).digest()[:8]
    tables, hyper_tables = (_core.Tables(*gaussian_tables(), SKIP) for _ in range(2))
    engine = TorchEngine(codec, index)
    return Model(codec.config, engine, tables, hyper_tables, digest)
