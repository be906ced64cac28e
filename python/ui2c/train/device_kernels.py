"""How the networks are computed when they train on a device: lower precision, compiled functions.

Nothing here changes what is computed but for rounding. Whatever fails to compile is computed by
the plain functions, and the reason is printed once.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ui2c.network.blocks import Bank, DepthConvBlock, Pointwise
from ui2c.network.codec import Codec

EXACT = (
    "encoder_in",
    "encoder_down",
    "decoder_up",
    "gate",
    "heads_out",
    "prior.hyper_down_2",
    "prior.hyper_up_1",
    "prior.fusion_out",
    "prior.spatial_out",
)
"""Layers that stay in float32: those that touch pixels and latents, where 8 bits would show."""

COMPILED_SHAPES = 128
"""Different shapes for which a function may be compiled before the plain one takes over."""

Function = Callable[..., Any]


class Compiled:
    """A function through `torch.compile`, or as it is once that has failed."""

    def __init__(self, function: Function, name: str, backend: Any = "inductor") -> None:
        import torch._dynamo

        torch._dynamo.config.recompile_limit = COMPILED_SHAPES
        self.plain = function
        self.name = name
        self.fast: Function | None = torch.compile(function, dynamic=False, backend=backend)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        if self.fast is not None:
            try:
                return self.fast(*arguments, **options)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:
                reason = " ".join(str(error).split())[:300]
                print(f"{self.name} is not compiled: {type(error).__name__}: {reason}", flush=True)
                self.fast = None
        return self.plain(*arguments, **options)


# --- layers --------------------------------------------------------------------------------


def exact(layer: Any, x: Tensor) -> Tensor:
    """A pointwise layer in float32, also under autocast."""
    with torch.autocast(x.device.type, enabled=False):
        return F.linear(x.float(), layer.weight, layer.bias)


def exact_rows(bank: Bank, rows: Tensor) -> Tensor:
    """A bank's vectors in float32, also under autocast."""
    with torch.autocast(rows.device.type, enabled=False):
        return bank.interpolation[rows] @ bank.values


def keep_exact(codec: Codec) -> None:
    """Has the layers named in EXACT computed in float32, and whatever depends on the quality."""
    for name, layer in codec.named_modules():
        if isinstance(layer, Pointwise) and name.startswith(EXACT):
            layer.kernel = exact
        elif isinstance(layer, Bank):
            layer.forward = partial(exact_rows, layer)  # type: ignore[method-assign]


def activate(x: Tensor) -> Tensor:
    """`x · clamp(x + 0.5, 0, 1)`, the activation as it is defined: compilers fuse it anyway."""
    return x * (x + 0.5).clamp(0, 1)


def shifted_depthwise(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Depthwise 3×3 of `[n, h, w, c]` as nine shifted products, in one kernel when compiled."""
    height, width = x.shape[1:3]
    padded = F.pad(x, (0, 0, 1, 1, 1, 1))
    total = bias.to(x.dtype)
    for i in range(3):
        for j in range(3):
            tap = weight[:, 0, i, j].to(x.dtype)
            total = total + padded[:, i : i + height, j : j + width] * tap
    return total


def library_depthwise(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Depthwise 3×3 of `[n, h, w, c]` through the library's convolution."""
    out = F.conv2d(x.permute(0, 3, 1, 2), weight, bias, padding=1, groups=x.shape[-1])
    return out.permute(0, 2, 3, 1)


def block_function(depthwise: Function, x: Tensor, *parameters: Tensor) -> Tensor:
    """A `DepthConvBlock` as a function of its input and its parameters in their order."""
    if len(parameters) == 12:
        x = F.linear(x, parameters[0], parameters[1])
    w1, b1, wd, bd, w2, b2, w3, b3, w4, b4 = parameters[-10:]
    h = depthwise(activate(F.linear(x, w1, b1)), wd, bd)
    x = x + F.linear(h, w2, b2)
    first, second = F.linear(x, w3, b3).chunk(2, dim=-1)
    return x + F.linear(activate(first) + activate(second), w4, b4)


def run_block(function: Function, block: Any, x: Tensor) -> Tensor:
    """A block's forward pass through `function`."""
    return function(x, *block.parameters())  # type: ignore[no-any-return]


def block_kernels(device: torch.device, backend: str | None = None) -> dict[str, Function | None]:
    """The ways to compute a block, by name; None is the module's own.

    Only for CUDA is there anything to gain by compiling: elsewhere the functions stay as they are.
    """
    backend = backend or ("inductor" if device.type == "cuda" else "eager")
    kernels: dict[str, Function | None] = {"plain": None}
    for name, depthwise in (("shifted", shifted_depthwise), ("library", library_depthwise)):
        function = Compiled(partial(block_function, depthwise), f"block ({name})", backend)
        kernels[name] = partial(run_block, function)
    return kernels


def attach(codec: Codec, kernel: Function | None) -> None:
    """Has all blocks computed by `kernel`."""
    for block in codec.modules():
        if isinstance(block, DepthConvBlock):
            block.kernel = kernel


def choose(codec: Codec, shape: tuple[int, ...], wanted: str, precision: "Precision") -> str:
    """Attaches the kernel called `wanted`, or with "auto" the fastest at blocks of this shape.

    `shape` is `[n, h, w, channels]`, as in the trunk. Prints what it measured.
    """
    kernels = block_kernels(next(codec.parameters()).device)
    if wanted == "auto":
        block = codec.extractor_1[0]
        assert isinstance(block, DepthConvBlock)
        seconds = {}
        for name, kernel in kernels.items():
            block.kernel = kernel
            try:
                seconds[name] = time_block(block, shape, precision)
            except Exception as error:
                print(f"kernel {name}: {type(error).__name__}: {error}", flush=True)
        times = ", ".join(f"{name} {1e3 * s:.3f} ms" for name, s in seconds.items())
        wanted = min(seconds, key=seconds.__getitem__)
        print(f"a block of {list(shape)}, there and back: {times}", flush=True)
    attach(codec, kernels[wanted])
    return wanted


def time_block(
    block: DepthConvBlock, shape: tuple[int, ...], precision: "Precision", repeats: int = 10
) -> float:
    """Seconds of a forward and backward pass: the least of three means, after two passes."""
    device = block.mix_in.weight.device
    x = torch.randn(shape, device=device, dtype=precision.dtype, requires_grad=True)

    def passes(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            with precision.context(device):
                block(x).square().mean().backward()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter() - start) / count

    passes(2)
    best = min(passes(repeats) for _ in range(3))
    for parameter in block.parameters():
        parameter.grad = None
    return best


class Precision:
    """In which numbers the networks train: "bf16" (autocast), "tf32" or "float32"."""

    def __init__(self, name: str) -> None:
        if name not in ("bf16", "tf32", "float32"):
            raise ValueError(f'precision must be "bf16", "tf32" or "float32", not {name!r}')
        self.dtype = torch.bfloat16 if name == "bf16" else torch.float32
        torch.set_float32_matmul_precision("highest" if name == "float32" else "high")

    @contextlib.contextmanager
    def context(self, device: torch.device) -> Iterator[None]:
        with torch.autocast(device.type, torch.bfloat16, enabled=self.dtype is torch.bfloat16):
            yield
