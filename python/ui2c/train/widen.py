"""Gives trained weights more latent channels without beginning again."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ui2c.network.codec import Codec
from ui2c.network.config import CodecConfig

def widened(old: Codec, config: CodecConfig) -> Codec:
    """`old` with `config.latent` channels in y; everything else about it stays.

    The pictures stay the same at first: the new channels carry random combinations of the analysis,
    as large as the old ones, that the synthesis does not look at yet. Their bits would make training
    silence them before they are of use, so begin with a stage of small `rate_weight`. Raises ValueError if the two differ in more than
    `latent`, `entropy` and name, or if `latent` does not grow.
    """
    have, want = old.config.to_dict(), config.to_dict()
    width = old.config.entropy or old.config.latent
    differing = {k for k in want if want[k] != have[k]} - {"name", "latent", "entropy"}
    if differing or config.entropy != width or config.latent < old.config.latent:
        raise ValueError(f"cannot widen {old.config} to {config}")
    new = Codec(config)
    # Halves stay halves: they take turns on the checkerboard.
    y, y_old = config.latent, old.config.latent
    channels = torch.cat((torch.arange(y_old // 2), y // 2 + torch.arange(y_old // 2)))
    source, target = old.state_dict(), new.state_dict()

    def at(chunks: int) -> Tensor:
        """Where the old channels go in a tensor of several y side by side."""
        return torch.cat([channels + i * y for i in range(chunks)])

    grown: Mapping[str, Callable[[Tensor, Tensor], None]] = {
        "encoder_down.weight": lambda new, old: _rows(new, old, at(1), old.std()),
        "encoder_down.bias": lambda new, old: _rows(new, old, at(1), 0.0),
        "decoder_up.weight": lambda new, old: _rows(new.T, old.T, at(1), 0.0),
        "prior.fusion_out.weight": lambda new, old: _rows(new, old, at(3), 0.0),
        "prior.fusion_out.bias": lambda new, old: _rows(new, old, at(3), 0.0),
        "prior.spatial.0.adaptor.weight": lambda new, old: _rows(new.T, old.T, at(4), 0.0),
        "prior.spatial_out.weight": lambda new, old: _rows(new, old, at(1), 0.0),
        "prior.spatial_out.bias": lambda new, old: _rows(new, old, at(1), 0.0),
        "prior.hyper_encode_1.adaptor.weight": lambda new, old: _rows(new.T, old.T, at(1), 0.0),
    }
    with torch.no_grad():
        # Where widths agreed there was no adaptor: it was the identity.
        source.setdefault("prior.hyper_encode_1.adaptor.weight", torch.eye(width))
        source.setdefault("prior.hyper_encode_1.adaptor.bias", torch.zeros(width))
        for name, tensor in target.items():
            if name in grown and tensor.shape != source[name].shape:
                grown[name](tensor, source[name])
            else:
                tensor.copy_(source[name])
    return new


def _rows(new: Tensor, old: Tensor, at: Tensor, noise: float | Tensor) -> None:
    """Old rows at their places, noise of that size in all others."""
    new.copy_(torch.randn_like(new) * noise)
    new[at] = old
