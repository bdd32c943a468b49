"""Cameras stand and look like people with cameras, and what they see is consistent to a physicist."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from umadapt.config.data import Render
from umadapt.scenes.classes import ID, NYU40
from umadapt.scenes.interior.layout import Block, Room, overlap
from umadapt.scenes.interior.rooms import draw_room
from umadapt.scenes.interior.stock import Stock
from umadapt.scenes.labels import Triangles, cast
from umadapt.scenes.renderer import furnish
from umadapt.scenes.shapes import box, quad
from umadapt.scenes.views import draw_any_pose, draw_pose, draw_views, glance, look, nyu_camera

CAMERA = nyu_camera(228, 304)


def shell(width: float, depth: float, *parts) -> Room:
    """Bare walls around what is given."""
    w, d, h = width, depth, 2.5
    p = np.array([[0, 0, 0], [w, 0, 0], [w, d, 0], [0, d, 0], [0, 0, h], [w, 0, h], [w, d, h], [0, d, h]], float)
    faces = {"floor": [0, 1, 2, 3], "ceiling": [7, 6, 5, 4]}
    walls = [[1, 0, 4, 5], [2, 1, 5, 6], [3, 2, 6, 7], [0, 3, 7, 4]]
    room = Room("test", width, depth, h)
    room.parts += [quad(p[k], name, "wall0") for name, k in faces.items()] + [
        quad(p[k], "wall", "wall0") for k in walls
    ]
    room.parts += parts
    return room


def test_what_is_not_worth_rendering() -> None:
    pose = look(np.array([2.0, 0.3, 1.4]), 0, 10, 0)
    into_a_corner = look(np.array([0.4, 0.4, 1.4]), -45, 10, 0)
    assert glance(shell(4, 4).triangles(), into_a_corner, CAMERA).rejection == "empty"
    screen = box((0.1, 0.9, 0.1), (3.9, 1.0, 2.4), "picture", "art0")
    assert glance(shell(4, 4, screen).triangles(), pose, CAMERA).rejection == "one surface"
    cupboards = [box((k, 2.0, 0.1), (k + 0.98, 2.4, 2.4), "cabinet", "wood0") for k in range(4)]
    assert glance(shell(4, 4, *cupboards).triangles(), pose, CAMERA).rejection == "few classes"
    near = box((1.5, 0.5, 1.0), (2.5, 0.6, 1.4), "table", "wood0")
    assert glance(shell(4, 4, near).triangles(), pose, CAMERA).rejection == "too near"
    room = shell(4, 4)
    del room.parts[2:]
    assert glance(room.triangles(), pose, CAMERA).rejection == "sees out of the room"
    things = [
        box((0.2, 2.5, 0.01), (1.6, 3.5, 1.8), "bed", "wood0"),
        box((1.8, 2.0, 0.01), (2.6, 2.6, 1.2), "chair", "wood0"),
        box((2.7, 2.4, 0.01), (3.8, 3.4, 1.9), "sofa", "wood0"),
    ]
    seen = glance(shell(4, 4, *things).triangles(), pose, CAMERA)
    assert not seen.rejection
    assert 1.5 < seen.depth_m < 3.5
    assert 0.2 < seen.shell < 0.75


@pytest.mark.parametrize("draw", [draw_pose, draw_any_pose])
def test_cameras_are_never_in_anything(draw) -> None:
    rng = np.random.default_rng(0)
    for seed in range(6):
        room = draw_room(np.random.default_rng(seed))
        poses = [pose for _ in range(30) if (pose := draw(rng, room))]
        assert poses
        for pose in poses:
            x, y, z = pose.position
            assert 0 < x < room.width
            assert 0 < y < room.depth
            assert 0 < z < room.height
            head = Block((x, y), (0.2, 0.2), 0.0, (z - 0.2, z + 0.2))
            assert not any(overlap(head, block) for block in room.blocks)
            assert np.linalg.det(pose.axes) == pytest.approx(1)


def test_views_have_the_depth_of_nyudv2() -> None:
    """Far from a proof; the plot in docs/ compares with the real photos."""
    medians, shells = [], []
    for index in range(12):
        room, poses = furnish(Render(Path("unused"), size=(60, 80), seed=4), Stock(), index)
        triangles = room.triangles(coarse=True)
        seen = [glance(triangles, pose, CAMERA) for pose in poses]
        medians += [s.depth_m for s in seen]
        shells += [s.shell for s in seen]
    assert 2.2 < np.median(medians) < 3.1  # NYUDv2: 2.6
    assert 0.25 < np.std(np.log(medians)) < 0.45  # 0.31
    assert 0.3 < np.mean(shells) < 0.6  # 0.42


def test_seeds_decide() -> None:
    room = draw_room(np.random.default_rng(3))
    one, two, other = (draw_views(np.random.default_rng(seed), room, CAMERA, 2) for seed in (1, 1, 2))
    assert all((a.axes == b.axes).all() and (a.position == b.position).all() for a, b in zip(one, two, strict=True))
    assert (one[0].position != other[0].position).any()


def stencil_normals(depth_m: np.ndarray, step: int) -> np.ndarray:
    """Normals from differences of points `step` pixels apart, x right, y up, z to the viewer; the border is NaN."""
    points = CAMERA.rays() * depth_m[..., None] * [1.0, -1.0, -1.0]
    out = np.full_like(points, np.nan)
    across = points[step:-step, 2 * step :] - points[step:-step, : -2 * step]
    down = points[2 * step :, step:-step] - points[: -2 * step, step:-step]
    normal = np.cross(down, across)
    out[step:-step, step:-step] = normal / np.linalg.norm(normal, axis=-1, keepdims=True)
    return out


def test_normals_agree_with_depth_and_the_floor_with_the_camera() -> None:
    floors = 0
    for index in range(4):
        room, poses = furnish(Render(Path("unused"), views_per_room=2, seed=9), Stock(), index)
        triangles: Triangles = room.triangles()
        for pose in poses:
            hit, depth_m, normals = cast(triangles, pose, CAMERA)
            label = triangles.label[hit]
            found = stencil_normals(depth_m, 4)
            rolled = [np.roll(normals, shift, (0, 1)) for shift in ((4, 0), (-4, 0), (0, 4), (0, -4))]
            flat = np.all([(r * normals).sum(-1) > 0.999 for r in rolled], axis=0) & np.isfinite(found[..., 0])
            angle = np.degrees(np.arccos(np.clip((found * normals).sum(-1)[flat], -1, 1)))
            assert flat.mean() > 0.3
            assert np.median(angle) < 0.5
            up = pose.axes.T @ [0.0, 0.0, 1.0]
            floor = (label == ID["floor"]) & flat
            if floor.sum() > 300:
                floors += 1
                tilt = np.degrees(np.arccos(np.clip(normals[floor] @ up, -1, 1)))
                assert np.median(tilt) < 0.01
                assert np.median(np.degrees(np.arccos(np.clip(found[floor] @ up, -1, 1)))) < 1
    assert floors >= 2


def test_many_classes_in_few_views() -> None:
    seen = np.zeros(len(NYU40), dtype=bool)
    for index in range(6):
        room, poses = furnish(Render(Path("unused"), size=(57, 76), seed=0), Stock(), index)
        triangles = room.triangles()
        for pose in poses:
            seen[triangles.label[cast(triangles, pose, nyu_camera(57, 76))[0]]] = True
    assert seen.sum() >= 20
