"""Which of a file's video streams is taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

DEFAULT = 1
ATTACHED_PICTURE = 1024
"""FFmpeg's bits of a stream's disposition."""


def choose(streams: Sequence[Any]) -> int:
    """The number of the video stream that FFmpeg would take: the one with most samples, before
    others if it is marked as the default; a cover only where there is nothing else."""

    def merit(stream: Any) -> int:
        disposition = int(stream.disposition)
        if disposition & ATTACHED_PICTURE:
            return -1
        samples = stream.codec_context.width * stream.codec_context.height
        return int(samples) + (5_000_000 if disposition & DEFAULT else 0)

    return max(range(len(streams)), key=lambda number: (merit(streams[number]), -number))


def list_streams(streams: Sequence[Any]) -> str:
    """The video streams by number, size and codec."""
    return ", ".join(
        f"{number}: {stream.codec_context.width}x{stream.codec_context.height} "
        f"{stream.codec_context.codec.canonical_name}"
        + (" cover" if int(stream.disposition) & ATTACHED_PICTURE else "")
        for number, stream in enumerate(streams)
    )
