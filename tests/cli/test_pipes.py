"""Inputs and outputs of the command that are no regular files, and names that look like more."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import av
import pytest
import ui2c
from support.av_files import encode as write_video
from support.av_files import pictures
from support.clips import make_clip, write_y4m
from ui2c.cli import main
from ui2c.video import Description, open_sink, open_source

SIZE = 32, 16
HANGS = 60
"""Seconds after which a command that should have ended is taken to hang."""


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.y4m"
    write_y4m(path, [frame.planes for frame in make_clip(*SIZE, 4)])
    return path


@pytest.fixture
def coded(clip: Path, saved: Any) -> bytes:
    """What all ways to read the clip must give."""
    data: bytes = ui2c.Encoder(model=saved, lead=0).encode(list(open_source(clip)))
    return data


def command(*arguments: object, **options: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "ui2c", *map(str, arguments)],
        capture_output=True,
        timeout=HANGS,
        **options,
    )


@contextmanager
def filled(pipe: Path, data: bytes) -> Iterator[Path]:
    """A named pipe that gives the data once."""
    os.mkfifo(pipe)

    def fill() -> None:
        # Who refuses a pipe does not read it.
        with suppress(BrokenPipeError), open(pipe, "wb") as file:
            file.write(data)

    writer = threading.Thread(target=fill, daemon=True)
    writer.start()
    yield pipe
    writer.join(HANGS)


def raw(clip: Path) -> bytes:
    path = clip.with_name("plain.yuv")
    sink = open_sink(path, Description(*SIZE))
    for frame in open_source(clip):
        sink.write(frame)
    sink.close()
    return path.read_bytes()


@pytest.mark.parametrize("name", ["pipe", "pipe.y4m", "pipe.yuv"])
@pytest.mark.parametrize("is_raw", [False, True])
def test_named_pipes(
    name: str, is_raw: bool, clip: Path, coded: bytes, tmp_path: Path, nano_file: Path
) -> None:
    """Whatever their ending: y4m by how it begins, raw where a size is given."""
    options = ("--input-res", "{}x{}".format(*SIZE)) if is_raw else ()
    data = raw(clip) if is_raw else clip.read_bytes()
    with filled(tmp_path / name, data) as pipe:
        ran = command("encode", pipe, "-", *options, "--model", nano_file, "--lead", 0)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == coded


@pytest.mark.parametrize("name", ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"])
@pytest.mark.parametrize("kind", ["y4m", "yuv", "mkv"])
def test_standard_input(
    name: str, kind: str, clip: Path, coded: bytes, nano_file: Path, saved: Any
) -> None:
    if kind == "mkv":
        video = write_video(clip.with_name("v.mkv"), pictures(4, SIZE), "ffv1", rate=25)
        data = video.read_bytes()
        coded = ui2c.Encoder(model=saved, lead=0).encode(list(open_source(video)))
    else:
        data = raw(clip) if kind == "yuv" else clip.read_bytes()
    size = ("--input-res", "{}x{}".format(*SIZE)) if kind == "yuv" else ()
    ran = command("encode", name, "-", *size, "--model", nano_file, "--lead", 0, input=data)
    assert ran.returncode == 0, ran.stderr
    decoder = ui2c.Decoder(model=saved)
    assert decoder.decode(ran.stdout) == ui2c.Decoder(model=saved).decode(coded)
    if kind == "mkv":
        # What comes through a pipe has the times that it comes with.
        assert decoder.header is not None and decoder.header.frame_ticks == 0
    else:
        assert ran.stdout == coded


def test_standard_input_that_is_a_file_is_read_from_where_it_stands(
    clip: Path, coded: bytes, nano_file: Path
) -> None:
    path = clip.with_name("behind")
    path.write_bytes(b"a line before\n" + clip.read_bytes())
    for name in ("-", "/dev/stdin"):
        with open(path, "rb", buffering=0) as file:
            file.readline()
            ran = command("encode", name, "-", "--model", nano_file, "--lead", 0, stdin=file)
        assert ran.stdout == coded, ran.stderr


def test_containers_in_named_pipes(tmp_path: Path, nano_file: Path, saved: Any) -> None:
    video = write_video(tmp_path / "v.mkv", pictures(4, SIZE), "ffv1", rate=25)
    with filled(tmp_path / "pipe.mkv", video.read_bytes()) as pipe:
        ran = command("encode", pipe, "-", "--model", nano_file, "--lead", 0, "--jobs", 1)
    assert ran.returncode == 0, ran.stderr
    assert len(ui2c.Decoder(model=saved).decode(ran.stdout)) == 4


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "-"])
def test_standard_output(name: str, coded: bytes, tmp_path: Path, nano_file: Path) -> None:
    """A pipe or a file, which is neither replaced nor begun anew."""
    stream = tmp_path / "in.ui2c"
    stream.write_bytes(coded)
    decode = ("decode", stream, name, "--model", nano_file, "-q")
    piped = command(*decode)
    assert piped.returncode == 0 and piped.stdout.startswith(b"YUV4MPEG2 "), piped.stderr
    out = tmp_path / "out"
    with open(out, "wb", buffering=0) as file:
        file.write(b"before")
        subprocess.run([sys.executable, "-m", "ui2c", *map(str, decode)], stdout=file, check=True)
        file.write(b"after")
    assert out.read_bytes() == b"before" + piped.stdout + b"after"
    assert sorted(os.listdir(tmp_path)) == ["clip.y4m", "in.ui2c", "out"]


@pytest.mark.parametrize("name", ["pipe", "pipe.y4m", "pipe.yuv"])
def test_named_pipes_are_written(name: str, coded: bytes, tmp_path: Path, nano_file: Path) -> None:
    stream, pipe, plain = tmp_path / "in.ui2c", tmp_path / name, tmp_path / "plain.y4m"
    stream.write_bytes(coded)
    os.mkfifo(pipe)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()), daemon=True)
    reader.start()
    plain = plain.with_suffix(pipe.suffix or ".y4m")
    for out in (pipe, plain):
        assert main(["decode", str(stream), str(out), "--model", str(nano_file), "-q"]) == 0
    reader.join(HANGS)
    assert got == [plain.read_bytes()]
    assert pipe.is_fifo()


def test_containers_that_are_written_to_pipes(
    coded: bytes, tmp_path: Path, nano_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stream, pipe, copy = tmp_path / "in.ui2c", tmp_path / "pipe.mkv", tmp_path / "copy.mkv"
    stream.write_bytes(coded)
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: copy.write_bytes(pipe.read_bytes()), daemon=True)
    reader.start()
    decode = ("decode", str(stream), "-q", "--model", str(nano_file))
    assert main([*decode, str(pipe)]) == 0
    reader.join(HANGS)
    assert len(list(open_source(copy))) == 4
    pipe.rename(tmp_path / "pipe.mp4")
    reader = threading.Thread(target=(tmp_path / "pipe.mp4").read_bytes, daemon=True)
    reader.start()
    assert main([*decode, str(tmp_path / "pipe.mp4")]) == 2
    reader.join(HANGS)
    assert "pipe.mp4: .mp4 needs a regular file" in capsys.readouterr().err
    (tmp_path / "full.mkv").symlink_to("/dev/full")
    assert main([*decode, str(tmp_path / "full.mkv")]) == 1
    assert "full.mkv: No space left on device" in capsys.readouterr().err


def test_streams_in_pipes(coded: bytes, tmp_path: Path, nano_file: Path) -> None:
    with filled(tmp_path / "one", coded) as pipe:
        told = command("info", pipe)
    assert b"4 in 3 units" in told.stdout and told.returncode == 0
    with filled(tmp_path / "two", coded) as pipe:
        shown = command("decode", pipe, "-", "--model", nano_file)
    assert shown.returncode == 0 and shown.stdout.count(b"FRAME\n") == 4
    with filled(tmp_path / "three", coded) as pipe:
        refused = command("decode", pipe, "-", "--from", 0.04, "--model", nano_file)
    assert refused.returncode == 2 and b"--from needs a file to seek in" in refused.stderr
    with filled(tmp_path / "four", coded) as pipe:
        refused = command("compare-frames", pipe, pipe, "-o", tmp_path / "a.png")
        pipe.read_bytes()
    assert refused.returncode == 2 and b"must be a regular file" in refused.stderr


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (("-", "--csv", "/dev/stdout"), "/dev/stdout cannot be another output"),
        (("/dev/fd/1", "--csv", "/dev/stdout"), "/dev/stdout cannot be another output"),
    ],
)
def test_one_stream_takes_one_output(
    outputs: tuple[str, ...], message: str, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["encode", str(clip), *outputs]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("name", ["12:30.mkv", "pipe:0", "concat:a.mkv", "file:a.mkv", "a%03d.mkv"])
def test_names_that_are_there_are_files(
    name: str, tmp_path: Path, nano_file: Path, saved: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not protocols, and not patterns."""
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "v", pictures(3, SIZE), "ffv1", format="matroska").rename(name)
    assert main(["encode", name, "out.ui2c", "--model", str(nano_file), "-q"]) == 0
    assert len(ui2c.Decoder(model=saved).decode(Path("out.ui2c").read_bytes())) == 3


def write_png(path: Path, picture: av.VideoFrame) -> None:
    write_video(path, [picture], "png", format="image2pipe")


def test_numbered_pictures(
    tmp_path: Path,
    nano_file: Path,
    saved: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, picture in enumerate(pictures(4, SIZE, "rgb24")):
        write_png(tmp_path / f"in{number:04d}.png", picture)
    model = ("--model", str(nano_file), "-q", "-y")
    one_by_one = [next(open_source(f"in{number:04d}.png")) for number in range(4)]
    for options in ((), ("--jobs", "1", "--segment", "3")):
        assert main(["encode", "in%04d.png", "out.ui2c", "--fps", "50", *model, *options]) == 0
        decoder = ui2c.Decoder(model=saved)
        assert len(decoder.decode(Path("out.ui2c").read_bytes())) == 4
        assert decoder.header is not None and decoder.header.timebase == (1, 50)
    assert list(open_source("in%04d.png")) == one_by_one
    assert main(["encode", "in%04d.png", "out.ui2c", "--size", "3k", *model]) == 0
    assert main(["encode", "out%04d.png", "out.ui2c", *model]) == 1
    assert "out%04d.png: No such file or directory" in capsys.readouterr().err
    # One that is there is that picture.
    write_png(tmp_path / "in%04d.png", pictures(5, SIZE, "rgb24")[4])
    assert list(open_source("in%04d.png")) == [next(open_source("in%04d.png"))]
