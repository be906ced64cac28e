"""Filters and tables fitted to what a model makes of videos."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from support.clips import equal, moving_frames, write_y4m
from ui2c.network.load import load_model
from ui2c.network.model import Model
from ui2c.network.torch_model import load_codec, save_model
from ui2c.train import fitted, observed
from ui2c.train.observed import SymbolCounts
from ui2c.unit.coder import UnitEncoder
from ui2c.unit.planes import Geometry, Planes


def coded(model: Model, frames: list[Planes]) -> tuple[int, list[list[Planes]]]:
    """Bytes of the units, and their frames before the post-filter."""
    counts = SymbolCounts()
    units = [unit for unit, _ in observed.coded(model, frames, 20, counts)]
    coder = UnitEncoder(model, Geometry(64, 48))
    parts = [frames[:1], *(frames[i : i + 2] for i in range(1, len(frames), 2))]
    coded = [coder.encode(part, qp=20, intra=k == 0) for k, part in enumerate(parts)]
    return sum(len(unit.stream) for unit in coded), units


def test_symbols_and_frames_are_those_that_are_coded(nano_file: Path) -> None:
    frames, counts = moving_frames(4, 64, 48, 8, seed=1), SymbolCounts()
    units = list(observed.coded(load_model(nano_file), frames, 20, counts))
    assert [(len(shown), len(sources)) for shown, sources in units] == [(1, 1), (2, 2), (1, 1)]
    # y has 64 channels at 4 × 3 places, z 16 at one, in each of three units; some are skipped.
    assert 0 < counts.y.sum() <= 3 * 64 * 12 and 0 < counts.z.sum() <= 3 * 16
    error = np.abs(units[1][0][1][0].astype(int) - frames[2][0]).mean()
    assert error < np.abs(frames[0][0].astype(int) - frames[2][0]).mean() + 40


def test_what_was_fitted_to_is_coded_with_fewer_bytes(tmp_path: Path, nano_file: Path) -> None:
    """And decodes to the same: neither filters nor tables are in the loop."""
    frames = moving_frames(4, 64, 48, 8, seed=1)
    write_y4m(tmp_path / "clip.y4m", frames)
    output = tmp_path / "fitted.safetensors"
    fitted.main([str(nano_file), str(tmp_path), str(output), "--first", "0", "--frames", "4"])
    before, after = load_model(nano_file), load_model(output)
    assert after.filters.any()
    assert after.model_id != before.model_id
    old, new = load_file(nano_file), load_file(output)
    assert old.keys() == new.keys()
    changed = {name for name in old if not np.array_equal(old[name], new[name])}
    assert changed and all(name == "filters" or name.startswith("tables.") for name in changed)
    assert "tables.hyper_index" not in changed
    plain = tmp_path / "plain.safetensors"
    save_model(load_codec(output), plain, filters=after.filters)
    (size, units), (fitted_size, same) = (coded(load_model(m), frames) for m in (plain, output))
    assert fitted_size < size
    for a, b in zip(units, same, strict=True):
        assert all(equal(x, y) for x, y in zip(a, b, strict=True))


def test_a_folder_without_videos_is_refused(
    tmp_path: Path, nano_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "videos").mkdir()
    with pytest.raises(SystemExit):
        fitted.main([str(nano_file), str(tmp_path / "videos"), str(tmp_path / "out")])
    assert "no 8-bit video" in capsys.readouterr().err
