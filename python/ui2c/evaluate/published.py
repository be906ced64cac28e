"""Figures that others have published, to stand beside what is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ui2c.evaluate.config import experiments_folder, read_toml
from ui2c.evaluate.errors import ConfigError
from ui2c.evaluate.table import Table


@dataclass(frozen=True)
class Published:
    """A table of figures with where they are from."""

    name: str
    title: str
    source: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float | None, ...]], ...]


def load_published(names: Sequence[str]) -> list[Published]:
    """The tables of those names; ConfigError for an unknown one."""
    tables = read_toml(experiments_folder() / "published.toml")
    for name in names:
        if name not in tables:
            raise ConfigError(f"no published figures {name!r}; there are {', '.join(tables)}")
    return [_read(name, Table(tables[name], f"published {name}")) for name in names]


def _read(name: str, table: Table) -> Published:
    columns = tuple(table.items("columns", str))
    rows: list[tuple[str, tuple[float | None, ...]]] = []
    for index, values in enumerate(table.items("rows", dict)):
        row = Table(values, f"{table.where}: row {index + 1}")
        label = row.get("of", str)
        # TOML knows no empty value: a figure that the source does not give is nan there.
        figures = [None if value != value else value for value in row.items("is", float)]
        row.done()
        if len(figures) != len(columns):
            raise ConfigError(f"{row.where} must have {len(columns)} figures, not {len(figures)}")
        rows.append((label, tuple(figures)))
    found = Published(
        name,
        table.get("title", str),
        table.get("source", str),
        table.get("note", str, ""),
        columns,
        tuple(rows),
    )
    table.done()
    return found
