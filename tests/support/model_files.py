"""Model files taken apart and put together byte by byte, right or wrong."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any, NamedTuple

SIZES = {"I8": 1, "U8": 1, "I16": 2, "F16": 2, "F32": 4, "I32": 4, "F64": 8, "I64": 8}


class Stored(NamedTuple):
    """A tensor as a file has it."""

    kind: str
    shape: tuple[int, ...]
    data: bytes

    @staticmethod
    def zeros(kind: str, shape: tuple[int, ...]) -> "Stored":
        return Stored(kind, shape, bytes(SIZES[kind] * math.prod(shape)))

    def with_element(self, index: int, element: bytes) -> "Stored":
        at = index * len(element)
        return self._replace(data=self.data[:at] + element + self.data[at + len(element) :])


Tensors = dict[str, Stored]


def read(path: Path) -> tuple[dict[str, str], Tensors]:
    """The metadata and tensors of a whole file."""
    whole = path.read_bytes()
    size = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + size])
    metadata = header.pop("__metadata__")
    data = whole[8 + size :]
    return metadata, {
        name: Stored(info["dtype"], tuple(info["shape"]), data[slice(*info["data_offsets"])])
        for name, info in header.items()
    }


def identified(metadata: dict[str, str], tensors: Tensors) -> dict[str, str]:
    """The metadata with the id that such contents have."""
    digest = hashlib.sha256((metadata["profile"] + metadata["config"]).encode())
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].data)
    return metadata | {"id": digest.hexdigest()[:16]}


def header_of(metadata: dict[str, str], tensors: Tensors) -> dict[str, Any]:
    """What stands before the tensors."""
    header: dict[str, Any] = {"__metadata__": metadata}
    at = 0
    for name, tensor in tensors.items():
        end = at + len(tensor.data)
        header[name] = {
            "dtype": tensor.kind,
            "shape": list(tensor.shape),
            "data_offsets": [at, end],
        }
        at = end
    return header


def framed(header: str, data: bytes) -> bytes:
    return len(header.encode()).to_bytes(8, "little") + header.encode() + data


def file(metadata: dict[str, str], tensors: Tensors) -> bytes:
    """A file whose id is right, whatever else is not."""
    header = json.dumps(header_of(identified(metadata, tensors), tensors))
    return framed(header, b"".join(tensor.data for tensor in tensors.values()))
