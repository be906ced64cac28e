"""A long video coded by several processes; an interrupted run goes on where it stopped.

python examples/segments.py VIDEO OUT
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import ui2c


def main(video: str, out: str, jobs: int = 2) -> None:
    statistics = ui2c.Statistics()
    # Any executor will do, such as Dask's; forking a process that runs PyTorch would not be safe.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as executor:
        data = ui2c.encode_segments(
            video,
            executor=executor,
            jobs=jobs,
            segment=12,  # frames; short, so that a short clip has some
            work=f"{out}.segments",  # where finished segments wait for the others
            statistics=statistics,
            qp=36,
        )
    Path(out).write_bytes(data)
    print(f"{statistics.frames} frames in {statistics.bytes} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
