"""Lamps for floors, tables and ceilings; their shades and bulbs may shine. Sizes in metres."""

from __future__ import annotations

import numpy as np

from umadapt.scenes.makers.forms import Rng, blob, lathe, limb, path, pick, turned, wrap
from umadapt.scenes.shapes import Item, box, cylinder, frustum, move


def table_lamp(rng: Rng) -> Item:
    """A lamp with a foot (turned, a vase or a column), stem and shade."""
    r, h, shade = rng.uniform(0.1, 0.18), rng.uniform(0.35, 0.62), pick(rng, "shade", 2)
    low, b = h * rng.uniform(0.5, 0.6), r * rng.uniform(0.4, 0.6)
    material = rng.choice(["metal0", "ceramic0", "wood0", pick(rng, "plastic", 4)])
    feet = [
        [(0.0, 0.0), (b, 0.0), (b * 0.9, 0.02), (0.012, 0.035), (0.012, low), (0.0, low)],
        [
            (0.0, 0.0),
            (b * 0.7, 0.0),
            (b, low * 0.4),
            (b * 0.6, low * 0.75),
            (0.014, low * 0.85),
            (0.012, low),
            (0.0, low),
        ],
        [
            (0.0, 0.0),
            (b, 0.0),
            (b, 0.015),
            (b * 0.45, 0.03),
            (b * 0.35, low * 0.5),
            (b * 0.5, low * 0.8),
            (0.012, low),
            (0.0, low),
        ],
    ]
    parts = [lathe(feet[int(rng.integers(3))], "lamp", material, n=14)]
    parts.append(limb((0, 0, low - 0.01), (0, 0, h * 0.7), 0.01, 0.01, "lamp", "metal0", 6))
    parts.append(frustum((0, 0, h * 0.58), r, r * rng.choice([0.5, 0.65, 0.95]), h * 0.42, "lamp", shade))
    return wrap(parts)


def floor_lamp(rng: Rng) -> Item:
    """A standing lamp: with a shade, an uplighter's bowl, or a bent arm."""
    r, h, kind = rng.uniform(0.15, 0.24), rng.uniform(1.4, 1.8), rng.integers(3)
    metal, shade = rng.choice(["metal0", "black0", "wood0"]), pick(rng, "shade", 2)
    parts = [lathe([(0.0, 0.0), (r * 0.8, 0.0), (r * 0.75, 0.02), (0.0, 0.035)], "lamp", metal, n=18)]
    if kind == 0:
        parts.append(limb((0, 0, 0.02), (0, 0, h - 0.05), 0.013, 0.012, "lamp", metal))
        parts.append(frustum((0, 0, h - 0.3), r, r * rng.choice([0.6, 0.95]), 0.3, "lamp", shade))
    elif kind == 1:
        parts.append(limb((0, 0, 0.02), (0, 0, h - 0.09), 0.013, 0.012, "lamp", metal))
        parts.append(lathe([(0.0, h - 0.1), (r * 0.5, h - 0.08), (r, h), (0.0, h - 0.001)], "lamp", shade, n=18))
    else:
        y = rng.uniform(0.2, 0.35)
        parts += path([(0, 0, 0.02), (0, 0, h * 0.8), (0, y * 0.4, h), (0, y, h * 0.93)], 0.012, "lamp", metal)
        parts.append(frustum((0, y, h * 0.93 - 0.16), 0.13, 0.06, 0.17, "lamp", shade))
    return wrap(parts)


def ceiling_lamp(rng: Rng) -> Item:
    """A luminaire whose bulb faces down; hang it with its top (z = height) on the ceiling."""
    if rng.random() < 0.5:
        r = rng.uniform(0.16, 0.26)
        parts = [
            cylinder((0, 0, 0.05), r * 0.9, 0.03, "lamp", "white0"),
            frustum((0, 0, 0), r * 0.85, r, 0.05, "lamp", "bulb0"),
        ]
        return Item((2 * r, 2 * r, 0.08), parts)
    w, d = rng.uniform(0.5, 1.2), rng.uniform(0.2, 0.6)
    parts = [
        box((-w / 2, -d / 2, 0.01), (w / 2, d / 2, 0.06), "lamp", "white0"),
        box((-w / 2 + 0.02, -d / 2 + 0.02, 0.0), (w / 2 - 0.02, d / 2 - 0.02, 0.01), "lamp", "bulb0"),
    ]
    return Item((w, d, 0.06), parts)


def desk_lamp(rng: Rng) -> Item:
    """A jointed lamp: foot, two arms, a conical head that shines down."""
    material, label = rng.choice(["black0", "metal0", "white0", pick(rng, "plastic", 4)]), "lamp"
    low, high = rng.uniform(0.22, 0.3), rng.uniform(0.22, 0.3)
    lean = rng.uniform(8, 30)
    elbow = (0.0, -low * float(np.sin(np.radians(lean))), 0.025 + low * float(np.cos(np.radians(lean))))
    reach = rng.uniform(40, 65)
    tip = (0.0, elbow[1] + high * float(np.sin(np.radians(reach))), elbow[2] + high * float(np.cos(np.radians(reach))))
    head = lathe(
        [(0.0, 0.02), (0.068, 0.02), (0.075, 0.0), (0.032, 0.09), (0.02, 0.12), (0.0, 0.12)], label, material, n=16
    )
    bulb = lathe([(0.0, 0.006), (0.06, 0.006), (0.06, 0.0195), (0.0, 0.0195)], label, "shade1", n=14)
    hung = [turned(p, 25, axis=0) for p in move([head, bulb], 0.0, (0, 0, -0.12))]
    parts = [
        lathe([(0.0, 0.0), (0.09, 0.0), (0.085, 0.02), (0.0, 0.026)], label, material, n=18),
        *path([(0.0, 0.0, 0.02), elbow, tip], 0.009, label, "metal0"),
        *move(hung, 0.0, tip),
    ]
    return wrap(parts)


def pendant(rng: Rng, drop: float = 0.6) -> Item:
    """A lamp on a cord of `drop` metres; hang it with its top (z = height) on the ceiling."""
    r, h, shape = rng.uniform(0.12, 0.24), rng.uniform(0.14, 0.24), rng.integers(3)
    if shape == 0:
        shade = lathe(
            [(0.0, 0.012), (r * 0.97, 0.012), (r, 0.0), (r * 0.35, h), (0.0, h)], "lamp", pick(rng, "plastic", 4)
        )
        bulb = lathe([(0.0, 0.0), (r * 0.8, 0.0), (r * 0.8, 0.0118), (0.0, 0.0118)], "lamp", "bulb1")
        parts = [shade, bulb]
    elif shape == 1:
        h = 1.7 * r
        parts = [blob((0, 0, h / 2), (2 * r, 2 * r, h), "lamp", "shade1", 1.0, 10, 18)]
    else:
        parts = [lathe([(0.0, 0.0), (r, 0.0), (r * 0.9, h), (0.0, h)], "lamp", "shade1", n=20)]
    parts.append(limb((0, 0, h - 0.01), (0, 0, h + drop), 0.005, 0.005, "lamp", "black0", 5))
    parts.append(cylinder((0, 0, h + drop - 0.03), 0.05, 0.03, "lamp", "white0"))
    return wrap(parts)
