"""Crops of real videos, scaled down so that the artefacts of their first compression vanish."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ui2c.train.files import save_array, whole_file

Planes = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]
Rng = np.random.Generator

SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".264", ".h264")
VALIDATION = ("rooftops_vfr", "doughkneading", "skateboarder", "face_s20", "cliffs")
"""Videos that measure training and therefore never serve it."""
UNSUITABLE = ("building_hlg10",)
"""HDR: its code values mean something else than in all the others."""
SCALE = 2


@dataclass(frozen=True)
class Video:
    """A scaled-down video: y `[frames, height, width]`, u and v half that, uint8, limited range."""

    name: str
    frame_rate: float
    y: NDArray[np.uint8]
    u: NDArray[np.uint8]
    v: NDArray[np.uint8]


def decode(path: Path, *, scale: float = SCALE) -> Video:
    """Decodes a whole video, `scale` times smaller (area filter), in limited range.

    Raises ValueError if it is HDR or deeper than 8 bits, and what PyAV raises for broken files.
    """
    import av

    planes: tuple[list[NDArray[np.uint8]], ...] = ([], [], [])
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        source = stream.codec_context
        if source.format is None or source.format.components[0].bits != 8:
            raise ValueError(f"{path.name}: {source.pix_fmt} is not 8-bit video")
        width, height = (int(x / scale) // 4 * 4 for x in (source.width, source.height))
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        for frame in container.decode(stream):
            small = frame.reformat(
                width=width,
                height=height,
                format="yuv420p",
                interpolation="AREA",
                dst_color_range="MPEG",
            )
            packed = small.to_ndarray().astype(np.uint8, copy=False)
            u, v = packed[height:].reshape(2, height // 2, width // 2)
            for kept, plane in zip(planes, (packed[:height], u, v), strict=True):
                kept.append(plane)
    if not planes[0]:
        raise ValueError(f"{path.name}: no frames")
    return Video(path.stem, rate, *(np.stack(kept) for kept in planes))


class ClipLibrary:
    """A folder of videos, decoded once into `cache` and mapped into memory from there.

    Decoding a short piece in the middle of a video costs far more than reading it from disk.
    """

    def __init__(self, folder: Path, cache: Path) -> None:
        left_out = {*VALIDATION, *UNSUITABLE}
        paths = sorted(
            p for p in folder.iterdir() if p.suffix in SUFFIXES and p.stem not in left_out
        )
        if not paths:
            raise ValueError(f"no videos ({', '.join(SUFFIXES)}) in {folder}")
        cache.mkdir(parents=True, exist_ok=True)
        self.videos = [self._open(path, cache) for path in paths]

    @staticmethod
    def _open(path: Path, cache: Path) -> Video:
        stem = f"{path.stem}-{path.stat().st_size}"
        files = [cache / f"{stem}.{plane}.npy" for plane in "yuv"]
        rate = cache / f"{stem}.rate"
        if not rate.exists():
            video = decode(path)
            for file, plane in zip(files, (video.y, video.u, video.v), strict=True):
                save_array(file, plane)
            # Last: where the rate is, the planes are.
            with whole_file(rate) as note:
                note.write(repr(video.frame_rate).encode())
        y, u, v = (np.load(file, mmap_mode="r") for file in files)
        return Video(path.stem, float(rate.read_text()), y, u, v)


def _resize(planes: NDArray[np.uint8], size: int) -> Tensor:
    """`[frames, rows, columns]` → float32 `[frames, size, size]`, low-passed as needed."""
    x = torch.from_numpy(np.ascontiguousarray(planes)).float()[:, None]
    if x.shape[2:] != (size, size):
        x = functional.interpolate(
            x, (size, size), mode="bilinear", align_corners=False, antialias=True
        )
    return x[:, 0]


def draw_clip(
    rng: Rng, videos: list[Video], *, frames: int = 17, size: int = 128
) -> tuple[str, Tensor, Tensor]:
    """(name, luma `[frames, size, size]`, chroma `[2, frames, size / 2, size / 2]`) of a crop.

    Float32 on the scale of 8-bit codes. The best of a few crops in texture and motion, one time
    in four just any; from one to three samples of the video per sample; half of them backwards.
    Videos too short or too small are passed over; ValueError if all are.
    """
    stills = rng.random() < 0.25
    fitting = [v for v in videos if len(v.y) >= frames and min(v.y.shape[1:]) >= size]
    if not fitting:
        raise ValueError(f"{len(videos)} videos, none of which holds {frames} of {size}×{size}")
    video = fitting[rng.integers(len(fitting))]
    count, height, width = video.y.shape
    stride = 2 if video.frame_rate > 45 or (video.frame_rate > 20 and rng.random() < 0.2) else 1
    stride = min(stride, (count - 1) // (frames - 1))
    span = (frames - 1) * stride + 1
    best: tuple[float, slice, int, int, int] | None = None
    for _ in range(1 if stills else 3):
        start = int(rng.integers(count - span + 1))
        largest = min(height, width, 3 * size)
        side = int(np.exp(rng.uniform(np.log(size), np.log(largest)))) // 2 * 2
        if side < 1.12 * size:
            side = size
        top, left = (int(rng.integers((x - side) // 2 + 1)) * 2 for x in (height, width))
        when = slice(start, start + span, stride)
        ends = video.y[[start, start + span // 2], top : top + side : 2, left : left + side : 2]
        a, b = ends.astype(np.float32)
        texture = np.abs(np.diff(a, axis=0)).mean() + np.abs(np.diff(a, axis=1)).mean()
        score = float(texture * (1 + min(np.abs(a - b).mean(), 10.0)))
        if best is None or score > best[0]:
            best = score, when, top, left, side
    assert best is not None
    _, when, top, left, side = best
    luma = _resize(video.y[when, top : top + side, left : left + side], size)
    top, left, side = top // 2, left // 2, side // 2
    chroma = torch.stack(
        [
            _resize(p[when, top : top + side, left : left + side], size // 2)
            for p in (video.u, video.v)
        ]
    )
    if rng.random() < 0.5:
        luma, chroma = luma.flip(0), chroma.flip(1)
    if rng.random() < 0.5:
        luma, chroma = luma.flip(2), chroma.flip(3)
    return video.name, luma, chroma


def _validation_crops(path: Path, size: int, frames: int, count: int) -> list[Planes]:
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        shorter = min(stream.width, stream.height)
    # Twice smaller, but a small video keeps a quarter more than the crop so that crops can differ.
    video = decode(path, scale=min(SCALE, max(1.0, shorter / (1.25 * size))))
    length, height, width = video.y.shape
    if length < frames or min(height, width) < size:
        raise ValueError(
            f"{path.name}: {length} frames of {width}×{height} hold no {frames} of {size}×{size}"
        )
    rng = np.random.default_rng([size, frames, *path.stem.encode()])
    crops = []
    for k in range(count):
        start = (length - frames) * k // max(1, count - 1)
        top, left = (int(rng.integers((x - size) // 2 + 1)) * 2 for x in (height, width))
        rows, columns = slice(top, top + size), slice(left, left + size)
        half_rows = slice(top // 2, (top + size) // 2)
        half_columns = slice(left // 2, (left + size) // 2)
        when = slice(start, start + frames)
        crops.append(
            (
                video.y[when, rows, columns].copy(),
                video.u[when, half_rows, half_columns].copy(),
                video.v[when, half_rows, half_columns].copy(),
            )
        )
    return crops


def validation_clips(
    folder: Path,
    *,
    size: int = 192,
    frames: int = 16,
    per_video: int = 8,
    cache: Path | None = None,
) -> dict[str, list[Planes]]:
    """The crops that training is measured on: always the same, from videos it never sees.

    Returns for each video `per_video` clips of (y `[frames, size, size]`, u, v
    `[frames, size / 2, size / 2]`), uint8, limited range, spread over its length. `cache` is a
    folder that keeps them in one .npz file. Raises ValueError if a video is missing or too small.
    """
    kept = cache / f"validation-{size}x{frames}x{per_video}.npz" if cache else None
    if kept is not None and kept.exists():
        with np.load(kept) as stored:
            return {
                name: list(zip(*(stored[f"{name}.{p}"] for p in "yuv"), strict=True))
                for name in VALIDATION
            }
    clips = {}
    for name in VALIDATION:
        paths = [p for p in sorted(folder.iterdir()) if p.stem == name and p.suffix in SUFFIXES]
        if not paths:
            raise ValueError(f"validation video {name} is not in {folder}")
        clips[name] = _validation_crops(paths[0], size, frames, per_video)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        arrays = {
            f"{name}.{plane}": np.stack([crop[i] for crop in crops])
            for name, crops in clips.items()
            for i, plane in enumerate("yuv")
        }
        with whole_file(kept) as file:
            np.savez(file, allow_pickle=False, **arrays)
    return clips
