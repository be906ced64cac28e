"""Weights between those of two runs: `python -m ui2c.train.blend FIRST SECOND SHARE OUTPUT`.

Where one run went on from the other the loss has no hump between the two, and a point between them
can be better than either: it averages out what the last steps of each happened to do.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from ui2c.network.codec import Codec
from ui2c.network.weights import load_model, save_model


def blend(first: Codec, second: Codec, share: float) -> Codec:
    """`second` with every weight moved by `share`, 0 … 1, of the way to that of `first`.

    Weights that only `second` has stay as they are. Raises ValueError if `first` has others, or if
    two of a name differ in shape.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must be from 0 to 1, not {share}")
    known, weights = first.state_dict(), second.state_dict()
    if odd := [k for k, v in known.items() if k not in weights or weights[k].shape != v.shape]:
        raise ValueError(f"{second.config.name} has no weights like {', '.join(odd[:3])}")
    for name, value in known.items():
        weights[name] = torch.lerp(weights[name], value, share)
    result = Codec(second.config)
    result.load_state_dict(weights)
    return result


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", help="model file, or name of a shipped model")
    parser.add_argument("second", help="the one that decides what the networks are like")
    parser.add_argument("share", type=float, help="how far to go from the second to the first")
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args(argv)
    first, second = (load_model(name) for name in (arguments.first, arguments.second))
    try:
        mixed = blend(first.trainable(), second.trainable(), arguments.share)
    except ValueError as error:
        parser.error(str(error))
    save_model(mixed, arguments.output, second.card)


if __name__ == "__main__":
    main()
