"""Any other codec, by the commands that the configuration gives."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ui2c.evaluate.codecs.base import WHOLE, Coded, Common, Effort, file_bits, number
from ui2c.evaluate.errors import CodecError, ConfigError
from ui2c.evaluate.process import Run, find_program, run
from ui2c.evaluate.sequence import Clip
from ui2c.evaluate.table import Table
from ui2c.video import Description, open_sink, open_source

FORMATS = ("yuv", "y4m")
BROUGHT = ("encoder", "decoder", "config")
"""What the user brings: two programs, and a file that is linked into the folder of the job."""
FIELDS = frozenset(
    (
        *("input", "bitstream", "output", "point", "width", "height", "frames", "bit_depth"),
        *("fps", "fps_numerator", "fps_denominator", "pixel_format", "threads", *BROUGHT),
    )
)


@dataclass(frozen=True)
class Template:
    """`encode` and `decode` are commands with names in braces, such as {input} and {point}.

    They run in a folder of their own, without a shell. `encode` makes {bitstream} of {input},
    `decode` makes {output} of {bitstream}; all bytes of the bitstream are counted.
    """

    common: Common
    encode: str
    decode: str | None
    """None where the encoder writes {output} itself."""
    version: str | None
    """A command whose first line of output is the version."""
    log_version: re.Pattern[str] | None
    """Finds the version in the output of `encode` instead."""
    log_bits: re.Pattern[str] | None
    """Finds there, for each frame, its number in the order of display and its bits."""
    format: str
    """Of {input} and {output}: raw yuv or y4m."""
    counted: str
    brought: dict[str, str]

    @classmethod
    def read(cls, common: Common, table: Table) -> Template:
        form = table.get("format", str, "yuv")
        if form not in FORMATS:
            raise ConfigError(f"{table.where}: format must be yuv or y4m, not {form!r}")
        codec = cls(
            common,
            table.get("encode", str),
            table.get("decode", str, None),
            table.get("version", str, None),
            _pattern(table, "log_version"),
            _pattern(table, "log_bits"),
            form,
            table.get("counted", str, "everything the encoder wrote"),
            {key: table.get(key, str, "") for key in BROUGHT},
        )
        for key in ("encode", "decode", "version"):
            try:
                fill(getattr(codec, key) or "", dict.fromkeys(FIELDS, "0"))
            except (KeyError, ValueError, IndexError) as error:
                raise ConfigError(
                    f"{table.where}: {key} has {error} in it; known in braces are "
                    f"{', '.join(sorted(FIELDS))}"
                ) from None
        return codec

    def definition(self) -> dict[str, Any]:
        return {"encode": self.encode, "decode": self.decode, "threads": self.common.threads}

    def code(self, clip: Clip, point: float, folder: Path) -> Coded:
        source, decoded = folder / f"source.{self.format}", folder / f"decoded.{self.format}"
        if self.format == "y4m":
            _convert(clip, clip.path, source)
        names = {
            "input": source.name,
            "bitstream": "coded.bin",
            "output": decoded.name,
            "point": number(point),
            "width": str(clip.width),
            "height": str(clip.height),
            "frames": str(clip.frames),
            "bit_depth": str(clip.bit_depth),
            "fps": number(float(clip.fps)),
            "fps_numerator": str(clip.fps.numerator),
            "fps_denominator": str(clip.fps.denominator),
            "pixel_format": clip.pixel_format,
            "threads": str(self.common.threads),
            **self.brought,
        }
        if self.brought["config"]:
            config = Path(os.path.expanduser(self.brought["config"])).absolute()
            if not config.is_file():
                raise CodecError(f"the configuration {config.name} was not found")
            # The name alone in the command that is recorded, whatever folder the user has it in.
            (folder / config.name).symlink_to(config)
            names["config"] = config.name

        def do(command: str) -> Run:
            program, *arguments = fill(command, names)
            return run([find_program(program), *arguments], folder)

        encode = do(self.encode)
        bits = file_bits(folder / "coded.bin")
        decode = None if self.decode is None else Effort.of(do(self.decode))
        if not decoded.is_file():
            raise CodecError(f"the decoder wrote no {decoded.name}")
        if self.format == "y4m":
            _convert(clip, decoded, folder / "decoded.yuv")
        frame_bits = None
        if self.log_bits is not None:
            found = {int(frame): int(size) for frame, size in self.log_bits.findall(encode.output)}
            frame_bits = [found[frame] for frame in sorted(found)]
            if len(found) != clip.frames:
                raise CodecError(
                    f"the encoder's log has the bits of {len(found)} frames, not of {clip.frames}"
                )
        version = None
        if self.version is not None:
            version = next(iter(do(self.version).output.splitlines()), None)
        elif self.log_version and (match := self.log_version.search(encode.output)):
            version = match[1]
        told = self.version is not None or self.log_version is not None
        return Coded(
            bits=bits,
            counted=self.counted,
            decoded=folder / "decoded.yuv",
            encode=Effort.of(encode),
            decode=decode,
            timed=WHOLE,
            versions={self.common.name: version or "not told"} if told else {},
            frame_bits=frame_bits,
            notes=() if decode else ("pictures are the encoder's own reconstruction",),
        )


def fill(command: str, names: dict[str, str]) -> list[str]:
    """The arguments of a command; split before the names are put in, so values stay whole."""
    return [part.format_map(names) for part in shlex.split(command)]


def _pattern(table: Table, key: str) -> re.Pattern[str] | None:
    text = table.get(key, str, None)
    try:
        return None if text is None else re.compile(text, re.MULTILINE)
    except re.error as error:
        raise ConfigError(f"{table.where}: {key} is no regular expression: {error}") from None


def _convert(clip: Clip, source: Path, target: Path) -> None:
    """Raw to y4m or back, of the clip's size and depth."""
    size = (clip.width, clip.height, clip.bit_depth, clip.fps, 1 / clip.fps)
    sink = open_sink(target, Description(*size, full_range=clip.full_range))
    for frame in clip.read() if source.suffix == ".yuv" else open_source(source):
        sink.write(frame)
    sink.close()
