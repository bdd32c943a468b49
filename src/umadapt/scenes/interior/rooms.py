"""Whole rooms: a shell with openings, furniture by kind, lamps, what hangs at walls and lies around."""

from __future__ import annotations

import itertools

import numpy as np

from umadapt.scenes.classes import ID
from umadapt.scenes.interior.arrange import Home, drop, hang, loose
from umadapt.scenes.interior.furnishing import crowd
from umadapt.scenes.interior.kinds import KINDS, Kind
from umadapt.scenes.interior.layout import Room
from umadapt.scenes.interior.openings import draw_holes, finish_holes
from umadapt.scenes.interior.shell import Finish, build_shell, features
from umadapt.scenes.interior.stock import Stock
from umadapt.scenes.makers.furniture import Rng
from umadapt.scenes.shapes import Item, box, cylinder


def draw_kind(rng: Rng) -> str:
    """One of KINDS by their shares."""
    share = np.array([plan.share for plan in KINDS.values()])
    return str(rng.choice(list(KINDS), p=share / share.sum()))


def draw_room(rng: Rng, stock: Stock | None = None, clutter: float = 1.0, kind: str | None = None) -> Room:
    """Draw a whole furnished room.

    Args:
        clutter: density of small loose things; 0 = none, 1 = as in NYUDv2.
        kind: one of KINDS; None draws one by their shares.
    """
    name = kind or draw_kind(rng)
    plan = KINDS[name]
    room = Room(name, rng.uniform(*plan.width), rng.uniform(*plan.depth), rng.uniform(*plan.height))
    home = Home(rng, room, stock or Stock(), clutter)
    finish = _finish(home, plan)
    holes = draw_holes(home, plan.openings)
    build_shell(room, [hole for hole, _ in holes], finish)
    finish_holes(home, holes, plan.openings, finish)
    features(rng, room)
    plan.furnish(home)
    crowd(home, plan.more, *plan.crowd)
    _lamps(home, plan)
    _walls(home, plan)
    _floor(home, plan)
    return room


def _finish(home: Home, plan: Kind) -> Finish:
    accent = home.choose([("wall0", 0.5), ("wall1", 0.5)])
    walls = ("wall0", "wall0", accent, "wall0")
    if home.chance(plan.tiled):
        top = home.rng.choice([1.1, 1.3, 2.0, home.room.height])
        return Finish(walls, "floor0", "ceiling0", "tile0", float(top), skirting=False)
    if home.chance(0.08):
        return Finish(walls, "floor0", "ceiling0", "paint1", home.uniform(0.8, 1.1))
    return Finish(walls, "floor0", "ceiling0", skirting=home.chance(0.85))


def _lamps(home: Home, plan: Kind) -> None:
    """A grid of luminaires, rows of spots, or one or two lamps."""
    room, rng = home.room, home.rng
    if home.chance(plan.panels):
        w, d = home.rng.choice([0.6, 1.2]), 0.6 if home.chance(0.6) else 0.3
        lamp = Item((w, d, 0.02), [box((-w / 2, -d / 2, 0.0), (w / 2, d / 2, 0.019), "lamp", "bulb0")])
        columns, rows = max(1, round(room.width / 2.2)), max(1, round(room.depth / 2.0))
    elif home.chance(0.2):
        lamp = _disc(home.uniform(0.035, 0.06))
        columns, rows = max(2, round(room.width / 1.3)), max(2, round(room.depth / 1.3))
    else:
        lamp = home.stock.made(rng, "ceiling_lamp")
        many = max(room.width, room.depth) > 4.2 and home.chance(0.5)
        columns, rows = (2 if many and room.width > room.depth else 1), (2 if many and room.width <= room.depth else 1)
    shift = rng.uniform(-0.15, 0.15, 2)
    hung = 0
    for i in range(columns):
        for j in range(rows):
            x, y = (i + 0.5 + shift[0]) / columns * room.width, (j + 0.5 + shift[1]) / rows * room.depth
            hung += room.place(lamp, (x, y), 0.0, room.height - lamp.size[2] - 0.001, ignore_reserved=True)
    if home.stock.catalogue is not None and home.chance(0.25):
        extra = home.item("ceiling_lamp")
        x, y = home.uniform(0.3, 0.7) * room.width, home.uniform(0.3, 0.7) * room.depth
        room.place(extra, (x, y), 0.0, room.height - extra.size[2] - 0.001)
    if not hung:  # where beams, cupboards or another lamp are in the way: a room without a lamp would be black by night
        lamp = _disc(home.uniform(0.08, 0.16))
        for x, y in itertools.product((0.5, 0.25, 0.75, 0.4, 0.6), repeat=2):
            centre = (x * room.width, y * room.depth)
            if room.place(lamp, centre, 0.0, room.height - lamp.size[2] - 0.001, ignore_reserved=True):
                break


def _disc(r: float) -> Item:
    """A flat round luminaire."""
    return Item((2 * r, 2 * r, 0.012), [cylinder((0, 0, 0), r, 0.011, "lamp", "bulb0")])


def _gallery(home: Home) -> None:
    """Equal frames side by side, sometimes in two rows."""
    item = home.item("picture")
    first = hang(home, "picture", 1.2, 1.5, item=item)
    if not first:
        return
    step, up = item.size[0] + home.uniform(0.04, 0.15), item.size[2] + home.uniform(0.04, 0.12)
    for row in range(home.count(1, 2)):
        for column in range(-home.count(0, 2), home.count(0, 2) + 1):
            z = first.z + row * up
            if (row or column) and z + item.size[2] < home.room.height - 0.15:
                home.room.place(item, first.point(column * step, 0.0), first.angle_deg, z)


def _walls(home: Home, plan: Kind) -> None:
    """Pictures singly and in groups, clocks, shelves, sockets and switches."""
    if home.chance(0.35):
        _gallery(home)
    for _ in range(home.rng.poisson(home.uniform(*plan.hung))):
        role = home.role(plan.walls)
        high = 2.0 if role in ("wall_clock", "air_conditioner") else 1.55
        hang(home, role, high - 0.45, high)
    for role, low in (("socket", 0.2), ("socket", 0.2), ("switch", 1.05), ("socket", 1.05)):
        hang(home, role, low, low + 0.12)


def _floor(home: Home, plan: Kind) -> None:
    """Things on the floor, mostly near walls, and now and then a person."""
    for _ in range(home.rng.poisson(home.uniform(*plan.lying) * home.clutter)):
        loose(home, home.role(plan.floor), wall=home.chance(0.75))
    if home.chance(0.45):
        loose(home, "rug", wall=False)
    for seat in [spot for spot in home.spots if spot.item.parts[0].label == ID["chair"]]:
        if home.chance(0.12 * home.clutter):
            drop(home, seat, home.role([("clothes_pile", 3), ("bag", 3), ("pillow", 1), ("book", 1)]), 0.3, 0.6)
    if home.clutter > 0 and home.chance(0.2):
        loose(home, "person", wall=False)
