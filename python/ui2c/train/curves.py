"""Training curves as one SVG: `python -m ui2c.train.curves OUTPUT.svg RUN…`.

Runs that went on from each other are drawn one after the other, in the order given.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

from ui2c.evaluate.plot import Axis, Line, plot
from ui2c.files import OutputFile

WINDOW = 15
"""Lines of the log in a running mean: single ones differ by the clips they saw."""
WIDTH, HEIGHT = 440, 320
STYLE = (
    "svg{font:11px sans-serif;fill:none}text{fill:#333}.title{font-size:12px;text-anchor:middle}"
    ".tick,.axis{text-anchor:middle}.side{text-anchor:end}.grid{stroke:#ddd;stroke-width:.7}"
)
LOGGED = {
    "rounded_bpp": "rate, bit/pixel (estimated)",
    "psnr_y": "PSNR Y, dB",
    "psnr_u": "PSNR U, dB",
}

Curve = list[tuple[float, float]]


def read(path: Path, x: str, y: str) -> Curve:
    """Two columns of a CSV; nothing if the file is missing."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [(float(row[x]), float(row[y])) for row in csv.DictReader(file)]


def smoothed(curve: Curve) -> Curve:
    """Running mean over WINDOW points; what is left of shorter curves is their mean."""
    window = min(WINDOW, len(curve))
    result = []
    for end in range(window, len(curve) + 1) if window else ():
        part = curve[end - window : end]
        result.append((part[-1][0], sum(y for _, y in part) / window))
    return result


def joined(runs: Sequence[Path], file: str, column: str) -> Curve:
    """A column of all runs over hours (of the log) or steps (of validations), end to end."""
    x = "hours" if file == "log.csv" else "step"
    curve: Curve = []
    offset = 0.0
    for run in runs:
        part = read(run / file, x, column)
        # A run that took up another's clock goes on by itself.
        if curve and part and part[0][0] < curve[-1][0]:
            offset = curve[-1][0]
        curve += [(a + offset, b) for a, b in part]
    return curve


def draw(runs: Sequence[Path]) -> str:
    """The SVG: rate and PSNR over hours of training, BD-rates over steps."""
    svgs = []
    for style, (column, name) in enumerate(LOGGED.items()):
        points = tuple(smoothed(joined(runs, "log.csv", column)))
        line = Line(name, points, style, marks=False)
        svgs.append(plot(name, [line], Axis("hours"), Axis("")))
    rates = [
        Line(f"against {codec}", tuple(joined(runs, "bd-rate.csv", codec)), style)
        for style, codec in enumerate(("x264", "x265"))
    ]
    svgs.append(plot("BD-rate, %, real files: x264, x265", rates, Axis("step"), Axis("")))
    places = [(i % 2 * WIDTH, i // 2 * HEIGHT) for i in range(len(svgs))]
    body = "".join(
        svg.replace("<svg ", f'<svg x="{x}" y="{y}" ', 1)
        for svg, (x, y) in zip(svgs, places, strict=True)
    )
    size = f'width="{2 * WIDTH}" height="{2 * HEIGHT}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{STYLE}</style>'
        f'<rect width="100%" height="100%" fill="#fff"/>{body}</svg>\n'
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="SVG file")
    parser.add_argument("runs", type=Path, nargs="+", help="output folders of runs, in order")
    arguments = parser.parse_args(argv)
    file = OutputFile(arguments.output, overwrite=True)
    try:
        file.write(draw(arguments.runs).encode())
        file.commit()
    finally:
        file.discard()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
