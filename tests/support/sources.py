"""Small photographs and videos, and what training makes of them."""

from pathlib import Path

import numpy as np
from ui2c.train.data.contact_sheet import write_png
from ui2c.train.data.sources import build_sources
from ui2c.train.data.videos import VALIDATION

from support.clips import write_video


def texture(seed: int, height: int, width: int) -> np.ndarray:
    """Colour noise with detail at all scales, uint8 RGB."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), 128.0)
    for cells in (4, 16, 64, 128):
        bumps = rng.normal(0, 22, (cells, cells, 3))
        rows, columns = (np.arange(n) * cells // n for n in (height, width))
        image += bumps[rows][:, columns]
    return image.round().clip(0, 255).astype(np.uint8)


def panning(seed: int, count: int, height: int, width: int, step: int = 4) -> list[np.ndarray]:
    """Luma that moves by `step` samples a frame to the left."""
    wide = texture(seed, height, width + step * count)[..., 0].clip(16, 235)
    return [np.ascontiguousarray(wide[:, step * i : step * i + width]) for i in range(count)]


def write_photographs(folder: Path) -> Path:
    folder.mkdir()
    for i in range(2):
        write_png(folder / f"{i}.png", texture(i, 420 + 10 * i, 560))
    return folder


def write_videos(folder: Path) -> Path:
    """Two videos that pan, and the five for validation."""
    folder.mkdir()
    for name in ("pan", "other", *VALIDATION):
        write_video(folder / f"{name}.mkv", panning(len(name), 12, 272, 320))
    return folder


def write_sources(folder: Path) -> Path:
    """A folder for `TrainConfig.data`."""
    folder.mkdir(exist_ok=True)
    photographs = write_photographs(folder / "photographs")
    videos = write_videos(folder / "videos")
    build_sources(folder / "sources", photographs, videos)
    return folder / "sources"
