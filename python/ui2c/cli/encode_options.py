"""The options of ui2c encode, and what they mean for an encoder."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from typing import Any

from ui2c.cli.common import (
    MOST_AT_ONCE,
    UsageError,
    add_machine_options,
    add_output_options,
    amount,
    finite,
    integer,
    rate,
    size,
)
from ui2c.files import is_rereadable, is_sequence
from ui2c.options import EFFORTS
from ui2c.picture.frames import YUV420
from ui2c.segments.encode import description_options
from ui2c.video import ON_ERROR, Description, Source, rebased

SINGLE = "-single"
"""Ends the names of models with one frame per unit."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", metavar="IN")
    parser.add_argument("output", metavar="OUT")
    _add_target(parser)
    group = parser.add_argument_group("coding")
    group.add_argument(
        "--model", default="small", metavar="M", help="shipped model or weights file (small)"
    )
    group.add_argument(
        "--motion",
        choices=EFFORTS,
        help="how long to search for motion (slow where that takes little beside the networks)",
    )
    group.add_argument(
        "--lead",
        type=integer(0, 63),
        metavar="N",
        help="qp of a random-access point, below that of the frames after it (0, 5, ... 35, by "
        "trial); 0: it does not wait for the four frames after it",
    )
    group.add_argument(
        "--keyint",
        type=integer(0),
        default=0,
        metavar="N",
        help="a random-access point every N frames at least; 0 (default): only the first",
    )
    group.add_argument(
        "--scenecut", action="store_true", help="a random-access point at every scene cut too"
    )
    group.add_argument(
        "--low-latency",
        action="store_true",
        help="no delay: weights that code each frame by itself (MODEL-single), where there are any",
    )
    group = parser.add_argument_group("input")
    group.add_argument("--frames", type=integer(0), metavar="N", help="encode at most N frames")
    group.add_argument("--skip", type=integer(0), default=0, metavar="N", help="first skip N")
    group.add_argument("--input-res", type=size, metavar="WxH", help="size of raw video")
    group.add_argument(
        "--input-depth", type=integer(8, 16), metavar="N", help="bits per sample of raw video (8)"
    )
    group.add_argument("--fps", type=rate, metavar="R", help="frame rate, over what IN says")
    group.add_argument(
        "--stream",
        type=integer(0),
        metavar="N",
        help="video stream number N, from 0 (the one that FFmpeg takes)",
    )
    group.add_argument(
        "--on-error",
        choices=ON_ERROR,
        default="stop",
        help="at damage in IN: code what came before it (default), or go on after it",
    )
    group.add_argument(
        "--resize",
        action="store_true",
        help="where the picture's size changes, scale to that of the first",
    )
    add_machine_options(parser)
    group = parser.add_argument_group("many cores, many machines")
    group.add_argument(
        "--jobs",
        type=integer(1, MOST_AT_ONCE),
        metavar="N",
        help="code segments of IN side by side in N processes of one thread (--threads); an "
        "interrupted run goes on where it stopped when the same command is given again",
    )
    group.add_argument(
        "--cluster", metavar="ADDRESS", help="on the Dask cluster there, which must see IN"
    )
    group.add_argument(
        "--segment",
        type=integer(1),
        metavar="N",
        help="frames of a segment; each begins with a random-access point (about 240)",
    )
    group = parser.add_argument_group("report")
    group.add_argument("--psnr", action="store_true", help="measure PSNR")
    group.add_argument("--csv", metavar="FILE", help="numbers per frame")
    group.add_argument(
        "--plot", metavar="HTML", help="a page with rate, qp and PSNR over time (with --psnr)"
    )
    group.add_argument("--recon", metavar="FILE", help="write what a decoder will show")
    add_output_options(parser)


def _add_target(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("quality or size, one of")
    target = group.add_mutually_exclusive_group()
    target.add_argument(
        "--qp", type=integer(0, 63), metavar="N", help="0 best ... 63 smallest; even quality (32)"
    )
    target.add_argument(
        "--bitrate",
        type=amount,
        metavar="R",
        help="bits per second, such as 500k; in one pass unless --passes 2",
    )
    target.add_argument(
        "--size", type=amount, metavar="BYTES", help="of the file, such as 2M; in two passes"
    )
    group = parser.add_argument_group("for --bitrate and --size")
    group.add_argument(
        "--passes",
        type=integer(1, 2),
        metavar="N",
        help="2: code IN twice, for more even quality (1 for --bitrate, 2 for --size)",
    )
    group.add_argument(
        "--buffer",
        type=finite,
        default=2.0,
        metavar="S",
        help="seconds that a receiver of one pass buffers (2)",
    )
    group.add_argument(
        "--qp-range",
        type=integer(0, 63),
        nargs=2,
        default=(0, 63),
        metavar=("MIN", "MAX"),
        help="qps that may be chosen (0 63)",
    )


def check_target(arguments: argparse.Namespace) -> None:
    """Sets `passes` and `segments`; UsageError where the options do not go together."""
    if arguments.size is not None and arguments.passes == 1:
        raise UsageError("--size takes two passes")
    if arguments.passes and arguments.bitrate is None and arguments.size is None:
        raise UsageError("--passes goes with --bitrate or --size")
    arguments.passes = arguments.passes or (2 if arguments.size is not None else 1)
    arguments.segments = arguments.jobs is not None or arguments.cluster is not None
    if arguments.segments and (arguments.passes == 2 or arguments.recon):
        raise UsageError("--jobs and --cluster go with neither two passes nor --recon")
    if arguments.segments and arguments.on_error == "skip":
        raise UsageError("--on-error skip does not go with --jobs and --cluster")
    if arguments.segment and not arguments.segments:
        raise UsageError("--segment goes with --jobs or --cluster")
    if arguments.passes == 2 and not (
        is_rereadable(arguments.input) or is_sequence(arguments.input)
    ):
        raise UsageError("two passes need a file to read twice; --bitrate R takes one")


def source_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Keyword arguments for `open_source`."""
    width, height = arguments.input_res or (None, None)
    size = {"width": width, "height": height, "bit_depth": arguments.input_depth}
    reading = {name: getattr(arguments, name) for name in ("fps", "stream", "on_error", "resize")}
    return size | reading


def selected(arguments: argparse.Namespace, source: Source) -> Iterator[YUV420]:
    """The wanted frames, their times counted from the first of them."""
    source.skip(arguments.skip)
    return rebased(itertools.islice(source, arguments.frames))


def encoder_options(arguments: argparse.Namespace, video: Description) -> dict[str, Any]:
    """Keyword arguments for an Encoder, but those about quality."""
    return {
        "model": low_latency(arguments.model) if arguments.low_latency else arguments.model,
        "device": arguments.device,
        "threads": arguments.threads,
        "keyint": arguments.keyint,
        "scenecut": arguments.scenecut,
        "motion": arguments.motion,
        "lead": 0 if arguments.low_latency else arguments.lead,
        "psnr": arguments.psnr,
        **description_options(video),
    }


def low_latency(model: str) -> str:
    """The variant of a model with one frame per unit; UsageError where there is none."""
    from ui2c.network.load import load_model
    from ui2c.network.model import shipped_models

    if model.endswith(".safetensors"):
        if load_model(model).config.frames_per_unit != 1:
            raise UsageError(
                f"{model} codes two frames at a time: --low-latency needs weights that were "
                "trained with frames_per_unit = 1"
            )
        return model
    single = model if model.endswith(SINGLE) else model + SINGLE
    if single not in shipped_models():
        raise UsageError(
            f"--low-latency needs weights {single}, which this version does not have (it has "
            f"{', '.join(shipped_models()) or 'none'}); without them the delay is one frame; "
            "weights of your own, trained with frames_per_unit = 1, can be given by --model FILE"
        )
    return single
