"""Line plots as SVG, to stand inside an HTML page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

COLORS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#8c564b"),
    *("#6a3d9a", "#b2df8a", "#1b1b1b", "#f0027f"),
)
"""Told apart with most kinds of colour vision (after Okabe and Ito), then some more."""
DASHES = ("", "7 3", "2 3")
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 26, 40


@dataclass(frozen=True)
class Line:
    """A named line; `style` chooses colour and dashes, so that a name looks alike in all plots."""

    name: str
    points: tuple[tuple[float, float], ...]
    style: int
    marks: bool = True
    joined: bool = True
    titles: tuple[str, ...] = ()
    """What is shown under the pointer, for each point."""


@dataclass(frozen=True)
class Axis:
    """What is drawn along one side."""

    name: str
    logarithmic: bool = False


def plot(
    title: str,
    lines: Sequence[Line],
    x: Axis,
    y: Axis,
    *,
    width: int = 440,
    height: int = 320,
    marks: Sequence[float] = (),
) -> str:
    """The SVG element; lines without any point that can be drawn are left out.

    `marks` are places on the x axis to draw an upright line at.
    """
    lines = [line for line in lines if _drawable(line, x, y)]
    parts = [
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(title)}">',
        f'<text class="title" x="{width / 2:g}" y="15">{escape(title)}</text>',
    ]
    if not lines:
        middle = f'x="{width / 2:g}" y="{height / 2:g}"'
        return "".join([*parts, f'<text class="title" {middle}>no figures</text></svg>'])
    across = _Scale([p[0] for line in lines for p in line.points], x, LEFT, width - RIGHT)
    up = _Scale([p[1] for line in lines for p in line.points], y, height - BOTTOM, TOP)
    for place, text in across.ticks():
        parts.append(
            f'<path class="grid" d="M{place:.1f} {TOP}V{height - BOTTOM}"/>'
            f'<text class="tick" x="{place:.1f}" y="{height - BOTTOM + 14}">{text}</text>'
        )
    for place, text in up.ticks():
        parts.append(
            f'<path class="grid" d="M{LEFT} {place:.1f}H{width - RIGHT}"/>'
            f'<text class="tick side" x="{LEFT - 5}" y="{place + 4:.1f}">{text}</text>'
        )
    parts.append(
        f'<text class="axis" x="{(LEFT + width - RIGHT) / 2:g}" y="{height - 8}">'
        f"{escape(x.name)}</text>"
        f'<text class="axis" transform="translate(13 {(TOP + height - BOTTOM) / 2:g}) '
        f'rotate(-90)">{escape(y.name)}</text>'
    )
    for mark in marks:
        parts.append(f'<path class="mark" d="M{across(mark):.1f} {TOP}V{height - BOTTOM}"/>')
    parts += [_line(line, across, up) for line in lines]
    return "".join([*parts, "</svg>"])


def legend(styles: dict[str, int]) -> str:
    """Names with their lines, for all plots of a page that share them."""
    entries = [
        f'<span><svg width="30" height="10"><path d="M0 5H30" {_look(style)}/></svg>'
        f"{escape(name)}</span>"
        for name, style in styles.items()
    ]
    return f'<div class="legend">{"".join(entries)}</div>'


def _drawable(line: Line, x: Axis, y: Axis) -> bool:
    return bool(line.points) and all(
        math.isfinite(a)
        and math.isfinite(b)
        and (a > 0 or not x.logarithmic)
        and (b > 0 or not y.logarithmic)
        for a, b in line.points
    )


def _look(style: int) -> str:
    color = COLORS[style % len(COLORS)]
    dash = DASHES[style // len(COLORS) % len(DASHES)]
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'fill="none" stroke="{color}" stroke-width="1.8"{dashes}'


def _line(line: Line, across: _Scale, up: _Scale) -> str:
    places = [(across(a), up(b)) for a, b in line.points]
    parts = ["<g>"]
    if line.joined:
        path = "L".join(f"{a:.1f} {b:.1f}" for a, b in places)
        title = f"<title>{escape(line.name)}</title>"
        parts.append(f'<path d="M{path}" {_look(line.style)}>{title}</path>')
    if line.marks:
        color = COLORS[line.style % len(COLORS)]
        for index, (a, b) in enumerate(places):
            text = line.titles[index] if line.titles else line.name
            parts.append(
                f'<circle cx="{a:.1f}" cy="{b:.1f}" r="{3 if line.joined else 5}" fill="{color}">'
                f"<title>{escape(text)}</title></circle>"
            )
    return "".join([*parts, "</g>"])


class _Scale:
    """Values to places on the picture."""

    def __init__(self, values: Sequence[float], axis: Axis, start: float, end: float) -> None:
        self._log = axis.logarithmic
        low, high = (self._bend(value) for value in (min(values), max(values)))
        room = (high - low) * 0.04 or 0.05 * (abs(low) or 1)
        self._low, self._high = low - room, high + room
        self._start, self._end = start, end

    def __call__(self, value: float) -> float:
        share = (self._bend(value) - self._low) / (self._high - self._low)
        return self._start + share * (self._end - self._start)

    def ticks(self) -> list[tuple[float, str]]:
        values = self._decades() if self._log else _round_steps(self._low, self._high)
        return [(self(value), f"{value:.10g}") for value in values]

    def _bend(self, value: float) -> float:
        return math.log10(value) if self._log else value

    def _decades(self) -> list[float]:
        """1, 2, 5, 10 …; only powers of ten where that would be too many."""
        low, high = math.floor(self._low), math.ceil(self._high)
        steps = (1, 2, 5) if self._high - self._low < 2.5 else (1,)
        values = [step * 10.0**power for power in range(low, high + 1) for step in steps]
        inside = [v for v in values if self._low <= math.log10(v) <= self._high]
        if len(inside) < 2:
            return _round_steps(10**self._low, 10**self._high)
        return inside


def _round_steps(low: float, high: float) -> list[float]:
    """About five round numbers within a range."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * n for n in (1, 2, 5, 10) if power * n >= rough)
    first = math.ceil(low / step)
    return [round(n * step, 12) for n in range(first, math.floor(high / step) + 1)]
