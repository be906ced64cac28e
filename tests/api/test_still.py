"""Stills: units that start blank and carry one frame."""

from typing import Any

import numpy as np
import pytest
import ui2c
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clips import make_clip
from support.streams import coded_units, header_of
from ui2c import _core


@settings(max_examples=20, deadline=None)
@given(
    count=st.integers(0, 8),
    keyint=st.integers(0, 5),
    forced=st.sets(st.integers(0, 7)),
)
def test_every_frame_comes_back_whatever_the_units(
    nano: Any, count: int, keyint: int, forced: set[int]
) -> None:
    clip = make_clip(34, 18, count)
    shown: list[ui2c.YUV420] = []
    encoder = ui2c.Encoder(
        model=nano, qp=30, keyint=keyint, width=34, height=18, reconstruction=shown.append
    )
    data = b""
    for number, frame in enumerate(clip):
        if number in forced:
            encoder.force_intra()
        data += encoder.push(frame)
    data += encoder.flush()
    units = coded_units(data)
    frames = ui2c.Decoder(model=nano, output="yuv").decode(data)
    assert len(frames) == len(shown) == count == sum(unit.shown for unit in units)
    for a, b in zip(frames, shown, strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a.planes, b.planes, strict=True))
    assert all(unit.shown == 1 for unit in units if unit.intra)
    starts = {sum(u.shown for u in units[:i]) for i, u in enumerate(units) if u.intra}
    assert {number for number in forced if number < count} <= starts
    if keyint and not forced:
        gaps = np.diff(sorted(starts))
        assert ((gaps >= keyint) & (gaps <= keyint + 1)).all()


def test_random_access_shows_what_decoding_from_the_start_shows(nano: Any) -> None:
    clip = make_clip(48, 32, 9)
    data = ui2c.Encoder(model=nano, qp=30, keyint=4).encode(clip)
    whole = ui2c.Decoder(model=nano, output="yuv").decode(data)
    reader = ui2c.Decoder(model=nano, output="yuv").open(data)
    for index in (8, 5, 0, 6, 4, 7):
        assert np.array_equal(reader[index].y, whole[index].y)


def test_a_file_that_claims_two_frames_in_a_still_is_damaged(nano: Any) -> None:
    data = ui2c.Encoder(model=nano, qp=30).encode(make_clip(32, 32, 1))
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
        ui2c.Decoder(model=nano).decode(forged + writer.end(unit.feature_hash))
