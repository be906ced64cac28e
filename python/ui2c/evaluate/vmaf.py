"""VMAF through an ffmpeg that has libvmaf."""

from __future__ import annotations

import json
from pathlib import Path

from ui2c.evaluate.codecs.ffmpeg import raw_input
from ui2c.evaluate.errors import CodecError
from ui2c.evaluate.process import find_program, run
from ui2c.evaluate.sequence import Clip

LOG = "vmaf.json"


def vmaf(clip: Clip, decoded: Path, folder: Path, ffmpeg: str) -> list[float]:
    """Of each frame, by libvmaf's default model; CodecError where this ffmpeg cannot."""
    run(
        [
            *[find_program(ffmpeg), "-hide_banner", "-nostdin", "-v", "error"],
            *raw_input(clip, decoded.name),
            *raw_input(clip, "source.yuv"),
            *["-frames:v", str(clip.frames), "-lavfi", f"libvmaf=log_fmt=json:log_path={LOG}"],
            *["-f", "null", "-"],
        ],
        folder,
    )
    try:
        frames = json.loads((folder / LOG).read_text())["frames"]
        values = [float(frame["metrics"]["vmaf"]) for frame in frames]
    except (OSError, ValueError, KeyError, TypeError):
        raise CodecError(f"{ffmpeg} wrote no VMAF scores") from None
    if len(values) != clip.frames:
        raise CodecError(f"{ffmpeg} wrote VMAF scores of {len(values)} frames, not {clip.frames}")
    return values
