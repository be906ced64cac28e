"""Sessions of networks, told of units as an encoder or a decoder does."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ui2c.network.engine import Session
from ui2c.network.model import Model
from ui2c.unit.motion import find_motion
from ui2c.unit.planes import Geometry, Planes

from support.clips import equal, moving_frames


@dataclass(frozen=True)
class Unit:
    """What both sides are told of one unit, and its frames."""

    told: dict[str, Any]
    frames: list[Planes]


@dataclass(frozen=True)
class Coded:
    z: NDArray[np.int16]
    y: NDArray[np.int16]
    frames: list[Planes]
    digest: int


def session_of(model: Model, geometry: Geometry) -> Session:
    return model.session(
        width=geometry.coded_width, height=geometry.coded_height, bit_depth=geometry.bit_depth
    )


def units_of(geometry: Geometry, qp: int, seed: int = 1) -> list[Unit]:
    """A still and two pairs with the motion that is found in the source."""
    width, height, depth = geometry.coded_width, geometry.coded_height, geometry.bit_depth
    still, *frames = moving_frames(5, width, height, depth, seed)
    grey = geometry.grey()
    told = {"qp": qp, "intra": True, "step": 0, "vectors": None, "known": [grey, grey]}
    units = [Unit(told, [still, still])]
    reference = still
    for pair in (frames[:2], frames[2:]):
        luma = [frame[0] for frame in pair]
        motion, known = find_motion(reference, luma, qp=qp, bit_depth=depth, effort="fast")
        step, vectors = motion.field.step, motion.field.vectors
        told = {"qp": qp, "intra": False, "step": step, "vectors": vectors, "known": known}
        units.append(Unit(told, pair))
        reference = pair[1]
    return units


def encode(session: Session, unit: Unit) -> Coded:
    session.begin(**unit.told)
    z = session.analyse(unit.frames, unit.told["known"])
    session.scales(z)
    y = session.quantise()
    session.synthesise()
    return Coded(z, y, shown(session, unit), session.digest())


def decode(session: Session, unit: Unit, coded: Coded) -> Coded:
    session.begin(**unit.told)
    session.scales(coded.z)
    session.synthesise(coded.y)
    return Coded(coded.z, coded.y, shown(session, unit), session.digest())


def shown(session: Session, unit: Unit) -> list[Planes]:
    return [session.frame(index, unit.told["known"][index]) for index in (1, 0)]


def same(a: Coded, b: Coded) -> bool:
    return (
        np.array_equal(a.z, b.z)
        and np.array_equal(a.y, b.y)
        and all(equal(x, y) for x, y in zip(a.frames, b.frames, strict=True))
        and a.digest == b.digest
    )
