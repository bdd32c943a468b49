"""A room's shell: floor, ceiling and walls with holes, reveals, dado, coving, columns and beams; metres.

Everything is closed: whatever a hole opens to ends in a back or in another closed shell, so no ray leaves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from umadapt.scenes.classes import ID
from umadapt.scenes.interior.layout import Block, Room, wall_frame, wall_length
from umadapt.scenes.makers.furniture import Rng
from umadapt.scenes.shapes import Part, box, move, quad


@dataclass(frozen=True)
class Hole:
    """An opening in a wall: x0..x1 along the wall's frame, z0..z1; `reveal` is how deep its sides are."""

    wall: int
    x0: float
    x1: float
    z0: float
    z1: float
    reveal: float

    @property
    def width(self) -> float:
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        return self.z1 - self.z0

    @property
    def middle(self) -> float:
        return (self.x0 + self.x1) / 2


@dataclass(frozen=True)
class Finish:
    """Material names of a shell, the height of a lower wall part that looks different, and what runs along edges."""

    walls: Sequence[str]  # one for each wall
    floor: str
    ceiling: str
    dado: str = ""
    dado_m: float = 0.0
    skirting: bool = True


def build_shell(room: Room, holes: Iterable[Hole], finish: Finish) -> None:
    """Floor, ceiling, walls with holes and their reveals, skirting; what lies behind the holes is not closed here."""
    w, d, h = room.width, room.depth, room.height
    corner = np.array([[0, 0], [w, 0], [w, d], [0, d]], dtype=np.float64)
    room.parts.append(quad(np.column_stack([corner, np.zeros(4)]), "floor", finish.floor))
    room.parts.append(quad(np.column_stack([corner, np.full(4, h)])[::-1], "ceiling", finish.ceiling))
    for wall in range(4):
        mine = [hole for hole in holes if hole.wall == wall]
        parts = _panel(wall_length(room, wall), h, mine, finish, finish.walls[wall])
        if finish.skirting:
            parts += _skirting(wall_length(room, wall), mine)
        for hole in mine:
            parts += _reveal(hole, finish.walls[wall], finish.floor)
        room.parts += in_wall(room, wall, parts)


def in_wall(room: Room, wall: int, parts: list[Part]) -> list[Part]:
    """Parts in a wall's frame -> parts in the room's frame."""
    (x, y), angle = wall_frame(room, wall)
    return move(parts, angle, (x, y, 0.0))


def facing(x0: float, x1: float, z0: float, z1: float, y: float, label: str, material: str) -> Part:
    """An upright rectangle in a wall's frame that faces the room (+y)."""
    return quad(np.array([[x1, y, z0], [x0, y, z0], [x0, y, z1], [x1, y, z1]]), label, material)


def _panel(length: float, height: float, holes: list[Hole], finish: Finish, material: str) -> list[Part]:
    """A wall as a grid whose lines run along the holes' edges, without the cells of the holes: no T-junctions."""
    x = np.unique([0.0, length, *(v for o in holes for v in (o.x0, o.x1))])
    dado = [finish.dado_m] if finish.dado else []
    z = np.unique([0.0, height, *np.clip(dado, 0, height), *(v for o in holes for v in (o.z0, o.z1))])
    x0, z0 = (g.ravel() for g in np.meshgrid(x[:-1], z[:-1], indexing="ij"))
    x1, z1 = (g.ravel() for g in np.meshgrid(x[1:], z[1:], indexing="ij"))
    solid = np.ones(len(x0), dtype=bool)
    for o in holes:
        solid &= ~((x0 > o.x0 - 1e-9) & (x1 < o.x1 + 1e-9) & (z0 > o.z0 - 1e-9) & (z1 < o.z1 + 1e-9))
    low = (z1 < finish.dado_m + 1e-9) & bool(finish.dado)
    cells = np.stack([np.stack([x1, z0], 1), np.stack([x0, z0], 1), np.stack([x0, z1], 1), np.stack([x1, z1], 1)], 1)
    parts = []
    for chosen, name in ((solid & ~low, material), (solid & low, finish.dado)):
        if chosen.any():
            flat = cells[chosen].reshape(-1, 2)  # (4 n, 2) of x, z
            vertices = np.column_stack([flat[:, 0], np.zeros(len(flat)), flat[:, 1]])
            start = 4 * np.arange(int(chosen.sum()))[:, None]
            faces = np.concatenate([start + np.array(k) for k in ([0, 1, 2], [0, 2, 3])])
            parts.append(Part(vertices, faces, flat.copy(), ID["wall"], name))
    return parts


def _skirting(length: float, holes: list[Hole]) -> list[Part]:
    gaps = sorted((o.x0 - 0.09, o.x1 + 0.09) for o in holes if o.z0 < 0.1)
    parts, x = [], 0.0
    for a, b in [*gaps, (length, length)]:
        if a - x > 0.02:
            parts.append(box((x, 0.0, 0.0), (a, 0.012, 0.08), "wall", "trim0"))
        x = b
    return parts


def _reveal(hole: Hole, material: str, floor: str) -> list[Part]:
    """The four sides of a hole, from the wall's plane back to y = -reveal."""
    x0, x1, z0, z1, y = hole.x0, hole.x1, hole.z0, hole.z1, -hole.reveal
    ground = ("floor", floor) if z0 == 0 else ("wall", material)
    sides = [
        ([[x0, y, z0], [x0, 0, z0], [x0, 0, z1], [x0, y, z1]], "wall", material),
        ([[x1, 0, z0], [x1, y, z0], [x1, y, z1], [x1, 0, z1]], "wall", material),
        ([[x0, 0, z0], [x0, y, z0], [x1, y, z0], [x1, 0, z0]], *ground),
        ([[x0, y, z1], [x0, 0, z1], [x1, 0, z1], [x1, y, z1]], "wall", material),
    ]
    return [quad(np.array(corners, dtype=np.float64), label, name) for corners, label, name in sides]


def back_of(hole: Hole, material: str) -> Part:
    """What closes a recess."""
    return facing(hole.x0, hole.x1, hole.z0, hole.z1, -hole.reveal, "wall", material)


def add_box(
    room: Room,
    lo: tuple[float, float, float],
    hi: tuple[float, float, float],
    label: str,
    material: str,
) -> bool:
    """A box of the building, in the room's frame, where it is free."""
    centre, half = ((lo[0] + hi[0]) / 2, (lo[1] + hi[1]) / 2), ((hi[0] - lo[0]) / 2, (hi[1] - lo[1]) / 2)
    block = Block(centre, half, 0.0, (lo[2], hi[2]))
    if not room.fits(block):
        return False
    room.blocks.append(block)
    room.parts.append(box(lo, hi, label, material))
    return True


def features(rng: Rng, room: Room) -> None:
    """A boxed corner or column, a beam, coving: what sets one plain shell apart from the next."""
    w, d, h = room.width, room.depth, room.height
    if rng.random() < 0.22:
        a, b = rng.uniform(0.2, 0.6, 2)
        x, y = rng.choice([0.0, w - a]), rng.choice([0.0, d - b])
        add_box(room, (x, y, 0.0), (x + a, y + b, h), "wall", str(rng.choice(["wall0", "wall1"])))
    if rng.random() < 0.06 and min(w, d) > 4:
        a = rng.uniform(0.25, 0.45)
        x, y = rng.uniform(0.35, 0.65) * w, rng.uniform(0.35, 0.65) * d
        add_box(room, (x, y, 0.0), (x + a, y + a, h), "otherstructure", "wall0")
    if rng.random() < 0.18:
        a, drop = rng.uniform(0.15, 0.35), rng.uniform(0.12, 0.25)
        material = "wood0" if rng.random() < 0.3 else "ceiling0"
        for share in rng.uniform(0.2, 0.8, 1) if material == "ceiling0" else (0.25, 0.5, 0.75):
            if w > d:
                add_box(room, (share * w, 0.0, h - drop), (share * w + a, d, h), "otherstructure", material)
            else:
                add_box(room, (0.0, share * d, h - drop), (w, share * d + a, h), "otherstructure", material)
    elif rng.random() < 0.3:
        t = rng.uniform(0.04, 0.1)
        add_box(room, (0.0, 0.0, h - t), (w, t, h), "wall", "trim0")
        add_box(room, (0.0, d - t, h - t), (w, d, h), "wall", "trim0")
        add_box(room, (0.0, t, h - t), (t, d - t, h), "wall", "trim0")
        add_box(room, (w - t, t, h - t), (w, d - t, h), "wall", "trim0")
