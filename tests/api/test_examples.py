"""The examples run, and say what they are meant to show."""

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.clips import make_clip
from support.paths import ROOT, TESTS
from ui2c.video import Description, open_sink

EXAMPLES = ROOT / "examples"
EXPECTED = {
    "arrays": "mean error",
    "seek": "random access at (0, 9)",
    "bitrate": "two passes for",
    "live": "14 frames shown in all",
    "segments": "14 frames in",
}


@pytest.fixture
def video(tmp_path: Path) -> str:
    path = tmp_path / "clip.y4m"
    sink = open_sink(path, Description(48, 32))
    for frame in make_clip(48, 32, 14):
        sink.write(frame)
    sink.close()
    return str(path)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPECTED)
def test_example(name: str, video: str, tmp_path: Path, capsys: Any) -> None:
    main = runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"]
    arguments = [] if name == "arrays" else [video]
    if name == "segments":
        arguments += [str(tmp_path / "out.ui2c"), 1]
    main(*arguments)
    assert EXPECTED[name] in capsys.readouterr().out


def test_all_examples_are_tested() -> None:
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    assert names == {*EXPECTED, "demo"}


@pytest.mark.slow
def test_what_a_wheel_is_tested_with_works() -> None:
    # Isolated, as it is run in an empty environment: what is not installed cannot be tried.
    if subprocess.run([sys.executable, "-I", "-c", "import ui2c"], capture_output=True).returncode:
        pytest.skip("ui2c is not installed")
    smoke = TESTS / "smoke.py"
    done = subprocess.run([sys.executable, "-I", smoke], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("ui2c works\n")
