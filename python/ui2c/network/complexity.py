"""Weights and multiply-accumulates of each module, counted from its layers."""

from typing import NamedTuple

import torch

from ui2c.network.blocks import Depthwise, Pointwise
from ui2c.network.codec import Codec
from ui2c.network.config import STAGES, CodecConfig


class Row(NamedTuple):
    """One module: its weights, and MACs per luma pixel and frame."""

    module: str
    params: int
    macs_per_pixel: float
    in_encoder: bool
    in_decoder: bool


# Positions per luma pixel at which a layer's module works; layers not named work at 1/8.
_SCALES = {
    "encoder_down": 16, "decoder_up": 16, "linear_in": 16, "linear_out": 16,
    "prior.hyper_encode_1": 16, "prior.hyper_down_1": 32,
    "prior.hyper_encode_2": 32, "prior.hyper_down_2": 64, "prior.hyper_up_1": 64,
    "prior.hyper_decode_1": 32, "prior.hyper_up_2": 32, "prior.hyper_decode_2": 16,
    "prior.temporal_down": 16, "prior.temporal": 16, "prior.fusion": 16, "prior.fusion_out": 16,
    "prior.spatial": 16, "prior.spatial_out": 16,
    "prior.spatial_known": 16, "prior.spatial_parameters": 16,
}  # fmt: skip
_ENCODER_ONLY = (
    "encoder", "encoder_in", "encoder_down", "linear_in", "prior.hyper_encode", "prior.hyper_down",
)  # fmt: skip


def table(config: CodecConfig) -> list[Row]:
    """One row per module; start-up modules (image adaptor) count no MACs.

    With motion the encoder renders what it coded, so it runs heads and gate too.
    """
    with torch.device("meta"):
        codec = Codec(config)
    totals: dict[str, tuple[int, float]] = {}
    for path, layer in codec.named_modules():
        params = sum(p.numel() for p in layer.parameters(recurse=False))
        if not params:
            continue
        parts = path.split(".")
        module = ".".join(parts[:2]) if parts[0] == "prior" else parts[0]
        macs = 0.0
        if isinstance(layer, (Pointwise, Depthwise)) and module != "image_adaptor":
            scale = _SCALES.get(module, 8)
            macs = layer.weight.numel() / scale**2 / config.frames_per_unit
            if module.startswith("prior.spatial"):
                macs *= 1 if module == "prior.spatial_parameters" else STAGES - 1
        known_params, known_macs = totals.get(module, (0, 0.0))
        totals[module] = known_params + params, known_macs + macs
    rows = []
    for module, (params, macs) in totals.items():
        in_encoder = config.motion or not module.startswith(("head", "gate"))
        in_decoder = not (module in _ENCODER_ONLY or module.startswith(_ENCODER_ONLY[4:]))
        rows.append(Row(module, params, macs, in_encoder, in_decoder))
    return rows
