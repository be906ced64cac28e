"""Equalisation of a trained network's layers, from what flows through them on real clips.

Inputs of a layer share one scale a position, so that channels should be equally large; their
weights share one scale an output, so these should be, too. SmoothQuant (arXiv 2211.10438) divides
the difference between the two: with the largest input A and the largest weight W of a channel,
inputs are multiplied by (W / A)^½ and weights divided by it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from ui2c.network.blocks import Bank, Pointwise
from ui2c.network.codec import Codec
from ui2c.network.model import Model
from ui2c.network.torch_engine import TorchEngine
from ui2c.unit.coder import UnitEncoder
from ui2c.unit.planes import Geometry, Plane

MOST = 2.0**10
"""Of an equalisation, and of its inverse: a channel that is silent here may speak elsewhere."""


def float_model(codec: Codec, like: Model, hyper_index: Any) -> Model:
    """A model whose networks run as they train, in floats: for calibrating and comparing only.

    Tables, filters and id are those of `like`.
    """
    running = copy.deepcopy(codec).requires_grad_(False).eval()
    for module in running.modules():
        if isinstance(module, Bank):
            module.expand()
    engine = TorchEngine(running, hyper_index)
    return Model(
        running.config, engine, like.tables, like.hyper_tables, like.model_id, filters=like.filters
    )


def calibrate(
    codec: Codec,
    model: Model,
    clips: Iterable[Sequence[tuple[Plane, Plane, Plane]]],
    qps: Sequence[int],
) -> None:
    """Sets the equalisation of every layer of `codec` by coding clips at all of `qps`.

    `model` runs the same networks in floats (`float_model`); its clips are 8-bit pictures.
    """
    engine = model.engine
    assert isinstance(engine, TorchEngine)
    largest: dict[str, Tensor] = {}

    def watch(name: str) -> Any:
        def hook(_: Any, inputs: tuple[Tensor]) -> None:
            seen = inputs[0].abs().flatten(0, -2).amax(0)
            largest[name] = torch.maximum(largest[name], seen) if name in largest else seen

        return hook

    handles = [
        layer.register_forward_pre_hook(watch(name))
        for name, layer in engine.codec.named_modules()
        if isinstance(layer, Pointwise)
    ]
    for clip in clips:
        height, width = clip[0][0].shape
        for qp in qps:
            coder, first = UnitEncoder(model, Geometry(width, height)), 0
            while first < len(clip):
                count = model.config.unit_frames(first == 0)
                coder.encode(clip[first : first + count], qp=qp, intra=first == 0)
                first += count
    for handle in handles:
        handle.remove()
    for name, layer in codec.named_modules():
        if isinstance(layer, Pointwise) and name in largest:
            layer.equalisation.copy_(equalisation(largest[name], layer.weight.detach()))


def equalisation(largest_input: Tensor, weight: Tensor, share: float = 0.5) -> Tensor:
    """Factors of a layer's inputs, `[inputs]`, with a geometric mean of 1."""
    of_weights = weight.abs().amax(0)
    loud = (largest_input > 0) & (of_weights > 0)
    factor = torch.where(loud, of_weights ** (1 - share) / largest_input**share, 0.0)
    if not bool(loud.any()):
        return torch.ones_like(factor)
    factor = factor / factor[loud].log().mean().exp()
    return torch.where(loud, factor, 1.0).clamp(1 / MOST, MOST)
