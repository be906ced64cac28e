"""Streams as no encoder writes them, with right checksums: built after docs/bitstream.md."""

from collections.abc import Iterable
from typing import NamedTuple

from ui2c import SequenceHeader, _core

from support.streams import coded_units, header_of, parse

MAGIC, VERSION = bytes.fromhex("8b554932430d0a1a"), b"\x01\x00"
SYNC = bytes.fromhex("7fd32c8b")
SEQUENCE, INTRA, INTER, END, INDEX, METADATA = 1, 2, 3, 4, 0x85, 0x86
HIDDEN = 0x10

JUNK = b"\0\0\1\0"
"""Entropy-coded data that fails at its first symbol: one lane's state, and no words."""


class Piece(NamedTuple):
    """A unit taken apart, and where it was."""

    offset: int
    synced: bool
    kind: int
    payload: bytes

    @property
    def unit(self) -> bytes:
        return (SYNC if self.synced else b"") + unit(self.kind, self.payload)


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def unit(kind: int, payload: bytes) -> bytes:
    covered = bytes([kind]) + varint(len(payload)) + payload
    return covered + _core.crc32c(covered).to_bytes(4, "little")


def start(header: SequenceHeader) -> bytes:
    """The first bytes of a stream, with its header."""
    return _core.Writer(header).start()


def intra(
    stream: bytes, *, frame: int, number: int = 0, qp: int = 32, hidden: bool = True
) -> bytes:
    """A random-access unit with its sync word, of one lane."""
    payload = bytes([qp, number % 32 << 3]) + varint(frame) + stream
    return SYNC + unit(INTRA | (HIDDEN if hidden else 0), payload)


def end(frames: int, units: int) -> bytes:
    return unit(END, varint(frames) + varint(units))


def index(entries: Iterable[tuple[int, int]], *, size: int | None = None) -> bytes:
    body, last = b"", (0, 0)
    for entry in entries:
        body += varint(entry[0] - last[0]) + varint(entry[1] - last[1])
        last = entry
    length = len(body) + 4
    true = 1 + len(varint(length)) + length + 4
    return unit(INDEX, body + (true if size is None else size).to_bytes(4, "little"))


def metadata(key: bytes, value: bytes) -> bytes:
    return unit(METADATA, key + b"\0" + value)


def split(stream: bytes) -> list[Piece]:
    """The units of an intact stream."""
    pieces, at = [], len(MAGIC + VERSION)
    while at < len(stream):
        offset = at
        synced = stream[at : at + 4] == SYNC
        at += 4 * synced
        kind, length, shift = stream[at], 0, 0
        at += 1
        while True:
            byte = stream[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        pieces.append(Piece(offset, synced, kind, stream[at : at + length]))
        at += length + 4
    return pieces


def with_frame(piece: Piece, frame: int) -> bytes:
    """A random-access unit, of a frame below 128, that says another."""
    assert piece.payload[2] < 0x80
    payload = piece.payload[:2] + varint(frame) + piece.payload[3:]
    return SYNC + unit(piece.kind, payload)


def corpus(stream: bytes) -> dict[str, bytes]:
    """Faults, by name, of a stream of some random-access points that repeat the header but for the
    first, and with an index."""
    header = header_of(stream)
    begin, pieces = start(header), split(stream)
    coded = [k for k, piece in enumerate(pieces) if piece.kind & 0x87 in (INTRA, INTER)]
    stills = [k for k in coded if pieces[k].kind & 0x87 == INTRA]
    # A repeated header stands before the unit and has the sync word.
    points = [pieces[k if pieces[k].synced else k - 1].offset for k in stills]
    frames = [unit.frame for unit in coded_units(stream) if unit.intra]
    the_end, the_index = pieces[-2], pieces[-1]
    (total,) = (unit.frames for unit in parse(stream) if isinstance(unit, _core.EndUnit))
    body = stream[: the_index.offset]
    first = pieces[stills[0]]
    head, rest = stream[: points[0]], body[points[0] :]
    entries = list(zip(points, frames, strict=True))
    moved = [(points[1] + 20, f) if k == 1 else (o, f) for k, (o, f) in enumerate(entries)]
    renumbered = [(o, f + 1) if k == 1 else (o, f) for k, (o, f) in enumerate(entries)]
    second, last = pieces[coded[1]], pieces[coded[-1]]

    def without(piece: Piece) -> bytes:
        return body[: piece.offset] + body[piece.offset + len(piece.unit) :]

    def instead(piece: Piece, new: bytes) -> bytes:
        return body[: piece.offset] + new + body[piece.offset + len(piece.unit) :]

    def flipped(position: int) -> bytes:
        return stream[:position] + bytes([stream[position] ^ 1]) + stream[position + 1 :]

    junk = Piece(second.offset, False, second.kind & ~0x28, second.payload[:2] + JUNK)
    bad = bytearray(stream)
    bad[len(MAGIC)] = 9
    faults = {
        "intact": stream,
        "without_index": body,
        "idx_wrong_offset": body + index([(points[0] + 30, 0)]),
        "idx_frame_huge": body + index([(points[0], 1 << 62)]),
        "idx_frame_not_0": body + index([(points[0], 1)]),
        "idx_offset_beyond": body + index([(1 << 40, 0)]),
        "idx_points_end": body + index([entries[0], (the_end.offset, total)]),
        "idx_empty": body + index([]),
        "idx_first_alone": body + index(entries[:1]),
        "idx_first_missing": body + index(entries[1:]),
        "idx_middle_missing": body + index([entries[0], *entries[2:]]),
        "idx_middle_elsewhere": body + index(moved),
        "idx_middle_renumbered": body + index(renumbered),
        "idx_size_lies": body + index(entries, size=len(body)),
        "idx_step_0": body + index([entries[0], entries[0]]),
        "idx_twice": stream + index(entries),
        "idx_damaged": flipped(the_index.offset + 3),
        "meta_bad_utf8": head + metadata(b"k", b"\xff\xfe") + rest,
        "meta_no_key": head + metadata(b"", b"v") + rest,
        "meta_flags": head + unit(METADATA | 8, b"k\0v") + rest,
        "header_twice": begin + begin[len(MAGIC + VERSION) :] + stream[len(begin) : len(body)],
        "header_other_midway": without(pieces[stills[1] - 1])[: points[1]]
        + SYNC
        + start(_other(header))[len(MAGIC + VERSION) :]
        + body[pieces[stills[1]].offset :],
        "unknown_critical": body[: second.offset] + unit(7, b"x" * 10) + body[second.offset :],
        "unknown_critical_last": body[: the_end.offset] + unit(0, b"") + body[the_end.offset :],
        "unknown_ancillary": body[: second.offset] + unit(0xB7, b"x") + body[second.offset :],
        "flag_of_no_kind": instead(second, unit(second.kind | 0x40, second.payload)),
        "frame_2^31": head + with_frame(first, (1 << 31) - 1) + end(1 << 31, 1),
        "frame_2^62": head + with_frame(first, 1 << 62) + end((1 << 62) + 1, 1),
        "end_counts_wrong": body[: the_end.offset] + end(1 << 62, 1 << 62),
        "end_counts_few": body[: the_end.offset] + end(1, 1),
        "end_missing": body[: the_end.offset],
        "end_twice": body + the_end.unit,
        "end_first": begin + end(0, 0),
        "end_without_header": MAGIC + VERSION + end(0, 0),
        "inter_first": head + second.unit + end(2, 1),
        "unit_twice": body[: second.offset] + second.unit + body[second.offset :],
        "unit_missing": without(second),
        "first_missing": without(first),
        "first_damaged": flipped(points[0] + 12),
        "middle_damaged": flipped(pieces[stills[1]].offset + 12),
        "last_damaged": flipped(last.offset + 8),
        "header_damaged": flipped(14),
        "magic_damaged": flipped(3),
        "other_version": bytes(bad),
        "concatenated": stream + stream,
        "garbage_behind": stream + b"garbage",
        "junk_unit": instead(second, junk.unit),
        "junk_first": head + intra(JUNK, frame=0) + body[points[1] :],
        "junk_many": begin + b"".join(intra(JUNK, frame=k) for k in range(1000)) + end(1000, 1000),
        "empty": b"",
        "only_magic": MAGIC,
        "only_header": begin,
        "cut": body[: last.offset + 5],
    }
    assert len(faults) > 50
    return faults


def _other(header: SequenceHeader) -> SequenceHeader:
    return SequenceHeader(width=header.width + 16, height=header.height, model_id=header.model_id)
