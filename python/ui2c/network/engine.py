"""The seam between the codec and whatever runs its networks: integers in, integers out.

An engine computes one numeric profile exactly. So streams do not depend on which engine made them,
and everything beyond the seam (motion, entropy coding, post-filter) knows nothing of networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ui2c._core import Planes


class Session(Protocol):
    """The networks at work on one sequence; it holds their feature and the unit at hand, no more.

    For every unit first `begin`; then an encoder calls `analyse`; then both sides call `scales`,
    an encoder `quantise`, both `synthesise`, and `frame` for the frames they want. All planes are
    of the coded size.
    """

    def begin(
        self,
        *,
        qp: int,
        intra: bool,
        step: int,
        vectors: NDArray[np.int16] | None,
        known: Sequence[Planes],
    ) -> None:
        """Begins a unit.

        `step` and `vectors` are its motion field, `[frames, rows, columns, 2]` in quarter samples;
        `known` what is known of its frames before its latents, the blank picture for nothing.
        """

    def hyper_scales(self) -> NDArray[np.uint8]:
        """Table index of every element of z, flat."""

    def analyse(self, frames: Sequence[Planes], expected: Sequence[Planes]) -> NDArray[np.int16]:
        """Symbols of z, flat, of the unit's frames less what an encoder expects of them."""

    def scales(self, z: NDArray[np.int16]) -> NDArray[np.uint8]:
        """Table index of every element of y, flat, given z's symbols."""

    def quantise(self) -> NDArray[np.int16]:
        """Symbols of y, flat, of the frames that were analysed."""

    def synthesise(self, y: NDArray[np.int16] | None = None) -> None:
        """Makes the unit's feature from y's symbols, unless given those just quantised."""

    def frame(self, index: int, base: Planes) -> Planes:
        """The decoded frame of the unit whose prediction is `base`."""

    def digest(self) -> int:
        """CRC-32C of the feature: equal wherever the same stream was decoded."""

    def save(self) -> Any:
        """The state between two units; nothing changes it afterwards."""

    def restore(self, state: Any) -> None:
        """Goes on from such a state."""


class Engine(Protocol):
    """Runs the networks of one model."""

    @property
    def on_processor(self) -> bool:
        """Whether it runs on a CPU, where networks are slow beside everything else."""

    def session(self, *, width: int, height: int, bit_depth: int) -> Session:
        """A session for pictures of that coded size, both sides multiples of 16."""
