"""A report as one page of HTML that needs nothing else."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

from ui2c.evaluate import figures, tables
from ui2c.evaluate.compare import Comparison, names
from ui2c.evaluate.plot import legend
from ui2c.evaluate.png import crop, png, read_png
from ui2c.evaluate.published import Published
from ui2c.evaluate.report import COMPARED, Report
from ui2c.evaluate.results import QUALITIES
from ui2c.evaluate.runner import SOURCE

PAGE = Path(__file__).parent / "page.html"


def html(report: Report) -> str:
    """The whole page."""
    styles = {codec: index for index, codec in enumerate(report.codecs)}
    sections: list[str] = []
    comparisons = report.comparisons()
    sections.append(_section("BD-rate", _bd_section(report, comparisons)))
    names_of_lines = legend({report.labels[codec]: style for codec, style in styles.items()})
    sections.append(_section("Rate and quality", names_of_lines + _curves(report, styles)))
    frames = _frames(report, styles)
    if frames:
        sections.append(_section("Across the frames", names_of_lines + frames))
    if comparisons and any(point.raw for point in report.points):
        plots = figures.speed_plots(report.points, comparisons[0], styles)
        timed = names(p.raw["timed"] for p in report.points if p.raw)
        remark = "Seconds contain " + "; or ".join(timed) + ". Speeds depend on what else ran."
        sections.append(
            _section("Speed", names_of_lines + _grid(plots) + f"<p>{escape(remark)}</p>")
        )
    pictures = viewer_data(report)
    if pictures:
        sections.append(_section("Pictures", VIEWER))
    if report.published:
        body = "".join(_published(found, comparisons, report.labels) for found in report.published)
        sections.append(_section("Published figures", body))
    body = _table(tables.point_rows(report.points))
    sections.append(_section("All points", f"<details><summary>show</summary>{body}</details>"))
    lines = "".join(
        f"<li><code>{escape(line)}</code></li>" for line in tables.commands(report.points)
    )
    sections.append(_section("Commands and versions", f"<ul>{lines}</ul>"))
    page = PAGE.read_text()
    for mark, value in (
        ("@TITLE@", escape(report.title)),
        ("@CONDITIONS@", f"<p>{escape(tables.conditions(report))}</p>"),
        ("@SECTIONS@", "".join(sections)),
        ("@PICTURES@", json.dumps(pictures).replace("</", "<\\/")),
    ):
        page = page.replace(mark, value)
    return page


def viewer_data(report: Report) -> dict[str, Any]:
    """For each sequence, pictures of the source and of each codec near one rate, cut small."""
    width, height = report.picture_size
    data: dict[str, Any] = {}
    if not (width and height):
        return data
    for sequence in report.sequences:
        chosen = figures.at_equal_rate(report.of(sequence), report.codecs)
        shown: dict[str, str] = {}
        for point in chosen:
            for path in sorted(point.folder.glob("*.png")) if point.folder else ():
                original = path.parents[3] / SOURCE / sequence / path.name
                frame = f"frame {path.stem}"
                name = (
                    f"{point.label}, {frame} ({point.rates['bpp']:.4f} bpp, "
                    f"{point.values['psnr']:.2f} dB)"
                )
                if original.is_file():
                    shown.setdefault(f"source, {frame}", _embedded(original, width, height))
                shown[name] = _embedded(path, width, height)
        if shown:
            data[sequence] = shown
    return data


def _embedded(path: Path, width: int, height: int) -> str:
    data = png(crop(read_png(path.read_bytes()), width, height))
    return "data:image/png;base64," + base64.b64encode(data).decode()


def _bd_section(report: Report, comparisons: Sequence[Comparison]) -> str:
    if not comparisons:
        return "<p>Nothing to compare: the anchor stands alone.</p>"
    parts = [
        f"<p>Against <b>{escape(report.labels[report.anchor])}</b>; negative: fewer bits at equal "
        "quality. A class has two figures: the mean of its sequences' BD-rates, and the BD-rate of "
        "its mean curve. Interpolation by PCHIP.</p>"
    ]
    for comparison in comparisons:
        warnings = comparison.warnings()
        parts.append(f"<h3>{escape(QUALITIES[comparison.quality])}</h3>")
        parts.append(_table(tables.summary(comparison, report.labels)))
        parts.append(
            "<details><summary>each sequence, other interpolations, overlap</summary>"
            + _table(tables.details(comparison, report.labels))
            + "</details>"
        )
        if warnings:
            items = "".join(f"<li>{escape(warning)}</li>" for warning in warnings)
            parts.append(
                f'<details class="warning"><summary>{len(warnings)} warnings</summary>'
                f"<ul>{items}</ul></details>"
            )
    return "".join(parts)


def _curves(report: Report, styles: dict[str, int]) -> str:
    parts = []
    measured = [quality for quality in COMPARED if report.measured(quality)]
    for quality in measured:
        groups = names(point.group for point in report.points)
        means = [figures.class_curves(group, report.points, styles, quality) for group in groups]
        each = [
            figures.rate_curves(sequence, report.of(sequence), styles, quality)
            for sequence in report.sequences
        ]
        first = quality == measured[0]
        single = each if len(report.sequences) > len(groups) else []
        body = f"<h3>Classes</h3>{_grid(means)}"
        if single:
            body += f"<h3>Sequences</h3>{_grid(single)}"
        parts.append(
            f"<details{' open' if first else ''}><summary>{escape(QUALITIES[quality])}</summary>"
            f"{body}</details>"
        )
    return "".join(parts)


def _frames(report: Report, styles: dict[str, int]) -> str:
    rows = []
    for sequence in report.sequences:
        chosen = figures.at_equal_rate(report.of(sequence), report.codecs)
        if chosen:
            rows += figures.frame_plots(sequence, chosen, styles)
    if not rows:
        return ""
    remark = (
        "<p>Each codec at its point nearest to the middle of the rates that all reach. Codecs that "
        "code several frames as one have their bits divided evenly. Upright lines are cuts.</p>"
    )
    found = (tables.cuts(report), tables.drift(report))
    return remark + _grid(rows) + "".join(_table(table) for table in found if table)


def _published(found: Published, comparisons: Sequence[Comparison], labels: dict[str, str]) -> str:
    return (
        f"<h3>{escape(found.title)}</h3><p>{escape(tables.published_source(found))}</p>"
        + _table(tables.published_rows(found, comparisons, labels))
    )


def _section(title: str, body: str) -> str:
    anchor = title.lower().replace(" ", "-")
    return f'<section id="{anchor}"><h2>{escape(title)}</h2>{body}</section>'


def _grid(items: Sequence[str]) -> str:
    return f'<div class="grid">{"".join(f"<figure>{item}</figure>" for item in items)}</div>'


def _table(rows: tables.Rows) -> str:
    def cells(tag: str, row: Sequence[str]) -> Iterator[str]:
        for index, cell in enumerate(row):
            mark = ' class="text"' if index < rows.left else ""
            yield f"<{tag}{mark}>{escape(cell)}</{tag}>"

    body = "".join(f"<tr>{''.join(cells('td', row))}</tr>" for row in rows.rows)
    return (
        f'<div class="wide"><table><thead><tr>{"".join(cells("th", rows.head))}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


VIEWER = """<div id="viewer"><p><label>sequence <select id="sequence"></select></label>
<label>left <select id="left"></select></label> <label>right <select id="right"></select></label>
<label>size <select id="zoom"><option value="1">1</option><option value="2" selected>2</option>
<option value="4">4</option></select></label></p>
<div class="pictures"><figure><img id="image-left" alt=""><figcaption>left</figcaption></figure>
<figure><img id="image-right" alt=""><figcaption>right</figcaption></figure>
<figure><div class="difference"><img id="under" alt=""><img id="over" alt=""></div>
<figcaption>difference, <select id="gain"><option>1</option><option selected>4</option>
<option>16</option></select> times</figcaption></figure></div>
<p>The middle of the picture, RGB by BT.709, at each codec's point nearest to the middle of the
rates that all reach.</p></div>"""
