"""Frame types: what is taken, what is refused, and how the refusal reads."""

import numpy as np
import pytest
from support.clips import make_clip
from ui2c import YUV420
from ui2c.picture.frames import as_array, check_frame, chroma_size, iterate


def planes(width: int, height: int, dtype: type = np.uint8) -> list[np.ndarray]:
    chroma = chroma_size(width, height)
    return [np.zeros((h, w), dtype) for w, h in ((width, height), chroma, chroma)]


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 5), (16, 1), (1, 17), (352, 288)])
def test_sizes_and_chroma(size: tuple[int, int]) -> None:
    frame = YUV420(*planes(*size))
    assert (frame.width, frame.height) == size
    assert frame.u.shape == ((size[1] + 1) // 2, (size[0] + 1) // 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bit_depth": 7}, "bit_depth must be 8 to 16"),
        ({"bit_depth": 10}, "y must be a uint16 array"),
        ({"y": np.zeros((4, 6), np.uint16)}, "y must be a uint8 array"),
        ({"y": np.zeros((4, 6, 1), np.uint8)}, "y must be a uint8 array"),
        ({"y": np.zeros((0, 6), np.uint8)}, "y must hold at least one sample"),
        ({"u": np.zeros((2, 4), np.uint8)}, "u must be 3x2 for 6x4 luma, not 4x2"),
        ({"v": np.zeros((3, 3), np.uint8)}, "v must be 3x2 for 6x4 luma, not 3x3"),
        ({"y": [[0]]}, "not list"),
    ],
)
def test_wrong_planes_name_the_argument(change: dict, message: str) -> None:
    y, u, v = planes(6, 4)
    with pytest.raises(ValueError, match=message):
        YUV420(**({"y": y, "u": u, "v": v} | change))


def test_codes_beyond_the_bit_depth_are_refused() -> None:
    y, u, v = planes(4, 4, np.uint16)
    v[1, 1] = 1 << 10
    with pytest.raises(ValueError, match="v must hold values below 1024 at 10 bits, not 1024"):
        YUV420(y, u, v, bit_depth=10)
    assert YUV420(y, u, v, bit_depth=11).v[1, 1] == 1024


def test_equality_looks_at_samples_not_times() -> None:
    (a,), (b,) = make_clip(6, 6, 1), make_clip(6, 6, 1)
    assert a == b
    assert a == YUV420(*b.planes, pts=7)
    assert a != YUV420(*b.planes, full_range=True)
    b.u[0, 0] ^= 1
    assert a != b
    assert a != "a frame"
    assert repr(a) == "<YUV420 6x6, 8 bits, limited range, pts None>"


def test_check_frame_takes_rgb_and_torch() -> None:
    torch = pytest.importorskip("torch")
    rgb = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert np.array_equal(check_frame(torch.from_numpy(rgb)), rgb)
    assert as_array("text") == "text"


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((2, 2, 3), np.float32),
        np.zeros((2, 2), np.uint8),
        np.zeros((2, 2, 4), np.uint8),
        np.zeros((3, 2, 2), np.uint8),
        np.zeros((0, 2, 3), np.uint8),
        None,
        b"frame",
    ],
)
def test_check_frame_refuses(frame: object) -> None:
    with pytest.raises(ValueError, match="frame must be a YUV420 or RGB as uint8"):
        check_frame(frame)


def test_iterate() -> None:
    clip = np.zeros((3, 2, 2, 3), np.uint8)
    assert len(list(iterate(clip))) == 3
    assert list(iterate([])) == []
    assert list(iterate(iter([1, 2]))) == [1, 2]


@pytest.mark.parametrize(
    "clip", [np.zeros((2, 2, 3), np.uint8), np.zeros((1, 2, 2, 3)), b"", "clip", 5, None]
)
def test_iterate_refuses(clip: object) -> None:
    with pytest.raises(ValueError, match="frames must be"):
        iterate(clip)


def test_one_picture_is_no_clip() -> None:
    with pytest.raises(ValueError, match="frames must be"):
        iterate(make_clip(2, 2, 1)[0])
