"""The binding of y4m and raw video files."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from ui2c import _core

Planes = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]


def planes(width: int, height: int, bit_depth: int, seed: int) -> Planes:
    random = np.random.default_rng(seed)
    kind = np.uint8 if bit_depth == 8 else np.uint16
    sizes = [(height, width), *[((height + 1) // 2, (width + 1) // 2)] * 2]
    y, u, v = (random.integers(0, 1 << bit_depth, size).astype(kind) for size in sizes)
    return y, u, v


@pytest.mark.parametrize(
    ("width", "height", "bit_depth"), [(16, 8, 8), (1, 1, 8), (5, 3, 10), (2, 7, 16)]
)
def test_round_trip(tmp_path: Path, width: int, height: int, bit_depth: int) -> None:
    size = {"width": width, "height": height, "bit_depth": bit_depth}
    frames = [planes(width, height, bit_depth, seed) for seed in range(3)]
    y4m, yuv = ((tmp_path / name).open("w+b") for name in ("clip.y4m", "clip.yuv"))
    for writer in (
        _core.VideoWriter.y4m(
            y4m.fileno(), **size, frame_rate=(30000, 1001), sample_aspect=(4, 3), full_range=True
        ),
        _core.VideoWriter.yuv(yuv.fileno(), **size),
    ):
        for frame in frames:
            writer.write(frame)
        writer.close()
    y4m.seek(0)
    begun = yuv.seek(0) or os.read(yuv.fileno(), 1)
    reader = _core.VideoReader.y4m(y4m.fileno())
    assert (reader.width, reader.height, reader.bit_depth) == (width, height, bit_depth)
    assert (reader.frame_rate, reader.sample_aspect) == ((30000, 1001), (4, 3))
    assert reader.full_range is True
    raw = _core.VideoReader.yuv(yuv.fileno(), begun, **size)
    assert raw.full_range is None
    for source in (reader, raw):
        for frame in frames:
            read = source.read()
            assert isinstance(read, tuple)
            for plane, expected in zip(read, frame, strict=True):
                assert plane.dtype == expected.dtype
                np.testing.assert_array_equal(plane, expected)
        assert source.read() is None


def reader(data: bytes) -> _core.VideoReader:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        return _core.VideoReader.y4m(file.fileno())


def test_errors_have_types() -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        _core.VideoReader.y4m(1000)
    with pytest.raises(ValueError, match="-1"):
        _core.VideoReader.y4m(-1)
    with pytest.raises(_core.UnsupportedError, match="C410"):
        reader(b"YUV4MPEG2 W2 H2 C410\n")
    with pytest.raises(_core.Error):
        reader(b"RIFF")
    with pytest.raises(_core.TruncatedError, match="frame 0"):
        reader(b"YUV4MPEG2 W2 H2\nFRAME\n12345").read()
    with pytest.raises(ValueError, match="width"):
        _core.VideoReader.yuv(0, width=0, height=2)


def test_frames_are_checked() -> None:
    with open(os.devnull, "wb") as null:
        writer = _core.VideoWriter.y4m(null.fileno(), width=4, height=4)
        deep = _core.VideoWriter.yuv(null.fileno(), width=4, height=4, bit_depth=10)
    y, u, v = planes(4, 4, 8, 0)
    with pytest.raises(ValueError, match=r"frame\[0\]"):
        writer.write((y.astype(np.uint16), u, v))
    with pytest.raises(ValueError, match=r"frame\[1\]"):
        writer.write((y, y, v))
    with pytest.raises(ValueError, match=r"frame\[2\]"):
        writer.write((y, u, np.zeros((2, 4), np.uint8)[:, ::2]))
    with pytest.raises(ValueError):
        writer.write((y, u))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="1024"):
        deep.write(tuple(plane.astype(np.uint16) + 1024 - plane for plane in (y, u, v)))  # type: ignore[arg-type]


def test_standard_streams() -> None:
    code = """
from ui2c import _core
reader = _core.VideoReader.y4m(0)
writer = _core.VideoWriter.y4m(1, width=reader.width, height=reader.height)
while frame := reader.read():
    writer.write(frame)
writer.close()
"""
    frames = b"".join(b"FRAME\n" + bytes([value] * 6) for value in range(5))
    copied = subprocess.run(
        [sys.executable, "-c", code],
        input=b"YUV4MPEG2 W2 H2\n" + frames,
        capture_output=True,
        check=True,
    )
    first, _, rest = copied.stdout.partition(b"\n")
    assert first == b"YUV4MPEG2 W2 H2 F25:1 Ip A1:1 C420jpeg XCOLORRANGE=LIMITED"
    assert rest == frames
