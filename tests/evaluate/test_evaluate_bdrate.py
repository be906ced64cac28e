"""BD-rates worked out by hand, and against the packages that others use."""

import math

import bjontegaard
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ui2c.evaluate.bdrate import METHODS, Curve, bd_rate

ANCHOR = Curve.of([(0.02, 31.0), (0.05, 34.2), (0.11, 37.0), (0.31, 40.1), (0.7, 43.0)])


def scaled(curve: Curve, factor: float) -> Curve:
    return Curve(tuple(factor * rate for rate in curve.rates), curve.qualities)


@st.composite
def curves(draw: st.DrawFn) -> Curve:
    count = draw(st.integers(4, 8))
    rates = np.cumsum(draw(st.lists(st.floats(0.05, 1.5), min_size=count, max_size=count)))
    steps = np.cumsum(draw(st.lists(st.floats(0.3, 4.0), min_size=count, max_size=count)))
    start = draw(st.floats(28, 31))
    return Curve(tuple(np.exp(rates - 4)), tuple(start + steps - steps[0]))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("factor", [0.5, 1.0, 1.1, 3.0])
def test_a_constant_factor(method: str, factor: float) -> None:
    found = bd_rate(ANCHOR, scaled(ANCHOR, factor))
    assert found.percent[method] == pytest.approx(100 * (factor - 1))
    assert (found.low, found.high, found.overlap) == (31.0, 43.0, 1.0)
    assert found.warnings == ()


@pytest.mark.parametrize("method", ["pchip", "akima"])
def test_two_straight_lines_by_hand(method: str) -> None:
    # Ratios 1 at 30 dB and 4 at 40 dB, log-linear between: over 30 to 35 dB the mean logarithm is
    # a quarter of log 4, so the rate is 4^(1/4) = sqrt(2) times as large.
    anchor = Curve.of([(1.0, 30.0), (2.0, 40.0)])
    test = Curve.of([(1.0, 30.0), (2.0 * math.sqrt(2), 35.0)])
    found = bd_rate(anchor, test)
    assert found.percent[method] == pytest.approx(100 * (math.sqrt(2) - 1))
    assert found.overlap == 1.0
    assert "cubic" not in found.percent
    assert "the codec has only 2 points" in found.warnings


@settings(deadline=None)
@given(curves(), curves())
def test_exchanging_anchor_and_test_inverts_the_ratio(first: Curve, second: Curve) -> None:
    there, back = bd_rate(first, second), bd_rate(second, first)
    assert there.percent.keys() == back.percent.keys()
    for method, percent in there.percent.items():
        assert (1 + percent / 100) * (1 + back.percent[method] / 100) == pytest.approx(1)


@settings(deadline=None)
@given(curves(), curves())
def test_like_the_bjontegaard_package(first: Curve, second: Curve) -> None:
    found = bd_rate(first, second)
    for method, percent in found.percent.items():
        theirs = bjontegaard.bd_rate(
            *(first.rates, first.qualities, second.rates, second.qualities),
            method=method,
            require_matching_points=False,
            min_overlap=0,
        )
        # Theirs sums 100 samples of the interpolants, ours integrates them exactly.
        assert math.log1p(percent / 100) == pytest.approx(math.log1p(theirs / 100), abs=2e-2)


def test_no_overlap() -> None:
    found = bd_rate(ANCHOR, Curve.of([(0.01, 20.0), (0.02, 25.0), (0.03, 28.0), (0.04, 30.0)]))
    assert (found.percent, found.overlap) == ({}, 0.0)
    assert "the curves do not overlap" in found.warnings


def test_little_overlap_is_told() -> None:
    test = Curve.of([(0.01, 22.0), (0.02, 26.0), (0.03, 29.0), (0.04, 32.0)])
    found = bd_rate(ANCHOR, test)
    assert (found.low, found.high) == (31.0, 32.0)
    assert found.overlap == pytest.approx(0.1)
    assert any("hardly overlap (10%" in warning for warning in found.warnings)


def test_dominated_points_are_left_out_and_told() -> None:
    test = Curve.of([(0.3, 40.0), (0.1, 37.0), (0.2, 36.5), (0.05, 34.0), (0.02, 31.0), (0.1, 35)])
    assert test.rates == (0.02, 0.05, 0.1, 0.3)
    assert test.dropped == 2
    assert any("2 dominated" in warning for warning in bd_rate(ANCHOR, test).warnings)


@pytest.mark.parametrize("point", [(0.0, 30.0), (-1.0, 30.0), (math.nan, 30.0), (1.0, math.inf)])
def test_impossible_points(point: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="must be finite"):
        Curve.of([(0.1, 30.0), point])
