"""One unit at a time: what the encoder reconstructs is what the decoder shows."""

from typing import Any

import numpy as np
import pytest
import torch
import ui2c
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clips import equal, moving_frames, moving_object
from support.session import MeanSession, mean_model
from support.units import (
    UnitReader,
    check_unit,
    code_units,
    decode_unit,
    frames_of_units,
    geometry_of,
    take_apart,
)
from ui2c import _core
from ui2c.network.model import Model
from ui2c.network.torch_engine import State
from ui2c.network.torch_model import random_model
from ui2c.unit.coder import CYCLE, EncodedUnit, EncoderState, UnitDecoder, UnitEncoder
from ui2c.unit.field import mend
from ui2c.unit.filters import fresh_fit
from ui2c.unit.planes import Geometry
from ui2c.unit.syntax import get_motion


@settings(max_examples=15, deadline=None)
@given(
    name=st.sampled_from(["nano", "nano-single", "nano-implicit"]),
    width=st.integers(1, 70),
    height=st.integers(1, 70),
    count=st.integers(1, 5),
    qp=st.integers(0, 63),
    depth=st.sampled_from([8, 10]),
    seed=st.integers(0, 1000),
)
def test_decoder_shows_what_the_encoder_reconstructs(
    name: str, width: int, height: int, count: int, qp: int, depth: int, seed: int
) -> None:
    model = random_model(name, seed)
    frames = moving_frames(count, width, height, depth, seed)
    units = code_units(model, frames, qp)
    decoder = UnitDecoder(model, Geometry(width, height, depth))
    for unit in units:
        check_unit(decoder, unit)
        for y, u, v in unit.shown:
            assert y.shape == (height, width)
            assert u.shape == v.shape == (-(-height // 2), -(-width // 2))


@pytest.mark.parametrize("size", [(48, 80), (70, 33), (144, 176)])
def test_threads_change_nothing(nano: Model, size: tuple[int, int]) -> None:
    frames = moving_frames(3, size[1], size[0], 8, 1)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(code_units(nano, frames, 20))
    finally:
        torch.set_num_threads(before)
    for one, two in zip(*results, strict=True):
        assert (one.stream, one.feature_hash) == (two.stream, two.feature_hash)
        assert all(equal(a, b) for a, b in zip(one.shown, two.shown, strict=True))


def test_a_shown_frame_may_be_changed(nano: Model) -> None:
    units = code_units(nano, moving_frames(5, 32, 32, 8, 0), 20)
    decoder = UnitDecoder(nano, Geometry(32, 32))
    for unit in units:
        decoded = decode_unit(decoder, unit)
        for ours, theirs in zip(decoded.shown, unit.shown, strict=True):
            assert equal(ours, theirs)
            for plane in ours:
                plane[:] = 0


def test_streams_that_do_not_fit_are_typed_errors(nano: Model) -> None:
    units = code_units(nano, moving_frames(3, 32, 32, 8, 0), 20)
    fresh = UnitDecoder(nano, Geometry(32, 32))
    with pytest.raises(ui2c.CorruptError, match="intra"):
        fresh.decode(units[1].stream, qp=20, intra=False)
    with pytest.raises(ui2c.CorruptError, match="motion"):
        fresh.decode(units[0].stream, qp=20, intra=True, motion_step=16)
    for stream in (b"", b"\x00" * 5, units[0].stream[:-1], units[0].stream + b"\x00"):
        with pytest.raises(ui2c.Error):
            UnitDecoder(nano, Geometry(32, 32)).decode(stream, qp=20, intra=True)


def test_a_refused_unit_leaves_no_trace(nano: Model) -> None:
    still, pair = code_units(nano, moving_frames(3, 48, 32, 8, 0), 10)
    decoder = UnitDecoder(nano, Geometry(48, 32))
    check_unit(decoder, still)
    for size in range(0, len(pair.stream), 7):
        with pytest.raises(ui2c.Error):
            decode_unit(decoder, pair, pair.stream[:size])
    check_unit(decoder, pair)


@pytest.mark.parametrize("count", [0, 2, 3])
def test_a_still_is_one_frame(nano: Model, count: int) -> None:
    coder = UnitEncoder(nano, Geometry(32, 32))
    with pytest.raises(ValueError, match=f"{count} frames for a unit of 1"):
        coder.encode(moving_frames(3, 32, 32, 8, 0)[:count], qp=30, intra=True)


def test_the_first_unit_is_intra(nano: Model) -> None:
    coder = UnitEncoder(nano, Geometry(32, 32))
    with pytest.raises(ValueError, match="the first unit must be intra"):
        coder.encode(moving_frames(2, 32, 32, 8, 0), qp=30, intra=False)


def test_a_unit_may_follow_a_picture_that_another_codec_made(nano: Model) -> None:
    reference, *frames = moving_frames(3, 48, 32, 8, seed=1)
    geometry = Geometry(48, 32)
    encoder = UnitEncoder(nano, geometry)
    encoder.restore(EncoderState(State(None, reference), reference, fresh_fit(), None, 1))
    unit = encoder.encode(frames, qp=30, intra=False)
    reader = UnitReader(nano, geometry)
    reader.session.restore(State(None, reference))
    reader.reference = reference
    reader.read(unit)
    assert reader.session.digest() == unit.feature_hash
    # It is seen: what follows a unit has another feature.
    _, after_unit = code_units(nano, [reference, *frames])
    assert after_unit.feature_hash != unit.feature_hash


def codes(units: list[EncodedUnit]) -> list[tuple[Any, ...]]:
    """All but the pictures."""
    return [(u.intra, u.qp, u.motion_step, u.log2_lanes, u.stream, u.feature_hash) for u in units]


@pytest.mark.parametrize("before", [0, 1, 2, CYCLE])
def test_restoring_undoes_units_altogether(nano: Model, before: int) -> None:
    """With filters, precision and hash: what follows is the same to the last bit."""
    frames = moving_frames(1 + 2 * (CYCLE + 3), 64, 48, 8, seed=5)
    coder = UnitEncoder(nano, geometry_of(frames[0]))
    parts = frames_of_units(nano, frames)
    for index, part in enumerate(parts[:before]):
        coder.encode(part, qp=5, intra=index == 0)
    wanted = parts[before : before + 3]
    saved = coder.save()

    def run() -> list[EncodedUnit]:
        return [coder.encode(part, qp=5, intra=not (before or k)) for k, part in enumerate(wanted)]

    first, after_first = run(), coder.save()
    coder.restore(saved)
    # Other units in between, an intra unit among them.
    coder.encode(frames[-1:], qp=50, intra=True)
    coder.encode(frames[:2], qp=20, intra=False)
    coder.restore(saved)
    again, after_again = run(), coder.save()
    assert codes(first) == codes(again)
    for one, two in zip(first, again, strict=True):
        assert all(equal(a, b) for a, b in zip(one.shown, two.shown, strict=True))
    assert after_first.fit.filters == after_again.fit.filters
    designers = [state.fit.designer for state in (after_first, after_again)]
    for ours, theirs in zip(*(designer.moments() for designer in designers), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for name in ("shift", "since_intra"):
        assert getattr(after_first, name) == getattr(after_again, name)
    assert after_first.reference is not None and after_again.reference is not None
    assert equal(after_first.reference, after_again.reference)
    if before:
        decoder = UnitDecoder(nano, geometry_of(frames[0]))
        fresh = UnitEncoder(nano, geometry_of(frames[0]))
        for index, part in enumerate(parts[:before]):
            check_unit(decoder, fresh.encode(part, qp=5, intra=index == 0))
        for unit in again:
            check_unit(decoder, unit)


def test_precision_is_chosen_anew_every_fourth_unit(nano: Model) -> None:
    """What was chosen before is taken otherwise, be it one that is never chosen."""
    frames = moving_frames(5, 64, 48, 8, seed=2)
    geometry = geometry_of(frames[0])
    coder = UnitEncoder(nano, geometry)
    still = coder.encode(frames[:1], qp=30, intra=True)
    assert coder.save().shift is None
    pair = coder.encode(frames[1:3], qp=30, intra=False)
    state = coder.save()
    assert state.shift in (0, 1) and state.since_intra == 2
    for since, kept in ((2, True), (3, True), (CYCLE, False), (CYCLE + 1, True)):
        coder.restore(state._replace(shift=2, since_intra=since))
        unit = coder.encode(frames[3:], qp=30, intra=False)
        *_, (motion, _) = take_apart(nano, geometry, [still, pair, unit])
        assert motion is not None
        assert (motion.field.shift == 2) is kept
        assert coder.save().shift == motion.field.shift
    fast = UnitEncoder(nano, geometry, motion="fast")
    fast.encode(frames[:1], qp=30, intra=True)
    fast.encode(frames[1:3], qp=30, intra=False)
    assert fast.save().shift is None


# --- without networks ----------------------------------------------------------------------


@pytest.mark.parametrize("effort", ["fast", "default", "slow"])
@pytest.mark.parametrize("bit_depth", [8, 10])
def test_what_is_known_and_expected_of_the_frames_of_a_unit(effort: str, bit_depth: int) -> None:
    model = mean_model()
    frames = moving_object(bit_depth)
    geometry = geometry_of(frames[0])
    units = code_units(model, frames, 20, motion=effort)
    decoder = UnitDecoder(model, geometry)
    for unit in units:
        check_unit(decoder, unit)
    encoding, decoding = model.engine.sessions  # type: ignore[attr-defined]
    assert isinstance(encoding, MeanSession)
    grey, bits = geometry.grey(), bit_depth
    mended = 0
    reference = grey
    for unit, ours, theirs in zip(units, encoding.units, decoding.units, strict=True):
        begin = ours.begin
        assert (begin["intra"], begin["qp"]) == (unit.intra, unit.qp)
        assert begin["step"] == theirs.begin["step"] == unit.motion_step
        for mine, other in zip(begin["known"], theirs.begin["known"], strict=True):
            assert equal(mine, other)
        predicted, between = [grey, grey], None
        if not unit.intra:
            coder = _core.RansDecoder(unit.stream, unit.log2_lanes)
            motion = get_motion(coder, unit.motion_step, 2, geometry)
            predicted, between = motion.predict(reference, bits), motion.between
            if unit.motion_step:
                np.testing.assert_array_equal(begin["vectors"], motion.field.vectors)
                np.testing.assert_array_equal(theirs.begin["vectors"], motion.field.vectors)
        mended += between is not None
        first, last = predicted
        assert equal(begin["known"][0], mend(first, last, between, bits))
        assert equal(begin["known"][1], last)
        assert equal(ours.expected[0], mend(first, ours.frames[1], between, bits))
        assert equal(ours.expected[1], last)
        for side in (ours, theirs):
            assert equal(side.bases[1], last)
            if not unit.intra:
                assert equal(side.bases[0], mend(first, side.decoded[1], between, bits))
            assert (0 in side.bases) is not unit.intra
        reference = ours.decoded[1]
    assert (mended > 0) is (effort != "fast")


def test_a_short_unit_repeats_its_last_frame() -> None:
    model = mean_model()
    frames = moving_frames(4, 33, 17, 8, 0)
    geometry = geometry_of(frames[0])
    units = code_units(model, frames, 20)
    assert [len(unit.shown) for unit in units] == [1, 2, 2]
    told = model.engine.sessions[0].units  # type: ignore[attr-defined]
    for index in (0, 2):
        assert equal(told[index].frames[0], told[index].frames[1])
    assert equal(told[2].frames[0], geometry.pad(frames[3]))
    assert not equal(told[1].frames[0], told[1].frames[1])


def test_sources_are_padded_by_their_edges() -> None:
    model = mean_model()
    (frame,) = moving_frames(1, 19, 13, 8, 0)
    code_units(model, [frame])
    (told,) = model.engine.sessions[0].units  # type: ignore[attr-defined]
    for plane, source in zip(told.frames[0], frame, strict=True):
        scale = 1 if source is frame[0] else 2
        assert plane.shape == (16 // scale, 32 // scale)
        height, width = source.shape
        np.testing.assert_array_equal(plane[:height, :width], source)
        assert (plane[:height, width:] == source[:, -1:]).all()
        assert (plane[height:] == plane[height - 1]).all()
