"""Motion: the native module against its PyTorch twin, and the search on motion that is known."""

import numpy as np
import pytest
import torch
from ui2c import _core
from ui2c.compensation import compensate

SIZES = [(1, 1), (1, 9), (2, 3), (37, 21), (64, 64), (65, 129)]


def random_planes(rng, height, width, bit_depth):
    dtype = np.uint8 if bit_depth == 8 else np.uint16
    shapes = [(height, width)] + 2 * [((height + 1) // 2, (width + 1) // 2)]
    return tuple(rng.integers(0, 1 << bit_depth, shape).astype(dtype) for shape in shapes)


def random_vectors(rng, frames, step, height, width, size):
    shape = (frames, -(-height // step), -(-width // step), 2)
    return rng.integers(-size, size + 1, shape).astype(np.int16)


@pytest.mark.parametrize("bit_depth", [8, 10, 16])
@pytest.mark.parametrize("step", [16, 32, 64])
def test_the_twins_agree(step, bit_depth):
    rng = np.random.default_rng(100 * step + bit_depth)
    for height, width in SIZES:
        for size in (0, 5, 100, 2047):
            planes = random_planes(rng, height, width, bit_depth)
            if size == 100:  # Extreme contrast, so that clamping takes part.
                planes = tuple(p // (1 << bit_depth - 1) * ((1 << bit_depth) - 1) for p in planes)
            vectors = random_vectors(rng, 2, step, height, width, size)
            native = _core.compensate(planes, step, vectors, bit_depth=bit_depth)
            tensors = tuple(torch.from_numpy(p) for p in planes)
            twin = compensate(tensors, step, torch.from_numpy(vectors), bit_depth)
            for k in range(3):
                assert twin[k].dtype == tensors[k].dtype
                expected = np.stack([frame[k] for frame in native])
                np.testing.assert_array_equal(twin[k].numpy(), expected)


def test_without_a_field_the_prediction_is_the_reference():
    planes = random_planes(np.random.default_rng(1), 5, 7, 8)
    still = np.zeros((2, 0, 0, 2), np.int16)
    native = _core.compensate(planes, 0, still)
    twin = compensate(tuple(torch.from_numpy(p) for p in planes), 0, torch.from_numpy(still))
    assert len(native) == 2
    for frame in range(2):
        for k in range(3):
            np.testing.assert_array_equal(native[frame][k], planes[k])
            np.testing.assert_array_equal(twin[k][frame].numpy(), planes[k])


@pytest.mark.parametrize(
    "broken, message",
    [
        (lambda p, v: (p, 8, v), "step"),
        (lambda p, v: (p, 32, v), "field|grid"),
        (lambda p, v: (p, 16, v[..., :1]), "vectors"),
        (lambda p, v: (p, 16, v + 2048), "2047"),
        (lambda p, v: ((p[0], p[1], p[0]), 16, v), "4:2:0|chroma"),
    ],
)
def test_bad_arguments_are_value_errors(broken, message):
    planes = random_planes(np.random.default_rng(2), 32, 48, 8)
    planes, step, vectors = broken(planes, np.zeros((2, 2, 3, 2), np.int16))
    vectors = np.ascontiguousarray(vectors, np.int16)
    with pytest.raises(ValueError, match=message):
        _core.compensate(planes, step, vectors)
    with pytest.raises(ValueError, match=message):
        compensate(tuple(torch.from_numpy(p) for p in planes), step, torch.from_numpy(vectors))
