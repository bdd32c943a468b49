"""Chairs, sofas, stools and benches with real sizes in metres."""

from __future__ import annotations

import numpy as np

from umadapt.scenes.makers.forms import Rng, blob, body_material, grained, lathe, limb, loft, path, pick, wrap
from umadapt.scenes.shapes import Item, Part, box, cylinder, tilt


def legs(w: float, d: float, h: float, thick: float, label: str, material: str, inset: float = 0.0) -> list[Part]:
    """Four square legs under the corners of a w x d plan."""
    x, y = w / 2 - inset - thick, d / 2 - inset - thick
    return [
        box((min(sx * x, sx * (x + thick)), min(sy * y, sy * (y + thick)), 0.0),
            (max(sx * x, sx * (x + thick)), max(sy * y, sy * (y + thick)), h), label, material)
        for sx in (-1, 1) for sy in (-1, 1)
    ]  # fmt: skip


def slanted(w: float, d: float, h: float, r: float, label: str, material: str, out: float = 0.04) -> list[Part]:
    """Four round tapering legs that spread by `out` towards the floor."""
    x, y, q = w / 2 - 0.08, d / 2 - 0.08, out
    corners = [(sx, sy) for sx in (-1, 1) for sy in (-1, 1)]
    return [
        limb((sx * (x + q), sy * (y + q), 0.0), (sx * x, sy * y, h), r * 0.7, r, label, material) for sx, sy in corners
    ]


def chair(rng: Rng) -> Item:
    """A dining or visitor's chair: slats, panel or spindles in wood; a shell; a padded metal chair; a folding chair."""
    return (_wooden, _wooden, _shell, _padded, _spindles)[int(rng.integers(5))](rng)


def _wooden(rng: Rng) -> Item:
    w, d, h, seat = rng.uniform(0.4, 0.48), rng.uniform(0.42, 0.5), rng.uniform(0.82, 1.05), rng.uniform(0.43, 0.47)
    material, t = body_material(rng), rng.uniform(0.03, 0.042)
    top = rng.choice([material, pick(rng, "fabric", 5)])
    parts = legs(w, d, seat - 0.035, t, "chair", material)
    parts.append(box((-w / 2 - 0.002, -d / 2 - 0.002, seat - 0.035), (w / 2 + 0.002, d / 2 + 0.01, seat), "chair", top))
    if top != material:
        parts.append(blob((0, 0.01, seat + 0.005), (w - 0.02, d - 0.04, 0.05), "chair", top, 0.25))
    lean = rng.uniform(4, 10)
    back = [
        box(
            (s * (w / 2 - t / 2) - t / 2, -d / 2, seat), (s * (w / 2 - t / 2) + t / 2, -d / 2 + t, h), "chair", material
        )
        for s in (-1, 1)
    ]
    x, kind = w / 2 - t, rng.integers(3)
    if kind == 0:
        for z in np.linspace(seat + 0.15, h - 0.09, int(rng.integers(2, 5))):
            back.append(box((-x, -d / 2 + 0.008, z), (x, -d / 2 + t - 0.008, z + 0.06), "chair", material))
    elif kind == 1:
        back.append(box((-x, -d / 2 + 0.008, seat + 0.1), (x, -d / 2 + t - 0.006, h - 0.01), "chair", top))
    else:
        back.append(box((-x, -d / 2 + 0.006, h - 0.09), (x, -d / 2 + t - 0.006, h - 0.005), "chair", material))
        back.append(box((-x, -d / 2 + 0.008, seat + 0.1), (x, -d / 2 + t - 0.008, seat + 0.14), "chair", material))
        for q in np.linspace(-x + 0.05, x - 0.05, int(rng.integers(3, 6))):
            back.append(
                box((q - 0.01, -d / 2 + 0.01, seat + 0.14), (q + 0.01, -d / 2 + t - 0.01, h - 0.09), "chair", material)
            )
    parts += [tilt(p, lean, (0.0, -d / 2 + t, seat)) for p in back]
    if rng.random() < 0.4:
        for y in (-d / 2 + t / 2, d / 2 - t / 2):
            parts.append(box((-w / 2 + t, y - 0.01, 0.16), (w / 2 - t, y + 0.01, 0.19), "chair", material))
    return wrap(parts)


def _shell(rng: Rng) -> Item:
    """One curved shell on four metal or wooden legs."""
    w, d, h, seat = rng.uniform(0.44, 0.5), rng.uniform(0.4, 0.46), rng.uniform(0.76, 0.85), rng.uniform(0.43, 0.46)
    material = rng.choice([pick(rng, "plastic", 4), "black0", "white0", "wood1"])
    front, back = d / 2, -d / 2
    spine = [(front, seat - 0.02), (front - 0.1, seat), (back + 0.12, seat - 0.015), (back + 0.03, seat + 0.05)]
    spine += [(back - 0.01, seat + 0.2), (back - 0.05, h - 0.02), (back - 0.055, h)]
    half = np.array([0.44, 0.5, 0.5, 0.5, 0.48, 0.42, 0.3]) * w
    rings = []
    for (y, z), x in zip(spine, half, strict=True):
        up = 1.0 if z > seat + 0.03 else 0.0
        # The rims of the shell bend forwards and upwards; 1.2 cm thick.
        across = [(-x, 0.035), (-0.6 * x, 0.008), (0.0, 0.0), (0.6 * x, 0.008), (x, 0.035)]
        upper = [(q, y + up * b + (0.012 * up), z + (1 - up) * b + 0.012 * (1 - up)) for q, b in across]
        lower = [(q, y + up * b, z + (1 - up) * b) for q, b in reversed(across)]
        rings.append(upper + lower)
    parts = [loft(np.array(rings), "chair", material)]
    wooden = rng.random() < 0.5
    parts += slanted(
        w - 0.04, d - 0.04, seat - 0.008, 0.018 if wooden else 0.011, "chair", "wood0" if wooden else "metal0", 0.06
    )
    parts.append(
        box((-w / 2 + 0.09, -d / 2 + 0.08, seat - 0.03), (w / 2 - 0.09, d / 2 - 0.09, seat - 0.012), "chair", "metal0")
    )
    return wrap(parts)


def _padded(rng: Rng) -> Item:
    """A visitor's chair: tube frame (four legs or a cantilever), padded seat and back, often with arms."""
    w, d, h, seat = rng.uniform(0.46, 0.52), rng.uniform(0.46, 0.52), rng.uniform(0.78, 0.9), rng.uniform(0.43, 0.47)
    material, tube = pick(rng, "fabric", 5), rng.choice(["metal0", "black0"])
    arms, cantilever = rng.random() < 0.5, rng.random() < 0.4
    parts = [
        blob((0, 0.01, seat - 0.02), (w - 0.03, d - 0.02, 0.07), "chair", material, 0.25),
        tilt(blob((0, -d / 2 + 0.01, h - 0.17), (w - 0.03, 0.05, 0.34), "chair", material, 0.3), 8, (0, -d / 2, seat)),
    ]
    for s in (-1, 1):
        x = s * (w / 2 - 0.005)
        if cantilever:
            points = [
                (x, -d / 2 + 0.02, 0.012),
                (x, d / 2 - 0.02, 0.012),
                (x, d / 2, seat - 0.03),
                (x, -d / 2 + 0.03, seat - 0.04),
                (x, -d / 2 - 0.05, h - 0.05),
            ]
            parts += path(points, 0.012, "chair", tube)
        else:
            parts += path(
                [(x, d / 2 - 0.02, 0.0), (x, d / 2 - 0.03, seat - 0.03), (x, -d / 2 + 0.03, seat - 0.04)],
                0.012,
                "chair",
                tube,
            )
            parts += path(
                [(x, -d / 2 - 0.02, 0.0), (x, -d / 2 + 0.02, seat - 0.03), (x, -d / 2 - 0.055, h - 0.05)],
                0.012,
                "chair",
                tube,
            )
        if arms:
            parts += path(
                [(x, d / 2 - 0.05, seat - 0.03), (x, d / 2 - 0.08, seat + 0.2), (x, -d / 2, seat + 0.21)],
                0.012,
                "chair",
                tube,
            )
            parts.append(
                box((x - 0.025, -d / 2 + 0.04, seat + 0.205), (x + 0.025, d / 2 - 0.06, seat + 0.23), "chair", "black0")
            )
    return wrap(parts)


def _spindles(rng: Rng) -> Item:
    """A Windsor chair: round seat, turned legs, a bowed back of spindles."""
    r, h, seat, material = rng.uniform(0.2, 0.235), rng.uniform(0.84, 0.98), rng.uniform(0.43, 0.46), body_material(rng)
    board = [(0.0, seat - 0.03), (r * 0.95, seat - 0.03), (r, seat - 0.01), (r * 0.95, seat), (0.0, seat - 0.006)]
    parts = [grained(lathe(board, "chair", material, n=18), turn=True)]
    parts += slanted(2 * r, 2 * r, seat - 0.025, 0.018, "chair", material, 0.05)
    for y in (-r * 0.62, r * 0.62):
        parts.append(limb((-r * 0.66, y, 0.17), (r * 0.66, y, 0.17), 0.009, 0.009, "chair", material, 6))
    bow, angle = [], np.linspace(0, np.pi, 9)
    for a in angle:
        z = seat - 0.01 + (h - seat) * float(np.sin(a)) ** 0.6
        bow.append((float(-r * 0.95 * np.cos(a)), -r * 0.55 - 0.22 * (z - seat), z))
    parts += path(bow, 0.012, "chair", material)
    for x in np.linspace(-0.6, 0.6, int(rng.integers(4, 7))) * r:
        top = seat + (h - seat) * float(np.sin(np.arccos(x / (r * 0.95)))) ** 0.6 - 0.01
        parts.append(
            limb(
                (x * 0.8, -r * 0.55, seat - 0.015),
                (x, -r * 0.55 - 0.22 * (top - seat), top),
                0.007,
                0.007,
                "chair",
                material,
                5,
            )
        )
    return wrap(parts)


def office_chair(rng: Rng) -> Item:
    """A swivel chair: five-armed foot with castors, column, padded seat and back, often arms."""
    seat, w = rng.uniform(0.44, 0.52), rng.uniform(0.46, 0.52)
    material = pick(rng, "fabric", 5) if rng.random() < 0.55 else rng.choice(["black0", "leather0"])
    high = rng.uniform(0.42, 0.68)
    parts = [cylinder((0, 0, 0.06), 0.03, seat - 0.12, "chair", "metal0")]
    for k in range(5):
        a = 2 * np.pi * k / 5 + 0.3
        x, y = float(0.27 * np.cos(a)), float(0.27 * np.sin(a))
        parts.append(limb((x, y, 0.062), (x * 0.08, y * 0.08, 0.1), 0.016, 0.026, "chair", "black0", 6))
        parts.append(limb((x - 0.015, y, 0.0282), (x + 0.015, y, 0.0282), 0.0285, 0.0285, "chair", "black0", 10))
    parts.append(blob((0, 0.0, seat - 0.04), (w, w, 0.1), "chair", material, roundness=0.3))
    back = blob((0, -w / 2 + 0.03, seat + 0.1 + high / 2), (w - 0.04, 0.08, high), "chair", material, roundness=0.35)
    parts.append(tilt(back, 7, (0, -w / 2 + 0.03, seat)))
    parts.append(limb((0, -w / 2 - 0.005, seat + 0.3), (0, -w / 2 + 0.05, seat - 0.07), 0.02, 0.03, "chair", "black0"))
    if rng.random() < 0.6:
        for s in (-1, 1):
            x = s * (w / 2 + 0.02)
            parts += path(
                [(s * w * 0.3, 0, seat - 0.07), (x, 0, seat - 0.05), (x, -0.02, seat + 0.2)], 0.014, "chair", "black0"
            )
            parts.append(blob((x, 0.0, seat + 0.21), (0.07, 0.26, 0.035), "chair", "black0", 0.5))
    return wrap(parts)


def stool(rng: Rng) -> Item:
    """A stool, low or at the height of a bar (NYU40: otherprop)."""
    h, r = rng.choice([rng.uniform(0.42, 0.5), rng.uniform(0.62, 0.78)]), rng.uniform(0.15, 0.19)
    material, label = body_material(rng), "otherprop"
    board = [(0.0, h - 0.04), (r, h - 0.04), (r * 1.02, h - 0.01), (r * 0.97, h), (0.0, h)]
    parts = [grained(lathe(board, label, rng.choice([material, "leather0"]), n=18))]
    if rng.random() < 0.3:
        parts.append(cylinder((0, 0, 0.02), 0.025, h - 0.05, label, "metal0"))
        parts.append(lathe([(0.0, 0.0), (r * 1.1, 0.0), (r, 0.015), (0.05, 0.03), (0.0, 0.03)], label, "metal0", n=18))
        return wrap(parts)
    parts += slanted(2 * r, 2 * r, h - 0.035, 0.017, label, material, 0.06)
    for y in (-r * 0.75, r * 0.75):
        parts.append(limb((-r * 0.72, y, h * 0.35), (r * 0.72, y, h * 0.35), 0.01, 0.01, label, material, 6))
    return wrap(parts)


def bench(rng: Rng) -> Item:
    """A bench with slats or a padded top (otherfurniture)."""
    w, d, h = rng.uniform(0.9, 1.6), rng.uniform(0.32, 0.42), rng.uniform(0.42, 0.48)
    material, label = body_material(rng), "otherfurniture"
    parts = legs(w, d, h - 0.04, 0.05, label, material, inset=0.03)
    if rng.random() < 0.5:
        for k in range(4):
            y = -d / 2 + d * k / 4
            parts.append(box((-w / 2, y, h - 0.04), (w / 2, y + d / 4 - 0.012, h), label, material))
        for x in (-w / 2 + 0.06, w / 2 - 0.1):
            parts.append(box((x, -d / 2 + 0.01, h - 0.08), (x + 0.04, d / 2 - 0.02, h - 0.04), label, material))
    else:
        parts.append(box((-w / 2, -d / 2, h - 0.09), (w / 2, d / 2, h - 0.06), label, material))
        parts.append(blob((0, 0, h - 0.03), (w - 0.01, d - 0.01, 0.08), label, pick(rng, "fabric", 5), 0.15))
    return wrap(parts)


def ottoman(rng: Rng) -> Item:
    """A footstool or pouffe (otherfurniture)."""
    label, material = "otherfurniture", rng.choice([pick(rng, "fabric", 5), "leather0"])
    h = rng.uniform(0.36, 0.46)
    if rng.random() < 0.4:
        r = rng.uniform(0.24, 0.34)
        profile = [(0.0, 0.0), (r * 0.9, 0.0), (r, h * 0.3), (r, h * 0.75), (r * 0.85, h), (0.0, h + 0.01)]
        return wrap([lathe(profile, label, material, n=20)])
    w, d = rng.uniform(0.5, 0.9), rng.uniform(0.45, 0.65)
    parts = [
        *legs(w, d, 0.08, 0.05, label, "wood0", inset=0.02),
        box((-w / 2 + 0.004, -d / 2 + 0.004, 0.08), (w / 2 - 0.004, d / 2 - 0.004, h - 0.1), label, material),
    ]
    parts.append(blob((0, 0, h - 0.07), (w, d, 0.15), label, material, 0.15))
    return wrap(parts)
