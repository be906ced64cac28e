"""Training curves."""

from pathlib import Path
from xml.etree import ElementTree

from ui2c.train.curves import WINDOW, joined, main, smoothed
from ui2c.train.logs import RunLog


def log(folder: Path, hours: list[float], bpp: float) -> Path:
    run = RunLog(folder)
    for step, hour in enumerate(hours):
        run.row("log", step, {"hours": hour, "rounded_bpp": bpp, "psnr_y": 30, "psnr_u": 31})
    return folder


def test_a_run_that_starts_its_clock_anew_is_put_behind_the_one_before(tmp_path: Path) -> None:
    runs = [log(tmp_path / "a", [0.5, 1.0], 0.3), log(tmp_path / "b", [0.25, 0.5], 0.2)]
    curve = joined(runs, "log.csv", "rounded_bpp")
    assert curve == [(0.5, 0.3), (1.0, 0.3), (1.25, 0.2), (1.5, 0.2)]
    assert joined(runs, "bd-rate.csv", "x264") == []


def test_a_running_mean() -> None:
    curve = [(float(i), float(i)) for i in range(WINDOW + 2)]
    middle = (WINDOW - 1) / 2
    assert smoothed(curve) == [(WINDOW - 1.0 + i, middle + i) for i in range(3)]
    assert smoothed([(1, 2), (3, 4)]) == [(3, 3)]
    assert smoothed([]) == []


def test_the_picture_is_whole(tmp_path: Path) -> None:
    run = log(tmp_path / "a", [0.1 * i for i in range(20)], 0.3)
    RunLog(run).row("bd-rate", 3, {"x264": 5.0, "x265": -1.0})
    output = tmp_path / "curves.svg"
    assert main([str(output), str(run)]) == 0
    root = ElementTree.parse(output).getroot()
    assert len(root.findall("{http://www.w3.org/2000/svg}svg")) == 4
