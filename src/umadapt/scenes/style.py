"""Materials and lights of a room in either style; plain data, so that it can be tested without a renderer."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np

from umadapt.scenes import prints, textures
from umadapt.scenes.palette import WET, WORK, colour, palette
from umadapt.scenes.shapes import Surface

Style = Literal["synthetic", "photo", "dim"]
Rng = np.random.Generator
Maker = Callable[[Rng, np.ndarray], np.ndarray]
LIGHTS = (
    "bulb0",
    "bulb1",
    "bulb2",
    "shade0",
    "shade1",
    "pane0",
    "screen1",
)  # materials that may shine; bulb2 next door

# Texture makers and tile sizes in metres for the photo style; one of them is drawn for each material.
_TEXTURES: dict[str, list[tuple[Maker, float]]] = {
    "floor": [(textures.planks, 0.9), (textures.planks, 1.2), (textures.parquet, 1.6), (textures.carpet, 0.8),
              (textures.carpet, 0.8), (textures.tiles, 1.4)],
    "wall": [(textures.plaster, 2.0)] * 14 + [(textures.wallpaper, 0.7), (textures.wallpaper, 0.9),
                                              (textures.brick, 0.7)],
    "ceiling": [(textures.plaster, 2.0)],
    "wood": [(textures.wood, 0.8), (textures.wood, 0.5)],
    "fabric": [(textures.fabric, 0.3), (textures.creased, 0.6)],
    "bedding": [(textures.creased, 0.8), (textures.creased, 0.5)],
    "cloth": [(textures.creased, 0.5), (textures.fabric, 0.25)],
    "towel": [(textures.terry, 0.5)],
    "shower": [(textures.fabric, 0.5), (textures.plaster, 1.0), (textures.creased, 0.7)],
    "curtain": [(textures.fabric, 0.4), (textures.plaster, 1.0)],
    "rug": [(textures.rug, 0.9), (textures.carpet, 0.5), (textures.fabric, 0.6)],
    "art": [(prints.art, 1.0)],
    "stone": [(textures.granite, 0.4), (textures.marble, 1.0), (textures.plaster, 1.0)],
    "tile": [(textures.tiles, 0.5), (textures.subway, 0.6)],
    "brick": [(textures.brick, 0.6), (textures.marble, 1.0), (textures.concrete, 1.0)],
    "card": [(textures.plaster, 0.3)],
    "book": [(prints.cover, 0.3)],
    "paper": [(prints.page, 0.3)],
    "wicker": [(textures.wicker, 0.2)],
    "cork": [(textures.carpet, 0.3)],
    "board": [(textures.plaster, 0.6)],
    "concrete": [(textures.concrete, 1.5)],
    "leaf": [(textures.plaster, 0.1)],
    "screen": [(prints.display, 1.0)],
}  # fmt: skip

_BY_KIND: dict[tuple[str, str], list[tuple[Maker, float]]] = {  # what a room's purpose says about its surfaces
    **{("floor", kind): [(textures.tiles, 1.3), (textures.tiles, 0.9), (textures.marble, 1.2), (textures.planks, 0.9)]
       for kind in WET},
    **{("floor", kind): [(textures.carpet_squares, 1.2), (textures.carpet_squares, 0.8), (textures.carpet, 0.8),
                         (textures.tiles, 1.8), (textures.concrete, 2.0), (textures.planks, 0.9)] for kind in WORK},
    ("floor", "bedroom"): [(textures.carpet, 0.8)] * 3 + [(textures.planks, 0.9), (textures.parquet, 1.6)],
    ("wall", "bathroom"): [(textures.plaster, 2.0)] * 4 + [(textures.tiles, 0.8), (textures.subway, 0.8),
                                                           (textures.wallpaper, 0.7)],
    **{("wall", kind): [(textures.plaster, 2.0)] * 6 + [(textures.blockwork, 0.9), (textures.concrete, 2.0)]
       for kind in WORK},
    **{("ceiling", kind): [(textures.panels, 1.2), (textures.panels, 1.2), (textures.plaster, 2.0)] for kind in WORK},
}  # fmt: skip

_ROUGHNESS: dict[str, tuple[float, float]] = {  # what is glossy in the photo style, and how rough it may be
    "wood": (0.18, 0.6),
    "paint": (0.18, 0.5),
    "metal": (0.15, 0.35),
    "steel": (0.2, 0.4),
    "black": (0.2, 0.5),
    "plastic": (0.15, 0.5),
    "screen": (0.05, 0.15),
    "stone": (0.15, 0.4),
    "tile": (0.15, 0.4),
    "ceramic": (0.08, 0.2),
    "leather": (0.3, 0.5),
    "leaf": (0.35, 0.6),
    "book": (0.3, 0.6),
    "door": (0.18, 0.6),
    "art": (0.2, 0.5),
    "floor": (0.12, 0.5),
}

# How often: varnish and gloss paint are less common than matt, and the glossy model takes twice the time.
_GLOSSY_SHARE = {"wood": 0.5, "paint": 0.45, "book": 0.4, "door": 0.5, "art": 0.5, "floor": 0.5, "leaf": 0.4}


def kelvin(temperature_k: float) -> np.ndarray:
    """Linear sRGB of a black body relative to 6500 K, with luminance about 1; a fit good to some per cent."""
    known_k = np.array([2500.0, 3000, 3500, 4000, 5000, 6500, 8000, 10000])
    red = np.array([2.32, 1.93, 1.67, 1.48, 1.22, 1.0, 0.88, 0.78])
    blue = np.array([0.17, 0.31, 0.43, 0.54, 0.76, 1.0, 1.17, 1.31])
    green = np.array([0.71, 0.81, 0.88, 0.92, 0.97, 1.0, 1.01, 1.03])
    return np.array([np.interp(temperature_k, known_k, c) for c in (red, green, blue)])


def surfaces(
    names: set[str],
    areas: dict[str, float],
    style: Style,
    key: tuple[int, ...],
    leave_out: frozenset[str] = frozenset(),
    kind: str = "",
) -> dict[str, Surface]:
    """Surfaces for the materials of a room; `key` seeds them, `areas` are their areas in square metres.

    Each material draws from its own stream: one more object in a room leaves the colours of the others alone.
    `leave_out` makes the photo style plainer: "textures" takes the plain colours, "light" the plain lights.
    `kind` is the purpose of the room.
    """
    plain_light = style == "synthetic" or "light" in leave_out
    lights = _plain_lights(areas) if plain_light else _lights(areas, np.random.default_rng((*key, 0)), kind)
    room = palette(np.random.default_rng((*key, 1)))
    out = {}
    for name in sorted(names):
        rng = np.random.default_rng((*key, zlib.crc32(name.encode())))
        family = re.sub(r"\d+$", "", name)
        # Both styles draw the colour first and from the same stream, so their rooms share one palette.
        base = colour(rng, family, room, kind)
        if style == "synthetic" or "textures" in leave_out:
            look = Surface(base)
        else:
            look = _photo_surface(rng, family, base, kind)
        if family in ("mirror", "glass"):
            look = Surface(base, mirror=family == "mirror", opacity=0.15 if family == "glass" else 1.0)
        if name in lights:
            radiance = lights[name]
            if not plain_light and family == "pane":
                radiance = radiance * prints.outdoors(rng, np.ones(3))
            elif family == "screen":
                radiance = radiance * prints.display(rng, base)
            look = replace(look, albedo=base, tile_m=1.0, roughness=None, radiance=radiance)
        out[name] = look
    return out


def _photo_surface(rng: Rng, family: str, base: np.ndarray, kind: str) -> Surface:
    albedo, tile_m, matt = base, 1.0, False
    if family in _TEXTURES and family != "screen":
        options = _BY_KIND.get((family, kind), _TEXTURES[family])
        make, tile_m = options[int(rng.integers(len(options)))]
        albedo = make(rng, base)
        tile_m = 1.0 if family == "art" else tile_m * rng.uniform(0.75, 1.3)  # a picture fills its frame
        matt = make in (textures.carpet, textures.carpet_squares, textures.concrete)
    glossy = family in _ROUGHNESS and not matt and rng.random() < _GLOSSY_SHARE.get(family, 1.0)
    rough = rng.uniform(*_ROUGHNESS[family]) if glossy else None
    return Surface(albedo, tile_m, rough, metallic=0.9 if family in ("metal", "steel") else 0.0)


def _plain_lights(areas: dict[str, float]) -> dict[str, np.ndarray]:
    """Simple and even: white ceiling light, some white daylight. Radiance (3,)."""
    bulb = 1.0 / max(1, sum(name in areas for name in ("bulb0", "bulb1")))
    power = {"bulb0": bulb, "bulb1": bulb, "bulb2": 0.3, "shade0": 0.1, "shade1": 0.1, "pane0": 1.0}
    return {name: np.full(3, power[name] / areas[name]) for name in power if name in areas}


def _lights(areas: dict[str, float], rng: Rng, kind: str) -> dict[str, np.ndarray]:
    """Radiance (3,) of bulbs, lamp shades, window panes and lit screens in the photo style.

    Powers are in relative units (radiance x area): what counts is their ratio, exposure takes the rest.
    """
    evening = rng.random() < 0.3
    weather = rng.choice(["sunny", "overcast", "dull"])
    daylight = {"sunny": rng.uniform(1.5, 5.0), "overcast": rng.uniform(0.5, 1.5), "dull": rng.uniform(0.1, 0.5)}
    power = {"pane0": rng.uniform(0.01, 0.05) if evening else daylight[str(weather)]}
    on = 0.95 if evening or kind in WORK or kind == "bathroom" else 0.65  # how often a lamp is lit
    warm = rng.uniform(3400, 5200) if kind in WORK else rng.choice([2500.0, 2700, 2800, 3000, 3400, 4000, 6000])
    for name in ("bulb0", "bulb1"):
        # Never quite dark: closed blinds would leave nothing but noise, and light comes in from other rooms.
        power[name] = rng.uniform(0.3, 1.4) if rng.random() < on else 0.07
    power["bulb2"] = rng.uniform(0.05, 0.5)
    for name in ("shade0", "shade1"):
        power[name] = rng.uniform(0.08, 0.4) if rng.random() < on - 0.25 else 0.0
    if sum(power[name] for name in power if name in areas) < 0.1:  # somebody wanted to see something
        power |= {"bulb0": 0.6, "shade0": 0.3}
        power["pane0"] = max(power["pane0"], 0.0 if {"bulb0", "shade0"} & set(areas) else 0.6)
    greenish = np.array([0.97, 1.04, 0.96]) if kind in WORK else np.ones(3)  # fluorescent tubes
    tint = {name: kelvin(warm + rng.uniform(-200, 200)) * greenish for name in power}
    tint["pane0"] = kelvin({"sunny": 5600.0, "overcast": 6800.0, "dull": 8000.0}[str(weather)] + rng.uniform(-400, 400))
    lit = {name: power[name] / areas[name] * tint[name] for name in power if name in areas and power[name] > 0}
    if "screen1" in areas:
        lit["screen1"] = kelvin(6500) * rng.uniform(0.02, 0.12)
    return lit
