"""The trainer: `ui2c train CONFIG.toml`, alone or in several processes under torchrun.

It runs on CPUs, with fused kernels, and on a GPU, while the native search finds motion on the CPU.
"""

import argparse
import copy
import ctypes
import gc
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from ui2c.network.blocks import Pointwise
from ui2c.network.codec import Codec
from ui2c.network.config import QUALITIES, CodecConfig, config_for, lagrangian_of_row
from ui2c.network.torch_model import save_model
from ui2c.train.calibrate import equalise, watched
from ui2c.train.data.batches import Batch, Batches
from ui2c.train.data.sources import Sources
from ui2c.train.files import whole_file
from ui2c.train.fused import attach, use_bfloat16
from ui2c.train.graph import Result, run_clip
from ui2c.train.logs import RunLog
from ui2c.train.optimizer import optimizers
from ui2c.train.quantised import attach as attach_rounding
from ui2c.train.schedule import Stage, TrainConfig, load_config
from ui2c.train.shared_sum import sum_over_processes
from ui2c.train.start import first_weights
from ui2c.train.validate import start_validation

LOG_EVERY = 20
SAVE_SECONDS = 240
FIT_BATCHES, FIT_CLIPS = 20, 16
CALIBRATION_BATCHES, CALIBRATION_CLIPS, CALIBRATION_UNITS = 4, 8, 2


def keep_freed_memory() -> None:
    """Asks glibc not to hand freed memory back: page faults of short-lived tensors cost a third."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD
            libc.mallopt(-1, (1 << 31) - 1)  # M_TRIM_THRESHOLD


class Trainer:
    """One process of a run."""

    def __init__(self, config: TrainConfig, device: str) -> None:
        self.config = config
        self.device = torch.device(device)
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.world = dist.get_world_size() if dist.is_initialized() else 1
        self.sources = Sources.load(config.data, self.device)
        self.checkpoint = config.output / "checkpoint.pt"
        torch.manual_seed(config.seed)
        if self.checkpoint.exists():
            codec = Codec(config_for(config.model))
        else:
            codec = first_weights(config.model, config.init, self.first_clips, config.plane_weights)
        self.codec = codec.to(self.device)
        self.batches = Batches(self.sources, self.codec.config, config.seed, config.references)
        middle = lagrangian_of_row(QUALITIES // 2)
        relative = [lagrangian_of_row(row) / middle for row in range(QUALITIES)]
        self.balance = torch.tensor(relative, device=self.device) ** -config.lambda_balance
        self.optimizers = optimizers(
            self.codec, muon_rate=config.muon_rate, adam_rate=config.adam_rate
        )
        self.average = copy.deepcopy(self.codec).requires_grad_(False)
        attach_rounding(self.codec)
        reduced = config.precision == "bfloat16"
        if self.device.type == "cpu":
            attach(self.codec, self.optimizers)
            if use_bfloat16(reduced) != reduced:
                print("this processor multiplies in float32 only", flush=True)
        else:
            torch.set_float32_matmul_precision("high" if reduced else "highest")
        self.step = 0
        self.skipped = 0
        self.seconds = 0.0
        if self.checkpoint.exists():
            self.resume()
        if self.rank == 0:
            self.records = RunLog(config.output)
        self.validation: subprocess.Popen[bytes] | None = None

    def first_clips(self, model: CodecConfig) -> Iterator[Tensor]:
        """Packed frames of first units, `[n, frames per unit, h, w, 96]`, on the CPU."""
        batches = Batches(self.sources, model, self.config.seed)
        size = self.config.stages[0].size
        for step in range(FIT_BATCHES):
            yield batches.draw(FIT_CLIPS, 1, size, step).frames[:, 1:].cpu()

    def calibration_is_due(self) -> bool:
        """At the start of each stage, unless the run began from a model that has been calibrated:
        what begins from nothing changes all the time."""
        if self.step not in accumulate((s.steps for s in self.config.stages[:-1]), initial=0):
            return False
        layers = [m for m in self.codec.modules() if isinstance(m, Pointwise)]
        return not self.config.init or all(bool((m.equalisation == 1).all()) for m in layers)

    @torch.no_grad()
    def calibrate(self) -> None:
        """Sets equalisations by what the averaged weights make of clips; alike in all processes."""
        size = self.config.stage_at(self.step).size
        with watched(self.average) as seen:
            for number in range(CALIBRATION_BATCHES):
                batch = self.batches.draw(
                    CALIBRATION_CLIPS, CALIBRATION_UNITS, size, self.config.steps + number
                )
                run_clip(self.average, batch)
        equalise(self.average, seen)
        pairs = zip(self.average.buffers(), self.codec.buffers(), strict=True)
        for calibrated, buffer in pairs:
            buffer.copy_(calibrated)

    def loss(self, batch: Batch, stage: Stage, intra: bool) -> tuple[Tensor, Result]:
        """Mean over the batch of (rate + λ · distortion) / λ^balance."""
        config = self.config
        result = run_clip(self.codec, batch, config.rgb_weight, config.plane_weights)
        rate = result.latent_bpp + result.hyper_bpp
        distortion = result.weighted_error * (stage.intra_weight if intra else 1.0)
        loss = (stage.rate_weight * rate + distortion) * self.balance[batch.rows]
        return loss.mean(), result

    def share_gradients(self) -> None:
        """Averages the gradients over all processes, as one flat message."""
        if self.world == 1:
            return
        grads = [p.grad for p in self.codec.parameters() if p.grad is not None]
        flat = torch.cat([g.flatten() for g in grads])
        sum_over_processes(flat)
        flat /= self.world
        for grad, part in zip(grads, flat.split([g.numel() for g in grads]), strict=True):
            grad.copy_(part.view_as(grad))

    def train_step(self) -> Result:
        """One optimiser step; a non-finite gradient is counted and skipped."""
        if self.calibration_is_due():
            self.calibrate()
        stage = self.config.stage_at(self.step)
        intra = stage.intra_every > 0 and self.step % stage.intra_every == 0
        count, units = (stage.intra_batch, 1) if intra else (stage.batch, stage.units)
        batch = self.batches.draw(count, units, stage.size, self.step, self.rank, blank=intra)
        # The noise that stands for rounding; like the batch, a matter of the step alone.
        place = np.random.SeedSequence([self.config.seed, self.step, self.rank])
        torch.manual_seed(int(place.generate_state(1)[0]))
        loss, result = self.loss(batch, stage, intra)
        for p in self.codec.parameters():
            p.grad = None
        loss.backward()
        self.share_gradients()
        norm = nn.utils.clip_grad_norm_(self.codec.parameters(), self.config.clip_norm)
        if not torch.isfinite(norm):
            self.skipped += 1
        else:
            factor = self.config.rate_factor(self.step)
            for optimizer in self.optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = group["peak"] * factor
                optimizer.step()
            ema = min(self.config.ema, (1 + self.step) / (10 + self.step))
            pairs = list(zip(self.average.parameters(), self.codec.parameters(), strict=True))
            torch._foreach_lerp_([a.data for a, _ in pairs], [b.data for _, b in pairs], 1 - ema)
        self.step += 1
        return result

    def save(self) -> None:
        """Checkpoint with all state, and the averaged weights as a model file, each whole."""
        state = {
            "config": self.codec.config.to_dict(),
            "codec": self.codec.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
            "skipped": self.skipped,
            "seconds": self.seconds,
        }
        with whole_file(self.checkpoint) as file:
            torch.save(state, file)
        save_model(self.average, self.config.output / f"{self.codec.config.name}.safetensors")

    def resume(self) -> None:
        """Takes up the run where its checkpoint left it."""
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        self.codec.load_state_dict(state["codec"])
        self.average.load_state_dict(state["average"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            peaks = [group["peak"] for group in optimizer.param_groups]
            optimizer.load_state_dict(saved)
            # The configuration rules the rates, also when it was changed between two sessions.
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["peak"] = peak
        self.step, self.skipped, self.seconds = state["step"], state["skipped"], state["seconds"]

    def run(self, until: int | None = None, minutes: float = math.inf) -> None:
        """Trains to the last step, to step `until` or for so many minutes, whichever comes first;
        logs, validates and saves on the way."""
        last = self.config.steps if until is None else min(until, self.config.steps)
        started = saved = began = time.monotonic()
        window: list[Result] = []
        while self.step < last and not self.over(started + 60 * minutes):
            result = self.train_step()
            if self.rank == 0:
                if result.error.shape[1] == self.config.stage_at(self.step - 1).units:
                    window.append(result)
                if self.step % LOG_EVERY == 0:
                    spent = time.monotonic() - began
                    self.seconds += spent
                    self.log(window, spent)
                    window, began = [], time.monotonic()
                if self.step % self.config.validate_every == 0:
                    self.validate()
                if time.monotonic() - saved > SAVE_SECONDS:
                    self.save()
                    saved = time.monotonic()
        if self.rank == 0:
            self.save()
        if self.rank == 0 and self.step == self.config.steps:
            self.validate()
            if self.validation and self.validation.wait() != 0:
                print("the last validation failed", flush=True)

    def over(self, end: float) -> bool:
        """Whether a reading of time.monotonic() is past, in the first process's view."""
        if end == math.inf or self.world == 1:
            return time.monotonic() >= end
        past = torch.tensor(float(time.monotonic() >= end), device=self.device)
        dist.broadcast(past, 0)
        return bool(past)

    def validate(self) -> None:
        """Starts a validation of the averaged weights, after the one before has ended."""
        if self.config.validation is None:
            return
        if self.validation:
            self.validation.wait()
        model = self.config.output / "validated.safetensors"
        save_model(self.average, model)
        self.validation = start_validation(model, self.config.validation, self.step)

    def log(self, window: list[Result], seconds: float) -> None:
        """One line to the screen and to the run's log: means over the steps since the last."""
        stage = self.config.stage_at(self.step - 1)
        error = torch.stack([r.error.mean((0, 1, 2)) for r in window]).mean(0)
        psnr = -10 * torch.log10(error)
        frames = stage.units * self.codec.config.frames_per_unit
        row: dict[str, Any] = {
            "hours": round(self.seconds / 3600, 4),
            "y_bpp": round(mean(window, "latent_bpp"), 4),
            "z_bpp": round(mean(window, "hyper_bpp"), 4),
            "rounded_bpp": round(mean(window, "bits_by_unit"), 4),
            "error": round(mean(window, "weighted_error"), 4),
            "psnr_y": round(float(psnr[0]), 3),
            "psnr_u": round(float(psnr[1]), 3),
            "psnr_v": round(float(psnr[2]), 3),
            "skipped": self.skipped,
            "rate": round(self.config.rate_factor(self.step), 4),
            "mpx_per_s": round(
                self.world * stage.batch * frames * stage.size**2 * len(window) / seconds / 1e6, 3
            ),
        }
        self.records.row("log", self.step, row)
        print(f"step {self.step}", *(f"{k} {v}" for k, v in row.items()), flush=True)


def mean(window: list[Result], field: str) -> float:
    """Mean of a result's field over steps and samples."""
    return float(torch.stack([getattr(r, field).detach().mean() for r in window]).mean())


def main(argv: list[str] | None = None) -> int:
    """Entry point of `ui2c train`."""
    parser = argparse.ArgumentParser(prog="ui2c train", description=__doc__)
    parser.add_argument("config", type=Path, help="the run's TOML file")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--minutes", type=float, default=math.inf, help="then save and stop")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads of each process")
    arguments = parser.parse_args(argv)
    keep_freed_memory()
    gc.set_threshold(100_000)  # a step's graph is freed without the collector
    if "RANK" in os.environ:
        dist.init_process_group("gloo" if arguments.device == "cpu" else "nccl")
        torch.set_num_threads(1)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    trainer = Trainer(load_config(arguments.config), arguments.device)
    trainer.run(minutes=arguments.minutes)
    if dist.is_initialized():
        dist.destroy_process_group()
    return 0


if __name__ == "__main__":
    sys.exit(main())
