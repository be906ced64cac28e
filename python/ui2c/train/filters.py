"""Default filters of a model's post-filter, fitted to videos that it has coded."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ui2c import _core
from ui2c.network.config import KNOTS, QUALITIES
from ui2c.network.model import FILTER_SETS, Model
from ui2c.train.data.videos import SUFFIXES, VALIDATION
from ui2c.train.observed import SymbolCounts, coded
from ui2c.unit.planes import Planes
from ui2c.video import open_source

WIDEST = 700
"""Wider videos are halved until they are not."""

SIZE = (288, 352)
"""At most so many rows and columns from the middle of the picture are coded."""

ONE = 128
"""A coefficient of one."""

Moments = tuple[NDArray[np.float64], NDArray[np.float64]]
"""As `FilterDesigner.moments` gives them, relative to the squared error of each plane."""


def fit_filters(
    model: Model, clips: Sequence[Sequence[Planes]], counts: SymbolCounts
) -> NDArray[np.int8]:
    """Default sets for `save_model`, int8 `[9, 3, 3, 30, 12]`, from clips of 8-bit 4:2:0 planes.

    Each plane at each knot has three sets: clips are divided among them so that the error falls
    most (k-means, with the least squares of its clips as the mean of a set). What is coded on the
    way is counted.
    """
    sets = np.zeros((len(KNOTS), FILTER_SETS, 3, 30, 12), np.int8)
    for k, row in enumerate(KNOTS):
        qp = QUALITIES - 1 - row
        gathered = [coded_moments(model, clip, qp, counts) for clip in clips]
        for plane in range(3):
            products = np.stack([products[plane] for products, _ in gathered])
            with_error = np.stack([with_error[plane] for _, with_error in gathered])
            sets[k, :, plane] = divide(products, with_error)
    return sets


def coded_moments(model: Model, clip: Sequence[Planes], qp: int, counts: SymbolCounts) -> Moments:
    """What filters would see of a clip coded at `qp`."""
    products, with_error, error = np.zeros((3, 30, 12, 12)), np.zeros((3, 30, 12)), np.zeros(3)
    for decoded, sources in coded(model, clip, qp, counts):
        new = _core.FilterDesigner().observe(decoded, list(sources)).moments()
        products, with_error = products + new[0], with_error + new[1]
        for shown, source in zip(decoded, sources, strict=True):
            pairs = zip(shown, source, strict=True)
            error += [np.square(a.astype(np.float64) - b).sum() for a, b in pairs]
    error = np.maximum(error, 1.0)
    return products / error[:, None, None, None], with_error / error[:, None, None]


def divide(
    products: NDArray[np.float64],
    with_error: NDArray[np.float64],
    passes: int = 12,
    trials: int = 6,
) -> NDArray[np.int8]:
    """Sets of one plane, int8 `[3, 30, 12]`, from the moments of clips, `[n, 30, 12(, 12)]`."""
    count = len(products)
    best: tuple[float, NDArray[np.int8]] | None = None
    for trial in range(trials):
        member = np.random.default_rng(trial).integers(0, FILTER_SETS, count)
        for _ in range(passes):
            sets = np.zeros((FILTER_SETS, 30, 12), np.int8)
            for k in set(member.tolist()) - {FILTER_SETS}:
                sets[k] = least_squares(
                    products[member == k].sum(axis=0), with_error[member == k].sum(axis=0)
                )
            changes = [change(filters, products, with_error) for filters in sets]
            # The last choice is no filter at all.
            costs = np.stack([*changes, np.zeros(count)], axis=1)
            before, member = member, costs.argmin(axis=1)
            if (member == before).all():
                break
        total = float(costs.min(axis=1).sum())
        if best is None or total < best[0]:
            best = total, sets
    assert best is not None
    return best[1]


def least_squares(
    products: NDArray[np.float64], with_error: NDArray[np.float64]
) -> NDArray[np.int8]:
    """The best filters, `[30, 12]`, rounded; what is barely determined stays small."""
    ridge = 1e-6 + 1e-4 * np.trace(products, axis1=-2, axis2=-1) / 12
    matrix = products + ridge[:, None, None] * np.eye(12)
    solution = np.linalg.solve(matrix, with_error[..., None])[..., 0]
    return np.clip(np.round(solution * ONE), -128, 127).astype(np.int8)


def change(
    filters: NDArray[np.int8], products: NDArray[np.float64], with_error: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What filters add to each clip's squared error, `[n]`."""
    x = filters / ONE
    quadratic = np.einsum("ci,ncij,cj->n", x, products, x)
    return np.asarray(quadratic - 2 * np.einsum("ci,nci->n", x, with_error))


def cut(path: Path, first: int, count: int) -> list[Planes]:
    """Frames from the middle of an 8-bit video, halved until they are small; fewer at its end."""

    def halved(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
        h, w = (side // 2 * 2 for side in plane.shape)
        quads = plane[:h, :w].reshape(h // 2, 2, w // 2, 2).astype(np.uint16)
        mean: NDArray[np.uint8] = ((quads.sum(axis=(1, 3)) + 2) >> 2).astype(np.uint8)
        return mean

    frames: list[Planes] = []
    for frame in islice(iter(open_source(path)), first, first + count):
        if frame.bit_depth != 8:
            return []
        planes = list(frame.planes)
        while planes[0].shape[1] > WIDEST:
            planes = [halved(plane) for plane in planes]
        h, w = (min(a, b) // 32 * 32 for a, b in zip(planes[0].shape, SIZE, strict=True))
        top, left = (planes[0].shape[0] - h) // 4, (planes[0].shape[1] - w) // 4
        corners = [(2 * top, 2 * left, h, w), *[(top, left, h // 2, w // 2)] * 2]
        cropped = zip(planes, corners, strict=True)
        luma, u, v = (p[y : y + h, x : x + w].copy() for p, (y, x, h, w) in cropped)
        frames.append((luma, u, v))
    return frames


def clips_of(folder: Path, first: int, count: int) -> Iterator[list[Planes]]:
    """One clip of each video that is long enough; those for validation are left alone."""
    for path in sorted(folder.iterdir()):
        if path.stem in VALIDATION or path.suffix not in (*SUFFIXES, ".y4m"):
            continue
        clip = cut(path, first, count)
        if len(clip) == count:
            yield clip
