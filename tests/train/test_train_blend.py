"""Weights between two models."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from ui2c.network.codec import Codec
from ui2c.network.config import config_for
from ui2c.network.weights import load_model, save_model
from ui2c.train.blend import blend, main


def codec(seed: int, stages: int = 2, **changes: int) -> Codec:
    torch.manual_seed(seed)
    return Codec(replace(config_for("nano"), stages=stages, **changes))


def test_it_goes_from_one_to_the_other() -> None:
    first, second = codec(1), codec(2, stages=4)
    with torch.no_grad():
        second.prior.stage_marks.normal_()
    for share, expected in ((0.0, second), (1.0, first)):
        mixed, wanted = blend(first, second, share).state_dict(), expected.state_dict()
        assert all(torch.equal(mixed[name], value) for name, value in wanted.items())
    half = blend(first, second, 0.5)
    assert half.config == second.config
    middle = (first.decoder_up.weight + second.decoder_up.weight) / 2
    torch.testing.assert_close(half.decoder_up.weight, middle)
    assert torch.equal(half.prior.stage_marks, second.prior.stage_marks)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="share"):
        blend(codec(1), codec(2), 1.5)
    with pytest.raises(ValueError, match="encoder_down"):
        blend(codec(1), codec(2, latent=32), 0.5)
    with pytest.raises(ValueError, match="stage_marks"):
        blend(codec(1, stages=4), codec(2), 0.5)


def test_model_files(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        save_model(codec(seed), tmp_path / f"{name}.safetensors", {"runs": name})
    a, b, out = (str(tmp_path / f"{name}.safetensors") for name in ("a", "b", "out"))
    main([a, b, "0.25", out])
    models = [load_model(path) for path in (a, b, out)]
    weights = [model.codec.gate.weight for model in models]
    torch.testing.assert_close(weights[2], 0.25 * weights[0] + 0.75 * weights[1], atol=1e-3, rtol=0)
    assert models[2].card == {"runs": "b"}
    with pytest.raises(SystemExit):
        main([a, b, "2", out])
