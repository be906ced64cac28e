"""PSNR against numbers worked out by hand."""

import math

import numpy as np
import pytest
from support.clips import make_clip
from ui2c import Psnr
from ui2c.picture.metrics import frame_psnr, mean_psnr, plane_psnr


def test_equal_planes_have_no_limit() -> None:
    plane = np.zeros((3, 3), np.uint8)
    assert plane_psnr(plane, plane) == math.inf


@pytest.mark.parametrize(("bit_depth", "peak"), [(8, 255), (10, 1023), (16, 65535)])
def test_one_code_of_difference(bit_depth: int, peak: int) -> None:
    a = np.zeros((4, 4), np.uint8 if bit_depth == 8 else np.uint16)
    assert plane_psnr(a, a + 1, bit_depth) == pytest.approx(20 * math.log10(peak))


def test_the_greatest_difference_is_zero_decibels() -> None:
    a = np.zeros((4, 4), np.uint16)
    assert plane_psnr(a, a + 65535, 16) == pytest.approx(0)


def test_frames_and_weights() -> None:
    (a,), (b,) = make_clip(8, 8, 1), make_clip(8, 8, 1)
    b.y[...] = a.y ^ 1
    psnr = frame_psnr(a, b)
    assert psnr.y == pytest.approx(48.1308, abs=1e-4)
    assert psnr.u == psnr.v == math.inf
    assert Psnr(40, 42, 46).yuv == pytest.approx((6 * 40 + 42 + 46) / 8)


def test_mean() -> None:
    assert mean_psnr([Psnr(1, 2, 3), Psnr(3, 4, 5)]) == Psnr(2, 3, 4)
    assert math.isnan(mean_psnr([]).y)
