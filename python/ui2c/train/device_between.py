"""The last frame in the prediction of the first, on any device: what blocks do, without a search.

An encoder looks for blocks and their vectors (`ui2c.motion.search_between`). Here every cell of
16 × 16 luma samples takes what the field alone says: nothing, the mean, or the last frame's samples
alone, displaced by the first frame's vector less the last one's.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ui2c.train import device_compensation

SHARES = (0.0, 0.5, 1.0)
BITS = (1.0, 3.0, 4.0)
"""What a cell with each of these shares costs, about."""

TRUST = 0.5
"""Part of a prediction's error that is paid for: the rest is not coded or comes for nothing."""


@dataclass(frozen=True)
class Between:
    """Shares `[n, h, w, 1]` of the displaced last frame at the positions of a packed first one."""

    share: Tensor
    steps: Tensor
    vectors: Tensor

    def mend(self, frames: Tensor) -> Tensor:
        """Packed pairs of frames `[n, h, w, 192]`, the first mixed with the last."""
        first, last = frames.split(frames.shape[-1] // 2, dim=-1)
        displaced = device_compensation.predict(last, self.steps, self.vectors)
        return torch.cat((torch.lerp(first, displaced, self.share), last), dim=-1)


def choose(
    source: Tensor,
    prediction: Tensor,
    steps: Tensor,
    vectors: Tensor,
    weights: Tensor,
    blank: Tensor,
) -> Between:
    """What suits each cell; nothing where a sample is `blank`, bool `[n]`.

    `source` and `prediction` are packed pairs `[n, h, w, 192]`, `steps` and `vectors` as for
    `device_compensation.predict`, `weights` `[n]` the λ of each sample. No gradient passes here.
    """
    with torch.no_grad():
        between = vectors[:, :1] - vectors[:, 1:]
        first, last = source.split(source.shape[-1] // 2, dim=-1)
        displaced = device_compensation.predict(last, steps, between)
        predicted = prediction[..., : first.shape[-1]]
        prices = []
        for share, bits in zip(SHARES, BITS, strict=True):
            error = (torch.lerp(predicted, displaced, share) - first)[..., :64].square().sum(-1)
            cells = 4 * functional.avg_pool2d(error[:, None], 2)
            prices.append(TRUST * weights.view(-1, 1, 1, 1) * cells + bits)
        best = torch.cat(prices, 1).argmin(1, keepdim=True)
        cells = best.float() * 0.5
        cells = cells * (~blank).view(-1, 1, 1, 1)
        positions = cells.repeat_interleave(2, 2).repeat_interleave(2, 3)
        return Between(positions.permute(0, 2, 3, 1), steps, between)
