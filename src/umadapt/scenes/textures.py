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


def _bricks(rng: Rng, rows: int, columns: int, joint: float, shift: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """(N, N) own tone of each cell of a running bond, and where its joints are; `joint` is a share of a course."""
    y = np.arange(N) * rows / N
    row = y.astype(int)
    x = (np.arange(N)[None] / N * columns + shift * (row % 2)[:, None]) % columns
    tone = rng.uniform(-1, 1, (rows, columns))[row[:, None], x.astype(int)]
    return tone, ((y % 1.0) < joint)[:, None] | ((x % 1.0) < joint * columns / rows)


def wood(rng: Rng, base: np.ndarray) -> np.ndarray:
    """Grain along u: growth bands that wander, fine fibres; strong or faint by species."""
    strength = rng.uniform(0.3, 1.0)
    bands = noise(rng, 2, int(rng.integers(5, 12))) * rng.uniform(4, 8) + noise(rng, 3, 40)
    grain = 0.5 + 0.5 * np.sin(2 * np.pi * bands)
    fibres = noise(rng, 6, 96)
    return shade(base, 1 + strength * (0.3 * (grain - 0.55) + 0.3 * (fibres - 0.5)))


def planks(rng: Rng, base: np.ndarray) -> np.ndarray:
    """A wooden floor: boards with their own shade, dark joints, staggered ends."""
    rows = int(rng.choice([5, 6, 8, 12]))
    grain = wood(rng, base).mean(-1) / base.mean()
    y = np.arange(N) * rows / N
    row = y.astype(int)
    x = (np.arange(N)[None] / N * 2 + rng.random(rows)[row][:, None]) % 2
    spread = rng.uniform(0.03, 0.22)
    tone = rng.uniform(1 - spread, 1 + spread, (rows, 2))[row[:, None], x.astype(int)]
    joint = ((y % 1.0) < 0.01 * rows)[:, None] | ((x % 1.0) < 0.015)
    return shade(base, grain * tone * np.where(joint, rng.uniform(0.5, 0.85), 1.0))


def parquet(rng: Rng, base: np.ndarray) -> np.ndarray:
    """Square blocks of short staves, alternating in direction."""
    k, staves = 4, 5
    y, x = np.meshgrid(np.arange(N) * k / N, np.arange(N) * k / N, indexing="ij")
    turned = (x.astype(int) + y.astype(int)) % 2 == 0
    across = np.where(turned, x, y) * staves
    index = (across.astype(int) * 7 + np.where(turned, y, x).astype(int) * 13 + turned * 5) % 64
    tone = rng.uniform(0.82, 1.12, 64)[index]
    return shade(base, tone * np.where(across % 1.0 < 0.12, 0.75, 1.0) * (0.9 + 0.2 * noise(rng, 48, 48)))


def tiles(rng: Rng, base: np.ndarray) -> np.ndarray:
    """Square tiles with light or dark grout, sometimes as a chequerboard or with a stone's clouds."""
    count = 4
    x = np.arange(N) * count / N
    i, j = x.astype(int)[:, None], x.astype(int)[None]
    width = rng.uniform(0.02, 0.05)
    grout = ((x % 1.0) < width)[None] | ((x % 1.0) < width)[:, None]
    tone = rng.uniform(0.92, 1.05, (count, count))[i, j]
    if rng.random() < 0.2:
        tone = tone * np.where((i + j) % 2, 1.0, rng.uniform(0.1, 0.8))
    return shade(
        base, np.where(grout, rng.choice([0.6, 0.8, 1.2]), tone * (0.9 + rng.uniform(0.05, 0.3) * cloud(rng, 6)))
    )


def subway(rng: Rng, base: np.ndarray) -> np.ndarray:
    """Glazed wall tiles twice as wide as high, in a running bond."""
    tone, grout = _bricks(rng, 8, 4, 0.07)
    return shade(base, np.where(grout, rng.choice([0.55, 0.85, 1.15]), 1 + rng.uniform(0.01, 0.08) * tone))


def brick(rng: Rng, base: np.ndarray) -> np.ndarray:
    """Brickwork, eight courses a tile."""
    tone, mortar = _bricks(rng, 8, 4, 0.12)
    brickwork = shade(base, (1 + 0.22 * tone) * (0.8 + 0.4 * cloud(rng, 12)))
    return np.where(mortar[..., None], 0.45, brickwork)


def blockwork(rng: Rng, base: np.ndarray) -> np.ndarray:
    """Painted concrete blocks: only the joints show."""
    _, joint = _bricks(rng, 4, 2, 0.05)
    return shade(base, np.where(joint, 0.82, 1.0) * (0.95 + 0.1 * cloud(rng, 24)))


def wallpaper(rng: Rng, base: np.ndarray) -> np.ndarray:
    """Stripes, a lattice of dots, or a damask of blobs; faint."""
    x = np.arange(N) / N
    k, kind = int(rng.integers(4, 9)), rng.integers(3)
    if kind == 0:
        pattern = np.broadcast_to(np.sin(2 * np.pi * k * x)[None] > rng.uniform(-0.5, 0.5), (N, N)) * 1.0
    elif kind == 1:
        pattern = (np.sin(2 * np.pi * k * x)[None] * np.sin(2 * np.pi * k * x)[:, None] > 0.5) * 1.0
    else:
        pattern = np.clip(8 * (np.tile(cloud(rng, 6)[::2, ::2], (2, 2)) - 0.5), 0, 1)
    return shade(base, 1.0 + rng.uniform(-0.22, 0.12) * pattern + 0.05 * (cloud(rng) - 0.5))


def plaster(rng: Rng, base: np.ndarray) -> np.ndarray:
    """Painted plaster: almost uniform."""
    return shade(base, 0.95 + 0.1 * cloud(rng, 3))


def concrete(rng: Rng, base: np.ndarray) -> np.ndarray:
    """Grey clouds with pores."""
    pores = (rng.random((N, N)) < 0.015) * 0.25
    grey = np.full(3, base.mean()) * [1.0, 0.98, 0.95]
    return shade(grey, 0.8 + 0.4 * cloud(rng, 4) - pores)


def panels(rng: Rng, base: np.ndarray) -> np.ndarray:
    """A suspended ceiling: square panels in a grid of rails, with small holes."""
    x = np.arange(N) / N * 2 % 1.0
    rail = (x < 0.035)[None] | (x < 0.035)[:, None]
    holes = (rng.random((N, N)) < 0.12) * rng.uniform(0.05, 0.3)
    return shade(base, np.where(rail, rng.choice([0.75, 1.08]), 0.96 - holes))


def carpet(rng: Rng, base: np.ndarray) -> np.ndarray:
    """Short pile: fine speckle on faint wear."""
    return shade(base, 0.75 + 0.35 * rng.random((N, N)) + 0.25 * (cloud(rng, 2) - 0.5))


def carpet_squares(rng: Rng, base: np.ndarray) -> np.ndarray:
    """Office carpet: pile with a small repeating pattern or squares of two shades."""
    x = np.arange(N)
    if rng.random() < 0.5:
        k = int(rng.choice([8, 12, 16]))
        pattern = ((x // (N // k))[None] + (x // (N // k))[:, None]) % 2 * rng.uniform(0.05, 0.35)
    else:
        pattern = (((x * 2 // N)[None] + (x * 2 // N)[:, None]) % 2) * 0.12 + 0.2 * noise(rng, 2, 48)
    return shade(base, 0.7 + 0.35 * rng.random((N, N)) + pattern)


def fabric(rng: Rng, base: np.ndarray) -> np.ndarray:
    """A plain weave, stripes, checks, or a print of blobs in a second colour."""
    x = np.arange(N)
    weave = 0.93 + 0.07 * np.sin(x * np.pi / 2)[None] * np.sin(x * np.pi / 2)[:, None]
    plain = shade(base, weave * (0.85 + 0.3 * cloud(rng, 5)))
    kind = rng.random()
    if kind < 0.5:
        return plain
    other = np.clip(base * rng.uniform(0.3, 1.9, 3), 0.03, 0.85)
    k = int(rng.integers(2, 6))
    stripes = (np.sin(2 * np.pi * k * x / N) > rng.uniform(-0.4, 0.6)) * 1.0
    if kind < 0.68:
        mask = np.broadcast_to(stripes[None], (N, N))
    elif kind < 0.82:
        mask = (stripes[None] + stripes[:, None]) / 2
    else:
        mask = np.clip(12 * (cloud(rng, int(rng.integers(2, 6))) - rng.uniform(0.5, 0.6)), 0, 1)
    return plain * (1 - mask[..., None]) + shade(other, weave) * mask[..., None]


def creased(rng: Rng, base: np.ndarray) -> np.ndarray:
    """Bed linen and clothes: cloth with soft creases."""
    creases = np.clip(1 - 12 * np.abs(noise(rng, 5, 4) - 0.5), 0, 1) - np.clip(
        1 - 9 * np.abs(noise(rng, 4, 6) - 0.5), 0, 1
    )
    return np.clip(fabric(rng, base) * (0.97 + 0.14 * creases)[..., None], 0.01, 0.9)


def terry(rng: Rng, base: np.ndarray) -> np.ndarray:
    """Towelling: loops, with a woven border."""
    y = np.arange(N) / N
    border = np.where((y > 0.8) & (y < 0.86), rng.choice([0.6, 1.25]), 1.0)
    return shade(base, (0.8 + 0.3 * rng.random((N, N))) * border[:, None])


def rug(rng: Rng, base: np.ndarray) -> np.ndarray:
    """A woven rug: bands and diamonds in three colours."""
    x = np.abs((np.arange(N) / N * 2) % 2 - 1)
    bands = ((x[None] + x[:, None]) * rng.integers(2, 5)) % 1.0
    colours = np.clip(base * rng.uniform(0.25, 1.8, (3, 3)), 0.03, 0.8)
    return colours[(bands * 3).astype(int)] * (0.8 + 0.3 * rng.random((N, N, 1)))


def granite(rng: Rng, base: np.ndarray) -> np.ndarray:
    """Speckled stone."""
    speckle = (rng.random((N, N)) < 0.2) * rng.uniform(-0.5, 0.5)
    return shade(base, 0.8 + 0.3 * cloud(rng, 16) + speckle)


def marble(rng: Rng, base: np.ndarray) -> np.ndarray:
    """Clouds with thin veins."""
    veins = np.abs(cloud(rng, 2) - 0.5) < 0.012
    return shade(base, 0.85 + 0.3 * cloud(rng, 3) - 0.35 * veins)


def wicker(rng: Rng, base: np.ndarray) -> np.ndarray:
    """Basket weave."""
    x = np.arange(N) * 16 / N
    over = (x.astype(int)[None] + x.astype(int)[:, None]) % 2 == 0
    strand = np.where(over, np.sin(np.pi * (x % 1.0))[:, None], np.sin(np.pi * (x % 1.0))[None])
    return shade(base, 0.45 + 0.65 * strand + 0.1 * (noise(rng, 64, 64) - 0.5))
