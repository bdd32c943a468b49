"""Procedural cabinets, shelves and kitchen furniture with real sizes in metres."""

from __future__ import annotations

import numpy as np

from umadapt.scenes.makers.forms import Rng, body_material, wrap
from umadapt.scenes.makers.furniture import fronts
from umadapt.scenes.makers.shelving import load
from umadapt.scenes.makers.sinks import hole_of, holed, sunk, tap
from umadapt.scenes.shapes import Item, Top, box, move


def storage(
    rng: Rng,
    label: str,
    w: float,
    d: float,
    h: float,
    columns: int,
    rows: int,
    material: str | None = None,
    plinth: float = 0.06,
) -> Item:
    """A closed box with fronts: cabinets, dressers, wardrobes, night stands."""
    material = material or body_material(rng)
    depth = d - 0.035  # the handles stay inside the footprint
    back, face = -d / 2, -d / 2 + depth
    parts = [
        box((-w / 2 + 0.01, back + 0.01, 0.0), (w / 2 - 0.01, face - 0.03, plinth), label, material),
        box((-w / 2, back, plinth), (w / 2, face, h), label, material),
    ]
    parts += fronts(-w / 2, w / 2, face, plinth + 0.005, h - 0.02, columns, rows, label, material, rng)
    return Item((w, d, h), parts, [Top((-w / 2, back), (w / 2, face), h)], front=0.4)


def dresser(rng: Rng) -> Item:
    """A chest of drawers."""
    w, h = rng.uniform(0.8, 1.5), rng.uniform(0.75, 1.1)
    return storage(rng, "dresser", w, rng.uniform(0.42, 0.52), h, 1 if w < 1.0 else 2, int(rng.integers(3, 5)))


def night_stand(rng: Rng) -> Item:
    """A small bedside cabinet."""
    w, h = rng.uniform(0.38, 0.52), rng.uniform(0.45, 0.62)
    return storage(rng, "night_stand", w, rng.uniform(0.36, 0.44), h, 1, int(rng.integers(1, 4)))


def wardrobe(rng: Rng) -> Item:
    """A tall cabinet with doors, some of them mirrors, perhaps with drawers below; perhaps with sliding doors."""
    w, d, h = rng.uniform(0.8, 1.9), rng.uniform(0.5, 0.62), rng.uniform(1.8, 2.2)
    columns = 2 if w < 1.2 else 3 if w < 1.6 else 4
    item = storage(rng, "cabinet", w, d, h, columns, 1)
    face = d / 2 - 0.035
    if rng.random() < 0.25:  # mirrors on the doors in the middle
        for k in range(1 if columns == 3 else columns // 2 - 1, (columns + 1) // 2 + (columns != 3)):
            a, b = (-w / 2 + w * q / columns for q in (k, k + 1))
            item.parts.append(
                box((a + 0.06, face + 0.014, 0.2), (b - 0.06, face + 0.0225, h - 0.12), "mirror", "mirror0")
            )
    if rng.random() < 0.3:  # a cornice
        item.parts.append(
            box((-w / 2 - 0.02, -d / 2, h), (w / 2 + 0.02, face + 0.03, h + 0.05), "cabinet", item.parts[1].material)
        )
        return wrap(item.parts, [Top((-w / 2, -d / 2), (w / 2, face), h + 0.05)], front=0.4)
    return item


def cabinet(rng: Rng) -> Item:
    """A low cabinet or filing cabinet."""
    if rng.random() < 0.35:
        return storage(rng, "cabinet", 0.46, 0.6, rng.uniform(0.7, 1.35), 1, int(rng.integers(2, 5)), "paint1")
    w = rng.uniform(0.8, 1.6)
    return storage(rng, "cabinet", w, rng.uniform(0.38, 0.5), rng.uniform(0.7, 1.3), 2, 1)


def tv_stand(rng: Rng) -> Item:
    """A low, wide cabinet that carries a television."""
    return storage(rng, "cabinet", rng.uniform(1.1, 1.8), rng.uniform(0.4, 0.48), rng.uniform(0.42, 0.6), 3, 1)


def bookshelf(rng: Rng) -> Item:
    """An open case with shelves, each partly filled with books and other things; sometimes doors below."""
    w, d, h = rng.uniform(0.6, 1.3), rng.uniform(0.26, 0.36), rng.choice([rng.uniform(0.8, 1.2), rng.uniform(1.4, 2.2)])
    material, t, label = body_material(rng), 0.022, "bookshelf"
    bays = 2 if w > 0.95 else 1
    parts = [
        box((-w / 2 + t, -d / 2, 0.0), (w / 2 - t, -d / 2 + 0.01, h), label, material),
        box((-w / 2 + t, -d / 2 + 0.01, h - t), (w / 2 - t, d / 2 - 0.002, h), label, material),
    ]
    for k in range(bays + 1):
        x = -w / 2 + (w - t) * k / bays
        parts.append(
            box(
                (x, -d / 2, 0.0),
                (x + t, d / 2 - (0.001 if 0 < k < bays else 0.0), h - (0.001 if 0 < k < bays else 0.0)),
                label,
                material,
            )
        )
    count, doors = max(2, round(h / rng.uniform(0.28, 0.38))), 0
    pitch = (h - t - 0.06) / count
    if h > 1.4 and rng.random() < 0.2:
        doors = 2
        z = 0.06 + doors * pitch - t
        parts.append(box((-w / 2 + t, d / 2 - 0.03, 0.03), (w / 2 - t, d / 2 - 0.012, z), label, material))
        parts += fronts(-w / 2 + t, w / 2 - t, d / 2 - 0.012, 0.05, z, 2, 1, label, material, rng)
    uses = [str(u) for u in rng.choice(["books", "books", "books", "mixed", "mixed", "pots"], count)]
    for k in range(count):
        z = 0.06 + k * pitch
        for j in range(bays):
            x0, x1 = -w / 2 + (w - t) * j / bays + t, -w / 2 + (w - t) * (j + 1) / bays
            parts.append(box((x0, -d / 2 + 0.01, z - t), (x1, d / 2 - 0.004, z), label, material))
            if k >= doors:
                end = x0 + (x1 - x0) * rng.choice([0.0, 0.5, 0.75, 1.0], p=[0.08, 0.2, 0.32, 0.4])
                parts += load(rng, x0 + 0.003, end - 0.003, -d / 2 + 0.012, d / 2 - 0.015, z, pitch - t - 0.02, uses[k])
    return wrap(parts, [Top((-w / 2, -d / 2), (w / 2, d / 2), h)], front=0.5)


def refrigerator(rng: Rng) -> Item:
    """A fridge with freezer door."""
    w, d, h = rng.uniform(0.6, 0.8), rng.uniform(0.62, 0.72), rng.uniform(1.5, 1.85)
    material, split = rng.choice(["white0", "steel0"]), rng.uniform(0.5, 0.72) * h
    y = d / 2 - 0.1
    parts = [box((-w / 2, -d / 2, 0.02), (w / 2, y, h), "refrigerator", material)]
    parts.append(box((-w / 2 + 0.03, -d / 2 + 0.03, 0.0), (w / 2 - 0.03, y - 0.03, 0.02), "refrigerator", "black0"))
    for z0, z1 in ((0.06, split - 0.006), (split + 0.006, h - 0.004)):
        parts.append(box((-w / 2 + 0.003, y, z0), (w / 2 - 0.003, y + 0.06, z1), "refrigerator", material))
        middle = z1 - 0.25 if z0 < split - 0.1 else z0 + 0.2
        handle = box(
            (w / 2 - 0.07, y + 0.06, middle - 0.15), (w / 2 - 0.045, y + 0.095, middle + 0.15), "refrigerator", "metal0"
        )
        parts.append(handle)
    return Item((w, d, h), parts, [Top((-w / 2, -d / 2), (w / 2, y), h, 0.3)], front=0.5)


def kitchen_run(rng: Rng, w: float) -> Item:
    """Base cabinets under a counter top with a sunk sink, and wall cabinets above."""
    d, h = 0.62, rng.uniform(0.87, 0.93)
    material, label = body_material(rng), "cabinet"
    units = max(2, round(w / 0.55))
    face, back, deep, slab = d / 2 - 0.035, -d / 2, 0.17, h - 0.04
    wide = min(rng.choice([0.26, 0.4]), w / 4)
    sx = float(np.clip(rng.uniform(-w / 2, w / 2), -w / 2 + wide + 0.05, w / 2 - wide - 0.05))
    a, b = sx - wide - 0.02, sx + wide + 0.02
    parts = [
        box((-w / 2 + 0.01, back + 0.01, 0.0), (w / 2 - 0.01, face - 0.05, 0.1), label, "black0"),
        box((-w / 2, back, 0.1), (a, face, slab), label, material),
        box((b, back, 0.1), (w / 2, face, slab), label, material),
        box((a, back, 0.1), (b, face, h - deep - 0.01), label, material),
        box((a, face - 0.02, h - deep - 0.01), (b, face, slab), label, material),
    ]
    if rng.random() < 0.5:
        parts += fronts(-w / 2, w / 2, face, 0.105, h - 0.06, units, 1, label, material, rng)
    else:  # a row of drawers above the doors
        parts += fronts(-w / 2, w / 2, face, 0.105, h - 0.22, units, 1, label, material, rng)
        parts += fronts(-w / 2, w / 2, face, h - 0.215, h - 0.06, units, 1, label, material, rng)
    stone = rng.choice(["stone0", "stone1", "wood2", "ceramic1"])
    bowls = [(sx, wide)] if wide < 0.3 else [(sx - wide / 2, wide / 2), (sx + wide / 2, wide / 2)]
    ry, y = 0.19, 0.03
    parts += holed(
        (-w / 2, w / 2), (back, d / 2), (slab, h), [hole_of(x, y, r, ry) for x, r in bowls], "counter", stone
    )
    metal = rng.choice(["steel0", "steel0", "ceramic0"])
    for x, r in bowls:
        parts += sunk(x, y, h, r, ry, deep, metal)
    parts += tap(sx, y - ry - 0.03, h, rng.uniform(0.2, 0.32), 0.17)
    parts.append(box((-w / 2, back, h), (w / 2, back + 0.015, h + rng.choice([0.06, 0.5])), "wall", "tile0"))
    z0, z1, upper = h + 0.52, h + 0.52 + rng.uniform(0.55, 0.75), 0.34
    if rng.random() < 0.8:
        for part in storage(rng, label, w, upper, z1 - z0, units, 1, material, plinth=0.002).parts:
            parts += move([part], 0.0, (0.0, back + upper / 2, z0))
    else:
        z1 = h + 0.3
    spans = [(-w / 2, a - 0.03), (b + 0.03, w / 2)]
    tops = [Top((p, back + 0.03), (q, d / 2), h, 0.45) for p, q in spans if q - p > 0.25]
    return wrap(parts, tops, front=0.8)


def radiator(rng: Rng) -> Item:
    """A panel radiator with fins, standing on feet."""
    w, h = rng.uniform(0.6, 1.1), rng.uniform(0.5, 0.65)
    parts = [box((-w / 2, -0.04, 0.1), (w / 2, 0.03, h), "otherfurniture", "white0")]
    for x in np.arange(-w / 2 + 0.04, w / 2 - 0.04, 0.06):
        parts.append(box((x, 0.03, 0.12), (x + 0.035, 0.045, h - 0.02), "otherfurniture", "white0"))
    for x in (-w / 2 + 0.08, w / 2 - 0.1):
        parts.append(box((x, -0.02, 0.0), (x + 0.02, 0.02, 0.1), "otherfurniture", "white0"))
    return Item((w, 0.1, h), parts)
