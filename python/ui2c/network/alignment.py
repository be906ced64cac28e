"""The feature moved to where the frames of a unit are, along their motion field.

Displacements are integers and positions exact, so that every decoder moves it alike.
"""

import torch
from torch import Tensor

FINEST = 16
"""Luma samples per cell of the finest grid."""

POSITION = 8
"""Luma samples per position of the feature."""


def align(feature: Tensor, displacement: Tensor) -> Tensor:
    """Feature `[n, h, w, c]` with every position taken from where `displacement` points.

    Bilinear; beyond the edges are the edge's positions. `displacement` is as `displacement_of`
    makes it.
    """
    n, h, w, c = feature.shape
    across = torch.arange(w, device=feature.device) * 256 + displacement[..., 0]
    down = torch.arange(h, device=feature.device)[:, None] * 256 + displacement[..., 1]
    x, y = across >> 8, down >> 8
    fx, fy = ((p & 255)[..., None].to(feature.dtype) / 256 for p in (across, down))
    flat = feature.reshape(n, h * w, c)

    def at(y: Tensor, x: Tensor) -> Tensor:
        index = (y.clamp(0, h - 1) * w + x.clamp(0, w - 1)).view(n, h * w, 1)
        return flat.gather(1, index.expand(-1, -1, c)).view(n, h, w, c)

    upper = at(y, x) * (1 - fx) + at(y, x + 1) * fx
    lower = at(y + 1, x) * (1 - fx) + at(y + 1, x + 1) * fx
    return upper * (1 - fy) + lower * fy


def displacement_of(height: int, width: int, steps: Tensor, vectors: Tensor) -> Tensor:
    """Mean displacement of the frames of a unit at the positions of its feature.

    Args:
        height, width: of the coded picture.
        steps: integer `[n]`: 0 (no motion), 16, 32 or 64.
        vectors: integer `[n, frames, rows, columns, 2]` in quarter luma samples; a grid that does
            not fill them is in the upper left corner.

    Returns:
        int64 `[n, height / 8, width / 8, 2]`, (dx, dy) in 1/256 of a position, 1/32 of a luma
        sample: the sum over two frames of what the field says, in sixteenths, of the luma sample
        right below the middle of each position; of one frame twice that.
    """
    total = displacements(height, width, steps, vectors, every=slice(POSITION // 2, None, POSITION))
    return total.sum(1).long() * (2 // vectors.shape[1])


def displacements(
    height: int,
    width: int,
    steps: Tensor,
    vectors: Tensor,
    *,
    chroma: bool = False,
    every: slice = slice(None),
) -> Tensor:
    """Displacements of samples in sixteenths, int32 `[n, frames, height, width, 2]`, or of `every`
    so manieth of them: "Displacement" in docs/bitstream.md."""
    moving = (steps > 0).view(-1, 1, 1, 1, 1)
    steps = torch.where(steps > 0, steps, FINEST).to(torch.int32)
    field = torch.where(moving, vectors, 0).to(torch.int32)
    n, frames, _, columns, _ = field.shape
    double = (2 * steps).view(-1, 1, 1, 1)

    low, high, weight = (w[:, every] for w in cell_weights(height, steps, chroma=chroma))
    rows = low.shape[1]
    weight = weight.view(n, 1, -1, 1)
    field = field.reshape(n, frames, -1, columns * 2)
    field = at(field, low, 2) * (double - weight) + at(field, high, 2) * weight
    field = field.view(n, frames, rows, columns, 2)

    low, high, weight = (w[:, every] for w in cell_weights(width, steps, chroma=chroma))
    weight = weight.view(n, 1, 1, -1)
    # 4 g² as a shift; the logarithm by comparison, since there are three steps only.
    shift = (8 + 2 * (steps > 16).int() + 2 * (steps > 32).int() + int(chroma)).view(-1, 1, 1, 1)
    half = torch.bitwise_left_shift(torch.ones_like(shift), shift - 1)
    moved = []
    for k in range(2):
        part = field[..., k]
        total = at(part, low, 3) * (double - weight) + at(part, high, 3) * weight
        moved.append((total + half) >> shift)
    return torch.stack(moved, -1)


def at(field: Tensor, index: Tensor, dim: int) -> Tensor:
    """Entries of `field` `[n, frames, a, b]` along `dim` (2 or 3), by sample: index is `[n, m]`."""
    shape = list(field.shape)
    shape[dim] = index.shape[1]
    view = (len(index), 1, -1, 1) if dim == 2 else (len(index), 1, 1, -1)
    return field.gather(dim, index.view(view).expand(shape))


def cell_weights(size: int, steps: Tensor, *, chroma: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Cells before and after each sample and the weight of the latter in 1 / 2g; `[n, size]`."""
    step = steps.view(-1, 1)
    x = torch.arange(size, dtype=torch.int32, device=steps.device)
    t = (4 * x + 2 if chroma else 2 * x + 1) - step
    index = t.div(2 * step, rounding_mode="floor")
    last = (size * (2 if chroma else 1) + step - 1).div(step, rounding_mode="floor") - 1
    low, high = (torch.minimum(i.clamp(min=0), last).long() for i in (index, index + 1))
    return low, high, t - 2 * step * index
