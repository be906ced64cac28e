"""The differentiable pass over a clip: rate and distortion of every unit.

It runs the modules of `ui2c.network`; only rounding is softened: what is decoded is rounded with a
straight-through gradient, what is priced carries uniform noise instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ui2c import _core
from ui2c.network.alignment import align, displacement_of
from ui2c.network.blocks import shuffle, unshuffle
from ui2c.network.codec import FRAME_CHANNELS, Codec
from ui2c.network.config import STILL_OFFSETS
from ui2c.network.packing import pack, unpack
from ui2c.network.prior import clamp_through, scale_of, stages
from ui2c.train import device_between, device_compensation
from ui2c.train.searched import FACTORS, Motion

LEAD = 36
"""Most rows by which a still is better than the units after it: these learn to keep a reference
that is better than what they would make of it, and an encoder may choose. Most clips have far less,
as most videos."""


@dataclass
class Batch:
    """Clips of 8-bit planes and their motion, ready to be coded.

    `frames` is packed, `[n, 1 + units · frames_per_unit, h/8, w/8, 96]`; the first is the reserve
    from which the first reference is made. `steps` `[n, units]` and `vectors`
    `[n, units, frames_per_unit, rows, columns, 2]` are the fields found on the source: arrays, or
    tensors on the device of `frames` where the prediction is to be made there.
    """

    frames: Tensor
    steps: NDArray[np.uint8] | Tensor
    vectors: NDArray[np.int16] | Tensor


@dataclass
class Start:
    """How the clips of a batch begin: base rows, place in the quality cycle, first reference, and
    by how many rows a still is better than the units after it."""

    rows: Tensor
    cycle: Tensor
    blank: Tensor
    reference: Tensor
    lead: Tensor | None = None


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


class Prediction(torch.autograd.Function):
    """Packed predictions of a unit's frames from the last decoded ones, exactly as in the codec.

    Forward is what the codec does: 8-bit codes, integer compensation. Backward takes rounding and
    clamping for the identity, so that bits spent on a frame are credited with what they save in
    all that follow.
    """

    @staticmethod
    def forward(  # type: ignore[no-untyped-def]
        ctx, references: Tensor, steps: NDArray[np.uint8], vectors: NDArray[np.int16]
    ) -> Tensor:
        """`references` is one packed frame per sample, `[n, h, w, 96]`."""
        y, u, v = (plane.to(torch.uint8).cpu().numpy() for plane in unpack(references, 8))
        ctx.fields = [field_of(int(s), f, y.shape[1:]) for s, f in zip(steps, vectors, strict=True)]
        predictions = []
        for i, (step, field) in enumerate(ctx.fields):
            frames = _core.compensate((y[i], u[i], v[i]), step, field)
            planes = (torch.from_numpy(np.stack(plane)) for plane in zip(*frames, strict=True))
            predictions.append(pack(planes, 8).permute(1, 2, 0, 3).flatten(2))
        return torch.stack(predictions).to(references.device)

    @staticmethod
    def backward(ctx, gradient: Tensor):  # type: ignore[no-untyped-def]
        frames = gradient.unflatten(-1, (-1, 96)).permute(0, 3, 1, 2, 4).cpu()
        results = []
        for sample, (step, field) in zip(frames, ctx.fields, strict=True):
            parts = sample.split((64, 16, 16), dim=-1)
            y, u, v = (
                shuffle(part, factor)[..., 0].numpy()
                for part, factor in zip(parts, FACTORS, strict=True)
            )
            planes = _core.compensate_adjoint((y, u, v), step, field)
            results.append(
                torch.cat(
                    [
                        unshuffle(torch.from_numpy(plane)[None, ..., None], factor)
                        for plane, factor in zip(planes, FACTORS, strict=True)
                    ],
                    dim=-1,
                )
            )
        return torch.cat(results).to(gradient.device), None, None


def field_of(
    step: int, vectors: NDArray[np.int16], size: tuple[int, ...]
) -> tuple[int, NDArray[np.int16]]:
    """The cells of a field that its step uses, out of the room for the finest grid."""
    rows, columns = (-(-side // step) if step else 0 for side in size)
    return step, np.ascontiguousarray(vectors[:, :rows, :columns])


class Between(Protocol):
    """What the last frame of a unit adds to the prediction of the first."""

    def mend(self, frames: Tensor) -> Tensor:
        """Packed pairs of frames `[n, h, w, 192]`, the first with its part of the last."""


def predict(
    references: Tensor, steps: NDArray[np.uint8] | Tensor, vectors: NDArray[np.int16] | Tensor
) -> Tensor:
    """The predictions of `Prediction`, by the native core or, from tensors, on their device."""
    if isinstance(steps, Tensor) and isinstance(vectors, Tensor):
        return device_compensation.predict(references, steps, vectors)
    return Prediction.apply(references, steps, vectors)  # type: ignore[no-any-return]


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
    between: Between | None = None,
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

    known, means = decided(mean) * first, mean * first
    for number, here in enumerate(masks[1:], start=1):
        mean = codec.prior.later_stage(number, known, parameters)
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
    start: Start,
    rgb_weight: float = 0.0,
    recompute: bool = False,
    weights_yuv: tuple[float, float, float] = (6.0, 1.0, 1.0),
    searched: bool = False,
) -> Result:
    """Codes all units of the clips in order, carrying feature and last frame along.

    Where stills are asked for, a blank unit codes its last frame as both and answers for that one
    alone: for half of its weight, since rate and distortion are those of a frame's time.

    The distortion is `rgb_weight` parts that of RGB, the rest that of Y, U and V with weights in
    eighths. With
    `recompute` only the states between units are kept and the way back computes each unit again:
    a third more work, a fraction of the memory, the same gradients. With `searched` motion and
    blocks are those that an encoder finds on what was decoded; else those of the batch, no blocks.
    """
    config = codec.config
    n, _, height, width, _ = batch.frames.shape
    pixels = height * width * 64 * config.frames_per_unit
    device = batch.frames.device
    units = (batch.frames.shape[1] - 1) // config.frames_per_unit
    offsets = torch.tensor(config.offsets, device=device)
    weights = torch.tensor([config.distortion_weight(r) for r in range(64)], device=device)
    plane_weights = torch.tensor(weights_yuv, device=device) / 8
    masks = stages(config.stages, height // 2, width // 2, config.latent, device)
    still_offsets = torch.tensor(STILL_OFFSETS, device=device)
    last_alone = torch.tensor([0.0, 1.0], device=device)

    motion = Motion(config, batch.frames, start.rows) if searched and config.motion else None
    adapted = codec.start(start.reference)
    feature: Tensor | None = None
    reference = start.reference
    blank = start.blank
    latent_bpp = hyper_bpp = weighted = torch.zeros(n, device=device)
    errors, unit_bits = [], []
    for unit in range(units):
        first = 1 + unit * config.frames_per_unit
        frames = batch.frames[:, first : first + config.frames_per_unit]
        source = frames.permute(0, 2, 3, 1, 4).flatten(3)
        cycle = (start.cycle + unit) % len(config.offsets)
        rows = start.rows[:, None] + offsets[cycle]
        base = start.rows
        shares = torch.ones(1, config.frames_per_unit, device=device)
        if config.still and unit == 0:
            if start.lead is not None:
                base = torch.where(blank, base + start.lead, base).clamp(max=63)
            alike = frames[:, -1].repeat(1, 1, 1, config.frames_per_unit)
            source = torch.where(blank[:, None, None, None], alike, source)
            rows = torch.where(blank[:, None], base[:, None] + still_offsets, rows)
            shares = torch.where(blank[:, None], last_alone, shares)
        rows = rows.clamp(max=63)
        prediction = None
        if config.motion:
            if motion is not None:
                prediction = motion.predict(unit, cycle, blank, reference)
            else:
                prediction = predict(reference, batch.steps[:, unit], batch.vectors[:, unit])
                prediction = prediction * (~blank)[:, None, None, None]
        between: Between | None = None
        if motion is not None:
            between = motion.between
        elif config.bidirectional and prediction is not None:
            steps, vectors = batch.steps[:, unit], batch.vectors[:, unit]
            if isinstance(steps, Tensor) and isinstance(vectors, Tensor):
                between = device_between.choose(
                    source.detach(), prediction, steps, vectors, weights[base], blank
                )
        if feature is not None:
            if config.motion and config.aligned:
                sizes = 8 * height, 8 * width
                if motion is not None:
                    displacement = motion.displacement(*sizes)
                else:
                    fields = (torch.as_tensor(x[:, unit]) for x in (batch.steps, batch.vectors))
                    displacement = displacement_of(*sizes, *fields)
                feature = align(feature, displacement.to(device))
            adapted = codec.follow(feature)
        inputs = codec, adapted, source, prediction, base, rows, blank, masks, between
        result = (
            checkpoint(run_unit, *inputs, use_reentrant=False) if recompute else run_unit(*inputs)
        )
        error = plane_errors(source - result.decoded)
        distortion = (error * plane_weights).sum(-1)
        if rgb_weight:
            difference = source - result.decoded
            distortion = torch.lerp(distortion, rgb_error(difference), rgb_weight)
        latent_bpp = latent_bpp + result.latent_bits / pixels
        hyper_bpp = hyper_bpp + result.hyper_bits / pixels
        weighted = weighted + (weights[rows] * distortion * shares).mean(-1)
        unit_bits.append(result.rounded_bits / pixels)
        # What a still's other frame looks like is nobody's business.
        errors.append(torch.where(shares[..., None] > 0, error, error[:, -1:]).detach())
        feature = result.feature
        reference = result.decoded[..., -96:]
        blank = torch.zeros_like(blank)
    return Result(
        latent_bpp / units,
        hyper_bpp / units,
        weighted / units,
        torch.stack(errors, dim=1),
        torch.stack(unit_bits, dim=1),
    )
