"""ui2c decode IN OUT."""

from __future__ import annotations

import argparse
import itertools
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from typing import Any, BinaryIO

from ui2c import _core
from ui2c.cli.common import (
    INTERRUPTED,
    Commands,
    Help,
    UsageError,
    add_machine_options,
    add_output_options,
    check_paths,
    complain,
    counted,
    explain,
    integer,
    note,
    progress,
    seconds,
    usage_errors,
)
from ui2c.cli.signals import Interrupt
from ui2c.cli.standard import say
from ui2c.decoder import Decoder
from ui2c.errors import Error
from ui2c.files import display_name, open_input
from ui2c.reader import Reader
from ui2c.runtime import limit_threads
from ui2c.video import Description, Sink, check_sink, open_sink, rebased
from ui2c.video.ahead import ahead
from ui2c.video.sink import CoreSink
from ui2c.video.source import reading

CHUNK = 1 << 16
STEPS = 200
"""In at least so many pieces a file is read, so that what has been read tells how far one is."""


EXAMPLES = """\
examples:
  ui2c decode clip.ui2c clip.mp4                      to watch or edit elsewhere
  ui2c decode clip.ui2c clip.y4m                      exactly what was coded
  ui2c decode clip.ui2c part.y4m --from 12.5 --frames 50
  ui2c decode clip.ui2c - | ffplay -"""


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser(
        "decode",
        formatter_class=Help,
        epilog=EXAMPLES,
        help="ui2c to video",
        description="Decodes a ui2c stream. OUT is .y4m or .yuv (exact), .mp4, .m4v, .mov or .mkv "
        "(H.264 at crf 12), or - for y4m on standard output; IN may be -. What damage leaves whole "
        "is written; the exit code is then 1.",
    )
    parser.add_argument("input", metavar="IN")
    parser.add_argument("output", metavar="OUT")
    parser.add_argument(
        "--from",
        dest="start",
        type=seconds,
        metavar="TIME",
        help="begin with the frame that is shown then: seconds (12.5) or h:mm:ss.s; IN must be a "
        "file. Decoding begins at the random-access point before it",
    )
    parser.add_argument("--frames", type=integer(1), metavar="N", help="decode at most N frames")
    parser.add_argument(
        "--model", metavar="M", help="weights file to use instead of the shipped model"
    )
    parser.add_argument(
        "--no-verify",
        action="store_true",
        help="go on where decoding gives another state than encoding did",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="stop at the first damage, without output; otherwise decoding goes on at the next "
        "random-access point and says which frames are lost",
    )
    add_machine_options(parser)
    add_output_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    check_paths(arguments.input, arguments.output)
    limit_threads(arguments.threads)
    with usage_errors():
        check_sink(arguments.output, overwrite=arguments.yes)
        decoder = Decoder(
            model=arguments.model,
            device=arguments.device,
            threads=arguments.threads,
            verify=not arguments.no_verify,
            on_error="raise" if arguments.strict else "skip",
        )
    with ExitStack() as stack:
        source = CountedFile(stack.enter_context(open_input(arguments.input)))
        if arguments.start is not None and not source.regular:
            raise UsageError(f"--from needs a file to seek in, not {display_name(arguments.input)}")
        return _decode(arguments, decoder, source, stack)


class CountedFile:
    """Pieces of a file as they come; tells how much of it has been read."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        state = os.fstat(file.fileno())
        self.regular = stat.S_ISREG(state.st_mode)
        self._size = state.st_size if self.regular else 0
        self._read = 0
        self._chunk = min(CHUNK, self._size // STEPS + 1) if self._size else CHUNK

    def __iter__(self) -> Iterator[bytes]:
        # Not through the buffer: a thread that waits in it would keep Python from ending.
        while piece := os.read(self.file.fileno(), self._chunk):
            self._read += len(piece)
            yield piece

    @property
    def fraction(self) -> float | None:
        """None where the size is not known, or the file is not read front to back."""
        return self._read / self._size if self._size and self._read else None


def _frames(
    arguments: argparse.Namespace,
    player: Decoder | Reader,
    source: CountedFile,
    interrupt: Interrupt,
) -> Iterator[Any]:
    """The wanted frames, until the end or an interruption."""
    if isinstance(player, Reader):
        with usage_errors():
            frames = rebased(player.play(player.index_at(arguments.start)))
    elif source.regular:
        frames = player.decode_iter(source)
    else:
        frames = player.decode_iter(ahead(source, lambda: interrupt.requested))
    try:
        yield from itertools.islice(frames, arguments.frames)
    except Error:
        # An interruption cuts the stream off, which is no fault of the stream.
        if not interrupt.requested:
            raise


def _decode(
    arguments: argparse.Namespace, decoder: Decoder, source: CountedFile, stack: ExitStack
) -> int:
    def begin(header: _core.SequenceHeader) -> Sink:
        with usage_errors():
            sink = open_sink(arguments.output, describe(header), overwrite=arguments.yes)
        stack.callback(sink.discard)
        if not header.frame_ticks and isinstance(sink, CoreSink):
            note(
                f"{arguments.output} cannot hold the irregular times of these frames; mp4 and mkv "
                "can",
                quiet=arguments.quiet,
            )
        return sink

    sink = None
    count = 0
    report = progress(arguments, frames=arguments.frames)
    stack.callback(report.close)
    player: Decoder | Reader = decoder
    with reading(arguments.input), Interrupt() as interrupt:
        if arguments.start is not None:
            player = stack.enter_context(decoder.open(source.file))
        for frame in _frames(arguments, player, source, interrupt):
            if sink is None and player.header is not None:
                sink = begin(player.header)
            if sink is not None:
                sink.write(frame)
            count += 1
            report.update(count, fraction=source.fraction)
            if interrupt.requested:
                break
    if sink is None and player.header is not None:
        sink = begin(player.header)
    if sink is not None:
        sink.close()
    taken = report.seconds
    report.end(frames=count, seconds=taken, interrupted=interrupt.requested)
    if not arguments.quiet and arguments.progress == "line":
        say(f"{counted(count)} in {taken:.2f} s ({count / taken:.2f} fps)")
    if interrupt.requested:
        note(
            f"interrupted after {counted(count)}, which {arguments.output} holds",
            quiet=arguments.quiet,
        )
        return INTERRUPTED
    if player.damage is None:
        return 0
    complain(f"{display_name(arguments.input)}: {explain(player.damage)}")
    for first, last in player.lost:
        note(f"lost to damage: frames {first} to {'the end' if last is None else last}")
    if not player.lost:
        note("no frame is lost")
    return 1


def describe(header: _core.SequenceHeader) -> Description:
    """What a sequence header says, as a video sink needs it."""
    timebase = Fraction(*header.timebase)
    return Description(
        width=header.width,
        height=header.height,
        bit_depth=header.bit_depth,
        fps=1 / (timebase * header.frame_ticks) if header.frame_ticks else None,
        timebase=timebase,
        sample_aspect=header.sample_aspect,
        full_range=header.full_range,
        color=(header.color_primaries, header.transfer, header.matrix),
    )
