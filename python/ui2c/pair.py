"""One unit at a time: planes to a coded unit and back, with the networks and the native coder.

Encoder and decoder run the same steps on the same tensors wherever the result feeds the feature,
so what the encoder reconstructs is what the decoder shows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ui2c import _core, motion
from ui2c.motion import Field, Planes
from ui2c.network.alignment import align, displacement_of
from ui2c.network.codec import FRAME_CHANNELS, Context
from ui2c.network.packing import pack, unpack
from ui2c.network.prior import SKIP, scale_of, stages
from ui2c.network.weights import Model

_SYMBOL_LIMIT = 2047
"""Residuals are clamped to this; trained networks stay far below."""

MAX_COMPONENT = 2047
"""Of a motion vector, in quarter samples."""

PRECISION_BITS = 2
COARSEST = 2
"""Of vectors: the largest `Field.shift`."""

SETTLED = 4
"""Units after which filters are designed again for every fourth one only."""


@dataclass(frozen=True)
class CodedUnit:
    """What the bitstream carries for one unit, and what it cost."""

    intra: bool
    qp: int
    cycle: int
    motion_step: int
    log2_lanes: int
    stream: bytes
    feature_hash: int
    motion_bits: float
    """Bits of the motion field and of blocks, inside the stream."""
    estimated_bits: float
    """The networks' own estimate of the latents' bits plus the motion bits."""


class State(NamedTuple):
    """What one unit leaves to the next."""

    feature: Tensor | None
    reference: Planes | None
    filters: _core.Filters
    designer: _core.FilterDesigner
    """Of an encoder, as the next; a decoder leaves them alone."""
    shift: int | None
    """The last choice of `Field.shift`, if there was one since a blank unit."""


class PairCoder:
    """Codes the units of one sequence in order, carrying feature and last frame along."""

    def __init__(
        self,
        model: Model,
        *,
        width: int,
        height: int,
        bit_depth: int = 8,
        motion: str = "default",
    ) -> None:
        self.model = model
        self.motion = motion
        self.width, self.height, self.bit_depth = width, height, bit_depth
        self.coded_width, self.coded_height = -(-width // 16) * 16, -(-height // 16) * 16
        self.device = next(model.codec.parameters()).device
        self.decoded: list[Planes] = []
        self.feature_hash = 0
        self._feature: Tensor | None = None
        self._reference: Planes | None = None
        self._filters = _core.Filters()
        self._designer = _core.FilterDesigner()
        self._shift: int | None = None
        self._symbols: dict[int, NDArray[np.int16]] = {}
        self._stages = stages(
            model.config.stages,
            self.coded_height // 16,
            self.coded_width // 16,
            model.config.latent,
            self.device,
        )

    @property
    def state(self) -> State:
        """All that the next unit depends on; setting it again undoes the units since."""
        return State(self._feature, self._reference, self._filters, self._designer, self._shift)

    @state.setter
    def state(self, state: State) -> None:
        self._feature, self._reference, self._filters, self._designer, self._shift = state

    def refer_to(self, frame: Planes) -> None:
        """Lets the next inter unit follow this picture, whoever coded it; for experiments.

        The network knows such references from training. No file says so: the format has none.
        """
        self._reference, self._feature = tuple(self._pad(frame)), None

    @torch.no_grad()
    def encode(self, frames: Sequence[Planes], *, qp: int, cycle: int, intra: bool) -> CodedUnit:
        """Codes 1 … `config.unit_frames(intra)` pictures; a short unit repeats its last one.

        Afterwards `decoded` holds all frames of the unit as a decoder will show them. Raises
        ValueError for too many pictures.
        """
        codec, config = self.model.codec, self.model.config
        if not 1 <= len(frames) <= config.unit_frames(intra):
            raise ValueError(f"{len(frames)} frames for a unit of {config.unit_frames(intra)}")
        padded = [self._pad(frame) for frame in frames]
        padded += [padded[-1]] * (config.frames_per_unit - len(padded))
        source = self._pack(padded)
        rows = self._rows(qp, cycle, intra)
        coder = _core.RansEncoder()
        field, motion_bits = Field(0, None, 0), 0.0
        if intra:
            self._shift = None
        elif config.motion:
            field = self._find_field(padded, qp, cycle)
            if config.chosen_precision:
                coder.put_bits(field.shift, PRECISION_BITS)
            if field.vectors is not None and field.step:
                motion_bits = field.bits()
                if config.halved:
                    coder.put_bits(int(field.halved), 1)
                coder.put_motion(field.coded())
        predicted = self._predict(intra, field)
        if config.has_blocks(intra):
            for k, frame in enumerate(padded):
                blocks = self._search_forward(frame, predicted[k], field, k, qp)
                motion_bits += coder.put_blocks(blocks, *self._block_coding(field, k))
                predicted[k] = self._mend(predicted[k], self._reference, blocks)
        between = None
        expected = predicted
        if config.bidirectional and not intra:
            between = self._search_between(padded, predicted, field, qp)
            motion_bits += coder.put_blocks(between, *self._block_coding(field, None))
            # The last frame as it is: decoded it will be nearly that.
            expected = [self._mend(predicted[0], padded[-1], between), *predicted[1:]]
        prediction = self._pack_prediction(expected, intra)
        residual = source if prediction is None else source - prediction

        context = self._context(intra, field, self._known(predicted, between, intra), rows)
        y = codec.analyse(residual, context.context, rows)
        z = codec.prior.hyper_encode(y)
        z_index = self._hyper_index(qp, intra, z.shape)
        coded = torch.from_numpy(z_index >= SKIP).to(self.device).view(z.shape)
        z = self._quantise(z, coded)
        self._put(coder, self.model.hyper_tables, z_index, z)

        parameters = codec.prior.first_stage(z, context.tap)
        quantiser, fractional, mean = codec.prior.split(parameters)
        index = fractional.round()
        scaled = y / quantiser
        coded = index >= SKIP
        symbols, latent = self._decide(
            mean, parameters, index, lambda mean: self._quantise(scaled - mean, coded)
        )
        self._put(coder, self.model.tables, _indexes(index), symbols)
        y = latent * quantiser
        frames = self._finish(y, context, predicted, between, rows, intra)
        blocks = None
        if config.has_blocks(intra) and not config.bidirectional:
            blocks = self._search_backward(padded[0], frames, field, qp)
            motion_bits += coder.put_blocks(blocks, *self._block_coding(field, None))
        shown = self._shown(frames, blocks, intra)
        filter_bits = 0.0
        if config.post_filter:
            before = self._filters_before(intra)
            sources = padded[-len(shown) :]
            self._filters = self._design(before, shown, sources, qp, cycle, intra)
            filter_bits = coder.put_filters(before, self._defaults(qp, intra), self._filters)
        self._show(shown)

        log2_lanes, stream = coder.finish()
        estimate = motion_bits + filter_bits + _bits(symbols, index)
        estimate += _bits(z, torch.from_numpy(z_index).to(self.device).view(z.shape).float())
        return CodedUnit(
            intra,
            qp,
            cycle,
            field.step,
            log2_lanes,
            stream,
            self.feature_hash,
            motion_bits,
            estimate,
        )

    @torch.no_grad()
    def decode(
        self,
        stream: bytes,
        *,
        qp: int,
        cycle: int,
        intra: bool,
        motion_step: int = 0,
        log2_lanes: int = 0,
    ) -> list[Planes]:
        """The frames of a unit. Raises `ui2c.CorruptError` if the stream does not fit it."""
        codec, config = self.model.codec, self.model.config
        if not intra and self._reference is None:
            raise _core.CorruptError("an inter unit before the first intra unit")
        if motion_step and (intra or not config.motion):
            raise _core.CorruptError("a motion field in a unit that cannot have one")
        rows = self._rows(qp, cycle, intra)
        coder = _core.RansDecoder(stream, log2_lanes)
        shift = config.motion_shift(qp)
        if config.chosen_precision and config.motion and not intra:
            shift = coder.get_bits(PRECISION_BITS)
            if shift > COARSEST:
                raise _core.CorruptError(f"motion vectors in units of 2^{shift} quarter samples")
        vectors, halved = None, False
        if motion_step:
            halved = config.halved and bool(coder.get_bits(1))
            coded = 1 if halved else config.frames_per_unit
            cells = (-(-self.coded_height // motion_step), -(-self.coded_width // motion_step))
            vectors = coder.get_motion(coded, *cells) << shift
            if np.abs(vectors).max() > MAX_COMPONENT:
                raise _core.CorruptError(f"a motion vector beyond {MAX_COMPONENT} quarter samples")
            if halved:
                vectors = motion.with_halves(vectors)
        field = Field(motion_step, vectors, shift, halved)
        predicted = self._predict(intra, field)
        if config.has_blocks(intra):
            for k in range(config.frames_per_unit):
                blocks = coder.get_blocks(*self._block_coding(field, k))
                predicted[k] = self._mend(predicted[k], self._reference, blocks)
        between = None
        if config.bidirectional and not intra:
            between = coder.get_blocks(*self._block_coding(field, None))
        context = self._context(intra, field, self._known(predicted, between, intra), rows)
        z_shape = (1, -(-self.coded_height // 64), -(-self.coded_width // 64), config.hyper)
        z_index = self._hyper_index(qp, intra, z_shape)
        z = self._read(coder, self.model.hyper_tables, z_index)
        parameters = codec.prior.first_stage(self._tensor(z, z_shape), context.tap)
        quantiser, fractional, mean = codec.prior.split(parameters)
        index = fractional.round()
        decoded = self._read(coder, self.model.tables, _indexes(index))
        blocks = None
        if config.has_blocks(intra) and not config.bidirectional:
            blocks = coder.get_blocks(*self._block_coding(field, None))
        filters = self._filters_before(intra)
        if config.post_filter:
            filters = coder.get_filters(filters, self._defaults(qp, intra))
        coder.finish()
        every = self._tensor(decoded, mean.shape)
        _, latent = self._decide(mean, parameters, index, lambda _: every)
        y = latent * quantiser
        frames = self._finish(y, context, predicted, between, rows, intra)
        self._filters = filters
        self._show(self._shown(frames, blocks, intra))
        return self.decoded

    def _decide(
        self,
        mean: Tensor,
        parameters: Tensor,
        index: Tensor,
        symbols_of: Callable[[Tensor], Tensor],
    ) -> tuple[Tensor, Tensor]:
        """Symbols of all elements and the latent in steps, stage by stage; both sides come by here.

        `mean` is the first stage's; `symbols_of` gives all symbols as they are for some means.
        """
        prior, first = self.model.codec.prior, self._stages[0]
        values = prior.values(index)
        symbols = symbols_of(mean) * first
        latent = values(symbols) + mean * first
        means_in = prior.later_stages(parameters)
        for number, here in enumerate(self._stages[1:], start=1):
            mean = means_in(number, latent)
            new = symbols_of(mean) * here
            symbols, latent = symbols + new, latent + (values(new) + mean * here)
        return symbols, latent

    def _finish(
        self,
        y: Tensor,
        context: Context,
        predicted: list[Planes],
        between: _core.Blocks | None,
        rows: Tensor,
        intra: bool,
    ) -> list[Planes]:
        """From the latent to feature and pictures of the coded size; both sides come by here."""
        codec = self.model.codec
        self._feature = codec.synthesise(y, context.context, rows)
        self.feature_hash = _core.crc32c(self._feature.cpu().numpy().tobytes())
        blank = torch.tensor([intra], device=self.device)
        changes = codec.changes(self._feature, codec.detail(y, rows), rows, blank)
        prediction = self._pack_prediction(predicted, intra)
        coded = self._unpack(changes if prediction is None else changes + prediction)
        if between is not None:
            base = self._mend(predicted[0], coded[-1], between)
            coded[0] = self._unpack(changes[..., :FRAME_CHANNELS] + self._pack([base]))[0]
        self._reference = coded[-1]
        return coded

    def _shown(
        self, frames: list[Planes], blocks: _core.Blocks | None, intra: bool
    ) -> list[Planes]:
        """The frames that are shown, as they are before the post-filter."""
        frames = [self._mend(frames[0], frames[-1], blocks), *frames[1:]]
        # A still is the last frame, to which the others refer; training asks nothing else of it.
        return frames[-self.model.config.unit_frames(intra) :]

    def _show(self, shown: list[Planes]) -> None:
        """Sets `decoded`; both sides end here."""
        if self.model.config.post_filter:
            filters, depth = self._filters, self.bit_depth
            shown = [_core.apply_filters(frame, filters, bit_depth=depth) for frame in shown]
        self.decoded = [self._crop(frame) for frame in shown]

    def _filters_before(self, intra: bool) -> _core.Filters:
        """What a unit's filters are told from; blank units begin anew: decoders may, too."""
        return _core.Filters() if intra else self._filters

    def _design(
        self,
        before: _core.Filters,
        shown: list[Planes],
        sources: list[Planes],
        qp: int,
        cycle: int,
        intra: bool,
    ) -> _core.Filters:
        """The filters of a unit, fitted to it and to those before it."""
        designer = _core.FilterDesigner() if intra else self._designer
        self._designer = designer.observe(shown, sources, bit_depth=self.bit_depth)
        if designer.units >= SETTLED and cycle:
            return before  # Finding a change takes time, and there will hardly be one.
        return self._designer.design(before, self._defaults(qp, intra), 65025 / self._weight(qp))

    def _defaults(self, qp: int, intra: bool) -> list[_core.Filters]:
        return self.model.filters_at(self.model.config.base_row(qp, intra))

    def _mend(self, base: Planes, other: Planes | None, blocks: _core.Blocks | None) -> Planes:
        if blocks is None or other is None:
            return base
        (y, u, v), others = base, (other[0], other[1], other[2])
        return _core.apply_blocks((y, u, v), others, blocks, bit_depth=self.bit_depth)

    def _block_coding(self, field: Field, index: int | None) -> tuple[NDArray[np.int16], int]:
        """What predicts the vectors of blocks, and their unit; `index` as in `Field.guesses`."""
        cells = self.coded_height // 16, self.coded_width // 16
        return field.guesses(index, *cells), field.shift

    def _search_forward(
        self, source: Planes, predicted: Planes, field: Field, index: int, qp: int
    ) -> _core.Blocks | None:
        if self.motion == "fast" or self._reference is None:
            return None
        planes = source[0], predicted[0], self._reference[0]
        return motion.search_forward(*planes, field, index, self._weight(qp), self.bit_depth)

    def _search_between(
        self, sources: list[Planes], predicted: list[Planes], field: Field, qp: int
    ) -> _core.Blocks | None:
        if self.motion == "fast":
            return None
        planes = sources[0][0], predicted[0][0], sources[-1][0]
        return motion.search_between(*planes, field, self._weight(qp), self.bit_depth)

    def _search_backward(
        self, source: Planes, frames: list[Planes], field: Field, qp: int
    ) -> _core.Blocks | None:
        planes = source[0], frames[0][0], frames[-1][0]
        return motion.search_backward(*planes, field, self._weight(qp), self.bit_depth)

    def _weight(self, qp: int) -> float:
        """λ of a qp."""
        return self.model.config.distortion_weight(63 - qp)

    @property
    def _dtype(self) -> type[np.uint8] | type[np.uint16]:
        return np.uint8 if self.bit_depth == 8 else np.uint16

    def _rows(self, qp: int, cycle: int, intra: bool) -> Tensor:
        offsets = torch.tensor([self.model.config.unit_offsets(cycle, intra)], device=self.device)
        return (self.model.config.base_row(qp, intra) + offsets).clamp(max=63)

    def _hyper_index(self, qp: int, intra: bool, shape: Sequence[int]) -> NDArray[np.uint8]:
        row = self.model.config.base_row(qp, intra)
        channels = self.model.hyper_index[int(intra), row]
        return np.broadcast_to(channels, tuple(shape)).flatten()

    def _context(
        self, intra: bool, field: Field, prediction: Tensor | None, rows: Tensor
    ) -> Context:
        codec = self.model.codec
        if intra:
            sides = self.coded_height // 8, self.coded_width // 8
            adapted = codec.start(torch.zeros(1, *sides, 96, device=self.device))
        elif self._feature is None:
            assert self._reference is not None
            adapted = codec.start(self._pack([self._reference]))
        else:
            adapted = codec.follow(self._aligned(self._feature, field))
        return codec.extract(adapted, prediction, rows)

    def _aligned(self, feature: Tensor, field: Field) -> Tensor:
        if not self.model.config.aligned or not field.step or field.vectors is None:
            return feature
        steps, vectors = torch.tensor([field.step]), torch.from_numpy(field.vectors)[None]
        sizes = self.coded_height, self.coded_width
        return align(feature, displacement_of(*sizes, steps, vectors).to(feature.device))

    def _find_field(self, frames: Sequence[Planes], qp: int, cycle: int) -> Field:
        """The motion of a unit, that of the first frame half the last one's where that pays."""
        field = self._precise_field(frames, qp, cycle)
        if not self.model.config.halved or self.motion == "fast":
            return field

        def others(halved: Field) -> Sequence[Field]:
            if self.motion != "slow" or self._reference is None:
                return [halved]
            planes = self._reference[0], [frame[0] for frame in frames]
            weight = self._weight(qp)
            return motion.search_joint(field, halved, *planes, weight, bit_depth=self.bit_depth)

        return motion.choose_halved(field, lambda field: self._cost(field, frames, qp), others)

    def _precise_field(self, frames: Sequence[Planes], qp: int, cycle: int) -> Field:
        """In the precision that suits the unit if that can be chosen.

        A choice holds for the rest of a cycle: it takes as long as two searches.
        """
        usual = self.model.config.motion_shift(qp)
        if not self.model.config.chosen_precision or self.motion == "fast":
            return self._search(frames, qp, usual)
        if cycle and self._shift is not None:
            return self._search(frames, qp, self._shift)
        field = motion.choose_field(
            lambda shift: self._search(frames, qp, shift),
            lambda field: self._cost(field, frames, qp),
            usual,
        )
        self._shift = field.shift
        return field

    def _search(self, frames: Sequence[Planes], qp: int, shift: int) -> Field:
        assert self._reference is not None
        return motion.search_field(
            self._reference[0],
            [frame[0] for frame in frames],
            self._weight(qp),
            shift,
            bit_depth=self.bit_depth,
            effort=self.motion,
        )

    def _cost(self, field: Field, frames: Sequence[Planes], qp: int) -> float:
        predicted, luma = ([f[0] for f in x] for x in (self._predict(False, field), frames))
        return motion.field_cost(field, predicted, luma, self._weight(qp), self.bit_depth)

    def _predict(self, intra: bool, field: Field) -> list[Planes]:
        """What the field makes of the reference, for each frame of an inter unit."""
        config = self.model.config
        if intra or not config.motion:
            return []
        assert self._reference is not None
        return field.predict(self._reference, config.frames_per_unit, self.bit_depth)

    def _known(
        self, predicted: list[Planes], between: _core.Blocks | None, intra: bool
    ) -> Tensor | None:
        """What is known of the unit before its latents: the last frame stands for itself."""
        if between is not None:
            predicted = [self._mend(predicted[0], predicted[-1], between), *predicted[1:]]
        return self._pack_prediction(predicted, intra)

    def _pack_prediction(self, predicted: list[Planes], intra: bool) -> Tensor | None:
        """Packed prediction of all frames of the unit; zeros (grey) for a blank start."""
        config = self.model.config
        if not config.motion:
            return None
        if intra:
            sides = self.coded_height // 8, self.coded_width // 8
            return torch.zeros(1, *sides, 96 * config.frames_per_unit, device=self.device)
        return self._pack(predicted)

    def _pack(self, frames: Sequence[Planes]) -> Tensor:
        packed = []
        for frame in frames:
            planes = (torch.from_numpy(plane.astype(np.int32))[None] for plane in frame)
            packed.append(pack(planes, self.bit_depth))
        return torch.cat(packed, dim=-1).to(self.device)

    def _unpack(self, frames: Tensor) -> list[Planes]:
        unpacked = []
        for frame in frames.split(FRAME_CHANNELS, dim=-1):
            planes = unpack(frame, self.bit_depth)
            unpacked.append(tuple(plane[0].cpu().numpy().astype(self._dtype) for plane in planes))
        return unpacked

    def _pad(self, frame: Planes) -> Planes:
        """Repeats right and lower edges up to the coded size."""
        sizes = [(self.coded_height, self.coded_width)]
        sizes += [(self.coded_height // 2, self.coded_width // 2)] * 2
        return tuple(
            np.pad(plane, ((0, h - plane.shape[0]), (0, w - plane.shape[1])), mode="edge")
            for plane, (h, w) in zip(frame, sizes, strict=True)
        )

    def _crop(self, frame: Planes) -> Planes:
        sizes = [(self.height, self.width)] + [(-(-self.height // 2), -(-self.width // 2))] * 2
        # Copies, so that a caller who changes a shown frame does not change the reference.
        return tuple(plane[:h, :w].copy() for plane, (h, w) in zip(frame, sizes, strict=True))

    def _quantise(self, residual: Tensor, coded: Tensor) -> Tensor:
        return torch.round(residual).clamp(-_SYMBOL_LIMIT, _SYMBOL_LIMIT) * coded

    def _put(
        self,
        coder: _core.RansEncoder,
        tables: _core.Tables,
        indexes: NDArray[np.uint8],
        symbols: Tensor,
    ) -> None:
        coder.put(tables, indexes, symbols.to(torch.int16).cpu().numpy().reshape(-1))

    def _read(
        self, coder: _core.RansDecoder, tables: _core.Tables, indexes: NDArray[np.uint8]
    ) -> NDArray[np.int16]:
        """The symbols, valid until as many are read again."""
        if indexes.size not in self._symbols:
            self._symbols[indexes.size] = np.empty(indexes.shape, np.int16)
        return coder.get(tables, indexes, out=self._symbols[indexes.size])

    def _tensor(self, symbols: NDArray[np.int16], shape: Sequence[int]) -> Tensor:
        return torch.from_numpy(symbols.astype(np.float32)).view(tuple(shape)).to(self.device)


def _indexes(index: Tensor) -> NDArray[np.uint8]:
    return index.to(torch.uint8).cpu().numpy().reshape(-1)


def _bits(symbols: Tensor, index: Tensor) -> float:
    """Ideal code length of symbols under the Gaussians of their scale indices."""
    scale = scale_of(index) * 2**0.5
    x = symbols.abs()
    probability = 0.5 * (torch.erfc((x - 0.5) / scale) - torch.erfc((x + 0.5) / scale))
    bits = -torch.log2(probability.clamp(min=2.0**-24))
    return float((bits * (index >= SKIP)).double().sum())
