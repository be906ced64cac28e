"""Default filters fitted to what a model makes of videos."""

from pathlib import Path

import numpy as np
from support.clips import moving_frames, write_y4m
from ui2c import _core
from ui2c.network.torch_model import random_model
from ui2c.train import filters as fitting
from ui2c.train.data.videos import VALIDATION
from ui2c.train.observed import SymbolCounts


def test_clips_are_divided_among_defaults() -> None:
    """Pictures blurred across or down want other filters; sets are found that suit all."""
    across, down = np.zeros((2, 3, 30, 12), np.int8)
    across[..., 0], down[..., 5] = 30, 30
    moments = []
    for seed in range(6):
        blur = _core.Filters(down if seed % 2 else across)
        y, u, v = (plane // 2 for plane in moving_frames(1, 96, 80, 8, seed=seed)[0])
        frames = [(y, u, v)]
        blurred = [_core.apply_filters(frame, blur) for frame in frames]
        error = np.square(blurred[0][0].astype(float) - y).sum()
        products, with_error = _core.FilterDesigner().observe(blurred, frames).moments()
        moments.append((products[0] / error, with_error[0] / error))
    products, with_error = (np.stack(part) for part in zip(*moments, strict=True))
    sets = fitting.divide(products, with_error)
    changes = np.stack([fitting.change(one, products, with_error) for one in sets])
    one = fitting.least_squares(products.sum(axis=0), with_error.sum(axis=0))
    for_all = fitting.change(one, products, with_error)
    assert (changes.min(axis=0) < 0).all()
    assert changes.min(axis=0).sum() < 1.2 * min(for_all.sum(), 0) - 0.2


def test_defaults_are_fitted_to_what_a_model_makes() -> None:
    model = random_model("nano", seed=2)
    clips = [moving_frames(3, 64, 48, 8, seed=k) for k in range(3)]
    counts = SymbolCounts()
    sets = fitting.fit_filters(model, clips, counts)
    assert sets.shape == (9, 3, 3, 30, 12) and sets.dtype == np.int8 and sets.any()
    assert counts.y.any() and counts.z.any()


def test_validation_videos_are_left_alone(tmp_path: Path) -> None:
    frames = moving_frames(3, 64, 48, 8, seed=1)
    for name in ("some", VALIDATION[0], "short"):
        write_y4m(tmp_path / f"{name}.y4m", frames[: 1 if name == "short" else 3])
    (tmp_path / "notes.txt").write_text("no video")
    assert len(list(fitting.clips_of(tmp_path, 0, 3))) == 1
