"""One file, the same samples: whatever engine, instructions, threads and settings there are."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
import ui2c
from support.clips import make_clip
from support.paths import CITY, GOLDEN

SCRIPT = """
import hashlib, sys
from itertools import islice
from pathlib import Path
import ui2c
from ui2c.network.load import load_model
from ui2c.network.model import find_model
from ui2c.video import open_source

engine, threads, city, golden = sys.argv[1], int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
if engine == "torch":
    import torch
    from ui2c.network.torch_model import load_torch_model as load_model

    torch.set_num_threads(threads)

def hashed(frames):
    digest = hashlib.sha256()
    for frame in frames:
        for plane in frame.planes:
            digest.update(plane.tobytes())
    return digest.hexdigest()

model = load_model(golden / "nano.safetensors")
for path in sorted(golden.glob("*.ui2c")):
    if path.stem != "coder":
        decoder = ui2c.Decoder(model=model, threads=threads)
        print(path.stem, hashed(decoder.decode(path.read_bytes())))
shown = []
small = load_model(find_model("small"))
options = {"qp": 24, "lead": 0, "motion": "fast", "threads": threads}
encoder = ui2c.Encoder(model=small, reconstruction=shown.append, **options)
stream = encoder.encode(islice(open_source(city), 3))
print("small", hashlib.sha256(stream).hexdigest(), hashed(shown))
again = ui2c.Decoder(model=small, threads=threads).decode(stream)
assert hashed(again) == hashed(shown)
"""

MACHINES = [
    ("torch", {}),
    ("torch", {"ATEN_CPU_CAPABILITY": "default"}),
    ("torch", {"ATEN_CPU_CAPABILITY": "avx2"}),
    ("torch", {"ONEDNN_MAX_CPU_ISA": "SSE41"}),
    ("torch", {"ONEDNN_MAX_CPU_ISA": "AVX2", "UI2C_CPU": "scalar"}),
    ("native", {}),
    ("native", {}),
    ("native", {"UI2C_CPU": "avx2"}),
    ("native", {"UI2C_CPU": "scalar"}),
]


def report(engine: str, threads: int, environment: dict[str, str]) -> str:
    command = [sys.executable, "-c", SCRIPT, engine, str(threads), str(CITY), str(GOLDEN)]
    result = subprocess.run(
        command,
        env=os.environ | {"OMP_NUM_THREADS": str(threads)} | environment,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.slow
def test_instructions_and_threads_change_nothing() -> None:
    expected = report("torch", 1, {})
    assert "small" in expected and expected.count("\n") > 1
    for number, (engine, machine) in enumerate(MACHINES):
        assert report(engine, 1 + number % 2, machine) == expected, (engine, machine)


@contextmanager
def default_dtype() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextmanager
def low_precision() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize(
    "setting",
    [
        default_dtype,
        deterministic,
        low_precision,
        torch.enable_grad,
        torch.inference_mode,
        lambda: torch.autocast("cpu", torch.bfloat16),
        lambda: torch.device("meta"),
    ],
)
def test_settings_of_the_caller_change_nothing(nano: Any, setting: Any) -> None:
    clip = make_clip(70, 38, 4)
    stream = ui2c.Encoder(model=nano, qp=20, lead=0).encode(clip)
    shown = ui2c.Decoder(model=nano).decode(stream)
    with setting():
        assert ui2c.Encoder(model=nano, qp=20, lead=0).encode(clip) == stream
        frames = ui2c.Decoder(model=nano).decode(stream)
    for a, b in zip(frames, shown, strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a.planes, b.planes, strict=True))


def test_flushed_denormals_are_refused(nano: Any) -> None:
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush them")
    try:
        with pytest.raises(ui2c.UnsupportedError, match="denormal"):
            ui2c.Encoder(model=nano).encode(make_clip(16, 16, 1))
    finally:
        torch.set_flush_denormal(False)
