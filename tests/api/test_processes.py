"""Processes that are forked, and those that code segments: none waits or lives for ever."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import ui2c
from support.clips import make_clip, write_y4m
from support.paths import GOLDEN

HANGS = 60
"""Seconds after which something that should have ended is taken to hang."""
MODEL = GOLDEN / "nano.safetensors"

FORKS = """
import multiprocessing, os, sys
import ui2c
from support.clips import make_clip

threads = eval(sys.argv[2])
frames = make_clip(80, 48, 4)
encoder = ui2c.Encoder(model=sys.argv[1], lead=0, threads=threads)
decoder = ui2c.Decoder(model=sys.argv[1], threads=threads)
data = encoder.encode(frames)
shown = decoder.decode(data)
begun = ui2c.Encoder(model=sys.argv[1], lead=0, threads=threads)
start = [begun.push(frame) for frame in frames[:3]]
reader = decoder.open(data)
reader[1]

def again():
    # What was made before, what is begun, and what is made anew.
    assert encoder.encode(frames) == data
    assert decoder.decode(data) == shown
    assert b"".join([*start, begun.push(frames[3]), begun.flush()]) == data
    assert reader[2] == shown[2]
    fresh = ui2c.Encoder(model=sys.argv[1], lead=0, threads=threads)
    assert fresh.encode(frames) == data

child = os.fork()
if not child:
    try:
        again()
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    os._exit(code)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
process = multiprocessing.get_context("fork").Process(target=again)
process.start()
process.join()
assert process.exitcode == 0
again()
print("done")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("threads", [None, 1, 2])
def test_a_forked_process_codes(threads: int | None) -> None:
    """It has none of the threads that its parent had."""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKS, MODEL, repr(threads)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        timeout=HANGS,
    )
    assert ran.returncode == 0, ran.stderr.decode()
    assert ran.stdout == b"done\n"


def until(condition: Callable[[], bool], process: subprocess.Popen[bytes] | None = None) -> None:
    """Waits for it; fails if the process ends before."""
    end = time.monotonic() + HANGS
    while not condition():
        assert time.monotonic() < end and (process is None or process.poll() is None)
        time.sleep(0.05)


def children(parent: int) -> list[int]:
    """The processes that a process has started and that run."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            state, above = state_of(int(entry.name))
            if above == parent and state not in "ZX":
                found.append(int(entry.name))
    return found


def state_of(process: int) -> tuple[str, int]:
    """Letter of the state, and the parent; "X" of one that is gone."""
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return "X", 0
    state, parent = text.rpartition(")")[2].split()[:2]
    return state, int(parent)


def is_coding(process: int) -> bool:
    """Whether it has begun what takes long: it has used a second of a core."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return int(fields[11]) + int(fields[12]) > os.sysconf("SC_CLK_TCK")


@pytest.fixture
def long_clip(tmp_path: Path) -> Path:
    """Of which each segment takes long."""
    path = tmp_path / "clip.y4m"
    write_y4m(path, [frame.planes for frame in make_clip(320, 192, 40)])
    return path


def start(clip: Path, *options: object, **streams: Any) -> subprocess.Popen[bytes]:
    out = clip.with_name("out.ui2c")
    command = [sys.executable, "-m", "ui2c", "encode", str(clip), str(out), "--jobs", "2"]
    options = ("--model", MODEL, "--motion", "slow", "--lead", 0, *options)
    return subprocess.Popen([*command, *map(str, options)], stderr=subprocess.PIPE, **streams)


needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="no /proc here")


@needs_proc
@pytest.mark.slow
def test_workers_end_with_what_started_them(long_clip: Path) -> None:
    process = start(long_clip, "--segment", 20)
    workers: list[int] = []

    def at_work() -> bool:
        nonlocal workers
        workers = children(process.pid)
        return sum(map(is_coding, workers)) >= 2

    until(at_work, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    until(lambda: all(state_of(worker)[0] in "ZX" for worker in workers))


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_request_to_end_does_not_wait_for_the_segments(
    number: signal.Signals, long_clip: Path
) -> None:
    """Those that are done are kept, and the same command goes on from them."""
    work, out = long_clip.with_name("out.ui2c.segments"), long_clip.with_name("out.ui2c")
    process = start(long_clip, "--segment", 9)
    until(lambda: work.exists() and any(work.glob("*.segment")), process)
    workers = children(process.pid)
    process.send_signal(number)
    _, error = process.communicate(timeout=HANGS)
    assert process.returncode == 130
    assert b"keeps the segments that are done" in error
    until(lambda: all(state_of(worker)[0] in "ZX" for worker in workers))
    kept = {path: path.stat().st_mtime_ns for path in work.iterdir()}
    assert kept and all(path.suffix == ".segment" for path in kept) and not out.exists()
    assert not list(long_clip.parent.glob(".*.part"))
    again = start(long_clip, "--segment", 9, "-q")
    _, error = again.communicate(timeout=4 * HANGS)
    assert (again.returncode, error) == (0, b"")
    assert not work.exists()
    assert len(ui2c.Decoder(model=MODEL).decode(out.read_bytes())) == 40


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    """By name, by segments."""
    clip, pipe = tmp_path / "clip.y4m", tmp_path / "pipe"
    write_y4m(clip, [frame.planes for frame in make_clip(32, 16, 5)])
    os.mkfifo(pipe)
    threading.Thread(target=lambda: pipe.write_bytes(clip.read_bytes()), daemon=True).start()
    with ThreadPoolExecutor(1) as executor:
        options: dict[str, Any] = {"executor": executor, "segment": 3, "model": str(MODEL)}
        data = ui2c.encode_segments(pipe, **options)
        assert data == ui2c.encode_segments(clip, **options)
