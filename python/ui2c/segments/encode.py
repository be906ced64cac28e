"""Long videos coded in segments, side by side, and joined.

A segment begins with a random-access unit, so that it depends on nothing before it. Where segments
begin depends on the video and on `segment` alone, and each is coded with the same number of
threads: so the bytes do not depend on how many workers there are, or which of them does what.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import ExitStack, closing
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ui2c import _core
from ui2c.encoder import Encoder
from ui2c.files import is_rereadable
from ui2c.picture.frames import iterate
from ui2c.segments.executors import workers
from ui2c.segments.join import Joiner, add_statistics
from ui2c.segments.store import SegmentStore
from ui2c.statistics import Statistics
from ui2c.video import Description, Part, open_source, rebased

if TYPE_CHECKING:
    from ui2c.picture.frames import Frame

DEFAULT_SEGMENT = 241
"""Frames: a still and pairs. At 25 per second some ten seconds, between which one can seek."""
ATTEMPTS = 3
"""A segment whose worker is lost so many times is not given to another one."""
POLL = 0.2
"""Seconds between two looks at whether to stop."""

Coded = tuple[bytes, Statistics]


@dataclass(frozen=True)
class Segment:
    """What a worker needs: frames, or where to read them, and options of an Encoder."""

    options: dict[str, Any]
    first: int
    count: int | None
    clip: Part | None = None
    frames: tuple[Frame, ...] = ()

    def key(self) -> str:
        """The same for segments that give the same bytes; "" where that cannot be told."""
        model = self.options.get("model", "small")
        if self.clip is None or not isinstance(model, (str, os.PathLike)):
            return ""
        from ui2c.network.load import load_model

        state = os.stat(self.clip.path)
        definition = (
            _core.__version__,
            os.path.realpath(self.clip.path),
            (state.st_size, state.st_mtime_ns),
            (sorted(self.clip.options.items()), self.clip.skip, self.clip.frames),
            (self.first, self.count),
            sorted((self.options | {"model": _model_id(os.fspath(model), load_model)}).items()),
        )
        return hashlib.sha256(json.dumps(definition, default=str).encode()).hexdigest()[:32]


def code(segment: Segment) -> Coded:
    """The work of a worker: a whole stream of the segment's frames alone."""
    encoder = _encoder(segment.options)
    if segment.clip is not None:
        data = encoder.encode(segment.clip.read(segment.first, segment.count))
    else:
        data = encoder.encode(segment.frames)
    return data, encoder.statistics


_kept = threading.local()


def _encoder(options: dict[str, Any]) -> Encoder:
    """Kept between the segments of a thread, for the network in it."""
    if getattr(_kept, "options", None) != options:
        _kept.encoder = Encoder(**options)
        _kept.options = options
    encoder: Encoder = _kept.encoder
    return encoder


@lru_cache(maxsize=1)
def _model_id(name: str, load: Callable[[str], Any]) -> str:
    identity: str = load(name).model_id.hex()
    return identity


def encode_segments(
    source: str | os.PathLike[str] | Part | Iterable[Frame],
    *,
    executor: Executor | None = None,
    jobs: int | None = None,
    segment: int = 0,
    work: str | os.PathLike[str] | None = None,
    statistics: Statistics | None = None,
    stop: Callable[[], bool] = lambda: False,
    write: Callable[[bytes], object] | None = None,
    **options: Any,
) -> bytes:
    """Codes a video in segments through an executor and joins them to one stream.

    - `source`: the path of a video, which the workers read themselves; or frames, which are sent
      to them.
    - `executor`: any `concurrent.futures.Executor`; new processes on this machine unless given.
    - `jobs`: how many segments to code at once; the number of cores unless given.
    - `segment`: frames of a segment; 0: about 240, from one random-access unit of `keyint` to
      another.
    - `work`: a folder to keep coded segments in. Of a path, segments found there from an
      interrupted run with the same options are not coded again. It is emptied in the end.
    - `statistics`: an object to fill.
    - `stop`: asked now and then; when it says so, KeyboardInterrupt is raised. What has been
      written until then, in this or another error, is a whole stream of the first segments.
    - `write`: called with the bytes as they come, which then are not returned.
    - `options`: of Encoder; for a path, size and timing come from the file unless given. `threads`
      are 1 unless given, `model` should be a name or path, and there is no `reconstruction`.

    A segment whose worker was lost is coded again. Raises what coding raises, BrokenExecutor when
    a segment loses its worker three times, ValueError where arguments do not go together.
    """
    if options.get("reconstruction") or options.get("size") or options.get("first_pass"):
        raise ValueError("segments go with neither reconstruction nor size: use an Encoder")
    if segment < 0 or (jobs is not None and jobs < 1):
        raise ValueError(f"segment and jobs must be positive, not {segment} and {jobs}")
    length = segment or segment_length(options.get("keyint", 0))
    parts: list[bytes] = []
    write = write or parts.append
    total = Statistics() if statistics is None else statistics
    store = SegmentStore(work)
    with ExitStack() as stack:
        if executor is None:
            executor, jobs = stack.enter_context(workers(count=jobs))
        jobs = jobs or os.cpu_count() or 1
        joiner = Joiner()
        segments = plan(source, length, options)
        try:
            for data, part in _in_order(segments, executor, jobs, store, stop):
                add_statistics(total, part)
                piece = joiner.add(data)
                total.bytes += len(piece)
                write(piece)
        finally:
            if joiner.begun:
                last = joiner.end()
                total.bytes += len(last)
                write(last)
    store.remove()
    return b"".join(parts)


def segment_length(keyint: int) -> int:
    """Frames of a segment, so that joints fall on units that are random-access units anyway."""
    # From one to the next there are a still and pairs: an odd number of frames.
    interval = keyint | 1 if keyint else DEFAULT_SEGMENT
    return interval * max(1, round(DEFAULT_SEGMENT / interval))


def plan(
    source: str | os.PathLike[str] | Part | Iterable[Frame], length: int, options: dict[str, Any]
) -> Iterator[Segment]:
    """The segments of a video, in order; at least one."""
    options = {"threads": 1} | options
    if isinstance(source, (str, os.PathLike)):
        source = Part(os.fspath(source))
    if not isinstance(source, Part):
        yield from _batches(source, length, options)
        return
    if not is_rereadable(source.path):
        yield from _stream_batches(source, length, options)
        return
    video = source.describe()
    options = description_options(video) | options
    frames = source.frames
    if video.frames is not None:
        left = max(0, video.frames - source.skip)
        frames = left if frames is None else min(frames, left)
    if frames is None:
        yield from _batches(source.read(), length, options)
        return
    starts = range(0, max(frames, 1), length)
    for start in starts:
        # The last one takes what there is, should the file hold more than it says.
        last = start == starts[-1]
        count = frames - start if last else length
        yield Segment(_timed(options, count), start, None if last else length, source)


def _timed(options: dict[str, Any], frames: int) -> dict[str, Any]:
    """Towards a bitrate, a segment's own duration."""
    if not options.get("bitrate") or options.get("timebase") or not frames:
        return options
    return options | {"duration": frames / float(Fraction(options.get("fps", 25)))}


def _stream_batches(part: Part, length: int, options: dict[str, Any]) -> Iterator[Segment]:
    """Of what can be opened but once, such as a named pipe."""
    with closing(open_source(part.path, **part.options)) as source:
        source.skip(part.skip)
        wanted = rebased(itertools.islice(source, part.frames))
        yield from _batches(wanted, length, description_options(source.description) | options)


def _batches(frames: Iterable[Frame], length: int, options: dict[str, Any]) -> Iterator[Segment]:
    iterator = iterate(frames)
    for first in itertools.count(0, length):
        batch = tuple(itertools.islice(iterator, length))
        if batch or not first:
            yield Segment(_timed(options, len(batch)), first, len(batch), frames=batch)
        if len(batch) < length:
            return


def description_options(video: Description) -> dict[str, Any]:
    """What a video's description says to an Encoder."""
    return {
        "width": video.width,
        "height": video.height,
        "bit_depth": video.bit_depth,
        "fps": video.fps or 1,
        "timebase": video.timebase if video.fps is None else None,
        "sample_aspect": video.sample_aspect,
        "color": video.color,
        "full_range": video.full_range,
    }


@dataclass
class _Running:
    number: int
    segment: Segment
    path: Path | None
    attempt: int = 1


def _in_order(
    segments: Iterator[Segment],
    executor: Executor,
    jobs: int,
    store: SegmentStore,
    stop: Callable[[], bool],
) -> Iterator[Coded]:
    """The coded segments in their order; at most `jobs` are worked on, and as many wait."""
    running: dict[Future[Coded], _Running] = {}
    ready: dict[int, Coded] = {}
    numbered = enumerate(segments)
    wanted, exhausted = 0, False
    try:
        while True:
            while not exhausted and len(running) < jobs and len(ready) < 2 * jobs:
                number, segment = next(numbered, (0, None))
                if segment is None:
                    exhausted = True
                    break
                path = store.path(segment.key)
                if (found := store.find(path)) is not None:
                    ready[number] = found
                else:
                    running[executor.submit(code, segment)] = _Running(number, segment, path)
            while wanted in ready:
                yield ready.pop(wanted)
                wanted += 1
            if not running:
                if exhausted and not ready:
                    return
                continue
            finished, _ = wait(running, timeout=POLL, return_when=FIRST_COMPLETED)
            for future in finished:
                task = running.pop(future)
                if (error := future.exception()) is None:
                    store.keep(task.path, future.result())
                    ready[task.number] = future.result()
                    continue
                if stop():
                    raise KeyboardInterrupt
                if not _lost(error) or task.attempt == ATTEMPTS:
                    raise error
                task.attempt += 1
                running[executor.submit(code, task.segment)] = task
            if stop():
                raise KeyboardInterrupt
    finally:
        for future in running:
            future.cancel()


def _lost(error: BaseException) -> bool:
    """Whether the worker is to blame, not the work."""
    return isinstance(error, BrokenExecutor) or type(error).__name__ in (
        "KilledWorker",
        "CommClosedError",
        "CancelledError",
    )
