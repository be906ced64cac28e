"""Clips made in every step anew: half synthetic, half windows of real videos, on any device."""

import torch
from torch import Tensor

from ui2c.train.data.render import add_noise, expose, grade, synthesise
from ui2c.train.data.scenes import Dice
from ui2c.train.data.sources import Reels, Sources

CANDIDATES = 3
CUT_SHARE = 0.05


class ClipMaker:
    """Makes clips of sources with random numbers that a step has for itself."""

    def __init__(self, sources: Sources, dice: Dice) -> None:
        self.sources = sources
        self.dice = dice

    @torch.no_grad()
    def clips(self, count: int, frames: int, size: int) -> tuple[Tensor, Tensor]:
        """Luma `[count, frames, size, size]` and chroma `[count, frames, 2, size / 2, size / 2]`.

        uint8, BT.709 limited range. Raises ValueError if there are reels, but none large and long
        enough.
        """
        dice, tiles, reels = self.dice, self.sources.tiles, self.sources.reels
        synthetic = 0 if tiles is None else count if reels is None else dice.round(count / 2)
        parts = []
        if tiles is not None and synthetic:
            images = synthesise(dice, tiles, synthetic, frames, size)
            images = expose(dice, *self.with_cuts(*images))
            parts.append(limited(*add_noise(dice, *images)))
        if reels is not None and count > synthetic:
            images = RealClips(reels, dice, frames, size).draw(count - synthetic)
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


class RealClips:
    """Windows of `size` × `size` and so many frames in reels."""

    def __init__(self, reels: Reels, dice: Dice, frames: int, size: int) -> None:
        self.reels, self.dice, self.frames, self.size = reels, dice, frames, size
        fitting = torch.minimum(reels.height, reels.width) >= size
        fitting &= reels.frames >= frames
        if not fitting.any():
            raise ValueError(f"no video has {frames} frames of {size} × {size} once scaled down")
        # Videos are as likely as each other, whatever the number of scales that fit.
        shares = torch.bincount(reels.video[fitting], minlength=len(reels.video))[reels.video]
        self.shares = fitting / shares.clamp(min=1)

    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        """The best of a few in texture and motion, one in four just any, turned and mirrored.

        Float32 luma and chroma, as from `synthesise`.
        """
        places = [self.place(count) for _ in range(CANDIDATES)]
        scores = torch.stack([self.score(place) for place in places])
        anyhow = self.dice.uniform(0, 1, *scores.shape)
        scores = torch.where(self.dice.chance(0.25, count), anyhow, scores)
        best = scores.argmax(0)
        place = torch.stack(places)[best, :, torch.arange(count, device=best.device)].t()
        luma = self.gather(place, 0).float()
        chroma = torch.stack([self.gather(place, k) for k in (1, 2)], 2)
        return luma, chroma.float()

    def place(self, count: int) -> Tensor:
        """`[9, count]`: reel, first frame, stride, top, left, backwards, three mirrorings."""
        reels, dice, frames = self.reels, self.dice, self.frames
        clip = dice.weighted(self.shares, count)
        length = reels.frames[clip]
        stride = 1 + dice.chance(0.2, count) * (length > 2 * frames)
        first = dice.below(length - (frames - 1) * stride)
        top, left = (
            dice.below((side[clip] - self.size) // 2 + 1) * 2
            for side in (reels.height, reels.width)
        )
        turns = [dice.chance(0.5, count).long() for _ in range(4)]
        return torch.stack((clip, first, stride, top, left, *turns))

    def score(self, place: Tensor) -> Tensor:
        """Texture times motion, from every fourth sample of the first frame and one later."""
        luma = self.gather(place, 0, 4)[:, :: max(1, self.frames // 2)].float()
        texture = luma.diff(dim=2).abs().mean((1, 2, 3)) + luma.diff(dim=3).abs().mean((1, 2, 3))
        change = luma[:, :2].diff(dim=1).abs().mean((1, 2, 3)).clamp(max=10)
        return texture * (1 + change)

    def gather(self, place: Tensor, plane: int, every: int = 1) -> Tensor:
        """uint8 samples of plane 0, 1 or 2, or every so many-th of them: `[n, frames, s, s]`."""
        reels, size, frames = self.reels, self.size, self.frames
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
        return reels.data[offset + time * whole + (top + y) * width + left + x]


def limited(luma: Tensor, chroma: Tensor) -> tuple[Tensor, Tensor]:
    """Rounded and clipped to limited range, uint8."""
    y, uv = luma.round().clamp(16, 235), chroma.round().clamp(16, 240)
    return y.to(torch.uint8), uv.to(torch.uint8)
