"""Contact sheets: what clips are like, for the eye.

`python -m ui2c.train.data.contact_sheet SOURCES PNG` draws clips as training sees them.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import torch
from numpy.typing import NDArray

from ui2c.train.data.clips import ClipMaker
from ui2c.train.data.scenes import Dice
from ui2c.train.data.sources import Sources

SHOWN = (0, 4, 8, 12, 16)


def to_rgb(clip: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """`[frames, size · size · 3 / 2]` limited-range BT.709 → RGB `[frames, size, size, 3]`."""
    count, area = len(clip), size * size
    y = clip[:, :area].reshape(count, size, size).astype(np.float32) - 16
    chroma = clip[:, area:].reshape(count, 2, size // 2, size // 2).astype(np.float32) - 128
    u, v = chroma.repeat(2, axis=2).repeat(2, axis=3).transpose(1, 0, 2, 3)
    y = y * (255 / 219)
    u, v = u * (255 / 224), v * (255 / 224)
    rgb = np.stack([y + 1.5748 * v, y - 0.1873 * u - 0.4681 * v, y + 1.8556 * u], axis=-1)
    return rgb.round().clip(0, 255).astype(np.uint8)


def contact_sheet(
    clips: NDArray[np.uint8], *, size: int = 128, columns: int = 3
) -> NDArray[np.uint8]:
    """One row of five frames per clip, `columns` clips side by side: RGB `[height, width, 3]`."""
    strips = [np.concatenate(list(to_rgb(clip[list(SHOWN)], size)), axis=1) for clip in clips]
    strips = [np.pad(strip, ((0, 4), (0, 8), (0, 0))) for strip in strips]
    while len(strips) % columns:
        strips.append(np.zeros_like(strips[0]))
    rows = [np.concatenate(strips[i : i + columns], axis=1) for i in range(0, len(strips), columns)]
    return np.concatenate(rows)


def write_png(path: Path, rgb: NDArray[np.uint8]) -> None:
    with av.open(str(path), "w", format="image2") as container:
        stream = container.add_stream("png", rate=1, options={})
        stream.height, stream.width = rgb.shape[:2]
        stream.pix_fmt = "rgb24"
        for packet in stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")):
            container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Show clips as training sees them, as a PNG.")
    parser.add_argument("sources", type=Path, help="folder that `ui2c data` wrote")
    parser.add_argument("png", type=Path)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--size", type=int, default=128, help="height and width of a clip")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    device = torch.device("cpu")
    maker = ClipMaker(Sources.load(options.sources, device), Dice(device, options.seed))
    luma, chroma = maker.clips(options.count, max(SHOWN) + 1, options.size)
    clips = torch.cat((luma.flatten(2), chroma.flatten(2)), 2).numpy()
    write_png(options.png, contact_sheet(clips, size=options.size))


if __name__ == "__main__":
    main()
