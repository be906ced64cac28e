"""What is counted of the streams of a real FFmpeg: no message of an encoder, no header of IVF."""

import re
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest
from support.clips import make_clip
from ui2c.evaluate.codecs.base import Coded, Common
from ui2c.evaluate.codecs.ffmpeg import ENCODERS, QUIET, FFmpeg, raw_input
from ui2c.evaluate.sequence import Clip
from ui2c.video import Description, open_sink

FRAMES = 6


def has(encoder: str) -> bool:
    if not (shutil.which("ffmpeg") and shutil.which("ffprobe")):
        return False
    said = subprocess.run(["ffmpeg", "-v", "error", "-encoders"], capture_output=True, text=True)
    return f" {encoder} " in said.stdout


def code(encoder: str, options: str, folder: Path) -> tuple[Clip, Coded]:
    if not has(encoder):
        pytest.skip(f"no ffmpeg with {encoder}")
    sink = open_sink(folder / "source.yuv", Description(64, 48))
    for frame in make_clip(64, 48, FRAMES):
        sink.write(frame)
    sink.close()
    clip = Clip(folder / "source.yuv", 64, 48, 8, Fraction(25), FRAMES)
    common = Common("c", "ffmpeg", (30,), 1, "c")
    codec = FFmpeg(common, encoder, options, "crf", "ffmpeg", "ffprobe")
    return clip, codec.code(clip, 30, folder)


def units(stream: bytes) -> list[bytes]:
    """Of an H.264 or HEVC byte stream."""
    return [unit for unit in re.split(b"\0*\0\0\1", stream) if unit]


@pytest.mark.parametrize(
    ("encoder", "options", "message", "kind"),
    [
        ("libx264", "-preset ultrafast", b"x264 - core", lambda unit: unit[0] & 31 == 6),
        ("libx265", "-preset ultrafast", b"x265 (build", lambda unit: unit[0] >> 1 & 63 == 39),
    ],
)
def test_messages_are_not_counted(
    tmp_path: Path, encoder: str, options: str, message: bytes, kind: object
) -> None:
    clip, coded = code(encoder, options, tmp_path)
    entry = ENCODERS[encoder]
    counted = (tmp_path / f"coded.{entry.suffix}").read_bytes()
    assert coded.bits == 8 * len(counted)
    # The same without what keeps the message out: only the message is there besides.
    own = ["-x265-params", "pools=1:frame-threads=1"] if encoder == "libx265" else ["-threads", "1"]
    plain = tmp_path / f"plain.{entry.suffix}"
    subprocess.run(
        [
            *["ffmpeg", *QUIET, "-v", "error", *raw_input(clip, "source.yuv")],
            *["-c:v", encoder, *options.split(), *own, "-crf", "30", "-f", entry.muxer, plain.name],
        ],
        cwd=tmp_path,
        check=True,
    )
    found = units(plain.read_bytes())
    assert message in plain.read_bytes() and message not in counted
    assert units(counted) == [unit for unit in found if not kind(unit)]  # type: ignore[operator]
    assert coded.versions[encoder].encode().startswith(message)
    assert coded.frame_bits is not None and len(coded.frame_bits) == FRAMES
    assert len(list(clip.read(coded.decoded))) == FRAMES


def test_headers_of_ivf_are_not_counted(tmp_path: Path) -> None:
    _, coded = code("libvpx-vp9", "-deadline realtime -cpu-used 8 -b:v 0", tmp_path)
    assert coded.frame_bits is not None
    assert coded.bits == sum(coded.frame_bits)
