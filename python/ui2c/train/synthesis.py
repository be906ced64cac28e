"""Clips synthesised from photographs: what a camera could have seen, with known sharpness.

A scene is a photograph seen along a camera path, with other photographs moving over it as layers.
`draw_scene` draws one, `render` samples it, `develop` adds what a camera adds: exposure, colour,
noise. All positions and speeds are in luma samples of the rendered clip; time is in frames.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ui2c.train.photographs import CHROMA_LEVELS, Photograph

Floats = NDArray[np.float64]
Rng = np.random.Generator

FASTEST = 16.0
RIPPLE_CELL = 4
SHUTTERLESS_SPEED = 3.0
"""Below this speed (samples per frame) motion blur is less than what sampling blurs anyway."""


@dataclass(frozen=True)
class Motion:
    """How a plane moves; all zero is a plane that stands exactly still."""

    velocity: Floats = field(default_factory=lambda: np.zeros(2))
    acceleration: Floats = field(default_factory=lambda: np.zeros(2))
    shake: Floats = field(default_factory=lambda: np.zeros((0, 4)))
    """Rows of (x amplitude, y amplitude, cycles per frame, phase)."""
    spin: float = 0.0
    """Radians per frame."""
    growth: float = 0.0
    """Natural logarithm of the magnification per frame."""
    ripples: Floats = field(default_factory=lambda: np.zeros((0, 6)))
    """Rows of (x wave number, y wave number, radians per frame, phase, x and y amplitude)."""

    def offsets(self, times: Floats) -> Floats:
        """Displacement `[times, 2]` as (x, y)."""
        t = times[:, None]
        offsets = self.velocity * t + self.acceleration * t * t / 2
        for x, y, frequency, phase in self.shake:
            offsets = offsets + np.sin(2 * np.pi * frequency * t + phase) * np.array([x, y])
        return offsets


@dataclass(frozen=True)
class View:
    """A place in a photograph: `centre` (x, y) in samples of `level`, seen at `ratio` samples of
    the level per sample of the clip."""

    photograph: Photograph
    level: int
    ratio: float
    centre: tuple[float, float]


@dataclass(frozen=True)
class Layer:
    """Part of a photograph, cut out by a mask, that moves over what lies behind it."""

    view: View
    motion: Motion
    position: tuple[float, float]
    """Of the mask's centre from the middle of the picture at time zero."""
    mask: Tensor
    """`[1, 1, n, n]`: positive inside, about the distance from the edge as a share of `radius`."""
    radius: float
    softness: float
    """Width of the edge."""
    opacity: float


@dataclass(frozen=True)
class Scene:
    view: View
    motion: Motion
    layers: tuple[Layer, ...] = ()
    shutter: float = 0.0
    """Share of the frame interval during which the shutter is open; 0 for no motion blur."""


# --- rendering -----------------------------------------------------------------------------


def _plane_positions(motion: Motion, times: Floats, size: int) -> Tensor:
    """Where each sample of the clip lies on a moving plane: float32 `[times, size, size, 2]`."""
    angle, zoom = motion.spin * times, np.exp(-motion.growth * times)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) * zoom
    turn = torch.from_numpy(rotation.transpose(2, 1, 0)).float()
    origin = torch.from_numpy(motion.offsets(times)).float()[:, None]

    def on_plane(axis: Tensor) -> Tensor:
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        points = torch.stack([x, y], dim=-1).view(1, -1, 2) - origin
        return torch.bmm(points, turn).view(len(times), len(axis), len(axis), 2)

    middle = (size - 1) / 2
    positions = on_plane(torch.arange(size) - middle)
    if len(motion.ripples) == 0:
        return positions
    # Ripples are long waves: it is enough to know them once per cell, and one cell outside.
    cells = -(-size // RIPPLE_CELL) + 2
    first = (RIPPLE_CELL - 1) / 2 - RIPPLE_CELL
    coarse = on_plane(torch.arange(cells) * RIPPLE_CELL + first - middle)
    clock = torch.from_numpy(times).float()[:, None, None]
    shift = torch.zeros(len(times), 2, cells, cells)
    for kx, ky, pace, phase, x, y in motion.ripples.tolist():
        wave = torch.sin(kx * coarse[..., 0] + ky * coarse[..., 1] + pace * clock + phase)
        shift[:, 0] += x * wave
        shift[:, 1] += y * wave
    fine = functional.interpolate(
        shift, scale_factor=RIPPLE_CELL, mode="bilinear", align_corners=False
    )
    inside = slice(RIPPLE_CELL, RIPPLE_CELL + size)
    return positions + fine[:, :, inside, inside].permute(0, 2, 3, 1)


def _halve(x: Tensor) -> Tensor:
    """Value in the middle of each 2×2 of `[n, size, size, …]`: where the chroma samples lie."""
    return (x[:, ::2, ::2] + x[:, 1::2, 1::2]) / 2


def _grid(view: View, positions: Tensor) -> Tensor:
    """Positions relative to the view's centre, in clip samples → grid_sample's coordinates."""
    height, width = view.photograph.levels[view.level].shape[1:]
    extent = torch.tensor([width, height])
    centre = torch.tensor(view.centre)
    return positions * (2 * view.ratio / extent) + ((2 * centre + 1) / extent - 1)


def _sample(image: Tensor, grid: Tensor) -> Tensor:
    """`[channels, height, width]` at `[points, 2]` → `[channels, points]`."""
    out = functional.grid_sample(
        image[None], grid[None, None], "bicubic", "reflection", align_corners=False
    )
    return out[0, :, 0]


def _look(view: View, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Luma `[n, size, size]` and chroma `[2, n, size / 2, size / 2]` of a view."""
    n, size = positions.shape[:2]
    grid = _grid(view, positions)
    luma = _sample(view.photograph.levels[view.level][:1], grid.view(-1, 2))
    chroma = _sample(
        view.photograph.levels[view.level + CHROMA_LEVELS][1:], _halve(grid).reshape(-1, 2)
    )
    return luma.view(n, size, size), chroma.view(2, n, size // 2, size // 2)


def _cover(layer: Layer, times: Floats, luma: Tensor, chroma: Tensor) -> None:
    """Lays a layer over the picture, in place; samples only where it is seen."""
    size = luma.shape[1]
    shift = torch.tensor(layer.position)
    positions = _plane_positions(layer.motion, times, size) - shift
    reach = layer.radius * 1.6
    depth = functional.grid_sample(
        layer.mask, (positions / reach).view(1, -1, size, 2), "bilinear", "border", False
    ).view(-1, size, size)
    alpha = (depth * (layer.radius / layer.softness) + 0.5).clamp_(0, 1) * layer.opacity

    grid = _grid(layer.view, positions)
    seen = alpha.view(-1).nonzero()[:, 0]
    if len(seen) == 0:
        return
    image = layer.view.photograph.levels
    texture = _sample(image[layer.view.level][:1], grid.view(-1, 2)[seen])[0]
    luma.view(-1)[seen] = torch.lerp(luma.view(-1)[seen], texture, alpha.view(-1)[seen])

    half_alpha = _halve(alpha).reshape(-1)
    seen = half_alpha.nonzero()[:, 0]
    texture = _sample(
        image[layer.view.level + CHROMA_LEVELS][1:], _halve(grid).reshape(-1, 2)[seen]
    )
    flat = chroma.view(2, -1)
    flat[:, seen] = torch.lerp(flat[:, seen], texture, half_alpha[seen])


def render(scene: Scene, frames: int, size: int) -> tuple[Tensor, Tensor]:
    """Samples a scene: luma `[frames, size, size]`, chroma `[2, frames, size / 2, size / 2]`.

    Float32 on the scale of 8-bit codes, neither rounded nor clipped. Time zero is the middle.
    """
    times: Floats = np.arange(frames, dtype=np.float64)[:, None] - (frames - 1) / 2
    if scene.shutter > 0:
        speeds = [np.hypot(*p.velocity) for p in (scene.motion, *(x.motion for x in scene.layers))]
        exposures = int(np.clip(np.ceil(max(speeds) * scene.shutter / 1.5), 1, 6))
        times = times + scene.shutter * ((np.arange(exposures) + 0.5) / exposures - 0.5)

    instants: Floats = times.ravel()
    luma, chroma = _look(scene.view, _plane_positions(scene.motion, instants, size))
    for layer in scene.layers:
        _cover(layer, instants, luma, chroma)
    luma = luma.view(*times.shape, size, size).mean(1)
    chroma = chroma.view(2, *times.shape, size // 2, size // 2).mean(2)
    return luma, chroma


# --- drawing scenes ------------------------------------------------------------------------


def _direction(rng: Rng) -> Floats:
    """A unit vector; cameras and things move sideways more often than up and down."""
    angle = rng.normal(0, 0.3) if rng.random() < 0.5 else rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle) * rng.choice([-1, 1]), np.sin(angle)])


def _speed(rng: Rng, median: float) -> float:
    return float(min(rng.lognormal(np.log(median), 1.05), FASTEST))


def _shake(rng: Rng, strength: float) -> Floats:
    """Unsteady hands: a few slow swings, the faster the smaller."""
    frequency = rng.uniform(0.015, 0.22, 4)
    amplitude = strength * rng.normal(0, 1, (4, 2)) * (0.06 / (frequency + 0.03))[:, None]
    return np.column_stack([amplitude, frequency, rng.uniform(0, 2 * np.pi, 4)])


def _ripples(rng: Rng, strength: float) -> Floats:
    """Cloth, faces, water: a few waves that swell and travel."""
    count = rng.integers(2, 5)
    length = rng.uniform(28, 200, count)
    heading = rng.uniform(0, 2 * np.pi, count)
    amplitude = strength * rng.normal(0, 1, (count, 2)) * (length / 80)[:, None]
    return np.column_stack(
        [
            2 * np.pi * np.cos(heading) / length,
            2 * np.pi * np.sin(heading) / length,
            rng.normal(0, 0.35, count),
            rng.uniform(0, 2 * np.pi, count),
            amplitude,
        ]
    )


def _draw_motion(rng: Rng, median_speed: float) -> Motion:
    speed = _speed(rng, median_speed)
    velocity = speed * _direction(rng)
    acceleration = rng.normal(0, 0.04, 2) * speed if rng.random() < 0.6 else np.zeros(2)
    turns, grows, bends = rng.random(3) < (0.3, 0.4, 0.2)
    return Motion(
        velocity=velocity,
        acceleration=acceleration,
        shake=_shake(rng, rng.lognormal(np.log(0.5), 0.9))
        if rng.random() < 0.6
        else np.zeros((0, 4)),
        spin=float(rng.normal(0, 0.006)) if turns else 0.0,
        growth=float(rng.normal(0, 0.008)) if grows else 0.0,
        ripples=_ripples(rng, rng.lognormal(np.log(0.7), 0.7)) if bends else np.zeros((0, 6)),
    )


def draw_camera(rng: Rng) -> Motion:
    """A camera path: locked off (about a quarter), held in the hand, or moving."""
    kind = rng.random()
    if kind < 0.25:
        return Motion()
    if kind < 0.37:
        return Motion(shake=_shake(rng, rng.lognormal(np.log(0.3), 0.8)))
    if kind < 0.42:
        return Motion(ripples=_ripples(rng, rng.lognormal(np.log(0.6), 0.7)))
    return _draw_motion(rng, median_speed=0.9)


def _texture(photograph: Photograph, level: int, centre: Floats, reach: float) -> float:
    """Mean gradient around a place, in codes per sample."""
    luma = photograph.levels[level][0]
    x0, y0 = (max(0, int(c - reach)) for c in centre)
    x1, y1 = (int(c + reach) + 1 for c in centre)
    patch = luma[y0:y1:2, x0:x1:2]
    if min(patch.shape) < 2:
        return 0.0
    return float(patch.diff(dim=0).abs().mean() + patch.diff(dim=1).abs().mean())


def draw_view(rng: Rng, photographs: list[Photograph], room: Floats, size: int) -> View:
    """A place in some photograph with `room` (x, y) samples around it where it is large enough.

    The most textured of a few places, now and then the flattest: skies and walls exist.
    """
    flat = rng.random() < 0.15
    ratio = rng.uniform(0.4, 0.7) if rng.random() < 0.15 else rng.uniform(0.65, 1.1)
    best: tuple[float, View] | None = None
    for photograph in rng.choice(np.array(photographs, dtype=object), 3):
        level = int(rng.integers(photograph.luma_levels))
        extent = np.array(photograph.levels[level].shape[:0:-1])
        margin = np.minimum((size / 2 + room) * ratio, extent / 2)
        centre = rng.uniform(margin, extent - margin)
        texture = _texture(photograph, level, centre, size / 2 * ratio)
        score = -texture if flat else texture
        if best is None or score > best[0]:
            best = score, View(photograph, level, ratio, (float(centre[0]), float(centre[1])))
    assert best is not None
    return best[1]


def _draw_mask(rng: Rng) -> Tensor:
    """A blob with a wobbly outline, or (one in five) scattered leaves and twigs."""
    n = 64
    noise = torch.zeros(1, 1, n, n)
    scattered = rng.random() < 0.2
    for cells, weight in ((3, 0.5), (6, 0.3), (12, 0.16), (24, 0.08)):
        bumps = torch.from_numpy(rng.normal(0, weight, (1, 1, cells, cells))).float()
        noise += functional.interpolate(bumps, (n, n), mode="bicubic", align_corners=True)
    axis = torch.linspace(-1.6, 1.6, n)
    stretch = float(rng.uniform(0.6, 1.0))
    distance = torch.hypot(axis[None] / stretch, axis[:, None])[None, None]
    if scattered:
        return noise * 1.2 - 0.25 - (distance - 1.4).clamp(min=0) * 2
    # Outside the mask's square the border is repeated: it has to be outside the blob.
    return 1 - distance + noise * float(rng.uniform(0.1, 0.9)) - (distance - 1.3).clamp(min=0) * 4


def _draw_layer(rng: Rng, photographs: list[Photograph], camera: Motion, size: int) -> Layer:
    kind = rng.random()
    if kind < 0.08:
        motion = Motion()
    elif kind < 0.35:
        # Nearer than the background: the camera's motion, amplified.
        factor = rng.uniform(1.1, 2.5)
        motion = Motion(
            camera.velocity * factor, camera.acceleration * factor, camera.shake * factor
        )
    else:
        motion = _draw_motion(rng, median_speed=1.5)
    radius = float(np.exp(rng.uniform(np.log(0.1 * size), np.log(0.7 * size))))
    spread = size / 2 + radius / 2
    return Layer(
        view=draw_view(rng, photographs, np.array([radius, radius]), size),
        motion=motion,
        position=(float(rng.uniform(-spread, spread)), float(rng.uniform(-spread, spread))),
        mask=_draw_mask(rng),
        radius=radius,
        softness=float(rng.uniform(1.2, 2.5) if rng.random() < 0.8 else rng.uniform(3, 12)),
        opacity=1.0 if rng.random() < 0.9 else float(rng.uniform(0.25, 0.8)),
    )


def draw_scene(rng: Rng, photographs: list[Photograph], frames: int, size: int) -> Scene:
    camera = draw_camera(rng)
    travel = np.abs(camera.offsets(np.array([-frames / 2, 0.0, frames / 2]))).max(0)
    count = rng.choice(4, p=[0.4, 0.3, 0.18, 0.12])
    layers = tuple(_draw_layer(rng, photographs, camera, size) for _ in range(count))
    fastest = max(np.hypot(*p.velocity) for p in (camera, *(x.motion for x in layers)))
    blurred = fastest > SHUTTERLESS_SPEED and rng.random() < 0.5
    return Scene(
        view=draw_view(rng, photographs, travel, size),
        motion=camera,
        layers=layers,
        shutter=float(rng.uniform(0.25, 0.8)) if blurred else 0.0,
    )


# --- the camera ----------------------------------------------------------------------------


def grade(rng: Rng, luma: Tensor, chroma: Tensor) -> None:
    """Contrast, brightness, gamma and saturation of a whole clip, in place."""
    kind = rng.random()
    contrast = rng.uniform(0.85, 1.2)
    gamma = float(np.exp(rng.normal(0, 0.15)))
    if kind < 0.12:
        contrast, gamma = rng.uniform(0.2, 0.6), rng.uniform(1.0, 1.6)
    saturation = rng.uniform(0.45, 1.15) * min(1.0, contrast + 0.2)
    if rng.random() < 0.05:
        saturation = 0.0
    luma.sub_(16).div_(219).clamp_(0, 1).pow_(gamma).mul_(219 * contrast).add_(16)
    lift = rng.uniform(0, max(0.0, 219 * (1 - contrast)) * 0.5)
    luma += float(lift)
    chroma.sub_(128).mul_(float(saturation)).add_(128)


def _exposure(rng: Rng, luma: Tensor, chroma: Tensor) -> None:
    """Exposure drift (one in six), fades and flashes (one in fifty), in place."""
    frames = len(luma)
    times = np.arange(frames)
    kind = rng.random()
    gain = np.ones(frames)
    if kind < 0.01:
        first, last = rng.permutation([1.0, rng.uniform(0, 0.4)]).tolist()
        gain = np.linspace(first, last, frames)
    elif kind < 0.02:
        gain[rng.integers(frames)] = rng.uniform(1.3, 2.5)
    elif kind < 0.18:
        swing = np.sin(2 * np.pi * rng.uniform(0.01, 0.08) * times + rng.uniform(0, 2 * np.pi))
        gain = 1 + rng.uniform(0.01, 0.08) * (swing - swing[0])
    else:
        return
    factor = torch.from_numpy(gain).float()[:, None, None]
    luma.sub_(16).mul_(factor).add_(16)
    chroma.sub_(128).mul_(factor).add_(128)


def add_noise(rng: Rng, luma: Tensor, chroma: Tensor) -> None:
    """Sensor noise, white in time, in place: none in a third of the clips, seldom strong."""
    kind = rng.random()
    if kind < 0.33:
        return
    if kind < 0.78:
        strength = rng.uniform(0.3, 1.3)
    elif kind < 0.95:
        strength = rng.uniform(1.3, 3.5)
    else:
        strength = rng.uniform(3.5, 9.0)
    grain = torch.from_numpy(rng.standard_normal(luma.shape, dtype=np.float32))
    if rng.random() < 0.4:
        # What denoising and scaling inside a camera leave is coarser than single samples.
        grain = functional.avg_pool2d(grain[:, None], 3, 1, 1, count_include_pad=False)[:, 0] * 1.8
    # Photon noise: brighter is noisier; sqrt(0.4 … 1.5) around 1 at middle grey.
    shot = (luma - 16).clamp(min=0).div_(200).add_(0.4).sqrt_()
    luma.addcmul_(grain, shot, value=float(strength))
    colour = torch.from_numpy(rng.standard_normal(chroma.shape, dtype=np.float32))
    chroma.add_(colour, alpha=float(strength * rng.uniform(0.2, 0.6)))


def pack(luma: Tensor, chroma: Tensor) -> NDArray[np.uint8]:
    """Rounds and clips to limited range: uint8 `[frames, size · size · 3 / 2]`, planar 4:2:0."""
    frames = len(luma)
    y = luma.round().clamp_(16, 235).to(torch.uint8).view(frames, -1)
    uv = chroma.round().clamp_(16, 240).to(torch.uint8).view(2, frames, -1)
    return torch.cat([y, uv[0], uv[1]], dim=1).numpy()


def synthesise(
    rng: Rng, photographs: list[Photograph], *, frames: int = 17, size: int = 128
) -> NDArray[np.uint8]:
    """One clip, uint8 `[frames, size · size · 3 / 2]`: planar YUV 4:2:0, BT.709 limited range."""
    luma, chroma = render(draw_scene(rng, photographs, frames, size), frames, size)
    grade(rng, luma, chroma)
    if rng.random() < 0.05 and frames > 1:
        cut = int(rng.integers(1, frames))
        second = render(draw_scene(rng, photographs, frames - cut, size), frames - cut, size)
        grade(rng, *second)
        luma[cut:], chroma[:, cut:] = second
    _exposure(rng, luma, chroma)
    add_noise(rng, luma, chroma)
    return pack(luma, chroma)
