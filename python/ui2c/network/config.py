"""Sizes of the codec, as data, and what all sizes share."""

from dataclasses import asdict, dataclass, replace
from typing import Any

QUALITIES = 64
"""Quality levels; the network's row is `63 - qp`, so that row 63 is the best."""

KNOTS = (0, 8, 16, 24, 32, 40, 48, 56, 63)
"""Rows at which quality-dependent vectors are learnt; the others are interpolated linearly.

Learning 64 free rows fails: each sees one sample in 64 and hardly moves.
"""

LAMBDAS = (5.0, 4000.0)
"""λ at rows 0 and 63, with the rate in bits per pixel and the squared error at peak 1: from 28 to
44 dB on most video, which is where video is used."""

FRAME_OFFSETS = (0, 4)
"""Rows by which the frames of a unit are better than its base row. The last one is the reference;
the first is coded as a B-frame is."""

STILL_OFFSET, STILL_LEAD = 8, 5
"""Rows by which a still is better than its base row, and that is better than `63 - qp`: all that
follows refers to it."""

STAGES = 4
"""Of the prior: in each it knows what was decided in those before."""

HALF_SAMPLES = 300.0
"""λ below which motion vectors are usually coded in half samples (docs/motion.md)."""


WIDEST, DEEPEST = 1024, 16
"""Limits of widths and depths: a file of a few bytes must not ask for any amount of work."""


def lagrangian_of_row(row: float) -> float:
    """λ of a row, 0 … 63 and between: log-spaced over `LAMBDAS`."""
    low, high = LAMBDAS
    return float(low * (high / low) ** (min(max(row, 0.0), 63.0) / 63.0))


def lagrangian_of(qp: int) -> float:
    """λ of a qp, 0 … 63."""
    return lagrangian_of_row(QUALITIES - 1 - qp)


def usual_shift(qp: int) -> int:
    """Vectors are usually coded in units of `2^shift` quarter samples."""
    return int(lagrangian_of(qp) < HALF_SAMPLES)


def base_row(qp: int, intra: bool) -> int:
    """Quality row of a unit, before the offsets of its frames."""
    return min(QUALITIES - 1 - qp + (STILL_LEAD if intra else 0), QUALITIES - 1)


@dataclass(frozen=True)
class CodecConfig:
    """Widths and depths of one size.

    `trunk` is the width of everything at 1/8 of the picture, `latent` and `hyper` are the channels
    of y (1/16) and z (1/64), `prior` those of the temporal prior, `head` the width of a head,
    `entropy` the width of the hyper codec at 1/16 and half that of the fusion and spatial stages.
    Depths count blocks of the network.

    Two switches are for experiments and for PyTorch alone: without `motion` it is the paper's
    network, which has no motion field, prediction, gate or linear path; with one of
    `frames_per_unit` every unit codes a single frame.
    """

    name: str
    trunk: int
    latent: int
    hyper: int
    prior: int
    head: int
    entropy: int
    extractor_depths: tuple[int, int] = (2, 2)
    encoder_depth: int = 3
    decoder_depth: int = 3
    head_depth: int = 3
    fusion_depth: int = 2
    spatial_depth: int = 1
    motion: bool = True
    frames_per_unit: int = 2

    def __post_init__(self) -> None:
        if type(self.name) is not str:
            raise ValueError(f"name must be a text, not {self.name!r}")
        for field in ("trunk", "latent", "hyper", "prior", "head", "entropy"):
            value = getattr(self, field)
            if type(value) is not int or not 16 <= value <= WIDEST or value % 16:
                raise ValueError(f"{field} must be a multiple of 16 in 16 … {WIDEST}, not {value}")
        for field in ("encoder_depth", "decoder_depth", "head_depth", "fusion_depth"):
            _check_depth(field, getattr(self, field))
        _check_depth("spatial_depth", self.spatial_depth)
        if len(self.extractor_depths) != 2:
            raise ValueError(f"extractor_depths must be two, not {self.extractor_depths}")
        for depth in self.extractor_depths:
            _check_depth("extractor_depths", depth)
        if type(self.motion) is not bool:
            raise ValueError(f"motion must be true or false, not {self.motion!r}")
        if type(self.frames_per_unit) is not int or self.frames_per_unit not in (1, 2):
            raise ValueError(f"frames_per_unit must be 1 or 2, not {self.frames_per_unit}")

    def frame_rows(self, qp: int, intra: bool) -> tuple[int, ...]:
        """Quality row of every frame that the network is given."""
        offsets = (STILL_OFFSET, STILL_OFFSET) if intra else FRAME_OFFSETS
        row = base_row(qp, intra)
        return tuple(min(row + offsets[k], QUALITIES - 1) for k in range(self.frames_per_unit))

    def unit_frames(self, intra: bool) -> int:
        """Frames that a unit carries at most; a still, which starts blank, is one."""
        return 1 if intra else self.frames_per_unit

    def single(self) -> "CodecConfig":
        """The single-frame variant: one frame a latent, one head."""
        return replace(self, name=f"{self.name}-single", frames_per_unit=1)

    def without_motion(self) -> "CodecConfig":
        """The paper's network."""
        return replace(self, name=f"{self.name}-implicit", motion=False)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> "CodecConfig":
        """Raises ValueError or TypeError for values that are not those of `to_dict`."""
        if missing := sorted(CodecConfig.__dataclass_fields__.keys() ^ values.keys()):
            raise ValueError(f"{missing[0]} is missing, or no part of a configuration")
        return CodecConfig(**values | {"extractor_depths": tuple(values["extractor_depths"])})


def _check_depth(name: str, value: int) -> None:
    if type(value) is not int or not 1 <= value <= DEEPEST:
        raise ValueError(f"{name} must be in 1 … {DEEPEST}, not {value}")


_SIZES = (
    # For tests and experiments.
    CodecConfig("nano", 32, 64, 16, 32, 32, 32, (1, 1), 1, 1, 1, 1, 1),
    # A unit's 16×16 cell holds 384 samples twice. With too few channels fine detail hits a ceiling
    # however many bits it is given, and high qualities burn bits just below it (docs/network.md).
    CodecConfig("small", 128, 512, 64, 192, 128, 128),
    # The paper gives no widths; these match its MACs and, nearly, its weights.
    CodecConfig("paper", 400, 128, 128, 480, 464, 224, (2, 4), 3, 3, 4, 3, 1, motion=False),
)


def config_for(name: str) -> CodecConfig:
    """The configuration of a size: nano, small or paper.

    `-single` and `-implicit` after the name ask for those variants. Raises ValueError for others.
    """
    base, *variants = name.split("-")
    for config in _SIZES:
        if config.name == base:
            for variant in variants:
                if variant == "single":
                    config = config.single()
                elif variant == "implicit":
                    config = config.without_motion()
                else:
                    raise ValueError(f"unknown variant {variant!r} in model name {name!r}")
            return config
    known = ", ".join(config.name for config in _SIZES)
    raise ValueError(f"unknown model size {name!r}; there are {known}")
