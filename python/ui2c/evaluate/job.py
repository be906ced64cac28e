"""One sequence, one codec, one point: coded, decoded, measured."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ui2c import _core
from ui2c.evaluate.codecs.base import Codec, number
from ui2c.evaluate.measure import measure
from ui2c.evaluate.sequence import Sequence
from ui2c.evaluate.vmaf import vmaf

FORMAT = "ui2c-evaluation 1"


@dataclass(frozen=True)
class Job:
    """Travels to the process, or machine, that does it; the sequence must be there too."""

    sequence: Sequence
    codec: Codec
    point: float
    metrics: frozenset[str]
    pictures: tuple[int, ...]
    """Frames to keep as they come out."""
    ffmpeg: str
    """For VMAF."""

    @property
    def path(self) -> Path:
        """Of the result, in the folder of results."""
        return Path(self.codec.common.name) / self.sequence.name / f"{number(self.point)}.json"

    @property
    def title(self) -> str:
        return f"{self.sequence.name} {self.codec.common.name} {number(self.point)}"

    def key(self) -> str:
        """The same for jobs that code the same in the same way, whatever they measure."""
        definition = {
            "format": FORMAT,
            "sequence": self.sequence.definition(),
            "kind": self.codec.common.kind,
            "codec": self.codec.definition(),
            "point": self.point,
        }
        text = json.dumps(definition, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Done:
    """What a job gives back."""

    result: dict[str, Any]
    pictures: dict[int, bytes]
    """PNG files by frame."""


def do(job: Job) -> Done:
    """Runs a job in a temporary folder, which needs room for the raw clip twice."""
    with tempfile.TemporaryDirectory(prefix="ui2c-evaluate-") as name:
        folder = Path(name)
        clip = job.sequence.prepare(folder)
        coded = job.codec.code(clip, job.point, folder)
        pictures: dict[int, bytes | None] = dict.fromkeys(
            index for index in job.pictures if index < clip.frames
        )
        frames = measure(clip.read(), clip.read(coded.decoded), job.metrics, pictures)
        if "vmaf" in job.metrics:
            frames["vmaf"] = vmaf(clip, coded.decoded, folder, job.ffmpeg)
    means = {key: sum(values) / len(values) for key, values in frames.items()}
    if coded.frame_bits is not None:
        frames["bits"] = [float(bits) for bits in coded.frame_bits]
    common = job.codec.common
    result = {
        "format": FORMAT,
        "key": job.key(),
        "sequence": {
            "name": job.sequence.name,
            "class": job.sequence.group,
            "width": clip.width,
            "height": clip.height,
            "bit_depth": clip.bit_depth,
            "fps": str(clip.fps),
            "frames": clip.frames,
            "cuts": _cuts(job.sequence, clip.frames),
        },
        "codec": {
            "name": common.name,
            "label": common.label,
            "kind": common.kind,
            "threads": common.threads,
        },
        "point": job.point,
        "metrics": sorted(job.metrics),
        "bits": coded.bits,
        "counted": coded.counted,
        "bpp": coded.bits / (clip.width * clip.height * clip.frames),
        "kbps": coded.bits * float(clip.fps) / clip.frames / 1000,
        **means,
        "frames": frames,
        "encode": asdict(coded.encode),
        "decode": asdict(coded.decode) if coded.decode else None,
        "timed": coded.timed,
        "extra": coded.extra,
        "notes": list(coded.notes),
        "versions": coded.versions | {"ui2c_evaluate": _core.__version__},
        "machine": machine(),
    }
    return Done(result, {index: data for index, data in pictures.items() if data})


def machine() -> dict[str, Any]:
    """What the figures of speed were taken on."""
    processor = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                processor = line.partition(":")[2].strip()
                break
    except OSError:
        # Not Linux; the platform's own word stands.
        pass
    return {"processor": processor, "cores": os.cpu_count(), "system": platform.platform()}


def _cuts(sequence: Sequence, frames: int) -> list[int]:
    """Frames that begin another part, where the lengths are told."""
    cuts, position = [], 0
    for part in sequence.parts[:-1]:
        if part.frames is None:
            return []
        position += part.frames
        cuts.append(position)
    return [cut for cut in cuts if cut < frames]
