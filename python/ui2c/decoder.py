"""A ui2c stream in, frames out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np

from ui2c import _core
from ui2c.arguments import Exclusive, bytes_of, view_of
from ui2c.errors import Error, UnsupportedError
from ui2c.options import DecoderOptions
from ui2c.runtime import resolve_device

if TYPE_CHECKING:
    from types import TracebackType

    from ui2c.decode_stream import DecodeStream
    from ui2c.network.model import Model
    from ui2c.reader import Reader, SeekableSource

    Source = bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryIO | Iterable[bytes]

CHUNK = 1 << 16


class Decoder:
    """Decodes ui2c streams; keeps the network, so one object serves many streams.

    `decode` takes a whole stream, `decode_iter` gives frames as they come from a file or other
    source, `open` gives any frame of a file at once, `push` and `flush` take bytes in pieces of
    any size. Memory does not grow with the clip but by what is returned, which is at most
    `max_memory` of the limits in one call.

    - `output`: "yuv" gives YUV420 pictures as coded; "rgb" gives uint8 `[height, width, 3]`,
      converted by the stream's matrix (BT.709 where it names none).
    - `model`: weights to use (path, name or loaded) instead of the shipped ones that the stream
      asks for; they must be those it was made with.
    - `device`: "auto", "cpu", "cuda" or "cuda:N".
    - `threads`: how many run the networks; None: as many as there are cores.
    - `verify`: compare the decoder's state with the hashes in the stream; MismatchError where it is
      not what the encoder's was.
    - `limits`: what a stream may ask for; LimitError beyond.
    - `on_error`: "raise", or "skip" to go on at the next random-access unit after damage; what is
      missing then stands in `lost`. It gives up where more than 8 units with right checksums, and
      more than those that were decoded, have wrong contents.

    Raises ValueError where an argument is out of range; the errors of `ui2c.errors` for bad data.
    """

    def __init__(
        self,
        *,
        output: Literal["yuv", "rgb"] = "yuv",
        model: str | os.PathLike[str] | Model | None = None,
        device: str = "auto",
        threads: int | None = None,
        verify: bool = True,
        limits: _core.Limits | None = None,
        on_error: Literal["raise", "skip"] = "raise",
    ) -> None:
        self.options = DecoderOptions(
            output=output,
            device=device,
            threads=threads,
            verify=verify,
            limits=limits or _core.Limits(),
            on_error=on_error,
        )
        self._models = Models(model, device)
        self._busy = Exclusive("Decoder")
        self._stream: DecodeStream | None = None

    @property
    def header(self) -> _core.SequenceHeader | None:
        """The sequence header of the current or last stream, once it has come."""
        return self._stream.header if self._stream else None

    @property
    def metadata(self) -> dict[str, str]:
        """The stream's metadata so far."""
        return self._stream.metadata if self._stream else {}

    @property
    def lost(self) -> list[tuple[int, int | None]]:
        """Frames skipped because of damage, as (first, last), counted from 0.

        The last is None, "to the end", where the end unit was lost too, so that nobody knows.
        """
        return self._stream.lost if self._stream else []

    @property
    def damage(self) -> Error | None:
        """The first fault that was skipped, even if it cost no frame."""
        return self._stream.damage if self._stream else None

    def decode(self, data: bytes) -> Any:
        """All frames of a whole stream.

        A list of YUV420, or for RGB one uint8 array `[frames, height, width, 3]`. Raises LimitError
        where they take more than `max_memory`.
        """
        frames: list[Any] = []
        stream = self._stream = self._begin()
        for piece in _pieces(data):
            stream.feed(piece)
            stream.gather(frames)
        stream.close()
        stream.gather(frames)
        if self.options.output == "yuv":
            return frames
        header = self.header
        shape = (0, 0, 0, 3) if header is None else (0, header.height, header.width, 3)
        return np.stack(frames) if frames else np.empty(shape, np.uint8)

    def decode_iter(self, source: Source) -> Iterator[Any]:
        """The frames of a stream, each as soon as it is there.

        `source` is the stream itself, the path of a file, an open binary file, or any iterable of
        pieces of bytes.
        """
        stream = self._stream = self._begin()
        for piece in _pieces(source):
            with self._busy:
                stream.feed(piece)
            yield from self._frames(stream)
        stream.close()
        yield from self._frames(stream)

    def _frames(self, stream: DecodeStream) -> Iterator[Any]:
        """The frames that a stream has ready, each decoded while no other call is in here."""
        frames = stream.frames()
        while True:
            with self._busy:
                frame = next(frames, None)
            if frame is None:
                return
            yield frame

    def open(self, source: SeekableSource) -> Reader:
        """A stream as a sequence of frames, for random access.

        `source` is the stream itself, the path of a file, or a seekable binary file, which stays
        open when the reader is closed. Raises the errors of `ui2c.errors` for bad data.
        """
        from ui2c.reader import Reader

        return Reader(source, self.options, self._models)

    def push(self, data: bytes) -> list[Any]:
        """Takes the next bytes of a stream, returns the frames that they complete.

        Where an error follows some frames, the frames are returned and the next call raises it;
        frames beyond `max_memory` of the limits are left to the next call.
        RuntimeError while another thread is in a method of this decoder.
        """
        piece = bytes_of(data)
        with self._busy:
            stream = self._stream
            if stream is None or stream.closed:
                stream = self._stream = self._begin()
            stream.feed(piece)
            frames: list[Any] = []
            try:
                stream.gather(frames)
            except Error:
                # The stream keeps the error and raises it again when asked for more.
                if not frames:
                    raise
            return frames

    def flush(self) -> list[Any]:
        """Says that the stream ends here; returns the frames that are left.

        Raises TruncatedError if the stream has no proper end. The next push begins a new stream.
        """
        with self._busy:
            stream = self._stream = self._stream or self._begin()
            stream.close()
            frames: list[Any] = []
            stream.gather(frames)
            return frames

    def __enter__(self) -> Decoder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream = None

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs to have the same decoder, with no stream begun."""
        if self._stream is not None and not self._stream.closed:
            raise TypeError("a Decoder cannot be pickled amid a stream: end it by flush()")
        return vars(self) | {"_stream": None}

    def _begin(self) -> DecodeStream:
        from ui2c.decode_stream import DecodeStream

        return DecodeStream(self.options, self._models)


class Models:
    """The model given to a decoder, or the shipped one that a stream asks for; keeps the last."""

    def __init__(self, given: str | os.PathLike[str] | Model | None, device: str) -> None:
        self._given, self._device = given, device
        self._loaded: Model | None = None

    def __getstate__(self) -> dict[str, Any]:
        if not isinstance(self._given, (str, os.PathLike, type(None))):
            raise TypeError(
                "a Decoder with a loaded model cannot be pickled: give it the model's name or path"
            )
        return vars(self) | {"_loaded": None}

    def find(self, model_id: bytes) -> Model:
        """The model of that id; raises `ui2c.UnsupportedError` where there is none."""
        from ui2c.network.load import load_model, model_for_id

        if self._loaded is None and self._given is not None:
            if isinstance(self._given, (str, os.PathLike)):
                self._loaded = load_model(os.fspath(self._given), resolve_device(self._device))
            else:
                self._loaded = self._given
        if self._loaded is not None and self._loaded.model_id == model_id:
            return self._loaded
        if self._given is not None and self._loaded is not None:
            raise UnsupportedError(
                f"the stream was made with model {model_id.hex()}, the given weights are "
                f"{self._loaded.model_id.hex()} ({self._loaded.config.name})"
            )
        self._loaded = model_for_id(model_id, resolve_device(self._device))
        return self._loaded


def _pieces(source: Source) -> Iterator[bytes]:
    """Any source as pieces of bytes."""
    if isinstance(source, (str, os.PathLike)):
        with open(source, "rb") as file:
            yield from _pieces(file)
    elif (view := view_of(source)) is not None:
        for start in range(0, len(view), CHUNK):
            yield bytes(view[start : start + CHUNK])
    elif hasattr(source, "read"):
        # What is there at once, where the file can tell: a live stream is not to wait for a chunk.
        read = getattr(source, "read1", source.read)
        while piece := read(CHUNK):
            yield piece
    elif isinstance(source, Iterable):
        yield from map(bytes_of, source)
    else:
        raise TypeError(
            "source must be bytes, a path, a file or an iterable of bytes, not "
            f"{type(source).__name__}"
        )
