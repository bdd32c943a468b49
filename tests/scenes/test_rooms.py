"""Furniture meshes fill their stated boxes; rooms hold without overlap or floating; views are usable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from umadapt.config import Render
from umadapt.scenes import clutter, furniture, storage
from umadapt.scenes.classes import ID, NYU40
from umadapt.scenes.labels import cast
from umadapt.scenes.layout import Block, Room, overlap
from umadapt.scenes.render import furnish
from umadapt.scenes.rooms import KINDS, draw_room
from umadapt.scenes.shapes import Part, curtain, cushion, frustum
from umadapt.scenes.views import nyu_camera

MAKERS = [
    furniture.table, furniture.coffee_table, furniture.desk, furniture.bed, furniture.sofa, furniture.chair,
    furniture.office_chair, storage.dresser, storage.night_stand, storage.wardrobe, storage.cabinet, storage.tv_stand,
    storage.bookshelf, storage.refrigerator, storage.radiator, lambda rng: storage.kitchen_run(rng, 2.2),
    clutter.carton, clutter.book_pile, clutter.vessel, clutter.plant, clutter.monitor, clutter.television,
    clutter.keyboard, clutter.papers, clutter.table_lamp, clutter.floor_lamp, clutter.bin_, clutter.bag,
    clutter.door, lambda rng: clutter.window(rng, 1.2, 1.1), clutter.picture, clutter.whiteboard,
]  # fmt: skip


def signed_volume(part: Part) -> float:
    a, b, c = (part.vertices[part.faces[:, k]] for k in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


@pytest.mark.parametrize("maker", MAKERS)
def test_items_fill_their_boxes(maker) -> None:
    for seed in range(12):
        item = maker(np.random.default_rng(seed))
        points = np.concatenate([p.vertices for p in item.parts])
        w, d, h = item.size
        assert (np.abs(points[:, 0]) <= w / 2 + 0.004).all()
        assert (np.abs(points[:, 1]) <= d / 2 + 0.004).all()
        assert points[:, 2].max() <= h + 0.004
        assert points[:, 2].min() == pytest.approx(0.0, abs=1e-9)  # stands on its ground
        assert all(signed_volume(p) > 0 for p in item.parts)  # normals point outwards


def test_round_primitives_are_closed() -> None:
    for part in (
        frustum((0, 0, 0), 0.2, 0.1, 0.5, "lamp", "x"),
        cushion((0, 0, 0), (0.4, 0.3, 0.2), "pillow", "x"),
        curtain(0.5, 2.0, 4, "curtain", "x"),
    ):
        edges: dict[tuple[tuple[float, ...], tuple[float, ...]], int] = {}
        for face in part.faces:
            points = [tuple(np.round(part.vertices[i], 9) + 0.0) for i in face]
            for a, b in ((0, 1), (1, 2), (2, 0)):
                if points[a] != points[b]:
                    edges[points[a], points[b]] = edges.get((points[a], points[b]), 0) + 1
        assert all(edges.get((b, a), 0) == n for (a, b), n in edges.items())
        assert signed_volume(part) > 0


def test_overlap() -> None:
    a = Block((0.0, 0.0), (1.0, 0.5), 0.0, (0.0, 1.0))
    assert overlap(a, Block((1.2, 0.0), (0.4, 0.4), 45.0, (0.5, 2.0)))
    assert not overlap(a, Block((1.6, 0.9), (0.4, 0.4), 45.0, (0.5, 2.0)))
    assert not overlap(a, Block((0.0, 0.0), (1.0, 0.5), 0.0, (1.0, 2.0)))  # standing on it


def supported(room: Room, block: Block) -> bool:
    """On the floor, on another block (or on a surface within its box), at the ceiling, or at a wall."""
    corners = block.corners()
    at_wall = (corners.min(0) < 0.02).any() or (corners.max(0) > np.array([room.width, room.depth]) - 0.02).any()
    near_wall = (corners.min(0) < 0.08).any() or (corners.max(0) > np.array([room.width, room.depth]) - 0.08).any()
    if block.z[0] == 0 or at_wall or block.z[1] > room.height - 0.01:
        return True
    foot = Block(block.centre, (0.01, 0.01), 0.0, (block.z[0] - 0.01, block.z[0] - 0.001))
    carried = any(overlap(foot, other) for other in room.blocks if other is not block)
    return carried or near_wall  # curtains hang a few centimetres from their wall


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_rooms_hold(seed: int) -> None:
    room = draw_room(np.random.default_rng(seed))
    points = np.concatenate([p.vertices for p in room.parts])
    assert (points >= -1e-6).all()
    assert (points <= np.array([room.width, room.depth, room.height]) + 1e-6).all()
    for i, a in enumerate(room.blocks):
        assert supported(room, a)
        assert not any(overlap(a, b) for b in room.blocks[:i])
    assert 3 <= room.width <= 7
    assert 2.4 <= room.height <= 3
    assert room.kind in KINDS


def test_views_show_enough() -> None:
    config = Render(Path("unused"), size=(48, 64), views_per_room=3, seed=1)
    seen = np.zeros(len(NYU40))
    for index in range(8):
        room, poses = furnish(config, index)
        triangles = room.triangles()
        for pose in poses:
            hit, depth_m, _ = cast(triangles.corners, pose, nyu_camera(48, 64))
            assert (hit >= 0).all()  # nobody looks out of the room
            assert (depth_m < 0.4).mean() < 0.06
            count = np.bincount(triangles.label[hit].ravel(), minlength=len(NYU40))
            assert (count > 0).sum() >= 4
            assert 1.0 <= pose.position[2] <= 1.7
            seen += count
    assert (seen > 0).sum() >= 16
    assert seen[[ID["wall"], ID["floor"]]].min() > 0


def test_same_seed_same_room() -> None:
    a, b, c = (draw_room(np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert a.triangles().corners.tobytes() == b.triangles().corners.tobytes()
    assert a.triangles().corners.shape != c.triangles().corners.shape
