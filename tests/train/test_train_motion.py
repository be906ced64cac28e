"""Motion searched in training: what an encoder would find, and its way back."""

from typing import Any

import numpy as np
import pytest
import torch
from support.training import ROW, clip, packed
from torch import Tensor
from ui2c.network.alignment import displacement_of
from ui2c.network.codec import Codec
from ui2c.network.config import STILL_LEAD, config_for
from ui2c.network.load import load_model
from ui2c.network.torch_model import load_codec, save_model
from ui2c.train import observed
from ui2c.train.data.batches import Batch
from ui2c.train.graph import run_clip
from ui2c.train.motion import search as search_module
from ui2c.train.motion.search import MotionSearch
from ui2c.train.observed import SymbolCounts
from ui2c.unit.motion import find_motion

CONFIG = config_for("nano")
NOT_BLANK = torch.tensor([False])


def search_of(frames: list, rows: int = 1) -> MotionSearch:
    batch = packed(frames)[None].repeat(rows, 1, 1, 1, 1)
    return MotionSearch(CONFIG, batch, torch.full((rows,), ROW))


def test_predictions_are_those_of_the_encoders_search() -> None:
    """The precision is chosen once for a few units, as in an encoder."""
    frames = clip()
    search, shift = search_of(frames), None
    for unit in range(2):
        reference, *coded = frames[2 * unit : 2 * unit + 3]
        motion, predicted = find_motion(
            reference, [planes[0] for planes in coded], qp=63 - ROW, shift=shift
        )
        shift = motion.field.shift
        found = search.predict(unit, NOT_BLANK, packed([reference]))
        expected = torch.cat([packed([planes]) for planes in predicted], dim=-1)
        assert torch.equal(found, expected)
        assert search.found[0] is not None and search.found[0].field.step == motion.field.step
        assert any(search.found[0].forward) or search.between
        assert motion.field.step and motion.field.vectors is not None
        step, vectors = torch.tensor([motion.field.step]), torch.from_numpy(motion.field.vectors)
        moved = displacement_of(64, 96, step, vectors[None])
        assert torch.equal(search.displacement(64, 96), moved)


def test_threads_find_the_same() -> None:
    frames = clip()
    results = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        references = packed([frames[0]]).repeat(4, 1, 1, 1)
        results.append(search_of(frames, 4).predict(0, NOT_BLANK.repeat(4), references))
    torch.set_num_threads(1)
    assert torch.equal(*results)


def test_blank_units_have_neither_prediction_nor_blocks() -> None:
    frames = clip()
    search = search_of(frames, 2)
    references = packed([frames[0]]).repeat(2, 1, 1, 1)
    prediction = search.predict(0, torch.tensor([True, False]), references)
    assert not prediction[0].any() and prediction[1].any()
    assert search.found[0] is None and search.between is not None
    pair = packed(frames[1:3]).permute(1, 2, 0, 3).flatten(2)[None].repeat(2, 1, 1, 1)
    assert torch.equal(search.between.mend(pair)[0], pair[0])
    assert not search.displacement(64, 96)[0].any()


def test_gradients_are_those_of_the_same_motion(monkeypatch: pytest.MonkeyPatch) -> None:
    """A nudge of the reference changes all as its gradient foresees, if what is found stays."""
    whole = clip(seed=3)
    # Of less contrast, so that nothing is clamped; found on what has more, so that there is much.
    frames = [tuple(p // 2 + 60 for p in frame) for frame in whole]
    kept, _ = find_motion(whole[0], [planes[0] for planes in whole[1:3]], qp=63 - ROW)
    assert kept.forward[1] is not None and kept.between is not None
    search = search_of(frames)

    def found(reference: Any, luma: Any, **options: Any) -> Any:
        return kept, kept.predict(reference)

    monkeypatch.setattr(search_module, "find_motion", found)

    def shown(reference: Tensor) -> Tensor:
        prediction = search.predict(0, NOT_BLANK, reference)
        assert search.between is not None
        return search.between.mend(torch.cat([reference, prediction[..., 96:]], dim=-1) + 1e-4)

    reference = packed([frames[0]]).requires_grad_()
    before = shown(reference)
    generator = torch.Generator().manual_seed(1)
    towards = torch.randn(before.shape, generator=generator)
    (before * towards).sum().backward()
    assert reference.grad is not None
    nudge = torch.randint(-20, 21, reference.shape, generator=generator) / 255
    real = ((shown(reference.detach() + nudge) - before.detach()) * towards).sum()
    foreseen = (reference.grad * nudge).sum()
    assert abs(real - foreseen) < 0.02 * abs(foreseen) + 1.0, (real, foreseen)


def blank_batch(frames: Tensor) -> Batch:
    n = len(frames)
    return Batch(
        frames,
        torch.full((n,), ROW),
        torch.ones(n, dtype=torch.bool),
        torch.zeros_like(frames[:, 0]),
        torch.full((n,), STILL_LEAD),
    )


def test_a_clip_is_trained_as_it_is_coded(tmp_path: Any) -> None:
    """A still, and a unit of two frames, the first with blocks of the last: on either side."""
    torch.manual_seed(4)
    save_model(Codec(CONFIG), tmp_path / "model.safetensors")
    frames = clip()[:4]
    counts = SymbolCounts()
    units = list(
        observed.coded(load_model(tmp_path / "model.safetensors"), frames[1:], 63 - ROW, counts)
    )
    # A still is the last frame of its unit alone.
    batch = blank_batch(packed([frames[0], frames[0], *frames[1:]])[None])
    with torch.no_grad():
        result = run_clip(load_codec(tmp_path / "model.safetensors"), batch)
    for unit, (decoded, sources) in enumerate(units):
        for k, (shown, source) in enumerate(zip(decoded, sources, strict=True)):
            place = 1 if unit == 0 else k
            for plane in range(3):
                off = (shown[plane].astype(float) - source[plane]) / 256
                error = float(result.error[0, unit, place, plane])
                assert error == pytest.approx(np.square(off).mean(), rel=0.02, abs=1e-5)
    expected = sum(float(x.sum()) for x in (counts.y, counts.z))
    assert (float(result.bits_by_unit.sum()) > 0) == (expected > 0)


def test_a_blank_start_does_not_see_the_first_frame_of_its_unit() -> None:
    torch.manual_seed(3)
    codec = Codec(CONFIG)
    batch = blank_batch(packed(clip()[:3])[None])
    given = Batch(batch.frames, batch.rows, NOT_BLANK, batch.frames[:, 0], batch.lead)

    def seen(batch: Batch, first: float | None = None) -> float:
        frames = batch.frames.clone()
        if first is not None:
            frames[:, 1] = first
        with torch.no_grad():
            result = run_clip(codec, Batch(frames, *list(vars(batch).values())[1:]))
        return float(result.weighted_error + result.bits_by_unit.sum())

    assert seen(batch) == seen(batch, 0.3)
    assert seen(given) != seen(given, 0.3)
