"""Motion in training as an encoder finds it: fields and blocks, searched on what was decoded.

The vectors in the shards were found on the source. These follow the references as they are at the
quality of each clip, and know blocks, which mend predictions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ui2c import _core, motion
from ui2c.motion import Field, Planes
from ui2c.network.alignment import displacement_of
from ui2c.network.blocks import shuffle, unshuffle
from ui2c.network.config import CodecConfig
from ui2c.network.packing import pack, unpack

FACTORS = (8, 4, 4)
"""By how much Y, U and V are unshuffled in a packed frame."""


class Motion:
    """Searches the motion of the units of a batch, in order.

    `frames` is packed, `[n, frames, h/8, w/8, 96]`, the first before the first unit; `rows` are the
    base rows of the clips.
    """

    def __init__(self, config: CodecConfig, frames: Tensor, rows: Tensor) -> None:
        self.config = config
        self.blocks = config.frames_per_unit == 2
        luma = unpack(frames.flatten(0, 1), 8)[0].to(torch.uint8).cpu()
        self.source = luma.unflatten(0, frames.shape[:2]).numpy()
        self.rows = [int(row) for row in rows]
        self.weights = [config.distortion_weight(row) for row in self.rows]
        self.shifts: list[int | None] = [None] * len(self.rows)
        self.fields: list[Field | None] = []
        self.between: BlocksBetween | None = None
        """Of the unit that was predicted last."""

    def predict(self, unit: int, cycles: Tensor, blank: Tensor, references: Tensor) -> Tensor:
        """Packed predictions of the frames of a unit; zeros where it is blank.

        `references` is one packed frame per sample. Backward takes rounding, clamping and what the
        search does for the identity.
        """
        decoded = planes_of(references)
        self.fields = []
        between: list[_core.Blocks | None] = []
        blocks: list[list[_core.Blocks | None]] = []
        predictions = []
        for i, reference in enumerate(decoded):
            if bool(blank[i]):
                self.fields.append(None)
                between.append(None)
                blocks.append([])
                sides = references.shape[1:3]
                predictions.append(torch.zeros(*sides, 96 * self.config.frames_per_unit))
                continue
            field = self.field(i, unit, int(cycles[i]), reference)
            predicted = field.predict(reference, self.config.frames_per_unit)
            found = self.forward_blocks(i, unit, field, reference, predicted)
            predicted = [mended(p, reference, b) for p, b in zip(predicted, found, strict=True)]
            self.fields.append(field)
            between.append(self.blocks_between(i, unit, field, predicted))
            blocks.append(found)
            predictions.append(packed(predicted))
        self.between = BlocksBetween(between) if any(between) else None
        prediction = torch.stack(predictions).to(references.device)
        return Predicted.apply(references, prediction, self.fields, blocks)  # type: ignore[no-any-return]

    def displacement(self, height: int, width: int) -> Tensor:
        """Of the feature, for the unit that was predicted last: `alignment.displacement_of`."""
        still = torch.zeros(1, height // 8, width // 8, 2, dtype=torch.long)
        moved = [
            still
            if field is None or not field.step or field.vectors is None
            else displacement_of(
                height, width, torch.tensor([field.step]), torch.from_numpy(field.vectors)[None]
            )
            for field in self.fields
        ]
        return torch.cat(moved)

    def luma(self, sample: int, unit: int) -> list[NDArray[np.uint8]]:
        first = 1 + unit * self.config.frames_per_unit
        return list(self.source[sample, first : first + self.config.frames_per_unit])

    def field(self, i: int, unit: int, cycle: int, reference: Planes) -> Field:
        """As `PairCoder` finds it, the precision once in a cycle."""
        frames, weight = self.luma(i, unit), self.weights[i]
        config = self.config

        def search(shift: int) -> Field:
            return motion.search_field(reference[0], frames, weight, shift)

        def cost(field: Field) -> float:
            predicted = [p[0] for p in field.predict(reference, len(frames))]
            return motion.field_cost(field, predicted, frames, weight)

        shift = self.shifts[i]
        if cycle and shift is not None:
            field = search(shift)
        else:
            usual = config.motion_shift(63 - self.rows[i])
            field = motion.choose_field(search, cost, usual)
            self.shifts[i] = field.shift
        return motion.choose_halved(field, cost) if config.halved else field

    def blocks_between(
        self, i: int, unit: int, field: Field, predicted: list[Planes]
    ) -> _core.Blocks | None:
        if not self.config.bidirectional:
            return None
        first, last = self.luma(i, unit)
        return motion.search_between(first, predicted[0][0], last, field, self.weights[i])

    def forward_blocks(
        self, i: int, unit: int, field: Field, reference: Planes, predicted: list[Planes]
    ) -> list[_core.Blocks | None]:
        if not self.blocks:
            return [None] * len(predicted)
        return [
            motion.search_forward(source, p[0], reference[0], field, k, self.weights[i])
            for k, (source, p) in enumerate(zip(self.luma(i, unit), predicted, strict=True))
        ]


@dataclass(frozen=True)
class BlocksBetween:
    """Blocks of the last frame that join the prediction of the first, sample by sample."""

    blocks: list[_core.Blocks | None]

    def mend(self, frames: Tensor) -> Tensor:
        return mended_first(frames, self.blocks)


class Predicted(torch.autograd.Function):
    """The predictions made from references with fields and blocks: these turned around."""

    @staticmethod
    def forward(  # type: ignore[no-untyped-def]
        ctx,
        references: Tensor,
        prediction: Tensor,
        fields: list[Field | None],
        blocks: list[list[_core.Blocks | None]],
    ) -> Tensor:
        ctx.fields, ctx.blocks = fields, blocks
        return prediction.clone()

    @staticmethod
    def backward(ctx, gradient: Tensor):  # type: ignore[no-untyped-def]
        frames = gradient.unflatten(-1, (-1, 96)).cpu()
        out = []
        for sample, field, blocks in zip(frames, ctx.fields, ctx.blocks, strict=True):
            if field is None:
                out.append(torch.zeros(*sample.shape[:2], 96))
                continue
            parts, taken = [], []
            for k, found in enumerate(blocks):
                planes = gradient_planes(sample[:, :, k])
                if found is not None:
                    planes, other = _core.blocks_adjoint(planes, found)
                    taken.append(packed_gradient(other))
                parts.append(planes)
            y, u, v = (np.stack(plane) for plane in zip(*parts, strict=True))
            vectors = field.vectors
            if vectors is None:
                vectors = np.zeros((len(parts), 0, 0, 2), np.int16)
            planes = _core.compensate_adjoint((y, u, v), field.step, vectors)
            out.append(sum(taken, packed_gradient(planes)))
        return torch.stack(out).to(gradient.device), None, None, None


class Mended(torch.autograd.Function):
    """Packed pairs of frames, the first mended by blocks of the last."""

    @staticmethod
    def forward(  # type: ignore[no-untyped-def]
        ctx,
        frames: Tensor,
        blocks: list[_core.Blocks | None],
    ) -> Tensor:
        ctx.blocks = blocks
        out = frames.clone()
        first, last = (planes_of(frame) for frame in frames.chunk(2, dim=-1))
        for i, found in enumerate(blocks):
            if found is None:
                continue
            shown = packed([mended(first[i], last[i], found)]).to(out.device)
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
    if not any(blocks):
        return frames
    return Mended.apply(frames, blocks)  # type: ignore[no-any-return]


def mended(base: Planes, other: Planes, blocks: _core.Blocks | None) -> Planes:
    if blocks is None:
        return base
    (y, u, v), others = base, (other[0], other[1], other[2])
    return _core.apply_blocks((y, u, v), others, blocks)


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
