"""Of several video streams the one that is meant is read."""

from pathlib import Path

import av
import pytest
from support.av_files import pictures
from ui2c.video import open_source
from ui2c.video.streams import ATTACHED_PICTURE, DEFAULT


def write(path: Path, *streams: tuple[tuple[int, int], int]) -> Path:
    """A file with video streams of these sizes and dispositions."""
    with av.open(str(path), "w") as container:
        made = []
        for size, disposition in streams:
            cover = disposition & ATTACHED_PICTURE
            stream = container.add_stream("mjpeg" if cover else "libx264", rate=25)
            stream.width, stream.height = size
            stream.pix_fmt = "yuvj420p" if cover else "yuv420p"
            stream.disposition = disposition
            made.append((stream, size, stream.pix_fmt))
        for stream, size, pixels in made:
            for frame in pictures(1 if pixels == "yuvj420p" else 3, size, pixels):
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    return path


SMALL, LARGE = (32, 16), (64, 48)


@pytest.mark.parametrize(
    ("streams", "taken"),
    [
        ([(SMALL, 0), (LARGE, 0)], 1),
        ([(LARGE, 0), (SMALL, 0)], 0),
        ([(SMALL, DEFAULT), (LARGE, 0)], 0),
        ([(LARGE, 0), (LARGE, 0)], 0),
    ],
)
def test_the_one_that_ffmpeg_takes(
    tmp_path: Path, streams: list[tuple[tuple[int, int], int]], taken: int
) -> None:
    path = write(tmp_path / "clip.mkv", *streams)
    source = open_source(path)
    video = source.description
    assert (video.width, video.height) == streams[taken][0]
    assert len(list(source)) == 3
    (note,) = source.notes
    assert f"stream {taken} is taken" in note and "0: " in note and "1: " in note
    for number, (size, _) in enumerate(streams):
        source = open_source(path, stream=number)
        assert (source.description.width, source.description.height) == size
        assert source.notes == []


def test_a_cover_is_no_video(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.mp4", (LARGE, ATTACHED_PICTURE), (SMALL, 0))
    source = open_source(path)
    assert (source.description.width, source.description.height) == SMALL
    assert len(list(source)) == 3
    assert "64x48 mjpeg cover" in source.notes[0]


def test_streams_that_are_not_there(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.mkv", (SMALL, 0))
    assert open_source(path).notes == []
    for number in (1, -1):
        with pytest.raises(ValueError, match=f"no video stream {number}, only 0: 32x16 h264"):
            open_source(path, stream=number)
    y4m = tmp_path / "clip.y4m"
    y4m.write_bytes(b"YUV4MPEG2 W2 H2\nFRAME\n123456")
    assert len(list(open_source(y4m, stream=0))) == 1
    with pytest.raises(ValueError, match="one video stream"):
        open_source(y4m, stream=1)
