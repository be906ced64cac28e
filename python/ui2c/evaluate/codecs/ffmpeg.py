"""The encoders that FFmpeg offers, through its programs."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ui2c.evaluate.codecs.base import WHOLE, Coded, Common, Effort, file_bits, number
from ui2c.evaluate.errors import CodecError, ConfigError
from ui2c.evaluate.process import find_program, run
from ui2c.evaluate.sequence import Clip
from ui2c.evaluate.table import Table


@dataclass(frozen=True)
class Encoder:
    """How an encoder is called, how its output is written, and what of that is counted."""

    muxer: str
    suffix: str
    counted: str
    always: str = "-threads {}"
    """Options beside those of the configuration, {} being the number of threads; what follows an
    option that ends in -params is joined to its own parameters. Encoders that write a message of
    their own options into the stream, some kB, are kept from it."""
    sizes: str = "packet=size"
    """What of ffprobe's gives the bits of shown frames in their order: AV1 and VP9 have a packet
    for each, with the hidden frames that it needs; H.264 and HEVC packets come in coding order."""
    version: re.Pattern[bytes] | None = None
    """What it calls itself, in its log or in a stream with its message."""


ENCODERS = {
    "libx264": Encoder(
        *("h264", "264", "H.264 byte stream without messages (SEI)"),
        always="-threads {} -bsf:v filter_units=remove_types=6",
        sizes="frame=pkt_size",
        version=re.compile(rb"x264 - core [0-9]+(?: r[0-9]+(?: [0-9a-f]+)?)?"),
    ),
    "libx265": Encoder(
        *("hevc", "265", "HEVC byte stream without x265's message"),
        always="-x265-params pools={}:frame-threads=1:info=0",
        sizes="frame=pkt_size",
        version=re.compile(rb"x265 \(build [0-9]+\) - [0-9.+\-a-z]+"),
    ),
    "libsvtav1": Encoder(
        *("obu", "obu", "bare AV1 stream of OBUs", "-svtav1-params lp={}"),
        version=re.compile(rb"SVT-AV1 Encoder Lib v[0-9.]+"),
    ),
    "libaom-av1": Encoder("obu", "obu", "bare AV1 stream of OBUs"),
    "libvpx-vp9": Encoder("ivf", "ivf", "VP9 frames, without the IVF headers"),
}
QUIET = ("-hide_banner", "-nostdin", "-y")


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
        if encoder not in ENCODERS:
            raise ConfigError(
                f"{table.where}: encoder must be one of {', '.join(ENCODERS)}, not {encoder!r}"
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
        return {
            "encoder": self.encoder,
            "options": shlex.join(self._options()),
            "rate": self.rate,
            "threads": self.common.threads,
        }

    def arguments(self, clip: Clip, point: float) -> list[str]:
        """Everything after the program's name."""
        encoder = ENCODERS[self.encoder]
        return [
            *raw_input(clip, "source.yuv"),
            *["-frames:v", str(clip.frames), "-c:v", self.encoder, *self._options()],
            *[f"-{self.rate}", number(point), "-f", encoder.muxer, f"coded.{encoder.suffix}"],
        ]

    def code(self, clip: Clip, point: float, folder: Path) -> Coded:
        program, probe = find_program(self.ffmpeg), find_program(self.ffprobe)
        encode = run([program, *QUIET, *self.arguments(clip, point)], folder)
        encoder = ENCODERS[self.encoder]
        coded = folder / f"coded.{encoder.suffix}"
        threads = ["-threads", str(self.common.threads)]
        decode = run(
            [
                *[program, *QUIET, "-v", "error", *threads, "-f", encoder.muxer, "-i", coded.name],
                *["-f", "rawvideo", "-pix_fmt", clip.pixel_format, "-fps_mode", "passthrough"],
                "decoded.yuv",
            ],
            folder,
        )
        return Coded(
            bits=file_bits(coded),
            counted=encoder.counted,
            decoded=folder / "decoded.yuv",
            encode=Effort.of(encode),
            decode=Effort.of(decode),
            timed=WHOLE,
            versions=self._versions(program, clip, folder),
            frame_bits=_frame_bits(probe, coded, encoder, folder),
        )

    def _options(self) -> list[str]:
        options = shlex.split(self.options)
        always = shlex.split(ENCODERS[self.encoder].always.format(self.common.threads))
        if always[0].endswith("-params") and always[0] in options:
            options[options.index(always[0]) + 1] += f":{always[1]}"
            return options
        return options + always

    def _versions(self, program: str, clip: Clip, folder: Path) -> dict[str, str]:
        """Told by a frame that is coded for that alone: the clip's stream has no message."""
        said = run([program, "-version"], folder).output
        version = re.match(r"ffmpeg version (\S+)", said)
        versions = {
            "ffmpeg": version[1] if version else said.partition("\n")[0],
            "ffmpeg_path": program,
        }
        encoder = ENCODERS[self.encoder]
        if encoder.version is not None:
            one = ["-frames:v", "1", "-c:v", self.encoder, "-f", encoder.muxer, "one"]
            log = run([program, *QUIET, *raw_input(clip, "source.yuv"), *one], folder).output
            if found := encoder.version.search(log.encode() + (folder / "one").read_bytes()):
                versions[self.encoder] = found[0].decode().strip()
        return versions


def _frame_bits(probe: str, coded: Path, encoder: Encoder, folder: Path) -> list[int]:
    """Of each frame in the order of display."""
    said = run(
        [
            *[probe, "-v", "error", "-f", encoder.muxer, "-select_streams", "v:0"],
            *["-show_entries", encoder.sizes, "-of", "json", coded.name],
        ],
        folder,
    )
    part, _, key = encoder.sizes.partition("=")
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
