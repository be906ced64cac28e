"""What a model knows beside its networks: filters of the post-filter and tables of symbols.

Both are fitted to videos that the model codes, after training, which knows of neither.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ui2c import _core
from ui2c.motion import Planes
from ui2c.network.prior import SCALES, SKIP
from ui2c.network.tables import LARGEST, ScaleTables, fitted_tables
from ui2c.network.weights import Model, load_model, save_model
from ui2c.pair import PairCoder
from ui2c.train.filters import clips_of, fit_filters


def fit(
    model: Model, clips: Sequence[Sequence[Planes]]
) -> tuple[NDArray[np.int8], tuple[ScaleTables, ScaleTables]]:
    """Filters and tables (of y and of z) for `save_model`, from clips of 8-bit 4:2:0 planes.

    The Gaussians that training assumes are right in their deviations, but what is coded has heavier
    tails and, in z, far more zeros.
    """

    class Counting(PairCoder):
        """Counts what it codes."""

        seen: ClassVar = np.zeros((2, SCALES, LARGEST + 2), np.int64)

        def _put(
            self,
            coder: _core.RansEncoder,
            tables: _core.Tables,
            indexes: NDArray[np.uint8],
            symbols: Tensor,
        ) -> None:
            super()._put(coder, tables, indexes, symbols)
            magnitudes = symbols.flatten().abs().clamp(max=LARGEST + 1).to(torch.uint8).numpy()
            coded = indexes >= SKIP
            of_z = int(tables is self.model.hyper_tables)
            np.add.at(self.seen[of_z], (indexes[coded], magnitudes[coded]), 1)

    filters = fit_filters(model, clips, Counting)
    return filters, (fitted_tables(Counting.seen[0]), fitted_tables(Counting.seen[1]))


def main(argv: Sequence[str] | None = None) -> None:
    """`python -m ui2c.train.fitted MODEL FOLDER OUTPUT`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="model file, or name of a shipped model")
    parser.add_argument("folder", type=Path, help="folder with videos")
    parser.add_argument("output", type=Path, help="the model file with filters and tables")
    parser.add_argument("--first", type=int, default=30, help="frames left out of each video")
    parser.add_argument("--frames", type=int, default=9, help="frames coded of each video")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    model = load_model(arguments.model)
    clips = list(clips_of(arguments.folder, arguments.first, arguments.frames))
    if not clips:
        parser.error(f"{arguments.folder} has no 8-bit video of {arguments.frames} frames")
    filters, tables = fit(model, clips)
    codec = model.trainable()
    codec.config = replace(model.config, post_filter=True)
    save_model(codec, arguments.output, model.card, filters, tables)
    print(f"{arguments.output}: filters and tables from {len(clips)} clips")


if __name__ == "__main__":
    main()
