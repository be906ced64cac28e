"""Real videos, scaled down so that the artefacts of their first compression vanish."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Planes = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]

SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".264", ".h264")
VALIDATION = ("rooftops_vfr", "doughkneading", "skateboarder", "face_s20", "cliffs")
"""Videos that measure training and therefore never serve it."""
UNSUITABLE = ("building_hlg10",)
"""HDR: its code values mean something else than in all the others."""


def training_videos(folder: Path) -> list[Path]:
    """The videos of a folder that serve training, in order; ValueError if there is none."""
    left_out = {*VALIDATION, *UNSUITABLE}
    found = sorted(p for p in folder.iterdir() if p.suffix in SUFFIXES and p.stem not in left_out)
    if not found:
        raise ValueError(f"no videos ({', '.join(SUFFIXES)}) in {folder}")
    return found


def read_video(
    path: Path, scales: Sequence[float], fastest: float = math.inf
) -> Iterator[tuple[Planes, ...]]:
    """The frames of a video, each once for every scale: so many times smaller (area filter).

    With more than `fastest` frames per second every second one is left out. Planes are y
    `[height, width]`, u and v half that, uint8, limited range; sides of y are multiples of 4.
    Raises ValueError if the video is deeper than 8 bits or has no frames, and what PyAV raises for
    broken files.
    """
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        source = stream.codec_context
        if source.format is None or source.format.components[0].bits != 8:
            raise ValueError(f"{path.name}: {source.pix_fmt} is not 8-bit video")
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        every = 2 if rate > fastest else 1
        number = -1
        for number, frame in enumerate(container.decode(stream)):
            if number % every:
                continue
            scaled = []
            for scale in scales:
                width, height = (int(x / scale) // 4 * 4 for x in (source.width, source.height))
                packed = frame.reformat(
                    width=width,
                    height=height,
                    format="yuv420p",
                    interpolation="AREA",
                    dst_color_range="MPEG",
                ).to_ndarray()
                scaled.append(planar(packed.astype(np.uint8, copy=False)))
            yield tuple(scaled)
    if number < 0:
        raise ValueError(f"{path.name}: no frames")


def planar(packed: NDArray[np.uint8]) -> Planes:
    """I420 `[height · 3 / 2, width]` as three planes."""
    height, width = packed.shape[0] * 2 // 3, packed.shape[1]
    u, v = packed[height:].reshape(2, height // 2, width // 2)
    return packed[:height], u, v
