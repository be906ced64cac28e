"""The command, in process and as a child where pipes, signals and terminals matter."""

import csv
import io
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import ui2c
from support.clips import make_clip
from support.streams import coded_units
from ui2c.cli import main
from ui2c.cli.decode import CountedFile
from ui2c.network.torch_model import save_model
from ui2c.video import Description, open_sink, open_source

FRAMES = 5


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Five frames of 36x20 as y4m."""
    path = tmp_path / "clip.y4m"
    sink = open_sink(path, Description(36, 20))
    for frame in make_clip(36, 20, FRAMES):
        sink.write(frame)
    sink.close()
    return path


@pytest.fixture
def stream(tmp_path: Path, saved: Any) -> Path:
    """Eight frames of 16x16 in five units, the fourth a random-access unit."""
    path = tmp_path / "eight.ui2c"
    path.write_bytes(ui2c.Encoder(model=saved, keyint=4, lead=0).encode(make_clip(16, 16, 8)))
    return path


def run(*arguments: object) -> int:
    """The exit code of the command in this process."""
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return int(stop.code or 0)


def child(*arguments: object, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "ui2c", *map(str, arguments)],
        stdin=options.pop("stdin", subprocess.DEVNULL),
        stdout=subprocess.PIPE,
        stderr=options.pop("stderr", subprocess.PIPE),
        **options,
    )


def one_error(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on standard error, which is an error."""
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("ui2c: error: ")
    return line


def test_there_and_back(
    clip: Path, tmp_path: Path, nano_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, recon, table, again = (
        tmp_path / name for name in ("clip.ui2c", "recon.y4m", "clip.csv", "again.y4m")
    )
    code = run(
        *("encode", clip, out, "--qp", 20, "--model", nano_file, "--psnr"),
        *("--recon", recon, "--csv", table, "--keyint", 2, "--lead", 0),
    )
    assert code == 0
    summary = capsys.readouterr().err
    assert f"{FRAMES} frames" in summary
    size = out.stat().st_size
    assert f"{size} bytes" in summary
    assert f"{8 * size / (FRAMES * 36 * 20):.5f} bit/pixel" in summary
    assert "PSNR Y" in summary and "6:1:1" in summary

    rows = list(csv.DictReader(io.StringIO(table.read_text())))
    assert [row["frame"] for row in rows] == list("01234")
    assert [row["unit"] for row in rows] == list("01123")
    assert [row["type"] == "intra" for row in rows] == [True, False, False, True, False]
    assert {row["qp"] for row in rows} == {"20"}
    assert sum(int(row["bits"]) for row in rows) < 8 * size
    assert all(float(row["psnr_y"]) > 0 for row in rows)

    assert run("decode", out, again, "--model", nano_file) == 0
    assert again.read_bytes() == recon.read_bytes()
    assert not list(tmp_path.glob("*.part"))


def test_frames_and_skip(clip: Path, tmp_path: Path, nano_file: Path, saved: Any) -> None:
    out = tmp_path / "part.ui2c"
    assert run("encode", clip, out, "--model", nano_file, "--skip", 1, "--frames", 3, "-q") == 0
    expected = ui2c.Encoder(model=saved).encode(list(open_source(clip))[1:4])
    assert out.read_bytes() == expected
    assert run("encode", clip, out, "--model", nano_file, "--skip", 9, "-q", "-y") == 0
    assert ui2c.Decoder(model=saved).decode(out.read_bytes()) == []


def test_raw_video(tmp_path: Path, nano_file: Path, saved: Any) -> None:
    raw, out, again = (tmp_path / name for name in ("in.yuv", "out.ui2c", "again.yuv"))
    frames = make_clip(10, 6, 2, bit_depth=10)
    sink = open_sink(raw, Description(10, 6, 10))
    for frame in frames:
        sink.write(frame)
    sink.close()
    options = ("--input-res", "10x6", "--input-depth", 10, "--fps", "30000/1001")
    assert run("encode", raw, out, *options, "--model", nano_file, "-q") == 0
    decoder = ui2c.Decoder(model=saved)
    decoded = decoder.decode(out.read_bytes())
    assert decoder.header is not None and decoder.header.timebase == (1001, 30000)
    assert run("decode", out, again, "--model", nano_file, "-q") == 0
    source = open_source(again, width=10, height=6, bit_depth=10)
    assert list(source) == decoded


def test_containers(city: Path, tmp_path: Path, nano_file: Path) -> None:
    pytest.importorskip("av")
    out, again = tmp_path / "city.ui2c", tmp_path / "city.mp4"
    assert run("encode", city, out, "--frames", 2, "--model", nano_file, "-q") == 0
    assert run("decode", out, again, "--model", nano_file, "-q") == 0
    assert open_source(again).description == Description(352, 192, color=(1, 1, 1), frames=2)


@pytest.mark.slow
def test_pipes(clip: Path, tmp_path: Path, nano_file: Path, saved: Any) -> None:
    out = tmp_path / "clip.ui2c"
    assert run("encode", clip, out, "--model", nano_file, "-q") == 0
    with open(clip, "rb") as file:
        encoder = child("encode", "-", "-", "--model", nano_file, stdin=file)
        decoder = child("decode", "-", "-", "--model", nano_file, stdin=encoder.stdout)
        assert encoder.stdout is not None
        encoder.stdout.close()
        y4m, _ = decoder.communicate()
    assert (encoder.wait(), decoder.returncode) == (0, 0)
    assert encoder.stderr is not None
    encoder.stderr.close()
    path = tmp_path / "piped.y4m"
    path.write_bytes(y4m)
    assert list(open_source(path)) == ui2c.Decoder(model=saved).decode(out.read_bytes())


def test_y4m_taken_for_raw_is_noticed(clip: Path, nano_file: Path) -> None:
    with open(clip, "rb") as file:
        encoder = child(
            "encode", "-", os.devnull, "--input-res", "36x20", "--model", nano_file, stdin=file
        )
        _, error = encoder.communicate()
    assert encoder.returncode == 2
    assert b"standard input is not raw video: it has a size and bit depth of its own" in error


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "standard input is a ui2c stream: ui2c decode makes a video of it"),
        (b"", "standard input is empty"),
        (b"some text\n" * 100, "standard input is not a video that FFmpeg can read"),
    ],
)
def test_pipes_that_hold_no_video(given: bytes | None, message: str, stream: Path) -> None:
    encoder = child("encode", "-", os.devnull, stdin=subprocess.PIPE)
    _, error = encoder.communicate(stream.read_bytes() if given is None else given)
    assert encoder.returncode == 1
    (line,) = error.decode().splitlines()
    assert message in line


def test_a_reader_that_leaves(stream: Path, nano_file: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    decoder = subprocess.run(
        [sys.executable, "-m", "ui2c", "decode", stream, "-", "--model", nano_file],
        stdout=write,
        stderr=subprocess.PIPE,
    )
    os.close(write)
    assert decoder.returncode == 1
    assert b"broken pipe" in decoder.stderr
    assert len(decoder.stderr.splitlines()) == 1


@pytest.mark.parametrize("arguments", [("--version", "-v"), ("completion", "bash"), ("info", "")])
@pytest.mark.parametrize("gone", [True, False])
def test_printing_that_fails(arguments: tuple[str, ...], gone: bool, stream: Path) -> None:
    """One line and exit code 1, neither a traceback nor a second try of Python at its end."""
    if gone:
        read, output = os.pipe()
        os.close(read)
    else:
        output = os.open("/dev/full", os.O_WRONLY)
    printer = subprocess.run(
        [sys.executable, "-m", "ui2c", *(argument or stream for argument in arguments)],
        stdout=output,
        stderr=subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
    )
    os.close(output)
    (line,) = printer.stderr.decode().splitlines()
    reason = "gone (broken pipe)" if gone else "standard output: No space left on device"
    assert printer.returncode == 1 and line.startswith("ui2c: error: ") and reason in line


@pytest.mark.parametrize("options", [(), ("--size", "2k")])
def test_an_input_that_ends_early(
    options: tuple[str, ...],
    clip: Path,
    tmp_path: Path,
    nano_file: Path,
    saved: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is whole is coded, and the rest named."""
    clip.write_bytes(clip.read_bytes()[:-1])
    out = tmp_path / "out.ui2c"
    assert run("encode", clip, out, "--model", nano_file, "-q", *options) == 1
    assert f"{clip}: data ends early" in (line := one_error(capsys))
    assert f"frame 4 is incomplete; {out} holds the 4 frames before" in line
    assert len(ui2c.Decoder(model=saved).decode(out.read_bytes())) == 4


def test_a_pipe_that_breaks_off(clip: Path, tmp_path: Path, nano_file: Path, saved: Any) -> None:
    """As where the program that fills it is killed; here read by segments."""
    clip.write_bytes(clip.read_bytes()[:-1])
    out = tmp_path / "out.ui2c"
    with open(clip, "rb") as file:
        encoder = child("encode", "-", out, "--model", nano_file, "--jobs", 1, "-q", stdin=file)
        _, error = encoder.communicate()
    assert encoder.returncode == 1
    (line,) = error.decode().splitlines()
    assert "standard input: data ends early" in line and f"{out} holds the 4 frames" in line
    assert len(ui2c.Decoder(model=saved).decode(out.read_bytes())) == 4


def test_no_frames(
    clip: Path, tmp_path: Path, nano_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ("--model", nano_file)
    assert run("encode", clip, tmp_path / "none.ui2c", "--skip", FRAMES, *model) == 0
    assert f"{clip} has no frame after the first {FRAMES}\n" in capsys.readouterr().err
    assert run("encode", clip, tmp_path / "none.ui2c", "--frames", 0, "-y", *model) == 0
    assert "has no frame" not in capsys.readouterr().err
    assert run("decode", tmp_path / "none.ui2c", tmp_path / "none.y4m", *model) == 0
    capsys.readouterr()
    assert run("decode", tmp_path / "none.ui2c", tmp_path / "none.mp4", *model) == 1
    assert f"{tmp_path / 'none.mp4'}: no frame to write" in one_error(capsys)
    assert not list(tmp_path.glob("*none.mp4*"))


def test_a_file_that_cannot_hold_the_times(
    tmp_path: Path, nano_file: Path, saved: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = [
        replace(frame, pts=pts)
        for frame, pts in zip(make_clip(16, 16, 3), (0, 40, 200), strict=True)
    ]
    stream = tmp_path / "irregular.ui2c"
    stream.write_bytes(ui2c.Encoder(model=saved, timebase=Fraction(1, 1000)).encode(frames))
    for name, expected in (("out.y4m", True), ("out.mkv", False)):
        assert run("decode", stream, tmp_path / name, "--model", nano_file) == 0
        assert ("cannot hold the irregular times" in capsys.readouterr().err) == expected


def test_a_full_disk(clip: Path, nano_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no device that is always full")
    assert run("encode", clip, "/dev/full", "--model", nano_file) == 1
    assert "/dev/full: No space left on device" in one_error(capsys)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_control_c_leaves_a_valid_file(
    number: signal.Signals, tmp_path: Path, nano_file: Path, saved: Any
) -> None:
    out = tmp_path / "out.ui2c"
    read, write = os.pipe()
    encoder = child("encode", "-", out, "--model", nano_file, stdin=read)
    os.close(read)
    with open(write, "wb", buffering=0) as pipe:
        pipe.write(b"YUV4MPEG2 W16 H16 F25:1 C420\n")
        # The output begins once all is set up, so that the signal finds the coding loop.
        frame = b"FRAME\n" + bytes(16 * 16 * 3 // 2)
        for _ in range(2):
            pipe.write(frame)
        while not list(tmp_path.glob(".out.ui2c.*.part")):
            assert encoder.poll() is None, encoder.communicate()[1]
            time.sleep(0.05)
        while not any(part.stat().st_size for part in tmp_path.glob(".out.ui2c.*.part")):
            pipe.write(frame * 2)
            assert encoder.poll() is None, encoder.communicate()[1]
            time.sleep(0.05)
        encoder.send_signal(number)
        # No more comes, and the pipe stays open: the command must not wait for it.
        _, error = encoder.communicate()
    assert encoder.returncode == 130
    assert b"interrupted after" in error
    assert len(ui2c.Decoder(model=saved).decode(out.read_bytes())) >= 2


@pytest.mark.slow
def test_live_streams_do_not_wait(stream: Path, nano_file: Path) -> None:
    """Frames and units leave when they are there, and Ctrl-C is heard while nothing comes."""
    whole = stream.read_bytes()
    half = whole[: coded_units(whole)[3].offset]
    decoder = child("decode", "-", "-", "--model", nano_file, stdin=subprocess.PIPE)
    assert decoder.stdin is not None and decoder.stdout is not None
    decoder.stdin.write(half)
    decoder.stdin.flush()
    header = decoder.stdout.readline()
    frames = decoder.stdout.read(5 * (len(b"FRAME\n") + 16 * 16 * 3 // 2))
    assert header.startswith(b"YUV4MPEG2 W16") and len(frames) == 5 * 390
    encoder = child("encode", "-", "-", "--model", nano_file, stdin=subprocess.PIPE)
    assert encoder.stdin is not None and encoder.stdout is not None
    encoder.stdin.write(header + frames)
    encoder.stdin.flush()
    parser = ui2c._core.Parser()
    inter = False
    while not inter:
        unit = parser.next_unit()
        inter = isinstance(unit, ui2c._core.CodedUnit) and not unit.intra
        if unit is None:
            parser.feed(encoder.stdout.read1(4096))  # type: ignore[attr-defined]
    for process, said in ((decoder, b"interrupted after 5"), (encoder, b"interrupted after 5")):
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert process.wait() == 130
        assert said in process.stderr.read()
        for pipe in (process.stdin, process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()


@pytest.mark.slow
def test_progress_on_a_terminal(tmp_path: Path, nano_file: Path, city: Path) -> None:
    main_end, child_end = pty.openpty()
    out = tmp_path / "city.ui2c"
    encoder = child("encode", city, out, "--model", nano_file, stderr=child_end)
    os.close(child_end)
    seen = b""
    try:
        while data := os.read(main_end, 4096):
            seen += data
    except OSError:
        pass
    os.close(main_end)
    encoder.communicate()
    assert encoder.returncode == 0
    assert b"\rframe " in seen and b"/24" in seen and b"ETA" in seen and b"kbit/s" in seen
    assert b"24 frames in" in seen


def test_existing_files_are_kept(
    clip: Path, tmp_path: Path, nano_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.ui2c"
    out.write_bytes(b"old")
    assert run("encode", clip, out, "--model", nano_file) == 1
    assert f"{out}: exists already, -y overwrites it" in one_error(capsys)
    assert out.read_bytes() == b"old"
    assert run("encode", clip, out, "--model", nano_file, "-y", "-q") == 0
    again = tmp_path / "again.y4m"
    again.write_bytes(b"old")
    assert run("decode", out, again, "--model", nano_file) == 1
    assert "exists already" in one_error(capsys)
    assert again.read_bytes() == b"old"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("encode", "missing.y4m", "out.ui2c"), "missing.y4m: No such file or directory"),
        (("decode", "missing.ui2c", "out.y4m"), "missing.ui2c: No such file or directory"),
        (("info", "missing.ui2c"), "missing.ui2c: No such file or directory"),
        (("encode", "{clip}", "nowhere/out.ui2c"), "nowhere/out.ui2c: its directory does not"),
        (("encode", "{clip}", "out.ui2c", "--model", "enormous"), "enormous"),
        (("decode", "{clip}", "out.y4m"), "not a ui2c stream"),
        (("info", "{clip}"), "clip.y4m: corrupt data at byte 0: not a ui2c stream"),
    ],
)
def test_errors_of_data_and_files(
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*(argument.format(clip=clip) for argument in arguments)) == 1
    assert message in one_error(capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.y4m"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("encode", "a.y4m"), "required: OUT"),
        (("encode", "a.y4m", "b.ui2c", "--qp", "64"), "--qp: must be 0 to 63, not 64"),
        (("encode", "a.y4m", "b.ui2c", "--qp", "x"), "invalid integer value"),
        (("encode", "a.yuv", "b.ui2c", "--input-res", "12"), "must be WIDTHxHEIGHT"),
        (("encode", "a.yuv", "b.ui2c", "--fps", "0"), "must be a rate"),
        (("encode", "a.y4m", "a.y4m"), "a.y4m cannot be the input and an output at once"),
        (("encode", "a.y4m", "b", "--recon", "b"), "b cannot be another output and an output"),
        (("encode", "raw.yuv", "b.ui2c"), "needed (of the command: --input-res WxH)"),
        (("encode", "raw.yuv", "b", "--input-res", "2x2", "--device", "x"), "device must be"),
        (("encode", "raw.yuv", "b", "--input-res", "2x2", "--recon", "c.gif"), "must end in"),
        (("decode", "a.ui2c", "out.gif"), "the output must end in .y4m"),
        (("decode", "a.ui2c", "out.y4m", "--device", "abacus"), "device must be"),
        (("encode", "raw.yuv", "b.mp4", "--input-res", "2x2"), "so name it .ui2c"),
        (("info",), "either a FILE or --model"),
        (("info", "a.ui2c", "--plot", "a.ui2c", "-y"), "cannot be the input and an output"),
        (("info", "--model", "small", "--plot", "a.html"), "--plot goes with a FILE"),
        (("sing",), "invalid choice"),
        ((), "usage"),
    ],
)
def test_wrong_usage(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw.yuv").write_bytes(bytes(6))
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and message in captured.err
    if arguments:
        (line,) = captured.err.splitlines()
        assert line.startswith("ui2c: error: ")
    assert [path.name for path in tmp_path.iterdir()] == ["raw.yuv"]


def test_damage(
    stream: Path, tmp_path: Path, nano_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = stream.read_bytes()
    offset = coded_units(whole)[2].offset
    damaged = bytearray(whole)
    damaged[offset + 4] ^= 1
    stream.write_bytes(damaged)
    out = tmp_path / "out.y4m"
    assert run("decode", stream, out, "--model", nano_file, "--strict") == 1
    assert "corrupt data at byte" in one_error(capsys)
    assert not out.exists()
    assert run("decode", stream, out, "--model", nano_file) == 1
    error = capsys.readouterr().err
    assert "corrupt data at byte" in error and "lost to damage: frames 3 to 4" in error
    assert len(list(open_source(out))) == 6
    assert run("info", stream) == 1
    captured = capsys.readouterr()
    assert "16x16" in captured.out and "corrupt data" in captured.err


def test_damage_to_what_is_no_frame(
    stream: Path, tmp_path: Path, nano_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = bytearray(stream.read_bytes())
    damaged[damaged.index(b"encoder")] ^= 1
    stream.write_bytes(damaged)
    out = tmp_path / "out.y4m"
    assert run("decode", stream, out, "--model", nano_file) == 1
    assert "no frame is lost" in capsys.readouterr().err
    assert len(list(open_source(out))) == 8


def test_a_missing_end(
    stream: Path, tmp_path: Path, nano_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = stream.read_bytes()
    stream.write_bytes(whole[: coded_units(whole)[4].offset + 9])
    out = tmp_path / "out.y4m"
    assert run("decode", stream, out, "--model", nano_file) == 1
    error = capsys.readouterr().err
    assert "data ends early" in error and "lost to damage: frames 6 to the end" in error
    assert len(list(open_source(out))) == 6
    assert run("decode", stream, tmp_path / "strict.y4m", "--model", nano_file, "--strict") == 1
    assert not (tmp_path / "strict.y4m").exists()


def test_verbose_shows_where(
    tmp_path: Path, nano_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.ui2c"
    bad.write_bytes(b"nothing")
    assert run("decode", bad, tmp_path / "out.y4m", "--model", nano_file, "-v") == 1
    assert "Traceback" in capsys.readouterr().err


def test_quiet_says_nothing(
    clip: Path, tmp_path: Path, nano_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.ui2c"
    assert run("encode", clip, out, "--model", nano_file, "--psnr", "-q") == 0
    assert run("decode", out, tmp_path / "out.y4m", "--model", nano_file, "-q") == 0
    assert capsys.readouterr() == ("", "")


def test_info(stream: Path, capsys: pytest.CaptureFixture[str], saved: Any) -> None:
    assert run("info", stream) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["size"] == "16x16, 4:2:0, 8 bits"
    assert lines["frames"] == "8 in 5 units"
    assert lines["bytes"] == str(stream.stat().st_size)
    assert lines["model"] == f"id       {saved.model_id.hex()}"
    assert lines["intra"].startswith("units    2, ")
    assert lines["inter"].startswith("units    3, ")
    assert lines["qp"] == "32"
    assert "kbit/s" in lines["rate"]
    assert run("info", stream, "--units") == 0
    out = capsys.readouterr().out
    for kind, count in (("sequence", 2), ("intra", 2), ("inter", 3), ("end", 1), ("index", 1)):
        assert sum(f" {kind} " in line and " bytes" in line for line in out.splitlines()) == count


def test_info_does_without_torch(stream: Path) -> None:
    code = (
        "import sys; from ui2c.cli import main; main(sys.argv[1:]); print('torch' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, "info", stream], capture_output=True, text=True
    )
    assert result.stdout.splitlines()[-1] == "False"


def test_info_of_a_model(nano_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", "--model", nano_file) == 0
    out = capsys.readouterr().out
    assert "frames_per_unit 2" in " ".join(out.split())
    assert "kMAC/pixel" in out and "total" in out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"ui2c {ui2c.__version__}\n"
    assert run("--version", "-v") == 0
    assert "torch" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["train", "data"])
def test_other_commands_are_handed_on(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command, "--help") == 0
    assert "usage" in capsys.readouterr().out


def test_decoding_from_a_time(
    stream: Path, tmp_path: Path, nano_file: Path, saved: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = ui2c.Decoder(model=saved).decode(stream.read_bytes())
    out = tmp_path / "part.y4m"
    options = ("--model", nano_file, "-q", "-y")
    assert run("decode", stream, out, "--from", "0.2", "--frames", 2, *options) == 0
    assert list(open_source(out)) == expected[5:7]
    assert run("decode", stream, out, "--from", "0:00:00.12", *options) == 0
    assert list(open_source(out)) == expected[3:]
    assert run("decode", stream, tmp_path / "none.y4m", "--from", "7", *options) == 2
    assert "0.32 s are all" in one_error(capsys)
    assert run("decode", "-", out, "--from", "7", *options) == 2
    assert "--from needs a file" in one_error(capsys)


def test_damage_behind_a_time(
    stream: Path, tmp_path: Path, nano_file: Path, saved: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = stream.read_bytes()
    expected = ui2c.Decoder(model=saved).decode(whole)
    damaged = bytearray(whole)
    damaged[coded_units(whole)[2].offset + 4] ^= 1
    stream.write_bytes(damaged)
    out = tmp_path / "part.y4m"
    assert run("decode", stream, out, "--from", "0.08", "--model", nano_file, "-q") == 1
    error = capsys.readouterr().err
    assert "corrupt data at byte" in error and "lost to damage: frames 3 to 4" in error
    assert list(open_source(out)) == [expected[2], *expected[5:]]
    assert run("decode", stream, out, "--from", "0.2", "--model", nano_file, "-q", "-y") == 0
    strict = ("--strict", "-y", "-q")
    assert run("decode", stream, out, "--from", "0.08", "--model", nano_file, *strict) == 1


def test_low_latency(
    clip: Path,
    tmp_path: Path,
    nano_file: Path,
    single: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out.ui2c"
    assert run("encode", clip, out, "--low-latency", "--model", "nosuch") == 2
    assert "needs weights nosuch-single" in one_error(capsys)
    assert run("encode", clip, out, "--low-latency", "--model", nano_file) == 2
    assert "frames_per_unit = 1" in one_error(capsys)
    folder = tmp_path / "models"
    folder.mkdir()
    save_model(single.engine.codec, folder / "nano-single.safetensors")
    monkeypatch.setattr("ui2c.network.model.model_folder", lambda: folder)
    for model in ("nano", "nano-single", folder / "nano-single.safetensors"):
        assert run("encode", clip, out, "--low-latency", "--model", model, "-q", "-y") == 0
        assert run("info", out) == 0
        assert "delay          none" in capsys.readouterr().out


@pytest.mark.parametrize("size", [0, 1, 1000, 10**6])
def test_how_much_of_a_file_is_read(tmp_path: Path, size: int) -> None:
    path = tmp_path / "data"
    path.write_bytes(bytes(range(250)) * (size // 250) or bytes(size))
    with open(path, "rb") as file:
        counted = CountedFile(file)
        assert counted.fraction is None
        pieces, fractions = [], []
        for piece in counted:
            pieces.append(piece)
            fractions.append(counted.fraction)
    assert b"".join(pieces) == path.read_bytes()
    if size:
        assert fractions[-1] == 1 and fractions == sorted(fractions)
        assert fractions[0] <= max(0.01, 1 / size)


def test_progress_for_programs(
    clip: Path,
    tmp_path: Path,
    nano_file: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ui2c.cli.progress.INTERVAL", 0.0)
    out = tmp_path / "out.ui2c"
    options = ("--model", nano_file, "--progress", "json")
    assert run("encode", clip, out, "--psnr", *options) == 0
    *steps, end = map(json.loads, capsys.readouterr().err.splitlines())
    assert [step["event"] for step in steps] == ["progress"] * FRAMES
    assert steps[-1]["of"] == FRAMES and 0 <= steps[-1]["fraction"] <= 1
    assert end["event"] == "end" and end["frames"] == FRAMES
    assert end["bytes"] == out.stat().st_size and end["psnr"] > 0 and not end["interrupted"]
    assert run("decode", out, tmp_path / "again.y4m", *options) == 0
    *steps, end = map(json.loads, capsys.readouterr().err.splitlines())
    assert len(steps) == FRAMES and end["frames"] == FRAMES


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg")
@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p10le"])
def test_pipes_with_ffmpeg(tmp_path: Path, nano_file: Path, pixels: str) -> None:
    """ffmpeg -> encode -> decode -> ffmpeg, as on a command line."""
    quiet = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin"]
    picture = "testsrc2=size=64x48:rate=30000/1001:duration=0.2"
    y4m = ["-f", "yuv4mpegpipe", "-strict", "-1", "-"]
    out = tmp_path / "out.mkv"
    source = subprocess.Popen(
        [*quiet, "-f", "lavfi", "-i", picture, "-pix_fmt", pixels, *y4m], stdout=subprocess.PIPE
    )
    encoder = child("encode", "-", "-", "-q", "--model", nano_file, stdin=source.stdout)
    decoder = child("decode", "-", "-", "-q", "--model", nano_file, stdin=encoder.stdout)
    sink = subprocess.Popen(
        [*quiet, "-f", "yuv4mpegpipe", "-i", "-", "-c:v", "ffv1", str(out)], stdin=decoder.stdout
    )
    for process in (source, encoder, decoder):
        assert process.stdout is not None
        process.stdout.close()
    assert [process.wait() for process in (source, encoder, decoder, sink)] == [0] * 4
    for process in (encoder, decoder):
        assert process.stderr is not None
        process.stderr.close()
    pytest.importorskip("av")
    video = open_source(out).description
    assert (video.width, video.height, video.frames) == (64, 48, 6)
    assert video.fps == Fraction(30000, 1001)
    assert video.bit_depth == (10 if "10" in pixels else 8)
