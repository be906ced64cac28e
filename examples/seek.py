"""Any frame of a stream at once, without decoding all before it.

python examples/seek.py VIDEO
"""

import sys

import ui2c
from ui2c.video import open_source


def main(video: str) -> None:
    source = open_source(video)
    encoder = ui2c.Encoder(
        qp=36,
        keyint=9,  # a place to begin at every 9 frames: one, and four units of two
        scenecut=True,  # and wherever the scene changes
        fps=source.description.fps or 25,
    )
    data = encoder.encode(source)

    with ui2c.Decoder().open(data) as frames:  # bytes, a path, or an open file
        print(f"{len(frames)} frames, random access at {frames.random_access}")
        middle = len(frames) // 2
        print(f"frame {middle}, shown at {float(frames.time(middle)):.3f} s: {frames[middle]}")
        print(f"shown at 0.1 s: {frames.frame_at(0.1)}")
        print(f"the last three: {frames[-3:]}")


if __name__ == "__main__":
    main(*sys.argv[1:])
