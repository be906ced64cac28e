"""Numbers for people and for spreadsheets."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from ui2c.cli import plot
from ui2c.cli.common import INTERRUPTED, complain, counted, explain, note
from ui2c.cli.progress import Progress
from ui2c.cli.standard import say
from ui2c.errors import Error
from ui2c.files import OutputFile
from ui2c.statistics import Statistics, UnitStatistics

COLUMNS = ("frame", "unit", "type", "qp", "bits", "psnr_y", "psnr_u", "psnr_v")


class CsvReport:
    """One row per frame. The bits of a unit are divided evenly among its frames; headers and
    index, which belong to no frame, are in no row."""

    def __init__(self, path: str, *, overwrite: bool = False) -> None:
        self.file = OutputFile(path, overwrite=overwrite)
        self._written = 0
        self._row(COLUMNS)

    def write(self, units: Sequence[UnitStatistics]) -> None:
        """Adds those of `units`, all since the beginning, that have not been written yet."""
        for unit in units[self._written :]:
            for index in range(unit.frames):
                quality = ("", "", "")
                if unit.psnr:
                    psnr = unit.psnr[index]
                    quality = (f"{psnr.y:.4f}", f"{psnr.u:.4f}", f"{psnr.v:.4f}")
                kind = "intra" if unit.intra else "inter"
                bits = 8 * unit.bytes // unit.frames
                self._row((unit.first_frame + index, unit.index, kind, unit.qp, bits, *quality))
        self._written = len(units)

    def _row(self, values: Sequence[object]) -> None:
        self.file.write((",".join(map(str, values)) + "\n").encode())


def figures(statistics: Statistics) -> dict[str, float | int | None]:
    """What was coded, by names; None where it was not measured."""
    measured = bool(statistics.units and statistics.units[0].psnr)
    return {
        "frames": statistics.frames,
        "bytes": statistics.bytes,
        "kbits_per_second": statistics.kbits_per_second,
        "bits_per_pixel": statistics.bits_per_pixel,
        "qp": statistics.qp if statistics.frames else None,
        "psnr": statistics.psnr.yuv if measured else None,
    }


def summary(statistics: Statistics, seconds: float) -> str:
    """What was coded, in two to four lines; `seconds` is how long it took."""
    speed = statistics.frames / seconds if seconds else 0.0
    lines = [f"{counted(statistics.frames)} in {seconds:.2f} s ({speed:.2f} fps)"]
    share = statistics.motion_bytes / statistics.bytes if statistics.bytes else 0.0
    lines.append(
        f"{statistics.bytes} bytes, {statistics.kbits_per_second:.2f} kbit/s, "
        f"{statistics.bits_per_pixel:.5f} bit/pixel, motion {share:.1%}"
    )
    if statistics.units and statistics.units[0].psnr:
        psnr = statistics.psnr
        lines.append(
            f"PSNR Y {psnr.y:.3f} U {psnr.u:.3f} V {psnr.v:.3f} dB, 6:1:1 {psnr.yuv:.3f} dB, "
            f"deviation {statistics.psnr_deviation:.2f} dB"
        )
    if statistics.frames and statistics.qp_deviation:
        lines.append(f"qp {statistics.qp:.1f}, deviation {statistics.qp_deviation:.1f}")
    return "\n".join(lines)


def finish(
    arguments: argparse.Namespace,
    statistics: Statistics,
    report: CsvReport | None,
    shown: Progress,
    damage: Error | None,
    losses: Sequence[str] = (),
    *,
    interrupted: bool,
) -> int:
    """Ends the reports, says what was coded and why there is no more of it; the exit code.

    `losses` are what of the input could not be read and was passed over.
    """
    if report:
        report.write(statistics.units)
        report.file.commit()
    if arguments.plot:
        moments = plot.of_statistics(statistics.units, statistics.seconds)
        title = os.path.basename(arguments.output)
        plot.write(arguments.plot, title, moments, overwrite=arguments.yes)
    seconds = shown.seconds
    shown.end(**figures(statistics), seconds=seconds, interrupted=interrupted)
    if not arguments.quiet and arguments.progress != "json":
        say(summary(statistics, seconds))
    frames = statistics.frames
    for loss in losses:
        complain(loss)
    if interrupted:
        note(
            f"interrupted after {counted(frames)}, which {arguments.output} holds",
            quiet=arguments.quiet,
        )
        return INTERRUPTED
    if damage is not None:
        complain(f"{explain(damage)}; {arguments.output} holds the {counted(frames)} before that")
        return 1
    if not frames and arguments.frames != 0:
        skipped = f" after the first {arguments.skip}" if arguments.skip else ""
        note(f"{arguments.input} has no frame{skipped}", quiet=arguments.quiet)
    return 1 if losses else 0
