"""Procedural cabinets, shelves and kitchen furniture with real sizes in metres."""

from __future__ import annotations

import numpy as np

from umadapt.scenes.furniture import Rng, body_material, fronts, pick
from umadapt.scenes.shapes import Item, Part, Top, box, cylinder, frustum


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
    parts += fronts(-w / 2, w / 2, face, plinth + 0.005, h - 0.02, columns, rows, label, material)
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
    """A tall cabinet with doors."""
    w = rng.uniform(0.8, 1.6)
    return storage(rng, "cabinet", w, rng.uniform(0.5, 0.62), rng.uniform(1.8, 2.15), 2 if w < 1.2 else 3, 1)


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
    """An open case with shelves, each partly filled with books and a few other things."""
    w, d, h = rng.uniform(0.6, 1.2), rng.uniform(0.27, 0.34), rng.uniform(1.2, 2.1)
    material, t = body_material(rng), 0.022
    parts = [
        box((-w / 2, -d / 2, 0.0), (-w / 2 + t, d / 2, h), "bookshelf", material),
        box((w / 2 - t, -d / 2, 0.0), (w / 2, d / 2, h), "bookshelf", material),
        box((-w / 2 + t, -d / 2, 0.0), (w / 2 - t, -d / 2 + 0.01, h), "bookshelf", material),
        box((-w / 2 + t, -d / 2 + 0.01, h - t), (w / 2 - t, d / 2 - 0.002, h), "bookshelf", material),
    ]
    count = max(3, round(h / rng.uniform(0.3, 0.38)))
    pitch = (h - t - 0.06) / count
    for k in range(count):
        z = 0.06 + k * pitch
        parts.append(
            box((-w / 2 + t, -d / 2 + 0.01, z - t), (w / 2 - t, d / 2 - 0.004, z), "bookshelf", material),
        )
        x0, x1 = -w / 2 + t + 0.005, w / 2 - t - 0.005
        filled = x0 + (x1 - x0) * rng.choice([0.0, 0.4, 0.7, 0.9, 1.0], p=[0.1, 0.2, 0.3, 0.25, 0.15])
        parts += book_row(rng, x0, filled, -d / 2 + 0.012, d / 2 - 0.03, z, pitch - t - 0.02)
        if x1 - filled > 0.2 and rng.random() < 0.7:
            parts += _shelf_prop(rng, (filled + x1) / 2, z, min(0.1, (x1 - filled) / 2 - 0.02), pitch - t - 0.02)
    return Item((w, d, h), parts, [Top((-w / 2, -d / 2), (w / 2, d / 2), h)], front=0.5)


def _shelf_prop(rng: Rng, x: float, z: float, r: float, room: float) -> list[Part]:
    h = min(rng.uniform(0.12, 0.24), room)
    if rng.random() < 0.5:
        return [frustum((x, 0.0, z), r * 0.6, r * 0.9, h, "otherprop", pick(rng, "plastic", 4))]
    return [box((x - r, -r, z), (x + r, r, z + h), "box", pick(rng, "card", 2))]


def book_row(rng: Rng, x0: float, x1: float, y0: float, y1: float, z: float, room: float) -> list[Part]:
    """Standing books from x0 to x1, spines towards +y, no taller than `room`."""
    parts, x, run = [], x0, pick(rng, "book", 8)
    while True:
        width = rng.uniform(0.018, 0.05)
        if x + width > x1:
            return parts
        if rng.random() < 0.7:  # sets of equal volumes break the confetti
            run = pick(rng, "book", 8)
        height, depth = min(rng.uniform(0.18, 0.3), room), rng.uniform(0.14, 0.22)
        back = max(y0, y1 - depth)
        front = y1 - rng.uniform(0.0, 0.02)
        parts.append(box((x, back, z), (x + width - 0.001, front, z + height), "books", run))
        x += width + (rng.uniform(0.03, 0.1) if rng.random() < 0.05 else 0.0)


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
    """Base cabinets under a counter top with a sink, and wall cabinets above."""
    d, h = 0.62, rng.uniform(0.87, 0.93)
    material = body_material(rng)
    units = max(2, round(w / 0.55))
    base = storage(rng, "cabinet", w, d, h - 0.04, units, 1, material, plinth=0.1)
    parts = list(base.parts)
    parts.append(box((-w / 2, -d / 2, h - 0.04), (w / 2, d / 2, h), "counter", pick(rng, "stone", 2)))
    parts.append(box((-w / 2, -d / 2, h), (w / 2, -d / 2 + 0.02, h + rng.uniform(0.05, 0.5)), "wall", "tile0"))
    sx = rng.uniform(-w / 2 + 0.4, w / 2 - 0.4)
    parts += _sink(sx, h)
    z0, z1, upper = h + 0.52, h + 0.52 + rng.uniform(0.55, 0.75), 0.34
    if rng.random() < 0.8:
        for part in storage(rng, "cabinet", w, upper, z1 - z0, units, 1, material, plinth=0.002).parts:
            shift = np.array([0.0, -d / 2 + upper / 2, z0])
            parts.append(Part(part.vertices + shift, part.faces, part.uv, part.label, part.material))
    spans = [(-w / 2, sx - 0.32), (sx + 0.32, w / 2)]
    tops = [Top((a, -d / 2 + 0.03), (b, d / 2), h, 0.45) for a, b in spans if b - a > 0.25]
    return Item((w, d, z1), parts, tops, front=0.8)


def _sink(x: float, h: float) -> list[Part]:
    rim, steel = 0.26, "steel0"
    parts = [box((x - rim, -0.2, h), (x + rim, 0.22, h + 0.006), "sink", steel)]
    # The bowl is drawn as a dark inset plate: hollowing out the counter would need a cut mesh.
    parts.append(box((x - rim + 0.04, -0.16, h + 0.006), (x + rim - 0.04, 0.18, h + 0.008), "sink", "metal0"))
    parts.append(cylinder((x, -0.24, h), 0.016, 0.24, "sink", steel))
    parts.append(box((x - 0.014, -0.24, h + 0.22), (x + 0.014, -0.06, h + 0.245), "sink", steel))
    return parts


def radiator(rng: Rng) -> Item:
    """A panel radiator with fins, standing on feet."""
    w, h = rng.uniform(0.6, 1.1), rng.uniform(0.5, 0.65)
    parts = [box((-w / 2, -0.04, 0.1), (w / 2, 0.03, h), "otherstructure", "white0")]
    for x in np.arange(-w / 2 + 0.04, w / 2 - 0.04, 0.06):
        parts.append(box((x, 0.03, 0.12), (x + 0.035, 0.045, h - 0.02), "otherstructure", "white0"))
    for x in (-w / 2 + 0.08, w / 2 - 0.1):
        parts.append(box((x, -0.02, 0.0), (x + 0.02, 0.02, 0.1), "otherstructure", "white0"))
    return Item((w, 0.1, h), parts)
