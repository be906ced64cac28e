"""Passing over frames gives what decoding from the beginning gives, wherever decoding begins."""

from pathlib import Path
from typing import Any

import pytest
from support.av_files import encode, pictures
from ui2c.video import Part, open_source

FRAMES = 130
REFRESH = {"x264-params": "keyint=40:min-keyint=10:intra-refresh=1:scenecut=0"}
OPEN = {"x264-params": "keyint=20:min-keyint=20:open-gop=1:bframes=2:scenecut=0"}
CLOSED = {"x264-params": "keyint=20:min-keyint=20:bframes=2:scenecut=0"}
HEVC = "x265-params", "log-level=none:keyint=20:min-keyint=20:bframes=2:scenecut=0:open-gop="

KINDS: list[tuple[str, str, dict[str, str]]] = [
    ("mp4", "libx264", REFRESH),
    ("matroska", "libx264", REFRESH),
    ("mpegts", "libx264", REFRESH),
    ("mp4", "libx264", OPEN),
    ("matroska", "libx264", OPEN),
    ("mp4", "libx264", CLOSED),
    ("mpegts", "libx264", CLOSED),
    ("mp4", "libx265", {HEVC[0]: HEVC[1] + "1"}),
    ("matroska", "libx265", {HEVC[0]: HEVC[1] + "0"}),
    ("mp4", "mpeg4", {"g": "20", "bf": "2"}),
    ("matroska", "mpeg2video", {"g": "20", "bf": "2"}),
    ("mpeg", "mpeg2video", {"g": "20", "bf": "2"}),
    ("webm", "libvpx", {"g": "20", "deadline": "realtime"}),
    ("webm", "libvpx-vp9", {"g": "20", "deadline": "realtime"}),
    ("mp4", "libsvtav1", {"g": "20", "preset": "12"}),
    ("mov", "mjpeg", {}),
    ("avi", "libx264", CLOSED),
]


def name(kind: tuple[str, str, dict[str, str]]) -> str:
    format, codec, options = kind
    ways = {"intra-refresh": "-refresh", "open-gop=1": "-open"}
    return f"{format}-{codec}" + "".join(
        short for word, short in ways.items() if word in str(options)
    )


@pytest.mark.parametrize("kind", KINDS, ids=name)
def test_skipping_is_decoding_and_forgetting(
    tmp_path: Path, kind: tuple[str, str, dict[str, str]]
) -> None:
    format, codec, options = kind
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = encode(
        tmp_path / "clip", pictures(FRAMES, pixels=pixels), codec, format=format, options=options
    )
    everything = list(open_source(path))
    assert len(everything) == FRAMES
    for count in (50, 60, 61, 79, 80, 81, 99, 120, FRAMES - 1, FRAMES):
        source: Any = open_source(path)
        source.skip(count)
        assert list(source) == everything[count:], count
    # As segments are read by processes of their own.
    assert list(Part(str(path)).read(55, 20)) == everything[55:75]
    assert list(Part(str(path), skip=51).read(10, 5)) == everything[61:66]
