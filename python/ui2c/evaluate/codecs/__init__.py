"""The codecs that can be compared, by the `kind` they have in a configuration."""

from __future__ import annotations

from ui2c.evaluate.codecs.base import Codec, Coded, Common, Effort
from ui2c.evaluate.codecs.ffmpeg import FFmpeg
from ui2c.evaluate.codecs.template import Template
from ui2c.evaluate.codecs.ui2c import Ui2c
from ui2c.evaluate.errors import ConfigError
from ui2c.evaluate.table import Table

KINDS: dict[str, type[FFmpeg] | type[Template] | type[Ui2c]] = {
    "ui2c": Ui2c,
    "ffmpeg": FFmpeg,
    "command": Template,
}

__all__ = ["Codec", "Coded", "Effort", "read_codec"]


def read_codec(table: Table) -> Codec:
    """The codec that a table of a configuration describes."""
    kind = table.get("kind", str)
    if kind not in KINDS:
        raise ConfigError(f"{table.where}: kind must be one of {', '.join(KINDS)}, not {kind!r}")
    codec = KINDS[kind].read(Common.read(table, kind), table)
    table.done()
    return codec
