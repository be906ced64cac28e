"""Turns a trained codec into integers: `python -m ui2c.train.calibrate CODEC VIDEOS OUTPUT`.

Inputs of a layer share one scale a position, so that channels should be equally large; their
weights share one scale an output, so these should be, too. SmoothQuant (arXiv 2211.10438) divides
the difference between the two: with the largest input A and the largest weight W of a channel,
inputs are multiplied by (W / A)^½ and weights divided by it. What flows through a layer is seen
while real clips are coded at all qualities, in floats.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ui2c import _core
from ui2c.network.blocks import Bank, Pointwise
from ui2c.network.codec import Codec
from ui2c.network.config import KNOTS, QUALITIES, CodecConfig
from ui2c.network.model import Model
from ui2c.network.prior import SKIP
from ui2c.network.tables import gaussian_tables
from ui2c.network.torch_engine import TorchEngine
from ui2c.network.torch_model import hyper_indexes, load_codec, save_model
from ui2c.train.filters import clips_of
from ui2c.train.rounding import Inputs, rounded_to_fit
from ui2c.unit.coder import UnitEncoder
from ui2c.unit.planes import Geometry, Planes

MOST = 2.0**10
"""Of an equalisation, and of its inverse: a channel that is silent here may speak elsewhere."""


def float_model(codec: Codec) -> Model:
    """A model whose networks run as they train, in floats: for calibrating and comparing only.

    It codes with Gaussian tables, without filters, and no stream names it.
    """
    running = copy.deepcopy(codec).requires_grad_(False).eval()
    for module in running.modules():
        if isinstance(module, Bank):
            module.expand()
    engine = TorchEngine(running, hyper_indexes(codec).numpy())
    y, z = (_core.Tables(*gaussian_tables(), SKIP) for _ in range(2))
    return Model(running.config, engine, y, z, bytes(8))


def observe(
    codec: Codec, clips: Sequence[Sequence[Planes]], qps: Sequence[int]
) -> dict[str, Inputs]:
    """What enters each layer while clips of 8-bit pictures are coded at `qps`, in turn: a clip at
    two of them."""
    model = float_model(codec)
    assert isinstance(model.engine, TorchEngine)
    with watched(model.engine.codec) as seen:
        for number, clip in enumerate(clips):
            height, width = clip[0][0].shape
            for place in (number, number + len(qps) // 2):
                coder, first = UnitEncoder(model, Geometry(width, height)), 0
                while first < len(clip):
                    unit = clip[first : first + model.config.unit_frames(first == 0)]
                    coder.encode(unit, qp=qps[place % len(qps)], intra=first == 0)
                    first += len(unit)
    return seen


@contextmanager
def watched(codec: nn.Module) -> Iterator[dict[str, Inputs]]:
    """What enters the pointwise layers of a codec in the block, by their names; of those that are
    run, and run by themselves."""
    seen: dict[str, Inputs] = {}

    def hook(name: str) -> Any:
        def add(_: Any, arguments: tuple[Tensor]) -> None:
            (x,) = arguments
            seen.setdefault(name, Inputs(x)).add(x.detach())

        return add

    handles = [
        layer.register_forward_pre_hook(hook(name))
        for name, layer in codec.named_modules()
        if isinstance(layer, Pointwise)
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def calibrate(codec: Codec, seen: dict[str, Inputs]) -> None:
    """Sets the equalisation of every layer, and its weights to what codes best."""
    equalise(codec, seen)
    for name, layer in codec.named_modules():
        if isinstance(layer, Pointwise) and name in seen:
            rounded_to_fit(layer, seen[name])


def equalise(codec: Codec, seen: dict[str, Inputs]) -> None:
    """Sets the equalisation of every layer that was seen."""
    for name, layer in codec.named_modules():
        if isinstance(layer, Pointwise) and name in seen:
            layer.equalisation.copy_(equalisation(seen[name].largest, layer.weight.detach()))


def equalisation(largest_input: Tensor, weight: Tensor, share: float = 0.5) -> Tensor:
    """Factors of a layer's inputs, `[inputs]`, with a geometric mean of 1."""
    of_weights = weight.abs().amax(0)
    loud = (largest_input > 0) & (of_weights > 0)
    factor = torch.where(loud, of_weights ** (1 - share) / largest_input**share, 0.0)
    if not bool(loud.any()):
        return torch.ones_like(factor)
    factor = factor / factor[loud].log().mean().exp()
    return torch.where(loud, factor, 1.0).clamp(1 / MOST, MOST)


def trained_codec(name_or_path: str) -> Codec:
    """The averaged weights of a run's checkpoint (`.pt`), or those of a model.

    Raises what `load_model` raises.
    """
    if not name_or_path.endswith(".pt"):
        return load_codec(name_or_path)
    state = torch.load(name_or_path, map_location="cpu", weights_only=True)
    codec = Codec(CodecConfig.from_dict(state["config"]))
    codec.load_state_dict(state["average"])
    return codec


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("codec", help="a run's checkpoint.pt, a model file, or a shipped model")
    parser.add_argument("folder", type=Path, help="folder with videos")
    parser.add_argument("output", type=Path, help="the model file")
    parser.add_argument("--first", type=int, default=30, help="frames left out of each video")
    parser.add_argument("--frames", type=int, default=5, help="frames coded of each video")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    codec = trained_codec(arguments.codec)
    clips = list(clips_of(arguments.folder, arguments.first, arguments.frames))
    if not clips:
        parser.error(f"{arguments.folder} has no 8-bit video of {arguments.frames} frames")
    calibrate(codec, observe(codec, clips, [QUALITIES - 1 - row for row in KNOTS]))
    save_model(codec, arguments.output)
    print(f"{arguments.output}: calibrated on {len(clips)} clips")


if __name__ == "__main__":
    main()
