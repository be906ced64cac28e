"""Files that format 1.0 has once been written to decode to what they did, for ever."""

import importlib.util
import os
import platform
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import ui2c
from support.paths import GOLDEN
from support.streams import coded_units, parse
from support.units import take_apart
from ui2c import _core
from ui2c.network.load import load_model
from ui2c.network.model import Model
from ui2c.unit.planes import Geometry
from ui2c.video import open_source

ARM = platform.machine() in ("aarch64", "arm64")
LEVELS = ["scalar", "neon"] if ARM else ["scalar", "avx2", "avx512"]

DECODE = """
import sys
from pathlib import Path
import numpy as np
from ui2c import _core

folder = Path(sys.argv[1])
count, skip, *rest = np.fromfile(folder / "coder.tables", "<u2")
rest = np.array(rest, np.uint16)
tables = _core.Tables(rest[count:].copy(), rest[:count].copy(), int(skip))
indexes = np.fromfile(folder / "coder.indexes", np.uint8)
symbols = np.fromfile(folder / "coder.symbols", "<i2")
parser = _core.Parser()
parser.feed((folder / "coder.ui2c").read_bytes())
parser.close()
units = list(iter(parser.next_unit, None))
(counts,) = (unit.value for unit in units if isinstance(unit, _core.MetadataUnit))
counts = [int(n) for n in counts.split()]
coded = [unit for unit in units if isinstance(unit, _core.CodedUnit)]
start = 0
for unit, n in zip(coded, counts, strict=True):
    decoder = _core.RansDecoder(unit.stream, unit.log2_lanes)
    decoded = decoder.get(tables, indexes[start : start + n])
    decoder.finish()
    assert (decoded == symbols[start : start + n]).all()
    encoder = _core.RansEncoder()
    encoder.put(tables, indexes[start : start + n], symbols[start : start + n])
    assert encoder.finish(unit.log2_lanes) == (unit.log2_lanes, unit.stream)
    start += n
assert start == len(symbols) > 0
print(_core.cpu_level())
"""


@pytest.mark.parametrize("level", LEVELS)
def test_coder_at_every_level(level: str) -> None:
    """From Python, and that UI2C_CPU lowers the level and never raises it."""
    environment = os.environ | {"UI2C_CPU": level}
    result = subprocess.run(
        [sys.executable, "-c", DECODE, GOLDEN], env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    used = LEVELS.index(result.stdout.strip())
    assert used == min(LEVELS.index(level), LEVELS.index(_core.cpu_level()))


def test_motion() -> None:
    vectors = np.fromfile(GOLDEN / "motion.vectors", "<i2").reshape(2, 9, 11, 2)
    stream = (GOLDEN / "motion.stream").read_bytes()
    decoder = _core.RansDecoder(stream, 0)
    np.testing.assert_array_equal(decoder.get_motion(2, 9, 11), vectors)
    decoder.finish()
    encoder = _core.RansEncoder()
    encoder.put_motion(vectors)
    assert encoder.finish(0) == (0, stream)


def test_blocks() -> None:
    guesses = np.fromfile(GOLDEN / "motion.vectors", "<i2").reshape(2, 9, 11, 2)[0]
    cells = np.fromfile(GOLDEN / "blocks.cells", "<i2").reshape(9, 11, 9)
    stream = (GOLDEN / "blocks.stream").read_bytes()
    decoder = _core.RansDecoder(stream, 0)
    blocks = decoder.get_blocks(guesses, 1)
    assert blocks is not None
    np.testing.assert_array_equal(blocks.modes, cells[..., 0])
    np.testing.assert_array_equal(blocks.vectors, cells[..., 1:].reshape(9, 11, 4, 2))
    assert decoder.get_blocks(guesses, 1) is None
    decoder.finish()
    encoder = _core.RansEncoder()
    encoder.put_blocks(blocks, guesses, 1)
    encoder.put_blocks(None, guesses, 1)
    assert encoder.finish(0) == (0, stream)


def test_filters() -> None:
    coefficients = np.fromfile(GOLDEN / "filters.coefficients", np.int8).reshape(5, 3, 30, 12)
    *defaults, first, second = (_core.Filters(one) for one in coefficients)
    stream = (GOLDEN / "filters.stream").read_bytes()
    decoder = _core.RansDecoder(stream, 0)
    assert decoder.get_filters(_core.Filters(), defaults) == first
    assert decoder.get_filters(first, defaults) == second
    assert decoder.get_filters(second, defaults) == second
    decoder.finish()
    encoder = _core.RansEncoder()
    encoder.put_filters(_core.Filters(), defaults, first)
    encoder.put_filters(first, defaults, second)
    encoder.put_filters(second, defaults, second)
    assert encoder.finish(0) == (0, stream)


@pytest.fixture(scope="module")
def writer() -> Any:
    """The script that has written them."""
    specification = importlib.util.spec_from_file_location("golden_write", GOLDEN / "write.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_script_writes_what_is_there(writer: Any) -> None:
    for name, data in writer.coder_files().items():
        assert (GOLDEN / name).read_bytes() == data, name


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(GOLDEN / "nano.safetensors")


NAMES = ("eight", "ten")


@pytest.mark.parametrize("name", NAMES)
def test_pictures(model: Model, name: str) -> None:
    """Exactly, or within what the profile allows: floats may differ in the last bit."""
    stream = (GOLDEN / f"{name}.ui2c").read_bytes()
    exact = not model.profile.startswith("float")
    shown = ui2c.Decoder(model=model, verify=exact).decode(stream)
    pictures = list(open_source(GOLDEN / f"{name}.y4m"))
    assert len(shown) == len(pictures) == 7
    for frame, picture in zip(shown, pictures, strict=True):
        for plane in "yuv":
            difference = getattr(frame, plane).astype(int) - getattr(picture, plane)
            # By rounding one code; one such sample can change the class, and so the filter, of
            # a block.
            far = abs(difference) > (0 if exact else 1)
            assert far.mean() <= (0 if exact else 0.01)


def test_times(model: Model) -> None:
    shown = ui2c.Decoder(model=model, verify=False).decode((GOLDEN / "ten.ui2c").read_bytes())
    assert [frame.pts for frame in shown] == [3, 23, 63, 100, 140, 194, 234]


@pytest.mark.parametrize("name", NAMES)
def test_units_say_what_they_were_told(model: Model, writer: Any, name: str) -> None:
    units = coded_units((GOLDEN / f"{name}.ui2c").read_bytes())
    (header,) = {
        (u.header.width, u.header.height, u.header.bit_depth)
        for u in parse((GOLDEN / f"{name}.ui2c").read_bytes())
        if isinstance(u, _core.SequenceUnit)
    }
    geometry = Geometry(*header)
    parts = take_apart(model, geometry, units)
    for unit, (motion, filters), told in zip(units, parts, writer.UNITS[name], strict=True):
        assert (unit.intra, unit.qp, unit.shown) == (told.intra, told.qp, told.frames)
        assert filters == writer.filters_of(told, model)
        assert told.log2_lanes in (None, unit.log2_lanes)
        assert (motion is None) is told.intra
        if motion is not None:
            field = motion.field
            assert (field.step, field.shift, field.halved) == (told.step, told.shift, told.halved)
            assert tuple(b is not None for b in motion.forward) == told.forward
            assert (motion.between is not None) is told.between


def test_together_they_say_all_that_a_unit_can_say(writer: Any) -> None:
    units = [unit for name in NAMES for unit in writer.UNITS[name]]
    inter = [unit for unit in units if not unit.intra]
    assert {unit.step for unit in inter} == {0, 16, 32, 64}
    assert {unit.shift for unit in inter} == {0, 1, 2}
    for field in ("halved", "between"):
        assert {getattr(unit, field) for unit in inter} == {False, True}
    assert {used for unit in inter for used in unit.forward} == {False, True}
    assert {unit.filters for unit in units} == {None, 0, 1, 3, 4, 5}
    assert {unit.frames for unit in inter} == {1, 2}
    assert max(unit.qp for unit in units) == 63 and min(unit.qp for unit in units) == 0
