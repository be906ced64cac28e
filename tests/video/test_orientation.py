"""Pictures are laid as they ask to be shown, in all eight ways."""

import struct
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from support.av_files import encode, pictures
from ui2c.video import open_source
from ui2c.video.convert import Converter
from ui2c.video.orientation import Orientation, orientation

ONE = 1 << 16
CORNERS = np.arange(6).reshape(2, 3)
"""Stored so; shown, by EXIF's number and by the matrix (a, b, c, d) that means the same."""
SHOWN = {
    1: ((1, 0, 0, 1), [[0, 1, 2], [3, 4, 5]]),
    2: ((-1, 0, 0, 1), [[2, 1, 0], [5, 4, 3]]),
    3: ((-1, 0, 0, -1), [[5, 4, 3], [2, 1, 0]]),
    4: ((1, 0, 0, -1), [[3, 4, 5], [0, 1, 2]]),
    5: ((0, 1, 1, 0), [[0, 3], [1, 4], [2, 5]]),
    6: ((0, 1, -1, 0), [[3, 0], [4, 1], [5, 2]]),
    7: ((0, -1, -1, 0), [[5, 2], [4, 1], [3, 0]]),
    8: ((0, -1, 1, 0), [[2, 5], [1, 4], [0, 3]]),
}


def matrix(a: float, b: float, c: float, d: float) -> bytes:
    values = [int(ONE * value) for value in (a, b, 0, c, d, 0, 0, 0)]
    return struct.pack("=9i", *values, 1 << 30)


@pytest.mark.parametrize("number", SHOWN)
def test_matrices(number: int) -> None:
    letters, expected = SHOWN[number]
    frame = SimpleNamespace(side_data={"DISPLAYMATRIX": matrix(*letters)})
    laid = orientation(frame)
    assert laid is not None and bool(laid) == (number > 1)
    assert laid.apply(CORNERS).tolist() == expected
    assert laid.sides((3, 2)) == np.array(expected).shape[::-1]
    assert str(laid)


@pytest.mark.parametrize("letters", [(0.7, 0.7, -0.7, 0.7), (0, 0, 0, 0), (1, 1, 0, 1)])
def test_what_is_no_quarter_turn(letters: tuple[float, ...]) -> None:
    assert orientation(SimpleNamespace(side_data={"DISPLAYMATRIX": matrix(*letters)})) is None


def test_no_matrix() -> None:
    assert orientation(av.VideoFrame(8, 8, "yuv420p")) == Orientation()


def exif(number: int) -> bytes:
    """A TIFF with nothing but an orientation."""
    return (
        b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\3\0\0\0\1" + struct.pack(">HH", number, 0) + bytes(4)
    )


def corners(frame: Any) -> list[int]:
    """Luma of the four corners, from above and left."""
    return [int(frame.y[row, column]) for row in (0, -1) for column in (0, -1)]


@pytest.mark.parametrize("number", SHOWN)
@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_photographs(tmp_path: Path, kind: str, number: int) -> None:
    grey = np.zeros((32, 48), np.uint8)
    grey[:16, :24], grey[:16, 24:], grey[16:, :24], grey[16:, 24:] = 20, 90, 160, 230
    frame = av.VideoFrame.from_ndarray(grey, "gray")
    codec, pixels = ("mjpeg", "yuvj420p") if kind == "jpg" else ("png", "gray")
    path = encode(
        tmp_path / f"clip.{kind}", [frame.reformat(format=pixels)], codec, format="image2"
    )
    data = path.read_bytes()
    if kind == "jpg":
        segment = b"Exif\0\0" + exif(number)
        data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]
    else:
        chunk = b"eXIf" + exif(number)
        end = 8 + 25
        data = (
            data[:end]
            + struct.pack(">I", len(chunk) - 4)
            + chunk
            + struct.pack(">I", zlib.crc32(chunk))
            + data[end:]
        )
    path.write_bytes(data)
    source = open_source(path)
    (shown,) = source
    stored = np.array([[20, 90], [160, 230]])
    letters, _ = SHOWN[number]
    laid = orientation(SimpleNamespace(side_data={"DISPLAYMATRIX": matrix(*letters)}))
    assert laid is not None
    expected = laid.apply(stored)
    assert (shown.width, shown.height) == laid.sides((48, 32))
    assert (source.description.width, source.description.height) == laid.sides((48, 32))
    assert np.abs(np.array(corners(shown)) - expected.ravel()).max() <= 6
    assert any(str(laid) in note for note in source.notes) == (number > 1)


def test_a_video_that_is_mirrored(tmp_path: Path) -> None:
    """And its sample aspect, which turns with it."""
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        if not hasattr(stream, "set_display_matrix"):
            pytest.skip("this PyAV does not write display matrices")
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = 2
        stream.set_display_matrix([0, ONE, 0, ONE, 0, 0, 0, 0, 1 << 30])
        for frame in pictures(3):
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    source = open_source(path)
    first = next(iter(source))
    with av.open(str(path)) as container:
        stored = next(container.decode(video=0)).to_ndarray()[:48]
    assert np.array_equal(first.y, stored.T)
    video = source.description
    assert (video.width, video.height, video.sample_aspect) == (48, 64, (1, 2))


class Laid:
    """A frame of PyAV's that asks to be shown in some way; PyAV cannot make such."""

    def __init__(self, frame: Any, data: bytes) -> None:
        self._frame, self.side_data = frame, {"DISPLAYMATRIX": data}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._frame, name)


def test_what_cannot_be_applied_is_said() -> None:
    convert = Converter(Laid(av.VideoFrame(8, 6, "yuv420p"), matrix(0.7, 0.7, -0.7, 0.7)))
    assert convert.size == (8, 6)
    assert any("is not applied" in note for note in convert.notes)
