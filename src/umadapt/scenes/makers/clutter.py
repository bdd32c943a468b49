"""Small objects for tops of furniture and floors, lamps, and what hangs on walls; sizes in metres."""

from __future__ import annotations

import numpy as np

from umadapt.scenes.makers.boards import picture, whiteboard
from umadapt.scenes.makers.forms import Rng, lathe, loft, path, pick, rim, ring, wrap
from umadapt.scenes.makers.lamps import ceiling_lamp, floor_lamp, table_lamp
from umadapt.scenes.makers.plants import plant
from umadapt.scenes.makers.shelving import book_row, book_stack, carton, pot
from umadapt.scenes.shapes import Item, Part, box, curtain, cylinder, move, upright

__all__ = [
    "bag", "bin_", "book_pile", "carton", "ceiling_lamp", "curtain_pair", "door", "floor_lamp", "keyboard", "monitor",
    "papers", "picture", "plant", "rug", "table_lamp", "television", "vessel", "whiteboard", "window",
]  # fmt: skip


def book_pile(rng: Rng) -> Item:
    """A few books lying on each other, or standing in a short row."""
    if rng.random() < 0.4:
        w = rng.uniform(0.12, 0.3)
        return wrap(book_row(rng, -w / 2, w / 2, -0.1, 0.1, 0.0, 0.28) or book_stack(rng, 0.0, 0.0, 0.0, 0.3, 2))
    return wrap(book_stack(rng, 0.0, 0.0, 0.0, 0.3))


def vessel(rng: Rng) -> Item:
    """A mug, vase, bowl, jug, bottle, can, plate or figurine."""
    kind = rng.integers(5)
    if kind <= 1:
        return wrap(pot(rng, 0.0, 0.0, 0.0, rng.uniform(0.04, 0.08), 0.35))
    material, r = rng.choice([pick(rng, "plastic", 4), "ceramic0"]), rng.uniform(0.034, 0.046)
    if kind == 2:  # a mug with its handle
        h = rng.uniform(0.08, 0.11)
        parts = [lathe(rim([(r, 0.0), (r * 1.02, h)], 0.004), "otherprop", material, n=16)]
        points = [(r * 0.97, 0, h * 0.8), (r * 1.6, 0, h * 0.7), (r * 1.6, 0, h * 0.3), (r * 0.97, 0, h * 0.2)]
        return wrap(parts + path(points, 0.005, "otherprop", material, 5))
    if kind == 3:  # a bottle
        h = rng.uniform(0.18, 0.3)
        body = [(0.0, 0.0), (r, 0.0), (r, h * 0.55), (r * 0.35, h * 0.75), (r * 0.35, h), (0.0, h)]
        return wrap([lathe(body, "otherprop", rng.choice([material, "leaf0", "screen0"]), n=14)])
    r = rng.uniform(0.09, 0.14)  # a plate or a flat dish
    dish = [(0.0, 0.0), (r * 0.6, 0.0), (r, 0.02), (r * 0.97, 0.024), (r * 0.6, 0.008), (0.0, 0.008)]
    return wrap([lathe(dish, "otherprop", material, n=20)])


def monitor(rng: Rng, label: str = "otherprop", w: float = 0.0) -> Item:
    """A flat screen on a foot: a monitor (otherprop in NYU40) or a television."""
    w = w or rng.uniform(0.42, 0.64)
    h, foot = w * rng.uniform(0.56, 0.64), 0.05 if label == "television" else rng.uniform(0.08, 0.14)
    case, screen = rng.choice(["black0", "black0", "metal0"]), "screen1" if rng.random() < 0.35 else "screen0"
    parts = [
        box((-w / 2, -0.02, foot), (w / 2, 0.015, foot + h), label, case),
        upright(box((-w / 2 + 0.015, 0.015, foot + 0.02), (w / 2 - 0.015, 0.017, foot + h - 0.015), label, screen)),
        box((-w * 0.3, -0.045, foot + 0.1 * h), (w * 0.3, -0.02, foot + 0.8 * h), label, case),
        box((-0.03, -0.06, 0.01), (0.03, -0.04, foot + h * 0.5), label, case),
        box((-w * 0.2, -0.1, 0.0), (w * 0.2, 0.1, 0.012), label, case),
    ]
    return wrap(parts)


def television(rng: Rng) -> Item:
    """A flat television on its foot; now and then an old one with a tube."""
    if rng.random() < 0.75:
        return monitor(rng, "television", rng.uniform(0.7, 1.3))
    w, h, label = rng.uniform(0.5, 0.75), rng.uniform(0.42, 0.55), "television"
    case = rng.choice(["black0", "metal0"])
    tube = np.array(
        [
            [[x * s, y, h / 2 + z * s] for x, z in ((-w / 2, -h / 2), (w / 2, -h / 2), (w / 2, h / 2), (-w / 2, h / 2))]
            for s, y in ((0.55, -0.2), (0.95, 0.05))
        ]
    )
    tube[:, :2, 2] = 0.0
    parts = [
        loft(tube, label, case),
        box((-w / 2, 0.05, 0.0), (w / 2, 0.2, h), label, case),
        upright(box((-w / 2 + 0.04, 0.2, 0.08), (w / 2 - 0.04, 0.202, h - 0.04), label, "screen0")),
    ]
    return wrap(parts)


def keyboard(rng: Rng) -> Item:
    """A keyboard with a row of keys hinted at."""
    parts = [box((-0.22, -0.07, 0.0), (0.22, 0.07, 0.015), "otherprop", "black0")]
    parts.append(box((-0.21, -0.06, 0.015), (0.21, 0.06, 0.02), "otherprop", rng.choice(["plastic0", "white0"])))
    return Item((0.44, 0.14, 0.02), parts)


def papers(rng: Rng) -> Item:
    """A small stack of sheets."""
    parts, h = [], 0.0
    for _ in range(int(rng.integers(1, 4))):
        sheet = box((-0.105, -0.148, h), (0.105, 0.148, h + 0.004), "paper", pick(rng, "paper", 2))
        parts += move([sheet], rng.uniform(-15, 15), (0, 0, 0))
        h += 0.004
    return Item((0.3, 0.36, h), parts)


def bin_(rng: Rng) -> Item:
    """A waste-paper bin, open at the top, or a kitchen bin with a lid (NYU40: otherfurniture)."""
    r, label = rng.uniform(0.11, 0.16), "otherfurniture"
    material = rng.choice([pick(rng, "plastic", 4), "black0", "steel0", "wicker0"])
    if rng.random() < 0.7:
        h, n = rng.uniform(0.25, 0.4), int(rng.choice([4, 18]))
        parts = [lathe(rim([(r * 0.75, 0.0), (r, h)], 0.006), label, material, n=n)]
        if rng.random() < 0.4:  # its liner
            parts.append(
                lathe(
                    [(0.0, h * 0.3), (r * 0.8, h * 0.4), (r * 0.9, h * 0.6), (0.0, h * 0.7)],
                    label,
                    "white0",
                    n=12,
                    waves=(5, 0.1),
                )
            )
        return wrap(parts)
    h = rng.uniform(0.45, 0.7)
    parts = [lathe([(0.0, 0.0), (r * 0.95, 0.0), (r, h * 0.85), (0.0, h * 0.85)], label, material, n=18)]
    parts.append(
        lathe(
            [(0.0, h * 0.85), (r * 1.03, h * 0.85), (r * 0.9, h * 0.95), (0.0, h)],
            label,
            rng.choice([material, "black0"]),
            n=18,
        )
    )
    return wrap(parts)


def bag(rng: Rng) -> Item:
    """A soft bag standing on the floor, slack at its top, with its handles."""
    w, d, h, material = rng.uniform(0.3, 0.5), rng.uniform(0.15, 0.24), rng.uniform(0.24, 0.38), pick(rng, "cloth", 6)
    levels = [(0.8, 0.8, 0.0), (1.0, 1.0, 0.03), (1.0, 0.95, h * 0.5), (0.9, 0.6, h * 0.85), (0.8, 0.25, h)]
    rings = [np.column_stack([ring(w / 2 * a, d / 2 * b, 18, 0.5), np.full(18, z)]) for a, b, z in levels]
    rings[-1][:, 2] -= 0.05 * np.abs(rings[-1][:, 0]) / w
    parts = [loft(np.array(rings), "bag", material)]
    strap = rng.choice([material, "black0"])
    for y in (-d * 0.2, d * 0.2):
        a, lift = w * 0.2, h + rng.uniform(0.05, 0.14)
        points = [(-a, y * 1.6, h * 0.7), (-a * 0.7, y * 0.5, lift), (a * 0.7, y * 0.5, lift), (a, y * 1.6, h * 0.7)]
        parts += path(points, 0.01, "bag", strap, 6)
    return wrap(parts)


def rug(rng: Rng, w: float, d: float) -> Item:
    """A flat rug."""
    return Item((w, d, 0.01), [box((-w / 2, -d / 2, 0.0), (w / 2, d / 2, 0.01), "floor_mat", pick(rng, "rug", 2))])


def door(rng: Rng) -> Item:
    """A closed door leaf with casing and handle."""
    w, h, casing = rng.uniform(0.78, 0.92), rng.uniform(1.98, 2.1), 0.07
    leaf = rng.choice(["door0", "door0", "wood1"])
    total, y = w + 2 * casing, 0.04
    parts = [
        box((-w / 2, -y, 0.0), (w / 2, 0.0, h), "door", leaf),
        box((-total / 2, -y, 0.0), (-w / 2, 0.02, h + casing), "door", "trim0"),
        box((w / 2, -y, 0.0), (total / 2, 0.02, h + casing), "door", "trim0"),
        box((-w / 2, -y, h), (w / 2, 0.018, h + casing), "door", "trim0"),
    ]
    if rng.random() < 0.6:
        for z0, z1 in ((0.15, 0.9), (1.05, h - 0.15)):
            parts.append(box((-w / 2 + 0.13, 0.0, z0), (w / 2 - 0.13, 0.008, z1), "door", leaf))
    side = rng.choice([-1, 1]) * (w / 2 - 0.07)
    parts.append(cylinder((side, 0.02, 1.0), 0.012, 0.03, "door", "metal0"))
    parts.append(box((side - 0.055, 0.0, 1.0), (side + 0.055, 0.04, 1.02), "door", "metal0"))
    return Item((total, 2 * y, h + casing), parts, front=0.8)


def window(rng: Rng, w: float, h: float) -> Item:
    """A framed window with mullions; the pane glows with daylight. z = 0 is the lower edge of the frame."""
    t, mullions = 0.06, int(rng.integers(0, 3))
    parts = [
        box((-w / 2, -0.03, 0.0), (w / 2, 0.03, t), "window", "trim0"),
        box((-w / 2, -0.03, h - t), (w / 2, 0.03, h), "window", "trim0"),
        box((-w / 2, -0.03, t), (-w / 2 + t, 0.029, h - t), "window", "trim0"),
        box((w / 2 - t, -0.03, t), (w / 2, 0.029, h - t), "window", "trim0"),
        upright(box((-w / 2 + t, -0.03, t), (w / 2 - t, -0.015, h - t), "window", "pane0")),
    ]
    for k in range(mullions):
        x = -w / 2 + w * (k + 1) / (mullions + 1)
        parts.append(box((x - 0.02, -0.014, t), (x + 0.02, 0.025, h - t), "window", "trim0"))
    if rng.random() < 0.4:
        z = h * rng.uniform(0.55, 0.7)
        parts.append(box((-w / 2 + t, -0.014, z - 0.018), (w / 2 - t, 0.022, z + 0.018), "window", "trim0"))
    return Item((w, 0.06, h), parts)


def curtain_pair(rng: Rng, w: float, bottom: float, h: float) -> list[Part]:
    """Two drawn-back curtains and their rod, centred on x = 0, from z = bottom to h."""
    panel, material = rng.uniform(0.25, 0.45), pick(rng, "curtain", 2)
    folds = max(3, round(panel / 0.09))
    parts: list[Part] = []
    for s in (-1, 1):
        sheet = curtain(panel, h - bottom, folds, "curtain", material)
        parts += move([sheet], 0.0, (s * (w / 2 - panel / 2), 0.0, bottom))
    parts.append(box((-w / 2 - 0.02, -0.012, h), (w / 2 + 0.02, 0.012, h + 0.024), "curtain", "metal0"))
    return parts
