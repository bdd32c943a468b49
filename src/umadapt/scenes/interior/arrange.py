"""How one thing is put next to, in front of, under or on another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from umadapt.scenes.interior.layout import Block, Room, Spot, against_wall, free_standing
from umadapt.scenes.interior.solids import solids
from umadapt.scenes.interior.stock import Stock
from umadapt.scenes.makers.furniture import Rng
from umadapt.scenes.shapes import Item, Top, move

Mix = Sequence[tuple[str, float]]  # roles with weights

_HOLLOW = {
    "table", "coffee_table", "side_table", "desk", "chair", "office_chair", "stool", "armchair", "bed", "sofa", "bench",
}  # fmt: skip


@dataclass
class Home:
    """A room that is being furnished: where chance, the things and their density come from."""

    rng: Rng
    room: Room
    stock: Stock
    clutter: float = 1.0
    spots: list[Spot] = field(default_factory=list)  # furniture that stands on the floor

    def chance(self, p: float) -> bool:
        """True with probability p."""
        return bool(self.rng.random() < p)

    def count(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return int(self.rng.integers(low, high + 1))

    def uniform(self, low: float, high: float) -> float:
        """A number between low and high."""
        return float(self.rng.uniform(low, high))

    def choose(self, mix: Mix) -> str:
        """One of several names by weight."""
        weights = np.array([weight for _, weight in mix])
        return mix[int(self.rng.choice(len(mix), p=weights / weights.sum()))][0]

    def role(self, mix: Mix) -> str:
        """One of several roles by weight, out of those that the stock has."""
        return self.choose([(role, weight) for role, weight in mix if self.stock.has(role)])

    def item(self, role: str) -> Item:
        """An item from the stock."""
        return self.stock.item(self.rng, role)


def boxes_of(role: str, item: Item) -> np.ndarray | None:
    """What furniture really fills where something may go under, onto or into it; None = its whole box."""
    inner = any(top.z < item.size[2] - 0.1 for top in item.tops)
    return solids(item) if inner or role in _HOLLOW else None


def stand(
    home: Home, role: str, walls: Sequence[int] = (0, 1, 2, 3), gap: float = 0.025, item: Item | None = None
) -> Spot | None:
    """Stand furniture against a wall."""
    item = item or home.item(role)
    spot = against_wall(home.rng, home.room, item, max(gap, 0.013), walls=walls, boxes=boxes_of(role, item))
    if spot:
        home.spots.append(spot)
    return spot


def put(
    home: Home, role: str, item: Item, centre: tuple[float, float], angle_deg: float, z: float = 0.0
) -> Spot | None:
    """Stand an item at a place where others already leave room for it; None where they do not."""
    if not home.room.place(item, centre, angle_deg, z, ignore_reserved=True, boxes=boxes_of(role, item)):
        return None
    spot = Spot(item, centre, angle_deg, z)
    home.spots.append(spot)
    return spot


def beside(home: Home, spot: Spot, role: str, item: Item, side: int, gap: float = 0.04) -> Spot | None:
    """Next to a piece at its left (-1) or right (1), backs in line."""
    x = side * (spot.item.size[0] / 2 + item.size[0] / 2 + gap)
    y = (item.size[1] - spot.item.size[1]) / 2
    return put(home, role, item, spot.point(x, y), spot.angle_deg)


def ahead(
    home: Home, spot: Spot, role: str, item: Item, gap: float, turn_deg: float = 180.0, x: float = 0.0
) -> Spot | None:
    """In front of a piece, turned relative to it."""
    swing = np.radians(turn_deg)
    reach = (abs(np.sin(swing)) * item.size[0] + abs(np.cos(swing)) * item.size[1]) / 2
    return put(home, role, item, spot.point(x, spot.item.size[1] / 2 + gap + reach), spot.angle_deg + turn_deg)


def wall_of(spot: Spot) -> int:
    """The wall that a piece stands against."""
    return round(spot.angle_deg / 90) % 4


def opposite(home: Home, spot: Spot, role: str) -> Spot | None:
    """Against the wall that a piece looks at, in front of it where that is free."""
    room, item, wall = home.room, home.item(role), (wall_of(spot) + 2) % 4
    length = (room.width, room.depth)[wall % 2]
    along = spot.centre[wall % 2]
    boxes = boxes_of(role, item)
    for shift in (0.0, 0.25, -0.25, 0.5, -0.5, 0.9, -0.9):
        s = float(np.clip(along + shift, item.size[0] / 2 + 0.03, length - item.size[0] / 2 - 0.03))
        off = item.size[1] / 2 + 0.025
        centre = ((s, off), (room.width - off, s), (s, room.depth - off), (off, s))[wall]
        if room.place(item, centre, 90.0 * wall, boxes=boxes):
            found = Spot(item, centre, 90.0 * wall)
            home.spots.append(found)
            return found
    return stand(home, role, item=item)


def hang(
    home: Home, role: str, low: float, high: float, walls: Sequence[int] = (0, 1, 2, 3), item: Item | None = None
) -> Spot | None:
    """Hang something at a wall, its lower edge between two heights."""
    item = item or home.item(role)
    room = home.room.height - item.size[2] - 0.12
    if room < 0.2:
        return None
    z = min(home.uniform(low, high), room)
    return against_wall(home.rng, home.room, item, gap=0.0, z=z, walls=walls, tries=12)


def above(
    home: Home, spot: Spot, role: str, gap_low: float, gap_high: float, x: float = 0.0, item: Item | None = None
) -> Spot | None:
    """Hang something at the wall behind a piece, over it."""
    item = item or home.item(role)
    back = -spot.item.size[1] / 2 - _from_wall(home.room, spot)
    z = spot.z + spot.item.size[2] + home.uniform(gap_low, gap_high)
    z = min(z, home.room.height - item.size[2] - 0.1)
    centre = spot.point(x, back + item.size[1] / 2 + 1e-4)
    if home.room.place(item, centre, spot.angle_deg, z, ignore_reserved=True):
        return Spot(item, centre, spot.angle_deg, z)
    return None


def _from_wall(room: Room, spot: Spot) -> float:
    """How far the back of a piece is from the wall behind it."""
    x, y = spot.point(0.0, -spot.item.size[1] / 2)
    return (y, room.width - x, room.depth - y, x)[wall_of(spot)]


def seat_at(
    home: Home, spot: Spot, role: str, seat: Item, side: int, along: float = 0.0, swing_deg: float = 8.0
) -> bool:
    """A seat at side 0..3 (front, left, back, right) of a table, as far under it as its shape and chance allow."""
    w, d, _ = spot.item.size
    half = (d if side % 2 == 0 else w) / 2
    angle = np.radians(90.0 * side)
    boxes = boxes_of(role, seat)
    start = home.rng.choice([-0.3, -0.22, -0.1, 0.02], p=[0.3, 0.3, 0.2, 0.2]) + home.uniform(-0.03, 0.03)
    swing = home.rng.normal(0.0, swing_deg)
    for out in np.arange(start, 0.4, 0.06):
        off = half + seat.size[1] / 2 + out
        x, y = along * np.cos(angle) - off * np.sin(angle), along * np.sin(angle) + off * np.cos(angle)
        turn = spot.angle_deg + 90.0 * side + 180.0 + swing
        if home.room.place(seat, spot.point(x, y), turn, ignore_reserved=True, boxes=boxes):
            home.spots.append(Spot(seat, spot.point(x, y), turn))
            return True
    return False


def seats_around(home: Home, spot: Spot, role: str, seat: Item, chance: float = 0.85) -> int:
    """The same seat on all sides of a table; returns how many found room."""
    w, d, _ = spot.item.size
    placed = 0
    for side in range(4):
        length = w if side % 2 == 0 else d
        count = max(1, int(length / max(seat.size[0] + 0.08, 0.55)))
        for k in range(count):
            if home.chance(chance):
                placed += seat_at(home, spot, role, seat, side, (k - (count - 1) / 2) * length / count, 6.0)
    return placed


def on_top(home: Home, spot: Spot, role: str, item: Item | None = None, back: bool = True) -> Spot | None:
    """One chosen object near the middle of a piece's first top, at its back or in its middle."""
    if not spot.item.tops:
        return None
    item, top = item or home.item(role), spot.item.tops[0]
    room = np.array(top.hi) - top.lo - item.size[:2]
    if (room < -0.06).any() or item.size[2] > top.headroom + 0.6:
        return None
    room = np.maximum(room, 0.0)
    middle = (np.array(top.lo) + top.hi) / 2
    for _ in range(4):
        x = middle[0] + home.uniform(-0.3, 0.3) * room[0]
        y = middle[1] + room[1] * (home.uniform(-0.45, -0.3) if back else home.uniform(-0.15, 0.15))
        turn = spot.angle_deg + home.uniform(-8, 8)
        if home.room.place(item, spot.point(x, y), turn, spot.z + top.z, ignore_reserved=True):
            return Spot(item, spot.point(x, y), turn, spot.z + top.z)
    return None


def fill(home: Home, spot: Spot, mix: Mix, per_m2: float) -> None:
    """Scatter small objects on all tops of a piece, closer together at its back."""
    for top in spot.item.tops:
        area = (top.hi[0] - top.lo[0]) * (top.hi[1] - top.lo[1])
        wanted = home.rng.poisson(per_m2 * area * home.clutter)
        for _ in range(int(1.5 * wanted)):
            wanted -= wanted > 0 and _scatter(home, spot, top, home.item(home.role(mix)))


def _scatter(home: Home, spot: Spot, top: Top, item: Item) -> bool:
    turn = home.rng.normal(0.0, 20.0) + (180.0 if home.chance(0.1) else 0.0)
    c, s = abs(np.cos(np.radians(turn))), abs(np.sin(np.radians(turn)))
    reach = np.array([c * item.size[0] + s * item.size[1], s * item.size[0] + c * item.size[1]]) / 2
    lo, hi = np.array(top.lo) + reach, np.array(top.hi) - reach
    if (lo > hi).any() or item.size[2] > top.headroom:
        return False
    for _ in range(4):
        x, y = home.uniform(lo[0], hi[0]), lo[1] + (hi[1] - lo[1]) * home.rng.beta(1.0, 1.6)
        if lay(home.room, item, spot.point(x, y), spot.angle_deg + turn, spot.z + top.z, spot.z + top.z + 0.07):
            return True
    return False


def lay(room: Room, item: Item, centre: tuple[float, float], angle_deg: float, low: float, high: float) -> bool:
    """Put an item onto what is level below its middle, at a height from low to high."""
    w, d, _ = item.size
    under = room.below(Block(centre, (w / 2, d / 2), angle_deg, (0.0, high)))
    z = max((b.z[1] for b in under), default=0.0)
    core = room.below(Block(centre, (w / 4, d / 4), angle_deg, (0.0, high)))
    if not low - 1e-4 <= z <= high or max((b.z[1] for b in core), default=0.0) < z - 0.02:
        return False
    return room.place(item, centre, angle_deg, z, ignore_reserved=True)


def drop(home: Home, spot: Spot, role: str, low: float = 0.25, high: float = 0.9, sink: float = 0.012) -> Spot | None:
    """Lay something soft onto a bed, a seat or a pile, where that is level; it sinks in a little."""
    item = home.item(role)
    soft = Item(item.size, move(item.parts, 0.0, (0.0, 0.0, -sink)))
    for _ in range(6):
        x, y = (home.uniform(-0.5, 0.5) * max(0.0, s - 0.1) for s in spot.item.size[:2])
        turn, centre = home.uniform(0, 360), spot.point(x, y)
        if lay(home.room, soft, centre, turn, low, high):
            return Spot(item, centre, turn)
    return None


def loose(home: Home, role: str, wall: bool = True) -> Spot | None:
    """Something on the floor, near a wall or anywhere; never in front of doors."""
    item = home.item(role)
    if wall:
        return against_wall(home.rng, home.room, item, gap=home.uniform(0.02, 0.12), tries=10)
    return free_standing(home.rng, home.room, item, tries=8)


def scatter(home: Home, role: str, low: float, high: float, wall: bool = True) -> None:
    """So many loose things of a role, between low and high on average, times the clutter."""
    for _ in range(home.rng.poisson(home.uniform(low, high) * home.clutter)):
        loose(home, role, wall)
