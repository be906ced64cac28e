"""Pointwise layers that train with the rounding of those that code.

Forward they compute what `IntegerPointwise` computes, up to the rounding of float sums; backward
they are the plain layer on the rounded values, as if nothing had been rounded (straight-through).
Layers are used many times a step, so weights are rounded when they have changed only.

Rounded values are kept in the units of what was rounded, so that equalisation, which multiplies
inputs and divides weights, appears in no product and in no gradient.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from ui2c.network.blocks import Pointwise
from ui2c.network.integer import largest_integers, rounded_inputs, rounded_weight


class Rounding(NamedTuple):
    """How a layer is rounded for as long as its weight and equalisation stay what they are."""

    state: tuple[int, int]
    weight: Tensor
    """What the rounded weights stand for, `[outputs, inputs]`."""
    of_inputs: Tensor
    """Equalisation, its inverse, and the largest integer: `[2 · inputs + 1]`."""


_known: Any = WeakTensorKeyDictionary()
"""Roundings by weight."""


def attach(model: nn.Module) -> None:
    """Lets all pointwise layers of a model train so."""
    for module in model.modules():
        if isinstance(module, Pointwise):
            module.kernel = linear


def linear(layer: Pointwise, x: Tensor) -> Tensor:
    """The layer's output, `[..., inputs]` to `[..., outputs]`."""
    inputs = Through.apply(x, inputs_as_coded(layer, x.detach()))
    weight = Through.apply(layer.weight, rounding(layer).weight)
    return F.linear(inputs, weight, layer.bias)


def inputs_as_coded(layer: Pointwise, x: Tensor) -> Tensor:
    """What the rounded inputs stand for, `[..., inputs]`."""
    q, step = rounded_inputs(x, layer.equalisation, largest_integers(layer.wide)[0])
    return q.mul_(step).mul_(1 / layer.equalisation)


@torch.no_grad()
def rounding(layer: Pointwise) -> Rounding:
    """The layer's rounding, made anew when its weight or its equalisation was written to."""
    weight, equalisation = layer.weight, layer.equalisation
    state = weight._version, equalisation._version
    known: Rounding | None = _known.get(weight)
    if known is None or known.state != state:
        largest_input, largest_weight = largest_integers(layer.wide)
        integers, scale = rounded_weight(weight, equalisation, largest_weight)
        largest = equalisation.new_tensor([largest_input])
        of_inputs = torch.cat((equalisation, 1 / equalisation, largest))
        known = Rounding(state, integers * scale[:, None] * equalisation, of_inputs)
        _known[weight] = known
    return known


class Through(torch.autograd.Function):
    """The second argument, with gradients that pass to the first."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rounded: Tensor) -> Tensor:
        return rounded.view_as(rounded)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None
