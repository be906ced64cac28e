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
from support.clips import equal, moving_frames
from support.motion import random_motion
from support.units import (
    UnitWriter,
    check_unit,
    code_units,
    decode_unit,
    frames_of_units,
    geometry_of,
    take_apart,
)
from ui2c import _core
from ui2c.network.load import load_model
from ui2c.network.model import Model
from ui2c.network.torch_model import save_model
from ui2c.unit.coder import UnitDecoder, UnitEncoder
from ui2c.unit.planes import Geometry


def some_filters(seed: int, reach: int = 20) -> NDArray[np.int8]:
    return np.random.default_rng(seed).integers(-reach, reach + 1, (3, 30, 12)).astype(np.int8)


@pytest.fixture(scope="module")
def fitted(nano: Model) -> Model:
    """With default filters that change much."""
    defaults = np.stack([some_filters(k) for k in range(27)]).reshape(9, 3, 3, 30, 12)
    return replace(nano, filters=defaults)


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
def test_both_sides_show_the_same(fitted: Model, width: int, height: int, bit_depth: int) -> None:
    frames = moving_frames(6, width, height, bit_depth, seed=2)
    geometry = Geometry(width, height, bit_depth)
    encoder, decoder = UnitEncoder(fitted, geometry), UnitDecoder(fitted, geometry)
    units = []
    for index, part in enumerate((frames[:1], frames[1:3], frames[3:4], frames[4:])):
        units.append(encoder.encode(part, qp=20 + index, intra=index in (0, 2)))
        check_unit(decoder, units[-1])
    told = [filters for _, filters in take_apart(fitted, geometry, units)]
    assert encoder.save().fit.filters == told[-1]
    assert any(filters != _core.Filters() for filters in told)


def test_nothing_refers_to_filtered_frames(fitted: Model) -> None:
    frames = moving_frames(5, 64, 48, 8, seed=2)
    geometry = geometry_of(frames[0])
    sets = [None, *(_core.Filters(some_filters(k)) for k in (1, 2))]
    writers = [UnitWriter(fitted, geometry) for _ in sets]
    decoders = [UnitDecoder(fitted, geometry) for _ in sets]
    for index, part in enumerate((frames[:1], frames[1:3], frames[3:])):
        motion = random_motion(geometry, index) if index else None
        units = [
            writer.write(part, qp=10, motion=motion, filters=filters)
            for writer, filters in zip(writers, sets, strict=True)
        ]
        for decoder, unit in zip(decoders, units, strict=True):
            check_unit(decoder, unit)
        assert len({unit.feature_hash for unit in units}) == 1
        assert not any(equal(units[0].shown[0], unit.shown[0]) for unit in units[1:])


def squared_error(shown: NDArray[Any], source: NDArray[Any]) -> float:
    return float(np.square(shown.astype(float) - source).sum())


def test_filters_bring_frames_nearer(nano: Model) -> None:
    """Even what an untrained network makes of them."""
    frames = moving_frames(7, 96, 80, 8, seed=3)
    geometry = geometry_of(frames[0])
    units = code_units(nano, frames, 0)
    plain, errors = UnitWriter(nano, geometry), np.zeros(2)
    parts = frames_of_units(nano, frames)
    for part, unit, told in zip(parts, units, take_apart(nano, geometry, units), strict=True):
        unfiltered = plain.write(part, qp=0, motion=told.motion)
        assert unfiltered.feature_hash == unit.feature_hash
        for k, shown in enumerate((unit.shown, unfiltered.shown)):
            errors[k] += sum(squared_error(d[0], f[0]) for d, f in zip(shown, part, strict=True))
    assert errors[0] < 0.99 * errors[1]


def test_intra_units_forget_filters(fitted: Model) -> None:
    """So that a decoder can start there: it shows what one that has seen all shows."""
    frames = moving_frames(6, 64, 48, 8, seed=5)
    encoder = UnitEncoder(fitted, geometry_of(frames[0]))
    units = [
        encoder.encode(part, qp=5, intra=len(part) == 1)
        for part in (frames[:1], frames[1:3], frames[3:4], frames[4:])
    ]
    late = UnitDecoder(fitted, geometry_of(frames[0]))
    for unit in units[2:]:
        check_unit(late, unit)


def test_damage_is_an_error_or_other_filters(fitted: Model) -> None:
    (frame,) = moving_frames(1, 64, 48, 8, seed=2)
    geometry = geometry_of(frame)
    filters = _core.Filters(some_filters(3, 90))
    unit = UnitWriter(fitted, geometry).write([frame], qp=50, motion=None, filters=filters)
    refused, places = 0, range(0, len(unit.stream), 29)
    for at in places:
        damaged = bytearray(unit.stream)
        damaged[at] ^= 0x55
        try:
            decode_unit(UnitDecoder(fitted, geometry), unit, bytes(damaged))
        except ui2c.CorruptError:
            refused += 1
    assert refused > len(places) // 2


def test_a_model_file_says_so(nano: Model, tmp_path: Path) -> None:
    codec = nano.engine.codec  # type: ignore[attr-defined]
    filters = np.stack([some_filters(k) for k in range(27)]).reshape(9, 3, 3, 30, 12)
    ids = set()
    for name, sets in (("a", filters), ("b", filters * 0), ("c", None)):
        path = tmp_path / f"{name}.safetensors"
        save_model(codec, path, filters=sets)
        model = load_model(path)
        np.testing.assert_array_equal(model.filters, 0 if sets is None else sets)
        ids.add(model.model_id)
    assert len(ids) == 2
    model = load_model(tmp_path / "a.safetensors")
    for row, knot in ((0, 0), (3, 0), (5, 1), (20, 2), (63, 8)):
        for ours, expected in zip(
            model.default_filters(63 - row, False), filters[knot], strict=True
        ):
            np.testing.assert_array_equal(ours.coefficients, expected)
    # A still is better than its qp says, up to the best there is.
    for qp, knot in ((63, 1), (60, 1), (2, 8), (0, 8)):
        ours = model.default_filters(qp, True)[0]
        np.testing.assert_array_equal(ours.coefficients, filters[knot][0])


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
