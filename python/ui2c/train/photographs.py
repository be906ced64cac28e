"""Photographs as pyramids of float planes, ready to be sampled at any scale without aliasing."""

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
BASE_SCALE = 0.75
"""Scale of the finest level: what lies beyond it in a JPEG is mostly the JPEG's own noise."""
CHROMA_LEVELS = 2
"""Levels are half an octave apart, so 4:2:0 chroma is sampled this many levels further down."""
SHORTEST_LUMA = 180
"""A level whose short side is less has no room for a camera path (the finest is always used)."""


@dataclass(frozen=True)
class Photograph:
    """`levels[k]` is float32 `[3, height, width]`: YUV, BT.709, limited range, 0 … 255 scale.

    Level k is `BASE_SCALE` · 2^(−k/2) of the original. The first `luma_levels` serve luma, and
    each has the two further levels that its chroma needs.
    """

    name: str
    levels: tuple[Tensor, ...]
    luma_levels: int


def rgb_to_yuv709(rgb: NDArray[np.uint8]) -> Tensor:
    """`[height, width, 3]` full-range RGB → float32 `[3, height, width]` limited-range YUV."""
    kr, kb = 0.2126, 0.0722
    luma = np.array([kr, 1 - kr - kb, kb])
    matrix = np.stack(
        [
            luma * 219 / 255,
            (np.array([0, 0, 1]) - luma) / (2 * (1 - kb)) * 224 / 255,
            (np.array([1, 0, 0]) - luma) / (2 * (1 - kr)) * 224 / 255,
        ]
    )
    height, width, _ = rgb.shape
    planes = torch.from_numpy(matrix).float() @ torch.from_numpy(rgb).reshape(-1, 3).float().T
    planes += torch.tensor([[16.0], [128.0], [128.0]])
    return planes.view(3, height, width)


def load_photograph(path: Path) -> Photograph:
    """Decodes an image file and builds its pyramid. Raises what PyAV raises for a broken file."""
    import av

    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        height, width = frame.height, frame.width
        base = frame.reformat(
            width=max(1, round(width * BASE_SCALE)),
            height=max(1, round(height * BASE_SCALE)),
            format="rgb24",
            interpolation="BICUBIC",
        )
        image = rgb_to_yuv709(base.to_ndarray().astype(np.uint8, copy=False))[None]

    levels = [image]
    luma_levels = 1
    while True:
        scale = BASE_SCALE * 2 ** (-len(levels) / 2)
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
        if min(size) >= SHORTEST_LUMA:
            luma_levels += 1
        elif len(levels) == luma_levels + CHROMA_LEVELS:
            break
        levels.append(
            functional.interpolate(
                levels[max(0, len(levels) - 2)],
                size,
                mode="bicubic",
                align_corners=False,
                antialias=True,
            )
        )
    return Photograph(path.name, tuple(level[0] for level in levels), luma_levels)


class PhotographLibrary:
    """A folder of photographs, of which the last `capacity` used stay decoded."""

    def __init__(self, folder: Path, *, capacity: int = 40) -> None:
        self._paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
        if not self._paths:
            raise ValueError(f"no photographs ({', '.join(SUFFIXES)}) in {folder}")
        self._capacity = capacity
        self._decoded: OrderedDict[Path, Photograph] = OrderedDict()

    def window(self, seed: int, position: int, *, advance: int = 4) -> list[Photograph]:
        """The photographs in use at a position; the next position exchanges `advance` of them.

        So consecutive shards share most of their photographs and the decoding is spread out,
        while what a position sees depends on nothing but the seed and itself.
        """
        order = np.random.default_rng([seed, 0]).permutation(len(self._paths))
        count = min(self._capacity, len(order))
        chosen = [order[(position * advance + i) % len(order)] for i in range(count)]
        return [self._get(self._paths[i]) for i in chosen]

    def _get(self, path: Path) -> Photograph:
        if path not in self._decoded:
            if len(self._decoded) >= self._capacity:
                self._decoded.popitem(last=False)
            self._decoded[path] = load_photograph(path)
        self._decoded.move_to_end(path)
        return self._decoded[path]
