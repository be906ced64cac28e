"""Shards: files of training clips, with the motion fields that an encoder would find in them.

`shard_NNNNN.frames.npy`   uint8 `[clips, 1 + 2 · pairs, side² · 3 / 2]`, planar YUV 4:2:0,
                           BT.709 limited
`shard_NNNNN.steps.npy`    uint8 `[clips, 2, pairs]`: grid step (0, 16, 32, 64) by rate level, pair
`shard_NNNNN.vectors.npy`  int16 `[clips, 2, pairs, 2, side / 16, side / 16, 2]`: by rate level,
                           pair, frame of the pair, row, column: (dx, dy) in quarter samples;
                           unused cells are zero
`shard_NNNNN.json`         what the clips are

Frame 0 is a reserve; pair k is frames 2k + 1 and 2k + 2 and its reference is frame 2k. Shards of
different lengths and sizes may lie in one folder; training draws from those that fit a stage.
"""

import argparse
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ui2c.train import synthesis
from ui2c.train.clips import ClipLibrary, draw_clip
from ui2c.train.files import save_array, whole_file
from ui2c.train.photographs import PhotographLibrary
from ui2c.train.septuplets import PAIRS as SEPTUPLET_PAIRS
from ui2c.train.septuplets import draw_septuplet, find_septuplets

VERSION = 3
"""Of the generator: the same seed and version make the same clips."""
SIZE = 128
"""Height and width of the clips unless asked otherwise."""
PAIRS = 8
"""Pairs of a clip unless asked otherwise."""
CLIPS = 64
LAGRANGIANS = (25.0, 250.0)
"""Price of a bit in squared 8-bit codes, for the two rate levels of the motion search."""


def _file(folder: Path, number: int, kind: str) -> Path:
    return folder / f"shard_{number:05d}.{kind}"


def luma_of(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`[…, side² · 3 / 2]` → `[…, side, side]`."""
    side = math.isqrt(frames.shape[-1] * 2 // 3)
    return frames[..., : side * side].reshape(*frames.shape[:-1], side, side)


def motion_of(frames: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
    """(steps, vectors) of the clips `[clips, frames, side² · 3 / 2]`, shaped as in a shard."""
    from ui2c import _core

    luma = luma_of(frames)
    cells = luma.shape[-1] // 16
    steps = np.zeros((len(frames), len(LAGRANGIANS), frames.shape[1] // 2), np.uint8)
    vectors = np.zeros((*steps.shape, 2, cells, cells, 2), np.int16)
    for clip, level, pair in np.ndindex(*steps.shape):
        reference, *coded = luma[clip, 2 * pair : 2 * pair + 3]
        step, found = _core.search_motion(reference, np.stack(coded), lagrangian=LAGRANGIANS[level])
        steps[clip, level, pair] = step
        if step:
            _, rows, columns, _ = found.shape
            vectors[clip, level, pair, :, :rows, :columns] = found
    return steps, vectors


def _write_motion(folder: Path, number: int, frames: NDArray[np.uint8]) -> None:
    steps, vectors = motion_of(frames)
    # The steps come last: where they are, everything is.
    save_array(_file(folder, number, "vectors.npy"), vectors)
    save_array(_file(folder, number, "steps.npy"), steps)


def add_motion(folder: Path) -> int:
    """Searches motion for the shards in a folder that have none yet; returns how many had none."""
    added = 0
    for path in sorted(folder.glob("shard_*.frames.npy")):
        number = int(path.name.removeprefix("shard_").removesuffix(".frames.npy"))
        if not _file(folder, number, "steps.npy").exists():
            _write_motion(folder, number, np.load(path))
            added += 1
    return added


class ShardMaker:
    """Makes the clips of any shard; what a shard holds depends on the seed and its number only."""

    def __init__(
        self,
        photographs: Path | None,
        clips: Path | None,
        *,
        cache: Path,
        seed: int,
        synthetic_share: float,
        pairs: int = PAIRS,
        size: int = SIZE,
        septuplets: Path | None = None,
    ) -> None:
        self._seed = seed
        self._size = size
        self._frames = 1 + 2 * pairs
        self._synthetic_share = 0.0 if septuplets else synthetic_share
        self._photographs = (
            PhotographLibrary(photographs) if photographs and self._synthetic_share > 0 else None
        )
        self._septuplets = find_septuplets(septuplets) if septuplets else []
        real = clips is not None and not septuplets and synthetic_share < 1
        self._videos = ClipLibrary(clips, cache).videos if clips and real else []

    def make(self, number: int, count: int = CLIPS) -> tuple[NDArray[np.uint8], list[str]]:
        """(`[count, frames, side² · 3 / 2]`, name of each clip's source)."""
        order = np.random.default_rng([self._seed, number, 0])
        synthetic = order.permutation(count) < round(self._synthetic_share * count)
        frames = np.empty((count, self._frames, self._size**2 * 3 // 2), np.uint8)
        sources = []
        photographs = self._photographs.window(self._seed, number) if self._photographs else []
        for i in range(count):
            rng = np.random.default_rng([self._seed, number, 1, i])
            if synthetic[i]:
                frames[i] = synthesis.synthesise(
                    rng, photographs, frames=self._frames, size=self._size
                )
                sources.append("synthetic")
            else:
                if self._septuplets:
                    name, luma, chroma = draw_septuplet(rng, self._septuplets, size=self._size)
                else:
                    name, luma, chroma = draw_clip(
                        rng, self._videos, frames=self._frames, size=self._size
                    )
                if rng.random() < 0.3:
                    synthesis.grade(rng, luma, chroma)
                if rng.random() < 0.3:
                    synthesis.add_noise(rng, luma, chroma)
                frames[i] = synthesis.pack(luma, chroma)
                sources.append(name)
        return frames, sources


def build_shards(
    output: Path,
    *,
    photographs: Path | None,
    clips: Path | None,
    count: int,
    seed: int,
    synthetic_share: float = 0.5,
    first: int = 0,
    clips_per_shard: int = CLIPS,
    motion: bool = True,
    cache: Path | None = None,
    pairs: int = PAIRS,
    size: int = SIZE,
    septuplets: Path | None = None,
) -> None:
    """Writes the shards `first` … `first + count − 1` that are not there yet, and reports on them.

    `photographs` and `clips` are folders; either may be missing when its share is zero, and
    `septuplets`, a folder of folders of seven pictures, takes the place of both (and makes clips of
    three pairs). `cache` (by default beside `output`) keeps the decoded videos. With `motion` the
    fields are searched too.
    Each file is written whole or not at all; the tag file comes last.
    """
    output.mkdir(parents=True, exist_ok=True)
    cache = cache or output.parent / "scaled_clips"
    maker = ShardMaker(
        photographs,
        clips,
        cache=cache,
        seed=seed,
        synthetic_share=synthetic_share,
        pairs=SEPTUPLET_PAIRS if septuplets else pairs,
        size=size,
        septuplets=septuplets,
    )
    for number in range(first, first + count):
        tag = _file(output, number, "json")
        if tag.exists():
            continue
        start = time.perf_counter()
        frames, sources = maker.make(number, clips_per_shard)
        made = time.perf_counter()
        save_array(_file(output, number, "frames.npy"), frames)
        if motion:
            _write_motion(output, number, frames)
        searched = time.perf_counter()
        description = {
            "version": VERSION,
            "seed": seed,
            "synthetic_share": synthetic_share,
            "clips": sources,
        }
        with whole_file(tag) as file:
            file.write(json.dumps(description).encode() + b"\n")
        print(
            f"{tag.stem}: {clips_per_shard / (searched - start):.1f} clips/s "
            f"({made - start:.1f} s clips, {searched - made:.1f} s motion)",
            flush=True,
        )


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="ui2c data", description="Make shards of training clips from photographs and videos."
    )
    parser.add_argument("output", type=Path, help="folder of the shards")
    parser.add_argument("--photographs", type=Path, help="folder of images")
    parser.add_argument("--clips", type=Path, help="folder of videos")
    parser.add_argument(
        "--septuplets",
        type=Path,
        help="folder of folders of im1.png … im7.png, as in Vimeo-90k, instead of both",
    )
    parser.add_argument("--pairs", type=int, default=PAIRS, help="pairs of frames in a clip")
    parser.add_argument("--size", type=int, default=SIZE, help="height and width of a clip")
    parser.add_argument("--count", type=int, default=1, help="number of shards")
    parser.add_argument("--first", type=int, default=0, help="number of the first shard")
    parser.add_argument("--clips-per-shard", type=int, default=CLIPS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--synthetic-share", type=float, default=0.5)
    parser.add_argument("--cache", type=Path, help="folder for the decoded videos")
    parser.add_argument("--no-motion", action="store_true", help="leave the motion search out")
    parser.add_argument(
        "--add-motion", action="store_true", help="only search motion for the shards without"
    )
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    if options.add_motion:
        print(f"{add_motion(options.output)} shards")
        return
    if options.pairs < 1:
        parser.error("--pairs must be at least 1")
    if options.size < 64 or options.size % 64:
        parser.error("--size must be a multiple of 64")
    others = options.septuplets is None
    if others and options.synthetic_share > 0 and options.photographs is None:
        parser.error("--photographs is needed for synthetic clips")
    if others and options.synthetic_share < 1 and options.clips is None:
        parser.error("--clips is needed for real clips")
    build_shards(
        options.output,
        photographs=options.photographs,
        clips=options.clips,
        count=options.count,
        seed=options.seed,
        synthetic_share=options.synthetic_share,
        first=options.first,
        clips_per_shard=options.clips_per_shard,
        motion=not options.no_motion,
        cache=options.cache,
        pairs=options.pairs,
        size=options.size,
        septuplets=options.septuplets,
    )


if __name__ == "__main__":
    main()
