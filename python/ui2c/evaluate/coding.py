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
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from ui2c.build import build_info
from ui2c.decoder import Decoder
from ui2c.encoder import Encoder
from ui2c.runtime import limit_threads
from ui2c.video import Description, open_sink, open_source


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
    seconds = 0.0
    with arguments.output.open("wb") as file:
        for frame in itertools.islice(source, arguments.frames):
            began = time.perf_counter()
            data = encoder.push(frame)
            seconds += time.perf_counter() - began
            file.write(data)
        began = time.perf_counter()
        data = encoder.flush()
        seconds += time.perf_counter() - began
        file.write(data)
    statistics = encoder.statistics
    return {
        "seconds": seconds,
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
    from ui2c.network.model import load_model
    from ui2c.runtime import resolve_device

    decoder = Decoder(
        model=load_model(arguments.model, resolve_device(arguments.device)),
        device=arguments.device,
        threads=arguments.threads,
    )
    data = arguments.input.read_bytes()
    seconds = 0.0
    sink = None
    frames = decoder.decode_iter(data)
    began = time.perf_counter()
    for frame in frames:
        seconds += time.perf_counter() - began
        if sink is None:
            sink = open_sink(
                arguments.output, Description(frame.width, frame.height, frame.bit_depth)
            )
        sink.write(frame)
        began = time.perf_counter()
    if sink is not None:
        sink.close()
    return {"seconds": seconds}


if __name__ == "__main__":
    sys.exit(main())
