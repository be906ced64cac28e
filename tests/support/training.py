"""Small runs and clips for training."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from ui2c.network.packing import pack
from ui2c.train.schedule import Stage, TrainConfig
from ui2c.unit.planes import Planes

from support.clips import moving_frames

ROW = 40


def config(data: Path, output: Path, init: Path | None = None) -> TrainConfig:
    """A run of a few steps; from `init`, if given, since computing a start takes longer."""
    return TrainConfig(
        model="nano",
        data=data,
        output=output,
        stages=(Stage(steps=3, units=2, batch=2, size=64),),
        warmup_steps=1,
        init=str(init or ""),
    )


def clip(seed: int = 2) -> list[Planes]:
    """Frames of which a part moves against the rest, so that blocks are worth their bits."""
    frames = moving_frames(5, 96, 64, 8, seed=seed)
    for t, frame in enumerate(frames):
        for plane, scale in zip(frame, (1, 2, 2), strict=True):
            x = (60 - 9 * t) // scale
            plane[16 // scale : 40 // scale, x : x + 24 // scale] = 255 - 40 * scale
            plane[20 // scale : 28 // scale, x + 4 : x + 24 // scale] = 30
    return frames


def packed(frames: list[Planes]) -> Tensor:
    planes = (torch.from_numpy(np.stack(plane)) for plane in zip(*frames, strict=True))
    return pack(planes, 8)
