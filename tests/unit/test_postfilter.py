"""The post-filter: designed while coding, sent with units, seen only in what is shown."""

from dataclasses import replace
from pathlib import Path
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
from ui2c.network.weights import load_model, random_model, save_model
from ui2c.pair import CodedUnit, PairCoder


def some_filters(seed: int, reach: int = 20) -> NDArray[np.int8]:
    return np.random.default_rng(seed).integers(-reach, reach + 1, (3, 30, 12)).astype(np.int8)


def filter_model(seed: int = 4, *, defaults: bool = False, **config: Any) -> Any:
    model = random_model("nano", seed=seed)
    if defaults:
        model.filters[:] = np.stack([some_filters(k) for k in range(27)]).reshape(9, 3, 3, 30, 12)
    return replace(model, config=replace(model.config, post_filter=True, **config))


def none() -> list[_core.Filters]:
    return [_core.Filters()] * 3


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 127), st.integers(0, 127))
def test_coding_gives_back_the_filters(seed: int, before: int, after: int) -> None:
    old = _core.Filters(some_filters(seed, before))
    new = _core.Filters(some_filters(seed + 1, after))
    defaults = [_core.Filters(some_filters(seed + k, 3)) for k in range(3)]
    encoder = _core.RansEncoder()
    bits = encoder.put_filters(old, defaults, new)
    lanes, stream = encoder.finish()
    assert abs(8 * len(stream) - bits) < 64 + bits / 100
    decoder = _core.RansDecoder(stream, lanes)
    decoded = decoder.get_filters(old, defaults)
    decoder.finish()
    assert decoded == new
    np.testing.assert_array_equal(decoded.coefficients, new.coefficients)


def test_a_default_costs_next_to_nothing() -> None:
    defaults = [_core.Filters(some_filters(k)) for k in range(3)]
    assert _core.RansEncoder().put_filters(_core.Filters(), defaults, defaults[2]) < 60
    assert _core.RansEncoder().put_filters(defaults[1], defaults, defaults[1]) == 3


@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize(("width", "height"), [(90, 70), (64, 48), (18, 34)])
def test_both_sides_show_the_same(width: int, height: int, bit_depth: int) -> None:
    model = filter_model(defaults=True)
    frames = moving_frames(7, width, height, bit_depth, seed=2)
    encoder, decoder = (
        PairCoder(model, width=width, height=height, bit_depth=bit_depth) for _ in range(2)
    )
    seen = []
    for unit in range(4):
        pair = frames[2 * unit : 2 * unit + 2]
        coded = encoder.encode(pair, qp=20 + unit, cycle=unit, intra=unit in (0, 2))
        shown = decode_unit(decoder, coded)
        for ours, theirs in zip(encoder.decoded, shown, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
        assert encoder.state.filters == decoder.state.filters
        seen.append(encoder.state.filters)
    assert any(filters != _core.Filters() for filters in seen)


def test_nothing_refers_to_filtered_frames() -> None:
    model = filter_model()
    plain = replace(model, config=replace(model.config, post_filter=False))
    frames = moving_frames(6, 64, 48, 8, seed=2)
    coders = [PairCoder(m, width=64, height=48) for m in (model, plain)]
    for unit in range(3):
        for coder in coders:
            coder.encode(frames[2 * unit : 2 * unit + 2], qp=10, cycle=unit, intra=unit == 0)
        assert coders[0].feature_hash == coders[1].feature_hash
        references = (coder.state.reference or () for coder in coders)
        for a, b in zip(*references, strict=True):
            np.testing.assert_array_equal(a, b)
    assert (coders[0].decoded[0][0] != coders[1].decoded[0][0]).any()


def squared_error(shown: NDArray[Any], source: NDArray[Any]) -> float:
    return float(np.square(shown.astype(float) - source).sum())


def test_filters_bring_frames_nearer() -> None:
    """Even what an untrained network makes of them."""
    model = filter_model()
    plain = replace(model, config=replace(model.config, post_filter=False))
    frames = moving_frames(8, 96, 80, 8, seed=3)
    errors = []
    for m in (model, plain):
        coder, error = PairCoder(m, width=96, height=80), 0.0
        for unit in range(4):
            pair = frames[2 * unit : 2 * unit + 2]
            coder.encode(pair, qp=0, cycle=unit, intra=unit == 0)
            error += sum(
                squared_error(d[0], f[0]) for d, f in zip(coder.decoded, pair, strict=True)
            )
        errors.append(error)
    assert errors[0] < 0.99 * errors[1]


def test_blank_units_forget_filters() -> None:
    """So that a decoder can start there: it shows what one that has seen all shows."""
    model = filter_model(defaults=True)
    frames = moving_frames(8, 64, 48, 8, seed=5)
    encoder = PairCoder(model, width=64, height=48)
    units: list[CodedUnit] = []
    shown = []
    for k in range(4):
        pair = frames[2 * k : 2 * k + 2]
        units.append(encoder.encode(pair, qp=5, cycle=k, intra=k in (0, 2)))
        shown.append(encoder.decoded)
    late = PairCoder(model, width=64, height=48)
    for unit, expected in zip(units[2:], shown[2:], strict=True):
        for ours, theirs in zip(expected, decode_unit(late, unit), strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_a_unit_can_be_coded_again() -> None:
    model = filter_model()
    frames = moving_frames(6, 64, 48, 8, seed=5)
    coder = PairCoder(model, width=64, height=48)
    coder.encode(frames[:2], qp=5, cycle=0, intra=True)
    before = coder.state
    first = coder.encode(frames[2:4], qp=5, cycle=1, intra=False)
    coder.state = before
    coder.encode(frames[4:6], qp=40, cycle=1, intra=False)
    coder.state = before
    assert coder.encode(frames[2:4], qp=5, cycle=1, intra=False) == first


def test_damage_is_an_error_or_other_filters() -> None:
    model = filter_model(defaults=True)
    frames = moving_frames(2, 64, 48, 8, seed=2)
    encoder = PairCoder(model, width=64, height=48)
    encoder._design = lambda *_: _core.Filters(some_filters(3, 90))  # type: ignore[method-assign]
    unit = encoder.encode(frames, qp=50, cycle=0, intra=True)
    refused = 0
    for at in range(len(unit.stream)):
        damaged = bytearray(unit.stream)
        damaged[at] ^= 0x55
        decoder = PairCoder(model, width=64, height=48)
        try:
            decode_unit(decoder, unit, bytes(damaged))
        except ui2c.CorruptError:
            refused += 1
            assert decoder.state.filters == _core.Filters()
    assert refused > len(unit.stream) // 2


def test_a_model_file_says_so(tmp_path: Path) -> None:
    codec = random_model("nano", seed=1).trainable()
    codec.config = replace(codec.config, post_filter=True)
    filters = np.stack([some_filters(k) for k in range(27)]).reshape(9, 3, 3, 30, 12)
    ids = set()
    for name, sets in (("a", filters), ("b", filters * 0), ("c", None)):
        path = tmp_path / f"{name}.safetensors"
        save_model(codec, path, filters=sets)
        model = load_model(path)
        assert model.config.post_filter
        np.testing.assert_array_equal(model.filters, 0 if sets is None else sets)
        ids.add(model.model_id)
    assert len(ids) == 2
    model = load_model(tmp_path / "a.safetensors")
    for row, knot in ((0, 0), (3, 0), (5, 1), (20, 2), (63, 8)):
        for ours, expected in zip(model.filters_at(row), filters[knot], strict=True):
            np.testing.assert_array_equal(ours.coefficients, expected)


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match=r"coefficients must be \[3, 30, 12\]"):
        _core.Filters(np.zeros((3, 25, 12), np.int8))
    with pytest.raises(ValueError, match="2 sets of filters, not 3"):
        _core.RansEncoder().put_filters(_core.Filters(), none()[:2], _core.Filters())
    frames = moving_frames(2, 64, 48, 8, seed=2)
    other = moving_frames(1, 32, 48, 8, seed=2)
    designer = _core.FilterDesigner()
    with pytest.raises(ValueError, match="1 decoded frames, 2 sources"):
        designer.observe(frames[:1], frames)
    with pytest.raises(ValueError, match="plane 0 is"):
        designer.observe(frames[:1], other)
    with pytest.raises(ValueError, match="Y"):
        _core.apply_filters(frames[0], _core.Filters(), bit_depth=10)


def test_designers_do_not_change() -> None:
    """So that a unit can be coded again."""
    frames = moving_frames(2, 64, 48, 8, seed=2)
    empty = _core.FilterDesigner()
    seen = empty.observe(frames[:1], frames[1:])
    assert (empty.units, seen.units) == (0, 1)
    assert not empty.moments()[0].any() and seen.moments()[0].any()
