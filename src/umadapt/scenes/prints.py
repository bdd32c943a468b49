"""Textures that show something: pictures, printed paper, book backs, lit screens, the view from a window."""

from __future__ import annotations

import numpy as np

from umadapt.scenes.textures import N, Rng, cloud, noise, shade


def art(rng: Rng, base: np.ndarray) -> np.ndarray:
    """A picture: soft fields of colour, a landscape, a figure, blocks, or a print with a white border."""
    grey = rng.uniform(0.03, 0.7, (4, 1))
    colours = (grey + rng.uniform(0.1, 0.5) * (rng.uniform(0.03, 0.75, (4, 3)) - grey)) * rng.uniform(0.5, 1.0)
    field = np.stack([cloud(rng, int(rng.integers(1, 4))) for _ in range(4)], -1)
    weights = np.exp(rng.uniform(6, 25) * field)
    image = (weights / weights.sum(-1, keepdims=True)) @ colours
    y, x = np.meshgrid(np.linspace(0, 1, N), np.linspace(0, 1, N), indexing="ij")
    kind = rng.integers(4)
    if kind == 0:
        horizon = (y > 0.4 + 0.25 * cloud(rng, 2))[..., None]
        image = np.where(horizon, image * base, 0.5 * image + 0.35)
    elif kind == 1:
        figure = (np.hypot((x - 0.5) / 0.16, (y - 0.35) / 0.2) < 1) | (np.hypot((x - 0.5) / 0.38, (y - 1.0) / 0.45) < 1)
        image = np.where(figure[..., None], colours[0] * (0.7 + 0.6 * cloud(rng, 5)[..., None]), image * 0.6)
    elif kind == 2:
        image = colours[((x * rng.integers(2, 5)).astype(int) + 2 * (y * rng.integers(2, 5)).astype(int)) % 4]
    edge = np.minimum(np.minimum(x, 1 - x), np.minimum(y, 1 - y)) < rng.choice([0.0, 0.0, 0.08, 0.16])
    return np.clip(np.where(edge[..., None], 0.7, image), 0.02, 0.85)


def cover(rng: Rng, base: np.ndarray) -> np.ndarray:
    """Backs and covers of books: bands and a pale title along u."""
    u = np.arange(N) / N
    tone = np.where(noise(rng, 7, 1)[0] > 0.55, rng.uniform(0.5, 1.5), 1.0)
    image = shade(base, np.broadcast_to(tone[None], (N, N)) * (0.9 + 0.2 * cloud(rng, 6)))
    title = ((u > 0.4) & (u < 0.5))[None] & (noise(rng, 40, 32) > 0.62)
    return np.where(title[..., None], rng.choice([0.03, 0.7]), image)


def page(rng: Rng, base: np.ndarray) -> np.ndarray:
    """Printed paper: lines of text, sometimes a picture."""
    y = np.arange(N) / N * 24 % 1.0
    ink = (y < 0.45)[:, None] & (noise(rng, 70, 24) > 0.35)
    image = np.where(ink[..., None], base * rng.uniform(0.25, 0.7), base)
    block = noise(rng, 3, 3) > 0.75
    return np.where(block[..., None], rng.uniform(0.1, 0.7, 3), image)


def display(rng: Rng, base: np.ndarray) -> np.ndarray:
    """What a lit screen shows: windows with text on a plain ground."""
    y, x = np.meshgrid(np.linspace(0, 1, N), np.linspace(0, 1, N), indexing="ij")
    image = np.broadcast_to(rng.uniform(0.02, 0.5, 3), (N, N, 3))
    for _ in range(int(rng.integers(1, 4))):
        x0, y0, w, h = rng.uniform(0, 0.5), rng.uniform(0, 0.4), rng.uniform(0.3, 0.6), rng.uniform(0.3, 0.6)
        inside = (x > x0) & (x < x0 + w) & (y > y0) & (y < y0 + h)
        image = np.where(inside[..., None], page(rng, np.full(3, 0.8)), image)
    return image


def outdoors(rng: Rng, base: np.ndarray) -> np.ndarray:
    """What shows through a window: bright sky above, darker greens or walls below; multiplies the pane's light."""
    skyline = rng.uniform(0.35, 0.6) + 0.3 * (cloud(rng, 3) - 0.5)
    above = (np.linspace(0, 1, N)[:, None] < skyline)[..., None]
    tint = rng.uniform(0.15, 0.45) * np.array([1.0, rng.uniform(0.9, 1.25), rng.uniform(0.65, 1.0)])  # walls, greens
    ground = tint * (0.4 + 1.2 * cloud(rng, 8)[..., None])
    return np.where(above, base, ground)
