"""Reports as Markdown."""

from __future__ import annotations

from ui2c.evaluate import tables
from ui2c.evaluate.compare import Comparison
from ui2c.evaluate.report import Report
from ui2c.evaluate.results import QUALITIES


def table(rows: tables.Rows) -> str:
    marks = ["---" if index < rows.left else "--:" for index in range(len(rows.head))]
    lines = [rows.head, marks, *rows.rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def comparison_text(comparison: Comparison, labels: dict[str, str]) -> str:
    """What is compared, the figures of the classes, those of the sequences, warnings."""
    parts = [
        f"BD-rate against {labels[comparison.anchor]}, by {QUALITIES[comparison.quality]}; "
        "negative: fewer bits. A class has two figures: the mean of its sequences' BD-rates, and "
        "the BD-rate of its mean curve. PCHIP unless it is said otherwise.",
        table(tables.summary(comparison, labels)),
        table(tables.details(comparison, labels)),
    ]
    warnings = comparison.warnings()
    if warnings:
        parts.append("\n".join(f"- warning: {warning}" for warning in warnings))
    return "\n\n".join(parts)


def markdown(report: Report) -> str:
    """All tables of a report."""
    parts = [f"# {report.title}", tables.conditions(report)]
    comparisons = report.comparisons()
    for comparison in comparisons:
        parts += [
            f"## {QUALITIES[comparison.quality]}",
            comparison_text(comparison, report.labels),
        ]
    cuts = tables.cuts(report)
    if cuts:
        parts += ["## Cuts", table(cuts)]
    drift = tables.drift(report)
    if drift:
        parts += ["## Over time", table(drift)]
    for found in report.published:
        parts += [
            f"## Published: {found.title}",
            tables.published_source(found),
            table(tables.published_rows(found, comparisons, report.labels)),
        ]
    parts += ["## Points", table(tables.point_rows(report.points)), "## Commands and versions"]
    parts.append("\n".join(f"- {line}" for line in tables.commands(report.points)))
    return "\n\n".join(parts) + "\n"
