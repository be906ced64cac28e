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
    MOST_INPUTS,
    MOST_WIDE_INPUTS,
    SMALLEST_SCALE,
    WIDE_WEIGHT,
    coding_codec,
    training_codec,
)
from ui2c.network.model import (
    FORMAT,
    PROFILE,
    Model,
    check_format,
    find_model,
    json_table,
    no_filters,
)
from ui2c.network.prior import SCALES, SKIP
from ui2c.network.tables import ScaleTables, gaussian_tables
from ui2c.network.torch_engine import TorchEngine

NETWORKS, HYPER_SCALES = "codec.", "prior.hyper_scales."
HYPER_INDEX = "tables.hyper_index"

KINDS = {torch.int8: "I8", torch.int16: "I16", torch.uint8: "U8", torch.float32: "F32"}
"""Types as model files name them."""

NARROW = ("spatial_in", "spatial_out", "mix_in", "mix_out")
"""Layers of a block that are never wide."""

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
    tensors = {
        HYPER_INDEX: hyper_indexes(codec),
        **_fitted_tensors(
            no_filters() if filters is None else filters,
            tables or (gaussian_tables(), gaussian_tables()),
        ),
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
    _write(path, metadata, tensors)


def save_fitted(
    source: str | os.PathLike[str],
    path: Path,
    filters: NDArray[np.int8],
    tables: tuple[ScaleTables, ScaleTables],
) -> None:
    """Writes a model file with the networks of another, bit for bit, and other filters and tables.

    See `save_model`.
    """
    with safe_open(source, framework="pt") as file:
        metadata = dict(file.metadata())
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    _write(path, metadata, tensors | _fitted_tensors(filters, tables))


def _write(path: Path, metadata: dict[str, str], tensors: dict[str, Tensor]) -> None:
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


def _fitted_tensors(
    filters: NDArray[np.int8], tables: tuple[ScaleTables, ScaleTables]
) -> dict[str, Tensor]:
    y, z = tables
    return {
        "filters": torch.from_numpy(filters),
        **_table_tensors("", y),
        **_table_tensors("hyper_", z),
    }


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
            config = CodecConfig.from_dict(json_table(metadata["config"]))
            codec = _empty_codec(config)
            # Of a file that has other tensors none is read.
            _check_shapes(file, _expected(codec))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        return _build(codec, metadata, tensors, torch.device(device))
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise _core.CorruptError(f"{path} is not a whole model file: {error}") from error


def _build(
    codec: Codec,
    metadata: dict[str, str],
    tensors: dict[str, Tensor],
    device: torch.device,
) -> Model:
    for name, tensor in tensors.items():
        _check_values(name, tensor)
    identity = _identity(metadata, tensors)
    if metadata["id"] != identity.hex():
        raise ValueError(f"it says that it is {metadata['id']}, but holds {identity.hex()}")
    tables, hyper_tables = (_tables(tensors, kind) for kind in ("", "hyper_"))
    networks = {
        key.removeprefix(NETWORKS): value
        for key, value in tensors.items()
        if key.startswith(NETWORKS)
    }
    codec.load_state_dict(networks, strict=False, assign=True)
    del codec.prior.hyper_scales
    return Model(
        codec.config,
        TorchEngine(codec.to(device), tensors[HYPER_INDEX].numpy()),
        tables,
        hyper_tables,
        identity,
        metadata["profile"],
        json_table(metadata.get("card", "{}")),
        tensors["filters"].numpy(),
    )


def _empty_codec(config: CodecConfig) -> Codec:
    """Layers as they code, without memory for their parameters."""
    with torch.device("meta"):
        codec = Codec(config)
        coding_codec(codec)
    return codec


def _expected(codec: Codec) -> dict[str, tuple[torch.dtype, tuple[int | None, ...]]]:
    """Type and shape of every tensor of a model file; None for what tables are free in."""
    expected: dict[str, tuple[torch.dtype, tuple[int | None, ...]]] = {
        f"{NETWORKS}{name}": (tensor.dtype, tuple(tensor.shape))
        for name, tensor in network_tensors(codec).items()
    }
    for kind in ("", "hyper_"):
        expected[f"tables.{kind}frequencies"] = torch.int16, (None,)
        expected[f"tables.{kind}lengths"] = torch.int16, (SCALES,)
    expected[HYPER_INDEX] = torch.uint8, (2, QUALITIES, codec.config.hyper)
    expected["filters"] = torch.int8, no_filters().shape
    return expected


def _check_shapes(
    file: Any, expected: dict[str, tuple[torch.dtype, tuple[int | None, ...]]]
) -> None:
    """Raises ValueError unless the file has exactly these tensors, of these types and shapes."""
    if missing := sorted(expected.keys() ^ set(file.keys())):
        raise ValueError(f"{missing[0]} is missing, or not part of such a model")
    for name, (dtype, shape) in expected.items():
        found = file.get_slice(name)
        kind, sizes = found.get_dtype(), tuple(found.get_shape())
        kinds = [KINDS[dtype]]
        if dtype == torch.int8 and name.endswith("weight"):
            most = MOST_INPUTS
            if kind == KINDS[torch.int16] and name.split(".")[-2] not in NARROW:
                kinds, most = [kind], MOST_WIDE_INPUTS
            if shape[1] is not None and shape[1] > most:
                raise ValueError(f"{name} has {shape[1]} inputs, at most {most} can be")
        fits = len(sizes) == len(shape) and all(
            wanted in (None, size) for size, wanted in zip(sizes, shape, strict=True)
        )
        if kind not in kinds or not fits:
            sides = ["n" if side is None else side for side in shape]
            raise ValueError(f"{name} must be {kinds[0]} {sides}, not {kind} {list(sizes)}")


def _check_values(name: str, tensor: Tensor) -> None:
    """Raises ValueError for values that no such tensor may hold."""
    if not tensor.numel():
        raise ValueError(f"{name} is empty")
    last = name.rpartition(".")[2]
    largest = LARGEST_VALUE
    if name == HYPER_INDEX:
        largest = SCALES - 1
    elif not tensor.is_floating_point():
        wide = tensor.dtype == torch.int16
        largest = (WIDE_WEIGHT if wide else LARGEST_WEIGHT) if last == "weight" else 1 << 15
    least = {"scale": SMALLEST_SCALE, "equalisation": 1 / largest}.get(last, -largest)
    low, high = (float(x) for x in tensor.aminmax())
    # So written, NaN is out of range, too.
    if not (least <= low and high <= largest):
        raise ValueError(f"{name} holds {low} … {high}, beyond what it may")


def _tables(tensors: dict[str, Tensor], kind: str) -> _core.Tables:
    frequencies, lengths = (
        tensors[f"tables.{kind}{field}"].numpy().astype(np.uint16) for field in ScaleTables._fields
    )
    try:
        return _core.Tables(frequencies, lengths, SKIP)
    except ValueError as error:
        raise ValueError(f"tables.{kind}{error}") from None


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
