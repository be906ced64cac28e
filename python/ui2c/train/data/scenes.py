"""Scenes drawn for a whole batch at once: how cameras and the things before them move.

Positions and speeds are in luma samples of the clip, time in frames from its middle.
"""

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional

FASTEST = 16.0
WAVES = 3
RIPPLE_CELL = 8


class Dice:
    """Random numbers on a device; the same seed is the same numbers on the same kind of device."""

    def __init__(self, device: torch.device, seed: int) -> None:
        self.device = device
        self.generator = torch.Generator(device).manual_seed(seed)

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        x = torch.rand(shape, generator=self.generator, device=self.device)
        return x * (high - low) + low

    def normal(self, deviation: float, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator, device=self.device) * deviation

    def lognormal(self, median: float, deviation: float, *shape: int) -> Tensor:
        return median * self.normal(deviation, *shape).exp()

    def chance(self, share: float, *shape: int) -> Tensor:
        """True for that share of the entries."""
        return torch.rand(shape, generator=self.generator, device=self.device) < share

    def below(self, bound: Tensor) -> Tensor:
        """Whole numbers from 0 up to and without `bound`, of its shape."""
        x = torch.rand(bound.shape, generator=self.generator, device=self.device)
        return torch.minimum((x * bound).long(), bound - 1)

    def weighted(self, shares: Tensor, count: int) -> Tensor:
        """So many indices of `shares`, each as often as its share says."""
        return torch.multinomial(shares.float(), count, True, generator=self.generator)

    def round(self, expected: float) -> int:
        """A whole number next to `expected`, which is its mean."""
        return int(expected + float(self.uniform(0, 1)))

    def sign(self, *shape: int) -> Tensor:
        return 1 - 2 * self.chance(0.5, *shape).float()


@dataclass
class Paths:
    """How one plane moves in each clip; zeros stand exactly still."""

    velocity: Tensor
    """`[n, 2]`."""
    acceleration: Tensor
    shake: Tensor
    """`[n, swings, 4]`: x and y amplitude, cycles per frame, phase."""
    spin: Tensor
    """`[n]`, radians per frame."""
    growth: Tensor
    """`[n]`, natural logarithm of the magnification per frame."""
    ripples: Tensor
    """`[n, WAVES, 6]`: x and y wave number, radians per frame, phase, x and y amplitude."""

    def where(self, chosen: Tensor, other: "Paths") -> "Paths":
        """These paths where `chosen` `[n]`, else the other ones."""
        mixed = []
        for field in fields(self):
            a, b = getattr(self, field.name), getattr(other, field.name)
            mixed.append(torch.where(chosen.view(-1, *(1,) * (a.ndim - 1)), a, b))
        return Paths(*mixed)

    def scaled(self, factor: Tensor) -> "Paths":
        """Translation times `factor` `[n]`, the rest zero: things nearer than the background."""
        column = factor[:, None]
        amplitude = torch.tensor([1.0, 1.0, 0.0, 0.0], device=factor.device)
        shake = self.shake * (amplitude * column[:, None] + (1 - amplitude))
        zero = torch.zeros_like(self.spin)
        return Paths(
            self.velocity * column,
            self.acceleration * column,
            shake,
            zero,
            zero,
            torch.zeros_like(self.ripples),
        )

    def still(self) -> "Paths":
        return Paths(*(torch.zeros_like(getattr(self, field.name)) for field in fields(self)))

    def offsets(self, times: Tensor) -> Tensor:
        """Displacement `[n, times, 2]` at times `[times]`."""
        t = times[None, :, None]
        offsets = self.velocity[:, None] * t + self.acceleration[:, None] * t * t / 2
        swing = 2 * math.pi * self.shake[:, None, :, 2] * t + self.shake[:, None, :, 3]
        return offsets + (swing.sin()[..., None] * self.shake[:, None, :, :2]).sum(2)

    def positions(self, times: Tensor, size: int) -> Tensor:
        """Where each sample lies on the moving plane: `[n, times, size, size, 2]`."""
        angle = self.spin[:, None] * times
        zoom = (-self.growth[:, None] * times).exp()
        cos, sin = (angle.cos() * zoom)[..., None, None], (angle.sin() * zoom)[..., None, None]
        origin = self.offsets(times)[:, :, None, None]

        def on_plane(axis: Tensor) -> tuple[Tensor, Tensor]:
            x, y = axis - origin[..., 0], axis[:, None] - origin[..., 1]
            return cos * x + sin * y, cos * y - sin * x

        middle = (size - 1) / 2
        x, y = on_plane(torch.arange(size, device=times.device) - middle)
        # Ripples are long waves: it is enough to know them once per cell, and one cell outside.
        cells = -(-size // RIPPLE_CELL) + 2
        first = (RIPPLE_CELL - 1) / 2 - RIPPLE_CELL - middle
        u, v = on_plane(torch.arange(cells, device=times.device) * RIPPLE_CELL + first)
        shift = torch.zeros(*u.shape[:2], 2, cells, cells, device=times.device)
        for parameters in self.ripples.unbind(1):
            k = [p.view(-1, 1, 1, 1) for p in parameters.unbind(1)]
            wave = (k[0] * u + k[1] * v + k[2] * times.view(1, -1, 1, 1) + k[3]).sin()
            shift = shift + torch.stack((k[4] * wave, k[5] * wave), 2)
        fine = functional.interpolate(
            shift.flatten(0, 1), scale_factor=RIPPLE_CELL, mode="bilinear", align_corners=False
        )
        inside = slice(RIPPLE_CELL, RIPPLE_CELL + size)
        fine = fine[:, :, inside, inside].unflatten(0, u.shape[:2])
        return torch.stack((x + fine[:, :, 0], y + fine[:, :, 1]), -1)


def directions(dice: Dice, n: int) -> Tensor:
    """Unit vectors `[n, 2]`; things move sideways more often than up and down."""
    level = dice.chance(0.5, n)
    angle = torch.where(level, dice.normal(0.3, n), dice.uniform(0, 2 * math.pi, n))
    return torch.stack((angle.cos() * dice.sign(n), angle.sin()), 1)


def shakes(dice: Dice, strength: Tensor) -> Tensor:
    """Unsteady hands: a few slow swings, the faster the smaller."""
    n = len(strength)
    frequency = dice.uniform(0.015, 0.22, n, 4, 1)
    amplitude = strength.view(-1, 1, 1) * dice.normal(1, n, 4, 2) * 0.06 / (frequency + 0.03)
    return torch.cat((amplitude, frequency, dice.uniform(0, 2 * math.pi, n, 4, 1)), 2)


def ripples(dice: Dice, strength: Tensor) -> Tensor:
    """Cloth, faces, water: a few waves that swell and travel."""
    n = len(strength)
    length = dice.uniform(28, 200, n, WAVES)
    heading = dice.uniform(0, 2 * math.pi, n, WAVES)
    amplitude = strength.view(-1, 1) * length / 80
    columns = (
        2 * math.pi * heading.cos() / length,
        2 * math.pi * heading.sin() / length,
        dice.normal(0.35, n, WAVES),
        dice.uniform(0, 2 * math.pi, n, WAVES),
        amplitude * dice.normal(1, n, WAVES),
        amplitude * dice.normal(1, n, WAVES),
    )
    return torch.stack(columns, 2)


def moving(dice: Dice, n: int, median_speed: float) -> Paths:
    """Paths of cameras and things that move."""
    speed = dice.lognormal(median_speed, 1.05, n).clamp(max=FASTEST)[:, None]
    some = [dice.chance(share, n).float() for share in (0.6, 0.6, 0.3, 0.4, 0.2)]
    return Paths(
        speed * directions(dice, n),
        dice.normal(0.04, n, 2) * speed * some[0][:, None],
        shakes(dice, dice.lognormal(0.5, 0.9, n) * some[1]),
        dice.normal(0.006, n) * some[2],
        dice.normal(0.008, n) * some[3],
        ripples(dice, dice.lognormal(0.7, 0.7, n) * some[4]),
    )


def cameras(dice: Dice, n: int) -> Paths:
    """Locked off (a quarter), held in the hand, looking at something that ripples, or moving."""
    paths = moving(dice, n, 0.9)
    still = paths.still()
    held = Paths(**{**vars(still), "shake": shakes(dice, dice.lognormal(0.3, 0.8, n))})
    bent = Paths(**{**vars(still), "ripples": ripples(dice, dice.lognormal(0.6, 0.7, n))})
    kind = dice.uniform(0, 1, n)
    paths = bent.where((kind >= 0.37) & (kind < 0.42), paths)
    paths = held.where((kind >= 0.25) & (kind < 0.37), paths)
    return still.where(kind < 0.25, paths)


def things(dice: Dice, camera: Paths) -> Paths:
    """Paths of layers: standing still, carried along by the camera's own motion, or moving."""
    n = len(camera.spin)
    kind = dice.uniform(0, 1, n)
    carried = camera.scaled(dice.uniform(1.1, 2.5, n))
    paths = carried.where(kind < 0.35, moving(dice, n, 1.5))
    return camera.still().where(kind < 0.08, paths)


def masks(dice: Dice, n: int, side: int = 64) -> Tensor:
    """`[n, 1, side, side]`, positive inside: blobs with wobbly outlines, one in five scattered."""
    noise = torch.zeros(n, 1, side, side, device=dice.device)
    for cells, weight in ((3, 0.5), (6, 0.3), (12, 0.16), (24, 0.08)):
        bumps = dice.normal(weight, n, 1, cells, cells)
        noise += functional.interpolate(bumps, (side, side), mode="bicubic", align_corners=True)
    axis = torch.linspace(-1.6, 1.6, side, device=dice.device)
    stretch = dice.uniform(0.6, 1.0, n, 1, 1, 1)
    distance = torch.hypot(axis / stretch, axis[:, None].expand(n, 1, -1, side))
    leaves = noise * 1.2 - 0.25 - (distance - 1.4).clamp(min=0) * 2
    # Outside the mask's square the border is repeated: it has to be outside the blob.
    wobble = noise * dice.uniform(0.1, 0.9, n, 1, 1, 1)
    blob = 1 - distance + wobble - (distance - 1.3).clamp(min=0) * 4
    return torch.where(dice.chance(0.2, n, 1, 1, 1), leaves, blob)
