"""Sums over the processes of a distributed run, through shared memory where they share it."""

import os
import secrets
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

SHARED = Path("/dev/shm")
_memory: "SharedMemory | None" = None
_refused = False


class SharedMemory:
    """Two turns of one slot per process, float32.

    A process may write for turn t + 2 once it has seen everybody arrive in turn t + 1, for then
    all have read turn t: two turns need one barrier a sum.
    """

    def __init__(self, path: Path, size: int) -> None:
        self.size = size
        self.turn = 0
        world = dist.get_world_size()
        self.slots = torch.from_file(
            str(path), shared=True, size=2 * world * size, dtype=torch.float32
        ).view(2, world, size)

    def sum(self, flat: Tensor) -> None:
        slots = self.slots[self.turn, :, : flat.numel()]
        self.turn = 1 - self.turn
        slots[dist.get_rank()].copy_(flat)
        dist.barrier()
        # In the order of the ranks everywhere: all processes get the same bits.
        torch.add(slots[0], slots[1], out=flat)
        for slot in slots[2:]:
            flat += slot


def sum_over_processes(flat: Tensor) -> None:
    """Replaces a contiguous vector by its sum over all processes; all call it in the same order."""
    global _memory, _refused
    if flat.device.type != "cpu" or flat.dtype != torch.float32 or _refused:
        dist.all_reduce(flat)
        return
    if _memory is None or _memory.size < flat.numel():
        _memory = open_shared(flat.numel())
        _refused = _memory is None
    if _memory is None:
        dist.all_reduce(flat)
    else:
        _memory.sum(flat)


def open_shared(size: int) -> SharedMemory | None:
    """Memory that all processes see; None on all of them if one does not."""
    path = SHARED / f"ui2c-{secrets.token_hex(12)}"
    names = [str(path)]
    first = dist.get_rank() == 0
    memory = None
    try:
        if first:
            with path.open("xb") as file:
                # Reserved, not just promised: writing to full shared memory kills the process.
                os.posix_fallocate(file.fileno(), 0, 2 * dist.get_world_size() * size * 4)
    except OSError:
        names = [""]
    dist.broadcast_object_list(names)
    # The name is random: a process on another machine does not find it.
    if names[0] and Path(names[0]).exists():
        memory = SharedMemory(Path(names[0]), size)
    seen = torch.tensor(float(memory is not None))
    dist.all_reduce(seen, op=dist.ReduceOp.MIN)
    if first:
        path.unlink(missing_ok=True)
    return memory if seen.item() == 1 else None
