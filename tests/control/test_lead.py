"""Random-access units better than what follows, where that pays."""

import numpy as np
import pytest
import ui2c
from support.clips import make_clip
from support.paths import CITY
from ui2c.control import lead as leads
from ui2c.control.lead import TRIED, Coded, find_lead, frames_ahead, lead_of
from ui2c.network.weights import load_model, random_model
from ui2c.pair import PairCoder
from ui2c.video import open_source

STILL = random_model("nano-still")


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


def test_a_still_scene_leads_and_one_that_changes_does_not() -> None:
    model = load_model("tiny")
    needed = frames_ahead(2)
    found = []
    for clip in (still_scene(needed), cut_up_scene(needed)):
        coder = PairCoder(model, width=128, height=96)
        found.append(find_lead(coder, [frame.planes for frame in clip], 32))
        assert coder.state.feature is None and coder.state.reference is None
    assert found[0] >= 5 and found[1] == 0


def test_a_short_horizon_pays_less() -> None:
    coder = PairCoder(load_model("tiny"), width=128, height=96)
    planes = [frame.planes for frame in still_scene(5)]
    assert find_lead(coder, planes, 32, most=1) < find_lead(coder, planes, 32, most=12)


def test_trials_end_where_more_does_not_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    bits = {0: 1000, 5: 800, 10: 900, 15: 100}
    tried: list[int] = []

    def code(coder: object, frames: object, qp: int, lead: int) -> list[Coded]:
        tried.append(lead)
        return [Coded(bits[lead], 10.0, 1)] * 3

    monkeypatch.setattr(leads, "_try", code)
    coder = PairCoder(STILL, width=32, height=32)
    assert find_lead(coder, [], 40) == 5 and tried == [0, 5, 10]
    tried.clear()
    # There is no qp below 0 to lead with.
    assert find_lead(coder, [], 4) == 0 and tried == [0]
    assert TRIED[0] == 0


def test_the_unit_after_leads_by_less() -> None:
    clip = still_scene(9)
    encoder = ui2c.Encoder(model=STILL, qp=30, lead=9)
    data = encoder.encode(clip)
    units = encoder.statistics.units
    assert [unit.qp for unit in units] == [21, 26, 30, 30, 30]
    assert [unit.lead for unit in units] == [9, 4, 0, 0, 0]
    assert [lead_of(9, k) for k in range(4)] == [9, 4, 0, 0]
    assert [lead_of(25, k) for k in range(4)] == [25, 20, 0, 0]
    assert len(ui2c.Decoder(model=STILL).decode(data)) == 9
    low = ui2c.Encoder(model=STILL, qp=3, lead=9)
    low.encode(clip)
    assert [unit.qp for unit in low.statistics.units][:2] == [0, 0]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 6, 11])
@pytest.mark.parametrize("keyint", [0, 1, 4])
def test_pushing_gives_the_bytes_of_the_whole(count: int, keyint: int) -> None:
    clip = still_scene(count)
    options = {"model": STILL, "qp": 30, "keyint": keyint, "width": 128, "height": 96}
    encoder = ui2c.Encoder(**options)
    whole = encoder.encode(clip)
    parts = [encoder.push(frame) for frame in clip]
    assert b"".join([*parts, encoder.flush()]) == whole
    assert len(ui2c.Decoder(model=STILL).decode(whole)) == count
    assert sum(unit.frames for unit in encoder.statistics.units) == count


def test_a_cut_among_the_frames_that_wait() -> None:
    clip = still_scene(3) + cut_up_scene(9)[2:]
    encoder = ui2c.Encoder(model=STILL, qp=30)
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


def test_memory_and_delay_stay_bounded() -> None:
    encoder = ui2c.Encoder(model=STILL, qp=30)
    held = 0
    for index, frame in enumerate(make_clip(32, 32, 12)):
        encoder.push(frame)
        coded = encoder.statistics.frames
        held = max(held, index + 1 - coded)
        if index >= 4:
            assert index + 1 - coded <= 1
    encoder.flush()
    assert held == 4


def test_wrong_leads_are_refused() -> None:
    for wrong in (-1, 64):
        with pytest.raises(ValueError, match="lead must be"):
            ui2c.Encoder(model=STILL, lead=wrong)
