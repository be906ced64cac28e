"""Segments coded side by side and joined are the stream of one encoder."""

import errno
import os
import signal
import subprocess
import sys
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ui2c
from support.clips import make_clip
from support.standin import segment_that_dies_once
from ui2c import YUV420, encode_segments
from ui2c.segments import encode as segments
from ui2c.segments.executors import Processes
from ui2c.segments.join import Joiner
from ui2c.statistics import Statistics
from ui2c.video import Description, open_sink

FRAMES = 23


class Here(Executor):
    """Does the work at once, and counts it; fails by a list of errors first."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.done: list[int] = []

    def submit(self, work: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if self.errors:
            future.set_exception(self.errors.pop(0))
            return future
        self.done.append(arguments[0].first)
        try:
            future.set_result(work(*arguments, **options))
        except Exception as error:
            future.set_exception(error)
        return future


@pytest.fixture(scope="module")
def clip() -> list[YUV420]:
    return make_clip(36, 20, FRAMES)


@pytest.fixture
def file(tmp_path: Path, clip: list[YUV420]) -> Path:
    path = tmp_path / "clip.y4m"
    sink = open_sink(path, Description(36, 20))
    for frame in clip:
        sink.write(frame)
    sink.close()
    return path


@pytest.mark.parametrize(("length", "jobs"), [(5, 1), (10, 3), (20, 1), (25, 3), (100, 1)])
def test_the_bytes_are_those_of_one_encoder(
    nano: Any, clip: list[YUV420], length: int, jobs: int
) -> None:
    options: dict[str, Any] = {"model": nano, "keyint": 4, "qp": 20, "psnr": True}
    encoder = ui2c.Encoder(**options, threads=1)
    expected = encoder.encode(clip)
    total = Statistics()
    data = encode_segments(
        clip, executor=Here(), jobs=jobs, segment=length, statistics=total, **options
    )
    assert data == expected
    assert total.frames == FRAMES and total.bytes == len(data)
    assert total.seconds == pytest.approx(encoder.statistics.seconds)
    # A segment begins with the stream's header, where one encoder repeats it in a unit.
    ours, theirs = (
        [replace(unit, bytes=0) for unit in statistics.units]
        for statistics in (total, encoder.statistics)
    )
    assert ours == theirs
    assert total.psnr.yuv == pytest.approx(encoder.statistics.psnr.yuv)


def test_a_file(nano_file: Path, saved: Any, file: Path, clip: list[YUV420]) -> None:
    expected = ui2c.Encoder(model=saved, keyint=6).encode(clip)
    with ThreadPoolExecutor(3) as executor:
        data = encode_segments(file, executor=executor, segment=7, keyint=6, model=str(nano_file))
    assert data == expected
    assert ui2c.Decoder(model=saved).open(data).random_access == (0, 7, 14, 21)


def test_irregular_times(nano: Any) -> None:
    times = [5, 33, 67, 67, 500, 501, 900, 1000, 1100]
    frames = [
        YUV420(*frame.planes, pts=time)
        for frame, time in zip(make_clip(16, 16, 9), times, strict=True)
    ]
    options: dict[str, Any] = {"model": nano, "timebase": 0.001, "keyint": 4}
    data = encode_segments(frames, executor=Here(), segment=5, **options)
    assert data == ui2c.Encoder(**options).encode(frames)


def test_no_frames_and_wrong_arguments(nano: Any, clip: list[YUV420]) -> None:
    empty = encode_segments([], executor=Here(), model=nano, width=4, height=4)
    assert empty == ui2c.Encoder(model=nano, width=4, height=4).encode([])
    for options in ({"segment": -1}, {"jobs": 0}, {"size": 5}):
        with pytest.raises(ValueError, match="segment"):
            encode_segments(clip, executor=Here(), model=nano, **options)
    with pytest.raises(ValueError, match="must be 36x20"):
        encode_segments([*clip[:3], *make_clip(8, 8, 1)], executor=Here(), model=nano)


def test_segments_aim_at_the_bitrate_each(nano: Any, clip: list[YUV420]) -> None:
    options = {"bitrate": 9000, "model": nano, "fps": 5}
    planned = list(segments.plan(clip, 10, options))
    assert [part.options["duration"] for part in planned] == [2, 2, 0.6]
    one, three = (
        encode_segments(clip, executor=Here(), jobs=jobs, segment=10, **options) for jobs in (1, 3)
    )
    assert one == three


def test_lengths() -> None:
    lengths = {keyint: segments.segment_length(keyint) for keyint in (0, 1, 7, 48, 100, 1000)}
    assert lengths == {0: 241, 1: 241, 7: 238, 48: 245, 100: 202, 1000: 1001}


def test_a_lost_worker(nano: Any, clip: list[YUV420]) -> None:
    expected = encode_segments(clip, executor=Here(), segment=8, model=nano)
    lost = BrokenExecutor("gone")
    executor = Here(lost, lost)
    assert encode_segments(clip, executor=executor, jobs=1, segment=8, model=nano) == expected
    assert executor.done == [0, 8, 16]
    with pytest.raises(BrokenExecutor, match="gone"):
        encode_segments(clip, executor=Here(lost, lost, lost), jobs=1, segment=8, model=nano)


@pytest.mark.slow
def test_a_process_that_dies(
    nano_file: Path, saved: Any, file: Path, clip: list[YUV420], monkeypatch: Any
) -> None:
    monkeypatch.setattr(segments, "code", segment_that_dies_once)
    with Processes(1) as executor:
        data = encode_segments(file, executor=executor, jobs=1, segment=13, model=str(nano_file))
    assert (file.parent / "died").exists()
    assert data == ui2c.Encoder(model=saved, keyint=13).encode(clip)


def test_going_on_after_an_interruption(nano_file: Path, file: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    options: dict[str, Any] = {"segment": 4, "jobs": 1, "work": work, "model": str(nano_file)}
    whole = encode_segments(file, executor=Here(), **options)
    assert not work.exists()
    first = Here()
    parts: list[bytes] = []
    with pytest.raises(KeyboardInterrupt):
        encode_segments(
            file,
            executor=first,
            stop=lambda: len(first.done) == 3,
            write=parts.append,
            **options,
        )
    assert first.done == [0, 4, 8] and len(list(work.iterdir())) == 3
    assert ui2c.Decoder(model=str(nano_file)).decode(b"".join(parts))
    damaged = sorted(work.iterdir())[0]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    second = Here()
    assert encode_segments(file, executor=second, **options) == whole
    assert len(second.done) == 4 and not work.exists()


def test_a_folder_that_cannot_be_written(
    nano_file: Path, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    work = tmp_path / "work"
    with pytest.raises(OSError, match="No space left") as caught:
        encode_segments(file, executor=Here(), jobs=1, work=work, model=str(nano_file))
    assert str(caught.value.filename).startswith(f"{work}{os.sep}")
    assert not list(work.iterdir())


def test_other_options_do_not_find_the_segments(
    nano_file: Path, file: Path, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    for qp in (20, 30):
        executor = Here()
        with pytest.raises(KeyboardInterrupt):
            encode_segments(
                file,
                executor=executor,
                segment=8,
                jobs=1,
                work=work,
                qp=qp,
                stop=lambda executor=executor: bool(executor.done),  # type: ignore[misc]
                model=str(nano_file),
            )
        assert executor.done == [0]
    assert len(list(work.iterdir())) == 2


def test_joining_what_does_not_fit(nano: Any) -> None:
    joiner = Joiner()
    with pytest.raises(ValueError, match="nothing"):
        joiner.end()
    joiner.add(ui2c.Encoder(model=nano).encode(make_clip(16, 16, 2)))
    with pytest.raises(ui2c.CorruptError, match="different headers"):
        joiner.add(ui2c.Encoder(model=nano).encode(make_clip(16, 18, 2)))


@pytest.mark.slow
def test_a_cluster(nano_file: Path, saved: Any, file: Path, clip: list[YUV420]) -> None:
    distributed = pytest.importorskip("distributed")
    from ui2c.cli import main

    out = file.with_name("out.ui2c")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
    ) as workers:
        options = ("--segment", "9", "--model", str(nano_file), "-q")
        address = workers.scheduler_address
        assert main(["encode", str(file), str(out), "--cluster", address, *options]) == 0
    assert out.read_bytes() == ui2c.Encoder(model=saved, keyint=9).encode(clip)


@pytest.mark.slow
def test_the_command(
    nano_file: Path, saved: Any, file: Path, clip: list[YUV420], capsys: Any
) -> None:
    from ui2c.cli import main

    out, table = file.with_name("out.ui2c"), file.with_name("out.csv")
    options = ["--segment", "13", "--model", str(nano_file), "--csv", str(table)]
    handler = signal.getsignal(signal.SIGINT)
    assert main(["encode", str(file), str(out), "--jobs", "2", *options]) == 0
    assert out.read_bytes() == ui2c.Encoder(model=saved, keyint=13).encode(clip)
    assert "23 frames in" in capsys.readouterr().err
    assert len(table.read_text().splitlines()) == 24
    assert sorted(os.listdir(file.parent)) == ["clip.y4m", "out.csv", "out.ui2c"]
    assert signal.getsignal(signal.SIGINT) is handler
    child = subprocess.run(
        [sys.executable, "-m", "ui2c", "encode", "-", "-", "--jobs", "1", "-q", *options[:4]],
        input=file.read_bytes(),
        stdout=subprocess.PIPE,
        check=True,
    )
    assert child.stdout == out.read_bytes()
    for wrong in (["--recon", "a.y4m"], ["--size", "5k"]):
        assert main(["encode", str(file), "x.ui2c", "--jobs", "1", *wrong]) == 2
    assert main(["encode", str(file), "x.ui2c", "--segment", "5"]) == 2
    assert "--segment goes with" in capsys.readouterr().err
