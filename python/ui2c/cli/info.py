"""ui2c info FILE, ui2c info --model NAME."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Iterator
from fractions import Fraction
from typing import BinaryIO

from ui2c import _core
from ui2c.cli import plot
from ui2c.cli.common import Commands, Help, UsageError, check_paths
from ui2c.cli.decode import describe
from ui2c.cli.standard import printable
from ui2c.files import check_output, open_input
from ui2c.video.source import reading

CHUNK = 1 << 16

EXAMPLES = """\
examples:
  ui2c info clip.ui2c
  ui2c info clip.ui2c --plot clip.html
  ui2c info --model small"""


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser(
        "info",
        formatter_class=Help,
        epilog=EXAMPLES,
        help="what a stream or a model holds",
        description="Shows what a ui2c stream says, without decoding it, and checks its "
        "checksums; or the parts of a model and what they cost.",
    )
    parser.add_argument("input", metavar="FILE", nargs="?", help="a stream; - is standard input")
    parser.add_argument("--model", metavar="M", help="a shipped model or a weights file")
    parser.add_argument("--units", action="store_true", help="a line per unit of the stream")
    parser.add_argument(
        "--plot", metavar="HTML", help="write a page with rate and qp over time, for browsers"
    )
    parser.add_argument("-y", "--yes", action="store_true", help="overwrite an existing file")
    parser.add_argument("-v", "--verbose", action="store_true", help="traceback with errors")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    if (arguments.input is None) == (arguments.model is None):
        raise UsageError("info wants either a FILE or --model")
    if arguments.plot:
        if arguments.input is None:
            raise UsageError("--plot goes with a FILE")
        check_paths(arguments.input, arguments.plot)
        check_output(arguments.plot, overwrite=arguments.yes)
    if arguments.model is not None:
        for line in model_lines(arguments.model):
            print(line)
    else:
        with open_input(arguments.input) as file:
            show(file, arguments)
    return 0


def show(file: BinaryIO, arguments: argparse.Namespace) -> None:
    """Prints, and plots what can be read even where damage follows."""
    seen: list[_core.Unit] = []
    try:
        with reading(arguments.input):
            print_stream(file, arguments.units, seen if arguments.plot else None)
    finally:
        headers = [unit.header for unit in seen if isinstance(unit, _core.SequenceUnit)]
        if headers:
            title = os.path.basename(arguments.input)
            moments = plot.of_units(headers[0], seen)
            plot.write(arguments.plot, title, moments, overwrite=arguments.yes)


def print_stream(file: BinaryIO, with_units: bool, seen: list[_core.Unit] | None = None) -> None:
    """Prints what is found as it is found, so that a damaged stream shows its good part."""
    header = None
    total = frames = 0
    counts = {"intra": 0, "inter": 0}
    sizes = {"intra": 0, "inter": 0}
    qps: set[int] = set()
    ticks = 0
    for unit in units(file):
        total = unit.offset + unit.size
        if seen is not None:
            seen.append(unit)
        match unit:
            case _core.SequenceUnit() if header is None:
                header = unit.header
                for line in header_lines(header):
                    print(line)
            case _core.MetadataUnit():
                print(field("metadata", f"{unit.key}: {unit.value}"))
            case _core.CodedUnit():
                kind = kind_of(unit)
                counts[kind] += 1
                sizes[kind] += unit.size
                frames += unit.shown
                qps.add(unit.qp)
                ticks += sum(unit.ticks or ())
        if with_units:
            print(unit_line(unit))
    if header is None:
        return
    print(field("frames", f"{frames} in {sum(counts.values())} units"))
    for kind, count in counts.items():
        print(field(f"{kind} units", f"{count}, {sizes[kind]} bytes"))
    if qps:
        print(field("qp", str(min(qps)) if len(qps) == 1 else f"{min(qps)} to {max(qps)}"))
    print(field("bytes", f"{total}"))
    seconds = Fraction(*header.timebase) * (frames * header.frame_ticks or ticks)
    if frames and seconds:
        print(field("duration", f"{float(seconds):.3f} s"))
        print(
            field(
                "rate",
                f"{float(8 * total / seconds) / 1000:.2f} kbit/s, "
                f"{8 * total / (frames * header.width * header.height):.5f} bit/pixel",
            )
        )
    print(field("checksums", "all right"))


def units(file: BinaryIO) -> Iterator[_core.Unit]:
    """The units of a stream; an error of `ui2c.errors` where it is damaged."""
    parser = _core.Parser()
    while piece := file.read(CHUNK):
        parser.feed(piece)
        yield from iter(parser.next_unit, None)
    parser.close()
    yield from iter(parser.next_unit, None)


def field(name: str, value: str) -> str:
    return f"{name:<14} {printable(value)}"


def header_lines(header: _core.SequenceHeader) -> list[str]:
    video = describe(header)
    reach = "full" if header.full_range else "limited"
    timing = "a time for every frame" if video.fps is None else f"{float(video.fps):.6g} frames/s"
    return [
        field("size", f"{header.width}x{header.height}, 4:2:0, {header.bit_depth} bits"),
        field(
            "colour",
            f"CICP primaries {header.color_primaries}, transfer {header.transfer}, "
            f"matrix {header.matrix}, {reach} range",
        ),
        field("timing", f"{timing}, timebase {video.timebase} s"),
        field("sample aspect", "{}:{}".format(*header.sample_aspect)),
        field("model id", header.model_id.hex()),
        field("unit", f"{header.frames_per_unit} frames"),
        field("delay", delay(header)),
    ]


def delay(header: _core.SequenceHeader) -> str:
    """How long a frame waits for others before it can be coded."""
    frames = header.frames_per_unit - 1
    if not frames:
        return "none"
    timing = describe(header)
    time = "" if timing.fps is None else f", {1000 * frames / float(timing.fps):.4g} ms"
    return f"{frames} frame{time}: the first of a unit waits for the second"


def unit_line(unit: _core.Unit) -> str:
    parts = [f"{unit.offset:>10} {kind_of(unit):<8} {unit.size:>8} bytes"]
    if isinstance(unit, _core.CodedUnit):
        parts.append(f"qp {unit.qp} shown {unit.shown}")
        parts.append(f"motion {unit.motion_step or 'none'} lanes {1 << unit.log2_lanes}")
    if isinstance(unit, _core.CodedUnit | _core.EndUnit) and unit.feature_hash is not None:
        parts.append(f"hash {unit.feature_hash:08x}")
    if isinstance(unit, _core.CodedUnit) and unit.ticks is not None:
        parts.append(f"ticks {' '.join(map(str, unit.ticks))}")
    return " ".join(parts)


def kind_of(unit: _core.Unit) -> str:
    """What docs/bitstream.md calls the unit."""
    match unit:
        case _core.SequenceUnit():
            return "sequence"
        case _core.CodedUnit():
            return "intra" if unit.intra else "inter"
        case _core.MetadataUnit():
            return "metadata"
        case _core.EndUnit():
            return "end"
        case _core.IndexUnit():
            return "index"
    return "unknown"


def model_lines(name: str) -> Iterator[str]:
    """Configuration, and parameters and kMAC per pixel and frame of every module."""
    from ui2c.network.load import load_model
    from ui2c.runtime import need_torch

    need_torch("counting a model's operations")
    from ui2c.network.complexity import table

    model = load_model(name)
    yield field("model id", model.model_id.hex())
    for key, value in dataclasses.asdict(model.config).items():
        yield field(key, str(value))
    yield ""
    yield f"{'module':<24} {'weights':>12} {'kMAC/pixel':>12}  encoder  decoder"
    encoder = decoder = 0.0
    weights = 0
    for module, count, macs, in_encoder, in_decoder in table(model.config):
        weights += count
        encoder += macs if in_encoder else 0
        decoder += macs if in_decoder else 0
        marks = f"{'x' if in_encoder else '':^7}  {'x' if in_decoder else '':^7}"
        yield f"{module:<24} {count:>12,} {macs / 1000:>12.3f}  {marks}".rstrip()
    yield f"{'total':<24} {weights:>12,} {'':>12}  {encoder / 1000:^7.2f}  {decoder / 1000:^7.2f}"
