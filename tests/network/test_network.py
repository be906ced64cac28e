"""The networks: shapes, variants, counts, model files."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import ui2c
from ui2c import _core
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
from ui2c.network.config import CodecConfig, config_for
from ui2c.network.packing import pack, unpack
from ui2c.network.prior import SCALES, SKIP, checkerboard, gaussian_offsets, scale_of, stages
from ui2c.network.tables import (
    LARGEST,
    TOTAL,
    ScaleTables,
    expected_bits,
    fitted_tables,
    gaussian_magnitudes,
    gaussian_tables,
)
from ui2c.network.weights import load_model, random_model, save_model

SIZES = ("nano", "tiny", "small", "medium", "paper")


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


def test_checkerboard_has_opposite_phases_and_halves() -> None:
    mask = checkerboard(4, 6, 8, torch.device("cpu"))
    assert torch.equal(mask[..., 0], 1 - mask[..., 7])
    assert mask.sum() == mask.numel() / 2
    assert mask[0, 0, 0] == 1


@pytest.mark.parametrize("count", [2, 4])
def test_stages_decide_every_element_once(count: int) -> None:
    device = torch.device("cpu")
    parts = stages(count, 5, 7, 8, device)
    assert len(parts) == count
    assert torch.equal(sum(parts, torch.zeros(5, 7, 8)), torch.ones(5, 7, 8))
    # The first half of the stages is the first of two, and no place waits in any stage.
    board = checkerboard(5, 7, 8, device)
    assert torch.equal(sum(parts[: count // 2], torch.zeros(5, 7, 8)), board)
    assert all(torch.equal(part.sum(-1), torch.full((5, 7), 8 / count)) for part in parts)


@pytest.mark.parametrize("count", [2, 4])
def test_stages_of_coding_are_those_of_training(count: int) -> None:
    torch.manual_seed(1)
    prior = Codec(replace(config_for("nano"), stages=count, spatial_depth=2)).prior
    known, parameters = torch.randn(1, 3, 5, 16), torch.randn(1, 3, 5, 48)
    with torch.no_grad():
        if prior.stage_marks is not None:
            prior.stage_marks.normal_()
        means_in = prior.later_stages(parameters)
        seen = [prior.later_stage(stage, known, parameters) for stage in range(1, count)]
        for stage, means in enumerate(seen, start=1):
            torch.testing.assert_close(means_in(stage, known), means)
    assert count == 2 or not torch.allclose(seen[0], seen[1])


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


def test_offsets_of_the_quality_cycle() -> None:
    assert config_for("nano").offsets == ((0, 8), (0, 4), (0, 4), (0, 4))
    assert config_for("small").offsets == ((0, 4),) * 4
    assert config_for("small").single().offsets == ((8,), (0,), (4,), (0,))
    # A model file from before the field has the cycle of its time.
    values = config_for("small").to_dict()
    del values["key_offset"], values["stages"]
    old = CodecConfig.from_dict(values)
    assert old.offsets[0] == (0, 8) and old.stages == 2


def test_unknown_sizes_and_odd_widths_are_refused() -> None:
    with pytest.raises(ValueError, match="stages"):
        replace(config_for("nano"), stages=3)
    with pytest.raises(ValueError, match="key_offset"):
        replace(config_for("nano"), key_offset=64)
    with pytest.raises(ValueError, match="huge"):
        config_for("huge")
    with pytest.raises(ValueError, match="double"):
        config_for("nano-double")
    with pytest.raises(ValueError, match="trunk"):
        CodecConfig("odd", 33, 16, 16, 32, 32)
    for lambdas in ((0.0, 1.0), (2.0, 1.0), (1.0, float("inf")), (float("nan"), 1.0)):
        with pytest.raises(ValueError, match="lambdas"):
            replace(config_for("nano"), lambdas=lambdas)


def test_lambda_is_log_spaced() -> None:
    config = config_for("nano")
    ratios = [config.distortion_weight(r + 1) / config.distortion_weight(r) for r in range(63)]
    assert max(ratios) - min(ratios) < 1e-9 and config.distortion_weight(63) == pytest.approx(8000)


def test_model_file_round_trip(tmp_path) -> None:  # type: ignore[no-untyped-def]
    codec = Codec(config_for("nano"))
    path = tmp_path / "nano.safetensors"
    save_model(codec, path, {"steps": 3})
    model = load_model(path)
    assert model.config == codec.config and model.card == {"steps": 3}
    again = load_model(path)
    assert again.model_id == model.model_id
    # A second save of what was loaded changes nothing: what is shipped is what was validated.
    save_model(model.codec, tmp_path / "again.safetensors", {"other": "card"})
    assert load_model(tmp_path / "again.safetensors").model_id == model.model_id
    trained = model.trainable()
    assert {name for name, _ in trained.named_parameters()} == {
        name for name, _ in codec.named_parameters()
    }
    assert all(
        a.shape == b.shape for a, b in zip(trained.parameters(), codec.parameters(), strict=True)
    )


def test_tables_of_a_model_file(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Without others both are Gaussian; y and z may have their own."""
    codec = Codec(config_for("nano"))
    counts = np.zeros((2, SCALES, LARGEST + 2), np.int64)
    counts[0, :, :3], counts[1, :, 0] = (5000, 500, 900), 9000
    y, z = (fitted_tables(part) for part in counts)
    indexes, symbols = np.full(300, 20, np.uint8), np.resize(np.array([0, 2, 1, -2], "<i2"), 300)

    def coded(tables: _core.Tables) -> bytes:
        encoder = _core.RansEncoder()
        encoder.put(tables, indexes, symbols)
        return encoder.finish(0)[1]

    ids = []
    for name, given, expected in (
        ("plain", None, (gaussian_tables(), gaussian_tables())),
        ("fitted", (y, z), (y, z)),
    ):
        path = tmp_path / f"{name}.safetensors"
        save_model(codec, path, tables=given)
        model = load_model(path)
        for ours, theirs in zip((model.tables, model.hyper_tables), expected, strict=True):
            assert coded(ours) == coded(_core.Tables(*theirs, SKIP))
        ids.append(model.model_id)
    assert len({coded(_core.Tables(*t, SKIP)) for t in (gaussian_tables(), y, z)}) == 3
    assert ids[0] != ids[1]


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
    plain = Codec(config_for("nano")).prior
    assert plain.values(index)(symbols) is symbols
    prior = Codec(replace(config_for("nano"), recentred=True)).prior
    assert prior.offsets is not None
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


def test_damaged_model_files_are_typed_errors(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "nano.safetensors"
    save_model(Codec(config_for("nano")), path)
    whole = path.read_bytes()
    for size in (0, 7, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ui2c.CorruptError):
            load_model(path)
    with pytest.raises(FileNotFoundError, match="no-such-model"):
        load_model("no-such-model")


def test_random_models_differ_by_seed() -> None:
    assert random_model("nano", 1).model_id != random_model("nano", 2).model_id
