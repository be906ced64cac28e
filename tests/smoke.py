"""Whether an installed ui2c works: run by itself with the Python it is installed in.

Needs neither pytest nor the repository; the video extra is tested where it is there.
"""

import subprocess
import sys
import tempfile
from pathlib import Path


def run(*arguments: object) -> str:
    command = [sys.executable, "-m", "ui2c", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main() -> None:
    import numpy as np
    import ui2c

    assert "torch" not in sys.modules, "import ui2c imports torch"
    t, y, x, c = np.mgrid[0:5, 0:48, 0:65, 0:3]
    rgb = (127.5 + 120 * np.sin((x + 1.5 * t) * 0.2 + c) * np.cos(y * 0.15 + c)).astype(np.uint8)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        encoder = ui2c.Encoder(qp=10, keyint=2, psnr=True)
        data = encoder.encode(rgb)
        assert encoder.statistics.psnr.yuv > 25, encoder.statistics.psnr
        decoder = ui2c.Decoder(output="rgb")
        frames = decoder.decode(data)
        assert frames.shape == rgb.shape
        assert np.array_equal(decoder.open(data)[3], frames[3])
        stream = folder / "clip.ui2c"
        stream.write_bytes(data)
        assert "frames         5 in 4 units" in run("info", stream)
        run("decode", stream, folder / "clip.y4m")
        run("encode", folder / "clip.y4m", folder / "again.ui2c", "--frames", 2)
        try:
            import av  # noqa: F401
        except ImportError:
            print("without the video extra")
        else:
            even = ui2c.Encoder(qp=30).encode(rgb[:, :48, :64])
            (folder / "even.ui2c").write_bytes(even)
            run("decode", folder / "even.ui2c", folder / "even.mp4")
            run("encode", folder / "even.mp4", folder / "back.ui2c")
    print(run("--version", "-v"), end="")
    print("ui2c works")


if __name__ == "__main__":
    main()
