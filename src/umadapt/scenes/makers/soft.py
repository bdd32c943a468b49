"""Clothes, bags, baskets, toys and people: soft or rounded things; sizes in metres."""

from __future__ import annotations

import numpy as np

from umadapt.scenes.makers.forms import Point, Rng, blob, lathe, limb, loft, path, pick, rim, ring, turned, wrap
from umadapt.scenes.shapes import Item, Part, box, cylinder, move


def garment(rng: Rng, x: float, y: float, top: float, material: str) -> list[Part]:
    """A hanging coat, shirt, dress or pair of trousers with its neck at (x, y, top), seen from the side that hangs."""
    label, kind, phase = "clothes", rng.integers(4), (int(rng.integers(3, 6)), rng.uniform(0.04, 0.1))
    half, thin = rng.uniform(0.19, 0.24), rng.uniform(0.25, 0.4)
    if kind == 3:  # trousers, folded over
        long = rng.uniform(0.55, 1.0)
        profile = [(0.0, top - long), (0.19, top - long), (0.17, top - 0.3), (0.16, top - 0.02), (0.0, top)]
        return [lathe(profile, label, material, (x, y, 0), (1.0, 0.2), 14, waves=phase)]
    long = {0: rng.uniform(0.65, 0.8), 1: rng.uniform(0.85, 1.15), 2: rng.uniform(0.9, 1.2)}[int(kind)]
    hem = half * (1.35 if kind == 2 else rng.uniform(0.95, 1.15))
    profile = [(0.0, top - long), (hem, top - long), (half * 0.95, top - 0.45 * long), (half * 1.02, top - 0.14)]
    profile += [(half * 0.75, top - 0.06), (0.07, top - 0.01), (0.0, top)]
    parts = [lathe(profile, label, material, (x, y, 0), (1.0, thin), 16, waves=phase)]
    sleeve = rng.uniform(0.2, 0.6) if kind != 2 else 0.0
    for s in (-1, 1):
        if sleeve:
            a, b = (x + s * half * 0.85, y, top - 0.12), (x + s * (half + 0.09), y + 0.03, top - 0.14 - sleeve)
            parts.append(limb(a, b, 0.065, 0.05, label, material, 8))
    return parts


def clothes(rng: Rng) -> Item:
    """Garments on a row of hooks, or packed on a rail, against a wall; z = 0 is the lowest hem."""
    count, parts, z = int(rng.integers(2, 5)), [], 1.25
    if rng.random() < 0.5:  # on hooks, side by side
        pitch = rng.uniform(0.3, 0.42)
        w = count * pitch
        parts.append(box((-w / 2, 0.0, z + 0.01), (w / 2, 0.02, z + 0.1), "otherprop", pick(rng, "wood", 3)))
        for k in range(count):
            x = (k - (count - 1) / 2) * pitch
            parts += path(
                [(x, 0.015, z + 0.06), (x, 0.07, z + 0.05), (x, 0.08, z + 0.08)], 0.008, "otherprop", "metal0"
            )
            if k == 0 or rng.random() < 0.85:
                parts += garment(rng, x, 0.11, z + rng.uniform(0.0, 0.03), pick(rng, "cloth", 6))
        return wrap(parts)
    count = int(rng.integers(5, 12))  # on a rail, edge on
    pitch = rng.uniform(0.07, 0.11)
    w = count * pitch + 0.2
    y = 0.3
    parts.append(limb((-w / 2, y, z + 0.06), (w / 2, y, z + 0.06), 0.014, 0.014, "otherprop", "metal0"))
    for s in (-1, 1):
        x = s * (w / 2 - 0.02)
        parts.append(limb((x, 0.0, z + 0.06), (x, y + 0.01, z + 0.06), 0.012, 0.012, "otherprop", "metal0"))
    for k in range(count):
        x = (k - (count - 1) / 2) * pitch
        hung = garment(rng, 0.0, 0.0, z, pick(rng, "cloth", 6))
        parts += move(hung, 90 + rng.uniform(-14, 14), (x, y, 0.0))
        parts.append(limb((x, y, z - 0.02), (x, y, z + 0.075), 0.004, 0.004, "otherprop", "metal0", 4))
    return wrap(parts)


def clothes_pile(rng: Rng) -> Item:
    """A heap of clothes on a bed, a chair or the floor."""
    parts: list[Part] = []
    for k in range(int(rng.integers(3, 7))):
        r, h = rng.uniform(0.13, 0.24), rng.uniform(0.06, 0.13)
        x, y = rng.normal(0, 0.09 if k else 0.0, 2).clip(-0.22, 0.22)
        z = 0.025 * k
        profile = [(0.0, z), (r, z), (r * 0.95, z + h * 0.4), (r * 0.6, z + h * 0.8), (0.0, z + h)]
        fold = (int(rng.integers(2, 6)), rng.uniform(0.1, 0.25))
        one = lathe(profile, "clothes", pick(rng, "cloth", 6), scale=(1.0, rng.uniform(0.55, 0.95)), n=18, waves=fold)
        parts += move([one], rng.uniform(0, 360), (float(x), float(y), 0.0))
        if k and rng.random() < 0.5:  # a sleeve or a leg hangs out
            a, turn = r * 0.5, rng.uniform(0, 2 * np.pi)
            end = (float(x + 2 * r * np.cos(turn)), float(y + 2 * r * np.sin(turn)), 0.045)
            start = (float(x + a * np.cos(turn)), float(y + a * np.sin(turn)), z + h * 0.6)
            parts.append(limb(start, end, 0.07, 0.045, "clothes", one.material, 8))
    return wrap(parts)


def backpack(rng: Rng) -> Item:
    """A rucksack with front pocket, top handle and straps (NYU40: otherprop)."""
    w, d, h, material = rng.uniform(0.28, 0.34), rng.uniform(0.16, 0.2), rng.uniform(0.4, 0.5), pick(rng, "cloth", 6)
    pocket = rng.choice([material, "black0"])
    parts = [
        blob((0, 0, h / 2), (w, d, h), "otherprop", material, 0.45, 8, 16),
        blob((0, d / 2 - 0.01, h * 0.28), (w * 0.8, 0.12, h * 0.48), "otherprop", pocket, 0.45),
        *path(
            [(-0.04, -0.03, h - 0.02), (-0.03, -0.03, h + 0.03), (0.03, -0.03, h + 0.03), (0.04, -0.03, h - 0.02)],
            0.009,
            "otherprop",
            "black0",
        ),
    ]
    for s in (-1, 1):
        x = s * w * 0.28
        points = [(x, -d / 2 + 0.02, h * 0.92), (x * 1.2, -d / 2 - 0.05, h * 0.6), (x * 1.3, -d / 2 + 0.01, h * 0.12)]
        parts += path(points, 0.018, "otherprop", "black0")
    return wrap([turned(p, rng.uniform(4, 12), axis=0) for p in parts])


def shopping_bag(rng: Rng) -> Item:
    """A paper or plastic carrier bag with handles."""
    w, d, h = rng.uniform(0.22, 0.36), rng.uniform(0.1, 0.16), rng.uniform(0.26, 0.38)
    material = rng.choice(["card0", "white0", pick(rng, "plastic", 4), pick(rng, "cloth", 6)])
    slack = rng.uniform(0.85, 1.05)
    levels = [
        (0.95, 0.95, 0.0),
        (1.0, 1.0, 0.02),
        (1.0, slack, h * 0.6),
        (1.0, 0.75 * slack, h),
        (0.94, 0.6 * slack, h),
    ]
    levels.append((0.9, 0.8, h * 0.55))
    rings = np.array([np.column_stack([ring(w / 2 * a, d / 2 * b, 16, 0.2), np.full(16, z)]) for a, b, z in levels])
    parts = [loft(rings, "bag", material)]
    for y in (-d * 0.31, d * 0.31):
        points = [(-w * 0.2, y, h - 0.01), (-w * 0.15, y, h + 0.09), (w * 0.15, y, h + 0.09), (w * 0.2, y, h - 0.01)]
        parts += path(points, 0.005, "bag", rng.choice(["black0", material]), 5)
    return wrap(parts)


def suitcase(rng: Rng) -> Item:
    """A trolley case standing on its wheels (NYU40: otherprop)."""
    w, d, h = rng.uniform(0.36, 0.48), rng.uniform(0.2, 0.28), rng.uniform(0.5, 0.72)
    material = rng.choice(["black0", pick(rng, "plastic", 4), pick(rng, "cloth", 6)])
    parts = [blob((0, 0, h / 2 + 0.045), (w, d, h), "otherprop", material, 0.22, 8, 16)]
    for k in range(5):
        x = (k - 2) * w * 0.17
        parts.append(box((x - 0.008, d / 2 - 0.02, 0.12), (x + 0.008, d / 2 + 0.006, h - 0.03), "otherprop", material))
    for x in (-w / 2 + 0.05, w / 2 - 0.05):
        for y in (-d / 2 + 0.05, d / 2 - 0.05):
            parts.append(cylinder((x, y, 0.0), 0.025, 0.06, "otherprop", "black0"))
    z = h + 0.03 + (rng.uniform(0.25, 0.4) if rng.random() < 0.4 else 0.05)
    y = -d / 2 + 0.05
    points: list[Point] = [(-0.1, y, h), (-0.1, y, z), (0.1, y, z), (0.1, y, h)]
    parts += path(points, 0.01, "otherprop", "metal0")
    return wrap(parts)


def basket(rng: Rng) -> Item:
    """A laundry or storage basket, empty or filled with cloth."""
    w, d, h = rng.uniform(0.3, 0.5), rng.uniform(0.26, 0.36), rng.uniform(0.2, 0.5)
    material = rng.choice(["wicker0", "wicker0", "white0", pick(rng, "plastic", 4)])
    profile = rim([(0.85, 0.0), (0.95, h * 0.6), (1.0, h - 0.02), (1.04, h - 0.02), (1.04, h)], 0.05)
    square = rng.choice([0.35, 1.0])
    parts = [lathe(profile, "otherprop", material, scale=(w / 2, d / 2), n=20, roundness=square)]
    if rng.random() < 0.6:
        full = [(0.0, h * 0.5), (0.8, h * 0.75), (0.75, h * 0.9), (0.5, h), (0.2, h * 0.96), (0.0, h * 1.02)]
        fold = (int(rng.integers(3, 7)), 0.14)
        parts.append(
            lathe(full, "clothes", pick(rng, "cloth", 6), (0, 0, 0), (w / 2 * 0.9, d / 2 * 0.9), 16, waves=fold)
        )
    return wrap(parts)


def toy(rng: Rng) -> Item:
    """A teddy, a ball, a toy car or a few building blocks."""
    kind, material = rng.integers(4), pick(rng, "cloth", 6)
    if kind == 0:
        s, label = rng.uniform(0.2, 0.4), "otherprop"
        parts = [
            blob((0, 0, s * 0.32), (s * 0.5, s * 0.42, s * 0.55), label, material, 0.9),
            blob((0, 0.01, s * 0.75), (s * 0.42, s * 0.38, s * 0.4), label, material, 1.0),
            blob((0, s * 0.2, s * 0.71), (s * 0.18, s * 0.12, s * 0.14), label, "white0", 1.0, 4, 8),
        ]
        for k in (-1, 1):
            parts.append(blob((k * s * 0.17, 0, s * 0.93), (s * 0.15, s * 0.08, s * 0.15), label, material, 1.0, 4, 8))
            parts.append(
                limb(
                    (k * s * 0.2, 0, s * 0.52), (k * s * 0.33, s * 0.12, s * 0.3), s * 0.08, s * 0.075, label, material
                )
            )
            parts.append(
                limb(
                    (k * s * 0.13, s * 0.05, s * 0.1),
                    (k * s * 0.2, s * 0.42, s * 0.09),
                    s * 0.1,
                    s * 0.09,
                    label,
                    material,
                )
            )
        return wrap(parts)
    if kind == 1:
        r = rng.uniform(0.06, 0.13)
        return wrap([blob((0, 0, r), (2 * r, 2 * r, 2 * r), "otherprop", pick(rng, "plastic", 4), 1.0, 10, 18)])
    if kind == 2:
        s, body = rng.uniform(0.15, 0.35), pick(rng, "plastic", 4)
        parts = [
            blob((0, 0, s * 0.22), (s, s * 0.44, s * 0.22), "otherprop", body, 0.4),
            blob((-s * 0.05, 0, s * 0.36), (s * 0.5, s * 0.38, s * 0.22), "otherprop", "white0", 0.5),
        ]
        for x in (-s * 0.3, s * 0.3):
            a, b = (x, -s * 0.23, s * 0.11), (x, s * 0.23, s * 0.11)
            parts.append(limb(a, b, s * 0.11, s * 0.11, "otherprop", "black0", 12))
        return wrap(parts)
    parts, s = [], rng.uniform(0.04, 0.07)
    for _ in range(int(rng.integers(4, 9))):
        cube = box((-s / 2, -s / 2, 0.0), (s / 2, s / 2, s), "otherprop", pick(rng, "plastic", 4))
        parts += move([cube], rng.uniform(0, 90), (rng.uniform(-0.14, 0.14), rng.uniform(-0.12, 0.12), 0.0))
    return wrap(parts)
