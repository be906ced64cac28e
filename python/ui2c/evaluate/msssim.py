"""Multi-scale structural similarity of single planes.

After Wang, Simoncelli and Bovik, "Multiscale structural similarity for image quality assessment",
Asilomar 2003: five scales with the weights of the paper, an 11-tap Gaussian of sigma 1.5, the means
over windows that lie wholly inside the picture, halving by means of 2×2. Where a scale is smaller
than the window, the window shrinks to it and sigma with it, so that any size has a value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from ui2c._core import Plane

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
WINDOW = 11
SIGMA = 1.5
K1, K2 = 0.01, 0.03


def ms_ssim(a: Plane, b: Plane, bit_depth: int = 8) -> float:
    """MS-SSIM of two planes `[height, width]` of one size, 0 … 1."""
    peak = (1 << bit_depth) - 1
    x, y = (torch.from_numpy(plane.astype(np.float32))[None, None] / peak for plane in (a, b))
    result = 1.0
    for scale, weight in enumerate(WEIGHTS):
        luminance, structure = _ssim_parts(x, y)
        last = scale == len(WEIGHTS) - 1
        # A negative mean similarity has no real power; it counts as none at all.
        result *= max(luminance if last else structure, 0.0) ** weight
        if not last:
            x, y = _halve(x), _halve(y)
    return result


def _ssim_parts(x: Tensor, y: Tensor) -> tuple[float, float]:
    """Mean SSIM, and the mean of its part without luminance."""
    batch = torch.cat([x, y, x * x, y * y, x * y], 1)
    mean_x, mean_y, xx, yy, xy = _blur(batch)[0]
    c1, c2 = K1**2, K2**2
    structure = (2 * (xy - mean_x * mean_y) + c2) / (
        (xx - mean_x * mean_x) + (yy - mean_y * mean_y) + c2
    )
    luminance = (2 * mean_x * mean_y + c1) / (mean_x * mean_x + mean_y * mean_y + c1)
    return float((luminance * structure).mean()), float(structure.mean())


def _blur(planes: Tensor) -> Tensor:
    """The Gaussian window over each of some planes, where it lies wholly inside."""
    height, width = planes.shape[-2:]
    channels = planes.shape[1]
    taps = min(WINDOW, height, width)
    position = torch.arange(taps) - (taps - 1) / 2
    window = torch.exp(-(position**2) / (2 * (SIGMA * taps / WINDOW) ** 2))
    window = (window / window.sum()).expand(channels, 1, 1, taps)
    planes = functional.conv2d(planes, window, groups=channels)
    return functional.conv2d(planes, window.transpose(2, 3), groups=channels)


def _halve(plane: Tensor) -> Tensor:
    """Means of 2×2; an odd side is closed by its last row or column, a single one stays."""
    height, width = plane.shape[-2:]
    plane = functional.pad(plane, (0, width % 2, 0, height % 2), mode="replicate")
    return functional.avg_pool2d(plane, 2)
