"""Frame types: what may be given to an encoder, and the pictures a decoder gives back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

    from ui2c._core import Plane, Planes

    Frame: TypeAlias = "YUV420 | NDArray[np.uint8] | torch.Tensor"
    """One picture: a YUV420, or RGB as uint8 `[height, width, 3]` (NumPy or torch)."""
    Frames: TypeAlias = "NDArray[np.uint8] | torch.Tensor | Iterable[Frame]"
    """A clip: RGB as uint8 `[frames, height, width, 3]`, or any iterable of pictures."""

BIT_DEPTHS = range(8, 17)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class YUV420:
    """One 4:2:0 picture.

    `y` is `[height, width]`, `u` and `v` are `[(height + 1) // 2, (width + 1) // 2]`; samples are
    uint8 at 8 bits and uint16 at 9 to 16 bits. `full_range` tells whether codes span 0 … 2^n - 1
    (true) or the limited range of video, 16 … 235 at 8 bits. `pts`, where known, is the
    presentation time in ticks of the stream's timebase; it takes no part in comparisons.
    A plane whose rows do not lie one after the other in memory is copied.
    """

    y: Plane
    u: Plane
    v: Plane
    bit_depth: int = 8
    full_range: bool = False
    pts: int | None = None

    def __post_init__(self) -> None:
        if self.bit_depth not in BIT_DEPTHS:
            raise ValueError(f"bit_depth must be 8 to 16, not {self.bit_depth!r}")
        dtype = np.dtype(np.uint8 if self.bit_depth == 8 else np.uint16)
        for name, plane in zip("yuv", self.planes, strict=True):
            if not isinstance(plane, np.ndarray) or plane.ndim != 2 or plane.dtype != dtype:
                raise ValueError(
                    f"{name} must be a {dtype} array [height, width] at {self.bit_depth} bits, "
                    f"not {describe(plane)}"
                )
        if 0 in self.y.shape:
            raise ValueError(f"y must hold at least one sample, not {describe(self.y)}")
        chroma = chroma_size(self.width, self.height)
        for name, plane in (("u", self.u), ("v", self.v)):
            if plane.shape != chroma[::-1]:
                raise ValueError(
                    f"{name} must be {chroma[0]}x{chroma[1]} for {self.width}x{self.height} luma, "
                    f"not {plane.shape[1]}x{plane.shape[0]}"
                )
        for name, plane in zip("yuv", self.planes, strict=True):
            if not plane.flags.c_contiguous:
                object.__setattr__(self, name, np.ascontiguousarray(plane))
        if 8 < self.bit_depth < 16:
            for name, plane in zip("yuv", self.planes, strict=True):
                if int(plane.max()) >> self.bit_depth:
                    raise ValueError(
                        f"{name} must hold values below {1 << self.bit_depth} "
                        f"at {self.bit_depth} bits, not {plane.max()}"
                    )

    @property
    def width(self) -> int:
        return int(self.y.shape[1])

    @property
    def height(self) -> int:
        return int(self.y.shape[0])

    @property
    def planes(self) -> Planes:
        return self.y, self.u, self.v

    def __repr__(self) -> str:
        reach = "full" if self.full_range else "limited"
        return (
            f"<YUV420 {self.width}x{self.height}, {self.bit_depth} bits, {reach} range, "
            f"pts {self.pts}>"
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, YUV420):
            return NotImplemented
        return (self.bit_depth, self.full_range) == (other.bit_depth, other.full_range) and all(
            np.array_equal(a, b) for a, b in zip(self.planes, other.planes, strict=True)
        )

    __hash__ = None  # type: ignore[assignment]


def chroma_size(width: int, height: int) -> tuple[int, int]:
    """Width and height of the chroma planes of a 4:2:0 picture."""
    return (width + 1) // 2, (height + 1) // 2


def describe(value: object) -> str:
    """A value's type, and an array's dtype and shape, for error messages."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {list(value.shape)}"
    return type(value).__name__


def as_array(value: Any) -> Any:
    """A torch tensor as a NumPy array; everything else as it is. Does not import torch."""
    if type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "detach"):
        return value.detach().cpu().numpy()
    return value


def check_frame(frame: Any, name: str = "frame") -> YUV420 | NDArray[np.uint8]:
    """One picture, checked: a YUV420, or RGB as uint8 `[height, width, 3]`."""
    frame = as_array(frame)
    if isinstance(frame, YUV420):
        return frame
    if (
        isinstance(frame, np.ndarray)
        and frame.dtype == np.uint8
        and frame.ndim == 3
        and frame.shape[2] == 3
        and 0 not in frame.shape
    ):
        return frame
    raise ValueError(
        f"{name} must be a YUV420 or RGB as uint8 [height, width, 3], not {describe(frame)}"
    )


def iterate(frames: Any) -> Iterator[Any]:
    """The pictures of a clip, one by one; each is still to be checked."""
    clip = as_array(frames)
    if isinstance(clip, np.ndarray):
        if clip.dtype != np.uint8 or clip.ndim != 4 or clip.shape[3] != 3:
            raise ValueError(
                f"frames must be RGB as uint8 [frames, height, width, 3], not {describe(clip)}"
            )
    elif isinstance(clip, (YUV420, str, bytes)) or not isinstance(clip, Iterable):
        raise ValueError(f"frames must be an array or an iterable of frames, not {describe(clip)}")
    return iter(clip)
