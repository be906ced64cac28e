"""Random-access units at cuts and on request."""

from typing import Any

import numpy as np
import pytest
import ui2c
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clips import make_clip
from support.paths import CITY
from support.streams import coded_units
from ui2c import YUV420
from ui2c.control.scenecut import CELLS, SceneCut, cells
from ui2c.video import open_source


def noise(width: int, height: int, seed: int) -> YUV420:
    """A picture of blotches, another for each seed."""
    random = np.random.default_rng(seed)
    small = random.integers(16, 236, (6, 6), dtype=np.uint8)
    y = np.kron(small, np.ones((-(-height // 6), -(-width // 6)), np.uint8))[:height, :width]
    half = np.full(((height + 1) // 2, (width + 1) // 2), 128, np.uint8)
    return YUV420(y, half, half)


@given(st.integers(1, 70), st.integers(1, 70))
def test_cells_are_means(width: int, height: int) -> None:
    luma = np.random.default_rng(width).integers(0, 1024, (height, width), dtype=np.uint16)
    means = cells(luma)
    step = -(-max(width, height) // CELLS)
    assert max(means.shape) <= CELLS
    assert means[0, 0] == pytest.approx(luma[:step, :step].mean())
    last = luma[(height - 1) // step * step :, (width - 1) // step * step :]
    assert means[-1, -1] == pytest.approx(last.mean())


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_cuts_are_found_and_nothing_else(bit_depth: int) -> None:
    cut = SceneCut()
    shift = bit_depth - 8
    scenes = [make_clip(64, 48, 5), [noise(64, 48, 1)] * 3, [noise(64, 48, 2)] * 3]
    found = [
        [cut(frame.y.astype(np.uint16) << shift, bit_depth) for frame in scene] for scene in scenes
    ]
    assert [any(scene[1:]) for scene in found] == [False] * 3
    assert [scene[0] for scene in found] == [False, True, True]


def test_a_real_clip_has_no_cut() -> None:
    pytest.importorskip("av")
    cut = SceneCut()
    assert not any(cut(frame.y) for frame in open_source(CITY))


@pytest.mark.parametrize("first", [3, 4])
def test_units_begin_at_cuts(nano: Any, first: int) -> None:
    clip = [noise(32, 32, 1)] * first + [noise(32, 32, 2)] * 5
    data = ui2c.Encoder(model=nano, scenecut=True).encode(clip)
    assert [unit.frame for unit in coded_units(data) if unit.intra] == [0, first]
    decoder = ui2c.Decoder(model=nano)
    assert len(decoder.decode(data)) == len(clip)
    plain = ui2c.Encoder(model=nano).encode(clip)
    assert not any(unit.intra for unit in coded_units(plain)[1:])


@settings(max_examples=6, deadline=None)
@given(forced=st.sets(st.integers(0, 6)))
def test_forced_units(single: Any, nano: Any, forced: set[int]) -> None:
    for model in (nano, single):
        encoder = ui2c.Encoder(model=model, psnr=True)
        data = b""
        for index, frame in enumerate(make_clip(16, 16, 7)):
            if index in forced:
                encoder.force_intra()
            data += encoder.push(frame)
        data += encoder.flush()
        units = coded_units(data)
        assert {unit.frame for unit in units if unit.intra} == forced | {0}
        assert sum(unit.shown for unit in units) == 7
        frames = ui2c.Decoder(model=model).decode(data)
        reader = ui2c.Decoder(model=model).open(data)
        assert [reader[i] for i in reversed(range(7))] == frames[::-1]
