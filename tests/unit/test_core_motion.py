"""Motion: compensation against its PyTorch twin, field coding against the specification, and the
search on motion that is known.
"""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.compensation import COEFFICIENTS, compensate, positions
from support.paths import ROOT
from ui2c import _core
from ui2c.encoder import Encoder

SPECIFICATION = ROOT / "docs" / "bitstream.md"
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


def float_prediction(plane, step, vectors, chroma):
    """Compensation in float64 without rounding and clamping: PyTorch finds gradients through it."""
    height, width = plane.shape
    left, top, phase_x, phase_y = positions(height, width, step, vectors.int(), chroma)
    coefficients = torch.tensor(COEFFICIENTS, dtype=torch.float64) / 128
    total = torch.zeros(left.shape, dtype=torch.float64)
    for r in range(4):
        row = (top + r).clamp(0, height - 1).long() * width
        for c in range(4):
            index = (left + c).clamp(0, width - 1).long() + row
            weight = coefficients[phase_x.long(), c] * coefficients[phase_y.long(), r]
            total = total + plane.flatten()[index] * weight
    return total


@pytest.mark.parametrize("step", [16, 32, 64])
def test_the_adjoint_gives_the_gradients_that_pytorch_finds(step):
    rng = np.random.default_rng(step)
    for height, width in [(1, 9), (2, 2), (37, 21), (64, 65)]:
        for size in (0, 100, 2047):
            vectors = random_vectors(rng, 2, step, height, width, size)
            shapes = [(height, width)] + 2 * [((height + 1) // 2, (width + 1) // 2)]
            gradients = tuple(rng.standard_normal((2, *s)).astype(np.float32) for s in shapes)
            native = _core.compensate_adjoint(gradients, step, vectors)
            for k, shape in enumerate(shapes):
                plane = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
                predicted = float_prediction(plane, step, torch.from_numpy(vectors), k > 0)
                predicted.backward(torch.from_numpy(gradients[k]).double())
                assert native[k].dtype == np.float32
                # Absolute gradients of all samples may meet in one at the edge.
                tolerance = 1e-6 * (1 + np.abs(gradients[k]).sum())
                np.testing.assert_allclose(native[k], plane.grad, rtol=1e-5, atol=tolerance)


def test_the_float_map_that_is_transposed_is_that_of_compensation():
    rng = np.random.default_rng(2)
    planes = random_planes(rng, 37, 21, 16)
    planes = tuple(p // 2 + 16384 for p in planes)  # Nothing to clamp.
    vectors = random_vectors(rng, 2, 16, 37, 21, 100)
    native = _core.compensate(planes, 16, vectors, bit_depth=16)
    for k, plane in enumerate(planes):
        plane = torch.from_numpy(plane.astype(np.float64))
        expected = float_prediction(plane, 16, torch.from_numpy(vectors), k > 0)
        difference = np.stack([frame[k] for frame in native]) - expected.numpy()
        assert np.abs(difference).max() <= 0.5


def test_the_adjoint_without_a_field_sums_over_the_frames():
    rng = np.random.default_rng(3)
    shapes = [(3, 5, 7), (3, 3, 4), (3, 3, 4)]
    gradients = tuple(rng.standard_normal(s).astype(np.float32) for s in shapes)
    native = _core.compensate_adjoint(gradients, 0, np.zeros((3, 0, 0, 2), np.int16))
    for sums, gradient in zip(native, gradients, strict=True):
        np.testing.assert_allclose(sums, gradient.sum(0), rtol=1e-5, atol=1e-6)


def test_the_adjoint_refuses_what_does_not_fit():
    y, c = np.zeros((2, 5, 7), np.float32), np.zeros((2, 3, 4), np.float32)
    vectors = np.zeros((2, 1, 1, 2), np.int16)
    for arguments, message in [
        (((y, c, c), 16, vectors[:1]), "gradients"),
        (((y, c, c), 16, np.zeros((2, 1, 2, 2), np.int16)), "does not cover"),
        (((y, c, c[:, :2]), 16, vectors), "gradients"),
        (((y.astype(np.float64), c, c), 16, vectors), "float32"),
        (((y[:, :0], c[:, :0], c[:, :0]), 16, vectors), "cannot be"),
    ]:
        with pytest.raises(ValueError, match=message):
            _core.compensate_adjoint(*arguments)


class FieldReader:
    """docs/bitstream.md, the sections on the entropy coder (one lane) and the motion field."""

    def __init__(self, data: bytes) -> None:
        section = SPECIFICATION.read_text().split("\n## Motion field\n")[1].split("\n## ")[0]
        block = section.split("**Frequencies.**")[1].split("\n\n", 1)[1]
        numbers = [int(word) for word in block.split()]
        self.tables = []
        while numbers:
            assert numbers.pop(0) == len(self.tables)
            half = [numbers.pop(0), numbers.pop(0)]
            while half[0] + half[1] + 2 * sum(half[2:]) < 4096:
                half.append(numbers.pop(0))
            escape, *magnitudes = half
            self.tables.append(magnitudes[:0:-1] + magnitudes + [escape])
        self.data = data
        self.state = int.from_bytes(data[:4], "little")
        self.word = 4
        self.bits = 0

    def bit(self) -> int:
        self.bits += 1
        byte = self.data[len(self.data) - 1 - (self.bits - 1) // 8]
        return byte >> (self.bits - 1) % 8 & 1

    def symbol(self, index: int) -> int:
        table = self.tables[index]
        slot = self.state % 4096
        entry, start = 0, 0
        while slot >= start + table[entry]:
            start += table[entry]
            entry += 1
        self.state = table[entry] * (self.state // 4096) + slot - start
        if self.state < 65536:
            word = int.from_bytes(self.data[self.word : self.word + 2], "little")
            self.state = 65536 * self.state + word
            self.word += 2
        largest = (len(table) - 2) // 2
        if entry <= 2 * largest:
            return entry - largest
        prefix = 0
        while not self.bit():
            prefix += 1
        value = 2**prefix + sum(self.bit() << i for i in range(prefix)) + largest
        return -value if self.bit() else value

    def field(self, frames: int, rows: int, columns: int) -> list[list[list[list[int]]]]:
        out: list[list[list[list[int]]]] = []
        for frame in range(frames):
            mode = self.bit() + 2 * self.bit() if frame else 0
            cells = [[[0, 0] for _ in range(columns)] for _ in range(rows)]
            for r in range(rows):
                for c in range(columns):
                    self.vector(cells, r, c, columns)
            if frame:
                base = out[0]
                cells = [
                    [
                        [d + mode * b for d, b in zip(cells[r][c], base[r][c], strict=True)]
                        for c in range(columns)
                    ]
                    for r in range(rows)
                ]
            out.append(cells)
        return out

    def vector(self, cells: list[list[list[int]]], r: int, c: int, columns: int) -> None:
        if r == 0:
            near = [cells[0][c - 1] if c else [0, 0]] * 3
        else:
            above = cells[r - 1][c]
            left = cells[r][c - 1] if c else above
            corner = above
            if c + 1 < columns:
                corner = cells[r - 1][c + 1]
            elif c:
                corner = cells[r - 1][c - 1]
            near = [left, above, corner]
        residual = 0
        for k in range(2):
            low, median, high = sorted(v[k] for v in near)
            spread = high - low
            bounds = [1, 2, 4, 8, 16, 32]
            spread_class = 7 if r == 0 else sum(spread >= bound for bound in bounds)
            kind = 0 if k == 0 else 1 + sum(abs(residual) >= bound for bound in (1, 3))
            residual = self.symbol(4 * spread_class + kind)
            cells[r][c][k] = median + residual

    def finish(self) -> None:
        assert self.state == 65536
        assert self.word == len(self.data) - (self.bits + 7) // 8


@st.composite
def fields(draw):
    frames, rows, columns = draw(st.tuples(st.integers(1, 2), st.integers(1, 5), st.integers(1, 5)))
    size = draw(st.sampled_from([0, 1, 6, 90, 2047]))
    drift = draw(st.sampled_from([0, 1, 2]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    field = rng.integers(-size, size + 1, (frames, rows, columns, 2))
    if frames == 2:
        field[1] = (field[1] // 4 + drift * field[0]).clip(-2047, 2047)
    return field.astype(np.int16)


@settings(max_examples=80, deadline=None)
@given(fields())
def test_a_field_is_coded_as_the_specification_says(field):
    encoder = _core.RansEncoder()
    encoder.put_motion(field)
    log2_lanes, data = encoder.finish(0)
    decoder = _core.RansDecoder(data, log2_lanes)
    np.testing.assert_array_equal(decoder.get_motion(*field.shape[:3]), field)
    decoder.finish()
    reader = FieldReader(data)
    assert reader.field(*field.shape[:3]) == field.tolist()
    reader.finish()
    # The state that the lane ends in and rounding to words and bytes come on top.
    assert abs(8 * len(data) - _core.motion_bits(field)) < 56


@settings(max_examples=80, deadline=None)
@given(st.binary(min_size=4, max_size=80), st.integers(1, 2), st.integers(0, 5), st.integers(0, 5))
def test_any_bytes_give_legal_vectors_or_an_error(data, frames, rows, columns):
    try:
        field = _core.RansDecoder(data, 0).get_motion(frames, rows, columns)
    except _core.CorruptError:
        return
    assert field.shape == (frames, rows, columns, 2)
    assert field.size == 0 or np.abs(field).max() <= 2047


def test_an_empty_field_leaves_no_trace():
    encoder = _core.RansEncoder()
    encoder.put_motion(np.zeros((2, 0, 0, 2), np.int16))
    log2_lanes, data = encoder.finish()
    assert len(data) == 4
    decoder = _core.RansDecoder(data, log2_lanes)
    assert decoder.get_motion(2, 0, 0).shape == (2, 0, 0, 2)
    decoder.finish()


def texture(height, width):
    rng = np.random.default_rng(height * width)
    picture = np.zeros((height, width))
    for size in (1, 2, 4, 8, 16, 32):
        rows, columns = height // size + 2, width // size + 2
        coarse = rng.normal(0, 12 * size**0.5, (rows, columns))
        y, x = np.arange(height) / size, np.arange(width) / size
        i, j = y.astype(int), x.astype(int)
        f, g = (y - i)[:, None], x - j
        top = coarse[i][:, j] * (1 - g) + coarse[i][:, j + 1] * g
        bottom = coarse[i + 1][:, j] * (1 - g) + coarse[i + 1][:, j + 1] * g
        picture += top * (1 - f) + bottom * f
    return (128 + picture).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("vector", [(4, 0), (-7, 13), (50, -22)])
def test_a_pan_is_found_exactly(vector):
    luma = texture(128, 128)
    chroma = np.zeros((64, 64), np.uint8)
    motion = np.zeros((2, 2, 2, 2), np.int16)
    motion[0], motion[1] = vector, (2 * vector[0], 2 * vector[1])
    frames = np.stack([p[0] for p in _core.compensate((luma, chroma, chroma), 64, motion)])
    step, found = _core.search_motion(luma, frames, lagrangian=50.0)
    assert step in (16, 32, 64)
    assert found.shape == (2, 128 // step, 128 // step, 2)
    assert (found[0] == vector).all()
    assert (found[1] == 2 * np.array(vector)).all()


def test_no_motion_is_no_field():
    luma = texture(65, 90)
    step, found = _core.search_motion(luma, np.stack([luma, luma]), lagrangian=50.0)
    assert step == 0
    assert found.shape == (2, 0, 0, 2)
    step, found = _core.search_motion(luma, np.stack([luma, luma]), lagrangian=50.0, step=32)
    assert step == 32
    assert found.shape == (2, 3, 3, 2)
    assert not found.any()


def test_bad_search_arguments_are_value_errors():
    luma = texture(32, 32)
    frames = np.stack([luma])
    with pytest.raises(ValueError, match="reference"):
        _core.search_motion(luma.astype(np.int32), frames, lagrangian=50.0)
    with pytest.raises(ValueError, match="frames"):
        _core.search_motion(luma, frames[:, :, :16], lagrangian=50.0)
    with pytest.raises(ValueError, match="frames"):
        _core.search_motion(luma, luma, lagrangian=50.0)
    with pytest.raises(ValueError, match="lagrangian"):
        _core.search_motion(luma, frames, lagrangian=-1.0)
    with pytest.raises(ValueError, match="step"):
        _core.search_motion(luma, frames, lagrangian=1.0, step=8)
    with pytest.raises(ValueError, match="effort"):
        _core.search_motion(luma, frames, lagrangian=1.0, effort="none")


def test_the_encoder_refuses_an_unknown_effort():
    with pytest.raises(ValueError, match="motion must be"):
        Encoder(motion="never")


SEARCH = """
import hashlib, sys
import numpy as np
from ui2c import _core
rng = np.random.default_rng(5)
y, x = np.mgrid[:600, :640]
luma = 128 + 60 * np.sin(x / 7 + y / 29) * np.cos(y / 11) + rng.normal(0, 8, x.shape)
luma = luma.clip(0, 255).astype(np.uint8)
frames = np.stack([np.roll(luma, (1, 2), (0, 1)), np.roll(luma, (5, -9), (0, 1))])
frames[:, 200:300, 200:300] = np.roll(luma, 30, 1)[200:300, 200:300]
digest = hashlib.sha256()
for effort in ("fast", "default", "slow"):
    step, vectors = _core.search_motion(luma, frames, lagrangian=50.0, effort=effort)
    assert step
    digest.update(vectors.tobytes())
    planes = (luma, luma[:300, :320].copy(), luma[300:, 320:].copy())
    for planes in _core.compensate(planes, step, vectors):
        digest.update(b"".join(plane.tobytes() for plane in planes))
print(digest.hexdigest())
"""


def test_neither_instructions_nor_threads_change_the_result():
    def run(**variables):
        # Threads and instructions are chosen once per process.
        command = [sys.executable, "-c", SEARCH]
        environment = {**os.environ, **variables}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return done.stdout

    expected = run(UI2C_CPU="scalar", RAYON_NUM_THREADS="1")
    assert expected == run(UI2C_CPU="avx2", RAYON_NUM_THREADS="3")
    assert expected == run(RAYON_NUM_THREADS="2")
