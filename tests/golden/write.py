"""Writes the golden files of a format version, once: python tests/golden/write.py

They say for ever what the bytes of this format mean, so they are never written again for the same
version; a file that exists is left alone. What each holds:

- coder.ui2c: a stream of units of symbols, coder.tables, coder.indexes and coder.symbols what they
  are coded with and what they decode to. The metadata "counts" tells the elements of each unit.
- motion.stream, motion.vectors: a motion field as the only segment of a stream on one lane.
- blocks.stream, blocks.cells: blocks of a frame, guessed from that field's first one, and that
  there are none, on one lane; nine words a cell, its mode and four vectors.
- filters.stream, filters.coefficients: filters of a picture, told from none, then others told from
  one of three default sets, then no change, on one lane; the coefficients of defaults and both.
- nano.safetensors, nano.ui2c, nano.y4m: weights, a stream made with them, and its pictures.
- recentred.safetensors, recentred.ui2c, recentred.y4m: the same with stills, blocks forward and
  between the frames, filters, vectors whose precision units choose, aligned features, a prior of
  four stages, tables fitted to counts, others for z, and symbols that stand for less than
  themselves.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from ui2c import SequenceHeader, _core

FOLDER = Path(__file__).parent
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


def _write(name: str, data: bytes) -> None:
    path = FOLDER / name
    if path.exists():
        print(f"{name}: there, left alone")
    else:
        path.write_bytes(data)
        print(f"{name}: {len(data)} bytes")


def _write_pictures() -> None:
    """What needs PyTorch."""
    import torch
    import ui2c
    from ui2c.network.prior import SCALES
    from ui2c.network.tables import LARGEST, fitted_tables
    from ui2c.network.weights import load_model, random_model, save_model
    from ui2c.video import open_source

    source = open_source(FOLDER.parent / "data" / "city.mkv")
    frames = [
        ui2c.YUV420(
            frame.y[60:108, 100:164].copy(),
            frame.u[30:54, 50:82].copy(),
            frame.v[30:54, 50:82].copy(),
            8,
            False,
        )
        for frame, _ in zip(source, range(7), strict=False)
    ]
    plain = random_model("nano", 1).codec
    recentred = random_model("nano", 1).codec
    recentred.config = replace(
        recentred.config,
        still=True,
        blocks=True,
        bidirectional=True,
        post_filter=True,
        chosen_precision=True,
        coarse_motion=(1000.0, 0.0),
        aligned=True,
        stages=4,
        recentred=True,
    )
    marks = numbers(3 * recentred.config.latent, 5).reshape(3, -1)
    marks = torch.from_numpy(marks / 2.0**32 - 0.5).float()
    recentred.prior.stage_marks = torch.nn.Parameter(marks)
    offsets = numbers(2 * SCALES, 6).reshape(SCALES, 2) / 2.0**33
    recentred.prior.offsets = torch.nn.Parameter(torch.from_numpy(offsets).float())
    counts = numbers(2 * SCALES * (LARGEST + 2), 7).reshape(2, SCALES, -1) >> 16
    counts >>= np.arange(LARGEST + 2, dtype=np.uint32).clip(max=20)
    of_y, of_z = (fitted_tables(part) for part in counts)
    for name, codec in (("nano", plain), ("recentred", recentred)):
        weights = FOLDER / f"{name}.safetensors"
        if not weights.exists():
            defaults = np.resize(filters()[:3] // 4, (9, 3, 3, 30, 12))
            tables = (of_y, of_z) if name == "recentred" else None
            save_model(codec, weights, filters=defaults, tables=tables)
        model = load_model(weights)
        _write(f"{name}.ui2c", ui2c.Encoder(model=model, qp=8, keyint=4).encode(frames))
        if not (FOLDER / f"{name}.y4m").exists():
            width, height = frames[0].width, frames[0].height
            writer = _core.VideoWriter.y4m(str(FOLDER / f"{name}.y4m"), width=width, height=height)
            for frame in ui2c.Decoder(model=model).decode((FOLDER / f"{name}.ui2c").read_bytes()):
                writer.write((frame.y, frame.u, frame.v))
            writer.close()


if __name__ == "__main__":
    frequencies, lengths = tables()
    count = np.array([len(lengths), SKIP], np.uint16)
    _write("coder.tables", np.concatenate([count, lengths, frequencies]).astype("<u2").tobytes())
    _write("coder.indexes", elements()[0].tobytes())
    _write("coder.symbols", elements()[1].astype("<i2").tobytes())
    _write("coder.ui2c", coder_stream())
    _write("motion.vectors", vectors().astype("<i2").tobytes())
    _write("motion.stream", motion_stream())
    modes, parts = blocks().modes, blocks().vectors
    cells = np.concatenate([modes[..., None], parts.reshape(9, 11, 8)], axis=-1)
    _write("blocks.cells", cells.astype("<i2").tobytes())
    _write("blocks.stream", blocks_stream())
    _write("filters.coefficients", filters().tobytes())
    _write("filters.stream", filters_stream())
    _write_pictures()
