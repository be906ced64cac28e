"""The layers as they code: sums of integers, exact on every machine. Profile `int8 1`.

docs/network.md, "Arithmetic", defines them. Everything but the sums is made of single float32
operations in a stated order, so nothing here may be fused or reordered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ui2c.network.blocks import Bank, Depthwise, Pointwise

LARGEST_INPUT, LARGEST_WEIGHT = 127, 63
"""Of a layer of 8-bit inputs and 7-bit weights: processors without better instructions add two
products of these in 16 bits, exactly."""

WIDE_INPUT, WIDE_WEIGHT = 2047, 2047
"""Of a layer of 12 bits each, for the few that would suffer."""

MOST_INPUTS, MOST_WIDE_INPUTS = 2096, 512
"""Of a layer: sums of 8 bits stay below 2^24, which float32 holds, others below 2^31."""

SMALLEST_SCALE = 2.0**-40
"""Of a layer's outputs; what would need a smaller one is zero."""

LEAST, MOST = 2.0**-100, 2.0**40
"""Of a position's largest input; beyond, it counts as zero, so that nothing overflows."""


def largest_integers(wide: bool) -> tuple[int, int]:
    """Of the inputs and of the weights of a layer."""
    return (WIDE_INPUT, WIDE_WEIGHT) if wide else (LARGEST_INPUT, LARGEST_WEIGHT)


def rounded_inputs(x: Tensor, equalisation: Tensor, largest: int) -> tuple[Tensor, Tensor]:
    """Integers, as float32 `[..., inputs]`, and what one of them is worth, `[..., 1]`."""
    v = x * equalisation
    m = v.abs().amax(-1, keepdim=True)
    m = torch.where((m >= LEAST) & (m <= MOST), m, 0.0)
    # Divisions by tensors: by a number, or of one, some devices multiply by its reciprocal.
    whole = torch.full_like(m, largest)
    steps = torch.where(m > 0, whole / m, 0.0)
    return (v * steps).round_(), m / whole


def rounded_weight(weight: Tensor, equalisation: Tensor, largest: int) -> tuple[Tensor, Tensor]:
    """Integers, as float32 `[outputs, inputs]`, and what one of them is worth, `[outputs]`."""
    weight = weight / equalisation
    scale = (weight.abs().amax(1) / largest).clamp(min=SMALLEST_SCALE)
    return (weight / scale[:, None]).round_().clamp_(-largest, largest), scale


class IntegerPointwise(nn.Module):
    """1×1 convolution of inputs rounded to integers, with one scale a position.

    `weight` is int8, or int16 for a wide layer, `[outputs, inputs]`; `scale` and `bias` are float32
    `[outputs]`, `equalisation` float32 `[inputs]`.
    """

    weight: Tensor
    scale: Tensor
    bias: Tensor
    equalisation: Tensor

    def __init__(self, weight: Tensor, scale: Tensor, bias: Tensor, equalisation: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)
        self.register_buffer("bias", bias)
        self.register_buffer("equalisation", equalisation)

    @property
    def wide(self) -> bool:
        return self.weight.dtype == torch.int16

    def forward(self, x: Tensor) -> Tensor:
        q, step = rounded_inputs(x, self.equalisation, largest_integers(self.wide)[0])
        # Products of 12 bits add up beyond the integers of float32.
        exact = torch.float64 if self.wide else torch.float32
        total = F.linear(q.to(exact), self.weight.to(exact)).float()
        return total.mul_(step).mul_(self.scale).add_(self.bias)


class OrderedDepthwise(nn.Module):
    """3×3 convolution of each channel by itself: nine products, added in the order of reading."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        """`weight`: float32 `[channels, 1, 3, 3]`."""
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        _, height, width, _ = x.shape
        padded = F.pad(x, (0, 0, 1, 1, 1, 1))
        taps = [
            padded[:, row : row + height, column : column + width] * self.weight[:, 0, row, column]
            for row in range(3)
            for column in range(3)
        ]
        total = taps[0]
        for tap in taps[1:]:
            total = total + tap
        return total + self.bias


def to_integers(layer: Pointwise) -> IntegerPointwise:
    """A trained layer as it codes: weights rounded to multiples of a step of each output."""
    weight, largest = layer.weight.detach(), largest_integers(layer.wide)[1]
    rounded, scale = rounded_weight(weight, layer.equalisation, largest)
    kind = torch.int16 if layer.wide else torch.int8
    bias = layer.bias.detach().clone()
    return IntegerPointwise(rounded.to(kind), scale, bias, layer.equalisation.clone())


def from_integers(coding: IntegerPointwise) -> Pointwise:
    """A layer to train on, that computes the same but for the rounding of its inputs."""
    outputs, inputs = coding.weight.shape
    layer = Pointwise(inputs, outputs, wide=coding.wide)
    weight = coding.weight.float() * coding.scale[:, None] * coding.equalisation
    layer.weight = nn.Parameter(weight)
    layer.bias = nn.Parameter(coding.bias.clone())
    layer.equalisation.copy_(coding.equalisation)
    return layer


def coding_codec(codec: nn.Module) -> None:
    """Puts the layers that code in the place of those that train, and fixes the rest."""
    _replace(codec, Pointwise, to_integers)
    _replace(codec, Depthwise, lambda d: OrderedDepthwise(d.weight.detach(), d.bias.detach()))
    for module in codec.modules():
        if isinstance(module, Bank):
            module.expand()
    codec.requires_grad_(False).eval()


def training_codec(codec: nn.Module) -> None:
    """Undoes `coding_codec`, but for what was rounded."""

    def depthwise(coding: OrderedDepthwise) -> Depthwise:
        layer = Depthwise(len(coding.bias))
        layer.weight = nn.Parameter(coding.weight.clone())
        layer.bias = nn.Parameter(coding.bias.clone())
        return layer

    _replace(codec, IntegerPointwise, from_integers)
    _replace(codec, OrderedDepthwise, depthwise)
    for module in codec.modules():
        if isinstance(module, Bank):
            module.contract()
    codec.requires_grad_(True).train()


def _replace(codec: nn.Module, kind: type[Any], by: Callable[[Any], nn.Module]) -> None:
    for name, layer in list(codec.named_modules()):
        if isinstance(layer, kind):
            codec.set_submodule(name, by(layer))
