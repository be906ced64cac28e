"""The networks run by PyTorch, on a CPU or a GPU: the plain twin that defines the numbers."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, ParamSpec, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ui2c import _core
from ui2c.network.alignment import align, displacement_of
from ui2c.network.codec import Codec, Context
from ui2c.network.config import base_row
from ui2c.network.packing import pack, unpack
from ui2c.network.prior import SKIP, stages

if TYPE_CHECKING:
    from ui2c._core import Planes

P = ParamSpec("P")
T = TypeVar("T")

LARGEST_SYMBOL = 2047
"""Symbols are clamped to this; trained networks stay far below."""


class State(NamedTuple):
    """Between two units: the feature, or a picture that stands for it."""

    feature: Tensor | None
    picture: Planes | None = None


class TorchEngine:
    """Runs a codec's modules; `hyper_index` is `[2, 64, hyper]`, as in `Model`."""

    def __init__(self, codec: Codec, hyper_index: NDArray[np.uint8]) -> None:
        self.codec = codec
        self.hyper_index = hyper_index
        self.device = next(codec.parameters()).device

    @property
    def on_processor(self) -> bool:
        return self.device.type == "cpu"

    def session(self, *, width: int, height: int, bit_depth: int) -> TorchSession:
        return TorchSession(self, width, height, bit_depth)


class _Unit(NamedTuple):
    """The unit at hand."""

    rows: Tensor
    base_row: int
    intra: bool
    context: Context
    z_index: NDArray[np.uint8]


class _Decoded(NamedTuple):
    """What its frames are made from."""

    feature: Tensor
    detail: Tensor | None
    gates: Tensor | None


def _shielded(method: Callable[P, T]) -> Callable[P, T]:
    """The method, whatever the caller has set: gradients, autocast."""

    @functools.wraps(method)
    def shielded(*arguments: P.args, **options: P.kwargs) -> T:
        cpu, cuda = (torch.autocast(device, enabled=False) for device in ("cpu", "cuda"))
        with torch.no_grad(), cpu, cuda:
            return method(*arguments, **options)

    return shielded


def check_denormals() -> None:
    """Raises `ui2c.UnsupportedError` where PyTorch was told to take tiny numbers for zero."""
    if float(torch.full((1,), 2.0**-140, dtype=torch.float32, device="cpu") * 1.0) == 0.0:
        raise _core.UnsupportedError(
            "PyTorch flushes denormal numbers to zero, and so would decode something else: "
            "torch.set_flush_denormal(False)"
        )


class TorchSession:
    """See `ui2c.network.engine.Session`."""

    def __init__(self, engine: TorchEngine, width: int, height: int, bit_depth: int) -> None:
        self._engine, self._codec, self._device = engine, engine.codec, engine.device
        self._width, self._height, self._bit_depth = width, height, bit_depth
        config = self._codec.config
        self._z_shape = 1, -(-height // 64), -(-width // 64), config.hyper
        self._stages = stages(height // 16, width // 16, config.latent, self._device)
        middle = 1 << (bit_depth - 1)
        luma = np.full((height, width), middle, np.int32)
        self._grey = luma, luma[: height // 2, : width // 2], luma[: height // 2, : width // 2]
        self._state = State(None)
        self._forget_unit()

    def save(self) -> State:
        return self._state

    def restore(self, state: State) -> None:
        self._state = state
        self._forget_unit()

    def _forget_unit(self) -> None:
        self._unit: _Unit | None = None
        self._y: Tensor | None = None
        self._latent: Tensor | None = None
        self._parameters: Tensor | None = None
        self._decoded: _Decoded | None = None

    @_shielded
    def begin(
        self,
        *,
        qp: int,
        intra: bool,
        step: int,
        vectors: NDArray[np.int16] | None,
        known: Sequence[Planes],
    ) -> None:
        check_denormals()
        codec = self._codec
        self._forget_unit()
        rows = torch.tensor([codec.config.frame_rows(qp, intra)], device=self._device)
        if intra:
            adapted = codec.start(self._pack([self._grey]))
        elif self._state.picture is not None:
            adapted = codec.start(self._pack([self._state.picture]))
        elif self._state.feature is not None:
            adapted = codec.follow(self._aligned(self._state.feature, step, vectors))
        else:
            raise ValueError("an inter unit needs the feature of a unit before it")
        prediction = self._pack(known) if codec.config.motion else None
        context = codec.extract(adapted, prediction, rows)
        row = base_row(qp, intra)
        z_index = self._engine.hyper_index[int(intra), row]
        self._unit = _Unit(
            rows, row, intra, context, np.broadcast_to(z_index, self._z_shape).reshape(-1)
        )

    def hyper_scales(self) -> NDArray[np.uint8]:
        return self._begun().z_index

    @_shielded
    def analyse(self, frames: Sequence[Planes], expected: Sequence[Planes]) -> NDArray[np.int16]:
        unit, codec = self._begun(), self._codec
        residual = self._pack(frames) - self._pack(expected)
        self._y = codec.analyse(residual, unit.context.context, unit.rows)
        z = codec.prior.hyper_encode(self._y)
        coded = torch.from_numpy(unit.z_index >= SKIP).to(self._device).view(z.shape)
        return _symbols(_quantise(z, coded))

    @_shielded
    def scales(self, z: NDArray[np.int16]) -> NDArray[np.uint8]:
        unit, prior = self._begun(), self._codec.prior
        self._parameters = prior.first_stage(self._tensor(z, self._z_shape), unit.context.tap)
        self._step, fractional, self._mean = prior.split(self._parameters)
        self._index = fractional.round()
        return self._index.to(torch.uint8).cpu().numpy().reshape(-1)

    @_shielded
    def quantise(self) -> NDArray[np.int16]:
        if self._y is None or self._parameters is None:
            raise ValueError("nothing was analysed, or its scales not asked for")
        scaled, coded = self._y / self._step, self._index >= SKIP
        symbols, self._latent = self._decide(lambda mean: _quantise(scaled - mean, coded))
        return _symbols(symbols)

    @_shielded
    def synthesise(self, y: NDArray[np.int16] | None = None) -> None:
        unit, codec, latent = self._begun(), self._codec, self._latent
        if self._parameters is None or (y is None and latent is None):
            raise ValueError("the scales of y were not asked for, or its symbols are missing")
        if y is not None:
            every = self._tensor(y, self._mean.shape)
            _, latent = self._decide(lambda _: every)
        assert latent is not None
        decoded = latent * self._step
        feature = codec.synthesise(decoded, unit.context.context, unit.rows)
        self._state = State(feature)
        self._decoded = _Decoded(
            feature,
            codec.detail(decoded, unit.rows),
            codec.gates(feature, torch.tensor([unit.intra], device=self._device)),
        )
        self._y = self._latent = self._parameters = None

    @_shielded
    def frame(self, index: int, base: Planes) -> Planes:
        unit, decoded = self._begun(), self._decoded
        if decoded is None:
            raise ValueError("the unit was not synthesised")
        change = self._codec.change(index, *decoded, unit.rows)
        planes = unpack(change + self._pack([base]), self._bit_depth)
        dtype = np.uint8 if self._bit_depth == 8 else np.uint16
        y, u, v = (plane[0].cpu().numpy().astype(dtype) for plane in planes)
        return y, u, v

    def digest(self) -> int:
        feature = self._state.feature
        # Zeros of both signs are the same number.
        return 0 if feature is None else _core.crc32c((feature + 0.0).cpu().numpy().tobytes())

    def _begun(self) -> _Unit:
        if self._unit is None:
            raise ValueError("no unit was begun")
        return self._unit

    def _decide(self, symbols_of: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Symbols of all elements and the latent in steps, stage by stage; both sides come by here.

        `symbols_of` gives all symbols as they are for some means.
        """
        assert self._parameters is not None
        prior, first = self._codec.prior, self._stages[0]
        values = prior.values(self._index)
        symbols = symbols_of(self._mean) * first
        latent = values(symbols) + self._mean * first
        means_in = prior.later_stages(self._parameters)
        for number, here in enumerate(self._stages[1:], start=1):
            mean = means_in(number, latent)
            new = symbols_of(mean) * here
            symbols, latent = symbols + new, latent + (values(new) + mean * here)
        return symbols, latent

    def _aligned(self, feature: Tensor, step: int, vectors: NDArray[np.int16] | None) -> Tensor:
        if not step or vectors is None:
            return feature
        steps, field = torch.tensor([step], device="cpu"), torch.from_numpy(vectors)[None]
        displacement = displacement_of(self._height, self._width, steps, field)
        return align(feature, displacement.to(feature.device))

    def _pack(self, frames: Sequence[Planes]) -> Tensor:
        packed = []
        for frame in frames:
            planes = (torch.from_numpy(plane.astype(np.int32))[None] for plane in frame)
            packed.append(pack(planes, self._bit_depth))
        return torch.cat(packed, dim=-1).to(self._device)

    def _tensor(self, symbols: NDArray[np.int16], shape: Sequence[int]) -> Tensor:
        if symbols.size != math.prod(shape):
            raise ValueError(f"{symbols.size} symbols for {math.prod(shape)} elements")
        return torch.from_numpy(symbols.astype(np.float32)).view(tuple(shape)).to(self._device)


def _quantise(residual: Tensor, coded: Tensor) -> Tensor:
    return torch.round(residual).clamp(-LARGEST_SYMBOL, LARGEST_SYMBOL) * coded


def _symbols(symbols: Tensor) -> NDArray[np.int16]:
    return symbols.to(torch.int16).cpu().numpy().reshape(-1)
