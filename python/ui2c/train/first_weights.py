"""What a run begins with: random weights, or those of a model, made to fit."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import torch
from torch import Tensor

from ui2c.network.codec import Codec
from ui2c.network.config import CodecConfig, config_for
from ui2c.network.weights import load_model
from ui2c.train.widen import fit_linear, new_channels, respaced, widened


def first_weights(
    model: str,
    init: str,
    clips: Callable[[CodecConfig], Iterable[Tensor]],
    plane_weights: tuple[float, float, float],
) -> Codec:
    """Random weights, or those of `init`: rows moved to the model's λ, widened to its latent.

    What is new of a linear path is fitted to first units: `clips` gives packed frames
    `[n, frames per unit, h, w, 96]` and is asked only then. Raises ValueError if `init` differs
    from the model in more than that.
    """
    wanted = config_for(model)
    if init:
        old = load_model(init, "cpu").trainable()
        wanted = replace(wanted, lead=old.config.lead)
        if old.config.lambdas != wanted.lambdas:
            old = respaced(old, wanted.lambdas)
        if replace(old.config, name=wanted.name) == wanted:
            return old
        codec, channels = widened(old, wanted), new_channels(old.config, wanted)
    else:
        codec, channels = Codec(wanted), torch.arange(wanted.latent)
        if wanted.linear:
            silence(codec)
    if wanted.linear and len(channels):
        sources = (source for frames in clips(wanted) for source in first_units(frames, wanted))
        fit_linear(codec, sources, channels, plane_weights)
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
    """Packed frames `[n, frames, h, w, 96]` as one unit, and as a still where there are stills."""
    pair = frames.permute(0, 2, 3, 1, 4).flatten(3)
    still = frames[:, -1].repeat(1, 1, 1, config.frames_per_unit)
    return [pair, still] if config.still else [pair]
