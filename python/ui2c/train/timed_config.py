"""A training run that ends when its time is up, as a TOML file says it."""

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

PRECISIONS = ("bf16", "tf32", "float32")
KERNELS = ("auto", "plain", "shifted", "library")


@dataclass(frozen=True)
class Stage:
    """A share of the run's time on clips of so many units and samples, so many clips a step."""

    share: float
    units: int
    batch: int
    size: int = 256
    rate_weight: float = 1.0
    """Weight of the rate in the loss; small in a warm-up."""
    intra_every: int = 0
    """If not zero, every so many steps are of first units that begin blank, one of each clip."""
    intra_weight: float = 1.0
    """Weight of the distortion in those steps: all that follows refers to these frames."""


@dataclass(frozen=True)
class TimedConfig:
    """Everything that shapes a run. Paths are relative to where the command runs."""

    model: str
    data: Path
    """Folder with `photos` and `clips`."""
    output: Path
    minutes: float
    """Length of the whole run; it may be done in parts."""
    stages: tuple[Stage, ...]
    init: str = ""
    """Model to start from, by name or path; empty for random weights."""
    muon_rate: float = 0.006
    adam_rate: float = 1e-3
    warmup_steps: int = 50
    """After every start: the momenta may be new."""
    decay_share: float = 0.45
    """The learning rate falls linearly to zero over this last part of the time."""
    clip_norm: float = 1.0
    lambda_balance: float = 0.25
    """Samples weigh λ^-balance, so that high rates do not rule the gradient alone."""
    plane_weights: tuple[float, float, float] = (6.0, 1.0, 1.0)
    """Weights of the squared errors of Y, U and V, in eighths."""
    row_power: float = 0.8
    """Rows are 64 · u^power for uniform u: below 1, high qualities are drawn more often."""
    ema: float = 0.998
    seed: int = 1
    synthetic_share: float = 0.5
    precision: str = "bf16"
    kernels: str = "auto"
    """How blocks are computed: plain, compiled in one of two ways, or the fastest of them all."""
    compile: bool = True
    """Whether compensation and motion search are compiled."""
    files: int = 0
    """Photographs and clips to read of each; 0 for all."""

    def stage_at(self, share: float) -> Stage:
        """The stage at a share of the run's time, 0 … 1."""
        total = sum(stage.share for stage in self.stages)
        for stage in self.stages:
            if share * total < stage.share:
                return stage
            share -= stage.share / total
        return self.stages[-1]

    def rate_factor(self, share: float, steps: int) -> float:
        """Share of the peak learning rate at a share of the time, `steps` after a start."""
        warmup = min(1.0, (steps + 1) / max(self.warmup_steps, 1))
        left = (1 - share) / max(self.decay_share, 1e-6)
        return max(0.0, min(warmup, left, 1.0))


def load_config(path: Path) -> TimedConfig:
    """Reads a run's TOML; unknown keys and impossible values are an error that names them."""
    values = tomllib.loads(path.read_text())
    try:
        stages = tuple(Stage(**stage) for stage in values.pop("stage", []))
        for field in fields(TimedConfig):
            if field.type is Path and field.name in values:
                values[field.name] = Path(values[field.name])
        if "plane_weights" in values:
            values["plane_weights"] = tuple(values["plane_weights"])
        config = TimedConfig(stages=stages, **values)
    except TypeError as error:
        raise ValueError(f"{path}: {error}") from error
    if not stages or any(stage.share <= 0 for stage in stages):
        raise ValueError(f"{path}: at least one [[stage]] is needed, each with a positive share")
    if any(stage.size < 64 or stage.size % 64 for stage in stages):
        raise ValueError(f"{path}: a stage's size must be a multiple of 64")
    if config.precision not in PRECISIONS or config.kernels not in KERNELS:
        raise ValueError(
            f"{path}: precision must be one of {', '.join(PRECISIONS)}, "
            f"kernels one of {', '.join(KERNELS)}"
        )
    if config.minutes <= 0:
        raise ValueError(f"{path}: minutes must be positive, not {config.minutes}")
    return config
