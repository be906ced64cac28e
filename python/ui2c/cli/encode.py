"""ui2c encode IN OUT."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from ui2c.cli.common import (
    INTERRUPTED,
    Interrupt,
    add_machine_options,
    add_output_options,
    check_paths,
    integer,
    limit_threads,
    note,
    rate,
    size,
    usage_errors,
)
from ui2c.cli.report import CsvReport, summary
from ui2c.encoder import MOTION_EFFORTS, Encoder
from ui2c.files import OutputFile
from ui2c.frames import YUV420
from ui2c.progress import Progress
from ui2c.video import Source, open_sink, open_source, rebased

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser(
        "encode",
        help="video to ui2c",
        description="Encodes a video. IN is y4m, yuv (with --input-res), or anything that PyAV "
        "reads; - is standard input (y4m, or raw with --input-res) and output. Ctrl-C ends the "
        "output properly after the frames coded so far.",
    )
    parser.add_argument("input", metavar="IN")
    parser.add_argument("output", metavar="OUT")
    parser.add_argument(
        "--qp", type=integer(0, 63), default=32, metavar="N", help="0 best … 63 smallest (32)"
    )
    parser.add_argument(
        "--keyint",
        type=integer(0),
        default=0,
        metavar="N",
        help="a random-access point every N frames at least; 0 (default): only the first",
    )
    parser.add_argument(
        "--scenecut", action="store_true", help="a random-access point at every scene cut too"
    )
    parser.add_argument(
        "--model", default="small", metavar="M", help="shipped model or weights file (small)"
    )
    parser.add_argument(
        "--motion",
        choices=MOTION_EFFORTS,
        default="default",
        help="how long to search for motion (default)",
    )
    group = parser.add_argument_group("input")
    group.add_argument("--frames", type=integer(0), metavar="N", help="encode at most N frames")
    group.add_argument("--skip", type=integer(0), default=0, metavar="N", help="first skip N")
    group.add_argument("--input-res", type=size, metavar="WxH", help="size of raw video")
    group.add_argument(
        "--input-depth", type=integer(8, 16), metavar="N", help="bits per sample of raw video (8)"
    )
    group.add_argument("--fps", type=rate, metavar="R", help="frame rate, over what IN says")
    add_machine_options(parser)
    group = parser.add_argument_group("report")
    group.add_argument("--psnr", action="store_true", help="measure PSNR")
    group.add_argument("--csv", metavar="FILE", help="numbers per frame")
    group.add_argument("--recon", metavar="FILE", help="write what a decoder will show")
    add_output_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    check_paths(arguments.input, arguments.output, arguments.recon, arguments.csv)
    limit_threads(arguments.threads)
    width, height = arguments.input_res or (None, None)
    with ExitStack() as stack:
        with usage_errors():
            source = open_source(
                arguments.input,
                width=width,
                height=height,
                bit_depth=arguments.input_depth,
                fps=arguments.fps,
            )
        stack.enter_context(closing(source))
        for text in source.notes:
            note(text, quiet=arguments.quiet)
        return _encode(arguments, source, stack)


def _encode(arguments: argparse.Namespace, source: Source, stack: ExitStack) -> int:
    video = source.description
    output = OutputFile(arguments.output, overwrite=arguments.yes)
    stack.callback(output.discard)
    report = CsvReport(arguments.csv, overwrite=arguments.yes) if arguments.csv else None
    if report:
        stack.callback(report.discard)
    with usage_errors():
        recon = (
            open_sink(arguments.recon, video, overwrite=arguments.yes) if arguments.recon else None
        )
        if recon:
            stack.callback(recon.discard)
        encoder = Encoder(
            qp=arguments.qp,
            model=arguments.model,
            device=arguments.device,
            threads=arguments.threads,
            keyint=arguments.keyint,
            scenecut=arguments.scenecut,
            motion=arguments.motion,
            width=video.width,
            height=video.height,
            bit_depth=video.bit_depth,
            fps=video.fps or 1,
            timebase=video.timebase if video.fps is None else None,
            sample_aspect=video.sample_aspect,
            color=video.color,
            full_range=video.full_range,
            psnr=arguments.psnr,
            reconstruction=recon.write if recon else None,
        )
    total = _expected(video.frames, arguments.skip, arguments.frames)
    progress = Progress(sys.stderr, frames=total, quiet=arguments.quiet)
    stack.callback(progress.close)
    with Interrupt() as interrupt:
        for frame in _selected(source, arguments.skip, arguments.frames):
            output.write(encoder.push(frame))
            statistics = encoder.statistics
            if report:
                report.write(statistics.units)
            progress.update(statistics.frames, note=f"{statistics.kbits_per_second:.1f} kbit/s")
            if interrupt.requested:
                break
        output.write(encoder.flush())
    statistics = encoder.statistics
    output.commit()
    if report:
        report.write(statistics.units)
        report.commit()
    if recon:
        recon.close()
    seconds = progress.seconds
    progress.close()
    if not arguments.quiet:
        print(summary(statistics, seconds), file=sys.stderr)
    if interrupt.requested:
        note(
            f"interrupted after {statistics.frames} frames, which {arguments.output} holds",
            quiet=arguments.quiet,
        )
        return INTERRUPTED
    return 0


def _expected(frames: int | None, skip: int, wanted: int | None) -> int | None:
    """How many frames will be coded, if known."""
    if frames is None:
        return wanted
    left = max(0, frames - skip)
    return left if wanted is None else min(left, wanted)


def _selected(source: Source, skip: int, frames: int | None) -> Iterator[YUV420]:
    """The wanted frames, their times counted from the first of them."""
    stop = None if frames is None else skip + frames
    return rebased(itertools.islice(source, skip, stop))
