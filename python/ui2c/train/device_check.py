"""What to see to before a timed run on a new machine: does it compute the same, and how fast.

Compares compensation, motion search and blocks on the device with the CPU, then times the making
of batches and whole steps at a few batch sizes. Everything that fails is said and passed over.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ui2c.network.blocks import DepthConvBlock
from ui2c.network.codec import Codec
from ui2c.network.config import config_for
from ui2c.network.packing import pack
from ui2c.train import device_compensation, device_kernels, device_motion
from ui2c.train.device_clips import Sources
from ui2c.train.timed import TimedTrainer
from ui2c.train.timed_config import Stage, TimedConfig, load_config

REPEATS = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 1 if something computes something else than the CPU."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path, help="the TOML file of the timed run to come")
    parser.add_argument("--batches", type=int, nargs="*", default=[32, 64, 96])
    parser.add_argument("--output", type=Path, default=Path("runs/check"))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args(argv)
    device = torch.device(arguments.device)
    print(f"torch {torch.__version__}, {name_of(device)}", flush=True)
    config = replace(load_config(arguments.config), output=arguments.output)
    good = [
        passed("compensation", lambda: same_compensation(device)),
        passed("motion search", lambda: same_motion(device)),
        passed("blocks", lambda: same_blocks(config, device)),
    ]
    passed("speed", lambda: speeds(config, arguments.device, arguments.batches))
    return 0 if all(good) else 1


def name_of(device: torch.device) -> str:
    """The device in words."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "the CPU"


def passed(name: str, check: Callable[[], bool]) -> bool:
    """Whether a check passes; prints that, or why it could not be made."""
    try:
        good = check()
    except Exception as error:
        print(f"{name}: {type(error).__name__}: {error}", flush=True)
        return False
    print(f"{name}: {'good' if good else 'NOT AS ON THE CPU'}", flush=True)
    return good


Functions = dict[str, Callable[..., Tensor]]


def functions_of(device: torch.device, module: Functions) -> Functions:
    """Compiled ones on CUDA."""
    if device.type != "cuda":
        return dict(module)
    return {name: device_kernels.Compiled(f, name) for name, f in module.items()}


@contextmanager
def swapped(module: Functions, functions: Functions) -> Iterator[None]:
    """Puts other functions in a module's place for a while."""
    before = dict(module)
    module.update(functions)
    try:
        yield
    finally:
        module.update(before)


def same_compensation(device: torch.device) -> bool:
    """Predictions bit for bit, gradients nearly; compiled and not."""
    rng = torch.Generator().manual_seed(1)
    planes = [
        torch.randint(0, 256, (8, s, s), generator=rng, dtype=torch.uint8) for s in (128, 64, 64)
    ]
    references = pack(planes, 8)
    steps = torch.tensor([0, 16, 32, 64] * 2, dtype=torch.uint8)
    vectors = torch.randint(-300, 301, (8, 2, 8, 8, 2), generator=rng).to(torch.int16)
    weights = torch.randn(8, 16, 16, 192, generator=rng)

    def run(where: torch.device) -> tuple[Tensor, Tensor]:
        x = references.to(where).requires_grad_()
        made = device_compensation.predict(x, steps.to(where), vectors.to(where))
        (made * weights.to(where)).sum().backward()
        assert x.grad is not None
        return made.detach().cpu(), x.grad.cpu()

    expected = run(torch.device("cpu"))
    results = [run(device)]
    functions = functions_of(device, device_compensation.functions)
    with swapped(device_compensation.functions, functions):
        results.append(run(device))
    return all(
        torch.equal(made, expected[0]) and torch.allclose(gradient, expected[1], atol=1e-3)
        for made, gradient in results
    )


def same_motion(device: torch.device) -> bool:
    """Nearly all vectors alike: sums in another order tip a few."""
    rng = torch.Generator().manual_seed(1)
    coarse = torch.rand(4, 1, 40, 40, generator=rng) * 200
    wide = torch.nn.functional.interpolate(coarse, (160, 160), mode="bicubic")[:, 0]
    luma = torch.stack([wide[:, 3 * t : 3 * t + 128, t : t + 128] for t in range(3)], 1)
    luma = (luma + torch.randn(luma.shape, generator=rng)).round().clamp(0, 255)
    prices = torch.tensor([10.0, 50.0, 250.0, 1000.0])
    expected = device_motion.search(luma, prices)
    functions = functions_of(device, device_motion.functions)
    with swapped(device_motion.functions, functions):
        steps, vectors = device_motion.search(luma.to(device), prices.to(device))
    alike = (vectors.cpu() - expected[1]).abs() <= 1
    print(f"  {float(alike.float().mean()):.1%} of the components alike", flush=True)
    return bool((steps.cpu() == expected[0]).all()) and float(alike.float().mean()) > 0.9


def same_blocks(config: TimedConfig, device: torch.device) -> bool:
    """Every way to compute a block against the module in float32, forwards and backwards."""
    torch.manual_seed(1)
    precision = device_kernels.Precision(config.precision)
    codec = Codec(config_for(config.model)).to(device)
    block = codec.extractor_1[0]
    assert isinstance(block, DepthConvBlock)
    x = torch.randn(2, 16, 16, codec.config.trunk, device=device)

    def run(reduced: bool) -> list[Tensor]:
        inputs = x.clone().requires_grad_()
        for parameter in block.parameters():
            parameter.grad = None
        with torch.autocast(device.type, precision.dtype, enabled=reduced):
            out = block(inputs)
        out.float().square().sum().backward()
        assert inputs.grad is not None
        grads = [p.grad for p in block.parameters()]
        return [out.detach(), inputs.grad, *(g for g in grads if g is not None)]

    block.kernel = None
    expected = run(False)
    good = True
    for name, kernel in device_kernels.block_kernels(device).items():
        block.kernel = kernel
        reduced = run(precision.dtype is torch.bfloat16)
        errors = [float((a - b).norm() / b.norm()) for a, b in zip(reduced, expected, strict=True)]
        print(f"  {name}: largest relative error {max(errors):.1e}", flush=True)
        good &= max(errors) < 3e-2
    return good


def speeds(config: TimedConfig, device: str, batches: list[int]) -> bool:
    """Prints megapixels per second of each part, and memory, for the run's longest stage."""
    began = time.monotonic()
    stage = max(config.stages, key=lambda s: s.share)
    trainer = TimedTrainer(config, device, began=began)
    sources = trainer.loader.sources
    for count in batches:
        trial = replace(stage, batch=count)
        measure(trainer, trial, sources)
    return True


def measure(trainer: TimedTrainer, stage: Stage, sources: Sources) -> None:
    """One line: what making clips, searching motion and a step take."""
    trainer.stage = None
    trainer.config = replace(trainer.config, stages=(stage,))
    frames = 1 + stage.units * trainer.codec.config.frames_per_unit
    pixels = stage.batch * (frames - 1) * stage.size**2 / 1e6
    loader = trainer.loader
    cuda = trainer.device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats()

    def seconds(part: Callable[[], object], repeats: int = REPEATS) -> float:
        part()
        start = time.perf_counter()
        for _ in range(repeats):
            part()
            if cuda:
                torch.cuda.synchronize()
        return (time.perf_counter() - start) / repeats

    clips = seconds(lambda: loader.clips(stage.batch, frames, stage.size))
    whole = seconds(lambda: loader.batch(stage.batch, stage.units, stage.size))
    began = time.monotonic()
    trainer.train_step()
    first = time.monotonic() - began
    step = seconds(trainer.train_step)
    peak = torch.cuda.max_memory_allocated() / 2**30 if cuda else 0.0
    print(
        f"batch {stage.batch}, {stage.units} units of {stage.size}²: clips {1e3 * clips:.0f} ms, "
        f"clips and motion {1e3 * whole:.0f} ms, step {1e3 * step:.0f} ms "
        f"(the first {first:.0f} s), {pixels / step:.1f} Mpx/s, {peak:.0f} GiB, "
        f"{trainer.parts} parts",
        flush=True,
    )


if __name__ == "__main__":
    raise SystemExit(main())
