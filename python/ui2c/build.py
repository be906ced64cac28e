"""What runs here, for bug reports."""

from __future__ import annotations

import platform
from pathlib import Path

from ui2c import _core

MODELS = Path(__file__).parent / "models"


def build_info() -> dict[str, str]:
    """Versions of what this package rests on, the machine, and the shipped models."""
    from importlib.metadata import PackageNotFoundError, version

    info = {
        "ui2c": _core.__version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": platform.platform(),
        "processor": f"{platform.machine()}, {_core.cpu_level()} instructions",
    }
    for package in ("torch", "numpy", "safetensors", "av"):
        try:
            info[package] = version(package)
        except PackageNotFoundError:
            info[package] = "not installed"
    info["models"] = " ".join(sorted(path.stem for path in MODELS.glob("*.safetensors"))) or "none"
    return info
