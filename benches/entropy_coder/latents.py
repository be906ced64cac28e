"""Latents of a real pair: latents.py write CLIP FOLDER QP..., then latents.py measure FOLDER.

`write` codes two units of the clip, scaled to 1920x1080, with the shipped model, and saves what the
entropy coder gets for each; `measure` times the binding on them and prints JSON.
"""

import itertools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ui2c import _core

WIDTH, HEIGHT = 1920, 1080
RUNS = 20


class Recorder:
    """A coder that keeps what it is given."""

    taken: list[tuple[np.ndarray, np.ndarray]]

    def __init__(self) -> None:
        self._coder = _core.RansEncoder()
        Recorder.taken = []

    def put(self, tables: _core.Tables, indexes: np.ndarray, symbols: np.ndarray) -> None:
        Recorder.taken.append((indexes.ravel().copy(), symbols.ravel().copy()))
        self._coder.put(tables, indexes, symbols)

    def put_motion(self, vectors: np.ndarray) -> None:
        self._coder.put_motion(vectors)

    def finish(self, log2_lanes: int | None = None) -> tuple[int, bytes]:
        return self._coder.finish(log2_lanes)


def write(clip: str, folder: Path, qps: list[int]) -> None:
    import av
    from ui2c import pair
    from ui2c.network.prior import SKIP
    from ui2c.network.tables import gaussian_tables
    from ui2c.network.weights import load_model

    class RecordingCore:
        RansEncoder = Recorder

        def __getattr__(self, name: str) -> Any:
            return getattr(_core, name)

    pair._core = RecordingCore()  # type: ignore[attr-defined]
    with av.open(clip) as container:
        decoded = itertools.islice(container.decode(video=0), 4)
        frames = [frame.reformat(WIDTH, HEIGHT, "yuv420p").to_ndarray() for frame in decoded]
    planes = [
        (
            frame[:HEIGHT].copy(),
            frame[HEIGHT : HEIGHT * 5 // 4].reshape(HEIGHT // 2, WIDTH // 2).copy(),
            frame[HEIGHT * 5 // 4 :].reshape(HEIGHT // 2, WIDTH // 2).copy(),
        )
        for frame in frames
    ]
    model = load_model("small")
    frequencies, lengths = gaussian_tables()
    for qp in qps:
        coder = pair.PairCoder(model, width=WIDTH, height=HEIGHT)
        for number, kind in enumerate(("intra", "inter")):
            coder.encode(planes[2 * number : 2 * number + 2], qp=qp, cycle=number, intra=not number)
            name = f"latents_{kind}_qp{qp}"
            indexes, symbols = (
                np.concatenate(taken) for taken in zip(*Recorder.taken, strict=True)
            )
            indexes.tofile(folder / f"{name}.indexes")
            symbols.astype("<i2").tofile(folder / f"{name}.symbols")
            frequencies.astype("<u2").tofile(folder / f"{name}.frequencies")
            lengths.astype("<u2").tofile(folder / f"{name}.lengths")
            (folder / f"{name}.skip").write_text(str(SKIP))


def measure(folder: Path) -> None:
    results = []
    for file in sorted(folder.glob("latents_*.skip")):
        name = file.stem
        skip = int(file.read_text())
        tables = _core.Tables(
            np.fromfile(folder / f"{name}.frequencies", np.uint16),
            np.fromfile(folder / f"{name}.lengths", np.uint16),
            skip,
        )
        indexes = np.fromfile(folder / f"{name}.indexes", np.uint8)
        symbols = np.fromfile(folder / f"{name}.symbols", np.int16)

        def encode(
            tables: _core.Tables = tables,
            indexes: np.ndarray = indexes,
            symbols: np.ndarray = symbols,
        ) -> tuple[int, bytes]:
            coder = _core.RansEncoder()
            coder.put(tables, indexes, symbols)
            return coder.finish()

        log2_lanes, stream = encode()

        def decode(
            tables: _core.Tables = tables,
            indexes: np.ndarray = indexes,
            log2_lanes: int = log2_lanes,
            stream: bytes = stream,
        ) -> np.ndarray:
            coder = _core.RansDecoder(stream, log2_lanes)
            decoded = coder.get(tables, indexes)
            coder.finish()
            return decoded

        if not np.array_equal(decode(), symbols):
            raise SystemExit("decoding gives other symbols")
        results.append(
            {
                "data": name,
                "coder": "ui2c",
                "level": "from Python",
                "version": _core.__version__,
                "elements": len(indexes),
                "coded": int((indexes >= skip).sum()),
                "bytes": len(stream),
                "lanes": 1 << log2_lanes,
                "encode": len(indexes) / best(encode) / 1e6,
                "decode": len(indexes) / best(decode) / 1e6,
            }
        )
    print(json.dumps(results))


def best(run: Callable[[], object]) -> float:
    times = []
    for _ in range(RUNS):
        start = time.thread_time()
        run()
        times.append(time.thread_time() - start)
    return min(times)


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(sys.argv[2], Path(sys.argv[3]), [int(qp) for qp in sys.argv[4:]])
    else:
        measure(Path(sys.argv[2]))
