"""Short clips kept as pictures, as in Vimeo-90k: folders of im1.png … im7.png."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ui2c.train.photographs import rgb_to_yuv709

LENGTH = 7
PAIRS = LENGTH // 2
"""A reserve and three pairs."""

Rng = np.random.Generator


def find_septuplets(folder: Path) -> list[Path]:
    """The folders below `folder`, at any depth, that hold im1.png … im7.png, in order.

    Raises ValueError if there is none.
    """
    found = sorted(path.parent for path in folder.rglob(f"im{LENGTH}.png") if _whole(path.parent))
    if not found:
        raise ValueError(f"no folders with im1.png … im{LENGTH}.png under {folder}")
    return found


def _whole(folder: Path) -> bool:
    return all(path.is_file() for path in _pictures(folder))


def _pictures(folder: Path) -> Iterator[Path]:
    return (folder / f"im{i + 1}.png" for i in range(LENGTH))


def _read(path: Path) -> NDArray[np.uint8]:
    import av

    with av.open(str(path)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24").astype(np.uint8)


def draw_septuplet(rng: Rng, folders: list[Path], *, size: int = 128) -> tuple[str, Tensor, Tensor]:
    """(name, luma `[7, size, size]`, chroma `[2, 7, size / 2, size / 2]`) of a crop of one.

    Float32 on the scale of 8-bit codes, BT.709 limited range, half of them backwards; the best of
    three crops in texture, one time in four just any. Raises ValueError if the pictures are
    smaller than `size` or differ in size.
    """
    folder = folders[rng.integers(len(folders))]
    pictures = [_read(path) for path in _pictures(folder)]
    height, width, _ = pictures[0].shape
    if min(height, width) < size or any(p.shape != pictures[0].shape for p in pictures):
        raise ValueError(f"{folder}: the pictures must have one size, of {size}×{size} or more")
    best: tuple[float, int, int] | None = None
    for _ in range(1 if rng.random() < 0.25 else 3):
        top, left = (int(rng.integers((x - size) // 2 + 1)) * 2 for x in (height, width))
        green = pictures[0][top : top + size : 2, left : left + size : 2, 1].astype(np.float32)
        texture = float(np.abs(np.diff(green, axis=0)).mean() + np.abs(np.diff(green)).mean())
        if best is None or texture > best[0]:
            best = texture, top, left
    assert best is not None
    _, top, left = best
    crops = [p[top : top + size, left : left + size] for p in pictures]
    planes = torch.stack([rgb_to_yuv709(np.ascontiguousarray(crop)) for crop in crops], dim=1)
    luma, chroma = planes[0], functional.avg_pool2d(planes[1:], 2)
    if rng.random() < 0.5:
        luma, chroma = luma.flip(0), chroma.flip(1)
    return "/".join(folder.parts[-2:]), luma, chroma
