"""Plausible colours of materials, alike within a room."""

from __future__ import annotations

import numpy as np

Rng = np.random.Generator
WORK = ("office", "classroom", "study", "bookstore")
WET = ("bathroom", "kitchen")

_FIXED: dict[str, tuple[float, float, float]] = {  # albedo of what has its own colour everywhere
    "metal": (0.55, 0.55, 0.56),
    "steel": (0.5, 0.51, 0.53),
    "black": (0.03, 0.03, 0.032),
    "white": (0.75, 0.75, 0.74),
    "paper": (0.78, 0.77, 0.73),
    "card": (0.45, 0.3, 0.17),
    "screen": (0.02, 0.02, 0.025),
    "trim": (0.72, 0.71, 0.68),
    "door": (0.7, 0.69, 0.65),
    "ceiling": (0.78, 0.78, 0.76),
    "leather": (0.12, 0.07, 0.045),
    "shade": (0.75, 0.7, 0.6),
    "bulb": (0.8, 0.8, 0.8),
    "pane": (0.05, 0.06, 0.07),
    "ceramic": (0.76, 0.75, 0.72),
    "mirror": (0.85, 0.86, 0.86),
    "glass": (0.85, 0.9, 0.88),
    "blind": (0.72, 0.7, 0.64),
    "board": (0.03, 0.06, 0.05),
    "cork": (0.42, 0.26, 0.14),
    "wicker": (0.42, 0.28, 0.15),
    "brick": (0.3, 0.12, 0.08),
    "soil": (0.05, 0.035, 0.025),
    "globe": (0.8, 0.78, 0.72),
}


def _hsv(h: float, s: float, v: float) -> np.ndarray:
    k = (np.array([5.0, 3.0, 1.0]) + h * 6) % 6
    return v - v * s * np.clip(np.minimum(k, 4 - k), 0, 1)


def palette(rng: Rng) -> dict[str, float]:
    """What the materials of one room have in common: the hues and values of its woods, walls and cloths."""
    return {
        "wood_hue": rng.uniform(0.035, 0.1),
        "wood_saturation": rng.uniform(0.3, 0.68),
        "wood_value": rng.choice([0.05, 0.08, 0.13, 0.25, 0.4, 0.55]),
        "wall_hue": rng.choice([rng.uniform(0.05, 0.16), rng.uniform(0.05, 0.16), rng.random()]),
        "wall_saturation": rng.choice([0.02, 0.1, 0.2, rng.uniform(0.1, 0.5)]),
        "wall_value": rng.uniform(0.42, 0.78),
        "cloth_hue": rng.random(),
    }


def colour(rng: Rng, family: str, room: dict[str, float] | None = None, kind: str = "") -> np.ndarray:
    """A plausible linear albedo (3,) of a material family, near the palette of its room more often than not."""
    room = room or palette(rng)
    if family in _FIXED:
        tint = {"ceramic": 0.06, "blind": 0.1, "brick": 0.3, "shade": 0.08}.get(family, 0.0)
        return np.clip(np.array(_FIXED[family]) * rng.uniform(0.85, 1.1) * rng.uniform(1 - tint, 1, 3), 0.015, 0.85)
    if family == "wood" or (family == "floor" and kind not in WET and kind not in WORK and rng.random() < 0.6):
        value = room["wood_value"] * rng.uniform(0.8, 1.3) if rng.random() < 0.7 else rng.uniform(0.08, 0.6)
        hue, saturation = room["wood_hue"] + rng.uniform(-0.012, 0.012), room["wood_saturation"]
        return _hsv(hue, np.clip(saturation + rng.uniform(-0.1, 0.1), 0.2, 0.75), np.clip(value, 0.035, 0.65))
    if family == "wall":
        if rng.random() < 0.12:  # one wall in another colour
            return _hsv(rng.random(), rng.uniform(0.2, 0.6), rng.uniform(0.2, 0.6))
        return _hsv(room["wall_hue"], room["wall_saturation"], room["wall_value"])
    if family == "paint":
        if rng.random() < 0.75:
            return np.full(3, rng.uniform(0.5, 0.78)) * [1.0, rng.uniform(0.95, 1.0), rng.uniform(0.82, 0.98)]
        return _hsv(rng.random(), rng.uniform(0.08, 0.4), rng.uniform(0.2, 0.7))
    if family == "floor":
        light = rng.uniform(0.3, 0.65) if kind in WET else rng.uniform(0.1, 0.45)
        return _hsv(rng.uniform(0.04, 0.14) if rng.random() < 0.75 else rng.random(), rng.uniform(0.0, 0.25), light)
    if family in ("stone", "concrete"):
        return _hsv(rng.uniform(0.04, 0.14), rng.uniform(0.0, 0.3), rng.choice([0.06, 0.2, 0.4, 0.65]))
    if family == "tile":
        return _hsv(rng.random(), rng.uniform(0.0, 0.2), rng.uniform(0.35, 0.75))
    if family == "leaf":
        return _hsv(rng.uniform(0.22, 0.36), rng.uniform(0.5, 0.8), rng.uniform(0.06, 0.25))
    if family == "skin":
        return _hsv(rng.uniform(0.04, 0.07), rng.uniform(0.4, 0.6), rng.choice([0.1, 0.3, 0.5, 0.6]))
    if family == "hair":
        return _hsv(rng.uniform(0.05, 0.1), rng.uniform(0.3, 0.7), rng.choice([0.015, 0.03, 0.08, 0.25]))
    if family in ("bedding", "towel", "curtain", "shower") and rng.random() < 0.45:  # whites and creams
        return np.full(3, rng.uniform(0.5, 0.8)) * [1.0, rng.uniform(0.94, 1.0), rng.uniform(0.8, 0.98)]
    if family in ("fabric", "bedding", "curtain", "rug") and rng.random() < 0.4:
        return _hsv(room["cloth_hue"] + rng.uniform(-0.04, 0.04), rng.uniform(0.05, 0.55), rng.uniform(0.05, 0.5))
    if rng.random() < 0.4:  # greys, creams and near blacks
        return _hsv(rng.uniform(0.03, 0.16), rng.uniform(0.0, 0.25), 0.025 + 0.6 * rng.random() ** 1.5)
    return _hsv(rng.random(), rng.uniform(0.05, 0.65), 0.03 + 0.45 * rng.random() ** 1.7)
