"""Blocks: coded with a unit, in its predictions."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import ui2c
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.clips import moving_frames
from support.units import decode_unit
from ui2c import _core
from ui2c.motion import Field
from ui2c.network.weights import load_model, random_model, save_model
from ui2c.pair import PairCoder


def blocks_model(seed: int = 4, bidirectional: bool = False) -> Any:
    model = random_model("nano", seed=seed)
    return replace(model, config=replace(model.config, blocks=True, bidirectional=bidirectional))


def some_blocks(rows: int, columns: int, seed: int) -> _core.Blocks:
    random = np.random.default_rng(seed)
    modes = random.integers(0, 5, (rows, columns)).astype(np.uint8)
    vectors = random.integers(-40, 41, (rows, columns, 4, 2)).astype(np.int16)
    vectors[modes % 2 == 1] = vectors[modes % 2 == 1][:, :1]
    vectors[modes == 0] = 0
    return _core.Blocks(modes, vectors)


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
    blocks = some_blocks(3, 5, seed=1)
    assert set(blocks.modes.flat) == {0, 1, 2, 3, 4}
    whole = _core.Blocks(blocks.modes, blocks.vectors // 8 * 8)
    planes = _core.apply_blocks(first, last, whole, bit_depth=bit_depth)
    for k in range(3):
        np.testing.assert_array_equal(planes[k], applied(first[k], last[k], whole, k > 0))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2), st.integers(0, 1000))
def test_coding_gives_back_the_blocks(rows: int, columns: int, shift: int, seed: int) -> None:
    blocks = some_blocks(rows, columns, seed)
    blocks = _core.Blocks(blocks.modes, blocks.vectors << shift)
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


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(("width", "height", "shown"), [(90, 70, 2), (64, 48, 2), (50, 38, 1)])
def test_both_sides_show_the_same(width: int, height: int, shown: int, bidirectional: bool) -> None:
    model = blocks_model(bidirectional=bidirectional)
    reference, *frames = moving_frames(1 + shown, width, height, 8, seed=2)
    encoder, decoder, plain = (PairCoder(model, width=width, height=height) for _ in range(3))
    for coder in (encoder, decoder, plain):
        coder.refer_to(reference)
    blocks = some_blocks(-(-height // 16), -(-width // 16), seed=5)
    encoder._search_forward = lambda *_: blocks  # type: ignore[method-assign]
    encoder._search_between = lambda *_: blocks  # type: ignore[method-assign]
    unit = encoder.encode(frames, qp=30, cycle=1, intra=False)
    decoded = decode_unit(decoder, unit)
    for ours, theirs in zip(encoder.decoded, decoded, strict=False):
        assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert encoder.feature_hash == decoder.feature_hash
    for a, b in zip(encoder.state[1] or (), decoder.state[1] or (), strict=True):
        np.testing.assert_array_equal(a, b)

    plain._search_forward = lambda *_: None  # type: ignore[method-assign]
    plain._search_between = lambda *_: None  # type: ignore[method-assign]
    plain.encode(frames, qp=30, cycle=1, intra=False)
    assert plain.feature_hash != encoder.feature_hash


def test_the_first_frame_is_predicted_from_the_last() -> None:
    """A model that changes nothing shows what was predicted, and then by blocks of the last."""
    model = blocks_model(bidirectional=True)
    reference, *frames = moving_frames(3, 64, 48, 8, seed=2)
    for p in (*model.codec.heads_out.parameters(), *model.codec.heads.parameters()):
        p.data.zero_()
    coder = PairCoder(model, width=64, height=48)
    coder.refer_to(reference)
    blocks = some_blocks(3, 4, seed=5)
    coder._search_between = lambda *_: blocks  # type: ignore[method-assign]
    coder._search_forward = lambda *_: None  # type: ignore[method-assign]
    unit = coder.encode(frames, qp=30, cycle=1, intra=False)
    # The last frame is its prediction by the field; the first that, with blocks of the last.
    alone = PairCoder(model, width=64, height=48)
    alone.refer_to(reference)
    alone._search_between = lambda *_: None  # type: ignore[method-assign]
    alone._search_forward = lambda *_: None  # type: ignore[method-assign]
    alone.encode(frames, qp=30, cycle=1, intra=False)
    first, last = alone.decoded
    expected = _core.apply_blocks(first, last, blocks)
    for shown, plane in zip(coder.decoded[0], expected, strict=True):
        np.testing.assert_array_equal(shown, plane)
    for shown, plane in zip(coder.decoded[1], last, strict=True):
        np.testing.assert_array_equal(shown, plane)
    with pytest.raises(ui2c.CorruptError):
        alone.refer_to(reference)
        decode_unit(alone, unit, unit.stream[: len(unit.stream) // 2])


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


def test_the_field_guesses_vectors() -> None:
    vectors = np.arange(2 * 2 * 2 * 2, dtype=np.int16).reshape(2, 2, 2, 2)
    field = Field(32, vectors, 0)
    np.testing.assert_array_equal(field.guesses(1, 4, 3)[3, 2], vectors[1, 1, 1])
    np.testing.assert_array_equal(field.guesses(0, 4, 3)[1, 1], vectors[0, 0, 0])
    np.testing.assert_array_equal(field.guesses(None, 4, 3), np.full((4, 3, 2), -8))
    assert not Field(0, None, 0).guesses(None, 4, 3).any()


def test_a_file_with_blocks_decodes_to_what_the_encoder_saw(tmp_path: Any) -> None:
    codec = blocks_model().codec
    codec.config = replace(codec.config, blocks=True)
    save_model(codec, tmp_path / "blocks.safetensors")
    model = load_model(tmp_path / "blocks.safetensors")
    assert model.config.blocks
    frames = [ui2c.YUV420(*planes, 8, False) for planes in moving_frames(6, 70, 50, 8, seed=6)]
    for motion in ("fast", "default"):
        stream = ui2c.Encoder(model=model, qp=4, motion=motion).encode(frames)
        shown = ui2c.Decoder(model=model).decode(stream)
        assert len(shown) == 6
        assert shown[0].y.shape == (50, 70)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_damaged_blocks_are_corrupt_or_decode(bidirectional: bool) -> None:
    model = blocks_model(bidirectional=bidirectional)
    reference, *frames = moving_frames(3, 64, 48, 8, seed=2)
    coder = PairCoder(model, width=64, height=48)
    coder.refer_to(reference)
    coder._search_forward = lambda *_: some_blocks(3, 4, seed=5)  # type: ignore[method-assign]
    coder._search_between = lambda *_: some_blocks(3, 4, seed=6)  # type: ignore[method-assign]
    unit = coder.encode(frames, qp=30, cycle=1, intra=False)
    corrupt = 0
    for place in range(0, len(unit.stream), 3):
        damaged = bytearray(unit.stream)
        damaged[place] ^= 0x55
        coder.refer_to(reference)
        try:
            decode_unit(coder, unit, bytes(damaged))
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
