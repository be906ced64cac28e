"""Fuzzes the whole decoder: python fuzz/decoder.py [--seconds N] [--seed N]

Golden streams are changed at random, half of them inside their units with
right checksums around, and decoded with both ways of taking errors. Nothing but frames or one of
the errors of ui2c may come out, in bounded time and memory. There is no coverage feedback: the
parser and the coder, where it would help, have fuzzers of their own. Findings go to
fuzz/seeds/decoder/.
"""

import argparse
import hashlib
import random
import resource
import sys
import time
from pathlib import Path

import ui2c
from ui2c import _core
from ui2c.network.load import load_model

HERE = Path(__file__).parent
SEEDS = HERE / "seeds" / "decoder"
GOLDEN = HERE.parent / "tests" / "golden"

NAMES = ("eight", "ten")
"""Golden streams, which say all that a unit can say."""

LIMITS = ui2c.Limits(max_pixels=256 * 256, max_unit_bytes=1 << 16, max_frames=1000)
SECONDS = 20.0
MEBIBYTES = 512
SYNC = bytes.fromhex("7fd32c8b")


Unit = tuple[bool, int, bytes]
"""Whether a sync word stands before it; its type and payload."""


class Checker:
    """A loaded network for many streams."""

    def __init__(self) -> None:
        self.model = load_model(GOLDEN / "nano.safetensors")
        self.frames = self.errors = 0
        for stream in whole_streams():
            ui2c.Decoder(model=self.model).decode(stream)
        self.memory = peak()

    def check(self, stream: bytes) -> None:
        """Raises if anything but frames or an error of ui2c comes out, or it costs too much."""
        start = time.thread_time()
        for on_error in ("raise", "skip"):
            for verify in (True, False):
                decoder = ui2c.Decoder(
                    model=self.model, threads=1, limits=LIMITS, on_error=on_error, verify=verify
                )
                try:
                    for frame in decoder.decode_iter(stream):
                        self.frames += 1
                        header = decoder.header
                        assert header is not None
                        assert frame.y.shape == (header.height, header.width)
                except ui2c.Error:
                    self.errors += 1
        if (seconds := time.thread_time() - start) > SECONDS:
            raise RuntimeError(f"{len(stream)} bytes take {seconds:.1f} s")
        if (grown := peak() - self.memory) > MEBIBYTES:
            raise RuntimeError(f"{len(stream)} bytes take {grown} MiB")


def whole_streams() -> list[bytes]:
    return [(GOLDEN / f"{name}.ui2c").read_bytes() for name in NAMES]


def peak() -> int:
    """Most memory that the process has ever had, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def changed(data: bytes, chance: random.Random) -> bytes:
    """A few small changes."""
    bytes_ = bytearray(data)
    for _ in range(1 << chance.randrange(4)):
        at = chance.randrange(len(bytes_) + 1)
        kind = chance.randrange(6)
        if kind == 0 and at < len(bytes_):
            bytes_[at] ^= 1 << chance.randrange(8)
        elif kind == 1 and at < len(bytes_):
            bytes_[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        elif kind == 2:
            bytes_[at:at] = chance.randbytes(chance.randrange(1, 9))
        elif kind == 3:
            del bytes_[at : at + chance.randrange(1, 9)]
        elif kind == 4:
            source = chance.randrange(len(bytes_) + 1)
            bytes_[at:at] = bytes_[source : source + chance.randrange(64)]
        elif kind == 5 and chance.randrange(8) == 0:
            del bytes_[at:]
    return bytes(bytes_)


def split(stream: bytes) -> list[Unit]:
    """The units of a whole stream."""
    at, units = 10, []
    while at < len(stream):
        synced = stream[at : at + len(SYNC)] == SYNC
        at += len(SYNC) if synced else 0
        size = shift = 0
        end = at + 1
        while True:
            size |= (stream[end] & 0x7F) << shift
            shift += 7
            end += 1
            if stream[end - 1] < 0x80:
                break
        units.append((synced, stream[at], stream[end : end + size]))
        at = end + size + 4
    return units


def joined(units: list[Unit]) -> bytes:
    """The stream of these units, with checksums as they must be."""
    stream = bytes.fromhex("8b554932430d0a1a0100")
    for synced, kind, payload in units:
        size = len(payload)
        length = bytearray()
        while size >= 0x80:
            length.append(size & 0x7F | 0x80)
            size >>= 7
        unit = bytes([kind, *length, size]) + payload
        stream += SYNC if synced else b""
        stream += unit + _core.crc32c(unit).to_bytes(4, "little")
    return stream


def mutation(streams: list[bytes], chance: random.Random) -> bytes:
    stream = chance.choice(streams)
    if chance.randrange(2):
        return changed(stream, chance)
    units = split(stream)
    for _ in range(chance.randrange(1, 3)):
        at = chance.randrange(len(units))
        synced, kind, payload = units[at]
        what = chance.randrange(8)
        if what == 0:
            units[at] = (synced, kind ^ 1 << chance.randrange(8), payload)
        elif what == 1:
            units.insert(chance.randrange(len(units)), units[at])
        elif what == 2 and len(units) > 1:
            del units[at]
        else:
            units[at] = (synced, kind, changed(payload, chance))
    return joined(units)


def write_seeds() -> None:
    """Writes what the golden streams give to begin with; findings stay."""
    streams = whole_streams()
    for name, stream in zip(NAMES, streams, strict=True):
        (SEEDS / name).write_bytes(stream)
    for number in range(8):
        (SEEDS / f"mutation-{number}").write_bytes(mutation(streams, random.Random(number)))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=1800)
    parser.add_argument("--seed", type=int, default=time.time_ns())
    arguments = parser.parse_args()
    checker = Checker()
    chance = random.Random(arguments.seed)
    # Findings of old are no start for new ones: what is malformed cannot be taken apart.
    streams = whole_streams()
    end = time.monotonic() + arguments.seconds
    count = findings = 0
    while time.monotonic() < end:
        stream = mutation(streams, chance)
        count += 1
        try:
            checker.check(stream)
        except Exception as error:
            findings += 1
            SEEDS.mkdir(parents=True, exist_ok=True)
            name = hashlib.sha256(stream).hexdigest()[:16]
            (SEEDS / name).write_bytes(stream)
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
    print(
        f"seed {arguments.seed}: {count} streams, {checker.frames} frames, "
        f"{checker.errors} errors, {findings} findings, peak memory {peak()} MiB"
    )
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
