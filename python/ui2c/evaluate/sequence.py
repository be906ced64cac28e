"""Test sequences: a range of frames of a video, or several joined into one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from ui2c.evaluate.errors import ConfigError
from ui2c.picture.frames import YUV420
from ui2c.video import Description, Part, open_sink, open_source


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
            yield from part.read()

    def describe(self) -> Description:
        """Size, depth and rate; ConfigError where the parts differ, OSError where one lacks."""
        first, *others = [part.describe() for part in self.parts]
        for part, other in zip(self.parts[1:], others, strict=True):
            sizes = [f"{d.width}x{d.height} at {d.bit_depth} bits" for d in (first, other)]
            if sizes[0] != sizes[1]:
                raise ConfigError(
                    f"sequence {self.name}: {Path(part.path).name} must be {sizes[0]} like the "
                    f"first part, not {sizes[1]}"
                )
        return first

    def prepare(self, folder: Path) -> Clip:
        """The sequence as a raw file in `folder`, linked where it is one already."""
        video = self.describe()
        target = folder / "source.yuv"
        (part, *others), count = self.parts, video.frames
        if part.path.lower().endswith(".yuv") and not (part.skip or others or count is None):
            target.symlink_to(Path(part.path).resolve())
            frames = min(count, part.frames or count)
        else:
            frames = 0
            sink = open_sink(target, video)
            for frame in self.frames():
                sink.write(frame)
                frames += 1
            sink.close()
        wanted = sum(part.frames or 0 for part in self.parts)
        if frames < wanted and all(part.frames for part in self.parts):
            raise ConfigError(f"sequence {self.name}: {wanted} frames are wanted, it has {frames}")
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
        parts = []
        for part in self.parts:
            size = {key: part.options.get(key) for key in ("width", "height", "bit_depth")}
            fps = part.options.get("fps")
            range = {"fps": str(fps) if fps else None, "skip": part.skip, "frames": part.frames}
            path = Path(part.path)
            parts.append({"file": path.name, "bytes": path.stat().st_size, **size, **range})
        return {"name": self.name, "parts": parts}
