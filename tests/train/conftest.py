"""Training clips, tiny and synthetic."""

from pathlib import Path

import numpy as np
import pytest
import torch
from ui2c.train.shards import SIZE, motion_of


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One shard of three clips that pan over a smooth random texture."""
    folder = tmp_path_factory.mktemp("shards")
    rng = np.random.default_rng(3)
    frames = np.zeros((3, 17, SIZE * SIZE * 3 // 2), np.uint8)
    for clip in range(3):
        coarse = torch.from_numpy(rng.uniform(40, 210, (1, 1, 30, 30))).float()
        wide = torch.nn.functional.interpolate(coarse, size=(240, 240), mode="bicubic")
        wide = wide.clamp(16, 235).round().to(torch.uint8).numpy()[0, 0]
        for t in range(17):
            luma = wide[t : t + SIZE, 2 * t : 2 * t + SIZE]
            chroma = wide[: SIZE // 2, : SIZE // 2]
            frames[clip, t] = np.concatenate([luma.ravel(), chroma.ravel(), chroma.ravel()])
    steps, vectors = motion_of(frames)
    for name, array in (("frames", frames), ("steps", steps), ("vectors", vectors)):
        np.save(folder / f"shard_00000.{name}.npy", array)
    return folder
