"""Materials and lights of a room in either style; plain data, so that it can be tested without a renderer."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from typing import Literal

import numpy as np

from umadapt.scenes import textures
from umadapt.scenes.shapes import Surface

Style = Literal["synthetic", "photo"]
Rng = np.random.Generator
LIGHTS = ("bulb0", "shade0", "pane0")  # materials that may shine


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
    "leaf": (0.08, 0.2, 0.05),
    "ceiling": (0.78, 0.78, 0.76),
    "leather": (0.12, 0.07, 0.045),
    "shade": (0.75, 0.7, 0.6),
    "bulb": (0.8, 0.8, 0.8),
    "pane": (0.05, 0.06, 0.07),
}

# Texture makers and tile sizes in metres for the photo style; one of them is drawn for each material.
_TEXTURES: dict[str, list[tuple[Callable[[Rng, np.ndarray], np.ndarray], float]]] = {
    "floor": [(textures.planks, 0.9), (textures.carpet, 0.8), (textures.carpet, 0.8), (textures.tiles, 1.4)],
    "wall": [(textures.plaster, 2.0)] * 5 + [(textures.wallpaper, 0.7), (textures.brick, 0.7)],
    "ceiling": [(textures.plaster, 2.0), (textures.plaster, 2.0), (textures.tiles, 2.4)],
    "wood": [(textures.wood, 0.8)],
    "fabric": [(textures.fabric, 0.3)],
    "curtain": [(textures.fabric, 0.4)],
    "rug": [(textures.rug, 0.9), (textures.carpet, 0.5)],
    "art": [(textures.art, 1.0)],
    "stone": [(textures.granite, 0.4)],
    "tile": [(textures.tiles, 0.4)],
    "card": [(textures.plaster, 0.3)],
}

_ROUGHNESS: dict[str, tuple[float, float]] = {  # what is glossy in the photo style, and how rough it may be
    "wood": (0.3, 0.6),
    "paint": (0.25, 0.5),
    "metal": (0.15, 0.35),
    "steel": (0.2, 0.4),
    "black": (0.2, 0.5),
    "plastic": (0.15, 0.5),
    "screen": (0.05, 0.15),
    "stone": (0.15, 0.4),
    "tile": (0.15, 0.4),
    "leather": (0.3, 0.5),
    "book": (0.3, 0.6),
    "door": (0.3, 0.6),
    "art": (0.2, 0.5),
    "floor": (0.25, 0.5),
}

# How often: varnish and gloss paint are less common than matt, and the glossy model takes twice the time.
_GLOSSY_SHARE = {"wood": 0.35, "paint": 0.35, "book": 0.3, "door": 0.4, "art": 0.4, "floor": 0.4}


def _hsv(h: float, s: float, v: float) -> np.ndarray:
    k = (np.array([5.0, 3.0, 1.0]) + h * 6) % 6
    return v - v * s * np.clip(np.minimum(k, 4 - k), 0, 1)


def colour(rng: Rng, family: str) -> np.ndarray:
    """A plausible linear albedo (3,) of a material family."""
    if family in _FIXED:
        return np.clip(np.array(_FIXED[family]) * rng.uniform(0.85, 1.1), 0.015, 0.85)
    if family == "wood":
        return _hsv(rng.uniform(0.05, 0.1), rng.uniform(0.4, 0.75), rng.choice([0.12, 0.28, 0.45, 0.6]))
    if family in ("wall", "paint"):
        if rng.random() < 0.55:
            return np.full(3, rng.uniform(0.5, 0.78)) * [1.0, rng.uniform(0.95, 1.0), rng.uniform(0.82, 0.98)]
        return _hsv(rng.random(), rng.uniform(0.08, 0.4), rng.uniform(0.35, 0.7))
    if family == "floor":
        if rng.random() < 0.6:
            return _hsv(rng.uniform(0.05, 0.1), rng.uniform(0.3, 0.65), rng.uniform(0.18, 0.5))
        return _hsv(rng.random(), rng.uniform(0.0, 0.25), rng.uniform(0.15, 0.5))
    if family == "stone":
        return _hsv(rng.random(), 0.1, rng.uniform(0.08, 0.55))
    return _hsv(rng.random(), rng.uniform(0.15, 0.8), rng.uniform(0.08, 0.65))


def kelvin(temperature_k: float) -> np.ndarray:
    """Linear sRGB of a black body relative to 6500 K, with luminance about 1; a fit good to some per cent."""
    known_k = np.array([2500.0, 3000, 3500, 4000, 5000, 6500, 8000, 10000])
    red = np.array([2.32, 1.93, 1.67, 1.48, 1.22, 1.0, 0.88, 0.78])
    blue = np.array([0.17, 0.31, 0.43, 0.54, 0.76, 1.0, 1.17, 1.31])
    green = np.array([0.71, 0.81, 0.88, 0.92, 0.97, 1.0, 1.01, 1.03])
    return np.array([np.interp(temperature_k, known_k, c) for c in (red, green, blue)])


def surfaces(names: set[str], areas: dict[str, float], style: Style, key: tuple[int, ...]) -> dict[str, Surface]:
    """Surfaces for the materials of a room; `key` seeds them, `areas` are their areas in square metres.

    Each material draws from its own stream: one more object in a room leaves the colours of the others alone.
    """
    lights = _lights(areas, style, np.random.default_rng((*key, 0)))
    out = {}
    for name in sorted(names):
        rng = np.random.default_rng((*key, zlib.crc32(name.encode())))
        family = re.sub(r"\d+$", "", name)
        # Both styles draw the colour first and from the same stream, so their rooms share one palette.
        base = colour(rng, family)
        if name in lights:
            radiance = lights[name]
            if style == "photo" and family == "pane":
                out[name] = Surface(base, radiance=radiance * textures.outdoors(rng, np.ones(3)))
            else:
                out[name] = Surface(base, radiance=radiance)
        elif style == "synthetic":
            out[name] = Surface(base)
        else:
            out[name] = _photo_surface(rng, family, base)
    return out


def _photo_surface(rng: Rng, family: str, base: np.ndarray) -> Surface:
    albedo, tile_m = base, 1.0
    if family in _TEXTURES:
        options = _TEXTURES[family]
        make, tile_m = options[int(rng.integers(len(options)))]
        albedo = make(rng, base)
        tile_m = 1.0 if family == "art" else tile_m * rng.uniform(0.75, 1.3)  # a picture fills its frame
    glossy = family in _ROUGHNESS and rng.random() < _GLOSSY_SHARE.get(family, 1.0)
    rough = rng.uniform(*_ROUGHNESS[family]) if glossy else None
    return Surface(albedo, tile_m, rough, metallic=0.9 if family in ("metal", "steel") else 0.0)


def _lights(areas: dict[str, float], style: Style, rng: Rng) -> dict[str, np.ndarray]:
    """Radiance (3,) of bulbs, lamp shades and window panes.

    Powers are in relative units (radiance x area): what counts is their ratio, exposure takes the rest.
    """
    if style == "synthetic":  # simple and even: white ceiling light, some white daylight
        power = {"bulb0": 1.0, "shade0": 0.1, "pane0": 1.0}
        tint = {name: np.ones(3) for name in power}
    else:
        lamp_k, evening = rng.choice([2700.0, 3000, 3500, 4200]), rng.random() < 0.3
        ceiling = 0.0 if not evening and rng.random() < 0.3 else rng.uniform(0.5, 1.4)
        daylight = rng.uniform(0.01, 0.05) if evening else rng.uniform(0.6, 3.0)
        if "pane0" not in areas:
            ceiling = max(ceiling, 0.6)
        power = {"bulb0": ceiling, "shade0": rng.choice([0.0, 0.15, 0.3]), "pane0": daylight}
        sky = kelvin(rng.uniform(5500, 8500))
        tint = {"bulb0": kelvin(lamp_k), "shade0": kelvin(2700), "pane0": sky}
    return {name: power[name] / areas[name] * tint[name] for name in power if name in areas and power[name] > 0}
