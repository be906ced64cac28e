"""Small synthetic clips."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from ui2c import YUV420
from ui2c.picture.frames import chroma_size
from ui2c.unit.planes import Planes
from ui2c.video import Description, open_sink


def make_clip(
    width: int, height: int, frames: int, *, bit_depth: int = 8, full_range: bool = False
) -> list[YUV420]:
    """Waves that drift by a sample and a half per frame, with a little noise."""
    random = np.random.default_rng(width * 1000 + height)
    dtype = np.uint8 if bit_depth == 8 else np.uint16
    peak = (1 << bit_depth) - 1

    def plane(width: int, height: int, shift: float, phase: float) -> NDArray[np.generic]:
        y, x = np.mgrid[0:height, 0:width]
        wave = np.sin((x + shift) * 0.21 + phase) + np.sin((y + 0.5 * shift) * 0.13 + phase)
        noise = random.normal(0, 0.02, (height, width))
        return (peak * (0.5 + 0.2 * wave + noise).clip(0, 1)).astype(dtype)

    chroma = chroma_size(width, height)
    return [
        YUV420(
            plane(width, height, 1.5 * t, 0.0),
            plane(*chroma, 0.75 * t, 1.0),
            plane(*chroma, 0.75 * t, 2.0),
            bit_depth,
            full_range,
        )
        for t in range(frames)
    ]


def make_rgb(width: int, height: int, frames: int) -> NDArray[np.uint8]:
    """Drifting waves, uint8 `[frames, height, width, 3]`."""
    t, y, x, c = np.mgrid[0:frames, 0:height, 0:width, 0:3]
    return (127.5 + 120 * np.sin((x + 1.5 * t) * 0.2 + c) * np.cos(y * 0.15 + c)).astype(np.uint8)


def moving_frames(count: int, width: int, height: int, depth: int, seed: int) -> list[Planes]:
    """A smooth texture that pans by a few samples a frame."""
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, 6, 4)
    frames = []
    for t in range(count):
        planes = []
        for scale in (1, 2, 2):
            y, x = np.mgrid[: -(-height // scale), : -(-width // scale)] * scale
            x = x + 3 * t
            value = np.sin(x / 5 + phase[0]) + np.sin(y / 7 + phase[1]) + np.sin((x + y) / 11)
            top = (1 << depth) - 1
            planes.append(((value / 6 + 0.5) * top).astype(np.uint8 if depth == 8 else np.uint16))
        frames.append(tuple(planes))
    return frames


def equal(a: Planes, b: Planes) -> bool:
    return all(x.dtype == y.dtype and np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def write_video(path: Path, frames: list[np.ndarray], *, full_range: bool = False) -> None:
    """Lossless video of grey-chroma frames `[height, width]` of luma."""
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("ffv1", rate=Fraction(25))
        stream.height, stream.width = frames[0].shape
        stream.pix_fmt = "yuv420p"
        if full_range:
            stream.codec_context.color_range = 2
        for luma in frames:
            chroma = np.full((luma.shape[0] // 2, luma.shape[1]), 128, np.uint8)
            frame = av.VideoFrame.from_ndarray(np.concatenate([luma, chroma]), format="yuv420p")
            if full_range:
                frame.color_range = 2
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def moving_object(bit_depth: int = 8) -> list[Planes]:
    """Five frames, 96x64, of which a part moves against the rest: blocks are worth their bits."""
    frames = moving_frames(5, 96, 64, bit_depth, seed=2)
    for t, frame in enumerate(frames):
        for plane, scale in zip(frame, (1, 2, 2), strict=True):
            x = (60 - 9 * t) // scale
            bright, dark = (255 - 40 * scale) << (bit_depth - 8), 30 << (bit_depth - 8)
            plane[16 // scale : 40 // scale, x : x + 24 // scale] = bright
            plane[20 // scale : 28 // scale, x + 4 : x + 24 // scale] = dark
    return frames


def write_y4m(path: Path, frames: Sequence[Planes]) -> None:
    """Frames of 8 bits, at 25 a second."""
    height, width = frames[0][0].shape
    sink = open_sink(path, Description(width, height))
    for planes in frames:
        sink.write(YUV420(*planes))
    sink.close()
