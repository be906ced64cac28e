"""The prior: step, scale index and mean of every latent element, means in four stages."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ui2c.network.blocks import Bank, DepthConvBlock, Pointwise, blocks, shuffle, unshuffle
from ui2c.network.config import KNOTS, STAGES, CodecConfig

SCALES = 64
"""Number of Gaussian scales; index i stands for the scale `0.11 · exp(0.1 i)`."""

SMALLEST_SCALE = 0.11
SCALE_RATIO = 0.1

SKIP = 2
"""Elements with a scale index below this are not coded: they are all but surely zero."""


def scale_of(index: Tensor) -> Tensor:
    """Standard deviation of a scale index (may be fractional)."""
    return SMALLEST_SCALE * torch.exp(SCALE_RATIO * index)


class Range(torch.autograd.Function):
    """Clamps, but lets a gradient through that leads back into the range."""

    @staticmethod
    def forward(ctx, x: Tensor, low: float, high: float) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x)
        ctx.range = low, high
        return x.clamp(low, high)

    @staticmethod
    def backward(ctx, gradient: Tensor):  # type: ignore[no-untyped-def]
        (x,) = ctx.saved_tensors
        low, high = ctx.range
        # Descent moves against the gradient: below the range only negative gradients lead back.
        passes = ((x >= low) | (gradient < 0)) & ((x <= high) | (gradient > 0))
        return gradient * passes, None, None


def clamp_through(x: Tensor, low: float, high: float) -> Tensor:
    """`clamp` whose gradient is not lost outside the range."""
    return Range.apply(x, low, high)  # type: ignore[no-any-return]


MAGNITUDES = 2
"""Of symbols that stand for less than themselves, each by its own: 1, and 2 or more."""


def gaussian_offsets() -> Tensor:
    """`[64, 2]`: by how much the mean of a Gaussian's values that round to 1, to 2 is less."""
    edges = torch.arange(MAGNITUDES + 1, dtype=torch.float64) + 0.5
    scaled = edges / scale_of(torch.arange(SCALES, dtype=torch.float64))[:, None]
    density = torch.exp(-scaled.square() / 2) / (2 * math.pi) ** 0.5
    # Far out in the tail both differences vanish: the mean is where the interval begins.
    share = (torch.erfc(scaled / 2**0.5) / 2).diff(dim=1).neg().clamp(min=1e-300)
    mean = (density.diff(dim=1).neg() / share) * (edges[0] / scaled[:, :1])
    middle = torch.arange(1, MAGNITUDES + 1)
    offsets: Tensor = (middle - mean.clamp(min=edges[:-1])).clamp(0, 0.5).float()
    return offsets


PHASES = ((0, 0), (1, 1), (0, 1), (1, 0))
"""Rows and columns of a 2 × 2 square, in the order in which the stages decide them."""


def stages(height: int, width: int, channels: int, device: torch.device) -> list[Tensor]:
    """What each of the four stages decides the means of: `[height, width, channels]` each, 1 there.

    Each quarter of the channels goes through the places of a 2 × 2 square in an order of its own,
    and every place is decided for one quarter in each stage.
    """
    rows = torch.arange(height, device=device)[:, None, None] % 2
    columns = torch.arange(width, device=device)[None, :, None] % 2
    quarter = (torch.arange(channels, device=device) * STAGES // channels)[None, None, :]
    down, right = (torch.tensor(x, device=device)[quarter] for x in zip(*PHASES, strict=True))
    # Where a quarter is after its own start; going on by a phase is the same as coming from it.
    row, column = (rows + down) % 2, (columns + right) % 2
    return [((row == r) & (column == c)).float() for r, c in PHASES]


class Prior(nn.Module):
    """Hyper codec, temporal prior, fusion and the spatial stages."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        y, z, p = config.latent, config.hyper, config.prior
        width = config.entropy
        self.hyper_encode_1 = DepthConvBlock(y, width)
        self.hyper_down_1 = Pointwise(4 * width, z)
        self.hyper_encode_2 = DepthConvBlock(z, z)
        self.hyper_down_2 = Pointwise(4 * z, z)
        self.hyper_up_1 = Pointwise(z, 4 * z)
        self.hyper_decode_1 = DepthConvBlock(z, z)
        self.hyper_up_2 = Pointwise(z, 4 * width)
        self.hyper_decode_2 = DepthConvBlock(width, width)
        self.temporal_down = Pointwise(4 * config.trunk, p)
        self.temporal = DepthConvBlock(p, p)
        self.fusion = blocks(width + p, 2 * width, config.fusion_depth)
        self.fusion_out = Pointwise(2 * width, 3 * y, gain=0.3)
        # Two layers instead of one of both: what the parameters say is the same in all stages.
        self.spatial_known = Pointwise(y, 2 * width)
        self.spatial_parameters = Pointwise(3 * y, 2 * width)
        self.spatial = blocks(2 * width, 2 * width, config.spatial_depth)
        self.spatial_out = Pointwise(2 * width, y, gain=0.3)
        # What is added to the known elements tells the later stages apart.
        self.stage_marks = nn.Parameter(torch.zeros(STAGES - 1, y))
        # Networks that did not know of it made up for half of what theory says, or more.
        self.offsets = nn.Parameter(gaussian_offsets() / 4)
        # Scale indices of z for units that follow another (0) and for those that start blank (1).
        start = torch.full((len(KNOTS), z), math.log(1 / SMALLEST_SCALE) / SCALE_RATIO / 10)
        self.hyper_scales = nn.ModuleList((Bank(start), Bank(start)))

    def hyper_encode(self, y: Tensor) -> Tensor:
        """y `[n, h, w, y]`, sides repeated up to multiples of 4, to z `[n, h/4, w/4, z]`."""
        pad = (-y.shape[2] % 4, -y.shape[1] % 4)
        if any(pad):
            y = nn.functional.pad(
                y.permute(0, 3, 1, 2), (0, pad[0], 0, pad[1]), mode="replicate"
            ).permute(0, 2, 3, 1)
        h = self.hyper_down_1(unshuffle(self.hyper_encode_1(y), 2))
        return self.hyper_down_2(unshuffle(self.hyper_encode_2(h), 2))  # type: ignore[no-any-return]

    def hyper_index(self, rows: Tensor, blank: Tensor) -> Tensor:
        """Fractional scale indices of z: base rows `[n]`, blank `[n]` bool, to `[n, 1, 1, z]`."""
        index = torch.where(blank[:, None], self.hyper_scales[1](rows), self.hyper_scales[0](rows))
        return clamp_through(index * 10, 0.0, SCALES - 1.0)[:, None, None, :]

    def first_stage(self, z: Tensor, tap: Tensor) -> Tensor:
        """z and the temporal tap `[n, 2h, 2w, trunk]` to step, index and mean `[n, h, w, 3y]`.

        The three parts are raw network outputs; `step`, `index` below give them their meaning.
        """
        h = self.hyper_decode_1(shuffle(self.hyper_up_1(z), 2))
        h = self.hyper_decode_2(shuffle(self.hyper_up_2(h), 2))
        temporal = self.temporal(self.temporal_down(unshuffle(tap, 2)))
        h = h[:, : temporal.shape[1], : temporal.shape[2]]
        return self.fusion_out(self.fusion(torch.cat((h, temporal), dim=-1)))  # type: ignore[no-any-return]

    def split(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Quantiser step (0.5 … 4), fractional scale index (0 … 63), mean; `[n, h, w, y]` each."""
        step, index, mean = parameters.chunk(3, dim=-1)
        # Index 22 is the scale 1; the factor lets small weights reach the whole range.
        index = clamp_through(index * 10 + 22, 0.0, SCALES - 1.0)
        return clamp_through(step + 1, 0.5, 4.0), index, mean

    def values(self, index: Tensor) -> Callable[[Tensor], Tensor]:
        """What symbols of y stand for, before their mean, given their (fractional) scale indices.

        A Gaussian's values that round to 1 are less than 1 on average, the more so the smaller its
        deviation. Offsets are learnt for each scale, of 1 and of what is larger.
        """
        place = index.round().long()
        ones, others = (
            nn.functional.embedding(place, offsets[:, None])[..., 0] for offsets in self.offsets.T
        )
        return lambda symbols: (
            symbols - symbols.sign() * torch.where(symbols.abs() > 1.5, others, ones)
        )

    def later_stages(self, parameters: Tensor) -> Callable[[int, Tensor], Tensor]:
        """What gives the means in the stages from 1 on, once the first has said `parameters`.

        It takes the stage and the latent in steps as far as known, else zero.
        """
        said = self.spatial_parameters(parameters)

        def means(stage: int, known: Tensor) -> Tensor:
            h = said + self.spatial_known(known + self.stage_marks[stage - 1])
            return self.spatial_out(self.spatial(h))  # type: ignore[no-any-return]

        return means
