"""Beds with real sizes in metres."""

from __future__ import annotations

import numpy as np

from umadapt.scenes.makers.forms import Rng, blob, body_material, draped, limb, loft, path, pick, ring, wrap
from umadapt.scenes.makers.seats import legs
from umadapt.scenes.shapes import Item, Part, box, cylinder, move, tilt


def bed(rng: Rng) -> Item:
    """A bed with frame, headboard, mattress, blanket and pillows; the head is at the back."""
    w, d = rng.choice([0.95, 1.0, 1.4, 1.6, 1.8]), rng.uniform(2.0, 2.12)
    h, base = rng.uniform(0.45, 0.64), rng.uniform(0.2, 0.28)
    y0, y1 = -d / 2 + 0.07, d / 2
    sheet, blanket = rng.choice(["white1", "bedding0"]), pick(rng, "bedding", 3)
    fold, top = y0 + rng.uniform(0.35, 0.75), h - 0.02
    parts = [*_bed_frame(rng, w, d, y0, base)]
    parts.append(
        blob((0, (y0 + y1) / 2, (base + top) / 2), (w - 0.04, y1 - y0 - 0.02, top - base), "bed", sheet, 0.14, 6, 20)
    )
    parts += _blanket(rng, w, fold, y1, rng.uniform(0.08, 0.32), h, blanket)
    if rng.random() < 0.5:  # folded back, so that its lining shows
        band = fold + rng.uniform(0.15, 0.3)
        parts.append(
            blob((0, (fold + band) / 2, h + 0.004), (w + 0.012, band - fold + 0.03, 0.04), "bed", sheet, 0.3, 4, 16)
        )
    rows = 1 if w < 1.2 else 2
    pw = min(0.7, (w - 0.1) / rows - 0.04)
    layers = int(rng.choice([1, 1, 2]))
    for k in range(rows):
        x = (k - (rows - 1) / 2) * (w - 0.06) / rows
        for layer in range(layers):
            pillow = blob((0, 0, 0.075), (pw, 0.4, 0.17), "pillow", rng.choice(["white0", sheet, blanket]), 0.5, 8, 18)
            if layer or rng.random() < 0.2:  # leaning on the headboard
                pillow = tilt(pillow, 60, (0, 0, 0))
                low = float(pillow.vertices[:, 2].min())
                parts += move([pillow], rng.uniform(-5, 5), (x, y0 + 0.2 + 0.14 * layer, top - low - 0.01))
            else:
                parts += move([pillow], rng.uniform(-9, 9), (x, y0 + 0.24, top - 0.01))
    for _ in range(int(rng.choice([0, 0, 1, 1, 2, 3]))):
        size = rng.uniform(0.32, 0.46)
        loose = tilt(
            blob((0, 0, size / 2), (size, 0.15, size), "pillow", pick(rng, "fabric", 5), 0.55, 8, 16), 42, (0, 0, 0)
        )
        low = float(loose.vertices[:, 2].min())
        x = rng.uniform(-w / 2 + 0.3, w / 2 - 0.3)
        parts += move([loose], rng.uniform(-20, 20), (x, y0 + rng.uniform(0.42, 0.6), h - low - 0.015))
    return wrap(parts, front=0.3)


def _bed_frame(rng: Rng, w: float, d: float, y0: float, base: float) -> list[Part]:
    material, head, kind = body_material(rng), rng.uniform(0.8, 1.25), rng.integers(4)
    y1, parts = d / 2, []
    if kind == 3:  # a box spring, with a padded headboard or none
        parts.append(
            blob(
                (0, (y0 + y1) / 2, base / 2 + 0.03),
                (w - 0.04, y1 - y0 - 0.03, base - 0.05),
                "bed",
                pick(rng, "fabric", 5),
                0.1,
                6,
                20,
            )
        )
        parts += legs(w - 0.1, d - 0.2, 0.04, 0.05, "bed", "black0")
        if rng.random() < 0.7:
            parts.append(
                blob(
                    (0, -d / 2 + 0.04, head / 2 + 0.02),
                    (w + 0.02, 0.09, head - 0.04),
                    "bed",
                    pick(rng, "fabric", 5),
                    0.15,
                    6,
                    20,
                )
            )
        return parts
    parts.append(box((-w / 2 + 0.02, y0, 0.1), (w / 2 - 0.02, y1 - 0.03, base), "bed", material))
    for x in (-w / 2 + 0.04, w / 2 - 0.1):
        parts.append(box((x, y1 - 0.12, 0.0), (x + 0.06, y1 - 0.06, 0.1), "bed", material))
    if kind <= 1:  # a panel at the head, often one at the foot
        parts.append(box((-w / 2 - 0.01, -d / 2, 0.0), (w / 2 + 0.01, y0 - 0.01, head), "bed", material))
        if kind == 0:
            parts.append(
                box((-w / 2 - 0.01, y1 - 0.01, 0.0), (w / 2 + 0.01, y1 + 0.05, rng.uniform(0.3, 0.75)), "bed", material)
            )
        if rng.random() < 0.4:  # a padded field
            parts.append(
                blob(
                    (0, y0 - 0.015, head - 0.2),
                    (w - 0.1, 0.05, 0.34),
                    "bed",
                    rng.choice([material, pick(rng, "fabric", 5)]),
                    0.15,
                )
            )
        return parts
    metal = rng.random() < 0.6
    bar, post = ("metal0" if rng.random() < 0.5 else "black0", 0.016) if metal else (material, 0.03)
    for y, high in ((-d / 2 + 0.03, head), (y1 - 0.01, rng.choice([0.0, 0.62 * head]))):
        if not high:
            continue
        for s in (-1, 1):
            x = s * (w / 2 + 0.005)
            parts.append(cylinder((x, y, 0.0), post, high, "bed", bar))
            parts.append(blob((x, y, high + post), (post * 3, post * 3, post * 3), "bed", bar, 1.0, 4, 8))
        parts += path(
            [(-w / 2, y, high * 0.93), (-w / 4, y, high * 1.05), (w / 4, y, high * 1.05), (w / 2, y, high * 0.93)],
            post * 0.8,
            "bed",
            bar,
        )
        parts.append(limb((-w / 2, y, base), (w / 2, y, base), post * 0.7, post * 0.7, "bed", bar, 6))
        for x in np.linspace(-w / 2, w / 2, max(5, round(w / 0.13)))[1:-1]:
            parts.append(limb((float(x), y, base), (float(x), y, high * 0.98), post * 0.45, post * 0.45, "bed", bar, 5))
    return parts


def _blanket(rng: Rng, w: float, y0: float, y1: float, low: float, h: float, material: str) -> list[Part]:
    """A quilt over the foot end: a rounded lid with a wavy hem."""
    n, shape = 40, ring(1.0, 1.0, 40, 0.18)
    wave = 0.012 * np.sin(np.arange(n) * 2 * np.pi * rng.integers(7, 13) / n + rng.uniform(0, 6))
    rings = []
    for grow, z in ((0.008, low), (0.005, h - 0.1), (0.0, h - 0.03), (-0.03, h), (-0.3, h + 0.012)):
        half = np.array([w / 2 + 0.01 + grow, (y1 - y0) / 2 + grow + 0.01])
        ripple = (1 + wave[:, None] * max(0.0, (h - z) / (h - low))) if grow > 0 else 1.0
        rings.append(np.column_stack([shape * half * ripple + (0, (y0 + y1) / 2), np.full(n, z)]))
    hem = rings[0].copy()
    hem[:, 2] = low + 0.02 * np.sin(np.arange(n) * 1.1) + 0.02
    rings[0] = hem
    return [draped(loft(np.array(rings), "bed", material))]


def bunk_bed(rng: Rng) -> Item:
    """Two narrow beds above each other on four posts, with rail and ladder."""
    w, d, material, deck = rng.uniform(0.95, 1.05), 2.05, body_material(rng), rng.uniform(1.3, 1.45)
    parts: list[Part] = []
    for x in (-w / 2, w / 2 - 0.06):
        for y in (-d / 2, d / 2 - 0.06):
            parts.append(box((x, y, 0.0), (x + 0.06, y + 0.06, deck + 0.4), "bed", material))
    for base in (0.28, deck):
        x, y = w / 2 - 0.005, d / 2 - 0.005
        parts.append(box((-x, -y, base), (x, y, base + 0.1), "bed", material))
        parts.append(blob((0, 0, base + 0.16), (w - 0.05, d - 0.13, 0.16), "bed", "white1", 0.15, 6, 18))
        parts += _blanket(rng, w - 0.06, -d * 0.2, d / 2 - 0.07, base + 0.105, base + 0.25, pick(rng, "bedding", 3))
        parts.append(blob((0, -d / 2 + 0.3, base + 0.29), (0.6, 0.38, 0.14), "pillow", pick(rng, "bedding", 3), 0.5))
    for z in (deck + 0.25, deck + 0.36):
        for x in (-w / 2 + 0.02, w / 2 - 0.04):
            parts.append(box((x, -d / 2 + 0.06, z), (x + 0.02, d / 2 - 0.06, z + 0.06), "bed", material))
        for y in (-d / 2 + 0.02, d / 2 - 0.04):
            parts.append(box((-w / 2 + 0.06, y, z), (w / 2 - 0.06, y + 0.02, z + 0.06), "bed", material))
    for k in range(4):
        z = 0.35 + k * 0.28
        parts.append(
            limb((w / 2 - 0.02, d / 2 - 0.06, z), (w / 2 - 0.02, d / 2 - 0.42, z), 0.014, 0.014, "bed", material, 6)
        )
    parts.append(box((w / 2 - 0.045, d / 2 - 0.45, 0.02), (w / 2 + 0.001, d / 2 - 0.41, deck + 0.01), "bed", material))
    return wrap(parts, front=0.3)
