"""Training batches made entirely on the device that trains: synthetic and real clips, packed."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ui2c.network.config import CodecConfig
from ui2c.network.packing import pack
from ui2c.train import device_motion
from ui2c.train.device_scenes import Dice
from ui2c.train.device_sources import Reels, Tiles, load_reels, load_tiles
from ui2c.train.device_synthesis import add_noise, expose, grade, synthesise
from ui2c.train.graph import LEAD, Batch, Start

CANDIDATES = 3
CUT_SHARE = 0.05
SEARCHED_AT_ONCE = 1 << 27
"""Luma samples per call of the motion search, to bound its memory."""


@dataclass(frozen=True)
class Sources:
    """What clips are made of, and how many of them are synthetic."""

    tiles: Tiles
    reels: Reels
    synthetic_share: float

    @staticmethod
    def load(
        folder: Path, device: torch.device, *, synthetic_share: float = 0.5, limit: int = 0
    ) -> "Sources":
        """From `folder/photos` and `folder/clips`; `limit` files of each if it is not 0."""
        return Sources(
            load_tiles(folder / "photos", device, limit=limit),
            load_reels(folder / "clips", device, limit=limit),
            synthetic_share,
        )


class DeviceLoader:
    """Makes batches as `ui2c.train.loader.Loader` delivers them, all tensors on the device."""

    def __init__(
        self, sources: Sources, config: CodecConfig, seed: int, *, row_power: float = 1.0
    ) -> None:
        """`row_power` below 1 draws high qualities more often: rows are 64 · u^row_power."""
        self.sources = sources
        self.config = config
        self.dice = Dice(sources.tiles.luma.device, seed)
        self.row_power = row_power
        weights = [65025 / config.distortion_weight(row) for row in range(64)]
        self.lagrangians = torch.tensor(weights, device=self.dice.device)

    @torch.no_grad()
    def batch(self, count: int, units: int, size: int) -> tuple[Batch, Start]:
        """`count` clips of `units` units, `size` samples square, with how each begins."""
        frames, y = self.packed(count, units, size)
        rows = self.rows(count)
        steps, vectors = self.motion(y, self.lagrangians[rows], units)
        return Batch(frames, steps, vectors), self.start(frames, rows)

    @torch.no_grad()
    def first_units(self, count: int, size: int) -> tuple[Batch, Start]:
        """`count` clips of one unit that begin blank; they have no motion."""
        frames, _ = self.packed(count, 1, size)
        cells = size // 16
        steps = torch.zeros(count, 1, dtype=torch.uint8, device=self.dice.device)
        vectors = torch.zeros(
            *(count, 1, self.config.frames_per_unit, cells, cells, 2),
            dtype=torch.int16,
            device=self.dice.device,
        )
        rows = self.rows(count)
        blank = torch.ones_like(rows, dtype=torch.bool)
        start = Start(rows, torch.zeros_like(rows), blank, torch.zeros_like(frames[:, 0]))
        return Batch(frames, steps, vectors), start

    def packed(self, count: int, units: int, size: int) -> tuple[Tensor, Tensor]:
        """Packed frames `[n, 1 + units · frames, h/8, w/8, 96]`, and their luma."""
        y, uv = self.clips(count, 1 + units * self.config.frames_per_unit, size)
        planes = (y.flatten(0, 1), uv[:, :, 0].flatten(0, 1), uv[:, :, 1].flatten(0, 1))
        return pack(planes, 8).unflatten(0, (count, -1)), y

    def rows(self, count: int) -> Tensor:
        """Quality rows, high ones more often where `row_power` is below 1."""
        share = self.dice.uniform(0, 1, count)
        return (64 * share**self.row_power).long().clamp(max=63)

    def motion(self, y: Tensor, lagrangians: Tensor, units: int) -> tuple[Tensor, Tensor]:
        """Steps `[n, units]` and vectors `[n, units, frames, rows, columns, 2]`."""
        per_unit = self.config.frames_per_unit
        n = len(y)
        groups = y.unfold(1, per_unit + 1, per_unit).permute(0, 1, 4, 2, 3).flatten(0, 1)
        prices = lagrangians.repeat_interleave(units)
        # Parts of equal shape: what is compiled is compiled for one.
        count = -(-groups.numel() // SEARCHED_AT_ONCE)
        parts = [
            device_motion.search(group.float(), price)
            for group, price in zip(groups.chunk(count), prices.chunk(count), strict=True)
        ]
        steps, vectors = (
            torch.cat(part).unflatten(0, (n, units)) for part in zip(*parts, strict=True)
        )
        return steps, vectors

    def start(self, frames: Tensor, rows: Tensor) -> Start:
        """Hybrid reference: blank for half of the clips, else the true frame or a noisy one."""
        count = len(rows)
        kind = self.dice.uniform(0, 1, count)
        blank = kind < 0.5
        noise = (self.dice.uniform(0, 0.05, count) * (kind >= 0.75)).view(-1, 1, 1, 1)
        reference = frames[:, 0] + self.dice.normal(1, *frames[:, 0].shape) * noise
        reference = reference * (~blank).view(-1, 1, 1, 1)
        cycle = self.dice.below(torch.full_like(rows, len(self.config.offsets)))
        most = self.dice.below(torch.full_like(rows, LEAD + 1))
        lead = self.dice.below(most + 1)
        return Start(rows, cycle * ~blank, blank, reference, lead)

    def clips(self, count: int, frames: int, size: int) -> tuple[Tensor, Tensor]:
        """uint8 luma `[count, frames, size, size]` and chroma `[count, frames, 2, half, half]`."""
        dice = self.dice
        synthetic = round(self.sources.synthetic_share * count)
        parts = []
        if synthetic:
            images = synthesise(dice, self.sources.tiles, synthetic, frames, size)
            images = expose(dice, *self.with_cuts(*images))
            parts.append(limited(*add_noise(dice, *images)))
        if count > synthetic:
            images = self.real(count - synthetic, frames, size)
            graded = grade(dice, *images)
            chosen = dice.chance(0.3, count - synthetic)
            images = tuple(
                torch.where(chosen.view(-1, *(1,) * (a.ndim - 1)), a, b)
                for a, b in zip(graded, images, strict=True)
            )
            parts.append(limited(*add_noise(dice, *self.with_cuts(*images), share=0.3)))
        luma, chroma = (torch.cat(part) for part in zip(*parts, strict=True))
        return luma, chroma

    def with_cuts(self, luma: Tensor, chroma: Tensor) -> tuple[Tensor, Tensor]:
        """Some clips go on, from some frame, as their neighbour in the batch."""
        n, frames = luma.shape[:2]
        when = 1 + self.dice.below(torch.full((n, 1), frames - 1, device=luma.device))
        times = torch.arange(frames, device=luma.device)
        other = (times >= when) & self.dice.chance(CUT_SHARE, n, 1)
        return (
            torch.where(other[:, :, None, None], luma.roll(1, 0), luma),
            torch.where(other[:, :, None, None, None], chroma.roll(1, 0), chroma),
        )

    # --- real clips ------------------------------------------------------------------------

    def real(self, count: int, frames: int, size: int) -> tuple[Tensor, Tensor]:
        """Windows of real clips: the best of a few in texture and motion, or any, mirrored."""
        places = [self.place(count, frames, size) for _ in range(CANDIDATES)]
        scores = torch.stack([self.score(place, frames, size) for place in places])
        scores = torch.where(self.dice.chance(0.25, count), torch.rand_like(scores), scores)
        best = scores.argmax(0)
        place = torch.stack(places)[best, :, torch.arange(count, device=best.device)]
        luma = self.gather(place.t(), frames, size, 0, 1).float()
        chroma = torch.stack([self.gather(place.t(), frames, size, k, 1) for k in (1, 2)], 2)
        return luma, chroma.float()

    def place(self, count: int, frames: int, size: int) -> Tensor:
        """`[9, count]`: clip, first frame, stride, top, left, backwards, three mirrorings."""
        reels, dice = self.sources.reels, self.dice
        clip = dice.below(torch.full((count,), len(reels.start), device=dice.device))
        length = reels.frames[clip]
        stride = 1 + dice.chance(0.2, count) * (length > 2 * frames)
        first = dice.below((length - (frames - 1) * stride).clamp(min=1))
        top = dice.below((reels.height[clip] - size).clamp(min=0) // 2 + 1) * 2
        left = dice.below((reels.width[clip] - size).clamp(min=0) // 2 + 1) * 2
        turns = [dice.chance(0.5, count).long() for _ in range(4)]
        return torch.stack((clip, first, stride, top, left, *turns))

    def score(self, place: Tensor, frames: int, size: int) -> Tensor:
        """Texture times motion, from every fourth sample of the first frame and one later."""
        luma = self.gather(place, frames, size, 0, 4)[:, :: max(1, frames // 2)].float()
        texture = luma.diff(dim=2).abs().mean((1, 2, 3)) + luma.diff(dim=3).abs().mean((1, 2, 3))
        change = luma[:, :2].diff(dim=1).abs().mean((1, 2, 3)).clamp(max=10)
        return texture * (1 + change)

    def gather(self, place: Tensor, frames: int, size: int, plane: int, every: int) -> Tensor:
        """uint8 samples of plane 0, 1 or 2: `[n, frames, side, side]`; edges are repeated."""
        reels = self.sources.reels
        clip, first, stride, top, left, backwards, flip_x, flip_y, diagonal = (
            row.view(-1, 1, 1, 1) for row in place
        )
        height, width = reels.height[clip], reels.width[clip]
        whole = height * width * 3 // 2
        offset = reels.start[clip]
        if plane:
            offset = offset + height * width * (3 + plane) // 4
            height, width, top, left = (v // 2 for v in (height, width, top, left))
            size //= 2
        side = torch.arange(0, size, every, device=place.device)
        x, y = side.view(1, 1, 1, -1), side.view(1, 1, -1, 1)
        x, y = torch.where(diagonal > 0, y, x), torch.where(diagonal > 0, x, y)
        x = torch.where(flip_x > 0, size - 1 - x, x)
        y = torch.where(flip_y > 0, size - 1 - y, y)
        time = torch.arange(frames, device=place.device).view(1, -1, 1, 1)
        time = first + stride * torch.where(backwards > 0, frames - 1 - time, time)
        time = torch.minimum(time, reels.frames[clip] - 1)
        y = torch.minimum(top + y, height - 1)
        x = torch.minimum(left + x, width - 1)
        return reels.data[offset + time * whole + y * width + x]


def limited(luma: Tensor, chroma: Tensor) -> tuple[Tensor, Tensor]:
    """Rounded and clipped to limited range, uint8."""
    y, uv = luma.round().clamp(16, 235), chroma.round().clamp(16, 240)
    return y.to(torch.uint8), uv.to(torch.uint8)
