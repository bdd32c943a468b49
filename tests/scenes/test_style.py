"""Textures tile and stay within albedo; looks follow the palette, the style, the room's kind and what is left out."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from umadapt.scenes import prints, textures
from umadapt.scenes.palette import WORK, colour, palette
from umadapt.scenes.style import LIGHTS, Style, surfaces

_MAKERS = {
    name: function
    for module in (textures, prints)
    for name, function in inspect.getmembers(module, inspect.isfunction)
    if function.__module__ == module.__name__ and list(inspect.signature(function).parameters) == ["rng", "base"]
}
_NAMES = {"wall0", "floor0", "ceiling0", "wood1", "book2", "towel0", "mirror0", "glass0", "ceramic0", "metal0", "leaf1"}
_AREAS = {"bulb0": 0.3, "bulb1": 0.2, "shade0": 0.4, "pane0": 1.5, "screen1": 0.1}


@pytest.mark.parametrize("name", _MAKERS)
def test_textures_are_albedos_and_tile(name: str) -> None:
    for seed in range(4):
        image = _MAKERS[name](np.random.default_rng(seed), np.array([0.5, 0.4, 0.3]))
        assert image.shape == (textures.N, textures.N, 3)
        assert image.min() >= 0.0
        assert image.max() <= 1.0
        assert 0.02 < image.mean() < 0.9
    assert len(_MAKERS) >= 25


def test_noise_repeats() -> None:
    cloud = textures.cloud(np.random.default_rng(0), 4)
    inside = np.abs(np.diff(cloud, axis=0)).max()
    assert np.abs(cloud[0] - cloud[-1]).max() <= 2 * inside


@pytest.mark.parametrize("style", ["synthetic", "photo"])
def test_mirrors_and_glass_are_the_same_in_both_styles(style: Style) -> None:
    looks = surfaces(_NAMES, {}, style, (3,))
    assert looks["mirror0"].mirror
    assert looks["mirror0"].roughness is None
    assert 0 < looks["glass0"].opacity < 0.5
    assert sum(look.mirror or look.opacity < 1 for look in looks.values()) == 2


def test_leaving_textures_out_leaves_the_plain_style() -> None:
    names = _NAMES | set(_AREAS)
    plain = surfaces(names, _AREAS, "synthetic", (3,), kind="kitchen")
    ablated = surfaces(names, _AREAS, "photo", (3,), frozenset({"textures", "light"}), "kitchen")
    for name in names - {"screen1"}:
        np.testing.assert_array_equal(plain[name].albedo, ablated[name].albedo)
        assert plain[name].roughness is None
        assert ablated[name].roughness is None
    for name in ("bulb0", "pane0"):
        np.testing.assert_array_equal(plain[name].radiance, ablated[name].radiance)
    textured = surfaces(names, _AREAS, "photo", (3,), frozenset({"light"}), "kitchen")
    assert textured["floor0"].albedo.ndim == 3
    np.testing.assert_array_equal(textured["bulb0"].radiance, plain["bulb0"].radiance)


def test_every_room_is_lit_and_lights_vary() -> None:
    tints, lit = [], []
    for seed in range(60):
        kind = ("bedroom", *WORK)[seed % 5]
        for areas in ({"bulb0": 0.3}, {"shade0": 0.4}, {"pane0": 1.5}, _AREAS):
            looks = surfaces(set(areas), areas, "photo", (seed,), kind=kind)
            power = {
                name: float(np.mean(look.radiance)) * areas[name]
                for name, look in looks.items()
                if look.radiance is not None
            }
            assert sum(power.values()) > 0.05
            assert set(power) <= set(LIGHTS)
        bulb = looks["bulb0"].radiance
        assert bulb is not None
        tints.append(bulb[0] / bulb[2])
        lit.append(float(bulb.mean()))
    assert max(tints) > 5
    assert min(tints) < 2
    assert max(lit) > 8 * min(lit)


def test_walls_are_lighter_than_floors_on_average() -> None:
    wall, floor, ceiling = (
        np.mean([colour(np.random.default_rng(seed), family).mean() for seed in range(200)])
        for family in ("wall", "floor", "ceiling")
    )
    assert floor < wall < ceiling


def test_woods_of_a_room_belong_together() -> None:
    def spread(shared: bool) -> float:
        hues = []
        for seed in range(40):
            room = palette(np.random.default_rng(seed)) if shared else None
            pair = [colour(np.random.default_rng((seed, k)), "wood", room) for k in range(2)]
            hues.append(abs(np.log(pair[0] / pair[1])).mean())
        return float(np.mean(hues))

    assert spread(shared=True) < 0.8 * spread(shared=False)
