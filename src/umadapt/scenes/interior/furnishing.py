"""What stands in a bedroom, a kitchen, a classroom, …: each kind of room as a list of groups and pieces."""

from __future__ import annotations

from umadapt.scenes.interior.arrange import Home, Mix, above, fill, hang, loose, scatter, stand
from umadapt.scenes.interior.fitted import BATH, KITCHEN, bathe, cook, pile_table, racks, rows_of_desks, wash
from umadapt.scenes.interior.groups import BEDROOM, LIVING, chest, dine, lounge, screen_on, shelf, sleep, work


def bedroom(home: Home) -> None:
    """One or two beds, dresser, wardrobe, often a desk; clothes lie about."""
    for _ in range(1 if home.chance(0.8) else 2):
        sleep(home)
    if home.chance(0.45):
        work(home)
    if home.chance(0.75):
        chest(home, [("dresser", 3), ("cabinet", 1)], BEDROOM)
    if home.chance(0.3):
        base = stand(home, home.role([("tv_stand", 2), ("dresser", 2), ("cabinet", 1)]))
        if base:
            screen_on(home, base)
            fill(home, base, BEDROOM, 10)
    if home.chance(0.5):
        stand(home, "wardrobe")
    for _ in range(home.count(0, 2)):
        shelf(home)
    if home.chance(0.35):
        stand(home, home.role([("armchair", 2), ("chair", 2), ("stool", 1), ("sofa", 1)]), gap=0.06)
    for _ in range(home.count(0, 2)):
        hang(home, "clothes", 0.7, 1.1)
    scatter(home, "clothes_pile", 0, 3, wall=False)


def living(home: Home) -> None:
    """Sofas around a low table, a television, shelves, perhaps a dining corner, a fireplace, a piano."""
    if home.chance(0.2):
        stand(home, "fireplace", gap=0.013)
    lounge(home)
    if home.chance(0.12):
        stand(home, "piano")
    for _ in range(home.count(0, 2)):
        stand(home, "sofa", gap=0.06)
    for _ in range(home.count(0, 2)):
        shelf(home)
    if home.chance(0.5):
        chest(home, [("cabinet", 3), ("dresser", 1)], LIVING)
    if home.chance(0.35):
        dine(home)
    for _ in range(home.count(0, 2)):
        stand(home, home.role([("armchair", 3), ("chair", 1), ("stool", 0.5), ("furniture_misc", 1)]), gap=0.06)
    if home.chance(0.5):
        stand(home, "floor_lamp", gap=0.06)
    if home.chance(0.2):
        work(home)
    scatter(home, "floor_toy", 0, 1.5, wall=False)


def dining(home: Home) -> None:
    """A large table in the middle, sideboards around."""
    dine(home, at_wall=0.05, lamp=0.75)
    for _ in range(home.count(1, 2)):
        chest(home, [("cabinet", 3), ("dresser", 1)], LIVING)
    for _ in range(home.count(0, 2)):
        shelf(home)
    for _ in range(home.count(0, 2)):
        stand(home, "chair", gap=0.06)
    if home.chance(0.25):
        stand(home, home.role([("sofa", 2), ("piano", 1), ("fireplace", 1), ("armchair", 1)]))


def kitchen(home: Home) -> None:
    """Counters with sink, stove and refrigerator; a table or an island."""
    cook(home)
    if home.chance(0.25):
        spot = stand(home, "counter")
        if spot:
            fill(home, spot, KITCHEN, 16)
    if home.chance(0.65):
        dine(home, at_wall=0.4, lamp=0.35)
    elif home.chance(0.6):
        pile = stand(home, "cabinet")
        if pile:
            fill(home, pile, KITCHEN, 16)
    for _ in range(home.count(0, 2)):
        shelf(home, [("shelves", 2), ("cabinet", 2), ("bookshelf", 0.7)])
    if home.chance(0.4):
        stand(home, "stool", gap=0.05)
    if home.chance(0.5):
        hang(home, "towel", 0.7, 1.2)


def bath(home: Home) -> None:
    """Toilet, basin with mirror, tub with curtain, towels, mat."""
    if home.chance(0.5):
        bathe(home)
    elif home.stock.has("shower") and home.chance(0.5):
        stand(home, "shower", gap=0.013)
    stand(home, "toilet", gap=0.013)
    wash(home)
    if home.chance(0.2):
        wash(home)
    for _ in range(home.count(1, 2)):
        hang(home, "towel", 0.9, 1.4)
    if home.chance(0.35):
        spot = stand(home, home.role([("cabinet", 2), ("shelves", 1), ("night_stand", 1)]))
        if spot:
            fill(home, spot, BATH, 16)
    loose(home, "bath_mat", wall=False)
    if home.chance(0.2):
        hang(home, "mirror", 1.0, 1.3)


def office(home: Home) -> None:
    """Desks along the walls and in the room, shelves, filing cabinets, boxes."""
    for _ in range(home.count(1, 4)):
        work(home)
    if home.chance(0.35):
        dine(home, at_wall=0.1, lamp=0.0)
    for _ in range(home.count(1, 3)):
        shelf(home)
    for _ in range(home.count(0, 3)):
        chest(home, [("cabinet", 1)], LIVING, lamp=0.15)
    for _ in range(home.count(0, 2)):
        hang(home, "whiteboard", 0.85, 1.0)
    for _ in range(home.count(0, 2)):
        role = home.role([("office_chair", 2), ("chair", 2), ("sofa", 0.5), ("armchair", 0.5)])
        stand(home, role, gap=0.06)
    scatter(home, "box", 0, 2)


def study(home: Home) -> None:
    """A desk at home, books, a place to read."""
    work(home)
    if home.chance(0.3):
        work(home)
    for _ in range(home.count(2, 4)):
        shelf(home, [("bookshelf", 4), ("shelves", 1)])
    if home.chance(0.5):
        chest(home, [("cabinet", 1), ("dresser", 1)], LIVING)
    if home.chance(0.5):
        stand(home, home.role([("armchair", 2), ("sofa", 1.5), ("bed", 0.5)]), gap=0.05)
    if home.chance(0.3):
        stand(home, "piano")
    scatter(home, "box", 0, 2)


def classroom(home: Home) -> None:
    """A board at one wall, rows of tables that face it, a desk, shelves at the sides."""
    hang(home, home.role([("whiteboard", 2), ("blackboard", 2), ("projector_screen", 1)]), 0.85, 1.0, walls=(0,))
    if home.chance(0.5):
        hang(home, home.role([("whiteboard", 1), ("projector_screen", 1), ("notice_board", 2)]), 0.85, 1.1)
    rows_of_desks(home)
    if home.chance(0.6):
        stand(home, "desk", walls=(0,))
    for _ in range(home.count(1, 3)):
        shelf(home, [("bookshelf", 1), ("shelves", 1), ("cabinet", 2)])
    if home.chance(0.5):
        work(home)
    for _ in range(home.count(0, 4)):
        stand(home, "chair", gap=0.05)


def bookstore(home: Home) -> None:
    """Rows of shelving, shelves at all walls, tables with piles of books."""
    for _ in range(home.count(1, 2)):
        pile_table(home)
    racks(home)
    for _ in range(home.count(6, 11)):
        shelf(home, [("bookshelf", 4), ("display", 2), ("shelves", 1)])
    if home.chance(0.5):
        pile_table(home)
    if home.chance(0.4):
        stand(home, "counter")
    for _ in range(home.count(0, 4)):
        hang(home, "clothes", 0.7, 1.1)


def crowd(home: Home, more: Mix, low: int, high: int) -> None:
    """More furniture along the walls, things on it, things over it; large rooms take as many times more."""
    for _ in range(home.count(low, high) * max(1, round(home.room.width * home.room.depth / 14))):
        role = home.role(more)
        spot = stand(home, role, gap=home.uniform(0.02, 0.06))
        if spot and spot.item.size[2] < 1.5:
            fill(home, spot, LIVING, 12)
            if home.chance(0.4):
                above(
                    home,
                    spot,
                    home.role([("picture", 3), ("wall_shelf", 1), ("mirror", 0.3), ("wall_misc", 1)]),
                    0.2,
                    0.6,
                )
