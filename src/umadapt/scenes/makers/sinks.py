"""Sinks that are sunk into a counter top, and their taps; sizes in metres."""

from __future__ import annotations

import numpy as np

from umadapt.scenes.makers.forms import lathe, limb, loft, path, ring
from umadapt.scenes.shapes import Part, box, cylinder

Span = tuple[float, float]


def holed(x: Span, y: Span, z: Span, holes: list[tuple[Span, Span]], label: str, material: str) -> list[Part]:
    """A slab with rectangular holes, side by side in x; holes are (x range, y range)."""
    parts, edge = [], x[0]
    for (a, b), (c, e) in sorted(holes):
        if a > edge:
            parts.append(box((edge, y[0], z[0]), (a, y[1], z[1]), label, material))
        parts.append(box((a, y[0], z[0]), (b, c, z[1]), label, material))
        parts.append(box((a, e, z[0]), (b, y[1], z[1]), label, material))
        edge = b
    return [*parts, box((edge, y[0], z[0]), (x[1], y[1], z[1]), label, material)]


def hole_of(x: float, y: float, rx: float, ry: float) -> tuple[Span, Span]:
    """The hole that a sunk bowl of half sizes rx, ry covers with its rim."""
    return (x - 0.88 * rx, x + 0.88 * rx), (y - 0.88 * ry, y + 0.88 * ry)


def sunk(x: float, y: float, z: float, rx: float, ry: float, deep: float, material: str) -> list[Part]:
    """A bowl with its rim on the counter top z and its bottom `deep` below; the waste in it."""
    levels = [(0.9, -deep), (0.875, -deep * 0.5), (0.875, 0.0005), (1.0, 0.0005), (1.0, 0.008), (0.86, 0.008)]
    levels += [(0.82, -0.01), (0.74, 0.012 - deep)]
    rings = [
        np.column_stack([ring(rx * s, ry * s, 24, 0.25) + np.array([x, y]), np.full(24, z + q)])
        for s, q in [(0.74, -deep), *levels[1:]]
    ]
    waste = cylinder((x, y, z + 0.0118 - deep), 0.022, 0.004, "sink", "black0")
    return [loft(np.array(rings), "sink", material), waste]


def basin(x: float, y: float, z: float, rx: float, ry: float, deep: float, material: str) -> list[Part]:
    """A bowl that stands on the plane z."""
    profile = [(0.0, 0.0), (0.7, 0.0), (1.0, deep), (0.93, deep), (0.66, deep * 0.2), (0.0, 0.012)]
    return [
        lathe(profile, "sink", material, (x, y, z), (rx, ry), 24, 0.85),
        cylinder((x, y, z + 0.011), 0.02, 0.004, "sink", "metal0"),
    ]


def tap(x: float, y: float, z: float, h: float, reach: float = 0.13) -> list[Part]:
    """A mixer tap that reaches forward from (x, y, z), with its lever."""
    points = [(x, y, z - 0.002), (x, y, z + h), (x, y + 0.9 * reach, z + h + 0.01), (x, y + reach, z + h - 0.025)]
    lever = limb((x, y, z + h), (x, y - 0.01, z + h + 0.06), 0.016, 0.01, "sink", "steel0")
    return [*path(points, 0.012, "sink", "steel0", 8), lever]
