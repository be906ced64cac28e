"""A model that keeps what the entropy coder is given for every unit."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ui2c.network.engine import Engine
from ui2c.network.model import Model


@dataclass
class Recorded:
    """Table indexes and symbols of one unit, flat."""

    z_index: NDArray[np.uint8]
    z: NDArray[np.int16]
    y_index: NDArray[np.uint8]
    y: NDArray[np.int16]


class RecordingSession:
    """A session for encoding; each unit must be coded once only."""

    def __init__(self, session: Any, units: list[Recorded]) -> None:
        self._session, self._units = session, units

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def scales(self, z: NDArray[np.int16]) -> NDArray[np.uint8]:
        self._z, self._y_index = z, self._session.scales(z)
        return self._y_index

    def quantise(self) -> NDArray[np.int16]:
        y = self._session.quantise()
        z_index = np.array(self._session.hyper_scales())
        self._units.append(Recorded(z_index, self._z, self._y_index, y))
        return y


class RecordingEngine:
    def __init__(self, engine: Engine, units: list[Recorded]) -> None:
        self.on_processor = engine.on_processor
        self._engine, self._units = engine, units

    def session(self, **size: int) -> RecordingSession:
        return RecordingSession(self._engine.session(**size), self._units)


def recording(model: Model) -> tuple[Model, list[Recorded]]:
    """The model, and where its units will be."""
    units: list[Recorded] = []
    return replace(model, engine=RecordingEngine(model.engine, units)), units
