"""The command in harsh surroundings: closed streams, poor encodings, signals, hostile names."""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import ui2c
from support.clips import make_clip, write_y4m
from ui2c import _core
from ui2c.cli import main
from ui2c.cli.standard import printable

HANGS = 60
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.y4m"
    write_y4m(path, [frame.planes for frame in make_clip(32, 16, 4)])
    return path


@pytest.fixture
def stream(tmp_path: Path, saved: Any) -> Path:
    path = tmp_path / "in.ui2c"
    path.write_bytes(ui2c.Encoder(model=saved, lead=0).encode(make_clip(32, 16, 4)))
    return path


def shell(line: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Runs a line of the shell, in which $UI2C is the command."""
    environment = os.environ | {"UI2C": f"{sys.executable} -m ui2c"} | options.pop("env", {})
    return subprocess.run(
        ["sh", "-c", line], capture_output=True, timeout=HANGS, env=environment, **options
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_work_on_files_needs_no_standard_stream(
    closed: str, clip: Path, tmp_path: Path, nano_file: Path, saved: Any
) -> None:
    """Nor does what is written or read take the number of a closed one."""
    out, again = tmp_path / "out.ui2c", tmp_path / "again.y4m"
    model = f"--model {nano_file}"
    ran = shell(f"$UI2C encode {clip} {out} {model} --lead 0 --csv {tmp_path}/a.csv {closed}")
    assert ran.returncode == 0, ran.stderr
    assert out.read_bytes() == ui2c.Encoder(model=saved, lead=0).encode(make_clip(32, 16, 4))
    assert (tmp_path / "a.csv").read_text().count("\n") == 5
    ran = shell(f"$UI2C decode {out} {again} {model} {closed}")
    assert ran.returncode == 0, ran.stderr
    assert again.read_bytes().count(b"FRAME\n") == 4
    assert shell(f"$UI2C encode nothing {out} -y {closed}").returncode == 1
    assert b"Traceback" not in ran.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        "encode {clip} - --model {model}",
        "decode {stream} - --model {model}",
        "info {stream}",
        "--help",
        "--version",
        "encode --help",
        "completion bash",
    ],
)
def test_a_closed_output_is_an_error(
    arguments: str, clip: Path, stream: Path, nano_file: Path
) -> None:
    line = arguments.format(clip=clip, stream=stream, model=nano_file)
    ran = shell(f"$UI2C {line} >&-")
    assert ran.returncode == 1
    (said,) = ran.stderr.decode().splitlines()
    assert said == "ui2c: error: standard output: Bad file descriptor"


@pytest.mark.parametrize("command", ["encode - /dev/null", "decode - /dev/null", "info -"])
def test_a_closed_input_is_an_error(command: str) -> None:
    ran = shell(f"$UI2C {command} <&-")
    assert ran.returncode == 1
    (said,) = ran.stderr.decode().splitlines()
    assert "Bad file descriptor" in said


def test_errors_never_stand_among_data(clip: Path, nano_file: Path, stream: Path) -> None:
    ran = shell("$UI2C encode nothing - 2>&-")
    assert (ran.returncode, ran.stdout) == (1, b"")
    ran = shell(f"$UI2C encode {clip} - --model {nano_file} --lead 0 2>&-")
    assert (ran.returncode, ran.stdout) == (0, stream.read_bytes())


def test_messages_that_nobody_hears_do_not_end_the_work(
    clip: Path, tmp_path: Path, nano_file: Path
) -> None:
    read, write = os.pipe()
    os.close(read)
    out = tmp_path / "out.ui2c"
    encode = [sys.executable, "-m", "ui2c", "encode", clip, out, "--model", nano_file, "-y"]
    for options in (["--progress", "json"], ["--csv", str(tmp_path / "a.csv")]):
        ran = subprocess.run([*encode, *options], stderr=write, timeout=HANGS)
        assert ran.returncode == 0 and out.exists()
    os.close(write)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "ascii:strict", "cp437", "utf-8"])
def test_poor_encodings(encoding: str, tmp_path: Path) -> None:
    env = {"PYTHONIOENCODING": encoding}
    commands = ("", "encode", "decode", "info", "compare-frames", "evaluate", "compare")
    for command in commands:
        ran = shell(f"$UI2C {command} --help", env=env)
        assert ran.returncode == 0 and not ran.stderr, ran.stderr
        assert b"usage" in ran.stdout and b"\\u" not in ran.stdout
    ran = shell("$UI2C info 'ö€.ui2c'", env=env, cwd=tmp_path)
    assert ran.returncode == 1 and b"No such file" in ran.stderr
    assert b"Traceback" not in ran.stderr


HOSTILE = "a\x1b[2J\x07b\nmodel id  forged\r\u202egpj.\x9b31m\u2066\u2028\udcff"
ESCAPED = r"a\x1b[2J\x07b\nmodel id  forged\r\u202egpj.\x9b31m\u2066\u2028\udcff"


def test_what_moves_a_cursor_is_escaped() -> None:
    assert printable(HOSTILE) == ESCAPED
    assert printable("Größe 1920×1080, 30 кадров, 映画 👍") == "Größe 1920×1080, 30 кадров, 映画 👍"


@pytest.mark.parametrize(
    "arguments",
    [("info",), ("decode", "out.y4m"), ("encode", "out.ui2c"), ("encode", "out.gif\x1b[2J")],
)
def test_hostile_names(
    arguments: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    command, *rest = arguments
    assert main([command, HOSTILE, *rest, "-v"]) == 1
    said = capsys.readouterr().err
    assert f"ui2c: error: {ESCAPED}: No such file or directory" in said
    assert all(line.isprintable() for line in said.split("\n"))
    Path(os.fsdecode(os.fsencode(HOSTILE))).write_bytes(b"no stream")
    assert main([command, HOSTILE, *rest]) == 1
    for wrong in ([HOSTILE], ["encode", "a", "b", "--qp", HOSTILE]):
        with pytest.raises(SystemExit, match="2"):
            main(wrong)
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 3
    assert all(line.isprintable() for line in said.split("\n"))


def test_hostile_metadata(stream: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = _core.Parser()
    parser.feed(stream.read_bytes())
    header = parser.next_unit()
    assert isinstance(header, _core.SequenceUnit)
    writer = _core.Writer(header.header)
    value = HOSTILE.replace("\udcff", "")
    stream.write_bytes(writer.start() + writer.metadata("title\x1b[H", value) + writer.end(None))
    assert main(["info", str(stream), "--units"]) == 0
    told = capsys.readouterr().out
    assert all(line.isprintable() for line in told.split("\n"))
    assert r"title\x1b[H: a\x1b[2J\x07b\nmodel id  forged\r\u202egpj" in told


def numeric_options() -> list[tuple[str, str]]:
    """Every option of every command that takes a number."""
    from ui2c.cli import _parser

    (commands,) = (a for a in _parser()._actions if isinstance(a, argparse._SubParsersAction))
    return [
        (name, action.option_strings[-1])
        for name, parser in commands.choices.items()
        for action in parser._actions
        if action.option_strings and callable(action.type) and action.type is not Path
        if action.option_strings != ["--metrics"]
    ]


def test_there_are_options_with_numbers() -> None:
    assert ("encode", "--skip") in numeric_options() and len(numeric_options()) > 25


@pytest.mark.parametrize("value", ["9" * 23, "-" + "9" * 23, "1e999999999", "1e400", "nan", "inf"])
def test_numbers_beyond_all_bounds(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong usage, said in one line, at once."""
    for command, option in numeric_options():
        given = value
        if option in ("--input-res", "--pictures"):
            given = f"{value}x2"
        with pytest.raises(SystemExit) as ended:
            main([command, f"{option}={given}"])
        assert ended.value.code == 2, option
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("ui2c: error: argument "), line


def until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Waits for what the process is about to do."""
    end = time.monotonic() + HANGS
    while not condition():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_before_there_is_work(number: signal.Signals, tmp_path: Path) -> None:
    """While it waits to open a pipe, where the handler of the coding loop is not in place yet."""
    pipe, out = tmp_path / "pipe", tmp_path / "out.ui2c"
    os.mkfifo(pipe)
    encoder = subprocess.Popen(
        [sys.executable, "-m", "ui2c", "encode", pipe, out], stderr=subprocess.PIPE
    )
    writers: list[int] = []

    def is_waiting() -> bool:
        # Refused as long as nobody reads.
        with suppress(OSError):
            writers.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
        return bool(writers)

    until(is_waiting, encoder)
    encoder.send_signal(number)
    _, error = encoder.communicate(timeout=HANGS)
    os.close(writers[0])
    assert encoder.returncode == 130
    assert error.splitlines()[-1] == b"ui2c: error: interrupted"
    assert os.listdir(tmp_path) == ["pipe"]


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_all_is_set_up(
    number: signal.Signals, clip: Path, tmp_path: Path, nano_file: Path
) -> None:
    """The file is there by another name, and the coding loop may have begun or not."""
    out = tmp_path / "out.ui2c"
    read, write = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "ui2c", "encode", "-", str(out), "--model", str(nano_file)],
        stdin=read,
        stderr=subprocess.PIPE,
    )
    os.close(read)
    # The header alone: no frame comes, so nothing can be coded.
    os.write(write, clip.read_bytes().partition(b"\n")[0] + b"\n")
    until(lambda: any(tmp_path.glob(".out.ui2c.*.part")), process)
    process.send_signal(number)
    process.communicate(timeout=HANGS)
    os.close(write)
    assert process.returncode == 130
    left = [path.name for path in tmp_path.iterdir() if path != clip]
    assert left in ([], ["out.ui2c"])
    if left:
        assert ui2c.Decoder(model=str(nano_file)).decode(out.read_bytes()) == []


def test_a_signal_amid_an_import() -> None:
    """Many imports go through `exec`, after which Python would end itself by a signal."""
    code = """
import os, signal
from ui2c.cli.signals import Ended, ending_cleanly
try:
    with ending_cleanly():
        exec("os.kill(os.getpid(), signal.SIGTERM); [None for _ in range(10**6)]")
except Ended:
    raise SystemExit(130)
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=HANGS).returncode == 130


@pytest.mark.slow
def test_what_is_to_be_ignored_stays_ignored(clip: Path, tmp_path: Path, nano_file: Path) -> None:
    """As nohup has it."""
    out = tmp_path / "out.ui2c"
    read, write = os.pipe()
    process = subprocess.Popen(
        [
            "sh",
            "-c",
            f"trap '' HUP; exec {sys.executable} -m ui2c encode - {out} -q --lead 0 "
            f"--model {nano_file}",
        ],
        stdin=read,
        stderr=subprocess.PIPE,
    )
    os.close(read)
    data = clip.read_bytes()
    with open(write, "wb", buffering=0) as pipe:
        pipe.write(data[:2000])
        until(lambda: any(tmp_path.glob(".out.ui2c.*.part")), process)
        process.send_signal(signal.SIGHUP)
        pipe.write(data[2000:])
    _, error = process.communicate(timeout=HANGS)
    assert (process.returncode, error) == (0, b"")
    assert len(ui2c.Decoder(model=str(nano_file)).decode(out.read_bytes())) == 4
