"""What is fitted to a room's walls or fills it in rows: kitchens, bathrooms, classrooms, shops."""

from __future__ import annotations

import numpy as np

from umadapt.scenes.classes import ID
from umadapt.scenes.interior.arrange import Home, Mix, above, beside, fill, hang, put, seat_at, stand, wall_of
from umadapt.scenes.interior.layout import Spot, along_wall, free_standing, wall_length
from umadapt.scenes.interior.solids import solids
from umadapt.scenes.makers import bathroom, storage
from umadapt.scenes.shapes import Item, Top, box

KITCHEN: Mix = [
    ("vessel", 8), ("kitchen_top", 4), ("small_box", 1.5), ("bath_small", 2), ("plant_small", 0.8), ("paper", 0.8),
    ("book", 0.6), ("towel_pile", 0.4),
]  # fmt: skip
BATH: Mix = [("bath_small", 8), ("towel_pile", 1), ("vessel", 2), ("plant_small", 0.5)]


def cook(home: Home) -> None:
    """A run with the sink, more base units, stove and refrigerator beside it, often around a corner."""
    rng, room = home.rng, home.room
    run, walls = None, sorted(range(4), key=lambda k: -wall_length(room, k) * home.uniform(0.6, 1.0))
    for wall in walls * 3:
        wide = min(home.uniform(1.4, 2.8), wall_length(room, wall) - 0.1)
        run = stand(home, "kitchen", (wall,), item=storage.kitchen_run(rng, wide), gap=0.014)
        if run:
            break
    if not run:
        stand(home, "refrigerator")
        return
    fill(home, run, KITCHEN, 24)
    side = int(rng.choice([-1, 1]))
    stove = _stove(home, run, side)
    ends = {side: stove or run, -side: run}
    for end in (-side, side):
        if home.chance(0.9):
            ends[end] = _unit(home, ends[end], run, end, home.uniform(0.4, 1.4)) or ends[end]
    fridge = home.item("refrigerator")
    if not any(beside(home, ends[k], "refrigerator", fridge, k, 0.012) for k in (side, -side)):
        stand(home, "refrigerator", item=fridge)
    if not stove and home.chance(0.7):
        stand(home, "stove")
    for wall in ((wall_of(run) + 1) % 4, (wall_of(run) + 3) % 4):
        if home.chance(0.75):
            _around_corner(home, run, wall)


def _stove(home: Home, run: Spot, side: int) -> Spot | None:
    """A stove next to the run, or at its other end, with a hood over it."""
    item = home.item("stove")
    spot = beside(home, run, "stove", item, side, 0.004) or beside(home, run, "stove", item, -side, 0.004)
    if spot and home.chance(0.5):
        above(home, spot, "range_hood", 0.55, 0.7)
    return spot


def _unit(home: Home, spot: Spot, run: Spot, side: int, w: float) -> Spot | None:
    """A base unit that looks like the run, beside a piece; as wide as there is room for, and a wall unit over it."""
    for wide in (w, 0.6 * w, 0.3):
        base = base_unit(home, run, wide)
        found = beside(home, spot, "counter", base, side, 0.003)
        if found:
            _finish_unit(home, found, run)
            return found
    return None


def _around_corner(home: Home, run: Spot, wall: int) -> None:
    """Base units along the next wall, from the corner on."""
    length = wall_length(home.room, wall)
    for wide in (home.uniform(1.2, 2.4), 1.1, 0.6):
        base = base_unit(home, run, wide)
        s = base.size[1] + 0.01 + wide / 2
        centre, angle = along_wall(home.room, wall, s if wall == (wall_of(run) + 1) % 4 else length - s, 0.32)
        if home.room.place(base, centre, angle, boxes=solids(base)):
            _finish_unit(home, Spot(base, centre, angle), run)
            return


def _finish_unit(home: Home, spot: Spot, run: Spot) -> None:
    w, body = spot.item.size[0], body_of(run)
    if home.chance(0.75):
        upper = storage.storage(home.rng, "cabinet", w, 0.34, home.uniform(0.55, 0.75), max(1, round(w / 0.5)), 1, body)
        above(home, spot, "wall_cabinet", 0.5, 0.54, item=upper)
    fill(home, spot, KITCHEN, 20)


def body_of(run: Spot) -> str:
    """The material of a kitchen's fronts: the one that most cabinet parts have."""
    names = [part.material for part in run.item.parts if part.label == ID["cabinet"] and part.material != "metal0"]
    return max(set(names), key=lambda name: (names.count(name), name))


def base_unit(home: Home, run: Spot, w: float) -> Item:
    """A cabinet under a counter top, in the style of a run and as high."""
    h = run.item.tops[0].z if run.item.tops else 0.9
    top = next(part.material for part in run.item.parts if part.label == ID["counter"])
    rows = 1 if home.chance(0.6) else 4
    base = storage.storage(
        home.rng, "cabinet", w, 0.62, h - 0.04, max(1, round(w / 0.5)), rows, body_of(run), plinth=0.1
    )
    slab = box((-w / 2, -0.31, h - 0.04), (w / 2, 0.31, h), "counter", top)
    return Item((w, 0.62, h), [*base.parts, slab], [Top((-w / 2, -0.31), (w / 2, 0.31), h, 0.45)], front=0.6)


def wash(home: Home) -> None:
    """A basin or vanity with a mirror over it and bottles on it."""
    spot = None
    for mix in ([("vanity", 2), ("basin", 1)], [("basin", 1)], [("basin", 1)]):
        spot = spot or stand(home, home.role(mix), gap=0.013)
    if spot:
        fill(home, spot, BATH, 22)
        if home.chance(0.75):
            above(home, spot, "mirror", 0.15, 0.35)
        hang(home, "towel", 0.9, 1.3, walls=(wall_of(spot),))


def bathe(home: Home) -> None:
    """A bathtub in a corner or along a short wall, with its curtain."""
    spot = stand(home, "bathtub", gap=0.013)
    if not spot or not home.chance(0.5):
        return
    w, d, _ = spot.item.size
    sheet = bathroom.shower_curtain(home.rng, w, min(1.8, home.room.height - 0.4))
    bottom, r = home.uniform(0.08, 0.2), 0.008
    top = home.room.height - bottom - 0.001
    # Its rod hangs from the ceiling.
    wires = [box((x - r, -r, sheet.size[2]), (x + r, r, top), "otherprop", "steel0") for x in (-w * 0.4, w * 0.4)]
    hung = Item((sheet.size[0], sheet.size[1], top), [*sheet.parts, *wires])
    centre = spot.point(0.0, d / 2 + sheet.size[1] / 2 + 0.01)
    home.room.place(hung, centre, spot.angle_deg, bottom, ignore_reserved=True, boxes=solids(hung))
    if home.chance(0.5):
        hang(home, "towel", 1.1, 1.5, walls=(wall_of(spot),))


def rows_of_desks(home: Home) -> int:
    """Rows of equal tables and chairs that look at wall 0; returns the number of tables."""
    room, role = home.room, home.role([("desk", 1), ("table", 1.5)])
    item, seat = home.item(role), home.item("chair")
    w, d = item.size[:2]
    pitch, placed = d + home.uniform(0.85, 1.1), 0
    side = w + home.rng.choice([0.02, 0.6])
    turn = 180.0 if role == "desk" else 0.0
    for y in np.arange(1.7, room.depth - d / 2 - 0.7, pitch):
        for x in np.arange(w / 2 + home.uniform(0.3, 0.8), room.width - w / 2 - 0.3, side):
            spot = put(home, role, item, (float(x), float(y)), turn)
            if not spot:
                continue
            placed += 1
            for k in range(max(1, int(w / 0.65))):
                along = (k - (max(1, int(w / 0.65)) - 1) / 2) * 0.62
                if home.chance(0.85):
                    seat_at(home, spot, "chair", seat, 0 if turn else 2, along, 8.0)
            fill(home, spot, [("paper", 3), ("book", 2), ("laptop", 1.5), ("vessel", 0.7), ("monitor", 0.8)], 3)
    return placed


def racks(home: Home) -> None:
    """Rows of shelving back to back through the room, and tables with piles of books between them."""
    room, item = home.room, home.item("display")
    w, d = item.size[:2]
    for y in np.arange(1.4, room.depth - 1.2, d * 2 + home.uniform(1.1, 1.6)):
        for x in np.arange(w / 2 + 0.9, room.width - w / 2 - 0.6, w + 0.01):
            if home.chance(0.85):
                put(home, "display", item, (float(x), float(y)), 0.0)
                put(
                    home,
                    "display",
                    home.item("display") if home.chance(0.2) else item,
                    (float(x), float(y) - d - 0.01),
                    180.0,
                )


def pile_table(home: Home) -> None:
    """A table or island covered with piles of books."""
    role = home.role([("table", 2), ("island", 1)])
    spot = free_standing(home.rng, home.room, home.item(role), turned=False)
    if spot:
        home.spots.append(spot)
        fill(home, spot, [("book", 8), ("small_box", 1), ("paper", 1), ("toy", 0.6)], 20)
