"""The four primitives and the block made of them."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ui2c.network.config import KNOTS, QUALITIES

Kernel = Callable[[Any, Tensor], Tensor]
"""A stand-in for a layer's forward pass, for training: takes the layer and its input."""


class Pointwise(nn.Module):
    """1×1 convolution: `[..., inputs]` to `[..., outputs]`.

    `equalisation`, `[inputs]`, and `wide` matter where the layer is turned into integers
    (`ui2c.network.integer`): what inputs are multiplied by before they are rounded, and whether to
    12 bits instead of 8.
    """

    kernel: Kernel | None = None
    equalisation: Tensor

    def __init__(self, inputs: int, outputs: int, gain: float = 1.0, *, wide: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) * (gain / inputs**0.5))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("equalisation", torch.ones(inputs))
        self.wide = wide

    def forward(self, x: Tensor) -> Tensor:
        if self.kernel is not None:
            return self.kernel(self, x)
        return F.linear(x, self.weight, self.bias)


class Depthwise(nn.Module):
    """3×3 convolution of each channel by itself, zeros outside the picture."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        weight = torch.randn(channels, 1, 3, 3) * 0.1
        weight[:, :, 1, 1] += 1
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 3, 1, 2)
        x = F.conv2d(x, self.weight, self.bias, padding=1, groups=x.shape[1])
        return x.permute(0, 2, 3, 1)


def activate(x: Tensor) -> Tensor:
    """`x * clamp(x + 0.5, 0, 1)`: the slope and shape of x · sigmoid(4x) without the exp."""
    return x * (x + 0.5).clamp(0, 1)


class DepthConvBlock(nn.Module):
    """Two residual branches, spatial then channel-wise: 8c² + 9c weights.

    `x + P2(D(act(P1(x))))`, then `x + P4(fold(act(P3(x))))` where fold adds the two halves; a
    pointwise adaptor in front where the widths differ.
    """

    kernel: Kernel | None = None

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.adaptor = Pointwise(inputs, channels) if inputs != channels else None
        self.spatial_in = Pointwise(channels, channels)
        self.spatial = Depthwise(channels)
        self.spatial_out = Pointwise(channels, channels, gain=0.5)
        self.mix_in = Pointwise(channels, 4 * channels)
        self.mix_out = Pointwise(2 * channels, channels, gain=0.5)

    def forward(self, x: Tensor) -> Tensor:
        if self.kernel is not None:
            return self.kernel(self, x)
        if self.adaptor is not None:
            x = self.adaptor(x)
        x = x + self.spatial_out(self.spatial(activate(self.spatial_in(x))))
        first, second = activate(self.mix_in(x)).chunk(2, dim=-1)
        return x + self.mix_out(first + second)  # type: ignore[no-any-return]


def blocks(inputs: int, channels: int, depth: int) -> nn.Sequential:
    """`depth` blocks in a row, the first taking `inputs` channels."""
    widths = [inputs] + [channels] * (depth - 1)
    return nn.Sequential(*(DepthConvBlock(width, channels) for width in widths))


def unshuffle(x: Tensor, factor: int) -> Tensor:
    """`[n, h·f, w·f, c]` to `[n, h, w, c·f²]`; channel order c, row, column as in PyTorch."""
    return F.pixel_unshuffle(x.permute(0, 3, 1, 2), factor).permute(0, 2, 3, 1)


def shuffle(x: Tensor, factor: int) -> Tensor:
    """The inverse of `unshuffle`."""
    return F.pixel_shuffle(x.permute(0, 3, 1, 2), factor).permute(0, 2, 3, 1)


class Bank(nn.Module):
    """One vector per quality row.

    Learnt at the knots, `values` is `[9, channels]` and the rows between are interpolated; in a
    model file all rows stand expanded, `[64, channels]`.
    """

    interpolation: Tensor | None

    def __init__(self, start: Tensor) -> None:
        """`start`: the values at the knots, `[9, channels]`."""
        super().__init__()
        self.values = nn.Parameter(start.clone())
        self.register_buffer("interpolation", interpolation_matrix(), persistent=False)

    def forward(self, rows: Tensor) -> Tensor:
        """Vectors of the rows: int64 `[n]` to `[n, channels]`."""
        if self.interpolation is None:
            return self.values[rows]
        return self.interpolation[rows] @ self.values

    def expand(self) -> None:
        """Turns knots into rows, for coding."""
        if self.interpolation is not None:
            self.values = nn.Parameter(self.interpolation @ self.values.detach())
            self.interpolation = None

    def contract(self) -> None:
        """Keeps the rows at the knots only, for training: undoes `expand`."""
        if self.interpolation is None:
            self.values = nn.Parameter(self.values.detach()[list(KNOTS)])
            self.interpolation = interpolation_matrix().to(self.values.device)


def interpolation_matrix() -> Tensor:
    """`[64, 9]`: the weights with which the knots make up each row."""
    matrix = torch.zeros(QUALITIES, len(KNOTS))
    for row in range(QUALITIES):
        right = next(i for i, knot in enumerate(KNOTS) if knot >= row)
        if KNOTS[right] == row:
            matrix[row, right] = 1
        else:
            share = (row - KNOTS[right - 1]) / (KNOTS[right] - KNOTS[right - 1])
            matrix[row, right - 1], matrix[row, right] = 1 - share, share
    return matrix
