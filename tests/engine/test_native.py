"""The core's networks against PyTorch's, bit for bit, and without PyTorch."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ui2c
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.clips import equal, make_clip, moving_frames
from support.told import session_of, shown, units_of
from ui2c import YUV420, _core
from ui2c.network.engine import Session
from ui2c.network.load import load_model
from ui2c.network.model import Model, find_model
from ui2c.network.native_engine import NativeEngine
from ui2c.network.torch_model import load_torch_model
from ui2c.unit.planes import Geometry


@pytest.fixture(scope="module")
def twins(nano_file: Path) -> tuple[Model, Model]:
    """One small model, run by the core and by PyTorch."""
    return load_model(nano_file), load_torch_model(nano_file)


def agreed(one: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
    assert one.dtype == other.dtype and np.array_equal(one, other)
    return one


def check_twins(twins: tuple[Model, Model], geometry: Geometry, qp: int, units: int) -> None:
    """Everything that sessions give, in coding a still and pairs and in decoding them."""
    sessions = a, b = [session_of(model, geometry) for model in twins]
    for unit in units_of(geometry, qp)[:units]:
        known, before = unit.told["known"], [session.save() for session in sessions]
        for session in sessions:
            session.begin(**unit.told)
        agreed(a.hyper_scales(), b.hyper_scales())
        z = agreed(a.analyse(unit.frames, known), b.analyse(unit.frames, known))
        agreed(a.scales(z), b.scales(z))
        y = agreed(a.quantise(), b.quantise())
        results = []
        for session, state in zip(sessions, before, strict=True):
            session.synthesise()
            results.append((session.digest(), shown(session, unit)))
            session.restore(state)
            session.begin(**unit.told)
            session.scales(z)
            session.synthesise(y)
            results.append((session.digest(), shown(session, unit)))
        digest, frames = results[0]
        for other_digest, others in results[1:]:
            assert other_digest == digest
            assert all(equal(x, y) for x, y in zip(frames, others, strict=True))


@settings(max_examples=25, deadline=None)
@given(
    size=st.tuples(st.integers(1, 100), st.integers(1, 100)),
    depth=st.sampled_from([8, 10, 16]),
    qp=st.integers(0, 63),
)
def test_nano(twins: tuple[Model, Model], size: tuple[int, int], depth: int, qp: int) -> None:
    check_twins(twins, Geometry(*size, depth), qp, 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "height", "depth", "qp"), [(176, 144, 8, 20), (131, 77, 10, 45), (17, 90, 8, 0)]
)
def test_small(width: int, height: int, depth: int, qp: int) -> None:
    twins = load_model("small"), load_torch_model(find_model("small"))
    check_twins(twins, Geometry(width, height, depth), qp, 2)


def clip_of(width: int, height: int, depth: int, count: int = 7) -> list[YUV420]:
    return [YUV420(*f, depth) for f in moving_frames(count, width, height, depth, 3)]


@pytest.mark.parametrize(("width", "height", "depth"), [(80, 48, 8), (70, 33, 10)])
def test_files(twins: tuple[Model, Model], width: int, height: int, depth: int) -> None:
    """Both write the same file, and the core's decoder shows what units show one by one."""
    clip = clip_of(width, height, depth)
    ours, theirs = (ui2c.Encoder(model=m, qp=18, keyint=4, lead=0).encode(clip) for m in twins)
    assert ours == theirs
    native, seam = (ui2c.Decoder(model=model).decode(ours) for model in twins)
    assert len(native) == len(clip) and native == seam


class Borrowed:
    """The core's sessions in Python's decoder of units."""

    on_processor = True

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def session(self, **size: int) -> Session:
        session: Session = self._engine.session(**size)
        return session


def test_units_over_the_seam(twins: tuple[Model, Model]) -> None:
    model = twins[0]
    clip = clip_of(70, 33, 8)
    stream = ui2c.Encoder(model=model, qp=30, keyint=5).encode(clip)
    over = replace(model, engine=Borrowed(model.engine))
    assert over.native is None
    assert ui2c.Decoder(model=over).decode(stream) == ui2c.Decoder(model=model).decode(stream)


def test_threads_change_nothing(twins: tuple[Model, Model]) -> None:
    model, clip = twins[0], clip_of(200, 90, 8, 5)
    streams = [ui2c.Encoder(model=model, threads=n, lead=0).encode(clip) for n in (1, 2, 3)]
    assert streams[0] == streams[1] == streams[2]
    shown = [ui2c.Decoder(model=model, threads=n).decode(streams[0]) for n in (1, 2, 3)]
    assert shown[0] == shown[1] == shown[2]


def test_arrays_that_do_not_fit_are_refused(twins: tuple[Model, Model]) -> None:
    model = twins[0].native
    assert model is not None
    with pytest.raises(ValueError):
        _core.Session(model, width=40, height=32, bit_depth=8)
    session = NativeEngine(model).session(width=48, height=32, bit_depth=8)
    grey = Geometry(48, 32).grey()
    deep = Geometry(48, 32, 10).grey()
    told: dict[str, Any] = {"qp": 20, "intra": True, "step": 0, "vectors": None}
    for known in ([grey], [grey] * 3, [grey, deep], [Geometry(64, 32).grey()] * 2):
        with pytest.raises(ValueError):
            session.begin(**told, known=known)
    with pytest.raises(ValueError):
        session.begin(**told | {"qp": 64}, known=[grey, grey])
    session.begin(**told, known=[grey, grey])
    session.scales(np.zeros(session.hyper_scales().size, np.int16))
    session.synthesise(np.zeros(6 * 64, np.int16))
    field: NDArray[np.int16] = np.zeros((2, 2, 3, 2), np.int16)
    inter: dict[str, Any] = told | {"intra": False, "step": 16}
    for vectors in (field[:, :1].copy(), field + 2048):
        with pytest.raises(ValueError):
            session.begin(**inter | {"vectors": vectors}, known=[grey, grey])
    session.begin(**inter | {"vectors": field}, known=[grey, grey])


def test_a_file_is_all_a_model_needs(nano_file: Path, twins: tuple[Model, Model]) -> None:
    ours, theirs = twins
    again = _core.Model(nano_file.read_bytes())
    assert (again.id, again.profile) == (theirs.model_id, theirs.profile)
    assert (ours.config, ours.card) == (theirs.config, theirs.card)
    assert np.array_equal(again.filters, theirs.filters)
    for qp in range(64):
        for intra in (False, True):
            assert ours.default_filters(qp, intra) == theirs.default_filters(qp, intra)


SCRIPT = """
import sys
sys.modules["torch"] = sys.modules["safetensors"] = None
import numpy as np
import ui2c
clip = [np.full((48, 64, 3), 40 * k, np.uint8) for k in range(4)]
stream = ui2c.Encoder(model=sys.argv[1], qp=30).encode(clip)
frames = ui2c.Decoder(model=sys.argv[1], output="rgb").decode(stream)
assert frames.shape == (4, 48, 64, 3)
for options in ({"device": "cuda"}, {"model": sys.argv[2]}):
    try:
        ui2c.Encoder(**{"model": sys.argv[1]} | options)
    except ui2c.UnsupportedError as error:
        assert "needs PyTorch: pip install" in str(error), error
    else:
        raise AssertionError(options)
"""


def test_all_but_experiments_works_without_torch(
    nano_file: Path, single: Any, tmp_path: Path
) -> None:
    from ui2c.network.torch_model import save_model

    save_model(single.engine.codec, tmp_path / "single.safetensors")
    command = [sys.executable, "-c", SCRIPT, str(nano_file), str(tmp_path / "single.safetensors")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_nothing_imports_torch_in_coding(nano_file: Path) -> None:
    script = (
        "import sys, ui2c; from ui2c.network.load import load_model; "
        f"ui2c.Encoder(model={str(nano_file)!r}, device='cpu'); import ui2c.cli; "
        "assert 'torch' not in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_one_frame_at_a_time_stays_with_torch(single: Any, tmp_path: Path) -> None:
    from ui2c.network.torch_model import save_model

    save_model(single.engine.codec, tmp_path / "single.safetensors")
    model = load_model(tmp_path / "single.safetensors")
    assert model.native is None
    clip = make_clip(32, 32, 3)
    stream = ui2c.Encoder(model=model).encode(clip)
    assert len(ui2c.Decoder(model=model).decode(stream)) == 3
