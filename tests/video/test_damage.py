"""Where decoding of an input begins, and how it goes on after damage and changes of size."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from support.av_files import encode, pictures
from ui2c import CorruptError, UnsupportedError
from ui2c.video import open_source
from ui2c.video.intact import Intact

FRAMES = 12
KEYINT = 4


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libvpx", {"cpu-used": "4", "lag-in-frames": "0"}),
        ("libvpx-vp9", {"cpu-used": "4", "lag-in-frames": "0"}),
    ],
)
@pytest.mark.parametrize("fps", [None, 10])
def test_without_its_first_keyframe(
    tmp_path: Path, codec: str, options: dict[str, str], fps: int | None
) -> None:
    times = [40 * number for number in range(FRAMES)]
    options = {**options, "g": str(KEYINT), "keyint_min": str(KEYINT)}
    whole = encode(tmp_path / "whole.webm", pictures(FRAMES), codec, times=times, options=options)
    cut = encode(
        tmp_path / "cut.webm",
        pictures(FRAMES),
        codec,
        times=times,
        options=options,
        packets=lambda packets: packets[1:],
    )
    expected = list(open_source(whole))[KEYINT:]
    source = open_source(cut, fps=fps)
    assert source.description.frames == FRAMES - KEYINT
    assert list(source) == expected
    assert any("begins without a keyframe" in note for note in source.notes)
    again = open_source(cut, fps=fps)
    again.skip(2)
    assert list(again) == expected[2:]


def damage(number: int) -> Any:
    """Replaces what a packet holds."""

    def change(packets: list[Any]) -> list[Any]:
        made = []
        for index, packet in enumerate(packets):
            if index == number:
                other = av.Packet(b"\xff" * packet.size)
                other.pts, other.dts, other.time_base = packet.pts, packet.dts, packet.time_base
                other.stream, other.duration = packet.stream, packet.duration
                packet = other
            made.append(packet)
        return made

    return change


@pytest.mark.parametrize("regular", [True, False])
def test_one_damaged_packet(tmp_path: Path, regular: bool) -> None:
    """Each picture stands alone, so that nothing but the damaged one is lost."""
    times = [40 * number + (0 if regular else number * number) for number in range(FRAMES)]
    intact, damaged = (
        encode(tmp_path / f"{name}.mov", pictures(FRAMES, pixels="rgb24"), "png", **options)
        for name, options in (
            ("intact", {"times": times}),
            ("damaged", {"times": times, "packets": damage(5)}),
        )
    )
    expected = list(open_source(intact))

    kept = Intact(open_source(damaged))
    assert list(kept) == expected[:5]
    assert isinstance(kept.damage, CorruptError)

    source = open_source(damaged, on_error="skip")
    shown = list(source)
    if regular:
        assert shown == [*expected[:5], expected[4], *expected[6:]]
        assert len(source.losses) == 2
    else:
        assert shown == expected[:5] + expected[6:]
        timebase = 1000 * source.description.timebase
        read = [frame.pts * timebase for frame in shown if frame.pts is not None]
        assert read == times[:5] + times[6:]
        assert len(source.losses) == 1
    assert "1 damaged packet is left out" in source.losses[0]


def test_a_frame_that_is_missing_leaves_no_gap(tmp_path: Path) -> None:
    """Seeking over it gives what decoding from the beginning gives."""
    count = 100
    path = encode(tmp_path / "clip.mov", pictures(count, pixels="rgb24"), "png", packets=damage(30))
    everything = list(open_source(path, on_error="skip"))
    assert len(everything) == count and everything[30] == everything[29]
    for skipped in (20, 30, 31, 60, 99):
        source = open_source(path, on_error="skip")
        source.skip(skipped)
        assert list(source) == everything[skipped:], skipped


def test_what_is_to_be_done_about_errors(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="on_error must be one of stop, skip, not 'ignore'"):
        open_source(tmp_path / "clip.mkv", on_error="ignore")


def two_sizes(tmp_path: Path) -> Path:
    """Three frames of 64x48, then three of 32x16."""

    def coded(size: tuple[int, int], first: int, **options: Any) -> Path:
        times = [40 * (first + number) for number in range(3)]
        made = pictures(3, size, "yuvj420p")
        path = tmp_path / f"{size[0]}.mkv"
        return encode(path, made, "mjpeg", times=times, **options)

    def follow(packets: list[Any]) -> Any:
        yield from packets
        with av.open(str(coded((32, 16), 3))) as container:
            for packet in container.demux(video=0):
                if packet.size:
                    packet.stream = packets[0].stream
                    yield packet

    return coded((64, 48), 0, packets=follow)


def test_a_size_that_changes(tmp_path: Path) -> None:
    path = two_sizes(tmp_path)
    kept = Intact(open_source(path))
    assert len(list(kept)) == 3
    assert isinstance(kept.damage, UnsupportedError)
    assert "frame 3: the picture's size changes from 64x48 to 32x16" in str(kept.damage)


def test_a_size_that_is_scaled_back(tmp_path: Path) -> None:
    path = two_sizes(tmp_path)
    shown = list(open_source(path, resize=True))
    assert [(frame.width, frame.height) for frame in shown] == [(64, 48)] * 6
    assert shown[:3] == list(Intact(open_source(path)))
    small = list(open_source(tmp_path / "32.mkv"))[-1]
    assert np.abs(shown[-1].y[::3, ::2].astype(int) - small.y).mean() < 6
