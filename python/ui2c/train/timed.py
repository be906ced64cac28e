"""Training on a device for a given time: `ui2c train CONFIG.toml --minutes M`.

Batches are made on the device, the learning rate follows the clock, and nothing in a step waits
for the device, so that it never waits for the host.
"""

import argparse
import copy
import csv
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ui2c.network.config import CodecConfig
from ui2c.network.weights import save_model
from ui2c.train import device_compensation, device_kernels, device_motion, portable
from ui2c.train.device_clips import DeviceLoader, Sources
from ui2c.train.first_weights import first_weights
from ui2c.train.graph import Batch, Result, Start, run_clip
from ui2c.train.optimizer import optimizers
from ui2c.train.timed_config import Stage, TimedConfig, load_config

LOG_EVERY = 20
SAVE_SECONDS = 90.0
FIT_BATCHES, FIT_CLIPS = 16, 16


class TimedTrainer:
    """A run, or the part of it that fits into one call."""

    def __init__(
        self,
        config: TimedConfig,
        device: str,
        *,
        began: float,
        resume: Path | None = None,
        sources: Sources | None = None,
    ) -> None:
        """`began`: reading of time.monotonic() from which this call's minutes count.

        `resume` is a folder of `portable` state. Without it the run goes on from the one in
        `config.output`, or begins. `sources` take the place of those in `config.data`.
        """
        self.config = config
        self.device = torch.device(device)
        self.began = began
        torch.manual_seed(config.seed)
        self.sources = sources or Sources.load(
            config.data,
            self.device,
            synthetic_share=config.synthetic_share,
            limit=config.files,
        )
        print(f"sources after {time.monotonic() - began:.1f} s", flush=True)
        codec = first_weights(config.model, config.init, self.first_clips, config.plane_weights)
        self.codec = codec.to(self.device)
        self.codec.config = self.codec.config.with_blocks()
        self.optimizers = optimizers(
            self.codec, muon_rate=config.muon_rate, adam_rate=config.adam_rate
        )
        self.step = self.skipped = 0
        self.seconds_before = 0.0
        folder = resume or config.output
        if resume or any(folder.glob("state-weights-*")):
            progress = portable.load_state(folder, self.codec, self.optimizers)
            self.step = int(progress["step"])
            self.seconds_before = progress["seconds"]
            print(
                f"goes on at step {self.step}, {self.seconds_before / 60:.2f} minutes", flush=True
            )
        self.steps_before = self.step
        self.average = copy.deepcopy(self.codec).requires_grad_(False)
        self.precision = device_kernels.Precision(config.precision)
        # Shapes are the same in every step of a stage.
        torch.backends.cudnn.benchmark = True
        if config.precision == "bf16":
            device_kernels.keep_exact(self.codec)
        if config.compile and self.device.type == "cuda":
            for functions in (device_compensation.functions, device_motion.functions):
                for name, function in functions.items():
                    functions[name] = device_kernels.Compiled(function, name)
        seed = config.seed + 7919 * self.step
        self.loader = DeviceLoader(
            self.sources, self.codec.config, seed, row_power=config.row_power
        )
        weight = self.codec.config.distortion_weight
        weights = [weight(row) / weight(32) for row in range(64)]
        self.balance = torch.tensor(weights, device=self.device) ** -config.lambda_balance
        torch.manual_seed(config.seed + 104729 * self.step)
        self.stage: Stage | None = None
        self.parts = 1

    def first_clips(self, model: CodecConfig) -> Iterator[Tensor]:
        """Packed frames of first units, `[n, frames per unit, h, w, 96]`, on the CPU."""
        loader = DeviceLoader(self.sources, model, self.config.seed)
        size = self.config.stages[0].size
        for _ in range(FIT_BATCHES):
            yield loader.first_units(FIT_CLIPS, size)[0].frames[:, 1:].cpu()

    @property
    def seconds(self) -> float:
        """Length of the run up to now, over all calls."""
        return self.seconds_before + time.monotonic() - self.began

    @property
    def share(self) -> float:
        """Share of the whole run that is done."""
        return self.seconds / (60 * self.config.minutes)

    def enter(self, stage: Stage) -> None:
        """Makes ready for a stage: chooses how blocks are computed at its shape."""
        if stage == self.stage:
            return
        self.stage = stage
        shape = (stage.batch, stage.size // 8, stage.size // 8, self.codec.config.trunk)
        name = device_kernels.choose(self.codec, shape, self.config.kernels, self.precision)
        print(f"{stage}: blocks {name}", flush=True)

    # --- a step ----------------------------------------------------------------------------

    def backward(self, batch: Batch, start: Start, stage: Stage, intra: bool = False) -> Result:
        """Gradients of a batch, in as many parts as memory asks for; their results together."""
        count = len(start.rows)
        results = []
        for part in torch.arange(count).chunk(self.parts):
            of = slice(int(part[0]), int(part[-1]) + 1)
            piece = Batch(batch.frames[of], batch.steps[of], batch.vectors[of])
            lead = None if start.lead is None else start.lead[of]
            begins = Start(
                start.rows[of], start.cycle[of], start.blank[of], start.reference[of], lead
            )
            with self.precision.context(self.device):
                result = run_clip(self.codec, piece, begins, weights_yuv=self.config.plane_weights)
            rate = result.latent_bpp + result.hyper_bpp
            distortion = result.weighted_error * (stage.intra_weight if intra else 1.0)
            loss = stage.rate_weight * rate + distortion
            (loss * self.balance[begins.rows]).sum().div(count).backward()
            results.append(
                Result(*(getattr(result, f).detach() for f in Result.__dataclass_fields__))
            )
        return Result(
            *(torch.cat([getattr(r, f) for r in results]) for f in Result.__dataclass_fields__)
        )

    def train_step(self) -> Result:
        """One optimiser step; a non-finite gradient counts as zero."""
        share = self.share
        stage = self.config.stage_at(share)
        self.enter(stage)
        intra = stage.intra_every > 0 and self.step % stage.intra_every == 0
        if intra:
            batch, start = self.loader.first_units(stage.batch, stage.size)
        else:
            batch, start = self.loader.batch(stage.batch, stage.units, stage.size)
        while True:
            for p in self.codec.parameters():
                p.grad = None
            try:
                result = self.backward(batch, start, stage, intra)
                break
            except torch.OutOfMemoryError:
                if self.parts >= stage.batch:
                    raise
            self.parts *= 2
            torch.cuda.empty_cache()
            print(f"out of memory: batches in {self.parts} parts", flush=True)
        self.clip()
        factor = self.config.rate_factor(share, self.step - self.steps_before)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * factor
            optimizer.step()
        done = self.step - self.steps_before
        ema = min(self.config.ema, (1 + done) / (10 + done))
        pairs = list(zip(self.average.parameters(), self.codec.parameters(), strict=True))
        torch._foreach_lerp_([a.data for a, _ in pairs], [b.data for _, b in pairs], 1 - ema)
        self.step += 1
        return result

    def clip(self) -> None:
        """Bounds the gradient's norm, without looking at it from the host."""
        grads = [p.grad for p in self.codec.parameters() if p.grad is not None]
        flat = torch.cat([grad.flatten() for grad in grads])
        norm = flat.norm()
        scale = (self.config.clip_norm / (norm + 1e-6)).clamp(max=1)
        flat = torch.where(norm.isfinite(), flat * scale, 0.0)
        parts = flat.split([grad.numel() for grad in grads])
        torch._foreach_copy_(grads, [p.view_as(g) for p, g in zip(parts, grads, strict=True)])

    # --- the run ---------------------------------------------------------------------------

    def run(self, minutes: float, send: Path | None = None, steps: int = 0) -> None:
        """Trains until `minutes` of this call are over (or the run is, or after `steps`).

        State and averaged weights go to the run's folder and, if given, to `send`.
        """
        folders = [self.config.output, *([send] if send else [])]
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        end = self.began + 60 * minutes
        saved = window_began = time.monotonic()
        window: list[Result] = []
        while time.monotonic() < end and self.share < 1:
            result = self.train_step()
            if self.stage and result.error.shape[1] == self.stage.units:
                window.append(result)
            done = self.step - self.steps_before
            if window and (done in (1, 5) or self.step % LOG_EVERY == 0):
                self.log(window, folders, window_began)
                window, window_began = [], time.monotonic()
            if time.monotonic() - saved > SAVE_SECONDS:
                self.save(folders)
                saved = time.monotonic()
            if steps and done >= steps:
                break
        self.save(folders)
        print(f"ends at step {self.step}, {self.share:.1%} of the run", flush=True)

    def save(self, folders: list[Path]) -> None:
        """The averaged weights as a model file, and what it takes to go on, to each folder."""
        progress = {"step": self.step, "seconds": self.seconds}
        for folder in folders:
            save_model(self.average, folder / f"{self.codec.config.name}.safetensors")
            portable.save_state(folder, self.codec, self.optimizers, progress)

    def log(self, window: list[Result], folders: list[Path], began: float) -> None:
        """One line to the screen and to log.csv: means over the steps since the last."""
        assert self.stage is not None
        error = torch.stack([r.error.mean((0, 1, 2)) for r in window]).mean(0)
        psnr = (-10 * torch.log10(error)).tolist()
        rates = [mean(window, f) for f in ("latent_bpp", "hyper_bpp", "bits_by_unit")]
        seconds = time.monotonic() - began
        frames = self.stage.units * self.codec.config.frames_per_unit
        pixels = self.stage.batch * frames * self.stage.size**2 * len(window)
        row: dict[str, Any] = {
            "step": self.step,
            "minutes": round(self.seconds / 60, 3),
            "y_bpp": round(rates[0], 4),
            "z_bpp": round(rates[1], 4),
            "rounded_bpp": round(rates[2], 4),
            "error": round(mean(window, "weighted_error"), 4),
            "psnr_y": round(psnr[0], 3),
            "psnr_u": round(psnr[1], 3),
            "psnr_v": round(psnr[2], 3),
            "rate": round(self.config.rate_factor(self.share, self.step - self.steps_before), 4),
            "mpx_per_s": round(pixels / seconds / 1e6, 3),
        }
        for folder in folders:
            path = folder / "log.csv"
            new = not path.exists()
            with path.open("a", newline="") as file:
                writer = csv.DictWriter(file, row)
                if new:
                    writer.writeheader()
                writer.writerow(row)
        print(" ".join(f"{key} {value}" for key, value in row.items()), flush=True)


def mean(window: list[Result], field: str) -> float:
    """Mean of a result's field over steps and samples."""
    return float(torch.stack([getattr(r, field).mean() for r in window]).mean())


def main(argv: Sequence[str] | None = None) -> int:
    """`ui2c train CONFIG.toml --minutes M`."""
    began = time.monotonic()
    parser = argparse.ArgumentParser(prog="ui2c train", description=__doc__)
    parser.add_argument("config", type=Path, help="the run's TOML file")
    parser.add_argument("--minutes", type=float, required=True, help="length of this call")
    parser.add_argument("--of-minutes", type=float, help="length of the whole run")
    parser.add_argument("--resume", type=Path, help="folder of state files to go on from")
    parser.add_argument("--send", type=Path, help="second folder for what is saved")
    parser.add_argument("--steps", type=int, default=0, help="end after so many steps, for a try")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args(argv)
    config = load_config(arguments.config)
    if arguments.of_minutes:
        config = TimedConfig(**{**vars(config), "minutes": arguments.of_minutes})
    trainer = TimedTrainer(config, arguments.device, began=began, resume=arguments.resume)
    trainer.run(arguments.minutes, arguments.send, arguments.steps)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
