"""ui2c encode: which pictures of an input are coded, and what is said of the others."""

from pathlib import Path
from typing import Any

import av
import pytest
import ui2c
from support.av_files import encode, pictures
from ui2c.cli import main
from ui2c.video import open_source


def run(*arguments: object) -> int:
    """The exit code of the command in this process."""
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return int(stop.code or 0)


def frames_of(stream: Path, model: Any) -> int:
    return len(ui2c.Decoder(model=model).decode(stream.read_bytes()))


@pytest.fixture
def options(nano_file: Path) -> list[object]:
    return [*("--model", nano_file, "--lead", 0, "--qp", 50), *("-y", "--progress", "none")]


@pytest.fixture
def changing(tmp_path: Path) -> Path:
    """Three frames of 32x16, then three of 16x16."""

    def coded(size: tuple[int, int], first: int, **options: Any) -> Path:
        times = [40 * (first + number) for number in range(3)]
        made = pictures(3, size, "yuvj420p")
        return encode(tmp_path / f"{size[0]}.mkv", made, "mjpeg", times=times, **options)

    def follow(packets: list[Any]) -> Any:
        yield from packets
        with av.open(str(coded((16, 16), 3))) as container:
            for packet in container.demux(video=0):
                if packet.size:
                    packet.stream = packets[0].stream
                    yield packet

    return coded((32, 16), 0, packets=follow)


def test_a_size_that_changes(
    changing: Path,
    tmp_path: Path,
    options: list[object],
    saved: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out.ui2c"
    assert run("encode", changing, out, *options) == 1
    said = capsys.readouterr().err
    assert "the picture's size changes from 32x16 to 16x16" in said
    assert "holds the 3 frames before that" in said
    assert frames_of(out, saved) == 3
    assert run("encode", changing, out, *options, "--resize") == 0
    assert frames_of(out, saved) == 6


def test_a_size_that_changes_in_segments(
    changing: Path, tmp_path: Path, options: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    """An error of the data, not of the usage; finished segments wait."""
    out = tmp_path / "out.ui2c"
    assert run("encode", changing, out, *options, "--jobs", 1, "--segment", 2) == 1
    assert "the picture's size changes" in capsys.readouterr().err
    assert not out.exists()
    assert run("encode", changing, out, *options, "--jobs", 1, "--segment", 2, "--resize") == 0


def test_damage_that_is_skipped(
    tmp_path: Path, options: list[object], saved: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    def damage(packets: list[Any]) -> list[Any]:
        broken = av.Packet(b"\xff" * packets[2].size)
        for name in ("pts", "dts", "time_base", "stream", "duration"):
            setattr(broken, name, getattr(packets[2], name))
        return [*packets[:2], broken, *packets[3:]]

    path = encode(tmp_path / "in.mov", pictures(5, (16, 16), "rgb24"), "png", packets=damage)
    out = tmp_path / "out.ui2c"
    assert run("encode", path, out, *options) == 1
    assert "is damaged" in capsys.readouterr().err
    assert frames_of(out, saved) == 2
    assert run("encode", path, out, *options, "--on-error", "skip") == 1
    said = capsys.readouterr().err
    assert "1 damaged packet is left out" in said
    assert "1 frame could not be decoded; the one before is shown again" in said
    assert frames_of(out, saved) == 5
    assert run("encode", path, out, *options, "--on-error", "skip", "--jobs", 2) == 2
    assert "--on-error skip does not go with --jobs" in capsys.readouterr().err


def test_streams(
    tmp_path: Path, options: list[object], saved: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "in.mkv"
    with av.open(str(path), "w") as container:
        made = []
        for size in ((16, 16), (32, 16)):
            stream = container.add_stream("ffv1", rate=25)
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            stream.disposition = 0
            made.append((stream, size))
        for count, (stream, size) in enumerate(made, start=1):
            for frame in pictures(count, size):
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    out = tmp_path / "out.ui2c"
    assert run("encode", path, out, *options) == 0
    assert "stream 1 is taken of its video streams (0: 16x16 ffv1, 1: 32x16 ffv1)" in (
        capsys.readouterr().err
    )
    assert frames_of(out, saved) == 2
    assert run("encode", path, out, *options, "--stream", 0) == 0
    assert "is taken" not in capsys.readouterr().err
    assert frames_of(out, saved) == 1
    assert run("encode", path, out, *options, "--stream", 2) == 2
    assert "no video stream 2" in capsys.readouterr().err


def test_segments_of_a_video_that_is_refreshed_part_by_part(
    tmp_path: Path, options: list[object]
) -> None:
    """No segment begins with what the decoder of a recovery point makes up."""
    refresh = {"x264-params": "keyint=20:min-keyint=10:intra-refresh=1:scenecut=0"}
    path = encode(tmp_path / "in.mp4", pictures(57, (32, 32)), options=refresh)
    alone, side_by_side = tmp_path / "alone.ui2c", tmp_path / "jobs.ui2c"
    same = [*options, "--skip", 50, "--keyint", 3, "--threads", 1]
    assert run("encode", path, alone, *same) == 0
    assert run("encode", path, side_by_side, *same, "--jobs", 1, "--segment", 3) == 0
    assert alone.read_bytes() == side_by_side.read_bytes()
    assert len(list(open_source(path))) == 57


def test_a_rate_that_is_none_is_no_wrong_usage(
    tmp_path: Path, options: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "in.y4m", tmp_path / "out.ui2c"
    path.write_bytes(b"YUV4MPEG2 W16 H16 F4294967295:1\nFRAME\n" + bytes(384))
    assert run("encode", path, out, *options) == 1
    assert "--fps R gives another" in capsys.readouterr().err
    assert run("encode", path, out, *options, "--fps", 25) == 0
