"""Doors, passages, closets and windows in real holes of the walls, and what hangs before windows; metres."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from umadapt.scenes.interior.arrange import Home, hang, stand
from umadapt.scenes.interior.layout import Block, Room, along_wall, wall_length
from umadapt.scenes.interior.shell import Finish, Hole, back_of, build_shell, in_wall
from umadapt.scenes.makers import clutter, fixtures, storage
from umadapt.scenes.makers.furniture import pick
from umadapt.scenes.shapes import Item, Part, box, curtain, cylinder, move

_DOORS = [("closed", 0.42), ("inwards", 0.2), ("outwards", 0.1), ("passage", 0.18), ("closet", 0.1)]


@dataclass(frozen=True)
class Openings:
    """How many doors and windows a kind of room has, and what hangs before its windows."""

    doors: tuple[int, int] = (1, 2)
    windows: tuple[int, int] = (1, 2)
    pane_m: tuple[float, float] = (0.9, 2.0)  # width
    sill_m: tuple[float, float] = (0.7, 1.0)
    dressing: tuple[tuple[str, float], ...] = (("curtains", 0.22), ("blinds", 0.55), ("", 0.23))
    radiator: float = 0.35


def draw_holes(home: Home, plan: Openings) -> list[tuple[Hole, str]]:
    """Holes and their uses: one of the door kinds or "window"; they keep apart from each other and from corners."""
    found: list[tuple[Hole, str]] = []
    for _ in range(plan.doors[1] if home.chance(0.2) else plan.doors[0]):
        use = home.choose(_DOORS)
        wide = home.uniform(0.72, 0.92) if use not in ("passage", "closet") else home.uniform(0.85, 1.7)
        top = min(home.uniform(1.98, 2.12), home.room.height - 0.2)
        _add_hole(home, found, use, wide, 0.0, top, home.uniform(0.06, 0.16))
    many = home.count(*plan.windows)
    row = many > 2 or home.chance(0.3)  # equal windows side by side in one wall
    wall, wide, sill = home.count(0, 3), home.uniform(*plan.pane_m), home.uniform(*plan.sill_m)
    for _ in range(many):
        if not row:
            wall, wide, sill = home.count(0, 3), home.uniform(*plan.pane_m), home.uniform(*plan.sill_m)
        top = min(sill + home.uniform(1.0, 1.5), home.room.height - 0.25)
        _add_hole(home, found, "window", wide, sill, top, home.uniform(0.14, 0.26), wall if row else None)
    return found


def _add_hole(
    home: Home,
    found: list[tuple[Hole, str]],
    use: str,
    wide: float,
    z0: float,
    z1: float,
    reveal: float,
    wall: int | None = None,
) -> None:
    for _ in range(20):
        k = home.count(0, 3) if wall is None else wall
        length = wall_length(home.room, k)
        if length < wide + 0.3:
            continue
        x = home.uniform(0.13, length - wide - 0.13)
        hole = Hole(k, x, x + wide, z0, z1, reveal)
        if all(o.wall != k or o.x1 + 0.22 < hole.x0 or hole.x1 + 0.22 < o.x0 for o, _ in found):
            found.append((hole, use))
            return


def finish_holes(home: Home, holes: list[tuple[Hole, str]], plan: Openings, finish: Finish) -> None:
    """Put doors, rooms behind them and windows where the holes are."""
    taken = [(hole.wall, hole.x0, hole.x1) for hole, _ in holes]
    for k, (hole, use) in enumerate(holes):
        others = [t for i, t in enumerate(taken) if i != k and t[0] == hole.wall]
        if use == "window":
            _window(home, hole, home.choose(plan.dressing), plan.radiator, finish)
            continue
        _casing(home, hole)
        ahead = 0.5 if use == "closet" else 0.85
        _reserve(home.room, hole, ahead, 0.0, hole.z1)
        if use == "closed":
            _closed_door(home, hole, finish)
        else:
            taken[k] = (hole.wall, *_annex(home, hole, use, others, finish))


def _reserve(room: Room, hole: Hole, ahead: float, z0: float, z1: float) -> None:
    centre, angle = along_wall(room, hole.wall, hole.middle, ahead / 2)
    room.reserved.append(Block(centre, (hole.width / 2, ahead / 2), angle, (z0, z1)))


def _fix(home: Home, hole: Hole, item: Item, s: float, off: float, z: float) -> bool:
    """Put something before a hole's wall: s along it, its back `off` away from it."""
    centre, angle = along_wall(home.room, hole.wall, s, off + item.size[1] / 2)
    return home.room.place(item, centre, angle, z, ignore_reserved=True)


def _casing(home: Home, hole: Hole) -> None:
    c, t = home.uniform(0.05, 0.085), home.uniform(0.014, 0.024)
    x0, x1, z1 = hole.x0, hole.x1, hole.z1
    sides = [(x0 - c, x0, 0.0, z1 + c, t), (x1, x1 + c, 0.0, z1 + c, t), (x0, x1, z1, z1 + c, t - 0.001)]
    for a, b, low, high, thick in sides:
        w, h = b - a, high - low
        part = box((-w / 2, -thick / 2, 0.0), (w / 2, thick / 2, h), "door", "trim0")
        _fix(home, hole, Item((w, thick, h), [part]), (a + b) / 2, 0.0, low)


def door_leaf(home: Home, w: float, h: float) -> list[Part]:
    """A door leaf, w x 4 cm x h, standing on z = 0.006 with its hinges at x = 0 and both faces alike."""
    material, style = str(home.rng.choice(["door0", "door0", "wood1"])), home.count(0, 3)
    z0, y = 0.006, 0.02
    parts = [box((0.0, -y, z0), (w, y, h), "door", material)]
    columns, rows = (1, 2) if style < 2 else (2, home.count(2, 3))
    if style > 0:
        wide, tall = (w - 0.1) / columns, (h - 0.25) / rows
        for i in range(columns):
            for j in range(rows):
                a, c = 0.05 + i * wide + 0.045, 0.16 + j * tall + 0.045
                hi = (a + wide - 0.09, y + 0.007, c + tall - 0.09)
                parts.append(box((a, -y - 0.007, c), hi, "door", material))
    x = w - 0.07
    for side in (-1, 1):
        a, b = sorted((side * y, side * (y + 0.045)))
        if style % 2:
            parts.append(box((x - 0.008, a, 0.99), (x + 0.008, b, 1.006), "door", "metal0"))
            parts.append(
                box(
                    (x - 0.11, b - 0.012 if side > 0 else a, 0.989),
                    (x + 0.008, b if side > 0 else a + 0.012, 1.007),
                    "door",
                    "metal0",
                )
            )
        else:
            parts.append(cylinder((x, (a + b) / 2, 0.97), 0.024, 0.05, "door", "metal0"))
    return parts


def _closed_door(home: Home, hole: Hole, finish: Finish) -> None:
    y = -hole.reveal + 0.03
    leaf = move(door_leaf(home, hole.width, hole.z1 - 0.004), 0.0, (hole.x0, y, 0.0))
    if home.chance(0.5):  # hinges at the other side
        leaf = move(move(leaf, 180.0, (0, 0, 0)), 0.0, (2 * hole.middle, 2 * y, 0.0))
    room = home.room
    room.parts += in_wall(room, hole.wall, [*leaf, back_of(hole, finish.walls[hole.wall])])


def _annex(
    home: Home, hole: Hole, use: str, others: list[tuple[int, float, float]], finish: Finish
) -> tuple[float, float]:
    """A small closed room behind a hole, plainly furnished; returns the range of the wall that it takes."""
    left = max([0.0, *(b + 0.03 for _, _, b in others if b <= hole.x0)])
    right = min([wall_length(home.room, hole.wall), *(a - 0.03 for _, a, _ in others if a >= hole.x1)])
    closet = use == "closet"
    reach = 0.25 if closet else 2.5
    x0 = max(left, hole.x0 - home.uniform(0.04, reach))
    x1 = min(right, hole.x1 + home.uniform(0.04, reach))
    depth = home.uniform(0.55, 0.75) if closet else home.uniform(1.1, 2.6)
    height = max(hole.z1 + 0.15, min(home.room.height, 2.6))
    annex = replace_home(home, Room("annex", x1 - x0, depth, height))
    door = Hole(2, x1 - hole.x1, x1 - hole.x0, 0.0, hole.z1, 0.001)
    walls = finish.walls if home.chance(0.5) else ("wall2",) * 4
    floor = finish.floor if home.chance(0.6) else "floor1"
    build_shell(annex.room, [door], Finish(walls, floor, finish.ceiling))
    annex.room.reserved.append(Block((hole.middle - x0, depth - 0.35), (hole.width / 2, 0.35), 0.0, (0, 2)))
    if use == "inwards":
        _open_leaf(home, hole)
    elif use == "outwards":
        _leaf_behind(annex, hole, x0)
    _furnish_annex(annex, closet)
    # Its lamps are a light of their own: shared with the room's, they would take most of that power.
    parts = [replace(p, material="bulb2") if p.material.startswith("bulb") else p for p in annex.room.parts]
    parts = move(parts, 0.0, (x0, -hole.reveal - depth, 0.0))
    home.room.parts += in_wall(home.room, hole.wall, parts)
    return x0, x1


def replace_home(home: Home, room: Room) -> Home:
    """The same chance and stock in another room."""
    return replace(home, room=room, spots=[])


def _furnish_annex(annex: Home, closet: bool) -> None:
    room = annex.room
    if annex.chance(0.15 if closet else 0.85):
        lamp = clutter.ceiling_lamp(annex.rng)
        if max(lamp.size[:2]) < min(room.width, room.depth):
            room.place(lamp, (room.width / 2, room.depth / 2), 0.0, room.height - lamp.size[2] - 0.001)
    if closet:
        for _ in range(3):
            hang(annex, "clothes", 0.5, 1.0, walls=(0,))
        for _ in range(annex.count(1, 4)):
            stand(annex, annex.choose([("box", 3), ("bag", 1), ("clothes_pile", 2)]), walls=(0,))
        return
    mix = [("bookshelf", 1), ("cabinet", 1), ("chair", 2), ("box", 1), ("plant", 1), ("dresser", 1), ("shelves", 1)]
    for _ in range(annex.count(0, 3)):
        stand(annex, annex.choose(mix))
    for _ in range(annex.count(0, 2)):
        hang(annex, "picture", 1.1, 1.5, walls=(0, 1, 3))


def _open_leaf(home: Home, hole: Hole) -> None:
    """The leaf stands in the room, turned about its hinge at either side of the hole."""
    w, h = hole.width - 0.01, hole.z1 - 0.005
    leaf = door_leaf(home, w, h)
    points = np.concatenate([p.vertices for p in leaf])
    thick = float(np.abs(points[:, 1]).max())
    item = Item((w, 2 * thick, h), move(leaf, 0.0, (-w / 2, 0.0, 0.0)))
    for _ in range(6):
        swing, left = home.uniform(20, 112), home.chance(0.5)
        turn = swing if left else 180.0 - swing
        hinge = hole.x0 + 0.005 if left else hole.x1 - 0.005
        c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
        x, y = hinge + c * w / 2, 0.03 + thick * abs(c) + s * w / 2
        centre, angle = along_wall(home.room, hole.wall, float(x), float(y))
        if home.room.place(item, centre, angle + turn, ignore_reserved=True):
            return


def _leaf_behind(annex: Home, hole: Hole, x0: float) -> None:
    w = hole.width - 0.01
    leaf = door_leaf(annex, w, hole.z1 - 0.005)
    thick = float(max(np.abs(p.vertices[:, 1]).max() for p in leaf))
    item = Item((w, 2 * thick, hole.z1), move(leaf, 0.0, (-w / 2, 0.0, 0.0)))
    y = annex.room.depth - 0.02 - w / 2
    for x in (hole.x0 - x0 - thick - 0.01, hole.x1 - x0 + thick + 0.01):
        if annex.room.place(item, (x, y), 90.0, ignore_reserved=True):
            return


def _window(home: Home, hole: Hole, dressing: str, radiator: float, finish: Finish) -> None:
    room, wall = home.room, hole.wall
    item = clutter.window(home.rng, hole.width, hole.height)
    y = -hole.reveal + item.size[1] / 2
    out = float(home.uniform(0.015, 0.05))
    sill = box((hole.x0 - 0.04, 0.0, hole.z0 - 0.02), (hole.x1 + 0.04, out, hole.z0 + 0.012), "window", "trim0")
    ledge = box((hole.x0, y, hole.z0 - 0.02), (hole.x1, 0.0, hole.z0 + 0.012), "window", "trim0")
    inside = [*move(item.parts, 0.0, (hole.middle, y, hole.z0)), ledge, back_of(hole, finish.walls[wall])]
    centre, angle = along_wall(room, wall, hole.middle, out / 2)
    block = Block(centre, (hole.width / 2 + 0.04, out / 2), angle, (hole.z0 - 0.02, hole.z0 + 0.012))
    if room.fits(block, ignore_reserved=True):
        room.blocks.append(block)
        inside.append(sill)
    _reserve(room, hole, 0.3, hole.z0, hole.z1)
    deep = hole.reveal - item.size[1]
    if dressing == "blinds":
        blind = fixtures.blinds(
            home.rng, hole.width - 0.02, hole.height * home.rng.choice([home.uniform(0.3, 0.9), 0.96])
        )
        if blind.size[1] < deep - 0.005 and home.chance(0.7):
            place = (hole.middle, -blind.size[1] / 2 - 0.004, hole.z1 - blind.size[2] - 0.002)
            inside += move(blind.parts, 0.0, place)
            deep = 0.0
        else:
            _fix(home, hole, blind, hole.middle, out + 0.005, hole.z1 - blind.size[2] + 0.04)
    elif dressing == "curtains":
        _curtains(home, hole, out)
    if deep > 0.09 and home.chance(0.45):
        inside += _on_sill(home, hole, -deep / 2, deep)
    room.parts += in_wall(room, wall, inside)
    if home.chance(radiator) and hole.z0 > 0.6:
        heater = storage.radiator(home.rng)
        if heater.size[2] < hole.z0 - 0.03:
            _fix(home, hole, heater, hole.middle + home.uniform(-0.2, 0.2), 0.02, 0.0)


def _curtains(home: Home, hole: Hole, out: float) -> None:
    """Two sheets on a rod, each drawn over some of the window, to the floor or to below the sill."""
    top = min(hole.z1 + home.uniform(0.05, 0.18), home.room.height - 0.15)
    bottom = 0.02 if home.chance(0.55) else hole.z0 - home.uniform(0.08, 0.2)
    half = hole.width / 2 + home.uniform(0.12, 0.3)
    material, drawn = (
        pick(home.rng, "curtain", 2),
        home.rng.choice([home.uniform(0.2, 0.4), 0.5, home.uniform(0.4, 0.9)]),
    )
    for side in (-1, 1):
        w = float(np.clip(half * drawn * home.uniform(0.8, 1.1), 0.18, half - 0.02))
        sheet = curtain(w, top - bottom - 0.01, max(3, round(w / 0.1)), "curtain", material)
        item = Item((w, 0.11, top - bottom - 0.01), [sheet])
        _fix(home, hole, item, hole.middle + side * (half - w / 2), out + 0.01, bottom)
    rod = Item(
        (2 * half + 0.1, 0.03, 0.03),
        [box((-half - 0.05, -0.012, 0.0), (half + 0.05, 0.012, 0.024), "curtain", "metal0")],
    )
    _fix(home, hole, rod, hole.middle, out + 0.05, top)


def _on_sill(home: Home, hole: Hole, y: float, deep: float) -> list[Part]:
    parts, x = [], hole.x0 + 0.05
    while home.chance(0.75):
        item = home.item(home.choose([("plant_small", 3), ("vessel", 2), ("book", 1)]))
        x += home.uniform(0.03, 0.4)
        if max(item.size[:2]) < deep - 0.01 and item.size[2] < hole.height - 0.1 and x + item.size[0] < hole.x1 - 0.05:
            parts += move(item.parts, 0.0, (x + item.size[0] / 2, y, hole.z0 + 0.012))
            x += item.size[0]
    return parts
