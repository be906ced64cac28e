"""Rate, qp and quality of one stream over time, as a page of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from ui2c.evaluate.plot import Axis, Line, plot

WIDTH, HEIGHT = 1000, 260
STYLE = (
    "body{font:15px system-ui,sans-serif;max-width:1040px;margin:1rem auto;color:#1c1f23;"
    "background:#fff}svg{max-width:100%;height:auto;display:block;margin:.8rem 0}"
    "svg text{font-size:11px;fill:#1c1f23}.title,.tick,.axis{text-anchor:middle}"
    ".title{font-weight:600}.side{text-anchor:end}.grid{stroke:#d9dde1}"
    ".mark{stroke:#7f7f7f;stroke-dasharray:3 3}"
)


@dataclass(frozen=True)
class Moment:
    """One unit of the stream."""

    seconds: float
    """When it begins."""
    lasts: float
    bits: int
    qp: int
    intra: bool
    psnr: float | None = None
    """Mean over its frames, 6:1:1, in dB."""


def page(title: str, moments: Sequence[Moment], window: float = 1.0) -> str:
    """HTML with curves over time; dashed lines stand at random-access units.

    The rate is that of the units that begin in the `window` seconds up to each.
    """
    intra = [moment.seconds for moment in moments if moment.intra]
    marks = intra[:100]
    curves = [
        (f"Rate over {window:g} s", "kbit/s", _rates(moments, window)),
        ("Bits of each unit", "kbit", [(m.seconds, m.bits / 1000) for m in moments]),
        ("qp", "qp", [(m.seconds, float(m.qp)) for m in moments]),
        ("PSNR", "dB, 6:1:1", [(m.seconds, m.psnr) for m in moments if m.psnr is not None]),
    ]
    plots = [
        plot(
            name,
            [Line(name, tuple(points), style, marks=False)],
            Axis("seconds"),
            Axis(unit),
            width=WIDTH,
            height=HEIGHT,
            marks=marks,
        )
        for style, (name, unit, points) in enumerate(curves)
        if points
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}'
        f"</title><style>{STYLE}</style></head><body><h1>{escape(title)}</h1>"
        f"{''.join(plots)}</body></html>\n"
    )


def _rates(moments: Sequence[Moment], window: float) -> list[tuple[float, float]]:
    points, start, bits, lasts = [], 0, 0, 0.0
    for moment in moments:
        bits += moment.bits
        lasts += moment.lasts
        while moments[start].seconds <= moment.seconds - window:
            bits -= moments[start].bits
            lasts -= moments[start].lasts
            start += 1
        if lasts > 0:
            points.append((moment.seconds, bits / lasts / 1000))
    return points
