"""What trains computes what codes, with the gradients of plain layers."""

import copy
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from ui2c.network.blocks import Pointwise
from ui2c.network.integer import to_integers
from ui2c.train import quantised


def layer(inputs: int, outputs: int, wide: bool) -> Pointwise:
    made = Pointwise(inputs, outputs, wide=wide)
    torch.nn.init.normal_(made.bias)
    made.equalisation.copy_(torch.randn(inputs).exp())
    quantised.attach(made)
    return made


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("inputs, outputs", [(1, 1), (7, 5), (128, 512), (768, 33)])
def test_forward_is_the_coding_layer(inputs: int, outputs: int, wide: bool) -> None:
    torch.manual_seed(inputs)
    made = layer(inputs, outputs, wide)
    x = torch.randn(2, 3, 5, inputs) * torch.randn(2, 3, 5, 1).exp()
    x[0, 0] = 0
    expected = to_integers(made)(x)
    found = made(x)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    if inputs > 1:
        plain = F.linear(x, made.weight, made.bias)
        assert (found - expected).norm() < 2e-3 * (found - plain).norm()


def test_gradients_are_those_of_the_plain_layer_on_rounded_values() -> None:
    torch.manual_seed(1)
    made = layer(24, 9, wide=False)
    x, weights = torch.randn(4, 7, 24, requires_grad=True), torch.randn(4, 7, 9)
    (made(x) * weights).sum().backward()
    integers = to_integers(made)
    inputs = quantised.inputs_as_coded(made, x.detach()).requires_grad_()
    weight = integers.weight * integers.scale[:, None] * integers.equalisation
    weight.requires_grad_()
    bias = made.bias.detach().clone().requires_grad_()
    (F.linear(inputs, weight, bias) * weights).sum().backward()
    pairs = (x, inputs), (made.weight, weight), (made.bias, bias)
    for trained, plain in pairs:
        torch.testing.assert_close(trained.grad, plain.grad)


def test_weights_are_rounded_anew_when_they_or_their_equalisation_changed() -> None:
    torch.manual_seed(2)
    made = layer(16, 8, wide=False)
    x = torch.randn(5, 16)
    seen = [made(x).detach()]
    with torch.no_grad():
        made.weight.mul_(1.7)
        seen.append(made(x).detach())
        made.equalisation[3] *= 9
    seen.append(made(x).detach())
    other = copy.deepcopy(made)
    torch.nn.init.normal_(other.weight)
    seen.append(other(x).detach())
    assert all(not torch.equal(a, b) for a, b in pairwise(seen))
    for now, result in ((made, seen[2]), (other, seen[3])):
        torch.testing.assert_close(to_integers(now)(x), result)
