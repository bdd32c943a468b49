"""Procedural furniture with real sizes in metres; each function draws one piece from `rng`.

Parts that meet touch or sink into each other by a few millimetres, never share a visible plane: coplanar faces of
different parts would make the label of a pixel a matter of rounding.
"""

from __future__ import annotations

import numpy as np

from umadapt.scenes.shapes import Item, Part, Top, box, cushion, cylinder, frustum, tilt

Rng = np.random.Generator


def pick(rng: Rng, family: str, n: int) -> str:
    """One of the n materials of a family: "wood" -> "wood0" … ; a room has few materials, as real ones do."""
    return f"{family}{rng.integers(n)}"


def body_material(rng: Rng) -> str:
    """Wood, or painted wood."""
    return pick(rng, "wood", 3) if rng.random() < 0.7 else pick(rng, "paint", 2)


def top_of(parts: list[Part]) -> float:
    """Height of the highest vertex in metres: leaning cushions reach over what carries them."""
    return max(float(p.vertices[:, 2].max()) for p in parts)


def _legs(w: float, d: float, h: float, thick: float, label: str, material: str, inset: float = 0.0) -> list[Part]:
    x, y = w / 2 - inset - thick, d / 2 - inset - thick
    return [
        box((min(sx * x, sx * (x + thick)), min(sy * y, sy * (y + thick)), 0.0),
            (max(sx * x, sx * (x + thick)), max(sy * y, sy * (y + thick)), h), label, material)
        for sx in (-1, 1) for sy in (-1, 1)
    ]  # fmt: skip


def table(rng: Rng, label: str = "table", w: float = 0.0, d: float = 0.0, h: float = 0.0) -> Item:
    """A dining table by default; `label` and sizes make coffee tables and plain desks of it."""
    w, d, h = w or rng.uniform(1.0, 1.7), d or rng.uniform(0.7, 0.95), h or rng.uniform(0.71, 0.77)
    material, slab = body_material(rng), rng.uniform(0.025, 0.05)
    parts = [box((-w / 2, -d / 2, h - slab), (w / 2, d / 2, h), label, material)]
    if rng.random() < 0.25 and w < 1.4:
        parts.append(cylinder((0, 0, 0.03), 0.05, h - slab - 0.03, label, material))
        parts.append(frustum((0, 0, 0), min(w, d) * 0.32, 0.06, 0.04, label, material))
    else:
        legs = rng.choice(["metal0", material])
        parts += _legs(w, d, h - slab, rng.uniform(0.04, 0.07), label, legs, inset=rng.uniform(0.02, 0.06))
        apron = 0.08
        for y in (-d / 2 + 0.085, d / 2 - 0.105):
            parts.append(box((-w / 2 + 0.1, y, h - slab - apron), (w / 2 - 0.1, y + 0.02, h - slab), label, material))
    return Item((w, d, h), parts, [Top((-w / 2, -d / 2), (w / 2, d / 2), h)])


def coffee_table(rng: Rng) -> Item:
    """A low table with, sometimes, a shelf below."""
    w, d, h = rng.uniform(0.8, 1.2), rng.uniform(0.5, 0.65), rng.uniform(0.36, 0.46)
    item = table(rng, w=w, d=d, h=h)
    if rng.random() < 0.5:
        item.parts.append(
            box((-w / 2 + 0.12, -d / 2 + 0.12, 0.12), (w / 2 - 0.12, d / 2 - 0.12, 0.14), "table", "wood0")
        )
    return item


def desk(rng: Rng) -> Item:
    """A desk with a drawer block under one side."""
    w, d, h = rng.uniform(1.1, 1.6), rng.uniform(0.6, 0.75), rng.uniform(0.72, 0.76)
    material = body_material(rng)
    parts = [box((-w / 2, -d / 2, h - 0.03), (w / 2, d / 2, h), "desk", material)]
    side = rng.choice([-1, 1])
    block = 0.42
    x0, x1 = (-w / 2 + 0.02, -w / 2 + block) if side < 0 else (w / 2 - block, w / 2 - 0.02)
    parts.append(box((x0, -d / 2 + 0.02, 0.0), (x1, d / 2 - 0.04, h - 0.03), "desk", material))
    parts += fronts(x0, x1, d / 2 - 0.04, 0.06, h - 0.04, 1, 3, "desk", material)
    other = -side * (w / 2 - 0.04)
    parts.append(box((other - 0.02, -d / 2 + 0.03, 0.0), (other + 0.02, d / 2 - 0.05, h - 0.03), "desk", material))
    parts.append(box((-w / 2 + 0.05, -d / 2 + 0.03, 0.3), (w / 2 - 0.05, -d / 2 + 0.045, h - 0.03), "desk", material))
    return Item((w, d, h), parts, [Top((-w / 2, -d / 2), (w / 2, d / 2), h, 0.6)], front=0.75)


def fronts(
    x0: float, x1: float, y: float, z0: float, z1: float, columns: int, rows: int, label: str, material: str
) -> list[Part]:
    """Doors or drawer fronts, 1.5 cm proud of the plane y, with gaps and handles."""
    parts, gap = [], 0.008
    for i in range(columns):
        for j in range(rows):
            a, b = (x0 + (x1 - x0) * (i + k) / columns for k in (0, 1))
            c, e = (z0 + (z1 - z0) * (j + k) / rows for k in (0, 1))
            parts.append(box((a + gap, y, c + gap), (b - gap, y + 0.015, e - gap), label, material))
            if e - c > 0.45:  # a door: upright handle near the edge where two doors meet
                x = b - 0.05 if i % 2 == 0 and columns > 1 else a + 0.04
                z = (c + e) / 2
                parts.append(box((x, y + 0.015, z - 0.06), (x + 0.012, y + 0.035, z + 0.06), label, "metal0"))
            else:
                x, z = (a + b) / 2, (c + e) / 2
                parts.append(box((x - 0.06, y + 0.015, z - 0.006), (x + 0.06, y + 0.035, z + 0.006), label, "metal0"))
    return parts


def bed(rng: Rng) -> Item:
    """A bed with frame, headboard, mattress, blanket and pillows; the head is at the back."""
    w = rng.choice([0.95, 1.4, 1.6, 1.8])
    d, h = rng.uniform(2.0, 2.12), rng.uniform(0.45, 0.6)
    material, head = body_material(rng), rng.uniform(0.75, 1.2)
    y0, y1 = -d / 2 + 0.06, d / 2
    sheet, blanket = "white1", pick(rng, "fabric", 5)
    fold = y0 + rng.uniform(0.35, 0.75)
    parts = [
        box((-w / 2, -d / 2, 0.0), (w / 2, y0, head), "bed", material),
        box((-w / 2 + 0.03, y0, 0.0), (w / 2 - 0.03, y1 - 0.03, 0.26), "bed", material),
        box((-w / 2 + 0.015, y0, 0.26), (w / 2 - 0.015, y1 - 0.015, h - 0.015), "bed", sheet),
        box((-w / 2, fold, rng.uniform(0.1, 0.3)), (w / 2, y1, h), "bed", blanket),
    ]
    if rng.random() < 0.5:
        band = min(fold + 0.3, y1 - 0.4)
        parts.append(box((-w / 2 + 0.002, fold, h), (w / 2 - 0.002, band, h + 0.02), "bed", sheet))
    rows = 1 if w < 1.2 else 2
    pw = min(0.7, (w - 0.1) / rows - 0.04)
    top = h - 0.015
    for k in range(rows):
        x = (k - (rows - 1) / 2) * (w - 0.06) / rows
        y = y0 + 0.22
        parts.append(
            tilt(
                cushion((x, y, top + 0.075), (pw, 0.38, 0.17), "pillow", rng.choice(["white0", "white1", blanket])),
                rng.uniform(-4, 0),
                (x, y, top),
            )
        )
    if rng.random() < 0.5:
        parts.append(
            cushion((0, fold + 0.35, h + 0.07), (0.42, 0.4, 0.15), "pillow", pick(rng, "fabric", 5), 0.55),
        )
    return Item((w, d, top_of(parts)), parts, front=0.3)


def sofa(rng: Rng) -> Item:
    """A sofa or armchair with seat and back cushions, arms and loose pillows."""
    seats = int(rng.choice([1, 2, 2, 3, 3]))
    seat_w, arm = rng.uniform(0.58, 0.7), rng.uniform(0.12, 0.22)
    w, d, h = seats * seat_w + 2 * arm, rng.uniform(0.8, 0.95), rng.uniform(0.72, 0.9)
    material = pick(rng, "fabric", 5) if rng.random() < 0.7 else "leather0"
    back, seat_z, leg = rng.uniform(0.16, 0.22), rng.uniform(0.4, 0.46), 0.06
    arm_z = rng.uniform(0.55, 0.66)
    parts = [
        *_legs(w, d, leg, 0.05, "sofa", "wood0", inset=0.03),
        box((-w / 2 + 0.005, -d / 2, leg), (w / 2 - 0.005, d / 2 - 0.02, seat_z - 0.15), "sofa", material),
        box((-w / 2 + 0.01, -d / 2 + 0.002, leg + 0.01), (w / 2 - 0.01, -d / 2 + back, h), "sofa", material),
    ]
    for s in (-1, 1):
        a, b = sorted((s * (w / 2), s * (w / 2 - arm)))
        parts.append(box((a, -d / 2 + 0.01, leg + 0.005), (b, d / 2, arm_z), "sofa", material))
    for k in range(seats):
        x = (k - (seats - 1) / 2) * seat_w
        depth = d - back - 0.02
        parts.append(
            cushion(
                (x, -d / 2 + back + depth / 2, seat_z - 0.075), (seat_w, depth, 0.17), "sofa", material, roundness=0.22
            )
        )
        rest = cushion(
            (x, -d / 2 + back + 0.07, seat_z + 0.19), (seat_w - 0.01, 0.17, 0.42), "sofa", material, roundness=0.3
        )
        parts.append(tilt(rest, 8, (x, -d / 2 + back, seat_z)))
        if rng.random() < 0.35:
            loose = cushion(
                (x, -d / 2 + back + 0.24, seat_z + 0.21), (0.42, 0.13, 0.4), "pillow", pick(rng, "fabric", 5)
            )
            parts.append(tilt(loose, rng.uniform(12, 20), (x, -d / 2 + back + 0.2, seat_z)))
    return Item((w, d, top_of(parts)), parts, front=0.3)


def chair(rng: Rng) -> Item:
    """A dining chair: four legs, seat, two back posts, slats or a panel."""
    w, d, h, seat = rng.uniform(0.4, 0.48), rng.uniform(0.42, 0.5), rng.uniform(0.82, 1.0), rng.uniform(0.43, 0.47)
    material, t = body_material(rng), 0.035
    top = rng.choice([material, pick(rng, "fabric", 5)])
    parts = _legs(w, d, seat - 0.035, t, "chair", material)
    parts.append(box((-w / 2 - 0.002, -d / 2 - 0.002, seat - 0.035), (w / 2 + 0.002, d / 2 + 0.01, seat), "chair", top))
    lean = rng.uniform(3, 8)
    back = [
        box(
            (s * (w / 2 - t / 2) - t / 2, -d / 2, seat), (s * (w / 2 - t / 2) + t / 2, -d / 2 + t, h), "chair", material
        )
        for s in (-1, 1)
    ]
    x = w / 2 - t
    if rng.random() < 0.5:
        for z in np.linspace(seat + 0.15, h - 0.09, int(rng.integers(2, 4))):
            back.append(box((-x, -d / 2 + 0.008, z), (x, -d / 2 + t - 0.008, z + 0.07), "chair", material))
    else:
        back.append(box((-x, -d / 2 + 0.008, seat + 0.1), (x, -d / 2 + t - 0.006, h - 0.01), "chair", top))
    parts += [tilt(p, lean, (0.0, -d / 2 + t, seat)) for p in back]
    reach = np.tan(np.radians(lean)) * (h - seat)
    return Item((w + 0.01, d + 2 * reach + 0.02, h), parts)


def office_chair(rng: Rng) -> Item:
    """A swivel chair: five-armed foot, column, padded seat and back."""
    seat, w = rng.uniform(0.44, 0.52), rng.uniform(0.46, 0.52)
    material = pick(rng, "fabric", 5) if rng.random() < 0.6 else "black0"
    parts = [cylinder((0, 0, 0.06), 0.03, seat - 0.12, "chair", "metal0")]
    for k in range(5):
        a = 2 * np.pi * k / 5
        arm = box((0.0, -0.025, 0.05), (0.26, 0.025, 0.085), "chair", "black0")
        turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1.0]])
        parts.append(Part(arm.vertices @ turn.T, arm.faces, arm.uv, arm.label, arm.material))
        x, y = 0.25 * np.cos(a), 0.25 * np.sin(a)
        parts.append(cylinder((x, y, 0.0), 0.027, 0.052, "chair", "black0"))
    parts.append(cushion((0, 0.0, seat - 0.04), (w, w, 0.1), "chair", material, roundness=0.3))
    back = cushion((0, -w / 2 + 0.03, seat + 0.34), (w - 0.04, 0.08, 0.5), "chair", material, roundness=0.35)
    parts.append(tilt(back, 7, (0, -w / 2 + 0.03, seat)))
    parts.append(box((-0.03, -w / 2 - 0.01, seat - 0.06), (0.03, -w / 2 + 0.02, seat + 0.3), "chair", "black0"))
    return Item((0.58, 0.66, top_of(parts)), parts)
