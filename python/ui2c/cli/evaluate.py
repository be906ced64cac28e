"""ui2c evaluate CONFIG."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ui2c.cli.common import MOST_AT_ONCE, Commands, UsageError, complain, integer, note
from ui2c.files import write_whole


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser(
        "evaluate",
        help="code, measure and compare: sequences x codecs x rate points",
        description="Does what CONFIG asks for, a file that ends in .toml or the name of a shipped "
        "experiment (--list). Results are kept: only what is missing or has changed is done. Ends "
        "with report.html and report.md beside the results.",
    )
    parser.add_argument("config", metavar="CONFIG", nargs="?")
    parser.add_argument("--list", action="store_true", help="name the shipped experiments")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of the sequences")
    parser.add_argument(
        "--results", type=Path, metavar="DIR", help="where results go (results/NAME)"
    )
    parser.add_argument("--frames", type=integer(1), metavar="N", help="only the first N of each")
    parser.add_argument("--points", type=integer(1), metavar="N", help="only N rates of each codec")
    parser.add_argument(
        "--metrics",
        type=lambda text: text.split(","),
        metavar="M,...",
        help="instead of those of CONFIG: psnr, ms-ssim, rgb, vmaf",
    )
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="only this codec or sequence; repeatable"
    )
    group = parser.add_argument_group("machine")
    group.add_argument(
        "--cores",
        type=integer(1, MOST_AT_ONCE),
        metavar="N",
        help="run jobs side by side on N cores (all)",
    )
    group.add_argument(
        "--cluster", metavar="ADDRESS", help="run the jobs on the Dask cluster there"
    )
    parser.add_argument("--again", action="store_true", help="do over what has been done")
    parser.add_argument("-q", "--quiet", action="store_true", help="only errors")
    parser.add_argument("-v", "--verbose", action="store_true", help="traceback with errors")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from ui2c.evaluate.config import load_config, select, shipped_experiments
    from ui2c.evaluate.markdown import markdown
    from ui2c.evaluate.page import html
    from ui2c.evaluate.published import load_published
    from ui2c.evaluate.report import Report
    from ui2c.evaluate.results import load_results
    from ui2c.evaluate.runner import evaluate
    from ui2c.segments.executors import workers

    if arguments.list:
        print("\n".join(shipped_experiments()))
        return 0
    if arguments.config is None:
        raise UsageError("evaluate wants a CONFIG, or --list")
    config = load_config(
        arguments.config,
        data=arguments.data,
        frames=arguments.frames,
        points=arguments.points,
        metrics=arguments.metrics,
    )
    if arguments.only:
        config = select(config, arguments.only)
    results = arguments.results or Path("results") / config.name
    log = None if arguments.quiet else sys.stderr
    with workers(arguments.cluster, arguments.cores) as (executor, cores):
        outcome = evaluate(config, results, executor, cores, again=arguments.again, log=log)
    paths = [results / job.path for job in config.jobs()]
    points = load_results([str(path) for path in paths if path in outcome.files])
    anchor = config.anchor or config.codecs[0].common.name
    if anchor in {point.codec for point in points}:
        report = Report(config.title, points, anchor, load_published(config.published))
        write_whole(results / "report.html", html(report).encode())
        write_whole(results / "report.md", markdown(report).encode())
    for title, message in outcome.failed.items():
        complain(f"{title}: {message}")
    note(
        f"{len(outcome.done)} done, {len(outcome.kept)} kept, {len(outcome.failed)} failed, "
        f"in {results}",
        quiet=arguments.quiet,
    )
    return 1 if outcome.failed else 0
