"""Running many jobs through an executor, within a budget of cores."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from ui2c.cli.progress import clock
from ui2c.evaluate.config import Config
from ui2c.evaluate.errors import CodecError
from ui2c.evaluate.job import Done, Job, do
from ui2c.evaluate.measure import BT709
from ui2c.evaluate.png import png
from ui2c.evaluate.sequence import Sequence
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
    waiting: list[tuple[Job, str]] = []
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
            waiting.append((job, key))
    _source_pictures(config, results, {job.sequence for job, _ in waiting})
    report = _Report(log, len(waiting), len(outcome.kept))
    running: dict[Future[Done], Job] = {}
    queue = [job for job, _ in waiting]
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
                    outcome.failed[job.title] = _explain(error)
                    report.failed(job, _explain(error), queue, running)
                else:
                    outcome.done.append(_write(results, job, done))
                    report.done(job, done.result, queue, running)
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
        _write_whole(path.with_suffix("") / f"{frame}.png", data)
    # Last: where the result is, its pictures are too.
    _write_whole(path, json.dumps(done.result).encode())
    return path


def _write_whole(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    work = path.with_name(f".{path.name}.{os.getpid()}.part")
    work.write_bytes(data)
    os.replace(work, path)


def _source_pictures(config: Config, results: Path, sequences: set[Sequence]) -> None:
    for sequence in sequences:
        folder = results / SOURCE / sequence.name
        wanted = {i for i in config.pictures if not (folder / f"{i}.png").is_file()}
        if not wanted:
            continue
        try:
            for index, frame in enumerate(sequence.frames()):
                if index in wanted:
                    picture = png(yuv420_to_rgb(frame, matrix=BT709))
                    _write_whole(folder / f"{index}.png", picture)
                if index >= max(wanted):
                    break
        except (OSError, ValueError, RuntimeError):
            # Its jobs will say what is wrong with it.
            continue


def _explain(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


class _Report:
    """A line for each finished job, with the time that is left."""

    def __init__(self, log: TextIO | None, jobs: int, kept: int) -> None:
        self._log = log
        self._jobs = jobs
        self._count = 0
        self._began = time.monotonic()
        if kept:
            self.line(f"{kept} results are there already, {jobs} to go")

    def line(self, text: str) -> None:
        if self._log is not None:
            print(text, file=self._log, flush=True)

    def done(
        self, job: Job, result: dict[str, Any], queue: list[Job], running: dict[Any, Job]
    ) -> None:
        self.line(
            f"{self._head(job)}: {result['bpp']:.4f} bpp, {result['psnr']:.2f} dB"
            f"{self._left(queue, running)}"
        )

    def failed(self, job: Job, message: str, queue: list[Job], running: dict[Any, Job]) -> None:
        self.line(f"{self._head(job)} FAILED: {message}{self._left(queue, running)}")

    def _head(self, job: Job) -> str:
        self._count += 1
        return f"[{self._count}/{self._jobs}] {job.title}"

    def _left(self, queue: list[Job], running: dict[Any, Job]) -> str:
        """By what the finished jobs took on average, at the rate they have come so far."""
        left = len(queue) + len(running)
        seconds = (time.monotonic() - self._began) / self._count * left
        return f", ETA {clock(seconds)}" if left else ""
