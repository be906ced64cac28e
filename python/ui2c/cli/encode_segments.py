"""ui2c encode --jobs N and --cluster ADDRESS."""

from __future__ import annotations

import argparse
import os
from contextlib import ExitStack, closing
from typing import Any

from ui2c.cli.common import INTERRUPTED, note, progress
from ui2c.cli.encode_options import selected, source_options
from ui2c.cli.report import CsvReport, finish
from ui2c.cli.signals import Interrupt
from ui2c.files import OutputFile, is_rereadable, name_beside
from ui2c.runtime import limit_threads
from ui2c.segments.encode import encode_segments
from ui2c.segments.executors import workers
from ui2c.statistics import Statistics
from ui2c.video import Part, Source
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
    is_file = is_rereadable(arguments.input)
    work = name_beside(arguments.output, ".segments") if is_file and not output.direct else None
    options["threads"] = arguments.threads or 1
    # Each segment has a duration of its own.
    options.pop("duration", None)
    limit_threads(options["threads"])
    statistics = Statistics()
    with ExitStack() as stack:
        executor, jobs = stack.enter_context(workers(arguments.cluster, arguments.jobs))
        interrupt = stack.enter_context(Interrupt())
        shown = stack.enter_context(closing(progress(arguments, frames=total)))

        path, wanted = os.path.abspath(arguments.input), (arguments.skip, arguments.frames)
        part = Part(path, source_options(arguments), *wanted)
        intact = Intact(selected(arguments, source))

        def stop() -> bool:
            return interrupt.requested

        def write(data: bytes) -> None:
            output.write(data)
            shown.update(statistics.frames, rate=statistics.kbits_per_second)

        try:
            encode_segments(
                part if is_file else ahead(intact, stop),
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
