"""Predictions of packed frames by native motion compensation, turned around for the gradient.

Forward is what the codec does, on 8-bit codes. Backward takes rounding and clamping, and what a
search does, for the identity: bits spent on a frame are credited with what they save in all that
is predicted from it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ui2c import _core
from ui2c.network.blocks import shuffle, unshuffle
from ui2c.network.packing import pack, unpack
from ui2c.unit.field import UnitMotion, mend
from ui2c.unit.planes import Planes

FACTORS = (8, 4, 4)
"""By how much Y, U and V are unshuffled in a packed frame."""


class Predicted(torch.autograd.Function):
    """Packed predictions made from references with fields and blocks: these turned around."""

    @staticmethod
    def forward(  # type: ignore[no-untyped-def]
        ctx, references: Tensor, prediction: Tensor, motions: list[UnitMotion | None]
    ) -> Tensor:
        """`references` `[n, h, w, 96]`, `prediction` `[n, h, w, frames · 96]`, on one device."""
        ctx.motions = motions
        return prediction.clone()

    @staticmethod
    def backward(ctx, gradient: Tensor):  # type: ignore[no-untyped-def]
        frames = gradient.unflatten(-1, (-1, 96)).cpu()
        out = []
        for sample, motion in zip(frames, ctx.motions, strict=True):
            if motion is None:
                out.append(torch.zeros(*sample.shape[:2], 96))
                continue
            parts, taken = [], []
            for k, found in enumerate(motion.forward):
                planes = gradient_planes(sample[:, :, k])
                if found is not None:
                    planes, other = _core.blocks_adjoint(planes, found)
                    taken.append(packed_gradient(other))
                parts.append(planes)
            y, u, v = (np.stack(plane) for plane in zip(*parts, strict=True))
            vectors = motion.field.vectors
            if vectors is None:
                vectors = np.zeros((len(parts), 0, 0, 2), np.int16)
            planes = _core.compensate_adjoint((y, u, v), motion.field.step, vectors)
            out.append(sum(taken, packed_gradient(planes)))
        return torch.stack(out).to(gradient.device), None, None


class Mended(torch.autograd.Function):
    """Packed pairs of frames `[n, h, w, 192]`, the first with blocks of the last."""

    @staticmethod
    def forward(  # type: ignore[no-untyped-def]
        ctx, frames: Tensor, blocks: list[_core.Blocks | None]
    ) -> Tensor:
        ctx.blocks = blocks
        out = frames.clone()
        first, last = (planes_of(frame) for frame in frames.chunk(2, dim=-1))
        for i, found in enumerate(blocks):
            if found is None:
                continue
            shown = packed([mend(first[i], last[i], found)]).to(out.device)
            # A position of a packed frame is 8 × 8 luma samples: a quarter of a cell.
            touched = torch.from_numpy(found.modes != 0).to(out.device)
            touched = touched.repeat_interleave(2, 0).repeat_interleave(2, 1)
            touched = touched[: out.shape[1], : out.shape[2], None]
            out[i, :, :, :96] = torch.where(touched, shown, out[i, :, :, :96])
        return out

    @staticmethod
    def backward(ctx, gradient: Tensor):  # type: ignore[no-untyped-def]
        out = gradient.clone()
        for i, found in enumerate(ctx.blocks):
            if found is None:
                continue
            planes = gradient_planes(gradient[i, :, :, :96].cpu())
            base, other = _core.blocks_adjoint(planes, found)
            out[i, :, :, :96] = packed_gradient(base).to(out.device)
            out[i, :, :, 96:] += packed_gradient(other).to(out.device)
        return out, None


def mended_first(frames: Tensor, blocks: Sequence[_core.Blocks | None]) -> Tensor:
    """Packed pairs of frames `[n, h, w, 192]`, the first with blocks of the last."""
    return Mended.apply(frames, blocks)  # type: ignore[no-any-return]


def planes_of(frames: Tensor) -> list[Planes]:
    """8-bit planes of packed frames `[n, h, w, 96]`, one triple a sample."""
    y, u, v = (plane.to(torch.uint8).cpu().numpy() for plane in unpack(frames.detach(), 8))
    return list(zip(y, u, v, strict=True))


def packed(frames: list[Planes]) -> Tensor:
    """`[h, w, 96 · frames]` of 8-bit planes."""
    planes = (torch.from_numpy(np.stack(plane)) for plane in zip(*frames, strict=True))
    return pack(planes, 8).permute(1, 2, 0, 3).flatten(2)


def gradient_planes(sample: Tensor) -> tuple[Any, Any, Any]:
    """Float planes of the packed gradient `[h, w, 96]` of one frame."""
    parts = sample.float().split((64, 16, 16), dim=-1)
    y, u, v = (
        shuffle(part[None], factor)[0, ..., 0].contiguous().numpy()
        for part, factor in zip(parts, FACTORS, strict=True)
    )
    return y, u, v


def packed_gradient(planes: tuple[Any, Any, Any]) -> Tensor:
    """The reverse of `gradient_planes`."""
    return torch.cat(
        [
            unshuffle(torch.from_numpy(plane)[None, ..., None], factor)[0]
            for plane, factor in zip(planes, FACTORS, strict=True)
        ],
        dim=-1,
    )
