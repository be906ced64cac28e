"""What a model knows beside its networks: filters of the post-filter and tables of symbols.

Both are fitted to videos that the model codes, after training, which knows of neither.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ui2c.network.load import load_model
from ui2c.network.model import Model, find_model
from ui2c.network.tables import ScaleTables, fitted_tables
from ui2c.network.torch_model import save_fitted
from ui2c.train.filters import clips_of, fit_filters
from ui2c.train.observed import SymbolCounts
from ui2c.unit.planes import Planes


def fit(
    model: Model, clips: Sequence[Sequence[Planes]]
) -> tuple[NDArray[np.int8], tuple[ScaleTables, ScaleTables]]:
    """Filters and tables (of y and of z) for `save_fitted`, from clips of 8-bit 4:2:0 planes.

    The Gaussians that training assumes are right in their deviations, but what is coded has heavier
    tails and, in z, far more zeros.
    """

    counts = SymbolCounts()
    filters = fit_filters(model, clips, counts)
    return filters, (fitted_tables(counts.y), fitted_tables(counts.z))


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
    save_fitted(find_model(arguments.model), arguments.output, filters, tables)
    print(f"{arguments.output}: filters and tables from {len(clips)} clips")


if __name__ == "__main__":
    main()
