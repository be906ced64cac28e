"""Latents of three frames: latents.py write CLIP FOLDER QP..., then latents.py measure FOLDER.

`write` codes two units of the clip, scaled to 1920x1080, with the shipped model, and saves what the
entropy coder gets for each; `measure` times the binding on them and prints JSON.
"""

import itertools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ui2c import _core

WIDTH, HEIGHT = 1920, 1080
RUNS = 20


def write(clip: str, folder: Path, qps: list[int]) -> None:
    import av
    from recording import recording
    from ui2c.network.load import load_model
    from ui2c.network.prior import SKIP
    from ui2c.network.tables import gaussian_tables
    from ui2c.unit.coder import UnitEncoder
    from ui2c.unit.planes import Geometry

    with av.open(clip) as container:
        decoded = itertools.islice(container.decode(video=0), 3)
        frames = [frame.reformat(WIDTH, HEIGHT, "yuv420p").to_ndarray() for frame in decoded]
    planes = [
        (
            frame[:HEIGHT].copy(),
            frame[HEIGHT : HEIGHT * 5 // 4].reshape(HEIGHT // 2, WIDTH // 2).copy(),
            frame[HEIGHT * 5 // 4 :].reshape(HEIGHT // 2, WIDTH // 2).copy(),
        )
        for frame in frames
    ]
    model, units = recording(load_model("small"))
    frequencies, lengths = gaussian_tables()
    for qp in qps:
        coder = UnitEncoder(model, Geometry(WIDTH, HEIGHT))
        for kind, part in (("intra", planes[:1]), ("inter", planes[1:])):
            coder.encode(part, qp=qp, intra=kind == "intra")
            name, unit = f"latents_{kind}_qp{qp}", units[-1]
            np.concatenate((unit.z_index, unit.y_index)).tofile(folder / f"{name}.indexes")
            symbols = np.concatenate((unit.z, unit.y))
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
        symbols_again = np.empty_like(symbols)

        def decode(
            tables: _core.Tables = tables,
            indexes: np.ndarray = indexes,
            log2_lanes: int = log2_lanes,
            stream: bytes = stream,
            out: np.ndarray = symbols_again,
        ) -> np.ndarray:
            coder = _core.RansDecoder(stream, log2_lanes)
            decoded = coder.get(tables, indexes, out=out)
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
