"""Where the bytes of units go: python benches/entropy_coder/unit_bytes.py CLIP... [--qp Q ...]

Codes clips with the shipped model and prints means over the units of each size, in bytes: the frame
around the unit and its fields, then the ideal code lengths of motion, hyper-latent and latent under
the tables, and what the coder adds to them (the states of its lanes above all).
"""

import argparse
import math
from collections import defaultdict
from itertools import islice

import numpy as np
import ui2c
from ui2c import _core
from ui2c.network.prior import SKIP
from ui2c.network.tables import gaussian_tables
from ui2c.video import open_source

CLASSES = (300, 1000, 3000, 10_000, 30_000, math.inf)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("clips", nargs="+")
    parser.add_argument("--qp", type=int, nargs="+", default=[8, 32, 56])
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--scale", type=int, default=1, help="takes every n-th row and column")
    arguments = parser.parse_args()
    recorded = record()
    classes = defaultdict(list)
    for clip in arguments.clips:
        frames = [
            smaller(frame, arguments.scale) for frame in islice(open_source(clip), arguments.frames)
        ]
        for qp in arguments.qp:
            recorded.clear()
            stream = ui2c.Encoder(qp=qp).encode(frames)
            parser_ = _core.Parser()
            parser_.feed(stream)
            every = iter(parser_.next_unit, None)
            units = [unit for unit in every if isinstance(unit, _core.CodedUnit)]
            for unit, ideal in zip(units, recorded, strict=True):
                size = len(unit.stream)
                row = [unit.size, unit.size - size, 1 << unit.log2_lanes, *ideal]
                row.append(size - sum(ideal))
                classes[next(limit for limit in CLASSES if unit.size <= limit)].append(row)
    names = ["unit", "frame, fields", "lanes", "motion", "hyper", "latent", "coder"]
    print("| bytes | units | " + " | ".join(names) + " | coder, % of ideal |")
    print("|--:" * (len(names) + 3) + "|")
    for limit in CLASSES:
        rows = np.array(classes[limit])
        if not len(rows):
            continue
        means = rows.mean(axis=0)
        cells = " | ".join(f"{mean:.1f}" for mean in means)
        over = 100 * means[-1] / means[3:6].sum()
        print(f"| ≤ {limit} | {len(rows)} | {cells} | {over:.2f} |")


def smaller(frame: ui2c.YUV420, scale: int) -> ui2c.YUV420:
    planes = (plane[::scale, ::scale].copy() for plane in (frame.y, frame.u, frame.v))
    return ui2c.YUV420(*planes, frame.bit_depth, frame.full_range)


def record() -> list[list[float]]:
    """Has every coder from now on leave its ideal bytes: motion, hyper-latent, latent."""
    from ui2c import pair

    taken: list[list[float]] = []
    frequencies, lengths = gaussian_tables()
    lengths = lengths.astype(int)
    starts = np.cumsum(lengths) - lengths
    largest = (lengths - 2) // 2

    def ideal(indexes: np.ndarray, symbols: np.ndarray) -> float:
        coded = indexes.ravel() >= SKIP
        index, symbol = indexes.ravel()[coded], symbols.ravel()[coded].astype(int)
        beyond = abs(symbol) - largest[index]
        entry = np.where(beyond > 0, 2 * largest[index] + 1, symbol + largest[index])
        bits = 12 - np.log2(frequencies[starts[index] + entry])
        bits += np.where(beyond > 0, 2 * np.floor(np.log2(np.maximum(beyond, 1))) + 2, 0)
        return float(bits.sum()) / 8

    class Recorder:
        def __init__(self) -> None:
            self.coder = _core.RansEncoder()
            self.parts = [0.0]

        def put(self, tables: _core.Tables, indexes: np.ndarray, symbols: np.ndarray) -> None:
            self.parts.append(ideal(indexes, symbols))
            self.coder.put(tables, indexes, symbols)

        def put_motion(self, vectors: np.ndarray) -> None:
            self.parts[0] = _core.motion_bits(vectors) / 8
            self.coder.put_motion(vectors)

        def finish(self) -> tuple[int, bytes]:
            taken.append(self.parts)
            return self.coder.finish()

    class RecordingCore:
        RansEncoder = Recorder

        def __getattr__(self, name: str) -> object:
            return getattr(_core, name)

    pair._core = RecordingCore()  # type: ignore[attr-defined]
    return taken


if __name__ == "__main__":
    main()
