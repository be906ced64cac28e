"""Weights of a layer on the grid of its integers, chosen by what the layer makes of them.

Each weight could be rounded to the nearest; but inputs go together, and what one weight's error
does to an output the others can make good. Columns are rounded one after the other, and what is
left to do is given to those that follow, as least squares say (GPTQ, arXiv 2210.17323). What errors
do on average the bias takes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ui2c.network.blocks import Pointwise
from ui2c.network.integer import SMALLEST_SCALE, largest_integers

SHARES = (1.0, 0.98, 0.95, 0.91)
"""Of the largest weight of an output, as what its largest integer may stand for."""

RIDGE = 0.003
"""What is added to the variances of inputs, in parts of their mean: clips tell not everything."""


BLOCK = 64
"""Columns whose errors reach the columns behind them together: less work in memory."""


class Inputs:
    """What is known of a layer's inputs: how large they get, and how they go together."""

    def __init__(self, like: Tensor) -> None:
        """`like`: `[..., inputs]`, where they will be."""
        inputs = like.shape[-1]
        self.largest = like.new_zeros(inputs)
        self.moments = like.new_zeros((inputs + 1, inputs + 1), dtype=torch.float64)
        """Of the inputs and a last one that is always 1."""

    def add(self, x: Tensor) -> None:
        """Inputs, `[..., inputs]`."""
        x = x.flatten(0, -2)
        self.largest = torch.maximum(self.largest, x.abs().amax(0))
        x = torch.cat((x, torch.ones_like(x[:, :1])), dim=1).double()
        self.moments += x.T @ x

    def mean(self) -> Tensor:
        """`[inputs]`, float64."""
        return self.moments[-1, :-1] / self.moments[-1, -1]

    def covariance(self) -> Tensor:
        """`[inputs, inputs]`, float64, positive definite."""
        mean, squares = self.mean(), self.moments[:-1, :-1] / self.moments[-1, -1]
        # What never changed here may change elsewhere.
        least = 1e-6 * squares.diagonal().mean() + 1e-30
        return squares - mean[:, None] * mean + least * torch.eye(len(mean), dtype=torch.float64)


@torch.no_grad()
def rounded_to_fit(layer: Pointwise, inputs: Inputs) -> None:
    """Moves the layer's weights to values that are integers in steps of their output."""
    factor = layer.equalisation.double()
    covariance = inputs.covariance() * factor[:, None] * factor
    largest = largest_integers(layer.wide)[1]
    weight = layer.weight.double() / factor
    nearest_scale = (weight.abs().amax(1) / largest).clamp(min=SMALLEST_SCALE)[:, None]
    best = (weight / nearest_scale).round() * nearest_scale
    least = squared_error(best - weight, covariance)
    for share in SHARES:
        scale = nearest_scale * share
        integers = compensated(weight / scale, covariance, largest)
        error = squared_error(integers * scale - weight, covariance)
        # Else the step would be another one when the layer is turned into integers.
        better = (error < least) & (integers.abs().amax(1) == largest)
        best = torch.where(better[:, None], integers * scale, best)
        least = torch.where(better, error, least)
    moved = (best - weight) * factor
    layer.weight.add_(moved.float())
    layer.bias.sub_((moved @ inputs.mean()).float())


def squared_error(difference: Tensor, covariance: Tensor) -> Tensor:
    """Mean over the inputs of what wrong weights `[outputs, inputs]` do to each output."""
    return ((difference @ covariance) * difference).sum(1)


def compensated(weight: Tensor, covariance: Tensor, largest: int) -> Tensor:
    """Integers up to ±`largest` for weights in steps, float64 `[outputs, inputs]`."""
    order = covariance.diagonal().argsort(descending=True)
    ridge = RIDGE * covariance.diagonal().mean()
    matrix = covariance[order][:, order] + ridge * torch.eye(len(order), dtype=torch.float64)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(matrix))
    factor = torch.linalg.cholesky(inverse, upper=True)
    left, integers = weight[:, order], torch.empty_like(weight)
    for start in range(0, len(order), BLOCK):
        end = min(start + BLOCK, len(order))
        for i in range(start, end):
            integers[:, i] = left[:, i].round().clamp(-largest, largest)
            left[:, i] = (left[:, i] - integers[:, i]) / factor[i, i]
            left[:, i + 1 : end] -= left[:, i, None] * factor[i, i + 1 : end]
        left[:, end:] -= left[:, start:end] @ factor[start:end, end:]
    return integers[:, order.argsort()]
