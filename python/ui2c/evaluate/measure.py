"""Quality of decoded pictures against the source, frame by frame, at the source's bit depth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from itertools import zip_longest

import numpy as np

from ui2c.evaluate.errors import CodecError
from ui2c.picture.color import yuv420_to_rgb
from ui2c.picture.frames import YUV420
from ui2c.picture.metrics import Psnr, frame_psnr
from ui2c.runtime import coding_threads

METRICS = ("psnr", "ms-ssim", "rgb", "vmaf")
LOSSLESS = 100.0
"""dB that equal planes count as, so that means stay finite; no lossy 8- to 12-bit plane of usual
size reaches it."""
BT709 = 1


def measure(
    source: Iterable[YUV420],
    decoded: Iterable[YUV420],
    metrics: frozenset[str],
    pictures: dict[int, bytes | None],
) -> dict[str, list[float]]:
    """Numbers per frame; `pictures` gets the decoded frames it has keys for, as PNG.

    PSNR of Y, U and V and their 6:1:1 weighting always; `ms-ssim` of the three and 6:1:1; `rgb` is
    the PSNR of 8-bit RGB by BT.709 with bilinear chroma. Raises CodecError where the numbers of
    frames differ.
    """
    rows: list[dict[str, float]] = []
    # MS-SSIM alone uses PyTorch, which takes its time to load.
    with coding_threads(1) if "ms-ssim" in metrics else nullcontext():
        for original, shown in _pairs(source, decoded):
            rows.append(_frame(original, shown, metrics))
            if len(rows) - 1 in pictures:
                from ui2c.evaluate.png import png

                pictures[len(rows) - 1] = png(yuv420_to_rgb(shown, matrix=BT709))
    return {key: [row[key] for row in rows] for key in (rows[0] if rows else ())}


def weighted(y: float, u: float, v: float) -> float:
    """6:1:1."""
    return (6 * y + u + v) / 8


def rgb_psnr(a: YUV420, b: YUV420) -> float:
    """PSNR over the three channels together, dB."""
    first, second = (yuv420_to_rgb(frame, matrix=BT709).astype(np.int16) for frame in (a, b))
    error = float(np.mean(np.square(first - second, dtype=np.int32)))
    return min(LOSSLESS, 10 * float(np.log10(255**2 / error))) if error else LOSSLESS


def _frame(original: YUV420, shown: YUV420, metrics: frozenset[str]) -> dict[str, float]:
    psnr = frame_psnr(original, shown)
    psnr = Psnr(*(min(LOSSLESS, value) for value in (psnr.y, psnr.u, psnr.v)))
    row = {"psnr_y": psnr.y, "psnr_u": psnr.u, "psnr_v": psnr.v, "psnr": psnr.yuv}
    if "ms-ssim" in metrics:
        from ui2c.evaluate.msssim import ms_ssim

        values = [
            ms_ssim(a, b, original.bit_depth)
            for a, b in zip(original.planes, shown.planes, strict=True)
        ]
        row |= dict(zip(("ms_ssim_y", "ms_ssim_u", "ms_ssim_v"), values, strict=True))
        row["ms_ssim"] = weighted(*values)
    if "rgb" in metrics:
        row["psnr_rgb"] = rgb_psnr(original, shown)
    return row


def _pairs(source: Iterable[YUV420], decoded: Iterable[YUV420]) -> Iterator[tuple[YUV420, YUV420]]:
    for index, (original, shown) in enumerate(zip_longest(source, decoded)):
        if original is None or shown is None:
            side = "fewer" if shown is None else "more"
            raise CodecError(
                f"decoding gives {side} frames than the source has: one ends after {index}"
            )
        yield original, shown
