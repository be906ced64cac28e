"""Every frame of a file has the time that the file gives it."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.av_files import MILLISECONDS, encode, pictures
from ui2c.video import open_source
from ui2c.video.timing import Clock, Timing, read_timing, regular_rate

FRAMES = 16
REGULAR = [40 * number for number in range(FRAMES)]
IRREGULAR = [0, 40, 90, 200, 230, 280, 400, 440, 480, 530, 600, 620, 680, 720, 790, 1000]
GAP = [*REGULAR[:7], *(time + 40 for time in REGULAR[7:])]
LONG = [*REGULAR[:7], *(time + 15_000 for time in REGULAR[7:])]
LATE = [time + 5000 for time in REGULAR]
B_FRAMES = {"bf": "2"}

KINDS: list[tuple[str, str, str, dict[str, str]]] = [
    ("mp4", "libx264", "yuv420p", B_FRAMES),
    ("mp4", "libx265", "yuv420p", {"x265-params": "log-level=none:bframes=2"}),
    ("mp4", "mpeg4", "yuv420p", B_FRAMES),
    ("mp4", "libsvtav1", "yuv420p", {"preset": "12"}),
    ("mov", "mjpeg", "yuvj420p", {}),
    ("mov", "prores_ks", "yuv422p10le", {}),
    ("matroska", "libx264", "yuv420p", B_FRAMES),
    ("matroska", "ffv1", "yuv420p", {}),
    ("webm", "libvpx", "yuv420p", {}),
    ("webm", "libvpx-vp9", "yuv420p", {}),
    ("mpegts", "libx264", "yuv420p", B_FRAMES),
    ("flv", "libx264", "yuv420p", B_FRAMES),
    ("flv", "flv", "yuv420p", {}),
    ("nut", "mpeg4", "yuv420p", B_FRAMES),
    ("gif", "gif", "rgb8", {}),
]


def read(path: Path) -> tuple[list[Fraction], Any]:
    """Every frame's time in milliseconds, and the source."""
    source = open_source(path)
    video = source.description
    frames = list(source)
    if video.fps is None:
        times = [frame.pts * video.timebase for frame in frames if frame.pts is not None]
    else:
        assert all(frame.pts is None for frame in frames)
        times = [number / video.fps for number in range(len(frames))]
    assert video.frames in (None, len(frames))
    return [1000 * time for time in times], source


@pytest.mark.parametrize(
    "times",
    [REGULAR, IRREGULAR, GAP, LONG, LATE],
    ids=["regular", "irregular", "gap", "long", "late"],
)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind[0]}-{kind[1]}")
def test_containers_and_codecs(
    tmp_path: Path, kind: tuple[str, str, str, dict[str, str]], times: Sequence[int]
) -> None:
    format, codec, pixels, options = kind
    timebase = Fraction(1, 100) if codec == "gif" else MILLISECONDS
    path = encode(
        tmp_path / "clip",
        pictures(FRAMES, pixels=pixels),
        codec,
        format=format,
        times=[round(time * MILLISECONDS / timebase) for time in times],
        timebase=timebase,
        options=options,
    )
    shown, source = read(path)
    assert [round(time) for time in shown] == [time - times[0] for time in times]
    assert (source.description.fps == 25) == (times in (REGULAR, LATE))
    assert source.losses == []


@pytest.mark.parametrize("codec", ["mpeg4", "libx264", "mjpeg"])
@pytest.mark.parametrize("gap", [False, True])
def test_avi_holds_no_presentation_times(tmp_path: Path, codec: str, gap: bool) -> None:
    numbers = [number + (gap and number > 6) for number in range(FRAMES)]
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    options = B_FRAMES if codec == "mpeg4" else {"bf": "0"} if codec == "libx264" else {}
    path = encode(
        tmp_path / "clip.avi",
        pictures(FRAMES, pixels=pixels),
        codec,
        times=numbers,
        timebase=Fraction(1, 25),
        options=options,
    )
    shown, source = read(path)
    assert (source.description.fps == 25) == (not gap)
    assert len(shown) == FRAMES and shown == sorted(set(shown))
    assert shown[-1] == 40 * numbers[-1]


def test_h264_with_b_frames_in_avi_is_regular(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.avi", pictures(FRAMES), options=B_FRAMES)
    shown, source = read(path)
    assert shown == REGULAR and source.losses == []


@pytest.mark.parametrize("format", ["mpegts", "mpeg"])
def test_joined_files_go_on(tmp_path: Path, format: str) -> None:
    codec = {"mpegts": "libx264", "mpeg": "mpeg2video"}[format]
    parts = []
    for late in (0, 13 if format == "mpegts" else 0):
        times = None if format == "mpeg" else [time + late for time in REGULAR]
        part = encode(tmp_path / f"part{late}", pictures(FRAMES), codec, format=format, times=times)
        parts.append(part.read_bytes())
    path = tmp_path / "joined"
    path.write_bytes(b"".join(parts))
    shown, source = read(path)
    assert shown == [40 * number for number in range(2 * FRAMES)]
    assert any("clock starts anew" in note for note in source.notes)


def test_a_clock_that_leaps_forward_in_a_joined_file(tmp_path: Path) -> None:
    parts = [
        encode(
            tmp_path / f"part{late}",
            pictures(FRAMES),
            format="mpegts",
            times=[time + late for time in REGULAR],
        ).read_bytes()
        for late in (0, 3_600_000)
    ]
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(parts))
    assert read(path)[0] == [40 * number for number in range(2 * FRAMES)]


def test_a_clock_that_wraps(tmp_path: Path) -> None:
    """That of MPEG-TS has 33 bits."""
    start = (1 << 33) - 7 * 3600
    path = encode(
        tmp_path / "clip.ts",
        pictures(FRAMES),
        format="mpegts",
        times=[start + 3600 * number for number in range(FRAMES)],
        timebase=Fraction(1, 90000),
        options={"bf": "0"},
    )
    assert read(path)[0] == REGULAR


def test_frames_that_share_a_time_take_none(tmp_path: Path) -> None:
    times = [0, 40, 40, 80, 120, 120, 160]

    def share(packets: list[Any]) -> list[Any]:
        for packet, time in zip(packets, times, strict=True):
            packet.pts = packet.dts = time
        return packets

    path = encode(
        tmp_path / "clip.mkv",
        pictures(7),
        times=[40 * number for number in range(7)],
        options={"bf": "0"},
        packets=share,
    )
    shown, source = read(path)
    assert shown == times
    assert source.description.fps is None and source.description.frames == 7


def test_a_last_frame_that_stays_is_told(tmp_path: Path) -> None:
    def stay(packets: list[Any]) -> list[Any]:
        packets[-1].duration = round(5 / packets[-1].time_base)
        return packets

    path = encode(
        tmp_path / "clip.mp4", pictures(8), times=REGULAR[:8], options={"bf": "0"}, packets=stay
    )
    shown, source = read(path)
    assert shown == REGULAR[:8]
    assert any("its last frame, to be shown for 5 s" in note for note in source.notes)


def test_a_bare_stream_has_the_rate_of_its_headers(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.264", pictures(FRAMES), format="h264", options=B_FRAMES)
    assert read(path)[0] == REGULAR


def test_coarse_clocks() -> None:
    tick = Fraction(1, 25)
    assert regular_rate([0, 1, 2, 3, 4], tick, [Fraction(25)]) == 25
    assert regular_rate([0, 1, 2, 4, 5], tick, [Fraction(25)]) is None
    assert regular_rate([0, 2, 4, 7, 9], tick, []) is None
    assert regular_rate([0, 3, 6, 10, 13], tick, []) is not None
    # 1000 frames a second in milliseconds, one of them missing.
    times = [*range(500), *range(501, 1000)]
    assert regular_rate(times, MILLISECONDS, [Fraction(1000)]) is None


def test_a_rate_keeps_the_times_to_the_end() -> None:
    """A fraction that is simple but not quite right would drift."""
    rate = Fraction(1234567, 100_003)
    times = [round(number / rate / MILLISECONDS) for number in range(200_000)]
    found = regular_rate(times, MILLISECONDS, [])
    assert found is not None
    assert abs(times[-1] - (len(times) - 1) / found / MILLISECONDS) <= 2


def packet(
    pts: int | None, dts: int | None = None, *, size: int = 1, discard: bool = False
) -> SimpleNamespace:
    return SimpleNamespace(
        pts=pts,
        dts=pts if dts is None else dts,
        duration=0,
        size=size,
        is_discard=discard,
        is_keyframe=False,
    )


def timing(*packets: SimpleNamespace) -> Timing:
    codec = SimpleNamespace(canonical_name="raw", intra_only=False)
    video = SimpleNamespace(
        average_rate=Fraction(25),
        guessed_rate=None,
        time_base=Fraction(1, 100),
        codec_context=SimpleNamespace(codec=codec),
        container=SimpleNamespace(format=SimpleNamespace(name="any")),
    )
    clock = Clock(video.time_base, Fraction(1, 25), forward=False)
    for one in packets:
        clock(one)
    return read_timing(packets, video, clock)


def test_timing_of_packets() -> None:
    def of(*packets: SimpleNamespace) -> tuple[Fraction | None, int | None]:
        found = timing(*packets)
        return found.fps, found.frames

    in_order = [packet(pts, dts) for pts, dts in ((0, 0), (8, 4), (4, 8), (12, 12))]
    assert of(*in_order, packet(None, size=0)) == (25, 4)
    assert of(*in_order, packet(50, discard=True)) == (25, 4)
    assert of(*in_order, packet(50)) == (None, 5)
    assert of(packet(None), packet(None)) == (25, 2)
    assert of(packet(7)) == (25, 1)
    assert of() == (25, 0)


def test_clocks() -> None:
    clock = Clock(MILLISECONDS, Fraction(1, 25), forward=True)
    shown = []
    # Back, forward, negative; and a gap that a frame coded out of order has announced.
    for pts, dts in (
        *((0, 0), (40, 40), (-3000, -3000), (-2960, -2960)),
        *((90_000, 90_000), (90_040, 90_040)),
        *((190_000, 90_080), (110_000, 109_000)),
    ):
        one = packet(pts, dts)
        clock(one)
        shown.append(one.pts)
    assert shown[:6] == [0, 40, 80, 120, 160, 200]
    assert shown[6:] == [100_160, 20_160]
    assert clock.joined
