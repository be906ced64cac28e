"""Files that appear whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ui2c.files import OutputFile


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes its place at `path` when the block ends without an exception."""
    output = OutputFile(path, overwrite=True)
    try:
        yield output.file
        output.commit()
    finally:
        output.discard()


def save_array(path: Path, array: NDArray[np.generic]) -> None:
    with whole_file(path) as file:
        np.save(file, array)
