"""Training data: synthesis from photographs, crops of videos, shards."""

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from support.clips import write_video
from ui2c import _core
from ui2c.network.codec import Codec
from ui2c.network.config import config_for
from ui2c.train import clips as clips_module
from ui2c.train import shards, synthesis
from ui2c.train.clips import VALIDATION, ClipLibrary, decode, draw_clip, validation_clips
from ui2c.train.contact_sheet import contact_sheet, to_rgb, write_png
from ui2c.train.files import whole_file
from ui2c.train.graph import run_clip
from ui2c.train.loader import Loader
from ui2c.train.photographs import PhotographLibrary, load_photograph, rgb_to_yuv709
from ui2c.train.septuplets import find_septuplets
from ui2c.train.synthesis import Layer, Motion, Scene, View, render, synthesise


def texture(seed: int, height: int, width: int) -> np.ndarray:
    """Colour noise with detail at all scales, uint8 RGB."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), 128.0)
    for cells in (4, 16, 64, 128):
        bumps = rng.normal(0, 22, (cells, cells, 3))
        rows, columns = (np.arange(n) * cells // n for n in (height, width))
        image += bumps[rows][:, columns]
    return image.round().clip(0, 255).astype(np.uint8)


def panning(seed: int, count: int, height: int, width: int, step: int = 2) -> list[np.ndarray]:
    wide = texture(seed, height, width + step * count)[..., 0]
    return [np.ascontiguousarray(wide[:, step * i : step * i + width]) for i in range(count)]


@pytest.fixture(scope="module")
def photograph_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    for i in range(6):
        write_png(folder / f"{i}.png", texture(i, 420 + 10 * i, 560))
    return folder


@pytest.fixture(scope="module")
def video_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for name in ("pan", "other", *VALIDATION):
        write_video(folder / f"{name}.mkv", panning(len(name), 20, 272, 320))
    return folder


@pytest.fixture(scope="module")
def photographs(photograph_folder: Path) -> list:
    return PhotographLibrary(photograph_folder).window(0, 0)


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


def test_pyramid_does_not_alias(tmp_path: Path) -> None:
    """A grid finer than a level can show must become grey there, not a coarser grid."""
    stripes = np.zeros((400, 600, 3), np.uint8)
    stripes[:, ::2] = 255
    write_png(tmp_path / "stripes.png", stripes)
    photograph = load_photograph(tmp_path / "stripes.png")
    assert photograph.luma_levels == 2
    assert len(photograph.levels) == photograph.luma_levels + 2
    for level in photograph.levels[2:]:
        assert level[0, 8:-8, 8:-8].std() < 5  # of 127
        assert abs(level[0].mean() - 125.5) < 2


def test_window_depends_on_seed_and_position_only(photograph_folder: Path) -> None:
    small = PhotographLibrary(photograph_folder, capacity=3)
    names = [[p.name for p in small.window(4, i, advance=1)] for i in (0, 1, 5)]
    again = [
        p.name for p in PhotographLibrary(photograph_folder, capacity=3).window(4, 1, advance=1)
    ]
    assert again == names[1]
    assert names[0][1:] == names[1][:-1]
    assert {n for window in names for n in window} <= {f"{i}.png" for i in range(6)}


def test_folders_without_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no photographs"):
        PhotographLibrary(tmp_path)
    with pytest.raises(ValueError, match="no videos"):
        ClipLibrary(tmp_path, tmp_path / "cache")


# --- synthesis -----------------------------------------------------------------------------


def view(photographs: list, index: int = 0, ratio: float = 1.0) -> View:
    _, height, width = photographs[index].levels[0].shape
    return View(photographs[index], 0, ratio, (width // 2 + 0.5, height // 2 + 0.5))


def blob(photographs: list, motion: Motion) -> Layer:
    axis = torch.linspace(-1.6, 1.6, 65)
    mask = 1 - torch.hypot(axis[None], axis[:, None])[None, None]
    return Layer(view(photographs, 1), motion, (0.0, 0.0), mask, 20.0, 2.0, 1.0)


def test_locked_off_scene_is_exactly_still(photographs: list) -> None:
    scene = Scene(view(photographs, ratio=0.77), Motion(), (blob(photographs, Motion()),))
    luma, chroma = render(scene, 17, 128)
    assert luma.std() > 5
    assert (luma == luma[:1]).all()
    assert (chroma == chroma[:, :1]).all()


def test_pan_moves_the_picture_along_the_velocity(photographs: list) -> None:
    scene = Scene(view(photographs), Motion(velocity=np.array([2.0, -4.0])))
    luma, chroma = render(scene, 5, 64)
    torch.testing.assert_close(luma[1:, :-4, 2:], luma[:-1, 4:, :-2], atol=0.05, rtol=0)
    torch.testing.assert_close(chroma[:, 1:, :-2, 1:], chroma[:, :-1, 2:, :-1], atol=0.05, rtol=0)


def test_picture_is_the_photograph_at_ratio_one(photographs: list) -> None:
    luma, _ = render(Scene(view(photographs), Motion()), 1, 64)
    level = photographs[0].levels[0][0]
    y, x = level.shape[0] // 2 - 31, level.shape[1] // 2 - 31
    torch.testing.assert_close(luma[0], level[y : y + 64, x : x + 64], atol=0.05, rtol=0)


def test_layer_covers_what_lies_behind_it_and_nothing_else(photographs: list) -> None:
    behind, _ = render(Scene(view(photographs), Motion()), 3, 96)
    before, _ = render(Scene(view(photographs, 1), Motion(velocity=np.array([8.0, 0]))), 3, 96)
    layer = blob(photographs, Motion(velocity=np.array([8.0, 0])))
    both, _ = render(Scene(view(photographs), Motion(), (layer,)), 3, 96)
    for t, middle in enumerate((40, 48, 56)):
        inner = (t, slice(40, 56), slice(middle - 8, middle + 8))
        torch.testing.assert_close(both[inner], before[inner], atol=0.05, rtol=0)
        assert (both[t, :, : middle - 24] == behind[t, :, : middle - 24]).all()
        assert (both[t, :, middle + 24 :] == behind[t, :, middle + 24 :]).all()


def test_ripples_move_by_their_amplitude(photographs: list) -> None:
    """A wave as long as the world, at its crest, is a plain shift."""
    wave = np.array([[0.0, 0.0, 0.0, np.pi / 2, 3.0, 0.0]])
    rippled, _ = render(Scene(view(photographs), Motion(ripples=wave)), 1, 64)
    still, _ = render(Scene(view(photographs), Motion()), 1, 64)
    torch.testing.assert_close(rippled[0, :, :-3], still[0, :, 3:], atol=0.05, rtol=0)


def test_shutter_blurs_along_the_motion_only(photographs: list) -> None:
    motion = Motion(velocity=np.array([10.0, 0.0]))
    sharp, _ = render(Scene(view(photographs), motion), 2, 64)
    blurred, _ = render(Scene(view(photographs), motion, shutter=0.8), 2, 64)
    across = sharp.diff(dim=1).abs().mean() / blurred.diff(dim=1).abs().mean()
    along = sharp.diff(dim=2).abs().mean() / blurred.diff(dim=2).abs().mean()
    assert along > 1.3 * across


def test_a_fifth_of_the_cameras_is_locked_off_and_few_are_fast() -> None:
    cameras = [synthesis.draw_camera(np.random.default_rng([3, i])) for i in range(600)]
    times = np.arange(17) - 8.0
    steps = [np.hypot(*np.diff(c.offsets(times), axis=0).T).mean() for c in cameras]
    locked = [s == 0 and len(c.ripples) == 0 for s, c in zip(steps, cameras, strict=True)]
    assert np.mean(locked) >= 0.2
    assert 0.01 < np.mean(np.array(steps) > 5) < 0.2


@pytest.mark.parametrize(("frames", "size"), [(17, 128), (1, 64), (2, 64)])
def test_synthetic_clips_are_limited_range_and_repeatable(
    photographs: list, frames: int, size: int
) -> None:
    made = [
        synthesise(np.random.default_rng([7, i]), photographs, frames=frames, size=size)
        for i in (0, 0, 1, 2, 3)
    ]
    assert all(clip.shape == (frames, size * size * 3 // 2) for clip in made)
    assert all(clip.dtype == np.uint8 for clip in made)
    assert min(clip.min() for clip in made) >= 16
    assert max(clip[:, : size * size].max() for clip in made) <= 235
    assert max(clip[:, size * size :].max() for clip in made) <= 240
    assert (made[0] == made[1]).all()
    assert (made[1] != made[2]).any()


def test_noise_is_white_in_time() -> None:
    for i in range(20):
        luma, chroma = torch.full((9, 64, 64), 120.0), torch.full((2, 9, 32, 32), 128.0)
        synthesis.add_noise(np.random.default_rng(i), luma, chroma)
        noise = (luma - 120).flatten(1)
        if noise.std() > 0:
            correlation = (noise[1:] * noise[:-1]).mean() / noise.var()
            assert abs(correlation) < 0.05
            assert 0 < (chroma - 128).std() < noise.std()


# --- real clips ----------------------------------------------------------------------------


def test_library_leaves_validation_out_and_reads_its_cache(
    video_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos = ClipLibrary(video_folder, tmp_path).videos
    assert [v.name for v in videos] == ["other", "pan"]
    assert videos[0].y.shape == (20, 136, 160)
    assert videos[0].u.shape == videos[0].v.shape == (20, 68, 80)

    def no_decoding(path: Path) -> None:
        raise AssertionError(path)

    monkeypatch.setattr(clips_module, "decode", no_decoding)
    again = ClipLibrary(video_folder, tmp_path).videos
    assert (again[1].y == videos[1].y).all()
    assert again[1].frame_rate == videos[1].frame_rate == 25


def test_full_range_becomes_limited(tmp_path: Path) -> None:
    ramp = np.repeat(np.linspace(0, 255, 64).astype(np.uint8)[None], 64, axis=0)
    write_video(tmp_path / "full.mkv", [ramp], full_range=True)
    write_video(tmp_path / "limited.mkv", [ramp.clip(16, 235)])
    full, limited = (decode(tmp_path / f"{n}.mkv", scale=1).y[0] for n in ("full", "limited"))
    np.testing.assert_allclose(full, 16 + ramp * (219 / 255), atol=1.01)
    assert (limited == ramp.clip(16, 235)).all()


def test_crops_of_real_clips(video_folder: Path, tmp_path: Path) -> None:
    videos = ClipLibrary(video_folder, tmp_path).videos
    seen = set()
    for i in range(12):
        name, luma, chroma = draw_clip(np.random.default_rng(i), videos, frames=17, size=64)
        assert luma.shape == (17, 64, 64) and chroma.shape == (2, 17, 32, 32)
        assert (luma != luma[:1]).any()
        torch.testing.assert_close(chroma, torch.full_like(chroma, 128))
        seen.add(name)
    assert seen == {"other", "pan"}
    with pytest.raises(ValueError, match="none of which holds 21"):
        draw_clip(np.random.default_rng(0), videos, frames=21, size=64)
    with pytest.raises(ValueError, match="of 160×160"):
        draw_clip(np.random.default_rng(0), videos, frames=2, size=160)


def test_broken_video_is_loud(tmp_path: Path) -> None:
    (tmp_path / "broken.mkv").write_bytes(b"no video at all" * 40)
    with pytest.raises(av.FFmpegError):
        ClipLibrary(tmp_path, tmp_path / "cache")


def test_validation_clips_are_always_the_same(video_folder: Path, tmp_path: Path) -> None:
    options = {"size": 64, "frames": 6, "per_video": 3}
    fresh = validation_clips(video_folder, **options, cache=tmp_path / "kept")
    assert set(fresh) == set(VALIDATION)
    assert all(len(crops) == 3 for crops in fresh.values())
    for again in (
        validation_clips(video_folder, **options),
        validation_clips(tmp_path / "gone", **options, cache=tmp_path / "kept"),
    ):
        for name, crops in fresh.items():
            for a, b in zip(crops, again[name], strict=True):
                assert [p.shape for p in a] == [(6, 64, 64), (6, 32, 32), (6, 32, 32)]
                assert all((x == y).all() for x, y in zip(a, b, strict=True))


def test_missing_validation_video_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rooftops_vfr"):
        validation_clips(tmp_path)


# --- shards --------------------------------------------------------------------------------


def build(output: Path, photograph_folder: Path, video_folder: Path, **options: int | bool) -> None:
    shards.build_shards(
        output,
        photographs=photograph_folder,
        clips=video_folder,
        seed=5,
        clips_per_shard=4,
        cache=video_folder / "cache",
        **options,
    )


def test_shards_repeat_whatever_they_start_from(
    photograph_folder: Path, video_folder: Path, tmp_path: Path
) -> None:
    build(tmp_path / "a", photograph_folder, video_folder, count=2, motion=False)
    build(tmp_path / "b", photograph_folder, video_folder, count=1, first=1, motion=False)
    kinds = ("frames.npy", "json")
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == [
        f"shard_0000{i}.{kind}" for i in (0, 1) for kind in kinds
    ]
    for kind in kinds:
        a, b = (tmp_path / x / f"shard_00001.{kind}" for x in "ab")
        assert a.read_bytes() == b.read_bytes()
    frames = np.load(tmp_path / "a" / "shard_00000.frames.npy")
    assert frames.shape == (4, 17, 128 * 128 * 3 // 2) and frames.dtype == np.uint8
    tag = json.loads((tmp_path / "a" / "shard_00000.json").read_text())
    assert sorted(tag["clips"])[2:] == ["synthetic"] * 2
    assert set(tag["clips"]) <= {"synthetic", "pan", "other"}


def test_finished_shards_are_left_alone(
    photograph_folder: Path, video_folder: Path, tmp_path: Path
) -> None:
    build(tmp_path, photograph_folder, video_folder, count=1, motion=False)
    frames = tmp_path / "shard_00000.frames.npy"
    frames.write_bytes(b"mine")
    build(tmp_path, photograph_folder, video_folder, count=1, motion=False)
    assert frames.read_bytes() == b"mine"


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


def test_motion_predicts_panning_clips(photographs: list, tmp_path: Path) -> None:
    pans = [np.array(v) for v in ((3.25, 1.5), (-6.0, 0.0))]
    rendered = [render(Scene(view(photographs, ratio=0.6), Motion(v)), 17, 128) for v in pans]
    frames = np.stack([synthesis.pack(*planes) for planes in rendered])
    np.save(tmp_path / "shard_00003.frames.npy", frames)
    assert shards.add_motion(tmp_path) == 1
    assert shards.add_motion(tmp_path) == 0
    steps = np.load(tmp_path / "shard_00003.steps.npy")
    vectors = np.load(tmp_path / "shard_00003.vectors.npy")
    assert steps.shape == (2, 2, 8) and steps.dtype == np.uint8
    assert vectors.shape == (2, 2, 8, 2, 8, 8, 2) and vectors.dtype == np.int16
    assert set(np.unique(steps)) <= {16, 32, 64}

    luma = shards.luma_of(frames)
    grey = np.full((64, 64), 128, np.uint8)
    for clip, level, pair in np.ndindex(*steps.shape):
        step = int(steps[clip, level, pair])
        cells = 128 // step
        field = vectors[clip, level, pair]
        assert not field[:, cells:].any() and not field[:, :, cells:].any()
        reference, *coded = luma[clip, 2 * pair : 2 * pair + 3].astype(np.int32)
        predicted = _core.compensate(
            (luma[clip, 2 * pair], grey, grey),
            step,
            np.ascontiguousarray(field[:, :cells, :cells]),
        )
        for frame, (moved, _, _) in zip(coded, predicted, strict=True):
            inner = slice(16, -16)
            error = ((moved - frame)[inner, inner] ** 2).mean()
            assert error < 0.2 * ((reference - frame)[inner, inner] ** 2).mean()


def test_still_clips_have_no_motion() -> None:
    still = np.broadcast_to(np.arange(128 * 192, dtype=np.uint8), (1, 17, 128 * 192))
    steps, vectors = shards.motion_of(np.ascontiguousarray(still))
    assert not steps.any() and not vectors.any()


def test_command_line_builds_shards_with_motion(
    photograph_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    options = ["--photographs", str(photograph_folder), "--synthetic-share", "1"]
    shards.main([str(tmp_path), *options, "--first", "7", "--clips-per-shard", "2"])
    kinds = ("frames.npy", "json", "steps.npy", "vectors.npy")
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"shard_00007.{k}" for k in kinds]
    with pytest.raises(SystemExit):
        shards.main([str(tmp_path), *options[:2]])


@pytest.fixture
def septuplet_folder(tmp_path: Path) -> Path:
    """Two septuplets that pan by 2 samples a frame, and a folder that holds but six pictures."""
    rng = np.random.default_rng(4)
    wide = np.repeat(np.repeat(rng.integers(0, 255, (36, 48, 3), np.uint8), 4, 0), 4, 1)
    for name, count in (("00001/0001", 7), ("00001/0002", 7), ("00002/0001", 6)):
        folder = tmp_path / "sequences" / name
        folder.mkdir(parents=True)
        for i in range(count):
            picture = np.ascontiguousarray(wide[:, 2 * i : 2 * i + 160])
            encoder = av.CodecContext.create("png", "w")
            assert isinstance(encoder, av.VideoCodecContext)
            encoder.width, encoder.height = 160, 144
            encoder.pix_fmt, encoder.time_base = "rgb24", Fraction(1, 25)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            data = b"".join(bytes(p) for p in [*encoder.encode(frame), *encoder.encode(None)])
            (folder / f"im{i + 1}.png").write_bytes(data)
    return tmp_path / "sequences"


def test_septuplets_make_clips_of_three_pairs(septuplet_folder: Path, tmp_path: Path) -> None:
    names = [str(p.relative_to(septuplet_folder)) for p in find_septuplets(septuplet_folder)]
    assert names == ["00001/0001", "00001/0002"]
    output = tmp_path / "shards"
    options = ["--septuplets", str(septuplet_folder), "--clips-per-shard", "3", "--no-motion"]
    shards.main([str(output), *options])
    frames = np.load(output / "shard_00000.frames.npy")
    assert frames.shape == (3, 7, 128 * 192)
    tag = json.loads((output / "shard_00000.json").read_text())
    assert set(tag["clips"]) <= set(names)
    luma = shards.luma_of(frames).astype(np.int32)
    for clip in luma:
        error = min(
            np.abs(clip[1:, :, 8:-8] - np.roll(clip[:-1], shift, 2)[:, :, 8:-8]).mean()
            for shift in (-2, 2)
        )
        assert error < 0.3 * np.abs(clip[1:] - clip[:-1]).mean()
    with pytest.raises(ValueError, match=r"no folders with im1\.png"):
        find_septuplets(output)


def test_longer_clips_and_shards_of_mixed_lengths(
    photograph_folder: Path, video_folder: Path, tmp_path: Path
) -> None:
    build(tmp_path, photograph_folder, video_folder, count=1, synthetic_share=1, pairs=2)
    build(tmp_path, photograph_folder, video_folder, count=1, synthetic_share=1, first=1, pairs=9)
    shapes = [np.load(tmp_path / f"shard_0000{i}.steps.npy").shape for i in (0, 1)]
    assert shapes == [(4, 2, 2), (4, 2, 9)]
    loader = Loader(tmp_path, config_for("nano"), seed=1)
    for units in (2, 9):
        batch, _ = loader.batch(6, units)
        assert batch.frames.shape[:2] == (6, 1 + 2 * units)
        assert batch.steps.shape == (6, units)
    with pytest.raises(ValueError, match=r"no shard .* clips of 21 frames"):
        loader.batch(1, 10)


def test_larger_clips(photograph_folder: Path, video_folder: Path, tmp_path: Path) -> None:
    for number, size in enumerate((64, 192)):
        build(
            tmp_path,
            photograph_folder,
            video_folder,
            count=1,
            first=number,
            synthetic_share=1,
            pairs=2,
            size=size,
        )
    loader = Loader(tmp_path, config_for("nano"), seed=1)
    batch, start = loader.batch(2, 2, size=192)
    assert batch.frames.shape == (2, 5, 24, 24, 96)
    assert batch.vectors.shape == (2, 2, 2, 12, 12, 2)
    assert torch.isfinite(run_clip(Codec(config_for("nano")), batch, start).error).all()
    with pytest.raises(ValueError, match="128 × 128"):
        loader.batch(1, 2)


# --- contact sheets ------------------------------------------------------------------------


def test_contact_sheet_shows_five_frames_of_each_clip(tmp_path: Path) -> None:
    clips = np.full((4, 17, 32 * 32 * 3 // 2), 128, np.uint8)
    clips[1, :, : 32 * 32] = 235
    sheet = contact_sheet(clips, size=32, columns=3)
    assert sheet.shape == (2 * 36, 3 * (5 * 32 + 8), 3)
    assert (sheet[:32, 168 : 168 + 160] == 255).all()
    write_png(tmp_path / "sheet.png", sheet)
    with av.open(str(tmp_path / "sheet.png")) as container:
        assert (next(container.decode(video=0)).to_ndarray(format="rgb24") == sheet).all()


def test_colours_survive_the_way_there_and_back() -> None:
    rgb = np.repeat(np.array([[[200, 40, 90]]], np.uint8), 16, axis=0).repeat(16, axis=1)
    yuv = rgb_to_yuv709(rgb)
    clip = synthesis.pack(yuv[:1], yuv[1:, None, ::2, ::2])
    assert np.abs(to_rgb(clip, 16)[0].astype(int) - rgb).max() <= 2
