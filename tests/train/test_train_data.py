"""Training data: tiles and reels, clips made of them, batches."""

from pathlib import Path

import av
import numpy as np
import pytest
import torch
from support.clips import write_video
from support.sources import panning
from torch import Tensor
from ui2c.network.config import config_for
from ui2c.train.data import sources as sources_module
from ui2c.train.data.batches import LEAD, Batches
from ui2c.train.data.clips import ClipMaker, RealClips
from ui2c.train.data.contact_sheet import contact_sheet, to_rgb, write_png
from ui2c.train.data.contact_sheet import main as draw_sheet
from ui2c.train.data.render import LAYER_SHARES, add_noise, render, synthesise
from ui2c.train.data.scenes import Dice, Paths, cameras
from ui2c.train.data.sources import Reels, Sources, mirror, rgb_to_yuv709
from ui2c.train.data.validation import validation_clips
from ui2c.train.data.videos import VALIDATION, read_video, training_videos
from ui2c.train.files import whole_file

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def sources(data: Path) -> Sources:
    return Sources.load(data, CPU)


# --- photographs ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rgb", "yuv"),
    [
        ((255, 255, 255), (235, 128, 128)),
        ((0, 0, 0), (16, 128, 128)),
        ((255, 0, 0), (62.6, 102.3, 240)),
        ((0, 0, 255), (31.8, 240, 117.7)),
    ],
)
def test_rgb_becomes_bt709_limited_range(rgb: tuple, yuv: tuple) -> None:
    out = rgb_to_yuv709(np.full((1, 2, 3), rgb, np.uint8))
    assert out.shape == (3, 1, 2)
    np.testing.assert_allclose(out[:, 0, 0], yuv, atol=0.1)


def test_tiles_do_not_alias(tmp_path: Path) -> None:
    """A grid finer than a scale can show must become grey there, not a coarser grid."""
    stripes = np.zeros((400, 600, 3), np.uint8)
    stripes[:, ::2] = 255
    write_png(tmp_path / "stripes.png", stripes)
    tiles = sources_module.load_tiles(tmp_path, side=64)
    smallest = tiles.luma[-1, 0, 8:-8, 8:-8].float()
    assert smallest.std() < 5 and abs(smallest.mean() - 125.5) < 2


def test_tiles_cover_an_axis() -> None:
    assert [int(t[0]) for t in mirror(720, 384)] == [0, 336]
    assert [len(t) for t in mirror(720, 384)] == [384, 384]
    (small,) = mirror(3, 8)
    assert small.tolist() == [0, 1, 2, 2, 1, 0, 0, 1]
    assert [int(t[-1]) for t in mirror(400, 384)][-1] in (383, 399)


# --- videos --------------------------------------------------------------------------------


def test_full_range_becomes_limited(tmp_path: Path) -> None:
    ramp = np.repeat(np.linspace(0, 255, 64).astype(np.uint8)[None], 64, axis=0)
    write_video(tmp_path / "full.mkv", [ramp], full_range=True)
    write_video(tmp_path / "limited.mkv", [ramp.clip(16, 235)])
    full, limited = (
        next(read_video(tmp_path / f"{n}.mkv", [1]))[0][0] for n in ("full", "limited")
    )
    np.testing.assert_allclose(full, 16 + ramp * (219 / 255), atol=1.01)
    assert (limited == ramp.clip(16, 235)).all()


def test_frames_come_at_every_scale_and_at_most_so_fast(made: Path) -> None:
    path = made / "videos" / "pan.mkv"
    frames = list(read_video(path, (1, 2)))
    assert [planes[0].shape for planes in frames[0]] == [(272, 320), (136, 160)]
    assert frames[0][1][1].shape == (68, 80)
    assert len(frames) == 12 and len(list(read_video(path, [2], fastest=20))) == 6


def test_validation_videos_are_never_trained_on(made: Path, tmp_path: Path) -> None:
    assert [p.stem for p in training_videos(made / "videos")] == ["other", "pan"]
    with pytest.raises(ValueError, match="no videos"):
        training_videos(tmp_path)


def test_validation_clips_are_always_the_same(made: Path, tmp_path: Path) -> None:
    options = {"size": 64, "frames": 5, "per_video": 2}
    first = validation_clips(made / "videos", cache=tmp_path, **options)
    cached = validation_clips(tmp_path / "gone", cache=tmp_path, **options)
    assert list(first) == list(cached) == list(VALIDATION)
    for name, clips in first.items():
        assert [p.shape for p in clips[0]] == [(5, 64, 64), (5, 32, 32), (5, 32, 32)]
        for a, b in zip(clips, cached[name], strict=True):
            assert all((x == y).all() for x, y in zip(a, b, strict=True))
    with pytest.raises(ValueError, match="is not in"):
        validation_clips(tmp_path, **options)
    with pytest.raises(ValueError, match="hold no 13 of 64"):
        validation_clips(made / "videos", size=64, frames=13)


# --- sources -------------------------------------------------------------------------------


def test_sources_are_what_was_decoded(made: Path, sources: Sources) -> None:
    tiles, reels = sources.tiles, sources.reels
    assert tiles is not None and reels is not None
    assert tiles.luma.shape[1:] == (1, 384, 384) and tiles.chroma.shape[1:] == (2, 192, 192)
    assert (tiles.extent <= 1).all() and len(tiles.texture) == len(tiles.luma)
    assert reels.video.tolist() == [0, 0, 0, 1, 1, 1]
    assert reels.height.tolist()[:3] == [136, 88, 60] and reels.frames.tolist() == [12] * 6
    for reel, path in ((1, "other"), (3, "pan")):
        scale = [2.0, 3.0][reel % 3]
        frames = list(read_video(made / "videos" / f"{path}.mkv", [scale]))
        flat = np.concatenate([plane.ravel() for (planes,) in frames for plane in planes])
        start = int(reels.start[reel])
        assert np.array_equal(reels.data[start : start + len(flat)].numpy(), flat)


def test_the_command_makes_sources_of_one_kind(made: Path, tmp_path: Path) -> None:
    assert sources_module.main([str(tmp_path / "a"), "--videos", str(made / "videos")]) == 0
    loaded = Sources.load(tmp_path / "a", CPU)
    assert loaded.tiles is None and loaded.reels is not None
    luma, _ = ClipMaker(loaded, Dice(CPU, 1)).clips(3, 5, 64)
    assert luma.shape == (3, 5, 64, 64)
    with pytest.raises(SystemExit):
        sources_module.main([str(tmp_path / "b")])


def test_missing_and_other_sources_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no whole training sources"):
        Sources.load(tmp_path, CPU)
    (tmp_path / "index.json").write_text('{"version": 0}')
    with pytest.raises(ValueError, match="version 0"):
        Sources.load(tmp_path, CPU)
    with pytest.raises(ValueError, match="no photographs"):
        sources_module.build_sources(tmp_path, tmp_path, None)


# --- scenes --------------------------------------------------------------------------------


def still(count: int) -> Paths:
    return cameras(Dice(CPU, 1), count).still()


def test_cameras_stand_still_or_move() -> None:
    paths = cameras(Dice(CPU, 4), 400)
    places = paths.positions(torch.tensor([-1.0, 1.0]), 16)
    travelled = (places[:, 1] - places[:, 0]).abs().amax((1, 2, 3))
    assert 0.15 < float((travelled == 0).float().mean()) < 0.35
    assert float(travelled.median()) < 4 < float(travelled.max())


def test_a_path_moves_the_picture_along_its_velocity() -> None:
    path = Paths(**{**vars(still(1)), "velocity": torch.tensor([[2.0, -4.0]])})
    before, after = path.positions(torch.tensor([0.0, 1.0]), 32)[0]
    torch.testing.assert_close(after[:-4, 2:], before[4:, :-2])


def test_ripples_move_by_their_amplitude() -> None:
    """A wave as long as the world, at its crest, is a plain shift."""
    wave = torch.zeros(1, 3, 6)
    wave[0, 0] = torch.tensor([0, 0, 0, torch.pi / 2, 3.0, 0])
    rippled = Paths(**{**vars(still(1)), "ripples": wave}).positions(torch.zeros(1), 32)
    plain = still(1).positions(torch.zeros(1), 32)
    torch.testing.assert_close(rippled, plain + torch.tensor([3.0, 0.0]))


def test_a_still_scene_is_exactly_still(sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    from ui2c.train.data import render as render_module

    assert sources.tiles is not None
    monkeypatch.setattr(render_module, "cameras", lambda dice, n: still(n))
    monkeypatch.setattr(render_module, "things", lambda dice, camera: camera)
    luma, chroma = render(Dice(CPU, 2), sources.tiles, 4, torch.arange(5.0), 64)
    assert luma.std() > 5 and (luma == luma[:, :1]).all() and (chroma == chroma[:, :1]).all()


def test_few_clips_have_all_there_is_in_the_long_run() -> None:
    dice = Dice(CPU, 3)
    for share in (*LAYER_SHARES, 0.08):
        counts = [dice.round(share) for _ in range(400)]
        assert set(counts) == {0, 1} and abs(np.mean(counts) - share) < 0.1


def test_synthetic_clips_depend_on_the_seed(sources: Sources) -> None:
    assert sources.tiles is not None
    made = [synthesise(Dice(CPU, seed), sources.tiles, 3, 5, 64) for seed in (7, 7, 8)]
    assert made[0][0].shape == (3, 5, 64, 64) and made[0][1].shape == (3, 5, 2, 32, 32)
    assert torch.equal(made[0][0], made[1][0]) and not torch.equal(made[0][0], made[2][0])


def test_noise_is_white_in_time() -> None:
    luma, chroma = torch.full((40, 9, 64, 64), 120.0), torch.full((40, 9, 2, 32, 32), 128.0)
    noisy, colour = add_noise(Dice(CPU, 1), luma, chroma)
    quiet = 0
    for y, uv in zip(noisy - luma, colour - chroma, strict=True):
        if not y.any():
            quiet += 1
            continue
        assert abs(float((y[1:] * y[:-1]).mean() / y.var())) < 0.05
        assert 0 < uv.std() < y.std()
    assert 4 < quiet < 25


# --- clips ---------------------------------------------------------------------------------


def test_clips_are_of_limited_range(sources: Sources) -> None:
    for count in (1, 2, 7):
        luma, chroma = ClipMaker(sources, Dice(CPU, count)).clips(count, 5, 64)
        assert luma.shape == (count, 5, 64, 64) and luma.dtype == torch.uint8
        assert chroma.shape == (count, 5, 2, 32, 32)
        assert luma.min() >= 16 and luma.max() <= 235
        assert chroma.min() >= 16 and chroma.max() <= 240


def ramp_reel(frames: int, height: int, width: int) -> Reels:
    """One video whose samples tell where they are: 100 · frame + 10 · row + column, in 64."""
    parts = []
    for t in range(frames):
        for k in (1, 2, 2):
            y, x = np.mgrid[: height // k, : width // k]
            parts.append(((100 * t + 10 * y + x) % 64).astype(np.uint8).ravel())
    columns = torch.tensor([[0, frames, height, width, 0]]).unbind(1)
    return Reels(torch.from_numpy(np.concatenate(parts)), *columns)


def test_real_clips_are_windows_of_the_reels() -> None:
    clips = RealClips(ramp_reel(8, 48, 64), Dice(CPU, 3), 3, 32)

    def place(*values: int) -> Tensor:
        return torch.tensor(values)[:, None]

    # From frame 2, every second frame, from row 4 and column 8, as it is.
    luma = clips.gather(place(0, 2, 2, 4, 8, 0, 0, 0, 0), 0)
    y, x = np.mgrid[4:36, 8:40]
    for t in range(3):
        assert np.array_equal(luma[0, t].numpy(), (100 * (2 + 2 * t) + 10 * y + x) % 64)
    chroma = clips.gather(place(0, 2, 2, 4, 8, 0, 0, 0, 0), 2)
    y, x = np.mgrid[2:18, 4:20]
    assert np.array_equal(chroma[0, 1].numpy(), (400 + 10 * y + x) % 64)
    backwards = clips.gather(place(0, 2, 2, 4, 8, 1, 1, 0, 1), 0)
    assert torch.equal(backwards[0, 0], luma[0, 2].t().flip(0))


def test_windows_lie_within_what_is_large_and_long_enough(sources: Sources) -> None:
    reels = sources.reels
    assert reels is not None
    places = RealClips(reels, Dice(CPU, 3), 7, 64).place(200)
    reel, first, stride, top, left = places[:5]
    # The smallest scale has no room for 64 × 64; both videos come as often.
    assert set(reel.tolist()) == {0, 1, 3, 4}
    assert abs(float((reels.video[reel] == 0).float().mean()) - 0.5) < 0.15
    assert (first + 6 * stride < reels.frames[reel]).all()
    assert (top + 64 <= reels.height[reel]).all() and (left + 64 <= reels.width[reel]).all()
    with pytest.raises(ValueError, match="13 frames of 64 × 64"):
        RealClips(reels, Dice(CPU, 1), 13, 64)


# --- batches -------------------------------------------------------------------------------


def test_a_batch_depends_on_seed_step_and_process_alone(sources: Sources) -> None:
    config = config_for("nano")
    batches = Batches(sources, config, seed=1)
    batch = batches.draw(6, 2, 64, step=5)
    assert batch.frames.shape == (6, 5, 8, 8, 96)
    codes = batch.frames * 256 + 128
    assert torch.equal(codes, codes.round()) and codes.min() >= 16 and codes.max() <= 240
    assert ((batch.rows >= 0) & (batch.rows < 64)).all() and (batch.lead <= LEAD).all()
    batches.draw(3, 1, 64, step=6)
    for other, same in (
        (batches.draw(6, 2, 64, step=5), True),
        (batches.draw(6, 2, 64, step=6), False),
        (batches.draw(6, 2, 64, step=5, rank=1), False),
        (Batches(sources, config, seed=2).draw(6, 2, 64, step=5), False),
    ):
        assert torch.equal(batch.frames, other.frames) == same
        assert torch.equal(batch.reference, other.reference) == same


@pytest.mark.parametrize(("references", "share"), [("hybrid", 0.5), ("blank", 1.0), ("frame", 0.0)])
def test_what_clips_begin_from(sources: Sources, references: str, share: float) -> None:
    batches = Batches(sources, config_for("nano"), seed=2, references=references)
    batch = batches.draw(60, 1, 64, step=0)
    assert abs(float(batch.blank.float().mean()) - share) < 0.2
    assert share in (0.5, float(batch.blank.float().mean()))
    true = (batch.reference == batch.frames[:, 0]).flatten(1).all(1)
    grey = (batch.reference == 0).flatten(1).all(1)
    assert torch.equal(grey, batch.blank)
    if share < 1:
        assert true.any() and (~true & ~grey).any()
    assert batches.draw(5, 1, 64, step=0, blank=True).blank.all()


def test_a_still_alone_has_no_lead(sources: Sources) -> None:
    batches = Batches(sources, config_for("nano"), seed=2)
    assert not batches.draw(30, 1, 64, step=0).lead.any()
    assert batches.draw(30, 2, 64, step=0).lead.any()


# --- files and contact sheets --------------------------------------------------------------


def test_files_appear_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(RuntimeError), whole_file(path) as file:
        file.write(b"half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with whole_file(path) as file:
        file.write(b"whole")
        assert not path.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"whole"


def test_contact_sheet_shows_five_frames_of_each_clip(tmp_path: Path) -> None:
    clips = np.full((4, 17, 32 * 32 * 3 // 2), 128, np.uint8)
    clips[1, :, : 32 * 32] = 235
    sheet = contact_sheet(clips, size=32, columns=3)
    assert sheet.shape == (2 * 36, 3 * (5 * 32 + 8), 3)
    assert (sheet[:32, 168 : 168 + 160] == 255).all()
    write_png(tmp_path / "sheet.png", sheet)
    with av.open(str(tmp_path / "sheet.png")) as container:
        assert (next(container.decode(video=0)).to_ndarray(format="rgb24") == sheet).all()


def test_the_command_draws_clips_of_sources(tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    write_video(folder / "long.mkv", panning(1, 18, 140, 160))
    sources_module.build_sources(tmp_path / "sources", None, folder)
    draw_sheet([str(tmp_path / "sources"), str(tmp_path / "a.png"), "--count=2", "--size=64"])
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_colours_survive_the_way_there_and_back() -> None:
    rgb = np.repeat(np.array([[[200, 40, 90]]], np.uint8), 16, axis=0).repeat(16, axis=1)
    y, u, v = rgb_to_yuv709(rgb).round().to(torch.uint8).numpy()
    clip = np.concatenate([y.ravel(), u[::2, ::2].ravel(), v[::2, ::2].ravel()])[None]
    assert np.abs(to_rgb(clip, 16)[0].astype(int) - rgb).max() <= 2
