"""The training loop on tiny shards: it learns, resumes, and saves models that code."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.training import config
from ui2c import _core
from ui2c.network.codec import Codec
from ui2c.network.config import config_for
from ui2c.network.packing import pack
from ui2c.network.weights import load_model
from ui2c.train.config import Stage, load_config
from ui2c.train.graph import Batch, Prediction, Start, gaussian_bits, rgb_error, run_clip
from ui2c.train.loader import Loader, mirrored, mirrored_field
from ui2c.train.loop import Trainer
from ui2c.train.optimizer import optimizers, orthogonalise
from ui2c.train.shards import SIZE


@pytest.mark.parametrize("name", ["nano", "nano-single", "nano-implicit", "nano-still"])
def test_a_run_saves_a_model_that_codes_and_goes_on(
    shards: Path, tmp_path: Path, name: str
) -> None:
    run = replace(config(shards, tmp_path), model=name)
    trainer = Trainer(run, "cpu")
    before = [p.detach().clone() for p in trainer.codec.parameters()]
    trainer.run()
    assert trainer.step == 3 and trainer.skipped == 0
    assert any(
        not torch.equal(a, b) for a, b in zip(before, trainer.codec.parameters(), strict=True)
    )
    assert load_model(tmp_path / f"{name}.safetensors").config == config_for(name)

    resumed = Trainer(replace(run, stages=(Stage(steps=4, units=2, batch=2),)), "cpu")
    assert resumed.step == 3
    for a, b in zip(trainer.codec.parameters(), resumed.codec.parameters(), strict=True):
        assert torch.equal(a, b)
    momenta = [o.state_dict()["state"] for o in (trainer.optimizers[0], resumed.optimizers[0])]
    assert all(
        torch.equal(momenta[0][i]["momentum"], momenta[1][i]["momentum"]) for i in momenta[0]
    )
    resumed.run()
    assert resumed.step == 4


def test_a_resumed_run_is_the_unbroken_one(shards: Path, tmp_path: Path) -> None:
    stages = (
        Stage(steps=2, units=1, batch=2),
        Stage(steps=2, units=2, batch=1, intra_every=2, intra_batch=3),
    )
    whole = Trainer(replace(config(shards, tmp_path / "whole"), stages=stages), "cpu")
    whole.run()
    broken = replace(config(shards, tmp_path / "broken"), stages=stages)
    # Stops inside the first stage, at its end and inside the second.
    for until in (1, 2, 3, 4):
        trainer = Trainer(broken, "cpu")
        trainer.run(until)
    for a, b in zip(whole.average.parameters(), trainer.average.parameters(), strict=True):
        assert torch.equal(a, b)
    for a, b in zip(whole.codec.parameters(), trainer.codec.parameters(), strict=True):
        assert torch.equal(a, b)


def test_every_nth_step_is_of_first_units(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, losses = [], []
    original = Trainer.loss

    def spy(self: Trainer, batch: Batch, start: Start, stage: Stage, intra: bool) -> object:
        seen.append((len(batch.frames), (batch.frames.shape[1] - 1) // 2, bool(start.blank.all())))
        losses.append(original(self, batch, start, stage, intra)[0].item())
        return original(self, batch, start, stage, intra)

    monkeypatch.setattr(Trainer, "loss", spy)
    for weight in (1.0, 2.0):
        stage = Stage(steps=5, units=2, batch=1, intra_every=2, intra_batch=3, intra_weight=weight)
        run = replace(config(shards, tmp_path / str(weight)), stages=(stage,), references="frame")
        Trainer(run, "cpu").run()
    assert seen == 2 * [(3, 1, True), (1, 2, False), (3, 1, True), (1, 2, False), (3, 1, True)]
    assert losses[5] > 1.2 * losses[0]


def test_adam_alone_trains_too(shards: Path, tmp_path: Path) -> None:
    run = replace(config(shards, tmp_path), muon_rate=0.0, rgb_weight=0.2)
    trainer = Trainer(run, "cpu")
    before = [p.detach().clone() for p in trainer.codec.parameters()]
    trainer.run()
    assert len(trainer.optimizers) == 1 and trainer.skipped == 0
    after = list(trainer.codec.parameters())
    assert sum(not torch.equal(a, b) for a, b in zip(before, after, strict=True)) > len(after) / 2


def test_rgb_error_is_that_of_the_pictures() -> None:
    y = torch.randint(60, 180, (2, 16, 32), dtype=torch.uint8)
    u, v = (torch.randint(108, 148, (2, 8, 16), dtype=torch.uint8) for _ in range(2))
    other = tuple(plane + 2 for plane in (y, u, v))
    difference = pack(other, 8) - pack((y, u, v), 8)
    # Codes are scaled by 1/256; two steps of Y are 2 · 255/219 of each of R, G and B.
    luma, chroma = 2 * 255 / 219 / 256, 2 * 255 / 224 / 256
    expected = np.mean(
        [
            (luma + 1.5748 * chroma) ** 2,
            (luma - (0.1873 + 0.4681) * chroma) ** 2,
            (luma + 1.8556 * chroma) ** 2,
        ]
    )
    assert rgb_error(difference).shape == (2, 1)
    assert torch.allclose(rgb_error(difference), torch.tensor(expected).float(), rtol=1e-4)


def test_a_run_starts_from_a_model_file(shards: Path, tmp_path: Path) -> None:
    Trainer(config(shards, tmp_path / "a"), "cpu").run()
    run = replace(config(shards, tmp_path / "b"), init=str(tmp_path / "a" / "nano.safetensors"))
    names = {n for n, _ in Codec(config_for("nano")).named_parameters()}
    assert {n for n, _ in Trainer(run, "cpu").codec.named_parameters()} == names


def test_training_learns(shards: Path, tmp_path: Path) -> None:
    run = replace(
        config(shards, tmp_path), stages=(Stage(steps=40, units=2, batch=2, rate_weight=0.0),)
    )
    trainer = Trainer(run, "cpu")
    batch, start = Loader(shards, config_for("nano"), seed=9).batch(3, 2)
    blank = torch.ones(3, dtype=torch.bool)
    start = Start(start.rows, start.cycle * 0, blank, start.reference * 0)

    def error() -> float:
        with torch.no_grad():
            return float(run_clip(trainer.codec, batch, start).error.mean())

    before = error()
    trainer.run()
    after = error()
    assert after < 0.8 * before


def test_mirrored_fields_predict_mirrored_frames(shards: Path) -> None:
    frames = np.load(shards / "shard_00000.frames.npy")[0, :, : SIZE * SIZE]
    luma = frames.reshape(-1, SIZE, SIZE)
    step, field = _core.search_motion(luma[0], luma[1:3].copy(), lagrangian=25.0, step=16)
    assert step == 16
    for bits in range(8):
        mirror = np.array([bits & 1, bits & 2, bits & 4]).astype(bool)
        turned = mirrored(luma, mirror)
        vectors = np.ascontiguousarray(mirrored_field(field, mirror))
        grey = np.full((SIZE // 2, SIZE // 2), 128, np.uint8)
        predicted = _core.compensate((turned[0], grey, grey), step, vectors)
        for t in range(2):
            error = predicted[t][0].astype(int) - turned[t + 1]
            inside = error[16:-16, 16:-16]
            assert np.abs(inside).mean() < 2, mirror


def test_batches_are_predicted_as_in_the_codec(shards: Path) -> None:
    loader = Loader(shards, config_for("nano"), seed=1)
    batch, _ = loader.batch(2, 2)
    packed = Prediction.apply(batch.frames[:, 0], batch.steps[:, 0], batch.vectors[:, 0])
    assert packed.shape == (2, 16, 16, 192)
    error = (packed - batch.frames[:, 1:3].permute(0, 2, 3, 1, 4).flatten(3)).abs().mean()
    still = (batch.frames[:, :1] - batch.frames[:, 1:3]).abs().mean()
    assert error < still / 2


def test_the_gradient_of_a_prediction_is_that_of_its_linear_map(shards: Path) -> None:
    loader = Loader(shards, config_for("nano"), seed=1)
    batch, _ = loader.batch(3, 1)
    steps, vectors = batch.steps[:, 0], batch.vectors[:, 0]
    steps[0] = 0
    reference = batch.frames[:, 0].clone().requires_grad_()
    packed = Prediction.apply(reference, steps, vectors)
    towards = torch.randn_like(packed)
    (packed * towards).sum().backward()
    assert reference.grad is not None
    still = towards[0].unflatten(-1, (2, 96)).sum(-2)
    assert torch.allclose(reference.grad[0], still, atol=1e-5)
    # Linear but for the rounding: a step along any direction changes the prediction as foreseen.
    direction = (torch.rand_like(reference) * 40 - 20).round() / 256
    moved = Prediction.apply((reference + direction).detach().clamp(-0.4, 0.4), steps, vectors)
    real = (moved - Prediction.apply(reference.detach(), steps, vectors)) * towards
    step = (reference + direction).detach().clamp(-0.4, 0.4) - reference.detach()
    foreseen = (reference.grad * step).flatten(1).sum(1)
    assert torch.allclose(real.flatten(1).sum(1), foreseen, rtol=0.02, atol=1.5)


def test_gaussian_bits_are_those_of_the_distribution() -> None:
    scale = torch.tensor(1.7)
    x = torch.arange(-4.0, 5.0)
    normal = torch.distributions.Normal(0.0, float(scale))
    expected = -torch.log2(normal.cdf(x + 0.5) - normal.cdf(x - 0.5))
    assert torch.allclose(gaussian_bits(x, scale), expected, atol=1e-3)


@pytest.mark.parametrize("shape", [(32, 32), (32, 128), (96, 160)])
def test_orthogonal_updates_have_singular_values_near_one(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalise(torch.randn(1, *shape)))
    assert float(values.max()) < 1.3 and float(values.median()) > 0.6


def test_configurations_name_what_they_do_not_know(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    base = 'model = "nano"\nshards = "s"\noutput = "o"\n'
    path.write_text(base + "speed = 3\n[[stage]]\nsteps = 1\nunits = 1\nbatch = 1\n")
    with pytest.raises(ValueError, match="speed"):
        load_config(path)
    path.write_text(base)
    with pytest.raises(ValueError, match="stage"):
        load_config(path)


def test_recomputed_units_give_the_same_gradients(shards: Path) -> None:
    config = config_for("nano")
    batch, start = Loader(shards, config, seed=2).batch(2, 3)
    gradients = []
    for recompute in (False, True):
        torch.manual_seed(1)
        codec = Codec(config)
        result = run_clip(codec, batch, start, recompute=recompute)
        (result.latent_bpp + result.weighted_error).sum().backward()
        gradients.append([p.grad for p in codec.parameters()])
    for kept, recomputed in zip(*gradients, strict=True):
        if kept is None:
            assert recomputed is None
        else:
            torch.testing.assert_close(kept, recomputed)


def test_what_symbols_stand_for_is_learnt(shards: Path) -> None:
    config = replace(config_for("nano"), recentred=True)
    batch, start = Loader(shards, config, seed=2).batch(2, 2)
    torch.manual_seed(1)
    codec = Codec(config)
    run_clip(codec, batch, start).weighted_error.sum().backward()
    assert codec.prior.offsets is not None and codec.prior.offsets.grad is not None
    assert codec.prior.offsets.grad.count_nonzero() > 8
    group = optimizers(codec, muon_rate=1e-3, adam_rate=1e-3)
    muon = {id(p) for p in group[0].param_groups[0]["params"]}
    assert id(codec.prior.offsets) not in muon


@pytest.mark.parametrize(("references", "share"), [("hybrid", 0.5), ("blank", 1.0), ("frame", 0.0)])
def test_what_clips_begin_from(shards: Path, references: str, share: float) -> None:
    loader = Loader(shards, config_for("nano"), seed=2, references=references)
    batch, start = loader.batch(60, 1)
    assert abs(float(start.blank.float().mean()) - share) < 0.2
    assert share in (0.5, float(start.blank.float().mean()))
    true = (start.reference == batch.frames[:, 0]).all(-1).all(-1).all(-1)
    grey = (start.reference == 0).all(-1).all(-1).all(-1)
    assert torch.equal(grey, start.blank)
    if share < 1:
        assert true.any() and (~true & ~grey).any()


def test_unknown_references_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(
        'model = "nano"\nshards = "s"\noutput = "o"\nreferences = "none"\n'
        "[[stage]]\nsteps = 1\nunits = 1\nbatch = 1\n"
    )
    with pytest.raises(ValueError, match="references is 'none', not one of hybrid, blank, frame"):
        load_config(path)
