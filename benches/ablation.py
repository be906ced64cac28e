"""The ablation of the paper at a small, equal budget, with our motion field as its last step.

    python benches/ablation.py train OUTPUT --data SOURCES [--size nano] [--steps 3000]
    python benches/ablation.py measure OUTPUT --videos VIDEOS

Every variant is trained on clips of the same sources, for the same steps and frames; the divided
one is two models of that budget each. Measured are the units' real streams, 8 bytes of container a
unit added for every variant, on clips of the validation videos, and BD-rates by PSNR 6:1:1.
"""

import argparse
import json
import platform
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from ui2c.evaluate.bdrate import Curve, bd_rate
from ui2c.network.config import config_for
from ui2c.network.load import load_model
from ui2c.network.torch_engine import State
from ui2c.train.anchors import clip_psnr
from ui2c.train.data.validation import Clip, validation_clips
from ui2c.train.schedule import Stage, TrainConfig
from ui2c.train.trainer import Trainer, keep_freed_memory
from ui2c.unit.coder import EncoderState, UnitEncoder
from ui2c.unit.filters import fresh_fit
from ui2c.unit.planes import Geometry, Planes

CONTAINER = 8
REFRESH = 64
QPS = (8, 20, 32, 44, 56)
FRAMES = 96
CLIP_FRAMES = 16
"""Of a training clip."""

PAPER = {
    "divided, refresh 64": 33.8,
    "unified, single frames": 29.0,
    "+ two frames": 5.3,
    "+ hybrid reference": 0.0,
}
"""BD-rates the paper gives, in %, against its whole method."""

MODELS = {
    # name: (suffix of the size, what clips begin from)
    "intra": ("-single-implicit", "blank"),
    "inter": ("-single-implicit", "frame"),
    "single": ("-single-implicit", "blank"),
    "pairs": ("-implicit", "blank"),
    "hybrid": ("-implicit", "hybrid"),
    "motion": ("", "hybrid"),
}
VARIANTS = {
    "divided, refresh 64": ("intra", "inter"),
    "unified, single frames": ("single",),
    "+ two frames": ("pairs",),
    "+ hybrid reference": ("hybrid",),
    "+ motion field (ours)": ("motion",),
}
BASE = "+ hybrid reference"


def recipe(name: str, size: str, steps: int, data: Path, output: Path) -> TrainConfig:
    """The run of one model: short clips first; the intra model sees but single frames."""
    suffix, references = MODELS[name]
    per_unit = config_for(size + suffix).frames_per_unit
    frames = 1 if name == "intra" else CLIP_FRAMES
    long, short = (max(1, f // per_unit) for f in (frames, min(frames, 4)))
    # Frames of a step stay the same over all stages and models.
    batches = [4 * CLIP_FRAMES // (units * per_unit) for units in (short, long)]
    return TrainConfig(
        model=size + suffix,
        data=data,
        output=output / name,
        stages=(Stage(steps // 2, short, batches[0]), Stage(steps - steps // 2, long, batches[1])),
        references=references,
        lambda_balance=0.25,
    )


def train(options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    keep_freed_memory()
    for name in MODELS:
        config = recipe(name, options.size, options.steps, options.data, options.output)
        config.output.mkdir(parents=True, exist_ok=True)
        Trainer(config, "cpu").run()


def code(models: list[str], clip: Clip, qp: int) -> tuple[float, list[Planes]]:
    """Bits per pixel and decoded frames; with two models the first codes the refreshes."""
    loaded = [load_model(model) for model in models]
    height, width = clip[0].shape[1:]
    coders = [UnitEncoder(model, Geometry(width, height)) for model in loaded]
    frames = [tuple(planes) for planes in zip(*clip, strict=True)]
    size, shown = 0, []
    divided = len(coders) == 2
    while len(shown) < len(frames):
        intra = len(shown) % REFRESH == 0 if divided else not shown
        coder = coders[0] if intra else coders[-1]
        count = coder.model.config.unit_frames(intra)
        unit = coder.encode(frames[len(shown) : len(shown) + count], qp=qp, intra=intra)
        size += len(unit.stream) + CONTAINER
        shown += unit.shown
        if intra and divided:
            state = State(None, unit.shown[-1])
            coders[1].restore(EncoderState(state, unit.shown[-1], fresh_fit(), None, 1))
    return 8 * size / clip[0].size, shown


def curves(output: Path, clips: list[Clip]) -> Iterator[tuple[str, list[Curve]]]:
    for variant, names in VARIANTS.items():
        files = [next((output / name).glob("*.safetensors")) for name in names]
        points: list[list[tuple[float, float]]] = [[] for _ in clips]
        for qp in QPS:
            for clip, each in zip(clips, points, strict=True):
                rate, shown = code([str(f) for f in files], clip, qp)
                each.append((rate, clip_psnr(clip, shown)))
        yield variant, [Curve.of(each) for each in points]


def measure(options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    videos = validation_clips(
        options.videos, size=192, frames=FRAMES, per_video=1, cache=options.output
    )
    found = dict(curves(options.output, [clip for video in videos.values() for clip in video]))
    print(
        f"{platform.processor() or platform.machine()}, torch {torch.__version__}, {time.ctime()}"
    )
    result = {
        variant: [
            round(float(bd_rate(anchor, test).percent.get("pchip", np.nan)), 2)
            for anchor, test in zip(found[BASE], each, strict=True)
        ]
        for variant, each in found.items()
    }
    (options.output / "ablation.json").write_text(json.dumps(result, indent=1))
    # Curves that do not meet have no BD-rate; means are over the clips that have all.
    whole = np.isfinite(np.array(list(result.values()))).all(axis=0)
    clips = "".join(f" {name} |" for name in videos)
    print("\nBD-rate against the paper's method, %")
    print(f"\n| variant |{clips} mean | paper |\n|---|{'--:|' * (len(videos) + 2)}")
    for variant, rates in result.items():
        each_clip = "".join(f" {rate:+.1f} |" if np.isfinite(rate) else " – |" for rate in rates)
        paper = f"{PAPER[variant]:+.1f}" if variant in PAPER else ""
        print(f"| {variant} |{each_clip} {np.mean(np.array(rates)[whole]):+.1f} | {paper} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("train")
    command.add_argument("output", type=Path)
    command.add_argument("--data", type=Path, required=True)
    command.add_argument("--size", default="nano")
    command.add_argument("--steps", type=int, default=3000)
    command.set_defaults(run=train)
    command = commands.add_parser("measure")
    command.add_argument("output", type=Path)
    command.add_argument("--videos", type=Path, required=True)
    command.set_defaults(run=measure)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
