"""What hangs on walls and belongs to the building; and, under one name, all other makers that rooms draw from.

Things for walls have z = 0 at their lower edge and their back at y = -depth / 2.
"""

from __future__ import annotations

import numpy as np

from umadapt.scenes.makers.appliances import (  # fmt: skip
    appliance,
    island,
    kettle,
    laptop,
    microwave,
    printer,
    range_hood,
    stove,
    telephone,
)
from umadapt.scenes.makers.boards import (  # fmt: skip
    blackboard,
    mirror,
    notice_board,
    projector_screen,
    television_wall,
    wall_clock,
)
from umadapt.scenes.makers.forms import Rng, blob, lathe, limb, pick, turned, wrap
from umadapt.scenes.makers.lamps import desk_lamp, pendant
from umadapt.scenes.makers.people import person
from umadapt.scenes.makers.seats import bench, ottoman, stool
from umadapt.scenes.makers.shelving import box_pile, display_rack, rack, wall_shelf
from umadapt.scenes.makers.sofas import armchair
from umadapt.scenes.makers.soft import backpack, basket, clothes, clothes_pile, shopping_bag, suitcase, toy
from umadapt.scenes.shapes import Item, Part, Top, box, curtain, move

__all__ = [
    "air_conditioner", "appliance", "armchair", "backpack", "basket", "beam", "bench", "blackboard", "blinds",
    "box_pile", "clothes", "clothes_pile", "column", "desk_lamp", "display_rack", "fireplace", "island", "kettle",
    "laptop", "microwave", "mirror", "net_curtain", "notice_board", "ottoman", "paper_stack", "pendant",
    "person", "piano", "printer",
    "projector_screen", "rack", "range_hood", "shopping_bag", "socket", "stool", "stove", "suitcase", "switch",
    "telephone", "television_wall", "toy", "wall_clock", "wall_shelf",
]  # fmt: skip


def blinds(rng: Rng, w: float, h: float) -> Item:
    """A blind w wide and h high: venetian slats, a roller's sheet (partly down), or vertical strips."""
    label, material, kind = "blinds", rng.choice(["blind0", "blind0", "blind1", "white0", "wood0"]), rng.integers(4)
    parts = [box((-w / 2, -0.03, h - 0.045), (w / 2, 0.03, h), label, material)]
    if kind <= 1:
        pitch, closed = rng.uniform(0.028, 0.05), rng.uniform(10, 75)
        low = rng.choice([0.0, 0.0, rng.uniform(0.0, 0.6)]) * h  # how far it is drawn up
        wide = pitch * 1.15
        for z in np.arange(h - 0.06 - pitch / 2, low + 0.03, -pitch):
            slat = box((-w / 2 + 0.01, -wide / 2, -0.001), (w / 2 - 0.01, wide / 2, 0.001), label, material)
            parts += move([turned(slat, -closed, axis=0)], 0.0, (0.0, 0.0, float(z)))
        parts.append(box((-w / 2 + 0.008, -0.018, low), (w / 2 - 0.008, 0.018, low + 0.025), label, material))
        for x in (-w / 2 + 0.15, w / 2 - 0.15):
            parts.append(box((x - 0.003, 0.016, low + 0.02), (x + 0.003, 0.0185, h - 0.045), label, "white0"))
        if low:  # the string that draws it reaches down
            parts.append(
                limb((w / 2 - 0.06, 0.025, 0.0), (w / 2 - 0.06, 0.025, h - 0.04), 0.003, 0.003, label, "white0", 4)
            )
        return wrap(parts)
    if kind == 2:
        low = rng.choice([0.0, rng.uniform(0.1, 0.6)]) * h
        sheet = rng.choice([material, pick(rng, "curtain", 2)])
        parts.append(limb((-w / 2 + 0.005, 0, h - 0.06), (w / 2 - 0.005, 0, h - 0.06), 0.025, 0.025, label, sheet, 10))
        parts.append(box((-w / 2 + 0.01, 0.018, low + 0.02), (w / 2 - 0.01, 0.0205, h - 0.06), label, sheet))
        parts.append(box((-w / 2 + 0.01, 0.012, low), (w / 2 - 0.01, 0.026, low + 0.022), label, material))
        parts.append(
            limb((w / 2 - 0.04, 0.028, 0.0), (w / 2 - 0.04, 0.028, h - 0.05), 0.003, 0.003, label, "white0", 4)
        )
        return wrap(parts)
    strip, turn = 0.09, rng.uniform(15, 70)
    count = max(2, int((w - 0.04) / (strip * 0.92)))
    for k in range(count):
        x = (k - (count - 1) / 2) * (w - 0.1) / max(count - 1, 1)
        one = box((-strip / 2, -0.001, 0.0), (strip / 2, 0.001, h - 0.05), label, material)
        parts += move([one], float(turn), (x, 0.0, 0.0))
    return wrap(parts)


def air_conditioner(rng: Rng) -> Item:
    """A split unit high on a wall (otherstructure)."""
    w, h, d, label = rng.uniform(0.7, 0.95), rng.uniform(0.26, 0.32), 0.2, "otherstructure"
    parts = [
        blob((0, d / 2, h / 2), (w, d, h), label, "white0", 0.16, 6, 16),
        box((-w / 2 + 0.05, d - 0.03, 0.02), (w / 2 - 0.05, d + 0.002, 0.06), label, "black0"),
        box((-w / 2 + 0.05, d - 0.03, 0.075), (w / 2 - 0.05, d + 0.001, 0.08), label, "black0"),
    ]
    return wrap(parts)


def socket(rng: Rng) -> Item:
    """A wall socket (otherprop)."""
    s, label = rng.uniform(0.075, 0.085), "otherprop"
    hole = turned(lathe([(0.0, 0.0), (0.02, 0.0), (0.02, 0.001), (0.0, 0.001)], label, "black0", n=12), -90, axis=0)
    parts = [box((-s / 2, 0.0, 0.0), (s / 2, 0.01, s), label, "white0"), *move([hole], 0.0, (0.0, 0.01, s / 2))]
    if rng.random() < 0.5:
        parts += move(list(parts), 0.0, (s + 0.001, 0.0, 0.0))
    return wrap(parts)


def switch(rng: Rng) -> Item:
    """A light switch (NYU40: otherstructure)."""
    s, label = rng.uniform(0.07, 0.085), "otherstructure"
    parts = [
        box((-s / 2, 0.0, 0.0), (s / 2, 0.008, s * 1.3), label, "white0"),
        box((-s / 5, 0.008, s * 0.3), (s / 5, 0.014, s), label, "white0"),
    ]
    return wrap(parts)


def column(rng: Rng, h: float = 2.5) -> Item:
    """A round or square pillar of height h (NYU40: otherstructure); square ones may look like the wall."""
    r = rng.uniform(0.13, 0.22)
    if rng.random() < 0.5:
        return wrap(
            [
                lathe(
                    [(0.0, 0.0), (r, 0.0), (r, h), (0.0, h)],
                    "otherstructure",
                    rng.choice(["wall0", "concrete0", "wood0"]),
                    n=24,
                )
            ]
        )
    return wrap([box((-r, -r, 0.0), (r, r, h), "wall", rng.choice(["wall0", "wall0", "brick0"]))])


def beam(rng: Rng, w: float) -> Item:
    """A boxed beam of length w for the ceiling, labelled wall; z = 0 is its lower face."""
    d, h = rng.uniform(0.2, 0.35), rng.uniform(0.18, 0.32)
    return wrap([box((-w / 2, -d / 2, 0.0), (w / 2, d / 2, h), "wall", rng.choice(["wall0", "wood0", "trim0"]))])


def fireplace(rng: Rng) -> Item:
    """A fireplace with hearth, jambs, mantel and dark recess (otherstructure)."""
    w, h, d, label = rng.uniform(1.2, 1.6), rng.uniform(1.0, 1.25), rng.uniform(0.3, 0.4), "otherstructure"
    material, jamb, lintel = rng.choice(["brick0", "brick0", "trim0", "stone0"]), rng.uniform(0.22, 0.32), 0.28
    x, top = w / 2 - 0.06, h - 0.06
    parts = [
        box((-w / 2 - 0.1, -d / 2, 0.0), (w / 2 + 0.1, d / 2 + 0.25, 0.05), label, rng.choice(["stone0", "brick0"])),
        box((-x, -d / 2, 0.05), (-x + jamb, d / 2, top), label, material),
        box((x - jamb, -d / 2, 0.05), (x, d / 2, top), label, material),
        box((-x + jamb, -d / 2, top - lintel), (x - jamb, d / 2 - 0.001, top), label, material),
        box((-x + jamb, -d / 2, 0.05), (x - jamb, -d / 2 + 0.03, top - lintel), label, "black0"),
        box(
            (-w / 2 - 0.04, -d / 2, top),
            (w / 2 + 0.04, d / 2 + 0.07, h),
            label,
            rng.choice([material, "wood0", "trim0"]),
        ),
    ]
    for k in range(3):
        y = -0.08 + 0.07 * k
        a, b = (-0.2, y, 0.12 + 0.02 * (k % 2)), (0.2, y + 0.02, 0.13)
        parts.append(limb(a, b, 0.045, 0.04, label, "wood1", 8))
    for s in (-1, 1):
        parts.append(box((s * 0.14 - 0.01, -0.12, 0.05), (s * 0.14 + 0.01, 0.12, 0.085), label, "black0"))
    return wrap(parts, [Top((-w / 2, -d / 2), (w / 2, d / 2), h, 0.6)], front=0.4)


def piano(rng: Rng) -> Item:
    """An upright piano with keys, music desk and pedals (otherfurniture)."""
    w, h, d, label = rng.uniform(1.4, 1.52), rng.uniform(1.08, 1.28), 0.6, "otherfurniture"
    material, back = rng.choice(["black0", "wood0", "wood1"]), -d / 2
    face, deck = back + 0.3, 0.62
    parts = [
        box((-w / 2, back, 0.0), (w / 2, face, h - 0.03), label, material),
        box((-w / 2 - 0.01, back, h - 0.03), (w / 2 + 0.01, face + 0.02, h), label, material),
        box((-w / 2 + 0.05, face, deck), (w / 2 - 0.05, d / 2 - 0.03, deck + 0.06), label, material),
        box((-w / 2 + 0.1, face, deck + 0.06), (w / 2 - 0.1, d / 2 - 0.045, deck + 0.08), label, "white0"),
        box((-w / 2 + 0.09, face + 0.0005, deck + 0.06), (w / 2 - 0.09, face + 0.025, deck + 0.13), label, material),
        box((-0.35, face, h - 0.34), (0.35, face + 0.02, h - 0.1), label, material),
        box((-0.12, face, 0.03), (0.12, face + 0.02, 0.14), label, material),
    ]
    keys = int((w - 0.24) / 0.047)
    for k in range(keys):
        if k % 7 not in (2, 6):
            x = -w / 2 + 0.14 + k * 0.047
            parts.append(
                box((x - 0.009, face + 0.02, deck + 0.0795), (x + 0.009, face + 0.14, deck + 0.092), label, "black0")
            )
    for s in (-1, 1):
        a, b = sorted((s * w / 2, s * (w / 2 - 0.06)))
        parts.append(box((a + 0.001, face, deck - 0.02), (b - 0.001, d / 2, deck + 0.13), label, material))
        parts.append(box((a + 0.004, d / 2 - 0.09, 0.0), (b - 0.004, d / 2 - 0.03, deck - 0.02), label, material))
    for k in (-1, 0, 1):
        parts.append(box((k * 0.06 - 0.012, face + 0.02, 0.05), (k * 0.06 + 0.012, face + 0.1, 0.06), label, "metal0"))
    return wrap(parts, [Top((-w / 2, back), (w / 2, face), h, 0.5)], front=0.5)


def paper_stack(rng: Rng) -> Item:
    """A pile of papers, slipping, or straight in a tray."""
    parts: list[Part] = []
    z, slip = 0.0, 14.0
    if rng.random() < 0.3:
        z, slip = 0.005, 2.0
        parts.append(box((-0.125, -0.165, 0.0), (0.125, 0.165, z), "otherprop", "black0"))
        for x in (-0.125, 0.121):
            parts.append(box((x, -0.165, z), (x + 0.004, 0.165, 0.06), "otherprop", "black0"))
    for _ in range(int(rng.integers(2, 8))):
        t = rng.uniform(0.002, 0.012)
        sheet = box((-0.105, -0.148, 0.0), (0.105, 0.148, t), "paper", pick(rng, "paper", 2))
        parts += move([sheet], rng.uniform(-slip, slip), (0.0, 0.0, z))
        z += t
    return wrap(parts)


def net_curtain(rng: Rng, w: float, h: float) -> Item:
    """A thin straight curtain over the whole width; z = 0 is its lower edge."""
    sheet = curtain(w, h, max(4, round(w / rng.uniform(0.08, 0.14))), "curtain", "curtain1")
    return wrap([sheet])
