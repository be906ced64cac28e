"""What a run begins with: the weights of a model, or a linear code with silent networks."""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace

import torch
from torch import Tensor

from ui2c.network.blocks import unshuffle
from ui2c.network.codec import Codec
from ui2c.network.config import KNOTS, CodecConfig, config_for, lagrangian_of_row
from ui2c.network.prior import SCALE_RATIO, SMALLEST_SCALE
from ui2c.network.torch_model import load_codec


def first_weights(
    model: str,
    init: str,
    clips: Callable[[CodecConfig], Iterable[Tensor]],
    plane_weights: tuple[float, float, float],
) -> Codec:
    """The weights of the model `init`, or, if that is empty, what can be computed without any.

    `clips` gives packed frames `[n, frames per unit, h, w, 96]` of first units and is asked only
    for a linear path. Raises ValueError if `init` is of another configuration.
    """
    wanted = config_for(model)
    if init:
        codec = load_codec(init)
        if replace(codec.config, name=wanted.name) != wanted:
            raise ValueError(f"{init} is no {model}: {codec.config}, not {wanted}")
        codec.config = wanted
        return codec
    codec = Codec(wanted)
    if codec.linear_in is not None:
        silence(codec)
        units = (unit for frames in clips(wanted) for unit in first_units(frames, wanted))
        fit_linear(codec, units, plane_weights)
    return codec


@torch.no_grad()
def silence(codec: Codec) -> None:
    """Takes what is random out of y and out of the pictures, so that only the linear path speaks.

    All of it learns from the first step on: what feeds it and what it feeds is not zero.
    """
    for layer in (codec.encoder_down, codec.decoder_up, *codec.heads_out):
        layer.weight.zero_()
        layer.bias.zero_()


def first_units(frames: Tensor, config: CodecConfig) -> list[Tensor]:
    """Packed frames `[n, frames, h, w, 96]` as one unit, and as a still."""
    unit = frames.permute(0, 2, 3, 1, 4).flatten(3)
    return [unit, frames[:, -1].repeat(1, 1, 1, config.frames_per_unit)]


@torch.no_grad()
def fit_linear(
    codec: Codec, units: Iterable[Tensor], plane_weights: tuple[float, float, float]
) -> None:
    """Gives the linear path of a silenced codec the principal components of first units.

    `units` are packed, `[n, h, w, frames · 96]`; planes are weighted as in the loss (in eighths).
    Gains follow from rate theory: at high rates the best step Δ of a coefficient has
    Δ²/12 = 1 / (2 ln 2 · λ · w), with w the weight of a sample's plane.
    """
    assert codec.linear_in is not None and codec.linear_out is not None
    frames, latent = codec.config.frames_per_unit, codec.config.latent
    # A plane's mean squared error weighs by its share, each of its samples by that over their
    # number: U and V have a quarter of luma's samples.
    luma, u, v = plane_weights
    plane = torch.tensor([1.0] * 64 + [4 * u / luma] * 16 + [4 * v / luma] * 16).sqrt()
    weight = plane.repeat(frames).repeat_interleave(4)
    moments = torch.zeros(len(weight) + 1, len(weight) + 1, dtype=torch.float64)
    for unit in units:
        x = unshuffle(unit, 2).flatten(0, 2) * weight
        x = torch.cat((torch.ones(len(x), 1), x), dim=-1).double()
        moments += x.T @ x
    moments /= moments[0, 0].clone()
    mean = moments[0, 1:].float()
    covariance = (moments - moments[:, :1] @ moments[:1])[1:, 1:]
    values, vectors = torch.linalg.eigh(covariance)
    # The strongest take turns in the two halves of y, each of which follows its frame's row.
    order = torch.arange(latent).view(2, -1).t().flatten()
    chosen = vectors.flip(1)[:, :latent].float()
    deviation = values.flip(0)[:latent].clamp(min=1e-12).sqrt()
    codec.linear_in.weight[order] = chosen.T * weight
    codec.linear_in.bias[order] = -chosen.T @ mean
    codec.linear_out.weight[:, order] = chosen / weight[:, None]

    step = torch.tensor(
        [(12 / (2 * math.log(2) * lagrangian_of_row(knot) * luma / 8)) ** 0.5 for knot in KNOTS]
    )
    codec.linear_in_gains.values[:, order] = (1 / step)[:, None]
    codec.linear_out_gains.values[:, order] = step[:, None]
    # The prior starts at the deviation of a middle quality.
    middle = deviation.float() / step[len(KNOTS) // 2]
    index = torch.log(middle / SMALLEST_SCALE).clamp(min=0) / SCALE_RATIO
    codec.prior.fusion_out.bias[latent + order] = (index - 22) / 10
