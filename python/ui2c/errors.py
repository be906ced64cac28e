"""What ui2c raises on bad data. Bad arguments are a plain ValueError or TypeError."""

from ui2c._core import (
    CorruptError,
    Error,
    LimitError,
    MismatchError,
    TruncatedError,
    UnsupportedError,
)

__all__ = [
    "CorruptError",
    "Error",
    "LimitError",
    "MismatchError",
    "TruncatedError",
    "UnsupportedError",
]
