"""Results read back: our own, DCVC's anchors, CompressAI's."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ui2c.evaluate.errors import ConfigError
from ui2c.evaluate.job import FORMAT
from ui2c.evaluate.measure import weighted

QUALITIES = {
    "psnr": "PSNR 6:1:1, dB",
    "psnr_y": "PSNR Y, dB",
    "psnr_u": "PSNR U, dB",
    "psnr_v": "PSNR V, dB",
    "psnr_rgb": "PSNR RGB, dB",
    "ms_ssim": "MS-SSIM 6:1:1, dB",
    "vmaf": "VMAF",
}
"""What curves can be drawn over; MS-SSIM as -10 log10(1 - x), so that it spreads evenly."""


@dataclass(frozen=True)
class Point:
    """One codec, sequence and rate point."""

    codec: str
    label: str
    sequence: str
    group: str
    point: float
    rates: dict[str, float]
    """bpp, kbps: what is known."""
    values: dict[str, float]
    """Means over the frames, by the names in QUALITIES."""
    frames: int = 1
    raw: dict[str, Any] = field(default_factory=dict)
    """Our own results: all of it."""
    folder: Path | None = None
    """Our own results: where its pictures are."""

    def quality(self, name: str) -> float | None:
        """A value as the axis of a curve; None where it was not measured."""
        value = self.values.get(name)
        if value is None or name != "ms_ssim":
            return value
        return -10 * math.log10(max(1 - value, 1e-10))


def load_results(names: Iterable[str]) -> list[Point]:
    """Everything in some folders and files; NAME=FILE gives the codec of an imported file a name.

    Raises ConfigError for a file that is nothing known, and where nothing is found.
    """
    points: list[Point] = []
    for name in names:
        label, _, text = name.rpartition("=") if "=" in name else ("", "", name)
        path = Path(text)
        if path.is_dir():
            found = [p for file in sorted(path.rglob("*.json")) for p in _own(file)]
            if not found:
                raise ConfigError(f"{path} holds no results")
            points += found
        else:
            points += _file(path, label or path.stem)
    seen: set[tuple[str, str, float]] = set()
    for point in points:
        key = (point.codec, point.sequence, point.point)
        if key in seen:
            raise ConfigError(
                f"{point.codec} has two results for {point.sequence} at {point.point:g}"
            )
        seen.add(key)
    return points


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}") from None


def _own(path: Path) -> list[Point]:
    """A result of ours, or nothing: other JSON files may lie in the folder."""
    raw = _read(path)
    return [own_point(raw, path)] if isinstance(raw, dict) and raw.get("format") == FORMAT else []


def _file(path: Path, name: str) -> list[Point]:
    raw = _read(path)
    try:
        if isinstance(raw, dict) and raw.get("format") == FORMAT:
            return [own_point(raw, path)]
        if isinstance(raw, dict) and isinstance(raw.get("results"), dict):
            return list(compressai_points(raw, name, path.parent.name))
        points = list(dcvc_points(raw, name))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path} is no file of results that is known: {error!r}") from None
    if not points:
        raise ConfigError(f"{path} holds no results")
    return points


def own_point(raw: dict[str, Any], path: Path) -> Point:
    """A result as `job.do` made it."""
    return Point(
        codec=raw["codec"]["name"],
        label=raw["codec"]["label"],
        sequence=raw["sequence"]["name"],
        group=raw["sequence"]["class"],
        point=raw["point"],
        rates={"bpp": raw["bpp"], "kbps": raw["kbps"]},
        values={key: raw[key] for key in QUALITIES if key in raw},
        frames=raw["sequence"]["frames"],
        raw=raw,
        folder=path.with_suffix(""),
    )


def dcvc_points(raw: dict[str, Any], name: str) -> Iterator[Point]:
    """The anchors in DCVC's repository: class, then sequence, then rate point."""
    for group, sequences in raw.items():
        for sequence, points in sequences.items():
            for key, point in points.items():
                yield Point(
                    codec=name,
                    label=name,
                    sequence=Path(sequence).stem,
                    group=group,
                    point=float(point.get("qp", key)),
                    rates={"bpp": point["ave_all_frame_bpp"]},
                    values={
                        "psnr": point["ave_all_frame_psnr"],
                        "psnr_y": point["ave_all_frame_psnr_y"],
                        "psnr_u": point["ave_all_frame_psnr_u"],
                        "psnr_v": point["ave_all_frame_psnr_v"],
                        "ms_ssim": point["ave_all_frame_msssim"],
                    }
                    if "ave_all_frame_psnr_y" in point
                    else {"psnr": point["ave_all_frame_psnr"]},
                    frames=point["i_frame_num"] + point["p_frame_num"],
                )


def compressai_points(raw: dict[str, Any], name: str, group: str) -> Iterator[Point]:
    """CompressAI's results: lists over rate points, means over a data set.

    The folder names the data set. Videos have a bitrate, in kbit/s, instead of bits per pixel.
    """
    results = raw["results"]
    names = {"psnr_rgb": "psnr-rgb", "psnr_y": "psnr-y", "psnr_u": "psnr-u", "psnr_v": "psnr-v"}
    units = {"bpp": "bpp", "kbps": "bitrate"}
    columns = {key: results[other] for key, other in names.items() if other in results}
    rates = {key: results[other] for key, other in units.items() if other in results}
    count = {len(column) for column in (*columns.values(), *rates.values())}
    if not rates or not columns or len(count) != 1:
        raise ValueError("its lists of rates and PSNR must have one length")
    for index in range(count.pop()):
        values = {key: float(column[index]) for key, column in columns.items()}
        if values.keys() >= {"psnr_y", "psnr_u", "psnr_v"}:
            values["psnr"] = weighted(values["psnr_y"], values["psnr_u"], values["psnr_v"])
        yield Point(
            codec=name,
            label=str(raw.get("name", name)),
            sequence=group,
            group=group,
            point=float(index),
            rates={key: float(column[index]) for key, column in rates.items()},
            values=values,
        )
