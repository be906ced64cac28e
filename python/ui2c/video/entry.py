"""What packets say before they are decoded: whether they are shown, and depend on none before."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

SELF_CONTAINED = frozenset(("mpeg1video", "mpeg2video", "mpeg4", "h263", "flv1", "ffv1"))
"""Codecs where a keyframe is a picture that needs no other, and what is shown after it neither."""
START_CODE = re.compile(b"\0\0\1")
H264_IDR = 5
HEVC_ENTRIES = range(16, 22)
"""Pictures of random access; what is shown after one depends on nothing before it."""


def is_entry(codec: Any, packet: Any) -> bool:
    """Whether decoding may begin at a keyframe, with the same pictures from its time on.

    False where that cannot be known, as of H.264's recovery points: a picture refreshed part by
    part is whole some time after the keyframe, or never quite what it would have been.
    """
    name = codec.codec.canonical_name
    if codec.codec.intra_only or name in SELF_CONTAINED:
        return True
    if name == "h264":
        return any(unit[0] & 31 == H264_IDR for unit in _units(codec, packet))
    if name == "hevc":
        return any(unit[0] >> 1 & 63 in HEVC_ENTRIES for unit in _units(codec, packet))
    data = bytes(memoryview(packet)[:1])
    if name == "vp8":
        return not data[0] & 1
    if name == "vp9":
        bits = _vp9_bits(data[0])
        return not bits & 0b110
    return False


def is_shown(codec: Any, packet: Any) -> bool:
    """False of packets of VP8 and VP9 that only make a picture for others to refer to."""
    name = codec.codec.canonical_name
    if name == "vp8":
        return bool(memoryview(packet)[0] & 16)
    if name == "vp9":
        data = memoryview(packet)
        # Frames packed together, by their last byte, are shown, and so is what was shown before.
        packed = data[-1] & 0b11100000 == 0b11000000
        return packed or bool(_vp9_bits(data[0]) & 0b101)
    return True


def _vp9_bits(first: int) -> int:
    """Show_existing_frame, frame_type (0: key) and show_frame, the highest first."""
    profile_3 = first & 0b00110000 == 0b00110000
    return first & 7 if profile_3 else first >> 1 & 7


def _units(codec: Any, packet: Any) -> Iterator[bytes]:
    """The first bytes of each NAL unit of a packet that holds any."""
    data = bytes(packet)
    extra = codec.extradata or b""
    if not extra or extra[0] != 1:
        for found in START_CODE.finditer(data):
            if found.end() < len(data):
                yield data[found.end() : found.end() + 1]
        return
    at = 4 if codec.codec.canonical_name == "h264" else 21
    width = (extra[at] & 3) + 1 if len(extra) > at else 4
    position = 0
    while position + width < len(data):
        yield data[position + width : position + width + 1]
        position += width + int.from_bytes(data[position : position + width], "big")
