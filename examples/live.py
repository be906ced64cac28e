"""Frame by frame from a camera to a viewer: each side works on what has come so far.

python examples/live.py VIDEO
"""

import sys
from collections.abc import Iterator

import ui2c
from ui2c.video import open_source


def camera(video: str) -> Iterator[bytes]:
    """What goes over the wire, piece by piece."""
    encoder = ui2c.Encoder(qp=36)
    for number, frame in enumerate(open_source(video)):
        if number == 5:
            encoder.force_intra()  # a viewer has just joined
        yield encoder.push(frame)
    yield encoder.flush()


def main(video: str) -> None:
    viewer = ui2c.Decoder()
    shown = 0
    for number, piece in enumerate(camera(video)):
        frames = viewer.push(piece)
        shown += len(frames)
        print(f"frame {number} captured: {len(piece)} bytes sent, {shown} frames shown")
    shown += len(viewer.flush())
    print(f"{shown} frames shown in all")


if __name__ == "__main__":
    main(*sys.argv[1:])
