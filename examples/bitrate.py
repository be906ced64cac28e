"""A bitrate held in one pass, and a size met in two.

python examples/bitrate.py VIDEO
"""

import sys

import ui2c
from ui2c.video import open_source


def main(video: str) -> None:
    fps = open_source(video).description.fps or 25
    encoder = ui2c.Encoder(bitrate=50_000, buffer=1.0, fps=fps)
    encoder.encode(open_source(video))
    report("one pass for 50 kbit/s", encoder.statistics)

    # The first pass learns what the units cost, the second spreads the bytes over them.
    first = ui2c.Encoder(qp=36, fps=fps)
    first.encode(open_source(video))
    size = first.statistics.bytes * 3 // 4
    encoder = ui2c.Encoder(size=size, first_pass=first.statistics, fps=fps)
    encoder.encode(open_source(video))
    report(f"two passes for {size} bytes", encoder.statistics)


def report(what: str, statistics: ui2c.Statistics) -> None:
    print(
        f"{what}: {statistics.bytes} bytes, {statistics.kbits_per_second:.1f} kbit/s, "
        f"qp {statistics.qp:.1f} ± {statistics.qp_deviation:.1f}"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
