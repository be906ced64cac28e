"""Blocks and pointwise layers in hand-written kernels, for training on the CPU only.

`attach` makes the layers of a codec use them. Coding never does: its layers are of other classes
(`ui2c.network.integer`). The kernels add the gradients of parameters to `.grad` themselves, so
`torch.autograd.grad` does not see these.
"""

import ctypes
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from ui2c.network.blocks import DepthConvBlock, Pointwise
from ui2c.train.fused_build import Unavailable, library
from ui2c.train.optimizer import Muon


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
    return Block.apply(checked(x), module.mix_out.bias, parameters(module))  # type: ignore[no-any-return]


def linear(module: Pointwise, x: Tensor) -> Tensor:
    """The layer's output, `[..., inputs]` to `[..., outputs]`."""
    return Linear.apply(checked(x), module.bias, (module.weight, module.bias))  # type: ignore[no-any-return]


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


def parameters(module: DepthConvBlock) -> tuple[nn.Parameter | None, ...]:
    """The block's parameters in the order of the kernels' structure."""
    layers = (
        module.adaptor, module.spatial_in, module.spatial, module.spatial_out, module.mix_in,
        module.mix_out,
    )  # fmt: skip
    found: list[nn.Parameter | None] = []
    for layer in layers:
        found += (None, None) if layer is None else (layer.weight, layer.bias)
    return tuple(found)


def pointers(tensors: tuple[Tensor | None, ...]) -> "ctypes.Array[ctypes.c_void_p]":
    return (ctypes.c_void_p * len(tensors))(*(None if t is None else t.data_ptr() for t in tensors))


def gradients(params: tuple[nn.Parameter | None, ...]) -> tuple[Tensor | None, ...]:
    """The parameters' gradients, zeros where there were none."""
    for p in params:
        if p is not None and p.grad is None:
            p.grad = torch.zeros_like(p)
    return tuple(None if p is None else p.grad for p in params)


class Block(torch.autograd.Function):
    """The second argument is any parameter: it makes autograd call `backward`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, anchor: Tensor, params: Any) -> Tensor:
        n, h, w, inputs = x.shape
        c = len(anchor)
        saved = x.new_empty(n * h * w * c * (7 if params[0] is None else 8))
        out = x.new_empty(n, h, w, c)
        addresses = pointers(params)
        library().ui2c_block_forward(
            n, h, w, inputs, c, addresses, x.data_ptr(), saved.data_ptr(), out.data_ptr()
        )
        ctx.save_for_backward(x, saved)
        ctx.params, ctx.addresses = params, addresses
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, None]:
        x, saved = ctx.saved_tensors
        n, h, w, inputs = x.shape
        gradient = gradient.contiguous()
        result = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        library().ui2c_block_backward(
            n, h, w, inputs, gradient.shape[-1], ctx.addresses,
            pointers(gradients(ctx.params)), x.data_ptr(), saved.data_ptr(), gradient.data_ptr(),
            None if result is None else result.data_ptr(),
        )  # fmt: skip
        return result, None, None


class Linear(torch.autograd.Function):
    """The second argument is any parameter: it makes autograd call `backward`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, anchor: Tensor, params: Any) -> Tensor:
        outputs, inputs = params[0].shape
        out = x.new_empty(*x.shape[:-1], outputs)
        library().ui2c_linear_forward(
            x.numel() // inputs, inputs, outputs, params[0].data_ptr(), params[1].data_ptr(),
            x.data_ptr(), out.data_ptr(),
        )  # fmt: skip
        ctx.save_for_backward(x)
        ctx.params = params
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, None]:
        (x,) = ctx.saved_tensors
        weight = ctx.params[0]
        outputs, inputs = weight.shape
        gradient = gradient.contiguous()
        weight_gradient, bias_gradient = gradients(ctx.params)
        assert weight_gradient is not None and bias_gradient is not None
        result = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        library().ui2c_linear_backward(
            x.numel() // inputs, inputs, outputs, weight.data_ptr(), weight_gradient.data_ptr(),
            bias_gradient.data_ptr(), x.data_ptr(), gradient.data_ptr(),
            None if result is None else result.data_ptr(),
        )  # fmt: skip
        return result, None, None
