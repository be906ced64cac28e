"""Running many jobs through an executor, within a budget of cores."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TextIO

from ui2c.evaluate.config import Config
from ui2c.evaluate.errors import CodecError
from ui2c.evaluate.job import Done, Job, do
from ui2c.evaluate.measure import BT709
from ui2c.evaluate.png import png
from ui2c.evaluate.sequence import Sequence
from ui2c.files import write_whole
from ui2c.picture.color import yuv420_to_rgb

SOURCE = "source"
"""The folder of the original pictures, beside those of the codecs."""


@dataclass
class Outcome:
    """What came of an evaluation."""

    done: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    """Results that were there already."""
    failed: dict[str, str] = field(default_factory=dict)
    """Error messages by the titles of jobs."""

    @property
    def files(self) -> frozenset[Path]:
        """Of all results that are there now."""
        return frozenset((*self.done, *self.kept))


def evaluate(
    config: Config,
    results: Path,
    executor: Executor,
    cores: int,
    *,
    again: bool = False,
    log: TextIO | None = None,
    work: Callable[[Job], Done] = do,
) -> Outcome:
    """Does what is not yet done (everything if `again`); results are written as they come.

    Every job that fails is reported, the rest goes on. Interrupted, what has been done stays.
    """
    outcome = Outcome()
    queue: list[Job] = []
    for job in config.jobs():
        try:
            key = job.key()
        except (OSError, CodecError) as error:
            outcome.failed[job.title] = str(error)
            continue
        path = results / job.path
        if not again and _is_done(path, key, job):
            outcome.kept.append(path)
        else:
            queue.append(job)
    _source_pictures(config, results, {job.sequence.name: job.sequence for job in queue}.values())
    told = _Log(log, len(queue))
    if outcome.kept:
        told.line(f"{len(outcome.kept)} results are there already, {len(queue)} to go")
    running: dict[Future[Done], Job] = {}
    try:
        while queue or running:
            while queue and _fits(queue[0], running, cores):
                job = queue.pop(0)
                running[executor.submit(work, job)] = job
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                job = running.pop(future)
                try:
                    done = future.result()
                except Exception as error:  # whatever a codec does must not end the others
                    message = " ".join(str(error).split()) or type(error).__name__
                    outcome.failed[job.title] = message
                    told.finished(job, f" FAILED: {message}")
                else:
                    outcome.done.append(_write(results, job, done))
                    bpp, psnr = done.result["bpp"], done.result["psnr"]
                    told.finished(job, f": {bpp:.4f} bpp, {psnr:.2f} dB")
    except BaseException:
        for future in running:
            future.cancel()
        raise
    return outcome


def _fits(job: Job, running: dict[Future[Done], Job], cores: int) -> bool:
    """Whether the budget has room; a job larger than all of it runs alone."""
    used = sum(other.codec.common.threads for other in running.values())
    return not running or used + job.codec.common.threads <= cores


def _is_done(path: Path, key: str, job: Job) -> bool:
    """Whether the result of the job is there, with all it is to measure and its pictures."""
    try:
        result = json.loads(path.read_text())
        wanted = [frame for frame in job.pictures if frame < result["sequence"]["frames"]]
        return (
            result["key"] == key
            and job.metrics <= set(result["metrics"])
            and all((path.with_suffix("") / f"{frame}.png").is_file() for frame in wanted)
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _write(results: Path, job: Job, done: Done) -> Path:
    path = results / job.path
    for frame, data in done.pictures.items():
        _keep(path.with_suffix("") / f"{frame}.png", data)
    # Last: where the result is, its pictures are too.
    _keep(path, json.dumps(done.result).encode())
    return path


def _keep(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, data)


def _source_pictures(config: Config, results: Path, sequences: Iterable[Sequence]) -> None:
    for sequence in sequences:
        folder = results / SOURCE / sequence.name
        wanted = {i for i in config.pictures if not (folder / f"{i}.png").is_file()}
        if not wanted:
            continue
        try:
            for index, frame in enumerate(sequence.frames()):
                if index in wanted:
                    picture = png(yuv420_to_rgb(frame, matrix=BT709))
                    _keep(folder / f"{index}.png", picture)
                if index >= max(wanted):
                    break
        except (OSError, ValueError, RuntimeError):
            # Its jobs will say what is wrong with it.
            continue


class _Log:
    """A line for each finished job, with the time that is left."""

    def __init__(self, stream: TextIO | None, jobs: int) -> None:
        self._stream = stream
        self._jobs = jobs
        self._count = 0
        self._began = time.monotonic()

    def finished(self, job: Job, text: str) -> None:
        """The time left is by what the finished jobs took, at the rate they have come so far."""
        self._count += 1
        left = self._jobs - self._count
        seconds = (time.monotonic() - self._began) / self._count * left
        eta = f", ETA {timedelta(seconds=round(seconds))}" if left else ""
        self.line(f"[{self._count}/{self._jobs}] {job.title}{text}{eta}")

    def line(self, text: str) -> None:
        if self._stream is not None:
            print(text, file=self._stream, flush=True)
