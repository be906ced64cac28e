"""Bitrates and sizes are met; qp stays even; the buffer is not emptied."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ui2c
from hypothesis import given
from hypothesis import strategies as st
from support.clips import make_clip
from support.streams import coded_units
from ui2c import YUV420
from ui2c.control.rate import HoldBitrate, MeetSize, Plan, Target, fall, qp_at
from ui2c.encode_stream import EncodeStream
from ui2c.network.load import load_model

FPS = 25
FRAMES = 250


class Content:
    """Units whose bits follow another slope than the control believes, and change with time."""

    def __init__(self, slope: float, bitrate: float) -> None:
        self.slope, self.units = slope, FRAMES // 2
        self.level = math.log2(bitrate * 2 / FPS / (2 * 352 * 288)) + slope * 26
        self.noise = np.random.default_rng(5).normal(0, 0.25, self.units)

    def plan(self, index: int) -> Plan:
        return Plan(index, index % 50 == 0, 2, 2 * 352 * 288, 2 / FPS)

    def bits(self, index: int, qp: int) -> int:
        level = self.level - self.slope * qp + self.noise[index] + (index > 70)
        level += 2 if index % 50 == 0 else 0
        return int(2 * 352 * 288 * 2**level)


@pytest.mark.parametrize("bitrate", [60_000, 300_000, 1_500_000])
@pytest.mark.parametrize("slope", [0.05, 0.065, 0.08])
def test_a_bitrate_is_held_through_a_buffer(bitrate: int, slope: float) -> None:
    content = Content(slope, bitrate)
    seconds = FRAMES / FPS
    rate = HoldBitrate(bitrate, 2.0, 0, duration=seconds)
    total, level = 0, 2.0 * bitrate
    for index in range(content.units):
        plan = content.plan(index)
        qp = rate.qp(plan)
        while rate.too_large(plan, qp, content.bits(index, qp)):
            qp = min(qp + 4, 63)
        bits = content.bits(index, qp)
        rate.spent(plan, qp, bits)
        total += bits
        level = min(level + bitrate * 2 / FPS - bits, 2.0 * bitrate)
        assert level >= 0 or qp == 63
    assert total == pytest.approx(bitrate * seconds, rel=0.03)


@pytest.mark.parametrize("bitrate", [50_000, 100_000, 300_000])
def test_a_wrong_first_guess_is_soon_made_good(bitrate: int) -> None:
    """About qp 26 is right at any of these rates, but the first guess depends on the rate."""
    content = Content(0.065, bitrate)
    rate = HoldBitrate(bitrate, 2.0, 0)
    qps = []
    for index in range(14):
        plan = content.plan(index)
        qps.append(rate.qp(plan))
        rate.spent(plan, qps[-1], content.bits(index, qps[-1]))
    assert max(abs(qp - 26) for qp in qps[8:]) < 10
    assert abs(np.mean(qps[8:]) - 26) < 7


@pytest.mark.parametrize("first_qp", [0, 32, 60])
@pytest.mark.parametrize("slope", [0.05, 0.065, 0.08])
def test_a_size_is_met_with_an_even_qp(first_qp: int, slope: float) -> None:
    content = Content(slope, 300_000)
    first = [content.bits(index, first_qp) // 8 for index in range(content.units)]
    reached = sum(content.bits(index, 30) // 8 for index in range(content.units))
    units = [Unit(size, first_qp) for size in first]
    rate = MeetSize(reached + 100, units, 100, 0)  # type: ignore[arg-type]
    total, qps = 100, []
    for index in range(content.units):
        plan = content.plan(index)
        qp = rate.qp(plan)
        size = content.bits(index, qp) // 8
        rate.spent(plan, qp, 8 * size)
        qps.append(qp)
        total += size
    assert total == pytest.approx(reached, rel=0.01)
    assert abs(float(np.mean(qps)) - 30) < 5 and np.std(qps) < 5


def test_a_second_pass_counts_with_the_lead_of_the_first() -> None:
    """A unit that was coded better than asked will be again: it costs what it cost."""
    plain, led = Unit(9000, 30), Unit(9000, 20)
    led.lead = 10
    rates = [MeetSize(30_000, [unit] * 4, 0, 0) for unit in (plain, led)]  # type: ignore[list-item]
    plan = Plan(0, True, 1, 300_000, 0.04)
    assert rates[0].qp(plan) == rates[1].qp(plan)


class Unit:
    def __init__(self, size: int, qp: int) -> None:
        self.bytes, self.qp, self.lead = size, qp, 0


@pytest.fixture(scope="module")
def small() -> Any:
    """The shipped model: an untrained one does not follow the qp."""
    return load_model("small")


def noisy(frames: int) -> list[YUV420]:
    """A clip that takes bits in every frame, more of them later."""
    random = np.random.default_rng(2)
    clip = []
    for index, frame in enumerate(make_clip(48, 32, frames)):
        noise = random.normal(0, 4 + 20 * (index > frames // 2), frame.y.shape)
        y = (frame.y + noise).clip(0, 255).astype(np.uint8)
        clip.append(YUV420(y, frame.u, frame.v))
    return clip


@pytest.mark.slow
def test_two_passes_of_an_encoder(small: Any) -> None:
    clip = noisy(60)
    first = ui2c.Encoder(model=small, qp=30)
    first.encode(clip)
    wanted = round(1.2 * first.statistics.bytes)
    encoder = ui2c.Encoder(model=small, size=wanted, first_pass=first.statistics, psnr=True)
    data = encoder.encode(clip)
    assert len(data) == pytest.approx(wanted, rel=0.03)
    assert encoder.statistics.qp < 30
    assert encoder.statistics.qp_deviation < 3 and encoder.statistics.psnr_deviation > 0
    assert len(ui2c.Decoder(model=small).decode(data)) == 60


@pytest.mark.slow
def test_one_pass_of_an_encoder(small: Any) -> None:
    encoder = ui2c.Encoder(model=small, bitrate=8000, fps=10, duration=12)
    assert 8 * len(encoder.encode(noisy(120))) / 12 == pytest.approx(8000, rel=0.04)


def test_every_stream_begins_anew(nano: Any) -> None:
    clip = noisy(8)
    encoder = ui2c.Encoder(model=nano, bitrate=8000)
    assert encoder.encode(clip) == encoder.encode(clip)


class Again:
    """Has some units coded again, and is its own target."""

    def control(self) -> "Again":
        return self

    def qp(self, plan: Plan) -> int:
        return 30

    def too_large(self, plan: Plan, qp: int, bits: int) -> bool:
        return plan.index in (0, 2, 3) and qp < 40

    def spent(self, plan: Plan, qp: int, bits: int) -> None:
        pass


def test_a_unit_coded_again_leaves_no_trace(nano: Any) -> None:
    """The decoder follows only if encoding twice does what encoding once does."""
    shown: list[YUV420] = []
    asked = ui2c.Encoder(model=nano, lead=0, reconstruction=shown.append).options
    header = ui2c.SequenceHeader(width=48, height=32, model_id=nano.model_id)
    statistics = ui2c.Statistics()
    stream = EncodeStream(replace(asked, target=Again()), nano, header, statistics)  # type: ignore[arg-type]
    data = stream.start()
    for frame in noisy(9):
        data += stream.push(frame, forced=False)
    data += stream.flush()
    assert [unit.qp for unit in statistics.units] == [42, 30, 42, 42, 30]
    assert ui2c.Decoder(model=nano).decode(data) == shown
    # A unit coded three times is the one that is coded once.
    once = ui2c.Encoder(model=nano, qp=42, lead=0).encode(noisy(9)[:1])
    assert coded_units(once)[0].stream == coded_units(data)[0].stream


def test_a_unit_that_would_empty_the_buffer_is_too_large() -> None:
    rate = HoldBitrate(1000, 2.0, 0, 50)
    plan = Plan(0, True, 2, 1000, 0.5)
    assert not rate.too_large(plan, 20, 2500) and rate.too_large(plan, 20, 2501)
    assert not rate.too_large(plan, 50, 2501)
    rate.spent(plan, 20, 2000)
    assert not rate.too_large(plan, 20, 1000) and rate.too_large(plan, 20, 1001)


@given(st.floats(-20, 200))
def test_qp_at_undoes_fall(qp: float) -> None:
    if qp < 0:
        assert qp_at(qp) < 0
    else:
        assert qp_at(fall(qp)) == pytest.approx(qp, abs=1e-6)


def test_bounds(nano: Any) -> None:
    clip = make_clip(16, 16, 8)
    encoder = ui2c.Encoder(model=nano, bitrate=1e9, qp_range=(11, 40))
    encoder.encode(clip)
    assert encoder.statistics.units[-1].qp == 11
    encoder = ui2c.Encoder(model=nano, bitrate=1, qp_range=(11, 40))
    encoder.encode(clip)
    assert {unit.qp for unit in encoder.statistics.units} == {40}
    empty = ui2c.Encoder(model=nano, width=4, height=4)
    empty.encode([])
    assert math.isnan(empty.statistics.qp) and math.isnan(empty.statistics.qp_deviation)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"qp": 3, "bitrate": 5}, "qp and bitrate exclude each other"),
        ({"bitrate": 0}, "bitrate must be above 0"),
        ({"bitrate": 5, "buffer": -1}, "buffer must be above 0"),
        ({"size": 100}, "size and first_pass go together"),
        ({"qp_range": (5, 4)}, "qp_range must be"),
        ({"qp": 64}, "0 .best. to 63"),
    ],
)
def test_wrong_targets(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Target(**options)


@pytest.mark.slow
def test_on_the_command_line(tmp_path: Path, capsys: Any) -> None:
    from ui2c.cli import main
    from ui2c.video import Description, open_sink

    source, out = tmp_path / "in.y4m", tmp_path / "out.ui2c"
    sink = open_sink(source, Description(48, 32))
    for frame in noisy(40):
        sink.write(frame)
    sink.close()

    def run(*options: object) -> int:
        arguments = ["encode", source, out, "-y", "--model", "small", *options]
        return main([str(argument) for argument in arguments])

    assert run("--qp", 25, "-q") == 0
    size = out.stat().st_size
    assert run("--size", size) == 0
    assert out.stat().st_size == pytest.approx(size, rel=0.06)
    assert "qp 2" in capsys.readouterr().err
    assert run("--bitrate", f"{size * 8 / 1.6 / 1000}k", "--passes", 2, "-q") == 0
    assert out.stat().st_size == pytest.approx(size, rel=0.06)
    assert run("--bitrate", "20k", "--progress", "json") == 0
    assert '"event": "end"' in capsys.readouterr().err
    for options, message in (
        (("--size", "1M", "--passes", 1), "two passes"),
        (("--passes", 2), "--passes goes with"),
        (("--buffer", 0, "--bitrate", 5), "buffer must be above 0"),
    ):
        assert run(*options) == 2
        assert message in capsys.readouterr().err
