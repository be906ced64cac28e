"""Small synthetic clips, shared by all tests."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from ui2c import YUV420, _core
from ui2c.frames import chroma_size
from ui2c.network.weights import load_model, random_model, save_model

CITY = Path(__file__).parent / "data" / "city.mkv"


def make_clip(
    width: int, height: int, frames: int, *, bit_depth: int = 8, full_range: bool = False
) -> list[YUV420]:
    """Waves that drift by a sample and a half per frame, with a little noise."""
    random = np.random.default_rng(width * 1000 + height)
    dtype = np.uint8 if bit_depth == 8 else np.uint16
    peak = (1 << bit_depth) - 1

    def plane(width: int, height: int, shift: float, phase: float) -> NDArray[np.generic]:
        y, x = np.mgrid[0:height, 0:width]
        wave = np.sin((x + shift) * 0.21 + phase) + np.sin((y + 0.5 * shift) * 0.13 + phase)
        noise = random.normal(0, 0.02, (height, width))
        return (peak * (0.5 + 0.2 * wave + noise).clip(0, 1)).astype(dtype)

    chroma = chroma_size(width, height)
    return [
        YUV420(
            plane(width, height, 1.5 * t, 0.0),
            plane(*chroma, 0.75 * t, 1.0),
            plane(*chroma, 0.75 * t, 2.0),
            bit_depth,
            full_range,
        )
        for t in range(frames)
    ]


def make_rgb(width: int, height: int, frames: int) -> NDArray[np.uint8]:
    """Drifting waves, uint8 `[frames, height, width, 3]`."""
    t, y, x, c = np.mgrid[0:frames, 0:height, 0:width, 0:3]
    return (127.5 + 120 * np.sin((x + 1.5 * t) * 0.2 + c) * np.cos(y * 0.15 + c)).astype(np.uint8)


def parse(stream: bytes) -> list[Any]:
    """The units of a whole stream."""
    parser = _core.Parser()
    parser.feed(stream)
    return list(iter(parser.next_unit, None))


def coded_units(stream: bytes) -> list[Any]:
    return [unit for unit in parse(stream) if unit.stream is not None]


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
def nano_file(nano: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file for the command line."""
    path = tmp_path_factory.mktemp("models") / "nano.safetensors"
    save_model(nano.codec, path)
    return path


@pytest.fixture(scope="session")
def saved(nano_file: Path) -> Any:
    """What that file holds; it has an id of its own."""
    return load_model(nano_file)
