"""Reading everything that is not y4m or raw, through PyAV."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from types import ModuleType
from typing import Any

from ui2c.errors import CorruptError, UnsupportedError
from ui2c.files import display_name
from ui2c.picture.frames import YUV420
from ui2c.video.convert import Converter
from ui2c.video.description import Description
from ui2c.video.streams import choose, list_streams
from ui2c.video.timing import DEFAULT_RATE, Clock, Timing, guessed_time, read_timing

FILE = "file:"
"""What FFmpeg is to take the rest for."""
MIN_SEEK = 50
"""Frames that it takes for seeking to be worth while."""


def import_av() -> ModuleType:
    """PyAV, or an ImportError that says how to get it."""
    try:
        import av
    except ImportError as error:
        raise ImportError(
            "this format needs PyAV: pip install 'ui2c[video]' (y4m and yuv work without)"
        ) from error
    return av


class ContainerSource:
    """Pictures of one video stream of a file.

    It is read by its name, or once through `pipe`, which has `read`.
    `stream` is its number among the video streams; unless given, the one that FFmpeg takes.
    Where pictures come at a constant rate, one that cannot be decoded leaves no gap: the one before
    it is shown again. With `skip_damage` decoding goes on after an error. With `resize` pictures
    that change their size are scaled to that of the first.
    """

    def __init__(
        self,
        path: str,
        fps: Fraction | None = None,
        *,
        stream: int | None = None,
        skip_damage: bool = False,
        resize: bool = False,
        pipe: Any = None,
    ) -> None:
        self._path, self._pipe = path, pipe
        self._name = display_name(path)
        self._av = import_av()
        self._stream = stream
        self._skip_damage = skip_damage
        self.notes: list[str] = []
        self.damaged = 0
        self.repeated = 0
        # A pipe cannot be read twice: its frames have the times that they come with.
        self._timing = self._survey() if pipe is None else None
        self._container, video = self._open()
        self._packets = self._demux(self._container, video)
        self._pending: list[Any] = []
        self._packet: Any = None
        """The one that frames were last made from."""
        first = self._first_frame()
        if first is None:
            raise CorruptError(f"{self._name} holds no picture")
        self._pending.insert(0, first)
        self._begin(video, first)
        self._convert = Converter(first, self._picture(), resize=resize)
        if self._timing is None and first.pts is None:
            # Nothing but the nominal rate tells when such frames are shown.
            rate = video.guessed_rate or video.average_rate or DEFAULT_RATE
            self._timing = Timing(rate, 1 / rate, None)
        timing = self._timing or Timing(None, video.time_base, None)
        frames = timing.frames
        if frames is not None and timing.times:
            frames -= self._origin_slot
        self.description = Description(
            width=self._convert.size[0],
            height=self._convert.size[1],
            bit_depth=self._convert.bit_depth,
            fps=fps or timing.fps,
            timebase=1 / fps if fps else timing.timebase,
            sample_aspect=self._convert.shown(_aspect(video.sample_aspect_ratio)),
            full_range=self._convert.full_range,
            color=self._convert.color,
            frames=frames,
        )
        self._say(*self._convert.notes)
        if first.interlaced_frame:
            self._say("interlaced, both fields are coded as one picture")
        self._say_of_times(timing, fps)

    def _begin(self, video: Any, first: Any) -> None:
        """What holds before the first frame is taken."""
        self._origin = guessed_time(first, video) or 0
        self._origin_slot = self._timing.slot(self._origin) if self._timing else 0
        self._taken = 0
        """Frames taken, which is also the number of the next where they come regularly."""
        self._shown: Any = None
        """The frame that has been given last."""
        self._last_time = 0
        rate = self._timing.fps if self._timing else None
        period = 1 / (rate or video.guessed_rate or DEFAULT_RATE)
        self._period = max(1, round(period / video.time_base))
        self._video = video

    def _say_of_times(self, timing: Timing, fps: Fraction | None) -> None:
        if timing.joined:
            self._say("its clock starts anew on the way; what follows is shown right after")
        if timing.stays is not None and not fps:
            self._say(
                f"its last frame, to be shown for {float(timing.stays):.6g} s, is shown as long "
                "as the others"
            )

    def _say(self, *notes: str) -> None:
        said = (f"{self._name}: {note}" for note in notes)
        self.notes += (note for note in said if note not in self.notes)

    def __iter__(self) -> Iterator[YUV420]:
        return self

    def __next__(self) -> YUV420:
        frame = self._take()
        if frame is None:
            raise StopIteration
        pts = None if self.description.fps is not None else self._last_time
        try:
            return self._convert(frame, pts, self._picture())
        except UnsupportedError as error:
            raise UnsupportedError(f"{self._name}, frame {self._taken - 1}: {error}") from None

    def _picture(self) -> Any:
        """The file that the frame just taken was made from, if it is one picture."""
        return self._packet if _still(self._container) else None

    @property
    def losses(self) -> list[str]:
        """What could not be decoded, a sentence each, as far as has been read."""
        said = []
        if self.damaged:
            said.append(f"{self._name}: {self.damaged} damaged {_packets(self.damaged)} left out")
        if self.repeated:
            said.append(
                f"{self._name}: {_frames(self.repeated)} could not be decoded; the one before is "
                "shown again"
            )
        return said

    def skip(self, count: int) -> None:
        """Seeks where frames come regularly and decoding may begin on the way."""
        if self._taken == 0 and count >= MIN_SEEK and (place := self._place(count)):
            if self._seek(*place):
                self._taken = count
                return
            self._reopen()
        for _ in range(count):
            if self._take() is None:
                return

    def close(self) -> None:
        self._container.close()
        if self._pipe is not None:
            self._pipe.close()

    def _take(self) -> Any:
        """The frame to be shown next, None at the end; `_last_time` is when."""
        frame = self._next_frame()
        if frame is None:
            return None
        time = guessed_time(frame, self._video)
        if self._timing is None or not self._timing.fps:
            # A frame without a time comes when it is its turn, one out of order at once.
            if self._taken:
                time = self._last_time + self._period if time is None else time - self._origin
            else:
                time = 0
            self._last_time = max(self._last_time, time)
        elif self._shown is not None and self._missing(time):
            self._pending.insert(0, frame)
            frame = self._shown
            self.repeated += 1
        self._taken += 1
        self._shown = frame
        return frame

    def _missing(self, time: int | None) -> bool:
        """Whether another frame should come before the one of that time."""
        timing = self._timing
        if timing is None or time is None or not timing.times:
            return False
        return timing.slot(time) - self._origin_slot > self._taken

    def _reopen(self) -> None:
        """Back to before the first frame."""
        self._container.close()
        self._container, video = self._open()
        self._packets = self._demux(self._container, video)
        self._pending = []
        self.damaged = self.repeated = 0
        first = self._first_frame()
        self._pending = [first, *self._pending] if first is not None else []
        self._begin(video, first)

    def _place(self, number: int) -> tuple[int, int] | None:
        """When a frame, counted from the first, is shown, and the time of a packet before it from
        where a decoder gives what it gives from the start; None where that is not known."""
        timing, slot = self._timing, self._origin_slot + number
        if timing is None or not timing.fps or slot >= len(timing.times):
            return None
        entry = timing.entry(timing.times[slot])
        return None if entry is None or entry <= self._origin else (timing.times[slot], entry)

    def _seek(self, wanted: int, entry: int) -> bool:
        """Makes the frame of that time the next; False if it was not found."""
        try:
            self._container.seek(entry, stream=self._video)
            self._packets = self._demux(self._container, self._video)
            for packet in self._packets:
                if packet.pts == entry and packet.is_keyframe:
                    break
                if packet.dts is not None and packet.dts > entry:
                    return False
            else:
                return False
            self._pending = list(packet.decode())
            while (frame := self._next_frame()) is not None:
                time = guessed_time(frame, self._video)
                if time is None or time > wanted:
                    return False
                if time == wanted:
                    self._pending.insert(0, frame)
                    return True
        except (self._av.FFmpegError, CorruptError):
            pass
        return False

    def _open(self) -> tuple[Any, Any]:
        # A file that exists is no pattern of names, and no name is a protocol.
        options = {"pattern_type": "none"} if os.path.lexists(self._path) else {}
        try:
            container = self._av.open(self._pipe or FILE + self._path, options=options)
        except self._av.FileNotFoundError as error:
            raise FileNotFoundError(error.errno, error.strerror, self._path) from None
        except self._av.FFmpegError as error:
            raise CorruptError(
                f"{self._name} is not a video that FFmpeg can read ({_explain(error)})"
            ) from None
        streams = container.streams.video
        if not streams:
            container.close()
            raise CorruptError(f"{self._name} has no video stream")
        number = choose(streams) if self._stream is None else self._stream
        if not 0 <= number < len(streams):
            listed = list_streams(streams)
            container.close()
            raise ValueError(f"{self._name} has no video stream {number}, only {listed}")
        if len(streams) > 1 and self._stream is None:
            # The next time the same one is to be taken, without a word.
            self._stream = number
            self._say(f"stream {number} is taken of its video streams ({list_streams(streams)})")
        video = streams[number]
        # With threads for frames it is not told which packet an error is about.
        # Nor which one a frame was made from, which pictures are asked for.
        slices = self._skip_damage or _still(container)
        video.thread_type = "SLICE" if slices else "AUTO"
        return container, video

    def _demux(self, container: Any, video: Any, clock: Clock | None = None) -> Iterator[Any]:
        """The packets of the stream, their times made those of one clock."""
        clock = clock or self._clock(container, video)
        for packet in container.demux(video):
            clock(packet)
            yield packet

    def _clock(self, container: Any, video: Any) -> Clock:
        period = 1 / (video.guessed_rate or video.average_rate or DEFAULT_RATE)
        forward = bool(container.format.flags & self._av.format.Flags.ts_discont.value)
        return Clock(video.time_base, period, forward=forward)

    def _survey(self) -> Timing:
        container, video = self._open()
        try:
            clock = self._clock(container, video)
            return read_timing(self._demux(container, video, clock), video, clock)
        except self._av.FFmpegError as error:
            raise CorruptError(f"{self._name} is damaged ({_explain(error)})") from None
        finally:
            container.close()

    def _next_frame(self) -> Any:
        """The next frame that the decoder gives, None at the end."""
        while not self._pending:
            try:
                packet = next(self._packets, None)
            except self._av.FFmpegError as error:
                raise self._damaged(error) from None
            if packet is None:
                return None
            try:
                self._packet = packet
                self._pending = list(packet.decode())
            except self._av.EOFError:
                return None
            except self._av.FFmpegError as error:
                if self._skip_damage:
                    self.damaged += 1
                else:
                    raise self._damaged(error) from None
        return self._pending.pop(0)

    def _first_frame(self) -> Any:
        """The first frame that the decoder gives, None if there is none.

        Where the file begins amid a stream, what stands before the first keyframe builds on what
        is not there, and is passed over.
        """
        try:
            begins = next(self._packets, None)
            if begins is None:
                return None
            self._packets = itertools.chain([begins], self._packets)
            if begins.is_keyframe:
                return self._next_frame()
            for number, packet in enumerate(self._packets):
                # With threads an error may be that of a packet before: all are passed over.
                with suppress(self._av.FFmpegError):
                    self._pending = list(packet.decode())
                if self._pending:
                    if number:
                        self._say(
                            "it begins without a keyframe; what builds on what is not there "
                            "is passed over"
                        )
                    return self._pending.pop(0)
        except self._av.FFmpegError as error:
            raise self._damaged(error) from None
        return None

    def _damaged(self, error: Any) -> CorruptError:
        return CorruptError(f"{self._name} is damaged ({_explain(error)})")


def _still(container: Any) -> bool:
    """Whether it is a picture, or a sequence of them."""
    return str(container.format.name).endswith(("_pipe", "image2"))


def _packets(count: int) -> str:
    return "packet is" if count == 1 else "packets are"


def _frames(count: int) -> str:
    return "1 frame" if count == 1 else f"{count} frames"


def _explain(error: Any) -> str:
    """FFmpeg's words without number and path."""
    return str(error.strerror or error).removesuffix(".").lower()


def _aspect(value: Fraction | None) -> tuple[int, int]:
    """Sample aspect ratio; unknown (none or 0) counts as square."""
    return (value.numerator, value.denominator) if value else (1, 1)
