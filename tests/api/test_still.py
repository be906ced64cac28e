"""Stills: units that start blank and carry one frame, where the model has them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import ui2c
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clips import make_clip
from support.streams import coded_units, header_of
from ui2c import _core
from ui2c.network.codec import Codec
from ui2c.network.config import STILL_OFFSETS, config_for
from ui2c.network.packing import pack
from ui2c.network.weights import random_model
from ui2c.pair import PairCoder

STILL = random_model("nano-still")


@settings(max_examples=20, deadline=None)
@given(
    count=st.integers(0, 8),
    keyint=st.integers(0, 5),
    forced=st.sets(st.integers(0, 7)),
)
def test_every_frame_comes_back_whatever_the_units(
    count: int, keyint: int, forced: set[int]
) -> None:
    clip = make_clip(34, 18, count)
    shown: list[ui2c.YUV420] = []
    encoder = ui2c.Encoder(
        model=STILL, qp=30, keyint=keyint, width=34, height=18, reconstruction=shown.append
    )
    data = b""
    for number, frame in enumerate(clip):
        if number in forced:
            encoder.force_intra()
        data += encoder.push(frame)
    data += encoder.flush()
    units = coded_units(data)
    frames = ui2c.Decoder(model=STILL, output="yuv").decode(data)
    assert len(frames) == len(shown) == count == sum(unit.shown for unit in units)
    for a, b in zip(frames, shown, strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a.planes, b.planes, strict=True))
    assert all(unit.shown == 1 for unit in units if unit.intra)
    starts = {sum(u.shown for u in units[:i]) for i, u in enumerate(units) if u.intra}
    assert {number for number in forced if number < count} <= starts
    if keyint and not forced:
        gaps = np.diff(sorted(starts))
        assert ((gaps >= keyint) & (gaps <= keyint + 1)).all()


def test_a_first_frame_is_coded_as_soon_as_it_is_there() -> None:
    encoder = ui2c.Encoder(model=STILL, qp=30, lead=0)
    clip = make_clip(32, 32, 3)
    pushed = [encoder.push(frame) for frame in clip]
    assert [bool(coded_units(pushed[0])), len(pushed[1])] == [True, 0]
    assert len(pushed[2]) > 0


def test_random_access_shows_what_decoding_from_the_start_shows() -> None:
    clip = make_clip(48, 32, 9)
    data = ui2c.Encoder(model=STILL, qp=30, keyint=4).encode(clip)
    whole = ui2c.Decoder(model=STILL, output="yuv").decode(data)
    reader = ui2c.Decoder(model=STILL, output="yuv").open(data)
    for index in (8, 5, 0, 6, 4, 7):
        assert np.array_equal(reader[index].y, whole[index].y)


def test_a_still_leads_by_what_the_model_says() -> None:
    (frame,) = [frame.planes for frame in make_clip(48, 32, 1)]
    streams = {}
    for lead, qp in ((0, 22), (8, 30), (8, 3), (0, 0)):
        model = replace(STILL, config=replace(STILL.config, lead=lead))
        unit = PairCoder(model, width=48, height=32).encode([frame], qp=qp, cycle=0, intra=True)
        assert unit.qp == qp
        streams[lead, qp] = unit.stream
    # The best row is the end of it.
    assert streams[8, 30] == streams[0, 22] and streams[8, 3] == streams[0, 0]
    with pytest.raises(ValueError, match="lead"):
        replace(STILL.config, lead=64)


def test_a_still_of_two_frames_is_refused() -> None:
    clip = [frame.planes for frame in make_clip(32, 32, 2)]
    coder = PairCoder(STILL, width=32, height=32)
    with pytest.raises(ValueError, match="2 frames for a unit of 1"):
        coder.encode(clip, qp=30, cycle=0, intra=True)


def test_a_file_that_claims_two_frames_in_a_still_is_damaged() -> None:
    data = ui2c.Encoder(model=STILL, qp=30).encode(make_clip(32, 32, 1))
    (unit,) = coded_units(data)
    writer = _core.Writer(header_of(data))
    forged = writer.start() + writer.unit(
        intra=True,
        qp=unit.qp,
        motion_step=unit.motion_step,
        log2_lanes=unit.log2_lanes,
        shown=2,
        stream=unit.stream,
        feature_hash=unit.feature_hash,
    )
    with pytest.raises(ui2c.CorruptError, match="2 frames in a unit of 1"):
        ui2c.Decoder(model=STILL).decode(forged + writer.end(unit.feature_hash))
