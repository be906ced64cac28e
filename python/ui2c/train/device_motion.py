"""Motion search for whole batches in PyTorch operations, in place of the encoder's own search.

A full search on quarter-size pictures gives every cell of 16 samples a vector. The fields of all
grids are then refined on what they really predict, vectors interpolated between cells: the error
is linearised at the present field, spread to the cells by their interpolation weights, and its
quadratic model weighed against the bits of the vectors. Nothing waits for the host.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

STEPS = (16, 32, 64)
COARSE = 4
REACH = 10
"""Largest displacement of the full search, in samples of the quarter-size picture."""
COMPACTION = 4.0
"""A transform gathers a residual in about one coefficient of so many."""
SMOOTHNESS = 2.0
"""Bits by which a cell's vector is pulled to its neighbours' when a sample away from them."""
SMALL_ROUNDS = 3


def search(luma: Tensor, lagrangians: Tensor) -> tuple[Tensor, Tensor]:
    """The fields of `luma[:, 1:]` from `luma[:, 0]`.

    Args:
        luma: float `[n, 1 + frames, height, width]` on the scale of 8-bit codes; sides multiples
            of 16.
        lagrangians: price of a bit in squared codes, `[n]`.

    Returns:
        Steps, uint8 `[n]`: 0, 16, 32 or 64; and vectors, int16 `[n, frames, rows, columns, 2]` with
        room for the grid of 16, a coarser field in the upper left corner, zeros elsewhere.
    """
    n, frames, height, width = luma.shape
    frames -= 1
    reference = luma[:, :1]
    current = luma[:, 1:].flatten(0, 1)[:, None]
    floor = (lagrangians.clamp(min=0.02) / (2 * math.log(2))).repeat_interleave(frames)
    references = reference.repeat_interleave(frames, dim=0)
    small = [functional.avg_pool2d(x, 2) for x in (references, current)]

    field = block_search(luma, lagrangians)
    for _ in range(SMALL_ROUNDS):
        model = Model(small[0], small[1], field / 2, 8, floor)
        field = model.descend() * 2
    best_bits = residual_bits(current - references, floor).view(n, frames).sum(1)
    steps = torch.zeros_like(best_bits)
    rows, columns = field.shape[2:]
    best = torch.zeros_like(field)
    confidence = model.stiffness
    for step in STEPS:
        if step > 16:
            # Large cells hold enough samples for parts of samples at half the size too.
            field = merge(field, confidence, step // 16, (height, width))
            for _ in range(SMALL_ROUNDS):
                field = 2 * Model(small[0], small[1], field / 2, step // 2, floor).descend()
        else:
            field = Model(references, current, field, step, floor).descend()
        model = Model(references, current, field, step, floor)
        if step == 16:
            confidence = model.stiffness
        quantised = model.decide()
        error = current - functions["warp"](references, quantised / 4, step)
        bits = residual_bits(error, floor) + vector_bits(quantised)
        bits = bits.view(n, frames).sum(1)
        better = bits < best_bits
        best_bits = torch.where(better, bits, best_bits)
        steps = torch.where(better, step, steps)
        spare = (0, columns - quantised.shape[3], 0, rows - quantised.shape[2])
        quantised = functional.pad(quantised, spare)
        chosen = better.repeat_interleave(frames).view(-1, 1, 1, 1)
        best = torch.where(chosen, quantised, best)
        if step == 16:
            fine = field
        field = fine
    vectors = best.permute(0, 2, 3, 1).unflatten(0, (n, frames))
    return steps.to(torch.uint8), vectors.round().to(torch.int16)


# --- whole samples -------------------------------------------------------------------------


def block_search(luma: Tensor, lagrangians: Tensor) -> Tensor:
    """Vectors in luma samples, `[n · frames, 2, height / 16, width / 16]`."""
    frames = luma.shape[1]
    small = functional.avg_pool2d(luma, COARSE)
    reference = functional.pad(small[:, :1], (REACH,) * 4, mode="replicate")
    current = small[:, 1:]
    side = 2 * REACH + 1
    columns = small.shape[3]
    costs = []
    for dy in range(side):
        # [n, 1, h, side, w]: the reference at all displacements along the rows.
        line = reference[:, :, dy : dy + small.shape[2]].unfold(3, columns, 1)
        difference = (current[:, :, :, None] - line).abs().permute(0, 1, 3, 2, 4)
        costs.append(
            functional.avg_pool2d(difference.flatten(0, 1), 8, COARSE, 2, count_include_pad=False)
        )
    cost = torch.cat(costs, dim=1)
    axis = torch.arange(-REACH, REACH + 1, device=luma.device, dtype=luma.dtype)
    shifts = torch.stack((axis.repeat(side), axis.repeat_interleave(side)))
    # The price of a bit against a mean absolute difference over the samples of a cell.
    price = (lagrangians.sqrt() / 64 + 0.02).repeat_interleave(frames - 1).view(-1, 1, 1, 1)
    away = (1 + shifts.abs()).log2().sum(0).view(1, -1, 1, 1)
    field = shifts[:, (cost + price * away).argmin(1)].transpose(0, 1)
    for _ in range(3):
        middle = neighbourhood(field).median(2).values
        distance = (shifts.view(1, 2, -1, 1, 1) - middle[:, :, None]).abs()
        away = (1 + distance).log2().sum(1)
        field = shifts[:, (cost + 2 * price * away).argmin(1)].transpose(0, 1)
    return field * COARSE


def neighbourhood(field: Tensor) -> Tensor:
    """Each cell's and its 8 neighbours' vectors: `[n, 2, 9, rows, columns]`."""
    padded = functional.pad(field, (1, 1, 1, 1), mode="replicate")
    rows, columns = field.shape[2:]
    return torch.stack(
        [padded[:, :, i : i + rows, j : j + columns] for i in range(3) for j in range(3)], dim=2
    )


# --- parts of samples ----------------------------------------------------------------------


def warp(references: Tensor, field: Tensor, step: int) -> Tensor:
    """Predictions `[b, 1, h, w]` under fields `[b, 2, rows, columns]` in samples."""
    height, width = references.shape[2:]
    dense = functional.interpolate(field, scale_factor=step, mode="bilinear", align_corners=False)
    dense = dense[:, :, :height, :width]
    x = torch.arange(width, device=field.device, dtype=field.dtype)
    y = torch.arange(height, device=field.device, dtype=field.dtype)[:, None]
    grid = torch.stack(
        ((dense[:, 0] + x + 0.5) * (2 / width) - 1, (dense[:, 1] + y + 0.5) * (2 / height) - 1), -1
    )
    return functional.grid_sample(references, grid, "bicubic", "border", align_corners=False)


def spread_matrix(size: int, step: int, device: torch.device) -> Tensor:
    """`[cells, size]`: the share that each cell's vector has in each sample's."""
    cells = -(-size // step)
    identity = torch.eye(cells, device=device)[None]
    dense = functional.interpolate(identity, scale_factor=step, mode="linear", align_corners=False)
    return dense[0, :, :size]


def moments(
    references: Tensor,
    current: Tensor,
    field: Tensor,
    step: int,
    floor: Tensor,
    down: Tensor,
    across: Tensor,
) -> Tensor:
    """Second moments of gradient and error in bits, by cell: `[b, 5, rows, columns]`.

    In order: gx gx, gx gy, gy gy, error gx, error gy. `down` and `across` spread samples to cells.
    """
    height, width = current.shape[2:]
    warped = warp(references, field, step)
    error = current - warped
    mean = functional.pad((warped + current) / 2, (1, 1, 1, 1), mode="replicate")
    gx = (mean[:, :, 1:-1, 2:] - mean[:, :, 1:-1, :-2]) / 2
    gy = (mean[:, :, 2:, 1:-1] - mean[:, :, :-2, 1:-1]) / 2
    # Bits per squared error of a block at its present error: see `residual_bits`.
    side = min(step, 16)
    present = floor.view(-1, 1, 1, 1) + COMPACTION * functional.avg_pool2d(error.square(), side)
    weight = functional.interpolate((0.5 / math.log(2)) / present, (height, width))
    wx, wy = gx * weight, gy * weight
    products = torch.cat((gx * wx, gx * wy, gy * wy, error * wx, error * wy), 1)
    return down @ products @ across.t()


class Model:
    """The error around a field as a quadratic function of every cell's vector.

    The interpolation weights of a sample sum to one, so lumping each cell's share of the quadratic
    term on the cell itself bounds the error from above: descending on it never overshoots.
    """

    def __init__(
        self, references: Tensor, current: Tensor, field: Tensor, step: int, floor: Tensor
    ) -> None:
        self.field = field
        down, across = (spread_matrix(size, step, field.device) for size in current.shape[2:])
        sums = functions["moments"](references, current, field, step, floor, down, across)
        # Never quite singular.
        self.xx, self.xy, self.yy = sums[:, 0] + 1e-4, sums[:, 1], sums[:, 2] + 1e-4
        self.x, self.y = sums[:, 3], sums[:, 4]

    @property
    def stiffness(self) -> Tensor:
        """Bits per squared sample off the best vector, the softer direction: `[b, 1, r, c]`."""
        half = (self.xx + self.yy) / 2
        off = ((self.xx - self.yy).square() / 4 + self.xy.square()).sqrt()
        return (half - off)[:, None].clamp(min=1e-3)

    def descend(self, sweeps: int = 4) -> Tensor:
        """Fields of least error that are smooth where the pictures do not say: in samples."""
        x, y = self.field[:, 0], self.field[:, 1]
        goal_x = self.x + self.xx * x + self.xy * y
        goal_y = self.y + self.xy * x + self.yy * y
        xx, yy = self.xx + SMOOTHNESS, self.yy + SMOOTHNESS
        scale = 1 / (xx * yy - self.xy.square())
        field = self.field
        for _ in range(sweeps):
            pull = SMOOTHNESS * neighbourhood(field).median(2).values
            right_x, right_y = goal_x + pull[:, 0], goal_y + pull[:, 1]
            field = (
                torch.stack(
                    ((yy * right_x - self.xy * right_y), (xx * right_y - self.xy * right_x)), 1
                )
                * scale[:, None]
            )
            # The linearisation holds near the present field only.
            field = self.field + (field - self.field).clamp(-1.5, 1.5)
        return field

    def decide(self, sweeps: int = 4) -> Tensor:
        """Fields in whole quarter samples, their bits weighed against the error they cause."""
        xx, yy, xy = self.xx / 16, self.yy / 16, self.xy / 16
        det = self.xx * self.yy - self.xy.square()
        best = (
            4 * self.field
            + 4
            * torch.stack(
                (self.yy * self.x - self.xy * self.y, self.xx * self.y - self.xy * self.x), 1
            )
            / det.clamp(min=1e-6)[:, None]
        )
        best = 4 * self.field + (best - 4 * self.field).clamp(-6, 6)
        field = (4 * self.descend()).round().clamp(-2047, 2047)
        own = best.round().clamp(-2047, 2047)
        rows = torch.arange(field.shape[2], device=field.device)[:, None]
        columns = torch.arange(field.shape[3], device=field.device)
        for sweep in range(2 * sweeps):
            turn = (rows + columns + sweep) % 2 == 0
            field = functions["improve"](field, best, own, xx, xy, yy, turn)
        return field


def improve(
    field: Tensor, best: Tensor, own: Tensor, xx: Tensor, xy: Tensor, yy: Tensor, turn: Tensor
) -> Tensor:
    """Fields in quarters in which every cell whose `turn` it is took its best candidate.

    `best` is where the error is least, `own` the same in whole quarters; `xx`, `xy`, `yy` are the
    bits that a squared quarter off it costs.
    """
    predicted = median_prediction(field)
    around = neighbourhood(field)
    mixed = torch.stack((field[:, 0], predicted[:, 1]), 1)
    crossed = torch.stack((predicted[:, 0], field[:, 1]), 1)
    candidates = torch.stack((field, own, predicted, mixed, crossed), 2)
    candidates = torch.cat((candidates, around[:, :, 1::2]), 2)
    off = candidates - best[:, :, None]
    cost = xx[:, None] * off[:, 0].square() + yy[:, None] * off[:, 1].square()
    cost = cost + 2 * xy[:, None] * off[:, 0] * off[:, 1]
    cost = cost + component_bits(candidates - predicted[:, :, None]).sum(1)
    # What the cell's own choice costs the cells that are predicted from it.
    cost = cost + 0.5 * component_bits(candidates - around[:, :, 5:6]).sum(1)
    cost = cost + 0.5 * component_bits(candidates - around[:, :, 7:8]).sum(1)
    winner = cost.argmin(1)[:, None, None].expand(-1, 2, -1, -1, -1)
    chosen = candidates.gather(2, winner)[:, :, 0]
    return torch.where(turn, chosen, field)


def merge(field: Tensor, confidence: Tensor, factor: int, size: tuple[int, int]) -> Tensor:
    """Fields of a grid `factor` times as coarse: weighted means over its cells."""
    cells = [-(-side // (16 * factor)) * factor for side in size]
    spare = (0, cells[1] - field.shape[3], 0, cells[0] - field.shape[2])
    weighted = functional.pad(field * confidence, spare)
    total = functional.avg_pool2d(functional.pad(confidence, spare), factor)
    return functional.avg_pool2d(weighted, factor) / total


# --- bits ----------------------------------------------------------------------------------


def residual_bits(error: Tensor, floor: Tensor) -> Tensor:
    """Bits of residuals `[b, 1, h, w]`, by blocks of 16: squares over the price where small,
    what coding them takes where large."""
    squares = functional.avg_pool2d(error.square(), 16)[:, 0]
    count = 256 / COMPACTION
    return (0.5 * count * (1 + squares * COMPACTION / floor.view(-1, 1, 1)).log2()).sum((1, 2))


def vector_bits(field: Tensor) -> Tensor:
    """About the bits of fields `[b, 2, rows, columns]` in quarters of a sample."""
    return component_bits(field - median_prediction(field)).sum((1, 2, 3))


def component_bits(residual: Tensor) -> Tensor:
    """Price of one component: little for 0, then a constant and a part that grows.

    Half as much again as the coder takes: what is paid here for a field with fewer changes comes
    back in what the cells around cost.
    """
    size = residual.abs()
    return torch.where(size < 0.5, 0.75, 3 + 2.25 * size.clamp(min=1).log2())


def median_prediction(field: Tensor) -> Tensor:
    """What the coder predicts each vector as: the median of left, above and above right.

    In the last column it is above left.
    """
    left = functional.pad(field, (1, 0))[..., :-1]
    above = functional.pad(field, (0, 0, 1, 0))[:, :, :-1]
    right = torch.cat((above[..., 1:], above[..., -2:][..., :1]), -1)
    left = torch.cat((above[..., :1], left[..., 1:]), -1)
    median = torch.maximum(
        torch.minimum(left, above), torch.minimum(torch.maximum(left, above), right)
    )
    # In the first row there is only the left neighbour.
    first = functional.pad(field[:, :, :1], (1, 0))[..., :-1]
    return torch.cat((first, median[:, :, 1:]), 2)


functions: dict[str, Callable[..., Tensor]] = {
    "warp": warp,
    "moments": moments,
    "improve": improve,
}
"""What the search runs for each picture: the functions above, or what a compiler made of them."""
