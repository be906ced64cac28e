"""What a run begins with."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from ui2c.network.codec import Codec
from ui2c.network.config import CodecConfig, config_for
from ui2c.network.packing import pack
from ui2c.network.torch_model import save_model
from ui2c.train.start import first_units, first_weights

EQUAL = (6.0, 1.0, 1.0)


def clips(config: CodecConfig) -> Iterator[torch.Tensor]:
    """Smooth random pictures that pan, packed `[4, frames, 8, 8, 96]`."""
    torch.manual_seed(2)
    for _ in range(12):
        coarse = torch.rand(4, 3, 20, 20) * 180 + 30
        wide = torch.nn.functional.interpolate(coarse, size=(80, 80), mode="bicubic")
        frames = []
        for t in range(config.frames_per_unit):
            window = wide[:, :, t : t + 64, 2 * t : 2 * t + 64].clamp(16, 235).to(torch.uint8)
            planes = window[:, 0], window[:, 1, ::2, ::2], window[:, 2, ::2, ::2]
            frames.append(pack(planes, 8))
        yield torch.stack(frames, dim=1)


def unasked(config: CodecConfig) -> Iterator[torch.Tensor]:
    raise AssertionError("there is nothing to fit")


def error(codec: Codec, source: torch.Tensor) -> float:
    """Squared error of first units at the best quality, latents not quantised."""
    n = len(source)
    rows, blank = torch.full((n, 2), 63), torch.ones(n, dtype=torch.bool)
    prediction = torch.zeros_like(source)
    with torch.no_grad():
        context = codec.extract(codec.start(torch.zeros(n, 8, 8, 96)), prediction, rows).context
        y = codec.analyse(source, context, rows)
        feature = codec.synthesise(y, context, rows)
        shown = codec.render(feature, codec.detail(y, rows), prediction, rows, blank)
    return float((shown - source).square().mean())


def test_new_weights_begin_as_a_linear_code() -> None:
    codec = first_weights("nano", "", clips, EQUAL)
    assert codec.config == config_for("nano")
    torch.manual_seed(5)
    plain = Codec(codec.config)
    for source in first_units(next(clips(codec.config)), codec.config):
        assert error(codec, source) < 0.12 * error(plain, source)


def test_without_a_linear_path_nothing_is_fitted() -> None:
    assert first_weights("nano-implicit", "", unasked, EQUAL).config.name == "nano-implicit"


def test_a_model_goes_on_as_it_is(tmp_path: Path) -> None:
    torch.manual_seed(1)
    old = Codec(config_for("nano"))
    save_model(old, tmp_path / "same.safetensors")
    same = first_weights("nano", str(tmp_path / "same.safetensors"), unasked, EQUAL)
    assert same.config == old.config
    torch.testing.assert_close(same.encoder_gains.values, old.encoder_gains.values)
    assert all(p.requires_grad for p in same.parameters())


def test_a_model_of_another_shape_is_refused(tmp_path: Path) -> None:
    save_model(Codec(config_for("nano-implicit")), tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="is no nano"):
        first_weights("nano", str(tmp_path / "other.safetensors"), unasked, EQUAL)
