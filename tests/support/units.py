"""Units coded and decoded one by one."""

from ui2c.motion import Planes
from ui2c.network.weights import Model
from ui2c.pair import CodedUnit, PairCoder


def code_units(
    model: Model, frames: list[Planes], qp: int, depth: int
) -> tuple[list[CodedUnit], list[Planes]]:
    height, width = frames[0][0].shape
    coder = PairCoder(model, width=width, height=height, bit_depth=depth)
    units: list[CodedUnit] = []
    shown: list[Planes] = []
    while len(shown) < len(frames):
        intra = not units
        part = frames[len(shown) :][: model.config.unit_frames(intra)]
        units.append(coder.encode(part, qp=qp, cycle=len(units) % 4, intra=intra))
        shown += coder.decoded[: len(part)]
    return units, shown


def decode_units(
    model: Model, units: list[CodedUnit], width: int, height: int, depth: int
) -> list[Planes]:
    coder = PairCoder(model, width=width, height=height, bit_depth=depth)
    shown = []
    for unit in units:
        shown += coder.decode(
            unit.stream,
            qp=unit.qp,
            cycle=unit.cycle,
            intra=unit.intra,
            motion_step=unit.motion_step,
            log2_lanes=unit.log2_lanes,
        )
        assert coder.feature_hash == unit.feature_hash
    return shown


def decode_unit(coder: PairCoder, unit: CodedUnit, stream: bytes | None = None) -> list[Planes]:
    return coder.decode(
        unit.stream if stream is None else stream,
        qp=unit.qp,
        cycle=unit.cycle,
        intra=unit.intra,
        motion_step=unit.motion_step,
        log2_lanes=unit.log2_lanes,
    )
