"""The differentiable pass over a clip: rate and distortion of every unit.

It runs the modules of `ui2c.network`; only rounding is softened: what is decoded is rounded with a
straight-through gradient, what is priced carries uniform noise instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ui2c.network.alignment import align
from ui2c.network.codec import FRAME_CHANNELS, Codec
from ui2c.network.config import FRAME_OFFSETS, QUALITIES, STILL_OFFSET, lagrangian_of_row
from ui2c.network.prior import clamp_through, scale_of, stages
from ui2c.train.data.batches import Batch
from ui2c.train.motion.search import BlocksBetween, MotionSearch


@dataclass
class Result:
    """Sums over the units of a clip, each `[n]`: bits per pixel, and squared errors per unit."""

    latent_bpp: Tensor
    hyper_bpp: Tensor
    weighted_error: Tensor
    error: Tensor
    """Mean squared error of Y, U and V by unit and frame, `[n, units, frames, 3]`, detached."""
    bits_by_unit: Tensor
    """Bits per pixel of the rounded latents by unit, `[n, units]`, detached."""


def gaussian_bits(x: Tensor, scale: Tensor) -> Tensor:
    """Bits of the unit-wide interval around x under a zero-mean Gaussian, element by element."""
    x = x.abs()
    factor = -(0.5**0.5) / scale
    upper = torch.erfc((0.5 - x) * factor)
    lower = torch.erfc((-0.5 - x) * factor)
    # erfc(-a) = 2 - erfc(a): the difference of the two is twice the probability.
    return -torch.log2(clamp_through((upper - lower) * 0.5, 1e-7, 1.0))


def round_through(x: Tensor) -> Tensor:
    """Rounds; the gradient passes unchanged."""
    return x + (torch.round(x) - x).detach()


def plane_errors(difference: Tensor) -> Tensor:
    """Mean squared errors of Y, U and V of packed frames: `[n, h, w, f · 96]` to `[n, f, 3]`."""
    squares = difference.square().unflatten(-1, (-1, 96)).mean((1, 2))
    parts = squares.split((64, 16, 16), dim=-1)
    return torch.stack([part.mean(-1) for part in parts], dim=-1)


def rgb_error(difference: Tensor) -> Tensor:
    """Mean squared error in R, G and B of packed frames: `[n, h, w, f · 96]` to `[n, f]`.

    BT.709 from limited-range codes; the conversion is linear, so it applies to the difference of
    two pictures as it stands. Chroma is repeated for its four luma samples.
    """
    y, u, v = difference.unflatten(-1, (-1, 96)).split((64, 16, 16), dim=-1)
    y = y.unflatten(-1, (4, 2, 4, 2)) * (255 / 219)
    u, v = (x.unflatten(-1, (4, 1, 4, 1)) * (255 / 224) for x in (u, v))
    red, green, blue = y + 1.5748 * v, y - 0.1873 * u - 0.4681 * v, y + 1.8556 * u
    squares = red.square() + green.square() + blue.square()
    mean: Tensor = squares.mean((1, 2, -4, -3, -2, -1)) / 3
    return mean


class UnitResult(NamedTuple):
    """One unit of every sample: decoder state, packed frames, and bits, each `[n]`."""

    feature: Tensor
    decoded: Tensor
    latent_bits: Tensor
    hyper_bits: Tensor
    rounded_bits: Tensor
    """Of both latents as they are sent, detached."""


def run_unit(
    codec: Codec,
    adapted: Tensor,
    source: Tensor,
    prediction: Tensor | None,
    base_rows: Tensor,
    rows: Tensor,
    blank: Tensor,
    masks: Sequence[Tensor],
    between: BlocksBetween | None = None,
) -> UnitResult:
    """Codes the packed frames `source` of one unit, given their prediction.

    `between` is what the last frame adds to the prediction of the first: the source's in what is
    coded, the prediction's in what is known before, the decoded one's in the end.
    """
    known = expected = prediction
    if prediction is not None and between is not None:
        known = between.mend(prediction)
        mixed = torch.cat((prediction[..., :FRAME_CHANNELS], source[..., FRAME_CHANNELS:]), -1)
        expected = between.mend(mixed)[..., :FRAME_CHANNELS]
        expected = torch.cat((expected, prediction[..., FRAME_CHANNELS:]), -1)
    residual = source if expected is None else source - expected
    tap, context = codec.extract(adapted, known, rows)
    y = codec.analyse(residual, context, rows)
    z = codec.prior.hyper_encode(y)
    z_scale = scale_of(codec.prior.hyper_index(base_rows, blank))
    z_rounded = round_through(z)
    z_bits = gaussian_bits(z + torch.rand_like(z) - 0.5, z_scale)
    parameters = codec.prior.first_stage(z_rounded, tap)
    step, index, mean = codec.prior.split(parameters)
    scaled = y / step
    first = masks[0]

    values = codec.prior.values(index)

    def decided(mean: Tensor) -> Tensor:
        return values(round_through(scaled - mean)) + mean

    later = codec.prior.later_stages(parameters)
    known, means = decided(mean) * first, mean * first
    for number, here in enumerate(masks[1:], start=1):
        mean = later(number, known)
        if number + 1 < len(masks):
            known = known + decided(mean) * here
        means = means + mean * here
    mean = means
    centred = scaled - mean
    rounded = round_through(centred)
    scale = scale_of(index)
    y_bits = gaussian_bits(centred + torch.rand_like(centred) - 0.5, scale)

    y = (values(rounded) + mean) * step
    feature = codec.synthesise(y, context, rows)
    decoded = codec.render(feature, codec.detail(y, rows), prediction, rows, blank)
    if prediction is not None and between is not None:
        first, last = decoded.split(FRAME_CHANNELS, dim=-1)
        base = prediction[..., :FRAME_CHANNELS]
        mended = between.mend(torch.cat((base, last), -1))[..., :FRAME_CHANNELS]
        decoded = torch.cat((first - base + mended, last), -1)
    with torch.no_grad():
        real = gaussian_bits(rounded, scale).sum((1, 2, 3))
        real = real + gaussian_bits(z_rounded, z_scale).sum((1, 2, 3))
    return UnitResult(feature, decoded, y_bits.sum((1, 2, 3)), z_bits.sum((1, 2, 3)), real)


def run_clip(
    codec: Codec,
    batch: Batch,
    rgb_weight: float = 0.0,
    plane_weights: tuple[float, float, float] = (6.0, 1.0, 1.0),
) -> Result:
    """Codes all units of the clips in order, carrying feature and last frame along.

    A blank unit codes its last frame as all of its frames and answers for that one alone: for its
    share of the weight, since rate and distortion are those of a frame's time. The distortion is
    `rgb_weight` parts that of RGB, the rest that of Y, U and V with weights in eighths. Motion is
    what an encoder finds on what was decoded.
    """
    config = codec.config
    n, length, height, width, _ = batch.frames.shape
    per_unit = config.frames_per_unit
    pixels = height * width * 64 * per_unit
    device = batch.frames.device
    units = (length - 1) // per_unit
    offsets = torch.tensor(FRAME_OFFSETS[:per_unit], device=device)
    lagrangians = torch.tensor([lagrangian_of_row(r) for r in range(QUALITIES)], device=device)
    weights = torch.tensor(plane_weights, device=device) / 8
    masks = stages(height // 2, width // 2, config.latent, device)
    last_alone = torch.arange(per_unit, device=device) == per_unit - 1

    motion = MotionSearch(config, batch.frames, batch.rows) if config.motion else None
    adapted = codec.start(batch.reference)
    feature: Tensor | None = None
    reference, blank = batch.reference, batch.blank
    latent_bpp = hyper_bpp = weighted = torch.zeros(n, device=device)
    errors, unit_bits = [], []
    for unit in range(units):
        first = 1 + unit * per_unit
        frames = batch.frames[:, first : first + per_unit]
        source = frames.permute(0, 2, 3, 1, 4).flatten(3)
        base = torch.where(blank, batch.rows + batch.lead, batch.rows).clamp(max=QUALITIES - 1)
        alike = frames[:, -1].repeat(1, 1, 1, per_unit)
        source = torch.where(blank[:, None, None, None], alike, source)
        rows = base[:, None] + torch.where(blank[:, None], STILL_OFFSET, offsets)
        rows = rows.clamp(max=QUALITIES - 1)
        answers = last_alone | ~blank[:, None]
        prediction = between = None
        if motion is not None:
            prediction = motion.predict(unit, blank, reference)
            between = motion.between
        if feature is not None:
            if motion is not None:
                displacement = motion.displacement(8 * height, 8 * width)
                feature = align(feature, displacement.to(device))
            adapted = codec.follow(feature)
        result = run_unit(codec, adapted, source, prediction, base, rows, blank, masks, between)
        difference = source - result.decoded
        error = plane_errors(difference)
        distortion = (error * weights).sum(-1)
        if rgb_weight:
            distortion = torch.lerp(distortion, rgb_error(difference), rgb_weight)
        latent_bpp = latent_bpp + result.latent_bits / pixels
        hyper_bpp = hyper_bpp + result.hyper_bits / pixels
        weighted = weighted + (lagrangians[rows] * distortion * answers).mean(-1)
        unit_bits.append(result.rounded_bits / pixels)
        # What a still's other frame looks like is nobody's business.
        errors.append(torch.where(answers[..., None], error, error[:, -1:]).detach())
        feature = result.feature
        reference = result.decoded[..., -FRAME_CHANNELS:]
        blank = torch.zeros_like(blank)
    return Result(
        latent_bpp / units,
        hyper_bpp / units,
        weighted / units,
        torch.stack(errors, dim=1),
        torch.stack(unit_bits, dim=1),
    )
