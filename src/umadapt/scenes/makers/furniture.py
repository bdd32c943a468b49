"""Procedural tables, desks and beds with real sizes in metres; each function draws one piece from `rng`.

Parts that meet touch or sink into each other by a few millimetres, never share a visible plane: coplanar faces of
different parts would make the label of a pixel a matter of rounding.
"""

from __future__ import annotations

import numpy as np

from umadapt.scenes.makers.beds import bed, bunk_bed
from umadapt.scenes.makers.forms import Rng, body_material, draped, grained, lathe, limb, loft, pick, ring, top_of, wrap
from umadapt.scenes.makers.seats import chair, legs, office_chair, slanted
from umadapt.scenes.makers.sofas import sofa
from umadapt.scenes.shapes import Item, Part, Top, box

__all__ = [
    "Rng", "bed", "body_material", "bunk_bed", "chair", "coffee_table", "desk", "fronts", "office_chair", "pick",
    "side_table", "sofa", "table", "top_of",
]  # fmt: skip


def table(rng: Rng, label: str = "table", w: float = 0.0, d: float = 0.0, h: float = 0.0) -> Item:
    """A dining table by default, square or round; `label` and sizes make coffee tables and plain desks of it."""
    low = bool(h)
    w, d, h = w or rng.uniform(1.0, 1.8), d or rng.uniform(0.7, 0.98), h or rng.uniform(0.71, 0.77)
    material, slab = body_material(rng), rng.uniform(0.02, 0.05)
    if label == "table" and rng.random() < 0.24:
        return _round_table(rng, w, d, h, material, slab, low)
    board = rng.choice([material, material, material, "white0"]) if label == "table" else material
    parts = [box((-w / 2, -d / 2, h - slab), (w / 2, d / 2, h), label, board)]
    tops = [Top((-w / 2, -d / 2), (w / 2, d / 2), h)]
    support, kind = rng.choice(["metal0", "black0", material, material]), rng.random()
    if kind < 0.6 or low:
        parts += legs(w, d, h - slab, rng.uniform(0.04, 0.08), label, support, inset=rng.uniform(0.01, 0.06))
        parts += _apron(w, d, h - slab, 0.08, label, material)
    elif kind < 0.8:
        parts += slanted(w - 0.1, d - 0.1, h - slab, 0.028, label, support, 0.08)
        parts += _apron(w - 0.1, d - 0.1, h - slab, 0.06, label, material)
    else:  # two end frames with a rail between them
        x = w / 2 - rng.uniform(0.15, 0.3)
        for s in (-1, 1):
            parts.append(box((s * x - 0.03, -0.05, 0.05), (s * x + 0.03, 0.05, h - slab), label, support))
            parts.append(box((s * x - 0.035, -d * 0.4, 0.0), (s * x + 0.035, d * 0.4, 0.05), label, support))
            parts.append(
                box((s * x - 0.034, -d * 0.42, h - slab - 0.04), (s * x + 0.034, d * 0.42, h - slab), label, support)
            )
        parts.append(box((-x + 0.03, -0.02, 0.2), (x - 0.03, 0.02, 0.28), label, support))
    if not low and rng.random() < 0.12:
        parts += _cloth(rng, w, d, h)
        tops = [Top((-w / 2, -d / 2), (w / 2, d / 2), h + 0.004)]
    return wrap(parts, tops)


def _apron(w: float, d: float, z: float, high: float, label: str, material: str) -> list[Part]:
    x, y = w / 2 - 0.1, d / 2 - 0.1
    return [
        box((-x, -y, z - high), (x, -y + 0.02, z), label, material),
        box((-x, y - 0.02, z - high), (x, y, z), label, material),
        box((-x, -y + 0.02, z - high + 0.001), (-x + 0.02, y - 0.02, z), label, material),
        box((x - 0.02, -y + 0.02, z - high + 0.001), (x, y - 0.02, z), label, material),
    ]


def _cloth(rng: Rng, w: float, d: float, h: float) -> list[Part]:
    """A table cloth: a lid over the top whose hem hangs a little outwards."""
    drop, n = rng.uniform(0.12, 0.3), 48
    wave = 1 + 0.012 * np.sin(np.arange(n) * 2 * np.pi * 9 / n)
    shape = ring(1.0, 1.0, n, 0.1) * [w / 2 + 0.004, d / 2 + 0.004]
    levels = [(1.03 * wave, h - drop), (np.ones(n), h + 0.001), (np.full(n, 0.995), h + 0.004)]
    inner = [(1.02 * wave, h - drop), (np.full(n, 0.999), h - 0.06)]
    rings = [np.column_stack([shape * np.asarray(s)[:, None], np.full(n, z)]) for s, z in [inner[1], inner[0], *levels]]
    return [draped(loft(np.array(rings), "table", pick(rng, "bedding", 3)))]


def _round_table(rng: Rng, w: float, d: float, h: float, material: str, slab: float, low: bool) -> Item:
    rx, ry = (w / 2, d / 2) if rng.random() < 0.4 else (min(w, 1.25 if not low else 0.9) / 2,) * 2
    edge = [(0.0, h - slab), (0.985, h - slab), (1.0, h - slab / 2), (0.985, h), (0.0, h)]
    parts = [grained(lathe(edge, "table", material, scale=(rx, ry), n=28))]
    support = rng.choice(["metal0", "black0", material])
    if rng.random() < 0.6:
        column = [(0.0, 0.02), (0.07, 0.02), (0.045, 0.2), (0.06, h * 0.6), (0.1, h - slab), (0.0, h - slab)]
        parts.append(lathe(column, "table", support, n=14))
        if rng.random() < 0.5:
            r = min(rx, ry) * 0.6
            parts.append(lathe([(0.0, 0.0), (r, 0.0), (r * 0.9, 0.03), (0.0, 0.05)], "table", support, n=20))
        else:
            for k in range(4):
                a = np.pi * (k / 2 + 0.25)
                foot = (float(rx * 0.68 * np.cos(a)), float(ry * 0.68 * np.sin(a)), 0.028)
                parts.append(limb((0.0, 0.0, 0.16), foot, 0.04, 0.028, "table", support, 6))
    else:
        parts += slanted(rx * 1.4, ry * 1.4, h - slab, 0.024, "table", support, 0.1)
    return wrap(parts, [Top((-rx * 0.68, -ry * 0.68), (rx * 0.68, ry * 0.68), h)])


def coffee_table(rng: Rng) -> Item:
    """A low table with, sometimes, a shelf below; or a block."""
    w, d, h = rng.uniform(0.7, 1.25), rng.uniform(0.5, 0.7), rng.uniform(0.36, 0.46)
    if rng.random() < 0.15:
        material = body_material(rng)
        parts = [
            box((-w / 2 + 0.02, -d / 2 + 0.02, 0.0), (w / 2 - 0.02, d / 2 - 0.02, h - 0.04), "table", material),
            box((-w / 2, -d / 2, h - 0.04), (w / 2, d / 2, h), "table", rng.choice([material, "stone0", "leather0"])),
        ]
        return wrap(parts, [Top((-w / 2, -d / 2), (w / 2, d / 2), h)])
    item = table(rng, w=w, d=d, h=h)
    square = all(len(p.faces) <= 12 for p in item.parts)
    if rng.random() < 0.5 and square:
        x, y = w / 2 - 0.12, d / 2 - 0.12
        item.parts.append(box((-x, -y, 0.12), (x, y, 0.14), "table", "wood0"))
    return item


def side_table(rng: Rng) -> Item:
    """A small table for a lamp beside a sofa or a bed (label table)."""
    return table(rng, w=rng.uniform(0.4, 0.6), d=rng.uniform(0.38, 0.5), h=rng.uniform(0.45, 0.62))


def desk(rng: Rng) -> Item:
    """A desk: with a drawer block, on a metal frame, with a return (L), or with a hutch."""
    w, d, h = rng.uniform(1.1, 1.7), rng.uniform(0.6, 0.78), rng.uniform(0.72, 0.76)
    material, side = body_material(rng), rng.choice([-1, 1])
    support = rng.choice([material, "metal0", "black0"])
    parts = [box((-w / 2, -d / 2, h - 0.03), (w / 2, d / 2, h), "desk", material)]
    tops = [Top((-w / 2, -d / 2), (w / 2, d / 2), h, 0.6)]
    block, kind = rng.uniform(0.38, 0.45), rng.random()
    x0, x1 = (-w / 2 + 0.02, -w / 2 + block) if side < 0 else (w / 2 - block, w / 2 - 0.02)
    if kind < 0.75:
        parts.append(box((x0, -d / 2 + 0.02, 0.0), (x1, d / 2 - 0.04, h - 0.03), "desk", material))
        parts += fronts(x0, x1, d / 2 - 0.04, 0.06, h - 0.04, 1, int(rng.integers(2, 4)), "desk", material, rng)
        other = -side * (w / 2 - 0.04)
        if support == material:
            parts.append(
                box((other - 0.02, -d / 2 + 0.03, 0.0), (other + 0.02, d / 2 - 0.05, h - 0.03), "desk", material)
            )
        else:
            for y in (-d / 2 + 0.05, d / 2 - 0.08):
                parts.append(box((other - 0.02, y, 0.0), (other + 0.02, y + 0.04, h - 0.03), "desk", support))
    else:
        for x in (-w / 2 + 0.06, w / 2 - 0.1):
            parts.append(box((x, -d / 2 + 0.06, 0.03), (x + 0.04, -d / 2 + 0.12, h - 0.03), "desk", support))
            parts.append(box((x + 0.001, -d / 2 + 0.02, 0.0), (x + 0.039, d / 2 - 0.03, 0.03), "desk", support))
            parts.append(
                box((x + 0.001, -d / 2 + 0.12, h - 0.07), (x + 0.039, d / 2 - 0.05, h - 0.03), "desk", support)
            )
    back = box((-w / 2 + 0.05, -d / 2 + 0.03, 0.3), (w / 2 - 0.05, -d / 2 + 0.045, h - 0.03), "desk", material)
    parts.append(back)
    if rng.random() < 0.2:  # the return of an L, towards the front
        deep, long = 0.5, rng.uniform(0.5, 0.8)
        a, b = sorted((-side * w / 2, -side * (w / 2 - deep)))
        y = d / 2 + long
        parts.append(box((a, d / 2 - 0.001, h - 0.03), (b, y, h - 0.001), "desk", material))
        parts.append(box((a + 0.02, y - 0.06, 0.0), (b - 0.02, y - 0.03, h - 0.03), "desk", material))
        tops.append(Top((a, d / 2), (b, y), h - 0.001, 0.6))
    elif rng.random() < 0.2:  # a hutch with a shelf on the back
        z = h + rng.uniform(0.35, 0.5)
        for x in (-w / 2 + 0.02, -0.012, w / 2 - 0.045):
            parts.append(box((x, -d / 2 + 0.01, h), (x + 0.025, -d / 2 + 0.24, z), "desk", material))
        parts.append(box((-w / 2, -d / 2 + 0.001, z), (w / 2, -d / 2 + 0.26, z + 0.025), "desk", material))
        parts.append(box((-w / 2 + 0.045, -d / 2 + 0.01, h), (w / 2 - 0.045, -d / 2 + 0.02, z), "desk", material))
        tops = [
            Top((-w / 2, -d / 2 + 0.27), (w / 2, d / 2), h, 0.6),
            Top((-w / 2, -d / 2), (w / 2, -d / 2 + 0.25), z + 0.025, 0.4),
        ]
    return wrap(parts, tops, front=0.75)


def fronts(
    x0: float, x1: float, y: float, z0: float, z1: float, columns: int, rows: int, label: str, material: str,
    rng: Rng | None = None,
) -> list[Part]:  # fmt: skip
    """Doors or drawer fronts, 1.5 cm proud of the plane y, with gaps and handles; `rng` varies handles and panels."""
    parts, gap = [], 0.006
    knobs = rng is not None and rng.random() < 0.35
    panels = rng is not None and rng.random() < 0.4
    wide = 0.06 if rng is None else rng.uniform(0.04, 0.09)
    for i in range(columns):
        for j in range(rows):
            a, b = (x0 + (x1 - x0) * (i + k) / columns for k in (0, 1))
            c, e = (z0 + (z1 - z0) * (j + k) / rows for k in (0, 1))
            parts.append(box((a + gap, y, c + gap), (b - gap, y + 0.015, e - gap), label, material))
            door = e - c > 0.45
            if panels and min(b - a, e - c) > 0.16:  # a raised field within a frame
                q = 0.055
                parts.append(box((a + q, y + 0.015, c + q), (b - q, y + 0.02, e - q), label, material))
            # A door has an upright handle near the edge where two doors meet.
            x = (b - 0.035 if i % 2 == 0 and columns > 1 else a + 0.035) if door else (a + b) / 2
            z = (c + e) / 2
            if knobs:
                parts.append(limb((x, y + 0.012, z), (x, y + 0.035, z), 0.009, 0.016, label, "metal0", 8))
            elif door:
                parts.append(box((x - 0.006, y + 0.015, z - wide), (x + 0.006, y + 0.035, z + wide), label, "metal0"))
            else:
                parts.append(box((x - wide, y + 0.015, z - 0.006), (x + wide, y + 0.035, z + 0.006), label, "metal0"))
    return parts
