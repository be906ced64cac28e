"""Validation during a run: rate and quality on held-out clips at a few qualities."""

import csv
from pathlib import Path

import numpy as np
import torch

from ui2c import _core
from ui2c.network.codec import Codec
from ui2c.network.config import CodecConfig, distortion_weight
from ui2c.network.packing import pack
from ui2c.train.clips import validation_clips
from ui2c.train.graph import Batch, Start, run_clip

QPS = (8, 20, 32, 44, 56)


class Validator:
    """Codes held-out clips through the training graph with rounded latents, blank start."""

    def __init__(
        self, folder: Path, config: CodecConfig, *, cache: Path, per_video: int = 2
    ) -> None:
        self.config = config
        videos = validation_clips(folder, per_video=per_video, cache=cache)
        clips = [clip for video in videos.values() for clip in video]
        self.sources = [luma for luma, _, _ in clips]
        self.frames = torch.stack(
            [pack((torch.from_numpy(plane) for plane in clip), 8) for clip in clips]
        )

    def batch(self, qp: int) -> Batch:
        """The clips with the motion that the encoder would search for at this quality."""
        per_unit = self.config.frames_per_unit
        units = self.frames.shape[1] // per_unit
        count, side = len(self.sources), self.sources[0].shape[1]
        cells = -(-side // 16)
        steps = np.zeros((count, units), np.uint8)
        vectors = np.zeros((count, units, per_unit, cells, cells, 2), np.int16)
        lagrangian = 65025 / distortion_weight(63 - qp)
        for i, luma in enumerate(self.sources):
            for unit in range(1, units):
                first = unit * per_unit
                step, field = _core.search_motion(
                    luma[first - 1], luma[first : first + per_unit], lagrangian=lagrangian
                )
                steps[i, unit] = step
                if step:
                    vectors[i, unit, :, : field.shape[1], : field.shape[2]] = field
        # The reserve frame is never used: every clip starts blank.
        return Batch(torch.cat((self.frames[:, :1], self.frames), dim=1), steps, vectors)

    @torch.no_grad()
    def run(self, codec: Codec, step: int, output: Path) -> None:
        """Appends a line per quality to validation.csv and prints them."""
        device = next(codec.parameters()).device
        count = len(self.sources)
        for qp in QPS:
            batch = self.batch(qp)
            batch = Batch(batch.frames.to(device), batch.steps, batch.vectors)
            start = Start(
                torch.full((count,), 63 - qp, device=device),
                torch.zeros(count, dtype=torch.int64, device=device),
                torch.ones(count, dtype=torch.bool, device=device),
                torch.zeros_like(batch.frames[:, 0]),
            )
            result = run_clip(codec, batch, start)
            psnr = -10 * torch.log10(result.error).mean((0, 1, 2))
            row = {
                "step": step,
                "qp": qp,
                "bpp": round(float(result.bits_by_unit.mean()), 5),
                "intra_bpp": round(float(result.bits_by_unit[:, 0].mean()), 5),
                "inter_bpp": round(float(result.bits_by_unit[:, 1:].mean()), 5),
                "log_bpp": round(float(result.bits_by_unit.mean(1).log2().mean()), 4),
                "psnr_y": round(float(psnr[0]), 3),
                "psnr_u": round(float(psnr[1]), 3),
                "psnr_v": round(float(psnr[2]), 3),
                "psnr_last_y": round(
                    float(-10 * torch.log10(result.error[:, -1, -1, 0]).mean()), 3
                ),
            }
            path = output / "validation.csv"
            new = not path.exists()
            with path.open("a", newline="") as file:
                writer = csv.DictWriter(file, row)
                if new:
                    writer.writeheader()
                writer.writerow(row)
            print("validation", " ".join(f"{k} {v}" for k, v in row.items()), flush=True)
