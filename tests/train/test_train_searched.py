"""Motion searched in training: what an encoder would find, and its way back."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.training import ROW, clip, config, packed
from torch import Tensor
from ui2c.motion import Planes
from ui2c.network.weights import Model, load_model, random_model
from ui2c.pair import PairCoder
from ui2c.train.config import Stage
from ui2c.train.graph import run_unit
from ui2c.train.loop import Trainer
from ui2c.train.searched import Motion, planes_of


def model(bidirectional: bool = False) -> Model:
    plain = random_model("nano", seed=4)
    config = replace(plain.config, blocks=True, chosen_precision=True, bidirectional=bidirectional)
    return replace(plain, config=config)


class Spy(PairCoder):
    """Keeps the prediction and what was decoded, as the network sees it."""

    def _pack_prediction(self, predicted: list[Planes], intra: bool) -> Tensor | None:
        self.prediction = super()._pack_prediction(predicted, intra)
        return self.prediction

    def _finish(self, *arguments: Any) -> list[Planes]:
        self.frames = super()._finish(*arguments)
        return self.frames


def test_training_sees_what_the_encoder_makes() -> None:
    frames = clip()
    coder = Spy(model(), width=96, height=64)
    coder.refer_to(frames[0])
    search = Motion(coder.model.config, packed(frames)[None], torch.tensor([ROW]))
    reference, blocks = frames[0], 0
    for unit in range(2):
        coder.encode(frames[1 + 2 * unit : 3 + 2 * unit], qp=63 - ROW, cycle=unit, intra=False)
        prediction = search.predict(
            unit, torch.tensor([unit]), torch.tensor([False]), packed([reference])
        )
        assert torch.equal(prediction, coder.prediction)
        field = search.fields[0]
        assert field is not None
        blocks += int(not torch.equal(prediction[0], packed(field.predict(reference, 2))))
        reference = coder.frames[-1]
    assert blocks


@pytest.mark.parametrize("recentred", [False, True])
def test_a_unit_is_trained_as_it_is_coded(recentred: bool) -> None:
    """Both frames, the first with blocks of the last in its prediction: on either side alike."""
    frames = clip()
    used = model(bidirectional=True)
    if recentred:
        used.codec.prior.offsets = torch.nn.Parameter(torch.linspace(0.5, 0, 128).view(64, 2))
    coder = Spy(used, width=96, height=64)
    config, codec = coder.model.config, coder.model.codec
    search = Motion(config, packed(frames)[None], torch.tensor([ROW]))
    coder.refer_to(frames[0])
    unit = coder.encode(frames[1:3], qp=63 - ROW, cycle=1, intra=False)
    reference = packed([frames[0]])
    prediction = search.predict(0, torch.tensor([1]), torch.tensor([False]), reference)
    assert search.between is not None
    with torch.no_grad():
        result = run_unit(
            codec,
            codec.start(reference),
            torch.cat([packed([frame]) for frame in frames[1:3]], dim=-1),
            prediction,
            torch.tensor([ROW]),
            coder._rows(63 - ROW, 1, False),
            torch.tensor([False]),
            coder._stages,
            search.between,
        )
    for k, frame in enumerate(coder.frames):
        trained = planes_of(result.decoded[..., 96 * k : 96 * k + 96])[0]
        for plane, expected in zip(trained, frame, strict=True):
            off = np.abs(plane.astype(int) - expected)
            assert off.max() <= 1 and off.mean() < 0.01
    bits = unit.estimated_bits - unit.motion_bits
    assert abs(float(result.rounded_bits) - bits) < 0.05 * bits + 50

    plain = Spy(model(), width=96, height=64)
    plain.refer_to(frames[0])
    plain.encode(frames[1:3], qp=63 - ROW, cycle=1, intra=False)
    assert any((a != b).any() for a, b in zip(plain.frames[0], coder.frames[0], strict=True))


def test_blank_units_have_neither_prediction_nor_blocks() -> None:
    frames = packed(clip())[None].repeat(2, 1, 1, 1, 1)
    search = Motion(model(bidirectional=True).config, frames, torch.tensor([ROW, ROW]))
    blank = torch.tensor([True, False])
    prediction = search.predict(0, torch.tensor([0, 0]), blank, frames[:, 0])
    assert not prediction[0].any() and prediction[1].any()
    assert search.between is not None
    decoded = frames[:, 3:5].permute(0, 2, 3, 1, 4).flatten(3)
    mended = search.between.mend(decoded)
    assert torch.equal(mended[0], decoded[0]) and not torch.equal(mended[1], decoded[1])


def test_gradients_are_those_of_the_same_motion(monkeypatch: pytest.MonkeyPatch) -> None:
    """A nudge of the reference changes all as its gradient foresees, if what is found stays."""
    frames = [tuple(p // 2 + 60 for p in frame) for frame in clip(seed=3)]
    config = model(bidirectional=True).config
    search = Motion(config, packed(frames)[None], torch.tensor([ROW]))
    found: dict[int, Any] = {}

    def once(place: int, function: Any) -> Any:
        return lambda *a: found.setdefault(place, function(*a))

    monkeypatch.setattr(search, "field", once(0, search.field))
    monkeypatch.setattr(search, "forward_blocks", once(1, search.forward_blocks))
    monkeypatch.setattr(search, "blocks_between", once(2, search.blocks_between))

    def shown(reference: Tensor) -> Tensor:
        prediction = search.predict(0, torch.tensor([0]), torch.tensor([False]), reference)
        assert search.between is not None
        return search.between.mend(torch.cat([reference, prediction[..., 96:]], dim=-1) + 1e-4)

    reference = packed([frames[0]]).requires_grad_()
    before = shown(reference)
    assert found[1][1] is not None and found[2] is not None
    generator = torch.Generator().manual_seed(1)
    towards = torch.randn(before.shape, generator=generator)
    (before * towards).sum().backward()
    assert reference.grad is not None
    nudge = torch.randint(-20, 21, reference.shape, generator=generator) / 255
    real = ((shown(reference.detach() + nudge) - before.detach()) * towards).sum()
    foreseen = (reference.grad * nudge).sum()
    assert abs(real - foreseen) < 0.02 * abs(foreseen) + 1.0, (real, foreseen)


def test_a_searched_run_resumes_and_its_model_has_blocks(
    shards: Path,
    tmp_path: Path,
) -> None:
    stages = (Stage(steps=3, units=2, batch=2, intra_every=3, intra_batch=2),)
    whole = replace(config(shards, tmp_path / "whole"), stages=stages, searched=True)
    trainer = Trainer(whole, "cpu")
    trainer.run()
    broken = replace(whole, output=tmp_path / "broken")
    for until in (1, 3):
        resumed = Trainer(broken, "cpu")
        resumed.run(until)
    for a, b in zip(trainer.codec.parameters(), resumed.codec.parameters(), strict=True):
        assert torch.equal(a, b)
    saved = load_model(tmp_path / "whole" / "nano.safetensors").config
    assert saved.blocks and saved.chosen_precision and saved.bidirectional


@pytest.mark.parametrize("name", ["nano-single", "nano-implicit"])
def test_other_variants_train_searched_too(
    shards: Path,
    tmp_path: Path,
    name: str,
) -> None:
    run = replace(config(shards, tmp_path), model=name, searched=True)
    Trainer(run, "cpu").run()
    assert not load_model(tmp_path / f"{name}.safetensors").config.blocks
