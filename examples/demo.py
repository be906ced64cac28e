"""A short real clip there and back: sizes, quality, and whether the decoder agrees."""

import io
import time
from pathlib import Path

import numpy as np
import ui2c
from ui2c.picture.metrics import Psnr, frame_psnr, mean_psnr
from ui2c.video import Description, open_source

CLIP = Path(__file__).parent.parent / "tests" / "data" / "city.mkv"
QPS = (22, 43)
X264_CRFS = (22, 32)
X264_OPTIONS = {"preset": "medium", "tune": "zerolatency", "x264-params": "keyint=infinite"}


def main() -> None:
    source = open_source(CLIP)
    video = source.description
    clip = list(source)
    print(f"{CLIP.name}: {len(clip)} frames, {video.width}x{video.height}, {video.fps} fps")
    print(f"{'':<14} {'bytes':>8} {'bit/pixel':>10} {'PSNR Y':>8} {'6:1:1':>8} {'fps':>8}")
    for qp in QPS:
        code(clip, video, qp)
    for crf in X264_CRFS:
        code_x264(clip, video, crf)


def code(clip: list[ui2c.YUV420], video: Description, qp: int) -> None:
    shown: list[ui2c.YUV420] = []
    encoder = ui2c.Encoder(
        qp=qp, fps=video.fps, color=video.color, psnr=True, reconstruction=shown.append
    )
    begin = time.perf_counter()
    stream = encoder.encode(clip)
    report(f"ui2c qp {qp}", clip, len(stream), encoder.statistics.psnr, begin)

    begin = time.perf_counter()
    decoded = ui2c.Decoder().decode(stream)
    if decoded != shown:
        raise SystemExit("the decoder shows something else than the encoder said")
    seconds = time.perf_counter() - begin
    print(f"  decoded at {len(decoded) / seconds:.2f} fps, every sample as the encoder said")


def code_x264(clip: list[ui2c.YUV420], video: Description, crf: int) -> None:
    """The same clip through x264 without look-ahead or B frames, for comparison."""
    import av

    begin = time.perf_counter()
    file = io.BytesIO()
    with av.open(file, "w", format="h264") as container:
        stream = container.add_stream(
            "libx264", rate=video.fps, options={**X264_OPTIONS, "crf": str(crf)}
        )
        stream.width, stream.height, stream.pix_fmt = video.width, video.height, "yuv420p"
        for picture in clip:
            planes = np.concatenate([plane.ravel() for plane in picture.planes])
            frame = av.VideoFrame.from_ndarray(planes.reshape(-1, video.width), "yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    size = len(file.getvalue())
    file.seek(0)
    with av.open(file, format="h264") as container:
        psnr = []
        for picture, frame in zip(clip, container.decode(video=0), strict=True):
            samples = frame.to_ndarray().ravel()
            edges = np.cumsum([plane.size for plane in picture.planes])
            planes = [
                part.reshape(plane.shape)
                for part, plane in zip(np.split(samples, edges[:-1]), picture.planes, strict=True)
            ]
            psnr.append(frame_psnr(picture, ui2c.YUV420(*planes)))
    report(f"x264 crf {crf}", clip, size, mean_psnr(psnr), begin)


def report(name: str, clip: list[ui2c.YUV420], size: int, psnr: Psnr, begin: float) -> None:
    seconds = time.perf_counter() - begin
    pixels = len(clip) * clip[0].width * clip[0].height
    print(
        f"{name:<14} {size:>8} {8 * size / pixels:>10.4f} {psnr.y:>8.2f} {psnr.yuv:>8.2f} "
        f"{len(clip) / seconds:>8.2f}"
    )


if __name__ == "__main__":
    main()
