"""Comparisons over classes by hand, imported results, and the report."""

import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ui2c.cli import main
from ui2c.evaluate.compare import compare, mean_points
from ui2c.evaluate.errors import ConfigError
from ui2c.evaluate.figures import at_equal_rate, drift, recovery
from ui2c.evaluate.job import FORMAT
from ui2c.evaluate.markdown import markdown
from ui2c.evaluate.page import html
from ui2c.evaluate.plot import Axis, Line, plot
from ui2c.evaluate.png import png
from ui2c.evaluate.published import load_published
from ui2c.evaluate.report import Report
from ui2c.evaluate.results import Point, load_results

QUALITIES = (30.0, 33.0, 36.0, 39.0)


def points(codec: str, sequence: str, group: str, factor: float, frames: int = 1) -> list[Point]:
    """Rates that double with every 3 dB, times a factor."""
    return [
        Point(
            codec=codec,
            label=codec.upper(),
            sequence=sequence,
            group=group,
            point=float(index),
            rates={"bpp": factor * 0.01 * 2**index},
            values={"psnr": quality},
            frames=frames,
        )
        for index, quality in enumerate(QUALITIES)
    ]


def test_both_conventions_by_hand() -> None:
    # Class a has two sequences: factors 2 and 0.5 of anchors whose rates are 1 and 9 times as high.
    # Per sequence: +100 % and -50 %, in the mean +25 %. The mean curve: (2·1 + 0.5·9) / (1 + 9).
    found = compare(
        [
            *points("anchor", "one", "a", 1.0),
            *points("anchor", "nine", "a", 9.0),
            *points("anchor", "other", "b", 1.0),
            *points("test", "one", "a", 2.0),
            *points("test", "nine", "a", 4.5),
            *points("test", "other", "b", 1.1),
        ],
        "anchor",
    )
    a, b, whole = (found.mean("test", group) for group in ("a", "b", None))
    assert (a.sequences, a.curve) == (pytest.approx(25), pytest.approx(-35))
    assert (b.sequences, b.curve) == (pytest.approx(10), pytest.approx(10))
    assert whole.sequences == pytest.approx((100 - 50 + 10) / 3)
    assert whole.classes == pytest.approx((25 + 10) / 2)
    assert whole.curve == pytest.approx((-35 + 10) / 2)
    assert (whole.count, whole.of) == (3, 3)
    assert found.warnings() == []


def test_mean_points_are_weighted_by_frames_and_only_of_shared_sequences() -> None:
    rows = [*points("c", "long", "a", 1.0, frames=3), *points("c", "short", "a", 2.0)]
    rows += points("c", "alone", "a", 100.0)
    means = mean_points(rows[:-1], frozenset({"long", "short"}))
    assert [p.rates["bpp"] for p in means] == pytest.approx([0.0125, 0.025, 0.05, 0.1])
    assert [p.values["psnr"] for p in means] == list(QUALITIES)
    # The last point of one is missing: that point has no mean.
    assert len(mean_points(rows[:7], frozenset({"long", "short"}))) == 3


def test_missing_sequences_are_counted() -> None:
    rows = [*points("anchor", "one", "a", 1.0), *points("anchor", "two", "a", 1.0)]
    found = compare([*rows, *points("test", "one", "a", 2.0)], "anchor").mean("test", "a")
    assert (found.count, found.of, found.curve) == (1, 2, pytest.approx(100))


def test_an_anchor_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="must be one of anchor, not 'x'"):
        compare(points("anchor", "one", "a", 1.0), "x")
    with pytest.raises(ConfigError, match="quality must be one of psnr"):
        compare(points("anchor", "one", "a", 1.0), "anchor", "beauty")


def dcvc(factor: float) -> dict[str, Any]:
    """In the form of the anchors in DCVC's repository."""
    row = {"frame_pixel_num": 99, "i_frame_num": 4, "p_frame_num": 2, "ds_name": "HEVC_D"}
    names = ("psnr", "psnr_y", "psnr_u", "psnr_v")
    return {
        "HEVC_D": {
            "BQSquare_416x240_60.yuv": {
                f"0{22 + 5 * index}": row
                | {"qp": 22 + 5 * index, "ave_all_frame_bpp": factor * 0.01 * 2**index}
                | {f"ave_all_frame_{name}": quality for name in names}
                | {"ave_all_frame_msssim": 0.9}
                for index, quality in enumerate(QUALITIES)
            }
        }
    }


def test_dcvc_anchors(tmp_path: Path) -> None:
    (tmp_path / "vtm.json").write_text(json.dumps(dcvc(1.0)))
    (tmp_path / "other.json").write_text(json.dumps(dcvc(0.75)))
    found = load_results([str(tmp_path / "vtm.json"), f"mine={tmp_path / 'other.json'}"])
    assert found[0].sequence == "BQSquare_416x240_60"
    assert (found[1].point, found[1].frames, found[0].group) == (27, 6, "HEVC_D")
    assert found[0].quality("ms_ssim") == pytest.approx(10)
    assert compare(found, "vtm").mean("mine", "HEVC_D").sequences == pytest.approx(-25)


def test_compressai_results(tmp_path: Path) -> None:
    folder = tmp_path / "kodak"
    folder.mkdir()
    for name, factor in (("one", 1.0), ("two", 1.5)):
        rates = [factor * 0.1 * 2**index for index in range(4)]
        results = {"bpp": rates, "psnr-rgb": list(QUALITIES), "ms-ssim-rgb": [0.9] * 4}
        (folder / f"{name}.json").write_text(json.dumps({"name": name, "results": results}))
    found = load_results([str(folder / "one.json"), str(folder / "two.json")])
    assert {point.group for point in found} == {"kodak"}
    assert compare(found, "one", "psnr_rgb").mean("two", "kodak").curve == pytest.approx(50)
    video = {"bitrate": [100.0, 200.0, 400.0, 800.0]}
    video |= {f"psnr-{plane}": list(QUALITIES) for plane in "yuv"}
    (folder / "video.json").write_text(json.dumps({"name": "x265", "results": video}))
    (point, *_) = load_results([str(folder / "video.json")])
    assert (point.label, point.rates, point.values["psnr"]) == ("x265", {"kbps": 100.0}, 30.0)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"a": 1}', '{"results": {}}', '{"results": {"bpp": [1], "psnr-rgb": []}}'],
)
def test_what_is_no_file_of_results(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"x\.json"):
        load_results([str(path)])


def test_a_folder_without_results_and_one_point_twice(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no results"):
        load_results([str(tmp_path)])
    (tmp_path / "vtm.json").write_text(json.dumps(dcvc(1.0)))
    with pytest.raises(ConfigError, match="two results for BQSquare"):
        load_results([str(tmp_path / "vtm.json")] * 2)


def own(codec: str, index: int, factor: float, cut: int | None = None) -> dict[str, Any]:
    """A result as a job writes it, four frames of 8x8."""
    psnr = [QUALITIES[index] + offset for offset in (0.5, -0.5, 0.25, -0.25)]
    bits = 640 * factor * 2**index
    return {
        "format": FORMAT,
        "key": "k",
        "sequence": {
            **{"name": "clip <&>", "class": "small", "width": 8, "height": 8, "bit_depth": 8},
            **{"fps": "25", "frames": 4, "cuts": [] if cut is None else [cut]},
        },
        "codec": {"name": codec, "label": f"{codec} & co", "kind": "ffmpeg", "threads": 1},
        "point": float(index),
        "bits": bits,
        "counted": "bare stream",
        "bpp": bits / 256,
        "kbps": bits / 160,
        **{"psnr": QUALITIES[index], "psnr_y": 30.0, "psnr_u": 31.0, "psnr_v": 32.0},
        "frames": {"bits": [bits / 4, 0.0, bits / 4, bits / 2], "psnr": psnr},
        "encode": {"command": f"{codec} -i", "seconds": 2.0 * factor, "peak_bytes": 3 << 20},
        "decode": None,
        "timed": "everything",
        "extra": {},
        "notes": ["a note"],
        "versions": {"encoder": "1.0", "ffmpeg_path": "/somewhere/ffmpeg"},
        "machine": {"processor": "a processor", "cores": 2, "system": "a system"},
    }


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two codecs, one sequence with a cut and pictures."""
    for codec, factor in (("first", 1.0), ("second", 0.8)):
        folder = tmp_path / "results" / codec / "clip <&>"
        for index in range(4):
            (folder / str(index)).mkdir(parents=True)
            (folder / f"{index}.json").write_text(json.dumps(own(codec, index, factor, cut=2)))
            picture = np.full((8, 8, 3), 10 * index, np.uint8)
            (folder / str(index) / "2.png").write_bytes(png(picture))
    source = tmp_path / "results" / "source" / "clip <&>"
    source.mkdir(parents=True)
    (source / "2.png").write_bytes(png(np.zeros((8, 8, 3), np.uint8)))
    return tmp_path / "results"


class Checker(HTMLParser):
    """Whether elements are closed in order, and what the page fetches."""

    VOID = frozenset({"meta", "img", "br", "link", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for key, value in attrs if key in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing_else(results: Path) -> None:
    report = Report("A <title>", load_results([str(results)]), "first", load_published(["table-1"]))
    page = html(report)
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert checker.sources == []
    assert "http" not in page.replace("http-equiv", "")
    assert "A &lt;title&gt;" in page
    assert "-20.0 %" in page
    assert page.count("<svg") >= 6
    assert "/somewhere" not in page
    data = re.search(r"const pictures = (.*);\n", page)
    assert data is not None
    shown = json.loads(data[1])["clip <&>"]
    assert [name.partition(",")[0] for name in shown] == ["source", "first & co", "second & co"]
    assert all(value.startswith("data:image/png;base64,") for value in shown.values())


def test_markdown_has_every_table(results: Path) -> None:
    text = markdown(Report("T", load_results([str(results)]), "first", load_published(["table-4"])))
    assert "| second & co | -20.0 % |" in text
    assert "30.00 to 39.00 | 100% |" in text
    assert "| UI2C | -11.1 | -25.8 | -18.5 | 12 |" in text
    assert "first -i [encoder 1.0; 1 thread(s); a note]" in text
    widths = {(line.count("|"), block) for block, part in enumerate(text.split("\n\n"))
              for line in part.splitlines() if line.startswith("|")}  # fmt: skip
    assert len({block for _, block in widths}) == len(widths)


def test_measured_figures_stand_below_published_ones() -> None:
    rows = [*points("anchor", "s", "HEVC_C", 1.0), *points("test", "s", "HEVC_C", 0.5)]
    text = markdown(Report("T", rows, "anchor", load_published(["table-4", "speed"])))
    assert (
        "| measured here: TEST against ANCHOR, PSNR 6:1:1, dB | -50.0 |  |  |  |\n" in text + "\n"
    )
    assert text.count("measured here") == 1


def test_points_near_one_rate_and_recovery(results: Path) -> None:
    found = load_results([str(results)])
    chosen = at_equal_rate(found, ("first", "second"))
    # Both reach 2.5 to 16 bpp: 6.3 in the geometric middle.
    assert [(p.codec, p.rates["bpp"]) for p in chosen] == [("first", 5.0), ("second", 8.0)]
    row = recovery(found, ("first",))[0]
    assert row[4:] == ["32.50", "33.25", "32.75", "0"]


def test_drift_by_hand() -> None:
    raw = own("first", 1, 1.0)
    raw["sequence"] |= {"frames": 41, "fps": "10"}
    raw["frames"] = {
        "psnr": [30.0] * 18 + [36.0, 38.0] + [33.0] * 18 + [34.0, 35.0, 99.0],
        "bits": [6400.0] * 10 + [64.0] * 31,
    }
    point = Point("first", "First", "clip", "small", 1, {"bpp": 0.5}, {"psnr": 33.0}, 41, raw)
    expected = ["clip", "First", "1", "0.5000", "1.0000", "37.00", "34.50", "-2.50"]
    assert drift([point], ["first"]) == [expected]
    raw["sequence"]["cuts"] = [20]
    assert drift([point], ["first"]) == []


def test_the_command_compares(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, tables = results.parent / "page.html", results.parent / "tables.md"
    arguments = ["compare", str(results), "--html", str(page), "--markdown", str(tables)]
    assert main([*arguments, "--anchor", "first", "--published", "table-2"]) == 0
    assert "| second & co | -20.0 %" in capsys.readouterr().out
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert "Table 2" in tables.read_text()
    assert main([*arguments, "--anchor", "third"]) == 1
    assert "the anchor must be one of first, second" in capsys.readouterr().err


def test_plots_of_nothing_and_of_impossible_values() -> None:
    axis, log = Axis("x"), Axis("y", logarithmic=True)
    assert "no figures" in plot("t", [], axis, log)
    assert "no figures" in plot("t", [Line("n", ((1.0, 0.0),), 0)], axis, log)
    assert "no figures" in plot("t", [Line("n", ((1.0, math.inf),), 0)], axis, axis)
    one = plot("t", [Line("n", ((1.0, 5.0),), 0)], axis, log)
    assert "<circle" in one and "nan" not in one
