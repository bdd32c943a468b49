"""Pot plants, small and big; sizes in metres."""

from __future__ import annotations

import numpy as np

from umadapt.scenes.makers.forms import Rng, lathe, leaf, limb, pick, rim, wrap
from umadapt.scenes.shapes import Item


def plant(rng: Rng, big: bool = False) -> Item:
    """A pot with broad leaves from its middle, or a stem with small ones."""
    r, h = (
        (rng.uniform(0.14, 0.22), rng.uniform(0.8, 1.6)) if big else (rng.uniform(0.05, 0.09), rng.uniform(0.2, 0.42))
    )
    pot_h = min(h * 0.32, 1.7 * r)
    material = rng.choice([pick(rng, "plastic", 4), "ceramic0", "brick1", "wicker0"])
    parts = [
        lathe(
            rim([(r * 0.7, 0.0), (r * 0.95, pot_h * 0.85), (r, pot_h * 0.86), (r, pot_h)], 0.12 * r),
            "otherprop",
            material,
        ),
        lathe(
            [(0.0, pot_h * 0.3), (r * 0.82, pot_h * 0.3), (r * 0.86, pot_h * 0.86), (0.0, pot_h * 0.88)],
            "otherprop",
            "soil0",
            n=12,
        ),
    ]
    foliage, kind = pick(rng, "leaf", 2), rng.integers(3)
    room, root = h - pot_h, (0.0, 0.0, pot_h * 0.86)
    if kind == 0:  # upright or arching blades from the soil
        for _ in range(int(rng.integers(12, 26))):
            long, lean = room * rng.uniform(0.6, 1.0), rng.uniform(2, 45)
            parts.append(
                leaf(
                    root,
                    long,
                    long * rng.uniform(0.08, 0.14),
                    lean,
                    rng.uniform(0, 360),
                    rng.uniform(0.2, 1.0),
                    foliage,
                )
            )
        return wrap(parts)
    stems = int(rng.integers(1, 4)) if kind == 1 else int(rng.integers(4, 8))
    for _ in range(stems):
        lean, turn, tall = (
            rng.uniform(2, 14 if kind == 1 else 40),
            rng.uniform(0, 2 * np.pi),
            room * rng.uniform(0.6, 0.85),
        )
        out = tall * float(np.tan(np.radians(lean)))
        tip = (out * float(np.cos(turn)), out * float(np.sin(turn)), root[2] + tall)
        parts.append(limb(root, tip, 0.06 * r, 0.03 * r, "otherprop", "wood0" if kind == 1 else foliage, 5))
        for q in np.linspace(0.25, 1.0, 34 // stems + 2):
            at = (tip[0] * float(q), tip[1] * float(q), root[2] + tall * float(q))
            long = room * rng.uniform(0.16, 0.26)
            parts.append(
                leaf(
                    at,
                    long,
                    long * rng.uniform(0.4, 0.6),
                    rng.uniform(25, 80),
                    rng.uniform(0, 360),
                    rng.uniform(0.2, 0.9),
                    foliage,
                )
            )
    return wrap(parts)
