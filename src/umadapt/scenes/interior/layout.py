"""Placing things in a room: upright boxes stand for what is filled; nothing floats, nothing interpenetrates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from umadapt.scenes.labels import Triangles
from umadapt.scenes.makers.furniture import Rng
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

    def bounds(self) -> np.ndarray:
        """(6,) x0, x1, y0, y1, z0, z1 of the axis-aligned box around it."""
        c, s = abs(math.cos(math.radians(self.angle_deg))), abs(math.sin(math.radians(self.angle_deg)))
        (x, y), (w, d) = self.centre, self.half
        rx, ry = c * w + s * d, s * w + c * d
        return np.array([x - rx, x + rx, y - ry, y + ry, *self.z])


_TOUCH_M = 1e-6  # what stands on something shares its surface, but for rounding


def overlap(a: Block, b: Block) -> bool:
    """Whether two blocks share volume (separating axes in the floor plane, intervals in height)."""
    if a.z[1] <= b.z[0] + _TOUCH_M or b.z[1] <= a.z[0] + _TOUCH_M:
        return False
    dx, dy = b.centre[0] - a.centre[0], b.centre[1] - a.centre[1]
    turn = math.radians(b.angle_deg - a.angle_deg)
    c, s = abs(math.cos(turn)), abs(math.sin(turn))
    for one, other in ((a, b), (b, a)):
        u, v = math.cos(math.radians(one.angle_deg)), math.sin(math.radians(one.angle_deg))
        if abs(dx * u + dy * v) >= one.half[0] + other.half[0] * c + other.half[1] * s - _TOUCH_M:
            return False
        if abs(dy * u - dx * v) >= one.half[1] + other.half[0] * s + other.half[1] * c - _TOUCH_M:
            return False
    return True


class Bounds:
    """The bounds of a growing list of blocks as one array, to find the few that can overlap a new one."""

    def __init__(self) -> None:
        self._array = np.empty((64, 6))
        self._count = 0

    def near(self, block: Block, blocks: list[Block]) -> list[Block]:
        """Those of `blocks` whose axis-aligned boxes meet the block's; `blocks` only ever grows."""
        for other in blocks[self._count :]:
            if self._count == len(self._array):
                self._array = np.concatenate([self._array, np.empty_like(self._array)])
            self._array[self._count] = other.bounds()
            self._count += 1
        a, b = self._array[: self._count], block.bounds()
        meets = (a[:, ::2] < b[1::2]) & (a[:, 1::2] > b[::2])
        return [blocks[i] for i in np.flatnonzero(meets.all(1))]


@dataclass
class Room:
    """A furnished room whose floor is [0, width] x [0, depth] at z = 0; metres.

    Reveals of doors and windows, closets and the rooms behind doors lie outside that rectangle.
    """

    kind: str
    width: float
    depth: float
    height: float
    parts: list[Part] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)  # what is filled
    reserved: list[Block] = field(default_factory=list)  # what stays free: in front of doors, drawers, …
    things: list[list[Block]] = field(default_factory=list)  # the blocks of each thing that was placed
    spans: list[range] = field(default_factory=list)  # which of the parts are its own
    _filled: Bounds = field(default_factory=Bounds, repr=False)
    _kept: Bounds = field(default_factory=Bounds, repr=False)

    def triangles(self, coarse: bool = False) -> Triangles:
        """All parts as one list of triangles; `coarse` takes the parts' simpler meshes where they have one."""
        faces = [p.coarse if coarse and p.coarse is not None else p.faces for p in self.parts]
        count = [len(f) for f in faces]
        return Triangles(
            np.concatenate([p.vertices[f] for p, f in zip(self.parts, faces, strict=True)]),
            np.repeat([p.label for p in self.parts], count),
            np.repeat(np.arange(len(self.parts)), count),
            np.repeat([p.two_sided for p in self.parts], count),
        )

    def fits(self, block: Block, ignore_reserved: bool = False) -> bool:
        """Whether a block lies in the room and is free."""
        x0, x1, y0, y1, _, z1 = block.bounds()
        if x0 < 0 or y0 < 0 or x1 > self.width or y1 > self.depth or z1 > self.height:
            return False
        if any(overlap(block, other) for other in self._filled.near(block, self.blocks)):
            return False
        return ignore_reserved or not any(overlap(block, other) for other in self._kept.near(block, self.reserved))

    def below(self, block: Block) -> list[Block]:
        """What is filled under a block's footprint, anywhere between its top and the floor."""
        column = Block(block.centre, block.half, block.angle_deg, (-1.0, block.z[1]))
        return [other for other in self._filled.near(column, self.blocks) if overlap(column, other)]

    def place(
        self,
        item: Item,
        centre: tuple[float, float],
        angle_deg: float,
        z: float = 0.0,
        ignore_reserved: bool = False,
        boxes: np.ndarray | None = None,
    ) -> bool:
        """Put an item there if it is free; the strip in front of it becomes reserved.

        `boxes` (N, 6), as from `solids`, is what it fills; without them it fills its whole box.
        """
        w, d, h = item.size
        if boxes is None:
            blocks = [Block(centre, (w / 2, d / 2), angle_deg, (z, z + h))]
        else:
            blocks = _turned(boxes, centre, angle_deg, z)
        if not all(self.fits(block, ignore_reserved) for block in blocks):
            return False
        self.blocks += blocks
        self.things.append(blocks)
        self.spans.append(range(len(self.parts), len(self.parts) + len(item.parts)))
        self.parts += move(item.parts, angle_deg, (*centre, z))
        if item.front:
            ahead = np.array(centre) + rotation(angle_deg)[:2, 1] * (d / 2 + item.front / 2)
            self.reserved.append(Block((ahead[0], ahead[1]), (w / 2, item.front / 2), angle_deg, (0.0, 1.9)))
        return True


def _turned(boxes: np.ndarray, centre: tuple[float, float], angle_deg: float, z: float) -> list[Block]:
    turn = rotation(angle_deg)[:2, :2]
    out = []
    for x0, x1, y0, y1, z0, z1 in boxes:
        x, y = turn @ ((x0 + x1) / 2, (y0 + y1) / 2) + centre
        out.append(Block((float(x), float(y)), ((x1 - x0) / 2, (y1 - y0) / 2), angle_deg, (z + z0, z + z1)))
    return out


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


def wall_length(room: Room, wall: int) -> float:
    """Length of wall 0..3 in metres; walls follow each other counter-clockwise from y = 0."""
    return room.width if wall % 2 == 0 else room.depth


def wall_frame(room: Room, wall: int) -> tuple[tuple[float, float], float]:
    """Origin and angle of a wall's own frame: x along it from 0 to its length, y into the room."""
    w, d = room.width, room.depth
    return ((0.0, 0.0), (w, 0.0), (w, d), (0.0, d))[wall], 90.0 * wall


def along_wall(room: Room, wall: int, s: float, off: float) -> tuple[tuple[float, float], float]:
    """Centre and angle of something that faces the room, s metres along a wall, off metres away from it."""
    w, d = room.width, room.depth
    return ((s, off), (w - off, s), (w - s, d - off), (off, d - s))[wall], 90.0 * wall


def against_wall(
    rng: Rng,
    room: Room,
    item: Item,
    gap: float = 0.025,
    z: float = 0.0,
    walls: Sequence[int] = (0, 1, 2, 3),
    boxes: np.ndarray | None = None,
    tries: int = 24,
) -> Spot | None:
    """Try places along the walls, some of them in corners; None when none of them is free."""
    for _ in range(tries):
        wall = int(rng.choice(walls))
        length, half = wall_length(room, wall), item.size[0] / 2 + 0.03
        if length <= 2 * half:
            continue
        s = rng.uniform(half, length - half)
        if z == 0.0 and rng.random() < 0.3:
            s = rng.choice([half, length - half])
        centre, angle = along_wall(room, wall, s, gap + item.size[1] / 2)
        if room.place(item, centre, angle, z, boxes=boxes):
            return Spot(item, centre, angle, z)
    return None


def free_standing(
    rng: Rng, room: Room, item: Item, turned: bool = True, boxes: np.ndarray | None = None, tries: int = 16
) -> Spot | None:
    """Somewhere on the floor."""
    for _ in range(tries):
        angle = rng.uniform(0, 360) if turned else rng.choice([0.0, 90.0])
        centre = (rng.uniform(0.3, room.width - 0.3), rng.uniform(0.3, room.depth - 0.3))
        if room.place(item, centre, angle, boxes=boxes):
            return Spot(item, centre, angle)
    return None
