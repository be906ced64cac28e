"""Motion compensation of whole batches on any device, with a gradient for the references.

The same integers as `ui2c.compensation.compensate`, but the samples of a batch may have fields of
different steps, and nothing waits for the host: what differs by step is looked up per sample.
"""

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from ui2c.compensation import _COEFFICIENTS
from ui2c.network.alignment import displacements
from ui2c.network.blocks import shuffle, unshuffle
from ui2c.network.packing import pack, unpack


def predict(references: Tensor, steps: Tensor, vectors: Tensor) -> Tensor:
    """Packed predictions of a unit's frames, exactly as in the codec.

    Args:
        references: packed frames `[n, h, w, 96]`; rounded to 8-bit codes first.
        steps: integer `[n]`: 0, 16, 32 or 64.
        vectors: integer `[n, frames, rows, columns, 2]` in quarter luma samples, with room for a
            grid of 16; a coarser one fills the upper left corner.

    Returns:
        `[n, h, w, frames · 96]`. Its gradient reaches `references` through the transposed
        interpolation; rounding and clamping count as the identity.
    """
    return Prediction.apply(references, steps, vectors)  # type: ignore[no-any-return]


@lru_cache(maxsize=8)
def taps(dtype: torch.dtype, device: torch.device) -> Tensor:
    """The kernel's coefficients `[4, 16]` by tap and phase; kept, since a copy would wait."""
    return torch.tensor(_COEFFICIENTS, dtype=dtype, device=device).t().contiguous()


class Prediction(torch.autograd.Function):
    """`predict`, forwards and backwards."""

    @staticmethod
    def forward(ctx, references: Tensor, steps: Tensor, vectors: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(steps, vectors)
        coefficients = taps(torch.int32, references.device)
        planes = (
            functions["interpolate"](plane, coefficients, steps, vectors, chroma=k > 0).flatten(
                0, 1
            )
            for k, plane in enumerate(unpack(references, 8))
        )
        return join(pack(planes, 8), vectors.shape[1])

    @staticmethod
    def backward(ctx, gradient: Tensor):  # type: ignore[no-untyped-def]
        steps, vectors = ctx.saved_tensors
        frames = vectors.shape[1]
        parts = gradient.float().unflatten(-1, (frames, 96)).permute(0, 3, 1, 2, 4).flatten(0, 1)
        kernel = taps(torch.float32, gradient.device) / 128
        packed = []
        for k, (part, factor) in enumerate(
            zip(parts.split((64, 16, 16), dim=-1), (8, 4, 4), strict=True)
        ):
            plane = shuffle(part, factor)[..., 0].unflatten(0, (-1, frames))
            spread = functions["scatter"](plane, kernel, steps, vectors, chroma=k > 0)
            packed.append(unshuffle(spread[..., None], factor))
        return torch.cat(packed, dim=-1), None, None


def join(frames: Tensor, count: int) -> Tensor:
    """Packed frames `[n · count, h, w, 96]` side by side: `[n, h, w, count · 96]`."""
    result: Tensor = frames.unflatten(0, (-1, count)).permute(0, 2, 3, 1, 4).flatten(3)
    return result


def interpolate(
    plane: Tensor, coefficients: Tensor, steps: Tensor, vectors: Tensor, *, chroma: bool
) -> Tensor:
    """Predictions `[n, frames, height, width]`, int32, from 8-bit codes `[n, height, width]`."""
    n, height, width = plane.shape
    x, y = positions(height, width, steps, vectors, chroma=chroma)
    left, top = (x >> 4) - 1, (y >> 4) - 1
    phase_x, phase_y = x & 15, y & 15
    across = [coefficients[c][phase_x] for c in range(4)]
    samples = plane.to(torch.int32).reshape(-1)
    origin = (torch.arange(n, device=plane.device) * (height * width)).view(-1, 1, 1, 1)
    columns = [(left + c).clamp(0, width - 1) for c in range(4)]
    total = torch.zeros_like(x)
    for r in range(4):
        row = origin + (top + r).clamp(0, height - 1).long() * width
        line = torch.zeros_like(x)
        for c in range(4):
            line = line + samples[row + columns[c]] * across[c]
        total = total + line * coefficients[r][phase_y]
    return ((total + (1 << 13)) >> 14).clamp(0, 255)


def scatter(
    gradient: Tensor, kernel: Tensor, steps: Tensor, vectors: Tensor, *, chroma: bool
) -> Tensor:
    """The transpose of `interpolate`: `[n, frames, height, width]` to `[n, height, width]`."""
    n, _, height, width = gradient.shape
    x, y = positions(height, width, steps, vectors, chroma=chroma)
    left, top = (x >> 4) - 1, (y >> 4) - 1
    phase_x, phase_y = x & 15, y & 15
    origin = (torch.arange(n, device=gradient.device) * (height * width)).view(-1, 1, 1, 1)
    total = torch.zeros(n * height * width, dtype=gradient.dtype, device=gradient.device)
    for r in range(4):
        row = origin + (top + r).clamp(0, height - 1).long() * width
        line = gradient * kernel[r][phase_y]
        for c in range(4):
            index = row + (left + c).clamp(0, width - 1)
            total.index_add_(0, index.flatten(), (line * kernel[c][phase_x]).flatten())
    return total.view(n, height, width)


def positions(
    height: int, width: int, steps: Tensor, vectors: Tensor, *, chroma: bool
) -> tuple[Tensor, Tensor]:
    """Reference positions (x, y) in sixteenths, int32 `[n, frames, height, width]` each."""
    moved = displacements(height, width, steps, vectors, chroma=chroma)
    across = torch.arange(width, dtype=torch.int32, device=vectors.device)
    down = torch.arange(height, dtype=torch.int32, device=vectors.device)[:, None]
    return moved[..., 0] + 16 * across, moved[..., 1] + 16 * down


functions: dict[str, Callable[..., Tensor]] = {
    "interpolate": interpolate,
    "scatter": scatter,
}
"""What `Prediction` runs: the functions above, or what a compiler made of them."""
