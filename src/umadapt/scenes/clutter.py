"""Small objects for tops of furniture and floors, lamps, and what hangs on walls; sizes in metres."""

from __future__ import annotations

import numpy as np

from umadapt.scenes.furniture import Rng, pick
from umadapt.scenes.shapes import Item, Part, box, curtain, cushion, cylinder, frustum, move, tilt, upright
from umadapt.scenes.storage import book_row


def carton(rng: Rng, big: bool = False) -> Item:
    """A cardboard or storage box."""
    low, high = (0.25, 0.55) if big else (0.1, 0.24)
    w, d, h = rng.uniform(low, high), rng.uniform(low, high), rng.uniform(low * 0.6, high * 0.8)
    material = pick(rng, "card", 2)
    parts = [box((-w / 2, -d / 2, 0), (w / 2, d / 2, h), "box", material)]
    if rng.random() < 0.5:
        parts.append(box((-0.025, -d / 2 - 0.001, h * 0.7), (0.025, d / 2 + 0.001, h + 0.001), "box", "paper0"))
    return Item((w + 0.004, d + 0.004, h), parts)


def book_pile(rng: Rng) -> Item:
    """A few books lying on each other, or standing in a short row."""
    if rng.random() < 0.4:
        w = rng.uniform(0.12, 0.3)
        parts = book_row(rng, -w / 2, w / 2, -0.1, 0.1, 0.0, 0.28)
        return Item((w, 0.22, 0.28), parts)
    parts, z = [], 0.0
    w, d = rng.uniform(0.16, 0.24), rng.uniform(0.2, 0.3)
    for _ in range(int(rng.integers(1, 6))):
        t, s = rng.uniform(0.012, 0.04), rng.uniform(0.75, 1.0)
        one = box((-w / 2 * s, -d / 2 * s, z), (w / 2 * s, d / 2 * s, z + t), "books", pick(rng, "book", 8))
        parts += move([one], rng.uniform(-12, 12), (0, 0, 0))
        z += t
    return Item((w + 0.08, d + 0.08, z), parts)


def vessel(rng: Rng) -> Item:
    """A mug, vase, bottle or bowl."""
    kind = rng.integers(4)
    r, h, top = [(0.04, 0.1, 1.0), (0.05, 0.25, 1.4), (0.035, 0.2, 1.0), (0.06, 0.08, 2.0)][kind]
    r, h = r * rng.uniform(0.8, 1.3), h * rng.uniform(0.8, 1.2)
    material = rng.choice([pick(rng, "plastic", 4), "white0"])
    parts = [frustum((0, 0, 0), r, r * top, h, "otherprop", material)]
    if kind == 2:
        parts.append(frustum((0, 0, h), r, r * 0.35, 0.04, "otherprop", material))
        parts.append(cylinder((0, 0, h + 0.04), r * 0.35, 0.05, "otherprop", material))
        h += 0.09
    return Item((2.1 * r * top, 2.1 * r * top, h), parts)


def plant(rng: Rng, big: bool = False) -> Item:
    """A pot with a tuft of leaves."""
    r, h = (rng.uniform(0.14, 0.2), rng.uniform(0.7, 1.3)) if big else (rng.uniform(0.05, 0.08), rng.uniform(0.2, 0.35))
    pot = h * 0.32
    parts = [frustum((0, 0, 0), r * 0.75, r, pot, "otherprop", pick(rng, "plastic", 4))]
    reach = 1.7 * r
    for k in range(int(rng.integers(6, 11))):
        lean, turn, length = rng.uniform(4, 32), rng.uniform(0, 360), (h - pot) * rng.uniform(0.7, 1.0)
        length = min(length, reach / max(np.sin(np.radians(lean)), 0.05))
        leaf = cushion((0, 0, pot + length / 2), (length * 0.22, 0.012, length), "otherprop", f"leaf{k % 2}", 1.0)
        parts += move([tilt(leaf, lean, (0, 0, pot))], turn, (0, 0, 0))
    return Item((2 * reach, 2 * reach, h), parts)


def monitor(rng: Rng, label: str = "otherprop", w: float = 0.0) -> Item:
    """A flat screen on a foot: a monitor (otherprop in NYU40) or a television."""
    w = w or rng.uniform(0.45, 0.62)
    h, foot = w * 0.58, 0.05 if label == "television" else 0.1
    parts = [
        box((-w / 2, -0.02, foot), (w / 2, 0.015, foot + h), label, "black0"),
        box((-w / 2 + 0.015, 0.015, foot + 0.02), (w / 2 - 0.015, 0.017, foot + h - 0.015), label, "screen0"),
        box((-0.03, -0.05, 0.01), (0.03, -0.02, foot + h * 0.5), label, "black0"),
        box((-w * 0.2, -0.1, 0.0), (w * 0.2, 0.1, 0.012), label, "black0"),
    ]
    return Item((w, 0.2, foot + h), parts)


def television(rng: Rng) -> Item:
    """A flat television on its foot."""
    return monitor(rng, "television", rng.uniform(0.7, 1.2))


def keyboard(rng: Rng) -> Item:
    """A keyboard with a row of keys hinted at."""
    parts = [box((-0.22, -0.07, 0.0), (0.22, 0.07, 0.015), "otherprop", "black0")]
    parts.append(box((-0.21, -0.06, 0.015), (0.21, 0.06, 0.02), "otherprop", rng.choice(["plastic0", "white0"])))
    return Item((0.44, 0.14, 0.02), parts)


def papers(rng: Rng) -> Item:
    """A small stack of sheets."""
    parts, h = [], 0.0
    for _ in range(int(rng.integers(1, 4))):
        sheet = box((-0.105, -0.148, h), (0.105, 0.148, h + 0.004), "paper", "paper0")
        parts += move([sheet], rng.uniform(-15, 15), (0, 0, 0))
        h += 0.004
    return Item((0.3, 0.36, h), parts)


def table_lamp(rng: Rng) -> Item:
    """A lamp with foot, stem and shade."""
    r, h = rng.uniform(0.1, 0.16), rng.uniform(0.35, 0.55)
    parts = [
        frustum((0, 0, 0), r * 0.6, r * 0.5, 0.03, "lamp", "metal0"),
        cylinder((0, 0, 0.03), 0.015, h * 0.6, "lamp", "metal0"),
        frustum((0, 0, h * 0.55), r, r * 0.65, h * 0.45, "lamp", "shade0"),
    ]
    return Item((2.1 * r, 2.1 * r, h), parts)


def floor_lamp(rng: Rng) -> Item:
    """A standing lamp."""
    r, h = rng.uniform(0.16, 0.22), rng.uniform(1.4, 1.7)
    parts = [
        frustum((0, 0, 0), r * 0.8, r * 0.75, 0.03, "lamp", "metal0"),
        cylinder((0, 0, 0.03), 0.014, h - 0.25, "lamp", "metal0"),
        frustum((0, 0, h - 0.28), r, r * 0.7, 0.28, "lamp", "shade0"),
    ]
    return Item((2.1 * r, 2.1 * r, h), parts)


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


def bin_(rng: Rng) -> Item:
    """A waste-paper bin."""
    r, h = rng.uniform(0.11, 0.16), rng.uniform(0.25, 0.38)
    return Item((2.1 * r, 2.1 * r, h), [frustum((0, 0, 0), r * 0.75, r, h, "otherprop", pick(rng, "plastic", 4))])


def bag(rng: Rng) -> Item:
    """A soft bag standing on the floor."""
    w, d, h = rng.uniform(0.3, 0.42), rng.uniform(0.15, 0.22), rng.uniform(0.28, 0.4)
    return Item((w, d, h), [cushion((0, 0, h / 2), (w, d, h), "bag", pick(rng, "fabric", 5), 0.4)])


def rug(rng: Rng, w: float, d: float) -> Item:
    """A flat rug."""
    return Item((w, d, 0.01), [box((-w / 2, -d / 2, 0.0), (w / 2, d / 2, 0.01), "floor_mat", pick(rng, "rug", 2))])


def picture(rng: Rng) -> Item:
    """A framed picture; its z = 0 is the lower edge, its back lies on the wall."""
    w, h = rng.uniform(0.25, 1.0), rng.uniform(0.25, 0.75)
    frame, t = rng.choice(["black0", pick(rng, "wood", 3), "white0"]), 0.03
    parts = [box((-w / 2, -0.015, 0.0), (w / 2, 0.005, h), "picture", frame)]
    parts.append(upright(box((-w / 2 + t, 0.005, t), (w / 2 - t, 0.009, h - t), "picture", pick(rng, "art", 4))))
    return Item((w, 0.03, h), parts)


def whiteboard(rng: Rng) -> Item:
    """A whiteboard with an aluminium frame."""
    w, h = rng.uniform(1.0, 1.6), rng.uniform(0.8, 1.1)
    parts = [box((-w / 2, -0.015, 0.0), (w / 2, 0.003, h), "whiteboard", "metal0")]
    parts.append(box((-w / 2 + 0.02, 0.003, 0.02), (w / 2 - 0.02, 0.006, h - 0.02), "whiteboard", "white0"))
    return Item((w, 0.03, h), parts)


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
