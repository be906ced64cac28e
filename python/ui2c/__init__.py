"""A neural video codec: frames in, a small file out, and back.

    import ui2c

    data = ui2c.Encoder(qp=32).encode(frames)       # frames: uint8 [frames, height, width, 3]
    again = ui2c.Decoder(output="rgb").decode(data)

PyTorch is only needed, and only imported, for what the core does not run: GPUs and training.
"""

from typing import TYPE_CHECKING, Any

from ui2c._core import Limits, SequenceHeader, __version__
from ui2c.build import build_info
from ui2c.decoder import Decoder
from ui2c.encoder import Encoder
from ui2c.errors import (
    CorruptError,
    Error,
    LimitError,
    MismatchError,
    TruncatedError,
    UnsupportedError,
)
from ui2c.picture.frames import YUV420
from ui2c.picture.metrics import Psnr
from ui2c.reader import Reader
from ui2c.statistics import Statistics, UnitStatistics

if TYPE_CHECKING:
    from ui2c.segments.encode import encode_segments

__all__ = [
    "YUV420",
    "CorruptError",
    "Decoder",
    "Encoder",
    "Error",
    "LimitError",
    "Limits",
    "MismatchError",
    "Psnr",
    "Reader",
    "SequenceHeader",
    "Statistics",
    "TruncatedError",
    "UnitStatistics",
    "UnsupportedError",
    "__version__",
    "build_info",
    "encode_segments",
]


def __getattr__(name: str) -> Any:
    # Imported when asked for: it needs what starts processes, which most programs do not.
    if name == "encode_segments":
        from ui2c.segments.encode import encode_segments

        return encode_segments
    raise AttributeError(f"module 'ui2c' has no attribute {name!r}")
