"""Where the bytes of units go: python benches/entropy_coder/unit_bytes.py CLIP... [--qp Q ...]

Codes clips with the shipped model and prints means over the units of each size, in bytes: the frame
around the unit and its fields, then the ideal code lengths of motion, hyper-latent and latent under
the tables, and what filters and the coder add to them (the states of its lanes above all).
"""

import argparse
import math
from collections import defaultdict
from itertools import islice

import numpy as np
import ui2c
from recording import recording
from safetensors import safe_open
from ui2c import _core
from ui2c.network.load import load_model
from ui2c.network.model import model_folder
from ui2c.network.prior import SKIP
from ui2c.network.tables import ScaleTables
from ui2c.video import open_source

CLASSES = (300, 1000, 3000, 10_000, 30_000, math.inf)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("clips", nargs="+")
    parser.add_argument("--qp", type=int, nargs="+", default=[8, 32, 56])
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--scale", type=int, default=1, help="takes every n-th row and column")
    arguments = parser.parse_args()
    model, recorded = recording(load_model("small"))
    of_z, of_y = tables_of("small")
    classes = defaultdict(list)
    for clip in arguments.clips:
        frames = [
            smaller(frame, arguments.scale) for frame in islice(open_source(clip), arguments.frames)
        ]
        for qp in arguments.qp:
            recorded.clear()
            # Without trials of leads every unit is coded once.
            encoder = ui2c.Encoder(qp=qp, model=model, lead=0)
            units = coded_units(encoder.encode(frames))
            for unit, known, symbols in zip(units, encoder.statistics.units, recorded, strict=True):
                size = len(unit.stream)
                parts = [
                    known.motion_bytes,
                    ideal(of_z, symbols.z_index, symbols.z),
                    ideal(of_y, symbols.y_index, symbols.y),
                ]
                row = [unit.size, unit.size - size, 1 << unit.log2_lanes, *parts]
                row.append(size - sum(parts))
                classes[next(limit for limit in CLASSES if unit.size <= limit)].append(row)
    names = ["unit", "frame, fields", "lanes", "motion", "hyper", "latent", "filters, coder"]
    print("| bytes | units | " + " | ".join(names) + " | added, % of ideal |")
    print("|--:" * (len(names) + 3) + "|")
    for limit in CLASSES:
        rows = np.array(classes[limit])
        if not len(rows):
            continue
        means = rows.mean(axis=0)
        cells = " | ".join(f"{mean:.1f}" for mean in means)
        over = 100 * means[-1] / means[3:6].sum()
        print(f"| ≤ {limit} | {len(rows)} | {cells} | {over:.2f} |")


def coded_units(stream: bytes) -> list[_core.CodedUnit]:
    parser = _core.Parser()
    parser.feed(stream)
    return [u for u in iter(parser.next_unit, None) if isinstance(u, _core.CodedUnit)]


def smaller(frame: ui2c.YUV420, scale: int) -> ui2c.YUV420:
    planes = (plane[::scale, ::scale].copy() for plane in (frame.y, frame.u, frame.v))
    return ui2c.YUV420(*planes, frame.bit_depth, frame.full_range)


def ideal(tables: ScaleTables, indexes: np.ndarray, symbols: np.ndarray) -> float:
    """Bytes of the symbols under those tables, escapes as docs/bitstream.md has them."""
    lengths = tables.lengths.astype(int)
    starts, largest = np.cumsum(lengths) - lengths, (lengths - 2) // 2
    coded = indexes >= SKIP
    index, symbol = indexes[coded], symbols[coded].astype(int)
    beyond = abs(symbol) - largest[index]
    entry = np.where(beyond > 0, 2 * largest[index] + 1, symbol + largest[index])
    bits = 12 - np.log2(tables.frequencies[starts[index] + entry])
    bits += np.where(beyond > 0, 2 * np.floor(np.log2(np.maximum(beyond, 1))) + 2, 0)
    return float(bits.sum()) / 8


def tables_of(name: str) -> tuple[ScaleTables, ScaleTables]:
    """Those of z and of y in a shipped model."""
    with safe_open(model_folder() / f"{name}.safetensors", framework="np") as file:
        z, y = (
            ScaleTables(*(file.get_tensor(f"tables.{kind}{f}") for f in ScaleTables._fields))
            for kind in ("hyper_", "")
        )
    return z, y


if __name__ == "__main__":
    main()
