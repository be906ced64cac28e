"""Random access gives the frames of sequential decoding, bit for bit."""

import io
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ui2c
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clips import make_clip, make_rgb
from support.streams import coded_units, parse
from ui2c import YUV420

FRAMES = 13


@pytest.fixture(scope="module")
def stream(nano: Any) -> bytes:
    """Thirteen frames in eight units; random-access units at frames 0, 5, 10."""
    return ui2c.Encoder(model=nano, keyint=4, fps="30000/1001").encode(make_clip(34, 18, FRAMES))


@pytest.fixture(scope="module")
def frames(nano: Any, stream: bytes) -> list[YUV420]:
    return list(ui2c.Decoder(model=nano).decode(stream))


def same(a: YUV420, b: YUV420) -> bool:
    return a == b and a.pts == b.pts


def without_index(stream: bytes) -> bytes:
    (index,) = (unit for unit in parse(stream) if isinstance(unit, ui2c._core.IndexUnit))
    return stream[: index.offset]


@pytest.mark.parametrize("prepare", [bytes, without_index])
def test_every_frame(nano: Any, stream: bytes, frames: list[YUV420], prepare: Any) -> None:
    decoder = ui2c.Decoder(model=nano)
    with decoder.open(prepare(stream)) as reader:
        assert len(reader) == FRAMES and reader.random_access == (0, 5, 10)
        for order in (range(FRAMES), reversed(range(FRAMES)), range(0, FRAMES, 3)):
            assert all(same(reader[i], frames[i]) for i in order)
        assert same(reader[-1], frames[-1]) and same(reader[np.int64(2)], frames[2])
    for i, frame in enumerate(frames):
        assert same(decoder.open(stream)[i], frame)


@settings(max_examples=15, deadline=None)
@given(accesses=st.lists(st.integers(-FRAMES, FRAMES - 1), max_size=6))
def test_any_order(nano: Any, stream: bytes, frames: list[YUV420], accesses: list[int]) -> None:
    reader = ui2c.Decoder(model=nano).open(stream)
    assert all(same(reader[i], frames[i]) for i in accesses)


@settings(max_examples=15, deadline=None)
@given(wanted=st.slices(FRAMES))
def test_slices(nano: Any, stream: bytes, frames: list[YUV420], wanted: slice) -> None:
    assert ui2c.Decoder(model=nano).open(stream)[wanted] == frames[wanted]


def test_iterators_do_not_disturb_each_other(
    nano: Any, stream: bytes, frames: list[YUV420]
) -> None:
    reader = ui2c.Decoder(model=nano).open(stream)
    for a, b, expected in zip(reader, reader, frames, strict=True):
        assert a == expected and b == expected
        a.y[...] = 0
    assert list(reader) == frames


class CountingSession:
    """Notes of every unit whether it is intra."""

    def __init__(self, session: Any, calls: list[bool]) -> None:
        self.session, self.calls = session, calls

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)

    def begin(self, **unit: Any) -> None:
        self.calls.append(unit["intra"])
        self.session.begin(**unit)


class CountingEngine:
    on_processor = True

    def __init__(self, engine: Any, calls: list[bool]) -> None:
        self.engine, self.calls = engine, calls

    def session(self, **size: int) -> CountingSession:
        return CountingSession(self.engine.session(**size), self.calls)


def test_decodes_from_the_nearest_unit(nano: Any, stream: bytes) -> None:
    calls: list[bool] = []
    model = replace(nano, engine=CountingEngine(nano.engine, calls))
    reader = ui2c.Decoder(model=model).open(stream)
    assert calls == []
    reader[7]
    assert calls == [True, False]
    calls.clear()
    reader[10]
    assert calls == [True]
    calls.clear()
    reader[11:13]
    assert calls == [False]
    calls.clear()
    reader[0]
    assert calls == [True]


def test_sources(nano: Any, stream: bytes, frames: list[YUV420], tmp_path: Path) -> None:
    path = tmp_path / "clip.ui2c"
    path.write_bytes(stream)
    decoder = ui2c.Decoder(model=nano)
    for source in (stream, bytearray(stream), memoryview(stream), path, str(path)):
        with decoder.open(source) as reader:
            assert reader[5] == frames[5]
    with open(path, "rb") as file:
        with decoder.open(file) as reader:
            assert reader[1] == frames[1]
            file.seek(3)
            assert reader[2:6] == frames[2:6]
        assert not file.closed
    with pytest.raises(TypeError, match="bytes, a path or a file, not int"):
        decoder.open(7)  # type: ignore[arg-type]

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    with pytest.raises(ValueError, match="seekable"):
        decoder.open(Pipe(stream))


def test_times(nano: Any, stream: bytes, frames: list[YUV420]) -> None:
    reader = ui2c.Decoder(model=nano).open(stream)
    assert reader.time(3) == Fraction(3 * 1001, 30000)
    for i in range(FRAMES):
        time = reader.time(i)
        assert reader.index_at(time) == reader.index_at(float(time)) == i
        assert reader.index_at(time + Fraction(1, 60)) == i
    assert reader.frame_at(0.1) == frames[2]
    with pytest.raises(ValueError, match="0 or more"):
        reader.frame_at(-0.1)
    with pytest.raises(ValueError, match=r"0\.433767 s are all"):
        reader.frame_at(FRAMES * Fraction(1001, 30000))
    for index in (FRAMES, -FRAMES - 1):
        with pytest.raises(IndexError, match="stream of 13 frames"):
            reader[index]
    with pytest.raises(IndexError):
        reader.time(FRAMES)


def test_irregular_times(nano: Any) -> None:
    times = [5, 33, 67, 67, 500, 501, 900]
    clip = [
        YUV420(*frame.planes, pts=time)
        for frame, time in zip(make_clip(16, 16, 7), times, strict=True)
    ]
    data = ui2c.Encoder(model=nano, timebase=0.001, keyint=2).encode(clip)
    expected = ui2c.Decoder(model=nano).decode(data)
    reader = ui2c.Decoder(model=nano).open(data)
    assert [reader.time(i) * 1000 for i in range(7)] == times
    assert all(same(reader[i], expected[i]) for i in (6, 3, 0, 5))
    for seconds, index in ((0, 0), (0.033, 1), (0.067, 3), (0.4, 3), (0.5, 4), (99, 6)):
        assert reader.index_at(seconds) == index


def test_rgb(nano: Any) -> None:
    data = ui2c.Encoder(model=nano, keyint=2).encode(make_rgb(20, 12, 5))
    decoder = ui2c.Decoder(model=nano, output="rgb")
    expected = decoder.decode(data)
    reader = decoder.open(data)
    assert np.array_equal(reader[1:4], expected[1:4]) and np.array_equal(reader[2], expected[2])
    assert reader[3:3].shape == (0, 12, 20, 3)


def test_single_frame_units(single: Any) -> None:
    data = ui2c.Encoder(model=single, keyint=3).encode(make_clip(16, 16, 7))
    reader = ui2c.Decoder(model=single).open(data)
    assert reader.random_access == (0, 3, 6)
    assert [reader[i] for i in (5, 1, 6)] == [
        ui2c.Decoder(model=single).decode(data)[i] for i in (5, 1, 6)
    ]


def test_no_frames(nano: Any) -> None:
    data = ui2c.Encoder(model=nano, width=6, height=4).encode([])
    for stream in (data, without_index(data)):
        reader = ui2c.Decoder(model=nano).open(stream)
        assert len(reader) == 0 and list(reader) == [] and reader[:] == []
        with pytest.raises(IndexError):
            reader[0]
        with pytest.raises(ValueError, match="nothing is shown"):
            reader.frame_at(0)


def test_what_is_known_without_decoding(stream: bytes, nano: Any) -> None:
    reader = ui2c.Decoder(model="no such file").open(stream)
    assert len(reader) == FRAMES and reader.header.width == 34
    assert reader.metadata["model"] == nano.config.name


def test_truncated_streams(nano: Any, stream: bytes, frames: list[YUV420]) -> None:
    cut = stream[: coded_units(stream)[5].offset + 3]
    with pytest.raises(ui2c.TruncatedError):
        ui2c.Decoder(model=nano).open(cut)
    reader = ui2c.Decoder(model=nano, on_error="skip").open(cut)
    assert list(reader) == frames[:8]
    for size in (0, 5, 30, 60):
        with pytest.raises(ui2c.TruncatedError):
            ui2c.Decoder(model=nano).open(stream[:size])


@pytest.mark.parametrize("indexed", [True, False])
def test_damaged_streams(nano: Any, stream: bytes, frames: list[YUV420], indexed: bool) -> None:
    data = bytearray(stream if indexed else without_index(stream))
    data[coded_units(stream)[4].offset + 5] ^= 1  # frames 6 to 9
    if not indexed:
        with pytest.raises(ui2c.CorruptError):
            ui2c.Decoder(model=nano).open(data)
    reader = ui2c.Decoder(model=nano, on_error="skip").open(data)
    assert len(reader) == FRAMES
    for _ in range(2):
        with pytest.raises(ui2c.CorruptError):
            reader[6]
        assert all(same(reader[i], frames[i]) for i in (5, 12, 10, 11, 0))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_damage_is_an_error_or_no_matter(
    nano: Any, stream: bytes, frames: list[YUV420], data: st.DataObject
) -> None:
    damaged = bytearray(stream)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    start = data.draw(st.sampled_from([0, 0, 0, 40]))
    decoder = ui2c.Decoder(model=nano, on_error=data.draw(st.sampled_from(["raise", "skip"])))
    try:
        reader = decoder.open(bytes(damaged[start:]))
    except ui2c.Error:
        return
    assert len(reader) <= FRAMES
    for i in (len(reader) - 1, len(reader) // 2):
        if i < 0:
            continue
        try:
            frame = reader[i]
        except ui2c.Error:
            continue
        assert same(frame, frames[i])


def test_play(nano: Any, stream: bytes, frames: list[YUV420]) -> None:
    decoder = ui2c.Decoder(model=nano)
    for start in range(FRAMES + 1):
        played = list(decoder.open(stream).play(start))
        assert played == frames[start:]
        assert [frame.pts for frame in played] == list(range(start, FRAMES))
    with pytest.raises(IndexError):
        decoder.open(stream).play(FRAMES + 1)


def test_play_leaves_out_what_is_lost(nano: Any, stream: bytes, frames: list[YUV420]) -> None:
    data = bytearray(stream)
    data[coded_units(stream)[4].offset + 5] ^= 1  # frames 6 to 9
    reader = ui2c.Decoder(model=nano, on_error="skip").open(data)
    assert reader.lost == [] and reader.damage is None
    for start in (1, 6, 7):
        assert list(reader.play(start)) == frames[start:6] + frames[10:]
        assert reader.lost == [(6, 9)] and isinstance(reader.damage, ui2c.CorruptError)
    assert list(reader.play(10)) == frames[10:]
    assert reader.lost == [] and reader.damage is None
    with pytest.raises(ui2c.CorruptError):
        list(ui2c.Decoder(model=nano).open(data).play(5))
