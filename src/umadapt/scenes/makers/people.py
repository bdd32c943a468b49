"""People: mannequins of limbs and rounded bodies; sizes in metres."""

from __future__ import annotations

from umadapt.scenes.makers.forms import Rng, blob, lathe, limb, pick, turned, wrap
from umadapt.scenes.shapes import Item, Part, box


def _figure(rng: Rng, hip: float, seated: bool) -> list[Part]:
    """A body whose hips are at height `hip`, facing +y, its feet on z = 0."""
    label, build = "person", rng.uniform(0.9, 1.12)
    shirt, trousers, skin, hair = (
        pick(rng, "cloth", 6),
        pick(rng, "cloth", 6),
        pick(rng, "skin", 2),
        pick(rng, "hair", 2),
    )
    trunk = rng.uniform(0.5, 0.56)
    neck = hip + trunk
    torso = [(0.0, hip - 0.1), (0.165, hip - 0.06), (0.16, hip + 0.1), (0.165, hip + 0.28), (0.195, hip + 0.42)]
    torso += [(0.185, neck - 0.07), (0.11, neck - 0.02), (0.06, neck + 0.01), (0.0, neck + 0.01)]
    parts = [
        lathe([(r * build, z) for r, z in torso], label, shirt, scale=(1.0, 0.62), n=16),
        limb((0, 0, neck - 0.03), (0, 0.015, neck + 0.09), 0.055, 0.052, label, skin),
        blob((0, 0.025, neck + 0.18), (0.16, 0.2, 0.24), label, skin, 1.0, 8, 14),
        blob((0, -0.012, neck + 0.225), (0.175, 0.2, 0.19), label, hair, 1.0, 8, 14),
    ]
    if rng.random() < 0.45:  # long hair
        parts.append(blob((0, -0.075, neck + 0.1), (0.17, 0.09, 0.32), label, hair, 0.8))
    arms = rng.choice([trousers, shirt, shirt, skin])
    for s in (-1, 1):
        x = s * 0.095 * build
        knee = (x * 1.3, 0.44, hip) if seated else (x, 0.03 * s, hip * 0.53)
        foot = (x * 1.3, 0.42 + rng.uniform(-0.08, 0.06), 0.08) if seated else (x, rng.uniform(-0.08, 0.1), 0.08)
        parts.append(limb((x, 0.02, hip - 0.02), knee, 0.09 * build, 0.062 * build, label, trousers, 10))
        parts.append(blob(knee, (0.12 * build, 0.12 * build, 0.12 * build), label, trousers, 1.0, 4, 8))
        parts.append(limb(knee, foot, 0.06 * build, 0.045, label, trousers, 10))
        parts.append(blob((foot[0], foot[1] + 0.06, 0.045), (0.095, 0.26, 0.09), label, "black0", 0.7, 4, 10))
        shoulder = (s * 0.19 * build, 0.0, neck - 0.1)
        out, bend = rng.uniform(0.02, 0.09), rng.uniform(0.3, 1.0) if seated else rng.uniform(0.0, 0.8)
        elbow = (s * (0.22 * build + out), 0.05, neck - 0.37)
        hand = (elbow[0] - s * 0.12 * bend, elbow[1] + 0.24 * bend, elbow[2] - 0.25 * (1.0 - 0.8 * bend))
        parts.append(limb(shoulder, elbow, 0.058, 0.046, label, shirt, 8))
        parts.append(blob(shoulder, (0.125, 0.12, 0.12), label, shirt, 1.0, 4, 8))
        parts.append(limb(elbow, hand, 0.046, 0.034, label, arms, 8))
        parts.append(blob(hand, (0.075, 0.09, 0.1), label, skin, 0.9, 4, 8))
    return parts


def person(rng: Rng) -> Item:
    """Somebody standing, or sitting on a chair that comes with it."""
    if rng.random() < 0.6:
        return wrap(_figure(rng, rng.uniform(0.84, 0.98), seated=False))
    seat = rng.uniform(0.43, 0.47)
    parts = _figure(rng, seat + 0.1, seated=True)
    material, w = rng.choice(["black0", "wood0", pick(rng, "plastic", 4)]), 0.22
    parts.append(box((-w, -0.18, seat - 0.04), (w, 0.26, seat), "chair", material))
    for x in (-w + 0.02, w - 0.02):
        for y in (-0.16, 0.24):
            parts.append(limb((x * 1.05, y, 0.0), (x, y, seat - 0.035), 0.016, 0.018, "chair", "metal0", 6))
        parts.append(limb((x, -0.17, seat - 0.02), (x, -0.25, 0.84), 0.016, 0.014, "chair", "metal0", 6))
    parts.append(
        turned(box((-w, -0.2, seat + 0.18), (w, -0.175, 0.86), "chair", material), 8, (0, -0.18, seat), axis=0)
    )
    return wrap(parts)
