"""What libx264 and libx265 make of the validation clips: the yardsticks of a run."""

import io
import json
from pathlib import Path

import av
import numpy as np

from ui2c.evaluate import bdrate
from ui2c.picture.metrics import Psnr, mean_psnr, plane_psnr
from ui2c.train.data.validation import Clip
from ui2c.train.files import whole_file
from ui2c.unit.planes import Planes

Curve = list[tuple[float, float]]
"""(bits per pixel of the whole stream, PSNR Y:U:V = 6:1:1 in dB) by rate point."""

LOW_DELAY = {
    "x264": ("libx264", "h264", {"bf": "0", "g": "9999", "sc_threshold": "0"}),
    "x265": ("libx265", "hevc", {"x265-params": "bframes=0:keyint=-1:scenecut=0:log-level=error"}),
}
"""Encoder, format and options: preset medium, tune psnr, no B-frames, one intra frame."""

CRFS = (14, 19, 24, 29, 34, 39, 44)


def clip_psnr(source: Clip, decoded: list[Planes]) -> float:
    """Mean over frames of the PSNR, Y:U:V = 6:1:1, in dB; planes without an error count as 100 dB.

    `source` holds planes `[frames, height, width]`, `decoded` one triple of planes per frame.
    """
    frames = [
        Psnr(*(min(100.0, plane_psnr(a, b)) for a, b in zip(planes, other, strict=True)))
        for planes, other in zip(zip(*source, strict=True), decoded, strict=True)
    ]
    return mean_psnr(frames).yuv


def encode_with(codec: str, source: Clip, crf: int) -> bytes:
    """The raw stream that a codec of `LOW_DELAY` makes of a clip at 25 frames per second."""
    encoder, container_format, options = LOW_DELAY[codec]
    height, width = source[0].shape[1:]
    file = io.BytesIO()
    with av.open(file, "w", format=container_format) as container:
        stream = container.add_stream(encoder, rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.thread_count = 1
        stream.options = {"preset": "medium", "tune": "psnr", "crf": str(crf), **options}
        for planes in zip(*source, strict=True):
            packed = np.concatenate([plane.reshape(-1, width) for plane in planes])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(packed, format="yuv420p")))
        container.mux(stream.encode(None))
    return file.getvalue()


def decode_stream(data: bytes) -> list[Planes]:
    """The planes of every frame of a raw stream."""
    frames = []
    with av.open(io.BytesIO(data), "r") as container:
        for frame in container.decode(container.streams.video[0]):
            packed = frame.to_ndarray(format="yuv420p").astype(np.uint8, copy=False)
            y = packed[: frame.height]
            u, v = packed[frame.height :].reshape(2, frame.height // 2, frame.width // 2)
            frames.append((y, u, v))
    return frames


def anchor_curves(name: str, clips: list[Clip], cache: Path) -> list[Curve]:
    """One curve per clip of the codec `name`; made once, then read from `cache` (a folder)."""
    shape = "x".join(str(n) for n in clips[0][0].shape)
    kept = cache / f"anchor-{name}-{len(clips)}x{shape}.json"
    if kept.exists():
        return [[(rate, psnr) for rate, psnr in curve] for curve in json.loads(kept.read_text())]
    curves = []
    for clip in clips:
        curve = []
        for crf in CRFS:
            data = encode_with(name, clip, crf)
            curve.append((len(data) * 8 / clip[0].size, clip_psnr(clip, decode_stream(data))))
        curves.append(curve)
    with whole_file(kept) as file:
        file.write(json.dumps(curves).encode())
    return curves


def bd_rate(anchor: Curve, test: Curve) -> float:
    """BD-rate by PCHIP in %, negative where `test` is better; NaN where they do not overlap."""
    result = bdrate.bd_rate(bdrate.Curve.of(anchor), bdrate.Curve.of(test))
    return result.percent.get("pchip", float("nan"))
