"""Blocks: coded with a unit, in its predictions."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ui2c
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.clips import equal, moving_frames
from support.motion import random_blocks, random_motion
from support.units import UnitWriter, check_unit, decode_unit, geometry_of
from ui2c import _core
from ui2c.network.codec import Codec
from ui2c.network.config import config_for
from ui2c.network.load import load_model
from ui2c.network.model import Model
from ui2c.network.torch_model import save_model
from ui2c.unit.coder import EncodedUnit, UnitDecoder
from ui2c.unit.field import NO_FIELD, UnitMotion
from ui2c.unit.planes import Planes


def applied(
    base: NDArray[Any], other: NDArray[Any], blocks: _core.Blocks, chroma: bool
) -> NDArray[Any]:
    """As docs/bitstream.md says, a sample at a time, whole-sample vectors only."""
    out = base.copy()
    edge, unit = (8, 8) if chroma else (16, 4)
    height, width = base.shape
    for y in range(height):
        for x in range(width):
            row, column = y // edge, x // edge
            mode = blocks.modes[row, column]
            if not mode:
                continue
            part = 2 * (y % edge >= edge // 2) + (x % edge >= edge // 2)
            dx, dy = blocks.vectors[row, column, part if mode in (2, 4) else 0] // unit
            block = other[min(max(y + dy, 0), height - 1), min(max(x + dx, 0), width - 1)]
            out[y, x] = block if mode > 2 else (int(base[y, x]) + int(block) + 1) // 2
    return out


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_blocks_do_what_the_format_says(bit_depth: int) -> None:
    first, last = moving_frames(2, 80, 48, bit_depth, seed=3)
    blocks = random_blocks(3, 5, seed=1)
    assert set(blocks.modes.flat) == {0, 1, 2, 3, 4}
    whole = _core.Blocks(blocks.modes, blocks.vectors // 8 * 8)
    planes = _core.apply_blocks(first, last, whole, bit_depth=bit_depth)
    for k in range(3):
        np.testing.assert_array_equal(planes[k], applied(first[k], last[k], whole, k > 0))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2), st.integers(0, 1000))
def test_coding_gives_back_the_blocks(rows: int, columns: int, shift: int, seed: int) -> None:
    blocks = random_blocks(rows, columns, seed, shift=shift)
    guesses = np.random.default_rng(seed).integers(-50, 50, (rows, columns, 2)).astype(np.int16)
    encoder = _core.RansEncoder()
    encoder.put_blocks(blocks, guesses, shift)
    lanes, stream = encoder.finish()
    decoder = _core.RansDecoder(stream, lanes)
    decoded = decoder.get_blocks(guesses, shift)
    decoder.finish()
    assert decoded is not None
    np.testing.assert_array_equal(decoded.modes, blocks.modes)
    np.testing.assert_array_equal(decoded.vectors, blocks.vectors)


def coded_with(
    model: Model, frames: list[Planes], motion: UnitMotion
) -> tuple[EncodedUnit, EncodedUnit]:
    """A still and the unit after it."""
    writer = UnitWriter(model, geometry_of(frames[0]))
    still = writer.write(frames[:1], qp=30, motion=None)
    return still, writer.write(frames[1:], qp=30, motion=motion)


@pytest.mark.parametrize(("width", "height", "shown"), [(90, 70, 2), (64, 48, 2), (50, 38, 1)])
def test_both_sides_show_the_same(nano: Model, width: int, height: int, shown: int) -> None:
    frames = moving_frames(1 + shown, width, height, 8, seed=2)
    geometry = geometry_of(frames[0])
    blocks = random_blocks(*geometry.cells, seed=5)
    hashes = set()
    for forward, between in ((None, None), (blocks, None), (None, blocks), (blocks, blocks)):
        motion = UnitMotion(NO_FIELD, (forward, forward), between)
        units = coded_with(nano, frames, motion)
        decoder = UnitDecoder(nano, geometry)
        for unit in units:
            check_unit(decoder, unit)
        hashes.add(units[1].feature_hash)
    assert len(hashes) == 4


def test_the_first_frame_is_predicted_from_the_last(tmp_path: Path) -> None:
    """A model that changes nothing shows what was predicted, and then by blocks of the last."""
    codec = Codec(config_for("nano")).requires_grad_(False)
    for layer in (*codec.heads_out, codec.linear_out):
        layer.weight.zero_()
        layer.bias.zero_()
    save_model(codec, tmp_path / "still.safetensors")
    model = load_model(tmp_path / "still.safetensors")
    frames = moving_frames(3, 64, 48, 8, seed=2)
    geometry = geometry_of(frames[0])
    blocks = random_blocks(3, 4, seed=5)
    field = random_motion(geometry, 1, blocks=False).field
    # The last frame is its prediction by the field; the first that, with blocks of the last.
    writer = UnitWriter(model, geometry)
    writer.write(frames[:1], qp=30, motion=None)
    writer.reference = frames[0]
    unit = writer.write(frames[1:], qp=30, motion=UnitMotion(field, (None, None), blocks))
    first, last = field.predict(frames[0], 2)
    assert equal(unit.shown[1], last)
    assert equal(unit.shown[0], _core.apply_blocks(first, last, blocks))
    assert not equal(unit.shown[0], first)


def test_what_the_search_finds_brings_the_frame_nearer() -> None:
    first, last = moving_frames(2, 96, 80, 8, seed=2)
    noise = np.random.default_rng(1).integers(-30, 31, first[0].shape)
    rough = np.clip(first[0].astype(int) + noise, 0, 255).astype(np.uint8)
    guesses = np.zeros((5, 6, 2), np.int16)

    def error(plane: NDArray[np.uint8]) -> float:
        return float(((plane.astype(float) - first[0]) ** 2).mean())

    blocks = _core.search_blocks(first[0], rough, last[0], guesses, lagrangian=10, trust=1)
    assert blocks is not None
    mended = _core.apply_blocks((rough, first[1], first[2]), last, blocks)[0]
    assert error(mended) < 0.5 * error(rough)
    assert _core.search_blocks(first[0], first[0], last[0], guesses, lagrangian=10, trust=1) is None


@pytest.mark.parametrize("between", [False, True])
def test_damaged_blocks_are_corrupt_or_decode(nano: Model, between: bool) -> None:
    frames = moving_frames(3, 64, 48, 8, seed=2)
    blocks, others = (random_blocks(3, 4, seed) for seed in (5, 6))
    motion = UnitMotion(NO_FIELD, (blocks, blocks), others if between else None)
    still, unit = coded_with(nano, frames, motion)
    decoder = UnitDecoder(nano, geometry_of(frames[0]))
    corrupt = 0
    for place in range(0, len(unit.stream), 13):
        damaged = bytearray(unit.stream)
        damaged[place] ^= 0x55
        decode_unit(decoder, still)
        try:
            decode_unit(decoder, unit, bytes(damaged))
        except ui2c.CorruptError:
            corrupt += 1
    assert corrupt > 0


def test_wrong_arguments_are_refused() -> None:
    modes, vectors = np.zeros((2, 3), np.uint8), np.zeros((2, 3, 4, 2), np.int16)
    guesses = np.zeros((2, 3, 2), np.int16)
    with pytest.raises(ValueError, match="modes must be 0 to 4"):
        _core.Blocks(modes + 5, vectors)
    with pytest.raises(ValueError, match="vectors must be"):
        _core.Blocks(modes, vectors[:1])
    with pytest.raises(ValueError, match="2047"):
        _core.Blocks(modes + 1, vectors + 3000)
    first, last = moving_frames(2, 48, 32, 8, seed=3)
    with pytest.raises(ValueError, match="cells"):
        _core.apply_blocks(first, last, _core.Blocks(modes[:1], vectors[:1]))
    with pytest.raises(ValueError, match="planes must"):
        _core.search_blocks(first[0], last[0], last[1], guesses, lagrangian=1, trust=1)
    with pytest.raises(ValueError, match="guesses"):
        _core.search_blocks(first[0], last[0], last[0], guesses[:1], lagrangian=1, trust=1)
    with pytest.raises(ValueError, match="trust"):
        _core.search_blocks(first[0], last[0], last[0], guesses, lagrangian=1, trust=0)
    encoder = _core.RansEncoder()
    with pytest.raises(ValueError, match="multiple"):
        encoder.put_blocks(_core.Blocks(modes + 1, vectors + 1), guesses, 1)
    with pytest.raises(ValueError, match="guesses"):
        encoder.put_blocks(None, guesses[..., :1], 0)
    with pytest.raises(ValueError, match="6 cells"):
        encoder.put_blocks(_core.Blocks(modes, vectors), guesses[:1], 0)
