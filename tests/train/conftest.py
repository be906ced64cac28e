"""Training clips, tiny and synthetic."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from support.sources import write_sources


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """These tensors are too small to share out."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `photographs`, `videos` and the `sources` made of them."""
    folder = tmp_path_factory.mktemp("made")
    write_sources(folder)
    return folder


@pytest.fixture(scope="session")
def data(made: Path) -> Path:
    """Sources for training."""
    return made / "sources"
