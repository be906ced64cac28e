"""Model files: what is in them, how they are found, and what is wrong with others."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import ui2c
from safetensors import safe_open
from safetensors.torch import save_file
from support.clips import make_clip
from ui2c import _core
from ui2c.network import load as loading
from ui2c.network import model as files
from ui2c.network.codec import Codec
from ui2c.network.config import config_for
from ui2c.network.load import load_model, model_for_id
from ui2c.network.model import shipped_models
from ui2c.network.prior import SCALES, SKIP
from ui2c.network.tables import LARGEST, fitted_tables, gaussian_tables
from ui2c.network.torch_model import load_codec, random_model, save_model


@pytest.fixture(params=[load_model, load_codec])
def load(request: pytest.FixtureRequest) -> Any:
    """What reads a model file: for the core, and for PyTorch."""
    return request.param


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec(config_for("nano"))


def contents(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    with safe_open(path, framework="pt") as file:
        return file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118


def test_round_trip(codec: Codec, tmp_path: Path) -> None:
    path = tmp_path / "nano.safetensors"
    save_model(codec, path, {"steps": 3})
    assert list(tmp_path.iterdir()) == [path]
    model = load_model(path)
    assert model.config == codec.config and model.card == {"steps": 3}
    assert load_model(path).model_id == model.model_id
    trained = load_codec(path)
    assert all(p.requires_grad for p in trained.parameters())
    shapes = [{n: p.shape for n, p in each.named_parameters()} for each in (trained, codec)]
    assert shapes[0] == shapes[1]
    save_model(trained, tmp_path / "trained.safetensors")
    assert load_model(tmp_path / "trained.safetensors").model_id == model.model_id


def test_tables(codec: Codec, tmp_path: Path) -> None:
    """Without others both are Gaussian; y and z may have their own."""
    counts = np.zeros((2, SCALES, LARGEST + 2), np.int64)
    counts[0, :, :3], counts[1, :, 0] = (5000, 500, 900), 9000
    y, z = (fitted_tables(part) for part in counts)
    indexes, symbols = np.full(300, 20, np.uint8), np.resize(np.array([0, 2, 1, -2], "<i2"), 300)

    def coded(tables: _core.Tables) -> bytes:
        encoder = _core.RansEncoder()
        encoder.put(tables, indexes, symbols)
        return encoder.finish(0)[1]

    ids = []
    for name, given, expected in (
        ("plain", None, (gaussian_tables(), gaussian_tables())),
        ("fitted", (y, z), (y, z)),
    ):
        path = tmp_path / f"{name}.safetensors"
        save_model(codec, path, tables=given)
        model = load_model(path)
        for ours, theirs in zip((model.tables, model.hyper_tables), expected, strict=True):
            assert coded(ours) == coded(_core.Tables(*theirs, SKIP))
        ids.append(model.model_id)
    assert len({coded(_core.Tables(*t, SKIP)) for t in (gaussian_tables(), y, z)}) == 3
    assert ids[0] != ids[1]


def test_all_that_decides_pictures_decides_the_id(codec: Codec, tmp_path: Path) -> None:
    path = tmp_path / "nano.safetensors"
    ids = set()

    def save(**options: Any) -> None:
        save_model(codec, path, **options)
        ids.add(load_model(path).model_id)

    save()
    save(filters=np.ones((9, 3, 3, 30, 12), np.int8))
    counts = np.zeros((SCALES, LARGEST + 2), np.int64)
    counts[:, 3] = 10_000
    save(tables=(fitted_tables(counts), gaussian_tables()))
    save(tables=(gaussian_tables(), fitted_tables(counts)))
    with torch.no_grad():
        for name in ("prior.offsets", "prior.stage_marks", "gate.bias", "encoder_gains.values"):
            codec.get_parameter(name)[0] += 0.25
            save()
    assert len(ids) == 8


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where models are taken to be shipped: two of them, and a file that is none."""
    for name, seed in (("one", 1), ("two", 2)):
        save_model(
            random_model("nano", seed).engine.codec,  # type: ignore[attr-defined]
            tmp_path / f"{name}.safetensors",
        )
    monkeypatch.setattr(files, "model_folder", lambda: tmp_path)
    yield tmp_path


def test_models_are_found_by_the_id_that_they_tell(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shipped_models() == ["one", "two"]
    two = load_model("two")
    loaded: list[object] = []
    load = loading.load_model
    monkeypatch.setattr(loading, "load_model", lambda *a: (loaded.append(a[0]), load(*a))[1])
    assert model_for_id(two.model_id).model_id == two.model_id
    # The other one was not loaded to see what it is.
    assert loaded == ["two"]
    with pytest.raises(ui2c.UnsupportedError, match=r"6e6f737563686964.*one, two"):
        model_for_id(b"nosuchid")
    assert loaded == ["two"]


def test_a_decoder_takes_the_model_that_a_stream_names(folder: Path) -> None:
    clip = make_clip(16, 16, 1)
    decoder = ui2c.Decoder()
    for name in ("two", "one", "two"):
        shown: list[ui2c.YUV420] = []
        data = ui2c.Encoder(model=name, reconstruction=shown.append).encode(clip)
        assert decoder.decode(data) == shown


def test_cut_files_are_corrupt(codec: Codec, tmp_path: Path, load: Any) -> None:
    path = tmp_path / "nano.safetensors"
    save_model(codec, path)
    whole = path.read_bytes()
    for size in (0, 7, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ui2c.CorruptError):
            load(path)
    with pytest.raises(FileNotFoundError, match="no-such-model"):
        load("no-such-model")


@pytest.mark.parametrize("where", ["weights", "filters", "tables.frequencies", "id", "config"])
def test_what_does_not_match_its_id_is_corrupt(
    codec: Codec, tmp_path: Path, load: Any, where: str
) -> None:
    path = tmp_path / "nano.safetensors"
    save_model(codec, path)
    metadata, tensors = contents(path)
    if where == "id":
        metadata["id"] = "0123456789abcdef"
    elif where == "config":
        values = json.loads(metadata["config"])
        metadata["config"] = json.dumps(values | {"name": "mano"}, sort_keys=True)
    else:
        key = "codec.gate.bias" if where == "weights" else where
        tensors[key].view(-1)[0] += 1
    save_file(tensors, path, metadata)
    with pytest.raises(ui2c.CorruptError, match=r"it says that it is .* but holds"):
        load(path)
    # A card decides nothing.
    save_model(codec, path)
    metadata, tensors = contents(path)
    metadata["card"] = "{}"
    save_file(tensors, path, metadata)
    load(path)


@pytest.mark.parametrize(
    "change",
    [
        {"trunk": 4096},
        {"trunk": 10**9},
        {"head_depth": 10**9},
        {"extractor_depths": [1, 10**9]},
        {"frames_per_unit": 3},
        {"stages": 2},
    ],
)
def test_sizes_beyond_the_limits_are_corrupt(
    codec: Codec, tmp_path: Path, load: Any, change: dict[str, Any]
) -> None:
    path = tmp_path / "nano.safetensors"
    save_model(codec, path)
    metadata, tensors = contents(path)
    values = json.loads(metadata["config"]) | change
    metadata["config"] = json.dumps(values, sort_keys=True)
    save_file(tensors, path, metadata)

    with pytest.raises(ui2c.CorruptError, match=next(iter(change))):
        load(path)


@pytest.mark.parametrize("key", ["config", "id", "profile", "format"])
def test_metadata_that_is_missing(codec: Codec, tmp_path: Path, load: Any, key: str) -> None:
    path = tmp_path / "nano.safetensors"
    save_model(codec, path)
    metadata, tensors = contents(path)
    del metadata[key]
    save_file(tensors, path, metadata)
    error = ui2c.CorruptError if key in ("config", "id") else ui2c.UnsupportedError
    with pytest.raises(error, match=key):
        load(path)


def test_a_tensor_that_is_missing(codec: Codec, tmp_path: Path, load: Any) -> None:
    path = tmp_path / "nano.safetensors"
    save_model(codec, path)
    metadata, tensors = contents(path)
    for key in ("filters", "tables.hyper_index", "codec.gate.weight"):
        save_file({name: t for name, t in tensors.items() if name != key}, path, metadata)
        with pytest.raises(ui2c.CorruptError):
            load(path)


def test_other_formats_and_profiles_are_named(codec: Codec, tmp_path: Path, load: Any) -> None:
    path = tmp_path / "nano.safetensors"
    save_model(codec, path)
    metadata, tensors = contents(path)
    for key, value in (("format", "ui2c-model 9"), ("profile", "float8 7")):
        save_file(tensors, path, metadata | {key: value})
        with pytest.raises(ui2c.UnsupportedError, match=value):
            load(path)


def test_shipped_models_can_be_loaded() -> None:
    assert "small" in shipped_models()
    for name in shipped_models():
        model = load_model(name)
        assert model.config == config_for(name)
        assert model_for_id(model.model_id).model_id == model.model_id


def test_random_models_differ_by_seed() -> None:
    assert random_model("nano", 1).model_id != random_model("nano", 2).model_id
