"""Small streams that ask for much: memory and work follow the bytes that are there."""

import sys
from pathlib import Path
from typing import Any

import pytest
import ui2c
from support.clips import make_clip, make_rgb
from support.faults import (
    JUNK,
    Piece,
    end,
    index,
    intra,
    metadata,
    split,
    start,
    unit,
    varint,
    with_frame,
)
from support.streams import header_of
from ui2c import YUV420, Decoder, Encoder, Limits

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def peak() -> int:
    """The most bytes that this process has held since `forget_peak`."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) << 10
    raise AssertionError("no VmHWM")


def forget_peak() -> int:
    """Begins to measure anew; the bytes held now."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


@pytest.fixture(scope="module")
def one(saved: Any) -> bytes:
    """A still."""
    return Encoder(model=saved, lead=0).encode(make_clip(16, 16, 1))


@pytest.fixture(scope="module")
def parts(one: bytes) -> tuple[bytes, Piece]:
    """The start of a stream with its header, and a still of it."""
    return start(header_of(one)), next(piece for piece in split(one) if piece.synced)


def test_a_slice_is_bounded_by_what_it_returns(saved: Any, parts: tuple[bytes, Piece]) -> None:
    head, still = parts
    far = 1 << 27
    body = head + still.unit
    second = len(body)
    body += with_frame(still, far) + end(far + 1, 2)
    data = body + index([(len(head), 0), (second, far)])
    for output in ("yuv", "rgb"):
        limits = Limits(max_memory=64 << 20)
        with Decoder(model=saved, limits=limits, output=output).open(data) as reader:  # type: ignore[arg-type]
            assert len(reader) == far + 1
            held = forget_peak() if sys.platform == "linux" else 0
            for wanted in (slice(None), slice(None, None, -1), slice(5, 1 << 20)):
                with pytest.raises(ui2c.LimitError, match="max_memory"):
                    reader[wanted]
            if sys.platform == "linux":
                assert peak() - held < 16 << 20
            assert len(reader[:1]) == len(reader[far:]) == 1
            with pytest.raises(ui2c.CorruptError):
                reader[5]


def test_a_call_returns_as_much_as_memory_may_hold(saved: Any) -> None:
    clip = make_clip(64, 64, 40)
    data = Encoder(model=saved, lead=0).encode(clip)
    shown = Decoder(model=saved).decode(data)
    size = 64 * 64 * 3 // 2
    # Beside the work space there must be room for units.
    space = needed(saved, data) + (64 << 10)
    few = Limits(max_memory=space)
    # Work space counts by itself, so as many frames fit as that is large.
    big = space // size + 3
    long = Encoder(model=saved, lead=0).encode(clip[:1] * (big + 2))
    decoder = Decoder(model=saved, limits=few)
    assert decoder.decode(data) == shown
    for take in (decoder.decode, lambda d: decoder.open(d)[:]):
        with pytest.raises(ui2c.LimitError, match="max_memory"):
            take(long)
    assert sum(1 for _ in decoder.decode_iter(long)) == big + 2
    pushed = decoder.push(long)
    assert len(pushed) == space // size
    pushed += decoder.push(b"")
    assert len(pushed + decoder.flush()) == big + 2
    with pytest.raises(ui2c.LimitError, match="max_memory"):
        Decoder(model=saved, limits=few, output="rgb").decode(long)


def needed(model: Any, data: bytes) -> int:
    """The least memory that decoding is permitted to begin with."""
    low, high = 0, 1 << 30
    while high - low > 1:
        middle = (low + high) // 2
        try:
            Decoder(model=model, limits=Limits(max_memory=middle)).push(data[:60])
            high = middle
        except ui2c.LimitError:
            low = middle
    return high


@linux
def test_an_index_as_large_as_a_file_says_is_not_read(
    saved: Any, parts: tuple[bytes, Piece], tmp_path: Path
) -> None:
    head, still = parts
    path, total = tmp_path / "sparse.ui2c", 3 << 30
    begun = head + still.unit
    for front in (b"", b"\x85" + varint(total - len(begun) - 10)):
        with path.open("wb") as file:
            file.write(begun + front)
            file.truncate(total)
            file.seek(total - 8)
            file.write((total - len(begun)).to_bytes(4, "little"))
        held = forget_peak()
        with pytest.raises((ui2c.LimitError, ui2c.CorruptError)):
            Decoder(model=saved, limits=Limits(max_memory=200 << 20)).open(path)
        assert peak() - held < 16 << 20


@linux
def test_entries_of_an_index_count(saved: Any, parts: tuple[bytes, Piece]) -> None:
    head, still = parts
    count = 500_000
    filler = unit(0x80, bytes(100_000)) * (12 * count // 100_000 + 1)
    body = head + still.unit + filler + end(1, 1)
    entries = varint(len(head)) + b"\0" + b"\x0c\0" * (count - 1)
    length = len(entries) + 4
    total = 1 + len(varint(length)) + length + 4
    data = body + unit(0x85, entries + total.to_bytes(4, "little"))
    for limit in (8 << 20, 64 << 20):
        for on_error in ("raise", "skip"):
            decoder = Decoder(model=saved, limits=Limits(max_memory=limit), on_error=on_error)  # type: ignore[arg-type]
            held = forget_peak()
            if on_error == "raise":
                # The units contradict it, which is told where it may be read.
                error = ui2c.LimitError if limit < 32 << 20 else ui2c.CorruptError
                with pytest.raises(error):
                    decoder.open(data)
            else:
                with decoder.open(data) as reader:
                    assert len(reader) == 1 and reader.random_access == (0,)
            # The whole lies in memory already; the reader's file is a copy of it.
            assert peak() - held - len(data) < limit + (4 << 20)


def test_metadata_counts(saved: Any, parts: tuple[bytes, Piece]) -> None:
    head, still = parts
    limits = Limits(max_memory=8 << 20)
    rest = still.unit + end(1, 1)
    for notes in (
        b"".join(metadata(b"%d" % k, bytes(1 << 20).replace(b"\0", b"v")) for k in range(9)),
        b"".join(metadata(b"%d" % k, b"") for k in range(40_000)),
    ):
        decoder = Decoder(model=saved, limits=limits)
        for take in (decoder.decode, decoder.open):
            with pytest.raises(ui2c.LimitError, match="max_memory"):
                take(head + notes + rest)
    # What is written over is not held, and what nobody knows neither.
    same = metadata(b"k", b"v" * (1 << 20)) * 20 + unit(0x80, bytes(1 << 20)) * 20
    decoder = Decoder(model=saved, limits=limits)
    assert len(decoder.decode(head + same + rest)) == 1
    with decoder.open(head + same + rest) as reader:
        assert len(reader) == 1 and len(reader.metadata) == 1


class CountedBytes:
    """A file that counts what is read of it."""

    def __init__(self, data: bytes) -> None:
        import io

        self.file, self.taken = io.BytesIO(data), 0

    def seekable(self) -> bool:
        return True

    def seek(self, *place: int) -> int:
        return self.file.seek(*place)

    def read(self, size: int = -1) -> bytes:
        piece = self.file.read(size)
        self.taken += len(piece)
        return piece


def test_what_stands_before_the_first_frame_is_read_once(saved: Any) -> None:
    data = Encoder(model=saved, keyint=3, lead=0).encode(make_clip(16, 16, 6))
    begin = start(header_of(data))
    notes = metadata(b"k", b"v" * 1_000_000) * 4
    # Without an index, since its offsets would be wrong.
    last = split(data)[-1].offset
    whole = begin + notes + data[len(begin) : last]
    source = CountedBytes(whole)
    with Decoder(model=saved).open(source) as reader:  # type: ignore[arg-type]
        opened = source.taken
        assert opened < 2.5 * len(whole)
        for number in (5, 0, 4, 0, 3, 0):
            reader[number]
        assert source.taken - opened < 100_000


def test_junk_is_given_up(saved: Any, parts: tuple[bytes, Piece]) -> None:
    """Units with right checksums that cannot be decoded: each costs work and shows nothing."""
    head, still = parts
    junk = b"".join(intra(JUNK, frame=k) for k in range(1000)) + end(1000, 1000)
    decoder = Decoder(model=saved, on_error="skip")
    with pytest.raises(ui2c.CorruptError, match="9 such units are enough"):
        decoder.decode(head + junk)
    assert len(decoder.lost) <= 8
    with pytest.raises(ui2c.CorruptError):
        list(decoder.open(head + junk).play())
    # As long as others can be decoded it goes on.
    mixed = b"".join(
        with_frame(still, k) if k % 2 else intra(JUNK, frame=k) for k in range(100)
    ) + end(100, 100)
    assert len(decoder.decode(head + mixed)) == 50
    few = b"".join(intra(JUNK, frame=k) for k in range(8)) + with_frame(still, 8) + end(9, 9)
    assert len(decoder.decode(head + few)) == 1


def test_work_is_bounded(saved: Any) -> None:
    data = Encoder(model=saved, lead=0).encode(make_clip(16, 16, 9))
    # A still and four units, each as two frames.
    whole = 5 * 2 * 256
    shown = Decoder(model=saved, limits=Limits(max_work=whole)).decode(data)
    assert len(shown) == 9
    limits = Limits(max_work=whole - 1)
    for on_error in ("raise", "skip"):
        decoder = Decoder(model=saved, limits=limits, on_error=on_error)  # type: ignore[arg-type]
        frames = []
        try:
            frames.extend(decoder.decode_iter(data))
        except ui2c.LimitError as error:
            assert on_error == "raise" and "max_work" in str(error)
        else:
            assert decoder.lost and "max_work" in str(decoder.damage)
        assert frames == shown[:7]


def test_a_long_still_video_passes() -> None:
    """Few bytes a frame are no attack: the limits unless given take it."""
    clip = [YUV420(*make_clip(64, 64, 1)[0].planes)] * 300
    data = Encoder(lead=0, motion="fast").encode(clip)
    assert len(data) < 25 * 300
    decoder = Decoder(on_error="skip")
    assert sum(1 for _ in decoder.decode_iter(data)) == 300 and not decoder.damage


def test_totals_are_bounded(saved: Any, parts: tuple[bytes, Piece]) -> None:
    head, still = parts
    for totals in (end(1 << 62, 1 << 62), end((1 << 31) + 1, 1)):
        data = head + still.unit + totals
        for take in (Decoder(model=saved).decode, Decoder(model=saved).open):
            with pytest.raises(ui2c.LimitError, match="max_frames"):
                take(data)
        decoder = Decoder(model=saved, on_error="skip")
        assert len(decoder.decode(data)) == 1 and decoder.lost == [(1, None)]
        assert len(decoder.open(data)) == 1


def test_slices_of_rgb(saved: Any) -> None:
    data = Encoder(model=saved, keyint=2, lead=0).encode(make_rgb(20, 12, 5))
    reader = Decoder(model=saved, output="rgb").open(data)
    expected = Decoder(model=saved, output="rgb").decode(data)
    for wanted in (slice(None), slice(None, None, -2), slice(3, 3), slice(1, 4)):
        assert (reader[wanted] == expected[wanted]).all()
        assert reader[wanted].shape == expected[wanted].shape
