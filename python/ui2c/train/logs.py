"""Where a run writes what it sees: CSV always, TensorBoard where it is installed."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ui2c.train.data.contact_sheet import write_png


class RunLog:
    """The records of a run in its output folder; several processes may each have one open."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self._board = None
        else:
            self._board = SummaryWriter(str(folder / "tensorboard"))

    def row(self, name: str, step: int, values: dict[str, Any]) -> None:
        """A line of `name`.csv, under a header if it is the first, and the same as scalars."""
        row = {"step": step, **values}
        path = self.folder / f"{name}.csv"
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, row)
            if new:
                writer.writeheader()
            writer.writerow(row)
        if self._board:
            for key, value in values.items():
                self._board.add_scalar(f"{name}/{key}", value, step)
            self._board.flush()

    def picture(self, name: str, step: int, rgb: NDArray[np.uint8]) -> None:
        """`[height, width, 3]` as `name`-STEP.png, and in TensorBoard."""
        write_png(self.folder / f"{name}-{step:07d}.png", rgb)
        if self._board:
            self._board.add_image(name, rgb, step, dataformats="HWC")
            self._board.flush()
