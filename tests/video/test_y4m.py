"""y4m as other programs write it."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ui2c import CorruptError, UnsupportedError
from ui2c.picture.color import halve_chroma, quarter_to_half
from ui2c.video import Description, open_sink, open_source

av = pytest.importorskip("av")

FRAME = bytes(range(6))


def write(path: Path, header: bytes, frames: int = 2, frame: bytes = b"FRAME\n" + FRAME) -> Path:
    path.write_bytes(b"YUV4MPEG2 W2 H2 " + header + b"\n" + frames * frame)
    return path


@pytest.mark.parametrize(
    "header",
    [b"C420p8", b"Ip\r", b"XCOMMENT=caf\xe9", b"F25:0", b"F0:0", b"XYSCSS=420JPEG", b"A0:0 I?"],
)
def test_headers(tmp_path: Path, header: bytes) -> None:
    source = open_source(write(tmp_path / "clip.y4m", header))
    assert source.description == Description(2, 2, frames=2)
    assert [frame.y.tolist() for frame in source] == 2 * [[[0, 1], [2, 3]]]


def test_decimals(tmp_path: Path) -> None:
    source = open_source(write(tmp_path / "clip.y4m", b"F29.97:1 A1.5:1"))
    assert source.description.fps == Fraction(2997, 100)
    assert source.description.sample_aspect == (3, 2)


def test_what_before_frames_is_longer(tmp_path: Path) -> None:
    """How many frames there are follows from the first of them."""
    for line in (b"FRAME\r\n", b"FRAME Ip XSOMETHING\n"):
        path = write(tmp_path / "clip.y4m", b"Ip\r", 50, line + FRAME)
        source = open_source(path)
        assert source.description.frames == 50
        assert len(list(source)) == 50
        source = open_source(path)
        source.skip(47)
        assert len(list(source)) == 3


def test_the_old_tag_for_more_bits(tmp_path: Path) -> None:
    samples = np.array([0, 1023, 512, 3, 700, 701], "<u2")
    path = tmp_path / "clip.y4m"
    path.write_bytes(b"YUV4MPEG2 W2 H2 F25:1 XYSCSS=420P10\nFRAME\n" + samples.tobytes())
    (frame,) = open_source(path)
    assert frame.bit_depth == 10
    assert np.concatenate([plane.ravel() for plane in frame.planes]).tolist() == samples.tolist()


@pytest.mark.parametrize(
    ("header", "rate"), [(b"F4294967295:1", "4294967295:1"), (b"F1:4294967295", "1:4294967295")]
)
def test_rates_that_are_none(tmp_path: Path, header: bytes, rate: str) -> None:
    """An error of the file, which another rate mends."""
    path = write(tmp_path / "clip.y4m", header)
    with pytest.raises(CorruptError, match=f"{rate} is no frame rate"):
        open_source(path)
    assert open_source(path, fps=Fraction(50)).description.fps == 50


def test_interlaced_files_are_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="deinterlace it first, such as by ffmpeg"):
        open_source(write(tmp_path / "clip.y4m", b"It"))


@pytest.mark.parametrize(("width", "height"), [(8, 4), (7, 5), (1, 1), (13, 2)])
def test_411_as_a_container_holds_it(tmp_path: Path, width: int, height: int) -> None:
    """The native reader, and NumPy's way for what FFmpeg has read."""
    random = np.random.default_rng(width)
    wide = -(-width // 4)
    y, u, v = (
        random.integers(0, 256, size).astype(np.uint8)
        for size in ((height, width), (height, wide), (height, wide))
    )
    path = tmp_path / "clip.y4m"
    header = f"YUV4MPEG2 W{width} H{height} C411\nFRAME\n"
    path.write_bytes(header.encode() + b"".join(plane.tobytes() for plane in (y, u, v)))
    source = open_source(path)
    assert source.description.frames == 1
    (frame,) = source
    chroma = (width + 1) // 2
    assert np.array_equal(frame.u, quarter_to_half(u, chroma))
    assert np.array_equal(frame.v, quarter_to_half(v, chroma))
    assert "4:1:1" in source.notes[0]

    nut = tmp_path / "clip.nut"
    with av.open(str(nut), "w") as container:
        stream = container.add_stream("rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv411p"
        picture = av.VideoFrame(width, height, "yuv411p")
        for plane, samples in zip(picture.planes, (y, u, v), strict=True):
            rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
            rows[: samples.shape[0], : samples.shape[1]] = samples
        container.mux(stream.encode(picture))
        container.mux(stream.encode())
    assert list(open_source(nut)) == [frame]


def test_411_is_interpolated() -> None:
    plane = np.array([[0, 80], [0, 80]], np.uint8)
    assert quarter_to_half(plane, 4).tolist() == [[0, 20, 60, 80]]


def test_alpha_is_passed_over(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    planes = [random.integers(0, 256, (3, 5)).astype(np.uint8) for _ in range(8)]
    path = tmp_path / "clip.y4m"
    frames = [b"FRAME\n" + b"".join(p.tobytes() for p in planes[at : at + 4]) for at in (0, 4)]
    path.write_bytes(b"YUV4MPEG2 W5 H3 C444alpha\n" + b"".join(frames))
    source = open_source(path)
    assert source.description.frames == 2
    for at, frame in zip((0, 4), source, strict=True):
        assert np.array_equal(frame.y, planes[at])
        assert np.array_equal(frame.u, halve_chroma(planes[at + 1], 2, 2))
    source = open_source(path)
    source.skip(1)
    assert np.array_equal(next(iter(source)).y, planes[4])


@pytest.mark.parametrize(
    "options",
    [
        {"sample_aspect": (4294967295, 4294967294)},
        {"sample_aspect": (1, 4294967295)},
        {"fps": Fraction(4294967295, 4294967294)},
        {"fps": None, "timebase": Fraction(1, 4294967295)},
    ],
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_numbers_that_a_container_cannot_hold(
    tmp_path: Path, options: dict[str, Any], suffix: str
) -> None:
    """The nearest that it can."""
    path = tmp_path / f"clip{suffix}"
    video = Description(16, 16, **options)
    (frame,) = open_source(write_plain(tmp_path / "plain.y4m"))
    sink = open_sink(path, video)
    for _ in range(3):
        sink.write(frame)
    sink.close()
    again = open_source(path).description
    ratio = Fraction(*video.sample_aspect)
    if ratio > Fraction(1, 1000):
        assert Fraction(*again.sample_aspect) == pytest.approx(ratio, rel=1e-3)
    if video.fps:
        assert again.fps == pytest.approx(video.fps, rel=1e-3)


def write_plain(path: Path) -> Path:
    path.write_bytes(b"YUV4MPEG2 W16 H16\nFRAME\n" + bytes(384))
    return path
