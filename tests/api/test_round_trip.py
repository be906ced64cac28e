"""What the encoder says a decoder will show is what a decoder shows, bit for bit."""

from typing import Any

import numpy as np
import pytest
import ui2c
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clips import make_clip, make_rgb
from support.streams import coded_units, parse
from ui2c import YUV420


def encode(clip: list[YUV420], model: Any, **options: Any) -> tuple[bytes, list[YUV420]]:
    """The stream, and what its decoder shall show."""
    shown: list[YUV420] = []
    encoder = ui2c.Encoder(model=model, reconstruction=shown.append, **options)
    return encoder.encode(clip), shown


@settings(max_examples=30, deadline=None)
@given(
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    frames=st.integers(0, 5),
    qp=st.integers(0, 63),
    bit_depth=st.sampled_from([8, 10, 16]),
    keyint=st.integers(0, 4),
    full_range=st.booleans(),
    data=st.data(),
)
def test_decoder_agrees_with_encoder(
    nano: Any,
    single: Any,
    size: tuple[int, int],
    frames: int,
    qp: int,
    bit_depth: int,
    keyint: int,
    full_range: bool,
    data: st.DataObject,
) -> None:
    model = data.draw(st.sampled_from([nano, single]))
    clip = make_clip(*size, frames, bit_depth=bit_depth, full_range=full_range)
    stream, shown = encode(
        clip,
        model,
        qp=qp,
        keyint=keyint,
        width=size[0],
        height=size[1],
        bit_depth=bit_depth,
        full_range=full_range,
    )
    decoder = ui2c.Decoder(model=model)
    decoded = decoder.decode(stream)
    assert len(decoded) == frames
    assert decoded == shown
    assert [frame.pts for frame in decoded] == list(range(frames))
    assert decoder.header is not None
    assert (decoder.header.width, decoder.header.height) == size


def test_same_bytes_and_pictures_with_any_number_of_threads(nano: Any) -> None:
    clip = make_clip(70, 50, 5)
    streams = [encode(clip, nano, threads=threads) for threads in (1, 2)]
    assert streams[0] == streams[1]
    for threads in (1, 2):
        decoder = ui2c.Decoder(model=nano, threads=threads)
        assert decoder.decode(streams[0][0]) == streams[0][1]


def test_push_gives_the_bytes_of_encode(nano: Any) -> None:
    clip = make_clip(34, 18, 5)
    whole, _ = encode(clip, nano)
    with ui2c.Encoder(model=nano) as encoder:
        pieces = [encoder.push(frame) for frame in clip]
        pieces.append(encoder.flush())
    assert b"".join(pieces) == whole
    # The first unit waits for the four frames after it, all others for the second of a pair.
    assert pieces[1:4] == [b""] * 3 and pieces[4] != b""


def test_without_a_lead_nothing_waits_but_for_a_pair(nano: Any) -> None:
    encoder = ui2c.Encoder(model=nano, lead=0)
    first, *pieces = [encoder.push(frame) for frame in make_clip(34, 18, 5)]
    assert [unit.shown for unit in coded_units(first)] == [1]
    assert [bool(piece) for piece in pieces] == [False, True, False, True]


def test_frames_may_be_overwritten_once_pushed(nano: Any) -> None:
    clip = make_clip(20, 20, 4)
    whole, _ = encode(clip, nano)
    encoder = ui2c.Encoder(model=nano)
    stream = b""
    for frame in make_clip(20, 20, 4):
        stream += encoder.push(frame)
        frame.y[...] = 0
    assert stream + encoder.flush() == whole


def test_decoded_frames_may_be_overwritten(nano: Any) -> None:
    stream, shown = encode(make_clip(32, 32, 6), nano)
    for frame, expected in zip(ui2c.Decoder(model=nano).decode_iter(stream), shown, strict=True):
        assert frame == expected
        frame.y[...] = 0


@pytest.mark.parametrize("size", [1, 7, 64, 1 << 20])
def test_pieces_of_any_size(nano: Any, size: int) -> None:
    stream, shown = encode(make_clip(40, 24, 5), nano, keyint=2)
    decoder = ui2c.Decoder(model=nano)
    decoded: list[YUV420] = []
    for start in range(0, len(stream), size):
        decoded += decoder.push(stream[start : start + size])
    decoded += decoder.flush()
    assert decoded == shown


def test_one_encoder_and_decoder_serve_many_streams(nano: Any) -> None:
    encoder, decoder = ui2c.Encoder(model=nano), ui2c.Decoder(model=nano)
    small, large = make_clip(17, 9, 3), make_clip(66, 34, 2)
    streams = [encoder.encode(clip) for clip in (small, large, small)]
    assert streams[0] == streams[2]
    assert [len(decoder.decode(stream)) for stream in streams] == [3, 2, 3]
    for stream in streams:
        assert decoder.push(stream) + decoder.flush() == decoder.decode(stream)


def test_keyint(nano: Any) -> None:
    encoder = ui2c.Encoder(model=nano, keyint=5)
    encoder.encode(make_clip(16, 16, 14))
    units = encoder.statistics.units
    # One frame and two pairs: every third unit.
    assert [unit.intra for unit in units] == [True, False, False] * 2 + [True, False, False]
    assert [unit.frames for unit in units] == [1, 2, 2] * 2 + [1, 2, 1]


def test_hashes_stand_where_they_should(nano: Any) -> None:
    stream = ui2c.Encoder(model=nano).encode(make_clip(16, 16, 35))
    coded = coded_units(stream)
    assert [i for i, unit in enumerate(coded) if unit.feature_hash is not None] == [0, 16]
    (end,) = (unit for unit in parse(stream) if isinstance(unit, ui2c._core.EndUnit))
    assert end.frames == 35 and end.feature_hash is not None


def test_rgb(nano: Any) -> None:
    rgb = make_rgb(37, 21, 3)
    stream = ui2c.Encoder(model=nano).encode(rgb)
    decoder = ui2c.Decoder(model=nano, output="rgb")
    decoded = decoder.decode(stream)
    assert decoded.shape == rgb.shape and decoded.dtype == np.uint8
    header = decoder.header
    assert (header.color_primaries, header.transfer, header.matrix) == (1, 1, 1)
    assert not header.full_range
    assert ui2c.Encoder(model=nano).encode(list(rgb)) == stream
    planes = ui2c.Decoder(model=nano).decode(stream)
    assert np.array_equal(ui2c.picture.color.yuv420_to_rgb(planes[1]), decoded[1])


def test_torch_tensors_are_rgb(nano: Any) -> None:
    torch = pytest.importorskip("torch")
    rgb = make_rgb(20, 12, 2)
    assert ui2c.Encoder(model=nano).encode(torch.from_numpy(rgb)) == ui2c.Encoder(
        model=nano
    ).encode(rgb)


def test_irregular_times_come_back(nano: Any) -> None:
    times = [0, 33, 67, 67, 500]
    clip = [
        YUV420(*frame.planes, pts=time)
        for frame, time in zip(make_clip(16, 16, 5), times, strict=True)
    ]
    encoder = ui2c.Encoder(model=nano, timebase=0.001)
    decoder = ui2c.Decoder(model=nano)
    assert [frame.pts for frame in decoder.decode(encoder.encode(clip))] == times
    assert decoder.header.frame_ticks == 0 and decoder.header.timebase == (1, 1000)
    assert encoder.statistics.seconds == pytest.approx(0.5)


def test_one_unit_may_carry_times_of_its_own(nano: Any) -> None:
    units = coded_units(ui2c.Encoder(model=nano).encode(make_clip(16, 16, 5)))
    header = ui2c.SequenceHeader(
        width=16, height=16, model_id=nano.model_id, timebase=(1, 100), frame_ticks=4
    )
    for timed, times in (
        (0, [7, 11, 15, 19, 23]),
        (1, [0, 7, 12, 16, 20]),
        (None, [0, 4, 8, 12, 16]),
    ):
        writer = ui2c._core.Writer(header)
        stream = writer.start()
        for index, unit in enumerate(units):
            stream += writer.unit(
                intra=index == 0,
                qp=unit.qp,
                motion_step=unit.motion_step,
                log2_lanes=unit.log2_lanes,
                shown=unit.shown,
                stream=unit.stream,
                ticks=(7, 5)[: unit.shown] if index == timed else None,
            )
        decoded = ui2c.Decoder(model=nano).decode(stream + writer.end())
        assert [frame.pts for frame in decoded] == times


def test_clips_without_frames(nano: Any) -> None:
    stream = ui2c.Encoder(model=nano, width=6, height=4).encode([])
    assert ui2c.Decoder(model=nano).decode(stream) == []
    assert ui2c.Decoder(model=nano, output="rgb").decode(stream).shape == (0, 4, 6, 3)


def test_decode_iter_takes_any_source(nano: Any, tmp_path: Any) -> None:
    stream, shown = encode(make_clip(24, 16, 3), nano)
    path = tmp_path / "clip.ui2c"
    path.write_bytes(stream)
    decoder = ui2c.Decoder(model=nano)
    with open(path, "rb") as file:
        for source in (stream, bytearray(stream), path, str(path), file, [stream[:9], stream[9:]]):
            assert list(decoder.decode_iter(source)) == shown


def test_statistics(nano: Any) -> None:
    clip = make_clip(32, 16, 5)
    encoder = ui2c.Encoder(model=nano, psnr=True, fps=50)
    stream = encoder.encode(clip)
    statistics = encoder.statistics
    assert statistics.frames == 5 and statistics.bytes == len(stream)
    assert statistics.seconds == pytest.approx(0.1)
    assert statistics.bits_per_pixel == pytest.approx(8 * len(stream) / (5 * 32 * 16))
    assert statistics.kbits_per_second == pytest.approx(8 * len(stream) / 100)
    assert [unit.first_frame for unit in statistics.units] == [0, 1, 3]
    assert [len(unit.psnr) for unit in statistics.units] == [1, 2, 2]
    assert sum(unit.bytes for unit in statistics.units) < len(stream)
    decoded = ui2c.Decoder(model=nano).decode(stream)
    expected = [ui2c.picture.metrics.frame_psnr(*pair) for pair in zip(clip, decoded, strict=True)]
    assert [psnr for unit in statistics.units for psnr in unit.psnr] == expected
    assert statistics.psnr == ui2c.picture.metrics.mean_psnr(expected)
