"""The training kernels give what plain modules that round give, forward and backward."""

import copy

import pytest
import torch
from ui2c.network.blocks import DepthConvBlock, Pointwise
from ui2c.network.codec import Codec
from ui2c.network.config import config_for
from ui2c.train import fused, fused_build, quantised
from ui2c.train.data.batches import Batch
from ui2c.train.graph import run_clip
from ui2c.train.optimizer import Muon, orthogonalise

try:
    fused_build.library()
except fused_build.Unavailable as reason:
    pytest.skip(str(reason), allow_module_level=True)


def run(module, x, weights, times):
    x = x.clone().requires_grad_()
    for _ in range(times):
        out = module(x)
        (out * weights).sum().backward()
    return [out.detach(), x.grad, *(p.grad for p in module.parameters())]


@pytest.fixture
def bfloat16():
    if not fused.use_bfloat16(True):
        pytest.skip("this processor has no products in bfloat16")
    yield
    assert not fused.use_bfloat16(False)


def compare(module, x, times=1, std=0.4, tolerance=1e-5):
    """Output and all gradients, fused and plain; `std` of the weights, `tolerance` relative to the
    norm."""
    for p in module.parameters():
        torch.nn.init.normal_(p, std=std)
    for layer in module.modules():
        if isinstance(layer, Pointwise):
            layer.equalisation.copy_(torch.randn_like(layer.equalisation).exp())
    fast = copy.deepcopy(module)
    quantised.attach(module)
    assert fused.attach(fast)
    with torch.no_grad():
        weights = torch.randn_like(module(x))
    results = (run(m, x, weights, times) for m in (fast, module))
    for value, reference in zip(*results, strict=True):
        assert value.shape == reference.shape
        assert (value - reference).norm() <= tolerance * reference.norm() + 1e-6


@pytest.mark.parametrize(
    "n, h, w", [(1, 1, 1), (2, 1, 2), (1, 3, 5), (3, 2, 17), (2, 17, 3), (2, 16, 16), (1, 17, 17)]
)
@pytest.mark.parametrize("inputs, channels", [(16, 16), (48, 32), (5, 7), (1, 1), (40, 24)])
def test_block_is_the_plain_block(n, h, w, inputs, channels):
    # Seeds for which no last bit of a sum decides how a value is rounded, or on which side of a
    # bend of the activation it lies.
    torch.manual_seed(n * h + w + 1)
    compare(DepthConvBlock(inputs, channels), torch.randn(n, h, w, inputs))


@pytest.mark.parametrize("n, h, w", [(1, 1, 1), (2, 17, 3), (2, 16, 16), (1, 33, 19)])
@pytest.mark.parametrize("inputs, channels", [(16, 16), (5, 7), (96, 160), (33, 24)])
@pytest.mark.usefixtures("bfloat16")
def test_block_in_bfloat16_is_near_the_plain_block(n, h, w, inputs, channels):
    torch.manual_seed(n * h + w)
    # Rounding errs by at most 2⁻⁹ of a factor; weights as small as trained ones, for large ones
    # carry the error of a product into the bends of the next activation. It also decides to which
    # integer an input of the next layer is rounded.
    x = torch.randn(n, h, w, inputs)
    compare(DepthConvBlock(inputs, channels), x, std=0.05, tolerance=0.1)


@pytest.mark.parametrize("inputs, outputs", [(1, 1), (3, 50), (48, 13), (1030, 16), (520, 129)])
@pytest.mark.parametrize("rows", [1, 9, 300])
@pytest.mark.usefixtures("bfloat16")
def test_layer_in_bfloat16_is_near_the_plain_layer(rows, inputs, outputs):
    torch.manual_seed(rows)
    compare(Pointwise(inputs, outputs), torch.randn(rows, inputs), times=2, tolerance=0.02)


def test_float32_is_the_default_and_comes_back():
    torch.manual_seed(9)
    layer, x = Pointwise(64, 64), torch.randn(64, 64)
    fused.attach(layer)
    exact = layer(x).detach()
    if fused.use_bfloat16(True):
        assert not torch.equal(layer(x), exact)
    assert not fused.use_bfloat16(False)
    assert torch.equal(layer(x), exact)


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (2, 3, 4, 48), (1, 17, 17, 96)])
def test_layer_is_the_plain_layer(shape):
    torch.manual_seed(len(shape))
    compare(Pointwise(shape[-1], 13), torch.randn(shape))


def test_gradients_of_several_uses_add_up():
    torch.manual_seed(3)
    compare(DepthConvBlock(16, 16), torch.randn(1, 5, 6, 16), times=3)
    compare(Pointwise(16, 8), torch.randn(7, 16), times=3)


def test_inputs_that_are_not_contiguous():
    torch.manual_seed(4)
    x = torch.randn(2, 16, 5, 3).permute(0, 2, 3, 1)
    compare(DepthConvBlock(16, 16), x)
    module = DepthConvBlock(16, 16)
    fast = copy.deepcopy(module)
    fused.attach(fast)
    quantised.attach(module)
    x = torch.randn(1, 4, 4, 16)
    for m in (module, fast):
        m(x)[..., :8].square().sum().backward()
    for p, q in zip(module.parameters(), fast.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-4, atol=1e-5)


def test_input_without_gradient():
    module = DepthConvBlock(6, 4)
    fused.attach(module)
    x = torch.randn(1, 3, 3, 6)
    module(x).sum().backward()
    assert x.grad is None
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())


def test_other_types_are_refused():
    layer = Pointwise(4, 4)
    fused.attach(layer)
    with pytest.raises(TypeError, match="float64"):
        layer(torch.zeros(2, 4, dtype=torch.float64))


def test_a_copy_trains_its_own_parameters():
    layer = Pointwise(4, 4)
    fused.attach(layer)
    other = copy.deepcopy(layer)
    other(torch.ones(2, 4)).sum().backward()
    assert layer.weight.grad is None
    assert other.weight.grad is not None


def test_a_whole_clip_has_the_same_loss_and_gradients():
    # One unit: a second would start from rounded frames, where one flipped bit is a difference.
    n, units, side = 2, 1, 8
    torch.manual_seed(6)
    codec = Codec(config_for("nano"))
    quantised.attach(codec)
    frames = torch.rand(n, 1 + 2 * units, side, side, 96) - 0.5
    batch = Batch(
        frames,
        torch.tensor([3, 50]),
        torch.tensor([True, False]),
        frames[:, 0] * torch.tensor([0.0, 1.0]).view(-1, 1, 1, 1),
        torch.tensor([0, 2]),
    )
    results = []
    for attach in (False, True):
        if attach:
            assert fused.attach(codec)
        for p in codec.parameters():
            p.grad = None
        torch.manual_seed(7)
        result = run_clip(codec, batch)
        loss = (result.latent_bpp + result.hyper_bpp + result.weighted_error).mean()
        loss.backward()
        results.append((loss.detach(), [p.grad for p in codec.parameters()]))
    (loss, expected), (fast_loss, gradients) = results
    torch.testing.assert_close(fast_loss, loss, rtol=1e-4, atol=1e-4)
    whole = torch.cat([g.flatten() for g in expected if g is not None])
    for reference, gradient in zip(expected, gradients, strict=True):
        assert (reference is None) == (gradient is None)
        if reference is not None:
            assert (gradient - reference).norm() <= 1e-3 * reference.norm() + 1e-5 * whole.norm()


@pytest.mark.parametrize(
    "rows, columns", [(1, 1), (3, 7), (7, 3), (64, 96), (128, 128), (132, 260), (260, 132)]
)
def test_orthogonalise(rows, columns):
    torch.manual_seed(rows)
    matrix = torch.randn(rows, columns)
    wide = (matrix if rows <= columns else matrix.mT)[None].double()
    expected = orthogonalise(wide)[0]
    expected = expected if rows <= columns else expected.mT
    found = fused.orthogonalise_one(matrix)
    assert (found - expected).norm() <= 1e-4 * expected.norm()


def test_muon_with_and_without_kernel():
    torch.manual_seed(8)
    start = [torch.randn(16, 16), torch.randn(40, 16), torch.randn(16, 24)]
    gradients = [torch.randn_like(p) for p in start]
    ends = []
    for kernel in (False, True):
        params = [torch.nn.Parameter(p.clone()) for p in start]
        muon = Muon(params, 0.1)
        if kernel:
            fused.attach(torch.nn.Module(), [muon])
        for _ in range(2):
            for p, g in zip(params, gradients, strict=True):
                p.grad = g.clone()
            muon.step()
        ends.append(params)
    for plain, fast in zip(*ends, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-3, atol=1e-4)


def test_without_a_compiler_training_goes_on_and_says_why(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(fused, "library", fused_build.library.__wrapped__)
    layer = Pointwise(4, 4)
    assert not fused.attach(layer)
    assert layer.kernel is None
    assert "no C++ compiler" in capsys.readouterr().out


def test_a_compiler_that_fails_is_quoted(monkeypatch, tmp_path):
    wrong = tmp_path / "wrong.cpp"
    wrong.write_text("int main( {")
    monkeypatch.setattr(fused_build, "SOURCE", wrong)
    with pytest.raises(fused_build.Unavailable, match="failed"):
        fused_build.build(tmp_path)
    assert not list(tmp_path.glob("*.so"))


def test_the_library_is_built_once(monkeypatch, tmp_path):
    library = fused_build.build(tmp_path)
    stamp = library.stat().st_mtime_ns
    assert fused_build.build(tmp_path) == library
    assert library.stat().st_mtime_ns == stamp
