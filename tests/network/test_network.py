"""The networks: shapes, variants, counts."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ui2c.network.blocks import (
    Bank,
    DepthConvBlock,
    activate,
    interpolation_matrix,
    shuffle,
    unshuffle,
)
from ui2c.network.codec import Codec
from ui2c.network.complexity import table
from ui2c.network.config import STAGES, config_for, lagrangian_of, lagrangian_of_row
from ui2c.network.packing import pack, unpack
from ui2c.network.prior import SCALES, gaussian_offsets, scale_of, stages
from ui2c.network.tables import (
    LARGEST,
    TOTAL,
    ScaleTables,
    expected_bits,
    fitted_tables,
    gaussian_magnitudes,
    gaussian_tables,
)

SIZES = ("nano", "small", "paper", "nano-single", "nano-implicit", "nano-single-implicit")


def test_block_follows_its_formula() -> None:
    torch.manual_seed(0)
    block = DepthConvBlock(32, 32)
    x = torch.randn(2, 5, 7, 32)
    h = activate(block.spatial_in(x)).permute(0, 3, 1, 2)
    h = torch.nn.functional.conv2d(
        h, block.spatial.weight, block.spatial.bias, padding=1, groups=32
    ).permute(0, 2, 3, 1)
    x1 = x + block.spatial_out(h)
    first, second = activate(block.mix_in(x1)).chunk(2, dim=-1)
    expected = x1 + block.mix_out(first + second)
    assert torch.allclose(block(x), expected, atol=1e-5)


def test_activation_is_the_hard_wsilu() -> None:
    x = torch.linspace(-2, 2, 401)
    assert torch.allclose(activate(x), x * (x + 0.5).clamp(0, 1), atol=1e-6)


def test_shuffle_undoes_unshuffle() -> None:
    x = torch.randn(2, 8, 12, 6)
    assert torch.equal(shuffle(unshuffle(x, 4), 4), x)


@pytest.mark.parametrize("depth", [8, 10, 16])
def test_packing_is_exact(depth: int) -> None:
    generator = torch.Generator().manual_seed(depth)
    planes = [
        torch.randint(0, 1 << depth, (2, h, w), generator=generator, dtype=torch.int32)
        for h, w in ((32, 48), (16, 24), (16, 24))
    ]
    packed = pack(planes, depth)
    assert packed.shape == (2, 4, 6, 96)
    assert float(packed.abs().max()) <= 0.5
    for plane, back in zip(planes, unpack(packed, depth), strict=True):
        assert torch.equal(plane, back)


def test_rows_between_knots_are_interpolated_and_survive_expansion() -> None:
    assert torch.allclose(interpolation_matrix().sum(1), torch.ones(64))
    bank = Bank(torch.randn(9, 4))
    rows = torch.arange(64)
    before = bank(rows)
    bank.expand()
    assert torch.equal(bank(rows), before)
    bank.contract()
    assert torch.allclose(bank(rows), before, atol=1e-6)


def test_stages_decide_every_element_once() -> None:
    parts = stages(5, 7, 8, torch.device("cpu"))
    assert len(parts) == STAGES
    assert torch.equal(sum(parts, torch.zeros(5, 7, 8)), torch.ones(5, 7, 8))
    # No place waits in any stage.
    assert all(torch.equal(part.sum(-1), torch.full((5, 7), 2.0)) for part in parts)
    # After two stages half is known of everything around what is left: a checkerboard.
    half = parts[0] + parts[1]
    assert not (half[1:] * half[:-1]).any() and not (half[:, 1:] * half[:, :-1]).any()


def test_marks_tell_the_stages_apart() -> None:
    torch.manual_seed(1)
    prior = Codec(config_for("nano")).prior
    known, parameters = torch.randn(1, 3, 5, 64), torch.randn(1, 3, 5, 192)
    means_in = prior.later_stages(parameters)
    with torch.no_grad():
        first, second = (means_in(stage, known) for stage in (1, 2))
        assert torch.equal(first, second)
        prior.stage_marks[1] += 0.5
        assert torch.equal(means_in(1, known), first)
        assert not torch.allclose(means_in(2, known), second)
        # They stand beside what is known.
        torch.testing.assert_close(means_in(1, known + 0.5), means_in(2, known))


def test_tables_are_valid_and_fit_their_gaussians() -> None:
    frequencies, lengths = gaussian_tables()
    assert len(lengths) == SCALES and lengths.sum() == len(frequencies)
    start = 0
    for i, length in enumerate(lengths.tolist()):
        part = frequencies[start : start + length].astype(float)
        start += length
        assert part.sum() == TOTAL and part.min() >= 1 and length % 2 == 0
        m = (length - 2) // 2
        assert (
            np.array_equal(part[:m], part[m + 1 : -1][::-1])
            or abs(part[:m] - part[m + 1 : -1][::-1]).max() <= 1
        )
        # Coding what the Gaussian yields costs at most 0.5 % or a thousandth of a bit extra.
        scale = float(scale_of(torch.tensor(float(i))))
        x = np.arange(-m, m + 1)
        edges = torch.distributions.Normal(0.0, scale).cdf(
            torch.tensor(np.append(x - 0.5, m + 0.5))
        )
        p = np.diff(edges.double().numpy())
        ideal = -(p * np.log2(np.maximum(p, 1e-12))).sum()
        coded = -(p * np.log2(part[:-1] / TOTAL)).sum()
        assert coded <= ideal * 1.005 + 1e-3


@pytest.mark.parametrize("name", SIZES)
def test_sizes_are_counted(name: str) -> None:
    config = config_for(name)
    rows = table(config)
    with torch.device("meta"):
        codec = Codec(config)
    assert sum(row.params for row in rows) == sum(p.numel() for p in codec.parameters())
    if name == "small":
        encoder = sum(row.macs_per_pixel for row in rows if row.in_encoder)
        decoder = sum(row.macs_per_pixel for row in rows if row.in_decoder)
        assert 20e3 < encoder < 33e3 and 16e3 < decoder < 28e3


def test_rows_of_frames() -> None:
    config = config_for("small")
    assert config.frame_rows(32, False) == (31, 35)
    # A still leads, and the best row is the end of it.
    assert config.frame_rows(32, True) == (44, 44)
    assert config.frame_rows(3, True) == config.frame_rows(0, True) == (63, 63)
    assert config.frame_rows(0, False) == (63, 63) and config.frame_rows(2, False) == (61, 63)
    assert config.frame_rows(63, False) == (0, 4)
    assert [config.unit_frames(intra) for intra in (True, False)] == [1, 2]
    single = config.single()
    assert single.frame_rows(32, False) == (31,) and single.frame_rows(32, True) == (44,)
    assert [single.unit_frames(intra) for intra in (True, False)] == [1, 1]


def test_variants() -> None:
    nano = config_for("nano")
    assert config_for("nano-single") == nano.single()
    assert config_for("nano-implicit") == nano.without_motion()
    both = config_for("nano-single-implicit")
    assert (both.motion, both.frames_per_unit) == (False, 1)
    assert not config_for("paper").motion


def test_unknown_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="huge"):
        config_for("huge")
    with pytest.raises(ValueError, match="double"):
        config_for("nano-double")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("trunk", 33),
        ("trunk", 0),
        ("trunk", 4096),
        ("latent", 64.0),
        ("hyper", -16),
        ("prior", None),
        ("head", 1040),
        ("entropy", 8),
        ("encoder_depth", 0),
        ("decoder_depth", 17),
        ("head_depth", 10**9),
        ("fusion_depth", "2"),
        ("spatial_depth", -1),
        ("extractor_depths", (2, 17)),
        ("frames_per_unit", 3),
    ],
)
def test_widths_and_depths_have_limits(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(config_for("nano"), **{field: value})


def test_lambda_is_log_spaced() -> None:
    assert lagrangian_of(63) == pytest.approx(5) and lagrangian_of(0) == pytest.approx(4000)
    ratios = [lagrangian_of(qp) / lagrangian_of(qp + 1) for qp in range(63)]
    assert max(ratios) - min(ratios) < 1e-9
    assert lagrangian_of_row(-3) == lagrangian_of_row(0)
    assert lagrangian_of_row(70) == lagrangian_of_row(63) == lagrangian_of(0)


def test_fitted_tables_suit_what_was_seen() -> None:
    def bits(tables: ScaleTables, expected: list[np.ndarray]) -> np.ndarray:
        ends = np.cumsum(tables.lengths.astype(int))
        parts = np.split(tables.frequencies.astype(np.int64), ends[:-1])
        assert all(part.sum() == TOTAL and part.min() >= 1 for part in parts)
        return np.array([expected_bits(*pair) for pair in zip(expected, parts, strict=True)])

    counts = np.zeros((SCALES, LARGEST + 2), np.int64)
    gaussian = gaussian_tables()
    scales = scale_of(torch.arange(SCALES)).tolist()
    expected = [gaussian_magnitudes(scale) for scale in scales]
    # Where nothing was seen.
    assert (bits(fitted_tables(counts), expected) <= bits(gaussian, expected)).all()
    # Long tails.
    laplacian = -np.diff(np.exp(-np.append(np.arange(LARGEST + 2) - 0.5, np.inf).clip(min=0)))
    counts[:] = np.round(1e6 * laplacian)
    fitted, others = (
        bits(tables, [laplacian] * SCALES) for tables in (fitted_tables(counts), gaussian)
    )
    entropy = float(-(laplacian * np.log2(laplacian)).sum()) + 1 - float(laplacian[0])
    assert fitted.max() < 1.004 * entropy and others.min() > 1.01 * entropy
    # What is rarer than an escape would take a share from all others.
    assert fitted_tables(counts).lengths.max() < 2 * LARGEST


def test_offsets_begin_where_gaussians_have_their_means() -> None:
    offsets = gaussian_offsets()
    for index in (0, 10, 16, 25, 40, 63):
        scale = float(scale_of(torch.tensor(float(index))))
        for k in (1, 2):
            x = torch.linspace(k - 0.5, k + 0.5, 20_001, dtype=torch.float64)
            density = torch.exp(-(x / scale).square() / 2)
            expected = k - float((x * density).sum() / density.sum())
            assert float(offsets[index, k - 1]) == pytest.approx(expected, abs=0.002)


def test_values_of_symbols() -> None:
    torch.manual_seed(2)
    symbols = torch.randint(-5, 6, (2, 3, 4, 16)).float()
    index = torch.rand(symbols.shape) * 63
    prior = Codec(config_for("nano")).prior
    with torch.no_grad():
        prior.offsets.uniform_(0, 0.5)
        values = prior.values(index)(symbols)
        assert torch.equal(values, -prior.values(index)(-symbols))
    for symbol, i, value in zip(symbols.flatten(), index.flatten(), values.flatten(), strict=True):
        expected = 0.0
        if symbol:
            offset = float(prior.offsets[round(float(i)), min(abs(int(symbol)), 2) - 1].detach())
            expected = float(symbol.sign()) * (abs(float(symbol)) - offset)
        assert float(value) == pytest.approx(expected, abs=1e-6)
