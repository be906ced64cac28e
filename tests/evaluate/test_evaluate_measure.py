"""Quality of pictures against numbers worked out by hand and plain twins."""

import io
import math
from dataclasses import replace

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from support.clips import make_clip
from ui2c import YUV420
from ui2c.evaluate.errors import CodecError
from ui2c.evaluate.measure import LOSSLESS, measure, rgb_psnr
from ui2c.evaluate.msssim import ms_ssim
from ui2c.evaluate.png import crop, png, read_png

ALL = frozenset({"psnr", "ms-ssim", "rgb"})


def flat(y: int, u: int = 128, v: int = 128, *, full_range: bool = True) -> YUV420:
    planes = [
        np.full(size, code, np.uint8) for size, code in (((8, 8), y), ((4, 4), u), ((4, 4), v))
    ]
    return YUV420(*planes, full_range=full_range)


def test_psnr_per_frame_by_hand() -> None:
    source = [flat(100), flat(100), flat(100, u=50)]
    decoded = [flat(101), flat(100), flat(100, u=45)]
    found = measure(source, decoded, frozenset(), {})
    one, five = 20 * math.log10(255), 20 * math.log10(255 / 5)
    assert found["psnr_y"] == pytest.approx([one, LOSSLESS, LOSSLESS])
    assert found["psnr_u"] == pytest.approx([LOSSLESS, LOSSLESS, five])
    assert found["psnr"] == pytest.approx(
        [(6 * one + 2 * LOSSLESS) / 8, LOSSLESS, (7 * LOSSLESS + five) / 8]
    )


def test_ten_bits_are_compared_at_ten_bits() -> None:
    source = make_clip(16, 16, 1, bit_depth=10)
    decoded = [replace(source[0], y=source[0].y ^ 1)]
    found = measure(source, decoded, ALL, {})
    assert found["psnr_y"] == pytest.approx([20 * math.log10(1023)])


def test_rgb_by_hand() -> None:
    # Full-range grey converts to equal red, green and blue.
    assert rgb_psnr(flat(100), flat(103)) == pytest.approx(20 * math.log10(255 / 3))
    assert rgb_psnr(flat(100), flat(100)) == LOSSLESS
    # BT.709, full range: ten codes more of V add 15.748 to red and take 4.681 from green.
    expected = 10 * math.log10(255**2 / ((16**2 + 5**2) / 3))
    assert rgb_psnr(flat(100), flat(100, v=138)) == pytest.approx(expected)


@pytest.mark.parametrize(("there", "shown"), [(3, 2), (2, 3), (1, 0)])
def test_lost_frames_are_an_error(there: int, shown: int) -> None:
    with pytest.raises(CodecError, match="fewer" if shown < there else "more"):
        measure([flat(1)] * there, [flat(1)] * shown, frozenset(), {})


def test_ms_ssim_of_equal_planes_is_one() -> None:
    plane = make_clip(180, 180, 1)[0].y
    assert ms_ssim(plane, plane) == pytest.approx(1, abs=1e-6)


def test_ms_ssim_of_flat_planes_by_hand() -> None:
    # Without structure only the luminance of the last scale counts.
    a, b = np.full((176, 176), 50, np.uint8), np.full((176, 176), 200, np.uint8)
    x, y, c1 = 50 / 255, 200 / 255, 0.01**2
    expected = ((2 * x * y + c1) / (x * x + y * y + c1)) ** 0.1333
    assert ms_ssim(a, b) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("size", "depth"), [((180, 190), 8), ((37, 50), 8), ((1, 3), 8), ((60, 61), 10)]
)
def test_ms_ssim_like_its_plain_twin(size: tuple[int, int], depth: int) -> None:
    random = np.random.default_rng(1)
    peak = (1 << depth) - 1
    dtype = np.uint8 if depth == 8 else np.uint16
    a = random.integers(0, peak + 1, size).astype(dtype)
    b = (a + random.normal(0, peak / 8, size)).clip(0, peak).astype(dtype)
    assert ms_ssim(a, b, depth) == pytest.approx(plain_ms_ssim(a / peak, b / peak), abs=2e-5)


def plain_ms_ssim(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """The formula as it is written, in double precision."""
    result = 1.0
    for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        taps = min(11, *x.shape)
        position = np.arange(taps) - (taps - 1) / 2
        window = np.exp(-(position**2) / (2 * (1.5 * taps / 11) ** 2))
        window = np.outer(window, window) / window.sum() ** 2
        views = (np.lib.stride_tricks.sliding_window_view(p, (taps, taps)) for p in (x, y))
        u, v = (view.reshape(*view.shape[:2], -1) for view in views)
        w = window.reshape(-1)
        mu, mv = u @ w, v @ w
        cov = (u * v) @ w - mu * mv
        var = (u * u) @ w - mu**2 + (v * v) @ w - mv**2
        structure = (2 * cov + 0.03**2) / (var + 0.03**2)
        luminance = (2 * mu * mv + 0.01**2) / (mu**2 + mv**2 + 0.01**2)
        last = scale == 4
        result *= max((structure * luminance if last else structure).mean(), 0) ** weight
        if not last:
            x, y = (np.pad(p, [(0, n % 2) for n in p.shape], mode="edge") for p in (x, y))
            x, y = ((p[0::2] + p[1::2])[:, 0::2] + (p[0::2] + p[1::2])[:, 1::2] for p in (x, y))
            x, y = x / 4, y / 4
    return float(result)


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (40, 33)])
def test_png_is_read_by_others_and_by_us(size: tuple[int, int]) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    data = png(rgb)
    assert np.array_equal(read_png(data), rgb)
    with av.open(io.BytesIO(data)) as container:
        frame = next(container.decode(video=0))
    assert np.array_equal(frame.to_ndarray(format="rgb24"), rgb)


@pytest.mark.parametrize(
    "data", [b"", b"GIF89a" + bytes(40), png(np.zeros((2, 2, 3), np.uint8))[:50]]
)
def test_what_is_no_png_of_ours(data: bytes) -> None:
    with pytest.raises(ValueError, match="PNG"):
        read_png(data)


def test_crop_takes_the_middle() -> None:
    rgb = np.arange(5 * 6 * 3, dtype=np.uint8).reshape(5, 6, 3)
    assert np.array_equal(crop(rgb, 2, 3), rgb[1:4, 2:4])
    assert np.array_equal(crop(rgb, 99, 99), rgb)
