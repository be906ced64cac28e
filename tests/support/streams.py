"""Streams taken apart."""

from ui2c import _core


def parse(stream: bytes) -> list[_core.Unit]:
    """The units of a whole stream."""
    parser = _core.Parser()
    parser.feed(stream)
    return list(iter(parser.next_unit, None))


def coded_units(stream: bytes) -> list[_core.CodedUnit]:
    return [unit for unit in parse(stream) if isinstance(unit, _core.CodedUnit)]


def header_of(stream: bytes) -> _core.SequenceHeader:
    first = parse(stream)[0]
    assert isinstance(first, _core.SequenceUnit)
    return first.header
