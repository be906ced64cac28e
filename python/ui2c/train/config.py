"""A training run, as a TOML file says it."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

BLANK_SHARES = {"hybrid": 0.5, "blank": 1.0, "frame": 0.0}
"""Share of the clips that begin from nothing, by what clips begin from."""


@dataclass(frozen=True)
class Stage:
    """So many steps on clips of so many units, with so many clips a step and process."""

    steps: int
    units: int
    batch: int
    rate_weight: float = 1.0
    """Weight of the rate in the loss; small in a warm-up."""
    size: int = 128
    """Height and width of the clips; there must be shards of that size."""
    intra_every: int = 0
    """If not zero, every so many steps are of `intra_batch` clips of one unit that begin blank: in
    a file of a hundred frames the first takes a fifth of the bits, in clips of many units a small
    share of the work."""
    intra_batch: int = 32
    intra_weight: float = 1.0
    """Weight of the distortion in those steps: all that follows refers to these frames, which clips
    of one unit do not know."""
    recompute: bool = False
    """Compute units again on the way back instead of keeping what they need: less memory."""


@dataclass(frozen=True)
class TrainConfig:
    """Everything that shapes a run. Paths are relative to where the command runs."""

    model: str
    shards: Path
    output: Path
    stages: tuple[Stage, ...]
    muon_rate: float = 0.006
    """Of the matrices; zero gives them to Adam too."""
    adam_rate: float = 1e-3
    warmup_steps: int = 100
    decay_share: float = 0.45
    """The learning rate falls linearly to zero over this last part of all steps."""
    clip_norm: float = 1.0
    lambda_balance: float = 0.4
    """Samples weigh λ^-balance, so that high rates do not rule the gradient alone."""
    plane_weights: tuple[float, float, float] = (6.0, 1.0, 1.0)
    """Weights of the squared errors of Y, U and V, in eighths. PSNR 6:1:1 is a mean of decibels, to
    which a plane adds in proportion to its *relative* error; chroma's error is three to five times
    less than luma's, so 6:1:1 on squared errors gives it too little (and colours fade)."""
    rgb_weight: float = 0.0
    """Share of the distortion that is measured on BT.709 RGB instead of Y:U:V = 6:1:1."""
    references: str = "hybrid"
    """What clips begin from: "hybrid" (blank, true or noisy frame), "blank", or "frame" (true or
    noisy, never blank)."""
    searched: bool = False
    """Motion as an encoder finds it, on decoded references at the quality of each clip, with blocks
    and the precision of each unit, instead of the shards' vectors. The model then has both."""
    precision: str = "float32"
    """Of the fused kernels' products on the CPU: "float32", or "bfloat16" (with sums in float32)
    where the processor has instructions for it; elsewhere that is float32 too."""
    ema: float = 0.998
    seed: int = 1
    init: str = ""
    """Model file to start from; empty for random weights."""
    validation: Path | None = None
    """Folder of videos to validate on."""
    validate_every: int = 500

    @property
    def steps(self) -> int:
        return sum(stage.steps for stage in self.stages)

    def stage_at(self, step: int) -> Stage:
        """The stage a step belongs to."""
        for stage in self.stages:
            if step < stage.steps:
                return stage
            step -= stage.steps
        return self.stages[-1]

    def rate_factor(self, step: int) -> float:
        """Share of the peak learning rate at a step."""
        warmup = min(1.0, (step + 1) / max(self.warmup_steps, 1))
        left = (self.steps - step) / max(self.decay_share * self.steps, 1)
        return min(warmup, left, 1.0)


def load_config(path: Path) -> TrainConfig:
    """Reads a run's TOML; unknown keys are an error that names them."""
    values = tomllib.loads(path.read_text())
    stages = tuple(Stage(**stage) for stage in values.pop("stage", []))
    if not stages:
        raise ValueError(f"{path}: at least one [[stage]] is needed")
    if values.get("references", "hybrid") not in BLANK_SHARES:
        known = ", ".join(BLANK_SHARES)
        raise ValueError(f"{path}: references is {values['references']!r}, not one of {known}")
    if values.get("precision", "float32") not in ("float32", "bfloat16"):
        raise ValueError(f"{path}: precision is {values['precision']!r}, not float32 or bfloat16")
    for key in ("shards", "output", "validation"):
        if key in values:
            values[key] = Path(values[key])
    if "plane_weights" in values:
        values["plane_weights"] = tuple(values["plane_weights"])
        if len(values["plane_weights"]) != 3:
            raise ValueError(f"{path}: plane_weights must be three numbers, for Y, U and V")
    try:
        return TrainConfig(stages=stages, **values)
    except TypeError as error:
        raise ValueError(f"{path}: {error}") from error
