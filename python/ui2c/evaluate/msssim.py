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
    x, y = (torch.from_numpy(plane.astype(np.float32)).div_(peak) for plane in (a, b))
    result = 1.0
    for scale, weight in enumerate(WEIGHTS):
        whole, structure = _ssim(x, y)
        last = scale == len(WEIGHTS) - 1
        # A negative mean similarity has no real power; it counts as none at all.
        result *= max(whole if last else structure, 0.0) ** weight
        if not last:
            x, y = _halve(x), _halve(y)
    return result


def _ssim(x: Tensor, y: Tensor) -> tuple[float, float]:
    """Mean SSIM, and the mean of its part without luminance."""
    taps = _window(min(WINDOW, *x.shape))
    mean_x, mean_y = _blur(x, taps), _blur(y, taps)
    means = mean_x * mean_y
    squares = mean_x.square_().addcmul_(mean_y, mean_y)
    # The variances are only needed as their sum.
    variances = _blur((x * x).addcmul_(y, y), taps).sub_(squares)
    covariance = _blur(x * y, taps).sub_(means)
    c1, c2 = K1**2, K2**2
    structure = covariance.mul_(2).add_(c2).div_(variances.add_(c2))
    mean = float(structure.mean())
    luminance = means.mul_(2).add_(c1).div_(squares.add_(c1))
    return float(structure.mul_(luminance).mean()), mean


def _window(taps: int) -> list[float]:
    """A Gaussian of that many taps, with the sum 1."""
    position = torch.arange(taps, dtype=torch.float64) - (taps - 1) / 2
    window = torch.exp(-(position**2) / (2 * (SIGMA * taps / WINDOW) ** 2))
    return [float(tap) for tap in window / window.sum()]


def _blur(plane: Tensor, taps: list[float]) -> Tensor:
    """The window over a plane, where it lies wholly inside.

    Sums of shifted planes: half the time of PyTorch's convolution on a CPU.
    """
    for axis in (1, 0):
        size = plane.shape[axis] - len(taps) + 1
        total = plane.narrow(axis, 0, size) * taps[0]
        for index, tap in enumerate(taps[1:], 1):
            total.add_(plane.narrow(axis, index, size), alpha=tap)
        plane = total
    return plane


def _halve(plane: Tensor) -> Tensor:
    """Means of 2×2; an odd side is closed by its last row or column, a single one stays."""
    height, width = plane.shape
    if height % 2 or width % 2:
        odd = functional.pad(plane[None], (0, width % 2, 0, height % 2), mode="replicate")
        plane = odd[0]
    rows = plane[0::2] + plane[1::2]
    return (rows[:, 0::2] + rows[:, 1::2]).mul_(0.25)
