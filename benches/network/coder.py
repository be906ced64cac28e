"""One encoding and one decoding of a clip by one installation of ui2c, timed: a part of `speed.py`.

    python benches/network/coder.py CLIP.npz STREAM --threads 1 [--torch]

CLIP.npz has the planes `y`, `u`, `v`, each `[frames, height, width]`. Prints JSON. Only what commit
0ef8bde had already is used, so that it can be measured, too.
"""

import argparse
import hashlib
import json
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import ui2c


def model(torch: bool) -> Any:
    if not torch:
        return "small"
    from ui2c.network.load import find_model
    from ui2c.network.torch_model import load_torch_model

    return load_torch_model(find_model("small"), "cpu")


def timed(call: Any) -> tuple[dict[str, float], Any]:
    wall, processor = time.perf_counter(), time.process_time()
    result = call()
    return {
        "wall": time.perf_counter() - wall,
        "processor": time.process_time() - processor,
    }, result


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("clip")
    parser.add_argument("stream", type=Path)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--torch", action="store_true")
    parser.add_argument("--decode", action="store_true", help="the stream is there already")
    arguments = parser.parse_args()
    network = model(arguments.torch)
    options = {"model": network, "threads": arguments.threads, "device": "cpu"}
    results: dict[str, Any] = {}
    if not arguments.decode:
        clip = np.load(arguments.clip)
        frames = [ui2c.YUV420(*p) for p in zip(clip["y"], clip["u"], clip["v"], strict=True)]
        encoder = ui2c.Encoder(qp=32, lead=0, motion="fast", **options)
        # What is prepared at first use is no part of it.
        encoder.encode(frames[:2])
        results["encode"], stream = timed(lambda: encoder.encode(frames))
        arguments.stream.write_bytes(stream)
    stream = arguments.stream.read_bytes()
    decoder = ui2c.Decoder(**options)
    decoder.decode(stream)
    results["decode"], decoded = timed(lambda: decoder.decode(stream))
    digest = hashlib.sha256()
    for frame in decoded:
        for plane in (frame.y, frame.u, frame.v):
            digest.update(np.ascontiguousarray(plane))
    results.update(
        frames=len(decoded),
        bytes=len(stream),
        sha256=digest.hexdigest()[:12],
        peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
    )
    print(json.dumps(results))


if __name__ == "__main__":
    main()
