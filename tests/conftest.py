"""What all rooms of tests share: a real clip, small untrained models."""

import signal
from pathlib import Path
from typing import Any

import pytest
from support.paths import CITY
from ui2c.network.load import load_model
from ui2c.network.torch_model import random_model, save_model

# What runs tests in the background may have ignored some, and programs would inherit that.
for _name in ("SIGINT", "SIGHUP", "SIGQUIT"):
    _number = getattr(signal, _name, None)
    if _number is not None and signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _name == "SIGINT" else signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests come last: what is wrong is mostly seen before."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


@pytest.fixture
def city() -> Path:
    """24 frames of a real clip, 352x192, 25 fps, lossless H.264, BT.709 limited range."""
    return CITY


@pytest.fixture(scope="session")
def nano() -> Any:
    """A small untrained network: poor pictures, but all of the codec."""
    return random_model("nano", 1)


@pytest.fixture(scope="session")
def single() -> Any:
    """The same with one frame per unit."""
    return random_model("nano-single", 1)


@pytest.fixture(scope="session")
def implicit() -> Any:
    """The same without motion."""
    return random_model("nano-implicit", 1)


@pytest.fixture(scope="session")
def nano_file(nano: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file for the command line."""
    path = tmp_path_factory.mktemp("models") / "nano.safetensors"
    save_model(nano.engine.codec, path)
    return path


@pytest.fixture(scope="session")
def saved(nano_file: Path) -> Any:
    """What that file holds; it has an id of its own."""
    return load_model(nano_file)
