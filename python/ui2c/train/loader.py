"""Batches from the shards on disk."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ui2c import _core
from ui2c.network.config import CodecConfig
from ui2c.network.packing import pack
from ui2c.train.config import BLANK_SHARES
from ui2c.train.graph import LEAD, Batch, Start
from ui2c.train.shards import LAGRANGIANS as LEVEL_LAGRANGIANS
from ui2c.train.shards import SIZE

Planes = tuple[NDArray[np.uint8], ...]


class Loader:
    """Draws random clips, windows and mirrorings from a folder of shards.

    The folder is read again whenever `refresh` is called, so shards may be added during a run.
    """

    def __init__(
        self, folder: Path, config: CodecConfig, seed: int, references: str = "hybrid"
    ) -> None:
        self.folder = folder
        self.config = config
        self.seed = seed
        self.blank_share = BLANK_SHARES[references]
        self.random = np.random.default_rng(seed)
        self.shards: dict[str, tuple[NDArray[Any], ...]] = {}
        self.refresh()
        if not self.shards:
            raise FileNotFoundError(f"no complete training shards in {folder}")

    def refresh(self) -> None:
        """Opens the shards that are complete and not open yet."""
        for path in sorted(self.folder.glob("shard_*.frames.npy")):
            name = path.name.removesuffix(".frames.npy")
            parts = [
                path.with_name(f"{name}.{part}.npy") for part in ("frames", "steps", "vectors")
            ]
            if name not in self.shards and all(part.exists() for part in parts):
                self.shards[name] = tuple(np.load(part, mmap_mode="r") for part in parts)

    def batch(
        self,
        count: int,
        units: int,
        step: int = 0,
        rank: int = 0,
        *,
        size: int = SIZE,
        blank: bool = False,
    ) -> tuple[Batch, Start]:
        """`count` clips of `units` units and `size` × `size`, with how each begins: as the run's
        references say, or all from nothing.

        What is drawn depends on the seed, the training step and the process alone (and on the
        shards present), so that a resumed run sees what an unbroken one would have seen.
        """
        self.random = np.random.default_rng([self.seed, step, rank])
        rows = self.random.integers(0, 64, count)
        clips = [self.clip(units, int(row), size) for row in rows]
        y, u, v = (
            torch.from_numpy(np.stack([clip[0][i] for clip in clips])).flatten(0, 1)
            for i in range(3)
        )
        frames = pack((y, u, v), 8).unflatten(0, (count, -1))
        batch = Batch(
            frames, np.stack([clip[1] for clip in clips]), np.stack([clip[2] for clip in clips])
        )
        share = 1.0 if blank else self.blank_share
        return batch, self.start(frames, torch.from_numpy(rows), share, alone=units == 1)

    def start(self, frames: Tensor, rows: Tensor, blank_share: float, *, alone: bool) -> Start:
        """Hybrid reference: blank for a share of the clips, else the true frame or a noisy one.

        A clip that starts blank starts the quality cycle too; others may be anywhere in it.
        """
        count = len(rows)
        kind = torch.from_numpy(self.random.random(count))
        blank = kind < blank_share
        noisy = kind >= (1 + blank_share) / 2
        noise = torch.from_numpy(self.random.uniform(0, 0.05, count)).float() * noisy
        grain = self.random.standard_normal(frames[:, 0].shape, dtype=np.float32)
        reference = frames[:, 0] + torch.from_numpy(grain) * noise[:, None, None, None]
        reference = reference * (~blank)[:, None, None, None]
        cycle = torch.from_numpy(self.random.integers(0, len(self.config.offsets), count))
        # Alone, a still's row is as random as it can be.
        most = self.random.integers(0, LEAD + 1, count)
        lead = torch.from_numpy(self.random.integers(0, most + 1)) * (not alone)
        return Start(rows, cycle * ~blank, blank, reference, lead)

    def clip(
        self, units: int, row: int, size: int = SIZE
    ) -> tuple[Planes, NDArray[np.uint8], NDArray[np.int16]]:
        """Planes `[frames, h, w]`, steps and vectors of one randomly mirrored window.

        Raises ValueError if no shard has clips of that size and length.
        """
        per_unit = self.config.frames_per_unit
        needed = 1 + units * per_unit
        names = [
            name
            for name, (frames, _, _) in self.shards.items()
            if frames.shape[1] >= needed and frames.shape[2] == size * size * 3 // 2
        ]
        if not names:
            raise ValueError(
                f"no shard in {self.folder} has clips of {needed} frames, {size} × {size}"
            )
        frames, steps, vectors = self.shards[names[self.random.integers(len(names))]]
        chosen = self.random.integers(len(frames))
        last = (frames.shape[1] - 1 - units * per_unit) // 2
        first_pair = int(self.random.integers(last + 1))
        weight = self.config.distortion_weight(row)
        level = int(weight < 65025 / np.sqrt(np.prod(LEVEL_LAGRANGIANS)))
        raw = np.asarray(frames[chosen, 2 * first_pair : 2 * first_pair + 1 + units * per_unit])
        luma, chroma = size * size, size * size // 4
        planes: Planes = (
            raw[:, :luma].reshape(-1, size, size),
            raw[:, luma : luma + chroma].reshape(-1, size // 2, size // 2),
            raw[:, luma + chroma :].reshape(-1, size // 2, size // 2),
        )
        mirror = self.random.integers(0, 2, 3).astype(bool)
        if per_unit == 1:
            planes = tuple(mirrored(plane, mirror) for plane in planes)
            return planes, *search(planes[0], LEVEL_LAGRANGIANS[level])
        window = slice(first_pair, first_pair + units)
        field_steps = np.asarray(steps[chosen, level, window])
        field = np.asarray(vectors[chosen, level, window]).copy()
        for unit, step in enumerate(field_steps):
            if step:
                cells = -(-size // int(step))
                field[unit, :, :cells, :cells] = mirrored_field(
                    field[unit, :, :cells, :cells], mirror
                )
        return tuple(mirrored(plane, mirror) for plane in planes), field_steps, field


def search(
    luma: NDArray[np.uint8], lagrangian: float
) -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
    """Steps and vectors of each frame from the one before, for the single-frame variant."""
    units, rows, columns = len(luma) - 1, luma.shape[1] // 16, luma.shape[2] // 16
    steps = np.zeros(units, np.uint8)
    vectors = np.zeros((units, 1, rows, columns, 2), np.int16)
    for unit in range(units):
        step, field = _core.search_motion(
            luma[unit], luma[unit + 1 : unit + 2], lagrangian=lagrangian
        )
        steps[unit] = step
        if step:
            vectors[unit, :, : field.shape[1], : field.shape[2]] = field
    return steps, vectors


def mirrored(planes: NDArray[np.uint8], mirror: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Frames `[t, h, w]` flipped left-right, upside down and along the diagonal as asked."""
    if mirror[0]:
        planes = planes[:, :, ::-1]
    if mirror[1]:
        planes = planes[:, ::-1]
    if mirror[2]:
        planes = planes.swapaxes(1, 2)
    return np.ascontiguousarray(planes)


def mirrored_field(field: NDArray[np.int16], mirror: NDArray[np.bool_]) -> NDArray[np.int16]:
    """The motion `[f, rows, columns, 2]` of the mirrored frames."""
    if mirror[0]:
        field = field[:, :, ::-1] * np.array([-1, 1], np.int16)
    if mirror[1]:
        field = field[:, ::-1] * np.array([1, -1], np.int16)
    if mirror[2]:
        field = field.swapaxes(1, 2)[..., ::-1]
    return field
