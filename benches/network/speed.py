"""Frames per second of coding with `small`, beside PyTorch and the usual encoders.

    python benches/network/speed.py CLIP [--frames 24] [--threads 1] [--base CHECKOUT]

CLIP is anything that PyAV reads. Each coder runs in a process of its own, in turn, as often as
`--repeat` says; figures are medians. With one thread times are of the processor, so that other work
on the machine counts less, else of the clock. CHECKOUT is that of another commit with its native
extension built in place, as of 0ef8bde, the last that ran float32 networks by PyTorch.

The ceiling is what the products alone would take, with operands in the first cache
(`cargo run --release -p ui2c-core --example network` prints it: give it with `--bare`, in GMAC/s).
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any

import av
import numpy as np
from ui2c.network.complexity import table
from ui2c.network.load import load_model

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LEVELS = ("scalar", "avx2", "avx512", "neon")


def read(path: str, frames: int) -> tuple[dict[str, Any], list[av.VideoFrame]]:
    kept: list[av.VideoFrame] = []
    with av.open(path) as container:
        for frame in container.decode(video=0):
            kept.append(frame.reformat(format="yuv420p"))
            if len(kept) == frames:
                break
    planes = [[], [], []]  # type: ignore[var-annotated]
    for frame in kept:
        packed, h = frame.to_ndarray(), frame.height
        chroma = packed[h:].reshape(2, h // 2, frame.width // 2)
        for to, plane in zip(planes, (packed[:h], *chroma), strict=True):
            to.append(plane)
    return dict(zip("yuv", map(np.stack, planes), strict=True)), kept


def coder(clip: Path, threads: int, checkout: Path, *more: str, level: str = "") -> dict[str, Any]:
    """What `coder.py` measures with the code of a checkout."""
    environment = os.environ | {
        "PYTHONPATH": str(checkout / "python"),
        "OMP_NUM_THREADS": str(threads),
    }
    if level:
        environment["UI2C_CPU"] = level
    command = [sys.executable, str(HERE / "coder.py"), str(clip), str(clip.with_suffix(".ui2c"))]
    done = subprocess.run(
        [*command, "--threads", str(threads), *more],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def peer(name: str, frames: list[av.VideoFrame], threads: int) -> dict[str, Any]:
    """x264 or x265, medium, low delay, at a usual quality."""
    options = {"preset": "medium", "crf": "28", "threads": str(threads)}
    if name == "libx265":
        options = {"preset": "medium", "crf": "28"}
        options["x265-params"] = f"pools={threads}:frame-threads=1:bframes=0:log-level=0"
    else:
        options["tune"] = "zerolatency"
    encoder = av.CodecContext.create(name, "w")
    encoder.width, encoder.height = frames[0].width, frames[0].height
    encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1, 25)
    encoder.options = options
    results: dict[str, Any] = {}
    wall, processor = time.perf_counter(), time.process_time()
    packets = []
    for number, frame in enumerate(frames):
        frame.pts, frame.time_base = number, encoder.time_base
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    results["encode"] = {
        "wall": time.perf_counter() - wall,
        "processor": time.process_time() - processor,
    }
    decoder = av.CodecContext.create("h264" if name == "libx264" else "hevc", "r")
    decoder.thread_count = threads
    wall, processor = time.perf_counter(), time.process_time()
    shown = sum(len(decoder.decode(packet)) for packet in [*packets, None])
    results["decode"] = {
        "wall": time.perf_counter() - wall,
        "processor": time.process_time() - processor,
    }
    if shown != len(frames):
        raise SystemExit(f"{name}: {shown} of {len(frames)} frames")
    return results | {"frames": shown, "bytes": sum(packet.size for packet in packets)}


def processor_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(": ")[1]
    return platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("clip")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--levels", nargs="*", default=[""], choices=LEVELS)
    parser.add_argument("--torch", action="store_true", help="the twin, too: slow")
    parser.add_argument("--base", type=Path)
    parser.add_argument("--bare", type=float)
    arguments = parser.parse_args()
    planes, frames = read(arguments.clip, arguments.frames)
    _, height, width = planes["y"].shape
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    print(f"{processor_name()}, {arguments.threads} of {os.cpu_count()} threads, commit {commit}")
    print(f"{Path(arguments.clip).name}: {len(frames)} frames of {width} x {height}, "
          f"medians of {arguments.repeat}")  # fmt: skip

    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.npz"
        np.savez(clip, **planes)
        threads = arguments.threads
        runs: dict[str, Any] = {
            f"ui2c {level or 'chosen'}": lambda level=level: coder(clip, threads, ROOT, level=level)
            for level in arguments.levels
        }
        if arguments.torch:
            runs["ui2c by PyTorch"] = lambda: coder(clip, threads, ROOT, "--torch")
        if arguments.base:
            runs[f"base {arguments.base.name}"] = lambda: coder(clip, threads, arguments.base)
        for name in ("libx264", "libx265"):
            runs[name] = lambda name=name: peer(name, frames, threads)
        results: dict[str, list[Any]] = {name: [] for name in runs}
        for _ in range(arguments.repeat):
            for name, run in runs.items():
                results[name].append(run())

    clock = "processor" if threads == 1 else "wall"
    print(f"{'coder':20} {'decode':>8} {'encode':>8}  frames/s    bytes  peak MB  frames' hash")
    for name, measured in results.items():
        speeds = [
            len(frames) / median(result[way][clock] for result in measured)
            for way in ("decode", "encode")
        ]
        last = measured[-1]
        print(f"{name:20} {speeds[0]:8.2f} {speeds[1]:8.2f}  {'':8} {last['bytes']:8} "
              f"{last.get('peak_mb', 0):8.0f}  {last.get('sha256', '')}")  # fmt: skip
    if arguments.bare:
        rows = table(load_model("small").config)
        # Sizes as they are coded.
        pixels = -(-width // 16) * 16 * (-(-height // 16) * 16)
        for way in ("decode", "encode"):
            macs = sum(row.macs_per_pixel for row in rows if getattr(row, f"in_{way}r")) * pixels
            most = arguments.bare * 1e9 / macs
            print(f"{way}: {macs / 1e9:.2f} GMAC a frame, at most {most:.1f} frames/s a thread")


if __name__ == "__main__":
    main()
