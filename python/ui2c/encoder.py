"""Frames in, a ui2c stream out."""

from __future__ import annotations

import os
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from ui2c import _core
from ui2c.arguments import Exclusive
from ui2c.control.rate import Target
from ui2c.options import EncoderOptions, positive_fraction
from ui2c.picture.color import BT709, UNSPECIFIED, luma_weights
from ui2c.picture.frames import YUV420, check_frame, iterate
from ui2c.runtime import resolve_device
from ui2c.statistics import Statistics

if TYPE_CHECKING:
    from types import TracebackType

    from ui2c.encode_stream import EncodeStream
    from ui2c.network.model import Model
    from ui2c.picture.frames import Frame, Frames


class Encoder:
    """Encodes video; holds the network, so one object serves many clips of any size.

    Either give a whole clip to `encode`, or frame by frame to `push`, ended by `flush`; both give
    the same bytes, and after each a new stream begins. Memory does not grow with the clip, but
    for some numbers per unit in `statistics`.

    - `qp`: 0 (best) … 63 (smallest), 32 unless `bitrate` or `size` is given instead.
    - `bitrate`: bits per second to hold, in one pass, through a buffer of `buffer` seconds;
      the seconds of the whole clip, `duration`, help to end exactly.
    - `size`: bytes to meet with the whole stream. It needs `first_pass`, the statistics of an
      encoder with the same options and some `qp` after the same frames.
    - `qp_range`: lowest and highest qp that `bitrate` and `size` may choose.
    - `model`: the name of a shipped model, the path of a weights file, or a loaded model.
    - `device`: "auto", "cpu", "cuda" or "cuda:N".
    - `threads`: how many run the networks; None: as many as there are cores.
    - `keyint`: a random-access unit at least this often, in frames (rounded up to whole units);
      0: only the first. See also `force_intra`.
    - `scenecut`: a random-access unit also at every cut that `ui2c.control.scenecut` sees.
    - `lead`: by how much the qp of a random-access unit is lower than that of the units after it
      (5 less in the next one, or half if that is more), beside what the model does by itself.
      None: 0, 5, … or 35, whichever a trial of the first units finds best; a random-access unit
      then waits for the four frames after it. 0: nothing waits longer than for the second frame of
      a pair.
    - `motion`: how long to search for motion: "fast", "default" or "slow"; None: slow where that
      takes little beside the networks (`ui2c.unit.motion.usual_effort`).
    - `width`, `height`, `bit_depth`: checked against the frames; without them the first frame
      decides. A clip without frames needs width and height.
    - `fps`: frames per second. Alternatively `timebase`, in seconds per tick: then each frame is
      a YUV420 with its own `pts`.
    - `sample_aspect`: width to height of a sample.
    - `color`: CICP primaries, transfer and matrix; (1, 1, 1), BT.709, for RGB and (2, 2, 2),
      unspecified, for YUV420 unless given. RGB is converted by this matrix.
    - `full_range`: of RGB after conversion (False unless given), checked against YUV420.
    - `psnr`: measure each frame.
    - `reconstruction`: called with every frame in turn as a decoder will show it.

    Raises ValueError where an argument is out of range, FileNotFoundError for missing weights.
    """

    def __init__(
        self,
        *,
        qp: int | None = None,
        bitrate: float | None = None,
        buffer: float = 2.0,
        duration: float | None = None,
        size: int | None = None,
        first_pass: Statistics | None = None,
        qp_range: tuple[int, int] = (0, 63),
        model: str | os.PathLike[str] | Model = "small",
        device: str = "auto",
        threads: int | None = None,
        keyint: int = 0,
        scenecut: bool = False,
        lead: int | None = None,
        motion: str | None = None,
        width: int | None = None,
        height: int | None = None,
        bit_depth: int | None = None,
        fps: Fraction | float | str = 25,
        timebase: Fraction | float | str | None = None,
        sample_aspect: tuple[int, int] = (1, 1),
        color: tuple[int, int, int] | None = None,
        full_range: bool | None = None,
        psnr: bool = False,
        reconstruction: Callable[[YUV420], None] | None = None,
    ) -> None:
        self.options = EncoderOptions(
            target=Target(qp, bitrate, buffer, duration, size, first_pass, qp_range),
            threads=threads,
            keyint=keyint,
            scenecut=scenecut,
            lead=lead,
            motion=motion,
            width=width,
            height=height,
            bit_depth=bit_depth,
            fps=positive_fraction("fps", fps),
            timebase=None if timebase is None else positive_fraction("timebase", timebase),
            sample_aspect=sample_aspect,
            color=color,
            full_range=full_range,
            psnr=psnr,
            reconstruction=reconstruction,
        )
        self._given = model, device
        self._model = _load(model, device)
        self._busy = Exclusive("Encoder")
        self._stream: EncodeStream | None = None
        self._forced = False
        self._statistics = Statistics()

    @property
    def model(self) -> Model:
        return self._model

    @property
    def statistics(self) -> Statistics:
        """Of the stream being coded; after its end, of that stream until the next begins."""
        return self._statistics

    def encode(self, frames: Frames) -> bytes:
        """The whole stream of a clip.

        `frames` is RGB as uint8 `[frames, height, width, 3]` (NumPy or torch), or any iterable of
        YUV420 or RGB pictures of one size. Raises ValueError for anything else, and for a clip
        without frames unless the encoder was given width and height.
        """
        with self._busy:
            if self._stream is not None:
                raise ValueError("a stream is being pushed: end it by flush() before encode()")
            try:
                parts = [self._push(frame) for frame in iterate(frames)]
                return b"".join([*parts, self._flush()])
            finally:
                self._stream = None

    def push(self, frame: Frame) -> bytes:
        """Takes one frame; returns what the stream has gained by it, often nothing.

        Raises RuntimeError while another thread is in a method of this encoder.
        """
        with self._busy:
            return self._push(frame)

    def _push(self, frame: Frame) -> bytes:
        picture = check_frame(frame)
        stream, start = (self._stream, b"") if self._stream else self._begin(picture)
        data = start + stream.push(picture, forced=self._forced)
        self._forced = False
        # Only now: a first frame that is refused must not leave a stream without a beginning.
        self._stream = stream
        return self._count(data)

    def force_intra(self) -> None:
        """Makes the frame pushed next begin a random-access unit.

        If it would have been the second of a unit, the unit before gets one frame less.
        """
        self._forced = True

    def flush(self) -> bytes:
        """Ends the stream: codes what is left and returns the last bytes."""
        with self._busy:
            return self._flush()

    def _flush(self) -> bytes:
        stream, start = (self._stream, b"") if self._stream else self._begin(None)
        self._stream, self._forced = None, False
        return self._count(start + stream.flush())

    def __enter__(self) -> Encoder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream = None

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs to have the same encoder, with no stream begun."""
        if self._stream is not None:
            raise TypeError("an Encoder cannot be pickled amid a stream: end it by flush()")
        if not isinstance(self._given[0], (str, os.PathLike)):
            raise TypeError(
                "an Encoder with a loaded model cannot be pickled: give it the model's name or path"
            )
        return {name: value for name, value in vars(self).items() if name != "_model"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._model = _load(*self._given)

    def _begin(self, first: Any) -> tuple[EncodeStream, bytes]:
        from ui2c.encode_stream import EncodeStream

        header = _header(self.options, self._model, first)
        self._statistics = Statistics(width=header.width, height=header.height)
        stream = EncodeStream(self.options, self._model, header, self._statistics)
        return stream, stream.start()

    def _count(self, data: bytes) -> bytes:
        self._statistics.bytes += len(data)
        return data


def _header(options: EncoderOptions, model: Model, first: Any) -> _core.SequenceHeader:
    """What holds for the sequence that begins with that picture, if there is one."""
    width, height = options.width, options.height
    bit_depth, full_range = options.bit_depth or 8, bool(options.full_range)
    color = options.color or UNSPECIFIED
    if isinstance(first, YUV420):
        width, height = width or first.width, height or first.height
        bit_depth = options.bit_depth or first.bit_depth
        full_range = first.full_range if options.full_range is None else full_range
    elif first is not None:
        width, height = width or first.shape[1], height or first.shape[0]
        color = options.color or BT709
        luma_weights(color[2])
    if width is None or height is None:
        raise ValueError("frames must hold at least one frame, or width and height be given")
    timebase = options.timebase or 1 / options.fps
    return _core.SequenceHeader(
        width=width,
        height=height,
        bit_depth=bit_depth,
        color_primaries=color[0],
        transfer=color[1],
        matrix=color[2],
        full_range=full_range,
        timebase=timebase.as_integer_ratio(),
        frame_ticks=0 if options.timebase else 1,
        sample_aspect=options.sample_aspect,
        frames_per_unit=model.config.frames_per_unit,
        model_id=model.model_id,
    )


def _load(model: str | os.PathLike[str] | Model, device: str) -> Model:
    if not isinstance(model, (str, os.PathLike)):
        return model
    from ui2c.network.load import load_model

    return load_model(os.fspath(model), resolve_device(device))
