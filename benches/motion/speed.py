"""Frames per second of motion search and compensation, per effort and instruction level.

    python benches/motion/speed.py CLIP --size 1920x1080

CLIP is anything PyAV reads; it is scaled to the size first. One thread. Times are of the processor,
not of the clock, so that other work on the machine counts less; medians over the repetitions.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

ARM = platform.machine() in ("aarch64", "arm64")
LEVELS = ("scalar", "neon") if ARM else ("scalar", "avx2", "avx512")
EFFORTS = ("fast", "default", "slow")


def read(path: str, size: tuple[int, int], first: int) -> NDArray[np.uint8]:
    """A reference and the two frames after it, as rows of Y, U and V."""
    import av

    frames = []
    with av.open(path) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index >= first:
                scaled = frame.reformat(*size, format="yuv420p", interpolation="BICUBIC")
                frames.append(scaled.to_ndarray())
            if len(frames) == 3:
                return np.stack(frames)
    raise SystemExit(f"{path} has fewer than {first + 3} frames")


def planes(frame: NDArray[np.uint8], size: tuple[int, int]) -> tuple[NDArray[np.uint8], ...]:
    width, height = size
    chroma = frame[height:].reshape(2, height // 2, width // 2)
    return tuple(np.ascontiguousarray(p) for p in (frame[:height], *chroma))


def timed(repeat: int, call: Any) -> tuple[float, Any]:
    times = []
    for _ in range(repeat):
        start = time.process_time()
        result = call()
        times.append(time.process_time() - start)
    return median(times), result


def measure(path: str, size: tuple[int, int], repeat: int, lagrangian: float) -> dict[str, Any]:
    from ui2c import _core

    frames = np.load(path)
    reference = planes(frames[0], size)
    luma = np.stack([planes(frame, size)[0] for frame in frames[1:]])
    rows: dict[str, Any] = {}
    for effort in EFFORTS:
        seconds, (step, vectors) = timed(
            repeat,
            lambda effort=effort: _core.search_motion(
                reference[0], luma, lagrangian=lagrangian, effort=effort
            ),
        )
        compensation, predicted = timed(
            3 * repeat,
            lambda step=step, vectors=vectors: _core.compensate(reference, step, vectors),
        )
        error = np.mean(
            [np.square(p[0].astype(float) - y).mean() for p, y in zip(predicted, luma, strict=True)]
        )
        rows[effort] = {
            "step": step,
            "search": 2 / seconds,
            "compensation": 2 / compensation,
            "psnr": float(10 * np.log10(65025 / max(error, 1e-9))),
            "bits": _core.motion_bits(vectors) if step else 0.0,
        }
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip")
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--first", type=int, default=20, help="index of the reference (20)")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--lagrangian", type=float, default=60.0)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    if options.one:
        rows = measure(options.clip, (width, height), options.repeat, options.lagrangian)
        print(json.dumps(rows))
        return
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    print(f"{platform.platform()}, commit {commit.stdout.strip()}, {options.size}, one thread\n")
    print("| level | effort | step | search fps | compensation fps | PSNR Y | field bits |")
    print("|---|---|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        frames = Path(folder) / "frames.npy"
        np.save(frames, read(options.clip, (width, height), options.first))
        for level in LEVELS:
            command = [sys.executable, __file__, str(frames), "--one", "--size", options.size]
            command += ["--repeat", str(options.repeat), "--lagrangian", str(options.lagrangian)]
            environment = {**os.environ, "UI2C_CPU": level, "RAYON_NUM_THREADS": "1"}
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=True
            )
            for effort, row in json.loads(done.stdout).items():
                print(
                    f"| {level} | {effort} | {row['step']} | {row['search']:.1f} | "
                    f"{row['compensation']:.0f} | {row['psnr']:.2f} | {row['bits']:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
