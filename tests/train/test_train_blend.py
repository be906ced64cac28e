"""Weights between two models."""

from pathlib import Path

import pytest
import torch
from ui2c.network.codec import Codec
from ui2c.network.config import config_for
from ui2c.network.load import load_model
from ui2c.network.torch_model import load_codec, save_model
from ui2c.train.blend import blend, main


def codec(seed: int, name: str = "nano") -> Codec:
    torch.manual_seed(seed)
    return Codec(config_for(name))


def test_it_goes_from_one_to_the_other() -> None:
    first, second = codec(1), codec(2)
    for share, expected in ((0.0, second), (1.0, first)):
        mixed, wanted = blend(first, second, share).state_dict(), expected.state_dict()
        assert all(torch.equal(mixed[name], value) for name, value in wanted.items())
    half = blend(first, second, 0.5)
    assert half.config == second.config
    middle = (first.decoder_up.weight + second.decoder_up.weight) / 2
    torch.testing.assert_close(half.decoder_up.weight, middle)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="share"):
        blend(codec(1), codec(2), 1.5)
    with pytest.raises(ValueError, match="no weights in common"):
        blend(codec(1), codec(2, "nano-single"), 0.5)


def test_model_files(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        save_model(codec(seed), tmp_path / f"{name}.safetensors", {"runs": name})
    a, b, out = (str(tmp_path / f"{name}.safetensors") for name in ("a", "b", "out"))
    main([a, b, "0.25", out])
    weights = [load_codec(path).gate.weight for path in (a, b, out)]
    expected = 0.25 * weights[0] + 0.75 * weights[1]
    # Weights of a model file have seven bits.
    torch.testing.assert_close(weights[2], expected, atol=5e-3, rtol=0)
    assert load_model(out).card == {"runs": "b"}
    with pytest.raises(SystemExit):
        main([a, b, "2", out])
