"""Bathroom furniture and what hangs and stands there, with real sizes in metres."""

from __future__ import annotations

import numpy as np

from umadapt.scenes.makers.forms import Rng, blob, body_material, lathe, limb, loft, path, pick, ring, turned, wrap
from umadapt.scenes.makers.furniture import fronts
from umadapt.scenes.makers.sinks import basin, hole_of, holed, sunk, tap
from umadapt.scenes.shapes import Item, Part, Top, box, curtain, cylinder, move


def toilet(rng: Rng) -> Item:
    """A toilet with bowl, seat, lid (open or closed) and cistern; its back is the cistern's."""
    seat, w, long = rng.uniform(0.39, 0.43), rng.uniform(0.36, 0.4), rng.uniform(0.42, 0.48)
    tank_h, tank_d = rng.uniform(0.32, 0.38), rng.uniform(0.17, 0.2)
    tall = long / w
    bowl = [(0.0, 0.0), (w * 0.3, 0.0), (w * 0.27, 0.1), (w * 0.34, 0.22), (w * 0.49, seat - 0.05)]
    bowl += [(w * 0.5, seat - 0.02), (w * 0.36, seat - 0.02), (w * 0.3, seat - 0.1), (w * 0.12, seat - 0.2)]
    bowl.append((0.0, seat - 0.2))
    y = tank_d + long / 2 + 0.02
    parts = [
        lathe(bowl, "toilet", "ceramic0", (0, y, 0), (1.0, tall), 20),
        box((-w * 0.22, 0.03, 0.0), (w * 0.22, y - 0.05, seat - 0.06), "toilet", "ceramic0"),
        box((-w * 0.46, 0.02, seat - 0.065), (w * 0.46, tank_d + 0.05, seat - 0.03), "toilet", "ceramic0"),
        blob((0, tank_d / 2, seat - 0.03 + tank_h / 2), (w * 1.08, tank_d, tank_h), "toilet", "ceramic0", 0.12),
        blob((0, tank_d / 2, seat + tank_h - 0.02), (w * 1.14, tank_d + 0.02, 0.045), "toilet", "ceramic0", 0.15),
        box(
            (-w * 0.42, tank_d, seat + tank_h - 0.1),
            (-w * 0.25, tank_d + 0.02, seat + tank_h - 0.075),
            "toilet",
            "metal0",
        ),
    ]
    hoop = [(w * 0.34, seat - 0.019), (w * 0.52, seat - 0.019), (w * 0.52, seat + 0.004), (w * 0.34, seat + 0.004)]
    rings = np.array([np.column_stack([ring(r, r * tall, 20) + np.array([0.0, y]), np.full(20, z)]) for r, z in hoop])
    parts.append(loft(rings, "toilet", "ceramic0", loop=True))
    lid = lathe(
        [(0.0, 0.0), (w * 0.5, 0.0), (w * 0.5, 0.022), (0.0, 0.022)], "toilet", "ceramic0", (0, 0, 0), (1, tall), 20
    )
    lid = move([lid], 0.0, (0.0, y, seat + 0.005))[0]
    if rng.random() < 0.5:
        lid = turned(lid, 94, (0.0, tank_d + 0.028, seat + 0.013), axis=0)
    parts.append(lid)
    return wrap(parts, front=0.5)


def bathtub(rng: Rng) -> Item:
    """A bathtub, hollow; with its tap at one end. The long side is the back."""
    w, d, h = rng.uniform(1.45, 1.75), rng.uniform(0.68, 0.8), rng.uniform(0.42, 0.58)
    material, t = rng.choice(["ceramic0", "ceramic0", "ceramic1"]), 0.06
    free = rng.random() < 0.25
    n, square = 24, (0.75 if free else 0.12)
    outer = [(0.8, 0.0), (0.9, 0.1), (1.0, h)] if free else [(1.0, 0.0), (1.0, h - 0.03), (1.012, h - 0.03), (1.012, h)]
    rings = [np.column_stack([ring(r * w / 2, r * d / 2, n, square), np.full(n, z)]) for r, z in outer]
    for inset, z in ((t, h), (t + 0.03, h - 0.06), (t + 0.07, 0.16), (t + 0.12, 0.13)):
        rings.append(np.column_stack([ring(w / 2 - inset * 1.4, d / 2 - inset, n, max(square, 0.4)), np.full(n, z)]))
    parts = [loft(np.array(rings), "bathtub", material)]
    side = rng.choice([-1, 1])
    x = side * (w / 2 - 0.05)
    parts += path([(x, 0, h - 0.005), (x, 0, h + 0.1), (x - side * 0.13, 0, h + 0.09)], 0.018, "bathtub", "steel0", 8)
    for y in (-0.09, 0.09):
        parts.append(cylinder((x, y, h - 0.003), 0.025, 0.05, "bathtub", "steel0"))
    return wrap(parts, front=0.4)


def washbasin(rng: Rng) -> Item:
    """A washbasin on a pedestal, or hung on the wall without one."""
    w, d, h = rng.uniform(0.5, 0.65), rng.uniform(0.42, 0.5), rng.uniform(0.8, 0.88)
    n, square = 24, rng.choice([0.35, 0.6, 0.85])
    levels = [(0.25, h - 0.22), (0.6, h - 0.17), (1.0, h - 0.06), (1.0, h)]
    rings = [np.column_stack([ring(r * w / 2, r * d / 2, n, square), np.full(n, z)]) for r, z in levels]
    for r, z in ((0.82, h), (0.7, h - 0.07), (0.3, h - 0.13)):
        rings.append(
            np.column_stack([ring(r * w / 2, r * d / 2 * 0.85, n, square) + np.array([0.0, 0.03]), np.full(n, z)])
        )
    parts = [loft(np.array(rings), "sink", "ceramic0"), *tap(0.0, -d / 2 + 0.045, h, 0.1)]
    parts.append(cylinder((0, 0.03, h - 0.132), 0.02, 0.005, "sink", "metal0"))
    foot = [(0.0, 0.0), (0.12, 0.0), (0.075, 0.1), (0.075, h - 0.3), (0.11, h - 0.19), (0.0, h - 0.19)]
    parts.append(lathe(foot, "sink", "ceramic0", (0, -0.05, 0), n=14))
    return wrap(parts, front=0.5)


def vanity(rng: Rng) -> Item:
    """A bathroom cabinet with a counter top, one or two sinks in it and a splash board."""
    w, d, h = rng.uniform(0.75, 1.7), rng.uniform(0.5, 0.58), rng.uniform(0.78, 0.88)
    material, slab = body_material(rng), rng.choice(["ceramic1", "stone0", "stone1"])
    face, deep = d / 2 - 0.05, 0.14
    bowls = [0.0] if w < 1.35 else [-w / 4, w / 4]
    rx, ry, y = rng.uniform(0.19, 0.22), 0.15, 0.03
    standing = rng.random() < 0.25
    holes = [] if standing else [hole_of(x, y, rx, ry) for x in bowls]
    top = h - 0.035 if standing else h - deep - 0.01  # the body leaves room for the bowls
    parts = [
        box((-w / 2 + 0.02, -d / 2 + 0.01, 0.0), (w / 2 - 0.02, face - 0.04, 0.09), "cabinet", material),
        box((-w / 2 + 0.01, -d / 2, 0.09), (w / 2 - 0.01, face, top), "cabinet", material),
        *holed((-w / 2, w / 2), (-d / 2 + 0.001, d / 2), (h - 0.035, h), holes, "counter", slab),
        box((-w / 2 + 0.001, -d / 2 + 0.002, h), (w / 2 - 0.001, -d / 2 + 0.02, h + 0.1), "counter", slab),
        *fronts(-w / 2 + 0.01, w / 2 - 0.01, face, 0.1, h - 0.05, max(2, round(w / 0.42)), 1, "cabinet", material, rng),
    ]
    if not standing:
        parts.append(box((-w / 2 + 0.01, face - 0.02, top), (w / 2 - 0.01, face, h - 0.035), "cabinet", material))
        for a, b in ((-w / 2 + 0.01, -w / 2 + 0.03), (w / 2 - 0.03, w / 2 - 0.01)):
            parts.append(box((a, -d / 2, top), (b, face - 0.02, h - 0.035), "cabinet", material))
    for x in bowls:
        if standing:
            parts += basin(x, y, h - 0.001, rx, ry, 0.12, "ceramic0")
        else:
            parts += sunk(x, y, h, rx, ry, deep, rng.choice(["ceramic0", "ceramic1"]))
        parts += tap(x, y - ry - 0.03, h, 0.22 if standing else 0.1)
    left = Top((-w / 2, -d / 2 + 0.03), (bowls[0] - 0.24, d / 2), h, 0.4)
    right = Top((bowls[-1] + 0.24, -d / 2 + 0.03), (w / 2, d / 2), h, 0.4)
    return wrap(parts, [t for t in (left, right) if t.hi[0] - t.lo[0] > 0.1], front=0.5)


def shower_curtain(rng: Rng, w: float, h: float) -> Item:
    """A hanging sheet w wide and h high, drawn over a share of its rod; z = 0 is its lower edge."""
    share = rng.uniform(0.55, 1.0)
    folds = max(5, round(w * share / rng.uniform(0.12, 0.2)))
    side = rng.choice([-1, 1])
    sheet = curtain(w * share, h - 0.03, folds, "shower_curtain", pick(rng, "shower", 2))
    parts = move([sheet], 0.0, (side * w * (1 - share) / 2, 0.0, 0.0))
    parts.append(limb((-w / 2, 0, h - 0.012), (w / 2, 0, h - 0.012), 0.012, 0.012, "otherprop", "steel0"))
    return wrap(parts)


def _towel(rng: Rng, x: float, w: float, z: float, long: float, material: str) -> list[Part]:
    """A towel over a rail at height z: front and back sheets with a rounded fold."""
    n, y = 9, np.linspace(-1, 1, 9)
    back = long * rng.uniform(0.7, 0.95)
    outer = np.concatenate(
        [
            [[0.03, z - long]],
            np.stack([0.03 * np.cos(np.pi * (y + 1) / 2), z + 0.03 * np.sin(np.pi * (y + 1) / 2)], 1),
            [[-0.03, z - back]],
        ]
    )
    inner = (outer - (0, z)) * np.array([0.5, 1.0]) + (0, z - 0.008)
    inner[[0, -1], 1] = outer[[0, -1], 1]
    outline = np.concatenate([outer, inner[::-1]])
    sway = 0.006 * np.sin(np.linspace(0, 3 * np.pi, n) + rng.uniform(0, 6))
    across = np.linspace(-w / 2, w / 2, n)
    rings = [
        np.column_stack([np.full(len(outline), x + a), outline[:, 0] + s, outline[:, 1]])
        for a, s in zip(across, sway, strict=True)
    ]
    part = loft(np.array(rings), "towel", material)
    return [part]


def towel_rail(rng: Rng) -> Item:
    """A rail with one or two towels over it, on a wall; z = 0 is the lowest towel edge."""
    w, long = rng.uniform(0.45, 0.75), rng.uniform(0.4, 0.75)
    y = 0.045
    parts = [limb((-w / 2, y, long), (w / 2, y, long), 0.01, 0.01, "otherprop", "steel0")]
    for x in (-w / 2 + 0.01, w / 2 - 0.01):
        parts.append(limb((x, -0.02, long), (x, y, long), 0.012, 0.009, "otherprop", "steel0"))
    count = int(rng.integers(1, 3))
    wide = (w - 0.06) / count - 0.03
    for k in range(count):
        x = (k - (count - 1) / 2) * (wide + 0.03)
        item = _towel(rng, x, wide * rng.uniform(0.75, 1.0), long, long * rng.uniform(0.75, 1.0), pick(rng, "towel", 3))
        parts += move(item, 0.0, (0.0, y, 0.0))
    return wrap(parts)


def towel_pile(rng: Rng) -> Item:
    """Folded towels on each other."""
    w, d, parts, z = rng.uniform(0.26, 0.36), rng.uniform(0.2, 0.28), [], 0.0
    for _ in range(int(rng.integers(1, 5))):
        t = rng.uniform(0.035, 0.06)
        size = (w * rng.uniform(0.93, 1.0), d * rng.uniform(0.93, 1.0), t)
        one = blob((0, 0, z + t / 2), size, "towel", pick(rng, "towel", 3), 0.25)
        parts += move([one], rng.uniform(-4, 4), (0, 0, 0))
        z += t - 0.004
    return wrap(parts)


def bath_mat(rng: Rng) -> Item:
    """A small thick mat."""
    w, d = rng.uniform(0.55, 0.8), rng.uniform(0.4, 0.55)
    return wrap([blob((0, 0, 0.01), (w, d, 0.02), "floor_mat", pick(rng, "towel", 3), 0.12)])


def bath_bottle(rng: Rng) -> Item:
    """A bottle of shampoo, a soap dispenser, a jar or a beaker."""
    material, kind, h = pick(rng, "plastic", 4), rng.integers(3), rng.uniform(0.12, 0.22)
    r = rng.uniform(0.025, 0.038)
    if kind == 0:  # a flat bottle with its cap
        body = [(0.0, 0.0), (r, 0.0), (r * 1.05, h * 0.4), (r * 0.9, h * 0.75), (r * 0.4, h * 0.8), (0.0, h * 0.8)]
        cap = [(0.0, h * 0.8), (r * 0.45, h * 0.8), (r * 0.45, h), (0.0, h)]
        return wrap(
            [
                lathe(body, "otherprop", material, scale=(1, 0.6), n=12),
                lathe(cap, "otherprop", "white0", scale=(1, 0.6), n=10),
            ]
        )
    if kind == 1:  # a dispenser with its pump
        h *= 0.8
        parts = [
            lathe(
                [(0.0, 0.0), (r, 0.0), (r, h * 0.75), (r * 0.35, h * 0.85), (0.0, h * 0.85)],
                "otherprop",
                material,
                n=12,
            )
        ]
        parts += path([(0, 0, h * 0.85), (0, 0, h), (0, 0.04, h - 0.005)], 0.006, "otherprop", "white0")
        return wrap(parts)
    profile = [(0.0, 0.0), (r, 0.0), (r * 1.1, h * 0.5), (r * 0.95, h * 0.5), (r * 0.85, 0.01), (0.0, 0.01)]
    parts = [lathe(profile, "otherprop", rng.choice([material, "ceramic0"]), n=12)]
    for k in range(int(rng.integers(1, 4))):
        a = 2 * np.pi * k / 3 + 0.3
        end = (r * np.cos(a), r * np.sin(a), h * 0.5 + 0.1)
        parts.append(limb((0, 0, 0.015), end, 0.004, 0.005, "otherprop", pick(rng, "plastic", 4), 5))
    return wrap(parts)


def toilet_roll(rng: Rng) -> Item:
    """A roll of paper on its holder on a wall, with a loose end; z = 0 is its lowest point."""
    r, w, y = rng.uniform(0.045, 0.06), 0.1, 0.075
    roll = turned(lathe([(0.0, -w / 2), (r, -w / 2), (r, w / 2), (0.0, w / 2)], "otherprop", "paper0", n=18), 90)
    parts = move([roll], 0.0, (0.0, y, 0.0))
    hang = rng.uniform(0.03, 0.14)
    parts.append(
        box((-w / 2 + 0.002, y + r - 0.002, -r - hang), (w / 2 - 0.002, y + r + 0.001, 0.0), "otherprop", "paper0")
    )
    parts.append(limb((-w / 2 - 0.02, y, 0.0), (w / 2 + 0.005, y, 0.0), 0.01, 0.01, "otherprop", "steel0"))
    parts.append(limb((-w / 2 - 0.015, 0.0, 0.0), (-w / 2 - 0.015, y, 0.0), 0.016, 0.01, "otherprop", "steel0"))
    return wrap(parts)
