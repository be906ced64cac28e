"""Blocks and pointwise layers in hand-written kernels, for training on the CPU only.

They compute what plain modules with `ui2c.train.quantised` attached compute. `attach` makes the
layers of a codec use them. Coding never does: its layers are of other classes
(`ui2c.network.integer`). The kernels add the gradients of parameters to `.grad` themselves, so
`torch.autograd.grad` does not see these.
"""

import ctypes
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ui2c.network.blocks import DepthConvBlock, Depthwise, Pointwise
from ui2c.train.fused_build import Unavailable, library
from ui2c.train.optimizer import Muon
from ui2c.train.quantised import rounding


def attach(model: nn.Module, optimizers: Iterable[torch.optim.Optimizer] = ()) -> bool:
    """Lets model and optimisers use the kernels; if there are none, says why: False."""
    try:
        library()
    except Unavailable as reason:
        print(f"training without fused kernels: {reason}", flush=True)
        return False
    for module in model.modules():
        if isinstance(module, DepthConvBlock):
            module.kernel = block
        elif isinstance(module, Pointwise):
            module.kernel = linear
    for optimizer in optimizers:
        if isinstance(optimizer, Muon):
            optimizer.kernel = orthogonalise_one
    return True


def use_bfloat16(wanted: bool) -> bool:
    """Whether the kernels' products are in bfloat16 from now on, sums in float32, everything else
    in float32; only if the processor has instructions for it (AVX512-BF16)."""
    try:
        return bool(library().ui2c_set_reduced(int(wanted)))
    except Unavailable:
        return False


def block(module: DepthConvBlock, x: Tensor) -> Tensor:
    """The block's output, `[n, h, w, inputs]` to `[n, h, w, channels]`."""
    return Block.apply(checked(x), module.mix_out.bias, Operands(layers(module)))  # type: ignore[no-any-return]


def linear(module: Pointwise, x: Tensor) -> Tensor:
    """The layer's output, `[..., inputs]` to `[..., outputs]`."""
    return Linear.apply(checked(x), module.bias, Operands((module,)))  # type: ignore[no-any-return]


def orthogonalise_one(matrix: Tensor, steps: int = 5) -> Tensor:
    """`orthogonalise` of one matrix `[rows, columns]` of any shape."""
    matrix = checked(matrix)
    result = torch.empty_like(matrix)
    library().ui2c_orthogonalise(*matrix.shape, steps, matrix.data_ptr(), result.data_ptr())
    return result


def checked(x: Tensor) -> Tensor:
    if x.dtype != torch.float32 or x.device.type != "cpu":
        raise TypeError(f"the kernels take float32 on the CPU, not {x.dtype} on {x.device}")
    return x.contiguous()


def layers(module: DepthConvBlock) -> tuple[Pointwise | Depthwise | None, ...]:
    """The block's layers in the order of the kernels' structures."""
    return (
        module.adaptor, module.spatial_in, module.spatial, module.spatial_out, module.mix_in,
        module.mix_out,
    )  # fmt: skip


class Operands:
    """What kernels are given of some layers."""

    def __init__(self, layers: tuple[Pointwise | Depthwise | None, ...]) -> None:
        self.trained: list[nn.Parameter | None] = []
        self.values: list[Tensor | None] = []
        """Weights as they are rounded, and biases."""
        self.roundings: list[Tensor | None] = []
        """Of the inputs of pointwise layers."""
        for layer in layers:
            if layer is None:
                self.trained += (None, None)
                self.values += (None, None)
                self.roundings.append(None)
                continue
            self.trained += (layer.weight, layer.bias)
            if isinstance(layer, Pointwise):
                rounded = rounding(layer)
                self.values += (rounded.weight, layer.bias)
                self.roundings.append(rounded.of_inputs)
            else:
                self.values += (layer.weight, layer.bias)


def pointers(tensors: Sequence[Tensor | None]) -> "ctypes.Array[ctypes.c_void_p]":
    return (ctypes.c_void_p * len(tensors))(*(None if t is None else t.data_ptr() for t in tensors))


def gradients(params: Sequence[nn.Parameter | None]) -> tuple[Tensor | None, ...]:
    """The parameters' gradients, zeros where there were none."""
    for p in params:
        if p is not None and p.grad is None:
            p.grad = torch.zeros_like(p)
    return tuple(None if p is None else p.grad for p in params)


class Block(torch.autograd.Function):
    """The second argument is any parameter: it makes autograd call `backward`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, anchor: Tensor, operands: Operands) -> Tensor:
        n, h, w, inputs = x.shape
        c = len(anchor)
        adapts = operands.values[0] is not None
        saved = x.new_empty(n * h * w * (8 * c + inputs * adapts))
        out = x.new_empty(n, h, w, c)
        library().ui2c_block_forward(
            n, h, w, inputs, c, pointers(operands.values), pointers(operands.roundings),
            x.data_ptr(), saved.data_ptr(), out.data_ptr(),
        )  # fmt: skip
        ctx.save_for_backward(saved)
        ctx.shape, ctx.operands = x.shape, operands
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, None]:
        (saved,) = ctx.saved_tensors
        n, h, w, inputs = ctx.shape
        gradient = gradient.contiguous()
        result = gradient.new_empty(ctx.shape) if ctx.needs_input_grad[0] else None
        library().ui2c_block_backward(
            n, h, w, inputs, gradient.shape[-1], pointers(ctx.operands.values),
            pointers(ctx.operands.roundings), pointers(gradients(ctx.operands.trained)),
            saved.data_ptr(), gradient.data_ptr(), None if result is None else result.data_ptr(),
        )  # fmt: skip
        return result, None, None


class Linear(torch.autograd.Function):
    """The second argument is any parameter: it makes autograd call `backward`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, anchor: Tensor, operands: Operands) -> Tensor:
        weight, bias = operands.values
        (of_inputs,) = operands.roundings
        assert weight is not None and bias is not None and of_inputs is not None
        outputs, inputs = weight.shape
        rounded, out = torch.empty_like(x), x.new_empty(*x.shape[:-1], outputs)
        library().ui2c_linear_forward(
            x.numel() // inputs, inputs, outputs, weight.data_ptr(), bias.data_ptr(),
            of_inputs.data_ptr(), x.data_ptr(), rounded.data_ptr(), out.data_ptr(),
        )  # fmt: skip
        ctx.save_for_backward(rounded)
        ctx.operands = operands
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, None]:
        (rounded,) = ctx.saved_tensors
        weight = ctx.operands.values[0]
        outputs, inputs = weight.shape
        gradient = gradient.contiguous()
        weight_gradient, bias_gradient = gradients(ctx.operands.trained)
        assert weight_gradient is not None and bias_gradient is not None
        result = torch.empty_like(rounded) if ctx.needs_input_grad[0] else None
        library().ui2c_linear_backward(
            rounded.numel() // inputs, inputs, outputs, weight.data_ptr(),
            weight_gradient.data_ptr(), bias_gradient.data_ptr(), rounded.data_ptr(),
            gradient.data_ptr(), None if result is None else result.data_ptr(),
        )  # fmt: skip
        return result, None, None
