"""What is written about the command is all of it; completion knows the same."""

import re
import shutil
import subprocess
from typing import Any

import pytest
from support.paths import ROOT
from ui2c.cli import DELEGATED, _parser, main
from ui2c.cli.completion import bash

MANUAL = ROOT / "docs" / "cli.md"
ELSEWHERE = {"evaluate", "compare", *DELEGATED}
EVERYWHERE = {"--help", "--verbose", "--quiet", "--yes"}


def commands() -> dict[str, Any]:
    (actions,) = (a for a in _parser()._actions if isinstance(a.choices, dict))
    return dict(actions.choices)  # type: ignore[arg-type]


def options(parser: Any) -> set[str]:
    return {text for action in parser._actions for text in action.option_strings}


def test_the_manual_names_every_option() -> None:
    text = MANUAL.read_text()
    for name, parser in commands().items():
        if name in ELSEWHERE:
            assert f"`{name}`" in text
            continue
        assert f"ui2c {name}" in text
        named = set(re.findall(r"(?<!-)--[a-z][a-z-]+", text))
        missing = {o for o in options(parser) if o.startswith("--")} - named - EVERYWHERE
        assert not missing, f"{name}: {missing}"


def test_the_manual_names_no_option_that_is_not_there() -> None:
    known = set().union(*(options(parser) for parser in commands().values()), options(_parser()))
    assert set(re.findall(r"(?<!-)--[a-z][a-z-]+", MANUAL.read_text())) <= known


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    out = capsys.readouterr().out
    assert "scenecut" in out and "compare-frames" in out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ui2c", "enc"], ["encode"]),
        (["ui2c", "encode", "--keyi"], ["--keyint"]),
        (["ui2c", "encode", "--motion", "s"], ["slow"]),
        (["ui2c", "decode", "--progress", "j"], ["json"]),
        (["ui2c", "encode", "fil"], []),
        (["ui2c", "completion", "f"], ["fish"]),
    ],
)
def test_bash_completes(words: list[str], expected: list[str]) -> None:
    script = bash(commands()) + (
        f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; _ui2c\n"
        'echo "${COMPREPLY[@]}"\n'
    )
    result = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.split() == expected


@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh")
def test_zsh_takes_the_script_without_more(capsys: pytest.CaptureFixture[str]) -> None:
    """Also where nothing has set its completion up before."""
    assert main(["completion", "zsh"]) == 0
    result = subprocess.run(
        ["zsh", "-f"], input=capsys.readouterr().out, capture_output=True, text=True, check=True
    )
    assert result.stderr == ""
