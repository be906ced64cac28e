"""What an encoder and a decoder were asked for stays; what they report steers nothing."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest
import ui2c
from support.clips import make_clip
from ui2c import YUV420
from ui2c.options import DecoderOptions, EncoderOptions


def test_options_are_frozen(nano: Any) -> None:
    encoder, decoder = ui2c.Encoder(model=nano, qp=20), ui2c.Decoder(model=nano)
    assert isinstance(encoder.options, EncoderOptions)
    assert isinstance(decoder.options, DecoderOptions)
    assert (encoder.options.target.qp, encoder.options.keyint) == (20, 0)
    assert (decoder.options.output, decoder.options.on_error) == ("yuv", "raise")
    for options in (encoder.options, encoder.options.target, decoder.options):
        for field in fields(options):
            with pytest.raises(FrozenInstanceError):
                setattr(options, field.name, getattr(options, field.name))
    for name in ("model", "statistics"):
        with pytest.raises(AttributeError):
            setattr(encoder, name, None)
    for name in ("header", "metadata", "lost", "damage"):
        with pytest.raises(AttributeError):
            setattr(decoder, name, None)


def spoil(statistics: ui2c.Statistics) -> None:
    """Changes all that there is to change."""
    statistics.units.clear()
    statistics.width = statistics.height = 1
    statistics.frames = statistics.bytes = 10**6
    statistics.seconds = statistics.motion_bytes = 1e9


@pytest.mark.parametrize(
    "options",
    [
        {"qp": 30, "keyint": 4},
        {"bitrate": 30_000, "fps": 10, "duration": 1.1, "psnr": True},
        {"qp": 30, "timebase": 0.001, "scenecut": True, "lead": 3},
    ],
)
def test_statistics_do_not_steer(nano: Any, options: dict[str, Any]) -> None:
    clip = [
        YUV420(*frame.planes, pts=40 * number) for number, frame in enumerate(make_clip(34, 18, 11))
    ]

    def stream(between: Callable[[ui2c.Statistics], object]) -> bytes:
        encoder = ui2c.Encoder(model=nano, **options)
        data = b""
        for frame in clip:
            data += encoder.push(frame)
            between(encoder.statistics)
        return data + encoder.flush()

    assert stream(spoil) == stream(lambda statistics: None)


def test_a_first_pass_is_read_when_a_stream_begins(nano: Any) -> None:
    clip = make_clip(34, 18, 9)

    def stream(between: Callable[[ui2c.Statistics], object]) -> bytes:
        first = ui2c.Encoder(model=nano, qp=30)
        first.encode(clip)
        encoder = ui2c.Encoder(model=nano, size=2000, first_pass=first.statistics)
        data = encoder.push(clip[0])
        for frame in clip[1:]:
            between(first.statistics)
            data += encoder.push(frame)
        return data + encoder.flush()

    assert stream(spoil) == stream(lambda statistics: None)


def test_what_a_decoder_tells_may_be_changed(nano: Any) -> None:
    data = ui2c.Encoder(model=nano, qp=30).encode(make_clip(34, 18, 3))
    decoder = ui2c.Decoder(model=nano)
    pictures = decoder.decode(data)
    reader = decoder.open(data)
    reader.metadata.clear()
    assert reader.metadata["model"] == "nano"
    assert list(reader.play()) == pictures
