"""Training on a device: what is made and computed there, checked on the CPU at a tiny scale."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from ui2c import _core
from ui2c.network.packing import pack, unpack
from ui2c.train import device_compensation


def random_fields(seed: int, count: int, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Packed references, steps of every kind and vectors, for frames of `side` samples."""
    rng = torch.Generator().manual_seed(seed)
    planes = [
        torch.randint(0, 256, (count, s, s), generator=rng, dtype=torch.uint8)
        for s in (side, side // 2, side // 2)
    ]
    steps = torch.tensor([0, 16, 32, 64])[torch.arange(count) % 4].to(torch.uint8)
    largest = [5, 100, 2047][seed % 3]
    cells = -(-side // 16)
    vectors = torch.randint(-largest, largest + 1, (count, 2, cells, cells, 2), generator=rng)
    return pack(planes, 8), steps, vectors.to(torch.int16)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000), side=st.sampled_from([16, 48, 80, 128]))
def test_predictions_are_those_of_the_codec(seed: int, side: int) -> None:
    references, steps, vectors = random_fields(seed, 5, side)
    made = device_compensation.predict(references, steps, vectors)
    planes = [plane.to(torch.uint8).numpy() for plane in unpack(references, 8)]
    for i, step in enumerate(steps.tolist()):
        cells = -(-side // step) if step else 0
        field = np.ascontiguousarray(vectors[i, :, :cells, :cells].numpy())
        frames = _core.compensate((planes[0][i], planes[1][i], planes[2][i]), step, field)
        expected = [torch.from_numpy(np.stack(plane)) for plane in zip(*frames, strict=True)]
        assert torch.equal(made[i : i + 1], device_compensation.join(pack(expected, 8), 2))


def close(moved: Tensor) -> Tensor:
    """Where something moved, or next to it: a small change may be lost in rounding."""
    return torch.nn.functional.max_pool2d((moved != 0).double(), 5, 1, 2)


@pytest.mark.parametrize("chroma", [False, True])
def test_the_gradient_is_the_transposed_map(chroma: bool) -> None:
    side = 24 if chroma else 48
    _, steps, vectors = random_fields(4, 4, 48)
    rng = torch.Generator().manual_seed(2)
    gradient = torch.randn(4, 2, side, side, generator=rng, dtype=torch.float64)
    kernel = device_compensation.taps(torch.float64, gradient.device) / 128
    spread = device_compensation.scatter(gradient, kernel, steps, vectors, chroma=chroma)
    # Rounding apart, interpolation is linear: a picture of 60 with one sample 120 higher moves
    # the predictions by 120 times that sample's column of the matrix.
    whole = device_compensation.taps(torch.int32, gradient.device)
    flat = torch.full((4, side, side), 60)
    base = device_compensation.interpolate(flat, whole, steps, vectors, chroma=chroma)
    for row, column in ((0, 0), (7, 11), (side - 1, 5), (12, side - 1)):
        raised = flat.clone()
        raised[:, row, column] += 120
        moved = device_compensation.interpolate(raised, whole, steps, vectors, chroma=chroma) - base
        expected = (moved * gradient).sum((1, 2, 3)) / 120
        error = (spread[:, row, column] - expected).abs()
        # Each prediction is off by half a code at most.
        bound = (close(moved) * gradient.abs()).sum((1, 2, 3)) / 240
        assert bool((error <= bound).all())


def test_the_gradient_reaches_packed_references() -> None:
    references, steps, vectors = random_fields(1, 4, 32)
    vectors *= 0
    references.requires_grad_()
    made = device_compensation.predict(references, steps, vectors)
    weights = torch.randn(made.shape, generator=torch.Generator().manual_seed(0))
    (made * weights).sum().backward()
    assert references.grad is not None
    assert torch.allclose(references.grad, weights[..., :96] + weights[..., 96:], atol=1e-5)
