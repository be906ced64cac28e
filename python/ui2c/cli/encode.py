"""ui2c encode IN OUT."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from ui2c.cli.common import (
    INTERRUPTED,
    Commands,
    Help,
    UsageError,
    check_paths,
    note,
    progress,
    usage_errors,
)
from ui2c.cli.encode_options import (
    add_options,
    check_target,
    encoder_options,
    selected,
    source_options,
)
from ui2c.cli.encode_segments import encode_in_segments
from ui2c.cli.report import CsvReport, finish
from ui2c.cli.signals import Interrupt
from ui2c.control.rate import typical_qp
from ui2c.encoder import Encoder
from ui2c.files import OutputFile, check_output, is_rereadable
from ui2c.picture.frames import YUV420
from ui2c.runtime import limit_threads
from ui2c.video import Description, Source, open_sink, open_source
from ui2c.video.ahead import ahead
from ui2c.video.intact import Intact
from ui2c.video.sink import CONTAINERS

EXAMPLES = """\
examples:
  ui2c encode holiday.mp4 holiday.ui2c
  ui2c encode in.y4m out.ui2c --qp 24 --psnr          better, and say how good
  ui2c encode in.mp4 out.ui2c --bitrate 500k          for a line of that width
  ui2c encode in.mp4 out.ui2c --size 20M              as good as 20 MB allow
  ui2c encode in.mp4 out.ui2c --keyint 50 --scenecut  quick to seek in
  ui2c encode long.mp4 out.ui2c --jobs 8              on eight cores
  ffmpeg -i in.mov -f yuv4mpegpipe - | ui2c encode - out.ui2c
  ui2c encode in.yuv out.ui2c --input-res 1920x1080 --fps 50"""


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser(
        "encode",
        formatter_class=Help,
        epilog=EXAMPLES,
        help="video to ui2c",
        description="Encodes a video. IN is y4m, yuv (with --input-res), or anything that PyAV "
        "reads; - is standard input (y4m, or raw with --input-res) and output. Ctrl-C ends the "
        "output properly after the frames coded so far.",
    )
    add_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    check_paths(arguments.input, arguments.output, arguments.recon, arguments.csv, arguments.plot)
    if Path(arguments.output).suffix.lower() in (".y4m", ".yuv", *CONTAINERS):
        raise UsageError(
            f"{arguments.output}: what is written is a ui2c stream, so name it .ui2c (ui2c decode "
            "makes such videos)"
        )
    check_target(arguments)
    limit_threads(arguments.threads)
    with ExitStack() as stack:
        source = _open(arguments, stack)
        for text in source.notes:
            note(text, quiet=arguments.quiet)
        return _encode(arguments, source, stack)


def _open(arguments: argparse.Namespace, stack: ExitStack) -> Source:
    with usage_errors():
        source = open_source(arguments.input, **source_options(arguments))
    stack.enter_context(closing(source))
    return source


def _encode(arguments: argparse.Namespace, source: Source, stack: ExitStack) -> int:
    video = source.description
    output = OutputFile(arguments.output, overwrite=arguments.yes)
    stack.callback(output.discard)
    if arguments.plot:
        # Refused now, not after the work.
        check_output(arguments.plot, overwrite=arguments.yes)
    report = CsvReport(arguments.csv, overwrite=arguments.yes) if arguments.csv else None
    if report:
        stack.callback(report.file.discard)
    total = _expected(video.frames, arguments.skip, arguments.frames)
    options = encoder_options(arguments, video)
    with usage_errors():
        recon = (
            open_sink(arguments.recon, video, overwrite=arguments.yes) if arguments.recon else None
        )
        if recon:
            stack.callback(recon.discard)
        options.update(_target(arguments, video, total))
        if arguments.segments:
            return encode_in_segments(arguments, source, options, total, output, report)
        encoder = Encoder(**options, reconstruction=recon.write if recon else None)
    with Interrupt() as interrupt:
        if arguments.passes == 2:
            first = Encoder(**options | {"model": encoder.model, "psnr": False})
            target = _first_pass(arguments, first, total, stack, interrupt)
            if interrupt.requested:
                note("interrupted in the first pass: nothing is written", quiet=arguments.quiet)
                return INTERRUPTED
            encoder = Encoder(
                **options | {"qp": None, "model": encoder.model} | target,
                reconstruction=recon.write if recon else None,
            )
        shown = progress(arguments, frames=total, step="pass 2" if arguments.passes == 2 else None)
        stack.callback(shown.close)
        intact = Intact(selected(arguments, source))
        frames: Iterable[YUV420] = intact
        if not is_rereadable(arguments.input):
            frames = ahead(frames, lambda: interrupt.requested)
        for frame in frames:
            if interrupt.requested:
                break
            output.write(encoder.push(frame))
            statistics = encoder.statistics
            if report:
                report.write(statistics.units)
            shown.update(statistics.frames, rate=statistics.kbits_per_second)
        output.write(encoder.flush())
    statistics = encoder.statistics
    output.commit()
    if recon:
        recon.close()
    interrupted = interrupt.requested
    return finish(
        arguments,
        statistics,
        report,
        shown,
        intact.damage,
        source.losses,
        interrupted=interrupted,
    )


def _target(arguments: argparse.Namespace, video: Description, total: int | None) -> dict[str, Any]:
    """What the only pass aims at, or the qp of the first of two."""
    if arguments.bitrate is None and arguments.size is None:
        return {"qp": arguments.qp}
    seconds = float(total / video.fps) if total and video.fps else None
    if arguments.passes == 1:
        return {
            "bitrate": arguments.bitrate,
            "buffer": arguments.buffer,
            "duration": seconds,
            "qp_range": arguments.qp_range,
        }
    bits = 8 * arguments.size if arguments.size else arguments.bitrate * (seconds or 0)
    if not bits or not total:
        return {}
    return {"qp": typical_qp(bits / (total * video.width * video.height))}


def _first_pass(
    arguments: argparse.Namespace,
    encoder: Encoder,
    total: int | None,
    stack: ExitStack,
    interrupt: Interrupt,
) -> dict[str, Any]:
    """Codes all frames once; what the second pass aims at."""
    frames = Intact(selected(arguments, _open(arguments, stack)))
    with closing(progress(arguments, frames=total, step="pass 1")) as shown:
        for frame in frames:
            if interrupt.requested:
                break
            encoder.push(frame)
            shown.update(encoder.statistics.frames)
    encoder.flush()
    statistics = encoder.statistics
    size = arguments.size or round(arguments.bitrate * statistics.seconds / 8)
    low, high = arguments.qp_range
    return {"size": max(size, 1), "first_pass": statistics, "qp_range": (low, high)}


def _expected(frames: int | None, skip: int, wanted: int | None) -> int | None:
    """How many frames will be coded, if known."""
    if frames is None:
        return wanted
    left = max(0, frames - skip)
    return left if wanted is None else min(left, wanted)
