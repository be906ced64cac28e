"""Validation of a model on held-out clips, through real bitstreams, beside libx264 and libx265.

The trainer starts it as a process of its own, so that training goes on meanwhile.
"""

import argparse
import csv
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ui2c.decoder import Decoder
from ui2c.encoder import Encoder
from ui2c.frames import YUV420
from ui2c.train.anchors import LOW_DELAY, Curve, anchor_curves, bd_rate, clip_psnr
from ui2c.train.clips import Planes, validation_clips

QPS = (8, 20, 32, 44, 56)
FRAMES = 48
"""Long enough that coding frame after frame counts, not the first one."""


def code(clip: Planes, model: str, qp: int) -> dict[str, float]:
    """Rate and quality of one clip, written and decoded again."""
    frames = [YUV420(*planes) for planes in zip(*clip, strict=True)]
    encoder = Encoder(qp=qp, model=model, device="cpu", threads=1)
    data = encoder.encode(frames)
    decoded = [frame.planes for frame in Decoder(device="cpu", threads=1).decode(data)]
    units = encoder.statistics.units
    pixels = clip[0].size
    tail = 8 * sum(unit.stream_bytes for unit in units[1:])
    first, last = ([planes[k : k + 2] for planes in clip] for k in (0, len(frames) - 2))
    return {
        "bpp": 8 * len(data) / pixels,
        "inter_bpp": tail / (pixels * (1 - 2 / len(frames))),
        "motion_share": sum(unit.motion_bytes for unit in units) / len(data),
        "psnr": clip_psnr(clip, decoded),
        "psnr_first": clip_psnr((first[0], first[1], first[2]), decoded[:2]),
        "psnr_last": clip_psnr((last[0], last[1], last[2]), decoded[-2:]),
    }


def validate(
    model: str, folder: Path, cache: Path, *, per_video: int = 2, qps: Sequence[int] = QPS
) -> list[dict[str, float]]:
    """One row of means over the clips per qp, and one of BD-rates against the anchors (qp −1)."""
    videos = validation_clips(folder, frames=FRAMES, per_video=per_video, cache=cache)
    clips = [clip for video in videos.values() for clip in video]
    curves: list[Curve] = [[] for _ in clips]
    rows: list[dict[str, float]] = []
    for qp in qps:
        results = [code(clip, model, qp) for clip in clips]
        for curve, result in zip(curves, results, strict=True):
            curve.append((result["bpp"], result["psnr"]))
        rows.append({"qp": qp, **{k: float(np.mean([r[k] for r in results])) for k in results[0]}})
    means: dict[str, float] = {"qp": -1}
    for name in LOW_DELAY:
        anchors = anchor_curves(name, clips, cache)
        rates = [bd_rate(a, c) for a, c in zip(anchors, curves, strict=True)]
        means[name] = float(np.nanmean(rates))
        for k, video in enumerate(videos):
            part = rates[k * per_video : (k + 1) * per_video]
            means[f"{name}_{video}"] = float(np.nanmean(part))
    return [*rows, means]


def start_validation(model: Path, folder: Path, step: int) -> subprocess.Popen[bytes]:
    """Runs `main` on a model file in a process of its own, lower in priority than training."""
    environment = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE")}
    command = [sys.executable, "-m", "ui2c.train.validate", str(model), str(folder)]
    command += ["--output", str(model.parent), "--step", str(step)]
    lower = (lambda: os.nice(5)) if hasattr(os, "nice") else None
    return subprocess.Popen(command, env=environment, preexec_fn=lower)


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m ui2c.train.validate MODEL FOLDER --output DIR --step N`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="model file, or name of a shipped model")
    parser.add_argument("folder", type=Path, help="folder with the validation videos")
    parser.add_argument("--output", type=Path, required=True, help="folder for the CSV files")
    parser.add_argument("--step", type=int, default=0, help="training step, for the CSV")
    arguments = parser.parse_args(argv)
    *rows, rates = validate(arguments.model, arguments.folder, arguments.output)
    for row in rows:
        append(arguments.output / "validation-real.csv", {"step": arguments.step, **row})
    rates.pop("qp")
    append(arguments.output / "bd-rate.csv", {"step": arguments.step, **rates})
    text = " ".join(f"{key} {value:+.1f} %" for key, value in rates.items())
    print(f"validation at step {arguments.step}: BD-rate against {text}", flush=True)
    return 0


def append(path: Path, row: dict[str, Any]) -> None:
    """One line of a CSV file, under a header if it is the first."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, row)
        if new:
            writer.writeheader()
        writer.writerow({k: round(v, 5) if isinstance(v, float) else v for k, v in row.items()})


if __name__ == "__main__":
    sys.exit(main())
