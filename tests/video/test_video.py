"""Video files: what goes in comes out, and what cannot be read is named."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.clips import make_clip, make_rgb
from ui2c import YUV420, CorruptError
from ui2c.picture.color import halve_chroma, rgb_to_yuv420
from ui2c.picture.metrics import frame_psnr
from ui2c.video import Description, check_sink, open_sink, open_source
from ui2c.video.convert import Converter
from ui2c.video.timing import regular_rate

av = pytest.importorskip("av")


def write(path: Path, clip: list[YUV420], **options: Any) -> Description:
    first = clip[0]
    description = Description(
        first.width, first.height, first.bit_depth, full_range=first.full_range, **options
    )
    sink = open_sink(path, description)
    for frame in clip:
        sink.write(frame)
    assert not path.exists()
    sink.close()
    return description


@pytest.mark.parametrize("suffix", [".y4m", ".yuv"])
@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (16, 8)])
def test_raw_files(tmp_path: Path, suffix: str, bit_depth: int, size: tuple[int, int]) -> None:
    clip = make_clip(*size, 3, bit_depth=bit_depth)
    path = tmp_path / f"clip{suffix}"
    write(path, clip, fps=Fraction(30000, 1001), timebase=Fraction(1001, 30000))
    options: dict[str, Any] = {}
    if suffix == ".yuv":
        options = {"width": size[0], "height": size[1], "bit_depth": bit_depth}
    source = open_source(path, **options)
    assert list(source) == clip
    description = source.description
    assert (description.width, description.height) == size
    assert (description.bit_depth, description.frames) == (bit_depth, 3)
    assert description.fps == (Fraction(25) if suffix == ".yuv" else Fraction(30000, 1001))


def test_y4m_keeps_range_and_aspect(tmp_path: Path) -> None:
    path = tmp_path / "clip.y4m"
    write(path, make_clip(4, 4, 1, full_range=True), sample_aspect=(4, 3))
    description = open_source(path).description
    assert description.full_range and description.sample_aspect == (4, 3)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
@pytest.mark.parametrize("bit_depth", [8, 10])
def test_containers(tmp_path: Path, suffix: str, bit_depth: int) -> None:
    clip = make_clip(64, 48, 5, bit_depth=bit_depth)
    path = tmp_path / f"clip{suffix}"
    write(path, clip, fps=Fraction(24), color=(1, 1, 1))
    source = open_source(path)
    again = list(source)
    source.close()
    assert source.notes == []
    description = source.description
    assert (description.width, description.height, description.bit_depth) == (64, 48, bit_depth)
    assert (description.fps, description.frames) == (24, 5)
    assert description.color == (1, 1, 1) and not description.full_range
    assert len(again) == 5
    assert min(frame_psnr(a, b).yuv for a, b in zip(clip, again, strict=True)) > 38


def test_full_range_and_irregular_times_in_mkv(tmp_path: Path) -> None:
    times = [0, 40, 90, 90, 400]
    clip = [
        YUV420(*frame.planes, full_range=True, pts=time)
        for frame, time in zip(make_clip(32, 32, 5), times, strict=True)
    ]
    path = tmp_path / "clip.mkv"
    write(path, clip, fps=None, timebase=Fraction(1, 1000))
    source = open_source(path)
    assert source.description.fps is None and source.description.full_range
    read = [frame.pts * source.description.timebase * 1000 for frame in source]
    assert read == [0, 40, 90, 91, 400]
    assert open_source(path, fps=Fraction(10)).description.fps == 10


def test_real_clip(city: Path) -> None:
    source = open_source(city)
    assert source.description == Description(
        352, 192, 8, Fraction(25), Fraction(1, 25), color=(1, 1, 1), frames=24
    )
    assert len(list(source)) == 24


def test_rgb_files_are_converted_as_arrays_are(tmp_path: Path) -> None:
    rgb = make_rgb(16, 16, 1)[0]
    path = tmp_path / "clip.png"
    with av.open(str(path), "w", format="image2") as container:
        stream = container.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "rgb24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, "rgb24")))
        container.mux(stream.encode())
    source = open_source(path)
    assert list(source) == [rgb_to_yuv420(rgb)]
    assert source.description.color == (1, 1, 1)
    assert any("converted from rgb24" in note for note in source.notes)


@pytest.mark.parametrize(
    ("name", "bit_depth", "note"),
    [
        ("yuv422p", 8, "from 4:2:2 to 4:2:0, each chroma sample the mean"),
        ("yuv440p", 8, "from 4:4:0"),
        ("yuv444p10le", 10, "from 4:4:4"),
        ("gray", 8, "grey, coded as 4:2:0 without colour"),
        ("gray10le", 10, "grey"),
        ("nv12", 8, "from nv12 to yuv420p by FFmpeg"),
    ],
)
def test_other_formats_are_converted_with_a_note(name: str, bit_depth: int, note: str) -> None:
    frame = av.VideoFrame(33, 15, name)
    for plane in frame.planes:
        np.frombuffer(plane, np.uint8)[:] = 1
    convert = Converter(frame)
    picture = convert(frame, 3)
    assert (picture.width, picture.height, picture.bit_depth) == (33, 15, bit_depth)
    assert picture.pts == 3
    (said,) = convert.notes
    assert note in said
    chroma = {"gray": 128, "gray10le": 512, "yuv444p10le": 257}.get(name, 1)
    assert np.all(picture.u == chroma) and np.all(picture.v == chroma)


@pytest.mark.parametrize("chroma", ["420", "422", "444", "mono"])
@pytest.mark.parametrize("depth", [8, 10])
def test_y4m_and_containers_convert_alike(tmp_path: Path, chroma: str, depth: int) -> None:
    """The native reader, and NumPy's way for what FFmpeg has read."""
    width, height = 7, 5
    random = np.random.default_rng(depth)
    dtype = np.uint8 if depth == 8 else np.dtype("<u2")
    rows, columns = {"420": (2, 2), "422": (1, 2), "444": (1, 1), "mono": (1, 1)}[chroma]
    size = -(-height // rows), -(-width // columns)
    y = random.integers(0, 1 << depth, (height, width)).astype(dtype)
    u, v = (random.integers(0, 1 << depth, size).astype(dtype) for _ in range(2))
    planes = [y] if chroma == "mono" else [y, u, v]
    suffix = "" if depth == 8 else "10" if chroma == "mono" else "p10"
    path = tmp_path / "clip.y4m"
    header = f"YUV4MPEG2 W{width} H{height} F25:1 C{chroma}{suffix}\nFRAME\n"
    path.write_bytes(header.encode() + b"".join(plane.tobytes() for plane in planes))
    source = open_source(path)
    assert source.description.frames == 1 and len(source.notes) == (chroma != "420")
    (frame,) = source
    assert np.array_equal(frame.y, y)
    if chroma == "mono":
        expected = [np.full((3, 4), 1 << (depth - 1))] * 2
    else:
        expected = [halve_chroma(plane, 2 // rows, 2 // columns) for plane in (u, v)]
    assert np.array_equal(frame.u, expected[0]) and np.array_equal(frame.v, expected[1])


def test_chroma_means() -> None:
    plane = np.array([[10, 11, 20], [12, 14, 21], [30, 31, 40]], np.uint8)
    assert halve_chroma(plane, 2, 2).tolist() == [[12, 21], [31, 40]]
    assert halve_chroma(plane, 2, 1).tolist() == [[11, 13, 21], [30, 31, 40]]
    assert halve_chroma(plane, 1, 2).tolist() == [[11, 20], [13, 21], [31, 40]]
    peak = np.full((2, 2), 65535, np.uint16)
    assert halve_chroma(peak, 2, 2).tolist() == [[65535]]


def test_y4m_carries_colour(tmp_path: Path) -> None:
    description = Description(6, 4, 10, full_range=True, color=(9, 16, 9), sample_aspect=(4, 3))
    path = tmp_path / "clip.y4m"
    sink = open_sink(path, description)
    sink.write(make_clip(6, 4, 1, bit_depth=10, full_range=True)[0])
    sink.close()
    assert open_source(path).description == replace(description, frames=1)


def test_planar_420_is_taken_as_it_is() -> None:
    for name, depth, full in (("yuv420p", 8, False), ("yuvj420p", 8, True), ("yuv420p12le", 12, 0)):
        convert = Converter(av.VideoFrame(8, 8, name))
        assert (convert.bit_depth, convert.full_range, convert.notes) == (depth, bool(full), [])


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"nothing of the sort", "clip.mp4", "not a video that FFmpeg can read"),
        (b"", "clip.mkv", "not a video that FFmpeg can read"),
        (b"YUV4MPEG2 W0 H0\n", "clip.y4m", "width"),
        (b"\x8bUI2C\r\n\x1a\x01\x00", "clip.mp4", "is a ui2c stream: ui2c decode"),
        (b"YUV4MPEG2 W4 H4 C420\nFRAME\n123", "clip.y4m", "frame"),
    ],
)
def test_broken_files(tmp_path: Path, content: bytes, name: str, message: str) -> None:
    import ui2c

    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ui2c.Error, match=message):
        list(open_source(path))


def test_sound_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(CorruptError, match="no video stream"):
        open_source(path)


def test_what_a_source_needs(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_source(tmp_path / "missing.mp4")
    raw, y4m = tmp_path / "clip.yuv", tmp_path / "clip.y4m"
    write(raw, make_clip(4, 4, 1))
    write(y4m, make_clip(4, 4, 1))
    with pytest.raises(ValueError, match="width and height are needed"):
        open_source(raw)
    with pytest.raises(ValueError, match="not raw video"):
        open_source(y4m, width=4, height=4)


@pytest.mark.parametrize(
    ("name", "description", "message"),
    [
        ("clip.avi", Description(4, 4), "must end in .y4m, .yuv, .mp4"),
        ("clip", Description(4, 4), "must end in .y4m"),
        ("clip.mp4", Description(5, 4), "H.264 needs even sizes, not 5x4"),
        ("clip.mp4", Description(4, 4, 12), "8 or 10 bits, not 12"),
    ],
)
def test_what_a_sink_cannot_hold(
    tmp_path: Path, name: str, description: Description, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        open_sink(tmp_path / name, description)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".y4m", ".yuv", ".mp4"])
def test_a_discarded_sink_leaves_nothing(tmp_path: Path, suffix: str) -> None:
    (frame,) = make_clip(16, 16, 1)
    sink = open_sink(tmp_path / f"clip{suffix}", Description(16, 16))
    sink.write(frame)
    sink.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_closed_sink_takes_no_more(tmp_path: Path) -> None:
    sink = open_sink(tmp_path / "clip.yuv", Description(2, 2))
    sink.close()
    sink.discard()
    with pytest.raises(ValueError, match="closed"):
        sink.write(make_clip(2, 2, 1)[0])
    assert (tmp_path / "clip.yuv").stat().st_size == 0


def test_sinks_keep_existing_files(tmp_path: Path) -> None:
    path = tmp_path / "clip.y4m"
    path.write_bytes(b"old")
    for check in (lambda: check_sink(path), lambda: open_sink(path, Description(4, 4))):
        with pytest.raises(FileExistsError):
            check()
    assert check_sink(path, overwrite=True) == ".y4m"


def test_regular_rate() -> None:
    milliseconds = [round(1000 * i * 1001 / 30000) for i in range(100)]
    ntsc = Fraction(30000, 1001)
    tick = Fraction(1, 1000)
    assert regular_rate(milliseconds, tick, [ntsc]) == ntsc
    # A rate that the times contradict is not believed, the next may be: after an edit list the
    # average counts frames that are not shown.
    assert regular_rate(milliseconds, tick, [Fraction(28), ntsc]) == ntsc
    assert regular_rate([0, 40, 80, 120], tick, [Fraction(50)]) == 25
    assert regular_rate([0, 40, 80, 120], tick, []) == 25
    assert regular_rate([0, 40, 80, 200], tick, [Fraction(25)]) is None
    assert regular_rate([5, 5], tick, [Fraction(25)]) is None


def test_the_rate_of_a_bare_stream(tmp_path: Path) -> None:
    path = tmp_path / "clip.264"
    with av.open(str(path), "w", format="h264") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for _ in range(3):
            picture = av.VideoFrame.from_ndarray(np.zeros((48, 32), np.uint8), "yuv420p")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    source = open_source(path)
    assert (source.description.fps, source.description.frames) == (30, 3)


@pytest.mark.parametrize("codec", ["y4m", "libx264", "mpeg4"])
@pytest.mark.parametrize("fps", [None, 10])
def test_skipping_is_reading_and_forgetting(
    tmp_path: Path, codec: str, fps: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui2c.video.container.MIN_SEEK", 5)
    clip = make_clip(32, 32, 40)
    path = tmp_path / ("clip.y4m" if codec == "y4m" else "clip.mkv")
    if codec == "y4m":
        write(path, clip)
    else:
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=25, options={"g": "7", "bf": "2"})
            stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
            for frame in clip:
                picture = av.VideoFrame.from_ndarray(
                    np.concatenate([plane.reshape(-1, 32) for plane in frame.planes]), "yuv420p"
                )
                container.mux(stream.encode(picture))
            container.mux(stream.encode())
    options: Any = {"fps": None if fps is None else Fraction(fps)}
    everything = list(open_source(path, **options))
    assert len(everything) == 40
    for count in (0, 1, 4, 5, 6, 7, 20, 33, 39, 40, 50):
        source = open_source(path, **options)
        source.skip(count)
        assert list(source) == everything[count:], count


def test_skipping_where_times_are_irregular(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    times = [0, 40, 90, 91, 300, 340, 700]
    clip = [
        YUV420(*frame.planes, pts=time)
        for frame, time in zip(make_clip(32, 32, 7), times, strict=True)
    ]
    write(path, clip, fps=None, timebase=Fraction(1, 1000))
    for count in (0, 3, 6):
        source = open_source(path)
        source.skip(count)
        assert [frame.pts for frame in source] == times[count:]
