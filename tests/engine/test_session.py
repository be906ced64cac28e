"""What every engine's session must satisfy: see ui2c.network.engine."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.told import Coded, Unit, decode, encode, same, session_of, shown, units_of
from ui2c.network.engine import Session
from ui2c.network.load import load_model
from ui2c.network.model import Model
from ui2c.network.prior import SCALES
from ui2c.network.torch_model import load_torch_model
from ui2c.unit.planes import Geometry

ENGINES: dict[str, Callable[[Path], Model]] = {
    "torch": load_torch_model,
    "native": load_model,
}
"""A model file, run by each engine."""


@pytest.fixture(scope="module", params=ENGINES)
def model(request: pytest.FixtureRequest, nano_file: Path) -> Model:
    return ENGINES[request.param](nano_file)


@settings(max_examples=12, deadline=None)
@given(
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    depth=st.sampled_from([8, 10]),
    qp=st.integers(0, 63),
)
def test_both_sides_come_to_the_same(
    model: Model, size: tuple[int, int], depth: int, qp: int
) -> None:
    geometry = Geometry(*size, depth)
    encoder, decoder = (session_of(model, geometry) for _ in range(2))
    dtype = np.uint8 if depth == 8 else np.uint16
    for unit in units_of(geometry, qp):
        coded = encode(encoder, unit)
        assert same(decode(decoder, unit, coded), coded)
        for y, u, v in coded.frames:
            assert y.shape == (geometry.coded_height, geometry.coded_width)
            assert u.shape == v.shape == (geometry.coded_height // 2, geometry.coded_width // 2)
            assert y.dtype == u.dtype == v.dtype == dtype and y.max() < 1 << depth


def test_symbols_fit_their_scales(model: Model) -> None:
    geometry = Geometry(80, 48)
    cells = geometry.cells[0] * geometry.cells[1]
    hyper_cells = -(-geometry.coded_height // 64) * -(-geometry.coded_width // 64)
    session = session_of(model, geometry)
    for unit in units_of(geometry, 10):
        session.begin(**unit.told)
        of_z = session.hyper_scales()
        z = session.analyse(unit.frames, unit.told["known"])
        of_y = session.scales(z)
        y = session.quantise()
        session.synthesise()
        assert of_z.shape == z.shape == (hyper_cells * model.config.hyper,)
        assert of_y.shape == y.shape == (cells * model.config.latent,)
        assert (of_z.dtype, of_y.dtype) == (np.uint8, np.uint8)
        assert (z.dtype, y.dtype) == (np.int16, np.int16)
        assert max(of_z.max(), of_y.max()) < SCALES
        # Tables with an index below two code nothing.
        assert not z[of_z < 2].any() and not y[of_y < 2].any() and y.any()


def test_what_a_unit_is_told_matters(model: Model) -> None:
    """Its field moves the feature, what is known of its frames is seen, and so is the quality."""
    geometry = Geometry(64, 48)
    still, unit, _ = units_of(geometry, 20)
    field = np.full((2, 3, 4, 2), 24, np.int16)
    grey = [geometry.grey()] * 2
    digests = set()
    for change in (
        {"step": 0, "vectors": None},
        {"step": 16, "vectors": field},
        {"step": 16, "vectors": field + 4},
        {"step": 0, "vectors": None, "known": grey},
        {"step": 0, "vectors": None, "qp": 30},
    ):
        session = session_of(model, geometry)
        encode(session, still)
        digests.add(encode(session, Unit(unit.told | change, unit.frames)).digest)
    assert len(digests) == 5


def test_an_intra_unit_depends_on_nothing_before_it(model: Model) -> None:
    geometry = Geometry(64, 48)
    still, *pairs = units_of(geometry, 20)
    session = session_of(model, geometry)
    first = encode(session, still)
    for pair in pairs:
        encode(session, pair)
    assert same(encode(session, still), first)


@pytest.mark.parametrize("side", ["encoder", "decoder"])
def test_restoring_undoes_units(model: Model, side: str) -> None:
    geometry = Geometry(50, 38)
    still, first, second = units_of(geometry, 20)
    other = units_of(geometry, 40, seed=5)[1]
    session, helper = (session_of(model, geometry) for _ in range(2))
    begun = session.save()
    expected = [encode(helper, unit) for unit in (still, first, second)]

    def run(unit: Unit, coded: Coded) -> Coded:
        return encode(session, unit) if side == "encoder" else decode(session, unit, coded)

    assert same(run(still, expected[0]), expected[0])
    after_still = session.save()
    for _ in range(2):
        assert same(run(first, expected[1]), expected[1])
        assert same(run(second, expected[2]), expected[2])
        session.restore(after_still)
        assert session.digest() == expected[0].digest
        encode(session, other)
        session.restore(after_still)
    # Also in the middle of a unit.
    session.begin(**other.told)
    session.analyse(other.frames, other.told["known"])
    session.restore(after_still)
    assert same(run(first, expected[1]), expected[1])
    session.restore(begun)
    with pytest.raises(ValueError):
        session.begin(**first.told)
    assert same(run(still, expected[0]), expected[0])


def test_a_saved_state_serves_another_session(model: Model) -> None:
    geometry = Geometry(50, 38)
    still, first, _ = units_of(geometry, 20)
    one, other = (session_of(model, geometry) for _ in range(2))
    encode(one, still)
    other.restore(one.save())
    assert same(encode(other, first), encode(one, first))


def test_a_picture_may_be_overwritten(model: Model) -> None:
    """Neither what was given nor what came out is kept."""
    geometry = Geometry(48, 32)
    units = units_of(geometry, 20)
    careful, careless = (session_of(model, geometry) for _ in range(2))
    expected = [encode(careful, unit) for unit in units]
    for unit, right in zip(units_of(geometry, 20), expected, strict=True):
        coded = encode(careless, unit)
        assert same(coded, right)
        for frame in (*coded.frames, *unit.frames, *unit.told["known"]):
            for plane in frame:
                plane[...] = 0


def test_calls_in_another_order_are_refused(model: Model) -> None:
    geometry = Geometry(48, 32)
    still, first, second = units_of(geometry, 20)
    grey = geometry.grey()
    helper = session_of(model, geometry)
    coded = [encode(helper, unit) for unit in (still, first, second)]
    calls: dict[str, Callable[[Session], object]] = {
        "hyper_scales": lambda s: s.hyper_scales(),
        "analyse": lambda s: s.analyse(still.frames, [grey, grey]),
        "scales": lambda s: s.scales(coded[0].z),
        "quantise": lambda s: s.quantise(),
        "synthesise": lambda s: s.synthesise(),
        "synthesise y": lambda s: s.synthesise(coded[0].y),
        "frame": lambda s: s.frame(1, grey),
    }

    def refused(session: Session, *names: str) -> None:
        for name in names:
            with pytest.raises(ValueError):
                calls[name](session)

    every = tuple(calls)
    session = session_of(model, geometry)
    refused(session, *every)
    with pytest.raises(ValueError):
        session.begin(**first.told)
    refused(session, *every)
    # Of the first unit and of one that follows, on the side of the encoder.
    for unit in (still, first, second):
        session.begin(**unit.told)
        refused(session, "quantise", "synthesise", "synthesise y", "frame")
        z = session.analyse(unit.frames, unit.told["known"])
        refused(session, "quantise", "synthesise", "synthesise y", "frame")
        session.scales(z)
        refused(session, "synthesise", "frame")
        session.quantise()
        refused(session, "frame")
        session.synthesise()
        refused(session, "quantise", "synthesise", "synthesise y")
        shown(session, unit)
    # On that of the decoder, which has analysed nothing.
    session = session_of(model, geometry)
    for unit, right in zip((still, first), coded, strict=False):
        session.begin(**unit.told)
        session.scales(right.z)
        refused(session, "quantise", "synthesise", "frame")
        session.synthesise(right.y)
        refused(session, "quantise", "synthesise", "synthesise y")
    # A unit that was begun and given up leaves nothing to the one begun next.
    session.begin(**first.told)
    session.scales(session.analyse(first.frames, first.told["known"]))
    session.quantise()
    session.begin(**second.told)
    refused(session, "quantise", "synthesise", "synthesise y", "frame")
    session.scales(coded[2].z)
    refused(session, "quantise", "synthesise", "frame")
    session.restore(session.save())
    refused(session, *every)


def test_arrays_of_other_sizes_are_refused(model: Model) -> None:
    geometry = Geometry(48, 32)
    still = units_of(geometry, 20)[0]
    session = session_of(model, geometry)
    coded = encode(session, still)
    session.begin(**still.told)
    with pytest.raises(ValueError):
        session.scales(coded.z[:-1])
    session.scales(coded.z)
    with pytest.raises(ValueError):
        session.synthesise(coded.y[:-1])
