"""The command `ui2c`.

Exit codes: 0 all went well, 1 an error in data or in reading and writing (also: frames lost to
damage), 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable, Sequence

from ui2c import _core
from ui2c.build import build_info
from ui2c.cli import compare, compare_frames, completion, decode, encode, evaluate, info
from ui2c.cli.common import INTERRUPTED, Help, Parser, UsageError, complain, explain
from ui2c.cli.signals import Ended, ending_cleanly
from ui2c.cli.standard import printable, put, repair_streams, say, silence_if_stuck
from ui2c.errors import Error
from ui2c.files import discard_unfinished, naming

OF_INPUT = (Error, OSError, ValueError, ImportError)
OF_MACHINE = (MemoryError, RuntimeError)
"""PyTorch's way to say that memory or a device is not to be had."""

EXAMPLES = """\
examples:
  ui2c encode holiday.mp4 holiday.ui2c          make a small file
  ui2c info holiday.ui2c                        see what is in it
  ui2c decode holiday.ui2c again.mp4            and back
  ui2c compare-frames holiday.mp4 holiday.ui2c -o sheet.png
  ui2c encode --help                            bitrate, size, cores, pipes and more"""

DELEGATED = {"train": "train a network: CONFIG ...", "data": "prepare training data"}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    repair_streams()
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        with ending_cleanly():
            return _guarded(argv)
    except (Ended, KeyboardInterrupt):
        complain("interrupted")
        return INTERRUPTED
    finally:
        discard_unfinished()


def _guarded(argv: list[str]) -> int:
    """The exit code; errors of what the command is for become one line."""
    verbose = False
    errors: tuple[type[Exception], ...] = OF_INPUT
    try:
        if argv and argv[0] in DELEGATED:
            code = _delegate(argv[0], argv[1:])
        else:
            arguments = _parse(argv)
            errors = (*OF_INPUT, *OF_MACHINE)
            # Of the version -v asks for more, not for tracebacks.
            verbose = arguments.verbose and not arguments.version
            code = _run(arguments)
        # What is left in the buffer is written here, where it may still fail in one line.
        with naming("-"):
            sys.stdout.flush()
        return code
    except UsageError as error:
        complain(str(error))
        return 2
    except errors as error:
        if verbose and not isinstance(error, BrokenPipeError):
            for line in traceback.format_exc().splitlines():
                say(printable(line))
        complain(explain(error))
        silence_if_stuck(sys.stdout)
        return 1


def _parse(argv: list[str]) -> argparse.Namespace:
    """argparse's own end, after --help too, with its output written."""
    try:
        return _parser().parse_args(argv)
    except SystemExit as end:
        with naming("-"):
            sys.stdout.flush()
        raise end


def _run(arguments: argparse.Namespace) -> int:
    if arguments.version:
        return _print_version(arguments.verbose)
    if arguments.command is None:
        put(sys.stderr, _parser().format_help())
        return 2
    run: Callable[[argparse.Namespace], int] = arguments.run
    return run(arguments)


def _parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = Parser(
        prog="ui2c",
        description="Neural video codec. Exit codes: 0 done, 1 error in data or in reading and "
        "writing, 2 wrong usage, 130 interrupted.",
        formatter_class=Help,
        epilog=EXAMPLES,
    )
    parser.add_argument("--version", action="store_true", help="print the version; more with -v")
    parser.add_argument("-v", "--verbose", action="store_true", help=argparse.SUPPRESS)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for command in (encode, decode, info, compare_frames, evaluate, compare):
        command.add_parser(commands)
    completion.add_parser(commands)
    for name, text in DELEGATED.items():
        commands.add_parser(name, help=text, add_help=False)
    return parser


def _delegate(command: str, argv: list[str]) -> int:
    if command == "train":
        from ui2c.train import trainer

        return trainer.main(argv)
    from ui2c.train.data import sources

    return sources.main(argv)


def _print_version(verbose: bool) -> int:
    print(f"ui2c {_core.__version__}")
    if verbose:
        for key, value in build_info().items():
            print(f"{key:<12} {value}")
    return 0
