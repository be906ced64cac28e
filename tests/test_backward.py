"""Backward blocks: coded with a unit, applied by both sides, and never referred to."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import ui2c
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from test_pair import moving_frames
from ui2c import _core
from ui2c.network.weights import load_model, random_model, save_model
from ui2c.pair import PairCoder

NO_FIELD = np.zeros((2, 0, 0, 2), np.int16)


def backward_model(seed: int = 4) -> Any:
    model = random_model("nano", seed=seed)
    return replace(model, config=replace(model.config, backward=True))


def some_blocks(rows: int, columns: int, seed: int) -> _core.Backward:
    random = np.random.default_rng(seed)
    modes = random.integers(0, 3, (rows, columns)).astype(np.uint8)
    vectors = random.integers(-40, 41, (rows, columns, 4, 2)).astype(np.int16)
    vectors[modes == 1] = vectors[modes == 1][:, :1]
    vectors[modes == 0] = 0
    return _core.Backward(modes, vectors)


def averaged(
    decoded: NDArray[Any], last: NDArray[Any], blocks: _core.Backward, chroma: bool
) -> NDArray[Any]:
    """As docs/bitstream.md says, a sample at a time, whole-sample vectors only."""
    out = decoded.copy()
    edge, unit = (8, 8) if chroma else (16, 4)
    height, width = decoded.shape
    for y in range(height):
        for x in range(width):
            row, column = y // edge, x // edge
            mode = blocks.modes[row, column]
            if not mode:
                continue
            part = 2 * (y % edge >= edge // 2) + (x % edge >= edge // 2)
            dx, dy = blocks.vectors[row, column, part if mode == 2 else 0] // unit
            other = last[min(max(y + dy, 0), height - 1), min(max(x + dx, 0), width - 1)]
            out[y, x] = (int(decoded[y, x]) + int(other) + 1) // 2
    return out


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_blocks_are_averages_with_the_last_frame(bit_depth: int) -> None:
    first, last = moving_frames(2, 48, 32, bit_depth, seed=3)
    blocks = some_blocks(2, 3, seed=1)
    whole = _core.Backward(blocks.modes, blocks.vectors // 8 * 8)
    applied = _core.apply_backward(first, last, whole, bit_depth=bit_depth)
    for k in range(3):
        np.testing.assert_array_equal(applied[k], averaged(first[k], last[k], whole, k > 0))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2), st.integers(0, 1000))
def test_coding_gives_back_the_blocks(rows: int, columns: int, shift: int, seed: int) -> None:
    blocks = some_blocks(rows, columns, seed)
    blocks = _core.Backward(blocks.modes, blocks.vectors << shift)
    encoder = _core.RansEncoder()
    encoder.put_backward(blocks, 0, NO_FIELD, shift)
    lanes, stream = encoder.finish()
    decoder = _core.RansDecoder(stream, lanes)
    decoded = decoder.get_backward(rows, columns, 0, NO_FIELD, shift)
    decoder.finish()
    assert decoded is not None
    np.testing.assert_array_equal(decoded.modes, blocks.modes)
    np.testing.assert_array_equal(decoded.vectors, blocks.vectors)


@pytest.mark.parametrize(("width", "height", "shown"), [(90, 70, 2), (64, 48, 2), (50, 38, 1)])
def test_both_sides_show_the_same(width: int, height: int, shown: int) -> None:
    model = backward_model()
    reference, *frames = moving_frames(1 + shown, width, height, 8, seed=2)
    encoder, decoder = (PairCoder(model, width=width, height=height) for _ in range(2))
    for coder in (encoder, decoder):
        coder.refer_to(reference)
    blocks = some_blocks(-(-height // 16), -(-width // 16), seed=5)
    encoder._search_backward = lambda *_: blocks  # type: ignore[method-assign]
    unit = encoder.encode(frames, qp=30, cycle=1, intra=False)
    decoded = decoder.decode(
        unit.stream,
        qp=30,
        cycle=1,
        intra=False,
        motion_step=unit.motion_step,
        log2_lanes=unit.log2_lanes,
    )
    for ours, theirs in zip(encoder.decoded, decoded, strict=False):
        assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
    for ours, theirs in zip(encoder.state[1] or (), decoder.state[1] or (), strict=True):
        np.testing.assert_array_equal(ours, theirs)

    # What the next unit refers to is as without blocks.
    plain = PairCoder(model, width=width, height=height)
    plain.refer_to(reference)
    plain._search_backward = lambda *_: None  # type: ignore[method-assign]
    plain.encode(frames, qp=30, cycle=1, intra=False)
    assert plain.feature_hash == encoder.feature_hash == decoder.feature_hash
    assert (plain.decoded[0][0] != encoder.decoded[0][0]).any()
    for ours, theirs in zip(encoder.state[1] or (), plain.state[1] or (), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_what_the_search_finds_brings_the_frame_nearer() -> None:
    first, last = moving_frames(2, 96, 80, 8, seed=2)
    rough = np.clip(
        first[0].astype(int) + np.random.default_rng(1).integers(-30, 31, first[0].shape), 0, 255
    ).astype(np.uint8)
    blocks = _core.search_backward(first[0], rough, last[0], 0, NO_FIELD, lagrangian=10)
    assert blocks is not None
    decoded = (rough, first[1], first[2])
    applied = _core.apply_backward(decoded, last, blocks)[0]

    def error(plane: NDArray[np.uint8]) -> float:
        return float(((plane.astype(float) - first[0]) ** 2).mean())

    assert error(applied) < 0.8 * error(rough)
    assert _core.search_backward(first[0], first[0], last[0], 0, NO_FIELD, lagrangian=10) is None


def test_a_file_with_blocks_decodes_to_what_the_encoder_saw(tmp_path: Any) -> None:
    codec = backward_model().codec
    codec.config = replace(codec.config, backward=True)
    save_model(codec, tmp_path / "backward.safetensors")
    model = load_model(tmp_path / "backward.safetensors")
    assert model.config.backward
    frames = [ui2c.YUV420(*planes, 8, False) for planes in moving_frames(6, 70, 50, 8, seed=6)]
    stream = ui2c.Encoder(model=model, qp=4).encode(frames)
    shown = ui2c.Decoder(model=model).decode(stream)
    assert len(shown) == 6
    assert shown[0].y.shape == (50, 70)


def test_damaged_blocks_are_corrupt_or_decode() -> None:
    model = backward_model()
    reference, *frames = moving_frames(3, 64, 48, 8, seed=2)
    coder = PairCoder(model, width=64, height=48)
    coder.refer_to(reference)
    coder._search_backward = lambda *_: some_blocks(3, 4, seed=5)  # type: ignore[method-assign]
    unit = coder.encode(frames, qp=30, cycle=1, intra=False)
    outcomes = set()
    for place in range(0, len(unit.stream), 3):
        damaged = bytearray(unit.stream)
        damaged[place] ^= 0x55
        coder.refer_to(reference)
        try:
            coder.decode(
                bytes(damaged),
                qp=30,
                cycle=1,
                intra=False,
                motion_step=unit.motion_step,
                log2_lanes=unit.log2_lanes,
            )
            outcomes.add("decoded")
        except ui2c.CorruptError:
            outcomes.add("corrupt")
    assert "corrupt" in outcomes


def test_wrong_arguments_are_refused() -> None:
    modes, vectors = np.zeros((2, 3), np.uint8), np.zeros((2, 3, 4, 2), np.int16)
    with pytest.raises(ValueError, match="modes must be 0, 1 or 2"):
        _core.Backward(modes + 3, vectors)
    with pytest.raises(ValueError, match="vectors must be"):
        _core.Backward(modes, vectors[:1])
    with pytest.raises(ValueError, match="2047"):
        _core.Backward(modes + 1, vectors + 3000)
    first, last = moving_frames(2, 48, 32, 8, seed=3)
    with pytest.raises(ValueError, match="cells"):
        _core.apply_backward(first, last, _core.Backward(modes[:1], vectors[:1]))
    with pytest.raises(ValueError, match="planes must"):
        _core.search_backward(first[0], last[0], last[1], 0, NO_FIELD, lagrangian=1)
    encoder = _core.RansEncoder()
    with pytest.raises(ValueError, match="multiple"):
        encoder.put_backward(_core.Backward(modes + 1, vectors + 1), 0, NO_FIELD, 1)
