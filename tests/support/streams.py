"""Streams taken apart."""

from typing import Any

from ui2c import _core


def parse(stream: bytes) -> list[Any]:
    """The units of a whole stream."""
    parser = _core.Parser()
    parser.feed(stream)
    return list(iter(parser.next_unit, None))


def coded_units(stream: bytes) -> list[Any]:
    return [unit for unit in parse(stream) if unit.stream is not None]
