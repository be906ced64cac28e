"""Tables of TOML, read key by key, so that every mistake is named with its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from ui2c.evaluate.errors import ConfigError

T = TypeVar("T")
REQUIRED: Any = object()


class Table:
    """A table that knows where it stands; `done` refuses keys that nobody asked for."""

    def __init__(self, values: object, where: str) -> None:
        if not isinstance(values, Mapping):
            raise ConfigError(f"{where} must be a table, not {_kind(values)}")
        self._left = dict(values)
        self.where = where

    def get(self, key: str, kind: type[T], default: Any = REQUIRED) -> T:
        """The value of a key, which must be of that type; an integer serves as a float."""
        if key not in self._left:
            if default is REQUIRED:
                raise ConfigError(f"{self.where}: {key} is missing")
            return default  # type: ignore[no-any-return]
        return self._check(key, self._left.pop(key), kind)

    def items(self, key: str, kind: type[T], default: Any = REQUIRED) -> list[T]:
        """The value of a key, which must be a list of that type."""
        values: Any = self.get(key, list, default)
        if values is default:
            return default  # type: ignore[no-any-return]
        return [self._check(f"{key}[{i}]", value, kind) for i, value in enumerate(values)]

    def integer(self, key: str, low: int, default: Any = REQUIRED) -> int:
        value = self.get(key, int, default)
        if value is not default and value < low:
            raise ConfigError(f"{self.where}: {key} must be {low} or more, not {value}")
        return value

    def done(self) -> None:
        if self._left:
            names = ", ".join(sorted(self._left))
            raise ConfigError(f"{self.where}: unknown key {names}")

    def _check(self, key: str, value: object, kind: type[T]) -> T:
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ConfigError(f"{self.where}: {key} must be {_name(kind)}, not {_kind(value)}")
        return value


NAMES = {
    int: "an integer",
    float: "a number",
    str: "a string",
    bool: "true or false",
    list: "a list",
    dict: "a table",
}


def _name(kind: type) -> str:
    return NAMES.get(kind, kind.__name__)


def _kind(value: object) -> str:
    return NAMES.get(type(value), type(value).__name__)
