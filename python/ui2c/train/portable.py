"""The state of a timed run in few small files, to be taken from one machine to another."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from ui2c.network.codec import Codec
from ui2c.train.files import whole_file

PIECE = 15 << 20
"""Bytes of tensors per file."""


def save_state(
    folder: Path,
    codec: Codec,
    optimizers: list[torch.optim.Optimizer],
    progress: dict[str, float],
    piece: int = PIECE,
) -> list[Path]:
    """Writes `state-weights-NN` and `state-momenta-NN` (safetensors) into the folder.

    Matrices lie as float16, momenta as bfloat16, the rest as float32. Without the momenta a run
    can go on all the same; they are rebuilt within some hundred steps.
    """
    weights = {
        name: (p.detach().half() if p.ndim == 2 and "values" not in name else p.detach())
        for name, p in codec.named_parameters()
    }
    names = {id(p): name for name, p in codec.named_parameters()}
    momenta = {}
    for optimizer in optimizers:
        for p, state in optimizer.state.items():
            for key, value in state.items():
                kept = value if value.ndim == 0 else value.to(torch.bfloat16)
                momenta[f"{names[id(p)]}:{key}"] = kept
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for kind, tensors in (("weights", weights), ("momenta", momenta)):
        for number, part in enumerate(pieces(tensors, piece)):
            path = folder / f"state-{kind}-{number:02d}.safetensors"
            part = {name: tensor.cpu().contiguous() for name, tensor in part.items()}
            with whole_file(path) as file:
                file.write(save(part, {"progress": json.dumps(progress)}))
            written.append(path)
    return written


def pieces(tensors: dict[str, Tensor], size: int) -> list[dict[str, Tensor]]:
    """The tensors in order, shared out to parts of at most about `size` bytes."""
    parts: list[dict[str, Tensor]] = [{}]
    room = size
    for name, tensor in tensors.items():
        if tensor.nbytes > room and parts[-1]:
            parts.append({})
            room = size
        parts[-1][name] = tensor
        room -= tensor.nbytes
    return parts


def load_state(
    folder: Path, codec: Codec, optimizers: list[torch.optim.Optimizer]
) -> dict[str, float]:
    """Takes up weights and, if their files are there, momenta; returns the progress.

    Raises FileNotFoundError if the folder has no weights, ValueError if some are missing.
    """
    weights, progress = read_pieces(folder, "weights")
    if not weights:
        raise FileNotFoundError(f"no state-weights files in {folder}")
    parameters: dict[str, nn.Parameter] = dict(codec.named_parameters())
    if weights.keys() != parameters.keys():
        raise ValueError(f"{folder}: the weights are not whole, or of another model")
    with torch.no_grad():
        for name, p in parameters.items():
            p.copy_(weights[name])
    momenta, _ = read_pieces(folder, "momenta")
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            for p in group["params"]:
                name = next(n for n, q in parameters.items() if q is p)
                found = {
                    key.removeprefix(f"{name}:"): value
                    for key, value in momenta.items()
                    if key.startswith(f"{name}:")
                }
                if found:
                    optimizer.state[p] = {
                        # Counts of steps too: a fused Adam keeps them beside its parameters.
                        key: value.to(p.device, p.dtype)
                        for key, value in found.items()
                    }
    return progress


def read_pieces(folder: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """All tensors of a kind, and the progress that their files name."""
    tensors: dict[str, Tensor] = {}
    progress: dict[str, Any] = {}
    for path in sorted(folder.glob(f"state-{kind}-*.safetensors")):
        with safe_open(path, framework="pt") as file:
            progress = json.loads((file.metadata() or {})["progress"])
            tensors |= {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    return tensors, progress
