"""ui2c encode --jobs N and --cluster ADDRESS."""

from __future__ import annotations

import argparse
import itertools
import os
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

from ui2c.cli.common import INTERRUPTED, Interrupt, note, progress
from ui2c.cli.report import CsvReport, ended, finish
from ui2c.files import OutputFile
from ui2c.picture.frames import YUV420
from ui2c.runtime import limit_threads
from ui2c.segments.encode import Clip, encode_segments
from ui2c.segments.executors import workers
from ui2c.statistics import Statistics
from ui2c.video import Source, rebased
from ui2c.video.ahead import ahead
from ui2c.video.intact import Intact


def encode_in_segments(
    arguments: argparse.Namespace,
    source: Source,
    options: dict[str, Any],
    total: int | None,
    output: OutputFile,
    report: CsvReport | None,
) -> int:
    """The exit code; `output` and `report` are complete or have been discarded."""
    is_file = os.path.isfile(arguments.input)
    work = f"{arguments.output}.segments" if is_file and not output.direct else None
    options["threads"] = arguments.threads or 1
    # Each segment has a duration of its own.
    options.pop("duration", None)
    limit_threads(options["threads"])
    statistics = Statistics()
    with ExitStack() as stack:
        executor, jobs = stack.enter_context(workers(arguments.cluster, arguments.jobs))
        interrupt = stack.enter_context(Interrupt())
        shown = stack.enter_context(closing(progress(arguments, frames=total)))

        intact = Intact(_frames(arguments, source))

        def stop() -> bool:
            return interrupt.requested

        def write(data: bytes) -> None:
            output.write(data)
            shown.update(statistics.frames, rate=statistics.kbits_per_second)

        try:
            encode_segments(
                _clip(arguments) if is_file else ahead(intact, stop),
                executor=executor,
                jobs=jobs,
                segment=arguments.segment or 0,
                work=work,
                statistics=statistics,
                stop=stop,
                write=write,
                **options,
            )
        except KeyboardInterrupt:
            if work is not None:
                note(
                    f"interrupted; {work} keeps the segments that are done, and the same command "
                    "goes on from there",
                    quiet=arguments.quiet,
                )
                return INTERRUPTED
        output.commit()
        finish(arguments, statistics, report, shown, interrupted=interrupt.requested)
    return ended(arguments, statistics.frames, intact.damage, interrupted=interrupt.requested)


def _clip(arguments: argparse.Namespace) -> Clip:
    width, height = arguments.input_res or (None, None)
    options = {
        "width": width,
        "height": height,
        "bit_depth": arguments.input_depth,
        "fps": arguments.fps,
    }
    return Clip(os.path.abspath(arguments.input), options, arguments.skip, arguments.frames)


def _frames(arguments: argparse.Namespace, source: Source) -> Iterator[YUV420]:
    source.skip(arguments.skip)
    return rebased(itertools.islice(source, arguments.frames))
