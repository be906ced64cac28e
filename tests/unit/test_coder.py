"""One unit at a time: what the encoder reconstructs is what the decoder shows."""

from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
import ui2c
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clips import equal, moving_frames
from support.paths import CITY
from support.units import code_units, decode_units
from ui2c import _core
from ui2c.motion import Field, Planes, field_cost, search_field, search_joint, with_halves
from ui2c.network.weights import load_model, random_model
from ui2c.pair import PairCoder
from ui2c.video import open_source


@settings(max_examples=15, deadline=None)
@given(
    name=st.sampled_from(
        ["nano", "nano-single", "nano-implicit", "nano-single-implicit", "nano-still"]
    ),
    width=st.integers(1, 70),
    height=st.integers(1, 70),
    count=st.integers(1, 5),
    qp=st.integers(0, 63),
    depth=st.sampled_from([8, 10]),
    seed=st.integers(0, 1000),
)
def test_decoder_shows_what_the_encoder_reconstructs(
    name: str, width: int, height: int, count: int, qp: int, depth: int, seed: int
) -> None:
    model = random_model(name, seed)
    frames = moving_frames(count, width, height, depth, seed)
    units, shown = code_units(model, frames, qp, depth)
    decoded = decode_units(model, units, width, height, depth)
    assert all(equal(a, b) for a, b in zip(shown, decoded, strict=False))
    assert shown[0][0].shape == (height, width)
    assert shown[0][1].shape == (-(-height // 2), -(-width // 2))


@pytest.mark.parametrize("size", [(48, 80), (70, 33), (144, 176)])
def test_threads_change_nothing(size: tuple[int, int]) -> None:
    model = random_model("nano", 5)
    frames = moving_frames(4, size[1], size[0], 8, 1)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(code_units(model, frames, 20, 8))
    finally:
        torch.set_num_threads(before)
    assert [u.stream for u in results[0][0]] == [u.stream for u in results[1][0]]
    assert all(equal(a, b) for a, b in zip(results[0][1], results[1][1], strict=True))


def test_real_bits_match_the_estimate() -> None:
    """On real video with the shipped weights: within 1 %."""
    pytest.importorskip("av")
    from ui2c.video import open_source

    clip = [frame.planes for frame, _ in zip(open_source(CITY), range(8), strict=False)]
    units, _ = code_units(load_model("small"), clip, 20, 8)
    real = sum(len(u.stream) for u in units) * 8
    assert real == pytest.approx(sum(u.estimated_bits for u in units), rel=0.01)


def test_a_panning_texture_gets_a_motion_field() -> None:
    rng = np.random.default_rng(0)
    wide = np.repeat(np.repeat(rng.integers(40, 216, (24, 40), np.uint8), 4, 0), 4, 1)
    frames = [
        (wide[:96, 6 * t : 6 * t + 96].copy(), wide[:48, :48].copy(), wide[48:, :48].copy())
        for t in range(4)
    ]
    model = random_model("nano", 1)
    coder = PairCoder(model, width=96, height=96)
    coder.encode(frames[:2], qp=20, cycle=0, intra=True)
    coder._reference = frames[1]
    unit = coder.encode(frames[2:], qp=20, cycle=1, intra=False)
    assert unit.motion_step in (16, 32, 64) and unit.motion_bits > 0


def test_a_shown_frame_may_be_changed() -> None:
    model = random_model("nano", 1)
    frames = moving_frames(4, 32, 32, 8, 0)
    units, shown = code_units(model, frames, 20, 8)
    coder = PairCoder(model, width=32, height=32)
    for i, unit in enumerate(units):
        decoded = coder.decode(
            unit.stream,
            qp=unit.qp,
            cycle=unit.cycle,
            intra=unit.intra,
            motion_step=unit.motion_step,
            log2_lanes=unit.log2_lanes,
        )
        assert equal(decoded[1], shown[2 * i + 1])
        for plane in decoded[1]:
            plane[:] = 0


def test_streams_that_do_not_fit_are_typed_errors() -> None:
    model = random_model("nano", 1)
    units, _ = code_units(model, moving_frames(4, 32, 32, 8, 0), 20, 8)
    fresh = PairCoder(model, width=32, height=32)
    with pytest.raises(ui2c.CorruptError, match="intra"):
        fresh.decode(units[1].stream, qp=20, cycle=1, intra=False)
    with pytest.raises(ui2c.CorruptError, match="motion"):
        fresh.decode(units[0].stream, qp=20, cycle=0, intra=True, motion_step=16)
    for stream in (b"", b"\x00" * 5, units[0].stream[:-1], units[0].stream + b"\x00"):
        with pytest.raises(ui2c.Error):
            PairCoder(model, width=32, height=32).decode(stream, qp=20, cycle=0, intra=True)


@pytest.mark.parametrize("name", ["nano", "nano-single-implicit"])
def test_a_unit_may_follow_a_picture_that_another_codec_made(name: str) -> None:
    model = random_model(name, seed=4)
    reference, *frames = moving_frames(3, 50, 38, 8, seed=1)
    encoder, decoder = (PairCoder(model, width=50, height=38) for _ in range(2))
    for coder in (encoder, decoder):
        coder.refer_to(reference)
    frames = frames[: model.config.frames_per_unit]
    unit = encoder.encode(frames, qp=30, cycle=1, intra=False)
    shown = decoder.decode(
        unit.stream,
        qp=30,
        cycle=1,
        intra=False,
        motion_step=unit.motion_step,
        log2_lanes=unit.log2_lanes,
    )
    for ours, theirs in zip(encoder.decoded, shown, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
    alone = PairCoder(model, width=50, height=38)
    alone.encode(frames, qp=30, cycle=1, intra=True)
    assert any((a != b).any() for a, b in zip(alone.decoded[0], shown[0], strict=True))


def test_coarse_vectors_come_back_in_their_units() -> None:
    fine = random_model("nano", seed=4)
    reference, *frames = moving_frames(3, 90, 70, 8, seed=2)
    streams = set()
    for shift, limits in enumerate([(0.0, 0.0), (1e6, 0.0), (1e6, 1e6)]):
        model = replace(fine, config=replace(fine.config, coarse_motion=limits))
        assert model.config.motion_shift(30) == shift
        encoder, decoder = (PairCoder(model, width=90, height=70) for _ in range(2))
        for coder in (encoder, decoder):
            coder.refer_to(reference)
        unit = encoder.encode(frames, qp=30, cycle=1, intra=False)
        assert unit.motion_step
        shown = decoder.decode(
            unit.stream,
            qp=30,
            cycle=1,
            intra=False,
            motion_step=unit.motion_step,
            log2_lanes=unit.log2_lanes,
        )
        for ours, theirs in zip(encoder.decoded, shown, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
        streams.add(unit.stream)
    assert len(streams) == 3


def precise_model(**config: Any) -> Any:
    model = random_model("nano", seed=4)
    return replace(model, config=replace(model.config, chosen_precision=True, **config))


@pytest.mark.parametrize("blocks", [False, True])
def test_units_say_how_precise_their_vectors_are(blocks: bool) -> None:
    model = precise_model(blocks=blocks, coarse_motion=(1e6, 0.0))
    assert model.config.motion_shift(30) == 1
    frames = moving_frames(9, 90, 70, 8, seed=2)
    costs = {0: lambda field, *_: field.shift, 1: lambda field, *_: -field.shift}
    streams = set()
    for shift, cost in costs.items():
        encoder, decoder = (PairCoder(model, width=90, height=70) for _ in range(2))
        encoder._cost = cost  # type: ignore[method-assign]
        for cycle in range(4):
            pair = frames[2 * cycle : 2 * cycle + 2]
            unit = encoder.encode(pair, qp=30, cycle=cycle, intra=cycle == 0)
            shown = decoder.decode(
                unit.stream,
                qp=30,
                cycle=cycle,
                intra=cycle == 0,
                motion_step=unit.motion_step,
                log2_lanes=unit.log2_lanes,
            )
            for ours, theirs in zip(encoder.decoded, shown, strict=True):
                assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
        streams.add(unit.stream)
        assert encoder.state.shift == shift
    assert len(streams) == 2


def test_precision_is_chosen_once_a_cycle() -> None:
    model = precise_model()
    frames = moving_frames(12, 64, 48, 8, seed=2)
    coder = PairCoder(model, width=64, height=48)
    seen: list[int] = []
    search = coder._search
    coder._search = lambda *a: (seen.append(a[2]), search(*a))[1]  # type: ignore[method-assign]
    for cycle in (0, 1, 2, 3, 0):
        coder.encode(
            frames[2 * cycle : 2 * cycle + 2], qp=30, cycle=cycle, intra=not seen and not cycle
        )
    assert len(seen) == 2 + 1 + 1 + 2
    fast = PairCoder(model, width=64, height=48, motion="fast")
    fast.encode(frames[:2], qp=30, cycle=0, intra=True)
    fast.encode(frames[2:4], qp=30, cycle=1, intra=False)
    assert fast.state.shift is None


def test_fine_vectors_suit_a_slow_pan() -> None:
    """Which city is; what moves by whole samples stays with the usual halves."""
    model = precise_model(coarse_motion=(1e6, 0.0))
    city = [frame.planes for frame in islice(iter(open_source(CITY)), 3)]
    for frames, expected in ((city, 0), (moving_frames(3, 90, 70, 8, seed=2), 1)):
        height, width = frames[0][0].shape
        coder = PairCoder(model, width=width, height=height)
        coder.refer_to(frames[0])
        coder.encode(frames[1:], qp=20, cycle=0, intra=False)
        assert coder.state.shift == expected


@pytest.mark.parametrize("effort", ["default", "slow"])
def test_a_steady_pan_needs_the_last_field_only(effort: str) -> None:
    """The first frame's is half of it; where the picture jumps there and back it is not."""
    model = random_model("nano", seed=4)
    halved = replace(model, config=replace(model.config, halved=True))
    rng = np.random.default_rng(3)
    wide = np.kron(rng.integers(30, 220, (30, 60)), np.ones((8, 8))).astype(np.uint8)
    wide = (wide // 2 + np.roll(wide, 3, 1) // 4 + np.roll(wide, 5, 0) // 4).astype(np.uint8)
    grey = np.full((48, 64), 128, np.uint8)

    def frames(places: list[int]) -> list[Planes]:
        return [(wide[40:136, x : x + 128].copy(), grey, grey) for x in places]

    for places, chosen in (([60, 63, 66], True), ([60, 67, 60], False)):
        first, *pair = frames(places)
        found = []
        for used in (model, halved):
            encoder = PairCoder(used, width=128, height=96, motion=effort)
            decoder = PairCoder(used, width=128, height=96)
            for coder in (encoder, decoder):
                coder.refer_to(first)
            fields: list[Field] = []
            search = encoder._find_field
            encoder._find_field = lambda *a, s=search, f=fields: (f.append(s(*a)), f[-1])[1]  # type: ignore[method-assign]
            unit = encoder.encode(pair, qp=20, cycle=0, intra=False)
            shown = decoder.decode(
                unit.stream,
                qp=20,
                cycle=0,
                intra=False,
                motion_step=unit.motion_step,
                log2_lanes=unit.log2_lanes,
            )
            for ours, theirs in zip(encoder.decoded, shown, strict=True):
                assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
            found.append((fields[0], unit.motion_bits))
        assert found[1][0].halved is chosen and not found[0][0].halved
        assert (found[1][1] < found[0][1]) is chosen


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_fields_found_together_cost_less(bit_depth: int) -> None:
    """On a pan that shakes: than those found for each frame, both with halves and related ones."""
    rng = np.random.default_rng(3)
    dtype = np.uint8 if bit_depth == 8 else np.uint16
    wide = np.kron(rng.integers(30, 220, (30, 60)), np.ones((8, 8)))
    wide = wide / 2 + np.roll(wide, 3, 1) / 4 + np.roll(wide, 5, 0) / 4
    grey = np.full((48, 64), 128 << (bit_depth - 8), dtype)

    def picture(x: int) -> Planes:
        noise = rng.normal(0, 3, (96, 128))
        codes = (wide[40:136, x : x + 128] + noise) * 2 ** (bit_depth - 8)
        return codes.astype(dtype), grey, grey

    reference, *pair = (picture(x) for x in (60, 63, 66))
    luma = [frame[0] for frame in pair]
    found = search_field(reference[0], luma, 300.0, 0, bit_depth=bit_depth, effort="slow")
    assert found.step and found.vectors is not None
    halved = found._replace(vectors=with_halves(found.vectors[-1:]), halved=True)
    fields = search_joint(found, halved, reference[0], luma, 300.0, bit_depth=bit_depth)
    related, better = fields

    def cost(field: Field) -> float:
        predicted = [planes[0] for planes in field.predict(reference, 2, bit_depth)]
        return field_cost(field, predicted, luma, 300.0, bit_depth)

    assert not related.halved and related.bits() <= found.bits()
    assert better.halved and better.vectors is not None
    assert np.array_equal(better.vectors, with_halves(better.vectors[-1:]))
    assert cost(related) <= cost(found) and cost(better) <= cost(halved)


def test_half_of_a_vector_is_rounded_up() -> None:
    last = np.array([[[[5, -5], [4, -4], [2047, -2047], [1, -1]]]], np.int16)
    first, same = with_halves(last)
    assert first.tolist() == [[[3, -2], [2, -2], [1024, -1023], [1, 0]]]
    assert np.array_equal(same, last[0])
    field = Field(16, with_halves(last), 0, halved=True)
    assert np.array_equal(field.coded(), last) and field.bits() == _core.motion_bits(last)


def test_half_a_field_that_is_not_there_is_corrupt() -> None:
    model = random_model("nano", seed=4)
    model = replace(model, config=replace(model.config, halved=True))
    coder = PairCoder(model, width=64, height=64)
    coder.encode(moving_frames(2, 64, 64, 8, seed=2), qp=20, cycle=0, intra=True)
    encoder = _core.RansEncoder()
    encoder.put_bits(1, 1)
    lanes, stream = encoder.finish()
    with pytest.raises(ui2c.CorruptError):
        coder.decode(stream, qp=20, cycle=1, intra=False, motion_step=16, log2_lanes=lanes)


def test_an_unknown_precision_is_corrupt() -> None:
    model = precise_model()
    coder = PairCoder(model, width=32, height=32)
    coder.encode(moving_frames(2, 32, 32, 8, seed=2), qp=20, cycle=0, intra=True)
    encoder = _core.RansEncoder()
    encoder.put_bits(3, 2)
    lanes, stream = encoder.finish()
    with pytest.raises(ui2c.CorruptError, match=r"2\^3 quarter samples"):
        coder.decode(stream, qp=20, cycle=1, intra=False, log2_lanes=lanes)


def test_a_coarse_vector_beyond_the_range_is_corrupt() -> None:
    model = random_model("nano", seed=4)
    model = replace(model, config=replace(model.config, coarse_motion=(1e6, 1e6)))
    coder = PairCoder(model, width=32, height=32)
    coder.encode(moving_frames(2, 32, 32, 8, seed=2), qp=20, cycle=0, intra=True)
    encoder = _core.RansEncoder()
    encoder.put_motion(np.full((2, 2, 2, 2), 512, np.int16))
    lanes, stream = encoder.finish()
    with pytest.raises(ui2c.CorruptError, match="2047"):
        coder.decode(stream, qp=20, cycle=1, intra=False, motion_step=16, log2_lanes=lanes)


def test_large_networks_search_longer_unless_told() -> None:
    model = load_model("small")
    assert ui2c.Encoder(model=model).motion == "slow"
    assert ui2c.Encoder(model=model, motion="fast").motion == "fast"
    assert ui2c.Encoder(model="tiny").motion == "default"
    with pytest.raises(ValueError, match="motion must be"):
        ui2c.Encoder(model=model, motion="slower")
