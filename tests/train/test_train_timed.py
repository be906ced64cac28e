"""Timed training: kernels, state, schedule, and the commands, on the CPU at a tiny scale."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from support.device_data import make_sources, write_sources
from support.paths import ROOT
from ui2c.network.blocks import DepthConvBlock
from ui2c.network.codec import Codec
from ui2c.network.config import config_for
from ui2c.network.weights import load_model
from ui2c.train import (
    device_check,
    device_kernels,
    portable,
)
from ui2c.train.device_clips import Sources
from ui2c.train.timed import TimedTrainer
from ui2c.train.timed_config import Stage, TimedConfig, load_config

CPU = torch.device("cpu")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """These tensors are too small to share out."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def sources() -> Sources:
    return make_sources()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("av")
    return write_sources(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize("name", ["shifted", "library"])
@pytest.mark.parametrize("inputs", [16, 32])
def test_kernels_compute_the_block(name: str, inputs: int) -> None:
    torch.manual_seed(1)
    block = DepthConvBlock(inputs, 32)
    x = torch.randn(2, 5, 6, inputs, requires_grad=True)
    results = []
    depthwise = getattr(device_kernels, f"{name}_depthwise")
    function = partial(device_kernels.block_function, depthwise)
    for kernel in (None, partial(device_kernels.run_block, function)):
        block.kernel = kernel
        block.zero_grad()
        x.grad = None
        out = block(x)
        out.square().sum().backward()
        assert x.grad is not None
        results.append([out.detach(), x.grad, *(p.grad for p in block.parameters())])
    for plain, fast in zip(*results, strict=True):
        assert torch.allclose(plain, fast, rtol=1e-4, atol=1e-4)


def test_pixels_latents_and_qualities_stay_exact_under_autocast() -> None:
    torch.manual_seed(1)
    codec = Codec(config_for("nano"))
    rows = torch.tensor([[3, 40], [50, 63]])
    y, x = torch.randn(2, 4, 4, 16), torch.randn(2, 4, 4, 32)

    def parts() -> list[torch.Tensor]:
        gains = codec.gains(codec.decoder_gains, rows)
        return [gains, codec.decoder_up(y), codec.heads_out[0](x), codec.gate(x)]

    plain = parts()
    device_kernels.keep_exact(codec)
    with device_kernels.Precision("bf16").context(CPU):
        reduced = parts()
        assert codec.feature_adaptor(x).dtype == torch.bfloat16
    for a, b in zip(plain, reduced, strict=True):
        assert b.dtype == torch.float32 and torch.allclose(a, b, rtol=1e-5, atol=1e-6)


def test_what_does_not_compile_is_computed_plainly(capsys: pytest.CaptureFixture[str]) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no such compiler")

    function = device_kernels.Compiled(lambda x: x + 1, "addition", broken)
    assert function(torch.tensor(2)) == 3
    assert function(torch.tensor(4)) == 5
    assert capsys.readouterr().out.count("addition is not compiled") == 1


def timed(sources: Sources, output: Path, **changes: object) -> TimedTrainer:
    config = TimedConfig(
        model="nano",
        data=Path("unused"),
        output=output,
        minutes=10,
        stages=(Stage(0.5, units=2, batch=3, size=64), Stage(0.5, units=1, batch=2, size=64)),
        kernels="plain",
        precision="float32",
        warmup_steps=1,
    )
    config = replace(config, **changes)  # type: ignore[arg-type]
    return TimedTrainer(config, "cpu", began=time.monotonic(), sources=sources)


def test_a_timed_run_goes_on_where_it_was(sources: Sources, tmp_path: Path) -> None:
    first = timed(sources, tmp_path / "run")
    before = [p.detach().clone() for p in first.codec.parameters()]
    first.run(5, tmp_path / "sent", steps=2)
    assert first.step == 2
    changed = [not torch.equal(a, b) for a, b in zip(before, first.codec.parameters(), strict=True)]
    assert any(changed)
    expected = config_for("nano").with_blocks()
    assert load_model(tmp_path / "sent" / "nano.safetensors").config == expected

    second = timed(sources, tmp_path / "run")
    assert second.step == 2 and second.seconds_before > 0
    for a, b in zip(first.codec.parameters(), second.codec.parameters(), strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-6)
    momenta = [
        o.state[next(iter(o.state))]["momentum"]
        for o in (first.optimizers[0], second.optimizers[0])
    ]
    assert torch.allclose(momenta[0], momenta[1], rtol=1e-2)
    second.run(5, steps=1)
    assert second.step == 3
    assert len((tmp_path / "run" / "log.csv").read_text().splitlines()) == 3


def test_every_nth_step_is_of_first_units(sources: Sources, tmp_path: Path) -> None:
    stage = Stage(1, units=2, batch=3, size=64, intra_every=2, intra_weight=2.0)
    trainer = timed(sources, tmp_path, stages=(stage,), plane_weights=(6.0, 3.0, 3.0))
    units = [trainer.train_step().error.shape[1] for _ in range(4)]
    assert units == [1, 2, 1, 2]
    batch, start = trainer.loader.first_units(3, 64)
    assert start.blank.all() and not start.reference.any()
    assert batch.frames.shape == (3, 3, 8, 8, 96)


def test_large_batches_may_go_in_parts(sources: Sources, tmp_path: Path) -> None:
    trainer = timed(sources, tmp_path, lambda_balance=0.0)
    batch, start = trainer.loader.batch(4, 1, 64)
    norms = []
    for parts in (1, 2, 4):
        trainer.parts = parts
        for p in trainer.codec.parameters():
            p.grad = None
        torch.manual_seed(0)
        result = trainer.backward(batch, start, Stage(1, 1, 4, 64))
        assert result.weighted_error.shape == (4,)
        weight = trainer.codec.heads_out[0].weight
        assert weight.grad is not None
        norms.append(float(weight.grad.norm()))
    assert norms[1] == pytest.approx(norms[0], rel=0.05)
    assert norms[2] == pytest.approx(norms[0], rel=0.05)


def test_broken_gradients_do_no_harm(sources: Sources, tmp_path: Path) -> None:
    trainer = timed(sources, tmp_path)
    for value, expected in ((float("nan"), 0.0), (100.0, 1.0), (1e-4, None)):
        for p in trainer.codec.parameters():
            p.grad = torch.full_like(p, value)
        trainer.clip()
        norm = torch.cat([p.grad.flatten() for p in trainer.codec.parameters()]).norm()
        size = sum(p.numel() for p in trainer.codec.parameters()) ** 0.5
        assert float(norm) == pytest.approx(
            size * value if expected is None else expected, rel=1e-3
        )


def test_state_travels_in_pieces(tmp_path: Path) -> None:
    torch.manual_seed(0)
    codec = Codec(config_for("nano"))
    written = portable.save_state(tmp_path, codec, [], {"step": 3, "seconds": 4.5}, piece=60_000)
    assert len(written) > 3 and all(path.stat().st_size < 120_000 for path in written)
    other = Codec(config_for("nano"))
    assert portable.load_state(tmp_path, other, []) == {"step": 3, "seconds": 4.5}
    for a, b in zip(codec.parameters(), other.parameters(), strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-6)
    written[0].unlink()
    with pytest.raises(ValueError, match="not whole"):
        portable.load_state(tmp_path, other, [])
    with pytest.raises(FileNotFoundError):
        portable.load_state(tmp_path / "none", other, [])


def test_the_rate_falls_to_zero_as_time_runs_out() -> None:
    config = TimedConfig(
        "nano", Path(), Path(), 27, (Stage(3, 1, 1), Stage(1, 2, 2)), warmup_steps=4
    )
    assert config.stage_at(0.74).units == 1 and config.stage_at(0.76).units == 2
    assert config.stage_at(1.2).units == 2
    assert config.rate_factor(0.0, 0) == 0.25 and config.rate_factor(0.3, 50) == 1
    assert config.rate_factor(1 - 0.225, 50) == pytest.approx(0.5)
    assert config.rate_factor(1.0, 50) == 0 and config.rate_factor(1.1, 50) == 0


def test_timed_configurations_name_what_they_do_not_know(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    base = 'model = "nano"\ndata = "d"\noutput = "o"\nminutes = 1\n'
    stage = "[[stage]]\nshare = 1\nunits = 1\nbatch = 1\n"
    path.write_text(base + stage)
    assert load_config(path).stages[0].size == 256
    for text, match in (
        (base, "stage"),
        (base + "speed = 3\n" + stage, "speed"),
        (base + stage + "size = 100\n", "64"),
        (base + 'precision = "int8"\n' + stage, "precision"),
        (base.replace("minutes = 1", "minutes = 0") + stage, "minutes"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=match):
            load_config(path)


ROOT = ROOT


@pytest.mark.parametrize("path", sorted(ROOT.glob("recipes/*-gpu.toml")), ids=lambda p: p.stem)
def test_recipes_can_be_read(path: Path) -> None:
    config = load_config(path)
    assert config_for(config.model).name == config.model and config.minutes > 0


def recipe(folder: Path, output: Path) -> Path:
    """A configuration of the smallest run on these sources."""
    path = output / "run.toml"
    path.write_text(
        f'model = "nano"\ndata = "{folder}"\noutput = "{output / "run"}"\nminutes = 5\n'
        'kernels = "plain"\nprecision = "float32"\n'
        "[[stage]]\nshare = 1\nunits = 1\nbatch = 2\nsize = 64\n"
    )
    return path


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
def test_the_commands_of_the_notes_run(folder: Path, tmp_path: Path) -> None:
    sent = tmp_path / "sent"
    command = ["sh", "recipes/gpu.sh", "train", str(recipe(folder, tmp_path)), str(sent), "5"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "--device", "cpu", "--steps", "1"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "ends at step 1" in done.stdout
    assert {path.name for path in sent.iterdir()} == {
        "log.csv",
        "nano.safetensors",
        "state-momenta-00.safetensors",
        "state-weights-00.safetensors",
    }


def test_the_check_says_what_it_finds(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(recipe(folder, tmp_path)), "--device", "cpu", "--batches", "2"]
    assert device_check.main([*arguments, "--output", str(tmp_path / "check")]) == 0
    printed = capsys.readouterr().out
    for line in ("compensation: good", "motion search: good", "blocks: good", "Mpx/s"):
        assert line in printed
    assert not device_check.passed("sums", lambda: 1 + 1 == 3)
    assert "NOT AS ON THE CPU" in capsys.readouterr().out


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_computes_the_same() -> None:
    device = torch.device("cuda")
    assert device_check.same_compensation(device) and device_check.same_motion(device)
