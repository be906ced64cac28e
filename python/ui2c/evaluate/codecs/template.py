"""Any other codec, by the commands that the configuration gives."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ui2c.evaluate.codecs.base import Coded, Common, Effort, file_bits, number
from ui2c.evaluate.errors import CodecError, ConfigError
from ui2c.evaluate.process import find_program, run
from ui2c.evaluate.sequence import Clip
from ui2c.evaluate.table import Table
from ui2c.video import Description, open_sink, open_source

FORMATS = ("yuv", "y4m")
FIELDS = frozenset(
    (
        *("input", "bitstream", "output", "point", "width", "height", "frames", "bit_depth"),
        *("fps", "fps_numerator", "fps_denominator", "pixel_format", "threads"),
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
    decode: str
    version: str | None
    """A command whose first line of output is the version."""
    format: str
    """Of {input} and {output}: raw yuv or y4m."""

    @classmethod
    def read(cls, common: Common, table: Table) -> Template:
        form = table.get("format", str, "yuv")
        if form not in FORMATS:
            raise ConfigError(f"{table.where}: format must be yuv or y4m, not {form!r}")
        codec = cls(
            common,
            table.get("encode", str),
            table.get("decode", str),
            table.get("version", str, None),
            form,
        )
        for key in ("encode", "decode"):
            try:
                fill(getattr(codec, key), dict.fromkeys(FIELDS, "0"))
            except (KeyError, ValueError, IndexError) as error:
                raise ConfigError(
                    f"{table.where}: {key} has {error} in it; known in braces are "
                    f"{', '.join(sorted(FIELDS))}"
                ) from None
        return codec

    def definition(self) -> dict[str, Any]:
        return {"encode": self.encode, "decode": self.decode, "threads": self.common.threads}

    def code(self, clip: Clip, point: float, folder: Path) -> Coded:
        source, output = f"source.{self.format}", f"decoded.{self.format}"
        if self.format == "y4m":
            _convert(clip, clip.path, folder / source)
        names = {
            "input": source,
            "bitstream": "coded.bin",
            "output": output,
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
        }
        encode = run(_program(fill(self.encode, names)), folder)
        bits = file_bits(folder / "coded.bin")
        decode = run(_program(fill(self.decode, names)), folder)
        decoded = folder / output
        if not decoded.is_file():
            raise CodecError(f"the decoder wrote no {output}")
        if self.format == "y4m":
            _convert(clip, decoded, folder / "decoded.yuv")
            decoded = folder / "decoded.yuv"
        versions = {}
        if self.version is not None:
            lines = run(_program(fill(self.version, names)), folder).output.splitlines()
            versions[self.common.name] = lines[0] if lines else "not told"
        return Coded(
            bits=bits,
            counted="everything the encoder wrote",
            decoded=decoded,
            encode=Effort.of(encode),
            decode=Effort.of(decode),
            timed="the whole program: start, reading or writing raw video, coding",
            versions=versions,
        )


def fill(command: str, names: dict[str, str]) -> list[str]:
    """The arguments of a command; split before the names are put in, so values stay whole."""
    return [part.format_map(names) for part in shlex.split(command)]


def _program(arguments: list[str]) -> list[str]:
    return [find_program(arguments[0]), *arguments[1:]]


def _convert(clip: Clip, source: Path, target: Path) -> None:
    """Raw to y4m or back, of the clip's size and depth."""
    video = Description(
        clip.width,
        clip.height,
        clip.bit_depth,
        clip.fps,
        1 / clip.fps,
        full_range=clip.full_range,
    )
    sink = open_sink(target, video)
    if source.suffix == ".yuv":
        for frame in clip.read():
            sink.write(frame)
    else:
        for frame in open_source(source):
            sink.write(frame)
    sink.close()
