"""Speed of training steps on the CPU in one process: plain PyTorch and the fused kernels, these
also with products in bfloat16 where the processor has them.

    python benches/training_speed.py [--model small] [--batch 3] [--units 8] [--steps 9]
                                     [--threads 1] [--crop 128]

A step is forward, motion search, backward, gradient clipping, both optimisers and the weight
average, on clips of noise; making clips is not part of it. Plain and fused steps take turns,
so that both see the same machine. Pixels are luma pixels times frames of all clips of the batch,
once over elapsed seconds and once over processor seconds of the process: on one thread of an idle
machine the two agree, on a busy one the second tells more.
"""

import argparse
import copy
import platform
import statistics
import sys
import time
from itertools import pairwise
from pathlib import Path

import torch
import ui2c
from torch import nn
from ui2c.network.codec import Codec
from ui2c.network.config import CodecConfig, config_for
from ui2c.train import fused, quantised
from ui2c.train.data.batches import Batch
from ui2c.train.graph import run_clip
from ui2c.train.optimizer import optimizers
from ui2c.train.trainer import keep_freed_memory

PHASES = ("forward", "backward", "optimiser")


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def clips(config: CodecConfig, count: int, units: int, crop: int) -> Batch:
    """Grey clips with a little noise; every other one starts blank."""
    torch.manual_seed(1)
    side = crop // 8
    frames = torch.randn(count, 1 + units * config.frames_per_unit, side, side, 96) * 0.1
    rows = torch.linspace(0, 63, count).long()
    blank = torch.arange(count) % 2 == 0
    reference = frames[:, 0] * (~blank)[:, None, None, None]
    return Batch(frames, rows, blank, reference, torch.zeros_like(rows))


class Run:
    """A codec in training on one batch."""

    def __init__(self, config: CodecConfig, batch: Batch) -> None:
        torch.manual_seed(1)
        self.codec = Codec(config)
        self.average = copy.deepcopy(self.codec).requires_grad_(False)
        quantised.attach(self.codec)
        self.optimizers = optimizers(self.codec, muon_rate=1e-4, adam_rate=1e-5)
        self.batch = batch

    def step(self) -> list[float]:
        """One step; elapsed seconds, then the processor seconds of its phases."""
        for p in self.codec.parameters():
            p.grad = None
        began = time.perf_counter()
        times = [time.process_time()]
        result = run_clip(self.codec, self.batch)
        loss = (result.latent_bpp + result.hyper_bpp + result.weighted_error / 100).mean()
        times.append(time.process_time())
        loss.backward()
        times.append(time.process_time())
        nn.utils.clip_grad_norm_(self.codec.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        pairs = list(zip(self.average.parameters(), self.codec.parameters(), strict=True))
        torch._foreach_lerp_([a.data for a, _ in pairs], [b.data for _, b in pairs], 0.002)
        times.append(time.process_time())
        elapsed = time.perf_counter() - began
        return [elapsed, *(after - before for before, after in pairwise(times))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="small")
    parser.add_argument("--batch", type=int, default=3)
    parser.add_argument("--units", type=int, default=8)
    parser.add_argument("--steps", type=int, default=9, help="of each kind, after one not counted")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--crop", type=int, default=128)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    config = config_for(options.model)
    data = clips(config, options.batch, options.units, options.crop)
    runs = {"plain": Run(config, data), "fused": Run(config, data)}
    if not fused.attach(runs["fused"].codec, runs["fused"].optimizers):
        return 1
    if fused.use_bfloat16(True):
        runs["bfloat16"] = Run(config, data)
        fused.attach(runs["bfloat16"].codec, runs["bfloat16"].optimizers)
    print(f"command:  python {' '.join(sys.argv)}")
    print(f"machine:  {processor()}, {options.threads} thread(s)")
    print(
        f"versions: ui2c {ui2c.__version__}, torch {torch.__version__}, "
        f"Python {platform.python_version()}"
    )
    pixels = options.batch * options.units * config.frames_per_unit * options.crop**2
    taken: dict[str, list[list[float]]] = {name: [] for name in runs}
    for count in range(options.steps + 1):
        for name, run in runs.items():
            fused.use_bfloat16(name == "bfloat16")
            seconds = run.step()
            if count:
                taken[name].append(seconds)
    rates = {}
    for name, steps in taken.items():
        elapsed, *phases = (statistics.median(part) for part in zip(*steps, strict=True))
        spent = statistics.median(sum(step[1:]) for step in steps)
        rates[name] = pixels / elapsed / 1e6, pixels / spent / 1e6
        parts = ", ".join(f"{p} {s:.3f}" for p, s in zip(PHASES, phases, strict=True))
        print(
            f"{name}: {rates[name][0]:.3f} Mpx/s, {rates[name][1]:.3f} Mpx per processor second "
            f"(medians; processor seconds: {parts})"
        )
    for name, rate in list(rates.items())[1:]:
        ratios = [fast / slow for slow, fast in zip(rates["plain"], rate, strict=True)]
        print(f"{name} / plain: {ratios[0]:.2f} elapsed, {ratios[1]:.2f} by processor seconds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
