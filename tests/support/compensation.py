"""Motion compensation in integer PyTorch operations, on any device.

The twin of the native `compensate`: the same integers from the same field, bit for bit. The
specification is the section "Motion compensation" of docs/bitstream.md.
"""

import torch
from torch import Tensor

_KERNEL_BITS = 7
COEFFICIENTS = (
    (0, 128, 0, 0),
    (-5, 127, 7, -1),
    (-9, 124, 15, -2),
    (-12, 119, 24, -3),
    (-14, 113, 34, -5),
    (-14, 105, 44, -7),
    (-14, 96, 55, -9),
    (-13, 86, 65, -10),
    (-12, 76, 76, -12),
    (-10, 65, 86, -13),
    (-9, 55, 96, -14),
    (-7, 44, 105, -14),
    (-5, 34, 113, -14),
    (-3, 24, 119, -12),
    (-2, 15, 124, -9),
    (-1, 7, 127, -5),
)
_STEPS = (16, 32, 64)


def compensate(
    planes: tuple[Tensor, Tensor, Tensor], step: int, vectors: Tensor, bit_depth: int = 8
) -> tuple[Tensor, Tensor, Tensor]:
    """The prediction of each frame of a motion field.

    Args:
        planes: Y, U and V of the reference, integer tensors `[height, width]` and twice
            `[(height + 1) // 2, (width + 1) // 2]` on one device, codes 0 … 2^bit_depth - 1.
        step: distance of the field's vectors in luma samples: 16, 32 or 64, or 0 for no field.
        vectors: integer tensor `[frames, rows, columns, 2]` as (dx, dy) in quarter luma samples,
            -2047 … 2047, one per started cell of step × step; on any device. With step 0 only
            the number of frames counts.
        bit_depth: 8 … 16.

    Returns:
        Y, U and V as `[frames, height, width]`, of the reference's dtype and device.

    Raises:
        ValueError: an argument is outside the above.
    """
    if len(planes) != 3 or any(p.ndim != 2 or p.is_floating_point() for p in planes):
        raise ValueError("planes must be three integer tensors [height, width]")
    if not 8 <= bit_depth <= 16:
        raise ValueError(f"bit_depth must be 8 to 16, not {bit_depth}")
    if vectors.ndim != 4 or vectors.shape[3] != 2 or vectors.is_floating_point():
        raise ValueError("vectors must be an integer tensor [frames, rows, columns, 2]")
    height, width = planes[0].shape
    chroma = ((height + 1) // 2, (width + 1) // 2)
    if 0 in (height, width) or any(p.shape != chroma for p in planes[1:]):
        sizes = [list(p.shape) for p in planes]
        raise ValueError(f"planes must be of one 4:2:0 picture, not {sizes}")
    if step == 0:
        y, u, v = (p.expand(vectors.shape[0], -1, -1).clone() for p in planes)
        return y, u, v
    if step not in _STEPS:
        raise ValueError(f"step must be 0, 16, 32 or 64, not {step}")
    grid = (-(-height // step), -(-width // step))
    if vectors.shape[1:3] != grid:
        raise ValueError(f"vectors must be a grid of {grid}, not {list(vectors.shape[1:3])}")
    vectors = vectors.to(planes[0].device, torch.int32)
    if vectors.numel() and vectors.abs().max() > 2047:
        raise ValueError("vectors must be within -2047 to 2047")
    y, u, v = (_predict(p, step, vectors, k > 0, bit_depth) for k, p in enumerate(planes))
    return y, u, v


def _predict(plane: Tensor, step: int, vectors: Tensor, chroma: bool, bit_depth: int) -> Tensor:
    """`[frames, height, width]` from the reference plane `[height, width]`."""
    height, width = plane.shape
    left, top, phase_x, phase_y = positions(height, width, step, vectors, chroma)
    coefficients = torch.tensor(COEFFICIENTS, dtype=torch.int32, device=plane.device).t()
    samples = plane.to(torch.int32).flatten()
    # Every partial sum is below 65535 · 176² < 2^31, so int32 holds them at any bit depth.
    total = torch.zeros_like(phase_x)
    for r in range(4):
        row = (top + r).clamp_(0, height - 1).to(torch.int64).mul_(width)
        across = torch.zeros_like(total)
        for c in range(4):
            index = (left + c).clamp_(0, width - 1).add(row)
            across.addcmul_(samples[index], coefficients[c][phase_x])
        total.addcmul_(across, coefficients[r][phase_y])
    total.add_(1 << (2 * _KERNEL_BITS - 1)).bitwise_right_shift_(2 * _KERNEL_BITS)
    return total.clamp_(0, (1 << bit_depth) - 1).to(plane.dtype)


def positions(
    height: int, width: int, step: int, vectors: Tensor, chroma: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """First tap (x, y) and phases (x, y) of every sample, each `[frames, height, width]`."""
    rows, columns = vectors.shape[1:3]
    device = vectors.device
    x = torch.arange(width, dtype=torch.int32, device=device)
    y = torch.arange(height, dtype=torch.int32, device=device)
    low, high, weight = _weights(y, step, rows, chroma)
    weight = weight.view(-1, 1, 1)
    blended = vectors[:, low] * (2 * step - weight) + vectors[:, high] * weight
    low, high, weight = _weights(x, step, columns, chroma)
    weight = weight.view(-1, 1)
    total = blended[:, :, low] * (2 * step - weight) + blended[:, :, high] * weight
    shift = 2 * (step.bit_length() - 1) + chroma
    displacement = (total + (1 << (shift - 1))) >> shift
    position_x = displacement[..., 0] + 16 * x
    position_y = displacement[..., 1] + 16 * y[:, None]
    return (position_x >> 4) - 1, (position_y >> 4) - 1, position_x & 15, position_y & 15


def _weights(x: Tensor, step: int, cells: int, chroma: bool) -> tuple[Tensor, Tensor, Tensor]:
    """The cells before and after each sample, and the weight of the latter in 1 / (2 · step)."""
    t = (4 * x + 2 if chroma else 2 * x + 1) - step
    index = t.div(2 * step, rounding_mode="floor")
    weight = t - 2 * step * index
    return index.clamp(0, cells - 1), (index + 1).clamp(0, cells - 1), weight
