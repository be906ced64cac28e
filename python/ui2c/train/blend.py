"""Weights between those of two runs: `python -m ui2c.train.blend FIRST SECOND SHARE OUTPUT`.

Where one run went on from the other the loss has no hump between the two, and a point between them
can be better than either: it averages out what the last steps of each happened to do.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from ui2c.network.codec import Codec
from ui2c.network.load import load_model
from ui2c.network.torch_model import load_codec, save_model


def blend(first: Codec, second: Codec, share: float) -> Codec:
    """`second` with every weight moved by `share`, 0 … 1, of the way to that of `first`.

    Raises ValueError if the two have other sizes.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must be from 0 to 1, not {share}")
    if replace(first.config, name=second.config.name) != second.config:
        raise ValueError(f"{first.config} and {second.config} have no weights in common")
    known, weights = first.state_dict(), second.state_dict()
    result = Codec(second.config)
    result.load_state_dict({k: torch.lerp(weights[k], known[k], share) for k in weights})
    return result


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", help="model file, or name of a shipped model")
    parser.add_argument("second", help="the one whose name and card are kept")
    parser.add_argument("share", type=float, help="how far to go from the second to the first")
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args(argv)
    first, second = (load_codec(name) for name in (arguments.first, arguments.second))
    try:
        mixed = blend(first, second, arguments.share)
    except ValueError as error:
        parser.error(str(error))
    save_model(mixed, arguments.output, load_model(arguments.second).card)


if __name__ == "__main__":
    main()
