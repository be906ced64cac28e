"""Clips synthesised from photographs, a whole batch at a time: what a camera could have seen.

A scene is a photograph seen along a camera path, with cut-outs of others moving over it; then
comes what a camera adds: exposure, colour, noise. Loops go over layers and exposures only. How
many clips of a batch have a second layer or motion blur is fixed; which does not matter.
"""

import torch
from torch import Tensor
from torch.nn import functional

from ui2c.train.data.scenes import Dice, Paths, cameras, masks, things
from ui2c.train.data.sources import Tiles

LAYER_SHARES = (0.6, 0.3, 0.12)
"""Share of the clips that have at least one, two, three layers."""
BLURRED_SHARE = 0.08
EXPOSURES = 4
CANDIDATES = 3


def synthesise(dice: Dice, tiles: Tiles, count: int, frames: int, size: int) -> tuple[Tensor, ...]:
    """Luma `[count, frames, size, size]` and chroma `[count, frames, 2, size / 2, size / 2]`.

    Float32 on the scale of 8-bit codes, graded, without noise, neither rounded nor clipped.
    """
    blurred = dice.round(BLURRED_SHARE * count)
    times = torch.arange(frames, device=dice.device) - (frames - 1) / 2
    parts = []
    if blurred < count:
        parts.append(render(dice, tiles, count - blurred, times, size))
    if blurred:
        shutter = torch.linspace(-0.5, 0.5, 2 * EXPOSURES + 1, device=dice.device)[1::2] * 0.6
        exposed = (times[:, None] + shutter).flatten()
        images = render(dice, tiles, blurred, exposed, size)
        luma, chroma = (x.unflatten(1, (frames, EXPOSURES)).mean(2) for x in images)
        parts.append((luma, chroma))
    luma, chroma = (torch.cat(images) for images in zip(*parts, strict=True))
    return grade(dice, luma, chroma)


def render(dice: Dice, tiles: Tiles, count: int, times: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Backgrounds with layers over them, seen at `times`."""
    camera = cameras(dice, count)
    view = View(dice, tiles, count, size)
    luma, chroma = view.look(camera.positions(times, size))
    chance = float(dice.uniform(0, 1))
    for share in LAYER_SHARES:
        covered = int(share * count + chance)
        if covered == 0:
            break
        # Which clips have more layers has nothing to do with how their cameras move.
        path = things(dice, Paths(*(value[:covered] for value in vars(camera).values())))
        top, half_top, alpha, half_alpha = layer(dice, tiles, path, times, size)
        luma[:covered].lerp_(top, alpha)
        chroma[:covered].lerp_(half_top, half_alpha[:, :, None])
    return luma, chroma


def layer(
    dice: Dice, tiles: Tiles, path: Paths, times: Tensor, size: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Luma and chroma of moving cut-outs and how far each sample is covered, 0 … 1."""
    n, column = len(path.spin), (-1, 1, 1, 1)
    radius = dice.uniform(0, 1, n).mul(1.95).exp() * 0.1 * size
    spread = (size / 2 + radius / 2)[:, None]
    place = dice.uniform(-1, 1, n, 2) * spread
    positions = path.positions(times, size) - place[:, None, None, None]
    reach = (1.6 * radius).view(*column, 1)
    depth = functional.grid_sample(
        masks(dice, n), (positions / reach).flatten(1, 2), "bilinear", "border", False
    ).view(positions.shape[:-1])
    softness = torch.where(dice.chance(0.8, n), dice.uniform(1.2, 2.5, n), dice.uniform(3, 12, n))
    opacity = torch.where(dice.chance(0.9, n), 1.0, dice.uniform(0.25, 0.8, n))
    alpha = (depth * (radius / softness).view(column) + 0.5).clamp(0, 1) * opacity.view(column)
    luma, chroma = View(dice, tiles, n, size).look(positions)
    return luma, chroma, alpha, halve(alpha)


class View:
    """A place in some tile for each clip: the most textured of a few, now and then the flattest."""

    def __init__(self, dice: Dice, tiles: Tiles, count: int, size: int) -> None:
        bound = torch.full((count, CANDIDATES), len(tiles.texture), device=dice.device)
        choice = dice.below(bound)
        score = tiles.texture[choice] * torch.where(dice.chance(0.15, count, 1), -1.0, 1.0)
        chosen = choice.gather(1, score.argmax(1, keepdim=True))[:, 0]
        self.luma = tiles.luma[chosen].float()
        self.chroma = tiles.chroma[chosen].float()
        side = self.luma.shape[-1]
        ratio = torch.where(
            dice.chance(0.15, count), dice.uniform(0.4, 0.7, count), dice.uniform(0.65, 1.1, count)
        )
        scale = (2 * ratio / side)[:, None] * dice.sign(count, 2)
        extent = tiles.extent[chosen]
        room = (extent - (size * ratio / side)[:, None]).clamp(min=0)
        centre = extent - 1 + dice.uniform(-1, 1, count, 2) * room
        self.scale, self.centre = scale[:, None, None, None], centre[:, None, None, None]

    def look(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Luma and chroma at positions `[n, times, size, size, 2]` relative to the place."""
        n, times, size = positions.shape[:3]
        grid = positions * self.scale + self.centre
        half = halve(grid)
        luma = functional.grid_sample(
            self.luma, grid.flatten(1, 2), "bicubic", "reflection", align_corners=False
        )
        chroma = functional.grid_sample(
            self.chroma, half.flatten(1, 2), "bicubic", "reflection", align_corners=False
        )
        chroma = chroma.view(n, 2, times, size // 2, size // 2).transpose(1, 2).contiguous()
        return luma.view(n, times, size, size), chroma


def halve(x: Tensor) -> Tensor:
    """Value in the middle of each 2 × 2 of `[n, times, size, size, …]`: where chroma lies."""
    return (x[:, :, ::2, ::2] + x[:, :, 1::2, 1::2]) / 2


# --- the camera ----------------------------------------------------------------------------


def grade(dice: Dice, luma: Tensor, chroma: Tensor) -> tuple[Tensor, Tensor]:
    """Contrast, brightness, gamma and saturation, one setting per clip."""
    n = len(luma)
    dull = dice.chance(0.12, n)
    contrast = torch.where(dull, dice.uniform(0.2, 0.6, n), dice.uniform(0.85, 1.2, n))
    gamma = torch.where(dull, dice.uniform(1.0, 1.6, n), dice.normal(0.15, n).exp())
    saturation = dice.uniform(0.45, 1.15, n) * (contrast + 0.2).clamp(max=1)
    saturation = saturation * ~dice.chance(0.05, n)
    lift = dice.uniform(0, 1, n) * (219 * (1 - contrast)).clamp(min=0) * 0.5
    gamma, contrast, lift = (x.view(-1, 1, 1, 1) for x in (gamma, contrast, lift))
    luma = ((luma - 16) / 219).clamp(1e-4, 1).pow(gamma) * (219 * contrast) + 16 + lift
    return luma, (chroma - 128) * saturation.view(-1, 1, 1, 1, 1) + 128


def expose(dice: Dice, luma: Tensor, chroma: Tensor) -> tuple[Tensor, Tensor]:
    """Exposure drift (one clip in six), fades and flashes (one in fifty)."""
    n, frames = luma.shape[:2]
    times = torch.arange(frames, device=luma.device)
    kind = dice.uniform(0, 1, n, 1)
    ramp = times / max(1, frames - 1)
    ramp = torch.where(dice.chance(0.5, n, 1), ramp, 1 - ramp)
    fade = 1 - ramp * dice.uniform(0.6, 1, n, 1)
    bright = times == dice.below(torch.full((n, 1), frames, device=luma.device))
    flash = 1 + bright * dice.uniform(0.3, 1.5, n, 1)
    phase = dice.uniform(0, 6.2832, n, 1)
    swing = (6.2832 * dice.uniform(0.01, 0.08, n, 1) * times + phase).sin() - phase.sin()
    drift = 1 + dice.uniform(0.01, 0.08, n, 1) * swing
    gain = torch.where(kind < 0.01, fade, torch.where(kind < 0.02, flash, drift))
    gain = torch.where(kind < 0.18, gain, 1.0)[:, :, None, None]
    return (luma - 16) * gain + 16, (chroma - 128) * gain[..., None] + 128


def add_noise(
    dice: Dice, luma: Tensor, chroma: Tensor, share: float = 0.67
) -> tuple[Tensor, Tensor]:
    """Sensor noise, white in time: in `share` of the clips, seldom strong."""
    n = len(luma)
    kind = dice.uniform(0, 1, n)
    strength = torch.where(
        kind < 0.67,
        dice.uniform(0.3, 1.3, n),
        torch.where(kind < 0.93, dice.uniform(1.3, 3.5, n), dice.uniform(3.5, 9.0, n)),
    )
    strength = (strength * dice.chance(share, n)).view(-1, 1, 1, 1)
    grain = dice.normal(1, *luma.shape)
    # What denoising and scaling inside a camera leave is coarser than single samples.
    blurred = functional.avg_pool2d(grain, 3, 1, 1, count_include_pad=False) * 1.8
    grain = torch.where(dice.chance(0.4, n, 1, 1, 1), blurred, grain)
    # Photon noise: brighter is noisier; sqrt(0.4 … 1.5) around 1 at middle grey.
    shot = ((luma - 16).clamp(min=0) / 200 + 0.4).sqrt()
    colour = dice.normal(1, *chroma.shape) * dice.uniform(0.2, 0.6, n, 1, 1, 1, 1)
    return luma + grain * shot * strength, chroma + colour * strength[..., None]
