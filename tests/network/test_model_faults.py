"""Model files from strangers: whatever is wrong is a typed error that names it, in every engine."""

import json
import os
import resource
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ui2c
from hypothesis import given, settings
from hypothesis import strategies as st
from support.model_files import SIZES, Stored, Tensors, file, framed, header_of, identified, read
from support.paths import ROOT
from ui2c.network.load import load_model
from ui2c.network.model import check_format
from ui2c.network.torch_model import load_torch_model

NANO = ROOT / "tests" / "golden" / "nano.safetensors"
METADATA, TENSORS = read(NANO)
CONFIG = json.loads(METADATA["config"])

Load = Callable[[Path], Any]


@pytest.fixture(scope="module", params=["native", "torch"])
def load(request: pytest.FixtureRequest) -> Load:
    """As the core reads it, and as PyTorch does where `load_model` is asked for a GPU."""
    return load_model if request.param == "native" else load_by_torch


def load_by_torch(path: Path) -> Any:
    check_format(path)
    return load_torch_model(path)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models") / "other.safetensors"


def refuse(load: Load, path: Path, data: bytes, *names: str) -> None:
    """It is corrupt, and the message names what is wrong."""
    path.write_bytes(data)
    with pytest.raises(ui2c.CorruptError) as caught:
        load(path)
    assert all(name in str(caught.value) for name in names), str(caught.value)


def changed(name: str, tensor: Stored) -> bytes:
    return file(METADATA, TENSORS | {name: tensor})


def configured(**values: Any) -> dict[str, str]:
    return METADATA | {"config": json.dumps(CONFIG | values, sort_keys=True)}


def test_the_file_itself_is_read(load: Load, path: Path) -> None:
    path.write_bytes(file(METADATA, TENSORS))
    assert load(path).model_id.hex() == METADATA["id"]


def named(name: str) -> str:
    """What a message about values says: which of the two tensors of tables is wrong is open."""
    return name.removesuffix("lengths").removesuffix("frequencies")


def wrong_values(name: str, tensor: Stored) -> list[bytes]:
    """Elements that it may not have."""
    if tensor.kind == "F32":
        values = [float("nan"), float("inf"), float("-inf"), 2.0**21]
        values += {"scale": [0.0, -1.0], "equalisation": [0.0, 2.0**-21]}.get(
            name.rpartition(".")[2], []
        )
        return [struct.pack("<f", value) for value in values]
    if name.endswith(".weight"):
        values = [-128, -64, 64] if tensor.kind == "I8" else [-2048, 2048]
        return [value.to_bytes(SIZES[tensor.kind], "little", signed=True) for value in values]
    if name == "tables.hyper_index":
        return [b"\x40", b"\xff"]
    if name.startswith("tables."):
        return [b"\0\0", b"\xff\xff", b"\0\x7f"]
    assert name == "filters"  # any value can be
    return []


@pytest.mark.parametrize("name", sorted(TENSORS))
def test_one_wrong_value(name: str, path: Path) -> None:
    tensor = TENSORS[name]
    last = len(tensor.data) // SIZES[tensor.kind] - 1
    for count, element in enumerate(wrong_values(name, tensor)):
        index = (0, last // 2, last)[count % 3]
        refuse(load_model, path, changed(name, tensor.with_element(index, element)), named(name))


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_one_wrong_value_in_every_engine(load: Load, path: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([n for n in sorted(TENSORS) if n != "filters"]))
    tensor = TENSORS[name]
    element = data.draw(st.sampled_from(wrong_values(name, tensor)))
    index = data.draw(st.integers(0, len(tensor.data) // len(element) - 1))
    refuse(load, path, changed(name, tensor.with_element(index, element)), named(name))


def wrong_shapes(tensor: Stored) -> list[Stored]:
    shape, kind = tensor.shape, tensor.kind
    shapes = [(*shape, 1), (1, *shape), (*shape[:-1], shape[-1] + 1), shape[:-1], (0, *shape[1:])]
    if shape != shape[::-1]:
        shapes.append(shape[::-1])
    others = {"I8": ["U8", "F16"], "U8": ["I8", "I16"], "I16": ["I8", "F16"]}.get(kind, ["I32"])
    return [Stored.zeros(kind, shape) for shape in shapes] + [
        Stored.zeros(other, shape) for other in others
    ]


@pytest.mark.parametrize("name", sorted(TENSORS))
def test_wrong_shape_and_type(name: str, path: Path) -> None:
    for wrong in wrong_shapes(TENSORS[name]):
        refuse(load_model, path, changed(name, wrong), name)
    rest = {other: tensor for other, tensor in TENSORS.items() if other != name}
    refuse(load_model, path, file(METADATA, rest), name)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_wrong_shape_and_type_in_every_engine(load: Load, path: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(TENSORS)))
    wrong = data.draw(st.sampled_from([None, *wrong_shapes(TENSORS[name])]))
    tensors = {other: tensor for other, tensor in TENSORS.items() if other != name}
    refuse(load, path, file(METADATA, tensors | ({name: wrong} if wrong else {})), name)


def widened(name: str, element: int) -> Stored:
    """A pointwise layer's weights in 16 bits."""
    tensor = TENSORS[name]
    values = np.frombuffer(tensor.data, np.int8).astype("<i2")
    values[0] = element
    return Stored("I16", tensor.shape, values.tobytes())


def test_layers_may_be_wide_where_the_format_says_so(load: Load, path: Path) -> None:
    path.write_bytes(changed("codec.gate.weight", widened("codec.gate.weight", -2047)))
    load(path)
    refuse(load, path, changed("codec.gate.weight", widened("codec.gate.weight", 2048)), "gate")
    narrow = "codec.encoder.0.mix_in.weight"
    refuse(load, path, changed(narrow, widened(narrow, 3)), "encoder.0")


@pytest.mark.parametrize("name", ["codec.extra", "codec.gate.scales", "junk", "tables.more", ""])
def test_a_tensor_too_many(load: Load, path: Path, name: str) -> None:
    refuse(load, path, changed(name, Stored.zeros("F32", (3,))), name or "part of")


def test_tables_must_be_tables(load: Load, path: Path) -> None:
    for kind in ("", "hyper_"):
        lengths, frequencies = (f"tables.{kind}{what}" for what in ("lengths", "frequencies"))
        few = np.frombuffer(TENSORS[lengths].data, "<i2")[:5]
        entries = TENSORS[frequencies].data[: 2 * int(few.sum())]
        tensors = TENSORS | {
            lengths: Stored("I16", (5,), few.tobytes()),
            frequencies: Stored("I16", (len(entries) // 2,), entries),
        }
        refuse(load, path, file(METADATA, tensors), lengths)
        order = np.frombuffer(TENSORS[frequencies].data, "<i2")[::-1].tobytes()
        wrong = TENSORS[frequencies]._replace(data=order)
        refuse(load, path, changed(frequencies, wrong), frequencies)


@pytest.mark.parametrize(
    "values",
    [
        {"trunk": 4096},
        {"latent": 1 << 20},
        {"decoder_depth": 10**9},
        {"decoder_depth": 0},
        {"head_depth": -5},
        {"trunk": 32.0},
        {"trunk": True},
        {"name": 5},
        {"extractor_depths": [1]},
        {"extractor_depths": [1, 1, 1]},
        {"extractor_depths": "11"},
        {"extractor_depths": [1, 10**9]},
        {"motion": 1},
        {"motion": "x"},
        {"frames_per_unit": True},
        {"frames_per_unit": 2.0},
        {"frames_per_unit": 3},
        {"stages": 4},
    ],
)
def test_configurations(load: Load, path: Path, values: dict[str, Any]) -> None:
    few: Tensors = {"tables.hyper_index": TENSORS["tables.hyper_index"]}
    for tensors in (TENSORS, few):
        refuse(load, path, file(configured(**values), tensors), next(iter(values)))


def test_a_setting_that_is_missing(load: Load, path: Path) -> None:
    for key in CONFIG:
        config = {name: value for name, value in CONFIG.items() if name != key}
        metadata = METADATA | {"config": json.dumps(config)}
        refuse(load, path, file(metadata, TENSORS), key)


def test_widest_and_deepest_in_a_small_file(load: Load, path: Path) -> None:
    """Nothing is made of what is not there."""
    widths = dict.fromkeys(("trunk", "latent", "hyper", "prior", "head", "entropy"), 1024)
    depths = {key: 16 for key in CONFIG if key.endswith("_depth")}
    values = widths | depths | {"extractor_depths": [16, 16]}
    few: Tensors = {"tables.hyper_index": TENSORS["tables.hyper_index"]}
    refuse(load, path, file(configured(**values), few), "codec.")


def test_json_that_is_none(load: Load, path: Path) -> None:
    for text in ("{" * 10, "[" * 200_000, "[]", "5", "null", '{"name":' + "9" * 10_000 + "}", ""):
        refuse(load, path, file(METADATA | {"config": text}, TENSORS), "model file")
    for text in ("[" * 200_000, "nope", "[]"):
        refuse(load, path, file(METADATA | {"card": text}, TENSORS), "model file")


def data_of(tensors: Tensors) -> bytes:
    return b"".join(tensor.data for tensor in tensors.values())


def test_tensors_that_lie_wrong(load: Load, path: Path) -> None:
    """Over one another, with gaps, backwards, beyond the end."""
    names = list(TENSORS)
    first, second = names[0], names[1]
    header = header_of(identified(METADATA, TENSORS), TENSORS)
    (start, end), (_, after) = (header[name]["data_offsets"] for name in (first, second))
    places: list[tuple[str, list[int]]] = [
        (second, [start, end]),
        (second, [end - 1, after - 1]),
        (second, [end + 1, after + 1]),
        (first, [end, start]),
        (second, [end, after + 8]),
        (names[-1], [1 << 40, 1 << 41]),
        (names[-1], [(1 << 64) - 8, (1 << 64) - 1]),
        (first, [-1, end]),
    ]
    for name, place in places:
        wrong = header | {name: header[name] | {"data_offsets": place}}
        refuse(load, path, framed(json.dumps(wrong), data_of(TENSORS)))
    for shape in ([1 << 40], [1 << 63, 1 << 63], [-1], [1.5], "ab"):
        wrong = header | {first: header[first] | {"shape": shape}}
        refuse(load, path, framed(json.dumps(wrong), data_of(TENSORS)))


def test_a_name_that_is_there_twice(load: Load, path: Path) -> None:
    header = json.dumps(header_of(identified(METADATA, TENSORS), TENSORS))
    name = next(iter(TENSORS))
    entry = json.dumps(header_of(METADATA, {name: TENSORS[name]})[name])
    twice = f'{header[:-1]}, "{name}": {entry}}}'
    refuse(load, path, framed(twice, data_of(TENSORS)), name)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_header(load: Load, path: Path, data: st.DataObject) -> None:
    """Bytes of the header changed: read as before, or refused with a typed error."""
    whole = NANO.read_bytes()
    size = 8 + int.from_bytes(whole[:8], "little")
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, size - 1))
        damaged[at] = data.draw(st.sampled_from(list(b'{}[]",:0129- \xff')))
    path.write_bytes(damaged)
    try:
        model = load(path)
    except (ui2c.CorruptError, ui2c.UnsupportedError):
        return
    assert model.model_id.hex() == METADATA["id"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x04\x95...pickle",
        b"PK\x03\x04" + bytes(100),
        (1 << 62).to_bytes(8, "little") + b"{}",
        (1 << 24).to_bytes(8, "little") + b"{}",
        framed("{}", b""),
        framed('{"__metadata__": []}', b""),
        framed('{"__metadata__": {"format": 5}}', b""),
        framed("[" * 200_000, b""),
    ],
)
def test_other_files(load: Load, path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with pytest.raises((ui2c.CorruptError, ui2c.UnsupportedError)):
        load(path)


MEASURED = """
import resource, sys
import ui2c
from ui2c.network.{module} import {load} as load
load(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    load(sys.argv[2])
except ui2c.CorruptError as error:
    assert "codec." in str(error), error
else:
    sys.exit("it was read")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts kilobytes as Linux does")
@pytest.mark.parametrize("engine", [("load", "load_model"), ("torch_model", "load_torch_model")])
def test_a_tensor_larger_than_it_can_be_is_not_read(path: Path, engine: tuple[str, str]) -> None:
    """The file is sparse: as long as it says, without taking room on the disk."""
    name, size = next(iter(TENSORS)), 1 << 33
    few: Tensors = {other: TENSORS[other] for other in TENSORS if other != name}
    header = header_of(METADATA, few)
    end = len(data_of(few))
    header[name] = {"dtype": "I8", "shape": [size], "data_offsets": [end, end + size]}
    with path.open("wb") as out:
        out.write(framed(json.dumps(header), data_of(few)))
        out.truncate(out.tell() + size)
    assert path.stat().st_blocks * resource.getpagesize() < 1 << 30
    program = MEASURED.format(module=engine[0], load=engine[1])
    command = [sys.executable, "-c", program, os.fspath(NANO), os.fspath(path)]
    grown = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert grown < 64 << 10, f"{grown} kB"
