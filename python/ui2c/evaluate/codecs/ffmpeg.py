"""The encoders that FFmpeg offers, through its programs."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ui2c.evaluate.codecs.base import Coded, Common, Effort, file_bits, number
from ui2c.evaluate.errors import CodecError, ConfigError
from ui2c.evaluate.process import find_program, run
from ui2c.evaluate.sequence import Clip
from ui2c.evaluate.table import Table


@dataclass(frozen=True)
class Stream:
    """How the output of an encoder is written, and what of it is counted."""

    muxer: str
    suffix: str
    counted: str
    sizes: str = "packet=size"
    """What of ffprobe's gives the bits of shown frames in their order: AV1 and VP9 have a packet
    for each, with the hidden frames that it needs; H.264 and HEVC packets come in coding order."""


STREAMS = {
    "libx264": Stream("h264", "264", "bare H.264 byte stream", "frame=pkt_size"),
    "libx265": Stream("hevc", "265", "bare HEVC byte stream", "frame=pkt_size"),
    "libsvtav1": Stream("obu", "obu", "bare AV1 stream of OBUs"),
    "libaom-av1": Stream("obu", "obu", "bare AV1 stream of OBUs"),
    "libvpx-vp9": Stream("ivf", "ivf", "VP9 frames, without the IVF headers"),
}
IVF_HEADER = 32
IVF_FRAME_HEADER = 12

THREADS = {
    "libx264": "-threads {}",
    "libx265": "",
    "libsvtav1": "",
    "libaom-av1": "-threads {}",
    "libvpx-vp9": "-threads {}",
}
PARAMETERS = {
    "libx265": ("-x265-params", "pools={}:frame-threads=1"),
    "libsvtav1": ("-svtav1-params", "lp={}"),
}
"""Where the number of threads is one of the encoder's own parameters."""

VERSIONS = (
    re.compile(rb"x264 - core [0-9]+(?: r[0-9]+(?: [0-9a-f]+)?)?"),
    re.compile(rb"x265 \(build [0-9]+\) - [0-9.+\-a-z]+"),
    re.compile(rb"SVT-AV1 Encoder Lib v[0-9.]+"),
)
SEARCHED = 1 << 16
"""Bytes at the beginning of a stream where encoders leave their names."""


@dataclass(frozen=True)
class FFmpeg:
    """`ffmpeg -c:v ENCODER OPTIONS -RATE POINT`, decoded by ffmpeg too."""

    common: Common
    encoder: str
    options: str
    rate: str
    """The option that takes the point, without its dash."""
    ffmpeg: str
    ffprobe: str

    @classmethod
    def read(cls, common: Common, table: Table) -> FFmpeg:
        encoder = table.get("encoder", str)
        if encoder not in STREAMS:
            raise ConfigError(
                f"{table.where}: encoder must be one of {', '.join(STREAMS)}, not {encoder!r}"
            )
        return cls(
            common,
            encoder,
            table.get("options", str, ""),
            table.get("rate", str, "crf"),
            table.get("ffmpeg", str, "ffmpeg"),
            table.get("ffprobe", str, "ffprobe"),
        )

    def definition(self) -> dict[str, Any]:
        values = asdict(self)
        return {key: values[key] for key in ("encoder", "options", "rate")} | {
            "threads": self.common.threads
        }

    def arguments(self, clip: Clip, point: float) -> list[str]:
        """Everything after the program's name."""
        options = shlex.split(self.options)
        threads = number(self.common.threads)
        if self.encoder in PARAMETERS:
            option, text = PARAMETERS[self.encoder]
            text = text.format(threads)
            if option in options:
                options[options.index(option) + 1] += f":{text}"
            else:
                options += [option, text]
        stream = STREAMS[self.encoder]
        return [
            *raw_input(clip, "source.yuv"),
            *["-frames:v", str(clip.frames), "-c:v", self.encoder, *options],
            *shlex.split(THREADS[self.encoder].format(threads)),
            *[f"-{self.rate}", number(point), "-f", stream.muxer, f"coded.{stream.suffix}"],
        ]

    def code(self, clip: Clip, point: float, folder: Path) -> Coded:
        program, probe = find_program(self.ffmpeg), find_program(self.ffprobe)
        quiet = ["-hide_banner", "-nostdin", "-y"]
        encode = run([program, *quiet, *self.arguments(clip, point)], folder)
        stream = STREAMS[self.encoder]
        coded = folder / f"coded.{stream.suffix}"
        bits = file_bits(coded)
        if stream.muxer == "ivf":
            bits -= 8 * (IVF_HEADER + IVF_FRAME_HEADER * _ivf_frames(coded))
        threads = ["-threads", str(self.common.threads)]
        decode = run(
            [
                *[program, *quiet, "-v", "error", *threads, "-f", stream.muxer, "-i", coded.name],
                *["-f", "rawvideo", "-pix_fmt", clip.pixel_format, "-fps_mode", "passthrough"],
                "decoded.yuv",
            ],
            folder,
        )
        versions = {"ffmpeg": ffmpeg_version(program, folder), "ffmpeg_path": program}
        with coded.open("rb") as file:
            head = file.read(SEARCHED) + encode.output.encode()
        for pattern in VERSIONS:
            if found := pattern.search(head):
                versions[self.encoder] = found[0].decode().strip()
        return Coded(
            bits=bits,
            counted=stream.counted,
            decoded=folder / "decoded.yuv",
            encode=Effort.of(encode),
            decode=Effort.of(decode),
            timed="the whole program: start, reading or writing raw video, coding",
            versions=versions,
            frame_bits=self._frame_bits(probe, coded, stream, folder),
        )

    def _frame_bits(self, probe: str, coded: Path, stream: Stream, folder: Path) -> list[int]:
        """Of each frame in the order of display."""
        said = run(
            [
                *[probe, "-v", "error", "-f", stream.muxer, "-select_streams", "v:0"],
                *["-show_entries", stream.sizes, "-of", "json", coded.name],
            ],
            folder,
        )
        part, _, key = stream.sizes.partition("=")
        try:
            return [8 * int(item[key]) for item in json.loads(said.output)[f"{part}s"]]
        except (ValueError, KeyError, TypeError):
            raise CodecError(f"{probe} did not tell the sizes of the frames") from None


def raw_input(clip: Clip, name: str) -> list[str]:
    """ffmpeg's options for a raw file of the clip's kind."""
    return [
        *["-f", "rawvideo", "-pix_fmt", clip.pixel_format, "-s", clip.size],
        *["-r", str(clip.fps), "-i", name],
    ]


def ffmpeg_version(program: str, folder: Path) -> str:
    lines = run([program, "-version"], folder).output.splitlines() or [""]
    found = re.match(r"ffmpeg version (\S+)", lines[0])
    return found[1] if found else lines[0]


def _ivf_frames(path: Path) -> int:
    """How many frames an IVF file holds, by walking it."""
    size, frames = path.stat().st_size, 0
    with path.open("rb") as file:
        position = IVF_HEADER
        while position + IVF_FRAME_HEADER <= size:
            file.seek(position)
            length = int.from_bytes(file.read(4), "little")
            position += IVF_FRAME_HEADER + length
            frames += 1
    if position != size:
        raise CodecError(f"{path.name} is not a whole IVF file")
    return frames
