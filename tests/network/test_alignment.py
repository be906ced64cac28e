"""The feature moved along the motion field."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import ui2c
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clips import moving_frames
from support.training import ROW, clip, packed
from torch import Tensor
from ui2c import pair
from ui2c.network.alignment import align, displacement_of
from ui2c.network.weights import load_model, random_model, save_model


def feature(height: int = 6, width: int = 9) -> Tensor:
    return torch.randn(2, height, width, 3, generator=torch.Generator().manual_seed(1))


def test_no_motion_changes_nothing() -> None:
    still = torch.zeros(2, 6, 9, 2, dtype=torch.long)
    assert torch.equal(align(feature(), still), feature())


@settings(max_examples=40, deadline=None)
@given(st.integers(-12, 12), st.integers(-12, 12))
def test_whole_positions_are_taken_from_where_the_motion_points(dx: int, dy: int) -> None:
    moved = align(feature(), torch.tensor([256 * dx, 256 * dy]).expand(2, 6, 9, 2))
    for y in range(6):
        for x in range(9):
            there = feature()[:, min(max(y + dy, 0), 5), min(max(x + dx, 0), 8)]
            assert torch.equal(moved[:, y, x], there)


def test_between_positions_it_is_bilinear() -> None:
    displacement = torch.tensor([64, 128]).expand(2, 6, 9, 2)
    moved = align(feature(), displacement)
    f = feature()
    expected = (0.75 * f[:, 2, 3] + 0.25 * f[:, 2, 4] + 0.75 * f[:, 3, 3] + 0.25 * f[:, 3, 4]) / 2
    assert torch.allclose(moved[:, 2, 3], expected, atol=1e-6)


@pytest.mark.parametrize("step", [16, 32, 64])
def test_the_displacement_is_that_of_compensation(step: int) -> None:
    """Of a picture of its own columns: what is fetched for a sample says where from."""
    rng = np.random.default_rng(step)
    height, width = 80, 112
    cells = -(-height // step), -(-width // step)
    # Whole samples everywhere between the vectors, too: one vector for all.
    vector = rng.integers(-5, 6, 2) * 4
    vectors = np.broadcast_to(vector, (2, *cells, 2)).astype(np.int16)
    both = torch.from_numpy(vectors)[None]
    found = displacement_of(height, width, torch.tensor([step]), both)
    assert found.shape == (1, 10, 14, 2)
    # Two frames, quarters to 32nds.
    assert (found == torch.from_numpy(vector * 8)).all()
    one = displacement_of(height, width, torch.tensor([step]), both[:, :1])
    assert torch.equal(one, found)


def test_a_coarser_grid_fills_the_corner_of_the_finest() -> None:
    vectors = torch.randint(-40, 41, (1, 2, 2, 3, 2), generator=torch.Generator().manual_seed(2))
    room = torch.full((1, 2, 4, 6, 2), 99)
    room[:, :, :2, :3] = vectors
    steps = torch.tensor([32])
    assert torch.equal(
        displacement_of(64, 96, steps, vectors), displacement_of(64, 96, steps, room)
    )
    assert not displacement_of(64, 96, torch.tensor([0]), room).any()


def aligned_model() -> Any:
    model = random_model("nano", seed=4)
    config = replace(
        model.config, blocks=True, chosen_precision=True, bidirectional=True, aligned=True
    )
    model.codec.config = config
    return replace(model, config=config)


def test_both_sides_move_it_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = clip()
    model = aligned_model()
    seen: list[Tensor] = []

    def spy(feature: Tensor, displacement: Tensor) -> Tensor:
        seen.append(displacement)
        return align(feature, displacement)

    monkeypatch.setattr(pair, "align", spy)
    encoder, decoder = (pair.PairCoder(model, width=96, height=64) for _ in range(2))
    for coder in (encoder, decoder):
        coder.refer_to(frames[0])
    reference = frames[0]
    for k in range(2):
        unit = encoder.encode(frames[1 + 2 * k : 3 + 2 * k], qp=63 - ROW, cycle=1 + k, intra=False)
        assert encoder.state.reference is not None
        shown = decoder.decode(
            unit.stream,
            qp=unit.qp,
            cycle=unit.cycle,
            intra=False,
            motion_step=unit.motion_step,
            log2_lanes=unit.log2_lanes,
        )
        for ours, theirs in zip(encoder.decoded, shown, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
        assert encoder.feature_hash == decoder.feature_hash
        if k:
            assert len(seen) == 2 and seen[0].any()
            assert torch.equal(seen[0], seen[1])
        reference = encoder.state.reference


def test_files_of_an_aligned_model_decode(tmp_path: Any) -> None:
    model = aligned_model()
    save_model(model.codec, tmp_path / "aligned.safetensors")
    model = load_model(tmp_path / "aligned.safetensors")
    assert model.config.aligned
    frames = [ui2c.YUV420(*planes, 8, False) for planes in moving_frames(7, 70, 50, 8, seed=6)]
    seen: list[ui2c.YUV420] = []
    stream = ui2c.Encoder(model=model, qp=4, reconstruction=seen.append).encode(frames)
    for ours, theirs in zip(ui2c.Decoder(model=model).decode(stream), seen, strict=True):
        np.testing.assert_array_equal(ours.y, theirs.y)
