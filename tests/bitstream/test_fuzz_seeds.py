"""Replays the seeds and findings of the fuzzer of the whole decoder."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from support.paths import ROOT

FUZZ = ROOT / "fuzz"
SEEDS = sorted((FUZZ / "seeds" / "decoder").iterdir())


@pytest.fixture(scope="module")
def fuzzer() -> Any:
    specification = importlib.util.spec_from_file_location("fuzz_decoder", FUZZ / "decoder.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def checker(fuzzer: Any) -> Any:
    return fuzzer.Checker()


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.name)
def test_seed(checker: Any, seed: Path) -> None:
    checker.check(seed.read_bytes())


def test_a_stream_is_put_together_as_it_was(fuzzer: Any) -> None:
    for stream in fuzzer.whole_streams():
        assert fuzzer.joined(fuzzer.split(stream)) == stream
