"""The trainer on tiny clips: it learns, resumes, and saves models that code."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.paths import ROOT
from support.training import config
from torch import Tensor
from ui2c.network.codec import Codec
from ui2c.network.config import config_for
from ui2c.network.load import load_model
from ui2c.network.packing import pack
from ui2c.network.torch_model import load_codec
from ui2c.train.data.batches import Batch, Batches
from ui2c.train.data.sources import Sources
from ui2c.train.graph import Result, gaussian_bits, rgb_error, run_clip
from ui2c.train.optimizer import optimizers, orthogonalise
from ui2c.train.schedule import Stage, load_config
from ui2c.train.trainer import Trainer


def batches(data: Path, seed: int) -> Batches:
    return Batches(Sources.load(data, torch.device("cpu")), config_for("nano"), seed)


@pytest.mark.parametrize("name", ["nano", "nano-single", "nano-implicit"])
def test_a_run_saves_a_model_that_codes_and_goes_on(data: Path, tmp_path: Path, name: str) -> None:
    run = replace(config(data, tmp_path), model=name)
    trainer = Trainer(run, "cpu")
    before = [p.detach().clone() for p in trainer.codec.parameters()]
    trainer.run()
    assert trainer.step == 3 and trainer.skipped == 0
    assert any(
        not torch.equal(a, b) for a, b in zip(before, trainer.codec.parameters(), strict=True)
    )
    assert load_model(tmp_path / f"{name}.safetensors").config == config_for(name)

    resumed = Trainer(replace(run, stages=(Stage(steps=4, units=2, batch=2, size=64),)), "cpu")
    assert resumed.step == 3
    for a, b in zip(trainer.codec.parameters(), resumed.codec.parameters(), strict=True):
        assert torch.equal(a, b)
    momenta = [o.state_dict()["state"] for o in (trainer.optimizers[0], resumed.optimizers[0])]
    assert all(
        torch.equal(momenta[0][i]["momentum"], momenta[1][i]["momentum"]) for i in momenta[0]
    )
    resumed.run()
    assert resumed.step == 4


def test_a_resumed_run_is_the_unbroken_one(data: Path, tmp_path: Path, nano_file: Path) -> None:
    stages = (
        Stage(steps=2, units=1, batch=2, size=64),
        Stage(steps=2, units=2, batch=1, size=64, intra_every=2, intra_batch=3),
    )
    whole = Trainer(replace(config(data, tmp_path / "whole", nano_file), stages=stages), "cpu")
    whole.run()
    broken = replace(config(data, tmp_path / "broken", nano_file), stages=stages)
    # Stops inside the first stage, at its end and inside the second.
    for until in (1, 2, 3, 4):
        trainer = Trainer(broken, "cpu")
        trainer.run(until)
    for a, b in zip(whole.average.parameters(), trainer.average.parameters(), strict=True):
        assert torch.equal(a, b)
    for a, b in zip(whole.codec.parameters(), trainer.codec.parameters(), strict=True):
        assert torch.equal(a, b)


def test_every_nth_step_is_of_first_units(data: Path, tmp_path: Path, nano_file: Path) -> None:
    class Spy(Trainer):
        seen: list[tuple[int, int, bool]]
        losses: list[float]

        def loss(self, batch: Batch, stage: Stage, intra: bool) -> tuple[Tensor, Result]:
            units = (batch.frames.shape[1] - 1) // 2
            self.seen.append((len(batch.frames), units, bool(batch.blank.all())))
            loss, result = super().loss(batch, stage, intra)
            self.losses.append(loss.item())
            return loss, result

    losses = []
    for weight in (1.0, 2.0):
        stage = Stage(5, 2, 1, size=64, intra_every=2, intra_batch=3, intra_weight=weight)
        run = replace(
            config(data, tmp_path / str(weight), nano_file), stages=(stage,), references="frame"
        )
        trainer = Spy(run, "cpu")
        trainer.seen, trainer.losses = [], []
        trainer.run()
        first, other = (3, 1, True), (1, 2, False)
        assert trainer.seen == [first, other, first, other, first]
        losses.append(trainer.losses[0])
    assert losses[1] > 1.2 * losses[0]


def test_a_run_ends_when_its_time_is_up_and_goes_on(
    data: Path, tmp_path: Path, nano_file: Path
) -> None:
    run = config(data, tmp_path, nano_file)
    Trainer(run, "cpu").run(minutes=0)
    trainer = Trainer(run, "cpu")
    assert trainer.step == 0
    trainer.run(minutes=10)
    assert Trainer(run, "cpu").step == 3


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_trains_what_a_processor_codes(data: Path, tmp_path: Path, nano_file: Path) -> None:
    Trainer(config(data, tmp_path, nano_file), "cuda").run()
    assert load_model(tmp_path / "nano.safetensors").config == config_for("nano")


def test_adam_alone_trains_too(data: Path, tmp_path: Path, nano_file: Path) -> None:
    run = replace(config(data, tmp_path, nano_file), muon_rate=0.0, rgb_weight=0.2)
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


def test_a_run_starts_from_a_model_file(data: Path, tmp_path: Path, nano_file: Path) -> None:
    trainer = Trainer(config(data, tmp_path, nano_file), "cpu")
    expected = load_codec(nano_file).state_dict()
    assert all(torch.equal(value, expected[k]) for k, value in trainer.codec.state_dict().items())


def test_training_learns(data: Path, tmp_path: Path) -> None:
    stage = Stage(steps=40, units=1, batch=4, size=64, rate_weight=0.0)
    run = replace(config(data, tmp_path), stages=(stage,), model="nano-implicit")
    trainer = Trainer(replace(run, references="blank", lambda_balance=1.0), "cpu")
    batch = batches(data, seed=9).draw(3, 1, 64, step=0, blank=True)

    def error() -> float:
        with torch.no_grad():
            return float(run_clip(trainer.codec, batch).error.mean())

    before = error()
    trainer.run()
    assert error() < 0.93 * before


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
    base = 'model = "nano"\ndata = "d"\noutput = "o"\n'
    path.write_text(base + "speed = 3\n[[stage]]\nsteps = 1\nunits = 1\nbatch = 1\n")
    with pytest.raises(ValueError, match="speed"):
        load_config(path)
    path.write_text(base)
    with pytest.raises(ValueError, match="stage"):
        load_config(path)
    path.write_text(base + "[[stage]]\nsteps = 1\nunits = 1\nbatch = 1\nspeed = 3\n")
    with pytest.raises(ValueError, match="speed"):
        load_config(path)
    path.write_text(base + "[[stage]]\nsteps = 1\nunits = 1\nbatch = 1\nsize = 100\n")
    with pytest.raises(ValueError, match="multiple of 64, not 100"):
        load_config(path)


def test_what_symbols_stand_for_is_learnt(data: Path) -> None:
    torch.manual_seed(1)
    codec = Codec(config_for("nano"))
    batch = batches(data, seed=2).draw(2, 1, 64, step=0, blank=True)
    # At the best quality symbols are large.
    batch = replace(batch, rows=torch.full_like(batch.rows, 63))
    run_clip(codec, batch).weighted_error.sum().backward()
    assert codec.prior.offsets.grad is not None
    assert codec.prior.offsets.grad.count_nonzero() > 1
    group = optimizers(codec, muon_rate=1e-3, adam_rate=1e-3)
    muon = {id(p) for p in group[0].param_groups[0]["params"]}
    assert id(codec.prior.offsets) not in muon


def test_every_recipe_can_be_read() -> None:
    recipes = sorted((ROOT / "recipes").glob("*.toml"))
    assert recipes
    for path in recipes:
        assert path.stem.startswith(config_for(load_config(path).model).name)


def test_unknown_references_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(
        'model = "nano"\ndata = "d"\noutput = "o"\nreferences = "none"\n'
        "[[stage]]\nsteps = 1\nunits = 1\nbatch = 1\n"
    )
    with pytest.raises(ValueError, match="references is 'none', not one of hybrid, blank, frame"):
        load_config(path)
