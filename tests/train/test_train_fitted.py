"""Filters and tables fitted to what a model makes of videos."""

from pathlib import Path

import pytest
from support.clips import moving_frames
from ui2c import _core
from ui2c.motion import Planes
from ui2c.network.weights import load_model, save_model
from ui2c.pair import PairCoder
from ui2c.train import fitted


def stream_of(model_file: Path, frames: list[Planes]) -> tuple[int, list[Planes]]:
    """Bytes of the units, and the last unit's reference pictures as decoded, filters aside."""
    coder = PairCoder(load_model(model_file), width=64, height=48)
    size = 0
    for unit in range(0, len(frames), 2):
        coded = coder.encode(frames[unit : unit + 2], qp=20, cycle=0, intra=unit == 0)
        size += len(coded.stream)
    assert coder.state.reference is not None
    return size, [coder.state.reference]


def test_what_was_fitted_to_is_coded_with_fewer_bytes(tmp_path: Path, nano_file: Path) -> None:
    """And decodes to the same: neither filters nor tables are in the loop."""
    frames = moving_frames(4, 64, 48, 8, seed=1)
    writer = _core.VideoWriter.y4m(str(tmp_path / "clip.y4m"), width=64, height=48)
    for y, u, v in frames:
        writer.write((y, u, v))
    writer.close()
    output = tmp_path / "fitted.safetensors"
    fitted.main([str(nano_file), str(tmp_path), str(output), "--first", "0", "--frames", "4"])
    before, after = load_model(nano_file), load_model(output)
    assert after.config.post_filter and after.filters.any()
    assert after.model_id != before.model_id
    plain = tmp_path / "plain.safetensors"
    codec = load_model(output).trainable()
    save_model(codec, plain, filters=after.filters)
    (size, pictures), (fitted_size, same) = (stream_of(m, frames) for m in (plain, output))
    assert fitted_size < size
    for a, b in zip(pictures[0], same[0], strict=True):
        assert (a == b).all()


def test_a_folder_without_videos_is_refused(
    tmp_path: Path, nano_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "videos").mkdir()
    with pytest.raises(SystemExit):
        fitted.main([str(nano_file), str(tmp_path / "videos"), str(tmp_path / "out")])
    assert "no 8-bit video" in capsys.readouterr().err
