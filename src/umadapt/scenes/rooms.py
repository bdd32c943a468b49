"""Whole rooms: a shell, openings and lamps, furniture by room type, small objects."""

from __future__ import annotations

import numpy as np

from umadapt.scenes import clutter, furniture, storage
from umadapt.scenes.furniture import Rng
from umadapt.scenes.layout import Room, Spot, against_wall, free_standing
from umadapt.scenes.shapes import Item, Top, box, move, quad

KINDS = ("bedroom", "living", "office", "kitchen")


def draw_room(rng: Rng) -> Room:
    """Draw a whole furnished room."""
    kind = str(rng.choice(KINDS, p=[0.32, 0.28, 0.2, 0.2]))
    room = Room(kind, rng.uniform(3.0, 5.8), rng.uniform(3.0, 4.8), rng.uniform(2.4, 3.0))
    _shell(room)
    _openings(rng, room)
    {"bedroom": _bedroom, "living": _living, "office": _office, "kitchen": _kitchen}[kind](rng, room)
    _on_walls(rng, room)
    _loose(rng, room)
    return room


def _shell(room: Room) -> None:
    w, d, h = room.width, room.depth, room.height
    p = np.array([[0, 0, 0], [w, 0, 0], [w, d, 0], [0, d, 0], [0, 0, h], [w, 0, h], [w, d, h], [0, d, h]], dtype=float)
    room.parts.append(quad(p[[0, 1, 2, 3]], "floor", "floor0"))
    room.parts.append(quad(p[[7, 6, 5, 4]], "ceiling", "ceiling0"))
    for k, corners in enumerate(([1, 0, 4, 5], [2, 1, 5, 6], [3, 2, 6, 7], [0, 3, 7, 4])):
        room.parts.append(quad(p[corners], "wall", "wall1" if k == 2 else "wall0"))
    t, s = 0.012, 0.08
    skirting = [
        ((t, 0, 0), (w - t, t, s)),
        ((w - t, 0, 0), (w, d, s)),
        ((t, d - t, 0), (w - t, d, s)),
        ((0, 0, 0), (t, d, s)),
    ]
    room.parts += [box(lo, hi, "wall", "trim0") for lo, hi in skirting]


def _openings(rng: Rng, room: Room) -> None:
    """One or two doors, one or two windows with curtains or a radiator, ceiling lamps."""
    for _ in range(1 if rng.random() < 0.75 else 2):
        against_wall(rng, room, clutter.door(rng), gap=0.0)
    for _ in range(1 if rng.random() < 0.6 else 2):
        w, sill = rng.uniform(0.9, 2.0), rng.uniform(0.75, 1.0)
        h = min(rng.uniform(1.0, 1.4), room.height - sill - 0.25)
        spot = against_wall(rng, room, clutter.window(rng, w, h), gap=0.0, z=sill)
        if spot and rng.random() < 0.6:
            wide = w + rng.uniform(0.4, 0.7)
            bottom = 0.02 if rng.random() < 0.5 else sill - 0.15
            parts = clutter.curtain_pair(rng, wide, bottom, sill + h + 0.08 - bottom + bottom)
            _hang(room, spot, Item((wide + 0.04, 0.11, sill + h + 0.11), parts), 0.03 + 0.066)
        if spot and rng.random() < 0.35:
            item = storage.radiator(rng)
            room.place(item, spot.point(0.0, -0.03 + 0.025 + item.size[1] / 2), spot.angle_deg, ignore_reserved=True)
    columns = 1 if max(room.width, room.depth) < 4.5 else 2
    lamp = clutter.ceiling_lamp(rng)
    for k in range(columns):
        share = (k + 0.5) / columns
        x, y = (share, 0.5) if room.width > room.depth else (0.5, share)
        room.place(lamp, (x * room.width, y * room.depth), 0.0, room.height - lamp.size[2] - 0.001)


def _hang(room: Room, spot: Spot, item: Item, ahead: float) -> None:
    """Hang curtains in front of a window; they take their whole strip down to their lower edge."""
    z0 = min(float(p.vertices[:, 2].min()) for p in item.parts)
    z1 = max(float(p.vertices[:, 2].max()) for p in item.parts)
    lowered = Item((item.size[0], item.size[1], z1 - z0), move(item.parts, 0.0, (0, 0, -z0)))
    room.place(lowered, spot.point(0.0, ahead), spot.angle_deg, z0, ignore_reserved=True)


def _bedroom(rng: Rng, room: Room) -> None:
    for _ in range(1 if rng.random() < 0.85 else 2):
        spot = against_wall(rng, room, furniture.bed(rng))
        if spot:
            _bedside(rng, room, spot)
    if rng.random() < 0.75:
        spot = against_wall(rng, room, storage.dresser(rng))
        if spot:
            _top_with(rng, room, spot, clutter.television(rng) if rng.random() < 0.35 else clutter.table_lamp(rng))
    if rng.random() < 0.6:
        against_wall(rng, room, storage.wardrobe(rng))
    if rng.random() < 0.5:
        _work_place(rng, room)
    if rng.random() < 0.5:
        _shelf(rng, room)
    if rng.random() < 0.25:
        against_wall(rng, room, furniture.sofa(rng), gap=0.06)


def _bedside(rng: Rng, room: Room, spot: Spot) -> None:
    stand_item = storage.night_stand(rng)
    for side in (-1, 1):
        x = side * (spot.item.size[0] / 2 + stand_item.size[0] / 2 + rng.uniform(0.02, 0.08))
        y = -spot.item.size[1] / 2 + stand_item.size[1] / 2
        centre = spot.point(x, y)
        if rng.random() < 0.75 and room.place(stand_item, centre, spot.angle_deg):
            stand = Spot(stand_item, centre, spot.angle_deg)
            _top_with(rng, room, stand, clutter.table_lamp(rng) if rng.random() < 0.7 else clutter.book_pile(rng))


def _living(rng: Rng, room: Room) -> None:
    spot = against_wall(rng, room, furniture.sofa(rng), gap=0.05)
    if spot:
        _coffee_table(rng, room, spot)
    if rng.random() < 0.75:
        stand = against_wall(rng, room, storage.tv_stand(rng))
        if stand:
            _top_with(rng, room, stand, clutter.television(rng))
    for _ in range(int(rng.integers(0, 3))):
        against_wall(rng, room, furniture.sofa(rng), gap=0.06)
    for _ in range(int(rng.integers(0, 3))):
        _shelf(rng, room)
    if rng.random() < 0.4:
        _dining(rng, room)
    if rng.random() < 0.5:
        _low_cabinet(rng, room)
    if rng.random() < 0.5:
        against_wall(rng, room, clutter.floor_lamp(rng), gap=0.05)


def _coffee_table(rng: Rng, room: Room, spot: Spot) -> None:
    item, z = furniture.coffee_table(rng), 0.0
    ahead = spot.item.size[1] / 2 + rng.uniform(0.38, 0.55) + item.size[1] / 2
    centre = spot.point(0.0, ahead)
    if rng.random() < 0.6:
        rug = clutter.rug(rng, item.size[0] + 0.5, item.size[1] + rng.uniform(0.4, 0.6))
        z = rug.size[2] if room.place(rug, centre, spot.angle_deg, ignore_reserved=True) else 0.0
    if room.place(item, centre, spot.angle_deg, z, ignore_reserved=True):
        _fill(rng, room, Spot(item, centre, spot.angle_deg, z), 0.5)


def _office(rng: Rng, room: Room) -> None:
    for _ in range(int(rng.integers(1, 4))):
        _work_place(rng, room)
    for _ in range(int(rng.integers(1, 4))):
        _shelf(rng, room)
    for _ in range(int(rng.integers(0, 3))):
        _low_cabinet(rng, room)
    if rng.random() < 0.35:
        _dining(rng, room)
    if rng.random() < 0.5:
        against_wall(rng, room, clutter.whiteboard(rng), gap=0.0, z=rng.uniform(0.85, 1.0))


def _work_place(rng: Rng, room: Room) -> None:
    spot = against_wall(rng, room, furniture.desk(rng))
    if not spot:
        return
    if rng.random() < 0.8:
        _top_with(rng, room, spot, clutter.monitor(rng))
        board, (x, y) = clutter.keyboard(rng), spot.point(rng.uniform(-0.15, 0.15), spot.item.size[1] / 2 - 0.13)
        room.place(board, (x, y), spot.angle_deg, spot.item.size[2], ignore_reserved=True)
    _fill(rng, room, spot, 0.7)
    seat = furniture.office_chair(rng) if rng.random() < 0.6 else furniture.chair(rng)
    ahead = spot.item.size[1] / 2 + seat.size[1] / 2 + rng.uniform(0.02, 0.3)
    turn = spot.angle_deg + 180 + rng.uniform(-35, 35)
    room.place(seat, spot.point(rng.uniform(-0.2, 0.2), ahead + 0.06), turn, ignore_reserved=True)


def _kitchen(rng: Rng, room: Room) -> None:
    wall = int(rng.integers(4))
    for w in (rng.uniform(1.8, 3.2), 1.6, 1.2):
        spot = against_wall(rng, room, storage.kitchen_run(rng, w), walls=(wall,) if w > 1.7 else (0, 1, 2, 3))
        if spot:
            _fill(rng, room, spot, 0.8)
            break
    fridge = against_wall(rng, room, storage.refrigerator(rng))
    if fridge and rng.random() < 0.4:
        _fill(rng, room, fridge, 0.4)
    _dining(rng, room)
    if rng.random() < 0.6:
        _low_cabinet(rng, room)
    if rng.random() < 0.3:
        _shelf(rng, room)


def _dining(rng: Rng, room: Room) -> None:
    item = furniture.table(rng)
    spot = free_standing(rng, room, item, turned=False)
    if not spot:
        return
    _fill(rng, room, spot, 0.5)
    seat = furniture.chair(rng)
    w, d, _ = item.size
    sides = [(0.0, 1), (180.0, 1), (90.0, 0), (270.0, 0)]
    for angle, lengthwise in sides:
        count = 2 if lengthwise and w > 1.25 else 1
        for k in range(count):
            if rng.random() < 0.25:
                continue
            across = (k - (count - 1) / 2) * 0.6 + rng.uniform(-0.04, 0.04)
            off = (d if lengthwise else w) / 2 + seat.size[1] / 2 + rng.uniform(0.04, 0.3)
            turn = np.radians(angle)
            x, y = across * np.cos(turn) - off * np.sin(turn), across * np.sin(turn) + off * np.cos(turn)
            room.place(seat, spot.point(x, y), spot.angle_deg + angle + 180 + rng.uniform(-15, 15))


def _shelf(rng: Rng, room: Room) -> None:
    spot = against_wall(rng, room, storage.bookshelf(rng))
    if spot and spot.item.size[2] < 1.6:
        _fill(rng, room, spot, 0.5)


def _low_cabinet(rng: Rng, room: Room) -> None:
    spot = against_wall(rng, room, storage.cabinet(rng))
    if spot:
        _fill(rng, room, spot, 0.6)


def _top_with(rng: Rng, room: Room, spot: Spot, item: Item) -> None:
    """One chosen object near the middle of the top's back, then small ones around it."""
    for top in spot.item.tops[:1]:
        x = rng.uniform(-0.25, 0.25) * max(0.0, top.hi[0] - top.lo[0] - item.size[0])
        y = top.lo[1] + item.size[1] / 2 + 0.03 if top.hi[1] - top.lo[1] > item.size[1] + 0.05 else 0.0
        if item.size[0] < top.hi[0] - top.lo[0] and item.size[1] < top.hi[1] - top.lo[1]:
            room.place(item, spot.point(x, y), spot.angle_deg, spot.z + top.z, ignore_reserved=True)
    _fill(rng, room, spot, 0.4)


def _fill(rng: Rng, room: Room, spot: Spot, density: float) -> None:
    """Scatter small objects on the tops of an item."""
    for top in spot.item.tops:
        area = (top.hi[0] - top.lo[0]) * (top.hi[1] - top.lo[1])
        for _ in range(rng.poisson(density * area * 8)):
            _drop(rng, room, spot, top, _small(rng))


def _small(rng: Rng) -> Item:
    makers = (clutter.vessel, clutter.book_pile, clutter.papers, clutter.carton, clutter.plant, clutter.table_lamp)
    return makers[rng.choice(len(makers), p=[0.34, 0.24, 0.14, 0.14, 0.08, 0.06])](rng)


def _drop(rng: Rng, room: Room, spot: Spot, top: Top, item: Item) -> None:
    # The circle around the object's footprint stays on the top, whatever way it is turned.
    reach = float(np.hypot(item.size[0], item.size[1])) / 2
    lo, hi = np.array(top.lo) + reach, np.array(top.hi) - reach
    if (lo > hi).any() or item.size[2] > top.headroom:
        return
    x, y = rng.uniform(lo, hi)
    angle = spot.angle_deg + rng.uniform(-40, 40)
    room.place(item, spot.point(x, y), angle, spot.z + top.z, ignore_reserved=True)


def _on_walls(rng: Rng, room: Room) -> None:
    for _ in range(int(rng.integers(1, 6))):
        item = clutter.picture(rng)
        against_wall(rng, room, item, gap=0.0, z=rng.uniform(1.2, 1.6))


def _loose(rng: Rng, room: Room) -> None:
    """Things on the floor, mostly near walls."""
    for _ in range(int(rng.integers(0, 4))):
        against_wall(rng, room, clutter.carton(rng, big=True), gap=0.03)
    for maker, chance in ((clutter.bin_, 0.5), (clutter.bag, 0.35), (lambda r: clutter.plant(r, True), 0.3)):
        if rng.random() < chance:
            against_wall(rng, room, maker(rng), gap=0.05)
    for _ in range(int(rng.integers(0, 3))):
        against_wall(rng, room, furniture.chair(rng), gap=0.06)
    if rng.random() < 0.4:
        free_standing(rng, room, clutter.rug(rng, rng.uniform(0.9, 2.0), rng.uniform(0.6, 1.4)), turned=False)
