"""Placing things in a room: upright boxes stand for what is filled; nothing floats, nothing interpenetrates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from umadapt.scenes.furniture import Rng
from umadapt.scenes.labels import Triangles
from umadapt.scenes.shapes import Item, Part, move, rotation


@dataclass(frozen=True)
class Block:
    """An upright box that something fills: centre, half sizes, angle about the vertical, height range; metres."""

    centre: tuple[float, float]
    half: tuple[float, float]
    angle_deg: float
    z: tuple[float, float]

    def axes(self) -> np.ndarray:
        """(2, 2): rows are the directions of width and depth in the floor plane."""
        return rotation(self.angle_deg)[:2, :2].T

    def corners(self) -> np.ndarray:
        """(4, 2) footprint corners."""
        signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * self.half
        return signs @ self.axes() + self.centre


def overlap(a: Block, b: Block) -> bool:
    """Whether two blocks share volume (separating axes in the floor plane, intervals in height)."""
    if a.z[1] <= b.z[0] or b.z[1] <= a.z[0]:
        return False
    for axis in (*a.axes(), *b.axes()):
        pa, pb = a.corners() @ axis, b.corners() @ axis
        if pa.max() <= pb.min() or pb.max() <= pa.min():
            return False
    return True


@dataclass
class Room:
    """A furnished room whose floor is [0, width] x [0, depth] at z = 0; metres."""

    kind: str
    width: float
    depth: float
    height: float
    parts: list[Part] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)  # what is filled
    reserved: list[Block] = field(default_factory=list)  # what stays free: in front of doors, drawers, …

    def triangles(self) -> Triangles:
        """All parts as one list of triangles."""
        count = [len(p.faces) for p in self.parts]
        return Triangles(
            np.concatenate([p.vertices[p.faces] for p in self.parts]),
            np.repeat([p.label for p in self.parts], count),
            np.repeat(np.arange(len(self.parts)), count),
        )

    def fits(self, block: Block, ignore_reserved: bool = False) -> bool:
        """Whether a block lies in the room and is free."""
        corners = block.corners()
        inside = (corners >= 0).all() and (corners <= (self.width, self.depth)).all() and block.z[1] <= self.height
        others = self.blocks if ignore_reserved else self.blocks + self.reserved
        return bool(inside) and not any(overlap(block, other) for other in others)

    def place(
        self,
        item: Item,
        centre: tuple[float, float],
        angle_deg: float,
        z: float = 0.0,
        ignore_reserved: bool = False,
    ) -> bool:
        """Put an item there if it is free; the strip in front of it becomes reserved."""
        w, d, h = item.size
        block = Block(centre, (w / 2, d / 2), angle_deg, (z, z + h))
        if not self.fits(block, ignore_reserved):
            return False
        self.blocks.append(block)
        self.parts += move(item.parts, angle_deg, (*centre, z))
        if item.front:
            ahead = np.array(centre) + rotation(angle_deg)[:2, 1] * (d / 2 + item.front / 2)
            self.reserved.append(Block((ahead[0], ahead[1]), (w / 2, item.front / 2), angle_deg, (0.0, 1.9)))
        return True


@dataclass(frozen=True)
class Spot:
    """Where an item stands, to put other things relative to it."""

    item: Item
    centre: tuple[float, float]
    angle_deg: float
    z: float = 0.0

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Item coordinates -> room coordinates, in the floor plane."""
        p = rotation(self.angle_deg)[:2, :2] @ np.array([x, y]) + self.centre
        return (float(p[0]), float(p[1]))


def along_wall(room: Room, wall: int, s: float, off: float) -> tuple[tuple[float, float], float]:
    """Centre and angle of something that faces the room, s metres along wall 0..3, off metres away from it."""
    w, d = room.width, room.depth
    centre = [(s, off), (w - off, s), (s, d - off), (off, s)][wall]
    return centre, (0.0, 90.0, 180.0, 270.0)[wall]


def wall_length(room: Room, wall: int) -> float:
    """Length of wall 0..3 in metres."""
    return room.width if wall % 2 == 0 else room.depth


def against_wall(
    rng: Rng, room: Room, item: Item, gap: float = 0.025, z: float = 0.0, walls: Sequence[int] = (0, 1, 2, 3)
) -> Spot | None:
    """Try places along the walls, some of them in corners; None when none of them is free."""
    for _ in range(24):
        wall = int(rng.choice(walls))
        length, half = wall_length(room, wall), item.size[0] / 2 + 0.03
        if length <= 2 * half:
            continue
        s = rng.uniform(half, length - half)
        if z == 0.0 and rng.random() < 0.3:
            s = rng.choice([half, length - half])
        centre, angle = along_wall(room, wall, s, gap + item.size[1] / 2)
        if room.place(item, centre, angle, z):
            return Spot(item, centre, angle, z)
    return None


def free_standing(rng: Rng, room: Room, item: Item, turned: bool = True) -> Spot | None:
    """Somewhere on the floor."""
    for _ in range(16):
        angle = rng.uniform(0, 360) if turned else rng.choice([0.0, 90.0])
        centre = (rng.uniform(0.3, room.width - 0.3), rng.uniform(0.3, room.depth - 0.3))
        if room.place(item, centre, angle):
            return Spot(item, centre, angle)
    return None
