"""Rooms hold without overlap or floating, no ray leaves them, and every kind shows what it is named after."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from umadapt.config.data import Render
from umadapt.data.camera import Camera
from umadapt.scenes.classes import ID, NYU40
from umadapt.scenes.interior.kinds import KINDS
from umadapt.scenes.interior.layout import Block, Room, along_wall, overlap, wall_frame
from umadapt.scenes.interior.rooms import draw_room
from umadapt.scenes.interior.shell import Finish, Hole, build_shell
from umadapt.scenes.interior.stock import Stock
from umadapt.scenes.labels import cast
from umadapt.scenes.renderer import furnish
from umadapt.scenes.shapes import rotation
from umadapt.scenes.style import LIGHTS
from umadapt.scenes.views import look, nyu_camera

SIGNATURE = {
    "bedroom": {"bed", "pillow", "dresser", "night_stand"},
    "living": {"sofa", "table", "television"},
    "office": {"desk", "chair", "bookshelf"},
    "kitchen": {"counter", "sink", "refrigerator", "cabinet"},
    "bathroom": {"toilet", "sink", "bathtub", "mirror", "towel", "shower_curtain"},
    "dining": {"table", "chair", "cabinet"},
    "study": {"desk", "bookshelf", "books"},
    "classroom": {"chair", "whiteboard"},
    "bookstore": {"books", "bookshelf"},
}
SHELL = {"wall", "floor", "ceiling", "door", "window", "lamp"}


def test_overlap() -> None:
    a = Block((0.0, 0.0), (1.0, 0.5), 0.0, (0.0, 1.0))
    assert overlap(a, Block((1.2, 0.0), (0.4, 0.4), 45.0, (0.5, 2.0)))
    assert not overlap(a, Block((1.6, 0.9), (0.4, 0.4), 45.0, (0.5, 2.0)))
    assert not overlap(a, Block((0.0, 0.0), (1.0, 0.5), 0.0, (1.0, 2.0)))  # standing on it


def test_room_finds_what_is_near_among_many() -> None:
    rng = np.random.default_rng(0)
    room = Room("any", 8.0, 8.0, 3.0)
    for _ in range(200):
        block = Block(tuple(rng.uniform(1, 7, 2)), tuple(rng.uniform(0.1, 0.5, 2)), rng.uniform(0, 360), (0.0, 1.0))
        free = not any(overlap(block, other) for other in room.blocks)
        assert room.fits(block) == free
        if free:
            room.blocks.append(block)
    assert len(room.blocks) > 20


@pytest.mark.parametrize("wall", range(4))
def test_walls_have_one_frame(wall: int) -> None:
    room = Room("any", 4.0, 3.0, 2.5)
    (x, y), angle = wall_frame(room, wall)
    expected = rotation(angle)[:2, :2] @ (1.2, 0.3) + (x, y)
    centre, turned = along_wall(room, wall, 1.2, 0.3)
    assert np.allclose(centre, expected)
    assert turned == angle


def test_holes_are_cut_out_of_walls() -> None:
    room = Room("any", 4.0, 3.0, 2.5)
    holes = [Hole(0, 0.5, 1.4, 0.0, 2.0, 0.1), Hole(0, 2.0, 3.5, 0.9, 2.2, 0.2)]
    build_shell(room, holes, Finish(("wall0",) * 4, "floor0", "ceiling0", "tile0", 1.2, skirting=False))
    area = 0.0
    for part in room.parts:
        if (
            part.label == ID["wall"]
            and part.material in ("wall0", "tile0")
            and np.abs(part.vertices[:, 1]).max() < 1e-9
        ):
            a, b, c = (part.vertices[part.faces[:, k]] for k in range(3))
            area += float(np.cross(b - a, c - a)[:, 1].sum() / 2)  # facing +y counts, facing -y would be negative
    assert area == pytest.approx(4.0 * 2.5 - 0.9 * 2.0 - 1.5 * 1.3)


def supported(room: Room, thing: list[Block]) -> bool:
    """On the floor, on something, at the ceiling or under something that hangs there, or at a wall."""
    size, corners = np.array([room.width, room.depth]), np.concatenate([block.corners() for block in thing])
    low, high = min(block.z[0] for block in thing), max(block.z[1] for block in thing)
    # Coving is 10 cm deep, and curtains hang a few centimetres from their wall.
    if low == 0 or high > room.height - 0.12 or (corners < 0.17).any() or (corners > size - 0.17).any():
        return True
    for block in thing:
        half = (block.half[0] / 2, block.half[1] / 2)
        feet = [Block(block.centre, half, block.angle_deg, z) for z in ((low - 0.04, low), (high, high + 0.01))]
        if any(overlap(foot, other) for foot in feet for other in room.blocks if other not in thing):
            return True
    return False


kinds = st.sampled_from(sorted(KINDS))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), kinds)
def test_rooms_hold(seed: int, kind: str) -> None:
    room = draw_room(np.random.default_rng(seed), kind=kind)
    size = np.array([room.width, room.depth, room.height])
    points = np.concatenate([part.vertices for part in room.parts])
    assert np.isfinite(points).all()
    assert any(part.material in LIGHTS for part in room.parts)
    assert (points[:, 2] >= -1e-6).all()
    assert (points[:, :2] >= -3.0).all()  # rooms behind doors lie outside
    assert (points[:, :2] <= size[:2] + 3.0).all()
    for thing in room.things:
        assert supported(room, thing), thing
        for block in thing:
            x0, x1, y0, y1, _, z1 = block.bounds()
            assert min(x0, y0) >= 0
            assert (np.array([x1, y1, z1]) <= size).all()
    owner = {id(block): k for k, thing in enumerate(room.things) for block in thing}
    for i, a in enumerate(room.blocks):
        for b in room.blocks[:i]:
            assert owner.get(id(a), -1) == owner.get(id(b), -2) or not overlap(a, b), (a, b)
    assert KINDS[kind].width[0] <= room.width <= KINDS[kind].width[1]


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6), kinds)
def test_no_ray_leaves_a_room(seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    room = draw_room(rng, kind=kind)
    triangles = room.triangles(coarse=True)
    wide = Camera(15.5, 15.5, 16.5, 15.5, 33, 31)  # 93 degrees: six of them see all around
    for _ in range(2):
        position = rng.uniform(0.05, 0.95, 3) * [room.width, room.depth, room.height]
        for yaw, pitch in ((0, 0), (90, 0), (180, 0), (270, 0), (0, 90), (0, -90)):
            index, _, _ = cast(triangles, look(position, yaw + 1.0, pitch, 0.0), wide)
            assert (index >= 0).all()


def test_kinds_show_what_they_are_named_after() -> None:
    everything: set[str] = set()
    for kind, wanted in SIGNATURE.items():
        seen: set[str] = set()
        for seed in range(40):
            if not wanted | SHELL <= seen:
                seen |= {NYU40[part.label] for part in draw_room(np.random.default_rng(seed), kind=kind).parts}
        assert wanted | SHELL <= seen, kind
        everything |= seen
    assert len(everything) >= 30
    assert set(SIGNATURE) == set(KINDS)


def test_clutter_is_how_much_lies_around() -> None:
    def things(clutter: float) -> int:
        rooms = [draw_room(np.random.default_rng(seed), clutter=clutter, kind="office") for seed in range(4)]
        return sum(len(room.things) for room in rooms)

    bare, usual, full = (things(clutter) for clutter in (0.0, 1.0, 2.0))
    assert bare < 0.75 * usual
    assert usual < full


def test_views_show_enough() -> None:
    config = Render(Path("unused"), size=(48, 64), views_per_room=3, seed=1)
    seen = np.zeros(len(NYU40))
    for index in range(8):
        room, poses = furnish(config, Stock(), index)
        triangles = room.triangles()
        for pose in poses:
            hit, depth_m, _ = cast(triangles, pose, nyu_camera(48, 64))
            assert (hit >= 0).all()  # nobody looks out of the room
            assert (depth_m < 0.4).mean() < 0.06
            count = np.bincount(triangles.label[hit].ravel(), minlength=len(NYU40))
            assert (count > 0).sum() >= 4
            assert 1.0 <= pose.position[2] <= 1.7
            assert (pose.position[:2] <= (room.width, room.depth)).all()
            seen += count
    assert (seen > 0).sum() >= 20
    assert seen[[ID["wall"], ID["floor"]]].min() > 0


def test_same_seed_same_room() -> None:
    a, b, c = (draw_room(np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert a.triangles().corners.tobytes() == b.triangles().corners.tobytes()
    assert a.triangles().corners.shape != c.triangles().corners.shape
