"""Coding a raw clip in a process of its own, timed without loading and files.

python -m ui2c.evaluate.coding encode IN.yuv OUT.ui2c --size WxH --qp N --report FILE …
python -m ui2c.evaluate.coding decode IN.ui2c OUT.yuv --report FILE …
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ui2c.build import build_info
from ui2c.decoder import Decoder
from ui2c.encoder import Encoder
from ui2c.runtime import limit_threads
from ui2c.video import Description, open_sink, open_source

T = TypeVar("T")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    coding = commands.add_parser("encode")
    coding.add_argument("--size", required=True)
    coding.add_argument("--bit-depth", type=int, default=8)
    coding.add_argument("--fps", type=Fraction, default=Fraction(25))
    coding.add_argument("--frames", type=int)
    coding.add_argument("--qp", type=int, required=True)
    coding.add_argument("--keyint", type=int, default=0)
    coding.set_defaults(run=encode)
    commands.add_parser("decode").set_defaults(run=decode)
    for command in commands.choices.values():
        command.add_argument("input", type=Path)
        command.add_argument("output", type=Path)
        command.add_argument("--model", default="small")
        command.add_argument("--device", default="cpu")
        command.add_argument("--threads", type=int, default=1)
        command.add_argument("--report", type=Path, required=True)
    arguments = parser.parse_args(argv)
    limit_threads(arguments.threads)
    arguments.report.write_text(json.dumps(arguments.run(arguments)))
    return 0


def encode(arguments: argparse.Namespace) -> dict[str, Any]:
    """Encodes; the report has the bits of every frame, a unit's divided evenly."""
    width, height = map(int, arguments.size.split("x"))
    source = open_source(arguments.input, width=width, height=height, bit_depth=arguments.bit_depth)
    encoder = Encoder(
        qp=arguments.qp,
        model=arguments.model,
        device=arguments.device,
        threads=arguments.threads,
        keyint=arguments.keyint,
        fps=arguments.fps,
    )
    watch = Stopwatch()
    with arguments.output.open("wb") as file:
        for frame in itertools.islice(source, arguments.frames):
            file.write(watch(partial(encoder.push, frame)))
        file.write(watch(encoder.flush))
    statistics = encoder.statistics
    return {
        "seconds": watch.seconds,
        "frame_bits": [
            8 * unit.bytes // unit.frames for unit in statistics.units for _ in range(unit.frames)
        ],
        "extra": {
            "motion_share": statistics.motion_bytes / statistics.bytes,
        },
        "versions": {
            "ui2c": build_info()["ui2c"],
            "torch": build_info()["torch"],
            "model": f"{encoder.model.config.name} {encoder.model.model_id.hex()}",
        },
        "notes": ["the bits of a unit are divided evenly among its frames"]
        if encoder.model.config.frames_per_unit > 1
        else [],
    }


def decode(arguments: argparse.Namespace) -> dict[str, Any]:
    """Decodes, with the checks that the stream allows."""
    from ui2c.network.load import load_model
    from ui2c.runtime import resolve_device

    decoder = Decoder(
        model=load_model(arguments.model, resolve_device(arguments.device)),
        device=arguments.device,
        threads=arguments.threads,
    )
    watch = Stopwatch()
    sink = None
    frames = decoder.decode_iter(arguments.input.read_bytes())
    while (frame := watch(partial(next, frames, None))) is not None:
        if sink is None:
            video = Description(frame.width, frame.height, frame.bit_depth)
            sink = open_sink(arguments.output, video)
        sink.write(frame)
    if sink is not None:
        sink.close()
    return {"seconds": watch.seconds}


class Stopwatch:
    """Calls things, and counts the seconds that they take together."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self, work: Callable[[], T]) -> T:
        began = time.perf_counter()
        try:
            return work()
        finally:
            self.seconds += time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
