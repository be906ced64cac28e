"""Damaged streams end in a typed error or in a report of what is lost, never in silence."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import ui2c
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clips import make_clip
from support.faults import JUNK
from support.streams import coded_units, header_of, parse
from support.units import take_apart
from ui2c import YUV420
from ui2c.network.torch_model import random_model
from ui2c.unit.planes import Geometry

FRAMES = 6


@pytest.fixture(scope="module", params=["native", "torch"])
def model(request: pytest.FixtureRequest, nano: Any, saved: Any) -> Any:
    """A small model: as the core runs it, and over the seam to PyTorch."""
    return saved if request.param == "native" else nano


@pytest.fixture(scope="module")
def stream(model: Any) -> bytes:
    """Six frames in four units, the third a random-access unit."""
    return ui2c.Encoder(model=model, keyint=3).encode(make_clip(16, 16, FRAMES))


@pytest.fixture(scope="module")
def pictures(model: Any, stream: bytes) -> list[YUV420]:
    return list(ui2c.Decoder(model=model).decode(stream))


def check_skipping(
    model: Any, damaged: bytes, pictures: list[YUV420]
) -> list[tuple[int, int | None]]:
    """Decodes past damage; what is shown must be right, and what is not shown be reported."""
    decoder = ui2c.Decoder(model=model, on_error="skip")
    shown = list(decoder.decode_iter(damaged))
    missing: set[int] = set()
    for first, last in decoder.lost:
        missing |= set(range(first, FRAMES if last is None else last + 1))
    left = [number for number in range(FRAMES) if number not in missing]
    assert shown == [pictures[number] for number in left]
    assert [frame.pts for frame in shown] == left
    return decoder.lost


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_a_flipped_bit(
    model: Any, stream: bytes, pictures: list[YUV420], data: st.DataObject
) -> None:
    position = data.draw(st.integers(0, 8 * len(stream) - 1))
    damaged = bytearray(stream)
    damaged[position // 8] ^= 1 << position % 8
    with pytest.raises(ui2c.Error):
        ui2c.Decoder(model=model).decode(bytes(damaged))
    try:
        check_skipping(model, bytes(damaged), pictures)
    except ui2c.UnsupportedError:
        # The version bytes are the one place where a flipped bit makes sense.
        assert position // 8 in (8, 9)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_stream_cut_short(
    model: Any, stream: bytes, pictures: list[YUV420], data: st.DataObject
) -> None:
    size = data.draw(st.integers(0, len(stream) - 1))
    index = next(unit for unit in parse(stream) if isinstance(unit, ui2c._core.IndexUnit))
    if size == index.offset:
        return
    with pytest.raises(ui2c.TruncatedError):
        ui2c.Decoder(model=model).decode(stream[:size])
    try:
        lost = check_skipping(model, stream[:size], pictures)
    except ui2c.Error:
        assert size < coded_units(stream)[0].offset
    else:
        assert lost or size > index.offset


def test_a_lost_unit_costs_frames_up_to_the_next_random_access_point(
    model: Any, stream: bytes, pictures: list[YUV420]
) -> None:
    units = coded_units(stream)
    for number, lost in ((0, (0, 2)), (1, (1, 2)), (2, (3, 5)), (3, (4, 5))):
        unit = units[number]
        damaged = bytearray(stream)
        damaged[unit.offset + unit.size // 2] ^= 0x10
        # Without a random-access point behind the damage the end unit is not found either.
        known = lost if number < 2 else (lost[0], None)
        assert check_skipping(model, bytes(damaged), pictures) == [known]
        removed = stream[: unit.offset] + stream[unit.offset + unit.size :]
        known = lost if number != 2 else (lost[0], None)
        assert check_skipping(model, removed, pictures) == [known]


def test_frames_before_the_damage_are_given_first(
    model: Any, stream: bytes, pictures: list[YUV420]
) -> None:
    unit = coded_units(stream)[1]
    damaged = stream[: unit.offset + 8] + b"garbage" + stream[unit.offset + 15 :]
    decoder = ui2c.Decoder(model=model)
    assert decoder.push(damaged) == pictures[:1]
    for _ in range(2):
        with pytest.raises(ui2c.CorruptError):
            decoder.push(b"")
    shown = []
    with pytest.raises(ui2c.CorruptError):
        for frame in decoder.decode_iter(damaged):
            shown.append(frame)
    assert shown == pictures[:1]
    assert decoder.decode(stream) == pictures


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200))
def test_garbage(model: Any, data: bytes) -> None:
    for on_error in ("raise", "skip"):
        with pytest.raises(ui2c.Error):
            ui2c.Decoder(model=model, on_error=on_error).decode(data)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_right_checksums_around_wrong_contents(model: Any, data: st.DataObject) -> None:
    clip = make_clip(16, 16, 1)
    whole = ui2c.Encoder(model=model).encode(clip)
    (unit,), (right,) = coded_units(whole), ui2c.Decoder(model=model).decode(whole)
    header = ui2c.SequenceHeader(width=16, height=16, model_id=model.model_id)
    writer = ui2c._core.Writer(header)
    contents = bytearray(unit.stream)
    position = data.draw(st.integers(0, 8 * len(contents) - 1))
    contents[position // 8] ^= 1 << position % 8
    stream = writer.start() + writer.unit(
        intra=True,
        qp=unit.qp,
        motion_step=0,
        log2_lanes=unit.log2_lanes,
        shown=1,
        stream=bytes(contents),
        feature_hash=unit.feature_hash,
    )
    stream += writer.end()
    try:
        (frame,) = ui2c.Decoder(model=model).decode(stream)
    except (ui2c.CorruptError, ui2c.TruncatedError, ui2c.MismatchError):
        return
    # The hash is of what later units refer to, and nothing refers to filtered frames.
    (forged,) = coded_units(stream)
    geometry = Geometry(16, 16)
    ((_, before),), ((_, after),) = (take_apart(model, geometry, [u]) for u in (unit, forged))
    assert after != before or frame == right


def test_another_state_than_the_encoders(model: Any) -> None:
    unit = coded_units(ui2c.Encoder(model=model).encode(make_clip(16, 16, 1)))[0]
    writer = ui2c._core.Writer(ui2c.SequenceHeader(width=16, height=16, model_id=model.model_id))
    start = writer.start()
    stream = start + writer.unit(
        intra=True,
        qp=unit.qp,
        motion_step=0,
        log2_lanes=unit.log2_lanes,
        shown=1,
        stream=unit.stream,
        feature_hash=unit.feature_hash ^ 1,
    )
    stream += writer.end(unit.feature_hash ^ 2)
    message = rf"unit 0 \(frame 0, byte {len(start)}\).*other weights.*--no-verify"
    for on_error in ("raise", "skip"):
        with pytest.raises(ui2c.MismatchError, match=message):
            ui2c.Decoder(model=model, on_error=on_error).decode(stream)
    assert len(ui2c.Decoder(model=model, verify=False).decode(stream)) == 1


def rewritten(model: Any, stream: bytes, change: Callable[[int, dict[str, Any]], None]) -> bytes:
    """The stream written again, with fields of its units changed."""
    writer = ui2c._core.Writer(header_of(stream))
    data = writer.start()
    fields = ("intra", "qp", "motion_step", "log2_lanes", "shown", "stream", "feature_hash")
    for number, unit in enumerate(coded_units(stream)):
        values = {field: getattr(unit, field) for field in fields}
        change(number, values)
        data += writer.unit(**values)
    return data + writer.end()


def test_errors_in_a_unit_tell_where_it_is(model: Any, stream: bytes) -> None:
    def junk(number: int, unit: dict[str, Any]) -> None:
        if number == 1:
            unit |= {"stream": JUNK, "log2_lanes": 0, "motion_step": 0}

    data = rewritten(model, stream, junk)
    unit = coded_units(data)[1]
    inside = range(unit.offset, unit.offset + unit.size)
    for verify in (True, False):
        with pytest.raises(ui2c.CorruptError) as caught:
            ui2c.Decoder(model=model, verify=verify).decode(data)
        found = re.fullmatch(
            rf"corrupt data at byte (\d+): unit 1 \(frames 1 to 2, byte {unit.offset}\): .*; "
            "its checksum is right: .*",
            str(caught.value),
        )
        assert found and int(found[1]) in inside, caught.value
    reader = ui2c.Decoder(model=model).open(data)
    with pytest.raises(ui2c.CorruptError, match=rf"frames 1 to 2, byte {unit.offset}"):
        reader[2]


def test_an_intact_stream_is_never_called_corrupt(model: Any, stream: bytes) -> None:
    """Weights of the same name but other contents stand for whatever may make states differ."""
    for seed in (2, 3, 4):
        other = replace(random_model("nano", seed), model_id=model.model_id)
        for verify, kinds in (
            (True, (ui2c.MismatchError, ui2c.CorruptError)),
            (False, (ui2c.MismatchError,)),
        ):
            decoder = ui2c.Decoder(model=other, verify=verify)
            try:
                decoder.decode(stream)
            except kinds as error:
                assert "other weights" in str(error)
            else:
                assert not verify


def test_after_another_state_nothing_is_called_corrupt(model: Any, stream: bytes) -> None:
    def change(number: int, unit: dict[str, Any]) -> None:
        if number == 0:
            unit["feature_hash"] ^= 1
        elif number == 1:
            unit |= {"stream": JUNK, "log2_lanes": 0, "motion_step": 0}

    data = rewritten(model, stream, change)
    with pytest.raises(ui2c.MismatchError, match="unit 0"):
        ui2c.Decoder(model=model).decode(data)
    with pytest.raises(ui2c.MismatchError, match=r"unit 1 \(frames 1 to 2.*is not the encoder's"):
        ui2c.Decoder(model=model, verify=False).decode(data)
    decoder = ui2c.Decoder(model=model, verify=False, on_error="skip")
    assert len(decoder.decode(data)) == FRAMES - 2 and decoder.lost == [(1, 2)]


def test_an_unknown_model_is_named(model: Any, stream: bytes) -> None:
    with pytest.raises(ui2c.UnsupportedError, match=model.model_id.hex()):
        ui2c.Decoder().decode(stream)
    other = random_model("nano", 2)
    with pytest.raises(ui2c.UnsupportedError, match=rf"{model.model_id.hex()}.*nano"):
        ui2c.Decoder(model=other).decode(stream)


def test_frames_per_unit_must_be_the_models(model: Any) -> None:
    header = ui2c.SequenceHeader(width=16, height=16, model_id=model.model_id, frames_per_unit=1)
    writer = ui2c._core.Writer(header)
    with pytest.raises(ui2c.CorruptError, match="1 frames per unit, its model has 2"):
        ui2c.Decoder(model=model).decode(writer.start() + writer.end())


@pytest.mark.parametrize(
    "limits",
    [
        {"max_pixels": 255},
        {"max_unit_bytes": 16},
        {"max_frames": 5},
        {"max_memory": 256 * 3 // 2 * 3 - 1},
        {"max_memory": 1 << 20},
    ],
)
def test_limits(model: Any, stream: bytes, limits: dict[str, int]) -> None:
    with pytest.raises(ui2c.LimitError):
        ui2c.Decoder(model=model, limits=ui2c.Limits(**limits)).decode(stream)
