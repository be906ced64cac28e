"""Jobs from the configuration to the results on disk, with stand-ins for the programs."""

import io
import json
import sys
from concurrent.futures import Executor, Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.clips import make_clip
from support.paths import TESTS
from support.standin import die_at_13
from ui2c import YUV420
from ui2c.cli import main
from ui2c.evaluate.config import Config, load_config
from ui2c.evaluate.job import do
from ui2c.evaluate.png import read_png
from ui2c.evaluate.process import run
from ui2c.evaluate.runner import Outcome, evaluate
from ui2c.segments.executors import Processes, workers
from ui2c.video import Description, open_sink

STANDIN = TESTS / "support" / "standin.py"
PROGRAMS = ("ffmpeg", "ffprobe", "EncoderAppStatic", "DecoderAppStatic")
FRAMES = 4


class Here(Executor):
    """Does the work at once, in this process."""

    def submit(self, work: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(work(*arguments, **options))
        except Exception as error:
            future.set_exception(error)
        return future


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the stand-ins under the names of the programs."""
    folder = tmp_path_factory.mktemp("programs")
    for name in PROGRAMS:
        path = folder / name
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "{STANDIN}" {name} "$@"\n')
        path.chmod(0o755)
    return folder


@pytest.fixture(autouse=True)
def on_path(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(programs), prepend=":")


def write(path: Path, frames: list[YUV420]) -> Path:
    first = frames[0]
    sink = open_sink(path, Description(first.width, first.height, first.bit_depth))
    for frame in frames:
        sink.write(frame)
    sink.close()
    return path


def configure(folder: Path, codecs: str, head: str = "", sequences: str | None = None) -> Config:
    """A configuration in `folder` over four frames of 36x20 as y4m."""
    if not (folder / "waves.y4m").exists():
        write(folder / "waves.y4m", make_clip(36, 20, FRAMES))
    if sequences is None:
        sequences = '[[sequences]]\nname = "waves"\nclass = "small"\nfile = "waves.y4m"\n'
    path = folder / "test.toml"
    path.write_text(head + sequences + codecs)
    return load_config(str(path))


def codec(encoder: str, options: str = "", name: str = "c", points: str = "[20, 40]") -> str:
    return (
        f'[[codecs]]\nname = "{name}"\nkind = "ffmpeg"\nencoder = "{encoder}"\n'
        f'options = "{options}"\npoints = {points}\n'
    )


def only_result(config: Config) -> dict[str, Any]:
    """Of the first job."""
    return do(config.jobs()[0]).result


def evaluate_here(config: Config, results: Path, **options: Any) -> Outcome:
    return evaluate(config, results, Here(), 1, **options)


def test_a_result_has_everything(tmp_path: Path) -> None:
    head = 'metrics = ["psnr", "ms-ssim", "rgb", "vmaf"]\npictures = [1, 99]\n'
    config = configure(tmp_path, codec("libx264"), head)
    log = io.StringIO()
    outcome = evaluate_here(config, tmp_path / "results", log=log)
    assert (len(outcome.done), outcome.failed) == (2, {})
    assert "[2/2] waves c 40:" in log.getvalue()
    first, second = (
        json.loads((tmp_path / f"results/c/waves/{point}.json").read_text()) for point in (20, 40)
    )
    assert first["bits"] > second["bits"]
    assert first["psnr"] > second["psnr"]
    assert first["bpp"] == pytest.approx(first["bits"] / (36 * 20 * FRAMES))
    assert first["kbps"] == pytest.approx(first["bits"] * 25 / FRAMES / 1000)
    assert first["psnr"] == pytest.approx(
        (6 * first["psnr_y"] + first["psnr_u"] + first["psnr_v"]) / 8
    )
    assert first["vmaf"] == 91.5
    assert all(len(values) == FRAMES for values in first["frames"].values())
    # The stand-in's own framing is all that belongs to no frame.
    assert first["bits"] - sum(first["frames"]["bits"]) == 8 * (4 + 4 * FRAMES)
    assert first["sequence"]["class"] == "small"
    assert first["versions"]["ffmpeg"] == "9.9-stand-in"
    assert first["encode"]["seconds"] > 0
    assert first["decode"]["command"].startswith("ffmpeg ")
    assert read_png((tmp_path / "results/c/waves/20/1.png").read_bytes()).shape == (20, 36, 3)
    assert read_png((tmp_path / "results/source/waves/1.png").read_bytes()).shape == (20, 36, 3)


@pytest.mark.parametrize(
    ("encoder", "options", "command"),
    [
        (
            "libx264",
            "-preset medium -tune psnr -bf 0 -g 9999 -sc_threshold 0",
            "-c:v libx264 -preset medium -tune psnr -bf 0 -g 9999 -sc_threshold 0 -threads 1 "
            "-bsf:v filter_units=remove_types=6 -crf 20 -f h264 coded.264",
        ),
        (
            "libx265",
            "-preset medium -tune psnr -x265-params bframes=0:keyint=-1:scenecut=0",
            "-c:v libx265 -preset medium -tune psnr -x265-params "
            "bframes=0:keyint=-1:scenecut=0:pools=1:frame-threads=1:info=0 -crf 20 -f hevc "
            "coded.265",
        ),
        (
            "libsvtav1",
            "-preset 6",
            "-c:v libsvtav1 -preset 6 -svtav1-params lp=1 -crf 20 -f obu coded.obu",
        ),
        ("libaom-av1", "-b:v 0", "-c:v libaom-av1 -b:v 0 -threads 1 -crf 20 -f obu coded.obu"),
        ("libvpx-vp9", "-b:v 0", "-c:v libvpx-vp9 -b:v 0 -threads 1 -crf 20 -f ivf coded.ivf"),
    ],
)
def test_commands_of_ffmpeg(tmp_path: Path, encoder: str, options: str, command: str) -> None:
    result = only_result(configure(tmp_path, codec(encoder, options)))
    assert result["encode"]["command"] == (
        "ffmpeg -hide_banner -nostdin -y -f rawvideo -pix_fmt yuv420p -s 36x20 -r 25 "
        f"-i source.yuv -frames:v 4 {command}"
    )
    if encoder == "libvpx-vp9":
        assert result["bits"] == sum(result["frames"]["bits"])


REFERENCES = """
[[codecs]]
use = "vtm-17.0"
name = "vtm"
config = "{folder}/encoder_lowdelay_vtm.cfg"
points = [22]
[[codecs]]
use = "ecm-11.0"
name = "ecm"
config = "{folder}/encoder_lowdelay_ecm.cfg"
points = [22]
"""


def test_commands_of_the_reference_encoders(tmp_path: Path) -> None:
    for name in ("vtm", "ecm"):
        (tmp_path / f"encoder_lowdelay_{name}.cfg").write_text("# made by JVET\n")
    config = configure(tmp_path, REFERENCES.format(folder=tmp_path))
    vtm, ecm = (do(job).result for job in config.jobs())
    assert vtm["encode"]["command"] == (
        "EncoderAppStatic -c encoder_lowdelay_vtm.cfg --InputFile=source.yuv --InputBitDepth=8 "
        "--OutputBitDepth=8 --OutputBitDepthC=8 --FrameRate=25 --DecodingRefreshType=2 "
        "--FramesToBeEncoded=4 --SourceWidth=36 --SourceHeight=20 --IntraPeriod=-1 --QP=22 "
        "--Level=6.2 --BitstreamFile=coded.bin"
    )
    assert vtm["decode"]["command"] == "DecoderAppStatic -b coded.bin -d 8 -o decoded.yuv"
    assert ecm["encode"]["command"] == (
        "EncoderAppStatic -c encoder_lowdelay_ecm.cfg --InputFile=source.yuv "
        "--InputChromaFormat=420 --InputBitDepth=8 --FrameRate=25 --SourceWidth=36 "
        "--SourceHeight=20 --IntraPeriod=-1 --FramesToBeEncoded=4 --QP=22 "
        "--BitstreamFile=coded.bin --ReconFile=decoded.yuv"
    )
    assert ecm["decode"] is None
    assert ecm["notes"] == ["pictures are the encoder's own reconstruction"]
    assert vtm["versions"]["vtm"] == "17.0"
    for result in (vtm, ecm):
        assert result["bits"] - sum(result["frames"]["bits"]) == 8 * (4 + 4 * FRAMES)
    assert vtm["psnr"] == ecm["psnr"]


def test_ten_bit_raw_is_given_and_compared_at_ten_bits(tmp_path: Path) -> None:
    (tmp_path / "encoder_lowdelay_vtm.cfg").write_text("")
    clip = make_clip(17, 9, 3, bit_depth=10)
    write(tmp_path / "ten.yuv", clip)
    sequences = (
        '[[sequences]]\nname = "ten"\nfile = "ten.yuv"\nwidth = 17\nheight = 9\nbit_depth = 10\n'
        'fps = "30000/1001"\nframes = 2\n'
    )
    codecs = REFERENCES.partition('[[codecs]]\nuse = "ecm-11.0"')[0].format(folder=tmp_path)
    config = configure(tmp_path, codecs + codec("libx264", points="[22]"), "", sequences)
    vtm, x264 = (do(job).result for job in config.jobs())
    for part in ("--InputBitDepth=10", "--OutputBitDepth=10", "--FramesToBeEncoded=2"):
        assert part in vtm["encode"]["command"]
    assert "-pix_fmt yuv420p10le -s 17x9 -r 30000/1001" in x264["encode"]["command"]
    assert vtm["sequence"]["frames"] == 2
    # What the stand-in leaves of a sample at point 22: all but its three lowest bits, of 1023.
    errors = [float(np.mean((frame.y & 7).astype(float) ** 2)) for frame in clip[:2]]
    expected = np.mean([10 * np.log10(1023**2 / error) for error in errors])
    assert vtm["psnr_y"] == x264["psnr_y"] == pytest.approx(expected)


def test_ranges_and_joins(tmp_path: Path) -> None:
    sequences = """
[[sequences]]
name = "joined"
parts = [{ file = "waves.y4m", skip = 1, frames = 2 }, { file = "waves.y4m", frames = 1 }]
"""
    config = configure(tmp_path, codec("libx264"), "", sequences)
    clip = make_clip(36, 20, FRAMES)
    assert list(config.sequences[0].frames()) == [clip[1], clip[2], clip[0]]
    assert only_result(config)["sequence"]["cuts"] == [2]


@pytest.mark.parametrize(
    ("sequences", "message"),
    [
        ('[[sequences]]\nname = "s"\nfile = "none.y4m"\n', "No such file"),
        ('[[sequences]]\nname = "s"\nfile = "waves.y4m"\nframes = 9\n', "9 frames are wanted.*4"),
        ('[[sequences]]\nname = "s"\nfile = "waves.y4m"\nskip = 9\n', "has no frame"),
        (
            '[[sequences]]\nname = "s"\nparts = [{file = "waves.y4m", frames = 1}, '
            '{file = "other.y4m"}]\n',
            "other.y4m must be 36x20",
        ),
    ],
)
def test_what_is_wrong_with_a_sequence(tmp_path: Path, sequences: str, message: str) -> None:
    write(tmp_path / "other.y4m", make_clip(8, 8, 1))
    good = '[[sequences]]\nname = "waves"\nfile = "waves.y4m"\n'
    config = configure(tmp_path, codec("libx264", points="[20]"), "", sequences + good)
    outcome = evaluate_here(config, tmp_path / "results")
    assert [path.name for path in outcome.done] == ["20.json"]
    assert outcome.failed.keys() == {"s c 20"}
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(outcome.failed["s c 20"])


def test_resuming_does_only_what_is_missing_or_has_changed(tmp_path: Path) -> None:
    results = tmp_path / "results"
    assert len(evaluate_here(configure(tmp_path, codec("libx264")), results).done) == 2
    (results / "c/waves/20.json").write_text("{broken")
    outcome = evaluate_here(configure(tmp_path, codec("libx264")), results)
    assert (len(outcome.done), len(outcome.kept)) == (1, 1)
    changed = configure(tmp_path, codec("libx264", "-preset slow"))
    assert len(evaluate_here(changed, results).done) == 2
    assert len(evaluate_here(changed, results).kept) == 2
    assert len(evaluate_here(changed, results, again=True).done) == 2
    fewer = replace(changed, metrics=frozenset({"psnr"}))
    assert len(evaluate_here(fewer, results).kept) == 2
    more = replace(changed, metrics=frozenset({"psnr", "vmaf"}))
    assert len(evaluate_here(more, results).done) == 2


def test_a_failing_job_is_reported_and_the_rest_goes_on(tmp_path: Path) -> None:
    lost = codec("libx264", name="lost").replace("points", 'ffmpeg = "no-such-program"\npoints')
    config = configure(tmp_path, codec("libx264", points="[13, 20]") + lost)
    log = io.StringIO()
    outcome = evaluate_here(config, tmp_path / "results", log=log)
    assert [path.name for path in outcome.done] == ["20.json"]
    assert "the stand-in does not like 13" in outcome.failed["waves c 13"]
    assert "no-such-program was not found" in outcome.failed["waves lost 20"]
    assert "waves c 13 FAILED" in log.getvalue()
    assert not list((tmp_path / "results").rglob("*.part"))


def test_any_codec_by_its_commands(tmp_path: Path, programs: Path) -> None:
    script = tmp_path / "mine.py"
    script.write_text(
        "import sys, zlib\n"
        "data = open(sys.argv[2], 'rb').read()\n"
        "data = zlib.compress(data) if sys.argv[1] == 'e' else zlib.decompress(data)\n"
        "open(sys.argv[3], 'wb').write(data)\n"
    )
    text = (
        f"[[codecs]]\nname = 'mine'\nkind = 'command'\npoints = [1]\nformat = 'y4m'\n"
        f"encode = '{sys.executable} -S {script} e {{input}} {{bitstream}} {{width}}x{{height}} "
        f"{{point}}'\ndecode = '{sys.executable} -S {script} d {{bitstream}} {{output}}'\n"
        f"version = '{sys.executable} --version'\n"
    )
    result = only_result(configure(tmp_path, text))
    assert result["psnr"] == 100
    assert result["encode"]["command"].endswith("e source.y4m coded.bin 36x20 1")
    assert result["versions"]["mine"].startswith("Python 3")


def test_our_own_codec_in_processes_of_its_own(tmp_path: Path, nano_file: Path) -> None:
    text = (
        f"[[codecs]]\nname = 'ours'\nkind = 'ui2c'\nmodel = '{nano_file}'\npoints = [40]\n"
        "keyint = 2\n"
    )
    config = configure(tmp_path, text)
    outcome = evaluate_here(config, tmp_path / "results")
    assert outcome.failed == {}
    result = json.loads(outcome.done[0].read_text())
    assert result["counted"] == "whole .ui2c file"
    assert 0 < sum(result["frames"]["bits"]) < result["bits"]
    assert result["versions"]["model"].startswith("nano ")
    assert "--qp 40 --keyint 2 --model nano.safetensors" in result["encode"]["command"]
    assert result["encode"]["seconds"] > 0
    # Other weights under the same name are another codec.
    key = config.jobs()[0].key()
    other = tmp_path / "other" / nano_file.name
    other.parent.mkdir()
    other.write_bytes(nano_file.read_bytes() + b" ")
    job = config.jobs()[0]
    changed: Any = replace(job.codec, model=str(other))  # type: ignore[type-var]
    assert replace(job, codec=changed).key() != key


def test_the_budget_of_cores_is_kept(tmp_path: Path) -> None:
    class Counting(Executor):
        """Finishes the oldest job when another one is submitted beyond what may run."""

        def __init__(self) -> None:
            self.most = 0
            self.running: list[Future[Any]] = []

        def submit(self, work: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
            future: Future[Any] = Future()
            self.running = [other for other in self.running if not other.done()]
            self.running.append(future)
            self.most = max(self.most, len(self.running))
            if len(self.running) == 2:
                for other in self.running:
                    other.set_exception(ValueError("never done"))
            return future

    text = codec("libx264", points="[1, 2, 3, 4]").replace("points", "threads = 2\npoints")
    executor = Counting()
    outcome = evaluate(configure(tmp_path, text), tmp_path / "results", executor, 5)
    assert executor.most == 2
    assert len(outcome.failed) == 4


PSNR_ONLY = 'metrics = ["psnr"]\n'


def test_a_cluster_of_two_workers(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    config = configure(tmp_path, codec("libx264", points="[10, 13, 30]"), PSNR_ONLY)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as machines,
        workers(machines.scheduler_address) as (executor, cores),
    ):
        assert cores == 2
        outcome = evaluate(config, tmp_path / "results", executor, cores)
    assert sorted(path.name for path in outcome.done) == ["10.json", "30.json"]
    assert outcome.failed.keys() == {"waves c 13"}


def test_processes_of_this_machine_from_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(tmp_path, codec("libx264", points="[10, 13, 20, 30]"), PSNR_ONLY)
    results = tmp_path / "results"
    arguments = ["evaluate", str(tmp_path / "test.toml"), "--cores", "1", "--results", str(results)]
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert "ui2c: error: waves c 13:" in said
    assert "3 done, 0 kept, 1 failed" in said
    assert "the anchor stands alone" in (results / "report.html").read_text()
    assert "| waves | c | 30 |" in (results / "report.md").read_text()
    assert main([*arguments, "--points", "1", "--only", "waves", "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_a_process_that_dies_does_not_end_the_rest(tmp_path: Path) -> None:
    config = configure(tmp_path, codec("libx264", points="[13, 20, 30]"), PSNR_ONLY)
    with Processes(1) as executor:
        outcome = evaluate(config, tmp_path / "results", executor, 1, work=die_at_13)
    assert sorted(path.name for path in outcome.done) == ["20.json", "30.json"]
    assert "terminated abruptly" in outcome.failed["waves c 13"]


def test_peak_memory_is_that_of_the_program_alone(tmp_path: Path) -> None:
    held = np.ones(200 << 20, np.uint8)
    found = run([sys.executable, "-S", "-c", "import time; time.sleep(0.2)"], tmp_path)
    assert held[0]
    if found.peak_bytes is not None:
        assert 1 << 20 < found.peak_bytes < 100 << 20
