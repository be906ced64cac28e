"""ui2c compare RESULTS… --anchor NAME."""

from __future__ import annotations

import argparse
from pathlib import Path

from ui2c.cli.common import Commands, size
from ui2c.cli.standard import printable
from ui2c.files import write_whole


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser(
        "compare",
        help="BD-rates of results against an anchor",
        description="Prints BD-rates per sequence and class as Markdown. RESULTS are folders that "
        "evaluate wrote, anchor files of DCVC's repository, or CompressAI's result files; "
        "NAME=FILE gives the codec of such a file a name (by default that of the file).",
    )
    parser.add_argument("results", metavar="RESULTS", nargs="+")
    parser.add_argument("--anchor", metavar="NAME", required=True, help="the codec to compare with")
    parser.add_argument(
        "--quality",
        metavar="Q",
        default="psnr",
        help="psnr (6:1:1, default), psnr_y, psnr_rgb, ...",
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with plots")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write all tables")
    parser.add_argument("--title", metavar="TEXT", default="Comparison")
    parser.add_argument(
        "--pictures", type=size, metavar="WxH", default=(320, 240), help="of the page (320x240)"
    )
    parser.add_argument(
        "--published", action="append", metavar="NAME", default=[], help="figures to stand beside"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="traceback with errors")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from ui2c.evaluate.compare import compare
    from ui2c.evaluate.markdown import comparison_text, markdown
    from ui2c.evaluate.page import html
    from ui2c.evaluate.published import load_published
    from ui2c.evaluate.report import Report
    from ui2c.evaluate.results import load_results

    report = Report(
        arguments.title,
        load_results(arguments.results),
        arguments.anchor,
        load_published(arguments.published),
        arguments.pictures,
    )
    comparison = compare(report.points, arguments.anchor, arguments.quality)
    if arguments.html:
        write_whole(arguments.html, html(report).encode())
    if arguments.markdown:
        write_whole(arguments.markdown, markdown(report).encode())
    for line in comparison_text(comparison, report.labels).split("\n"):
        print(printable(line))
    return 0
