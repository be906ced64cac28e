"""The feature moved along the motion field."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from ui2c.network.alignment import align, displacement_of


def feature(height: int = 6, width: int = 9) -> Tensor:
    return torch.randn(2, height, width, 3, generator=torch.Generator().manual_seed(1))


def test_no_motion_changes_nothing() -> None:
    still = torch.zeros(2, 6, 9, 2, dtype=torch.long)
    assert torch.equal(align(feature(), still), feature())


@settings(max_examples=40, deadline=None)
@given(st.integers(-12, 12), st.integers(-12, 12))
def test_whole_positions_are_taken_from_where_the_motion_points(dx: int, dy: int) -> None:
    moved = align(feature(), torch.tensor([256 * dx, 256 * dy]).expand(2, 6, 9, 2))
    for y in range(6):
        for x in range(9):
            there = feature()[:, min(max(y + dy, 0), 5), min(max(x + dx, 0), 8)]
            assert torch.equal(moved[:, y, x], there)


def test_between_positions_it_is_bilinear() -> None:
    displacement = torch.tensor([64, 128]).expand(2, 6, 9, 2)
    moved = align(feature(), displacement)
    f = feature()
    expected = (0.75 * f[:, 2, 3] + 0.25 * f[:, 2, 4] + 0.75 * f[:, 3, 3] + 0.25 * f[:, 3, 4]) / 2
    assert torch.allclose(moved[:, 2, 3], expected, atol=1e-6)


@pytest.mark.parametrize("step", [16, 32, 64])
def test_the_displacement_is_that_of_compensation(step: int) -> None:
    """Of a picture of its own columns: what is fetched for a sample says where from."""
    rng = np.random.default_rng(step)
    height, width = 80, 112
    cells = -(-height // step), -(-width // step)
    # Whole samples everywhere between the vectors, too: one vector for all.
    vector = rng.integers(-5, 6, 2) * 4
    vectors = np.broadcast_to(vector, (2, *cells, 2)).astype(np.int16)
    both = torch.from_numpy(vectors)[None]
    found = displacement_of(height, width, torch.tensor([step]), both)
    assert found.shape == (1, 10, 14, 2)
    # Two frames, quarters to 32nds.
    assert (found == torch.from_numpy(vector * 8)).all()
    one = displacement_of(height, width, torch.tensor([step]), both[:, :1])
    assert torch.equal(one, found)


def test_a_coarser_grid_fills_the_corner_of_the_finest() -> None:
    vectors = torch.randint(-40, 41, (1, 2, 2, 3, 2), generator=torch.Generator().manual_seed(2))
    room = torch.full((1, 2, 4, 6, 2), 99)
    room[:, :, :2, :3] = vectors
    steps = torch.tensor([32])
    assert torch.equal(
        displacement_of(64, 96, steps, vectors), displacement_of(64, 96, steps, room)
    )
    assert not displacement_of(64, 96, torch.tensor([0]), room).any()
