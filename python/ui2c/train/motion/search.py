"""Motion in training as an encoder finds it: fields and blocks, searched on what was decoded."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ui2c import _core
from ui2c.network.alignment import displacement_of
from ui2c.network.config import QUALITIES, CodecConfig
from ui2c.network.packing import unpack
from ui2c.train.motion.packed import Predicted, mended_first, packed, planes_of
from ui2c.unit.coder import CYCLE
from ui2c.unit.field import UnitMotion
from ui2c.unit.motion import find_motion
from ui2c.unit.planes import Plane, Planes

R = TypeVar("R")


class MotionSearch:
    """Searches the motion of the units of a batch, in order.

    `frames` is packed, `[n, frames, h/8, w/8, 96]`, the first before the first unit; `rows` are the
    base rows of the clips.
    """

    def __init__(self, config: CodecConfig, frames: Tensor, rows: Tensor) -> None:
        self.frames_per_unit = config.frames_per_unit
        luma = unpack(frames.flatten(0, 1), 8)[0].to(torch.uint8).cpu()
        self.source: NDArray[np.uint8] = luma.unflatten(0, frames.shape[:2]).numpy()
        self.qps = [QUALITIES - 1 - int(row) for row in rows]
        self.shifts: list[int | None] = [None] * len(self.qps)
        self.found: list[UnitMotion | None] = []
        """Of the unit that was predicted last, by clip."""

    def predict(self, unit: int, blank: Tensor, references: Tensor) -> Tensor:
        """Packed predictions of the frames of a unit, `[n, h, w, frames · 96]`; zeros where blank.

        `references` is one packed frame a clip, `blank` bool `[n]`. Backward takes rounding,
        clamping and what the search does for the identity.
        """
        if unit % CYCLE == 0:
            self.shifts = [None] * len(self.qps)
        skipped = blank.tolist()

        def search(clip: int, reference: Planes) -> tuple[UnitMotion | None, Tensor]:
            if skipped[clip]:
                shape = *references.shape[1:3], 96 * self.frames_per_unit
                return None, torch.zeros(shape)
            luma = self.luma(clip, unit)
            motion, predicted = find_motion(
                reference, luma, qp=self.qps[clip], shift=self.shifts[clip]
            )
            self.shifts[clip] = motion.field.shift
            return motion, packed(predicted)

        results = in_parallel(search, range(len(self.qps)), planes_of(references))
        self.found = [motion for motion, _ in results]
        prediction = torch.stack([part for _, part in results]).to(references.device)
        return Predicted.apply(references, prediction, self.found)  # type: ignore[no-any-return]

    def luma(self, clip: int, unit: int) -> list[Plane]:
        first = 1 + unit * self.frames_per_unit
        return list(self.source[clip, first : first + self.frames_per_unit])

    @property
    def between(self) -> "BlocksBetween | None":
        """Of the unit that was predicted last."""
        blocks = [None if found is None else found.between for found in self.found]
        return BlocksBetween(blocks) if any(blocks) else None

    def displacement(self, height: int, width: int) -> Tensor:
        """Of the feature, for the unit that was predicted last: `alignment.displacement_of`."""
        still = torch.zeros(1, height // 8, width // 8, 2, dtype=torch.long)
        moved = []
        for found in self.found:
            if found is None or not found.field.step or found.field.vectors is None:
                moved.append(still)
                continue
            step, vectors = torch.tensor([found.field.step]), torch.from_numpy(found.field.vectors)
            moved.append(displacement_of(height, width, step, vectors[None]))
        return torch.cat(moved)


@dataclass(frozen=True)
class BlocksBetween:
    """Blocks of the last frame that join the prediction of the first, clip by clip."""

    blocks: list[_core.Blocks | None]

    def mend(self, frames: Tensor) -> Tensor:
        """Packed pairs of frames `[n, h, w, 192]`, the first with its part of the last."""
        return mended_first(frames, self.blocks)


def in_parallel(function: Callable[..., R], *arguments: Iterable[object]) -> list[R]:
    """`map` on as many threads as PyTorch uses: the native search holds no lock."""
    threads = torch.get_num_threads()
    if threads == 1:
        return list(map(function, *arguments))
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, *arguments))
