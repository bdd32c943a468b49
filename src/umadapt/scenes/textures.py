"""Tileable procedural textures as linear RGB arrays (N, N, 3), made with numpy alone."""

from __future__ import annotations

import numpy as np

Rng = np.random.Generator
N = 192  # texels a side: about a texel a pixel at these image sizes


def noise(rng: Rng, cells_x: int, cells_y: int) -> np.ndarray:
    """(N, N) smooth periodic noise in [0, 1] with that many random cells across and down."""
    grid = rng.random((cells_y, cells_x))
    return _resample(_resample(grid, 0), 1)


def _resample(grid: np.ndarray, axis: int) -> np.ndarray:
    cells = grid.shape[axis]
    x = np.arange(N) / N * cells
    i, f = x.astype(int), x % 1.0
    f = f * f * (3 - 2 * f)
    f = f[:, None] if axis == 0 else f[None, :]
    return np.take(grid, i % cells, axis) * (1 - f) + np.take(grid, (i + 1) % cells, axis) * f


def cloud(rng: Rng, cells: int = 4) -> np.ndarray:
    """(N, N) noise of several octaves, about 0.5 on average."""
    octaves = [noise(rng, cells * 2**k, cells * 2**k) * 0.5 ** (k + 1) for k in range(4)]
    return np.sum(octaves, axis=0) / (1 - 0.5**4)


def shade(base: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Multiply a colour (3,) by a factor map (N, N)."""
    return np.clip(base * value[..., None], 0.01, 0.9)


def wood(rng: Rng, base: np.ndarray) -> np.ndarray:
    """Grain along u, with growth bands and fine fibres."""
    bands = noise(rng, 2, 10) * 7 + noise(rng, 3, 40)
    grain = 0.5 + 0.5 * np.sin(2 * np.pi * bands)
    fibres = noise(rng, 6, 96)
    return shade(base, 0.72 + 0.3 * grain + 0.25 * (fibres - 0.5))


def planks(rng: Rng, base: np.ndarray, rows: int = 6) -> np.ndarray:
    """A wooden floor: boards with their own shade, dark joints, staggered ends."""
    grain = wood(rng, base).mean(-1) / base.mean()
    y = np.arange(N) * rows / N
    row = y.astype(int)
    x = (np.arange(N)[None] / N * 2 + rng.random(rows)[row][:, None]) % 2
    tone = rng.uniform(0.75, 1.2, (rows, 2))[row[:, None], x.astype(int)]
    joint = ((y % 1.0) < 0.06)[:, None] | ((x % 1.0) < 0.015)
    return shade(base, grain * tone * np.where(joint, 0.55, 1.0))


def tiles(rng: Rng, base: np.ndarray, count: int = 4) -> np.ndarray:
    """Square tiles with light or dark grout."""
    x = np.arange(N) * count / N
    grout = ((x % 1.0) < 0.05)[None] | ((x % 1.0) < 0.05)[:, None]
    tone = rng.uniform(0.88, 1.08, (count, count))[x.astype(int)[:, None], x.astype(int)[None]]
    return shade(base, np.where(grout, rng.choice([0.6, 1.25]), tone * (0.9 + 0.2 * cloud(rng, 6))))


def brick(rng: Rng, base: np.ndarray) -> np.ndarray:
    """Brickwork, eight courses a tile."""
    rows, columns = 8, 4
    y = np.arange(N) * rows / N
    row = y.astype(int)
    x = (np.arange(N)[None] / N * columns + 0.5 * (row % 2)[:, None]) % columns
    tone = rng.uniform(0.75, 1.2, (rows, columns))[row[:, None], x.astype(int)]
    mortar = ((y % 1.0) < 0.14)[:, None] | ((x % 1.0) < 0.06)
    brickwork = shade(base, tone * (0.8 + 0.4 * cloud(rng, 12)))
    return np.where(mortar[..., None], 0.45, brickwork)


def wallpaper(rng: Rng, base: np.ndarray) -> np.ndarray:
    """Stripes or a lattice of dots, faint."""
    x = np.arange(N) / N
    k = int(rng.integers(4, 9))
    if rng.random() < 0.5:
        pattern = np.broadcast_to(np.sin(2 * np.pi * k * x)[None] > rng.uniform(-0.5, 0.5), (N, N)) * 1.0
    else:
        pattern = (np.sin(2 * np.pi * k * x)[None] * np.sin(2 * np.pi * k * x)[:, None] > 0.5) * 1.0
    return shade(base, 1.0 + rng.uniform(-0.22, 0.12) * pattern + 0.05 * (cloud(rng) - 0.5))


def plaster(rng: Rng, base: np.ndarray) -> np.ndarray:
    """Painted plaster: almost uniform."""
    return shade(base, 0.95 + 0.1 * cloud(rng, 3))


def carpet(rng: Rng, base: np.ndarray) -> np.ndarray:
    """Short pile: fine speckle on faint wear."""
    return shade(base, 0.75 + 0.35 * rng.random((N, N)) + 0.25 * (cloud(rng, 2) - 0.5))


def fabric(rng: Rng, base: np.ndarray) -> np.ndarray:
    """A plain weave, or stripes, or checks in a second colour."""
    x = np.arange(N)
    weave = 0.93 + 0.07 * np.sin(x * np.pi / 2)[None] * np.sin(x * np.pi / 2)[:, None]
    plain = shade(base, weave * (0.9 + 0.2 * cloud(rng, 5)))
    kind = rng.random()
    if kind < 0.55:
        return plain
    other = np.clip(base * rng.uniform(0.3, 1.9, 3), 0.03, 0.85)
    k = int(rng.integers(2, 6))
    stripes = (np.sin(2 * np.pi * k * x / N) > rng.uniform(-0.4, 0.6)) * 1.0
    mask = np.broadcast_to(stripes[None], (N, N)) if kind < 0.8 else (stripes[None] + stripes[:, None]) / 2
    return plain * (1 - mask[..., None]) + shade(other, weave) * mask[..., None]


def rug(rng: Rng, base: np.ndarray) -> np.ndarray:
    """A woven rug: bands and diamonds in three colours."""
    x = np.abs((np.arange(N) / N * 2) % 2 - 1)
    bands = ((x[None] + x[:, None]) * rng.integers(2, 5)) % 1.0
    colours = np.clip(base * rng.uniform(0.25, 1.8, (3, 3)), 0.03, 0.8)
    return colours[(bands * 3).astype(int)] * (0.8 + 0.3 * rng.random((N, N, 1)))


def art(rng: Rng, base: np.ndarray) -> np.ndarray:
    """A picture: a few soft fields of colour, or a landscape of bands with a border."""
    colours = rng.uniform(0.05, 0.8, (4, 3))
    field = np.stack([cloud(rng, int(rng.integers(1, 4))) for _ in range(4)], -1)
    weights = np.exp(rng.uniform(6, 25) * field)
    image = (weights / weights.sum(-1, keepdims=True)) @ colours
    if rng.random() < 0.5:
        horizon = np.linspace(0, 1, N)[:, None, None] > 0.4 + 0.25 * cloud(rng, 2)[..., None]
        image = np.where(horizon, image * base, 0.5 * image + 0.35)
    return np.clip(image, 0.02, 0.85)


def granite(rng: Rng, base: np.ndarray) -> np.ndarray:
    """Speckled stone."""
    speckle = (rng.random((N, N)) < 0.2) * rng.uniform(-0.5, 0.5)
    return shade(base, 0.8 + 0.3 * cloud(rng, 16) + speckle)


def outdoors(rng: Rng, base: np.ndarray) -> np.ndarray:
    """What shows through a window: bright sky above, darker greens or walls below; multiplies the pane's light."""
    skyline = rng.uniform(0.35, 0.6) + 0.3 * (cloud(rng, 3) - 0.5)
    above = (np.linspace(0, 1, N)[:, None] < skyline)[..., None]
    ground = rng.uniform(0.1, 0.45, 3) * (0.4 + 1.2 * cloud(rng, 8)[..., None])
    return np.where(above, base, ground)
