"""A training run, as a TOML file says it."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from ui2c.train.data.batches import BLANK_SHARES


@dataclass(frozen=True)
class Stage:
    """So many steps on clips of so many units, with so many clips a step and process."""

    steps: int
    units: int
    batch: int
    rate_weight: float = 1.0
    """Weight of the rate in the loss; small in a warm-up."""
    size: int = 128
    """Height and width of the clips."""
    intra_every: int = 0
    """If not zero, every so many steps are of `intra_batch` clips of one unit that begin blank: in
    a file of a hundred frames the first takes a fifth of the bits, in clips of many units a small
    share of the work."""
    intra_batch: int = 32
    intra_weight: float = 1.0
    """Weight of the distortion in those steps: all that follows refers to these frames, which clips
    of one unit do not know."""


@dataclass(frozen=True)
class TrainConfig:
    """Everything that shapes a run. Paths are relative to where the command runs."""

    model: str
    data: Path
    """Folder that `ui2c data` wrote."""
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
    plane_weights: tuple[float, float, float] = (6.0, 3.0, 3.0)
    """Weights of the squared errors of Y, U and V, in eighths. PSNR 6:1:1 is a mean of decibels, to
    which a plane adds in proportion to its *relative* error; chroma's error is three to five times
    less than luma's, so 6:1:1 on squared errors gives it too little (and colours fade)."""
    rgb_weight: float = 0.0
    """Share of the distortion that is measured on BT.709 RGB instead of Y:U:V = 6:1:1."""
    references: str = "hybrid"
    """What clips begin from: "hybrid" (blank, true or noisy frame), "blank", or "frame" (true or
    noisy, never blank)."""
    precision: str = "float32"
    """Of matrix products: "float32", or "bfloat16" (sums in float32) where a CPU has instructions
    for it, else float32 too. A GPU takes TF32 for the latter."""
    ema: float = 0.998
    seed: int = 1
    init: str = ""
    """Model to start from, by name or path; empty to begin from nothing."""
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
    try:
        stages = tuple(Stage(**stage) for stage in values.pop("stage", []))
    except TypeError as error:
        raise ValueError(f"{path}: [[stage]]: {error}") from error
    if not stages:
        raise ValueError(f"{path}: at least one [[stage]] is needed")
    if values.get("references", "hybrid") not in BLANK_SHARES:
        known = ", ".join(BLANK_SHARES)
        raise ValueError(f"{path}: references is {values['references']!r}, not one of {known}")
    if values.get("precision", "float32") not in ("float32", "bfloat16"):
        raise ValueError(f"{path}: precision is {values['precision']!r}, not float32 or bfloat16")
    for key in ("data", "output", "validation"):
        if key in values:
            values[key] = Path(values[key])
    if "plane_weights" in values:
        values["plane_weights"] = tuple(values["plane_weights"])
        if len(values["plane_weights"]) != 3:
            raise ValueError(f"{path}: plane_weights must be three numbers, for Y, U and V")
    if odd := [stage.size for stage in stages if stage.size < 64 or stage.size % 64]:
        raise ValueError(f"{path}: a stage's size must be a multiple of 64, not {odd[0]}")
    try:
        return TrainConfig(stages=stages, **values)
    except TypeError as error:
        raise ValueError(f"{path}: {error}") from error
