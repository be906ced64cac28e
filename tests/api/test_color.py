"""RGB to 4:2:0 and back, against plain arithmetic in fractions."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from support.clips import make_rgb
from ui2c import YUV420
from ui2c.picture.color import WEIGHTS, luma_weights, rgb_to_yuv420, yuv420_to_rgb

pictures = st.tuples(st.integers(1, 5), st.integers(1, 5)).flatmap(
    lambda size: arrays(np.uint8, (*size, 3))
)


def half_up(value: Fraction) -> int:
    return (value + Fraction(1, 2)).__floor__()


def reference(
    rgb: np.ndarray, matrix: int, full_range: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """By the definition of ITU-T H.273, sample by sample."""
    weights = WEIGHTS[matrix]
    red, green, blue = (Fraction(w, 10000) for w in (weights.red, weights.green, weights.blue))
    y_base, y_span, c_span = (0, 255, 255) if full_range else (16, 219, 224)
    height, width, _ = rgb.shape

    def convert(r: Fraction, g: Fraction, b: Fraction) -> tuple[Fraction, Fraction, Fraction]:
        y = red * r + green * g + blue * b
        return y, (b - y) / (2 * (1 - blue)), (r - y) / (2 * (1 - red))

    luma = np.zeros((height, width), int)
    chroma = np.zeros((2, (height + 1) // 2, (width + 1) // 2), int)
    for i in range(height):
        for j in range(width):
            y, _, _ = convert(*(Fraction(int(c), 255) for c in rgb[i, j]))
            luma[i, j] = half_up(y_base + y_span * y)
    for i in range(chroma.shape[1]):
        for j in range(chroma.shape[2]):
            rows = [2 * i, min(2 * i + 1, height - 1)]
            columns = [2 * j, min(2 * j + 1, width - 1)]
            block = [rgb[y, x].astype(int) for y in rows for x in columns]
            mean = [Fraction(int(sum(p[c] for p in block)), 4 * 255) for c in range(3)]
            _, cb, cr = convert(*mean)
            chroma[:, i, j] = [min(255, half_up(128 + c_span * c)) for c in (cb, cr)]
    return luma, chroma[0], chroma[1]


@given(pictures, st.sampled_from(sorted(WEIGHTS)), st.booleans())
def test_to_yuv_is_correctly_rounded(rgb: np.ndarray, matrix: int, full_range: bool) -> None:
    frame = rgb_to_yuv420(rgb, matrix=matrix, full_range=full_range)
    assert frame.full_range == full_range
    for ours, exact in zip(frame.planes, reference(rgb, matrix, full_range), strict=True):
        assert np.array_equal(ours, exact)


@pytest.mark.parametrize(
    ("color", "limited"),
    [
        ((0, 0, 0), (16, 128, 128)),
        ((255, 255, 255), (235, 128, 128)),
        ((255, 0, 0), (63, 102, 240)),
        ((0, 255, 0), (173, 42, 26)),
        ((0, 0, 255), (32, 240, 118)),
    ],
)
def test_known_colors_of_bt709(color: tuple[int, int, int], limited: tuple[int, int, int]) -> None:
    frame = rgb_to_yuv420(np.full((2, 2, 3), color, np.uint8))
    assert (frame.y[0, 0], frame.u[0, 0], frame.v[0, 0]) == limited
    assert np.abs(yuv420_to_rgb(frame).astype(int) - color).max() <= 1


@given(pictures, st.sampled_from([1, 5, 9]), st.booleans())
def test_flat_colors_come_back(rgb: np.ndarray, matrix: int, full_range: bool) -> None:
    flat = np.broadcast_to(rgb[:1, :1], rgb.shape).copy()
    again = yuv420_to_rgb(rgb_to_yuv420(flat, matrix=matrix, full_range=full_range), matrix=matrix)
    # Half a code of luma and of chroma, times the matrix, at most.
    assert np.abs(again.astype(int) - flat).max() <= 3


def test_chroma_is_interpolated_between_block_centres() -> None:
    u = np.array([[0, 255]], np.uint8)
    frame = YUV420(np.full((2, 4), 128, np.uint8), u, np.full((1, 2), 128, np.uint8), 8, True)
    blue = yuv420_to_rgb(frame)[0, :, 2].astype(int)
    green = yuv420_to_rgb(frame)[0, :, 1].astype(int)
    # A quarter and three quarters of the way between the centres; green falls as blue rises.
    expected = 128 - 0.18732 * (np.array([0, 63.75, 191.25, 255]) - 128)
    assert np.abs(green - expected).max() <= 0.5 + 1e-3
    assert list(blue) == sorted(blue)


def test_ten_bits_agree_with_eight() -> None:
    frame = rgb_to_yuv420(make_rgb(9, 7, 1)[0])
    deep = YUV420(*(plane.astype(np.uint16) << 2 for plane in frame.planes), bit_depth=10)
    assert np.array_equal(yuv420_to_rgb(deep), yuv420_to_rgb(frame))


def test_smooth_pictures_survive() -> None:
    rgb = make_rgb(33, 21, 1)[0]
    error = yuv420_to_rgb(rgb_to_yuv420(rgb)).astype(float) - rgb
    assert np.sqrt(np.mean(error**2)) < 4


def test_other_matrices_are_refused() -> None:
    assert luma_weights(2) == luma_weights(1)
    with pytest.raises(ValueError, match="matrix must be 1"):
        luma_weights(0)
