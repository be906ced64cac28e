"""Gives trained weights more latent channels, a linear path or other λ, without beginning again."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from ui2c.network.blocks import Bank, unshuffle
from ui2c.network.codec import FRAME_CHANNELS, Codec
from ui2c.network.config import KNOTS, CodecConfig
from ui2c.network.prior import SCALE_RATIO, SMALLEST_SCALE

CHANGEABLE = {
    "name",
    "latent",
    "entropy",
    "linear",
    "still",
    "lead",
    "coarse_motion",
    "blocks",
    "post_filter",
    "chosen_precision",
    "bidirectional",
    "aligned",
    "stages",
    "key_offset",
    "halved",
    "recentred",
}
"""In what a widened configuration may differ."""

FIT_ROW = 63
"""Quality row at which it is measured what the old weights leave out."""


def new_channels(old: CodecConfig, new: CodecConfig) -> Tensor:
    """Places of the channels of y that `old` has not; each half grows by itself.

    Halves stay halves: they take turns on the checkerboard, and each follows its frame's row.
    """
    half, half_old = new.latent // 2, old.latent // 2
    return torch.cat((torch.arange(half_old, half), torch.arange(half + half_old, 2 * half)))


def widened(old: Codec, config: CodecConfig) -> Codec:
    """`old` with the channels of y and the linear path of `config`; pictures stay as they are.

    What is new is silent: `fit_linear` gives it something to say. Raises ValueError if the two
    configurations differ in other things, or y would shrink.
    """
    have, want = old.config.to_dict(), config.to_dict()
    width = old.config.entropy or old.config.latent
    differing = {k for k in want if want[k] != have[k]} - CHANGEABLE
    shrinks = config.latent < old.config.latent or config.linear < old.config.linear
    if differing or shrinks or config.entropy != width:
        raise ValueError(f"cannot widen {old.config} to {config}")
    new = Codec(config)
    y = config.latent
    kept = torch.ones(y, dtype=torch.bool)
    kept[new_channels(old.config, config)] = False
    places = kept.nonzero()[:, 0]

    def rows(chunks: int) -> Callable[[Tensor, Tensor], None]:
        """Copies old rows to their places among several y side by side, zeros elsewhere."""
        at = torch.cat([places + i * y for i in range(chunks)])

        def copy(new: Tensor, old: Tensor) -> None:
            new.zero_()
            new[at] = old

        return copy

    def columns(chunks: int) -> Callable[[Tensor, Tensor], None]:
        copy = rows(chunks)
        return lambda new, old: copy(new.T, old.T)

    grown: Mapping[str, Callable[[Tensor, Tensor], None]] = {
        "encoder_down.weight": rows(1),
        "encoder_down.bias": rows(1),
        "decoder_up.weight": columns(1),
        "linear_in.weight": rows(1),
        "linear_in.bias": rows(1),
        "linear_out.weight": columns(1),
        "prior.fusion_out.weight": rows(3),
        "prior.fusion_out.bias": rows(3),
        "prior.spatial.0.adaptor.weight": columns(4),
        "prior.spatial_out.weight": rows(1),
        "prior.spatial_out.bias": rows(1),
        "prior.hyper_encode_1.adaptor.weight": columns(1),
    }
    source, target = old.state_dict(), new.state_dict()
    with torch.no_grad():
        # Where widths agreed there was no adaptor: it was the identity.
        source.setdefault("prior.hyper_encode_1.adaptor.weight", torch.eye(width))
        source.setdefault("prior.hyper_encode_1.adaptor.bias", torch.zeros(width))
        for name, tensor in target.items():
            if name not in source:
                # Gains of a linear path and offsets start by theory, all else is silent.
                if not name.endswith(("gains.values", "offsets")):
                    tensor.zero_()
            elif tensor.shape == source[name].shape:
                tensor.copy_(source[name])
            elif name in grown:
                grown[name](tensor, source[name])
            else:  # the gains of a linear path that was there before
                tensor[:, places] = source[name]
    return new


@torch.no_grad()
def respaced(codec: Codec, lambdas: tuple[float, float]) -> Codec:
    """`codec` with its quality rows over other `lambdas`: what it does at each λ stays as it is.

    Beyond the λ that it knows, gains go on as the square root of λ, where rate theory puts them;
    all else stays as at the last row.
    """
    old, new = codec.config, replace(codec.config, lambdas=lambdas)
    result = Codec(new)
    result.load_state_dict(codec.state_dict())
    weights = torch.tensor([new.distortion_weight(knot) for knot in KNOTS])
    low, high = old.lambdas
    rows = 63 * torch.log(weights / low) / math.log(high / low)
    beyond = (weights / weights.clamp(low, high)).sqrt()[:, None]
    rows = rows.clamp(0, 63)
    left = rows.floor().clamp(max=62).long()
    share = (rows - left)[:, None]
    for name, bank in result.named_modules():
        if isinstance(bank, Bank):
            every = bank.interpolation @ bank.values
            bank.values.copy_(torch.lerp(every[left], every[left + 1], share))
            if name in ("encoder_gains", "linear_in_gains"):
                bank.values.mul_(beyond)
            elif name in ("decoder_gains", "linear_out_gains"):
                bank.values.div_(beyond)
    return result


@torch.no_grad()
def fit_linear(
    codec: Codec,
    clips: Iterable[Tensor],
    channels: Tensor,
    plane_weights: tuple[float, float, float] = (6.0, 1.0, 1.0),
) -> None:
    """Gives those channels of y the linear code of what the rest of a widened codec leaves out.

    `clips` are packed first units of clips, `[n, h, w, frames · 96]`; they are coded from a blank
    start at the best quality, unquantised. The error is regressed on the source, and the principal
    components of the regression, planes weighted as in the loss (in eighths), become analysis and
    synthesis. Gains follow from rate theory: at high rates the best step Δ of a coefficient has
    Δ²/12 = 1 / (2 ln 2 · λ · w), with w the weight of a sample's plane.

    Raises ValueError if the codec has no linear path.
    """
    if codec.linear_in is None or codec.linear_out is None:
        raise ValueError(f"{codec.config.name} has no linear path")
    frames = codec.config.frames_per_unit
    # A plane's mean squared error weighs by its share, each of its samples by that over their
    # number: U and V have a quarter of luma's samples.
    luma, u, v = plane_weights
    plane = torch.tensor([1.0] * 64 + [4 * u / luma] * 16 + [4 * v / luma] * 16).sqrt()
    weight = plane.repeat(frames).repeat_interleave(4)
    size = len(weight)
    moments = torch.zeros(2 * size + 1, 2 * size + 1, dtype=torch.float64)
    for source in clips:
        error = source - _reconstruct(codec, source)
        x, e = (unshuffle(t, 2).flatten(0, 2) * weight for t in (source, error))
        both = torch.cat((torch.ones(len(x), 1), x, e), dim=-1).double()
        moments += both.T @ both
    moments /= moments[0, 0].clone()
    covariance = moments - moments[:, :1] @ moments[:1]
    xx = covariance[1 : size + 1, 1 : size + 1]
    xe = covariance[1 : size + 1, size + 1 :]
    ridge = 1e-6 * xx.diagonal().mean() * torch.eye(size, dtype=torch.float64)
    regression = torch.linalg.solve(xx + ridge, xe)  # e ≈ x @ regression
    values, vectors = torch.linalg.eigh(regression.T @ xx @ regression)
    # The strongest take turns in the two halves.
    count = len(channels)
    order = torch.stack((channels[: count // 2], channels[count // 2 :]), dim=1).flatten()
    chosen = vectors.flip(1)[:, :count]
    deviation = values.flip(0)[:count].clamp(min=1e-12).sqrt()
    analysis = (regression @ chosen).T.float()
    codec.linear_in.weight[order] = analysis * weight
    mean = moments[0, 1 : size + 1].float()
    codec.linear_in.bias[order] = -analysis @ mean
    codec.linear_out.weight[:, order] = chosen.float() / weight[:, None]

    step = torch.tensor(
        [
            (12 / (2 * math.log(2) * codec.config.distortion_weight(knot) * luma / 8)) ** 0.5
            for knot in KNOTS
        ]
    )
    codec.linear_in_gains.values[:, order] = (1 / step)[:, None]
    codec.linear_out_gains.values[:, order] = step[:, None]
    # The prior starts at the deviation of a middle quality.
    middle = deviation.float() / step[len(KNOTS) // 2]
    index = torch.log(middle / SMALLEST_SCALE).clamp(min=0) / SCALE_RATIO
    bias = codec.prior.fusion_out.bias
    bias[codec.config.latent + order] = (index - 22) / 10


def _reconstruct(codec: Codec, source: Tensor) -> Tensor:
    n, height, width, _ = source.shape
    frames = codec.config.frames_per_unit
    rows = torch.full((n, frames), FIT_ROW)
    prediction = torch.zeros_like(source) if codec.config.motion else None
    start = codec.start(torch.zeros(n, height, width, FRAME_CHANNELS))
    context = codec.extract(start, prediction, rows).context
    y = codec.analyse(source, context, rows)
    feature = codec.synthesise(y, context, rows)
    blank = torch.ones(n, dtype=torch.bool)
    return codec.render(feature, codec.detail(y, rows), prediction, rows, blank)
