"""Output files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Errors of the operating system inside the block carry the name of the file."""
    try:
        yield
    except OSError as error:
        shown = "standard output" if path == "-" else path
        if error.filename is not None or shown in str(error):
            raise
        # The native core gives a text without a number.
        raise type(error)(error.errno or 0, error.strerror or str(error), shown) from error


def write_whole(path: str | os.PathLike[str], data: bytes, *, overwrite: bool = True) -> None:
    """Writes a file that is there whole or not at all; standard output for "-"."""
    output = OutputFile(path, overwrite=overwrite)
    try:
        output.write(data)
        output.commit()
    finally:
        output.discard()


class StagedFile:
    """A path to write to, which becomes the wanted path on `commit` and vanishes on `discard`.

    Standard output ("-"), devices and named pipes are written directly.
    Raises FileExistsError if the wanted file exists and may not be overwritten.
    """

    def __init__(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        self.name = os.fspath(path)
        target = Path(os.path.realpath(self.name))
        self.direct = self.name == "-" or (target.exists() and not target.is_file())
        if self.direct:
            if target.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), self.name)
            self.work = self.name
            return
        if target.exists() and not overwrite:
            raise FileExistsError(errno.EEXIST, "exists already, -y overwrites it", self.name)
        if not target.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, "its directory does not exist", self.name)
        self.target = target
        self.work = str(target.with_name(f".{target.name}.{os.getpid()}.part"))

    def commit(self) -> None:
        if not self.direct:
            os.replace(self.work, self.target)

    def discard(self) -> None:
        if not self.direct:
            Path(self.work).unlink(missing_ok=True)


class OutputFile:
    """A binary file, or standard output, written front to back; complete only after `commit`."""

    def __init__(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        self._staged = StagedFile(path, overwrite=overwrite)
        self._whole = False
        self._file: BinaryIO
        if self._staged.name == "-":
            self._file = sys.stdout.buffer
        else:
            self._file = open(self._staged.work, "wb")  # noqa: SIM115 - closed below

    @property
    def name(self) -> str:
        return self._staged.name

    @property
    def direct(self) -> bool:
        """Whether it is no regular file: standard output, a device, a pipe."""
        return self._staged.direct

    def write(self, data: bytes) -> None:
        with naming(self.name):
            self._file.write(data)
            if self.direct:
                # Whoever reads a pipe wants each piece when it is there.
                self._file.flush()

    def commit(self) -> None:
        """Ends the file and gives it its name."""
        with naming(self.name):
            self._file.flush()
            if self.name != "-":
                self._file.close()
            self._staged.commit()
        self._whole = True

    def discard(self) -> None:
        """Leaves nothing behind; after `commit`, does nothing."""
        if self.name == "-" or self._whole:
            return
        # Closing writes what is buffered, which nobody wants any more.
        with suppress(OSError):
            self._file.close()
        self._staged.discard()
