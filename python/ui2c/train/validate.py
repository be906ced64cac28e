"""Validation of a model on held-out clips, through real bitstreams, beside libx264 and libx265.

The trainer starts it as a process of its own, so that training goes on meanwhile.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ui2c.decoder import Decoder
from ui2c.encoder import Encoder
from ui2c.picture.frames import YUV420
from ui2c.train.anchors import LOW_DELAY, Curve, anchor_curves, bd_rate, clip_psnr
from ui2c.train.data.contact_sheet import to_rgb
from ui2c.train.data.validation import Clip, validation_clips
from ui2c.train.logs import RunLog
from ui2c.unit.planes import Planes

QPS = (8, 20, 32, 44, 56)
FRAMES = 48
"""Long enough that coding frame after frame counts, not the first one."""


def code(clip: Clip, model: str, qp: int) -> tuple[dict[str, float], list[Planes]]:
    """Rate and quality of one clip, written and decoded again; and the decoded frames."""
    frames = [YUV420(*planes) for planes in zip(*clip, strict=True)]
    encoder = Encoder(qp=qp, model=model, device="cpu", threads=1)
    data = encoder.encode(frames)
    decoded = [frame.planes for frame in Decoder(model=model, device="cpu", threads=1).decode(data)]
    units = encoder.statistics.units
    pixels = clip[0].size
    tail = 8 * sum(unit.stream_bytes for unit in units[1:])
    first, last = ([planes[k : k + 2] for planes in clip] for k in (0, len(frames) - 2))
    result = {
        "bpp": 8 * len(data) / pixels,
        "inter_bpp": tail / (pixels * (1 - 2 / len(frames))),
        "motion_share": sum(unit.motion_bytes for unit in units) / len(data),
        "psnr": clip_psnr(clip, decoded),
        "psnr_first": clip_psnr((first[0], first[1], first[2]), decoded[:2]),
        "psnr_last": clip_psnr((last[0], last[1], last[2]), decoded[-2:]),
    }
    return {key: round(value, 5) for key, value in result.items()}, decoded


def side_by_side(clip: Clip, decoded: list[Planes]) -> NDArray[np.uint8]:
    """The last frame of a clip above what was decoded of it, in RGB."""
    frames = [tuple(plane[-1] for plane in clip), decoded[-1]]
    packed = np.stack([np.concatenate([plane.ravel() for plane in f]) for f in frames])
    return np.concatenate(list(to_rgb(packed, clip[0].shape[1])))


def validate(
    model: str,
    folder: Path,
    cache: Path,
    *,
    frames: int = FRAMES,
    size: int = 192,
    per_video: int = 2,
    qps: Sequence[int] = QPS,
) -> tuple[list[dict[str, float]], dict[str, float], NDArray[np.uint8]]:
    """Codes the validation clips of `folder` at each qp and compares with the anchors.

    Returns a row of means over the clips per qp; BD-rates in % against each codec of `LOW_DELAY`,
    as a mean and by video; and a sheet of pictures at the middle qp. `cache` is a folder that
    keeps the clips and the anchors' curves.
    """
    videos = validation_clips(folder, size=size, frames=frames, per_video=per_video, cache=cache)
    clips = [clip for video in videos.values() for clip in video]
    curves: list[Curve] = [[] for _ in clips]
    rows: list[dict[str, float]] = []
    for qp in qps:
        results = [code(clip, model, qp) for clip in clips]
        for curve, (result, _) in zip(curves, results, strict=True):
            curve.append((result["bpp"], result["psnr"]))
        names = results[0][0]
        rows.append(
            {"qp": qp, **{k: round(float(np.mean([r[k] for r, _ in results])), 5) for k in names}}
        )
        if qp == qps[len(qps) // 2]:
            pairs = zip(clips, results, strict=True)
            sheet = np.concatenate([side_by_side(c, decoded) for c, (_, decoded) in pairs], axis=1)
    rates: dict[str, float] = {}
    for name in LOW_DELAY:
        anchors = anchor_curves(name, clips, cache)
        each = [bd_rate(a, c) for a, c in zip(anchors, curves, strict=True)]
        rates[name] = mean_of_known(each)
        for k, video in enumerate(videos):
            part = each[k * per_video : (k + 1) * per_video]
            rates[f"{name}_{video}"] = mean_of_known(part)
    return rows, rates, sheet


def mean_of_known(rates: list[float]) -> float:
    """The mean of those that are not NaN; NaN if there are none."""
    known = [rate for rate in rates if not np.isnan(rate)]
    return round(sum(known) / len(known), 2) if known else float("nan")


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
    records = RunLog(arguments.output)
    rows, rates, sheet = validate(arguments.model, arguments.folder, arguments.output)
    for row in rows:
        qp = row.pop("qp")
        records.row(f"validation-qp{qp:02.0f}", arguments.step, row)
    records.row("bd-rate", arguments.step, rates)
    records.picture("samples", arguments.step, sheet)
    text = " ".join(f"{key} {value:+.1f} %" for key, value in rates.items())
    print(f"validation at step {arguments.step}: BD-rate against {text}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
