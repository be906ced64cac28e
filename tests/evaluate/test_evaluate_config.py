"""Configurations: what they may say, and how mistakes are named."""

from pathlib import Path

import pytest
from ui2c.cli import main
from ui2c.evaluate.codecs.base import number
from ui2c.evaluate.config import (
    Config,
    experiments_folder,
    load_config,
    read_toml,
    select,
    shipped_experiments,
)
from ui2c.evaluate.errors import ConfigError
from ui2c.evaluate.published import load_published

SEQUENCE = '[[sequences]]\nname = "a"\nfile = "a.yuv"\nwidth = 4\nheight = 2\n'
CODEC = '[[codecs]]\nname = "c"\nkind = "ffmpeg"\nencoder = "libx264"\npoints = [20, 30]\n'


def load(folder: Path, text: str, **options: int) -> Config:
    path = folder / "test.toml"
    path.write_text(text)
    return load_config(str(path), **options)


def test_jobs_are_all_pairs_and_points(tmp_path: Path) -> None:
    config = load(tmp_path, SEQUENCE + SEQUENCE.replace('"a"', '"b"') + CODEC)
    assert [(j.sequence.name, j.point) for j in config.jobs()] == [
        ("a", 20),
        ("a", 30),
        ("b", 20),
        ("b", 30),
    ]
    assert config.jobs()[0].path == Path("c/a/20.json")
    assert config.sequences[0].parts[0].path == str(tmp_path / "a.yuv")


def test_shipped_codecs_can_be_changed(tmp_path: Path) -> None:
    text = SEQUENCE + '[[codecs]]\nuse = "x265-medium-ld"\nname = "mine"\npoints = [30.5]\n'
    (codec,) = load(tmp_path, text).codecs
    assert (codec.common.name, codec.common.points) == ("mine", (30.5,))
    assert "bframes=0:keyint=-1:scenecut=0" in codec.definition()["options"]


def test_cut_down(tmp_path: Path) -> None:
    text = CODEC.replace("[20, 30]", "[10, 20, 30, 40, 50]")
    config = load(tmp_path, "frames = 96\n" + SEQUENCE + text, frames=8, points=3)
    assert config.sequences[0].parts[0].frames == 8
    assert config.codecs[0].common.points == (10, 30, 50)
    assert load(tmp_path, SEQUENCE + text, points=1).codecs[0].common.points == (30,)


def test_select(tmp_path: Path) -> None:
    other = CODEC.replace('"c"', '"d"')
    config = load(tmp_path, SEQUENCE + SEQUENCE.replace('"a"', '"b"') + CODEC + other)
    found = select(config, ["d", "b"])
    assert {(j.codec.common.name, j.sequence.name) for j in found.jobs()} == {("d", "b")}
    with pytest.raises(ConfigError, match="'x'"):
        select(config, ["x"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "is not TOML"),
        (CODEC, "test.toml: sequences is missing"),
        (SEQUENCE, "test.toml: codecs is missing"),
        ("colour = 1\n" + SEQUENCE + CODEC, "unknown key colour"),
        ("metrics = ['pnsr']\n" + SEQUENCE + CODEC, "metrics must be of psnr.*not 'pnsr'"),
        ("anchor = 'x'\n" + SEQUENCE + CODEC, "anchor must be one of c, not 'x'"),
        ("frames = 0\n" + SEQUENCE + CODEC, "frames must be 1 or more, not 0"),
        (SEQUENCE + SEQUENCE + CODEC, "two are called a"),
        (SEQUENCE + CODEC + CODEC, "two are called c"),
        (SEQUENCE + "pints = 4\n" + CODEC, "sequence 1: unknown key pints"),
        (SEQUENCE.replace("4", "'4'") + CODEC, "width must be an integer, not a string"),
        (SEQUENCE + "fps = 0\n" + CODEC, "fps must be a rate"),
        (SEQUENCE.replace('"a"', '"../a"') + CODEC, "a name is letters"),
        ('[[sequences]]\nuse = "hevc-z"\n' + CODEC, "no set of sequences 'hevc-z'"),
        ('[[sequences]]\nname = "a"\nparts = []\n' + CODEC, "parts must hold"),
        (SEQUENCE + '[[codecs]]\nuse = "x266"\n', "no codec 'x266'; shipped are ui2c"),
        (SEQUENCE + CODEC.replace("libx264", "mpeg9"), "encoder must be one of libx264"),
        (SEQUENCE + CODEC.replace('"ffmpeg"', '"mp9"'), "kind must be one of ui2c"),
        (SEQUENCE + CODEC.replace("[20, 30]", "[]"), "points must be one or more"),
        (SEQUENCE + CODEC.replace("[20, 30]", "[true]"), r"points\[0\] must be a number"),
        (SEQUENCE + '[[codecs]]\nuse = "ui2c"\npoints = [64]\n', "qp, integers from 0 to 63"),
        (SEQUENCE + '[[codecs]]\nuse = "ui2c"\ndevice = "tpu"\n', "device must be"),
        (
            SEQUENCE
            + '[[codecs]]\nname="t"\nkind="command"\npoints=[1]\nencode="x {q}"\ndecode="y"\n',
            "encode has 'q' in it; known in braces are",
        ),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, text)


@pytest.mark.parametrize("name", shipped_experiments())
def test_shipped_experiments_are_whole(name: str, tmp_path: Path) -> None:
    config = load_config(name, data=tmp_path)
    assert config.jobs()
    load_published(config.published)
    for sequence in config.sequences:
        assert all(Path(part.path).is_relative_to(tmp_path) for part in sequence.parts)


def test_published_figures_are_whole() -> None:
    names = list(read_toml(experiments_folder() / "published.toml"))
    tables = {table.name: table for table in load_published(names)}
    assert dict(tables["table-4"].rows)["UI2C"] == (-11.1, -25.8, -18.5, 12.0)
    with pytest.raises(ConfigError, match="no published figures 'x'"):
        load_published(["x"])


def test_an_unknown_experiment(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "no-such"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("ui2c: error: no experiment 'no-such'; shipped are")
    assert main(["evaluate", "--list"]) == 0
    assert "own-clips" in capsys.readouterr().out.split()
    assert main(["evaluate"]) == 2


def test_points_are_written_short() -> None:
    assert [number(value) for value in (22.0, 30.5, 0.25)] == ["22", "30.5", "0.25"]
