"""The two-frame codec network (and its single-frame variant)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ui2c.network.blocks import Bank, DepthConvBlock, Pointwise, blocks, shuffle, unshuffle
from ui2c.network.config import KNOTS, CodecConfig, lagrangian_of_row
from ui2c.network.prior import Prior

FRAME_CHANNELS = 96
"""Channels of a packed frame: 64 of Y, 16 of U, 16 of V, at 1/8 of the picture."""


class Context(NamedTuple):
    """What the reference says about the unit to come; both `[n, h, w, trunk]`."""

    tap: Tensor
    context: Tensor


class Codec(nn.Module):
    """Networks from packed frames to latents and back.

    Tensors are `[n, h, w, channels]` at 1/8 of the picture unless said otherwise; `rows` is int64
    `[n, frames]`, the quality row of every frame of the unit.
    """

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        d, frames = config.trunk, config.frames_per_unit
        self.image_adaptor = DepthConvBlock(FRAME_CHANNELS, d)
        self.feature_adaptor = Pointwise(d, d)
        self.prediction_in = Pointwise(frames * FRAME_CHANNELS, d) if config.motion else None
        self.extractor_1 = blocks(d, d, config.extractor_depths[0])
        self.extractor_2 = blocks(d, d, config.extractor_depths[1])
        self.encoder_in = Pointwise(frames * FRAME_CHANNELS, d)
        self.encoder = blocks(2 * d, d, config.encoder_depth)
        self.encoder_down = Pointwise(4 * d, config.latent)
        self.prior = Prior(config)
        self.decoder_up = Pointwise(config.latent, 4 * d)
        self.decoder = blocks(2 * d, d, config.decoder_depth)
        self.heads = nn.ModuleList(blocks(d, config.head, config.head_depth) for _ in range(frames))
        self.heads_out = nn.ModuleList(
            Pointwise(config.head, FRAME_CHANNELS, gain=0.1) for _ in range(frames)
        )
        self.linear_in = self.linear_out = None
        if config.motion:
            samples = 4 * frames * FRAME_CHANNELS
            self.linear_in = Pointwise(samples, config.latent, gain=0.1)
            self.linear_out = Pointwise(config.latent, samples, gain=0.0)
        self.gate = Pointwise(d, frames, gain=0.1) if config.motion else None
        if self.gate is not None:
            nn.init.constant_(self.gate.bias, 0.4)

        # The latent's gain starts at the square root of λ, where rate theory puts it.
        middle = lagrangian_of_row(32)
        gains = torch.tensor([(lagrangian_of_row(knot) / middle) ** 0.5 for knot in KNOTS])
        share = d // frames
        self.encoder_gains = Bank(gains[:, None].repeat(1, share * frames))
        self.decoder_gains = Bank(1 / gains[:, None].repeat(1, share * frames))
        if config.motion:
            self.linear_in_gains = Bank(gains[:, None].repeat(1, config.latent))
            self.linear_out_gains = Bank(1 / gains[:, None].repeat(1, config.latent))
        self.feature_gains = Bank(torch.ones(len(KNOTS), share * frames))
        self.head_gains = nn.ModuleList(
            Bank(torch.ones(len(KNOTS), config.head)) for _ in range(frames)
        )

    def gains(self, bank: Bank, rows: Tensor) -> Tensor:
        """One gain per channel, `[n, 1, 1, channels]`; each frame's row rules its own share."""
        shares = bank(rows.flatten()).unflatten(0, rows.shape)
        share = shares.shape[-1] // rows.shape[1]
        parts = [shares[:, i, i * share : (i + 1) * share] for i in range(rows.shape[1])]
        return torch.cat(parts, dim=-1)[:, None, None, :]

    def start(self, reference: Tensor) -> Tensor:
        """Adapted feature of a first unit from a packed frame; zeros (grey) is the blank start."""
        return self.image_adaptor(reference)  # type: ignore[no-any-return]

    def follow(self, feature: Tensor) -> Tensor:
        """Adapted feature of a unit that follows another, from that one's feature."""
        return self.feature_adaptor(feature)  # type: ignore[no-any-return]

    def extract(self, adapted: Tensor, prediction: Tensor | None, rows: Tensor) -> Context:
        """Context from the adapted feature and the packed prediction of the unit's frames."""
        if self.prediction_in is not None:
            adapted = adapted + self.prediction_in(prediction)
        tap = self.extractor_1(adapted)
        return Context(tap * self.gains(self.feature_gains, rows), self.extractor_2(tap))

    def analyse(self, residual: Tensor, context: Tensor, rows: Tensor) -> Tensor:
        """Latent y `[n, h/2, w/2, latent]` of the packed frames less their prediction."""
        h = self.encoder(torch.cat((self.encoder_in(residual), context), dim=-1))
        h = h * self.gains(self.encoder_gains, rows)
        y = self.encoder_down(unshuffle(h, 2))
        if self.linear_in is not None:
            linear = self.linear_in(unshuffle(residual, 2))
            y = y + linear * self.gains(self.linear_in_gains, rows)
        return y  # type: ignore[no-any-return]

    def synthesise(self, y: Tensor, context: Tensor, rows: Tensor) -> Tensor:
        """The unit's feature from its decoded latent."""
        # The gain undoes the encoder's before anything else, so that features have one scale at
        # all qualities.
        h = shuffle(self.decoder_up(y), 2) * self.gains(self.decoder_gains, rows)
        h = self.decoder(torch.cat((h, context), dim=-1))
        return h + context if self.gate is None else h  # type: ignore[no-any-return]

    def detail(self, y: Tensor, rows: Tensor) -> Tensor | None:
        """What the decoded latent adds to the head outputs by itself, `[n, h, w, frames · 96]`."""
        if self.linear_out is None:
            return None
        return shuffle(self.linear_out(y * self.gains(self.linear_out_gains, rows)), 2)

    def render(
        self,
        feature: Tensor,
        detail: Tensor | None,
        prediction: Tensor | None,
        rows: Tensor,
        blank: Tensor,
    ) -> Tensor:
        """Packed frames `[n, h, w, frames · 96]`: the prediction, changed."""
        gates = self.gates(feature, blank)
        changes = torch.cat(
            [self.change(i, feature, detail, gates, rows) for i in range(len(self.heads))], dim=-1
        )
        return changes if prediction is None else changes + prediction

    def gates(self, feature: Tensor, blank: Tensor) -> Tensor | None:
        """How far each frame may change from its prediction, 0 … 1: `[n, h, w, frames]`.

        `blank`, bool `[n]`, marks samples that start from nothing: their gate is one.
        """
        if self.gate is None:
            return None
        gates = (self.gate(feature) + 0.5).clamp(0, 1)
        return torch.where(blank[:, None, None, None], torch.ones_like(gates), gates)

    def change(
        self,
        index: int,
        feature: Tensor,
        detail: Tensor | None,
        gates: Tensor | None,
        rows: Tensor,
    ) -> Tensor:
        """Packed frame `index` less its prediction, `[n, h, w, 96]`: head and detail, gated."""
        h = self.heads[index](feature) * self.head_gains[index](rows[:, index])[:, None, None, :]
        h = self.heads_out[index](h)
        if detail is not None:
            h = h + detail[..., index * FRAME_CHANNELS : (index + 1) * FRAME_CHANNELS]
        return h if gates is None else h * gates[..., index : index + 1]  # type: ignore[no-any-return]
