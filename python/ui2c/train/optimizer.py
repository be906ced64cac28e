"""Muon for the matrices, Adam for everything else."""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ui2c.network.blocks import Pointwise
from ui2c.train.shared_sum import sum_over_processes


def orthogonalise(matrix: Tensor, steps: int = 5) -> Tensor:
    """Nearly the orthogonal factor of each matrix `[n, rows, columns]`, rows ≤ columns.

    Newton-Schulz iteration with the quintic coefficients of K. Jordan's Muon (2024). Every step
    multiplies from the left by a polynomial in the Gram matrix, and these all commute: the
    iteration runs on Gram matrices alone, and the long side is touched twice only.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix / (matrix.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    gram = x @ x.mT
    identity = torch.eye(gram.shape[-1], device=x.device, dtype=x.dtype)
    total = None
    for step in range(steps):
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c) + a * identity
        total = factor if total is None else total @ factor
        if step < steps - 1:
            gram = factor @ gram @ factor
    assert total is not None
    result: Tensor = total @ x
    return result


class Muon(torch.optim.Optimizer):
    """Nesterov momentum whose update is made orthogonal; rate · √max(1, out/in).

    In a distributed run every process orthogonalises its share of the matrices.
    """

    kernel: Callable[[Tensor], Tensor] | None = None
    """A faster `orthogonalise`, one matrix of any shape at a time."""

    def __init__(self, params: list[nn.Parameter], lr: float, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            updates = []
            for p in params:
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                velocity = state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                updates.append(p.grad.lerp(velocity, group["momentum"]))
            factors = shared_orthogonalisation(updates, self.kernel)
            for p, update in zip(params, factors, strict=True):
                p.add_(update, alpha=-group["lr"] * max(1.0, p.shape[0] / p.shape[1]) ** 0.5)


def shared_orthogonalisation(
    updates: list[Tensor], kernel: Callable[[Tensor], Tensor] | None = None
) -> list[Tensor]:
    """Orthogonal factors of all matrices; each process works on some and all get all."""
    distributed = dist.is_initialized()
    rank, world = (dist.get_rank(), dist.get_world_size()) if distributed else (0, 1)
    # Dear matrices first, dealt out in turn: the shares come out about equal.
    order = sorted(range(len(updates)), key=lambda i: (-updates[i].numel(), i))
    results = [torch.zeros_like(u) for u in updates]
    shapes: dict[tuple[int, ...], list[int]] = {}
    for i in order[rank::world]:
        if kernel is not None:
            results[i] = kernel(updates[i])
        else:
            shapes.setdefault(tuple(sorted(updates[i].shape)), []).append(i)
    for members in shapes.values():
        # Matrices of one shape go through the iteration together: fewer, larger products.
        wide = [u if u.shape[0] <= u.shape[1] else u.mT for u in (updates[i] for i in members)]
        for i, result in zip(members, orthogonalise(torch.stack(wide)), strict=True):
            results[i] = result if results[i].shape == result.shape else result.mT
    if distributed:
        flat = torch.cat([r.flatten() for r in results])
        sum_over_processes(flat)
        parts = flat.split([r.numel() for r in results])
        results = [part.view_as(r) for part, r in zip(parts, results, strict=True)]
    return results


def optimizers(
    model: nn.Module, *, muon_rate: float, adam_rate: float
) -> list[torch.optim.Optimizer]:
    """Muon for the matrices and Adam for the rest, or Adam alone if `muon_rate` is zero.

    The scales of z learn 20 times as fast as the other vectors.
    """
    matrices: list[nn.Parameter] = [
        m.weight for m in model.modules() if isinstance(m, Pointwise) and muon_rate > 0
    ]
    taken = {id(p) for p in matrices}
    scales = [p for name, p in model.named_parameters() if "hyper_scales" in name]
    taken |= {id(p) for p in scales}
    others = [p for p in model.parameters() if id(p) not in taken]
    groups: list[dict[str, Any]] = [
        {"params": others, "lr": adam_rate},
        {"params": scales, "lr": adam_rate * 20},
    ]
    adam = torch.optim.Adam(groups, betas=(0.9, 0.99), fused=True)
    result: list[torch.optim.Optimizer] = [adam]
    if matrices:
        result.insert(0, Muon(matrices, muon_rate))
    for optimizer in result:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return result
