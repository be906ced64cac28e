"""Arguments, metadata, and what importing costs."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ui2c
from support.clips import make_clip, make_rgb
from support.streams import header_of


def test_import_leaves_torch_alone() -> None:
    code = (
        "import sys, ui2c, ui2c.cli, ui2c.video\n"
        "ui2c.Encoder, ui2c.Decoder, ui2c.build_info()\n"
        "print([m for m in ('torch', 'av', 'safetensors') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.stdout.strip(), result.stderr) == ("[]", "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"qp": 64}, "qp must be an integer from 0 .* not 64"),
        ({"qp": -1}, "qp must be"),
        ({"qp": 3.5}, "qp must be"),
        ({"qp": "32"}, "qp must be"),
        ({"keyint": -1}, "keyint must be 0"),
        ({"threads": 0}, "threads must be at least 1"),
        ({"fps": 0}, "fps must be a positive number"),
        ({"fps": float("nan")}, "fps must be a positive number"),
        ({"fps": "fast"}, "fps must be a positive number"),
        ({"timebase": -1}, "timebase must be a positive number"),
        ({"width": 0}, "width must be at least 1"),
        ({"bit_depth": 7}, "bit_depth must be 8 to 16"),
        ({"model": "small", "device": "abacus"}, 'device must be "auto"'),
    ],
)
def test_wrong_options_are_named(nano: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ui2c.Encoder(**({"model": nano} | options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output": "bgr"}, 'output must be "yuv" or "rgb"'),
        ({"on_error": "ignore"}, 'on_error must be "raise" or "skip"'),
        ({"device": "cuda:x"}, 'device must be "auto"'),
        ({"threads": -2}, "threads must be at least 1"),
    ],
)
def test_wrong_decoder_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ui2c.Decoder(**options)


def test_missing_weights_are_named() -> None:
    with pytest.raises(FileNotFoundError, match="enormous"):
        ui2c.Encoder(model="enormous")


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (make_clip(18, 16, 1)[0], "frame 1 must be 16x16 like the stream, not 18x16"),
        (make_clip(16, 16, 1, bit_depth=10)[0], "frame 1 must have 8 bits"),
        (make_clip(16, 16, 1, full_range=True)[0], "frame 1 must have .* full_range=False"),
        (np.zeros((16, 16), np.uint8), "frame must be a YUV420 or RGB"),
    ],
)
def test_frames_must_agree(nano: Any, second: Any, message: str) -> None:
    first = make_clip(16, 16, 1)[0]
    encoder = ui2c.Encoder(model=nano)
    encoder.push(first)
    with pytest.raises(ValueError, match=message):
        encoder.push(second)
    # A refused frame leaves the stream as it was.
    encoder.push(first)
    encoder.flush()
    assert encoder.statistics.frames == 2


def test_a_refused_first_frame_leaves_nothing_behind(nano: Any) -> None:
    clip = make_clip(16, 16, 2)
    encoder = ui2c.Encoder(model=nano, width=16)
    with pytest.raises(ValueError, match="frame 0 must be 16x18"):
        ui2c.Encoder(model=nano, width=16, height=18).push(clip[0])
    with pytest.raises(ValueError, match="frame 0 must be 16x16"):
        encoder.push(make_clip(18, 16, 1)[0])
    stream = b"".join([*(encoder.push(frame) for frame in clip), encoder.flush()])
    assert len(ui2c.Decoder(model=nano).decode(stream)) == 2


@pytest.mark.parametrize(
    ("fps", "timebase"),
    [
        (29.97, (100, 2997)),
        (Fraction(30000, 1001), (1001, 30000)),
        ("24000/1001", (1001, 24000)),
        (60, (1, 60)),
        (0.5, (2, 1)),
    ],
)
def test_frame_rates(nano: Any, fps: Any, timebase: tuple[int, int]) -> None:
    encoder = ui2c.Encoder(model=nano, fps=fps, width=2, height=2)
    header = header_of(encoder.encode([]))
    assert (header.timebase, header.frame_ticks) == (timebase, 1)


def test_fine_timebases(nano: Any) -> None:
    encoder = ui2c.Encoder(model=nano, timebase=Fraction(1, 10**9), width=2, height=2)
    header = header_of(encoder.encode([]))
    assert (header.timebase, header.frame_ticks) == ((1, 10**9), 0)


def test_frames_must_be_what_was_announced(nano: Any) -> None:
    with pytest.raises(ValueError, match="frame 0 must be 20x16 like the stream, not 16x16"):
        ui2c.Encoder(model=nano, width=20).encode(make_clip(16, 16, 1))
    with pytest.raises(ValueError, match="frame 0 must have 10 bits"):
        ui2c.Encoder(model=nano, bit_depth=10).encode(make_clip(16, 16, 1))


def test_no_frames_and_no_size(nano: Any) -> None:
    with pytest.raises(ValueError, match="frames must hold at least one frame, or width"):
        ui2c.Encoder(model=nano).encode([])


def test_encode_during_push(nano: Any) -> None:
    encoder = ui2c.Encoder(model=nano)
    encoder.push(make_clip(16, 16, 1)[0])
    with pytest.raises(ValueError, match="flush"):
        encoder.encode([])


def test_times_are_needed_with_a_timebase(nano: Any) -> None:
    encoder = ui2c.Encoder(model=nano, timebase=0.001)
    with pytest.raises(ValueError, match="frame 0 must be a YUV420 with a pts"):
        encoder.encode(make_clip(16, 16, 1))
    with pytest.raises(ValueError, match="frame 0 must be a YUV420 with a pts"):
        encoder.encode(make_rgb(16, 16, 1))


def test_times_must_not_run_backwards(nano: Any) -> None:
    frames = [ui2c.YUV420(*make_clip(16, 16, 1)[0].planes, pts=time) for time in (5, 4)]
    with pytest.raises(ValueError, match="frame 1 must be a YUV420 with a pts of at least 5"):
        ui2c.Encoder(model=nano, timebase=0.001).encode(frames)


def test_metadata_names_encoder_and_model(nano: Any) -> None:
    decoder = ui2c.Decoder(model=nano)
    decoder.decode(ui2c.Encoder(model=nano).encode(make_clip(8, 8, 1)))
    assert decoder.metadata == {"encoder": f"ui2c {ui2c.__version__}", "model": "nano"}


def test_color_goes_through(nano: Any) -> None:
    encoder = ui2c.Encoder(
        model=nano, color=(9, 16, 9), sample_aspect=(4, 3), fps=29.97, full_range=True
    )
    decoder = ui2c.Decoder(model=nano)
    decoder.decode(encoder.encode(make_clip(8, 8, 1, full_range=True)))
    header = decoder.header
    assert header is not None
    assert (header.color_primaries, header.transfer, header.matrix) == (9, 16, 9)
    assert (header.full_range, header.sample_aspect) == (True, (4, 3))
    assert header.timebase == (100, 2997)


def test_no_rgb_from_an_unknown_matrix(nano: Any) -> None:
    stream = ui2c.Encoder(model=nano, color=(1, 1, 8)).encode(make_clip(8, 8, 1))
    with pytest.raises(ui2c.UnsupportedError, match="matrix 8"):
        ui2c.Decoder(model=nano, output="rgb").decode(stream)


def test_build_info() -> None:
    info = ui2c.build_info()
    assert info["ui2c"] == ui2c.__version__
    assert {"torch", "numpy", "models", "python"} <= info.keys()


def test_the_package_says_what_it_exports() -> None:
    assert all(hasattr(ui2c, name) for name in ui2c.__all__)
    assert issubclass(ui2c.TruncatedError, ui2c.Error)
    assert Path(ui2c.__file__).with_name("py.typed").exists()
