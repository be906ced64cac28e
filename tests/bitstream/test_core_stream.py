"""The bitstream's binding, on the example of the specification."""

import re
from typing import Any

import numpy as np
import pytest
from support.paths import ROOT
from ui2c import _core

SPECIFICATION = ROOT / "docs" / "bitstream.md"
TABLES = _core.Tables(
    np.array([4000, 96, 500, 3000, 500, 96], np.uint16), np.array([2, 4], np.uint16), 1
)
SEGMENTS = [
    ([1, 0, 1, 1, 1, 1], [1, 0, -1, 0, -5, 1]),
    ([1] * 7, [-1, 1, 0, 1, -1, 1, -1]),
]


def example() -> bytes:
    found = re.search(r"```hex\n(.*?)```", SPECIFICATION.read_text("utf-8"), re.DOTALL)
    assert found
    return bytes.fromhex(found[1])


def header(**changes: Any) -> _core.SequenceHeader:
    fields: dict[str, Any] = {
        "width": 176,
        "height": 144,
        "color_primaries": 1,
        "transfer": 1,
        "matrix": 1,
        "model_id": bytes.fromhex("0011223344556677"),
    }
    return _core.SequenceHeader(**(fields | changes))


def units(data: bytes, limits: _core.Limits | None = None) -> list[_core.Unit]:
    parser = _core.Parser(limits)
    parser.feed(data)
    parser.close()
    return list(iter(parser.next_unit, None))


def encode(segments: list[tuple[list[int], list[int]]], log2_lanes: int) -> bytes:
    encoder = _core.RansEncoder()
    for indexes, symbols in segments:
        encoder.put(TABLES, np.array(indexes, np.uint8), np.array(symbols, np.int16))
    return encoder.finish(log2_lanes)[1]


def test_example_is_what_the_writer_writes() -> None:
    writer = _core.Writer(header())
    pieces = [
        writer.start(),
        writer.metadata("title", "tiny"),
        writer.unit(
            intra=True,
            qp=32,
            motion_step=0,
            log2_lanes=1,
            shown=1,
            stream=encode(SEGMENTS, 1),
        ),
        writer.unit(
            intra=False,
            qp=36,
            motion_step=0,
            log2_lanes=0,
            shown=2,
            stream=encode([([1] * 3, [0] * 3)], 0),
            feature_hash=0x12345678,
        ),
        writer.end(),
    ]
    assert b"".join(pieces).hex(" ") == example().hex(" ")


def test_example_is_read() -> None:
    sequence, title, intra, inter, end, index = units(example())
    assert isinstance(sequence, _core.SequenceUnit)
    assert isinstance(title, _core.MetadataUnit)
    assert isinstance(intra, _core.CodedUnit) and intra.intra
    assert isinstance(inter, _core.CodedUnit) and not inter.intra
    assert isinstance(end, _core.EndUnit)
    assert isinstance(index, _core.IndexUnit)
    assert [unit.offset for unit in (sequence, title, intra, inter, end, index)] == [
        10,
        42,
        58,
        84,
        100,
        108,
    ]
    read = sequence.header
    assert (read.width, read.height, read.bit_depth) == (176, 144, 8)
    assert (read.color_primaries, read.transfer, read.matrix, read.full_range) == (1, 1, 1, False)
    assert (read.timebase, read.frame_ticks, read.sample_aspect) == ((1, 25), 1, (1, 1))
    assert read.frames_per_unit == 2
    assert read.model_id.hex() == "0011223344556677"
    assert (title.key, title.value) == ("title", "tiny")
    assert (intra.qp, intra.motion_step, intra.log2_lanes) == (32, 0, 1)
    assert (intra.shown, intra.feature_hash, intra.ticks) == (1, None, None)
    assert (intra.frame, inter.frame) == (0, 1)
    assert intra.stream == encode(SEGMENTS, 1)
    assert (inter.shown, inter.feature_hash) == (2, 0x12345678)
    assert (end.frames, end.units, end.feature_hash) == (3, 2, None)
    assert index.entries.tolist() == [[58, 0]]
    assert sum(unit.size for unit in units(example())) == len(example()) - 10


def test_index_and_seek() -> None:
    data = example()
    found = _core.index_at_end(data[-20:], len(data))
    assert found is not None and found.tolist() == [[58, 0]]
    assert _core.index_at_end(data[:-1], len(data) - 1) is None
    parser = _core.Parser()
    parser.feed(data[:50])
    assert parser.next_unit() is not None
    parser.seek(58)
    parser.feed(data[58:])
    unit = parser.next_unit()
    assert isinstance(unit, _core.CodedUnit) and (unit.intra, unit.offset) == (True, 58)


def test_timing_and_repeated_header() -> None:
    writer = _core.Writer(header(frame_ticks=0, timebase=(1, 1000)))
    data = writer.start()
    common: dict[str, Any] = {
        "qp": 1,
        "motion_step": 0,
        "log2_lanes": 0,
        "shown": 2,
        "stream": b"",
    }
    with pytest.raises(ValueError, match="ticks"):
        writer.unit(intra=True, **common)
    data += writer.unit(intra=True, ticks=(0, 40), repeat_header=True, **common)
    data += writer.end(7)
    _, repeated, unit, end, _ = units(data)
    assert isinstance(repeated, _core.SequenceUnit)
    assert repeated.header.timebase == (1, 1000)
    assert isinstance(unit, _core.CodedUnit)
    assert unit.ticks == (0, 40)
    assert isinstance(end, _core.EndUnit)
    assert (end.frames, end.feature_hash) == (2, 7)


def test_errors_have_types() -> None:
    data = example()
    with pytest.raises(_core.TruncatedError):
        units(data[:-30])
    with pytest.raises(_core.CorruptError, match="byte 62"):
        units(data[:70] + b"\xff" + data[71:])
    with pytest.raises(_core.UnsupportedError, match=r"2\.0"):
        units(data[:8] + b"\x02" + data[9:])
    with pytest.raises(_core.LimitError, match="pixels"):
        units(data, _core.Limits(max_pixels=1000))
    with pytest.raises(_core.LimitError, match="frames"):
        units(data, _core.Limits(max_frames=2))
    with pytest.raises(_core.LimitError, match="bytes"):
        units(data, _core.Limits(max_unit_bytes=25))
    with pytest.raises(ValueError, match="max_frames"):
        _core.Limits(max_frames=-1)
    with pytest.raises(ValueError, match="width"):
        header(width=-1)
    with pytest.raises(ValueError, match="bit_depth"):
        header(bit_depth=7)
    with pytest.raises(ValueError, match="model_id"):
        header(model_id=b"short")
    with pytest.raises(ValueError, match="timebase"):
        header(timebase=(1, 0))


def test_reading_goes_on_behind_damage() -> None:
    writer = _core.Writer(header())
    common: dict[str, Any] = {
        "motion_step": 0,
        "log2_lanes": 0,
        "shown": 2,
        "stream": b"....",
    }
    pieces = [writer.start()]
    pieces += [writer.unit(intra=i in (0, 2), qp=i, **common) for i in range(4)]
    pieces.append(writer.end())
    damaged = bytearray(b"".join(pieces))
    damaged[len(pieces[0]) + 8] ^= 1
    parser = _core.Parser()
    parser.feed(bytes(damaged))
    parser.close()
    parser.next_unit()
    for _ in range(2):
        with pytest.raises(_core.CorruptError):
            parser.next_unit()
    assert parser.resync()
    *coded, end, index = iter(parser.next_unit, None)
    assert [unit.qp for unit in coded if isinstance(unit, _core.CodedUnit)] == [2, 3]
    assert isinstance(end, _core.EndUnit) and isinstance(index, _core.IndexUnit)
    assert not parser.resync()


def test_unknown_units_are_units() -> None:
    head = _core.Writer(header()).start()
    unknown = b"\xff\x01?"
    parser = _core.Parser()
    parser.feed(head + unknown + _core.crc32c(unknown).to_bytes(4, "little"))
    parser.next_unit()
    unit = parser.next_unit()
    assert isinstance(unit, _core.UnknownUnit) and isinstance(unit, _core.Unit)
    assert (unit.offset, unit.size) == (len(head), 7)


def test_checksum() -> None:
    assert _core.crc32c(b"123456789") == 0xE3069283
    assert _core.crc32c(b"6789", _core.crc32c(b"12345")) == 0xE3069283
