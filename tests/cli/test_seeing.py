"""compare-frames and the plots."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import ui2c
from support.clips import make_clip
from ui2c import YUV420
from ui2c.cli import main
from ui2c.evaluate.over_time import Moment, page
from ui2c.evaluate.png import read_png
from ui2c.evaluate.sheet import GAP, Box, sheet, worst_box
from ui2c.video import Description, open_sink


def changed(frame: YUV420, top: int, left: int) -> YUV420:
    """With a brighter patch of 5 x 6 samples."""
    y = frame.y.copy()
    y[top : top + 5, left : left + 6] ^= 64
    return YUV420(y, frame.u, frame.v, frame.bit_depth)


@pytest.mark.parametrize("depth", [8, 10])
def test_the_worst_part_is_found(depth: int) -> None:
    frame = make_clip(61, 47, 1, bit_depth=depth)[0]
    for top, left in ((0, 0), (42, 55), (13, 20)):
        box = worst_box(frame, changed(frame, top, left), 6, 5)
        assert box == Box(6, 5, left, top)
    assert worst_box(frame, frame, 99, 99) == Box(61, 47, 0, 0)


def test_a_sheet() -> None:
    frame = make_clip(32, 20, 1)[0]
    other = changed(frame, 4, 8)
    picture = sheet(frame, other, Box(6, 5, 8, 4), zoom=3, gain=1)
    assert picture.shape == (20 + GAP + 15, 3 * 32 + 2 * GAP, 3)
    difference = picture[:20, -32:, 0].astype(int) - 128
    assert np.array_equal(difference, other.y.astype(int) - frame.y)
    close = picture[20 + GAP :, 2 * (18 + GAP) : 2 * (18 + GAP) + 18, 0]
    assert np.array_equal(close[::3, ::3].astype(int) - 128, difference[4:9, 8:14])
    with pytest.raises(ValueError, match="one size"):
        sheet(frame, make_clip(32, 22, 1)[0], Box(4, 4, 0, 0))
    with pytest.raises(ValueError, match="32x20 and 32x22"):
        worst_box(frame, make_clip(32, 22, 1)[0], 4, 4)
    for box in (Box(0, 4, 0, 0), Box(4, 4, 29, 0), Box(4, 4, 0, 17)):
        with pytest.raises(ValueError, match="does not lie within"):
            sheet(frame, frame, box)


def test_compare_frames(
    tmp_path: Path, saved: Any, nano_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = make_clip(36, 20, 5)
    a, b, out = (tmp_path / name for name in ("a.y4m", "b.ui2c", "sheet.png"))
    sink = open_sink(a, Description(36, 20))
    for frame in clip:
        sink.write(frame)
    sink.close()
    b.write_bytes(ui2c.Encoder(model=saved, keyint=2).encode(clip))

    def run(*arguments: object) -> int:
        options = ["-o", out, "--model", nano_file, *arguments]
        return main(["compare-frames", *map(str, (a, b, *options))])

    assert run("--frame", 3, 1, "--zoom", 2) == 0
    said = capsys.readouterr().err
    assert "frame 3: PSNR Y" in said and "frame 1: PSNR Y" in said and "below: 16x16+" in said
    assert read_png(out.read_bytes()).shape == (2 * (20 + GAP + 32) + GAP, 3 * 36 + 2 * GAP, 3)
    assert run("--at", "0.1", "--box", "8x8+3+4", "-y", "-q") == 0
    for wrong, code, message in (
        (("--frame", 9), 2, "has no frame 9"),
        (("--box", "8x8"), 2, "--box must be like"),
        (("--box", "80x8+0+0"), 2, "does not lie within"),
    ):
        assert run(*wrong, "-y") == code
        assert message in capsys.readouterr().err
    assert run() == 1
    assert "exists already" in capsys.readouterr().err
    out = tmp_path / "sheet.gif"
    assert run() == 2
    assert "must end in .png" in capsys.readouterr().err and not out.exists()


def plots(text: str) -> list[str]:
    """Names of the plots of a page, whose SVG must be well-formed."""
    body = text[text.index("<svg") : text.index("</body>")]
    return [svg.attrib["aria-label"] for svg in ElementTree.fromstring(f"<a>{body}</a>")]


def test_rate_over_a_window() -> None:
    moments = [Moment(0.5 * i, 0.5, 1000 * (i + 1), 30, i == 0, 40.0 + i) for i in range(5)]
    text = page("a <b>", moments)
    assert plots(text) == ["Rate over 1 s", "Bits of each unit", "qp", "PSNR"]
    assert "a &lt;b&gt;" in text
    from ui2c.evaluate.over_time import _rates

    assert _rates(moments, 1.0) == [(0, 2), (0.5, 3), (1, 5), (1.5, 7), (2, 9)]
    assert "<svg" not in page("none", [])


def test_plots_of_the_command(tmp_path: Path, nano_file: Path, capsys: Any) -> None:
    source, out = tmp_path / "in.y4m", tmp_path / "out.ui2c"
    sink = open_sink(source, Description(16, 16))
    for frame in make_clip(16, 16, 5):
        sink.write(frame)
    sink.close()
    coded, seen = tmp_path / "coded.html", tmp_path / "seen.html"
    options = ["--model", str(nano_file), "--plot", str(coded), "-q"]
    assert main(["encode", str(source), str(out), "--psnr", *options]) == 0
    assert main(["info", str(out), "--plot", str(seen)]) == 0
    assert plots(coded.read_text()) == [*plots(seen.read_text()), "PSNR"]
    assert "delay          1 frame, 40 ms" in capsys.readouterr().out
    assert main(["encode", str(source), str(out), "--psnr", *options]) == 1
    assert "exists already" in capsys.readouterr().err
