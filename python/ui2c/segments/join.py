"""Streams that follow each other, joined to one without coding anything again."""

from __future__ import annotations

from dataclasses import replace

from ui2c import _core
from ui2c.errors import CorruptError
from ui2c.statistics import Statistics


class Joiner:
    """Takes whole streams of one encoder's options in order, gives the bytes of one stream.

    Frame numbers, unit numbers, times and the index are made anew; what the entropy coder wrote
    stays as it is. Times in the streams count from the beginning of the first of them. The result
    is what an Encoder writes that begins a random-access unit where each stream begins.
    """

    def __init__(self) -> None:
        self._writer: _core.Writer | None = None
        self._header: bytes = b""
        self._last_tick = 0
        self._hash: int | None = None
        self._units = 0

    @property
    def begun(self) -> bool:
        return self._writer is not None

    def add(self, stream: bytes) -> bytes:
        """What the joined stream gains by this one. CorruptError if it does not fit the others."""
        parser = _core.Parser()
        parser.feed(stream)
        parser.close()
        beginning, *units = iter(parser.next_unit, None)
        assert isinstance(beginning, _core.SequenceUnit)  # Else the parser raises.
        identity = stream[beginning.offset : beginning.offset + beginning.size]
        first = self._writer is None
        writer = self._writer = self._writer or _core.Writer(beginning.header)
        if not first and identity != self._header:
            raise CorruptError("streams with different headers cannot be joined")
        self._header = identity
        parts = [writer.start()] if first else []
        time = 0
        for unit in units:
            match unit:
                case _core.MetadataUnit() if first:
                    parts.append(writer.metadata(unit.key, unit.value))
                case _core.EndUnit() if unit.feature_hash is not None:
                    self._hash = unit.feature_hash
                case _core.CodedUnit():
                    ticks = unit.ticks
                    if ticks is not None:
                        time += sum(ticks)
                        ticks = (time - sum(ticks[1:]) - self._last_tick, *ticks[1:])
                        self._last_tick = time
                    parts.append(self._unit(writer, unit, ticks))
        return b"".join(parts)

    def end(self) -> bytes:
        """The last bytes."""
        if self._writer is None:
            raise ValueError("nothing has been joined")
        return self._writer.end(self._hash)

    def _unit(
        self, writer: _core.Writer, unit: _core.CodedUnit, ticks: tuple[int, ...] | None
    ) -> bytes:
        self._units += 1
        return writer.unit(
            intra=unit.intra,
            qp=unit.qp,
            motion_step=unit.motion_step,
            log2_lanes=unit.log2_lanes,
            shown=unit.shown,
            stream=unit.stream,
            feature_hash=unit.feature_hash,
            ticks=ticks,
            repeat_header=unit.intra and self._units > 1,
        )


def add_statistics(total: Statistics, part: Statistics) -> None:
    """Counts what follows to what is there, but for `bytes`, which joining changes."""
    for unit in part.units:
        total.units.append(
            replace(
                unit,
                index=len(total.units),
                first_frame=unit.first_frame + total.frames,
            )
        )
    total.width, total.height = part.width, part.height
    total.frames += part.frames
    total.seconds += part.seconds
    total.motion_bytes += part.motion_bytes
