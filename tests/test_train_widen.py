"""More latent channels for trained weights."""

from dataclasses import replace

import pytest
import torch
from ui2c.network.codec import Codec
from ui2c.network.config import CodecConfig, config_for
from ui2c.train.widen import widened

NARROW = config_for("nano")


def wide(latent: int) -> CodecConfig:
    return replace(NARROW, name="wide", latent=latent, entropy=16)


@pytest.mark.parametrize("latent", [16, 32, 64])
def test_pictures_and_old_channels_stay_the_same(latent: int) -> None:
    torch.manual_seed(3)
    old = Codec(NARROW)
    new = widened(old, wide(latent))
    frames = torch.rand(1, 8, 8, 192) - 0.5
    rows, blank = torch.tensor([[20, 28]]), torch.tensor([True])
    places = [*range(8), *range(latent // 2, latent // 2 + 8)]
    with torch.no_grad():
        seen = []
        for codec in (old, new):
            prediction = torch.zeros_like(frames)
            context = codec.extract(codec.start(torch.zeros(1, 8, 8, 96)), prediction, rows)
            y = codec.analyse(frames, context.context, rows)
            z = codec.prior.hyper_encode(y)
            stage = codec.prior.split(codec.prior.first_stage(z, context.tap))
            means = codec.prior.second_stage(y, torch.cat(stage, dim=-1))
            feature = codec.synthesise(y, context.context, rows)
            shown = codec.render(feature, prediction, rows, blank)
            seen.append((shown, z, *(t for t in (y, *stage))))
            assert means.shape == y.shape
    for first, second in zip(seen[0][:2], seen[1][:2], strict=True):
        torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-4)
    for first, second in zip(seen[0][2:], seen[1][2:], strict=True):
        torch.testing.assert_close(first, second[..., places], atol=1e-5, rtol=1e-4)


def test_the_new_channels_carry_something_and_learn() -> None:
    torch.manual_seed(4)
    new = widened(Codec(NARROW), wide(32))
    rows = torch.tensor([[20, 28]])
    context = new.extract(new.start(torch.rand(1, 8, 8, 96)), torch.zeros(1, 8, 8, 192), rows)
    y = new.analyse(torch.rand(1, 8, 8, 192) - 0.5, context.context, rows)
    assert y[..., 8:16].abs().mean() > 0.05 * y[..., :8].abs().mean()
    new.synthesise(y, context.context, rows).square().sum().backward()
    assert new.decoder_up.weight.grad is not None
    assert new.decoder_up.weight.grad[:, 8:16].abs().max() > 0


@pytest.mark.parametrize(
    "config",
    [wide(32).without_motion(), replace(wide(32), entropy=32), replace(wide(32), trunk=64)],
)
def test_other_differences_are_refused(config: CodecConfig) -> None:
    with pytest.raises(ValueError, match="cannot widen"):
        widened(Codec(NARROW), config)
