"""Groups of furniture that belong together: a bed and what stands by it, a sofa and what it looks at, a desk, …"""

from __future__ import annotations

from umadapt.scenes.classes import ID
from umadapt.scenes.interior.arrange import (  # fmt: skip
    Home,
    Mix,
    above,
    ahead,
    beside,
    drop,
    fill,
    hang,
    lay,
    on_top,
    opposite,
    put,
    seat_at,
    seats_around,
    stand,
    wall_of,
)
from umadapt.scenes.interior.layout import Spot, free_standing
from umadapt.scenes.makers import clutter, fixtures
from umadapt.scenes.shapes import Item

DESK: Mix = [
    ("paper", 4), ("book", 4), ("vessel", 3), ("gadget", 2), ("small_box", 1), ("plant_small", 0.7), ("toy", 0.5),
    ("laptop", 0.7), ("desk_lamp", 0.5),
]  # fmt: skip
LIVING: Mix = [
    ("book", 4), ("vessel", 4), ("paper", 2), ("plant_small", 1.2), ("gadget", 1), ("toy", 1), ("table_lamp", 0.6),
    ("small_box", 1), ("bag", 0.5),
]  # fmt: skip
BEDROOM: Mix = [
    ("book", 3), ("vessel", 3), ("small_box", 1.5), ("toy", 1.5), ("paper", 1), ("plant_small", 0.7),
    ("bath_small", 1.5), ("gadget", 1), ("clothes_pile", 0.6), ("bag", 0.5),
]  # fmt: skip
_ON_BED: Mix = [("pillow", 3), ("clothes_pile", 4), ("bag", 1), ("book", 1), ("toy", 1), ("towel_pile", 0.7)]
TABLE: Mix = [("vessel", 6), ("paper", 2), ("book", 2), ("plant_small", 1.2), ("laptop", 0.5), ("small_box", 0.7)]


def rug_under(home: Home, centre: tuple[float, float], angle_deg: float, w: float, d: float) -> float:
    """Lay a rug; returns the height of what stands on it."""
    rug = clutter.rug(home.rng, w, d)
    if home.room.place(rug, centre, angle_deg, ignore_reserved=True):
        return rug.size[2]
    return 0.0


def sleep(home: Home) -> Spot | None:
    """A bed with night stands and lamps, things on it and over it, a rug beside it."""
    spot = stand(home, "bed") or stand(home, "bed") or stand(home, "bed")
    if not spot:
        return None
    if not any(part.label == ID["pillow"] for part in spot.item.parts):
        _pillows(home, spot)
    night, lamp = home.item("night_stand"), home.item("table_lamp")
    for side in (-1, 1):
        if home.chance(0.8):
            place = beside(home, spot, "night_stand", night, side, home.uniform(0.02, 0.1))
            if place:
                if home.chance(0.7):
                    on_top(home, place, "table_lamp", lamp)
                fill(home, place, BEDROOM, 12)
    if home.chance(0.6):
        above(home, spot, "picture", 0.15, 0.5, home.uniform(-0.3, 0.3))
    for _ in range(home.rng.poisson(1.6 * home.clutter)):
        drop(home, spot, home.role(_ON_BED))
    if home.chance(0.35):
        w, side = spot.item.size[0], home.rng.choice([-1, 1])
        rug_under(
            home,
            spot.point(side * (w / 2 + 0.5), 0.2),
            spot.angle_deg + 90,
            home.uniform(1.0, 1.7),
            home.uniform(0.6, 0.9),
        )
    if home.chance(0.15):
        ahead(home, spot, "bench", home.item("bench"), 0.05)
    return spot


def _pillows(home: Home, spot: Spot) -> None:
    """One or two pillows at the head of a bed that has none."""
    w, d, _ = spot.item.size
    item = home.item("pillow")
    for x in (0.0,) if w < 1.3 else (-w / 4, w / 4):
        for y in (0.3, 0.42, 0.55):
            if lay(home.room, item, spot.point(x, y - d / 2), spot.angle_deg + home.uniform(-8, 8), 0.25, 0.8):
                break


def lounge(home: Home) -> Spot | None:
    """A sofa, a coffee table on a rug, armchairs around it, side tables with lamps, a television opposite."""
    spot = stand(home, "sofa", gap=0.05)
    if not spot:
        return None
    w, d, _ = spot.item.size
    low = home.item("coffee_table")
    gap = home.uniform(0.3, 0.5)
    centre = spot.point(home.uniform(-0.15, 0.15), d / 2 + gap + low.size[1] / 2)
    z = 0.0
    if home.chance(0.65):
        z = rug_under(
            home, centre, spot.angle_deg, low.size[0] + home.uniform(0.5, 1.1), low.size[1] + home.uniform(0.4, 0.56)
        )
    if home.chance(0.85):
        table = put(home, "coffee_table", low, centre, spot.angle_deg, z)
        if table:
            fill(home, table, LIVING, 12)
    arm = home.item("armchair")
    for side in (-1, 1):
        if home.chance(0.5):
            x = side * (max(w, low.size[0]) / 2 + home.uniform(0.1, 0.4) + arm.size[1] / 2)
            y = d / 2 + gap + low.size[1] / 2 + home.uniform(-0.2, 0.3)
            seat = put(home, "armchair", arm, spot.point(x, y), spot.angle_deg + 90.0 * side + home.uniform(-25, 25))
            if seat and home.chance(0.4 * home.clutter):
                drop(home, seat, "pillow", 0.25, 0.6)
    if home.chance(0.3):
        ahead(home, spot, "sofa", home.item("sofa"), gap * 2 + low.size[1])
    small = home.item("side_table")
    for side in (-1, 1):
        if home.chance(0.45):
            end = beside(home, spot, "side_table", small, side, home.uniform(0.03, 0.12))
            if end and home.chance(0.7):
                on_top(home, end, "table_lamp", back=False)
            if end:
                fill(home, end, LIVING, 8)
    if home.chance(0.3):
        lamp = home.item("floor_lamp")
        beside(home, spot, "floor_lamp", lamp, int(home.rng.choice([-1, 1])), 0.1)
    for _ in range(home.rng.poisson(1.5 * home.clutter)):
        drop(
            home,
            spot,
            home.role([("pillow", 5), ("clothes_pile", 2), ("bag", 1), ("book", 0.6), ("toy", 0.5)]),
            0.25,
            0.62,
        )
    if home.chance(0.7):
        above(home, spot, "picture", 0.2, 0.5, home.uniform(-0.4, 0.4))
    watch(home, spot)
    return spot


def watch(home: Home, spot: Spot) -> None:
    """A television on its stand opposite, or at the wall."""
    if home.chance(0.2):
        hang(home, "wall_tv", 0.9, 1.3, walls=((wall_of(spot) + 2) % 4,))
        return
    if home.chance(0.8):
        base = opposite(home, spot, "tv_stand")
        if base:
            screen_on(home, base)
            fill(home, base, LIVING, 8)


def screen_on(home: Home, spot: Spot) -> None:
    """A television on a piece: the first one that is not too wide."""
    for _ in range(3):
        if on_top(home, spot, "tv", home.item("tv"), back=False):
            return


def work(home: Home, walls: tuple[int, ...] = (0, 1, 2, 3)) -> Spot | None:
    """A desk with its screen, papers and lamp, a chair at it, things below it and over it."""
    spot = stand(home, "desk", walls)
    if not spot:
        return None
    desk_things(home, spot)
    role = home.role([("office_chair", 0.65), ("chair", 0.35)])
    seat_at(home, spot, role, home.item(role), 0, home.uniform(-0.2, 0.2), 25.0)
    below(home, spot, "bin", 0.5)
    below(home, spot, "box", 0.3)
    if home.chance(0.4):
        above(
            home,
            spot,
            home.role([("notice_board", 1), ("wall_shelf", 1.5), ("picture", 1.5), ("whiteboard", 0.5)]),
            0.55,
            0.75,
        )
    return spot


def desk_things(home: Home, spot: Spot) -> None:
    """What lies on a desk."""
    if home.chance(0.8):
        for _ in range(1 if home.chance(0.75) else 2):
            on_top(home, spot, "monitor")
        board = home.item("keyboard")
        front = spot.item.size[1] / 2 - board.size[1] / 2 - home.uniform(0.03, 0.14)
        if spot.item.tops and board.size[1] < 0.3:
            z = spot.z + spot.item.tops[0].z
            lay(home.room, board, spot.point(home.uniform(-0.15, 0.15), front), spot.angle_deg, z, z + 0.03)
    fill(home, spot, DESK, 16)


def below(home: Home, spot: Spot, role: str, p: float) -> None:
    """Something on the floor under a table's back edge, or beside it, where its legs leave room."""
    if not home.chance(p * home.clutter):
        return
    item = home.item(role)
    w, d, _ = spot.item.size
    for _ in range(4):
        x, y = home.uniform(-0.5, 0.5) * (w + 0.3), -d / 2 + item.size[1] / 2 + home.uniform(0.03, 0.2)
        if home.room.place(item, spot.point(x, y), spot.angle_deg, ignore_reserved=True):
            return


def dine(home: Home, at_wall: float = 0.25, lamp: float = 0.5) -> Spot | None:
    """A table with the same chairs on all sides and a lamp above it."""
    item = home.item("table")
    spot = stand(home, "table", item=item) if home.chance(at_wall) else _amid(home, item)
    if not spot:
        return None
    seat = home.item("chair")
    if home.chance(0.25):
        rug_under(home, spot.centre, spot.angle_deg, item.size[0] + 0.9, item.size[1] + 0.9)
    seats_around(home, spot, "chair", seat)
    if home.chance(lamp):
        hanging = fixtures.pendant(home.rng, home.room.height - home.uniform(1.45, 1.75) - 0.24)
        z = home.room.height - hanging.size[2] - 0.001
        home.room.place(hanging, spot.centre, spot.angle_deg, z, ignore_reserved=True)
    if home.chance(0.5):
        on_top(home, spot, home.role([("plant_small", 2), ("vessel", 1)]), back=False)
    fill(home, spot, TABLE, 9)
    return spot


def _amid(home: Home, item: Item) -> Spot | None:
    """A table in the middle of the room first, elsewhere if that is taken; square to the walls."""
    room, angle = home.room, float(home.rng.choice([0.0, 90.0]))
    if room.width > room.depth + 0.6:
        angle = 0.0
    for spread in (0.1, 0.2, 0.3):
        centre = (
            room.width * home.uniform(0.5 - spread, 0.5 + spread),
            room.depth * home.uniform(0.5 - spread, 0.5 + spread),
        )
        spot = put(home, "table", item, centre, angle)
        if spot:
            return spot
    spot = free_standing(home.rng, room, item, turned=False)
    if spot:
        home.spots.append(spot)
    return spot


def shelf(home: Home, mix: Mix = (("bookshelf", 3), ("shelves", 1.5))) -> Spot | None:
    """A bookshelf or open shelves, things on top of low ones."""
    spot = stand(home, home.role(mix))
    if spot and spot.item.size[2] < 1.6:
        fill(home, spot, LIVING, 14)
    return spot


def chest(home: Home, mix: Mix, top: Mix, lamp: float = 0.4, density: float = 14) -> Spot | None:
    """A dresser or cabinet with things on it and a mirror or picture over it."""
    spot = stand(home, home.role(mix))
    if not spot or spot.item.size[2] > 1.45:
        return spot
    if home.chance(lamp):
        on_top(home, spot, home.role([("table_lamp", 2), ("tv", 2), ("plant_small", 1)]))
    if home.chance(0.55):
        above(home, spot, home.role([("mirror", 0.5), ("picture", 1.5), ("wall_shelf", 0.5)]), 0.3, 0.55)
    fill(home, spot, top, density)
    return spot
