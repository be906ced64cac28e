"""Sums over processes: the same bits everywhere, with and without shared memory."""

import subprocess
import sys

import pytest

SCRIPT = """
import sys
from pathlib import Path
import torch
import torch.distributed as dist
from ui2c.train import shared_sum
rank, world, meeting, shared = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=world)
shared_sum.SHARED = Path(shared)
for count in (1, 1000, 17, 5000, 1000, 1000, 3):
    parts = torch.randn(world, count, generator=torch.Generator().manual_seed(count))
    flat = parts[rank].clone()
    shared_sum.sum_over_processes(flat)
    torch.testing.assert_close(flat, parts.sum(0))
    everyone = [torch.empty(count) for _ in range(world)]
    dist.all_gather(everyone, flat)
    assert all(torch.equal(flat, other) for other in everyone)
print("shared" if shared_sum._memory is not None else "sent")
dist.destroy_process_group()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="shared memory is a folder on Linux only")
@pytest.mark.parametrize("world, folder, way", [(3, "there", "shared"), (2, "missing", "sent")])
def test_sum(tmp_path, world, folder, way):
    (tmp_path / "there").mkdir()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(rank), str(world), str(tmp_path / "meeting"),
             str(tmp_path / folder)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(world)
    ]  # fmt: skip
    for process in processes:
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        assert output.strip() == way
    assert not list((tmp_path / "there").iterdir())
