"""Planes to packed frames and back.

A packed frame is `[n, h/8, w/8, 96]`: Y unshuffled by 8, U and V by 4. Codes are scaled so that
mid grey is zero and the full range is one: `(code - 2^(depth-1)) / 2^depth`, exact in floats.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from ui2c.network.blocks import shuffle, unshuffle


def pack(planes: Iterable[Tensor], bit_depth: int) -> Tensor:
    """Integer planes Y, U and V, `[n, h, w]`, chroma half the size, luma sides multiples of 8."""
    parts = [unshuffle(plane[..., None], f) for plane, f in zip(planes, (8, 4, 4), strict=True)]
    return (torch.cat(parts, dim=-1).float() - (1 << (bit_depth - 1))) / (1 << bit_depth)


def unpack(frame: Tensor, bit_depth: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rounded and clamped int32 planes of a packed frame."""
    codes = torch.round(frame * (1 << bit_depth) + (1 << (bit_depth - 1)))
    codes = codes.clamp(0, (1 << bit_depth) - 1).to(torch.int32)
    y, u, v = codes.split((64, 16, 16), dim=-1)
    return shuffle(y, 8)[..., 0], shuffle(u, 4)[..., 0], shuffle(v, 4)[..., 0]
