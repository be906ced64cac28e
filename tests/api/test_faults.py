"""Every fault, decoded and opened: the same frames, or the same refusal."""

from typing import Any

import pytest
import ui2c
from support.clips import make_clip
from support.faults import corpus
from ui2c import YUV420

FRAMES = 9

EXPECTED: dict[str, tuple[type[ui2c.Error], int | type[ui2c.Error]]] = {
    "idx_wrong_offset": (ui2c.CorruptError, FRAMES),
    "idx_frame_huge": (ui2c.CorruptError, FRAMES),
    "idx_offset_beyond": (ui2c.CorruptError, FRAMES),
    "idx_points_end": (ui2c.CorruptError, FRAMES),
    "idx_middle_elsewhere": (ui2c.CorruptError, FRAMES),
    "idx_middle_renumbered": (ui2c.CorruptError, FRAMES),
    "meta_bad_utf8": (ui2c.CorruptError, FRAMES),
    "header_twice": (ui2c.CorruptError, FRAMES),
    "unknown_critical": (ui2c.UnsupportedError, ui2c.UnsupportedError),
    "unknown_critical_last": (ui2c.UnsupportedError, ui2c.UnsupportedError),
    "frame_2^31": (ui2c.CorruptError, 1),
    "frame_2^62": (ui2c.LimitError, 0),
    "end_counts_wrong": (ui2c.LimitError, FRAMES),
    "junk_unit": (ui2c.CorruptError, FRAMES - 2),
    "junk_first": (ui2c.CorruptError, FRAMES - 3),
    "junk_many": (ui2c.CorruptError, ui2c.CorruptError),
}
"""What decoding raises, and how many frames or which error skipping ends with."""


@pytest.fixture(scope="module")
def stream(saved: Any) -> bytes:
    """Nine frames in six units; random-access units at frames 0, 3 and 6."""
    return ui2c.Encoder(model=saved, keyint=3, lead=0).encode(make_clip(16, 16, FRAMES))


@pytest.fixture(scope="module")
def pictures(saved: Any, stream: bytes) -> list[YUV420]:
    return list(ui2c.Decoder(model=saved).decode(stream))


@pytest.fixture(scope="module")
def faults(stream: bytes) -> dict[str, bytes]:
    return corpus(stream)


def decoded(decoder: ui2c.Decoder, data: bytes) -> Any:
    try:
        frames = decoder.decode(data)
    except ui2c.Error as error:
        return type(error)
    return frames, [frame.pts for frame in frames], decoder.lost, type(decoder.damage)


def opened(decoder: ui2c.Decoder, data: bytes) -> Any:
    try:
        with decoder.open(data) as reader:
            frames = list(reader.play())
            return frames, [frame.pts for frame in frames], reader.lost, type(reader.damage)
    except ui2c.Error as error:
        return type(error)


def missing(lost: list[tuple[int, int | None]], length: int) -> set[int]:
    return {n for a, b in lost for n in range(a, min(length, length if b is None else b + 1))}


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_opening_is_as_strong_as_decoding(
    saved: Any, faults: dict[str, bytes], pictures: list[YUV420], on_error: Any
) -> None:
    decoder = ui2c.Decoder(model=saved, on_error=on_error, threads=1)
    different = {}
    for name, data in faults.items():
        a, b = decoded(decoder, data), opened(decoder, data)
        if a != b:
            different[name] = a, b
        if name in EXPECTED:
            expected = EXPECTED[name][on_error == "skip"]
            found = len(a[0]) if isinstance(a, tuple) else a
            assert found == expected, (name, found, decoder.damage)
        if isinstance(a, tuple):
            # What is shown is right, and what is not shown is told.
            assert all(frame in pictures for frame in a[0]), name
    assert not different


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_every_frame_that_decoding_shows_can_be_asked_for(
    saved: Any, faults: dict[str, bytes], on_error: Any
) -> None:
    decoder = ui2c.Decoder(model=saved, on_error=on_error, threads=1)
    for name, data in faults.items():
        result = decoded(decoder, data)
        if not isinstance(result, tuple) or not result[0]:
            continue
        frames, times, lost, _ = result
        by_number = dict(zip(times, frames, strict=True))
        with decoder.open(data) as reader:
            length = len(reader)
            assert length > max(by_number), name
            assert length < 100 or name == "frame_2^31", name
            # Backwards, so that each comes from its random-access point.
            for number in sorted(by_number, reverse=True):
                assert reader[number] == by_number[number], (name, number)
            for number in missing(lost, min(length, 100)):
                with pytest.raises(ui2c.Error):
                    print(name, number, lost, reader[number])
