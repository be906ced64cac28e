"""What clips are made of on a device: tiles of photographs, and real clips, as bytes in its memory.

Files are decoded once, by PyAV or, where that is missing, by OpenCV.
"""

import importlib.util
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ui2c.train.clips import SUFFIXES as CLIP_SUFFIXES
from ui2c.train.clips import UNSUITABLE, VALIDATION
from ui2c.train.photographs import SUFFIXES as IMAGE_SUFFIXES
from ui2c.train.photographs import rgb_to_yuv709

Planes = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]

SCALES = (0.75, 0.5)
"""Photographs are scaled by each: beyond the first is mostly their JPEG's own noise."""
TILE = 384


@dataclass(frozen=True)
class Tiles:
    """Square pieces of photographs: luma `[tiles, 1, side, side]` and chroma
    `[tiles, 2, side / 2, side / 2]`, uint8, BT.709 limited range."""

    luma: Tensor
    chroma: Tensor
    extent: Tensor
    """Share of each tile's side, x and y, that is picture; what lies beyond is its mirror image."""
    texture: Tensor
    """Mean gradient of each tile, codes per sample."""


@dataclass(frozen=True)
class Reels:
    """Real clips of any sizes in one run of bytes, frame by frame Y, U, V; int64 tensors."""

    data: Tensor
    start: Tensor
    frames: Tensor
    height: Tensor
    width: Tensor


def load_tiles(folder: Path, device: torch.device, *, side: int = TILE, limit: int = 0) -> Tiles:
    """All photographs of a folder (or the first `limit`) as tiles."""
    paths = files(folder, IMAGE_SUFFIXES, limit)
    luma, chroma, extent = [], [], []
    with ThreadPoolExecutor() as pool:
        for image in pool.map(read_image, paths):
            whole = rgb_to_yuv709(image)[None].to(device)
            for scale in SCALES:
                size = [max(2, round(extent * scale)) for extent in whole.shape[2:]]
                small = functional.interpolate(
                    whole, size, mode="bicubic", align_corners=False, antialias=True
                )
                part = [min(1.0, length / side) for length in small.shape[:1:-1]]
                for tile in tiles_of(small, side):
                    extent.append(part)
                    luma.append(to_bytes(tile[:, :1]))
                    chroma.append(to_bytes(functional.avg_pool2d(tile[:, 1:], 2)))
    y = torch.cat(luma)
    texture = torch.cat([gradient(part) for part in y.split(32)])
    return Tiles(y, torch.cat(chroma), torch.tensor(extent, device=device), texture)


def gradient(luma: Tensor) -> Tensor:
    """Mean absolute difference of neighbours in each `[n, 1, h, w]`: `[n]`."""
    x = luma.float()
    return x.diff(dim=2).abs().mean((1, 2, 3)) + x.diff(dim=3).abs().mean((1, 2, 3))


def tiles_of(image: Tensor, side: int) -> Iterator[Tensor]:
    """Squares that cover `[1, 3, height, width]`, mirrored at its edges where it is smaller."""
    rows, columns = (mirror(extent, side, image.device) for extent in image.shape[2:])
    for row in rows:
        for column in columns:
            yield image[:, :, row[:, None], column]


def mirror(extent: int, side: int, device: torch.device) -> list[Tensor]:
    """Indices of the tiles along an axis."""
    if extent <= side:
        x = torch.arange(side, device=device) % (2 * extent)
        return [torch.where(x < extent, x, 2 * extent - 1 - x)]
    count = -(-(extent - side // 2) // side) if extent < 2 * side else extent // side
    starts = [(extent - side) * k // max(1, count - 1) for k in range(count)]
    return [torch.arange(side, device=device) + start for start in starts]


def to_bytes(x: Tensor) -> Tensor:
    return x.round().clamp(0, 255).to(torch.uint8)


def load_reels(folder: Path, device: torch.device, *, frames: int = 0, limit: int = 0) -> Reels:
    """The videos of a folder that serve training, at most `frames` frames of each."""
    left_out = {*VALIDATION, *UNSUITABLE}
    paths = [path for path in files(folder, CLIP_SUFFIXES, 0) if path.stem not in left_out]
    parts, sizes = [], []
    with ThreadPoolExecutor() as pool:
        for video in pool.map(lambda path: list(read_video(path, frames)), paths[: limit or None]):
            parts += [torch.from_numpy(plane.reshape(-1)) for planes in video for plane in planes]
            sizes.append((len(video), *video[0][0].shape))
    count, height, width = torch.tensor(sizes).unbind(1)
    lengths = count * height * width * 3 // 2
    start = lengths.cumsum(0) - lengths
    data = torch.cat(parts)
    return Reels(*(x.to(device) for x in (data, start, count, height, width)))


def files(folder: Path, suffixes: tuple[str, ...], limit: int) -> list[Path]:
    """The files of a kind in a folder; `ValueError` if there are none."""
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes)
    if not found:
        raise ValueError(f"no files ({', '.join(suffixes)}) in {folder}")
    return found[: limit or None]


def read_image(path: Path) -> NDArray[np.uint8]:
    """RGB `[height, width, 3]`."""
    if importlib.util.find_spec("av"):
        import av

        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
            return frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
    import cv2

    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"{path} cannot be read as an image")
    return np.ascontiguousarray(image[:, :, ::-1])


def read_video(path: Path, frames: int) -> Iterator[Planes]:
    """Y, U and V of the first `frames` frames, or of all if that is 0; sides cut to even ones."""
    if importlib.util.find_spec("av"):
        import av

        with av.open(str(path)) as container:
            for number, frame in enumerate(container.decode(video=0)):
                if frames and number == frames:
                    return
                height, width = frame.height // 2 * 2, frame.width // 2 * 2
                packed = frame.reformat(width, height, "yuv420p").to_ndarray()
                yield planar(packed.astype(np.uint8, copy=False))
        return
    import cv2

    capture = cv2.VideoCapture(str(path))
    number = 0
    while not frames or number < frames:
        there, image = capture.read()
        if not there:
            break
        height, width = (extent // 2 * 2 for extent in image.shape[:2])
        # OpenCV makes RGB by BT.601 from whatever it reads: the way back is the same matrix.
        yield planar(cv2.cvtColor(image[:height, :width], cv2.COLOR_BGR2YUV_I420))
        number += 1
    if not number:
        raise ValueError(f"{path} cannot be read as a video")


def planar(packed: NDArray[np.uint8]) -> Planes:
    """I420 `[height · 3 / 2, width]` as three planes."""
    height, width = packed.shape[0] * 2 // 3, packed.shape[1]
    u, v = packed[height:].reshape(2, height // 2, width // 2)
    return packed[:height], u, v
