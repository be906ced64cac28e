"""The clips that training is measured on."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ui2c.train.data.videos import SUFFIXES, VALIDATION, read_video
from ui2c.train.files import whole_file

Clip = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]
"""y `[frames, height, width]`, u and v half that."""

SCALE = 2.0


def validation_clips(
    folder: Path,
    *,
    size: int = 192,
    frames: int = 16,
    per_video: int = 8,
    cache: Path | None = None,
) -> dict[str, list[Clip]]:
    """The crops that training is measured on: always the same, from videos it never sees.

    Returns for each video `per_video` clips of (y `[frames, size, size]`, u, v
    `[frames, size / 2, size / 2]`), uint8, limited range, spread over its length. `cache` is a
    folder that keeps them in one .npz file. Raises ValueError if a video is missing or too small.
    """
    kept = cache / f"validation-{size}x{frames}x{per_video}.npz" if cache else None
    if kept is not None and kept.exists():
        with np.load(kept) as stored:
            return {
                name: list(zip(*(stored[f"{name}.{p}"] for p in "yuv"), strict=True))
                for name in VALIDATION
            }
    clips = {}
    for name in VALIDATION:
        paths = [p for p in sorted(folder.iterdir()) if p.stem == name and p.suffix in SUFFIXES]
        if not paths:
            raise ValueError(f"validation video {name} is not in {folder}")
        clips[name] = crops(paths[0], size, frames, per_video)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        arrays = {
            f"{name}.{plane}": np.stack([crop[i] for crop in found])
            for name, found in clips.items()
            for i, plane in enumerate("yuv")
        }
        with whole_file(kept) as file:
            np.savez(file, allow_pickle=False, **arrays)
    return clips


def crops(path: Path, size: int, frames: int, count: int) -> list[Clip]:
    """Twice smaller, but a small video keeps a quarter more than the crop so that crops differ."""
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        shorter = min(stream.width, stream.height)
    scale = min(SCALE, max(1.0, shorter / (1.25 * size)))
    whole = [scaled[0] for scaled in read_video(path, [scale])]
    height, width = whole[0][0].shape
    if len(whole) < frames or min(height, width) < size:
        raise ValueError(
            f"{path.name}: {len(whole)} frames of {width}×{height} hold no {frames} of "
            f"{size}×{size}"
        )
    rng = np.random.default_rng([size, frames, *path.stem.encode()])
    found = []
    for k in range(count):
        start = (len(whole) - frames) * k // max(1, count - 1)
        top, left = (int(rng.integers((x - size) // 2 + 1)) * 2 for x in (height, width))
        corners = [(top, left, size), *[(top // 2, left // 2, size // 2)] * 2]
        y, u, v = (
            np.stack([f[i][a : a + side, b : b + side] for f in whole[start : start + frames]])
            for i, (a, b, side) in enumerate(corners)
        )
        found.append((y, u, v))
    return found
