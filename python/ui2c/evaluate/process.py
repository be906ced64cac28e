"""Running a codec's program: time, peak memory, and a useful error."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ui2c.evaluate.errors import CodecError

POLL = 0.02
"""Seconds between two looks at the memory of the program."""
HIGH_WATER = re.compile(r"VmHWM:\s+(\d+) kB")


@dataclass(frozen=True)
class Run:
    """A program that ended well."""

    command: str
    """As it could be typed in the folder of the job; the program by its name without folders."""
    seconds: float
    peak_bytes: int | None
    """Of memory; None where the system does not tell (only Linux does)."""
    output: str
    """Standard output and error together."""


def find_program(name: str) -> str:
    """The path of a program; CodecError where there is none."""
    path = shutil.which(os.path.expanduser(name))
    if path is None:
        raise CodecError(f"the program {name} was not found")
    return os.path.abspath(path)


def run(command: Sequence[str | os.PathLike[str]], folder: Path) -> Run:
    """Runs a program in a folder to its end; CodecError with its last words where it fails."""
    arguments = [os.fspath(part) for part in command]
    shown = shlex.join([os.path.basename(arguments[0]), *arguments[1:]])
    log = folder / "output.txt"
    with log.open("wb") as output:
        began = time.perf_counter()
        try:
            child = subprocess.Popen(
                arguments,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        except OSError as error:
            raise CodecError(f"{arguments[0]} cannot be run: {error.strerror}") from None
        try:
            peak = _watch(child)
        except BaseException:
            child.kill()
            child.wait()
            raise
        seconds = time.perf_counter() - began
    text = log.read_text(errors="replace")
    if child.returncode:
        last = " | ".join(text.strip().splitlines()[-3:]) or "no message"
        raise CodecError(f"{shown} ended with code {child.returncode}: {last}")
    return Run(shown, seconds, peak, text)


def _watch(child: subprocess.Popen[bytes]) -> int | None:
    """Waits for the end; the most memory seen.

    The usage that the system reports at the end would count the memory of this process too, from
    between fork and exec; the high-water mark of the running program does not.
    """
    status = Path(f"/proc/{child.pid}/status")
    peak = None
    while child.poll() is None:
        try:
            if found := HIGH_WATER.search(status.read_text()):
                peak = int(found[1]) * 1024
        except OSError:
            # Gone between the two calls, or no Linux.
            pass
        try:
            child.wait(POLL)
        except subprocess.TimeoutExpired:
            continue
    return peak
