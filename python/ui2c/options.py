"""What an encoder and a decoder were asked for, checked once and never changed."""

from __future__ import annotations

import copyreg
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from ui2c._core import Limits, SequenceHeader
from ui2c.control.rate import Target
from ui2c.picture.frames import BIT_DEPTHS, YUV420
from ui2c.runtime import check_device, check_threads

EFFORTS = ("fast", "default", "slow")
"""How long to search for motion."""


@dataclass(frozen=True, kw_only=True)
class EncoderOptions:
    """See `ui2c.Encoder`. Raises ValueError where one is out of range."""

    target: Target
    threads: int | None
    keyint: int
    scenecut: bool
    lead: int | None
    motion: str | None
    width: int | None
    height: int | None
    bit_depth: int | None
    fps: Fraction
    timebase: Fraction | None
    sample_aspect: tuple[int, int]
    color: tuple[int, int, int] | None
    full_range: bool | None
    psnr: bool
    reconstruction: Callable[[YUV420], None] | None

    def __post_init__(self) -> None:
        check_threads(self.threads)
        if self.keyint < 0:
            raise ValueError(f"keyint must be 0 (only the first unit) or more, not {self.keyint}")
        if self.lead is not None and self.lead not in range(64):
            raise ValueError(f"lead must be an integer from 0 to 63, not {self.lead!r}")
        if self.motion is not None and self.motion not in EFFORTS:
            raise ValueError(f"motion must be fast, default or slow, not {self.motion!r}")
        for name, side in (("width", self.width), ("height", self.height)):
            if side is not None and side < 1:
                raise ValueError(f"{name} must be at least 1, not {side}")
        if self.bit_depth is not None and self.bit_depth not in BIT_DEPTHS:
            raise ValueError(f"bit_depth must be 8 to 16, not {self.bit_depth}")


@dataclass(frozen=True, kw_only=True)
class DecoderOptions:
    """See `ui2c.Decoder`. Raises ValueError where one is out of range."""

    output: Literal["yuv", "rgb"]
    device: str
    threads: int | None
    verify: bool
    limits: Limits
    on_error: Literal["raise", "skip"]

    def __post_init__(self) -> None:
        if self.output not in ("yuv", "rgb"):
            raise ValueError(f'output must be "yuv" or "rgb", not {self.output!r}')
        if self.on_error not in ("raise", "skip"):
            raise ValueError(f'on_error must be "raise" or "skip", not {self.on_error!r}')
        check_device(self.device)
        check_threads(self.threads)


def positive_fraction(name: str, value: Fraction | float | str) -> Fraction:
    """A positive fraction with parts that fit the header; a float as the simple one it means."""
    try:
        fraction = Fraction(value).limit_denominator(10**6 if isinstance(value, float) else 10**9)
    except (TypeError, ValueError, OverflowError):
        fraction = Fraction(0)
    if not 0 < fraction < 1 << 31:
        raise ValueError(f"{name} must be a positive number, not {value!r}")
    return fraction


def _rebuilt(kind: type, values: dict[str, Any]) -> Any:
    return kind(**values)


def _reduce(value: Any) -> tuple[Any, ...]:
    """All that it holds, whatever that may come to be."""
    names = [name for name in dir(value) if not name.startswith("_")]
    return _rebuilt, (type(value), {name: getattr(value, name) for name in names})


copyreg.pickle(Limits, _reduce)
copyreg.pickle(SequenceHeader, _reduce)
