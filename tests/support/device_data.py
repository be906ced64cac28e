"""Small sources of training clips, made up."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from ui2c.train.device_clips import Sources
from ui2c.train.device_sources import Reels, Tiles


def texture(seed: int, count: int, side: int) -> Tensor:
    """Smooth random luma `[count, side, side]`, uint8."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 1, side // 5, side // 5, generator=rng) * 180 + 30
    fine = torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic")
    return fine.clamp(16, 235).round().to(torch.uint8)[:, 0]


def make_sources() -> Sources:
    """Two tiles, and two reels that pan over a texture, two samples a frame to the right."""
    luma = texture(1, 2, 160)[:, None]
    chroma = luma[:, :, ::2, ::2].repeat(1, 2, 1, 1)
    tiles = Tiles(luma, chroma, torch.ones(2, 2), torch.tensor([3.0, 5.0]))
    parts, sizes = [], []
    for seed, (frames, height, width) in ((2, (12, 80, 96)), (3, (10, 64, 72))):
        wide = texture(seed, 1, 160)[0]
        for t in range(frames):
            y = wide[:height, 2 * t : 2 * t + width]
            parts += [y.flatten(), *(y[::2, ::2].flatten() for _ in range(2))]
        sizes.append((frames, height, width))
    count, height, width = torch.tensor(sizes).unbind(1)
    lengths = count * height * width * 3 // 2
    reels = Reels(torch.cat(parts), lengths.cumsum(0) - lengths, count, height, width)
    return Sources(tiles, reels, 0.5)


def write_sources(folder: Path) -> Path:
    """A picture, half black and half white, and a clip of four frames that grow brighter."""
    import av
    from ui2c.train.contact_sheet import write_png

    (folder / "photos").mkdir()
    (folder / "clips").mkdir()
    image = np.zeros((90, 120, 3), np.uint8)
    image[:, 60:] = 255
    write_png(folder / "photos" / "half.png", image)
    with av.open(str(folder / "clips" / "grey.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for t in range(4):
            picture = np.full((48, 48), 20 * t + 30, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "yuv420p")))
        container.mux(stream.encode())
    return folder
