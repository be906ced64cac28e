"""The motion of a unit: how it is found, and how it is written."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import ui2c
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.clips import moving_frames, moving_object
from support.motion import random_motion, same_motion
from support.paths import CITY
from support.units import UnitWriter, check_unit, geometry_of
from ui2c import _core
from ui2c.network.config import config_for, lagrangian_of, usual_shift
from ui2c.network.model import Model
from ui2c.unit.coder import UnitDecoder
from ui2c.unit.field import NO_FIELD, Field, UnitMotion, with_halves
from ui2c.unit.motion import (
    LEAST_LAMBDA,
    field_cost,
    find_motion,
    search_field,
    search_joint,
    usual_effort,
)
from ui2c.unit.planes import Geometry, Planes
from ui2c.unit.syntax import get_motion, put_motion
from ui2c.video import open_source


def luma(frames: list[Planes]) -> list[NDArray[np.generic]]:
    return [frame[0] for frame in frames]


# --- finding -------------------------------------------------------------------------------


@pytest.mark.parametrize("effort", ["fast", "default", "slow"])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("bit_depth", [8, 10])
def test_predictions_are_those_of_the_motion(effort: str, count: int, bit_depth: int) -> None:
    reference, *frames = moving_object(bit_depth)[: 1 + count]
    motion, predicted = find_motion(
        reference, luma(frames), qp=20, bit_depth=bit_depth, effort=effort
    )
    assert len(motion.forward) == len(predicted) == count
    for ours, theirs in zip(predicted, motion.predict(reference, bit_depth), strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)
    if effort == "fast":
        assert motion.forward == (None,) * count and motion.between is None
    else:
        assert any(blocks is not None for blocks in (*motion.forward, motion.between))
    assert count == 2 or motion.between is None


def test_a_panning_texture_gets_a_motion_field() -> None:
    rng = np.random.default_rng(0)
    wide = np.repeat(np.repeat(rng.integers(40, 216, (24, 40), np.uint8), 4, 0), 4, 1)
    chroma = wide[:48, :48].copy()
    frames = [(wide[:96, 6 * t : 6 * t + 96].copy(), chroma, chroma) for t in range(3)]
    motion, predicted = find_motion(frames[0], luma(frames[1:]), qp=20)
    assert motion.field.step in (16, 32, 64) and motion.field.bits() > 0
    error = np.abs(predicted[1][0].astype(int) - frames[2][0])[:, :80].mean()
    assert error < 0.2 * np.abs(frames[0][0].astype(int) - frames[2][0])[:, :80].mean()


def test_a_picture_that_stays_has_no_motion() -> None:
    (frame,) = moving_frames(1, 64, 48, 8, 0)
    motion, _ = find_motion(frame, [frame[0]] * 2, qp=20)
    assert motion.field.step == 0 and motion.forward == (None, None) and motion.between is None


def test_forward_blocks_are_looked_for_where_they_pay() -> None:
    reference, *frames = moving_object()[:3]
    low = next(qp for qp in range(64) if lagrangian_of(qp) < LEAST_LAMBDA)
    for qp, found in ((low, False), (20, True)):
        motion, _ = find_motion(reference, luma(frames), qp=qp)
        assert any(blocks is not None for blocks in motion.forward) is found


@pytest.mark.parametrize("shift", [0, 1, 2])
def test_a_precision_may_be_given(shift: int) -> None:
    reference, *frames = moving_frames(3, 96, 80, 8, seed=2)
    motion, _ = find_motion(reference, luma(frames), qp=30, shift=shift)
    assert motion.field.shift == shift and motion.field.step
    coded = motion.field.coded().astype(int) << shift
    assert motion.field.vectors is not None
    np.testing.assert_array_equal(coded[-1], motion.field.vectors[-1])
    if not motion.field.halved:
        np.testing.assert_array_equal(coded, motion.field.vectors)


def test_fine_vectors_suit_a_slow_pan() -> None:
    """Which city is; what moves by whole samples stays with the usual halves."""
    qp = next(qp for qp in range(64) if usual_shift(qp) == 1)
    city = [frame.planes for frame in islice(iter(open_source(CITY)), 3)]
    for frames, expected in ((city, 0), (moving_frames(3, 96, 80, 8, seed=2), 1)):
        motion, _ = find_motion(frames[0], luma(frames[1:]), qp=qp)
        assert motion.field.shift == expected
    fast, _ = find_motion(city[0], luma(city[1:]), qp=qp, effort="fast")
    assert fast.field.shift == usual_shift(qp)


@pytest.mark.parametrize("effort", ["default", "slow"])
def test_a_steady_pan_needs_the_last_field_only(effort: str) -> None:
    """The first frame's is half of it; where the picture jumps there and back it is not."""
    rng = np.random.default_rng(3)
    wide = np.kron(rng.integers(30, 220, (30, 60)), np.ones((8, 8))).astype(np.uint8)
    wide = (wide // 2 + np.roll(wide, 3, 1) // 4 + np.roll(wide, 5, 0) // 4).astype(np.uint8)
    grey = np.full((48, 64), 128, np.uint8)
    for places, chosen in (([60, 63, 66], True), ([60, 67, 60], False)):
        first, *pair = [(wide[40:136, x : x + 128].copy(), grey, grey) for x in places]
        motion, _ = find_motion(first, luma(pair), qp=20, effort=effort)
        assert motion.field.halved is chosen
        whole = search_field(
            first[0], luma(pair), lagrangian_of(20), motion.field.shift, effort=effort
        )
        assert (motion.field.bits() < whole.bits()) is chosen


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_fields_found_together_cost_less(bit_depth: int) -> None:
    """On a pan that shakes: than those found for each frame, both with halves and related ones."""
    rng = np.random.default_rng(3)
    dtype = np.uint8 if bit_depth == 8 else np.uint16
    wide = np.kron(rng.integers(30, 220, (30, 60)), np.ones((8, 8)))
    wide = wide / 2 + np.roll(wide, 3, 1) / 4 + np.roll(wide, 5, 0) / 4
    grey = np.full((48, 64), 128 << (bit_depth - 8), dtype)

    def picture(x: int) -> Planes:
        noise = rng.normal(0, 3, (96, 128))
        samples = (wide[40:136, x : x + 128] + noise) * 2 ** (bit_depth - 8)
        return samples.astype(dtype), grey, grey

    reference, *pair = (picture(x) for x in (60, 63, 66))
    found = search_field(reference[0], luma(pair), 300.0, 0, bit_depth=bit_depth, effort="slow")
    assert found.step and found.vectors is not None
    halved = found._replace(vectors=with_halves(found.vectors[-1:]), halved=True)
    related, better = search_joint(
        found, halved, reference[0], luma(pair), 300.0, bit_depth=bit_depth
    )

    def cost(field: Field) -> float:
        predicted = luma(field.predict(reference, 2, bit_depth))
        return field_cost(field, predicted, luma(pair), 300.0, bit_depth)

    assert not related.halved and related.bits() <= found.bits()
    assert better.halved and better.vectors is not None
    assert np.array_equal(better.vectors, with_halves(better.vectors[-1:]))
    assert cost(related) <= cost(found) and cost(better) <= cost(halved)


def test_large_networks_search_longer_unless_told(nano: Model) -> None:
    assert usual_effort(nano) == "default"
    assert usual_effort(replace(nano, config=config_for("small"))) == "slow"
    assert ui2c.Encoder(model=nano).options.motion is None
    assert ui2c.Encoder(model=nano, motion="fast").options.motion == "fast"
    with pytest.raises(ValueError, match="motion must be"):
        ui2c.Encoder(model=nano, motion="slower")


def test_halves_are_usual_where_rates_are_low() -> None:
    shifts = [usual_shift(qp) for qp in range(64)]
    assert shifts == sorted(shifts) and set(shifts) == {0, 1}


# --- writing -------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(1, 100), st.integers(1, 100)),
    step=st.sampled_from([0, 16, 32, 64]),
    shift=st.integers(0, 2),
    halved=st.booleans(),
    frames=st.integers(1, 2),
    seed=st.integers(0, 1000),
)
def test_motion_comes_back(
    size: tuple[int, int], step: int, shift: int, halved: bool, frames: int, seed: int
) -> None:
    geometry = Geometry(*size)
    motion = random_motion(
        geometry, seed, step=step, shift=shift, halved=halved and frames == 2, frames=frames
    )
    encoder = _core.RansEncoder()
    bits = put_motion(encoder, motion, geometry)
    lanes, stream = encoder.finish()
    # About, and without what the lanes' states take.
    assert 0.8 * bits - 64 < 8 * len(stream) < 1.2 * bits + 32 * (1 << lanes) + 64
    decoder = _core.RansDecoder(stream, lanes)
    assert same_motion(get_motion(decoder, step, frames, geometry), motion)
    decoder.finish()


@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize("shift", [0, 1, 2])
@pytest.mark.parametrize("halved", [False, True])
def test_any_motion_decodes_to_what_it_means(
    nano: Model, bit_depth: int, shift: int, halved: bool
) -> None:
    frames = moving_frames(5, 50, 38, bit_depth, seed=2)
    geometry = geometry_of(frames[0]) if bit_depth == 8 else Geometry(50, 38, bit_depth)
    writer, decoder = UnitWriter(nano, geometry), UnitDecoder(nano, geometry)
    check_unit(decoder, writer.write(frames[:1], qp=20, motion=None))
    for index, step in enumerate((16, 0, 64)):
        motion = random_motion(geometry, index, step=step, shift=shift, halved=halved and step > 0)
        unit = writer.write(frames[1 + index : 3 + index], qp=20 + index, motion=motion)
        check_unit(decoder, unit)


def test_half_of_a_vector_is_rounded_up() -> None:
    last = np.array([[[[5, -5], [4, -4], [2047, -2047], [1, -1]]]], np.int16)
    first, same = with_halves(last)
    assert first.tolist() == [[[3, -2], [2, -2], [1024, -1023], [1, 0]]]
    assert np.array_equal(same, last[0])
    field = Field(16, with_halves(last), 0, halved=True)
    assert np.array_equal(field.coded(), last) and field.bits() == _core.motion_bits(last)


def test_the_field_guesses_vectors() -> None:
    vectors = np.arange(2 * 2 * 2 * 2, dtype=np.int16).reshape(2, 2, 2, 2)
    field = Field(32, vectors, 0)
    np.testing.assert_array_equal(field.guesses(1, 4, 3)[3, 2], vectors[1, 1, 1])
    np.testing.assert_array_equal(field.guesses(0, 4, 3)[1, 1], vectors[0, 0, 0])
    np.testing.assert_array_equal(field.guesses(None, 4, 3), np.full((4, 3, 2), -8))
    assert not NO_FIELD.guesses(None, 4, 3).any()


def read(coder: _core.RansEncoder, step: int, geometry: Geometry) -> UnitMotion:
    lanes, stream = coder.finish()
    return get_motion(_core.RansDecoder(stream, lanes), step, 2, geometry)


def test_half_a_field_that_is_not_there_is_corrupt() -> None:
    encoder = _core.RansEncoder()
    encoder.put_bits(0, 2)
    encoder.put_bits(1, 1)
    with pytest.raises(ui2c.CorruptError):
        read(encoder, 16, Geometry(64, 64))


def test_an_unknown_precision_is_corrupt() -> None:
    encoder = _core.RansEncoder()
    encoder.put_bits(3, 2)
    with pytest.raises(ui2c.CorruptError, match=r"2\^3 quarter samples"):
        read(encoder, 0, Geometry(32, 32))


@pytest.mark.parametrize(("shift", "most"), [(0, 2047), (1, 1023), (2, 511)])
def test_a_coarse_vector_beyond_the_range_is_corrupt(shift: int, most: int) -> None:
    def put(component: int) -> _core.RansEncoder:
        encoder = _core.RansEncoder()
        encoder.put_bits(shift, 2)
        encoder.put_bits(0, 1)
        encoder.put_motion(np.full((2, 2, 2, 2), component, np.int16))
        guesses = np.full((2, 2, 2), component << shift, np.int16)
        for guess in (guesses, guesses, 0 * guesses):
            encoder.put_blocks(None, guess, shift)
        return encoder

    motion = read(put(-most), 16, Geometry(32, 32))
    assert motion.field.vectors is not None
    assert (motion.field.vectors == -(most << shift)).all()
    if shift:
        with pytest.raises(ui2c.CorruptError, match="2047"):
            read(put(most + 1), 16, Geometry(32, 32))
