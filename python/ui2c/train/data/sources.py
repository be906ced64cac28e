"""What clips are made of: tiles of photographs and reels of real videos, decoded once.

`ui2c data FOLDER --photographs PHOTOGRAPHS --videos VIDEOS` writes them. Processes of a run share
them in memory, as they are mapped from the files.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ui2c.train.data.videos import read_video, training_videos
from ui2c.train.files import save_array, whole_file

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
IMAGE_SCALES = (0.75, 0.53, 0.375)
"""Photographs are scaled by each: beyond the first is mostly their JPEG's own noise."""
VIDEO_SCALES = (2.0, 3.0, 4.5)
"""Videos are that many times smaller: what lies beyond the first is mostly what a codec made."""
FASTEST = 45.0
"""Of videos of more frames per second every second one is left out."""
TILE = 384
VERSION = 1


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
    """Videos at some scales in one run of bytes, frame by frame Y, U, V; int64 tensors `[n]`."""

    data: Tensor
    start: Tensor
    frames: Tensor
    height: Tensor
    width: Tensor
    video: Tensor
    """Number of the video that a reel shows, at one of the scales."""


@dataclass(frozen=True)
class Sources:
    """Tiles for synthetic clips, reels for real ones; of one kind there may be none."""

    tiles: Tiles | None
    reels: Reels | None

    @property
    def device(self) -> torch.device:
        """Where they lie, and where clips are made of them."""
        if self.tiles is not None:
            return self.tiles.luma.device
        if self.reels is not None:
            return self.reels.data.device
        raise ValueError("sources without tiles and reels")

    @staticmethod
    def load(folder: Path, device: torch.device) -> "Sources":
        """What `ui2c data` has written into a folder; FileNotFoundError if it has not.

        Raises ValueError if another version has.
        """
        index = folder / "index.json"
        if not index.exists():
            raise FileNotFoundError(f"no whole training sources in {folder}: see `ui2c data`")
        found = json.loads(index.read_text())
        if found["version"] != VERSION:
            raise ValueError(f"{folder}: sources of version {found['version']}, not {VERSION}")

        def mapped(name: str) -> Tensor:
            # Copy on write: nothing is written, so all processes read the same memory.
            return torch.from_numpy(np.load(folder / f"{name}.npy", mmap_mode="c")).to(device)

        tiles = reels = None
        if found["tiles"]:
            tiles = Tiles(*(mapped(field.name) for field in fields(Tiles)))
        if found["reels"]:
            data = torch.from_numpy(np.memmap(folder / "reels.bin", np.uint8, "c")).to(device)
            columns = torch.tensor(found["reels"], device=device).unbind(1)
            reels = Reels(data, *columns)
        return Sources(tiles, reels)


# --- photographs ---------------------------------------------------------------------------


def load_tiles(folder: Path, *, side: int = TILE) -> Tiles:
    """All photographs of a folder as tiles; ValueError if there is none."""
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise ValueError(f"no photographs ({', '.join(IMAGE_SUFFIXES)}) in {folder}")
    luma, chroma, extent = [], [], []
    with ThreadPoolExecutor() as pool:
        for image in pool.map(read_image, paths):
            whole = rgb_to_yuv709(image)[None]
            for scale in IMAGE_SCALES:
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
    return Tiles(y, torch.cat(chroma), torch.tensor(extent), texture)


def read_image(path: Path) -> NDArray[np.uint8]:
    """RGB `[height, width, 3]`; raises what PyAV raises for a broken file."""
    import av

    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        return frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)


def rgb_to_yuv709(rgb: NDArray[np.uint8]) -> Tensor:
    """`[height, width, 3]` full-range RGB → float32 `[3, height, width]` limited-range YUV."""
    kr, kb = 0.2126, 0.0722
    luma = np.array([kr, 1 - kr - kb, kb])
    matrix = np.stack(
        [
            luma * 219 / 255,
            (np.array([0, 0, 1]) - luma) / (2 * (1 - kb)) * 224 / 255,
            (np.array([1, 0, 0]) - luma) / (2 * (1 - kr)) * 224 / 255,
        ]
    )
    height, width, _ = rgb.shape
    planes = torch.from_numpy(matrix).float() @ torch.from_numpy(rgb).reshape(-1, 3).float().T
    planes += torch.tensor([[16.0], [128.0], [128.0]])
    return planes.view(3, height, width)


def gradient(luma: Tensor) -> Tensor:
    """Mean absolute difference of neighbours in each `[n, 1, h, w]`: `[n]`."""
    x = luma.float()
    return x.diff(dim=2).abs().mean((1, 2, 3)) + x.diff(dim=3).abs().mean((1, 2, 3))


def tiles_of(image: Tensor, side: int) -> Iterator[Tensor]:
    """Squares that cover `[1, 3, height, width]`, mirrored at its edges where it is smaller."""
    rows, columns = (mirror(extent, side) for extent in image.shape[2:])
    for row in rows:
        for column in columns:
            yield image[:, :, row[:, None], column]


def mirror(extent: int, side: int) -> list[Tensor]:
    """Indices of the tiles along an axis."""
    if extent <= side:
        x = torch.arange(side) % (2 * extent)
        return [torch.where(x < extent, x, 2 * extent - 1 - x)]
    count = -(-(extent - side // 2) // side) if extent < 2 * side else extent // side
    starts = [(extent - side) * k // max(1, count - 1) for k in range(count)]
    return [torch.arange(side) + start for start in starts]


def to_bytes(x: Tensor) -> Tensor:
    return x.round().clamp(0, 255).to(torch.uint8)


# --- videos --------------------------------------------------------------------------------


def write_reels(videos: Path, output: Path) -> list[list[int]]:
    """Appends all videos of a folder at all scales to `output`, a file of bytes.

    Returns for each reel the columns of `Reels` after its data, in their order.
    """
    index: list[list[int]] = []
    position = 0
    with whole_file(output) as file:
        for number, path in enumerate(training_videos(videos)):
            parts: list[list[bytes]] = [[] for _ in VIDEO_SCALES]
            sizes = [(0, 0)] * len(VIDEO_SCALES)
            for scaled in read_video(path, VIDEO_SCALES, FASTEST):
                sizes = [planes[0].shape for planes in scaled]
                for part, planes in zip(parts, scaled, strict=True):
                    part += [plane.tobytes() for plane in planes]
            for part, (height, width) in zip(parts, sizes, strict=True):
                index.append([position, len(part) // 3, height, width, number])
                position += file.write(b"".join(part))
            print(f"{path.name}: {len(parts[0]) // 3} frames", flush=True)
    return index


def build_sources(output: Path, photographs: Path | None, videos: Path | None) -> None:
    """Writes the sources for `Sources.load` into a folder, the index last."""
    output.mkdir(parents=True, exist_ok=True)
    (output / "index.json").unlink(missing_ok=True)
    if photographs:
        tiles = load_tiles(photographs)
        for name, tensor in vars(tiles).items():
            save_array(output / f"{name}.npy", tensor.numpy())
        print(f"{photographs}: {len(tiles.luma)} tiles", flush=True)
    reels = write_reels(videos, output / "reels.bin") if videos else []
    description = {"version": VERSION, "tiles": photographs is not None, "reels": reels}
    with whole_file(output / "index.json") as file:
        file.write(json.dumps(description).encode() + b"\n")


def main(argv: Sequence[str] | None = None) -> int:
    """`ui2c data`."""
    parser = argparse.ArgumentParser(
        prog="ui2c data", description="Decode photographs and videos once, as training needs them."
    )
    parser.add_argument("output", type=Path, help="folder to write to")
    parser.add_argument("--photographs", type=Path, help="folder of images, for synthetic clips")
    parser.add_argument("--videos", type=Path, help="folder of videos, for real clips")
    options = parser.parse_args(argv)
    if not (options.photographs or options.videos):
        parser.error("--photographs, --videos or both are needed")
    build_sources(options.output, options.photographs, options.videos)
    return 0
