"""What the commands share: options and messages."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import NoReturn, TypeAlias

from ui2c.cli.progress import Form, Progress
from ui2c.cli.standard import printable, say
from ui2c.files import is_rereadable, stream_number

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
INTERRUPTED = 130
LARGEST = (1 << 31) - 1
"""Of a number of anything: as many frames as a stream may have."""
MOST_AT_ONCE = 1024
"""Of threads or processes."""
LARGEST_AMOUNT = 1 << 62
"""Of bits, bytes, seconds, frames a second."""
NUMBER = re.compile(r"\d{1,19}(/\d{1,19}|(\.\d{0,18})?(e[-+]?\d{1,2})?)|\.\d{1,18}", re.IGNORECASE)
"""Not what would take for ever to work out, such as 1e999999999."""


class UsageError(Exception):
    """The command line asks for what cannot be."""


class Help(argparse.HelpFormatter):
    """Keeps the lines of what begins with "examples:", wraps everything else."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("examples:"):
            return text
        return super()._fill_text(text, width, indent)


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong, as all else that goes wrong is said."""

    def error(self, message: str) -> NoReturn:
        complain(f"{message} ({self.prog} --help tells how)")
        self.exit(2)


def counted(frames: int) -> str:
    return "1 frame" if frames == 1 else f"{frames} frames"


def complain(message: str) -> None:
    """One line on standard error."""
    say(f"ui2c: error: {printable(message)}")


def note(message: str, *, quiet: bool = False) -> None:
    if not quiet:
        say(f"ui2c: {printable(message)}")


def explain(error: BaseException) -> str:
    """An error in one line."""
    if isinstance(error, BrokenPipeError):
        return "whoever read the output is gone (broken pipe)"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    text = " ".join(str(error).split())
    return text or type(error).__name__


@contextmanager
def usage_errors() -> Iterator[None]:
    """What the library calls a wrong argument is, inside the block, wrong usage."""
    try:
        yield
    except ValueError as error:
        raise UsageError(str(error)) from error


def check_paths(source: str, *outputs: str | None) -> None:
    """Refuses an output that is the input, or that is named twice."""
    if stream_number(source, 0) == 0 and sys.stdin is not None and sys.stdin.isatty():
        raise UsageError("standard input is a terminal: give a file, or send one through a pipe")
    seen = {} if stream_number(source, 0) is not None else {os.path.realpath(source): "the input"}
    for output in outputs:
        if output is None:
            continue
        number = stream_number(output, 1)
        if number == 1 and sys.stdout.isatty():
            raise UsageError("standard output is a terminal: send it to a file or a pipe")
        path = os.path.realpath(output) if number is None else f"stream {number}"
        if path in seen and not (number is None and is_device(path)):
            raise UsageError(f"{output} cannot be {seen[path]} and an output at once")
        seen[path] = "another output"


def is_device(path: str) -> bool:
    """Whether it is there and no regular file; "-" is none."""
    return path != "-" and os.path.exists(path) and not is_rereadable(path)


def add_machine_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("machine")
    group.add_argument(
        "--device", default="auto", metavar="D", help="auto (default), cpu, cuda or cuda:N"
    )
    group.add_argument(
        "--threads",
        type=integer(1, MOST_AT_ONCE),
        metavar="N",
        help="CPU threads (default: all cores)",
    )


def add_output_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument("-y", "--yes", action="store_true", help="overwrite existing files")
    group.add_argument(
        "--progress",
        choices=("line", "json", "none"),
        default="line",
        help="on standard error: a line on terminals (default), JSON for programs, or nothing",
    )
    group.add_argument("-q", "--quiet", action="store_true", help="only errors")
    group.add_argument("-v", "--verbose", action="store_true", help="traceback with errors")


def progress(
    arguments: argparse.Namespace, *, frames: int | None = None, step: str | None = None
) -> Progress:
    """Progress on standard error as the options ask."""
    form: Form = "none" if arguments.quiet else arguments.progress
    return Progress(sys.stderr, frames=frames, form=form, step=step)


def integer(low: int, high: int = LARGEST) -> Callable[[str], int]:
    """A type for argparse: an integer from low to high."""

    def parse(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            wanted = f"{low} or more" if value < low and high == LARGEST else f"{low} to {high}"
            raise argparse.ArgumentTypeError(f"must be {wanted}, not {value}")
        return value

    parse.__name__ = "integer"
    return parse


def finite(text: str) -> float:
    """A type for argparse: a number that somebody may mean."""
    value = float(text)
    if not abs(value) <= LARGEST_AMOUNT:
        raise argparse.ArgumentTypeError(f"must be a number within reason, not {text!r}")
    return value


def _fraction(text: str) -> Fraction:
    """-1 where it is no number, or none that anybody means."""
    if not NUMBER.fullmatch(text):
        return Fraction(-1)
    try:
        value = Fraction(text)
    except ZeroDivisionError:
        return Fraction(-1)
    within = Fraction(1, LARGEST_AMOUNT) < value <= LARGEST_AMOUNT
    return value if within or not value else Fraction(-1)


def amount(text: str) -> int:
    """A type for argparse: a number of bits or bytes such as 500000, 500k, 1.5M or 2G."""
    factor = {"k": 10**3, "m": 10**6, "g": 10**9}.get(text[-1:].lower(), 1)
    value = int(_fraction(text if factor == 1 else text[:-1]) * factor)
    if not 0 < value <= LARGEST_AMOUNT:
        raise argparse.ArgumentTypeError(f"must be an amount such as 500k or 1.5M, not {text!r}")
    return value


def rate(text: str) -> Fraction:
    """A type for argparse: frames per second, such as 25, 29.97 or 30000/1001."""
    value = _fraction(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"must be a rate such as 25 or 30000/1001, not {text!r}")
    return value


def seconds(text: str) -> Fraction:
    """A type for argparse: a time such as 12.5, 1:02.5 or 1:00:02.5."""
    parts = [_fraction(part) for part in text.split(":")]
    if len(parts) > 3 or min(parts) < 0:
        raise argparse.ArgumentTypeError(f"must be a time such as 12.5 or 1:02.5, not {text!r}")
    return sum((60**power * part for power, part in enumerate(reversed(parts))), Fraction(0))


def size(text: str) -> tuple[int, int]:
    """A type for argparse: WxH."""
    width, _, height = text.lower().partition("x")
    sides = width, height
    if not all(side.isdecimal() and len(side) < 10 and int(side) for side in sides):
        raise argparse.ArgumentTypeError(f"must be WIDTHxHEIGHT such as 352x288, not {text!r}")
    return int(width), int(height)
