"""Sofas and armchairs with real sizes in metres."""

from __future__ import annotations

from umadapt.scenes.makers.forms import Rng, blob, limb, pick, turned, wrap
from umadapt.scenes.makers.seats import legs
from umadapt.scenes.shapes import Item, box, move, tilt


def sofa(rng: Rng) -> Item:
    """A sofa with seat and back cushions, arms and loose pillows; sometimes with a chaise longue or a throw."""
    seats = int(rng.choice([2, 2, 3, 3, 4]))
    return _sofa(rng, seats, "sofa")


def armchair(rng: Rng) -> Item:
    """A deep upholstered chair (NYU40 and ScanNet call it a chair)."""
    return _sofa(rng, 1, "chair")


def _sofa(rng: Rng, seats: int, label: str) -> Item:
    seat_w, arm = rng.uniform(0.55, 0.68), rng.uniform(0.1, 0.24)
    w, d, h = seats * seat_w + 2 * arm, rng.uniform(0.8, 0.98), rng.uniform(0.7, 0.92)
    material = pick(rng, "fabric", 5) if rng.random() < 0.72 else "leather0"
    back, seat_z, leg = rng.uniform(0.16, 0.22), rng.uniform(0.4, 0.46), rng.choice([0.03, 0.06, 0.12])
    arm_z, soft = rng.uniform(0.52, 0.66), rng.uniform(0.12, 0.35)
    parts = [
        *legs(w, d, leg, 0.05, label, "wood0", inset=0.03),
        box((-w / 2 + 0.005, -d / 2 + 0.004, leg), (w / 2 - 0.005, d / 2 - 0.02, seat_z - 0.13), label, material),
    ]
    rest_z = (leg + h) / 2
    parts.append(blob((0, -d / 2 + back / 2, rest_z + 0.005), (w - 0.02, back, h - leg - 0.01), label, material, 0.12))
    rolled = rng.random() < 0.35
    for s in (-1, 1):
        x = s * (w / 2 - arm / 2)
        parts.append(blob((x, 0.005, (leg + arm_z) / 2), (arm, d - 0.01, arm_z - leg), label, material, 0.15))
        if rolled:
            roll = limb(
                (x, -d / 2 + 0.02, arm_z - 0.03), (x, d / 2, arm_z - 0.03), arm * 0.62, arm * 0.62, label, material, 12
            )
            parts.append(roll)
    depth, open_back = d - back - 0.02, -d / 2 + back
    for k in range(seats):
        x = (k - (seats - 1) / 2) * seat_w
        parts.append(blob((x, open_back + depth / 2, seat_z - 0.075), (seat_w, depth, 0.17), label, material, soft))
        rest = blob((x, open_back + 0.07, seat_z + 0.19), (seat_w - 0.01, 0.17, 0.42), label, material, soft + 0.08)
        parts.append(tilt(rest, rng.uniform(7, 11), (x, open_back, seat_z)))
        if rng.random() < 0.4:
            size, shift = rng.uniform(0.36, 0.46), rng.uniform(-0.06, 0.06)
            loose = blob((0, 0, size / 2), (size, 0.14, size), "pillow", pick(rng, "fabric", 5), 0.55)
            leaning = [turned(loose, rng.uniform(-18, 18), (0, 0, size / 2), axis=1)]
            leaning = [tilt(p, rng.uniform(14, 24), (0, 0, 0)) for p in leaning]
            low = min(float(p.vertices[:, 2].min()) for p in leaning)
            parts += move(leaning, 0.0, (x + shift, open_back + 0.28, seat_z - low - 0.005))
    if rng.random() < 0.25:  # a throw over the back
        x, wide = rng.uniform(-0.25, 0.25) * w * 0.8, rng.uniform(0.4, 0.6)
        throw = pick(rng, "bedding", 3)
        parts.append(
            box((x - wide / 2, -d / 2 - 0.002, h - 0.35), (x + wide / 2, open_back + 0.012, h + 0.006), label, throw)
        )
    return wrap(parts, front=0.3)
