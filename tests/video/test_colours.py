"""Grey, palettes, alpha and other ways to hold colours come out as they are meant."""

import struct
from pathlib import Path

import av
import numpy as np
import pytest
from support.av_files import encode
from ui2c import YUV420
from ui2c.picture.color import rgb_to_yuv420, yuv420_to_rgb
from ui2c.video import Source, open_source
from ui2c.video.convert import Converter

COLOURS = np.array([[0, 200, 0], [200, 0, 0], [10, 20, 230], [255, 255, 255]], np.uint8)


def only(path: Path) -> tuple[YUV420, Source]:
    source = open_source(path)
    (frame,) = source
    return frame, source


def patches() -> np.ndarray:
    """Indices of the four colours, a quarter of 16x16 each."""
    return np.kron(np.array([[0, 1], [2, 3]]), np.ones((8, 8), int)).astype(np.uint8)


def palette_bmp() -> bytes:
    rows = patches()[::-1].tobytes()
    palette = b"".join(bytes([*colour[::-1], 0]) for colour in COLOURS.tolist())
    start = 14 + 40 + len(palette)
    header = struct.pack("<IiiHHIIiiII", 40, 16, 16, 1, 8, 0, len(rows), 0, 0, 4, 4)
    return b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + header + palette + rows


def palette_tga() -> bytes:
    header = struct.pack("<BBBHHBHHHHBB", 0, 1, 1, 0, 4, 24, 0, 0, 16, 16, 8, 0x20)
    palette = b"".join(bytes(colour[::-1]) for colour in COLOURS.tolist())
    return header + palette + patches().tobytes()


@pytest.mark.parametrize("kind", ["bmp", "tga"])
def test_palettes_are_rgb(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"clip.{kind}"
    path.write_bytes(palette_bmp() if kind == "bmp" else palette_tga())
    frame, source = only(path)
    assert frame == rgb_to_yuv420(COLOURS[patches()])
    assert source.description.color == (1, 1, 1)
    assert np.abs(yuv420_to_rgb(frame)[0, 0].astype(int) - COLOURS[0]).max() <= 2


@pytest.mark.parametrize(
    ("kind", "codec", "pixels", "depth"),
    [
        ("png", "png", "gray", 8),
        ("png", "png", "ya8", 8),
        ("png", "png", "monob", 8),
        ("png", "png", "gray16be", 16),
        ("png", "png", "ya16be", 16),
        ("pgm", "pgm", "gray", 8),
        ("pgm", "pgm", "gray16be", 16),
        ("tif", "tiff", "gray", 8),
        ("sgi", "sgi", "gray16be", 16),
        ("pfm", "pfm", "grayf32le", 16),
    ],
)
def test_grey_pictures(tmp_path: Path, kind: str, codec: str, pixels: str, depth: int) -> None:
    """From black to white, and never with a matrix that is not one of 4:2:0."""
    grey = np.repeat(np.linspace(0, 255, 16).astype(np.uint8)[None], 8, 0)
    grey[0] = 0
    if pixels == "monob":
        grey = np.where(grey < 128, 0, 255).astype(np.uint8)
    made = av.VideoFrame.from_ndarray(grey, "gray").reformat(format=pixels)
    path = encode(tmp_path / f"clip.{kind}", [made], codec, format="image2")
    frame, source = only(path)
    video = source.description
    assert frame.bit_depth == depth and frame.full_range and video.full_range
    assert video.color[2] == 2
    assert np.all(frame.u == 1 << (depth - 1)) and np.all(frame.v == 1 << (depth - 1))
    assert np.abs((frame.y >> (depth - 8)).astype(int) - grey).max() <= 1
    assert np.abs(yuv420_to_rgb(frame)[..., 0].astype(int) - grey).max() <= 1
    assert any("grey" in note for note in source.notes)


@pytest.mark.parametrize("chroma", ["420", "422", "444"])
@pytest.mark.parametrize("depth", [8, 10])
def test_alpha_is_left_out(chroma: str, depth: int) -> None:
    suffix = "" if depth == 8 else f"{depth}le"
    with_alpha = av.VideoFrame(10, 6, f"yuva{chroma}p{suffix}")
    without = av.VideoFrame(10, 6, f"yuv{chroma}p{suffix}")
    for number, plane in enumerate(with_alpha.planes):
        np.frombuffer(plane, np.uint8)[:] = 1 + number
    for number, plane in enumerate(without.planes):
        np.frombuffer(plane, np.uint8)[:] = 1 + number
    convert = Converter(with_alpha)
    assert convert(with_alpha, None) == Converter(without)(without, None)
    assert any("alpha is left out" in note for note in convert.notes)


def test_the_other_order_of_bytes() -> None:
    for name in ("yuv420p10be", "gray12be"):
        frame = av.VideoFrame(4, 4, name)
        for plane in frame.planes:
            np.frombuffer(plane, ">u2")[:] = 770
        picture = Converter(frame)(frame, None)
        assert np.all(picture.y == 770), name


def test_rgb_and_420_do_not_go_together() -> None:
    """Whatever a file says."""
    for name in ("yuv420p", "yuv444p", "nv12"):
        frame = av.VideoFrame(8, 8, name)
        frame.colorspace = 0
        assert Converter(frame).color[2] == 2, name
