"""The training kernels give what the plain modules give, forward and backward."""

import copy

import pytest
import torch
from ui2c.network.blocks import DepthConvBlock
from ui2c.train import fused
from ui2c.train.fused_build import Unavailable, library

try:
    library()
except Unavailable as reason:
    pytest.skip(str(reason), allow_module_level=True)


def run(module, x, weights, times=1):
    x = x.clone().requires_grad_()
    for _ in range(times):
        out = module(x)
        (out * weights).sum().backward()
    return [out.detach(), x.grad, *(p.grad for p in module.parameters())]


def compare(module, x, times=1):
    """Outputs and all gradients of the plain and of the fused module, against float64."""
    plain, fast = module, copy.deepcopy(module)
    assert fused.attach(fast)
    exact = copy.deepcopy(plain).double()
    with torch.no_grad():
        weights = torch.randn_like(plain(x))
    expected = run(exact, x.double(), weights.double(), times)
    for values in (run(plain, x, weights, times), run(fast, x, weights, times)):
        for value, reference in zip(values, expected, strict=True):
            assert value.shape == reference.shape
            assert (value - reference).norm() <= 1e-5 * reference.norm() + 1e-7


SIZES = [(1, 1, 1), (2, 1, 2), (1, 3, 5), (3, 2, 17), (2, 17, 3), (2, 16, 16), (1, 17, 17)]


@pytest.mark.parametrize("n, h, w", SIZES)
@pytest.mark.parametrize("inputs, channels", [(16, 16), (48, 32), (5, 7), (1, 1), (40, 24)])
def test_block(n, h, w, inputs, channels):
    torch.manual_seed(n * h + w)
    module = DepthConvBlock(inputs, channels)
    for p in module.parameters():
        torch.nn.init.normal_(p, std=0.4)
    compare(module, torch.randn(n, h, w, inputs))
