"""Sizes of the codec, as data."""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

QUALITIES = 64
"""Quality levels; the network's row is `63 - qp`, so that row 63 is the best."""

KNOTS = (0, 8, 16, 24, 32, 40, 48, 56, 63)
"""Rows at which quality-dependent vectors are learnt; the others are interpolated linearly.

Learning 64 free rows fails: each sees one sample in 64 and hardly moves.
"""

LAST_OFFSET = 4
"""Rows by which the last frame of a unit is better than the first, whose row is the base row."""

CYCLE = 4
"""Units after which the quality offsets of the frames repeat."""

STILL_OFFSETS = (8, 8)
"""Rows by which a still is better than its base row; see `CodecConfig.still`."""

SINGLE_OFFSETS = ((8,), (0,), (4,), (0,))
"""The same for the single-frame variant."""


@dataclass(frozen=True)
class CodecConfig:
    """Widths and depths of one size.

    `trunk` is the width of everything at 1/8 of the picture, `latent` and `hyper` are the channels
    of y (1/16) and z (1/64), `prior` those of the temporal prior, `head` the width of a head,
    `entropy` the width of the hyper codec at 1/16 and half that of the fusion and spatial stages
    (0: as many as y). `linear` adds a linear path from the frames to y and back. With `still` a
    unit that starts blank carries one frame, given to the network as both: what is new in the
    second costs less in a unit that has the first to predict from. It is coded as if its qp were
    less by `lead`, since all that follows refers to it. `lambdas` are the weights of the
    distortion at rows 0 and 63 (rate in bits per pixel, squared error with peak 1). Where λ is
    below the first of `coarse_motion`, motion vectors are coded in half samples, below the second
    in whole ones; with `chosen_precision` that is the usual choice, and each inter unit says its
    own. With `halved` a unit may say that the vectors of its first frame are half the last one's.
    With `blocks` inter units carry blocks that mend their predictions and their first frame;
    with `bidirectional` those of the first frame are part of its prediction, which the last one,
    decoded before it, is another half of. With `aligned` the feature is moved along the motion
    field before it tells of the next unit. With `post_filter` units carry the filters of what is
    shown. In each of `stages`, 2 or 4, the prior knows what was decided in those before.
    `key_offset` is by how many rows the last frame of the first of four units is better than its
    base row. If `recentred`, a symbol of y stands for less than itself (`Prior.values`). Depths
    count blocks of the network.
    """

    name: str
    trunk: int
    latent: int
    hyper: int
    prior: int
    head: int
    extractor_depths: tuple[int, int] = (2, 2)
    encoder_depth: int = 3
    decoder_depth: int = 3
    head_depth: int = 3
    fusion_depth: int = 2
    spatial_depth: int = 1
    frames_per_unit: int = 2
    motion: bool = True
    entropy: int = 0
    linear: bool = False
    still: bool = False
    lead: int = 0
    lambdas: tuple[float, float] = (24.0, 8000.0)
    coarse_motion: tuple[float, float] = (0.0, 0.0)
    blocks: bool = False
    post_filter: bool = False
    chosen_precision: bool = False
    bidirectional: bool = False
    aligned: bool = False
    stages: int = 2
    key_offset: int = 8
    halved: bool = False
    recentred: bool = False

    def __post_init__(self) -> None:
        for field in ("trunk", "latent", "hyper", "prior", "head"):
            value = getattr(self, field)
            if value < 16 or value % 16:
                raise ValueError(f"{field} must be a positive multiple of 16, not {value}")
        if not 0 <= self.lead < QUALITIES:
            raise ValueError(f"lead must be in 0 … {QUALITIES - 1}, not {self.lead}")
        if self.entropy < 0 or self.entropy % 16:
            raise ValueError(f"entropy must be zero or a multiple of 16, not {self.entropy}")
        if not 0 < self.lambdas[0] < self.lambdas[1] < math.inf:
            raise ValueError(f"lambdas must be positive and rise, not {self.lambdas}")
        if not 0 <= self.coarse_motion[1] <= self.coarse_motion[0] < math.inf:
            raise ValueError(f"coarse_motion must fall, to 0 at least, not {self.coarse_motion}")
        if self.bidirectional and not (self.blocks and self.motion and self.frames_per_unit == 2):
            raise ValueError("bidirectional needs blocks, motion and two frames a unit")
        if self.halved and not (self.motion and self.frames_per_unit == 2):
            raise ValueError("halved needs motion and two frames a unit")
        if not 0 <= self.key_offset < QUALITIES:
            raise ValueError(f"key_offset must be in 0 … {QUALITIES - 1}, not {self.key_offset}")
        if self.stages not in (2, 4) or self.latent % self.stages:
            raise ValueError(f"stages must be 2 or 4, not {self.stages}")
        if self.frames_per_unit not in (1, 2):
            raise ValueError(f"frames_per_unit must be 1 or 2, not {self.frames_per_unit}")

    def distortion_weight(self, row: float) -> float:
        """λ of a row, 0 … 63 and between: log-spaced over `lambdas`."""
        low, high = self.lambdas
        return float(low * (high / low) ** (min(max(row, 0.0), 63.0) / 63.0))

    def motion_shift(self, qp: int) -> int:
        """Vectors are coded in units of `2^shift` quarter samples: 0, 1 or 2."""
        weight = self.distortion_weight(QUALITIES - 1 - qp)
        return sum(weight < limit for limit in self.coarse_motion)

    @property
    def offsets(self) -> tuple[tuple[int, ...], ...]:
        """Quality offsets of the frames of a unit, by the unit's place in the cycle."""
        if self.frames_per_unit == 1:
            return SINGLE_OFFSETS
        return ((0, self.key_offset), *[(0, LAST_OFFSET)] * (CYCLE - 1))

    def unit_offsets(self, cycle: int, intra: bool) -> tuple[int, ...]:
        """Quality offsets of the frames of one unit."""
        return STILL_OFFSETS if intra and self.still else self.offsets[cycle]

    def base_row(self, qp: int, intra: bool) -> int:
        """Quality row of a unit, before the offsets of its frames."""
        lead = self.lead if intra and self.still else 0
        return min(QUALITIES - 1 - qp + lead, QUALITIES - 1)

    def has_blocks(self, intra: bool) -> bool:
        """Whether a unit carries blocks, or says that it has none."""
        return self.blocks and self.motion and not intra and self.frames_per_unit == 2

    def unit_frames(self, intra: bool) -> int:
        """Most frames that a unit can carry."""
        return 1 if intra and self.still else self.frames_per_unit

    def single(self) -> "CodecConfig":
        """The single-frame variant: one frame a latent, one head."""
        return replace(
            self,
            name=f"{self.name}-single",
            frames_per_unit=1,
            still=False,
            bidirectional=False,
            halved=False,
        )

    def with_blocks(self) -> "CodecConfig":
        """The same with all that is known of motion, where a variant can have it."""
        if not self.motion or self.frames_per_unit != 2:
            return self
        return replace(
            self,
            blocks=True,
            chosen_precision=True,
            bidirectional=True,
            aligned=True,
            halved=True,
        )

    def with_stills(self) -> "CodecConfig":
        """The same with stills: for sizes that have none."""
        return replace(self, name=f"{self.name}-still", still=True)

    def without_motion(self) -> "CodecConfig":
        """The paper's network: no motion field, no prediction, no gate, no linear path."""
        return replace(
            self,
            name=f"{self.name}-implicit",
            motion=False,
            linear=False,
            bidirectional=False,
            aligned=False,
            halved=False,
        )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> "CodecConfig":
        values = dict(values)
        for name in ("extractor_depths", "lambdas", "coarse_motion"):
            if name in values:
                values[name] = tuple(values[name])
        return CodecConfig(**values)


def _current(config: CodecConfig) -> CodecConfig:
    """With what came after the paper, and after the first weights."""
    return replace(
        config,
        linear=True,
        still=True,
        # From 28 to 44 dB on most video, which is where video is used.
        lambdas=(5.0, 4000.0),
        # Found by coding clips at all qualities (docs/motion.md).
        coarse_motion=(300.0, 0.0),
        blocks=True,
        halved=True,
        recentred=True,
        stages=4,
        # The first frame of a unit is coded as a B-frame is: one in eight that is better still
        # costs more than it helps.
        key_offset=4,
    )


_SIZES = (
    CodecConfig("nano", 32, 16, 16, 32, 32, (1, 1), 1, 1, 1, 1, 1),
    # A unit's 16×16 cell holds 384 samples twice. With too few channels fine detail hits a ceiling
    # however many bits it is given, and high qualities burn bits just below it (docs/network.md).
    _current(CodecConfig("tiny", 64, 256, 32, 96, 64, entropy=64)),
    _current(CodecConfig("small", 128, 512, 64, 192, 128, entropy=128)),
    _current(CodecConfig("medium", 192, 512, 64, 256, 192, entropy=128)),
    # The paper gives no widths; these match its MACs and weights closely.
    CodecConfig("paper", 400, 128, 128, 480, 464, (2, 4), 3, 3, 4, 3, 2, 2, False),
)


def config_for(name: str) -> CodecConfig:
    """The configuration of a size: nano, tiny, small, medium or paper.

    `-single`, `-implicit` and `-still` after the name ask for those variants.
    """
    base, *variants = name.split("-")
    for config in _SIZES:
        if config.name == base:
            for variant in variants:
                if variant == "single":
                    config = config.single()
                elif variant == "implicit":
                    config = config.without_motion()
                elif variant == "still":
                    config = config.with_stills()
                else:
                    raise ValueError(f"unknown variant {variant!r} in model name {name!r}")
            return config
    known = ", ".join(config.name for config in _SIZES)
    raise ValueError(f"unknown model size {name!r}; there are {known}")
