"""Conversion to integers: equalisation, and weights rounded by what a layer makes of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.clips import moving_frames, write_y4m
from support.training import config
from ui2c.network.blocks import Pointwise
from ui2c.network.codec import Codec
from ui2c.network.config import config_for
from ui2c.network.integer import from_integers, to_integers
from ui2c.network.load import load_model
from ui2c.network.torch_model import load_codec, save_model
from ui2c.train import calibrate
from ui2c.train.rounding import Inputs, rounded_to_fit
from ui2c.train.schedule import Stage
from ui2c.train.trainer import Trainer


def correlated(rows: int, inputs: int) -> torch.Tensor:
    """Inputs that go together, with means, of very different size."""
    mixed = torch.randn(rows, inputs) @ torch.randn(inputs, inputs) / inputs**0.5 + 0.7
    return mixed * torch.randn(inputs).exp()


def test_inputs_are_known_by_their_largest_mean_and_covariance() -> None:
    torch.manual_seed(1)
    x = correlated(600, 12)
    inputs = Inputs(x)
    for part in x.view(2, 3, 100, 12):
        inputs.add(part)
    assert torch.equal(inputs.largest, x.abs().amax(0))
    torch.testing.assert_close(inputs.mean().float(), x.mean(0), rtol=1e-4, atol=1e-4)
    expected = torch.from_numpy(np.cov(x.numpy().T, bias=True))
    least = 1e-6 * x.square().mean() * torch.eye(12)
    torch.testing.assert_close(inputs.covariance() - least, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("wide", [False, True])
def test_rounding_by_inputs_beats_the_nearest(wide: bool) -> None:
    torch.manual_seed(2)
    layer, x = Pointwise(40, 24, wide=wide), correlated(3000, 40)
    layer.equalisation.copy_(calibrate.equalisation(x.abs().amax(0), layer.weight.detach()))
    inputs = Inputs(x)
    inputs.add(x)
    wanted = layer(x).detach()

    def error() -> float:
        """Of the coding layer's weights alone."""
        coded = from_integers(to_integers(layer))(x).detach()
        return float((coded - wanted).square().mean())

    nearest = error()
    rounded_to_fit(layer, inputs)
    # What was chosen is what codes.
    coding = from_integers(to_integers(layer))
    torch.testing.assert_close(coding.weight, layer.weight, rtol=1e-5, atol=1e-7)
    assert error() < 0.6 * nearest


def test_outputs_that_are_zero_and_silent_inputs_stay_as_they_are() -> None:
    torch.manual_seed(3)
    layer, x = Pointwise(10, 6), torch.randn(200, 10)
    x[:, 4] = 0
    with torch.no_grad():
        layer.weight[2] = 0
    inputs = Inputs(x)
    inputs.add(x)
    rounded_to_fit(layer, inputs)
    assert (layer.weight[2] == 0).all()
    assert layer.weight.isfinite().all() and layer.bias.isfinite().all()


def test_equalised_channels_are_as_large_as_their_weights() -> None:
    torch.manual_seed(4)
    largest, weight = torch.rand(9).exp(), torch.randn(5, 9)
    factor = calibrate.equalisation(largest, weight)
    ratio = largest * factor / (weight.abs().amax(0) / factor)
    torch.testing.assert_close(ratio, ratio[0].expand(9))
    assert float(factor.log().mean()) == pytest.approx(0, abs=1e-5)


def write_clip(folder: Path) -> None:
    write_y4m(folder / "clip.y4m", moving_frames(4, 64, 48, 8, seed=1))


def test_a_checkpoint_becomes_a_model(data: Path, tmp_path: Path, nano_file: Path) -> None:
    write_clip(tmp_path)
    trainer = Trainer(config(data, tmp_path / "run", nano_file), "cpu")
    trainer.run(1)
    output = tmp_path / "converted.safetensors"
    checkpoint = tmp_path / "run" / "checkpoint.pt"
    options = ["--first", "0", "--frames", "4"]
    calibrate.main([str(checkpoint), str(tmp_path), str(output), *options])
    assert load_model(output).config == config_for("nano")
    codec = load_codec(output)
    for name, layer in codec.named_modules():
        if isinstance(layer, Pointwise):
            trained = trainer.average.get_submodule(name)
            difference = (layer.weight - trained.weight).abs().amax()
            # A step of rounding or two, with a factor of equalisation that may be large.
            assert difference < 0.2 * trained.weight.abs().amax() + 1e-6
    assert any(
        not torch.equal(m.equalisation, torch.ones_like(m.equalisation))
        for m in codec.modules()
        if isinstance(m, Pointwise)
    )


def test_a_folder_without_videos_is_refused(
    tmp_path: Path, nano_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "videos").mkdir()
    with pytest.raises(SystemExit):
        calibrate.main([str(nano_file), str(tmp_path / "videos"), str(tmp_path / "out")])
    assert "no 8-bit video" in capsys.readouterr().err


def equalisations(codec: Codec) -> list[torch.Tensor]:
    return [m.equalisation.clone() for m in codec.modules() if isinstance(m, Pointwise)]


def test_a_run_calibrates_what_was_not(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)
    start = Codec(config_for("nano"))
    save_model(start, tmp_path / "start.safetensors")
    stages = tuple(Stage(steps=1, units=1, batch=1, size=64) for _ in range(2))
    first = replace(config(data, tmp_path / "first", tmp_path / "start.safetensors"), stages=stages)
    trainer = Trainer(first, "cpu")
    trainer.run(1)
    found = equalisations(trainer.codec)
    assert any((e != 1).any() for e in found)
    for a, b in zip(found, equalisations(trainer.average), strict=True):
        assert torch.equal(a, b)
    # Known from then on: in the checkpoint, in the model, and in a run that begins from it.
    resumed = Trainer(first, "cpu")
    resumed.run(2)
    model = tmp_path / "first" / "nano.safetensors"
    second = Trainer(replace(first, output=tmp_path / "second", init=str(model)), "cpu")
    second.run(1)
    for codec in (resumed.codec, load_codec(model), second.codec):
        for a, b in zip(found, equalisations(codec), strict=True):
            assert torch.equal(a, b)
