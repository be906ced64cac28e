"""The networks run by the core, on a CPU, without PyTorch."""

from __future__ import annotations

from ui2c import _core


class NativeEngine:
    """Runs a model's networks, on so many threads or on all of the process."""

    def __init__(self, model: _core.Model, threads: int | None = None) -> None:
        self.model = model
        self._threads = threads

    @property
    def on_processor(self) -> bool:
        return True

    def session(self, *, width: int, height: int, bit_depth: int) -> _core.Session:
        return _core.Session(
            self.model, width=width, height=height, bit_depth=bit_depth, threads=self._threads
        )
