"""Writes the golden files of a format version, once: python tests/golden/write.py

They say for ever what the bytes of this format mean, so they are never written again for the same
version; a file that exists is left alone. With --models what depends on networks is written again,
for as long as no version is released: models, their streams and pictures, and the seeds of the
decoder's fuzzer. What each file holds:

- coder.ui2c: a stream of units of symbols, coder.tables, coder.indexes and coder.symbols what they
  are coded with and what they decode to. The metadata "counts" tells the elements of each unit.
- motion.stream, motion.vectors: a motion field as the only segment of a stream on one lane.
- blocks.stream, blocks.cells: blocks of a frame, guessed from that field's first one, and that
  there are none, on one lane; nine words a cell, its mode and four vectors.
- filters.stream, filters.coefficients: filters of a picture, told from none, then others told from
  one of three default sets, then no change, on one lane; the coefficients of defaults and both.
- nano.safetensors: a model with tables fitted to counts, others for z, and default filters.
- eight.ui2c, eight.y4m, ten.ui2c, ten.y4m: streams of it, and their pictures, of 8 bits and of 10
  bits, an odd size and irregular times. Their motion and filters are such that together they say
  all that a unit can say (`UNITS`).
"""

import argparse
import importlib.util
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from ui2c import SequenceHeader, _core
from ui2c.video import Description, open_sink

FOLDER = Path(__file__).parent
if __name__ == "__main__":
    sys.path.insert(0, str(FOLDER.parent))
COUNTS = (0, 1, 63, 64, 65, 1000, 5000, 40000)
SKIP = 2
FIELD = (2, 9, 11)
"""Frames, rows and columns."""


def numbers(count: int, seed: int) -> NDArray[np.uint32]:
    """Uniform 32-bit numbers that no library can change."""
    state = np.empty(count, np.uint32)
    value = seed
    for i in range(count):
        value = (value * 6364136223846793005 + 1442695040888963407) % 2**64
        state[i] = value >> 32
    return state


def tables() -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Frequencies and lengths of seven tables, from m = 0 to m = 127."""
    halves = (
        [4095],
        [4000, 40],
        [3000, 400, 100],
        [2000, 600, 250, 100, 60],
        [900, 500, 400, 300, 200, 100, 50, 20, 10, 5],
        [600] + [40 - i for i in range(35)],
        [32] + [15] * 127,
    )
    rows = []
    for half in halves:
        row = [*half[:0:-1], *half]
        row.append(4096 - sum(row))
        rows.append(row)
    lengths = np.array([len(row) for row in rows], np.uint16)
    return np.concatenate([np.array(row, np.uint16) for row in rows]), lengths


def elements() -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
    """Indexes and symbols of all units; a few lie beyond the tables, some are skipped."""
    random = numbers(3 * sum(COUNTS), 1).reshape(3, -1)
    indexes = (random[0] % 7).astype(np.uint8)
    reach = np.array([0, 1, 2, 4, 9, 35, 127])[indexes]
    symbols = (random[1] % (2 * reach + 1)).astype(np.int64) - reach
    far = random[2] % 400 == 0
    symbols[far] = (random[1][far] % 65536).astype(np.int64) - 32768
    symbols[indexes < SKIP] = 0
    return indexes, symbols.astype(np.int16)


def coder_stream() -> bytes:
    coder_tables = _core.Tables(*tables(), SKIP)
    header = SequenceHeader(width=176, height=144, model_id=b"golden 1")
    writer = _core.Writer(header)
    stream = writer.start() + writer.metadata("counts", " ".join(map(str, COUNTS)))
    indexes, symbols = elements()
    start = 0
    for number, count in enumerate(COUNTS):
        here = slice(start, start + count)
        start += count
        encoder = _core.RansEncoder()
        encoder.put(coder_tables, indexes[here], symbols[here])
        # Every number of lanes once, and once as many as the encoder likes.
        log2_lanes, data = encoder.finish(number if number < 7 else None)
        stream += writer.unit(
            intra=number % 4 == 0,
            qp=number,
            motion_step=0,
            log2_lanes=log2_lanes,
            shown=2 - number % 2,
            stream=data,
            feature_hash=number * 0x01010101 if number % 3 == 0 else None,
            ticks=(1,) * (2 - number % 2) if number == 5 else None,
            repeat_header=number == 4,
        )
    return stream + writer.end()


def vectors() -> NDArray[np.int16]:
    """A pan with a little noise, one far vector in each frame."""
    frames, rows, columns = FIELD
    random = numbers(frames * rows * columns * 2, 2).reshape(frames, rows, columns, 2)
    field = (random % 3).astype(np.int16) + np.array([13, -6], np.int16)
    field[1] *= 2
    field[:, 4, 5] = (2047, -2047)
    return field


def motion_stream() -> bytes:
    encoder = _core.RansEncoder()
    encoder.put_motion(vectors())
    return encoder.finish(0)[1]


def blocks() -> _core.Blocks:
    """Half of the cells with one block or four; one with far vectors."""
    _, rows, columns = FIELD
    random = numbers(rows * columns * 9, 3).reshape(rows, columns, 9)
    modes = np.array([0, 0, 0, 1, 1, 2, 3, 4], np.uint8)[random[..., 8] % 8]
    modes[4, 6] = 2
    parts = (random[..., :8] % 7).astype(np.int16).reshape(rows, columns, 4, 2) * 2 - 12
    parts[4, 6] = (-2046, 2046)
    return _core.Blocks(modes, parts)


def blocks_stream() -> bytes:
    encoder = _core.RansEncoder()
    encoder.put_blocks(blocks(), vectors()[0], 1)
    encoder.put_blocks(None, vectors()[0], 1)
    return encoder.finish(0)[1]


def filters() -> NDArray[np.int8]:
    """Three default sets and two that are sent; a few coefficients lie far out."""
    random = numbers(5 * 3 * 30 * 12, 4).reshape(5, 3, 30, 12)
    coefficients = (random % 41).astype(np.int64) - 20
    coefficients[random % 997 == 0] = -128
    coefficients[3, :, 10:20] = coefficients[3, :, 9:10]
    coefficients[4] = coefficients[1]
    coefficients[4, :, ::7] += random[3, :, ::7] % 3
    coefficients[4, 2] = coefficients[3, 2]
    return np.clip(coefficients, -128, 127).astype(np.int8)


def filters_stream() -> bytes:
    *defaults, first, second = (_core.Filters(one) for one in filters())
    encoder = _core.RansEncoder()
    encoder.put_filters(_core.Filters(), defaults, first)
    encoder.put_filters(first, defaults, second)
    encoder.put_filters(second, defaults, second)
    return encoder.finish(0)[1]


class Coded(NamedTuple):
    """One unit of a golden stream: an intra unit, or an inter unit with that motion."""

    frames: int
    qp: int
    step: int | None = None
    shift: int = 0
    halved: bool = False
    forward: tuple[bool, bool] = (False, False)
    """Which frames have blocks."""
    between: bool = False
    filters: int | None = None
    """Which of `filters()`: 0 to 2 are defaults, 3 and 4 like none of them; 5 is near 4."""
    log2_lanes: int | None = None

    @property
    def intra(self) -> bool:
        return self.step is None


UNITS = {
    "eight": (
        Coded(1, 8, filters=1),
        Coded(2, 8, 16, 0, forward=(True, True), between=True, filters=4, log2_lanes=6),
        Coded(2, 20, 32, 1, halved=True, filters=5),
        Coded(1, 44),
        Coded(1, 44, 64, 2, forward=(True, False), filters=3),
    ),
    "ten": (
        Coded(1, 0, filters=3, log2_lanes=3),
        Coded(2, 14, 0, 1, forward=(False, True), filters=3),
        Coded(2, 63, 16, 0, halved=True, between=True, filters=0),
        Coded(2, 30, 16, 2, filters=0),
    ),
}


def golden_codec() -> Any:
    """A network whose every parameter means something."""
    import torch
    from ui2c.network.codec import Codec
    from ui2c.network.config import config_for
    from ui2c.network.prior import SCALES

    torch.manual_seed(1)
    codec = Codec(config_for("nano")).requires_grad_(False)
    latent = codec.config.latent
    marks = numbers(3 * latent, 5).reshape(3, latent) / 2.0**32 - 0.5
    offsets = numbers(2 * SCALES, 6).reshape(SCALES, 2) / 2.0**33
    codec.prior.stage_marks.copy_(torch.from_numpy(marks))
    codec.prior.offsets.copy_(torch.from_numpy(offsets))
    return codec


def write_model(path: Path) -> None:
    from ui2c.network.prior import SCALES
    from ui2c.network.tables import LARGEST, fitted_tables
    from ui2c.network.torch_model import save_model

    counts = numbers(2 * SCALES * (LARGEST + 2), 7).reshape(2, SCALES, -1) >> 16
    counts >>= np.arange(LARGEST + 2, dtype=np.uint32).clip(max=20)
    of_y, of_z = (fitted_tables(part) for part in counts)
    defaults = np.resize(filters()[:3] // 4, (9, 3, 3, 30, 12))
    save_model(golden_codec(), path, filters=defaults, tables=(of_y, of_z))


def source(name: str) -> list[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]:
    """As many frames of a real clip as the stream has."""
    from ui2c.video import open_source

    count = sum(unit.frames for unit in UNITS[name])
    clip = zip(open_source(FOLDER.parent / "data" / "city.mkv"), range(count), strict=False)
    if name == "eight":
        return [
            (
                frame.y[60:108, 100:164].copy(),
                frame.u[30:54, 50:82].copy(),
                frame.v[30:54, 50:82].copy(),
            )
            for frame, _ in clip
        ]

    def finer(plane: NDArray[Any]) -> NDArray[Any]:
        low = numbers(plane.size, 8).reshape(plane.shape) >> 30
        return (plane.astype(np.uint16) << 2) + low.astype(np.uint16)

    return [
        (finer(frame.y[40:77, 60:111]), finer(frame.u[20:39, 30:56]), finer(frame.v[20:39, 30:56]))
        for frame, _ in clip
    ]


def filters_of(unit: Coded, model: Any) -> _core.Filters:
    """Defaults are those of the model at the unit's quality."""
    if unit.filters is None:
        return _core.Filters()
    if unit.filters < 3:
        default: _core.Filters = model.default_filters(unit.qp, unit.intra)[unit.filters]
        return default
    coefficients = filters()[min(unit.filters, 4)] // 2
    if unit.filters == 5:
        coefficients[:, :3] += 1
    return _core.Filters(coefficients)


def golden_stream(name: str, model: Any) -> bytes:
    """The stream of that name."""
    from support.motion import random_motion
    from support.units import UnitWriter
    from ui2c.unit.field import UnitMotion
    from ui2c.unit.planes import Geometry

    frames = source(name)
    height, width = frames[0][0].shape
    regular = name == "eight"
    header = SequenceHeader(
        width=width,
        height=height,
        bit_depth=8 if regular else 10,
        timebase=(1, 25) if regular else (1, 1000),
        frame_ticks=1 if regular else 0,
        color_primaries=1,
        transfer=1,
        matrix=1,
        model_id=model.model_id,
    )
    writer = _core.Writer(header)
    geometry = Geometry(width, height, header.bit_depth)
    coder = UnitWriter(model, geometry)
    stream = writer.start() + writer.metadata("title", name)
    first = 0
    for index, unit in enumerate(UNITS[name]):
        motion = None
        if unit.step is not None:
            whole = random_motion(
                geometry, index, step=unit.step, shift=unit.shift, halved=unit.halved
            )
            forward = tuple(
                blocks if used else None
                for blocks, used in zip(whole.forward, unit.forward, strict=True)
            )
            motion = UnitMotion(whole.field, forward, whole.between if unit.between else None)
        coded = coder.write(
            frames[first : first + unit.frames],
            qp=unit.qp,
            motion=motion,
            filters=filters_of(unit, model),
            log2_lanes=unit.log2_lanes,
        )
        first += unit.frames
        ticks = None if regular else (17 * index + 3, 40)[: unit.frames]
        stream += writer.unit(
            intra=coded.intra,
            qp=coded.qp,
            motion_step=coded.motion_step,
            log2_lanes=coded.log2_lanes,
            shown=unit.frames,
            stream=coded.stream,
            feature_hash=coded.feature_hash,
            ticks=ticks,
            repeat_header=coded.intra and index > 0,
        )
    return stream + writer.end(coded.feature_hash)


def _write(name: str, data: bytes) -> None:
    path = FOLDER / name
    if path.exists():
        print(f"{name}: there, left alone")
    else:
        path.write_bytes(data)
        print(f"{name}: {len(data)} bytes")


def _write_models(*, again: bool) -> None:
    """What needs PyTorch."""
    import ui2c
    from ui2c.network.load import load_model

    names = ["nano.safetensors", *(f"{name}.{kind}" for name in UNITS for kind in ("ui2c", "y4m"))]
    if again:
        for name in names:
            (FOLDER / name).unlink(missing_ok=True)
    elif all((FOLDER / name).exists() for name in names):
        print(f"{', '.join(names)}: there, left alone")
        return
    write_model(FOLDER / "nano.safetensors")
    model = load_model(FOLDER / "nano.safetensors")
    for name in UNITS:
        stream = golden_stream(name, model)
        _write(f"{name}.ui2c", stream)
        shown = ui2c.Decoder(model=model).decode(stream)
        path = FOLDER / f"{name}.y4m"
        first = shown[0]
        sink = open_sink(path, Description(first.width, first.height, first.bit_depth))
        for frame in shown:
            sink.write(frame)
        sink.close()
        print(f"{path.name}: {path.stat().st_size} bytes")
    fuzzer = FOLDER.parent.parent / "fuzz" / "decoder.py"
    specification = importlib.util.spec_from_file_location("fuzz_decoder", fuzzer)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    module.write_seeds()


def cells() -> NDArray[np.int16]:
    """`blocks` as nine words a cell."""
    modes, parts = blocks().modes, blocks().vectors
    return np.concatenate([modes[..., None].astype(np.int16), parts.reshape(9, 11, 8)], axis=-1)


def coder_files() -> dict[str, bytes]:
    """All that needs no network."""
    frequencies, lengths = tables()
    count = np.array([len(lengths), SKIP], np.uint16)
    indexes, symbols = elements()
    return {
        "coder.tables": np.concatenate([count, lengths, frequencies]).astype("<u2").tobytes(),
        "coder.indexes": indexes.tobytes(),
        "coder.symbols": symbols.astype("<i2").tobytes(),
        "coder.ui2c": coder_stream(),
        "motion.vectors": vectors().astype("<i2").tobytes(),
        "motion.stream": motion_stream(),
        "blocks.cells": cells().astype("<i2").tobytes(),
        "blocks.stream": blocks_stream(),
        "filters.coefficients": filters().tobytes(),
        "filters.stream": filters_stream(),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", action="store_true", help="write what needs networks again")
    options = parser.parse_args()
    for name, data in coder_files().items():
        _write(name, data)
    _write_models(again=options.models)


if __name__ == "__main__":
    main()
