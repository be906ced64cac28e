"""Training on a device: what is made and computed there, checked on the CPU at a tiny scale."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.device_data import make_sources, texture, write_sources
from torch import Tensor
from ui2c import _core
from ui2c.network.config import config_for
from ui2c.network.packing import pack, unpack
from ui2c.train import (
    device_between,
    device_compensation,
    device_motion,
)
from ui2c.train.device_clips import DeviceLoader, Sources
from ui2c.train.device_scenes import Dice, cameras
from ui2c.train.device_sources import load_reels, load_tiles, mirror
from ui2c.train.graph import Prediction

CPU = torch.device("cpu")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """These tensors are too small to share out."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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


@pytest.fixture(scope="module")
def sources() -> Sources:
    return make_sources()


# --- compensation --------------------------------------------------------------------------


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


def test_both_predictions_have_one_gradient() -> None:
    references, steps, vectors = random_fields(1, 4, 64)
    gradients = []
    for made in (
        lambda x: device_compensation.predict(x, steps, vectors),
        lambda x: Prediction.apply(x, steps.numpy(), vectors.numpy()),
    ):
        x = references.clone().requires_grad_()
        out = made(x)
        (out * torch.linspace(-1, 1, out.numel()).view(out.shape)).sum().backward()
        gradients.append(x.grad)
    assert torch.allclose(*gradients, atol=1e-4)


# --- motion --------------------------------------------------------------------------------


def shifted(count: int, frames: int, side: int) -> Tensor:
    """Luma `[count, 1 + frames, side, side]` that moves by 2.5 and 1.25 samples a frame."""
    wide = texture(7, count, 2 * side).float()
    clips = []
    for t in range(frames + 1):
        axis = torch.arange(side) + side // 2
        x, y = axis + 2.5 * t, axis + 1.25 * t
        grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], -1)
        grid = ((2 * grid + 1) / (2 * side) - 1).expand(count, -1, -1, -1)
        clips.append(
            torch.nn.functional.grid_sample(wide[:, None], grid, "bicubic", align_corners=False)
        )
    return torch.cat(clips, 1).round()


def test_the_search_finds_a_pan_and_leaves_a_still_scene_alone() -> None:
    luma = shifted(2, 2, 64)
    luma[1] = luma[1, :1]
    steps, vectors = device_motion.search(luma, torch.tensor([100.0, 100.0]))
    assert steps.dtype == torch.uint8 and vectors.dtype == torch.int16
    assert vectors.shape == (2, 2, 4, 4, 2)
    assert steps[0] > 0 and steps[1] == 0
    assert not vectors[1].any()
    cells = 64 // int(steps[0])
    assert not vectors[0, :, cells:].any() and not vectors[0, :, :, cells:].any()
    for t in range(2):
        error = vectors[0, t, :cells, :cells].float() - (t + 1) * torch.tensor([10.0, 5.0])
        assert float(error.abs().max()) <= 2


def test_the_search_predicts_about_as_well_as_the_encoders() -> None:
    luma = shifted(3, 2, 128)
    noise = torch.randn(luma.shape, generator=torch.Generator().manual_seed(5))
    luma = (luma + 2 * noise).round().clamp(0, 255)
    luma[2, 1:, 40:100, 30:90] = luma[2, :1, 10:70, 20:80]
    prices = torch.tensor([30.0, 300.0, 30.0])
    steps, vectors = device_motion.search(luma, prices)
    frames = luma.to(torch.uint8).numpy()
    grey = np.full((64, 64), 128, np.uint8)
    for i, price in enumerate(prices.tolist()):
        cells = 128 // max(int(steps[i]), 16)
        field = np.ascontiguousarray(vectors[i, :, :cells, :cells].numpy())
        fields = [(int(steps[i]), field)]
        fields.append(
            _core.search_motion(frames[i, 0], frames[i, 1:], lagrangian=price, effort="slow")
        )
        costs = []
        for step, found in fields:
            made = _core.compensate((frames[i, 0], grey, grey), step, found)
            squares = [(m[0] - luma[i, t + 1].numpy()) ** 2 for t, m in enumerate(made)]
            costs.append(np.sum(squares) + price * _core.motion_bits(found))
        assert costs[0] < 1.2 * costs[1], (i, costs)


def test_predicted_vectors_are_the_coders_medians() -> None:
    """A field whose rows repeat costs next to nothing below its first row, for both."""
    rng = torch.Generator().manual_seed(0)
    field = torch.randint(-50, 51, (1, 2, 5, 7), generator=rng).float()
    median = device_motion.median_prediction(field)[0]
    for row in range(5):
        for column in range(7):
            expected = torch.zeros(2)
            if row == 0 and column > 0:
                expected = field[0, :, 0, column - 1]
            elif row > 0:
                above = field[0, :, row - 1, column]
                left = above if column == 0 else field[0, :, row, column - 1]
                corner = field[0, :, row - 1, column + 1 if column < 6 else column - 1]
                expected = torch.stack((above, left, corner)).median(0).values
            assert torch.equal(median[:, row, column], expected), (row, column)


# --- clips ---------------------------------------------------------------------------------


def test_batches_are_those_of_the_loader_in_shape_and_meaning(sources: Sources) -> None:
    loader = DeviceLoader(sources, config_for("nano"), seed=1)
    batch, start = loader.batch(6, 2, 64)
    assert batch.frames.shape == (6, 5, 8, 8, 96)
    assert batch.steps.shape == (6, 2) and batch.vectors.shape == (6, 2, 2, 4, 4, 2)
    codes = batch.frames * 256 + 128
    assert torch.equal(codes, codes.round())
    assert codes.min() >= 16 and codes.max() <= 240
    assert ((start.rows >= 0) & (start.rows < 64)).all()
    assert not start.reference[start.blank].any() and not start.cycle[start.blank].any()
    again, _ = DeviceLoader(sources, config_for("nano"), seed=1).batch(6, 2, 64)
    other, _ = DeviceLoader(sources, config_for("nano"), seed=2).batch(6, 2, 64)
    assert torch.equal(batch.frames, again.frames)
    assert not torch.equal(batch.frames, other.frames)


def test_real_clips_are_windows_of_the_reels(sources: Sources) -> None:
    loader = DeviceLoader(sources, config_for("nano"), seed=3)
    # Clip 1 from frame 2, every second frame, from row 0 and column 8, as it is.
    place = torch.tensor([[1], [2], [2], [0], [8], [0], [0], [0], [0]])
    luma = loader.gather(place, 3, 32, 0, 1)
    wide = texture(3, 1, 160)[0]
    for t in range(3):
        first = 2 * (2 + 2 * t) + 8
        assert torch.equal(luma[0, t], wide[:32, first : first + 32])
    chroma = loader.gather(place, 3, 32, 2, 1)
    assert torch.equal(chroma[0, 1], wide[:64, 8:][:, :72][::2, ::2][:16, 4:20])
    backwards = loader.gather(
        torch.tensor([[1], [2], [2], [0], [8], [1], [1], [0], [1]]), 3, 32, 0, 1
    )
    assert torch.equal(backwards[0, 0], luma[0, 2].t().flip(0))


def test_cameras_stand_still_or_move(sources: Sources) -> None:
    paths = cameras(Dice(CPU, 4), 400)
    places = paths.positions(torch.tensor([-1.0, 1.0]), 16)
    travelled = (places[:, 1] - places[:, 0]).abs().amax((1, 2, 3))
    assert 0.15 < float((travelled == 0).float().mean()) < 0.35
    assert float(travelled.median()) < 4 < float(travelled.max())


def test_tiles_cover_an_axis() -> None:
    assert [int(t[0]) for t in mirror(720, 384, CPU)] == [0, 336]
    assert [len(t) for t in mirror(720, 384, CPU)] == [384, 384]
    (small,) = mirror(3, 8, CPU)
    assert small.tolist() == [0, 1, 2, 2, 1, 0, 0, 1]
    assert [int(t[-1]) for t in mirror(400, 384, CPU)][-1] in (383, 399)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("av")
    return write_sources(tmp_path_factory.mktemp("data"))


def test_sources_are_read_from_files(folder: Path) -> None:
    tiles = load_tiles(folder / "photos", CPU, side=64)
    assert tiles.luma.shape[1:] == (1, 64, 64) and tiles.chroma.shape[1:] == (2, 32, 32)
    assert int(tiles.luma.min()) <= 16 and int(tiles.luma.max()) >= 235
    assert (tiles.extent <= 1).all() and len(tiles.texture) == len(tiles.luma)
    reels = load_reels(folder / "clips", CPU, frames=3)
    assert [int(x) for x in (reels.frames, reels.height, reels.width)] == [3, 32, 48]
    assert reels.data.view(3, -1).float().mean(1).tolist() == [30, 50, 70]
    with pytest.raises(ValueError, match="no files"):
        load_reels(folder / "photos", CPU)


# --- the last frame in the first one's prediction ----------------------------------------------


def test_cells_take_of_the_last_frame_what_suits_them() -> None:
    """One half of the first frame is predicted well, the other only by the last, moved."""
    luma = shifted(1, 2, 64).to(torch.uint8)
    grey = torch.full((3, 32, 32), 128, dtype=torch.uint8)
    packed = pack((luma[0], grey, grey), 8)
    source = packed[None, 1:].permute(0, 2, 3, 1, 4).flatten(3)
    prediction = source.clone()
    prediction[:, :, :4, :96] += 0.2
    # From the first frame to the last (2.5, 1.25) samples: nearly what the field says here.
    vectors = torch.zeros(1, 2, 4, 4, 2, dtype=torch.int16)
    vectors[0, 0], vectors[0, 1] = torch.tensor([10, 5]), torch.tensor([20, 10])
    steps = torch.tensor([16], dtype=torch.uint8)
    weights, blank = torch.tensor([1000.0]), torch.tensor([False])
    between = device_between.choose(source, prediction, steps, vectors, weights, blank)
    assert between.share.shape == (1, 8, 8, 1)
    assert (between.share[:, :, :4] > 0).all() and not between.share[:, :, 4:].any()
    mended = between.mend(prediction)
    assert torch.equal(mended[..., 96:], prediction[..., 96:])
    assert torch.equal(mended[:, :, 4:], prediction[:, :, 4:])

    def error(frames: Tensor) -> float:
        return float((frames - source)[:, :, :4, :64].square().mean())

    assert error(mended) < 0.3 * error(prediction)
    none = device_between.choose(source, prediction, steps, vectors, weights, ~blank)
    assert not none.share.any()
