"""Validation of models in training: real files, real peers, records."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from support.clips import write_video
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from ui2c.network.codec import Codec
from ui2c.network.config import config_for
from ui2c.network.torch_model import save_model
from ui2c.train import anchors
from ui2c.train.anchors import anchor_curves, bd_rate, clip_psnr, decode_stream, encode_with
from ui2c.train.data.validation import Clip
from ui2c.train.data.videos import VALIDATION
from ui2c.train.logs import RunLog
from ui2c.train.validate import validate


def textured_clip(frames: int, size: int) -> Clip:
    rng = np.random.default_rng(5)
    wide = rng.integers(60, 180, (size // 4 + 4, size // 4 + 4)).astype(np.float32)
    wide = torch.nn.functional.interpolate(
        torch.from_numpy(wide)[None, None], scale_factor=4, mode="bicubic"
    )
    luma = wide.clamp(16, 235).to(torch.uint8).numpy()[0, 0]
    y = np.stack([luma[t : t + size, :size] for t in range(frames)])
    chroma = y[:, ::2, ::2].copy()
    return y, chroma, 255 - chroma


@pytest.mark.parametrize("codec", sorted(anchors.LOW_DELAY))
def test_anchors_code_all_frames_with_one_intra_frame(codec: str) -> None:
    clip = textured_clip(7, 64)
    fine, coarse = (encode_with(codec, clip, crf) for crf in (15, 40))
    assert len(fine) > 1.2 * len(coarse)
    decoded = decode_stream(fine)
    assert len(decoded) == 7
    assert clip_psnr(clip, decoded) > clip_psnr(clip, decode_stream(coarse)) > 20


def test_anchor_curves_are_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = textured_clip(3, 64)
    made = anchor_curves("x264", [clip], tmp_path)
    monkeypatch.setattr(anchors, "encode_with", None)
    assert anchor_curves("x264", [clip], tmp_path) == made
    assert [rate for rate, _ in made[0]] == sorted((r for r, _ in made[0]), reverse=True)


def test_bd_rate_of_known_curves() -> None:
    anchor = [(0.1, 30.0), (0.2, 33.0), (0.4, 36.0)]
    assert bd_rate(anchor, anchor) == pytest.approx(0)
    assert bd_rate(anchor, [(r / 2, q) for r, q in anchor]) == pytest.approx(-50)
    # 3 dB better at every rate is half the rate at every quality that both reach.
    assert bd_rate(anchor, [(r, q + 3) for r, q in anchor]) == pytest.approx(-50)
    assert np.isnan(bd_rate(anchor, [(0.1, 40.0), (0.2, 41.0)]))


def test_validation_codes_every_clip_and_draws_samples(tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in VALIDATION:
        write_video(folder / f"{name}.mkv", list(textured_clip(5, 136)[0]))
    torch.manual_seed(0)
    model = tmp_path / "nano.safetensors"
    save_model(Codec(config_for("nano")), model)
    rows, rates, sheet = validate(
        str(model), folder, tmp_path, frames=5, size=64, per_video=1, qps=(20, 50)
    )
    assert [row["qp"] for row in rows] == [20, 50]
    assert all(row["bpp"] > 0 and 10 < row["psnr"] < 60 for row in rows)
    assert {"x264", "x265", "x264_cliffs", "x265_rooftops_vfr"} <= set(rates)
    assert sheet.shape == (128, 5 * 64, 3)


def test_records_are_kept_as_csv_and_for_tensorboard(tmp_path: Path) -> None:
    first, second = RunLog(tmp_path), RunLog(tmp_path)
    first.row("log", 20, {"psnr": 31.5})
    second.row("log", 40, {"psnr": 32.5})
    first.picture("samples", 20, np.zeros((8, 16, 3), np.uint8))
    with (tmp_path / "log.csv").open() as file:
        assert list(csv.DictReader(file)) == [
            {"step": "20", "psnr": "31.5"},
            {"step": "40", "psnr": "32.5"},
        ]
    assert (tmp_path / "samples-0000020.png").read_bytes().startswith(b"\x89PNG")
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert "log/psnr" in events.Tags()["scalars"]
