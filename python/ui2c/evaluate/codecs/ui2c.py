"""This codec, any model of it, each direction in a process of its own."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ui2c.build import MODELS
from ui2c.evaluate.codecs.base import Coded, Common, Effort, file_bits
from ui2c.evaluate.errors import CodecError, ConfigError
from ui2c.evaluate.process import run
from ui2c.evaluate.sequence import Clip
from ui2c.evaluate.table import Table
from ui2c.runtime import check_device


@dataclass(frozen=True)
class Ui2c:
    """The shipped model of that name, or a weights file; two frames a unit or one, as it says."""

    common: Common
    model: str
    device: str
    keyint: int

    @classmethod
    def read(cls, common: Common, table: Table) -> Ui2c:
        device = table.get("device", str, "cpu")
        try:
            check_device(device)
        except ValueError as error:
            raise ConfigError(f"{table.where}: {error}") from None
        if any(point not in range(64) for point in common.points):
            raise ConfigError(f"{table.where}: points must be qp, integers from 0 to 63")
        return cls(common, table.get("model", str, "small"), device, table.integer("keyint", 0, 0))

    def model_path(self) -> Path:
        shipped = MODELS / f"{self.model}.safetensors"
        path = shipped if shipped.is_file() else Path(os.path.expanduser(self.model)).absolute()
        if not path.is_file():
            raise CodecError(f"the model {self.model} was not found")
        return path

    def definition(self) -> dict[str, Any]:
        """With a hash of the weights: other weights under the same name are another codec."""
        weights = hashlib.sha256(self.model_path().read_bytes()).hexdigest()
        return {"weights": weights, "keyint": self.keyint, "device": self.device}

    def code(self, clip: Clip, point: float, folder: Path) -> Coded:
        model = self.model_path()
        (folder / model.name).symlink_to(model)
        shared = ["--device", self.device, "--threads", str(self.common.threads)]
        encode, said = _child(
            [
                *["encode", "source.yuv", "coded.ui2c", "--size", clip.size],
                *["--bit-depth", str(clip.bit_depth), "--fps", str(clip.fps)],
                *["--frames", str(clip.frames), "--qp", str(round(point))],
                *["--keyint", str(self.keyint), "--model", model.name, *shared],
            ],
            folder,
        )
        decode, heard = _child(
            ["decode", "coded.ui2c", "decoded.yuv", "--model", model.name, *shared], folder
        )
        return Coded(
            bits=file_bits(folder / "coded.ui2c"),
            counted="whole .ui2c file",
            decoded=folder / "decoded.yuv",
            encode=Effort.of(encode, said["seconds"]),
            decode=Effort.of(decode, heard["seconds"]),
            timed="coding alone, without the start of the process and reading or writing raw video",
            versions=said["versions"],
            frame_bits=said["frame_bits"],
            extra=said["extra"],
            notes=said["notes"],
        )


def _child(arguments: list[str], folder: Path) -> tuple[Any, dict[str, Any]]:
    ended = run(
        [sys.executable, "-m", "ui2c.evaluate.coding", *arguments, "--report", "report.json"],
        folder,
    )
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return ended, report
