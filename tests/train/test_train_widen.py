"""More latent channels for trained weights."""

from dataclasses import replace

import pytest
import torch
from ui2c.network.codec import Codec
from ui2c.network.config import CodecConfig, config_for
from ui2c.train.widen import fit_linear, new_channels, respaced, widened

NARROW = config_for("nano")


def wide(latent: int, linear: bool = True) -> CodecConfig:
    return replace(NARROW, name="wide", latent=latent, entropy=16, linear=linear)


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("latent", [16, 32, 64])
def test_pictures_and_old_channels_stay_the_same(latent: int, linear: bool) -> None:
    torch.manual_seed(3)
    old = Codec(NARROW)
    new = widened(old, wide(latent, linear))
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
            means = codec.prior.later_stage(1, y, torch.cat(stage, dim=-1))
            feature = codec.synthesise(y, context.context, rows)
            shown = codec.render(feature, codec.detail(y, rows), prediction, rows, blank)
            seen.append((shown, z, *(t for t in (y, *stage))))
            assert means.shape == y.shape
    for first, second in zip(seen[0][:2], seen[1][:2], strict=True):
        torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-4)
    for first, second in zip(seen[0][2:], seen[1][2:], strict=True):
        torch.testing.assert_close(first, second[..., places], atol=1e-5, rtol=1e-4)


def test_a_widened_codec_can_be_widened_again() -> None:
    torch.manual_seed(5)
    once = widened(Codec(NARROW), wide(32))
    twice = widened(once, wide(64))
    assert twice.linear_in_gains.values.shape == (9, 64)
    added = new_channels(once.config, twice.config).tolist()
    assert added == [*range(16, 32), *range(48, 64)]
    old = [i for i in range(64) if i not in added]
    torch.testing.assert_close(twice.encoder_down.weight[old], once.encoder_down.weight)
    torch.testing.assert_close(twice.linear_in_gains.values[:, old], once.linear_in_gains.values[:])


def reconstruct(codec: Codec, frames: torch.Tensor) -> torch.Tensor:
    rows, prediction = torch.full((len(frames), 2), 63), torch.zeros_like(frames)
    start = codec.start(torch.zeros_like(frames[..., :96]))
    context = codec.extract(start, prediction, rows).context
    y = codec.analyse(frames, context, rows)
    feature = codec.synthesise(y, context, rows)
    blank = torch.ones(len(frames), dtype=torch.bool)
    return codec.render(feature, codec.detail(y, rows), prediction, rows, blank)


def test_the_new_channels_carry_what_was_left_out() -> None:
    torch.manual_seed(4)
    old = Codec(NARROW)
    config = wide(64)
    basis = torch.randn(20, 192) / 5
    clips = [torch.randn(3, 8, 8, 20) @ basis for _ in range(4)]
    new = widened(old, config)
    channels = new_channels(old.config, config)
    fit_linear(new, clips, channels)
    with torch.no_grad():
        unseen = torch.randn(3, 8, 8, 20) @ basis
        before, after = ((unseen - reconstruct(c, unseen)).square().mean() for c in (old, new))
    # 48 new channels for the 80 dimensions of a cell.
    assert after < 0.6 * before
    y = new.linear_in(torch.randn(1, 4, 4, 768))
    assert y[..., channels].square().mean() > 0
    untouched = [i for i in range(64) if i not in channels.tolist()]
    assert not y[..., untouched].any()
    new.linear_in.zero_grad()
    reconstruct(new, clips[0]).square().sum().backward()
    for layer in (new.linear_in, new.linear_out):
        assert layer is not None and layer.weight.grad is not None
        assert layer.weight.grad.any()


def test_a_codec_without_the_linear_path_cannot_be_fitted() -> None:
    with pytest.raises(ValueError, match="nano has no linear path"):
        fit_linear(Codec(NARROW), [], torch.arange(4))


@pytest.mark.parametrize(
    "config",
    [wide(32).without_motion(), replace(wide(32), entropy=32), replace(wide(32), trunk=64)],
)
def test_other_differences_are_refused(config: CodecConfig) -> None:
    with pytest.raises(ValueError, match="cannot widen"):
        widened(Codec(NARROW), config)


def test_rows_move_to_other_lambdas_and_keep_what_each_lambda_does() -> None:
    torch.manual_seed(7)
    old = Codec(wide(32))
    for bank in (old.encoder_gains, old.linear_out_gains, old.feature_gains):
        bank.values.data *= 1 + 0.2 * torch.rand_like(bank.values)
    new = respaced(old, (5.0, 4000.0))
    assert new.config == replace(old.config, lambdas=(5.0, 4000.0))
    # Knot 40 of the new rows lies between two rows of the old.
    row = next(r for r in range(64) if old.config.distortion_weight(r) > weight(new, 40))
    known = old.encoder_gains(torch.tensor([row - 1, row]))
    now = new.encoder_gains(torch.tensor([40]))[0]
    assert (known.amin(0) <= now).all() and (now <= known.amax(0)).all()
    # Below what the old rows know gains follow the root of λ, features stay.
    factor = (weight(new, 0) / weight(old, 0)) ** 0.5
    torch.testing.assert_close(new.encoder_gains.values[0], old.encoder_gains.values[0] * factor)
    torch.testing.assert_close(
        new.linear_out_gains.values[0], old.linear_out_gains.values[0] / factor
    )
    torch.testing.assert_close(new.feature_gains.values[0], old.feature_gains.values[0])
    torch.testing.assert_close(new.encoder_down.weight, old.encoder_down.weight)


def weight(codec: Codec, row: int) -> float:
    return codec.config.distortion_weight(row)
