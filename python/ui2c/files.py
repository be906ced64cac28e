"""Files by name: inputs that can be read once, outputs that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

STREAM_NAMES = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
NUMBERED_STREAM = re.compile(r"/(?:dev|proc/self)/fd/(\d{1,9})")
SEQUENCE = re.compile(r"%(0?\d)?d")
LONGEST_NAME = 255
"""Bytes that most file systems take."""
LONGEST_PREFIX = 100
"""Bytes of a name that one made from it begins with."""

_unfinished: set[str] = set()
"""Temporary files that are being written."""


def stream_number(path: str, standard: int) -> int | None:
    """The descriptor that a name stands for, where it does: `standard` for "-"."""
    if path == "-":
        return standard
    if os.name != "posix":
        return None
    found = NUMBERED_STREAM.fullmatch(path)
    return int(found[1]) if found else STREAM_NAMES.get(path)


def is_rereadable(path: str) -> bool:
    """Whether it is a regular file, which can be opened again and again by its name."""
    return stream_number(path, 0) is None and os.path.isfile(path)


def is_sequence(path: str) -> bool:
    """Whether it is the name of numbered pictures, such as picture%04d.png, and of no file."""
    return SEQUENCE.search(os.path.basename(path)) is not None and not os.path.lexists(path)


def display_name(path: str) -> str:
    """An input's name in messages."""
    return "standard input" if stream_number(path, 0) == 0 else path


def open_input(path: str | os.PathLike[str]) -> BinaryIO:
    """A file to read, without a buffer; "-" is standard input.

    Names of open streams, such as /dev/stdin and /dev/fd/N, are read from where they stand.
    """
    name = os.fspath(path)
    number = stream_number(name, 0)
    with naming(display_name(name)):
        if number is None:
            return open(name, "rb", buffering=0)
        return open(os.dup(number), "rb", buffering=0)


def read_start(file: BinaryIO, size: int) -> bytes:
    """The next `size` bytes, fewer only at the end."""
    start = b""
    while len(start) < size:
        piece = file.read(size - len(start))
        if piece is None:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        if not piece:
            break
        start += piece
    return start


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


def check_output(path: str | os.PathLike[str], *, overwrite: bool = False) -> Path | None:
    """The file that a name stands for, None where it is written directly: a stream, a device or a
    named pipe.

    Raises FileExistsError if the file exists and may not be overwritten, IsADirectoryError,
    FileNotFoundError where its directory is missing.
    """
    name = os.fspath(path)
    if stream_number(name, 1) is not None:
        return None
    target = Path(os.path.realpath(name))
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    if target.exists() and not target.is_file():
        return None
    if target.exists() and not overwrite:
        raise FileExistsError(errno.EEXIST, "exists already, -y overwrites it", name)
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "its directory does not exist", name)
    return target


class OutputFile:
    """A binary file written front to back: complete, and there by its name, only after `commit`.

    Until then it has another name beside it, and vanishes on `discard`. A file that is replaced
    hands its permissions on. Streams ("-", /dev/stdout, /dev/fd/N), devices and named pipes are
    written directly, piece by piece. Raises as `check_output`, and OSError.
    """

    def __init__(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        self.name = os.fspath(path)
        self._target = check_output(path, overwrite=overwrite)
        self._temporary: Path | None = None
        self._whole = False
        with naming(self.name):
            if self._target is not None:
                self.file: BinaryIO = self._create(self._target)
                return
            number = stream_number(self.name, 1)
            # Without a buffer: whoever reads a pipe wants each piece when it is there.
            if number is None:
                self.file = open(self.name, "wb", buffering=0)  # noqa: SIM115 - as below
                return
            self.file = os.fdopen(os.dup(number), "wb", buffering=0)
            # One that is closed is to be refused before the work, not after it.
            os.write(number, b"")

    @property
    def direct(self) -> bool:
        """Whether it is no regular file: standard output, a device, a pipe."""
        return self._target is None

    def write(self, data: bytes) -> None:
        with naming(self.name):
            left = memoryview(data)
            while left:
                count = self.file.write(left)
                if count is None:
                    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
                left = left[count:]

    def commit(self) -> None:
        """Ends the file and gives it its name; it survives what happens to the system."""
        with naming(self.name):
            if self._target is None or self._temporary is None:
                self.file.close()
            else:
                self.file.flush()
                os.fsync(self.file.fileno())
                self.file.close()
                os.replace(self._temporary, self._target)
                _unfinished.discard(str(self._temporary))
                _sync_folder(self._target.parent)
        self._whole = True

    def discard(self) -> None:
        """Leaves nothing behind; after `commit`, does nothing."""
        if self._whole:
            return
        # Closing writes what is buffered, which nobody wants any more.
        with suppress(OSError):
            self.file.close()
        if self._temporary is not None:
            _remove(str(self._temporary))

    def _create(self, target: Path) -> BinaryIO:
        """A file that nobody else has, beside the target, with the permissions of that."""
        before = target.stat() if target.exists() else None
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        while True:
            self._temporary = target.with_name(
                f".{_prefix(target.name)}.{secrets.token_hex(4)}.part"
            )
            # Known before it is there, so that an interruption in between leaves nothing.
            _unfinished.add(str(self._temporary))
            try:
                descriptor = os.open(self._temporary, flags, 0o666 if before is None else 0o600)
                break
            except FileExistsError:
                _unfinished.discard(str(self._temporary))
            except BaseException:
                _unfinished.discard(str(self._temporary))
                raise
        file = open(descriptor, "wb")  # noqa: SIM115 - closed by commit or discard
        if before is not None and hasattr(os, "fchmod"):
            # Only the system's administrator may give files away.
            with suppress(OSError):
                os.fchown(descriptor, before.st_uid, before.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(before.st_mode) & 0o777)
        return file


def discard_unfinished() -> None:
    """Removes what is being written: for a program about to end, whatever the reason."""
    for path in list(_unfinished):
        _remove(path)


def name_beside(path: str, suffix: str) -> str:
    """A name for what belongs to a file: its own with a suffix, shortened where it would be too
    long."""
    folder, name = os.path.split(path)
    whole = os.fsencode(name)
    if len(whole) + len(suffix) <= LONGEST_NAME:
        return path + suffix
    return os.path.join(folder, f"{_prefix(name)}.{zlib.crc32(whole):08x}{suffix}")


def _prefix(name: str) -> str:
    """The beginning of a name, of whole characters."""
    return os.fsencode(name)[:LONGEST_PREFIX].decode(errors="ignore")


def _remove(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)
    _unfinished.discard(path)


def _sync_folder(folder: Path) -> None:
    """So that a new name is there after a power cut; not all systems can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
