"""The reference encoders VTM-17.0 and ECM-11.0, with the options of the paper's supplement.

Programs and configuration files come from the user. The options are exactly those that the
supplement lists; what it leaves open are bit depths of other than 8-bit sources, which follow the
source, and the intra period, -1 (only the first frame) unless the configuration says otherwise.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ui2c.evaluate.codecs.base import Coded, Common, Effort, file_bits, number
from ui2c.evaluate.errors import CodecError, ConfigError
from ui2c.evaluate.process import find_program, run
from ui2c.evaluate.sequence import Clip
from ui2c.evaluate.table import Table

FRAME = re.compile(r"^POC\s+(\d+)\b[^\n]*?\)\s+(\d+) bits", re.MULTILINE)
"""A line of the encoder's log; the parenthesis before the bits ends with slice type and QP."""
VERSION = re.compile(r"(?:VTM|ECM)[^\n]*?Version \[?([0-9][^\]\s]*)\]?")


@dataclass(frozen=True)
class Reference:
    """EncoderApp and DecoderApp; `kind` is vtm or ecm."""

    common: Common
    encoder: str
    decoder: str | None
    """ECM writes its reconstruction itself, so it needs none."""
    config: str
    intra_period: int

    @classmethod
    def read(cls, common: Common, table: Table) -> Reference:
        decoder = table.get("decoder", str, None)
        if common.kind == "vtm" and decoder is None:
            raise ConfigError(f"{table.where}: decoder is missing")
        return cls(
            common,
            table.get("encoder", str),
            decoder,
            table.get("config", str),
            table.get("intra_period", int, -1),
        )

    def definition(self) -> dict[str, Any]:
        return {"kind": self.common.kind, "intra_period": self.intra_period}

    def arguments(self, clip: Clip, point: float, config: str) -> list[str]:
        """The encoder's options, in the supplement's order."""
        depth = clip.bit_depth
        rate = number(float(clip.fps))
        if self.common.kind == "vtm":
            return [
                *["-c", config, "--InputFile=source.yuv", f"--InputBitDepth={depth}"],
                *[f"--OutputBitDepth={depth}", f"--OutputBitDepthC={depth}"],
                *[f"--FrameRate={rate}", "--DecodingRefreshType=2"],
                *[f"--FramesToBeEncoded={clip.frames}"],
                *[f"--SourceWidth={clip.width}", f"--SourceHeight={clip.height}"],
                *[f"--IntraPeriod={self.intra_period}", f"--QP={number(point)}"],
                *["--Level=6.2", "--BitstreamFile=coded.bin"],
            ]
        return [
            *["-c", config, "--InputFile=source.yuv", "--InputChromaFormat=420"],
            *[f"--InputBitDepth={depth}", f"--FrameRate={rate}"],
            *[f"--SourceWidth={clip.width}", f"--SourceHeight={clip.height}"],
            *[f"--IntraPeriod={self.intra_period}", f"--FramesToBeEncoded={clip.frames}"],
            *[f"--QP={number(point)}", "--BitstreamFile=coded.bin", "--ReconFile=decoded.yuv"],
        ]

    def code(self, clip: Clip, point: float, folder: Path) -> Coded:
        encoder = find_program(self.encoder)
        config = Path(os.path.expanduser(self.config))
        if not config.is_file():
            raise CodecError(f"the configuration {self.config} was not found")
        # The name alone in the command that is recorded, whatever folder the user has it in.
        (folder / config.name).symlink_to(config.resolve())
        encode = run([encoder, *self.arguments(clip, point, config.name)], folder)
        decode = None
        decoded = folder / "decoded.yuv"
        if self.decoder is not None:
            decoded = folder / "again.yuv"
            options = ["-b", "coded.bin", "-d", str(clip.bit_depth), "-o", decoded.name]
            decode = Effort.of(run([find_program(self.decoder), *options], folder))
        bits = dict(FRAME.findall(encode.output))
        frame_bits = [int(bits[key]) for key in sorted(bits, key=int)]
        if len(frame_bits) != clip.frames:
            raise CodecError(
                f"the log of {os.path.basename(encoder)} has the bits of {len(frame_bits)} frames, "
                f"not of {clip.frames}"
            )
        version = VERSION.search(encode.output)
        return Coded(
            bits=file_bits(folder / "coded.bin"),
            counted="bare VVC byte stream" if self.common.kind == "vtm" else "bare ECM byte stream",
            decoded=decoded,
            encode=Effort.of(encode),
            decode=decode,
            timed="the whole program: start, reading or writing raw video, coding",
            versions={self.common.kind: version[1] if version else "not told"},
            frame_bits=frame_bits,
            notes=() if decode else ("pictures are the encoder's own reconstruction",),
        )
