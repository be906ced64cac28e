"""Training on a device: what is made and computed there, checked on the CPU at a tiny scale."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from ui2c import _core
from ui2c.network.blocks import DepthConvBlock
from ui2c.network.codec import Codec
from ui2c.network.config import config_for
from ui2c.network.packing import pack, unpack
from ui2c.network.weights import load_model
from ui2c.train import (
    device_check,
    device_compensation,
    device_kernels,
    device_motion,
    portable,
)
from ui2c.train.device_clips import DeviceLoader, Sources
from ui2c.train.device_scenes import Dice, cameras
from ui2c.train.device_sources import Reels, Tiles, load_reels, load_tiles, mirror
from ui2c.train.graph import Prediction
from ui2c.train.timed import TimedTrainer
from ui2c.train.timed_config import Stage, TimedConfig, load_config

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


def texture(seed: int, count: int, side: int) -> Tensor:
    """Smooth random luma `[count, side, side]`, uint8."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 1, side // 5, side // 5, generator=rng) * 180 + 30
    fine = torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic")
    return fine.clamp(16, 235).round().to(torch.uint8)[:, 0]


@pytest.fixture(scope="module")
def sources() -> Sources:
    """Two tiles, and two reels that pan over a texture, two samples a frame to the right."""
    luma = texture(1, 2, 160)[:, None]
    chroma = luma[:, :, ::2, ::2].repeat(1, 2, 1, 1)
    tiles = Tiles(luma, chroma, torch.ones(2, 2), torch.tensor([3.0, 5.0]))
    parts, sizes = [], []
    for seed, (frames, height, width) in ((2, (12, 80, 96)), (3, (10, 64, 72))):
        wide = texture(seed, 1, 160)[0]
        for t in range(frames):
            y = wide[:height, 2 * t : 2 * t + width]
            parts += [y.flatten(), *(y[::2, ::2].flatten() for _ in range(2))]
        sizes.append((frames, height, width))
    count, height, width = torch.tensor(sizes).unbind(1)
    lengths = count * height * width * 3 // 2
    reels = Reels(torch.cat(parts), lengths.cumsum(0) - lengths, count, height, width)
    return Sources(tiles, reels, 0.5)


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
        fields.append(_core.search_motion(frames[i, 0], frames[i, 1:], lagrangian=price))
        errors = []
        for step, found in fields:
            made = _core.compensate((frames[i, 0], grey, grey), step, found)
            errors.append(
                np.mean([(m[0] - luma[i, t + 1].numpy()) ** 2 for t, m in enumerate(made)])
            )
        assert errors[0] < 1.2 * errors[1], (i, errors)


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
    """A picture, half black and half white, and a clip of four frames that grow brighter."""
    av = pytest.importorskip("av")
    from ui2c.train.contact_sheet import write_png

    folder = tmp_path_factory.mktemp("data")
    (folder / "photos").mkdir()
    (folder / "clips").mkdir()
    image = np.zeros((90, 120, 3), np.uint8)
    image[:, 60:] = 255
    write_png(folder / "photos" / "half.png", image)
    with av.open(str(folder / "clips" / "grey.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for t in range(4):
            picture = np.full((48, 48), 20 * t + 30, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "yuv420p")))
        container.mux(stream.encode())
    return folder


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


# --- training ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["shifted", "library"])
@pytest.mark.parametrize("inputs", [16, 32])
def test_kernels_compute_the_block(name: str, inputs: int) -> None:
    torch.manual_seed(1)
    block = DepthConvBlock(inputs, 32)
    x = torch.randn(2, 5, 6, inputs, requires_grad=True)
    results = []
    depthwise = getattr(device_kernels, f"{name}_depthwise")
    function = partial(device_kernels.block_function, depthwise)
    for kernel in (None, partial(device_kernels.run_block, function)):
        block.kernel = kernel
        block.zero_grad()
        x.grad = None
        out = block(x)
        out.square().sum().backward()
        assert x.grad is not None
        results.append([out.detach(), x.grad, *(p.grad for p in block.parameters())])
    for plain, fast in zip(*results, strict=True):
        assert torch.allclose(plain, fast, rtol=1e-4, atol=1e-4)


def test_what_does_not_compile_is_computed_plainly(capsys: pytest.CaptureFixture[str]) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no such compiler")

    function = device_kernels.Compiled(lambda x: x + 1, "addition", broken)
    assert function(torch.tensor(2)) == 3
    assert function(torch.tensor(4)) == 5
    assert capsys.readouterr().out.count("addition is not compiled") == 1


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


def timed(sources: Sources, output: Path, **changes: object) -> TimedTrainer:
    config = TimedConfig(
        model="nano",
        data=Path("unused"),
        output=output,
        minutes=10,
        stages=(Stage(0.5, units=2, batch=3, size=64), Stage(0.5, units=1, batch=2, size=64)),
        kernels="plain",
        precision="float32",
        warmup_steps=1,
    )
    config = replace(config, **changes)  # type: ignore[arg-type]
    return TimedTrainer(config, "cpu", began=time.monotonic(), sources=sources)


def test_a_timed_run_goes_on_where_it_was(sources: Sources, tmp_path: Path) -> None:
    first = timed(sources, tmp_path / "run")
    before = [p.detach().clone() for p in first.codec.parameters()]
    first.run(5, tmp_path / "sent", steps=2)
    assert first.step == 2
    changed = [not torch.equal(a, b) for a, b in zip(before, first.codec.parameters(), strict=True)]
    assert any(changed)
    assert load_model(tmp_path / "sent" / "nano.safetensors").config == config_for("nano")

    second = timed(sources, tmp_path / "run")
    assert second.step == 2 and second.seconds_before > 0
    for a, b in zip(first.codec.parameters(), second.codec.parameters(), strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-6)
    momenta = [
        o.state[next(iter(o.state))]["momentum"]
        for o in (first.optimizers[0], second.optimizers[0])
    ]
    assert torch.allclose(momenta[0], momenta[1], rtol=1e-2)
    second.run(5, steps=1)
    assert second.step == 3
    assert len((tmp_path / "run" / "log.csv").read_text().splitlines()) == 3


def test_large_batches_may_go_in_parts(sources: Sources, tmp_path: Path) -> None:
    trainer = timed(sources, tmp_path, lambda_balance=0.0)
    batch, start = trainer.loader.batch(4, 1, 64)
    norms = []
    for parts in (1, 2, 4):
        trainer.parts = parts
        for p in trainer.codec.parameters():
            p.grad = None
        torch.manual_seed(0)
        result = trainer.backward(batch, start, Stage(1, 1, 4, 64))
        assert result.weighted_error.shape == (4,)
        weight = trainer.codec.heads_out[0].weight
        assert weight.grad is not None
        norms.append(float(weight.grad.norm()))
    assert norms[1] == pytest.approx(norms[0], rel=0.05)
    assert norms[2] == pytest.approx(norms[0], rel=0.05)


def test_broken_gradients_do_no_harm(sources: Sources, tmp_path: Path) -> None:
    trainer = timed(sources, tmp_path)
    for value, expected in ((float("nan"), 0.0), (100.0, 1.0), (1e-4, None)):
        for p in trainer.codec.parameters():
            p.grad = torch.full_like(p, value)
        trainer.clip()
        norm = torch.cat([p.grad.flatten() for p in trainer.codec.parameters()]).norm()
        size = sum(p.numel() for p in trainer.codec.parameters()) ** 0.5
        assert float(norm) == pytest.approx(
            size * value if expected is None else expected, rel=1e-3
        )


def test_state_travels_in_pieces(tmp_path: Path) -> None:
    torch.manual_seed(0)
    codec = Codec(config_for("nano"))
    written = portable.save_state(tmp_path, codec, [], {"step": 3, "seconds": 4.5}, piece=60_000)
    assert len(written) > 3 and all(path.stat().st_size < 120_000 for path in written)
    other = Codec(config_for("nano"))
    assert portable.load_state(tmp_path, other, []) == {"step": 3, "seconds": 4.5}
    for a, b in zip(codec.parameters(), other.parameters(), strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-6)
    written[0].unlink()
    with pytest.raises(ValueError, match="not whole"):
        portable.load_state(tmp_path, other, [])
    with pytest.raises(FileNotFoundError):
        portable.load_state(tmp_path / "none", other, [])


def test_the_rate_falls_to_zero_as_time_runs_out() -> None:
    config = TimedConfig(
        "nano", Path(), Path(), 27, (Stage(3, 1, 1), Stage(1, 2, 2)), warmup_steps=4
    )
    assert config.stage_at(0.74).units == 1 and config.stage_at(0.76).units == 2
    assert config.stage_at(1.2).units == 2
    assert config.rate_factor(0.0, 0) == 0.25 and config.rate_factor(0.3, 50) == 1
    assert config.rate_factor(1 - 0.225, 50) == pytest.approx(0.5)
    assert config.rate_factor(1.0, 50) == 0 and config.rate_factor(1.1, 50) == 0


def test_timed_configurations_name_what_they_do_not_know(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    base = 'model = "nano"\ndata = "d"\noutput = "o"\nminutes = 1\n'
    stage = "[[stage]]\nshare = 1\nunits = 1\nbatch = 1\n"
    path.write_text(base + stage)
    assert load_config(path).stages[0].size == 256
    for text, match in (
        (base, "stage"),
        (base + "speed = 3\n" + stage, "speed"),
        (base + stage + "size = 100\n", "64"),
        (base + 'precision = "int8"\n' + stage, "precision"),
        (base.replace("minutes = 1", "minutes = 0") + stage, "minutes"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=match):
            load_config(path)


ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("path", sorted(ROOT.glob("recipes/*-gpu.toml")), ids=lambda p: p.stem)
def test_recipes_can_be_read(path: Path) -> None:
    config = load_config(path)
    assert config_for(config.model).name == config.model and config.minutes > 0


def recipe(folder: Path, output: Path) -> Path:
    """A configuration of the smallest run on these sources."""
    path = output / "run.toml"
    path.write_text(
        f'model = "nano"\ndata = "{folder}"\noutput = "{output / "run"}"\nminutes = 5\n'
        'kernels = "plain"\nprecision = "float32"\n'
        "[[stage]]\nshare = 1\nunits = 1\nbatch = 2\nsize = 64\n"
    )
    return path


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
def test_the_commands_of_the_notes_run(folder: Path, tmp_path: Path) -> None:
    sent = tmp_path / "sent"
    command = ["sh", "recipes/gpu.sh", "train", str(recipe(folder, tmp_path)), str(sent), "5"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "--device", "cpu", "--steps", "1"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "ends at step 1" in done.stdout
    assert {path.name for path in sent.iterdir()} == {
        "log.csv",
        "nano.safetensors",
        "state-momenta-00.safetensors",
        "state-weights-00.safetensors",
    }


def test_the_check_says_what_it_finds(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(recipe(folder, tmp_path)), "--device", "cpu", "--batches", "2"]
    assert device_check.main([*arguments, "--output", str(tmp_path / "check")]) == 0
    printed = capsys.readouterr().out
    for line in ("compensation: good", "motion search: good", "blocks: good", "Mpx/s"):
        assert line in printed
    assert not device_check.passed("sums", lambda: 1 + 1 == 3)
    assert "NOT AS ON THE CPU" in capsys.readouterr().out


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_computes_the_same() -> None:
    device = torch.device("cuda")
    assert device_check.same_compensation(device) and device_check.same_motion(device)
