"""Batches of clips, and how each clip begins."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ui2c.network.config import QUALITIES, CodecConfig
from ui2c.network.packing import pack
from ui2c.train.data.clips import ClipMaker
from ui2c.train.data.scenes import Dice
from ui2c.train.data.sources import Sources

BLANK_SHARES = {"hybrid": 0.5, "blank": 1.0, "frame": 0.0}
"""Share of the clips that begin from nothing, by what clips begin from."""

LEAD = 36
"""Most rows by which a still is better than the units after it: these learn to keep a reference
that is better than what they would make of it, and an encoder may choose. Most clips have far less,
as most videos."""

NOISE = 0.05
"""Largest deviation of the noise in a first reference, where 1 is the range of the codes."""


@dataclass(frozen=True)
class Batch:
    """Clips of 8-bit pictures on one device, and how each begins."""

    frames: Tensor
    """Packed, `[n, 1 + units · frames_per_unit, h/8, w/8, 96]`; the first is a reserve from which
    the first reference is made."""
    rows: Tensor
    """Base rows, int64 `[n]`."""
    blank: Tensor
    """Whether a clip begins from nothing, bool `[n]`."""
    reference: Tensor
    """Packed first references, `[n, h/8, w/8, 96]`; zeros where blank."""
    lead: Tensor
    """By how many rows a still is better than the units after it, int64 `[n]`."""


class Batches:
    """Draws the batches of a run.

    What is drawn depends on the seed, the training step and the process alone, so that a resumed
    run sees what an unbroken one would have seen.
    """

    def __init__(
        self, sources: Sources, config: CodecConfig, seed: int, references: str = "hybrid"
    ) -> None:
        self.sources = sources
        self.config = config
        self.seed = seed
        self.blank_share = BLANK_SHARES[references]

    def draw(
        self, count: int, units: int, size: int, step: int, rank: int = 0, *, blank: bool = False
    ) -> Batch:
        """`count` clips of `units` units and `size` × `size`, which begin as the run's references
        say, or all from nothing."""
        place = np.random.SeedSequence([self.seed, step, rank])
        dice = Dice(self.sources.device, int(place.generate_state(1, np.uint64)[0] >> 1))
        frames = self.frames(dice, count, units, size)
        rows = dice.below(torch.full((count,), QUALITIES, device=dice.device))
        kind = dice.uniform(0, 1, count)
        share = 1.0 if blank else self.blank_share
        begins = kind < share
        noise = dice.uniform(0, NOISE, count) * (kind >= (1 + share) / 2)
        reference = frames[:, 0] + dice.normal(1, *frames[:, 0].shape) * noise.view(-1, 1, 1, 1)
        # Alone, a still's row is as random as it can be.
        most = dice.below(torch.full_like(rows, LEAD + 1 if units > 1 else 1))
        return Batch(
            frames, rows, begins, reference * ~begins.view(-1, 1, 1, 1), dice.below(most + 1)
        )

    def frames(self, dice: Dice, count: int, units: int, size: int) -> Tensor:
        """The frames of a `Batch`."""
        length = 1 + units * self.config.frames_per_unit
        luma, chroma = ClipMaker(self.sources, dice).clips(count, length, size)
        planes = luma.flatten(0, 1), chroma[:, :, 0].flatten(0, 1), chroma[:, :, 1].flatten(0, 1)
        packed: Tensor = pack(planes, 8).unflatten(0, (count, length))
        return packed
