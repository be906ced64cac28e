"""Rate and quality of real files over a folder of clips, with x264 beside them.

    python benches/rate_quality.py CLIPS... [--model small] [--frames N] [--csv OUT]

Every number comes from a file that was written and decoded again. bpp counts the whole file; for
x264 it is the bare H.264 stream, without a container. PSNR is the mean over frames.
"""

import argparse
import csv
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import ui2c
from ui2c.frames import YUV420
from ui2c.video import open_source

QPS = (8, 20, 32, 44, 56)
CRFS = (18, 23, 28, 33, 38, 43)
X264 = "-c:v libx264 -preset medium -tune psnr -bf 0 -g 9999 -sc_threshold 0".split()  # noqa: SIM905


def psnr(a: YUV420, b: YUV420) -> list[float]:
    """PSNR of Y, U and V, dB; 8-bit peak."""
    values = []
    for x, y in zip((a.y, a.u, a.v), (b.y, b.u, b.v), strict=True):
        error = np.mean((x.astype(np.float64) - y.astype(np.float64)) ** 2)
        values.append(10 * np.log10(255**2 / max(error, 1e-10)))
    return values


def summary(source: list[YUV420], decoded: Iterable[YUV420]) -> dict[str, float]:
    """Mean PSNR of each plane and weighted 6:1:1."""
    means = np.mean([psnr(a, b) for a, b in zip(source, decoded, strict=True)], axis=0)
    y, u, v = (float(m) for m in means)
    return {"psnr_y": y, "psnr_u": u, "psnr_v": v, "psnr": (6 * y + u + v) / 8}


def run_ui2c(source: list[YUV420], model: str, qp: int, threads: int) -> dict[str, float]:
    """Encodes to bytes, decodes them, and times both (I/O and metrics excluded)."""
    encoder = ui2c.Encoder(qp=qp, model=model, device="cpu", threads=threads)
    began = time.perf_counter()
    data = encoder.encode(source)
    encoded = time.perf_counter()
    decoded = ui2c.Decoder(device="cpu", threads=threads).decode(data)
    done = time.perf_counter()
    pixels = len(source) * source[0].y.size
    units = encoder.statistics.units
    return {
        "bytes": len(data),
        "bpp": len(data) * 8 / pixels,
        "motion_share": sum(unit.motion_bytes for unit in units) / len(data),
        "real_over_estimate": sum(unit.stream_bytes for unit in units)
        / sum(unit.estimated_bytes for unit in units),
        **summary(source, decoded),
        "enc_fps": len(source) / (encoded - began),
        "dec_fps": len(source) / (done - encoded),
    }


def run_x264(clip: Path, source: list[YUV420], crf: int, folder: Path) -> dict[str, float]:
    """Encodes the same frames with ffmpeg's libx264, low-delay, and decodes them again."""
    stream = folder / "x264.264"
    command = ["ffmpeg", "-v", "error", "-y", "-threads", "1", "-i", str(clip)]
    command += [
        "-frames:v",
        str(len(source)),
        *X264,
        "-crf",
        str(crf),
        "-threads",
        "1",
        str(stream),
    ]
    began = time.perf_counter()
    subprocess.run(command, check=True)
    seconds = time.perf_counter() - began
    decoded = [frame for frame, _ in zip(open_source(stream), source, strict=False)]
    size = stream.stat().st_size
    return {
        "bytes": size,
        "bpp": size * 8 / (len(source) * source[0].y.size),
        **summary(source, decoded),
        "enc_fps": len(source) / seconds,
    }


def bd_rate(anchor: list[dict[str, float]], test: list[dict[str, float]]) -> float:
    """Mean rate difference at equal 6:1:1 PSNR, %: log rate, piecewise linear, over the overlap."""

    def curve(points: list[dict[str, float]]) -> tuple[np.ndarray, np.ndarray]:
        ordered = sorted((p["psnr"], np.log(p["bpp"])) for p in points)
        return np.array([o[0] for o in ordered]), np.array([o[1] for o in ordered])

    (qa, ra), (qt, rt) = curve(anchor), curve(test)
    grid = np.linspace(max(qa[0], qt[0]), min(qa[-1], qt[-1]), 200)
    difference = np.mean(np.interp(grid, qt, rt) - np.interp(grid, qa, ra))
    return float((np.exp(difference) - 1) * 100)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--model", default="small")
    parser.add_argument("--frames", type=int, default=96)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--csv", type=Path)
    arguments = parser.parse_args()

    version = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True).stdout
    names = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    processor = names[0] if names else platform.processor()
    print(f"# {processor}, {arguments.threads} thread(s), ui2c {ui2c.__version__},", end=" ")
    print(f"model {arguments.model}, {version.splitlines()[0]}; x264: {' '.join(X264)} -crf N")
    rows, differences = [], []
    for clip in arguments.clips:
        source = [f for f, _ in zip(open_source(clip), range(arguments.frames), strict=False)]
        curves: dict[str, list[dict[str, float]]] = {"ui2c": [], "x264": []}
        with tempfile.TemporaryDirectory() as folder:
            for qp in QPS:
                curves["ui2c"].append(run_ui2c(source, arguments.model, qp, arguments.threads))
                rows.append({"clip": clip.stem, "codec": "ui2c", "q": qp, **curves["ui2c"][-1]})
                print(line(rows[-1]), flush=True)
            for crf in CRFS:
                curves["x264"].append(run_x264(clip, source, crf, Path(folder)))
                rows.append({"clip": clip.stem, "codec": "x264", "q": crf, **curves["x264"][-1]})
                print(line(rows[-1]), flush=True)
        differences.append(bd_rate(curves["x264"], curves["ui2c"]))
        print(f"{clip.stem}: BD-rate against x264 {differences[-1]:+.1f} %", flush=True)
    print(f"mean BD-rate against x264 {statistics.mean(differences):+.1f} %")
    if arguments.csv:
        names = list(dict.fromkeys(key for row in rows for key in row))
        with arguments.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)
    return 0


def line(row: dict[str, float | str]) -> str:
    """One row as text."""
    parts = [f"{row['clip']:<22} {row['codec']} {row['q']:>2}"]
    for key, form in (
        ("bpp", "{:.4f} bpp"), ("motion_share", "motion {:5.1%}"),
        ("real_over_estimate", "real/estimate {:.4f}"), ("psnr_y", "Y {:.2f}"),
        ("psnr_u", "U {:.2f}"), ("psnr_v", "V {:.2f}"), ("psnr", "6:1:1 {:.2f} dB"),
        ("enc_fps", "enc {:.1f}"), ("dec_fps", "dec {:.1f} fps"),
    ):  # fmt: skip
        if key in row:
            parts.append(form.format(row[key]))
    return "  ".join(parts)


if __name__ == "__main__":
    sys.exit(main())
