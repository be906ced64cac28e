"""The native core, as Python sees it. Private: use it through the ui2c package."""

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, Protocol, final

import numpy as np
from numpy.typing import NDArray

__version__: str

Plane = NDArray[Any]
"""One plane of samples, `[height, width]`: uint8 at 8 bits, uint16 at 9 to 16 bits."""
Planes = tuple[Plane, Plane, Plane]
"""Y, U and V of one 4:2:0 picture; chroma is `[(height + 1) // 2, (width + 1) // 2]`."""

class Error(Exception): ...
class CorruptError(Error): ...
class TruncatedError(Error): ...
class UnsupportedError(Error): ...
class LimitError(Error): ...
class MismatchError(Error): ...

# --- entropy coder -------------------------------------------------------------------------

@final
class Tables:
    """Integer frequency tables, 12 bits each.

    `lengths[t]` entries belong to table t: the symbols -m … m (m = (lengths[t] - 2) // 2) and then
    the escape; they lie one table after the other in `frequencies` and sum to 4096 per table, each
    at least 1. Elements whose table index is below `skip` are not coded and decode as 0.
    """

    def __init__(
        self, frequencies: NDArray[np.uint16], lengths: NDArray[np.uint16], skip: int = 0
    ) -> None: ...
    def __len__(self) -> int: ...

@final
class RansEncoder:
    """Collects segments in decoding order and codes them all into one stream."""

    def __init__(self) -> None: ...
    def put(
        self, tables: Tables, indexes: NDArray[np.uint8], symbols: NDArray[np.int16]
    ) -> None: ...
    def put_bits(self, value: int, count: int) -> None:
        """Adds `count` bits, at most 32, as a segment of their own."""
    def put_motion(self, vectors: NDArray[np.int16]) -> None:
        """Adds a field, int16 `[frames, rows, columns, 2]`: (dx, dy) in quarter samples."""
    def put_blocks(self, blocks: Blocks | None, guesses: NDArray[np.int16], shift: int) -> float:
        """Adds the blocks of a frame, or that there are none, and returns what that costs in bits.

        Vectors are in units of `2^shift` quarter samples; `guesses`, int16 `[rows, columns, 2]`,
        predict them. Raises ValueError for vectors that are no multiples of the unit.
        """
    def put_filters(self, before: Filters, defaults: Sequence[Filters], after: Filters) -> float:
        """Adds what changes filters from `before`, or one of three `defaults`, to `after`.

        Returns what that costs in bits.
        """
    def finish(self, log2_lanes: int | None = None) -> tuple[int, bytes]:
        """(log2 of the number of lanes, the stream); lanes by size unless given. Empties self."""

@final
class RansDecoder:
    def __init__(self, data: bytes, log2_lanes: int) -> None: ...
    def get(
        self, tables: Tables, indexes: NDArray[np.uint8], out: NDArray[np.int16] | None = None
    ) -> NDArray[np.int16]:
        """A segment in the shape of `indexes`: a new array, or `out`, which must have that shape.

        After an error, what `out` holds is unspecified.
        """
    def get_bits(self, count: int) -> int:
        """A segment of `count` bits, at most 32."""
    def get_motion(self, frames: int, rows: int, columns: int) -> NDArray[np.int16]: ...
    def get_blocks(self, guesses: NDArray[np.int16], shift: int) -> Blocks | None:
        """The blocks of a frame; `guesses` and `shift` as in `put_blocks`."""
    def get_filters(self, before: Filters, defaults: Sequence[Filters]) -> Filters:
        """The filters that follow `before`; `defaults` as in `put_filters`."""
    def finish(self) -> None:
        """Raises CorruptError unless everything was consumed and all lanes are at their end."""

def cpu_level() -> str:
    """The highest level of instructions in use: "scalar", "avx2", "avx512" or "neon".

    It is what the processor has, or less where the environment variable UI2C_CPU names less. The
    coder takes the fastest up to it, as a measurement at first use finds.
    """

# --- bitstream -----------------------------------------------------------------------------

@final
class Limits:
    """What a reader is ready to take from a stranger; LimitError beyond, before it is allocated."""

    max_pixels: int
    """Samples of one coded luma plane; 8192 * 8192 unless given."""
    max_unit_bytes: int
    """Bytes of one unit's payload; 256 MiB unless given."""
    max_frames: int
    """Frames of the sequence; 2**31 unless given."""
    max_memory: int
    """Bytes held at once because of what the stream says; 10 GiB unless given.

    The parser counts a unit twice, an index with its entries, and the pictures of a unit with their
    reference; the decoder counts metadata and the network's work space, too, the latter by an
    estimate from the picture's size. What a call returns counts by itself.
    """
    max_work: int
    """Luma samples of all coded pictures that are decoded; 2**53 unless given."""

    def __init__(
        self,
        *,
        max_pixels: int = ...,
        max_unit_bytes: int = ...,
        max_frames: int = ...,
        max_memory: int = ...,
        max_work: int = ...,
    ) -> None: ...

@final
class SequenceHeader:
    width: int
    height: int
    bit_depth: int
    color_primaries: int
    transfer: int
    matrix: int
    full_range: bool
    timebase: tuple[int, int]
    """Seconds per tick, as a fraction."""
    frame_ticks: int
    """Ticks per frame; 0 when every unit carries its own timing."""
    sample_aspect: tuple[int, int]
    frames_per_unit: int
    """2, or 1 for the single-frame variant."""
    model_id: bytes
    """8 bytes."""

    def __init__(
        self,
        *,
        width: int,
        height: int,
        bit_depth: int = 8,
        color_primaries: int = 2,
        transfer: int = 2,
        matrix: int = 2,
        full_range: bool = False,
        timebase: tuple[int, int] = (1, 25),
        frame_ticks: int = 1,
        sample_aspect: tuple[int, int] = (1, 1),
        frames_per_unit: int = 2,
        model_id: bytes,
    ) -> None: ...

class Unit:
    """One unit of the stream, always of one of the classes below."""

    @property
    def offset(self) -> int:
        """Where it begins in the stream, bytes; at the sync word if there is one."""
    @property
    def size(self) -> int:
        """Bytes it takes: sync word, framing and checksum included."""

@final
class SequenceUnit(Unit):
    """The sequence header, or its repetition before an intra unit."""

    @property
    def header(self) -> SequenceHeader: ...

@final
class CodedUnit(Unit):
    """An intra or inter unit."""

    @property
    def intra(self) -> bool:
        """Whether it depends on nothing before it."""
    @property
    def frame(self) -> int:
        """Number of its first shown frame in the sequence, from 0."""
    @property
    def qp(self) -> int:
        """0 (best) to 63 (smallest)."""
    @property
    def motion_step(self) -> int:
        """Luma samples from one vector of the field to the next: 16, 32 or 64; 0: no field."""
    @property
    def log2_lanes(self) -> int:
        """Of the entropy coder, 0 … 6."""
    @property
    def shown(self) -> int:
        """How many of its frames are shown, 1 … `frames_per_unit`."""
    @property
    def feature_hash(self) -> int | None:
        """CRC-32C of the decoder's feature after the unit, where it is told."""
    @property
    def ticks(self) -> tuple[int, ...] | None:
        """Ticks from the frame shown before to each shown frame, if the unit tells; the first frame
        of the sequence counts from time 0."""
    @property
    def stream(self) -> bytes:
        """The entropy-coded rest."""

@final
class MetadataUnit(Unit):
    """A note, of no use to the decoder."""

    @property
    def key(self) -> str: ...
    @property
    def value(self) -> str: ...

@final
class EndUnit(Unit):
    """The totals of the sequence."""

    @property
    def frames(self) -> int:
        """Frames shown."""
    @property
    def units(self) -> int:
        """Intra and inter units."""
    @property
    def feature_hash(self) -> int | None:
        """CRC-32C of the decoder's feature after the last unit, where it is told."""

@final
class IndexUnit(Unit):
    """Where decoding can begin."""

    @property
    def entries(self) -> NDArray[np.uint64]:
        """Offset and number of the first shown frame of each random-access point, `[points, 2]`."""

@final
class UnknownUnit(Unit):
    """An ancillary unit that this version does not know; nothing is lost without it."""

@final
class Writer:
    """Turns units into bytes, to be written in the order of the calls; never seeks."""

    def __init__(self, header: SequenceHeader) -> None: ...
    def start(self) -> bytes: ...
    def metadata(self, key: str, value: str) -> bytes: ...
    def unit(
        self,
        *,
        intra: bool,
        qp: int,
        motion_step: int,
        log2_lanes: int,
        shown: int,
        stream: bytes,
        feature_hash: int | None = None,
        ticks: tuple[int, ...] | None = None,
        repeat_header: bool = False,
    ) -> bytes:
        """`repeat_header` puts the sequence header before an intra unit, for joining midway."""
    def end(self, feature_hash: int | None = None) -> bytes:
        """End unit and index."""

@final
class Parser:
    """Push parser: feed bytes as they come, take units as they complete."""

    def __init__(self, limits: Limits | None = None) -> None: ...
    def feed(self, data: bytes) -> None: ...
    def close(self) -> None:
        """Says that no more bytes follow: what is incomplete becomes an error in next_unit."""
    def next_unit(self) -> Unit | None:
        """The next unit; None when more bytes are needed, or after close() when all is read."""
    def resync(self) -> bool:
        """After an error: skip to the next random-access unit, or go on with an end unit whose
        totals contradict what was read; False if neither is in what was fed.

        Until then next_unit raises the same error. After False, feed more: next_unit goes on.
        """
    def seek(self, offset: int) -> None:
        """The bytes fed next come from `offset`, a random-access point. Keeps the header."""

def crc32c(data: bytes, initial: int = 0) -> int: ...
def index_at_end(tail: bytes, size: int, limits: Limits | None = None) -> NDArray[np.uint64] | None:
    """The index of a stream of `size` bytes that ends with `tail`, as `IndexUnit.entries` has it.

    None if `tail` holds none. Raises CorruptError where it contradicts itself, LimitError.
    """

# --- motion --------------------------------------------------------------------------------

def search_motion(
    reference: Plane,
    frames: NDArray[Any],
    *,
    bit_depth: int = 8,
    lagrangian: float,
    step: int = 0,
    shift: int = 0,
    effort: str = "default",
) -> tuple[int, NDArray[np.int16]]:
    """Motion of `frames` `[count, height, width]` (luma) from `reference` `[height, width]`.

    `lagrangian` is the price of a bit in squared 8-bit code values. Returns the grid step (16, 32
    or 64; the best unless `step` fixes it; 0 and an empty array when no vector is worth its bits)
    and int16 `[count, rows, columns, 2]`, (dx, dy) in quarter samples, multiples of `2^shift`
    (0 … 2). `effort` is "fast", "default" or "slow"; any field is legal, so it changes speed and
    rate only.
    """

def search_halves(
    reference: Plane,
    frames: NDArray[Any],
    step: int,
    vectors: NDArray[np.int16],
    *,
    bit_depth: int = 8,
    lagrangian: float,
    shift: int = 0,
) -> tuple[int, NDArray[np.int16]]:
    """The last of two `frames`' motion, where half of it, rounded up, is the first one's.

    Begins with the last frame's field `vectors` `[1, rows, columns, 2]` of the grid `step`,
    multiples of `2^shift`; returns step, that one or a finer, and vectors `[1, rows, columns, 2]`
    by which both frames are predicted best. The rest is as for `search_motion`, slow.
    """

def search_related(
    reference: Plane,
    frames: NDArray[Any],
    step: int,
    vectors: NDArray[np.int16],
    *,
    bit_depth: int = 8,
    lagrangian: float,
    shift: int = 0,
) -> tuple[int, NDArray[np.int16]]:
    """Motion of two `frames`, the last one's priced as differences to the first one's or twice it.

    Begins with `vectors` `[2, rows, columns, 2]` of the grid `step`, which stays; the rest is as
    for `search_halves`.
    """

def compensate(
    reference: Planes, step: int, vectors: NDArray[np.int16], *, bit_depth: int = 8
) -> list[Planes]:
    """The prediction of each frame; the planes' sizes are the reference's. Step 0: copies."""

def compensate_adjoint(
    gradients: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]],
    step: int,
    vectors: NDArray[np.int16],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Gradients of the reference's planes, given those of the predictions, for training.

    `gradients` are float32 of Y `[frames, height, width]` and of U and V
    `[frames, (height + 1) // 2, (width + 1) // 2]`; the result has the same shapes without
    `frames`. The transpose of `compensate` as a linear map, without its rounding and clamping.
    """

@final
class Blocks:
    """What a frame takes from another, by cells of 16 × 16 luma samples.

    `modes`, uint8 `[rows, columns]`: 0 the cell stays; 1 the mean with one displaced block, 2 that
    with a block for each quarter; 3 one block alone, 4 a block for each quarter alone. `vectors`,
    int16 `[rows, columns, 4, 2]`: (dx, dy) in quarter samples, -2047 … 2047, of the quarters in the
    order of reading; of one block the first. Raises ValueError for anything else.
    """

    def __init__(self, modes: NDArray[np.uint8], vectors: NDArray[np.int16]) -> None: ...
    @property
    def modes(self) -> NDArray[np.uint8]: ...
    @property
    def vectors(self) -> NDArray[np.int16]: ...

def search_blocks(
    source: Plane,
    base: Plane,
    other: Plane,
    guesses: NDArray[np.int16],
    *,
    lagrangian: float,
    trust: float,
    shift: int = 0,
    bit_depth: int = 8,
) -> Blocks | None:
    """The blocks of `other` that bring `base` nearest to `source`; None if none is worth its bits.

    Luma planes `[height, width]`; `guesses` int16 `[rows, columns, 2]`, one vector for each cell;
    `lagrangian` the price of a bit in squared 8-bit code values, `2^shift` the unit of vectors.
    The result predicts: an error is worth `trust` times the bits that coding it may take.
    """

def apply_blocks(base: Planes, other: Planes, blocks: Blocks, *, bit_depth: int = 8) -> Planes:
    """Planes of `base` with the blocks from `other`."""

def blocks_adjoint(
    gradients: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]], blocks: Blocks
) -> tuple[
    tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]],
    tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]],
]:
    """Gradients of the planes of `base` and `other`, given those of `apply_blocks`, for training.

    Float32 Y `[height, width]`, U and V `[(height + 1) // 2, (width + 1) // 2]`. The transpose of
    `apply_blocks` as a linear map, without its rounding and clamping.
    """

def motion_bits(vectors: NDArray[np.int16]) -> float:
    """What the field costs in the stream, bits."""

# --- post-filter ---------------------------------------------------------------------------

@final
class Filters:
    """What brings shown frames nearer to the source, by classes of 4 × 4 blocks.

    `coefficients`, int8 `[3, 30, 12]`: planes Y, U, V, classes, and pairs of samples around the one
    that is filtered; in 128ths. Without an argument all are zero and change nothing. Raises
    ValueError for another shape.
    """

    def __init__(self, coefficients: NDArray[np.int8] | None = None) -> None: ...
    @property
    def coefficients(self) -> NDArray[np.int8]: ...

@final
class FilterDesigner:
    """Fits filters to what has been decoded of a sequence."""

    def __init__(self) -> None: ...
    def observe(
        self,
        decoded: Sequence[tuple[Plane, ...]],
        sources: Sequence[tuple[Plane, ...]],
        *,
        bit_depth: int = 8,
    ) -> FilterDesigner:
        """The designer that has seen the frames of another unit, as decoded and as they should be.

        Raises ValueError for planes of different sizes.
        """
    def design(self, before: Filters, defaults: Sequence[Filters], lagrangian: float) -> Filters:
        """What filters should follow `before`, told from that or one of three `defaults`.

        `lagrangian` is what a bit may cost, in squared 8-bit codes.
        """
    @property
    def units(self) -> int:
        """How many units have been taken in."""
    def moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What has been gathered of every plane and class, in squared 8-bit codes.

        Sums of the products of what a filter's taps see, `[3, 30, 12, 12]`, and of those with the
        error, `[3, 30, 12]`; the older the units, the less they count.
        """

def apply_filters(planes: tuple[Plane, ...], filters: Filters, *, bit_depth: int = 8) -> Planes:
    """The planes, filtered."""

# --- networks ------------------------------------------------------------------------------

@final
class Model:
    """A model file, its networks ready to run on this processor.

    Raises CorruptError for bytes that are no whole model, UnsupportedError for another format,
    numeric profile or kind of network.
    """

    def __init__(self, data: bytes) -> None: ...
    @staticmethod
    def load(path: str | PathLike[str]) -> Model: ...
    @property
    def id(self) -> bytes:
        """8 bytes that streams name it by."""
    @property
    def profile(self) -> str:
        """How its networks are computed."""
    @property
    def config(self) -> str:
        """Its sizes, as JSON."""
    @property
    def card(self) -> str:
        """What is said of it to people, as JSON."""
    @property
    def tables(self) -> Tables:
        """Of the symbols of y."""
    @property
    def hyper_tables(self) -> Tables:
        """Of the symbols of z."""
    @property
    def filters(self) -> NDArray[np.int8]:
        """Default sets of the post-filter, `[9, 3, 3, 30, 12]`."""

@final
class SessionState:
    """The state of a session between two units; nothing changes it."""

@final
class Session:
    """The networks at work on one sequence: see `ui2c.network.engine.Session`.

    On `threads` of its own, or on all of the process. Raises ValueError for sizes that do not fit,
    and for calls in another order. Runs without the GIL; not for several threads at once.
    """

    def __init__(
        self,
        model: Model,
        *,
        width: int,
        height: int,
        bit_depth: int,
        threads: int | None = None,
    ) -> None: ...
    def begin(
        self,
        *,
        qp: int,
        intra: bool,
        step: int,
        vectors: NDArray[np.int16] | None,
        known: Sequence[Planes],
    ) -> None: ...
    def hyper_scales(self) -> NDArray[np.uint8]: ...
    def analyse(
        self, frames: Sequence[Planes], expected: Sequence[Planes]
    ) -> NDArray[np.int16]: ...
    def scales(self, z: NDArray[np.int16]) -> NDArray[np.uint8]: ...
    def quantise(self) -> NDArray[np.int16]: ...
    def synthesise(self, y: NDArray[np.int16] | None = None) -> None: ...
    def frame(self, index: int, base: Planes) -> Planes: ...
    def digest(self) -> int: ...
    def save(self) -> SessionState: ...
    def restore(self, state: SessionState) -> None: ...

def network_loops() -> str:
    """What runs networks here: a level of instructions, and dot products where it has some."""

# --- decoder -------------------------------------------------------------------------------

class ForeignDecoded(Protocol):
    """What came of a unit."""

    @property
    def shown(self) -> Sequence[Planes]:
        """Frames of the size that is shown."""
    @property
    def feature_hash(self) -> int:
        """CRC-32C of the feature after the unit."""

class ForeignUnits(Protocol):
    """Decodes the units of one sequence in order, with networks that are not the core's."""

    @property
    def frames_per_unit(self) -> int: ...
    @property
    def work_space(self) -> int:
        """About how many bytes it takes."""
    def decode(
        self, stream: bytes, *, qp: int, intra: bool, motion_step: int, log2_lanes: int
    ) -> ForeignDecoded:
        """Raises CorruptError if the unit is not one of such a sequence."""

@final
class Decoder:
    """Push decoder: feed bytes as they come, take frames as they complete.

    `find` is asked once for the networks of the stream; what it raises counts as the stream's fault
    if it is an error of ui2c. With `skip` it goes on after damage. Runs without the GIL; not for
    several threads at once.
    """

    def __init__(
        self,
        find: Callable[[SequenceHeader], Model | ForeignUnits],
        *,
        limits: Limits | None = None,
        verify: bool = True,
        skip: bool = False,
        threads: int | None = None,
    ) -> None: ...
    def feed(self, data: bytes) -> None:
        """After an error that is final, bytes are dropped."""
    def close(self) -> None:
        """Says that no more bytes follow."""
    def seek(self, offset: int, *, frame: int, last_pts: int) -> None:
        """What is fed next comes from `offset`, a random-access point whose first frame has that
        number; `last_pts` is the time of the frame before it. The header must be known."""
    def next_frame(self) -> tuple[int, int, Planes] | None:
        """Number, time in ticks and planes of the next frame; None when more bytes are needed, or
        after close() when all is decoded.

        Raises the errors of ui2c; the same again with every call.
        """
    @property
    def closed(self) -> bool: ...
    @property
    def header(self) -> SequenceHeader | None: ...
    @property
    def metadata(self) -> dict[str, str]: ...
    @property
    def lost(self) -> list[tuple[int, int | None]]:
        """Frames skipped because of damage: first, and last or None for "to the end"."""
    @property
    def damage(self) -> Error | None:
        """The first fault, even if it cost no frame."""

# --- files ---------------------------------------------------------------------------------

@final
class VideoReader:
    """Reads y4m or raw 4:2:0 YUV, one frame at a time.

    `file` is the descriptor of an open file, read from where it stands and left open; `begun` is
    what has been read of it already.
    """

    width: int
    height: int
    bit_depth: int
    frame_rate: tuple[int, int]
    sample_aspect: tuple[int, int]
    full_range: bool | None
    color: tuple[int, int, int]
    """CICP primaries, transfer and matrix, from a tag XCICP=p:t:m; (2, 2, 2) without one."""
    chroma: str
    """"4:2:0", or "4:1:1", "4:2:2", "4:4:4", "4:4:4 with alpha" or "grey", of which `read` makes
    4:2:0: a chroma sample is the mean of those it covers, rounded half up, 4:1:1 is interpolated
    in its rows, alpha is left out, grey gets the middle of the codes."""

    @staticmethod
    def y4m(file: int, begun: bytes = b"") -> VideoReader: ...
    @staticmethod
    def yuv(
        file: int, begun: bytes = b"", *, width: int, height: int, bit_depth: int = 8
    ) -> VideoReader: ...
    def read(self) -> Planes | None: ...
    def skip(self, count: int) -> int:
        """Passes over frames, seeking in regular files; how many, fewer only at the end."""

@final
class VideoWriter:
    """Writes y4m or raw 4:2:0 YUV.

    `file` is the descriptor of an open file, which is complete after `close` and left open.
    """

    @staticmethod
    def y4m(
        file: int,
        *,
        width: int,
        height: int,
        bit_depth: int = 8,
        frame_rate: tuple[int, int] = (25, 1),
        sample_aspect: tuple[int, int] = (1, 1),
        full_range: bool = False,
        color: tuple[int, int, int] = (2, 2, 2),
    ) -> VideoWriter: ...
    @staticmethod
    def yuv(file: int, *, width: int, height: int, bit_depth: int = 8) -> VideoWriter: ...
    def write(self, frame: Planes) -> None: ...
    def close(self) -> None: ...
