"""ui2c compare-frames A B."""

from __future__ import annotations

import argparse
import os
import re
from fractions import Fraction
from typing import TYPE_CHECKING

from ui2c.cli.common import (
    Commands,
    Help,
    UsageError,
    finite,
    integer,
    is_device,
    note,
    seconds,
    usage_errors,
)
from ui2c.files import check_output, is_rereadable, is_sequence, write_whole
from ui2c.picture.frames import YUV420
from ui2c.video import Part
from ui2c.video.source import UI2C_MAGIC

if TYPE_CHECKING:
    from ui2c.evaluate.sheet import Box


BOX = re.compile(r"(\d{1,9})x(\d{1,9})\+(\d{1,9})\+(\d{1,9})")
CLOSE_LOOK = 8
"""The close look is at an eighth of the picture's sides, unless told otherwise."""


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser(
        "compare-frames",
        help="two videos side by side, as a PNG",
        description="Puts frames of two videos, ui2c streams or others, of one size into a PNG: A, "
        "B, and the difference of their luma, brighter or darker than grey; below each the part "
        "that differs most, enlarged. Prints the PSNR of each frame.",
        formatter_class=Help,
        epilog="examples:\n  ui2c compare-frames source.mp4 coded.ui2c -o sheet.png --at 2.5",
    )
    parser.add_argument("a", metavar="A")
    parser.add_argument("b", metavar="B")
    parser.add_argument("-o", "--output", metavar="PNG", required=True)
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--frame",
        type=integer(0),
        nargs="+",
        metavar="N",
        help="numbers of frames, counted from 0; each gets rows of its own (0)",
    )
    which.add_argument("--at", type=seconds, metavar="TIME", help="the frame shown then, by A")
    parser.add_argument("--box", metavar="WxH+X+Y", help="what to enlarge instead")
    parser.add_argument("--zoom", type=integer(1, 32), default=8, metavar="K", help="how much (8)")
    parser.add_argument(
        "--gain", type=finite, default=4, metavar="G", help="of the difference shown (4)"
    )
    parser.add_argument("--model", metavar="M", help="weights file for ui2c streams")
    parser.add_argument("-y", "--yes", action="store_true", help="overwrite an existing file")
    parser.add_argument("-q", "--quiet", action="store_true", help="only errors")
    parser.add_argument("-v", "--verbose", action="store_true", help="traceback with errors")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from ui2c.evaluate.png import png
    from ui2c.evaluate.sheet import sheet, stack, worst_box
    from ui2c.picture.metrics import frame_psnr

    if not arguments.output.lower().endswith(".png") and not is_device(arguments.output):
        raise UsageError(f"{arguments.output}: the sheet is a PNG, so the name must end in .png")
    box = None if arguments.box is None else _box(arguments.box)
    # Refused now, not after the work.
    check_output(arguments.output, overwrite=arguments.yes)
    rows = []
    with Frames(arguments.a, arguments.model) as a, Frames(arguments.b, arguments.model) as b:
        numbers = arguments.frame or [0]
        if arguments.at is not None:
            numbers = [a.index_at(arguments.at)]
        look = {"zoom": arguments.zoom, "gain": arguments.gain, "matrix": a.description.color[2]}
        for number in numbers:
            one, other = a.get(number), b.get(number)
            with usage_errors():
                close = box or worst_box(one, other, *_part(one))
                rows.append(sheet(one, other, close, **look))
            if one.bit_depth == other.bit_depth:
                psnr = frame_psnr(one, other)
                text = f"PSNR Y {psnr.y:.2f} U {psnr.u:.2f} V {psnr.v:.2f} dB"
            else:
                text = f"{one.bit_depth} and {other.bit_depth} bits"
            note(f"frame {number}: {text}, below: {close}", quiet=arguments.quiet)
    write_whole(arguments.output, png(stack(rows)), overwrite=arguments.yes)
    return 0


class Frames:
    """Some frames of a video file or a ui2c stream, in any order."""

    def __init__(self, path: str, model: str | None) -> None:
        from ui2c.cli.decode import describe
        from ui2c.decoder import Decoder

        self._path = path
        if os.path.exists(path) and not is_rereadable(path):
            raise UsageError(f"{path} is read in any order, so it must be a regular file")
        coded = False
        if not is_sequence(path):
            with open(path, "rb") as file:
                coded = file.read(len(UI2C_MAGIC)) == UI2C_MAGIC
        self._reader = Decoder(model=model).open(path) if coded else None
        self.description = (
            Part(path).describe() if self._reader is None else describe(self._reader.header)
        )

    def index_at(self, time: Fraction) -> int:
        if self._reader is not None:
            return self._reader.index_at(time)
        if self.description.fps is None:
            raise UsageError(f"{self._path} has irregular times: give --frame")
        return int(time * self.description.fps)

    def get(self, number: int) -> YUV420:
        """UsageError for a number that is not there."""
        if self._reader is not None:
            try:
                found: YUV420 = self._reader[number]
                return found
            except IndexError as error:
                raise UsageError(f"{self._path}: {error}") from None
        for frame in Part(self._path, skip=number, frames=1).read():
            return frame
        raise UsageError(f"{self._path} has no frame {number}")

    def __enter__(self) -> Frames:
        return self

    def __exit__(self, *_: object) -> None:
        if self._reader is not None:
            self._reader.close()


def _part(frame: YUV420) -> tuple[int, int]:
    """Size of the close look, so that it fills about its tile."""
    return max(16, frame.width // CLOSE_LOOK), max(16, frame.height // CLOSE_LOOK)


def _box(text: str) -> Box:
    from ui2c.evaluate.sheet import Box

    found = BOX.fullmatch(text)
    if not found:
        raise UsageError(f"--box must be like 64x48+10+20, not {text!r}")
    width, height, left, top = map(int, found.groups())
    return Box(width, height, left, top)
