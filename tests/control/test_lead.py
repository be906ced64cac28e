"""Random-access units better than what follows, where that pays."""

from typing import Any

import numpy as np
import pytest
import ui2c
from support.clips import make_clip
from support.paths import CITY
from ui2c.control.lead import TRIED, find_lead, frames_ahead, lead_of
from ui2c.network.load import load_model
from ui2c.unit.coder import EncodedUnit, UnitEncoder
from ui2c.unit.planes import Geometry
from ui2c.video import open_source


def still_scene(frames: int) -> list[ui2c.YUV420]:
    """One picture of a real video, again and again, with a little noise."""
    first = next(iter(open_source(CITY)))
    rng = np.random.default_rng(1)
    y = first.y[40:136, 100:228].astype(int)
    u, v = (p[20:68, 50:114].copy() for p in (first.u, first.v))
    clip = []
    for _ in range(frames):
        noisy = np.clip(y + rng.integers(-1, 2, y.shape), 0, 255).astype(np.uint8)
        clip.append(ui2c.YUV420(noisy, u, v, 8, False))
    return clip


def cut_up_scene(frames: int) -> list[ui2c.YUV420]:
    """Frames that have nothing to do with each other."""
    rng = np.random.default_rng(2)
    clip = still_scene(frames)
    return [
        ui2c.YUV420(
            np.roll(f.y[::-1] if i % 2 else f.y, rng.integers(20, 70), 1), f.u, f.v, 8, False
        )
        for i, f in enumerate(clip)
    ]


@pytest.fixture(scope="module")
def small() -> Any:
    """The shipped model: an untrained one does not follow the qp."""
    return load_model("small")


@pytest.mark.slow
def test_a_still_scene_leads_by_more_than_one_that_changes(small: Any) -> None:
    needed = frames_ahead(2)
    found = []
    for clip in (still_scene(needed), cut_up_scene(needed)):
        coder = UnitEncoder(small, Geometry(128, 96), motion="fast")
        found.append(find_lead(coder, [frame.planes for frame in clip], 32))
        # As if nothing had been coded.
        assert coder.save().since_intra == 0 and coder.save().reference is None
    assert found[0] >= 10 > found[1]


@pytest.mark.slow
def test_a_short_horizon_pays_less(small: Any) -> None:
    coder = UnitEncoder(small, Geometry(128, 96), motion="fast")
    planes = [frame.planes for frame in still_scene(5)]
    assert find_lead(coder, planes, 32, most=1) < find_lead(coder, planes, 32, most=12)


class Priced:
    """A coder whose units take what a table says, whatever the frames."""

    def __init__(self, model: Any, qp: int, sizes: dict[int, int]) -> None:
        self.model, self.geometry, self.qp, self.sizes = model, Geometry(32, 32), qp, sizes
        self.tried: list[int] = []

    def save(self) -> str:
        return "before"

    def restore(self, state: str) -> None:
        assert state == "before"

    def encode(self, frames: Any, *, qp: int, intra: bool) -> EncodedUnit:
        if intra:
            self.tried.append(self.qp - qp)
        stream = bytes(self.sizes[self.tried[-1]])
        return EncodedUnit(intra, qp, 0, 0, stream, 0, 0.0, tuple(frames))


def test_trials_end_where_more_does_not_pay(nano: Any) -> None:
    sizes = {0: 1000, 5: 800, 10: 900, 15: 100}
    planes = [frame.planes for frame in make_clip(32, 32, 5)]
    coder = Priced(nano, 40, sizes)
    assert find_lead(coder, planes, 40) == 5  # type: ignore[arg-type]
    assert coder.tried == [0, 5, 10]
    # There is no qp below 0 to lead with.
    coder = Priced(nano, 4, sizes)
    assert find_lead(coder, planes, 4) == 0  # type: ignore[arg-type]
    assert coder.tried == [0] and TRIED[0] == 0


def test_the_unit_after_leads_by_less(nano: Any) -> None:
    clip = still_scene(9)
    encoder = ui2c.Encoder(model=nano, qp=30, lead=9)
    data = encoder.encode(clip)
    units = encoder.statistics.units
    assert [unit.qp for unit in units] == [21, 26, 30, 30, 30]
    assert [unit.lead for unit in units] == [9, 4, 0, 0, 0]
    assert [lead_of(9, k) for k in range(4)] == [9, 4, 0, 0]
    assert [lead_of(25, k) for k in range(4)] == [25, 20, 0, 0]
    assert len(ui2c.Decoder(model=nano).decode(data)) == 9
    low = ui2c.Encoder(model=nano, qp=3, lead=9)
    low.encode(clip)
    assert [unit.qp for unit in low.statistics.units][:2] == [0, 0]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 6, 11])
@pytest.mark.parametrize("keyint", [0, 1, 4])
def test_pushing_gives_the_bytes_of_the_whole(nano: Any, count: int, keyint: int) -> None:
    clip = make_clip(32, 32, count)
    options = {"model": nano, "qp": 30, "keyint": keyint, "width": 32, "height": 32}
    encoder = ui2c.Encoder(**options)
    whole = encoder.encode(clip)
    parts = [encoder.push(frame) for frame in clip]
    assert b"".join([*parts, encoder.flush()]) == whole
    assert len(ui2c.Decoder(model=nano).decode(whole)) == count
    assert sum(unit.frames for unit in encoder.statistics.units) == count


def test_a_cut_among_the_frames_that_wait(nano: Any) -> None:
    clip = still_scene(3) + cut_up_scene(9)[2:]
    encoder = ui2c.Encoder(model=nano, qp=30)
    for index, frame in enumerate(clip):
        if index == 3:
            encoder.force_intra()
        encoder.push(frame)
    encoder.flush()
    units = encoder.statistics.units
    assert [(unit.intra, unit.frames) for unit in units[:3]] == [(True, 1), (False, 2), (True, 1)]
    # The first has not the frames that a trial needs.
    assert units[0].lead == 0
    assert sum(unit.frames for unit in units) == len(clip)


def test_memory_and_delay_stay_bounded(nano: Any) -> None:
    encoder = ui2c.Encoder(model=nano, qp=30)
    held = 0
    for index, frame in enumerate(make_clip(32, 32, 12)):
        encoder.push(frame)
        coded = encoder.statistics.frames
        held = max(held, index + 1 - coded)
        if index >= 4:
            assert index + 1 - coded <= 1
    encoder.flush()
    assert held == 4


def test_wrong_leads_are_refused(nano: Any) -> None:
    for wrong in (-1, 64):
        with pytest.raises(ValueError, match="lead must be"):
            ui2c.Encoder(model=nano, lead=wrong)
