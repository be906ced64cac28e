"""Stands in for ffmpeg, ffprobe, VTM and ECM: takes their options, codes in a way of its own.

A frame is its samples without their lowest bits, deflated; the point says how many bits go. The
name of the program is the first argument; a point of 13 makes the encoders fail.
"""

import json
import os
import signal
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

MAGIC = b"FAKE"


def frame_bytes(width: int, height: int, depth: int) -> int:
    samples = width * height + 2 * ((width + 1) // 2) * ((height + 1) // 2)
    return samples * (1 if depth == 8 else 2)


def coarse(frame: bytes, point: float, depth: int) -> bytes:
    """Without the lowest bits of every sample."""
    gone = int(point) // 10 + 1
    if depth == 8:
        mask = 0xFF << gone & 0xFF
        return bytes(sample & mask for sample in frame)
    mask = 0xFFFF << gone & 0xFFFF
    samples = struct.unpack(f"<{len(frame) // 2}H", frame)
    return struct.pack(f"<{len(samples)}H", *(sample & mask for sample in samples))


def encode(source: str, target: str, size: int, frames: int, point: float, depth: int) -> list[int]:
    """Writes the stream; the bytes of each frame."""
    if point == 13:
        sys.exit("the stand-in does not like 13")
    data = Path(source).read_bytes()
    payloads = [
        zlib.compress(coarse(data[i * size : (i + 1) * size], point, depth)) for i in range(frames)
    ]
    with open(target, "wb") as file:
        if target.endswith(".ivf"):
            file.write(b"DKIF" + bytes(28))
            for index, payload in enumerate(payloads):
                file.write(struct.pack("<IQ", len(payload), index) + payload)
        else:
            file.write(MAGIC)
            for payload in payloads:
                file.write(struct.pack("<I", len(payload)) + payload)
    return [len(payload) for payload in payloads]


def payloads(path: str) -> list[bytes]:
    data = Path(path).read_bytes()
    position, header = (32, 12) if data[:4] == b"DKIF" else (4, 4)
    found = []
    while position < len(data):
        (length,) = struct.unpack_from("<I", data, position)
        position += header
        found.append(data[position : position + length])
        position += length
    return found


def decode(source: str, target: str) -> None:
    Path(target).write_bytes(b"".join(zlib.decompress(payload) for payload in payloads(source)))


def ffmpeg(arguments: list[str]) -> None:
    if "-version" in arguments:
        print("ffmpeg version 9.9-stand-in Copyright nobody")
        return

    def after(option: str) -> str:
        return arguments[arguments.index(option) + 1]

    if "-lavfi" in arguments:
        log = after("-lavfi").partition("log_path=")[2]
        count = int(after("-frames:v"))
        scores = [{"metrics": {"vmaf": 90.0 + index}} for index in range(count)]
        Path(log).write_text(json.dumps({"frames": scores}))
    elif "-c:v" in arguments:
        width, _, height = after("-s").partition("x")
        depth = 8 if after("-pix_fmt") == "yuv420p" else 10
        size = frame_bytes(int(width), int(height), depth)
        frames = int(after("-frames:v"))
        # Without a point it is to tell its name alone.
        point = float(after("-crf")) if "-crf" in arguments else 0
        encode(after("-i"), arguments[-1], size, frames, point, depth)
    else:
        decode(after("-i"), arguments[-1])


def ffprobe(arguments: list[str]) -> None:
    part, _, key = arguments[arguments.index("-show_entries") + 1].partition("=")
    sizes = [{key: str(len(payload))} for payload in payloads(arguments[-1])]
    print(json.dumps({f"{part}s": sizes}))


def reference(arguments: list[str]) -> None:
    """The encoders of VTM and ECM: -c FILE and --Key=value."""
    values = dict(a[2:].split("=", 1) for a in arguments if a.startswith("--"))
    assert Path(arguments[arguments.index("-c") + 1]).is_file()
    depth = int(values["InputBitDepth"])
    size = frame_bytes(int(values["SourceWidth"]), int(values["SourceHeight"]), depth)
    frames = int(values["FramesToBeEncoded"])
    target = values["BitstreamFile"]
    sizes = encode(values["InputFile"], target, size, frames, float(values["QP"]), depth)
    print("VVCSoftware: VTM Encoder Version 17.0 [Linux][GCC 12.2.0][64 bit]")
    for index, count in enumerate(sizes):
        kind = "I-SLICE" if index == 0 else "B-SLICE"
        print(
            f"POC {index:4} LId:  0 TId: 0 ( IDR_N_LP, {kind}, QP 22 ) {8 * count:10} bits "
            f"[Y 40.1 dB    U 41.2 dB    V 42.3 dB] [ET     0 ] [L0] [L1]"
        )
    if "ReconFile" in values:
        decode(target, values["ReconFile"])


def die_at_13(job: Any) -> Any:
    """Work for an executor, whose process is killed at one point.

    Here, since the process that does it imports this file, which needs no PyTorch.
    """
    from ui2c.evaluate.job import do

    if job.point == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    return do(job)


def segment_that_dies_once(segment: Any) -> Any:
    """Work for an executor, whose process is killed at its first segment."""
    from ui2c.segments.encode import code

    mark = Path(segment.clip.path).with_name("died")
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return code(segment)


def main(name: str, arguments: list[str]) -> None:
    if name == "ffmpeg":
        ffmpeg(arguments)
    elif name == "ffprobe":
        ffprobe(arguments)
    elif name == "EncoderAppStatic":
        reference(arguments)
    elif name == "DecoderAppStatic":
        values = dict(zip(arguments[::2], arguments[1::2], strict=True))
        decode(values["-b"], values["-o"])
    else:
        sys.exit(f"no stand-in for {name}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
