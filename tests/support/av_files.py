"""Files of many kinds, made by PyAV."""

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

MILLISECONDS = Fraction(1, 1000)


def pictures(count: int, size: tuple[int, int] = (64, 48), pixels: str = "yuv420p") -> list[Any]:
    """Pictures that no two codecs take for the same: a square that wanders over a gradient."""
    width, height = size
    made = []
    for number in range(count):
        rgb = np.zeros((height, width, 3), np.uint8)
        rgb[..., 0] = np.arange(width, dtype=np.uint8)[None] * 3
        rgb[..., 1] = np.arange(height, dtype=np.uint8)[:, None] * 4
        left, top = 5 * number % (width - 8), 3 * number % (height - 8)
        rgb[top : top + 8, left : left + 8] = (40 + 11 * number) % 256
        made.append(av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format=pixels))
    return made


def encode(
    path: Path,
    frames: Iterable[Any],
    codec: str = "libx264",
    *,
    format: str | None = None,
    rate: Fraction | int = 25,
    times: Sequence[int] | None = None,
    timebase: Fraction = MILLISECONDS,
    options: dict[str, str] | None = None,
    packets: Callable[[list[Any]], Iterable[Any]] = lambda packets: packets,
) -> Path:
    """Writes a file, frame k at the k-th of the times; `packets` may change what is written.

    Skips the test where FFmpeg has no such encoder.
    """
    try:
        av.codec.Codec(codec, "w")
    except av.FFmpegError:
        pytest.skip(f"no encoder {codec}")
    frames = list(frames)
    with av.open(str(path), "w", format=format) as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height = frames[0].width, frames[0].height
        stream.pix_fmt = frames[0].format.name
        if times is not None:
            stream.time_base = stream.codec_context.time_base = timebase
        coded = []
        for number, frame in enumerate(frames):
            if times is not None:
                frame.pts, frame.time_base = times[number], timebase
            coded += stream.encode(frame)
        for packet in packets([*coded, *stream.encode()]):
            container.mux(packet)
    return path
