"""Arrays of any layout, buffers of any kind, objects in other processes and threads."""

import array
import mmap
import multiprocessing
import pickle
import threading
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ui2c
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clips import make_clip, make_rgb
from ui2c.picture.color import rgb_to_yuv420
from ui2c.picture.metrics import frame_psnr
from ui2c.video import Description, open_sink, open_source


def laid_out(values: np.ndarray, how: str) -> np.ndarray:
    """Equal values in another order in memory."""
    match how:
        case "fortran":
            return np.asfortranarray(values)
        case "backwards":
            return np.ascontiguousarray(values[::-1, ::-1])[::-1, ::-1]
        case "rotated":
            return np.rot90(np.ascontiguousarray(np.rot90(values)), -1)
        case "part":
            wide = np.zeros(
                (values.shape[0] + 2, values.shape[1] + 3, *values.shape[2:]), values.dtype
            )
            wide[1:-1, 2:-1] = values
            return wide[1:-1, 2:-1]
        case "read-only":
            values = values.copy()
            values.flags.writeable = False
            return values
        case "torch":
            torch = pytest.importorskip("torch")
            return torch.from_numpy(np.ascontiguousarray(values.swapaxes(0, 1))).transpose(0, 1)
    raise ValueError(how)


LAYOUTS = ["fortran", "backwards", "rotated", "part", "read-only"]


@pytest.mark.parametrize("how", [*LAYOUTS, "torch"])
def test_rgb_in_any_order_of_memory(how: str, saved: Any) -> None:
    clip = make_rgb(22, 34, 3)
    plain = ui2c.Encoder(model=saved, lead=0).encode(clip)
    assert ui2c.Encoder(model=saved, lead=0).encode([laid_out(rgb, how) for rgb in clip]) == plain


def test_clips_in_any_order_of_memory(saved: Any) -> None:
    torch = pytest.importorskip("torch")
    clip = make_rgb(22, 34, 3)
    plain = ui2c.Encoder(model=saved, lead=0).encode(clip)
    channels_first = torch.from_numpy(np.ascontiguousarray(clip.transpose(0, 3, 1, 2)))
    for same in (np.asfortranarray(clip), channels_first.permute(0, 2, 3, 1)):
        assert ui2c.Encoder(model=saved, lead=0).encode(same) == plain


@settings(max_examples=40, deadline=None)
@given(
    st.permutations(range(3)), st.tuples(*[st.sampled_from([1, -1, 2, -3])] * 3), st.integers(0, 99)
)
def test_conversion_does_not_look_at_memory(
    order: list[int], steps: tuple[int, int, int], seed: int
) -> None:
    random = np.random.default_rng(seed)
    shape = [9, 7, 9]
    view = random.integers(0, 256, shape, np.uint8).transpose(order)
    view = view[:: steps[0], :: steps[1], :: steps[2]][..., :3]
    assert view.shape[2] == 3
    picture = rgb_to_yuv420(view)
    assert picture == rgb_to_yuv420(np.ascontiguousarray(view))
    assert all(plane.flags.c_contiguous for plane in picture.planes)


@pytest.mark.parametrize("how", LAYOUTS)
@pytest.mark.parametrize("depth", [8, 10])
def test_planes_in_any_order_of_memory(how: str, depth: int, tmp_path: Path, saved: Any) -> None:
    frames = make_clip(22, 34, 2, bit_depth=depth)
    same = [ui2c.YUV420(*(laid_out(p, how) for p in f.planes), bit_depth=depth) for f in frames]
    assert same == frames
    assert all(plane.flags.c_contiguous for frame in same for plane in frame.planes)
    encoded = [ui2c.Encoder(model=saved, lead=0).encode(clip) for clip in (frames, same)]
    assert encoded[0] == encoded[1]
    sink = open_sink(tmp_path / "a.y4m", Description(22, 34, depth))
    for frame in same:
        sink.write(frame)
    sink.close()
    assert list(open_source(tmp_path / "a.y4m")) == frames
    assert frame_psnr(same[0], frames[0]).yuv == np.inf


@pytest.fixture(scope="module")
def stream(saved: Any) -> bytes:
    data: bytes = ui2c.Encoder(model=saved, lead=0, keyint=2).encode(make_clip(16, 16, 5))
    return data


def buffers(data: bytes) -> list[Any]:
    everything = np.frombuffer(data, np.uint8)
    spread = np.zeros(2 * len(data), np.uint8)
    spread[::2] = everything
    mapped = mmap.mmap(-1, len(data))
    mapped[:] = data
    return [
        bytearray(data),
        memoryview(data),
        everything,
        spread[::2],
        array.array("B", data),
        mapped,
    ]


def test_buffers_of_any_kind(stream: bytes, saved: Any) -> None:
    frames = ui2c.Decoder(model=saved).decode(stream)
    for buffer in buffers(stream):
        assert ui2c.Decoder(model=saved).decode(buffer) == frames
        with ui2c.Decoder(model=saved).open(buffer) as reader:
            assert reader[:] == frames and reader[-1] == frames[-1]
        decoder = ui2c.Decoder(model=saved)
        assert [*decoder.push(buffer), *decoder.flush()] == frames
        assert list(ui2c.Decoder(model=saved).decode_iter([buffer])) == frames


def test_a_mapped_file_can_be_closed_after_the_reader(
    stream: bytes, saved: Any, tmp_path: Path
) -> None:
    path = tmp_path / "a.ui2c"
    path.write_bytes(stream)
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    with ui2c.Decoder(model=saved).open(mapped) as reader:
        assert len(reader) == 5
    mapped.close()


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        5,
        1.0,
        np.zeros(4),
        np.zeros((2, 2), np.uint8),
        [1, 2],
        ["text"],
        array.array("i", [1]),
    ],
)
def test_what_holds_no_bytes_is_refused(wrong: Any, saved: Any) -> None:
    with pytest.raises(TypeError, match=r"bytes"):
        ui2c.Decoder(model=saved).decode(wrong)
    with pytest.raises(TypeError, match=r"bytes"):
        ui2c.Decoder(model=saved).open(wrong)
    with pytest.raises(TypeError, match=r"bytes"):
        ui2c.Decoder(model=saved).push(wrong)


def test_numbers_of_frames_and_times(stream: bytes, saved: Any) -> None:
    reader = ui2c.Decoder(model=saved).open(stream)
    assert reader[np.int64(1)] == reader[1] == reader.frame_at(np.float32(0.04))
    assert (
        reader.frame_at(Fraction(1, 25))
        == reader.frame_at(0.04)
        == reader.frame_at(np.float64(0.04))
    )
    for index in (1.0, "1", None, (1,)):
        with pytest.raises(TypeError, match="frames are numbered by integers, not "):
            reader[index]
    for seconds in (float("inf"), float("-inf"), float("nan"), np.float32("nan")):
        with pytest.raises(ValueError, match="seconds must be a finite number"):
            reader.frame_at(seconds)
    with pytest.raises(TypeError):
        reader.frame_at(None)  # type: ignore[arg-type]


def encode_there(encoder: ui2c.Encoder, frames: list[ui2c.YUV420]) -> bytes:
    return encoder.encode(frames)


def decode_there(decoder: ui2c.Decoder, data: bytes) -> Any:
    return decoder.decode(data)


def test_options_pickle(stream: bytes, saved: Any) -> None:
    limits = ui2c.Limits(max_pixels=1 << 20, max_memory=1 << 28)
    again = pickle.loads(pickle.dumps(limits))
    names = [name for name in dir(limits) if not name.startswith("_")]
    assert "max_frames" in names
    assert {n: getattr(again, n) for n in names} == {n: getattr(limits, n) for n in names}
    decoder = ui2c.Decoder(model=saved)
    decoder.decode(stream)
    assert decoder.header is not None
    header = pickle.loads(pickle.dumps(decoder.header))
    assert header.width == 16 and header.model_id == decoder.header.model_id
    assert header.timebase == decoder.header.timebase


def test_encoders_and_decoders_pickle(nano_file: Path) -> None:
    frames = make_clip(16, 16, 5)
    encoder = ui2c.Encoder(model=nano_file, qp=20, lead=0, keyint=2)
    data = encoder.encode(frames)
    again = pickle.loads(pickle.dumps(encoder))
    assert again.options == encoder.options and again.encode(frames) == data
    assert again.statistics == encoder.statistics
    limits = ui2c.Limits(max_frames=4)
    decoder = ui2c.Decoder(model=nano_file, output="rgb", limits=limits)
    same = pickle.loads(pickle.dumps(decoder))
    with pytest.raises(ui2c.LimitError):
        same.decode(data)
    decoder = ui2c.Decoder(model=nano_file)
    decoder.decode(data)
    assert pickle.loads(pickle.dumps(decoder)).decode(data) == decoder.decode(data)


def test_what_cannot_be_pickled_says_why(stream: bytes, nano_file: Path, saved: Any) -> None:
    encoder, decoder = ui2c.Encoder(model=nano_file), ui2c.Decoder(model=nano_file)
    encoder.push(make_clip(16, 16, 1)[0])
    decoder.push(stream[:50])
    for busy in (encoder, decoder):
        with pytest.raises(TypeError, match="amid a stream: end it by flush"):
            pickle.dumps(busy)
    encoder.flush()
    assert pickle.dumps(encoder)
    for loaded in (ui2c.Encoder(model=saved), ui2c.Decoder(model=saved)):
        with pytest.raises(TypeError, match="give it the model's name or path"):
            pickle.dumps(loaded)
    with pytest.raises(TypeError, match="a Reader cannot be pickled"):
        pickle.dumps(ui2c.Decoder(model=saved).open(stream))


@pytest.mark.slow
def test_another_process_codes_the_same(nano_file: Path) -> None:
    frames = make_clip(16, 16, 3)
    encoder = ui2c.Encoder(model=nano_file, lead=0)
    decoder = ui2c.Decoder(model=nano_file)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        data = pool.submit(encode_there, encoder, frames).result()
        assert data == encoder.encode(frames)
        assert pool.submit(decode_there, decoder, data).result() == decoder.decode(data)


def at_once(work: Any, given: list[Any]) -> list[BaseException]:
    """What goes wrong when each of two threads does all the work, as much at once as they can."""
    barrier = threading.Barrier(2)
    errors: list[BaseException] = []

    def run() -> None:
        barrier.wait()
        for item in given:
            try:
                work(item)
            except BaseException as error:
                errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_one_thread_at_a_time_encodes(saved: Any) -> None:
    """The other gets an error, and what comes out is a stream of what was taken."""
    encoder = ui2c.Encoder(model=saved, lead=0)
    data: list[bytes] = []
    errors = at_once(lambda frame: data.append(encoder.push(frame)), make_clip(48, 32, 20))
    assert all(isinstance(e, RuntimeError) and "this Encoder is at work" in str(e) for e in errors)
    data.append(encoder.flush())
    assert encoder.statistics.frames + len(errors) == 40
    # In which order two threads append is not said: the sizes add up, the stream is whole.
    assert sum(map(len, data)) == encoder.statistics.bytes


def test_a_call_from_within_is_refused(saved: Any) -> None:
    def shown(frame: ui2c.YUV420) -> None:
        encoder.push(frame)

    encoder = ui2c.Encoder(model=saved, lead=0, reconstruction=shown)
    with pytest.raises(RuntimeError, match="this Encoder is at work already"):
        encoder.encode(make_clip(16, 16, 2))
    encoder = ui2c.Encoder(model=saved, lead=0)

    def frames() -> Any:
        yield make_clip(16, 16, 1)[0]
        with pytest.raises(RuntimeError, match="at work already"):
            encoder.push(make_clip(16, 16, 1)[0])

    assert len(ui2c.Decoder(model=saved).decode(encoder.encode(frames()))) == 1


def test_one_call_at_a_time_decodes(stream: bytes, saved: Any) -> None:
    """Another that comes while a unit is decoded gets an error, and changes nothing."""
    errors: list[BaseException] = []

    def push() -> None:
        try:
            decoder.push(stream)
        except RuntimeError as error:
            errors.append(error)

    class Asked:
        """A model that is asked for its id amid a push."""

        @property
        def model_id(self) -> bytes:
            push()
            other = threading.Thread(target=push)
            other.start()
            other.join()
            identity: bytes = saved.model_id
            return identity

        def __getattr__(self, name: str) -> Any:
            return getattr(saved, name)

    decoder = ui2c.Decoder(model=Asked())  # type: ignore[arg-type]
    frames = [*decoder.push(stream), *decoder.flush()]
    assert frames == ui2c.Decoder(model=saved).decode(stream)
    assert len(errors) >= 2
    assert all("this Decoder is at work already" in str(error) for error in errors)


def test_many_threads_read(saved: Any) -> None:
    """Right frames or an error, never others."""
    data = ui2c.Encoder(model=saved, lead=0, keyint=4).encode(make_clip(48, 32, 12))
    frames = ui2c.Decoder(model=saved).decode(data)
    reader = ui2c.Decoder(model=saved).open(data)
    wrong: list[int] = []

    def look(number: int) -> None:
        if reader[number] != frames[number]:
            wrong.append(number)

    errors = at_once(look, list(range(12)) + list(range(12))[::-1])
    assert not wrong
    assert all(isinstance(e, RuntimeError) and "this Reader is at work" in str(e) for e in errors)
