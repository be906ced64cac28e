"""Test sequences: a range of frames of a video, or several joined into one."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from ui2c.evaluate.errors import ConfigError
from ui2c.picture.frames import YUV420
from ui2c.video import Description, Source, open_sink, open_source


@dataclass(frozen=True)
class Part:
    """Frames `skip` … `skip + frames` (to the end if None) of one video.

    `width`, `height` and `bit_depth` are for raw files only; `fps` replaces what the file says.
    """

    path: Path
    width: int | None = None
    height: int | None = None
    bit_depth: int | None = None
    fps: Fraction | None = None
    skip: int = 0
    frames: int | None = None

    def open(self) -> Source:
        return open_source(
            self.path,
            width=self.width,
            height=self.height,
            bit_depth=self.bit_depth,
            fps=self.fps,
        )

    @property
    def is_whole_raw(self) -> bool:
        """Whether the file can be given to a codec as it is."""
        return self.path.suffix.lower() == ".yuv" and self.skip == 0


@dataclass(frozen=True)
class Clip:
    """A sequence as codecs get it: raw planar 4:2:0, two little-endian bytes above 8 bits.

    `path` may hold more than `frames` frames.
    """

    path: Path
    width: int
    height: int
    bit_depth: int
    fps: Fraction
    frames: int
    full_range: bool = False

    @property
    def size(self) -> str:
        return f"{self.width}x{self.height}"

    @property
    def pixel_format(self) -> str:
        """FFmpeg's name of the samples."""
        return "yuv420p" if self.bit_depth == 8 else f"yuv420p{self.bit_depth}le"

    def read(self, path: Path | None = None) -> Iterator[YUV420]:
        """The frames, or those of another raw file of the same kind."""
        source = open_source(
            path or self.path, width=self.width, height=self.height, bit_depth=self.bit_depth
        )
        with closing(source):
            for frame in itertools.islice(source, self.frames if path is None else None):
                yield replace(frame, full_range=self.full_range)


@dataclass(frozen=True)
class Sequence:
    """A named sequence of a class; `parts` follow each other, with a cut between."""

    name: str
    group: str
    parts: tuple[Part, ...]

    def frames(self) -> Iterator[YUV420]:
        for part in self.parts:
            stop = None if part.frames is None else part.skip + part.frames
            with closing(part.open()) as source:
                yield from itertools.islice(source, part.skip, stop)

    def describe(self) -> Description:
        """Size, depth and rate; ConfigError where the parts differ, OSError where one lacks."""
        found: list[Description] = []
        for part in self.parts:
            with closing(part.open()) as source:
                found.append(source.description)
        first = found[0]
        for part, other in zip(self.parts, found, strict=True):
            if (other.width, other.height, other.bit_depth) != (
                first.width,
                first.height,
                first.bit_depth,
            ):
                raise ConfigError(
                    f"sequence {self.name}: {part.path.name} must be {first.width}x{first.height} "
                    f"at {first.bit_depth} bits like the first part, not {other.width}x"
                    f"{other.height} at {other.bit_depth}"
                )
        return first

    def prepare(self, folder: Path) -> Clip:
        """The sequence as a raw file in `folder`, linked where it is one already."""
        video = self.describe()
        target = folder / "source.yuv"
        if len(self.parts) == 1 and self.parts[0].is_whole_raw and video.frames is not None:
            os.symlink(self.parts[0].path.resolve(), target)
            frames = min(video.frames, self.parts[0].frames or video.frames)
        else:
            frames = 0
            sink = open_sink(target, video)
            for frame in self.frames():
                sink.write(frame)
                frames += 1
            sink.close()
        wanted = [part.frames for part in self.parts]
        if None not in wanted and frames < sum(n for n in wanted if n):
            raise ConfigError(
                f"sequence {self.name}: {sum(n for n in wanted if n)} frames are wanted, "
                f"it has {frames}"
            )
        if frames == 0:
            raise ConfigError(f"sequence {self.name} has no frame")
        return Clip(
            target,
            video.width,
            video.height,
            video.bit_depth,
            video.fps or Fraction(25),
            frames,
            video.full_range,
        )

    def definition(self) -> dict[str, Any]:
        """What makes two runs over it the same, whatever folder the files lie in."""
        return {
            "name": self.name,
            "parts": [
                {
                    "file": part.path.name,
                    "bytes": part.path.stat().st_size,
                    "width": part.width,
                    "height": part.height,
                    "bit_depth": part.bit_depth,
                    "fps": str(part.fps) if part.fps else None,
                    "skip": part.skip,
                    "frames": part.frames,
                }
                for part in self.parts
            ],
        }
